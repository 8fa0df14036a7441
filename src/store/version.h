/* Which of two copies of a session record is the newer one, what a node holds of it, and the
 * digests by which two nodes find out where they differ. Pure.
 * Threads: any. Layer: store. */
#pragma once
#include "base/hash.h"
#include <stdbool.h>
#include <stdint.h>

/* What a node holds of a record. */
enum hf_record_state {
    HF_RECORD_NONE,
    HF_RECORD_OWNER,   /* serves it */
    HF_RECORD_BACKUP,  /* holds a copy that may not be served */
    HF_RECORD_POINTER, /* knows the owner, holds no value */
    HF_RECORD_TOMB,    /* knows that it was deleted */
};
enum { HF_RECORD_STATES = HF_RECORD_TOMB + 1 };

struct hf_version {
    uint32_t epoch;    /* raised by every change of owner; 0 = nothing was ever granted */
    uint32_t sequence; /* raised by every change under this epoch */
    uint32_t birth;    /* epoch under which the record came to be; a tombstone keeps it */
};

/* <0, 0, >0 as copy a is older than, the same as or newer than copy b.
 * A tombstone outlives every copy of what it deleted, whatever a cut-off side made of it: of a
 * tombstone of epoch e and a live record, the record is newer only if it was born after epoch e, in
 * knowledge of the tombstone. Two live records: birth, epoch, sequence. Two tombstones: epoch,
 * sequence. NONE is older than all. One lexicographic key, hence a total order: merges end the same
 * whatever the order in which copies meet. */
int hf_version_compare(enum hf_record_state a_state, struct hf_version a,
                       enum hf_record_state b_state, struct hf_version b);

static inline bool hf_version_equal(struct hf_version a, struct hf_version b)
{
    return a.epoch == b.epoch && a.sequence == b.sequence && a.birth == b.birth;
}

enum { HF_DIGEST_BUCKETS = 1024 }; /* a record's bucket: the low bits of its id's hash */

struct hf_digest {
    uint64_t count; /* records with a value, and tombstones */
    uint64_t sum;   /* modulo 2^64 of hf_digest_of over them; order does not matter */
};

static inline unsigned hf_digest_bucket(uint64_t id_hash)
{
    return (unsigned)(id_hash % HF_DIGEST_BUCKETS);
}

/* A record's share of its bucket's sum. Owner and backups of one version have equal shares; a
 * tombstone has another one than the record it deleted. id_hash: hf_store_hash. */
uint64_t hf_digest_of(uint64_t id_hash, bool tomb, struct hf_version version);

static inline void hf_digest_add(struct hf_digest *digest, uint64_t share)
{
    digest->count++;
    digest->sum += share;
}

static inline void hf_digest_remove(struct hf_digest *digest, uint64_t share)
{
    digest->count--;
    digest->sum -= share;
}
