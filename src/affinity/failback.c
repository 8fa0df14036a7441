#include "affinity/failback.h"

#include "affinity/candidates.h"
#include "base/assert.h"

/* The owner cannot serve: all requests of the client meet on the first of its rank. */
static enum hf_affinity_verdict lose(const struct hf_pool *pool, enum hf_affinity_verdict cause,
                                     uint64_t now_ms, struct hf_affinity_choice *choice)
{
    choice->lost = true;
    choice->server = hf_candidates_rendezvous(pool, choice->client_id, NULL, 0, now_ms);
    return cause;
}

/* An ejected owner is left for a server that takes clients, not for one that is ejected too. */
static enum hf_affinity_verdict lose_ejected(const struct hf_pool *pool, uint64_t now_ms,
                                             struct hf_affinity_choice *choice)
{
    enum hf_affinity_verdict verdict = lose(pool, HF_AFFINITY_DOWN, now_ms, choice);
    if (choice->server >= 0 && hf_server_accepts(pool->servers[choice->server].server, now_ms))
        return verdict;
    choice->lost = false;
    choice->server = choice->owner;
    return HF_AFFINITY_PINNED;
}

static enum hf_affinity_verdict go_to_owner(const struct hf_pool *pool, uint64_t now_ms,
                                            struct hf_affinity_choice *choice)
{
    if (choice->owner < 0)
        return lose(pool, HF_AFFINITY_GONE, now_ms, choice);
    switch (hf_server_state(pool->servers[choice->owner].server, now_ms)) {
    case HF_SERVER_READY:
    case HF_SERVER_DRAIN:
        choice->server = choice->owner;
        return HF_AFFINITY_PINNED;
    case HF_SERVER_EJECTED:
        return lose_ejected(pool, now_ms, choice);
    case HF_SERVER_MAINTENANCE:
        return lose(pool, HF_AFFINITY_MAINTENANCE, now_ms, choice);
    case HF_SERVER_DOWN:
        break;
    }
    return lose(pool, HF_AFFINITY_DOWN, now_ms, choice);
}

enum hf_affinity_verdict hf_failback_choose(const struct hf_pool *pool,
                                            const struct hf_failback_pin *pin, uint64_t now_ms,
                                            struct hf_affinity_choice *choice)
{
    REQUIRE(pin->owner_id != 0);
    choice->owner = hf_pool_find(pool, pin->owner_id);
    if (pin->home_id == 0 || pool->failback != HF_FAILBACK_RETURN)
        return go_to_owner(pool, now_ms, choice);
    int home = hf_pool_find(pool, pin->home_id);
    choice->home_id = home >= 0 ? pin->home_id : 0;
    if (home < 0 || !hf_server_accepts(pool->servers[home].server, now_ms))
        return go_to_owner(pool, now_ms, choice);
    choice->server = home;
    choice->returning = true;
    return HF_AFFINITY_RETURNED;
}

/* Whether the answer of another server than the owner's moves the pin to it. */
static bool moves(const struct hf_pool *pool, const struct hf_affinity_choice *choice,
                  unsigned served, uint64_t now_ms)
{
    if (choice->owner < 0)
        return true;
    if (choice->returning && pool->servers[served].server->id == choice->home_id)
        return true;
    if (pool->failback == HF_FAILBACK_TEMPORARY)
        return false;
    /* The owner may have been judged since the request came: then it moves now. */
    return choice->lost || !hf_server_serves(pool->servers[choice->owner].server, now_ms);
}

bool hf_failback_next(const struct hf_pool *pool, const struct hf_affinity_choice *choice,
                      unsigned served, uint64_t now_ms, struct hf_failback_pin *ret_pin)
{
    REQUIRE(served < pool->server_count && choice->owner < (int)pool->server_count);
    uint64_t served_id = pool->servers[served].server->id;
    uint64_t owner_id = choice->owner >= 0 ? pool->servers[choice->owner].server->id : 0;
    *ret_pin = (struct hf_failback_pin){.owner_id = owner_id, .home_id = choice->home_id};
    if (served_id == owner_id || !moves(pool, choice, served, now_ms))
        return false;
    uint64_t home_id = choice->home_id != 0 ? choice->home_id : owner_id;
    bool remember = pool->failback == HF_FAILBACK_RETURN && home_id != served_id;
    *ret_pin = (struct hf_failback_pin){.owner_id = served_id, .home_id = remember ? home_id : 0};
    return true;
}
