/* A server as a living thing: its identity and its state, which outlive every configuration.
 * Identity is pool and name, never address or position: an address may change under a running name.
 * Never does I/O and never decides: health checks, passive counting and the admin API write here,
 * affinity and balance read.
 * Threads: any; every changing field is atomic. Counters are sharded by worker. Layer: model. */
#pragma once
#include "base/list.h"
#include "base/metrics.h"
#include "base/slice.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    HF_NAME_MAX = 64,      /* bytes of a pool's or a server's name, NUL included */
    HF_SERVERS_MAX = 4096, /* living servers of the process, over all pools */
    HF_WORKERS_MAX = 64,
};

enum hf_admin_state { HF_ADMIN_READY, HF_ADMIN_DRAIN, HF_ADMIN_MAINTENANCE };
enum hf_health {
    HF_HEALTH_UNKNOWN /* no check finished yet: counts as up */,
    HF_HEALTH_UP,
    HF_HEALTH_DOWN
};
const char *hf_admin_state_word(enum hf_admin_state state); /* "ready" "drain" "maintenance" */
/* 0 or -EINVAL */
int hf_admin_state_parse(struct hf_slice word, enum hf_admin_state *ret_state);

/* The state shown to people and used for decisions, from admin state, health and ejection. */
enum hf_server_state {
    HF_SERVER_READY,
    HF_SERVER_DRAIN,
    HF_SERVER_MAINTENANCE,
    HF_SERVER_DOWN,
    HF_SERVER_EJECTED
};
const char *hf_server_state_word(enum hf_server_state state);

/* The circuit breaker: an ejection opens it, probes close it (upstream/breaker.h). */
enum hf_breaker_state { HF_BREAKER_CLOSED, HF_BREAKER_OPEN, HF_BREAKER_HALF_OPEN };
const char *hf_breaker_state_word(enum hf_breaker_state state);

/* One row = enum, metric name, labels, help: what is counted for each server. */
#define HF_SERVER_COUNTERS(ROW)                                                                    \
    ROW(REQUESTS, "holdfast_server_requests_total", "", "Requests sent to the server.")            \
    ROW(RESPONSES_2XX, "holdfast_server_responses_total", "class=\"2xx\"", "Responses by class.")  \
    ROW(RESPONSES_3XX, "holdfast_server_responses_total", "class=\"3xx\"", "Responses by class.")  \
    ROW(RESPONSES_4XX, "holdfast_server_responses_total", "class=\"4xx\"", "Responses by class.")  \
    ROW(RESPONSES_5XX, "holdfast_server_responses_total", "class=\"5xx\"", "Responses by class.")  \
    ROW(RESPONSES_1XX, "holdfast_server_responses_total", "class=\"1xx\"", "Responses by class.")  \
    ROW(CONNECTS, "holdfast_server_connects_total", "", "Connections opened to the server.")       \
    ROW(REUSES, "holdfast_server_reuses_total", "", "Requests sent on a kept connection.")         \
    ROW(FAIL_CONNECT, "holdfast_server_failures_total", "cause=\"connect\"", "Failures by cause.") \
    ROW(FAIL_RESET, "holdfast_server_failures_total", "cause=\"reset\"", "Failures by cause.")     \
    ROW(FAIL_TIMEOUT, "holdfast_server_failures_total", "cause=\"timeout\"", "Failures by cause.") \
    ROW(FAIL_BAD, "holdfast_server_failures_total", "cause=\"malformed\"", "Failures by cause.")   \
    ROW(PINS, "holdfast_server_pins_total", "", "Clients newly pinned to the server.")             \
    ROW(CHECKS_OK, "holdfast_server_checks_total", "result=\"ok\"", "Health checks by result.")    \
    ROW(CHECKS_FAILED, "holdfast_server_checks_total", "result=\"failed\"",                        \
        "Health checks by result.")                                                                \
    ROW(WENT_DOWN, "holdfast_server_transitions_total", "to=\"down\"", "Changes of health.")       \
    ROW(WENT_UP, "holdfast_server_transitions_total", "to=\"up\"", "Changes of health.")           \
    ROW(EJECTIONS, "holdfast_server_ejections_total", "", "Ejections by passive checks.")

enum hf_server_counter {
#define HF_SERVER_COUNTER_ENUM(id, name, labels, help) HF_SERVER_##id,
    HF_SERVER_COUNTERS(HF_SERVER_COUNTER_ENUM)
#undef HF_SERVER_COUNTER_ENUM
        HF_SERVER_COUNTER_COUNT
};

struct hf_server_shard { /* one a worker, plus one for the control thread (index 0) */
    _Atomic uint64_t counts[HF_SERVER_COUNTER_COUNT];
} __attribute__((aligned(64)));

struct hf_server {
    uint32_t magic;
    uint32_t slot; /* < HF_SERVERS_MAX, unique among living servers: index for per-worker
                      arrays; used again after the last unref */
    uint64_t id;   /* hf_server_id(pool, name) */
    atomic_uint references;
    char pool[HF_NAME_MAX];
    char name[HF_NAME_MAX];

    _Atomic uint8_t admin;             /* enum hf_admin_state; written by the admin API */
    _Atomic uint8_t health;            /* enum hf_health; written by the health checker */
    _Atomic uint64_t ejected_until_ms; /* monotonic; 0 = not; once over, the breaker is half open */
    _Atomic uint64_t probing;          /* half open: which probes may begin (upstream/breaker.c) */
    _Atomic uint64_t up_since_ms;      /* monotonic; when it last became usable (slow start) */
    _Atomic uint64_t state_since_ms;   /* monotonic; last change of admin or health */
    _Atomic int32_t active;            /* requests and tunnels in flight, all workers */
    _Atomic int32_t connections;       /* open connections, all workers */
    _Atomic uint64_t ewma_us;          /* peak EWMA of the response time (p2c) */
    _Atomic uint64_t ewma_at_us;       /* when it was last updated, monotonic */

    struct {                      /* when it failed and who found out: model/recovery.c */
        _Atomic uint64_t good_ms; /* monotonic; end of its last good check, 0 = none */
        _Atomic uint64_t judged;  /* packed; 0 = not, or its first session has moved already */
    } failure;

    struct { /* passive failure counting: a window that starts at the first failure */
        _Atomic uint64_t
            window; /* start (monotonic ms) and count in one word: upstream/passive.c */
        _Atomic uint64_t requests_before; /* REQUESTS when the window began */
    } passive;

    struct { /* how many requests at once, and who waits: upstream/limit.c */
        _Atomic uint32_t active_max, pending_max; /* of the configuration in force; 0 = no limit */
        _Atomic uint32_t pending;                 /* entries of `waiting`; written under the lock */
        pthread_mutex_t lock;                     /* guards `waiting` */
        struct hf_list waiting;                   /* struct hf_limit_waiter.node, oldest first */
    } limit;

    unsigned shard_count;
    struct hf_server_shard *shards; /* owned; [shard_count] */
};

/* server->probing in one word, so that no worker mixes two ejections: its ejected_until_ms, how
 * many probes may still begin, how many more must succeed. 0 = not probing. */
enum { HF_PROBES_MAX = 100 };
static inline uint64_t hf_server_probing_pack(uint64_t until_ms, unsigned room, unsigned needed)
{
    return until_ms << 16 | (uint64_t)room << 8 | needed;
}
static inline uint64_t hf_server_probing_until_ms(uint64_t probing)
{
    return probing >> 16;
}
static inline unsigned hf_server_probing_room(uint64_t probing)
{
    return (unsigned)(probing >> 8 & 255);
}
static inline unsigned hf_server_probing_needed(uint64_t probing)
{
    return (unsigned)(probing & 255);
}

/* Stable: XXH3 of pool, NUL, name. Never 0. Both shorter than HF_NAME_MAX: check what a peer sent.
 */
uint64_t hf_server_id(struct hf_slice pool, struct hf_slice name);
/* The order of names as people count: below 0, 0 or above as strcmp, but runs of digits go by their
 * value, so app9 comes before app10. 0 for equal names alone. NUL-terminated. */
int hf_server_compare_names(const char *one, const char *other);

/* Finds the living server of that identity or makes one; the caller holds a reference.
 * NULL at HF_SERVERS_MAX or without memory. shard_count = workers + 1: a new server gets at least
 * that many and never fewer than an earlier one got, so threads that are still running fit. */
struct hf_server *hf_server_acquire(const char *pool, const char *name, unsigned shard_count);
struct hf_server *hf_server_ref(struct hf_server *server);
void hf_server_unref(struct hf_server **server);

enum hf_server_state hf_server_state(const struct hf_server *server, uint64_t now_ms);
/* May serve sessions it already has: READY or DRAIN. */
bool hf_server_serves(const struct hf_server *server, uint64_t now_ms);
/* Closed, open, or half open: `eject` is over and probes are to show whether the server is well. */
enum hf_breaker_state hf_server_breaker(const struct hf_server *server, uint64_t now_ms);
/* When it last became usable: up again, back from maintenance, or at the end of an ejection. */
uint64_t hf_server_usable_since_ms(const struct hf_server *server, uint64_t now_ms);
/* May be given new clients: READY. */
bool hf_server_accepts(const struct hf_server *server, uint64_t now_ms);
/* An answer took so long: kept in ewma_us as peak EWMA, where a slow one counts at once and quick
 * ones forgive within seconds (Finagle's p2c). Monotonic us. Any thread; racing ones may lose a
 * sample, never the order of magnitude. */
void hf_server_note_latency(struct hf_server *server, uint64_t took_us, uint64_t now_us);
uint64_t hf_server_count(const struct hf_server *server, enum hf_server_counter counter);
/* Each living server, for exporters; `visit` runs under the registry's lock: be short, and neither
 * acquire nor give up a last reference in it. */
void hf_server_each(void (*visit)(struct hf_server *server, void *user), void *user);
