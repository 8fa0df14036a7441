/* How many requests a server gets at once, over all workers, and the queue of those who wait.
 * server->active is the count, raised only while it is below the limit: never one more. A slot that
 * becomes free goes to the oldest waiter; the worker it belongs to is told by its waker, which
 * needs no memory and so cannot fail. Newcomers stand behind whoever waits. No wake-up is lost: who
 * waits says so before it looks for a free slot, who leaves frees the slot before it looks for
 * waiters, both in sequential order, so one of the two sees the other. Without limits a slot costs
 * one atomic addition and a load. Threads: any, except where a function says whose. Locks:
 * server->limit.lock, then the waker's. Layer: upstream. */
#pragma once
#include "model/config.h"
#include "net/loop.h"

struct hf_limit_waiter;
/* granted: a slot is held for the waiter; else it was sent away, the server having been judged. */
typedef void (*hf_limit_woken_fn)(struct hf_limit_waiter *waiter, bool granted);

struct hf_limit_waker {    /* one a worker; set up by hf_limit_waker_open */
    struct hf_event event; /* an eventfd */
    pthread_mutex_t lock;  /* guards `woken` */
    struct hf_list woken;  /* struct hf_limit_waiter.node */
    hf_limit_woken_fn fn;
};

enum hf_limit_state { HF_LIMIT_IDLE, HF_LIMIT_QUEUED, HF_LIMIT_GRANTED, HF_LIMIT_SENT_AWAY };
struct hf_limit_waiter {          /* embed it; zeroed = idle */
    struct hf_list node;          /* in server->limit.waiting or in waker->woken */
    struct hf_server *server;     /* borrowed while not idle: the owner keeps it alive */
    struct hf_limit_waker *waker; /* borrowed: the owner's worker's */
    uint8_t state;                /* enum hf_limit_state; under the server's lock */
};

/* 0 or negative errno. `fn` runs on the loop's thread, the waiter being idle again. */
int hf_limit_waker_open(struct hf_limit_waker *waker, struct hf_loop *loop, hf_limit_woken_fn fn);
/* No waiter may be left. */
void hf_limit_waker_close(struct hf_limit_waker *waker, struct hf_loop *loop);

/* Puts the limits of a configuration in force on its servers, for all workers at once, and lets in
 * whom a raised limit lets in. By who publishes it. */
void hf_limit_apply(const struct hf_config *config);

/* The slow paths of the two below. */
bool hf_limit_try_bounded(struct hf_server *server, uint32_t active_max);
void hf_limit_hand_over(struct hf_server *server);

/* Takes a slot if there is one and nobody waits for it. */
static inline bool hf_limit_try(struct hf_server *server)
{
    uint32_t active_max = atomic_load_explicit(&server->limit.active_max, memory_order_relaxed);
    if (__builtin_expect(active_max != 0, 0))
        return hf_limit_try_bounded(server, active_max);
    atomic_fetch_add_explicit(&server->active, 1, memory_order_relaxed);
    return true;
}
/* Gives a slot back. */
static inline void hf_limit_leave(struct hf_server *server)
{
    atomic_fetch_sub_explicit(&server->active, 1, memory_order_seq_cst);
    if (__builtin_expect(atomic_load_explicit(&server->limit.pending, memory_order_seq_cst) != 0,
                         0))
        hf_limit_hand_over(server);
}

enum hf_limit_entry { HF_LIMIT_ENTERED, HF_LIMIT_WAITING, HF_LIMIT_FULL };
/* After hf_limit_try failed: stands in the queue. The worker's thread. waiter: idle. */
enum hf_limit_entry hf_limit_wait(struct hf_server *server, struct hf_limit_waker *waker,
                                  struct hf_limit_waiter *waiter);
/* Leaves the queue, or gives back the slot that was granted meanwhile; harmless when idle. The
 * worker's thread. */
void hf_limit_cancel(struct hf_limit_waiter *waiter);
/* The server was judged unusable: sends everyone away who waits for it. */
void hf_limit_flush(struct hf_server *server);
