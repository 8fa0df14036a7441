#include "admin/documents.h"
#include "base/assert.h"
#include "model/recovery.h"
#include "upstream/limit.h"
#include <errno.h>
#include <stdio.h>
#include <time.h>

enum { STATE_COUNT = HF_SERVER_EJECTED + 1, TIME_TEXT_MAX = 40 };

static const char *health_word(unsigned health)
{
    static const char *const words[] = {"unknown", "up", "down"};
    REQUIRE(health < 3);
    return words[health];
}

/* How long ago an instant was; one after now, written meanwhile by another thread, is now. */
static uint64_t age_ms(const struct hf_admin_times *times, uint64_t since_ms)
{
    return since_ms < times->now_ms ? times->now_ms - since_ms : 0;
}

/* RFC 3339 in UTC with milliseconds. */
static void format_since(char out[TIME_TEXT_MAX], const struct hf_admin_times *times,
                         uint64_t ago_ms)
{
    uint64_t wall_ms = ago_ms < times->wall_ms ? times->wall_ms - ago_ms : 0;
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    size_t size = strftime(out, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(out + size, TIME_TEXT_MAX - size, ".%03uZ", (unsigned)(wall_ms % 1000));
}

static json_t *count(const struct hf_server *server, enum hf_server_counter counter)
{
    return json_integer((json_int_t)hf_server_count(server, counter));
}

static json_t *counts_document(const struct hf_server *server)
{
    return json_pack(
        "{s:o, s:{s:o, s:o, s:o, s:o, s:o}, s:{s:o, s:o, s:o, s:o}, s:o, s:o, s:o, "
        "s:{s:o, s:o}, s:o}",
        "requests", count(server, HF_SERVER_REQUESTS), "responses", "1xx",
        count(server, HF_SERVER_RESPONSES_1XX), "2xx", count(server, HF_SERVER_RESPONSES_2XX),
        "3xx", count(server, HF_SERVER_RESPONSES_3XX), "4xx",
        count(server, HF_SERVER_RESPONSES_4XX), "5xx", count(server, HF_SERVER_RESPONSES_5XX),
        "failures", "connect", count(server, HF_SERVER_FAIL_CONNECT), "reset",
        count(server, HF_SERVER_FAIL_RESET), "timeout", count(server, HF_SERVER_FAIL_TIMEOUT),
        "malformed", count(server, HF_SERVER_FAIL_BAD), "connects",
        count(server, HF_SERVER_CONNECTS), "reuses", count(server, HF_SERVER_REUSES), "pins",
        count(server, HF_SERVER_PINS), "checks", "ok", count(server, HF_SERVER_CHECKS_OK), "failed",
        count(server, HF_SERVER_CHECKS_FAILED), "ejections", count(server, HF_SERVER_EJECTIONS));
}

json_t *hf_admin_server_document(const struct hf_pool *pool, const struct hf_pool_server *member,
                                 const struct hf_admin_times *times)
{
    REQUIRE(pool != NULL && member != NULL);
    const struct hf_server *server = member->server;
    enum hf_server_state state = hf_server_state(server, times->now_ms);
    char since[TIME_TEXT_MAX];
    uint64_t ago_ms = age_ms(times, server->state_since_ms);
    format_since(since, times, ago_ms);
    json_t *document = json_pack(
        "{s:s, s:s, s:s, s:I, s:b, s:s, s:s, s:s, s:s, s:f, s:s, s:i, s:i, s:I, s:i, s:f}", "pool",
        pool->name, "name", server->name, "address", member->address_text, "weight",
        (json_int_t)member->weight, "backup", member->backup, "state", hf_server_state_word(state),
        "admin", hf_admin_state_word(server->admin), "health", health_word(server->health), "since",
        since, "since_s", (double)ago_ms / 1000.0, "breaker",
        hf_breaker_state_word(hf_server_breaker(server, times->now_ms)), "active",
        (int)server->active, "pending", (int)server->limit.pending, "limit",
        (json_int_t)server->limit.active_max, "connections", (int)server->connections,
        "response_ms_ewma", (double)server->ewma_us / 1000.0);
    json_t *counts = counts_document(server);
    if (document && counts && json_object_update(document, counts) != 0) {
        json_decref(document);
        document = NULL;
    }
    json_decref(counts);
    return document;
}

json_t *hf_admin_servers_document(const struct hf_config *config,
                                  const struct hf_admin_times *times)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < config->pool_count; i++) {
        const struct hf_pool *pool = &config->pools[i];
        for (unsigned j = 0; j < pool->server_count; j++)
            json_array_append_new(list, hf_admin_server_document(pool, &pool->servers[j], times));
    }
    return json_pack("{s:o}", "servers", list);
}

static json_t *pool_document(const struct hf_pool *pool, uint64_t now_ms)
{
    json_int_t counts[STATE_COUNT] = {0}, active = 0;
    for (unsigned i = 0; i < pool->server_count; i++) {
        const struct hf_server *server = pool->servers[i].server;
        counts[hf_server_state(server, now_ms)]++;
        active += server->active;
    }
    json_t *states = json_object();
    for (unsigned i = 0; i < STATE_COUNT; i++)
        json_object_set_new(states, hf_server_state_word(i), json_integer(counts[i]));
    return json_pack("{s:s, s:s, s:i, s:o, s:I}", "name", pool->name, "balance",
                     hf_balance_word(pool->balance), "servers", (int)pool->server_count, "states",
                     states, "active", active);
}

static json_t *recoveries_document(const struct hf_admin_times *times)
{
    struct hf_recovery list[HF_RECOVERIES_KEPT];
    unsigned count = hf_recovery_list(list);
    json_t *rows = json_array();
    for (unsigned i = 0; i < count; i++) {
        const struct hf_recovery *one = &list[i];
        char at[TIME_TEXT_MAX];
        format_since(at, times, age_ms(times, one->at_ms));
        json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:f}", "pool",
                                              one->pool, "server", one->server, "successor",
                                              one->successor, "at", at, "session", one->session,
                                              "detection_ms", (json_int_t)one->detection_ms,
                                              "propagation_ms", (json_int_t)one->propagation_ms,
                                              "lookup_ms", (double)one->lookup_us / 1000.0));
    }
    return rows;
}

json_t *hf_admin_status_document(const struct hf_config *config, const struct hf_admin_times *times)
{
    REQUIRE(times->now_ms >= times->started_ms);
    json_t *listeners = json_array(), *pools = json_array();
    for (unsigned i = 0; i < config->listener_count; i++) {
        char bind[HF_ADDRESS_TEXT_MAX];
        hf_address_format(&config->listeners[i].bind, bind);
        json_array_append_new(
            listeners, json_pack("{s:s, s:s}", "name", config->listeners[i].name, "bind", bind));
    }
    for (unsigned i = 0; i < config->pool_count; i++)
        json_array_append_new(pools, pool_document(&config->pools[i], times->now_ms));
    return json_pack("{s:s, s:s, s:f, s:I, s:s?, s:i, s:o, s:o, s:o}", "version", HF_VERSION,
                     "node", config->node, "uptime_s",
                     (double)(times->now_ms - times->started_ms) / 1000.0, "generation",
                     (json_int_t)config->generation, "config", config->file, "workers",
                     (int)config->workers, "listeners", listeners, "pools", pools, "recoveries",
                     recoveries_document(times));
}

json_t *hf_admin_error_document(const char *text)
{
    return json_pack("{s:s}", "error", text);
}

const struct hf_pool_server *hf_admin_find(const struct hf_config *config,
                                           struct hf_slice pool_name, struct hf_slice server,
                                           const struct hf_pool **ret_pool)
{
    const struct hf_pool *pool = hf_config_pool(config, pool_name);
    if (server.size >= HF_NAME_MAX)
        return NULL;
    int at = pool ? hf_pool_find(pool, hf_server_id(pool_name, server)) : -1;
    if (at < 0)
        return NULL;
    *ret_pool = pool;
    return &pool->servers[at];
}

int hf_admin_parse_change(struct hf_slice body, enum hf_admin_state *ret_state,
                          char error[HF_ADMIN_ERROR_MAX])
{
    json_error_t problem;
    json_t *document =
        json_loadb(body.bytes ? body.bytes : "", body.size, JSON_REJECT_DUPLICATES, &problem);
    json_t *word = json_object_get(document, "state");
    int result = -EINVAL;
    if (!document)
        snprintf(error, HF_ADMIN_ERROR_MAX,
                 "the body is not JSON (%.100s); write {\"state\": \"drain\"}", problem.text);
    else if (!json_is_string(word) || json_object_size(document) != 1)
        snprintf(error, HF_ADMIN_ERROR_MAX,
                 "the body must be an object with the text 'state' and nothing else; write "
                 "{\"state\": \"drain\"}");
    else
        result = hf_admin_state_parse(hf_slice(json_string_value(word), json_string_length(word)),
                                      ret_state);
    if (result != 0 && json_is_string(word) && json_object_size(document) == 1)
        snprintf(error, HF_ADMIN_ERROR_MAX,
                 "there is no state '%.60s'; write ready, drain or maintenance",
                 json_string_value(word));
    json_decref(document);
    return result;
}

bool hf_admin_change(struct hf_server *server, enum hf_admin_state state, uint64_t now_ms)
{
    enum hf_admin_state before = atomic_exchange(&server->admin, (uint8_t)state);
    if (before == state)
        return false;
    server->state_since_ms = now_ms;
    if (state == HF_ADMIN_MAINTENANCE)
        hf_limit_flush(server);
    if (before == HF_ADMIN_MAINTENANCE && state == HF_ADMIN_READY)
        server->up_since_ms = now_ms;
    return true;
}
