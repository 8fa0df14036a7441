/* One worker: a thread with its own loop, listeners, connections and memory.
 * Never shares a connection with another worker; learns of new configurations by message.
 * Threads: everything but the hf_worker_ functions marked so by its own thread. Layer: proxy. */
#pragma once
#include "affinity/affinity.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/slab.h"
#include "net/listener.h"
#include "net/loop.h"
#include "proxy/counters.h"
#include "upstream/limit.h"
#include "upstream/pool.h"
#include "upstream/retry.h"
#include <pthread.h>

enum {
    HF_WORKER_MAGIC = 0x574f524b,
    HF_ACCEPT_RETRY_MS = 20, /* a worker at limits.connections looks again after that */
    HF_BUFFERS_KEEP = 64,    /* free buffers a worker keeps: 4 MiB */
};

struct hf_process;
struct hf_worker;

struct hf_snapshot {          /* a configuration as one worker uses it */
    struct hf_config *config; /* counted */
    unsigned references;      /* the worker's current one, and each exchange's */
    struct hf_http1_limits limits;
    struct hf_affinity_worker affinity;
    struct hf_retry_budget **budgets; /* owned array of counted ones, [pool_count] */
};
/* NULL without memory. One reference; takes its own of config. */
struct hf_snapshot *hf_snapshot_new(struct hf_config *config);
struct hf_snapshot *hf_snapshot_ref(struct hf_snapshot *snapshot);
void hf_snapshot_unref(struct hf_snapshot **snapshot);

struct hf_worker_listener {
    struct hf_listener listener; /* first */
    struct hf_worker *worker;    /* borrowed */
    struct hf_address bind;      /* as configured: what a reload compares */
    bool open;                   /* until its closed callback */
    bool closing;
};

enum { HF_WORKER_LISTENERS = 2 * HF_LISTENERS_MAX /* old and new ones during a reload */ };

struct hf_worker {
    uint32_t magic;
    unsigned index;             /* from 0; its shard of server counters is index + 1 */
    struct hf_process *process; /* borrowed: outlives it */
    struct hf_loop *loop;       /* owned */
    pthread_t thread;
    struct hf_buffer_pool buffers;
    struct hf_slab exchanges, clients;
    struct hf_upstream_pool *upstreams; /* owned */
    struct hf_limit_waker waker;        /* tells exchanges that a slot is theirs */
    struct hf_snapshot *snapshot;       /* counted: for new requests */
    struct hf_list client_list;         /* of hf_client_h1.node: every open client connection */
    struct hf_worker_listener listeners[HF_WORKER_LISTENERS];
    bool accept_paused;
    struct hf_timer accept_retry; /* armed while paused at limits.connections */
    struct hf_timer drain_deadline;
    _Atomic uint64_t drain_ms; /* how long a drain may take; written by the control thread */
    bool draining;
    struct hf_proxy_counts counts;
    char http_date[HF_HTTP_DATE_SIZE];
    uint64_t http_date_s;
};

static inline unsigned hf_worker_shard(const struct hf_worker *worker)
{
    return worker->index + 1;
}
static inline void hf_worker_count(struct hf_worker *worker, enum hf_proxy_counter counter)
{
    hf_count(&worker->counts.proxy[counter]);
}
static inline void hf_worker_gauge(struct hf_worker *worker, enum hf_proxy_counter counter, int by)
{
    hf_count_add(&worker->counts.proxy[counter], (uint64_t)(int64_t)by);
}
void hf_worker_count_server(struct hf_worker *worker, struct hf_server *server,
                            enum hf_server_counter counter);
/* The Date field's value now, renewed once a second. */
struct hf_slice hf_worker_date(struct hf_worker *worker);

/* Control thread: makes a worker with its loop; 0 or negative errno. */
int hf_worker_new(struct hf_process *process, unsigned index, struct hf_config *config,
                  struct hf_worker **ret_worker);
/* Control thread: starts its thread. */
int hf_worker_start(struct hf_worker *worker);
/* Control thread, after its loop ended and was joined. */
void hf_worker_free(struct hf_worker **worker);

struct hf_worker_update { /* a configuration on its way to a worker */
    struct hf_worker *worker;
    struct hf_config *config;  /* counted */
    int fds[HF_LISTENERS_MAX]; /* by position in config->listeners: a new socket, owned until taken;
                                  -1 = the worker has one for that address already */
};
/* Control thread: hands over an update (malloc'd, owned by the worker from then on). */
int hf_worker_post_update(struct hf_worker_update *update);
/* Control thread: stop accepting, end idle connections, let exchanges finish, then end the loop;
 * after deadline_ms whatever is left is cut. */
int hf_worker_post_drain(struct hf_worker *worker, uint64_t deadline_ms);

/* The client side tells that a connection ended: resumes accepting, ends a drain. */
void hf_worker_client_ended(struct hf_worker *worker);
