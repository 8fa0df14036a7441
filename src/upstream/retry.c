#include "upstream/retry.h"

#include "base/assert.h"
#include "base/clock.h"
#include <stdlib.h>
#include <string.h>

enum { COUNT_BITS = 24 }; /* of a slot's word: a worker serves no 16 million requests a second */
static const uint64_t count_mask = (1u << COUNT_BITS) - 1;

/* As many as pools have names, in this configuration and in those that still end. */
static struct {
    pthread_mutex_t lock;
    struct hf_retry_budget *first;
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct hf_retry_budget *budget_new(const char *pool)
{
    struct hf_retry_budget *budget =
        aligned_alloc(_Alignof(struct hf_retry_budget), sizeof(struct hf_retry_budget));
    if (budget == NULL)
        return NULL;
    memset(budget, 0, sizeof(*budget));
    memcpy(budget->pool, pool, strlen(pool) + 1);
    pthread_mutex_init(&budget->lock, NULL);
    budget->next = registry.first;
    registry.first = budget;
    return budget;
}

struct hf_retry_budget *hf_retry_budget_acquire(const char *pool)
{
    REQUIRE(strlen(pool) < HF_NAME_MAX);
    pthread_mutex_lock(&registry.lock);
    struct hf_retry_budget *budget = registry.first;
    while (budget != NULL && strcmp(budget->pool, pool) != 0)
        budget = budget->next;
    if (budget == NULL)
        budget = budget_new(pool);
    if (budget != NULL)
        budget->references++;
    pthread_mutex_unlock(&registry.lock);
    return budget;
}

static void budget_free(struct hf_retry_budget *budget)
{
    struct hf_retry_budget **link = &registry.first;
    while (*link != budget)
        link = &(*link)->next;
    *link = budget->next;
    pthread_mutex_destroy(&budget->lock);
    free(budget);
}

void hf_retry_budget_release(struct hf_retry_budget **budget)
{
    struct hf_retry_budget *one = *budget;
    *budget = NULL;
    if (one == NULL)
        return;
    pthread_mutex_lock(&registry.lock);
    REQUIRE(one->references > 0);
    if (--one->references == 0)
        budget_free(one);
    pthread_mutex_unlock(&registry.lock);
}

/* Relaxed: one writer, and a reader who misses the last request allows a retry less. */
void hf_retry_note_request(struct hf_retry_budget *budget, unsigned shard, uint64_t now_ms)
{
    REQUIRE(budget != NULL && shard <= HF_WORKERS_MAX);
    uint64_t second = now_ms / HF_MS_PER_S;
    _Atomic uint64_t *slot = &budget->shards[shard].slots[second % HF_RETRY_WINDOW_S];
    uint64_t old = atomic_load_explicit(slot, memory_order_relaxed);
    uint64_t count = old >> COUNT_BITS == second ? old & count_mask : 0;
    count += count < count_mask;
    atomic_store_explicit(slot, second << COUNT_BITS | count, memory_order_relaxed);
}

static bool in_window(uint64_t second, uint64_t now_s)
{
    return second + HF_RETRY_WINDOW_S > now_s;
}

static uint64_t requests_known(const struct hf_retry_budget *budget, uint64_t now_s)
{
    uint64_t requests = 0;
    for (unsigned i = 0; i <= HF_WORKERS_MAX; i++) {
        for (unsigned j = 0; j < HF_RETRY_WINDOW_S; j++) {
            uint64_t slot = atomic_load_explicit(&budget->shards[i].slots[j], memory_order_relaxed);
            if (in_window(slot >> COUNT_BITS, now_s))
                requests += slot & count_mask;
        }
    }
    return requests;
}

static uint64_t retries_known(const struct hf_retry_budget *budget, uint64_t now_s)
{
    uint64_t retries = 0;
    for (unsigned i = 0; i < HF_RETRY_WINDOW_S; i++) {
        if (in_window(budget->retries[i].second, now_s))
            retries += budget->retries[i].count;
    }
    return retries;
}

bool hf_retry_take(struct hf_retry_budget *budget, uint8_t budget_percent, uint64_t now_ms)
{
    REQUIRE(budget != NULL);
    uint64_t now_s = now_ms / HF_MS_PER_S;
    unsigned at = (unsigned)(now_s % HF_RETRY_WINDOW_S);
    uint64_t most = HF_RETRY_FLOOR + requests_known(budget, now_s) * budget_percent / 100;
    pthread_mutex_lock(&budget->lock);
    bool taken = retries_known(budget, now_s) < most;
    /* A worker whose clock is a second behind adds to the slot's later second. */
    if (taken && budget->retries[at].second < now_s) {
        budget->retries[at].second = now_s;
        budget->retries[at].count = 0;
    }
    budget->retries[at].count += taken;
    pthread_mutex_unlock(&budget->lock);
    return taken;
}
