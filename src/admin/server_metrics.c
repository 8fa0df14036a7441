#include "admin/server_metrics.h"
#include "base/assert.h"
#include <stdio.h>

/* pool="..",server=".." with every byte escaped, and a last pair behind them. */
enum { PAIR_MAX = 2 * HF_NAME_MAX + 16, LABELS_MAX = 2 * PAIR_MAX + 64 };

static const struct hf_metric counters[] = {
#define COUNTER_ROW(id, name, labels, help) {name, labels, help, HF_METRIC_COUNTER},
    HF_SERVER_COUNTERS(COUNTER_ROW)
#undef COUNTER_ROW
};
_Static_assert(sizeof(counters) / sizeof(counters[0]) == HF_SERVER_COUNTER_COUNT, "one row each");

struct server_writer { /* one exposition */
    struct hf_metrics_writer *out;
    const struct hf_config *config;
    uint64_t now_ms;
};

typedef double (*value_fn)(const struct hf_pool_server *member, uint64_t now_ms, unsigned which);

static void format_labels(char out[LABELS_MAX], const struct hf_server *server, const char *more)
{
    char pool[PAIR_MAX], name[PAIR_MAX];
    hf_metrics_label(pool, sizeof(pool), "pool", server->pool);
    hf_metrics_label(name, sizeof(name), "server", server->name);
    int size = snprintf(out, LABELS_MAX, "%s,%s%s%s", pool, name, more[0] ? "," : "", more);
    REQUIRE(size > 0 && size < LABELS_MAX);
}

/* One row for each server of each pool. */
static void write_rows(const struct server_writer *writer, const struct hf_metric *metric,
                       value_fn value, unsigned which)
{
    char labels[LABELS_MAX];
    for (unsigned i = 0; i < writer->config->pool_count; i++) {
        const struct hf_pool *pool = &writer->config->pools[i];
        for (unsigned j = 0; j < pool->server_count; j++) {
            const struct hf_pool_server *member = &pool->servers[j];
            format_labels(labels, member->server, metric->labels);
            hf_metrics_row(writer->out, metric->name, labels, value(member, writer->now_ms, which));
        }
    }
}

static double counter_value(const struct hf_pool_server *member, uint64_t now_ms, unsigned which)
{
    return (double)hf_server_count(member->server, which);
}

static double state_value(const struct hf_pool_server *member, uint64_t now_ms, unsigned which)
{
    return hf_server_state(member->server, now_ms) == which;
}

static double up_value(const struct hf_pool_server *member, uint64_t now_ms, unsigned which)
{
    return hf_server_serves(member->server, now_ms);
}

static double active_value(const struct hf_pool_server *member, uint64_t now_ms, unsigned which)
{
    return member->server->active;
}

static double connections_value(const struct hf_pool_server *member, uint64_t now_ms,
                                unsigned which)
{
    return member->server->connections;
}

static double pending_value(const struct hf_pool_server *member, uint64_t now_ms, unsigned which)
{
    return member->server->limit.pending;
}

static double limit_value(const struct hf_pool_server *member, uint64_t now_ms, unsigned which)
{
    return member->server->limit.active_max;
}

static double breaker_value(const struct hf_pool_server *member, uint64_t now_ms, unsigned which)
{
    return hf_server_breaker(member->server, now_ms) == which;
}

static double weight_value(const struct hf_pool_server *member, uint64_t now_ms, unsigned which)
{
    return member->weight;
}

static const struct {
    struct hf_metric metric;
    value_fn value;
} gauges[] = {
    {{"holdfast_server_up", "", "1 when the server may serve the sessions that it has.",
      HF_METRIC_GAUGE},
     up_value},
    {{"holdfast_server_active_requests", "", "Requests and tunnels in flight.", HF_METRIC_GAUGE},
     active_value},
    {{"holdfast_server_pending_requests", "", "Requests that wait for a slot of the server.",
      HF_METRIC_GAUGE},
     pending_value},
    {{"holdfast_server_limit", "", "Requests and tunnels at once that breaker allows; 0 = any.",
      HF_METRIC_GAUGE},
     limit_value},
    {{"holdfast_server_connections", "", "Open connections to the server.", HF_METRIC_GAUGE},
     connections_value},
    {{"holdfast_server_weight", "", "The server's configured weight.", HF_METRIC_GAUGE},
     weight_value},
};

static void write_counters(const struct server_writer *writer)
{
    for (unsigned i = 0; i < HF_SERVER_COUNTER_COUNT; i++) {
        bool first = i == 0 || strcmp(counters[i].name, counters[i - 1].name) != 0;
        if (first)
            hf_metrics_head(writer->out, counters[i].name, counters[i].help, "counter");
        write_rows(writer, &counters[i], counter_value, i);
    }
}

static void write_states(const struct server_writer *writer)
{
    static const char name[] = "holdfast_server_state";
    hf_metrics_head(writer->out, name, "1 for the state that the server is in.", "gauge");
    for (unsigned state = 0; state <= HF_SERVER_EJECTED; state++) {
        char label[PAIR_MAX];
        hf_metrics_label(label, sizeof(label), "state", hf_server_state_word(state));
        struct hf_metric metric = {.name = name, .labels = label, .type = HF_METRIC_GAUGE};
        write_rows(writer, &metric, state_value, state);
    }
}

static void write_breakers(const struct server_writer *writer)
{
    static const char name[] = "holdfast_server_breaker";
    hf_metrics_head(writer->out, name, "1 for the state that the circuit breaker is in.", "gauge");
    for (unsigned state = 0; state <= HF_BREAKER_HALF_OPEN; state++) {
        char label[PAIR_MAX];
        hf_metrics_label(label, sizeof(label), "state", hf_breaker_state_word(state));
        struct hf_metric metric = {.name = name, .labels = label, .type = HF_METRIC_GAUGE};
        write_rows(writer, &metric, breaker_value, state);
    }
}

void hf_admin_write_servers(struct hf_metrics_writer *out, const struct hf_config *config,
                            uint64_t now_ms)
{
    REQUIRE(out != NULL && config != NULL);
    struct server_writer writer = {.out = out, .config = config, .now_ms = now_ms};
    write_counters(&writer);
    for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++) {
        hf_metrics_head(out, gauges[i].metric.name, gauges[i].metric.help, "gauge");
        write_rows(&writer, &gauges[i].metric, gauges[i].value, 0);
    }
    write_states(&writer);
    write_breakers(&writer);
}
