/* What the files of this folder share of a shard: its parts, its index, its wheel, its names.
 * Threads: the shard's. Layer: store. */
#pragma once
#include "base/rng.h"
#include "store/fields.h"
#include "store/record.h"

enum {
    HF_WHEEL_LEVELS = 4,
    HF_WHEEL_SLOTS = 64,
    HF_WHEEL_TICK_BITS = 8, /* a tick is 256 ms; the levels span 16 s, 17 min, 19 h, 50 d */
    HF_WHEEL_LEVEL_BITS = 6,
    HF_SHARD_USED_BITS = 10, /* hf_record.used counts 1,024 ms */
    HF_SHARD_RECORDS_MAX = 1 << 28,
};

struct hf_wheel {      /* when records want to be looked at; see wheel.c */
    uint64_t position; /* ticks: the next one to look at */
    uint64_t armed;    /* records in it */
    uint32_t heads[HF_WHEEL_LEVELS * HF_WHEEL_SLOTS]; /* handles */
};

struct hf_shard_name {
    char *text; /* owned: prefix, then suffix */
    uint8_t prefix_size, suffix_size;
    bool satellite;
};

enum { HF_STORE_MAGIC = 0x73746f72 };

struct hf_store {
    uint32_t magic;
    struct hf_store_options options;
    struct hf_memory memory;
    struct hf_memory_table buckets; /* uint32_t: handle of the first record */
    uint64_t bucket_count;          /* grows by one; see index.c */
    uint64_t cas;                   /* the last one given */
    struct hf_wheel wheel;
    struct hf_rng rng; /* samples for eviction */
    struct hf_store_stats stats;
    unsigned name_count;
    struct hf_shard_name names[HF_STORE_NAMES_MAX];
    struct hf_digest digests[HF_DIGEST_BUCKETS];
    char scratch[HF_RECORD_INLINE_MAX]; /* a record that replaces itself */
    char packed[HF_FIELDS_PACKED_MAX];  /* a hash that an edit composed */
};

static inline struct hf_record *hf_shard_record(const struct hf_store *store, uint32_t handle)
{
    return hf_memory_at(&store->memory, handle);
}

/* Bytes that a change may make the shard use: the reserve is for records that exist. */
size_t hf_shard_limit(const struct hf_store *store, bool exists);

/* ---- index.c ---- */

/* The link that names the record (a bucket, or the `next` of the one before it), or the one at the
 * end of the chain, which is 0. Valid until the next insertion, removal or packing. */
uint32_t *hf_index_find(const struct hf_store *store, struct hf_slice id, uint64_t id_hash);
/* The record of that id, whatever its state, or NULL. */
struct hf_record *hf_index_record(const struct hf_store *store, struct hf_slice id,
                                  uint64_t id_hash);
void hf_index_insert(struct hf_store *store, uint32_t handle, uint64_t id_hash);
/* Takes out what the link names. */
void hf_index_remove(struct hf_store *store, uint32_t *link);
static inline uint32_t hf_index_bucket(const struct hf_store *store, uint64_t number)
{
    return ((const uint32_t *)store->buckets.bytes)[number];
}
bool hf_index_init(struct hf_store *store);

/* ---- wheel.c ---- */

/* Wants the record looked at when due_ms has passed. Moving to a later time is found out when the
 * earlier comes. HF_DEADLINE_NEVER: not at all. */
void hf_wheel_arm(struct hf_store *store, uint32_t handle, uint64_t due_ms);
void hf_wheel_disarm(struct hf_store *store, uint32_t handle);
/* The record's block is now at `to`, copied already. */
void hf_wheel_follow(struct hf_store *store, uint32_t to);
/* The next record that may be due at now_ms, taken out of the wheel; 0 = none, or *budget, which
 * steps and records use up, is over. */
uint32_t hf_wheel_pop(struct hf_store *store, uint64_t now_ms, unsigned *budget);
void hf_wheel_init(struct hf_wheel *wheel, uint64_t now_ms);

/* ---- names ---- */

/* Index of the pair, or -1. */
int hf_shard_name_find(const struct hf_store *store, const struct hf_store_key *key);
/* Interns it. OK, TOO_MANY, TOO_LARGE, FULL. */
enum hf_store_status hf_shard_name_add(struct hf_store *store, const struct hf_store_key *key,
                                       uint8_t *ret_name);

/* ---- records ---- */

/* Whether the record holds nothing any more at now_ms, by the rules of its role. */
bool hf_shard_gone(const struct hf_store *store, struct hf_record *record, uint64_t now_ms);
/* When the record is to be looked at next. */
uint64_t hf_shard_due(const struct hf_store *store, struct hf_record *record);
struct hf_shard_weight {
    uint64_t keys, bytes; /* as hf_store_stats counts them */
};
struct hf_shard_weight hf_shard_weigh(const struct hf_store *store, struct hf_record *record);
/* Takes the record that the link names out of everything and frees it. `weight` is what it
 * was counted with. */
void hf_shard_remove(struct hf_store *store, uint32_t *link, uint64_t id_hash,
                     struct hf_shard_weight weight);
/* The same, when the store itself decides: counted and told. */
void hf_shard_drop(struct hf_store *store, uint32_t *link, uint64_t id_hash,
                   enum hf_store_drop why);
/* Adds (or takes away) a record's share of digests and counts of records. */
void hf_shard_count(struct hf_store *store, struct hf_record *record, uint64_t id_hash, bool add);
/* Frees what an entry points at, if it does. */
void hf_shard_free_value(struct hf_store *store, const struct hf_entry *entry);
/* hf_memory_moved_fn; user is the store. */
void hf_shard_moved(void *user, uint32_t from, uint32_t to);
/* After a FULL: gives back, packs or evicts, never the record of that hash. False: in vain. */
bool hf_shard_make_room(struct hf_store *store, uint64_t spare_hash);
/* While more is used than a limit that was lowered: packs, gives back, evicts if that is allowed.
 * `budget`: blocks looked at. True: there is more to do. */
bool hf_shard_shrink(struct hf_store *store, unsigned budget);
/* Entry of a key in a record that is there. Answers false when it has none, or it is due. */
bool hf_shard_entry(const struct hf_store *store, struct hf_record *record,
                    const struct hf_store_key *key, uint64_t now_ms, struct hf_entry *ret_entry);
/* What serving a read means: the entry of a key in a record that is ours (a satellite's also in a
 * tombstone). OK, MISSING, NOT_OWNER. Notes the access. */
enum hf_store_status hf_shard_read(struct hf_store *store, const struct hf_store_key *key,
                                   uint64_t now_ms, struct hf_entry *ret_entry);
/* Bytes of fields and values, or of a string. */
uint64_t hf_shard_entry_bytes(const struct hf_entry *entry);
static inline uint32_t hf_shard_used(uint64_t now_ms)
{
    return (uint32_t)(now_ms >> HF_SHARD_USED_BITS);
}
/* Walks everything and aborts where something does not fit. Tests. */
void hf_shard_check(struct hf_store *store);
