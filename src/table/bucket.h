/* Words of a bucket and what the files of a space share. Threads: as space.h says. Layer: table, an
 * inside of it. */
#pragma once
#include "table/space.h"

static inline uint16_t hf_bucket_check(uint64_t hash)
{
    return (uint16_t)(hash >> 24);
}

static inline uint32_t hf_bucket_expiry(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

static inline uint16_t hf_bucket_server(uint64_t word)
{
    return (uint16_t)(word >> 16);
}

static inline uint64_t hf_bucket_word(const struct hf_space_entry *entry)
{
    return (uint64_t)entry->expiry_s << 32 | (uint64_t)entry->server << 16 |
           hf_bucket_check(entry->hash);
}

/* Where a hash may be: two buckets of one shard. */
struct hf_bucket_home {
    uint64_t shard, buckets[2];
};

static inline struct hf_bucket_home hf_bucket_home(const struct hf_space *space, uint64_t hash)
{
    uint64_t each = space->shard_buckets;
    uint64_t shard = (hash >> 32) * space->shard_count >> 32;
    uint64_t mixed = (hash ^ hash >> 29) * 0xbf58476d1ce4e5b9u;
    uint64_t a = (hash & UINT32_MAX) * each >> 32;
    uint64_t b = (mixed >> 32) * each >> 32;
    if (a == b)
        b = a + 1 < each ? a + 1 : 0;
    return (struct hf_bucket_home){.shard = shard, .buckets = {shard * each + a, shard * each + b}};
}

static inline struct hf_space_shard *hf_bucket_shard(const struct hf_space *space, uint64_t bucket)
{
    return &space->shards[bucket / space->shard_buckets];
}

/* Only writers change a shard's counters, under its lock: a load and a store are enough. */
static inline void hf_bucket_count(_Atomic uint64_t *counter, uint64_t by)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + by, memory_order_relaxed);
}
