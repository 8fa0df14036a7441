/* The textbook's hash mod N, weighted: a server holds as many places in a row as it weighs, in the
 * order of the names, and the key's place is its remainder. One server more or less moves nearly
 * everybody; this is here because people have it and compare with it. */
#include "balance/table_internal.h"

#include "base/hash.h"
#include <errno.h>
#include <stdlib.h>

int hf_mod_init(struct hf_balance_table *table)
{
    table->ends = calloc(table->order_count, sizeof(*table->ends));
    if (table->ends == NULL)
        return -ENOMEM;
    uint32_t end = 0;
    for (unsigned i = 0; i < table->order_count; i++)
        table->ends[i] = end += table->members[table->order[i]].weight;
    return 0;
}

unsigned hf_mod_holder(const struct hf_balance_table *table, uint32_t place)
{
    if (table->uniform > 0)
        return table->order[place / table->uniform];
    unsigned low = 0, high = table->order_count - 1;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (table->ends[middle] > place)
            high = middle;
        else
            low = middle + 1;
    }
    return table->order[low];
}

unsigned hf_mod_named(const struct hf_balance_table *table, uint64_t hash)
{
    return hf_mod_holder(table, (uint32_t)(hash % table->places));
}

int hf_mod_follow(const struct hf_balance_table *table, uint64_t hash,
                  const struct hf_candidate *candidates)
{
    for (unsigned i = 0; i < HF_BALANCE_WALK_MAX; i++) {
        int member = hf_balance_named(table, hash);
        if (hf_table_eligible(&candidates[member]))
            return member;
        hash = hf_hash_mix(hash, i);
    }
    return -1;
}
