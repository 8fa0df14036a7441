/* hash mod N. Few servers, no state, and every proxy agrees; but nearly all clients move when N
 * changes (balance_test measures it): rendezvous exists for those who mind. */
#include "balance/balance.h"

#include "base/assert.h"
#include "base/hash.h"

/* The candidate that holds this place, when each takes as many places as it weighs. */
static unsigned at_place(const struct hf_candidate *candidates, uint64_t place)
{
    unsigned i = 0;
    while (place >= candidates[i].weight)
        place -= candidates[i++].weight;
    return i;
}

static bool eligible(const struct hf_candidate *one)
{
    return one->usable && one->weight > 0;
}

int hf_balance_mod(const struct hf_candidate *candidates, unsigned count, uint64_t hash)
{
    REQUIRE(count <= HF_BALANCE_CANDIDATES_MAX);
    uint64_t places = 0;
    for (unsigned i = 0; i < count; i++)
        places += candidates[i].weight;
    if (places == 0)
        return -1;
    unsigned named = 0;
    for (unsigned i = 0; i < HF_BALANCE_MOD_TRIES; i++) {
        named = at_place(candidates, hash % places);
        if (eligible(&candidates[named]))
            return (int)named;
        hash = hf_hash_mix(hash, i);
    }
    for (unsigned step = 1; step <= count; step++) {
        unsigned next = (named + step) % count;
        if (eligible(&candidates[next]))
            return (int)next;
    }
    return -1;
}
