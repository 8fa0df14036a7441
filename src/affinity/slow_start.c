#include "affinity/slow_start.h"

#include "base/assert.h"

uint32_t hf_slow_start_weight(const struct hf_pool *pool, const struct hf_pool_server *one,
                              uint64_t now_ms)
{
    REQUIRE(pool->slow_start_ms > 0);
    uint64_t since_ms = hf_server_usable_since_ms(one->server, now_ms);
    uint64_t part = HF_SLOW_START_SCALE;
    if (since_ms > 0 && since_ms + pool->slow_start_ms > now_ms) {
        uint64_t age_ms = now_ms > since_ms ? now_ms - since_ms : 0;
        part = age_ms * HF_SLOW_START_SCALE / pool->slow_start_ms;
        part = part > HF_SLOW_START_LEAST ? part : HF_SLOW_START_LEAST;
    }
    return one->weight * (uint32_t)part;
}
