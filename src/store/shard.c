#include "store/shard.h"
#include "base/assert.h"

enum {
    PERCENT = 100,
    PACK_ROUND = 128,     /* blocks moved before looking whether a span came free */
    PACK_ROUNDS_MAX = 32, /* 4,096 blocks: a few milliseconds at worst; usually one round does */
    TRIM_A_STEP = 2,      /* spans given back at once: each is a system call */
    SAMPLE_RECORDS = 32,  /* of which the longest idle one is evicted */
    SAMPLE_BUCKETS_MAX = 256,
    EVICT_BATCH = 8, /* at least, so that not each write of a full store evicts */
    EVICT_MAX = 256, /* at most at once: about a millisecond */
};

size_t hf_shard_limit(const struct hf_store *store, bool exists)
{
    size_t memory = store->options.memory;
    if (exists || store->options.full == HF_STORE_EVICT)
        return memory;
    return memory - memory / PERCENT * HF_STORE_RESERVE_PERCENT;
}

/* ---- names ---- */

static bool is_name(const struct hf_shard_name *name, const struct hf_store_key *key)
{
    if (name->prefix_size != key->prefix.size || name->suffix_size != key->suffix.size)
        return false;
    return (name->prefix_size == 0 ||
            memcmp(name->text, key->prefix.bytes, key->prefix.size) == 0) &&
           (name->suffix_size == 0 ||
            memcmp(name->text + name->prefix_size, key->suffix.bytes, key->suffix.size) == 0);
}

int hf_shard_name_find(const struct hf_store *store, const struct hf_store_key *key)
{
    for (unsigned i = 0; i < store->name_count; i++)
        if (is_name(&store->names[i], key))
            return (int)i;
    return -1;
}

enum hf_store_status hf_shard_name_add(struct hf_store *store, const struct hf_store_key *key,
                                       uint8_t *ret_name)
{
    int known = hf_shard_name_find(store, key);
    if (known >= 0) {
        store->names[known].satellite = key->satellite;
        *ret_name = (uint8_t)known;
        return HF_STORE_OK;
    }
    if (key->prefix.size > HF_STORE_AFFIX_MAX || key->suffix.size > HF_STORE_AFFIX_MAX)
        return HF_STORE_TOO_LARGE;
    if (store->name_count == HF_STORE_NAMES_MAX)
        return HF_STORE_TOO_MANY;
    size_t size = key->prefix.size + key->suffix.size;
    char *text = hf_memory_large_acquire(&store->memory, size + 1, store->options.memory);
    if (text == NULL)
        return HF_STORE_FULL;
    if (key->prefix.size > 0)
        memcpy(text, key->prefix.bytes, key->prefix.size);
    if (key->suffix.size > 0)
        memcpy(text + key->prefix.size, key->suffix.bytes, key->suffix.size);
    *ret_name = (uint8_t)store->name_count;
    store->names[store->name_count++] = (struct hf_shard_name){
        .text = text,
        .prefix_size = (uint8_t)key->prefix.size,
        .suffix_size = (uint8_t)key->suffix.size,
        .satellite = key->satellite,
    };
    return HF_STORE_OK;
}

bool hf_shard_entry(const struct hf_store *store, struct hf_record *record,
                    const struct hf_store_key *key, uint64_t now_ms, struct hf_entry *ret_entry)
{
    char *at = hf_record_entries(record);
    for (unsigned i = 0; i < record->key_count; i++) {
        at = hf_entry_read(at, ret_entry);
        if (is_name(&store->names[ret_entry->head.name], key))
            return !hf_deadline_due(ret_entry->deadline_ms, now_ms);
    }
    return false;
}

/* ---- deadlines of a record ---- */

static void key_deadlines(struct hf_record *record, uint64_t *ret_first, uint64_t *ret_last)
{
    struct hf_entry entry;
    char *at = hf_record_entries(record);
    *ret_first = HF_DEADLINE_NEVER;
    *ret_last = 0;
    for (unsigned i = 0; i < record->key_count; i++) {
        at = hf_entry_read(at, &entry);
        *ret_first = entry.deadline_ms < *ret_first ? entry.deadline_ms : *ret_first;
        *ret_last = entry.deadline_ms > *ret_last ? entry.deadline_ms : *ret_last;
    }
}

static uint64_t with_grace(const struct hf_store *store, uint64_t deadline_ms)
{
    if (deadline_ms == HF_DEADLINE_NEVER)
        return deadline_ms;
    return hf_deadline_after(deadline_ms, store->options.grace_ms);
}

static bool own_deadline_counts(const struct hf_record *record)
{
    return record->key_count == 0 || record->state == HF_RECORD_TOMB;
}

bool hf_shard_gone(const struct hf_store *store, struct hf_record *record, uint64_t now_ms)
{
    if (own_deadline_counts(record))
        return hf_deadline_due(hf_record_load48(record->deadline), now_ms);
    uint64_t first, last;
    key_deadlines(record, &first, &last);
    if (record->state != HF_RECORD_OWNER)
        last = with_grace(store, last);
    return hf_deadline_due(last, now_ms);
}

uint64_t hf_shard_due(const struct hf_store *store, struct hf_record *record)
{
    if (own_deadline_counts(record))
        return hf_record_load48(record->deadline);
    uint64_t first, last;
    key_deadlines(record, &first, &last);
    return record->state == HF_RECORD_OWNER ? first : with_grace(store, last);
}

/* ---- counting ---- */

uint64_t hf_shard_entry_bytes(const struct hf_entry *entry)
{
    if (entry->head.form & HF_ENTRY_INDEXED) {
        const struct hf_fields *fields = (const void *)entry->bytes;
        return hf_fields_live(fields) - (uint64_t)fields->count * HF_FIELDS_HEAD;
    }
    if (!(entry->head.form & HF_ENTRY_HASH))
        return entry->head.size;
    struct hf_slice run = hf_slice(entry->bytes, entry->head.size);
    return run.size - (uint64_t)hf_fields_count(run) * HF_FIELDS_HEAD;
}

struct hf_shard_weight hf_shard_weigh(const struct hf_store *store, struct hf_record *record)
{
    struct hf_shard_weight weight = {.keys = record->key_count};
    struct hf_entry entry;
    char *at = hf_record_entries(record);
    for (unsigned i = 0; i < record->key_count; i++) {
        at = hf_entry_read(at, &entry);
        const struct hf_shard_name *name = &store->names[entry.head.name];
        weight.bytes += name->prefix_size + name->suffix_size + (uint64_t)record->id_size;
        weight.bytes += hf_shard_entry_bytes(&entry);
    }
    return weight;
}

void hf_shard_count(struct hf_store *store, struct hf_record *record, uint64_t id_hash, bool add)
{
    bool tomb = record->state == HF_RECORD_TOMB;
    uint64_t one = add ? 1 : UINT64_MAX;
    store->stats.records[record->state] += one;
    store->stats.records[HF_RECORD_NONE] += one;
    if (!tomb && (record->key_count == 0 || record->state == HF_RECORD_POINTER))
        return;
    uint64_t share = hf_digest_of(id_hash, tomb, hf_record_version(record));
    struct hf_digest *digest = &store->digests[hf_digest_bucket(id_hash)];
    if (add)
        hf_digest_add(digest, share);
    else
        hf_digest_remove(digest, share);
}

/* ---- the end of a record ---- */

void hf_shard_free_value(struct hf_store *store, const struct hf_entry *entry)
{
    if (entry->head.form & HF_ENTRY_INDEXED)
        hf_fields_free(&store->memory, (void *)entry->bytes);
    else if (entry->head.form & HF_ENTRY_LARGE)
        hf_memory_large_release(&store->memory, entry->bytes);
}

void hf_shard_remove(struct hf_store *store, uint32_t *link, uint64_t id_hash,
                     struct hf_shard_weight weight)
{
    uint32_t handle = *link;
    struct hf_record *record = hf_shard_record(store, handle);
    store->stats.keys -= weight.keys;
    store->stats.bytes_logical -= weight.bytes;
    hf_shard_count(store, record, id_hash, false);
    hf_wheel_disarm(store, handle);
    hf_index_remove(store, link);
    struct hf_entry entry;
    char *at = hf_record_entries(record);
    for (unsigned i = 0; i < record->key_count; i++) {
        at = hf_entry_read(at, &entry);
        hf_shard_free_value(store, &entry);
    }
    hf_memory_release(&store->memory, handle);
}

void hf_shard_drop(struct hf_store *store, uint32_t *link, uint64_t id_hash, enum hf_store_drop why)
{
    struct hf_record *record = hf_shard_record(store, *link);
    if (why == HF_STORE_EXPIRED)
        store->stats.expired++;
    else
        store->stats.evicted++;
    if (store->options.dropped != NULL)
        store->options.dropped(store->options.user, why, hf_record_id(record), record->state,
                               hf_record_version(record));
    hf_shard_remove(store, link, id_hash, hf_shard_weigh(store, record));
}

/* ---- room ---- */

void hf_shard_moved(void *user, uint32_t from, uint32_t to)
{
    struct hf_store *store = user;
    struct hf_record *record = hf_shard_record(store, to);
    struct hf_slice id = hf_record_id(record);
    uint32_t *link = hf_index_find(store, id, hf_store_hash(store->options.hash_key, id));
    REQUIRE(*link == from);
    *link = to;
    hf_wheel_follow(store, to);
}

/* A tombstone or a pointer is small and says what must not be forgotten: never evicted. */
static bool evictable(const struct hf_record *record)
{
    return record->key_count > 0 && record->state != HF_RECORD_TOMB;
}

/* Redis' way to be near "longest idle first" without a list: the best of a sample. */
static bool evict_one(struct hf_store *store, uint64_t spare_hash)
{
    uint32_t best = 0, best_used = UINT32_MAX;
    unsigned seen = 0;
    for (unsigned i = 0; i < SAMPLE_BUCKETS_MAX && seen < SAMPLE_RECORDS; i++) {
        uint64_t number = hf_rng_u64(&store->rng) % store->bucket_count;
        for (uint32_t at = hf_index_bucket(store, number); at != 0;) {
            const struct hf_record *record = hf_shard_record(store, at);
            seen += evictable(record);
            if (evictable(record) && record->used <= best_used &&
                hf_store_hash(store->options.hash_key, hf_record_id(record)) != spare_hash) {
                best = at;
                best_used = record->used;
            }
            at = record->next;
        }
    }
    if (best == 0)
        return false;
    struct hf_slice id = hf_record_id(hf_shard_record(store, best));
    uint64_t id_hash = hf_store_hash(store->options.hash_key, id);
    hf_shard_drop(store, hf_index_find(store, id, id_hash), id_hash, HF_STORE_EVICTED);
    return true;
}

/* Bytes in use: what blocks hold, not what spans could. */
static size_t occupied(const struct hf_memory *memory)
{
    return memory->used - memory->slack - (size_t)memory->idle_count * HF_MEMORY_SPAN;
}

static bool evict(struct hf_store *store, size_t wanted, uint64_t spare_hash)
{
    size_t before = occupied(&store->memory);
    unsigned count = 0;
    while (count < EVICT_MAX && evict_one(store, spare_hash))
        if (++count >= EVICT_BATCH && before - occupied(&store->memory) >= wanted)
            break;
    return count > 0;
}

bool hf_shard_shrink(struct hf_store *store, unsigned budget)
{
    struct hf_memory *memory = &store->memory;
    if (memory->used <= memory->limit)
        return false;
    bool packing = hf_memory_pack(memory, budget, true, hf_shard_moved, store);
    hf_memory_trim(memory, TRIM_A_STEP, 0);
    packing |= memory->idle_count > 0;
    if (packing || memory->used <= memory->limit)
        return packing && memory->used > memory->limit;
    return store->options.full == HF_STORE_EVICT && evict(store, HF_MEMORY_SPAN, 0);
}

bool hf_shard_make_room(struct hf_store *store, uint64_t spare_hash)
{
    struct hf_memory *memory = &store->memory;
    unsigned spans = (unsigned)(memory->wanted / HF_MEMORY_SPAN) + 1;
    for (unsigned i = 0; i < PACK_ROUNDS_MAX && memory->idle_count < spans; i++)
        if (!hf_memory_pack(memory, PACK_ROUND, true, hf_shard_moved, store))
            break;
    bool enough = memory->idle_count >= spans, some = memory->idle_count > 0;
    hf_memory_trim(memory, spans, 0);
    if (enough || store->options.full != HF_STORE_EVICT)
        return some;
    return evict(store, memory->wanted, spare_hash) || some;
}
