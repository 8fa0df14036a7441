/* The tables of a scenario for `holdfast simulate`. */
#include "base/assert.h"
#include "config/loader.h"
#include "config/schema_pool.h"
#include <errno.h>
#include <stdio.h>

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR };
enum { DURATION_MAX = 20 * DAY /* the simulator counts ms in 32 bits */, WEIGHT_MAX = 256 };

static const char *const event_words[] = {
    [HF_EVENT_CRASH] = "crash",   [HF_EVENT_RECOVER] = "recover",
    [HF_EVENT_DRAIN] = "drain",   [HF_EVENT_MAINTENANCE] = "maintenance",
    [HF_EVENT_READY] = "ready",   [HF_EVENT_REMOVE] = "remove",
    [HF_EVENT_WEIGHT] = "weight", [HF_EVENT_ADD] = "add",
};

const char *hf_event_kind_word(enum hf_event_kind kind)
{
    REQUIRE((unsigned)kind < HF_EVENT_KIND_COUNT);
    return event_words[kind];
}

static int read_spread(struct hf_loader *loader, const struct hf_key *key,
                       const struct hf_yaml *node, void *field)
{
    struct hf_spread *spread = field;
    if (node->kind == HF_YAML_MAPPING) {
        *spread = (struct hf_spread){.kind = HF_SPREAD_EXPONENTIAL};
        return hf_type_mapping.read(loader, key, node, spread);
    }
    *spread = (struct hf_spread){.kind = HF_SPREAD_FIXED};
    struct hf_key mean = *key;
    mean.width = sizeof(spread->mean_ms);
    return hf_type_time.read(loader, &mean, node, &spread->mean_ms);
}

static const struct hf_type type_spread = {"time or mapping", read_spread};

/* One parameter beside the mean, which belongs to its own distribution. */
static void check_parameter(struct hf_loader *loader, const struct hf_yaml *node, const char *key,
                            uint64_t value_ms, const struct hf_spread *spread)
{
    bool given = hf_yaml_get(node, key) != NULL;
    bool lognormal = strcmp(key, "median") == 0;
    const char *owner = lognormal ? "lognormal" : "pareto";
    if (given && spread->kind != (lognormal ? HF_SPREAD_LOGNORMAL : HF_SPREAD_PARETO))
        hf_loader_tell(loader, hf_yaml_line(node, key),
                       "'%s' belongs to another distribution: write distribution: %s, or leave it "
                       "out",
                       key, owner);
    else if (given && value_ms >= spread->mean_ms)
        hf_loader_tell(loader, hf_yaml_line(node, key),
                       "'%s' is not below 'mean': a %s distribution leans to long times; write "
                       "less than the mean",
                       key, owner);
}

static void check_spread(struct hf_loader *loader, const struct hf_yaml *node, void *target)
{
    struct hf_spread *spread = target;
    check_parameter(loader, node, "median", spread->median_ms, spread);
    check_parameter(loader, node, "minimum", spread->minimum_ms, spread);
    if (spread->median_ms == 0)
        spread->median_ms = (spread->mean_ms + 1) / 2;
    if (spread->minimum_ms == 0)
        spread->minimum_ms = (spread->mean_ms + 3) / 4;
}

static void *place_nat(struct hf_loader *loader, void *target, const struct hf_yaml *node,
                       unsigned index)
{
    (void)target, (void)node, (void)index;
    struct hf_scenario_users *users = &loader->scenario->users;
    users->nats[users->nat_count] = (struct hf_scenario_nat){.addresses = 1};
    return &users->nats[users->nat_count++];
}

static int read_weight(struct hf_loader *loader, const struct hf_key *key,
                       const struct hf_yaml *node, void *field)
{
    const char *text = hf_type_scalar(loader, key, node);
    uint64_t value = 0;
    (void)field;
    if (text == NULL)
        return -EINVAL;
    if (hf_slice_to_u64(hf_slice_text(text), &value) && value >= 1 && value <= WEIGHT_MAX)
        return 0;
    hf_loader_tell(loader, node->line, "'%s' has '%.60s': write 1 to %d, such as %s: %s", key->key,
                   text, WEIGHT_MAX, key->key, key->example);
    return -EINVAL;
}

static const struct hf_type type_weight = {"weight", read_weight};

static void *place_weight(struct hf_loader *loader, void *target, const struct hf_yaml *node,
                          unsigned index)
{
    struct hf_fleet_draft *fleet = &loader->fleet;
    uint64_t value = 0;
    (void)target, (void)index;
    if (hf_slice_to_u64(hf_slice_text(node->text), &value))
        fleet->weights[fleet->weight_count++] = (uint32_t)value;
    return NULL;
}

static int read_fleet(struct hf_loader *loader, const struct hf_key *key,
                      const struct hf_yaml *node, void *field)
{
    (void)field;
    loader->fleet = (struct hf_fleet_draft){.node = node, .prefix = "app"};
    return hf_type_mapping.read(loader, key, node, &loader->fleet);
}

static const struct hf_type type_fleet = {"mapping", read_fleet};

static void *place_event(struct hf_loader *loader, void *target, const struct hf_yaml *node,
                         unsigned index)
{
    (void)target, (void)node, (void)index;
    loader->event = (struct hf_event_draft){.to = UINT32_MAX};
    return &loader->event;
}

static void check_event(struct hf_loader *loader, const struct hf_yaml *node, void *target)
{
    const struct hf_event_draft *draft = target;
    struct hf_scenario *scenario = loader->scenario;
    struct hf_scenario_event event = {.at_ms = draft->at_ms, .line = node->line};
    unsigned found = 0;
    for (unsigned kind = 0; kind < HF_EVENT_KIND_COUNT; kind++) {
        if (hf_yaml_get(node, event_words[kind]) == NULL)
            continue;
        found++;
        event.kind = (enum hf_event_kind)kind;
        if (kind != HF_EVENT_ADD)
            snprintf(event.server, sizeof(event.server), "%s", draft->servers[kind]);
    }
    bool weighs = event.kind == HF_EVENT_WEIGHT;
    if (found != 1)
        hf_loader_tell(loader, node->line,
                       "an event is one thing that happens: write at: and one of crash, recover, "
                       "drain, maintenance, ready, remove, weight, add, such as {at: 10m, crash: "
                       "app1}");
    else if (weighs != (draft->to != UINT32_MAX))
        hf_loader_tell(loader, node->line,
                       "'weight' and 'to' belong together: write {at: 10m, weight: app1, to: 2}");
    else if (scenario->event_count < HF_SCENARIO_EVENTS_MAX) {
        event.value = weighs ? draft->to : draft->add;
        scenario->events[scenario->event_count++] = event;
    }
}

/* Pools are read when it is known which servers they have. */
static void *pass_over(struct hf_loader *loader, void *target, const struct hf_yaml *node,
                       unsigned index)
{
    (void)loader, (void)target, (void)node, (void)index;
    return NULL;
}

static const struct hf_word compare_words[] = {{"balance", HF_COMPARE_BALANCE},
                                               {"hash", HF_COMPARE_HASH},
                                               {"source_ip", HF_COMPARE_SOURCE_IP},
                                               {NULL, 0}};

static void *place_compare(struct hf_loader *loader, void *target, const struct hf_yaml *node,
                           unsigned index)
{
    (void)target, (void)index;
    for (const struct hf_word *word = compare_words; word->word != NULL; word++) {
        if (strcmp(word->word, node->text) == 0)
            loader->compare |= (uint8_t)word->value;
    }
    return NULL;
}

// clang-format off
static const struct hf_word distribution_words[] = {
    {"exponential", HF_SPREAD_EXPONENTIAL}, {"fixed", HF_SPREAD_FIXED},
    {"lognormal", HF_SPREAD_LOGNORMAL}, {"pareto", HF_SPREAD_PARETO}, {NULL, 0}};
static const struct hf_key spread_keys[] = {
    {.key = "distribution", .type = &hf_type_word, HF_FIELD(struct hf_spread, kind),
     .words = distribution_words, .fallback = "exponential", .example = "lognormal"},
    {.key = "mean", .type = &hf_type_time, HF_FIELD(struct hf_spread, mean_ms), .low = 1,
     .high = DURATION_MAX, .required = true, .example = "30m"},
    {.key = "median", .type = &hf_type_time, HF_FIELD(struct hf_spread, median_ms), .low = 1,
     .high = DURATION_MAX, .fallback = "half of the mean", .example = "10m"},
    {.key = "minimum", .type = &hf_type_time, HF_FIELD(struct hf_spread, minimum_ms), .low = 1,
     .high = DURATION_MAX, .fallback = "a quarter of the mean", .example = "5m"},
};
static const struct hf_schema spread_schema = {"scenario: a distribution", "a distribution",
                                               HF_KEYS(spread_keys), .check = check_spread};

static const struct hf_key nat_keys[] = {
    {.key = "share", .type = &hf_type_percent, HF_FIELD(struct hf_scenario_nat, share_percent),
     .low = 0, .high = 100, .required = true, .example = "33%"},
    {.key = "addresses", .type = &hf_type_number, HF_FIELD(struct hf_scenario_nat, addresses),
     .low = 1, .high = 1000 * 1000, .fallback = "1", .example = "50"},
};
static const struct hf_schema nat_schema = {"scenario: users.nat[]", "a way to share addresses",
                                            HF_KEYS(nat_keys)};

static const struct hf_word session_key_words[] = {
    {"issued", HF_SESSION_KEY_ISSUED}, {"known", HF_SESSION_KEY_KNOWN}, {NULL, 0}};
static const struct hf_key users_keys[] = {
    {.key = "count", .type = &hf_type_number, HF_FIELD(struct hf_scenario_users, count), .low = 1,
     .high = HF_SCENARIO_USERS_MAX, .required = true, .example = "100000"},
    {.key = "arrive", .type = &hf_type_time, HF_FIELD(struct hf_scenario_users, arrive_ms),
     .low = 0, .high = DURATION_MAX, .fallback = "10m", .example = "10m"},
    {.key = "session", .type = &type_spread, HF_FIELD(struct hf_scenario_users, session),
     .schema = &spread_schema, .low = 1, .high = DURATION_MAX,
     .fallback = "exponential with a mean of 30m",
     .example = "{distribution: lognormal, median: 10m, mean: 30m}"},
    {.key = "think", .type = &type_spread, HF_FIELD(struct hf_scenario_users, think),
     .schema = &spread_schema, .low = 1, .high = DURATION_MAX,
     .fallback = "exponential with a mean of 1m", .example = "{mean: 1m}"},
    {.key = "answer", .type = &type_spread, HF_FIELD(struct hf_scenario_users, answer),
     .schema = &spread_schema, .low = 1, .high = HOUR,
     .fallback = "exponential with a mean of 50ms", .example = "{mean: 50ms}"},
    {.key = "away", .type = &type_spread, HF_FIELD(struct hf_scenario_users, away),
     .schema = &spread_schema, .low = 0, .high = DURATION_MAX, .fallback = "0",
     .example = "{mean: 2h}"},
    {.key = "session_key", .type = &hf_type_word, HF_FIELD(struct hf_scenario_users, session_key),
     .words = session_key_words, .fallback = "issued", .example = "known"},
    {.key = "without_cookies", .type = &hf_type_percent,
     HF_FIELD(struct hf_scenario_users, without_cookies_percent), .low = 0, .high = 100,
     .fallback = "0%", .example = "5%"},
    {.key = "nat", .type = &hf_type_mappings, .schema = &nat_schema, .low = 0,
     .high = HF_SCENARIO_NATS_MAX, .place = place_nat, .fallback = "[]",
     .example = "[{share: 33%, addresses: 50}]"},
};
static const struct hf_schema users_schema = {"scenario: users", "users", HF_KEYS(users_keys)};

static const struct hf_key fleet_keys[] = {
    {.key = "count", .type = &hf_type_number, HF_FIELD(struct hf_fleet_draft, count), .low = 1,
     .high = HF_POOL_SERVERS_MAX, .required = true, .example = "100"},
    {.key = "prefix", .type = &hf_type_name, HF_FIELD(struct hf_fleet_draft, prefix),
     .fallback = "app", .example = "app"},
    {.key = "weights", .type = &hf_type_list, .item = &type_weight, .low = 1,
     .high = HF_SCENARIO_WEIGHTS_MAX, .place = place_weight, .fallback = "[1]",
     .example = "[1, 2]"},
};
static const struct hf_schema fleet_schema = {"scenario: servers", "servers", HF_KEYS(fleet_keys)};

#define SERVER_OF(kind, word)                                                                      \
    {.key = word, .type = &hf_type_name, HF_FIELD(struct hf_event_draft, servers[kind]),           \
     .example = "app1"}
static const struct hf_key event_keys[] = {
    {.key = "at", .type = &hf_type_time, HF_FIELD(struct hf_event_draft, at_ms), .low = 0,
     .high = DURATION_MAX, .required = true, .example = "10m"},
    SERVER_OF(HF_EVENT_CRASH, "crash"), SERVER_OF(HF_EVENT_RECOVER, "recover"),
    SERVER_OF(HF_EVENT_DRAIN, "drain"), SERVER_OF(HF_EVENT_MAINTENANCE, "maintenance"),
    SERVER_OF(HF_EVENT_READY, "ready"), SERVER_OF(HF_EVENT_REMOVE, "remove"),
    SERVER_OF(HF_EVENT_WEIGHT, "weight"),
    {.key = "to", .type = &hf_type_number, HF_FIELD(struct hf_event_draft, to), .low = 0,
     .high = 256, .example = "2"},
    {.key = "add", .type = &hf_type_number, HF_FIELD(struct hf_event_draft, add), .low = 1,
     .high = HF_POOL_SERVERS_MAX, .example = "10"},
};
static const struct hf_schema event_schema = {"scenario: events[]", "an event",
                                              HF_KEYS(event_keys), .check = check_event};

static const struct hf_key scenario_keys[] = {
    {.key = "seed", .type = &hf_type_number, HF_FIELD(struct hf_scenario, seed), .low = 0,
     .high = UINT32_MAX, .fallback = "1", .example = "1"},
    {.key = "duration", .type = &hf_type_time, HF_FIELD(struct hf_scenario, duration_ms),
     .low = SECOND, .high = DURATION_MAX, .fallback = "1h", .example = "1h"},
    {.key = "users", .type = &hf_type_mapping, .schema = &users_schema,
     HF_FIELD(struct hf_scenario, users), .required = true, .example = "{count: 100000}"},
    {.key = "servers", .type = &type_fleet, .schema = &fleet_schema, .example = "{count: 100}"},
    {.key = "pools", .type = &hf_type_mappings, .schema = &hf_schema_pool, .low = 1,
     .high = HF_POOLS_MAX, .place = pass_over,
     .example = "[{name: shop, affinity: [{cookie: HOLDFAST}]}]"},
    {.key = "compare", .type = &hf_type_list, .item = &hf_type_word, .words = compare_words,
     .low = 1, .high = 3, .place = place_compare, .fallback = "[]", .example = "[balance]"},
    {.key = "configuration", .type = &hf_type_file,
     .example = "/etc/holdfast/holdfast.yaml"},
    {.key = "events", .type = &hf_type_mappings, .schema = &event_schema, .low = 0,
     .high = HF_SCENARIO_EVENTS_MAX, .place = place_event, .fallback = "[]",
     .example = "[{at: 10m, crash: app1}]"},
};
// clang-format on

const struct hf_schema hf_schema_scenario = {"scenario", "the scenario", HF_KEYS(scenario_keys)};
