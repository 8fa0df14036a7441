/* Rendezvous hashing (Thaler, Ravishankar, "Using name-based mappings to increase hit rates",
 * 1998), weighted by Schindelhauer, Schomaker, "Weighted distributed hash tables", 2005. A
 * candidate that comes or goes moves its own share of the clients and no other. */
#include "balance/table_internal.h"

#include "base/assert.h"
#include "base/hash.h"
#include <math.h>

struct best { /* of those seen so far */
    int position;
    uint64_t hash;
    uint32_t weight;
    double score; /* ln(unit) / weight: below 0, the highest wins */
    bool scored;
};

/* Uniform in (0, 1), never an end: 53 bits and a half step. */
static double unit(uint64_t hash)
{
    return ((double)(hash >> 11) + 0.5) * 0x1p-53;
}

static bool beats(struct best *best, uint64_t hash, uint32_t weight, double *ret_score)
{
    if (!best->scored)
        best->score = log(unit(best->hash)) / best->weight;
    best->scored = true;
    double u = unit(hash);
    /* ln(u) <= u - 1 spares most of them the logarithm. */
    if ((u - 1) / weight <= best->score)
        return false;
    *ret_score = log(u) / weight;
    return *ret_score > best->score;
}

/* Only unequal weights need the logarithm. */
static void consider(struct best *best, unsigned position, uint64_t hash, uint32_t weight)
{
    double score = 0;
    bool scored = false;
    if (best->position >= 0 && weight == best->weight) {
        if (hash <= best->hash)
            return;
    } else if (best->position >= 0) {
        if (!beats(best, hash, weight, &score))
            return;
        scored = true;
    }
    *best = (struct best){(int)position, hash, weight, score, scored};
}

int hf_balance_rendezvous(const struct hf_candidate *candidates, unsigned count, uint64_t hash)
{
    REQUIRE(count <= HF_BALANCE_CANDIDATES_MAX);
    struct best best = {.position = -1};
    for (unsigned i = 0; i < count; i++) {
        const struct hf_candidate *one = &candidates[i];
        if (one->usable && one->weight > 0)
            consider(&best, i, hf_hash_mix(one->id, hash), one->weight);
    }
    return best.position;
}

/* It needs the members alone. */
int hf_rendezvous_init(struct hf_balance_table *table)
{
    (void)table;
    return 0;
}

unsigned hf_rendezvous_named(const struct hf_balance_table *table, uint64_t hash)
{
    struct best best = {.position = -1};
    for (unsigned i = 0; i < table->count; i++) {
        const struct hf_balance_member *one = &table->members[i];
        if (one->weight > 0)
            consider(&best, i, hf_hash_mix(one->id, hash), one->weight);
    }
    REQUIRE(best.position >= 0);
    return (unsigned)best.position;
}
