#include "affinity/strategy.h"

#include "affinity/candidates.h"

static enum hf_affinity_verdict verdict_of(enum hf_server_state state)
{
    if (state == HF_SERVER_READY || state == HF_SERVER_DRAIN)
        return HF_AFFINITY_HASHED;
    return state == HF_SERVER_MAINTENANCE ? HF_AFFINITY_MAINTENANCE : HF_AFFINITY_DOWN;
}

enum hf_affinity_verdict hf_strategy_follow_hash(const struct hf_pool *pool, uint64_t hash,
                                                 uint64_t now_ms, struct hf_affinity_choice *choice)
{
    int server = hf_candidates_named(pool, hash);
    enum hf_affinity_verdict verdict = HF_AFFINITY_DOWN;
    if (server >= 0)
        verdict = verdict_of(hf_server_state(pool->servers[server].server, now_ms));
    if (verdict != HF_AFFINITY_HASHED)
        server = hf_candidates_mod(pool, hash, now_ms);
    choice->owner = choice->server = server;
    choice->client_id = hash;
    return verdict;
}
