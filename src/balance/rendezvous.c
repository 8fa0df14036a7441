/* Rendezvous hashing (Thaler, Ravishankar, "Using name-based mappings to increase hit rates",
 * 1998), weighted by Schindelhauer, Schomaker, "Weighted distributed hash tables", 2005. A
 * candidate that comes or goes moves its own share of the clients and no other. */
#include "balance/balance.h"

#include "base/assert.h"
#include "base/hash.h"
#include <math.h>

/* Uniform in (0, 1), never an end: 53 bits and a half step. */
static double unit(uint64_t hash)
{
    return ((double)(hash >> 11) + 0.5) * 0x1p-53;
}

/* -weight / ln(unit) grows with weight and hash; only unequal weights need the logarithm. */
static bool better(uint64_t hash, uint32_t weight, uint64_t best_hash, uint32_t best_weight)
{
    if (weight == best_weight)
        return hash > best_hash;
    return -(double)weight / log(unit(hash)) > -(double)best_weight / log(unit(best_hash));
}

int hf_balance_rendezvous(const struct hf_candidate *candidates, unsigned count, uint64_t hash)
{
    REQUIRE(count <= HF_BALANCE_CANDIDATES_MAX);
    int best = -1;
    uint64_t best_hash = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct hf_candidate *one = &candidates[i];
        if (!one->usable || one->weight == 0)
            continue;
        uint64_t mixed = hf_hash_mix(one->id, hash);
        if (best < 0 || better(mixed, one->weight, best_hash, candidates[best].weight)) {
            best = (int)i;
            best_hash = mixed;
        }
    }
    return best;
}
