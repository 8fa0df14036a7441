#include "upstream/passive.h"

#include "base/assert.h"
#include <pthread.h>

/* server->passive.window holds the time of the first failure and the count in one word, so that
 * workers can neither lose a failure nor mix two windows. */
enum { COUNT_BITS = 24 };
static const uint64_t count_mask = (1u << COUNT_BITS) - 1;

/* Only who reaches the limit takes it: two workers must not both eject what is the last but one.
 * A leaf: nothing else is locked while it is held. */
static pthread_mutex_t ejecting = PTHREAD_MUTEX_INITIALIZER;

/* Adds one failure and answers how many the window has now. Relaxed: the word stands alone. */
static uint64_t add_failure(struct hf_server *server, uint32_t window_ms, uint64_t now_ms)
{
    uint64_t old = atomic_load_explicit(&server->passive.window, memory_order_relaxed);
    uint64_t new;
    do {
        uint64_t start_ms = old >> COUNT_BITS;
        uint64_t count = old & count_mask;
        /* Another worker's clock may be a moment ahead: its window is ours. */
        bool over = now_ms > start_ms && now_ms - start_ms >= window_ms;
        if (count == 0 || over)
            new = now_ms << COUNT_BITS | 1;
        else
            new = old + (count < count_mask);
    } while (!atomic_compare_exchange_weak_explicit(&server->passive.window, &old, new,
                                                    memory_order_relaxed, memory_order_relaxed));
    return new &count_mask;
}

static bool ejected(const struct hf_server *server, uint64_t now_ms)
{
    return atomic_load_explicit(&server->ejected_until_ms, memory_order_relaxed) > now_ms;
}

/* How many servers of the pool may be ejected at once: the configured part, but one at least. */
static unsigned ejected_max(const struct hf_pool *pool)
{
    unsigned part = pool->server_count * pool->passive.ejected_percent_max / 100;
    return part > 0 ? part : 1;
}

/* Under the lock. */
static bool may_eject(const struct hf_pool *pool, unsigned server_index, uint64_t now_ms)
{
    unsigned ejected_count = 0, others_usable = 0;
    for (unsigned i = 0; i < pool->server_count; i++) {
        const struct hf_pool_server *one = &pool->servers[i];
        ejected_count += ejected(one->server, now_ms);
        if (i != server_index && one->weight > 0 && hf_server_accepts(one->server, now_ms))
            others_usable++;
    }
    return others_usable > 0 && ejected_count < ejected_max(pool) &&
           hf_server_serves(pool->servers[server_index].server, now_ms);
}

bool hf_passive_failure(const struct hf_pool *pool, unsigned server_index, unsigned shard,
                        uint64_t now_ms)
{
    REQUIRE(pool != NULL && server_index < pool->server_count);
    struct hf_server *server = pool->servers[server_index].server;
    REQUIRE(shard < server->shard_count);
    const struct hf_passive *passive = &pool->passive;
    /* What still fails on a server already judged is no news. */
    if (passive->failures == 0 || !hf_server_serves(server, now_ms))
        return false;
    uint64_t limit = passive->failures < count_mask ? passive->failures : count_mask;
    if (add_failure(server, passive->window_ms, now_ms) < limit)
        return false;
    pthread_mutex_lock(&ejecting);
    bool eject = may_eject(pool, server_index, now_ms);
    if (eject)
        atomic_store_explicit(&server->ejected_until_ms, now_ms + passive->eject_ms,
                              memory_order_relaxed);
    /* Refused or not, the count starts afresh: a refusal costs the walk once in `failures`. */
    atomic_store_explicit(&server->passive.window, 0, memory_order_relaxed);
    pthread_mutex_unlock(&ejecting);
    if (eject)
        hf_count(&server->shards[shard].counts[HF_SERVER_EJECTIONS]);
    return eject;
}
