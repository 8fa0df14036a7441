/* The power of two choices (Mitzenmacher, "The power of two choices in randomized load balancing",
 * 2001): almost as even as asking everyone, and no herd runs to the one that looked best. */
#include "balance/balance.h"

#include "base/assert.h"

static bool eligible(const struct hf_candidate *one)
{
    return one->usable && one->weight > 0;
}

/* The index of the eligible candidate of that rank; there is one. */
static unsigned nth_eligible(const struct hf_candidate *candidates, unsigned count, unsigned rank)
{
    for (unsigned i = 0; i < count; i++) {
        if (eligible(&candidates[i]) && rank-- == 0)
            return i;
    }
    REQUIRE(!"rank lies within the eligible ones");
    return 0;
}

static bool worse(const struct hf_candidate *one, const struct hf_candidate *other)
{
    bool known = one->cost_us > 0 && other->cost_us > 0;
    uint64_t one_cost = known ? one->cost_us : 1;
    uint64_t other_cost = known ? other->cost_us : 1;
    /* Compared crosswise: 32 + 32 + 64 bits fit. */
    unsigned __int128 mine = (unsigned __int128)((uint64_t)one->load + 1) * other->weight;
    unsigned __int128 theirs = (unsigned __int128)((uint64_t)other->load + 1) * one->weight;
    return mine * one_cost > theirs * other_cost;
}

int hf_balance_p2c(const struct hf_candidate *candidates, unsigned count, struct hf_rng *rng)
{
    REQUIRE(rng != NULL && count <= HF_BALANCE_CANDIDATES_MAX);
    uint32_t eligible_count = 0;
    for (unsigned i = 0; i < count; i++)
        eligible_count += eligible(&candidates[i]);
    if (eligible_count == 0)
        return -1;
    uint32_t first = hf_rng_below(rng, eligible_count);
    unsigned one = nth_eligible(candidates, count, first);
    if (eligible_count == 1)
        return (int)one;
    uint32_t second = hf_rng_below(rng, eligible_count - 1);
    if (second >= first)
        second++;
    unsigned other = nth_eligible(candidates, count, second);
    return (int)(worse(&candidates[one], &candidates[other]) ? other : one);
}
