/* What the data plane counts: one row gives enum, metric name, labels and help.
 * Threads: each worker owns its arrays. Layer: proxy. */
#pragma once
#include "affinity/affinity.h"
#include "base/metrics.h"
#include "proto/http1.h"

// clang-format off
#define HF_PROXY_COUNTERS(ROW) \
    ROW(CONNECTIONS, "holdfast_client_connections_total", "", \
        "Client connections accepted.", COUNTER) \
    ROW(CONNECTIONS_OPEN, "holdfast_client_connections", "", \
        "Client connections open now.", GAUGE) \
    ROW(CONNECTIONS_PAUSED, "holdfast_accept_pauses_total", "", \
        "Times that accepting stopped at limits.connections.", COUNTER) \
    ROW(REQUESTS, "holdfast_requests_total", "", "Requests whose head was complete.", COUNTER) \
    ROW(RESPONSES_1XX, "holdfast_responses_total", "class=\"1xx\"", \
        "Responses to clients.", COUNTER) \
    ROW(RESPONSES_2XX, "holdfast_responses_total", "class=\"2xx\"", \
        "Responses to clients.", COUNTER) \
    ROW(RESPONSES_3XX, "holdfast_responses_total", "class=\"3xx\"", \
        "Responses to clients.", COUNTER) \
    ROW(RESPONSES_4XX, "holdfast_responses_total", "class=\"4xx\"", \
        "Responses to clients.", COUNTER) \
    ROW(RESPONSES_5XX, "holdfast_responses_total", "class=\"5xx\"", \
        "Responses to clients.", COUNTER) \
    ROW(RECEIVED_BYTES, "holdfast_client_received_bytes_total", "", \
        "Bytes of request content taken from clients.", COUNTER) \
    ROW(SENT_BYTES, "holdfast_client_sent_bytes_total", "", \
        "Bytes of response content given to clients.", COUNTER) \
    ROW(TUNNELS, "holdfast_tunnels_total", "", "Connections that became tunnels.", COUNTER) \
    ROW(TUNNELS_OPEN, "holdfast_tunnels", "", "Tunnels open now.", GAUGE) \
    ROW(TUNNEL_BYTES, "holdfast_tunnel_bytes_total", "", \
        "Bytes carried by tunnels, both directions.", COUNTER) \
    ROW(REDISPATCHES, "holdfast_redispatches_total", "", \
        "Requests given to another server because a connection could not be opened.", COUNTER) \
    ROW(RETRY_STALE, "holdfast_retries_total", "cause=\"stale_connection\"", \
        "Requests sent again, by cause.", COUNTER) \
    ROW(RETRY_RESET, "holdfast_retries_total", "cause=\"reset\"", \
        "Requests sent again, by cause.", COUNTER) \
    ROW(RETRY_5XX, "holdfast_retries_total", "cause=\"5xx\"", \
        "Requests sent again, by cause.", COUNTER) \
    ROW(RETRY_DENIED, "holdfast_retries_denied_total", "", \
        "Retries that the budget did not allow.", COUNTER) \
    ROW(LOST_DOWN, "holdfast_sessions_lost_total", "cause=\"down\"", \
        "Clients moved away from the only server that held their session, by cause.", COUNTER) \
    ROW(LOST_MAINTENANCE, "holdfast_sessions_lost_total", "cause=\"maintenance\"", \
        "Clients moved away from the only server that held their session, by cause.", COUNTER) \
    ROW(LOST_GONE, "holdfast_sessions_lost_total", "cause=\"gone\"", \
        "Clients moved away from the only server that held their session, by cause.", COUNTER) \
    ROW(MOVED_DOWN, "holdfast_sessions_moved_total", "cause=\"down\"", \
        "Clients moved to a server with an agent, whose answer kept their session, by cause.", \
        COUNTER) \
    ROW(MOVED_MAINTENANCE, "holdfast_sessions_moved_total", "cause=\"maintenance\"", \
        "Clients moved to a server with an agent, whose answer kept their session, by cause.", \
        COUNTER) \
    ROW(MOVED_GONE, "holdfast_sessions_moved_total", "cause=\"gone\"", \
        "Clients moved to a server with an agent, whose answer kept their session, by cause.", \
        COUNTER) \
    ROW(UNCONFIRMED, "holdfast_sessions_unconfirmed_total", "", \
        "Sessions that moved and were not asked about: the id is not known, or too many moved.", \
        COUNTER) \
    ROW(REPLACED_DOWN, "holdfast_sessions_replaced_total", "cause=\"down\"", \
        "Clients moved to such a server whose answer gave them another session, by cause.", \
        COUNTER) \
    ROW(REPLACED_MAINTENANCE, "holdfast_sessions_replaced_total", "cause=\"maintenance\"", \
        "Clients moved to such a server whose answer gave them another session, by cause.", \
        COUNTER) \
    ROW(REPLACED_GONE, "holdfast_sessions_replaced_total", "cause=\"gone\"", \
        "Clients moved to such a server whose answer gave them another session, by cause.", \
        COUNTER) \
    ROW(UNKNOWN_DOWN, "holdfast_sessions_unknown_total", "cause=\"down\"", \
        "Clients moved to such a server whose answer was a 5xx, by cause.", COUNTER) \
    ROW(UNKNOWN_MAINTENANCE, "holdfast_sessions_unknown_total", "cause=\"maintenance\"", \
        "Clients moved to such a server whose answer was a 5xx, by cause.", COUNTER) \
    ROW(UNKNOWN_GONE, "holdfast_sessions_unknown_total", "cause=\"gone\"", \
        "Clients moved to such a server whose answer was a 5xx, by cause.", COUNTER) \
    ROW(REFUSED_DOWN, "holdfast_sessions_refused_total", "cause=\"down\"", \
        "Requests refused or redirected by on_loss, by cause.", COUNTER) \
    ROW(REFUSED_MAINTENANCE, "holdfast_sessions_refused_total", "cause=\"maintenance\"", \
        "Requests refused or redirected by on_loss, by cause.", COUNTER) \
    ROW(REFUSED_GONE, "holdfast_sessions_refused_total", "cause=\"gone\"", \
        "Requests refused or redirected by on_loss, by cause.", COUNTER) \
    ROW(FAILBACKS, "holdfast_failbacks_total", "", \
        "Clients that went back to the server they had been moved from.", COUNTER) \
    ROW(STOOD_IN, "holdfast_stand_ins_total", "", \
        "Requests of pinned clients answered once by another server, the pin kept.", COUNTER) \
    ROW(PINS_SET, "holdfast_pins_total", "kind=\"new\"", \
        "Affinity cookies set, by kind.", COUNTER) \
    ROW(PINS_MOVED, "holdfast_pins_total", "kind=\"moved\"", \
        "Affinity cookies set, by kind.", COUNTER) \
    ROW(PINS_REFRESHED, "holdfast_pins_total", "kind=\"refreshed\"", \
        "Affinity cookies set, by kind.", COUNTER) \
    ROW(PENDED, "holdfast_pending_total", "result=\"waited\"", \
        "Requests for a server at its limit, by whether its queue had room.", COUNTER) \
    ROW(PENDING_FULL, "holdfast_pending_total", "result=\"refused\"", \
        "Requests for a server at its limit, by whether its queue had room.", COUNTER) \
    ROW(END_OK, "holdfast_exchanges_total", "end=\"complete\"", \
        "Exchanges by how they ended.", COUNTER) \
    ROW(END_REPLIED, "holdfast_exchanges_total", "end=\"answered_here\"", \
        "Exchanges by how they ended.", COUNTER) \
    ROW(END_CLIENT_GONE, "holdfast_exchanges_total", "end=\"client_gone\"", \
        "Exchanges by how they ended.", COUNTER) \
    ROW(END_SERVER_GONE, "holdfast_exchanges_total", "end=\"server_gone\"", \
        "Exchanges by how they ended.", COUNTER) \
    ROW(END_CUT, "holdfast_exchanges_total", "end=\"deadline\"", \
        "Exchanges by how they ended.", COUNTER) \
    ROW(END_SHUTDOWN, "holdfast_exchanges_total", "end=\"shutdown\"", \
        "Exchanges by how they ended.", COUNTER) \
    ROW(CUT_HEAD, "holdfast_deadlines_total", "phase=\"client_head\"", \
        "Deadlines that expired, by phase.", COUNTER) \
    ROW(CUT_BODY, "holdfast_deadlines_total", "phase=\"client_body\"", \
        "Deadlines that expired, by phase.", COUNTER) \
    ROW(CUT_READER, "holdfast_deadlines_total", "phase=\"client_read\"", \
        "Deadlines that expired, by phase.", COUNTER) \
    ROW(CUT_PENDING, "holdfast_deadlines_total", "phase=\"pending\"", \
        "Deadlines that expired, by phase.", COUNTER) \
    ROW(CUT_CONNECT, "holdfast_deadlines_total", "phase=\"connect\"", \
        "Deadlines that expired, by phase.", COUNTER) \
    ROW(CUT_RESPONSE_HEAD, "holdfast_deadlines_total", "phase=\"response_head\"", \
        "Deadlines that expired, by phase.", COUNTER) \
    ROW(CUT_RESPONSE, "holdfast_deadlines_total", "phase=\"response_idle\"", \
        "Deadlines that expired, by phase.", COUNTER) \
    ROW(CUT_TUNNEL, "holdfast_deadlines_total", "phase=\"tunnel_idle\"", \
        "Deadlines that expired, by phase.", COUNTER) \
    ROW(NO_MEMORY, "holdfast_out_of_buffers_total", "", \
        "Connections closed because a buffer or object limit was reached.", COUNTER)
// clang-format on

enum hf_proxy_counter {
#define HF_PROXY_COUNTER_ENUM(id, name, labels, help, type) HF_PROXY_##id,
    HF_PROXY_COUNTERS(HF_PROXY_COUNTER_ENUM)
#undef HF_PROXY_COUNTER_ENUM
        HF_PROXY_COUNTER_COUNT
};

extern const struct hf_metric hf_proxy_metrics[HF_PROXY_COUNTER_COUNT];

struct hf_proxy_counts { /* one a worker; registered with base/metrics */
    _Atomic uint64_t proxy[HF_PROXY_COUNTER_COUNT];
    _Atomic uint64_t verdicts[HF_AFFINITY_VERDICT_COUNT];
    _Atomic uint64_t bad_requests[HF_HTTP1_REASONS];
    _Atomic uint64_t bad_responses[HF_HTTP1_REASONS];
    struct hf_histogram duration_us; /* request head complete to response complete */
    struct hf_histogram response_us; /* request sent to response head */
    struct hf_histogram recovery_us; /* of requests that needed another server: head to answer */
    struct hf_histogram detection_us, propagation_us, lookup_us; /* model/recovery.h */
    struct hf_metrics_source sources[4];
    struct hf_proxy_counts *next; /* all workers', for the histogram collector */
};

/* Any thread; before the worker runs and after it ended. */
void hf_proxy_counts_register(struct hf_proxy_counts *counts);
void hf_proxy_counts_unregister(struct hf_proxy_counts *counts);
