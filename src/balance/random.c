/* Random, weighted. */
#include "balance/balance.h"

#include "base/assert.h"

int hf_balance_random(const struct hf_candidate *candidates, unsigned count, struct hf_rng *rng)
{
    REQUIRE(rng != NULL && count <= HF_BALANCE_CANDIDATES_MAX);
    uint64_t total = 0;
    for (unsigned i = 0; i < count; i++) {
        if (candidates[i].usable)
            total += candidates[i].weight;
    }
    if (total == 0)
        return -1;
    REQUIRE(total <= UINT32_MAX);
    uint32_t left = hf_rng_below(rng, (uint32_t)total);
    unsigned i = 0;
    while (!candidates[i].usable || left >= candidates[i].weight) {
        if (candidates[i].usable)
            left -= candidates[i].weight;
        i++;
    }
    return (int)i;
}
