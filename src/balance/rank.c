#include "balance/rank.h"
#include "base/assert.h"
#include "base/hash.h"
#include <errno.h>

/* Seeds keep these hashes apart from others taken of the same bytes. Changing one moves every
 * session of every cluster. */
static const uint64_t NODE_SEED = 0x6e6f6465, ID_SEED = 0x73657373, LIST_SEED = 0x6c697374;

static int compare(struct hf_slice a, struct hf_slice b)
{
    size_t shorter = a.size < b.size ? a.size : b.size;
    int order = memcmp(a.bytes, b.bytes, shorter);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* Inserts among the sorted names before; false when it is there already. */
static bool insert(struct hf_rank *rank, struct hf_slice name)
{
    unsigned at = rank->count;
    for (; at > 0; at--) {
        int order = compare(rank->names[at - 1], name);
        if (order == 0)
            return false;
        if (order < 0)
            break;
        rank->names[at] = rank->names[at - 1];
    }
    rank->names[at] = name;
    rank->count++;
    return true;
}

int hf_rank_init(struct hf_rank *rank, const struct hf_slice *names, unsigned count)
{
    if (count == 0 || count > HF_RANK_NODES_MAX)
        return -EINVAL;
    memset(rank, 0, sizeof(*rank));
    for (unsigned i = 0; i < count; i++)
        if (names[i].size == 0 || !insert(rank, names[i]))
            return -EINVAL;
    rank->list = LIST_SEED;
    for (unsigned i = 0; i < count; i++) {
        rank->hashes[i] = hf_hash64(rank->names[i], NODE_SEED);
        rank->list = hf_hash_mix(rank->list, rank->hashes[i]);
    }
    return 0;
}

int hf_rank_number(const struct hf_rank *rank, struct hf_slice name)
{
    for (unsigned i = 0; i < rank->count; i++)
        if (hf_slice_equal(rank->names[i], name))
            return (int)i;
    return -1;
}

uint64_t hf_rank_hash(struct hf_slice id)
{
    return hf_hash64(id, ID_SEED);
}

/* Among the best so far, behind those that score as much. */
static void keep(struct hf_rank_walk *walk, unsigned node)
{
    unsigned at = walk->first_count;
    if (at == HF_RANK_FIRST)
        at--;
    else
        walk->first_count++;
    for (; at > 0 && walk->scores[walk->first[at - 1]] < walk->scores[node]; at--)
        walk->first[at] = walk->first[at - 1];
    walk->first[at] = (uint8_t)node;
}

void hf_rank_walk_init(struct hf_rank_walk *walk, const struct hf_rank *rank, uint64_t id_hash)
{
    REQUIRE(rank->count > 0);
    walk->count = rank->count;
    walk->first_count = walk->given = 0;
    memset(walk->taken, 0, sizeof(walk->taken));
    for (unsigned i = 0; i < rank->count; i++) {
        walk->scores[i] = hf_hash_mix(rank->hashes[i], id_hash);
        if (walk->first_count < HF_RANK_FIRST ||
            walk->scores[i] > walk->scores[walk->first[HF_RANK_FIRST - 1]])
            keep(walk, i);
    }
}

static int best_of_rest(const struct hf_rank_walk *walk)
{
    int best = -1;
    for (unsigned i = 0; i < walk->count; i++) {
        bool taken = walk->taken[i / 64] >> i % 64 & 1;
        if (!taken && (best < 0 || walk->scores[i] > walk->scores[best]))
            best = (int)i;
    }
    return best;
}

int hf_rank_walk_next(struct hf_rank_walk *walk)
{
    int best = walk->given < walk->first_count ? walk->first[walk->given++] : best_of_rest(walk);
    if (best >= 0)
        walk->taken[best / 64] |= 1ull << best % 64;
    return best;
}

unsigned hf_rank_first(const struct hf_rank *rank, uint64_t id_hash, uint8_t *ret_numbers,
                       unsigned count)
{
    struct hf_rank_walk walk;
    unsigned found = 0;
    hf_rank_walk_init(&walk, rank, id_hash);
    while (found < count && found < rank->count)
        ret_numbers[found++] = (uint8_t)hf_rank_walk_next(&walk);
    return found;
}
