#include "base/assert.h"
#include "store/edit.h"
#include <stdlib.h>

enum {
    TRIM_A_TICK = 2, /* empty spans given back: each is a system call */
    MOVE_COST = 4,   /* records that expire in the time that a block takes to move */
    SPANS_KEPT = 16, /* empty spans that stay: 1 MiB */
};

/* Taking the record apart is what purges it; there is nothing more to edit. */
static enum hf_store_status edit_purge(struct hf_edit *edit, void *args)
{
    (void)edit;
    (void)args;
    return HF_STORE_OK;
}

/* The record was due when it was put into the wheel; it may have got more time since. */
static void look_at(struct hf_store *store, uint32_t handle, uint64_t now_ms)
{
    struct hf_record *record = hf_shard_record(store, handle);
    uint64_t due_ms = hf_shard_due(store, record);
    if (!hf_deadline_due(due_ms, now_ms)) {
        hf_wheel_arm(store, handle, due_ms);
        return;
    }
    char id[HF_STORE_ID_MAX];
    struct hf_store_key key = {.id = hf_slice(id, record->id_size)};
    memcpy(id, record->id, record->id_size);
    key.id_hash = hf_store_hash(store->options.hash_key, key.id);
    if (hf_shard_gone(store, record, now_ms)) {
        hf_shard_drop(store, hf_index_find(store, key.id, key.id_hash), key.id_hash,
                      HF_STORE_EXPIRED);
        return;
    }
    /* It gets smaller, so at worst its own block will do. */
    enum hf_store_status status = hf_edit_run_record(store, &key, now_ms, edit_purge, NULL);
    REQUIRE(status == HF_STORE_OK);
}

bool hf_store_tick(struct hf_store *store, uint64_t now_ms, unsigned budget)
{
    REQUIRE(HF_MAGIC_OK(store, HF_STORE_MAGIC));
    unsigned left = budget;
    for (uint32_t handle; (handle = hf_wheel_pop(store, now_ms, &left)) != 0;)
        look_at(store, handle, now_ms);
    unsigned moves = (left + MOVE_COST - 1) / MOVE_COST;
    bool packing = hf_memory_pack(&store->memory, moves, false, hf_shard_moved, store);
    hf_memory_trim(&store->memory, TRIM_A_TICK, SPANS_KEPT);
    bool shrinking = hf_shard_shrink(store, moves);
    return left == 0 || packing || shrinking || store->memory.idle_count > SPANS_KEPT;
}

/* ---- tests ---- */

struct totals {
    struct hf_store_stats stats;
    struct hf_digest digests[HF_DIGEST_BUCKETS];
    uint64_t armed;
};

static void add_record(const struct hf_store *store, struct totals *totals, uint32_t handle)
{
    struct hf_record *record = hf_shard_record(store, handle);
    struct hf_slice id = hf_record_id(record);
    uint64_t hash = hf_store_hash(store->options.hash_key, id);
    REQUIRE(*hf_index_find(store, id, hash) == handle);
    REQUIRE(record->state > HF_RECORD_NONE && record->state < HF_RECORD_STATES);
    struct hf_shard_weight weight = hf_shard_weigh(store, record);
    totals->stats.records[record->state]++;
    totals->stats.records[HF_RECORD_NONE]++;
    totals->stats.keys += weight.keys;
    totals->stats.bytes_logical += weight.bytes;
    totals->armed += record->wheel_armed;
    REQUIRE(record->wheel_armed || hf_shard_due(store, record) == HF_DEADLINE_NEVER);
    bool tomb = record->state == HF_RECORD_TOMB;
    if (tomb || (record->key_count > 0 && record->state != HF_RECORD_POINTER))
        hf_digest_add(&totals->digests[hf_digest_bucket(hash)],
                      hf_digest_of(hash, tomb, hf_record_version(record)));
}

void hf_shard_check(struct hf_store *store)
{
    struct totals *totals = calloc(1, sizeof(*totals));
    REQUIRE(totals != NULL);
    hf_memory_check(&store->memory);
    for (uint64_t i = 0; i < store->bucket_count; i++)
        for (uint32_t at = hf_index_bucket(store, i); at != 0;
             at = hf_shard_record(store, at)->next)
            add_record(store, totals, at);
    const struct hf_store_stats *stats = &totals->stats;
    REQUIRE(memcmp(stats->records, store->stats.records, sizeof(stats->records)) == 0);
    REQUIRE(stats->keys == store->stats.keys);
    REQUIRE(stats->bytes_logical == store->stats.bytes_logical);
    REQUIRE(totals->armed == store->wheel.armed);
    REQUIRE(memcmp(totals->digests, store->digests, sizeof(totals->digests)) == 0);
    free(totals);
}
