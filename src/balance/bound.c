/* Bounded load (Mirrokni, Thorup, Zadimoghaddam, "Consistent hashing with bounded loads", 2017): no
 * server takes more than a factor of its fair share of the requests in flight. */
#include "balance/balance.h"

#include "base/assert.h"

void hf_balance_bound(struct hf_candidate *candidates, unsigned count, uint32_t percent)
{
    REQUIRE(percent >= 100 && count <= HF_BALANCE_CANDIDATES_MAX);
    uint64_t load = 1, weight = 0; /* the request to come is one of them */
    for (unsigned i = 0; i < count; i++) {
        if (!candidates[i].usable)
            continue;
        load += candidates[i].load;
        weight += candidates[i].weight;
    }
    for (unsigned i = 0; i < count; i++) {
        struct hf_candidate *one = &candidates[i];
        /* load + 1 <= ceil(share) says load < share in whole numbers. 64 + 32 bits fit. */
        unsigned __int128 share = (unsigned __int128)load * one->weight * percent;
        if ((unsigned __int128)one->load * weight * 100 >= share)
            one->usable = false;
    }
}
