/* What the external backend counts, where other threads may read it (as counters.h).
 * Threads: publish by the loop's; the metrics registry and hf_external_counters_value by any.
 * Layer: agent. */
#pragma once
#include "agent/external.h"
#include "base/metrics.h"

/* id, metric, labels, help, type */
#define HF_EXTERNAL_COUNTERS(X)                                                                    \
    X(UP, "holdfast_agent_store_up", "", "Whether the external store is asked (1) or away (0).",   \
      GAUGE)                                                                                       \
    X(DIRTY, "holdfast_agent_store_dirty_keys", "",                                                \
      "Keys that the external store does not have yet.", GAUGE)                                    \
    X(CONNECTIONS, "holdfast_agent_store_connections_total", "",                                   \
      "Connections made to the external store.", COUNTER)                                          \
    X(OUTAGES, "holdfast_agent_store_outages_total", "",                                           \
      "Times that the external store was given up for a while.", COUNTER)                          \
    X(LATE, "holdfast_agent_store_late_answers_total", "",                                         \
      "Answers of the external store that nobody waited for any more.", COUNTER)                   \
    X(KEPT, "holdfast_agent_store_kept_total", "",                                                 \
      "Writes that the external store did not take and the agent kept.", COUNTER)                  \
    X(COPIES, "holdfast_agent_store_copies_total", "",                                             \
      "Reads answered from the agent's copy, for the external store gave no answer.", COUNTER)     \
    X(UNSURE, "holdfast_agent_store_unsure_total", "",                                             \
      "Operations refused: the external store gave no answer and there is no copy.", COUNTER)      \
    X(REFUSED, "holdfast_agent_store_refused_total", "",                                           \
      "Writes refused: too many keys wait for the external store.", COUNTER)                       \
    X(WRITTEN, "holdfast_agent_store_written_total", "",                                           \
      "Keys written to the external store after they were answered.", COUNTER)                     \
    X(RESTORED, "holdfast_agent_store_restored_total", "",                                         \
      "Of those, keys that the external store had lost.", COUNTER)                                 \
    X(WON, "holdfast_agent_store_conflicts_total", "won=\"agent\"",                                \
      "Keys that another had written meanwhile, by whose value stayed.", COUNTER)                  \
    X(YIELDED, "holdfast_agent_store_conflicts_total", "won=\"store\"", "", COUNTER)               \
    X(LOST, "holdfast_agent_store_lost_total", "",                                                 \
      "Keys that were gone from memory before the external store had them.", COUNTER)

enum hf_external_counter {
#define HF_EXTERNAL_COUNTER_ENUM(id, ...) HF_EXTERNAL_COUNT_##id,
    HF_EXTERNAL_COUNTERS(HF_EXTERNAL_COUNTER_ENUM)
#undef HF_EXTERNAL_COUNTER_ENUM
        HF_EXTERNAL_COUNT_REQUESTS, /* by kind, from here */
    HF_EXTERNAL_COUNT_ANSWERS = HF_EXTERNAL_COUNT_REQUESTS + HF_REMOTE_KINDS, /* by status */
    HF_EXTERNAL_COUNTS = HF_EXTERNAL_COUNT_ANSWERS + HF_REMOTE_STATUS_COUNT
};

struct hf_external_counters {
    struct hf_metrics_source source;
    _Atomic uint64_t values[HF_EXTERNAL_COUNTS];
};

void hf_external_counters_init(struct hf_external_counters *counters); /* registers them */
void hf_external_counters_fini(struct hf_external_counters *counters);
void hf_external_counters_publish(struct hf_external_counters *counters,
                                  const struct hf_external_counts *counts,
                                  struct hf_remote *remote);
uint64_t hf_external_counters_value(const struct hf_external_counters *counters, unsigned index);
