/* Least connections, weighted. */
#include "balance/balance.h"

#include "base/assert.h"

int hf_balance_least_connections(const struct hf_candidate *candidates, unsigned count,
                                 struct hf_rng *rng)
{
    REQUIRE(rng != NULL && count <= HF_BALANCE_CANDIDATES_MAX);
    int best = -1;
    uint64_t tied = 0; /* weight of all that tie with the best one so far */
    for (unsigned i = 0; i < count; i++) {
        const struct hf_candidate *one = &candidates[i];
        if (!one->usable || one->weight == 0)
            continue;
        if (best >= 0) {
            /* load / weight compared crosswise: no division, no rounding */
            uint64_t mine = (uint64_t)one->load * candidates[best].weight;
            uint64_t least = (uint64_t)candidates[best].load * one->weight;
            if (mine > least)
                continue;
            if (mine < least)
                tied = 0;
        }
        tied += one->weight;
        REQUIRE(tied <= UINT32_MAX);
        /* The first of a tie draws below its own weight and always wins. */
        if (hf_rng_below(rng, (uint32_t)tied) < one->weight)
            best = (int)i;
    }
    return best;
}
