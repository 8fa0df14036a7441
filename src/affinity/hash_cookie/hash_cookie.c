#include "affinity/hash_cookie/hash_cookie.h"

#include "base/assert.h"
#include "base/hash.h"

enum hf_affinity_verdict hf_hash_cookie_identify(struct hf_affinity_worker *worker,
                                                 const struct hf_pool *pool,
                                                 const struct hf_affinity *affinity,
                                                 const struct hf_affinity_request *request,
                                                 struct hf_affinity_choice *choice)
{
    REQUIRE(affinity->kind == HF_AFFINITY_HASH_COOKIE && affinity->cookie != NULL);
    struct hf_cookie_found found;
    hf_cookie_find(request->head, hf_slice_text(affinity->cookie), &found);
    if (found.count == 0 || found.value.size == 0)
        return HF_AFFINITY_NONE;
    return hf_strategy_follow_hash(pool, affinity, hf_hash64(found.value, 0), request->now_ms,
                                   choice);
}
