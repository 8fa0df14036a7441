/* What the agent counts, where other threads may read it: its loop copies its plain numbers into
 * atomics now and then, so that serving touches none.
 * Threads: publish by the loop's; the metrics registry and hf_counters_value by any. Layer: agent.
 */
#pragma once
#include "agent/door.h"
#include "base/metrics.h"

/* id, metric, labels, help, type */
#define HF_AGENT_STORE_COUNTERS(X)                                                                 \
    X(SESSIONS_OWNED, "holdfast_agent_sessions", "role=\"owner\"", "Sessions held here, by role.", \
      GAUGE)                                                                                       \
    X(SESSIONS_BACKUP, "holdfast_agent_sessions", "role=\"backup\"", "", GAUGE)                    \
    X(SESSIONS_TOMB, "holdfast_agent_sessions", "role=\"tombstone\"", "", GAUGE)                   \
    X(KEYS, "holdfast_agent_keys", "", "Keys of the sessions held here.", GAUGE)                   \
    X(BYTES_LOGICAL, "holdfast_agent_memory_bytes", "kind=\"logical\"",                            \
      "Memory: of keys and values, taken from the system, and allowed.", GAUGE)                    \
    X(BYTES_USED, "holdfast_agent_memory_bytes", "kind=\"used\"", "", GAUGE)                       \
    X(BYTES_LIMIT, "holdfast_agent_memory_bytes", "kind=\"limit\"", "", GAUGE)                     \
    X(EXPIRED, "holdfast_agent_sessions_expired_total", "", "Sessions whose time was over.",       \
      COUNTER)                                                                                     \
    X(EVICTED, "holdfast_agent_sessions_evicted_total", "",                                        \
      "Live sessions dropped for want of memory (when_full: evict).", COUNTER)                     \
    X(REFUSED, "holdfast_agent_operations_refused_total", "",                                      \
      "Operations refused for want of memory.", COUNTER)                                           \
    X(HITS, "holdfast_agent_reads_total", "result=\"hit\"",                                        \
      "Keys read, by whether they were there.", COUNTER)                                           \
    X(MISSES, "holdfast_agent_reads_total", "result=\"miss\"", "", COUNTER)

/* field of struct hf_front_counts, metric, label of its own, help, type: for each front end */
#define HF_AGENT_FRONT_COUNTERS(X, front)                                                          \
    X(front, open, "holdfast_agent_connections", "", "Client connections now, by front end.",      \
      GAUGE)                                                                                       \
    X(front, opened, "holdfast_agent_connections_total", ",result=\"accepted\"",                   \
      "Client connections, by front end and result.", COUNTER)                                     \
    X(front, refused, "holdfast_agent_connections_total", ",result=\"refused\"", "", COUNTER)      \
    X(front, overdue, "holdfast_agent_connections_total", ",result=\"overdue\"", "", COUNTER)      \
    X(front, forsaken, "holdfast_agent_connections_total", ",result=\"forsaken\"", "", COUNTER)    \
    X(front, requests, "holdfast_agent_requests_total", "", "Requests, by front end.", COUNTER)    \
    X(front, bytes_in, "holdfast_agent_received_bytes_total", "", "Bytes from clients.", COUNTER)  \
    X(front, bytes_out, "holdfast_agent_sent_bytes_total", "", "Bytes to clients.", COUNTER)       \
    X(front, auth_failures, "holdfast_agent_auth_failures_total", "", "Wrong passwords.", COUNTER)

enum hf_agent_counter {
#define HF_AGENT_STORE_ENUM(id, ...) HF_AGENT_##id,
    HF_AGENT_STORE_COUNTERS(HF_AGENT_STORE_ENUM)
#undef HF_AGENT_STORE_ENUM
        HF_AGENT_STORE_COUNT,
    HF_AGENT_OPERATIONS = HF_AGENT_STORE_COUNT,                  /* by kind, from here */
    HF_AGENT_RESULTS = HF_AGENT_OPERATIONS + HF_OPERATION_KINDS, /* by status */
    HF_AGENT_FRONTS = HF_AGENT_RESULTS + HF_OPERATION_STATUS_COUNT,
#define HF_AGENT_FRONT_ENUM(front, field, ...) HF_AGENT_##front##_##field,
    HF_AGENT_FRONT_BEFORE = HF_AGENT_FRONTS - 1,
    HF_AGENT_FRONT_COUNTERS(HF_AGENT_FRONT_ENUM, redis)
        HF_AGENT_FRONT_COUNTERS(HF_AGENT_FRONT_ENUM, memcached)
#undef HF_AGENT_FRONT_ENUM
            HF_AGENT_COUNTERS
};

struct hf_counters {
    struct hf_metrics_source source;
    _Atomic uint64_t values[HF_AGENT_COUNTERS];
};

void hf_counters_init(struct hf_counters *counters); /* registers them */
void hf_counters_fini(struct hf_counters *counters);
/* Doors: of redis, of memcached; NULL where there is none. */
void hf_counters_publish(struct hf_counters *counters, const struct hf_sessions *sessions,
                         const struct hf_door *redis, const struct hf_door *memcached);
uint64_t hf_counters_value(const struct hf_counters *counters, unsigned index);
