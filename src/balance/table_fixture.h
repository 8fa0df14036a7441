/* What the tests of tables share: a fleet of servers with a table of each kind. Never in the
 * product. Threads: the test's. Layer: balance. */
#pragma once
#include "balance/table.h"
#include "base/assert.h"
#include <math.h>

struct hf_table_fixture {
    struct hf_balance_member members[HF_BALANCE_CANDIDATES_MAX];
    struct hf_candidate candidates[HF_BALANCE_CANDIDATES_MAX];
    unsigned count;
    struct hf_rng rng;
};

/* `count` servers of weight 1, all usable, with ids that follow from the seed,
 * and names in the order of their positions. */
static inline void hf_table_fixture_open(struct hf_table_fixture *f, unsigned count, uint64_t seed)
{
    *f = (struct hf_table_fixture){.count = count};
    hf_rng_seed(&f->rng, seed);
    for (unsigned i = 0; i < HF_BALANCE_CANDIDATES_MAX; i++) {
        f->members[i] =
            (struct hf_balance_member){.id = hf_rng_u64(&f->rng), .weight = 1, .rank = i};
        f->candidates[i] =
            (struct hf_candidate){.id = f->members[i].id, .weight = 1, .usable = true};
    }
}

static inline void hf_table_fixture_weigh(struct hf_table_fixture *f, unsigned index,
                                          uint32_t weight)
{
    f->members[index].weight = f->candidates[index].weight = weight;
}

/* The caller frees it. */
static inline struct hf_balance_table *hf_table_fixture_table(const struct hf_table_fixture *f,
                                                              enum hf_hash kind)
{
    struct hf_balance_table *table = NULL;
    REQUIRE(hf_balance_table_new(kind, f->members, f->count, &table) == 0);
    return table;
}

/* Binomial: within five standard deviations, passed by chance once in 10^6. */
static inline bool hf_table_fits(unsigned seen, unsigned draws, double share)
{
    double deviation = sqrt(draws * share * (1 - share));
    return fabs(seen - draws * share) <= 5 * deviation + 1e-9;
}
