#include "upstream/passive.h"

#include "base/assert.h"
#include "model/recovery.h"
#include "upstream/breaker.h"
#include <pthread.h>

/* server->passive.window holds the time of the first failure and the count in one word, so that
 * workers can neither lose a failure nor mix two windows. */
enum { COUNT_BITS = 24 };
static const uint64_t count_mask = (1u << COUNT_BITS) - 1;

/* Only who reaches the limit takes it: two workers must not both eject what is the last but one.
 * While it is held the breaker takes its own locks, each a leaf. */
static pthread_mutex_t ejecting = PTHREAD_MUTEX_INITIALIZER;

/* Racing workers may both begin a window: either number is right within a request or two. */
static void note_requests(struct hf_server *server)
{
    uint64_t requests = hf_server_count(server, HF_SERVER_REQUESTS);
    atomic_store_explicit(&server->passive.requests_before, requests, memory_order_relaxed);
}

/* Whether so many failures are enough of the requests since the window began. A refused connection
 * is a failure without a request, and failures in flight before it count too: at most all. */
static bool share_reached(const struct hf_server *server, const struct hf_passive *passive,
                          uint64_t failures)
{
    if (passive->failed_percent_min == 0)
        return true;
    uint64_t before = atomic_load_explicit(&server->passive.requests_before, memory_order_relaxed);
    uint64_t now = hf_server_count(server, HF_SERVER_REQUESTS);
    uint64_t requests = now > before ? now - before : 0;
    return failures * 100 >= requests * passive->failed_percent_min;
}

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
        bool first = count == 0 || over;
        if (first)
            note_requests(server);
        new = first ? now_ms << COUNT_BITS | 1 : old + (count < count_mask);
    } while (!atomic_compare_exchange_weak_explicit(&server->passive.window, &old, new,
                                                    memory_order_relaxed, memory_order_relaxed));
    return new &count_mask;
}

/* Racing workers may have begun a new one meanwhile: then this moment. */
static uint64_t window_start_ms(const struct hf_server *server, uint64_t now_ms)
{
    uint64_t start_ms =
        atomic_load_explicit(&server->passive.window, memory_order_relaxed) >> COUNT_BITS;
    return start_ms > 0 && start_ms < now_ms ? start_ms : now_ms;
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
                        uint64_t probe, uint64_t now_ms)
{
    REQUIRE(pool != NULL && server_index < pool->server_count);
    struct hf_server *server = pool->servers[server_index].server;
    REQUIRE(shard < server->shard_count);
    const struct hf_passive *passive = &pool->passive;
    if (probe != 0) {
        bool opened = hf_breaker_probe_failed(pool, server, probe, now_ms);
        if (opened)
            hf_count(&server->shards[shard].counts[HF_SERVER_EJECTIONS]);
        return opened;
    }
    /* What still fails on a server already judged is no news. */
    if (passive->failures == 0 || !hf_server_serves(server, now_ms))
        return false;
    uint64_t limit = passive->failures < count_mask ? passive->failures : count_mask;
    uint64_t failures = add_failure(server, passive->window_ms, now_ms);
    if (failures < limit || !share_reached(server, passive, failures))
        return false;
    pthread_mutex_lock(&ejecting);
    bool eject = may_eject(pool, server_index, now_ms);
    if (eject)
        hf_recovery_judged(server, window_start_ms(server, now_ms), now_ms);
    if (eject)
        hf_breaker_open(server, now_ms + passive->eject_ms, passive->probes);
    /* Refused or not, the count starts afresh: a refusal costs the walk once in `failures`. */
    atomic_store_explicit(&server->passive.window, 0, memory_order_relaxed);
    pthread_mutex_unlock(&ejecting);
    if (eject)
        hf_count(&server->shards[shard].counts[HF_SERVER_EJECTIONS]);
    return eject;
}
