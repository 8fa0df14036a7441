/* The inside of a table, for the algorithms that fill it. Threads: any may read. Layer: balance. */
#pragma once
#include "balance/table.h"

struct hf_balance_table {
    enum hf_hash kind;
    unsigned count;
    struct hf_balance_member *members; /* owned; [count] */
    uint16_t *order; /* owned; [order_count], positions of those with weight, by rank */
    unsigned order_count;
    uint32_t uniform; /* the weight that all in `order` have, or 0 */
    uint32_t places;  /* sum of weights; 0 = nobody to name */
    uint32_t *ends;   /* owned, MOD and JUMP: [order_count], sums of weights up to each */
    uint16_t *slots;  /* owned, MAGLEV: [HF_MAGLEV_SLOTS], positions */
    uint64_t *points; /* owned, RING: [point_count], sorted: 48 bits of the place on
                         the ring, 16 of the position */
    uint32_t point_count;
};

/* What a row of algorithms.def names. All are for tables with somebody to name. init: fills the
 * table, whose members and order are there; 0 or -ENOMEM. named: the position of the key's member.
 * follow: the first of the key's sequence who is usable and has weight, or -1 when it is not among
 * the first HF_BALANCE_WALK_MAX. */
typedef int (*hf_table_init_fn)(struct hf_balance_table *table);
typedef unsigned (*hf_table_named_fn)(const struct hf_balance_table *table, uint64_t hash);
typedef int (*hf_table_follow_fn)(const struct hf_balance_table *table, uint64_t hash,
                                  const struct hf_candidate *candidates);

int hf_mod_init(struct hf_balance_table *table);
unsigned hf_mod_named(const struct hf_balance_table *table, uint64_t hash);
/* Of any hash whose table has no order of its own: mixes the key and asks its `named` again. */
int hf_mod_follow(const struct hf_balance_table *table, uint64_t hash,
                  const struct hf_candidate *candidates);
/* Who holds that of the table's places, when each has as many in a row as it weighs. */
unsigned hf_mod_holder(const struct hf_balance_table *table, uint32_t place);

int hf_maglev_init(struct hf_balance_table *table);
unsigned hf_maglev_named(const struct hf_balance_table *table, uint64_t hash);

int hf_ring_init(struct hf_balance_table *table);
unsigned hf_ring_named(const struct hf_balance_table *table, uint64_t hash);
int hf_ring_follow(const struct hf_balance_table *table, uint64_t hash,
                   const struct hf_candidate *candidates);

int hf_rendezvous_init(struct hf_balance_table *table);
unsigned hf_rendezvous_named(const struct hf_balance_table *table, uint64_t hash);

unsigned hf_jump_named(const struct hf_balance_table *table, uint64_t hash);

static inline bool hf_table_eligible(const struct hf_candidate *one)
{
    return one->usable && one->weight > 0;
}
