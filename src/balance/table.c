#include "balance/table_internal.h"

#include "base/assert.h"
#include <errno.h>
#include <stdlib.h>

enum { WEIGHT_MAX = 256 };

static const struct kind {
    const char *word;
    hf_table_init_fn init;
    hf_table_named_fn named;
    hf_table_follow_fn follow;
} kinds[HF_HASH_COUNT] = {
#define HF_HASH_ROW(id, word, balancer_id, balancer_word, init, named, follow)                     \
    [HF_HASH_##id] = {word, init, named, follow},
#include "balance/algorithms.def"
#undef HF_HASH_ROW
};

const char *hf_balance_hash_word(enum hf_hash hash)
{
    REQUIRE((unsigned)hash < HF_HASH_COUNT);
    return kinds[hash].word;
}

int hf_balance_named(const struct hf_balance_table *table, uint64_t hash)
{
    REQUIRE(table != NULL);
    return table->places > 0 ? (int)kinds[table->kind].named(table, hash) : -1;
}

int hf_balance_follow(const struct hf_balance_table *table, uint64_t hash,
                      const struct hf_candidate *candidates, unsigned count)
{
    REQUIRE(table != NULL && count == table->count);
    int found = -1;
    if (table->places > 0 && kinds[table->kind].follow != NULL)
        found = kinds[table->kind].follow(table, hash, candidates);
    return found >= 0 ? found : hf_balance_rendezvous(candidates, count, hash);
}

struct ranked {
    uint64_t id;
    uint32_t rank;
    uint16_t position;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *one = a, *other = b;
    if (one->rank != other->rank)
        return (one->rank > other->rank) - (one->rank < other->rank);
    return (one->id > other->id) - (one->id < other->id);
}

/* Room for the order is there. */
static void take_members(struct hf_balance_table *table, const struct hf_balance_member *members)
{
    struct ranked ranked[HF_BALANCE_CANDIDATES_MAX];
    for (unsigned i = 0; i < table->count; i++) {
        REQUIRE(members[i].weight <= WEIGHT_MAX);
        table->members[i] = members[i];
        table->places += members[i].weight;
        if (members[i].weight > 0)
            ranked[table->order_count++] =
                (struct ranked){members[i].id, members[i].rank, (uint16_t)i};
    }
    qsort(ranked, table->order_count, sizeof(ranked[0]), by_rank);
    table->uniform = table->order_count > 0 ? members[ranked[0].position].weight : 0;
    for (unsigned i = 0; i < table->order_count; i++) {
        table->order[i] = ranked[i].position;
        if (members[ranked[i].position].weight != table->uniform)
            table->uniform = 0;
    }
}

int hf_balance_table_new(enum hf_hash kind, const struct hf_balance_member *members, unsigned count,
                         struct hf_balance_table **ret_table)
{
    REQUIRE((unsigned)kind < HF_HASH_COUNT && count <= HF_BALANCE_CANDIDATES_MAX);
    struct hf_balance_table *table = calloc(1, sizeof(*table));
    if (table == NULL)
        return -ENOMEM;
    table->kind = kind;
    table->count = count;
    table->members = calloc(count + 1, sizeof(*table->members));
    table->order = calloc(count + 1, sizeof(*table->order));
    int result = -ENOMEM;
    if (table->members != NULL && table->order != NULL) {
        take_members(table, members);
        result = table->places > 0 ? kinds[kind].init(table) : 0;
    }
    if (result < 0)
        hf_balance_table_free(&table);
    *ret_table = table;
    return result;
}

void hf_balance_table_free(struct hf_balance_table **table)
{
    struct hf_balance_table *gone = *table;
    *table = NULL;
    if (gone == NULL)
        return;
    free(gone->members);
    free(gone->order);
    free(gone->ends);
    free(gone->slots);
    free(gone->points);
    free(gone);
}

size_t hf_balance_table_size(const struct hf_balance_table *table)
{
    size_t each = sizeof(*table->members) + sizeof(*table->order);
    size_t size = sizeof(*table) + (table->count + 1) * each;
    if (table->ends != NULL)
        size += table->order_count * sizeof(*table->ends);
    if (table->slots != NULL)
        size += HF_MAGLEV_SLOTS * sizeof(*table->slots);
    return size + table->point_count * sizeof(*table->points);
}
