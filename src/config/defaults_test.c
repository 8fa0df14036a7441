/* The defaults that the schema names, and docs/configuration.md after it, are those that an absent
 * key has: a file without the key and one with the default written out come to the same. */
#include "config/agent.h"
#include "config/scenario.h"
#include "config/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/schema_testing.h"

enum { TEXT_MAX = 4096, ROWS = 32 };

/* A file with a place, `@`, for one key of the mapping `path`. */
#define SERVER "{name: app1, address: \"127.0.0.1:3001\", agent: \"127.0.0.1:7401\"}"
#define FILE_WITH(listener, pool, server)                                                          \
    "listeners: [{name: web, bind: \"127.0.0.1:8080\", " listener "}]\n"                           \
    "pools: [{name: shop, " pool "servers: [" SERVER                                               \
    ", {name: b, address: \"127.0.0.1:2\", " server "}]}]\n"
#define LEAST FILE_WITH("", "", "")
#define AGENT "agent: {redis: \"127.0.0.1:6380\", "
#define PEERS                                                                                      \
    "peer: \"127.0.0.1:7401\", peers: {a: \"127.0.0.1:7401\", b: \"127.0.0.1:7402\", "             \
    "c: \"127.0.0.1:7403\"}, "
#define POPULATION "servers: {count: 2}\npools: [{name: p}]\n"

enum kind { PROXY, AGENTS, SCENARIO };
static const struct place {
    enum kind kind;
    const char *path, *text;
} places[] = {
    {PROXY, "holdfast.yaml", LEAST "@\n"},
    {PROXY, "admin", LEAST "admin: {@}\n"},
    {PROXY, "log", LEAST "log: {@}\n"},
    {PROXY, "limits", LEAST "limits: {@}\n"},
    {PROXY, "timeouts", LEAST "timeouts: {@}\n"},
    {PROXY, "listeners[]", FILE_WITH("@", "", "")},
    {PROXY, "routes[]", LEAST "routes: [{pool: shop, @}]\n"},
    {PROXY, "pools[]", FILE_WITH("", "@, ", "")},
    {PROXY, "pools[].affinity[]", FILE_WITH("", "affinity: [{cookie: A, @}], ", "")},
    {PROXY, "pools[].affinity[]", FILE_WITH("", "affinity: [{source_ip: hash, @}], ", "")},
    {PROXY, "pools[].affinity[]", FILE_WITH("", "affinity: [{source_ip: table, @}], ", "")},
    {PROXY, "pools[].affinity[]", FILE_WITH("", "affinity: [{learn: A, @}], ", "")},
    {PROXY, "pools[].affinity[]", FILE_WITH("", "affinity: [{route: A, @}], ", "")},
    {PROXY, "pools[].session", FILE_WITH("", "session: {cookie: A, @}, ", "")},
    {PROXY, "pools[].health", FILE_WITH("", "health: {http: /, @}, ", "")},
    {PROXY, "pools[].passive", FILE_WITH("", "passive: {@}, ", "")},
    {PROXY, "pools[].retry", FILE_WITH("", "retry: {@}, ", "")},
    {PROXY, "pools[].breaker", FILE_WITH("", "breaker: {@}, ", "")},
    {PROXY, "pools[].servers[]", FILE_WITH("", "", "@")},
    {AGENTS, "agent.yaml", "node: a\n" AGENT "}\n@\n"},
    {AGENTS, "agent.yaml admin", "node: a\nadmin: {@}\n" AGENT "}\n"},
    {AGENTS, "agent.yaml log", "node: a\nlog: {@}\n" AGENT "}\n"},
    {AGENTS, "agent", "node: a\n" AGENT PEERS "@}\n"},
    {AGENTS, "agent", "node: a\n" AGENT "@}\n"},
    {AGENTS, "agent.tombstones", "node: a\n" AGENT "tombstones: {@}}\n"},
    {AGENTS, "agent.external",
     "node: a\n" AGENT "mode: external, external: {url: \"redis://127.0.0.1:6379/0\", @}}\n"},
    {SCENARIO, "scenario", "users: {count: 5}\n" POPULATION "@\n"},
    {SCENARIO, "scenario: users", "users: {count: 5, @}\n" POPULATION},
    {SCENARIO, "scenario: users.nat[]", "users: {count: 5, nat: [{share: 50%, @}]}\n" POPULATION},
    {SCENARIO, "scenario: a distribution",
     "users: {count: 5, session: {mean: 1m, @}}\n" POPULATION},
    {SCENARIO, "scenario: servers",
     "users: {count: 5}\nservers: {count: 2, @}\npools: [{name: p}]\n"},
};
enum { PLACES = sizeof(places) / sizeof(places[0]) };

/* The mappings that are understood and not built yet: nothing comes of them. */
static bool is_ahead(const char *path)
{
    return strncmp(path, "listeners[].tls", 15) == 0 || strncmp(path, "agent.peers", 11) == 0;
}

static void add(char *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(char *out, const char *format, ...)
{
    size_t used = strlen(out);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out + used, TEXT_MAX - used, format, arguments);
    va_end(arguments);
    assert_true(strlen(out) < TEXT_MAX - 1);
}

#define NUMBER(value) (unsigned long long)(value)
#define TEXT(value) ((value) != NULL ? (value) : "-")

static void tell_address(char *out, const struct hf_address *address)
{
    char text[HF_ADDRESS_TEXT_MAX] = "-";
    if (address->size != 0)
        hf_address_format(address, text);
    add(out, "%s\n", text);
}

static void tell_strategy(char *out, const struct hf_affinity *one)
{
    const struct hf_cookie_attributes *cookie = &one->attributes;
    add(out, "strategy %d %d %d %llu %llu %u %u\n", one->kind, one->secure, one->hash,
        NUMBER(one->idle_s), NUMBER(one->lifetime_s), one->ipv4_prefix, one->ipv6_prefix);
    add(out, "%s %s %d %llu %llu %u %d\n", TEXT(one->path), TEXT(one->domain), one->separator,
        NUMBER(one->expire_s), NUMBER(one->table_size), one->bounded_percent, one->learn_header);
    add(out, "cookie %llu %d %d %d %d\n", NUMBER(cookie->max_age_s), cookie->same_site,
        cookie->secure, cookie->http_only, cookie->partitioned);
}

static void tell_pool(char *out, const struct hf_pool *pool)
{
    const struct hf_health_check *health = &pool->health;
    const struct hf_passive *passive = &pool->passive;
    const struct hf_retry *retry = &pool->retry;
    const struct hf_breaker *breaker = &pool->breaker;
    add(out, "pool %s %d %u %d %d %u %s %d\n", pool->name, pool->balance, pool->bounded_percent,
        pool->failback, pool->on_loss, pool->slow_start_ms, TEXT(pool->session.name),
        pool->session.format);
    add(out, "health %d %u-%u %u %u %u %u\n", health->kind, health->expect_low, health->expect_high,
        health->interval_ms, health->timeout_ms, health->rise, health->fall);
    add(out, "passive %u %u %u %u %u %u %d\n", passive->failures, passive->window_ms,
        passive->eject_ms, passive->ejected_percent_max, passive->failed_percent_min,
        passive->probes, passive->count_5xx);
    add(out, "retry %u %u %u %u\n", retry->attempts, retry->budget_percent, retry->on,
        retry->backoff_ms);
    add(out, "breaker %u %u %u\n", breaker->connections, breaker->pending,
        breaker->pending_timeout_ms);
    for (unsigned i = 0; i < pool->affinity_count; i++)
        tell_strategy(out, &pool->affinities[i]);
    for (unsigned i = 0; i < pool->server_count; i++)
        add(out, "server %s %u %d\n", pool->servers[i].server->name, pool->servers[i].weight,
            pool->servers[i].backup);
}

static void tell_process(char *out, const struct hf_config *config)
{
    const struct hf_limits *limits = &config->limits;
    const struct hf_timeouts *timeouts = &config->timeouts;
    add(out, "process %u %s %d %s %d\n", config->workers, TEXT(config->state_dir),
        config->log_level, TEXT(config->access_path), config->access_format);
    tell_address(out, &config->admin_bind);
    add(out, "limits %u %u %u %llu\n", limits->connections, limits->request_head, limits->headers,
        NUMBER(limits->request_body));
    add(out, "timeouts %u %u %u %u %u %u\n", timeouts->client_head, timeouts->client_idle,
        timeouts->connect, timeouts->response_head, timeouts->response_idle, timeouts->tunnel_idle);
    add(out, "trusted %u\n", config->trusted_count);
    for (unsigned i = 0; i < config->listener_count; i++)
        add(out, "listener %d\n", config->listeners[i].protocol);
    for (unsigned i = 0; i < config->route_count; i++)
        add(out, "route %s\n", config->routes[i].path);
}

static int tell_agent(char *out, const char *text, struct hf_config_report *report)
{
    struct hf_agent_config *config = NULL;
    int rc = hf_config_load_agent_text(hf_slice_text(text), "/nowhere/a.yaml", &config, report);
    if (rc != 0)
        return rc;
    tell_process(out, config->process);
    add(out, "agent %llu %d %d %d %d %u %d %d %u\n", NUMBER(config->memory), config->when_full,
        config->flush_allowed, config->mode, config->replication.on, config->replication.backups,
        config->replication.acknowledge_memory, config->replication.consistent,
        config->pattern_count);
    add(out, "external %d\n", config->external.behind);
    hf_agent_config_free(&config);
    return 0;
}

static void tell_spread(char *out, const struct hf_spread *spread)
{
    add(out, "spread %d %llu %llu %llu\n", spread->kind, NUMBER(spread->mean_ms),
        NUMBER(spread->median_ms), NUMBER(spread->minimum_ms));
}

static int tell_scenario(char *out, const char *text, struct hf_config_report *report)
{
    static struct hf_scenario scenario;
    int rc = hf_scenario_load_text(hf_slice_text(text), "/nowhere/s.yaml", &scenario, report);
    if (rc != 0)
        return rc;
    const struct hf_scenario_users *users = &scenario.users;
    add(out, "scenario %llu %llu %u %llu %d %u\n", NUMBER(scenario.seed),
        NUMBER(scenario.duration_ms), scenario.event_count, NUMBER(users->arrive_ms),
        users->session_key, users->without_cookies_percent);
    tell_spread(out, &users->session);
    tell_spread(out, &users->think);
    tell_spread(out, &users->answer);
    if (users->away.mean_ms != 0) /* nobody returns, in whatever way */
        tell_spread(out, &users->away);
    for (unsigned i = 0; i < users->nat_count; i++)
        add(out, "nat %u %u\n", users->nats[i].share_percent, users->nats[i].addresses);
    for (unsigned i = 0; i < scenario.config->pool_count; i++)
        tell_pool(out, &scenario.config->pools[i]);
    hf_scenario_fini(&scenario);
    return 0;
}

static int tell_proxy(char *out, const char *text, struct hf_config_report *report)
{
    struct hf_config *config = NULL;
    int rc = hf_config_load_text(hf_slice_text(text), "/nowhere/x.yaml", false, &config, report);
    if (rc != 0)
        return rc;
    tell_process(out, config);
    for (unsigned i = 0; i < config->pool_count; i++)
        tell_pool(out, &config->pools[i]);
    hf_config_unref(&config);
    return 0;
}

/* What comes of the file with that key, written so; with key NULL without any. False: a mistake. */
static bool outcome(const struct place *place, const char *key, const char *value, char *out)
{
    char text[TEXT_MAX] = "";
    const char *at = strchr(place->text, '@');
    bool ends_entry = at[1] == ','; /* `@, ` in front of other keys */
    add(text, "%.*s", (int)(at - place->text), place->text);
    if (key != NULL)
        add(text, "%s: %s", key, value);
    add(text, "%s", at + 1 + (key == NULL && ends_entry));
    struct hf_config_report report = {0};
    out[0] = '\0';
    int rc = place->kind == PROXY    ? tell_proxy(out, text, &report)
             : place->kind == AGENTS ? tell_agent(out, text, &report)
                                     : tell_scenario(out, text, &report);
    if (rc != 0 && key == NULL)
        fail_msg("%s: line %u: %s\n%s", place->path, report.messages[0].line,
                 report.messages[0].text, text);
    hf_config_report_fini(&report);
    return rc == 0;
}

/* Another value than the default, in the file's words; false: none is known. */
static bool other_value(const struct hf_key *key, char *out)
{
    out[0] = '\0';
    if (key->type == &hf_type_boolean)
        add(out, "%s", strcmp(key->fallback, "true") == 0 ? "false" : "true");
    else if (key->item == NULL && key->words != NULL && key->type == &hf_type_word)
        add(out, "%s", key->words[strcmp(key->words[0].word, key->fallback) == 0].word);
    else if (key->type == &hf_type_number) {
        add(out, "%llu", NUMBER(key->low));
        if (strcmp(out, key->fallback) == 0)
            snprintf(out, TEXT_MAX, "%llu", NUMBER(key->high));
    }
    if (key->type == &hf_type_percent)
        add(out, "7%%");
    else if (key->type == &hf_type_time || key->type == &hf_type_seconds)
        add(out, "%s", strcmp(key->fallback, "2s") == 0 ? "3s" : "2s");
    return out[0] != '\0';
}

struct found {
    unsigned keys, seen; /* whose default was compared; of those, whose other value was seen */
};

static void compare(const struct hf_schema *schema, const struct hf_key *key, struct found *found)
{
    bool taken = false, seen = false;
    for (unsigned i = 0; i < PLACES; i++) {
        char absent[TEXT_MAX], written[TEXT_MAX], other[TEXT_MAX];
        if (strcmp(places[i].path, schema->path) != 0)
            continue;
        outcome(&places[i], NULL, NULL, absent);
        if (!outcome(&places[i], key->key, key->fallback, written))
            continue;
        taken = true;
        if (strcmp(absent, written) != 0)
            fail_msg("%s: %s is not %s when it is absent:\n%swritten:\n%s", schema->path, key->key,
                     key->fallback, absent, written);
        seen |= other_value(key, other) && outcome(&places[i], key->key, other, written) &&
                strcmp(absent, written) != 0;
    }
    if (!taken)
        fail_msg("%s: no file here takes %s: %s", schema->path, key->key, key->fallback);
    found->keys++;
    found->seen += seen;
}

/* A default that is told in words, as "the host name", can be written by nobody; nor can an empty
 * list of a key that wants entries when it is there. */
static bool is_written(const struct hf_key *key)
{
    const char *fallback = key->fallback;
    if (fallback == NULL || (strcmp(fallback, "[]") == 0 && key->low > 0))
        return false;
    return fallback[0] == '[' || strchr(fallback, ' ') == NULL;
}

static void an_absent_key_is_its_default(void **state)
{
    (void)state;
    struct found found = {0};
    hf_schema_collect_all();
    for (unsigned i = 0; i < schema_count; i++) {
        for (unsigned k = 0; !is_ahead(schemas[i]->path) && k < schemas[i]->key_count; k++) {
            if (is_written(&schemas[i]->keys[k]))
                compare(schemas[i], &schemas[i]->keys[k], &found);
        }
    }
    print_message("%u defaults, %u of them told from another value\n", found.keys, found.seen);
    assert_true(found.keys > 60 && found.seen > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_absent_key_is_its_default)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
