#include "affinity/candidates.h"

#include "affinity/slow_start.h"
#include "affinity/source_ip/source_ip.h"
#include "base/assert.h"

enum tier { TIER_PRIMARY, TIER_BACKUP, TIER_EJECTED, TIER_COUNT };
enum { COST_HALVES_MS = 7 * 1000 }; /* a server that was slow once must be asked again */

_Static_assert((int)HF_POOL_SERVERS_MAX <= (int)HF_BALANCE_CANDIDATES_MAX, "a pool fits");

/* Relaxed loads: each is a hint that is old when it is used. */
static uint64_t cost_us(const struct hf_server *server, uint64_t now_ms)
{
    uint64_t cost = atomic_load_explicit(&server->ewma_us, memory_order_relaxed);
    uint64_t at_ms = atomic_load_explicit(&server->ewma_at_us, memory_order_relaxed) / 1000;
    uint64_t halvings = now_ms > at_ms ? (now_ms - at_ms) / COST_HALVES_MS : 0;
    return halvings < 64 ? cost >> halvings : 0;
}

static bool may_take(const struct hf_server *server, enum tier tier, uint64_t now_ms)
{
    enum hf_server_state state = hf_server_state(server, now_ms);
    if (tier != TIER_EJECTED)
        return state == HF_SERVER_READY;
    /* Ejection hides a drain, which still holds. */
    return state == HF_SERVER_EJECTED &&
           atomic_load_explicit(&server->admin, memory_order_relaxed) == HF_ADMIN_READY;
}

/* Fills one candidate for each server of the pool; who is not of the tier weighs nothing. Answers
 * how many are usable. */
static unsigned fill(const struct hf_pool *pool, enum tier tier, uint64_t now_ms,
                     struct hf_candidate *candidates)
{
    REQUIRE(pool->server_count <= HF_POOL_SERVERS_MAX);
    unsigned usable = 0;
    for (unsigned i = 0; i < pool->server_count; i++) {
        const struct hf_pool_server *one = &pool->servers[i];
        bool in_tier = tier == TIER_EJECTED || one->backup == (tier == TIER_BACKUP);
        bool takes = in_tier && one->weight > 0 && may_take(one->server, tier, now_ms);
        int32_t active = atomic_load_explicit(&one->server->active, memory_order_relaxed);
        candidates[i] = (struct hf_candidate){.id = one->server->id,
                                              .weight = in_tier ? one->weight : 0,
                                              .load = active > 0 ? (uint32_t)active : 0,
                                              .usable = takes};
        usable += takes;
    }
    return usable;
}

static void fill_costs(const struct hf_pool *pool, uint64_t now_ms, struct hf_candidate *candidates)
{
    for (unsigned i = 0; i < pool->server_count; i++)
        candidates[i].cost_us = cost_us(pool->servers[i].server, now_ms);
}

/* Gives servers that came back a part of their weight. A hash is not asked to move clients. */
static void warm_up(const struct hf_pool *pool, uint64_t now_ms, struct hf_candidate *candidates)
{
    if (pool->slow_start_ms == 0)
        return;
    for (unsigned i = 0; i < pool->server_count; i++) {
        if (candidates[i].weight > 0)
            candidates[i].weight = hf_slow_start_weight(pool, &pool->servers[i], now_ms);
    }
}

/* A balancer that is no hash. */
static int balance(struct hf_affinity_worker *worker, const struct hf_pool *pool,
                   const struct hf_candidate *candidates)
{
    struct hf_balance_state *state = &worker->balance[pool->index];
    struct hf_rng *rng = &worker->rng;
    unsigned count = pool->server_count;
    switch (pool->balance) {
#define HF_BALANCER_ROW(id, word, needs_cost, call)                                                \
    case HF_BALANCE_##id:                                                                          \
        return call;
#define HF_HASH_ROW(id, word, balancer_id, ...) case HF_BALANCE_##balancer_id:
#include "balance/algorithms.def"
#undef HF_BALANCER_ROW
#undef HF_HASH_ROW
    case HF_BALANCE_COUNT:
        break;
    }
    REQUIRE(!"a balancer that is no hash");
    return -1;
}

/* While the named server takes clients and nothing is bounded, the others are not looked at. */
static int balance_hash(const struct hf_pool *pool, enum hf_hash hash,
                        const struct hf_affinity_request *request)
{
    const struct hf_candidates_hash by = {
        .hash = hash,
        .bounded_percent = pool->bounded_percent,
        .key =
            hf_source_ip_hash(request->client, HF_SOURCE_IP_IPV4_PREFIX, HF_SOURCE_IP_IPV6_PREFIX)};
    int named = hf_candidates_named(pool, &by);
    if (named >= 0 && by.bounded_percent == 0 &&
        hf_server_accepts(pool->servers[named].server, request->now_ms))
        return named;
    return hf_candidates_follow(pool, &by, -1, request->now_ms);
}

int hf_candidates_balance(struct hf_affinity_worker *worker, const struct hf_pool *pool,
                          const struct hf_affinity_request *request)
{
    enum hf_hash hash = HF_HASH_MOD;
    if (hf_balance_is_hash(pool->balance, &hash))
        return balance_hash(pool, hash, request);
    struct hf_candidate candidates[HF_POOL_SERVERS_MAX];
    for (enum tier tier = 0; tier < TIER_COUNT; tier++) {
        if (fill(pool, tier, request->now_ms, candidates) == 0)
            continue;
        warm_up(pool, request->now_ms, candidates);
        if (hf_balance_needs_cost(pool->balance))
            fill_costs(pool, request->now_ms, candidates);
        return balance(worker, pool, candidates);
    }
    return -1;
}

static void leave_out(struct hf_candidate *candidates, unsigned count, const uint16_t *tried,
                      unsigned tried_count)
{
    for (unsigned i = 0; i < tried_count; i++) {
        REQUIRE(tried[i] < count);
        candidates[tried[i]].usable = false;
    }
}

int hf_candidates_rendezvous(const struct hf_pool *pool, uint64_t client_id, const uint16_t *tried,
                             unsigned tried_count, uint64_t now_ms)
{
    REQUIRE(tried != NULL || tried_count == 0);
    struct hf_candidate candidates[HF_POOL_SERVERS_MAX];
    int found = -1;
    for (enum tier tier = 0; tier < TIER_COUNT && found < 0; tier++) {
        if (fill(pool, tier, now_ms, candidates) == 0)
            continue;
        leave_out(candidates, pool->server_count, tried, tried_count);
        found = hf_balance_rendezvous(candidates, pool->server_count, client_id);
    }
    return found;
}

int hf_candidates_named(const struct hf_pool *pool, const struct hf_candidates_hash *by)
{
    REQUIRE(pool->tables[by->hash] != NULL); /* hf_pool_index was called */
    return hf_balance_named(pool->tables[by->hash], by->key);
}

int hf_candidates_follow(const struct hf_pool *pool, const struct hf_candidates_hash *by, int stays,
                         uint64_t now_ms)
{
    REQUIRE(pool->tables[by->hash] != NULL && stays < (int)pool->server_count);
    struct hf_candidate candidates[HF_POOL_SERVERS_MAX];
    int found = -1;
    for (enum tier tier = 0; tier < TIER_COUNT && found < 0; tier++) {
        unsigned usable = fill(pool, tier, now_ms, candidates);
        if (stays >= 0) {
            usable += !candidates[stays].usable;
            candidates[stays].usable = true;
        }
        if (usable == 0)
            continue;
        leave_out(candidates, pool->server_count, by->tried, by->tried_count);
        if (by->bounded_percent > 0)
            hf_balance_bound(candidates, pool->server_count, by->bounded_percent);
        found = hf_balance_follow(pool->tables[by->hash], by->key, candidates, pool->server_count);
    }
    return found;
}
