#include "agent/counters.h"
#include <stdatomic.h>

// clang-format off
static const struct hf_metric metrics[HF_AGENT_COUNTERS] = {
#define STORE_ROW(id, name, labels, help, type) {name, labels, help, HF_METRIC_##type},
    HF_AGENT_STORE_COUNTERS(STORE_ROW)
#undef STORE_ROW
#define KIND_ROW(id, word) {"holdfast_agent_operations_total", "operation=\"" word "\"", \
                            "Operations on keys, by kind.", HF_METRIC_COUNTER},
    HF_OPERATION_KIND_ROWS(KIND_ROW)
#undef KIND_ROW
#define STATUS_ROW(id, word) {"holdfast_agent_results_total", "result=\"" word "\"", \
                              "Operations on keys, by what came of them.", HF_METRIC_COUNTER},
    HF_OPERATION_STATUSES(STATUS_ROW)
#undef STATUS_ROW
#define FRONT_ROW(front, field, name, label, help, type) \
    {name, "front=\"" #front "\"" label, help, HF_METRIC_##type},
    HF_AGENT_FRONT_COUNTERS(FRONT_ROW, redis)
    HF_AGENT_FRONT_COUNTERS(FRONT_ROW, memcached)
#undef FRONT_ROW
};
// clang-format on

static void put(struct hf_counters *counters, unsigned index, uint64_t value)
{
    /* relaxed: each is a number of its own, and a reader may see one before another */
    atomic_store_explicit(&counters->values[index], value, memory_order_relaxed);
}

uint64_t hf_counters_value(const struct hf_counters *counters, unsigned index)
{
    return atomic_load_explicit(&counters->values[index], memory_order_relaxed);
}

void hf_counters_init(struct hf_counters *counters)
{
    *counters = (struct hf_counters){
        .source = {.metrics = metrics, .count = HF_AGENT_COUNTERS, .values = counters->values}};
    hf_metrics_register(&counters->source);
}

void hf_counters_fini(struct hf_counters *counters)
{
    hf_metrics_unregister(&counters->source);
}

static void publish_fronts(struct hf_counters *counters, const struct hf_door *redis,
                           const struct hf_door *memcached)
{
    static const struct hf_front_counts none;
    const struct hf_front_counts *redis_counts = redis ? hf_door_counts(redis) : &none;
    const struct hf_front_counts *memcached_counts = memcached ? hf_door_counts(memcached) : &none;
#define FRONT_PUT(front, field, ...)                                                               \
    put(counters, HF_AGENT_##front##_##field, front##_counts->field);
    HF_AGENT_FRONT_COUNTERS(FRONT_PUT, redis)
    HF_AGENT_FRONT_COUNTERS(FRONT_PUT, memcached)
#undef FRONT_PUT
}

void hf_counters_publish(struct hf_counters *counters, const struct hf_sessions *sessions,
                         const struct hf_door *redis, const struct hf_door *memcached)
{
    const struct hf_sessions_counts *counts = hf_sessions_counts(sessions);
    struct hf_store_stats stats;
    hf_sessions_stats(sessions, &stats);
    put(counters, HF_AGENT_SESSIONS_OWNED, stats.records[HF_RECORD_OWNER]);
    put(counters, HF_AGENT_SESSIONS_BACKUP, stats.records[HF_RECORD_BACKUP]);
    put(counters, HF_AGENT_SESSIONS_TOMB, stats.records[HF_RECORD_TOMB]);
    put(counters, HF_AGENT_KEYS, stats.keys);
    put(counters, HF_AGENT_BYTES_LOGICAL, stats.bytes_logical);
    put(counters, HF_AGENT_BYTES_USED, stats.bytes_used);
    put(counters, HF_AGENT_BYTES_LIMIT, hf_sessions_memory_max(sessions));
    put(counters, HF_AGENT_EXPIRED, stats.expired);
    put(counters, HF_AGENT_EVICTED, stats.evicted);
    put(counters, HF_AGENT_REFUSED, stats.refused);
    put(counters, HF_AGENT_HITS, counts->hits);
    put(counters, HF_AGENT_MISSES, counts->misses);
    for (unsigned i = 0; i < HF_OPERATION_KINDS; i++)
        put(counters, HF_AGENT_OPERATIONS + i, counts->operations[i]);
    for (unsigned i = 0; i < HF_OPERATION_STATUS_COUNT; i++)
        put(counters, HF_AGENT_RESULTS + i, counts->statuses[i]);
    publish_fronts(counters, redis, memcached);
}
