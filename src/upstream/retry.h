/* The retry budget of a pool, over all workers: retries may be at most budget_percent of the pool's
 * requests of the last 10 s, plus a floor, so that retries cannot multiply an outage (SRE book,
 * ch. 21). A redispatch after a refused connection had no effect anywhere and costs no budget.
 * Found by the pool's name, so that it outlives reloads as servers do. A request costs one store in
 * its worker's own part; a retry, which is rare, one mutex.
 * Threads: as said at each function. Layer: upstream. */
#pragma once
#include "model/config.h"

enum { HF_RETRY_WINDOW_S = 10, HF_RETRY_FLOOR = 10 /* retries a window that are always allowed */ };

struct hf_retry_shard {                        /* one a worker: only that one writes */
    _Atomic uint64_t slots[HF_RETRY_WINDOW_S]; /* second and requests in one word */
} __attribute__((aligned(64)));

struct hf_retry_budget {
    char pool[HF_NAME_MAX];
    unsigned references;          /* under the registry's lock */
    struct hf_retry_budget *next; /* of the registry */
    pthread_mutex_t lock;         /* guards `retries`; a leaf */
    struct {
        uint64_t second;
        uint32_t count;
    } retries[HF_RETRY_WINDOW_S];
    struct hf_retry_shard shards[HF_WORKERS_MAX + 1]; /* by the worker's shard of server counters */
};

/* The budget of the pool of that name, one reference; NULL without memory. Any thread. */
struct hf_retry_budget *hf_retry_budget_acquire(const char *pool);
/* *budget becomes NULL; NULL is harmless. Any thread. */
void hf_retry_budget_release(struct hf_retry_budget **budget);
/* The thread of that shard. */
void hf_retry_note_request(struct hf_retry_budget *budget, unsigned shard, uint64_t now_ms);
/* True and taken, or false: the budget is used up. budget_percent counts whole retries: 20 % of 4
 * requests add none to the floor. Any thread. */
bool hf_retry_take(struct hf_retry_budget *budget, uint8_t budget_percent, uint64_t now_ms);
