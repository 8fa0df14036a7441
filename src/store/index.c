/* Linear hashing (Litwin 1980): the table grows by one bucket with each record, by splitting one
 * chain, so no growth is ever a pause. The table never shrinks, and a split moves records to higher
 * buckets only: that is why a scan from the lowest bucket up misses nobody. There are always at
 * least HF_DIGEST_BUCKETS buckets, so a bucket's number ends in its records' digest bucket. */
#include "base/assert.h"
#include "store/shard.h"

static uint32_t *bucket_at(const struct hf_store *store, uint64_t number)
{
    return (uint32_t *)(void *)store->buckets.bytes + number;
}

/* The power of two at or below the number of buckets. */
static uint64_t level_size(const struct hf_store *store)
{
    return UINT64_C(1) << (63 - __builtin_clzll(store->bucket_count));
}

static uint64_t bucket_of(const struct hf_store *store, uint64_t id_hash)
{
    uint64_t size = level_size(store);
    uint64_t number = id_hash & (2 * size - 1);
    return number < store->bucket_count ? number : number & (size - 1);
}

bool hf_index_init(struct hf_store *store)
{
    if (hf_memory_table_init(&store->memory, &store->buckets,
                             HF_SHARD_RECORDS_MAX * sizeof(uint32_t)) != 0)
        return false;
    store->bucket_count = HF_DIGEST_BUCKETS;
    return hf_memory_table_grow(&store->memory, &store->buckets,
                                HF_DIGEST_BUCKETS * sizeof(uint32_t));
}

uint32_t *hf_index_find(const struct hf_store *store, struct hf_slice id, uint64_t id_hash)
{
    uint32_t *link = bucket_at(store, bucket_of(store, id_hash));
    while (*link != 0) {
        struct hf_record *record = hf_shard_record(store, *link);
        if (record->id_size == id.size && memcmp(record->id, id.bytes, id.size) == 0)
            break;
        link = &record->next;
    }
    return link;
}

struct hf_record *hf_index_record(const struct hf_store *store, struct hf_slice id,
                                  uint64_t id_hash)
{
    REQUIRE(HF_MAGIC_OK(store, HF_STORE_MAGIC));
    SLOW_CHECK(id_hash == hf_store_hash(store->options.hash_key, id));
    uint32_t handle = *hf_index_find(store, id, id_hash);
    return handle != 0 ? hf_shard_record(store, handle) : NULL;
}

/* Makes one bucket more. Without memory for it the chains grow instead. */
static void split(struct hf_store *store)
{
    uint64_t fresh = store->bucket_count;
    uint64_t size = level_size(store);
    if (fresh == HF_SHARD_RECORDS_MAX ||
        !hf_memory_table_grow(&store->memory, &store->buckets, (fresh + 1) * sizeof(uint32_t)))
        return;
    uint32_t *stay = bucket_at(store, fresh - size), *go = bucket_at(store, fresh);
    for (uint32_t handle = *stay; handle != 0;) {
        struct hf_record *record = hf_shard_record(store, handle);
        uint32_t next = record->next;
        uint64_t hash = hf_store_hash(store->options.hash_key, hf_record_id(record));
        uint32_t **end = hash & size ? &go : &stay;
        **end = handle;
        *end = &record->next;
        handle = next;
    }
    *stay = *go = 0;
    store->bucket_count++;
}

void hf_index_insert(struct hf_store *store, uint32_t handle, uint64_t id_hash)
{
    if (store->stats.records[HF_RECORD_NONE] > store->bucket_count)
        split(store);
    uint32_t *head = bucket_at(store, bucket_of(store, id_hash));
    hf_shard_record(store, handle)->next = *head;
    *head = handle;
}

void hf_index_remove(struct hf_store *store, uint32_t *link)
{
    REQUIRE(*link != 0);
    *link = hf_shard_record(store, *link)->next;
}
