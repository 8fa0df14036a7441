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

unsigned hf_rank_lease_ms(unsigned nodes)
{
    enum { LEAST_MS = 1000, MOST_MS = 2000, NODES_OF_LEAST = 32 };
    unsigned lease_ms = LEAST_MS * nodes / NODES_OF_LEAST;
    lease_ms = lease_ms > LEAST_MS ? lease_ms : LEAST_MS;
    return lease_ms < MOST_MS ? lease_ms : MOST_MS;
}

bool hf_rank_any(const uint64_t set[HF_RANK_WORDS])
{
    uint64_t some = 0;
    for (unsigned word = 0; word < HF_RANK_WORDS; word++)
        some |= set[word];
    return some != 0;
}

uint64_t hf_rank_score(const struct hf_rank *rank, unsigned node, uint64_t id_hash)
{
    return hf_hash_mix(rank->hashes[node], id_hash);
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

/* The best of those that are left. */
static void find_next(struct hf_rank_walk *walk)
{
    walk->first_count = walk->given = 0;
    for (unsigned word = 0; word < HF_RANK_WORDS; word++)
        for (uint64_t left = walk->left[word]; left != 0; left &= left - 1) {
            unsigned i = word * 64 + (unsigned)__builtin_ctzll(left);
            if (walk->first_count < HF_RANK_FIRST ||
                walk->scores[i] > walk->scores[walk->first[HF_RANK_FIRST - 1]])
                keep(walk, i);
        }
    for (unsigned i = 0; i < walk->first_count; i++)
        walk->left[walk->first[i] / 64] &= ~(1ull << walk->first[i] % 64);
}

void hf_rank_walk_init_among(struct hf_rank_walk *walk, const struct hf_rank *rank,
                             uint64_t id_hash, const uint64_t among[HF_RANK_WORDS])
{
    memcpy(walk->left, among, sizeof(walk->left));
    for (unsigned word = 0; word < HF_RANK_WORDS; word++)
        for (uint64_t left = walk->left[word]; left != 0; left &= left - 1) {
            unsigned i = word * 64 + (unsigned)__builtin_ctzll(left);
            walk->scores[i] = hf_rank_score(rank, i, id_hash);
        }
    find_next(walk);
}

void hf_rank_walk_init(struct hf_rank_walk *walk, const struct hf_rank *rank, uint64_t id_hash)
{
    uint64_t all[HF_RANK_WORDS] = {0};
    REQUIRE(rank->count > 0);
    for (unsigned i = 0; i < rank->count; i++)
        all[i / 64] |= 1ull << i % 64;
    hf_rank_walk_init_among(walk, rank, id_hash, all);
}

int hf_rank_walk_next(struct hf_rank_walk *walk)
{
    if (walk->given == walk->first_count)
        find_next(walk);
    return walk->given < walk->first_count ? walk->first[walk->given++] : -1;
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
