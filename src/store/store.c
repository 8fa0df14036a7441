#include "base/assert.h"
#include "store/shard.h"
#include <errno.h>
#include <stdlib.h>

enum {
    PLACES_A_VISIT = 4,   /* buckets looked at for each record asked for */
    LINE = 64,            /* bytes of the processor's cache */
    ANNOUNCED_MAX = 2048, /* bytes; of more the processor sees by itself what is being read */
};

const char *hf_store_status_word(enum hf_store_status status)
{
    static const char *const words[] = {
#define HF_STORE_STATUS_WORD(name, word) word,
        HF_STORE_STATUSES(HF_STORE_STATUS_WORD)
#undef HF_STORE_STATUS_WORD
    };
    REQUIRE((unsigned)status < sizeof(words) / sizeof(words[0]));
    return words[status];
}

static bool valid_limit(size_t memory, enum hf_store_full full)
{
    return memory >= HF_STORE_MEMORY_MIN && memory <= HF_MEMORY_ADDRESSES &&
           (full == HF_STORE_REFUSE || full == HF_STORE_EVICT);
}

int hf_store_new(const struct hf_store_options *options, struct hf_store **ret_store)
{
    if (!valid_limit(options->memory, options->full) || options->value_max > HF_STORE_VALUE_MAX)
        return -EINVAL;
    struct hf_store *store = calloc(1, sizeof(*store));
    if (store == NULL)
        return -ENOMEM;
    store->magic = HF_STORE_MAGIC;
    store->options = *options;
    if (store->options.value_max == 0)
        store->options.value_max = HF_STORE_VALUE_MAX;
    int error = hf_memory_init(&store->memory, options->memory);
    if (error == 0 && !hf_index_init(store))
        error = -ENOMEM;
    if (error != 0) {
        hf_store_free(&store);
        return error;
    }
    store->memory.used += sizeof(*store);
    hf_wheel_init(&store->wheel, options->now_ms);
    hf_rng_seed(&store->rng, hf_store_hash(options->hash_key, HF_SLICE("eviction")));
    *ret_store = store;
    return 0;
}

static void free_records(struct hf_store *store)
{
    for (uint64_t i = 0; store->buckets.size > 0 && i < store->bucket_count; i++) {
        uint32_t *head = (uint32_t *)(void *)store->buckets.bytes + i;
        while (*head != 0) {
            struct hf_record *record = hf_shard_record(store, *head);
            uint64_t hash = hf_store_hash(store->options.hash_key, hf_record_id(record));
            hf_shard_remove(store, head, hash, hf_shard_weigh(store, record));
        }
    }
}

void hf_store_clear(struct hf_store *store)
{
    REQUIRE(HF_MAGIC_OK(store, HF_STORE_MAGIC));
    free_records(store);
}

void hf_store_free(struct hf_store **store_pointer)
{
    struct hf_store *store = *store_pointer;
    if (store == NULL)
        return;
    REQUIRE(HF_MAGIC_OK(store, HF_STORE_MAGIC));
    free_records(store);
    for (unsigned i = 0; i < store->name_count; i++)
        hf_memory_large_release(&store->memory, store->names[i].text);
    hf_memory_table_fini(&store->memory, &store->buckets);
    hf_memory_fini(&store->memory);
    store->magic = 0;
    free(store);
    *store_pointer = NULL;
}

int hf_store_limit(struct hf_store *store, size_t memory, enum hf_store_full full)
{
    REQUIRE(HF_MAGIC_OK(store, HF_STORE_MAGIC));
    if (!valid_limit(memory, full))
        return -EINVAL;
    if (memory > store->memory.addresses)
        return -ENOMEM;
    store->options.memory = store->memory.limit = memory;
    store->options.full = full;
    return 0;
}

void hf_store_stats(const struct hf_store *store, struct hf_store_stats *ret_stats)
{
    *ret_stats = store->stats;
    ret_stats->bytes_used = store->memory.used;
}

const struct hf_digest *hf_store_digests(const struct hf_store *store)
{
    return store->digests;
}

/* ---- looking ---- */

static uint64_t hash_of(const struct hf_store *store, const struct hf_record *record)
{
    return hf_store_hash(store->options.hash_key, hf_record_id(record));
}

/* id_hash: the record's, which whoever looked it up has at hand. */
static void describe(const struct hf_store *store, struct hf_record *record, uint64_t id_hash,
                     uint64_t now_ms, struct hf_store_record *ret_record)
{
    struct hf_entry entry;
    *ret_record = (struct hf_store_record){
        .id = hf_record_id(record),
        .id_hash = id_hash,
        .state = record->state,
        .version = hf_record_version(record),
        .owner = record->owner,
        .key_count = record->key_count,
    };
    if (record->key_count == 0 || record->state == HF_RECORD_TOMB)
        ret_record->deadline_ms = hf_record_load48(record->deadline);
    char *at = hf_record_entries(record);
    for (unsigned i = 0; i < record->key_count; i++) {
        at = hf_entry_read(at, &entry);
        ret_record->alive |=
            !store->names[entry.head.name].satellite && !hf_deadline_due(entry.deadline_ms, now_ms);
        if (record->state != HF_RECORD_TOMB && entry.deadline_ms > ret_record->deadline_ms)
            ret_record->deadline_ms = entry.deadline_ms;
    }
}

static struct hf_record *find_record(const struct hf_store *store, struct hf_slice id,
                                     uint64_t id_hash, uint64_t now_ms)
{
    struct hf_record *record = hf_index_record(store, id, id_hash);
    return record != NULL && !hf_shard_gone(store, record, now_ms) ? record : NULL;
}

bool hf_store_find(const struct hf_store *store, struct hf_slice id, uint64_t id_hash,
                   uint64_t now_ms, struct hf_store_record *ret_record)
{
    struct hf_record *record = find_record(store, id, id_hash, now_ms);
    if (record != NULL)
        describe(store, record, id_hash, now_ms, ret_record);
    return record != NULL;
}

/* A value that was not asked for lately comes from memory line by line, which is much of what
 * reading it costs; asked for at once, all lines come while the reader is still deciding. */
void hf_store_announce(const struct hf_store *store, const struct hf_store_record *found)
{
    const char *block = found->id.bytes - offsetof(struct hf_record, id);
    uint64_t handle = (uint64_t)(block - store->memory.base) / HF_MEMORY_UNIT;
    size_t size = hf_memory_size_at(&store->memory, (uint32_t)handle);
    for (size_t at = LINE; at < size && at < ANNOUNCED_MAX; at += LINE)
        __builtin_prefetch(block + at, 0, 2);
}

bool hf_store_key_at(const struct hf_store *store, struct hf_slice id, uint64_t id_hash,
                     unsigned index, uint64_t now_ms, struct hf_store_key *ret_key)
{
    struct hf_record *record = find_record(store, id, id_hash, now_ms);
    if (record == NULL || index >= record->key_count)
        return false;
    struct hf_entry entry;
    char *at = hf_record_entries(record);
    for (unsigned i = 0; i <= index; i++)
        at = hf_entry_read(at, &entry);
    const struct hf_shard_name *name = &store->names[entry.head.name];
    *ret_key = (struct hf_store_key){
        .id = hf_record_id(record),
        .id_hash = id_hash,
        .prefix = hf_slice(name->text, name->prefix_size),
        .suffix = hf_slice(name->text + name->prefix_size, name->suffix_size),
        .satellite = name->satellite,
    };
    return !hf_deadline_due(entry.deadline_ms, now_ms);
}

/* Visits a bucket; answers how many it has, or -1 when the visitor wants no more. */
static long visit_bucket(const struct hf_store *store, const struct hf_store_scan *scan,
                         uint64_t number)
{
    long count = 0;
    for (uint32_t at = hf_index_bucket(store, number); at != 0; count++) {
        struct hf_record *record = hf_shard_record(store, at);
        struct hf_store_record seen;
        at = record->next;
        if (hf_shard_gone(store, record, scan->now_ms))
            continue;
        describe(store, record, hash_of(store, record), scan->now_ms, &seen);
        if (!scan->visit(scan->user, &seen))
            return -1;
    }
    return count;
}

/* Records only ever move to a bucket of a higher number, so going up misses none. */
void hf_store_scan(const struct hf_store *store, uint64_t *cursor, const struct hf_store_scan *scan)
{
    REQUIRE(HF_MAGIC_OK(store, HF_STORE_MAGIC) && scan->bucket < HF_DIGEST_BUCKETS);
    uint64_t step = scan->bucket < 0 ? 1 : HF_DIGEST_BUCKETS;
    uint64_t number = (scan->bucket < 0 ? 0 : (unsigned)scan->bucket) + *cursor * step;
    uint64_t places = (uint64_t)scan->count * PLACES_A_VISIT;
    uint64_t visited = 0;
    for (; places > 0 && visited < scan->count && number < store->bucket_count; places--) {
        long count = visit_bucket(store, scan, number);
        number += step;
        ++*cursor;
        if (count < 0)
            break;
        visited += (uint64_t)count;
    }
    if (number >= store->bucket_count)
        *cursor = 0;
}

/* ---- one by one: a cursor is a bucket, and what it has been walked up to ---- */

enum { MARK_BITS = 36, AHEAD = 8 };
_Static_assert(HF_SHARD_RECORDS_MAX <= 1 << (64 - MARK_BITS), "a bucket's number fits");

/* Orders the records of a chain, which itself changes its order: the bits of the hash that name no
 * bucket. Two of one chain share them with a probability of 2^-35. Never 0. */
static uint64_t mark_of(uint64_t id_hash)
{
    return (id_hash >> (64 - MARK_BITS + 1)) + 1;
}

/* The first record behind the mark, or NULL. *mark becomes its own, or 0 when no other follows in
 * this bucket: then nobody need look at its chain again. */
static struct hf_record *next_in_bucket(const struct hf_store *store, uint64_t number,
                                        uint64_t *mark, uint64_t now_ms, uint64_t *ret_hash)
{
    struct hf_record *best = NULL;
    uint64_t best_mark = UINT64_MAX;
    unsigned left = 0;
    for (uint32_t at = hf_index_bucket(store, number); at != 0;) {
        struct hf_record *record = hf_shard_record(store, at);
        uint64_t hash = hash_of(store, record), its = mark_of(hash);
        at = record->next;
        if (its <= *mark || hf_shard_gone(store, record, now_ms))
            continue;
        left++;
        if (its >= best_mark)
            continue;
        best = record;
        best_mark = its;
        *ret_hash = hash;
    }
    *mark = left > 1 ? best_mark : 0;
    return best;
}

/* Records lie anywhere: who walks through all would wait for memory at each. */
static void expect(const struct hf_store *store, uint64_t number)
{
    uint32_t at = number < store->bucket_count ? hf_index_bucket(store, number) : 0;
    if (at != 0)
        __builtin_prefetch(hf_shard_record(store, at));
}

bool hf_store_next(const struct hf_store *store, uint64_t *cursor, uint64_t now_ms,
                   struct hf_store_record *ret_record)
{
    REQUIRE(HF_MAGIC_OK(store, HF_STORE_MAGIC));
    uint64_t mark = *cursor & ((UINT64_C(1) << MARK_BITS) - 1);
    for (uint64_t number = *cursor >> MARK_BITS; number < store->bucket_count; number++) {
        uint64_t hash = 0;
        expect(store, number + AHEAD);
        struct hf_record *record = next_in_bucket(store, number, &mark, now_ms, &hash);
        if (record == NULL)
            continue;
        describe(store, record, hash, now_ms, ret_record);
        *cursor = (mark != 0 ? number : number + 1) << MARK_BITS | mark;
        return true;
    }
    *cursor = 0;
    return false;
}
