#include "agent/external/external_counters.h"
#include <stdatomic.h>

// clang-format off
static const struct hf_metric metrics[HF_EXTERNAL_COUNTS] = {
#define COUNTER_ROW(id, name, labels, help, type) {name, labels, help, HF_METRIC_##type},
    HF_EXTERNAL_COUNTERS(COUNTER_ROW)
#undef COUNTER_ROW
#define KIND_ROW(id, word) {"holdfast_agent_store_requests_total", "request=\"" word "\"", \
                            "Requests to the external store, by kind.", HF_METRIC_COUNTER},
    HF_REMOTE_KIND_ROWS(KIND_ROW)
#undef KIND_ROW
#define STATUS_ROW(id, word) {"holdfast_agent_store_answers_total", "result=\"" word "\"", \
                              "Requests to the external store, by what came of them.", \
                              HF_METRIC_COUNTER},
    HF_REMOTE_STATUSES(STATUS_ROW)
#undef STATUS_ROW
};
// clang-format on

static void put(struct hf_external_counters *counters, unsigned index, uint64_t value)
{
    /* relaxed: each is a number of its own, and a reader may see one before another */
    atomic_store_explicit(&counters->values[index], value, memory_order_relaxed);
}

uint64_t hf_external_counters_value(const struct hf_external_counters *counters, unsigned index)
{
    return atomic_load_explicit(&counters->values[index], memory_order_relaxed);
}

void hf_external_counters_init(struct hf_external_counters *counters)
{
    *counters = (struct hf_external_counters){
        .source = {.metrics = metrics, .count = HF_EXTERNAL_COUNTS, .values = counters->values}};
    hf_metrics_register(&counters->source);
}

void hf_external_counters_fini(struct hf_external_counters *counters)
{
    hf_metrics_unregister(&counters->source);
}

void hf_external_counters_publish(struct hf_external_counters *counters,
                                  const struct hf_external_counts *counts, struct hf_remote *remote)
{
    const struct hf_remote_counts *asked = hf_remote_counts(remote);
    put(counters, HF_EXTERNAL_COUNT_UP, !hf_remote_is_open(remote));
    put(counters, HF_EXTERNAL_COUNT_DIRTY, counts->dirty);
    put(counters, HF_EXTERNAL_COUNT_CONNECTIONS, asked->connections);
    put(counters, HF_EXTERNAL_COUNT_OUTAGES, asked->opened);
    put(counters, HF_EXTERNAL_COUNT_LATE, asked->late);
    put(counters, HF_EXTERNAL_COUNT_KEPT, counts->kept);
    put(counters, HF_EXTERNAL_COUNT_COPIES, counts->copies);
    put(counters, HF_EXTERNAL_COUNT_UNSURE, counts->unsure);
    put(counters, HF_EXTERNAL_COUNT_REFUSED, counts->refused);
    put(counters, HF_EXTERNAL_COUNT_WRITTEN, counts->written);
    put(counters, HF_EXTERNAL_COUNT_RESTORED, counts->restored);
    put(counters, HF_EXTERNAL_COUNT_WON, counts->won);
    put(counters, HF_EXTERNAL_COUNT_YIELDED, counts->yielded);
    put(counters, HF_EXTERNAL_COUNT_LOST, counts->lost);
    for (unsigned i = 0; i < HF_REMOTE_KINDS; i++)
        put(counters, HF_EXTERNAL_COUNT_REQUESTS + i, asked->requests[i]);
    for (unsigned i = 0; i < HF_REMOTE_STATUS_COUNT; i++)
        put(counters, HF_EXTERNAL_COUNT_ANSWERS + i, asked->results[i]);
}
