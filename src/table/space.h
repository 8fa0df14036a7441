/* The memory of a table: buckets of eight places, every key in one of two buckets, no more.
 *
 *   hash (64 bits, keyed) --> shard (high half) --> bucket A (low half), bucket B (mixed)
 *   bucket, 128 bytes:   8 hashes | 8 words      word: expiry 32 | server 16 | check 16
 *
 * The whole hash is kept, so two keys are taken for one only when all 64 bits agree. A new entry
 * goes into the emptier bucket; when both are full of living entries, the one that expires first
 * goes. Never allocates per entry, never moves an entry, never reads a clock. Threads: any. Readers
 * take no lock; writers take the lock of one shard for some ten loads and stores. Layer: table, an
 * inside of it. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HF_SPACE_WAYS = 8,              /* places in a bucket: their hashes fill one cache line */
    HF_SPACE_SHARD_BUCKETS = 16384, /* 2 MiB: one huge page, one lock */
    HF_SPACE_PLACES_PER_100 = 145,  /* places for 100 entries: see docs/table.md */
    HF_SPACE_BUCKETS_MIN = 16,
};

struct hf_space_bucket {
    _Atomic uint64_t hashes[HF_SPACE_WAYS];
    _Atomic uint64_t words[HF_SPACE_WAYS]; /* 0 = free */
} __attribute__((aligned(128)));

struct hf_space_shard {
    pthread_mutex_t lock;     /* writers of its buckets */
    _Atomic uint64_t entries; /* living or not yet swept */
    _Atomic uint64_t inserts, evictions, expired, moves;
} __attribute__((aligned(64)));

struct hf_space {
    uint64_t size;          /* entries it is made for */
    uint32_t shard_count;   /* >= 1 */
    uint32_t shard_buckets; /* >= HF_SPACE_BUCKETS_MIN */
    uint64_t bucket_count;
    void *mapping;                   /* owned */
    struct hf_space_bucket *buckets; /* in the mapping, [bucket_count] */
    struct hf_space_shard *shards;   /* owned, [shard_count] */
    _Atomic uint64_t *dirty;         /* owned, a bit a bucket: differs from what is on disk */
    size_t mapped;                   /* bytes of the buckets */
};

struct hf_space_entry { /* as it leaves memory */
    uint64_t hash;
    uint32_t expiry_s;
    uint16_t server;
};

/* 0, -ENOMEM, or -EINVAL for a size of 0. Touches none of the memory. */
int hf_space_init(struct hf_space *space, uint64_t size);
void hf_space_fini(struct hf_space *space);
/* Makes the pages of one shard present, so that no writer waits for the kernel to clear them. */
void hf_space_populate(struct hf_space *space, uint32_t shard);
/* Gives the memory back while readers may still look: they find nothing from then on. */
void hf_space_drop(struct hf_space *space);
/* The shard and the two buckets of a hash. */
void hf_space_locate(const struct hf_space *space, uint64_t hash, uint64_t ret_buckets[2]);

/* Asks memory for the lines of both buckets and waits for none. */
void hf_space_announce(const struct hf_space *space, uint64_t hash);
/* The server of a living entry, or 0. When less than refresh_s is left of its life, it is prolonged
 * to expiry_s. hash != 0. */
uint16_t hf_space_find(struct hf_space *space, uint64_t hash, uint32_t now_s, uint32_t refresh_s,
                       uint32_t expiry_s);
/* Makes the entry unless it lives; answers whose it is afterwards, which may be another's server.
 * At one moment one caller wins. */
uint16_t hf_space_claim(struct hf_space *space, const struct hf_space_entry *entry, uint32_t now_s);
/* Gives the entry to entry->server if it is `from`'s, or if it is gone; answers whose it is then.
 */
uint16_t hf_space_move(struct hf_space *space, const struct hf_space_entry *entry, uint16_t from,
                       uint32_t now_s);
/* Puts an entry of the disk or of another space: one that is there already stays; one that lives
 * longer is not pushed out for it. `bucket`: where it is wanted, or UINT64_MAX. False: no place. */
bool hf_space_restore(struct hf_space *space, const struct hf_space_entry *entry, uint32_t now_s,
                      uint64_t bucket);
/* Frees what expired in one bucket. */
void hf_space_sweep(struct hf_space *space, uint64_t bucket, uint32_t now_s);
/* The living entries of a bucket, [HF_SPACE_WAYS]; how many. Consistent: under the lock. */
unsigned hf_space_read(struct hf_space *space, uint64_t bucket, uint32_t now_s,
                       struct hf_space_entry *out);
void hf_space_mark(struct hf_space *space, uint64_t bucket);
/* Takes the marks of 64 buckets, from bucket 64 * group. */
uint64_t hf_space_take_marks(struct hf_space *space, uint64_t group);
