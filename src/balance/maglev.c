/* Maglev hashing (Eisenbud et al., "Maglev: a fast and reliable software network load balancer",
 * 2016, 3.4): every server has a permutation of the slots of its own, and they take turns in taking
 * their next free slot until none is left. */
#include "balance/table_internal.h"

#include "base/assert.h"
#include "base/hash.h"
#include <errno.h>
#include <stdlib.h>

enum { FREE_SLOT = UINT16_MAX, SEED_OFFSET = 1, SEED_SKIP = 2 };
_Static_assert((int)HF_BALANCE_CANDIDATES_MAX < (int)FREE_SLOT, "no position looks free");

struct taker {
    uint32_t at, skip; /* the next slot of its permutation, and the step */
    uint32_t weight;
    uint32_t credit; /* earns its weight a round, pays the heaviest weight for a slot */
};

static void prepare(struct taker *takers, const struct hf_balance_table *table, uint32_t heaviest)
{
    for (unsigned i = 0; i < table->order_count; i++) {
        const struct hf_balance_member *one = &table->members[table->order[i]];
        takers[i] = (struct taker){
            .at = (uint32_t)(hf_hash_mix(one->id, SEED_OFFSET) % HF_MAGLEV_SLOTS),
            .skip = (uint32_t)(hf_hash_mix(one->id, SEED_SKIP) % (HF_MAGLEV_SLOTS - 1) + 1),
            .weight = one->weight,
            /* All take a slot in the first round: no server with weight goes without. */
            .credit = heaviest - one->weight,
        };
    }
}

static uint32_t step(const struct taker *taker)
{
    uint32_t next = taker->at + taker->skip;
    return next < HF_MAGLEV_SLOTS ? next : next - HF_MAGLEV_SLOTS;
}

/* There is a free slot, and a permutation meets them all. */
static void take(struct taker *taker, uint16_t *slots, uint16_t position)
{
    while (slots[taker->at] != FREE_SLOT)
        taker->at = step(taker);
    slots[taker->at] = position;
    taker->at = step(taker);
}

static void fill(struct hf_balance_table *table, struct taker *takers, uint32_t heaviest)
{
    memset(table->slots, 0xff, HF_MAGLEV_SLOTS * sizeof(*table->slots));
    unsigned taken = 0;
    for (unsigned i = 0; taken < HF_MAGLEV_SLOTS; i = i + 1 < table->order_count ? i + 1 : 0) {
        takers[i].credit += takers[i].weight;
        if (takers[i].credit < heaviest)
            continue;
        takers[i].credit -= heaviest;
        take(&takers[i], table->slots, table->order[i]);
        taken++;
    }
}

int hf_maglev_init(struct hf_balance_table *table)
{
    uint32_t heaviest = 0;
    for (unsigned i = 0; i < table->order_count; i++) {
        uint32_t weight = table->members[table->order[i]].weight;
        heaviest = weight > heaviest ? weight : heaviest;
    }
    struct taker *takers = calloc(table->order_count, sizeof(*takers));
    table->slots = malloc(HF_MAGLEV_SLOTS * sizeof(*table->slots));
    bool made = takers != NULL && table->slots != NULL;
    if (made) {
        prepare(takers, table, heaviest);
        fill(table, takers, heaviest);
    }
    free(takers);
    return made ? 0 : -ENOMEM;
}

unsigned hf_maglev_named(const struct hf_balance_table *table, uint64_t hash)
{
    return table->slots[hash % HF_MAGLEV_SLOTS];
}
