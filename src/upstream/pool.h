/* Kept connections to servers, one pool a worker, indexed by server slot, last in first out.
 * A connection in the pool is idle: any byte or hang-up on it closes it. The pool closes those idle
 * longer than HF_KEEP_IDLE_MS. Never opens a connection. Threads: the worker's. Layer: upstream. */
#pragma once
#include "model/config.h"
#include "net/conn.h"

enum {
    HF_KEEP_IDLE_MS = 30 * 1000,
    HF_KEEP_PER_SERVER_MAX = 256, /* idle connections a server and worker */
};

struct hf_upstream_conn { /* lives in the worker's slab; `conn` first, so events find it */
    struct hf_conn conn;
    struct hf_list node;       /* in the idle list; self-linked while lent */
    struct hf_server *server;  /* counted */
    struct hf_address address; /* it was opened to: a server that moved gets none of its old ones */
    uint64_t idle_since_ms;
    void *user;             /* borrowed: the exchange that uses it; NULL while idle */
    hf_ready_fn busy_ready; /* what `ready` does while it is lent */
    uint32_t uses;          /* requests sent on it */
};

struct hf_upstream_pool;
/* slab_max: connections of the worker, idle and lent. 0 or negative errno. */
int hf_upstream_pool_new(struct hf_loop *loop, struct hf_buffer_pool *buffers, size_t conns_max,
                         struct hf_upstream_pool **ret_pool);
/* Closes the idle ones; every lent one must be back. Loop must not run any more. */
void hf_upstream_pool_free(struct hf_upstream_pool **pool);

/* A kept connection to that server and address, or NULL. It is lent: ready goes to `ready`. */
struct hf_upstream_conn *hf_upstream_take(struct hf_upstream_pool *pool,
                                          const struct hf_pool_server *target, hf_ready_fn ready,
                                          void *user);
/* Starts a new connection (hf_connect_start). 0, or negative errno (-ECONNREFUSED, -ENOBUFS at the
 * limit...). shard: index of the worker's server counters. */
int hf_upstream_connect(struct hf_upstream_pool *pool, const struct hf_pool_server *target,
                        unsigned shard, hf_ready_fn ready, void *user,
                        struct hf_upstream_conn **ret_conn);
/* Gives a connection back for reuse; *conn becomes NULL. Only after a complete exchange with
 * nothing left to read; otherwise it is closed. */
void hf_upstream_keep(struct hf_upstream_pool *pool, struct hf_upstream_conn **conn);
/* Closes it; *conn becomes NULL, its memory goes back at the end of the turn. */
void hf_upstream_close(struct hf_upstream_pool *pool, struct hf_upstream_conn **conn, bool reset);
/* Closes all idle connections (drain, shutdown), or those of one server. */
void hf_upstream_close_idle(struct hf_upstream_pool *pool, const struct hf_server *server);
unsigned hf_upstream_idle_count(const struct hf_upstream_pool *pool);
