#include "affinity/cookie_prefix/cookie_prefix.h"

#include "base/assert.h"

enum hf_affinity_verdict hf_cookie_prefix_identify(struct hf_affinity_worker *worker,
                                                   const struct hf_pool *pool,
                                                   const struct hf_affinity *affinity,
                                                   const struct hf_affinity_request *request,
                                                   struct hf_affinity_choice *choice)
{
    (void)worker;
    REQUIRE(affinity->kind == HF_AFFINITY_COOKIE_PREFIX);
    struct hf_strategy_named named = {0};
    struct hf_cookie_cursor cursor = {0};
    struct hf_slice value;
    while (hf_cookie_next(request->head, affinity->attributes.name, &cursor, &value)) {
        struct hf_slice server = {0}, key = value;
        hf_cookie_prefix(value, HF_COOKIE_PREFIX_SEPARATOR, &server, &key);
        hf_strategy_add_named(&named, server, key);
    }
    return hf_strategy_follow_named(pool, &named, request->now_ms, choice);
}
