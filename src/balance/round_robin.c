/* Smooth weighted round robin: in each turn every usable candidate earns its weight, the richest
 * one is chosen and pays what all earned together. */
#include "balance/balance.h"

#include "base/assert.h"
#include <errno.h>
#include <stdlib.h>

int hf_balance_state_init(struct hf_balance_state *state, unsigned candidates_max)
{
    REQUIRE(state != NULL);
    REQUIRE(candidates_max <= HF_BALANCE_CANDIDATES_MAX);
    int64_t *current = calloc(candidates_max ? candidates_max : 1, sizeof(*current));
    if (current == NULL)
        return -ENOMEM;
    *state = (struct hf_balance_state){.current = current, .capacity = candidates_max};
    return 0;
}

void hf_balance_state_fini(struct hf_balance_state *state)
{
    REQUIRE(state != NULL);
    free(state->current);
    *state = (struct hf_balance_state){0};
}

int hf_balance_round_robin(struct hf_balance_state *state, const struct hf_candidate *candidates,
                           unsigned count)
{
    REQUIRE(state != NULL && count <= state->capacity);
    int64_t total = 0;
    int best = -1;
    for (unsigned i = 0; i < count; i++) {
        if (!candidates[i].usable || candidates[i].weight == 0)
            continue;
        total += candidates[i].weight;
        state->current[i] += candidates[i].weight;
        if (best < 0 || state->current[i] > state->current[best])
            best = (int)i;
    }
    if (best >= 0)
        state->current[best] -= total;
    return best;
}
