/* A ring of points (Karger et al., "Consistent hashing and random trees", 1997): a key belongs to
 * the owner of the first point behind it. As in ketama each server has points in proportion to its
 * weight; they are hashes of its id and a number, so they stay when others come and go. */
#include "balance/table_internal.h"

#include "base/assert.h"
#include "base/hash.h"
#include <errno.h>
#include <stdlib.h>

enum { POSITION_BITS = 16 };
#define POSITION_MASK ((1ull << POSITION_BITS) - 1)
_Static_assert((int)HF_BALANCE_CANDIDATES_MAX <= (int)POSITION_MASK, "a position fits beside");

/* A power of two, so that points hardly ever change for all when one server's weight does. */
static uint32_t points_per_weight(const struct hf_balance_table *table)
{
    uint32_t heaviest = 1, points = 1;
    for (unsigned i = 0; i < table->count; i++) {
        if (table->members[i].weight > heaviest)
            heaviest = table->members[i].weight;
    }
    while (points * 2 * heaviest <= HF_RING_POINTS_MAX)
        points *= 2;
    return points;
}

/* By place alone, byte by byte from the least: linear, where comparing would take seconds for a
 * thousand servers. Stable: points that meet stay in the order they came, which is that of the
 * names. The number of passes is even, so the last one writes into `points`. */
static void sort_points(uint64_t *points, uint64_t *spare, uint32_t count)
{
    for (unsigned shift = POSITION_BITS; shift < 64; shift += 8) {
        uint32_t starts[256] = {0}, start = 0;
        for (uint32_t i = 0; i < count; i++)
            starts[points[i] >> shift & 0xff]++;
        for (unsigned byte = 0; byte < 256; byte++) {
            uint32_t size = starts[byte];
            starts[byte] = start;
            start += size;
        }
        for (uint32_t i = 0; i < count; i++)
            spare[starts[points[i] >> shift & 0xff]++] = points[i];
        uint64_t *sorted = spare;
        spare = points;
        points = sorted;
    }
}

static void make_points(struct hf_balance_table *table, uint32_t each)
{
    for (unsigned i = 0; i < table->order_count; i++) {
        const struct hf_balance_member *one = &table->members[table->order[i]];
        for (uint32_t number = 0; number < one->weight * each; number++)
            table->points[table->point_count++] =
                (hf_hash_mix(one->id, number) & ~POSITION_MASK) | table->order[i];
    }
}

int hf_ring_init(struct hf_balance_table *table)
{
    uint32_t each = points_per_weight(table), count = table->places * each;
    table->points = malloc(count * sizeof(*table->points));
    uint64_t *spare = malloc(count * sizeof(*spare));
    bool made = table->points != NULL && spare != NULL;
    if (made) {
        make_points(table, each);
        REQUIRE(table->point_count == count);
        sort_points(table->points, spare, count);
    }
    free(spare);
    return made ? 0 : -ENOMEM;
}

/* The index of the first point at or behind the hash; point_count = round the ring. */
static uint32_t find(const struct hf_balance_table *table, uint64_t hash)
{
    const uint64_t *from = table->points;
    uint64_t wanted = hash & ~POSITION_MASK;
    for (uint32_t left = table->point_count; left > 1;) {
        uint32_t half = left / 2;
        from += from[half - 1] < wanted ? half : 0; /* compiles without a branch to mispredict */
        left -= half;
    }
    return (uint32_t)(from - table->points) + (*from < wanted);
}

/* Any number wraps. */
static unsigned owner_of(const struct hf_balance_table *table, uint32_t point)
{
    return (unsigned)(table->points[point % table->point_count] & POSITION_MASK);
}

unsigned hf_ring_named(const struct hf_balance_table *table, uint64_t hash)
{
    return owner_of(table, find(table, hash));
}

int hf_ring_follow(const struct hf_balance_table *table, uint64_t hash,
                   const struct hf_candidate *candidates)
{
    uint32_t from = find(table, hash);
    for (uint32_t i = 0; i < HF_BALANCE_WALK_MAX; i++) {
        unsigned owner = owner_of(table, from + i);
        if (hf_table_eligible(&candidates[owner]))
            return (int)owner;
    }
    return -1;
}
