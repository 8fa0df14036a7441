/* Hashing a client's key to a server: what mod N, maglev, ring, rendezvous and jump precompute over
 * a pool's servers. Immutable once made; the key's hash names a server, and when that one cannot
 * take the client a fixed sequence goes on, so that nobody else moves. Never sees a pool, a request
 * or a clock. Threads: any may read. Layer: balance. */
#pragma once
#include "balance/balance.h"
#include <stddef.h>

/* MOD         the textbook form; nearly all clients move when a server comes or goes
 * MAGLEV      Eisenbud et al. 2016: O(1), very even, few more move than must
 * RING        Karger et al. 1997, points as in ketama: only those move that must
 * RENDEZVOUS  Thaler, Ravishankar 1998: exact, O(servers)
 * JUMP        Lamping, Veach 2014: exact and without memory, grows and shrinks at the end only */
enum hf_hash {
#define HF_HASH_ROW(id, ...) HF_HASH_##id,
#include "balance/algorithms.def"
#undef HF_HASH_ROW
    HF_HASH_COUNT
};
const char *hf_balance_hash_word(enum hf_hash hash);

enum {
    HF_MAGLEV_SLOTS = 65537,   /* prime; 2 bytes each. 64 a server at HF_BALANCE_CANDIDATES_MAX */
    HF_RING_POINTS_MAX = 2048, /* of the heaviest server; 8 bytes each. Shares deviate by
                                  1 / sqrt(points) (docs/affinity.md has what was measured) */
    HF_BALANCE_WALK_MAX = 64,  /* tries in the key's own sequence; then rendezvous decides */
};

struct hf_balance_member { /* a server; its position in the list is what is answered */
    uint64_t id;           /* maglev, ring and rendezvous hash it */
    uint32_t weight;       /* 0 = has no place */
    uint32_t rank;         /* of its name: mod and jump count servers by it. Where the list has a
                              server is nothing to any of them; equal ranks go by id */
};

struct hf_balance_table;
/* members: copied; count <= HF_BALANCE_CANDIDATES_MAX, weights <= 256. 0 or -ENOMEM; the caller
 * owns *ret_table. Takes about two tenths of a second for a ring of a thousand: not for a loop. */
int hf_balance_table_new(enum hf_hash kind, const struct hf_balance_member *members, unsigned count,
                         struct hf_balance_table **ret_table);
void hf_balance_table_free(struct hf_balance_table **table);
/* Bytes that it holds. */
size_t hf_balance_table_size(const struct hf_balance_table *table);
/* The position of the member that the hash names, whatever its state; -1 when none has weight.
 * O(1) for mod and maglev, O(log servers) for ring and jump, O(servers) for rendezvous. */
int hf_balance_named(const struct hf_balance_table *table, uint64_t hash);
/* The first of the key's sequence that is usable: the one named; on the ring the owners of the next
 * points; else the hash is mixed and asks again. After HF_BALANCE_WALK_MAX tries, and when members
 * are not usable at all (backups are none), the first usable by rendezvous. -1 when none is.
 * candidates: in the order of the members, of whom there may be `count`. */
int hf_balance_follow(const struct hf_balance_table *table, uint64_t hash,
                      const struct hf_candidate *candidates, unsigned count);
