/* Kept connections to servers, one pool a worker, indexed by server slot, last in first out.
 * A connection in the pool is idle: any byte or hang-up on it closes it. The pool closes those idle
 * longer than HF_KEEP_IDLE_MS. Counts CONNECTS, REUSES and server->connections.
 * Never opens a connection by itself. Threads: the worker's. Layer: upstream. */
#pragma once
#include "model/config.h"
#include "net/conn.h"

enum {
    HF_KEEP_IDLE_MS = 30 * 1000,
    HF_KEEP_PER_SERVER_MAX = 256, /* idle connections a server and worker */
};

struct hf_upstream_conn { /* lives in the worker's slab; `conn` first, so events find it */
    struct hf_conn conn;
    struct hf_upstream_pool *pool; /* borrowed: the one that made it */
    struct hf_list node;           /* in the idle list of its server; self-linked while lent */
    struct hf_list age_node;       /* in the list of all idle ones, oldest first */
    struct hf_server *server;      /* counted */
    struct hf_address address;     /* opened to: a server that moved gets none of its old ones */
    uint64_t idle_since_ms;
    void *user;             /* borrowed: the exchange that uses it; NULL while idle */
    hf_ready_fn busy_ready; /* what `ready` does while it is lent; NULL while idle */
    uint32_t uses;          /* requests sent on it */
    unsigned shard;         /* of the server's counters */
};

struct hf_upstream_pool;
/* conns_max: connections of the worker, idle and lent. 0 or -ENOMEM. */
int hf_upstream_pool_new(struct hf_loop *loop, struct hf_buffer_pool *buffers, size_t conns_max,
                         struct hf_upstream_pool **ret_pool);
/* Closes the idle ones; every lent one must be back. The memory goes when the loop has called the
 * last `closed`: free the pool before its loop. */
void hf_upstream_pool_free(struct hf_upstream_pool **pool);

/* A kept connection to that server and address, or NULL. It is lent: ready goes to `ready`. A
 * server closes when it likes, so the request may still meet a hang-up: see hf_upstream_alive. */
struct hf_upstream_conn *hf_upstream_take(struct hf_upstream_pool *pool,
                                          const struct hf_pool_server *target, hf_ready_fn ready,
                                          void *user);
/* Starts a new connection (hf_connect_start), which is lent. 0, or negative errno (-ECONNREFUSED,
 * -ENOBUFS at the limit...). shard: index of the worker's server counters. */
int hf_upstream_connect(struct hf_upstream_pool *pool, const struct hf_pool_server *target,
                        unsigned shard, hf_ready_fn ready, void *user,
                        struct hf_upstream_conn **ret_conn);
/* Whether the server has neither hung up nor sent anything unasked: one system call, for a request
 * that must not be repeated. True is no promise: the hang-up may be under way. */
bool hf_upstream_alive(const struct hf_upstream_conn *conn);
/* Gives a connection back for reuse; *conn becomes NULL. Only after a complete exchange: with bytes
 * left in either direction, a hang-up, or HF_KEEP_PER_SERVER_MAX idle ones it is closed. */
void hf_upstream_keep(struct hf_upstream_pool *pool, struct hf_upstream_conn **conn);
/* Closes it; *conn becomes NULL, its memory goes back at the end of the turn. */
void hf_upstream_close(struct hf_upstream_pool *pool, struct hf_upstream_conn **conn, bool reset);
/* Closes all idle connections (drain, shutdown), or those of one server. */
void hf_upstream_close_idle(struct hf_upstream_pool *pool, const struct hf_server *server);
unsigned hf_upstream_idle_count(const struct hf_upstream_pool *pool);
