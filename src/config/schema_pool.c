#include "config/schema_pool.h"

#include "config/loader.h"
#include <errno.h>
#include <stdlib.h>

enum { SECOND = 1000, HOUR = 3600 * SECOND, DAY = 24 * HOUR };

static bool is_off(const struct hf_yaml *node)
{
    bool value = true;
    return node->kind == HF_YAML_SCALAR && hf_type_parse_boolean(node->text, &value) == 0 && !value;
}

/* "200", "200-399" */
static int read_expect(struct hf_loader *loader, const struct hf_key *key,
                       const struct hf_yaml *node, void *field)
{
    struct hf_health_check *health = field;
    const char *text = hf_type_scalar(loader, key, node);
    if (text == NULL)
        return -EINVAL;
    size_t low_size = strcspn(text, "-");
    struct hf_slice low_text = hf_slice(text, low_size);
    struct hf_slice high_text = text[low_size] ? hf_slice_text(text + low_size + 1) : low_text;
    uint64_t low = 0, high = 0;
    if (!hf_slice_to_u64(low_text, &low) || !hf_slice_to_u64(high_text, &high) || low < 100 ||
        high > 599 || low > high) {
        hf_loader_tell(loader, node->line,
                       "'%s' is '%.60s': write a status or a range within 100-599, such as %s: %s",
                       key->key, text, key->key, key->example);
        return -EINVAL;
    }
    health->expect_low = (uint16_t)low;
    health->expect_high = (uint16_t)high;
    return 0;
}

static const struct hf_type type_expect = {"status range", read_expect};

static void check_health(struct hf_loader *loader, const struct hf_yaml *node, void *target)
{
    struct hf_health_check *health = target;
    const struct hf_yaml *http = hf_yaml_get(node, "http");
    const struct hf_yaml *tcp = hf_yaml_get(node, "tcp");
    bool wants_tcp = true;
    if (tcp != NULL && hf_type_parse_boolean(tcp->text, &wants_tcp) == 0 && !wants_tcp && !http)
        hf_loader_tell(loader, tcp->line,
                       "'tcp' is false and there is no 'http': write health: "
                       "off, or http: /healthz");
    if (tcp != NULL && wants_tcp && http != NULL)
        hf_loader_tell(loader, tcp->line, "both 'http' and 'tcp' in one check: leave one out");
    if (http == NULL) {
        static const char *const http_only[] = {"host", "expect"};
        for (unsigned i = 0; i < 2; i++) {
            if (hf_yaml_get(node, http_only[i]) != NULL)
                hf_loader_tell(loader, hf_yaml_line(node, http_only[i]),
                               "'%s' without 'http': add http: /healthz, or leave it out",
                               http_only[i]);
        }
    } else if (http->text[0] != '/') {
        hf_loader_tell(loader, http->line,
                       "'http' is '%.60s': write a path that starts with /, "
                       "such as http: /healthz",
                       http->text);
    } else if (strpbrk(http->text, " #") != NULL) {
        hf_loader_tell(loader, http->line, "'http' is '%.60s': write a path without spaces or '#'",
                       http->text);
    }
    if (hf_yaml_get(node, "timeout") == NULL && health->timeout_ms > health->interval_ms)
        health->timeout_ms = health->interval_ms;
    if (health->timeout_ms > health->interval_ms)
        hf_loader_tell(loader, hf_yaml_line(node, "timeout"),
                       "'timeout' is longer than 'interval' (%ums): write timeout: %ums or less",
                       health->interval_ms, health->interval_ms);
    if (http != NULL)
        health->kind = HF_CHECK_HTTP;
}

static int read_retry_on(struct hf_loader *loader, const struct hf_key *key,
                         const struct hf_yaml *node, void *field)
{
    *(uint8_t *)field = 0;
    return hf_type_list.read(loader, key, node, field);
}

static const struct hf_type type_retry_on = {"list", read_retry_on};

// clang-format off
static const struct hf_word retry_words[] = {
    {"connect", HF_RETRY_CONNECT}, {"reset_before_response", HF_RETRY_RESET},
    {"5xx", HF_RETRY_5XX}, {NULL, 0}};
// clang-format on

static void *place_retry_on(struct hf_loader *loader, void *target, const struct hf_yaml *node,
                            unsigned index)
{
    uint8_t *on = target;
    for (const struct hf_word *word = retry_words; word->word != NULL; word++) {
        if (strcmp(word->word, node->text) != 0)
            continue;
        if ((*on & word->value) != 0)
            hf_loader_tell(loader, node->line, "'on' has '%s' twice: leave one out", word->word);
        *on |= (uint8_t)word->value;
    }
    (void)index;
    return NULL;
}

// clang-format off
static const struct hf_key health_keys[] = {
    {.key = "http", .type = &hf_type_text, .high = 1024, .example = "/healthz"},
    {.key = "tcp", .type = &hf_type_boolean, .fallback = "true without http", .example = "true"},
    {.key = "host", .type = &hf_type_text, .high = 255, .fallback = "the server's address",
     .example = "shop.example.com"},
    {.key = "expect", .type = &type_expect, .fallback = "200-399", .example = "200-399"},
    {.key = "interval", .type = &hf_type_time, HF_FIELD(struct hf_health_check, interval_ms),
     .low = 10, .high = HOUR, .fallback = "1s", .example = "1s"},
    {.key = "timeout", .type = &hf_type_time, HF_FIELD(struct hf_health_check, timeout_ms),
     .low = 1, .high = HOUR, .fallback = "500ms", .example = "500ms"},
    {.key = "rise", .type = &hf_type_number, HF_FIELD(struct hf_health_check, rise),
     .low = 1, .high = 100, .fallback = "2", .example = "2"},
    {.key = "fall", .type = &hf_type_number, HF_FIELD(struct hf_health_check, fall),
     .low = 1, .high = 100, .fallback = "2", .example = "2"},
};
static const struct hf_schema health_schema = {"pools[].health", "health", HF_KEYS(health_keys),
                                               .check = check_health};

static const struct hf_key passive_keys[] = {
    {.key = "failures", .type = &hf_type_number, HF_FIELD(struct hf_passive, failures),
     .low = 0, .high = 1000 * 1000, .fallback = "5", .example = "5"},
    {.key = "window", .type = &hf_type_time, HF_FIELD(struct hf_passive, window_ms),
     .low = 100, .high = HOUR, .fallback = "10s", .example = "10s"},
    {.key = "eject", .type = &hf_type_time, HF_FIELD(struct hf_passive, eject_ms),
     .low = 100, .high = DAY, .fallback = "10s", .example = "10s"},
    {.key = "maximum_ejected", .type = &hf_type_percent,
     HF_FIELD(struct hf_passive, ejected_percent_max), .low = 0, .high = 100, .fallback = "50%",
     .example = "50%"},
    {.key = "failure_ratio", .type = &hf_type_percent,
     HF_FIELD(struct hf_passive, failed_percent_min), .low = 0, .high = 100, .fallback = "0%",
     .example = "20%"},
    {.key = "count_5xx", .type = &hf_type_boolean, HF_FIELD(struct hf_passive, count_5xx),
     .fallback = "false", .example = "true"},
    {.key = "probes", .type = &hf_type_number, HF_FIELD(struct hf_passive, probes),
     .low = 1, .high = HF_PROBES_MAX, .fallback = "3", .example = "3"},
};
static const struct hf_schema passive_schema = {"pools[].passive", "passive",
                                                HF_KEYS(passive_keys)};

static const struct hf_key retry_keys[] = {
    {.key = "attempts", .type = &hf_type_number, HF_FIELD(struct hf_retry, attempts),
     .low = 0, .high = 10, .fallback = "2", .example = "2"},
    {.key = "budget", .type = &hf_type_percent, HF_FIELD(struct hf_retry, budget_percent),
     .low = 0, .high = 100, .fallback = "20%", .example = "20%"},
    {.key = "on", .type = &type_retry_on, HF_FIELD(struct hf_retry, on), .item = &hf_type_word,
     .words = retry_words, .low = 0, .high = 3, .place = place_retry_on,
     .fallback = "[connect, reset_before_response]", .example = "[connect, reset_before_response]"},
    {.key = "backoff", .type = &hf_type_time, HF_FIELD(struct hf_retry, backoff_ms),
     .low = 0, .high = 10 * SECOND, .fallback = "25ms", .example = "25ms"},
};
static const struct hf_schema retry_schema = {"pools[].retry", "retry", HF_KEYS(retry_keys)};

static const struct hf_key breaker_keys[] = {
    {.key = "connections", .type = &hf_type_number, HF_FIELD(struct hf_breaker, connections),
     .low = 1, .high = 1000 * 1000, .fallback = "1000", .example = "1000"},
    {.key = "pending", .type = &hf_type_number, HF_FIELD(struct hf_breaker, pending),
     .low = 0, .high = 1000 * 1000, .fallback = "200", .example = "200"},
    {.key = "pending_timeout", .type = &hf_type_time,
     HF_FIELD(struct hf_breaker, pending_timeout_ms), .low = 1, .high = HOUR, .fallback = "5s",
     .example = "5s"},
};
static const struct hf_schema breaker_schema = {"pools[].breaker", "breaker",
                                                HF_KEYS(breaker_keys)};

struct session_draft {
    const char *cookie; /* borrowed from the tree */
    int format;         /* enum hf_session_format */
};
static const struct hf_word session_words[] = {
#define HF_SESSION_FORMAT_ROW(id, word) {word, HF_SESSION_##id},
    HF_SESSION_FORMATS(HF_SESSION_FORMAT_ROW)
#undef HF_SESSION_FORMAT_ROW
    {NULL, 0}};
static const struct hf_key session_keys[] = {
    {.key = "cookie", .type = &hf_type_text, HF_FIELD(struct session_draft, cookie), .high = 128,
     .required = true, .example = "PHPSESSID"},
    {.key = "format", .type = &hf_type_word, HF_FIELD(struct session_draft, format),
     .words = session_words, .fallback = "plain", .example = "plain"},
};
static const struct hf_schema session_schema = {"pools[].session", "session",
                                                HF_KEYS(session_keys)};

static const struct hf_key server_keys[] = {
    {.key = "name", .type = &hf_type_name, HF_FIELD(struct hf_server_draft, name),
     .required = true, .example = "app1"},
    {.key = "address", .type = &hf_type_address, HF_FIELD(struct hf_server_draft, address),
     .required = true, .example = "\"127.0.0.1:3001\""},
    {.key = "weight", .type = &hf_type_number, HF_FIELD(struct hf_server_draft, weight),
     .low = 0, .high = 256, .fallback = "1", .example = "1"},
    {.key = "backup", .type = &hf_type_boolean, HF_FIELD(struct hf_server_draft, backup),
     .fallback = "false", .example = "true"},
    {.key = "agent", .type = &hf_type_address, HF_FIELD(struct hf_server_draft, agent),
     .example = "\"127.0.0.1:7401\""},
};
static const struct hf_schema server_schema = {"pools[].servers[]", "a server",
                                               HF_KEYS(server_keys)};

static const struct hf_key on_loss_keys[] = {
    {.key = "redirect", .type = &hf_type_text, .high = 1024, .required = true,
     .example = "/login"},
};
static const struct hf_schema on_loss_schema = {"pools[].on_loss", "on_loss",
                                                HF_KEYS(on_loss_keys)};

static const struct hf_word balance_words[] = {
#define HF_BALANCER_ROW(id, word, ...) {word, HF_BALANCE_##id},
#define HF_HASH_ROW(id, word, balancer_id, balancer_word, ...) \
    {balancer_word, HF_BALANCE_##balancer_id},
#include "balance/algorithms.def"
#undef HF_BALANCER_ROW
#undef HF_HASH_ROW
    {NULL, 0}};
static const struct hf_word failback_words[] = {
    {"stay", HF_FAILBACK_STAY}, {"return", HF_FAILBACK_RETURN},
    {"temporary", HF_FAILBACK_TEMPORARY}, {NULL, 0}};
static const struct hf_word on_loss_words[] = {
    {"fresh", HF_ON_LOSS_FRESH}, {"error", HF_ON_LOSS_ERROR}, {NULL, 0}};
// clang-format on

static int read_health(struct hf_loader *loader, const struct hf_key *key,
                       const struct hf_yaml *node, void *field)
{
    struct hf_health_check *health = field;
    if (is_off(node)) {
        health->kind = HF_CHECK_NONE;
        return 0;
    }
    if (node->kind == HF_YAML_SCALAR && strcmp(node->text, "tcp") == 0)
        return 0;
    if (node->kind != HF_YAML_MAPPING) {
        hf_loader_tell(loader, node->line,
                       "'health' is %s: write off, tcp, or a mapping such as health: %s",
                       hf_yaml_kind_word(node), key->example);
        return -EINVAL;
    }
    unsigned before = loader->mistakes;
    hf_schema_read(loader, key->schema, node, field);
    if (loader->mistakes != before)
        return -EINVAL;
    const struct hf_yaml *http = hf_yaml_get(node, "http"), *host = hf_yaml_get(node, "host");
    health->path = http ? hf_loader_copy(loader, http->text) : NULL;
    health->host = host ? hf_loader_copy(loader, host->text) : NULL;
    return 0;
}

static int read_passive(struct hf_loader *loader, const struct hf_key *key,
                        const struct hf_yaml *node, void *field)
{
    if (!is_off(node))
        return hf_type_mapping.read(loader, key, node, field);
    ((struct hf_passive *)field)->failures = 0;
    return 0;
}

/* A redirect goes into a Location field: a path of this site, or a whole URL. */
static bool is_location(const char *text)
{
    bool absolute = strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
    return (absolute || (text[0] == '/' && text[1] != '/')) && strpbrk(text, " \"<>\\") == NULL;
}

static int read_on_loss(struct hf_loader *loader, const struct hf_key *key,
                        const struct hf_yaml *node, void *field)
{
    struct hf_pool *pool = field;
    if (node->kind == HF_YAML_SCALAR && strcmp(node->text, "redirect") == 0) {
        hf_loader_tell(loader, node->line,
                       "'on_loss' is 'redirect' without a place to go: write on_loss: %s",
                       key->example);
        return -EINVAL;
    }
    if (node->kind == HF_YAML_SCALAR) {
        int word = HF_ON_LOSS_FRESH;
        struct hf_key choice = *key;
        choice.width = sizeof(word);
        int rc = hf_type_word.read(loader, &choice, node, &word);
        if (rc == 0)
            pool->on_loss = (enum hf_on_loss)word;
        return rc;
    }
    unsigned before = loader->mistakes;
    int rc = hf_type_mapping.read(loader, key, node, field);
    if (rc != 0 || loader->mistakes != before)
        return -EINVAL;
    const struct hf_yaml *target = hf_yaml_get(node, "redirect");
    if (!is_location(target->text)) {
        hf_loader_tell(loader, target->line,
                       "'redirect' is '%.60s': write a path that starts with one /, or a URL with "
                       "http:// or https://",
                       target->text);
        return -EINVAL;
    }
    pool->on_loss = HF_ON_LOSS_REDIRECT;
    pool->on_loss_location = hf_loader_copy(loader, target->text);
    return 0;
}

static int read_session(struct hf_loader *loader, const struct hf_key *key,
                        const struct hf_yaml *node, void *field)
{
    struct hf_pool *pool = field;
    struct session_draft draft = {.format = HF_SESSION_PLAIN};
    unsigned before = loader->mistakes;
    int rc = hf_type_mapping.read(loader, key, node, &draft);
    if (rc != 0 || loader->mistakes != before)
        return -EINVAL;
    pool->session.name = hf_loader_copy(loader, draft.cookie);
    pool->session.format = (enum hf_session_format)draft.format;
    return 0;
}

static int read_breaker(struct hf_loader *loader, const struct hf_key *key,
                        const struct hf_yaml *node, void *field)
{
    if (is_off(node))
        return 0;
    *(struct hf_breaker *)field =
        (struct hf_breaker){.connections = 1000, .pending = 200, .pending_timeout_ms = 5 * SECOND};
    return hf_type_mapping.read(loader, key, node, field);
}

static const struct hf_type type_health = {"mapping, off or tcp", read_health};
static const struct hf_type type_passive = {"mapping or off", read_passive};
static const struct hf_type type_breaker = {"mapping or off", read_breaker};
static const struct hf_type type_session = {"mapping", read_session};
static const struct hf_type type_on_loss = {"choice or mapping", read_on_loss};

static void *place_server(struct hf_loader *loader, void *target, const struct hf_yaml *node,
                          unsigned index)
{
    struct hf_pool_draft *draft = loader->pool;
    (void)target;
    (void)index; /* entries that are no mapping are counted there */
    index = draft->server_count;
    struct hf_server_draft *servers =
        reallocarray(draft->servers, index + 1, sizeof(*draft->servers));
    if (servers == NULL) {
        loader->out_of_memory = true;
        return NULL;
    }
    draft->servers = servers;
    draft->server_count = index + 1;
    servers[index] = (struct hf_server_draft){.node = node, .weight = 1};
    return &servers[index];
}

// clang-format off
static const struct hf_key pool_keys[] = {
    {.key = "name", .type = &hf_type_name, HF_FIELD(struct hf_pool, name), .required = true,
     .example = "shop"},
    {.key = "balance", .type = &hf_type_word, HF_FIELD(struct hf_pool, balance),
     .words = balance_words, .fallback = "round_robin", .example = "least_connections"},
    {.key = "bounded_load", .type = &hf_type_ratio, HF_FIELD(struct hf_pool, bounded_percent),
     .low = 1, .high = 100, .example = "1.25"},
    {.key = "affinity", .type = &hf_type_mappings, .schema = &hf_schema_affinity, .low = 0,
     .high = HF_AFFINITIES_MAX, .place = hf_schema_place_affinity, .fallback = "[]",
     .example = "[{cookie: HOLDFAST, mode: insert}]"},
    {.key = "session", .type = &type_session, .schema = &session_schema,
     .example = "{cookie: PHPSESSID}"},
    {.key = "failback", .type = &hf_type_word, HF_FIELD(struct hf_pool, failback),
     .words = failback_words, .fallback = "stay", .example = "stay"},
    {.key = "on_loss", .type = &type_on_loss, .schema = &on_loss_schema,
     .words = on_loss_words, .fallback = "fresh", .example = "{redirect: /login}"},
    {.key = "health", .type = &type_health, HF_FIELD(struct hf_pool, health),
     .schema = &health_schema, .fallback = "tcp", .example = "{http: /healthz, interval: 1s}"},
    {.key = "passive", .type = &type_passive, HF_FIELD(struct hf_pool, passive),
     .schema = &passive_schema, .example = "{failures: 5, window: 10s}"},
    {.key = "retry", .type = &hf_type_mapping, HF_FIELD(struct hf_pool, retry),
     .schema = &retry_schema, .example = "{attempts: 2, budget: 20%}"},
    {.key = "breaker", .type = &type_breaker, HF_FIELD(struct hf_pool, breaker),
     .schema = &breaker_schema, .fallback = "off", .example = "{connections: 1000, pending: 200}"},
    {.key = "slow_start", .type = &hf_type_time, HF_FIELD(struct hf_pool, slow_start_ms),
     .low = 0, .high = HOUR, .fallback = "0", .example = "10s"},
    {.key = "servers", .type = &hf_type_mappings, .schema = &server_schema, .low = 1,
     .high = HF_POOL_SERVERS_MAX, .place = place_server, .required = true,
     .example = "[{name: app1, address: \"127.0.0.1:3001\"}]"},
};
// clang-format on

const struct hf_schema hf_schema_pool = {"pools[]", "a pool", HF_KEYS(pool_keys)};

void *hf_schema_place_pool(struct hf_loader *loader, void *target, const struct hf_yaml *node,
                           unsigned index)
{
    struct hf_config *config = loader->config;
    (void)target;
    (void)index; /* entries that are no mapping are counted there */
    if (config->pools == NULL) {
        config->pools = calloc(HF_POOLS_MAX, sizeof(*config->pools));
        loader->pools = calloc(HF_POOLS_MAX, sizeof(*loader->pools));
    }
    if (config->pools == NULL || loader->pools == NULL) {
        loader->out_of_memory = true;
        return NULL;
    }
    struct hf_pool *pool = &config->pools[config->pool_count];
    hf_pool_init(pool);
    pool->index = config->pool_count++;
    loader->pool = &loader->pools[pool->index];
    loader->pool->node = node;
    return pool;
}
