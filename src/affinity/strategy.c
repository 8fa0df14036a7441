#include "affinity/strategy.h"

#include "affinity/candidates.h"
#include "affinity/failback.h"
#include "base/hash.h"

static enum hf_affinity_verdict verdict_of(enum hf_server_state state)
{
    if (state == HF_SERVER_READY || state == HF_SERVER_DRAIN)
        return HF_AFFINITY_HASHED;
    return state == HF_SERVER_MAINTENANCE ? HF_AFFINITY_MAINTENANCE : HF_AFFINITY_DOWN;
}

enum hf_affinity_verdict hf_strategy_follow_hash(const struct hf_pool *pool,
                                                 const struct hf_affinity *affinity, uint64_t hash,
                                                 uint64_t now_ms, struct hf_affinity_choice *choice)
{
    const struct hf_candidates_hash by = {
        .hash = affinity->hash, .bounded_percent = affinity->bounded_percent, .key = hash};
    int server = hf_candidates_named(pool, &by);
    enum hf_affinity_verdict verdict = HF_AFFINITY_DOWN;
    if (server >= 0)
        verdict = verdict_of(hf_server_state(pool->servers[server].server, now_ms));
    int named = server;
    if (verdict != HF_AFFINITY_HASHED)
        server = hf_candidates_follow(pool, &by, -1, now_ms);
    else if (by.bounded_percent > 0)
        server = hf_candidates_follow(pool, &by, named, now_ms);
    if (verdict == HF_AFFINITY_HASHED && server != named)
        verdict = HF_AFFINITY_BOUNDED;
    choice->owner = choice->server = server;
    choice->client_id = hash;
    return verdict;
}

enum hf_affinity_verdict hf_strategy_follow_key(const struct hf_pool *pool,
                                                const struct hf_affinity *affinity,
                                                enum hf_key found, struct hf_slice key,
                                                uint64_t now_ms, struct hf_affinity_choice *choice)
{
    switch (found) {
    case HF_KEY_NONE:
        return HF_AFFINITY_NONE;
    case HF_KEY_DUPLICATE:
        return HF_AFFINITY_DUPLICATE;
    case HF_KEY_FOUND:
        break;
    }
    return hf_strategy_follow_hash(pool, affinity, hf_hash64(key, 0), now_ms, choice);
}

void hf_strategy_add_named(struct hf_strategy_named *named, struct hf_slice server,
                           struct hf_slice key)
{
    if (named->count++ > 0) {
        named->differ |= !hf_slice_equal(named->server, server);
        return;
    }
    named->server = server;
    named->key = key;
}

enum hf_affinity_verdict hf_strategy_follow_named(const struct hf_pool *pool,
                                                  const struct hf_strategy_named *named,
                                                  uint64_t now_ms,
                                                  struct hf_affinity_choice *choice)
{
    if (named->differ)
        return HF_AFFINITY_DUPLICATE;
    if (named->server.size == 0)
        return HF_AFFINITY_NONE;
    uint64_t owner_id = 0;
    if (named->server.size < HF_NAME_MAX)
        owner_id = hf_server_id(hf_slice_text(pool->name), named->server);
    if (owner_id == 0 || hf_pool_find(pool, owner_id) < 0)
        return HF_AFFINITY_GONE;
    choice->named = true;
    choice->client_id = hf_hash64(named->key, 0);
    /* An application's name has no home to return to, whatever failback says. */
    struct hf_failback_pin pin = {.owner_id = owner_id};
    enum hf_affinity_verdict verdict = hf_failback_choose(pool, &pin, now_ms, choice);
    if (choice->lost)
        choice->server = -1; /* strategies behind may know more; else the rank decides */
    return verdict;
}
