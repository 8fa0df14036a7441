/* Who stands behind a session: a fixed order of the configured nodes for each id, the same on
 * every machine whatever the order of its list. For agents, and for proxies that look for copies.
 * Source: rendezvous hashing, Thaler and Ravishankar 1998: a node that comes or goes moves its own
 * share of the ids and no other. Pure; never knows who is alive.
 * Threads: a hf_rank is immutable after init; a walk belongs to one. Layer: balance. */
#pragma once
#include "base/slice.h"
#include <stdint.h>

enum {
    HF_RANK_NODES_MAX = 128,
    HF_RANK_WORDS = HF_RANK_NODES_MAX / 64, /* of a set of nodes: a bit each */
    HF_RANK_FIRST = 4,                      /* nodes that a walk finds at once */
};

struct hf_rank {
    unsigned count;
    struct hf_slice names[HF_RANK_NODES_MAX]; /* sorted by bytes; borrowed as long as the rank */
    uint64_t hashes[HF_RANK_NODES_MAX];
    uint64_t list; /* names the list: equal lists, in any order, have equal numbers */
};

/* Nodes are known by number from here on: their place among the sorted names. 0, or -EINVAL: no
 * name, more than HF_RANK_NODES_MAX, an empty name or one given twice. Names stay the caller's. */
int hf_rank_init(struct hf_rank *rank, const struct hf_slice *names, unsigned count);
/* The number of a name, or -1. */
int hf_rank_number(const struct hf_rank *rank, struct hf_slice name);
/* What a session id is ranked by; stable over releases and machines. */
uint64_t hf_rank_hash(struct hf_slice id);

/* How long such nodes promise not to take each other for dead, in ms: a second of up to 32, and as
 * much longer as there are more of them, two at most. */
unsigned hf_rank_lease_ms(unsigned nodes);
/* Whether a set of nodes has any. */
bool hf_rank_any(const uint64_t set[HF_RANK_WORDS]);
/* The node with the higher one stands before. */
uint64_t hf_rank_score(const struct hf_rank *rank, unsigned node, uint64_t id_hash);

struct hf_rank_walk {            /* yields every node once, best first */
    unsigned first_count, given; /* of those found at once */
    uint8_t first[HF_RANK_FIRST];
    uint64_t left[HF_RANK_WORDS]; /* nodes that were not found yet */
    uint64_t scores[HF_RANK_NODES_MAX];
};

void hf_rank_walk_init(struct hf_rank_walk *walk, const struct hf_rank *rank, uint64_t id_hash);
/* Over some of the nodes: those that are missing cost nothing. */
void hf_rank_walk_init_among(struct hf_rank_walk *walk, const struct hf_rank *rank,
                             uint64_t id_hash, const uint64_t among[HF_RANK_WORDS]);
/* The next node's number, or -1 after the last. O(nodes) for each HF_RANK_FIRST. */
int hf_rank_walk_next(struct hf_rank_walk *walk);
/* The first `count` of the order; answers how many there were. */
unsigned hf_rank_first(const struct hf_rank *rank, uint64_t id_hash, uint8_t *ret_numbers,
                       unsigned count);
