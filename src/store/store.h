/* The session store: one shard of the records of this node, in memory.
 *
 * A *record* is everything of one session id: version, role of this node, owner, and up to
 * HF_STORE_KEYS_MAX keys. A *key* is named by what stands before and after the id in its text
 * (pattern.h finds both; no pattern matches: the whole text is the id, both are empty), so a value,
 * its lock and its satellites are one record, move together and have one version. A key holds a
 * string, or a hash (field -> string), and has its own deadline. Its CAS number is unique in the
 * shard for ever, so also over deletion.
 *
 * This file knows no protocol and no peer. Who may be served is the caller's question: calls that
 * serve (get, set, ...) answer HF_STORE_NOT_OWNER for a record whose role is not OWNER, except that
 * a key marked `satellite` (a lock) also works on a TOMB record.
 *
 * What a change must tell the holders of copies stands in struct hf_store_change; blob.h makes the
 * bytes. A write of what was there already changes no version and at most the deadline; a deadline
 * that hardly moved (deadline.h) not even that.
 *
 * Memory: options.memory bounds all the store takes from the system, its own tables included.
 * Nothing here grows or expires in one go: one operation costs what its own record costs.
 *
 * Never: reads a clock (all times are arguments), logs, does I/O, serves an expired key.
 * Threads: a shard belongs to one thread, which makes every call; no locks. hf_store_hash picks the
 * shard. Slices that a call answers are borrowed until the next call on the shard that may change
 * it (all but those with a const store). Layer: store. */
#pragma once
#include "base/slice.h"
#include "store/deadline.h"
#include "store/version.h"

enum {
    HF_STORE_ID_MAX = 1024,            /* bytes of an id */
    HF_STORE_AFFIX_MAX = 255,          /* bytes before, and behind, the id in a key's text */
    HF_STORE_KEYS_MAX = 16,            /* keys of one record */
    HF_STORE_NAMES_MAX = 255,          /* different (prefix, suffix) pairs in one shard */
    HF_STORE_VALUE_MAX = 8 << 20,      /* bytes of a string; options may say less */
    HF_STORE_HASH_BYTES_MAX = 1 << 20, /* bytes of all fields and values of a hash */
    HF_STORE_HASH_FIELDS_MAX = 16384,  /* fields of one hash */
    HF_STORE_FIELD_MAX = 65535,        /* bytes of a field's name */
    HF_STORE_MEMORY_MIN = 4 << 20,     /* smallest options.memory of a shard */
    HF_STORE_RESERVE_PERCENT = 3,      /* of memory: kept for records that exist already */
    HF_STORE_TICK_BUDGET = 64,         /* a good one for hf_store_tick: a fraction of 1 ms */
};

/* Why an operation did nothing; a row: enum, word. */
#define HF_STORE_STATUSES(X)                                                                       \
    X(OK, "ok")                                                                                    \
    X(MISSING, "missing")       /* no such key, or it expired */                                   \
    X(NOT_OWNER, "not_owner")   /* the record is here, but in another role */                      \
    X(TOMBSTONE, "tombstone")   /* the session was deleted, and its id may not be used again */    \
    X(EXISTS, "exists")         /* condition: the key must not exist */                            \
    X(MISMATCH, "mismatch")     /* condition: its CAS number is another one */                     \
    X(WRONG_TYPE, "wrong_type") /* a hash where a string is needed, or the other way round */      \
    X(NOT_NUMBER, "not_number") /* the value is no decimal number of that kind */                  \
    X(OVERFLOW, "overflow")     /* the sum has no place in 64 bits */                              \
    X(TOO_LARGE, "too_large")   /* a limit of this header, or options.value_max */                 \
    X(TOO_MANY, "too_many")     /* keys of a record, fields of a hash, names of a shard */         \
    X(FULL, "full")             /* options.memory is used up, or the system has none */            \
    X(OLDER, "older")           /* apply: what is held is newer, or is the same */                 \
    X(NO_BASE, "no_base")       /* apply: a part whose base is not what is held */                 \
    X(BAD, "bad")               /* apply: no valid encoding */

enum hf_store_status {
#define HF_STORE_STATUS_ENUM(name, word) HF_STORE_##name,
    HF_STORE_STATUSES(HF_STORE_STATUS_ENUM)
#undef HF_STORE_STATUS_ENUM
};
const char *hf_store_status_word(enum hf_store_status status);

enum hf_store_full { HF_STORE_REFUSE, HF_STORE_EVICT };
enum hf_store_drop { HF_STORE_EXPIRED, HF_STORE_EVICTED };

struct hf_store;

/* The store itself dropped a whole record. Called from inside an operation: must not call back. */
typedef void (*hf_store_dropped_fn)(void *user, enum hf_store_drop why, struct hf_slice id,
                                    enum hf_record_state state, struct hf_version version);

struct hf_store_options {
    size_t memory;           /* bytes this shard may take from the system; >= ..._MEMORY_MIN */
    size_t value_max;        /* bytes of a string; 0 = HF_STORE_VALUE_MAX */
    enum hf_store_full full; /* REFUSE: new records are refused, the last RESERVE_PERCENT serve
                              * those that exist; EVICT: the records longest idle go first */
    uint64_t grace_ms; /* how long after its deadline a BACKUP stays: only an owner knows whether it
                          was touched */
    uint8_t hash_key[16];        /* secret; the same on all nodes, or digests cannot be compared */
    uint64_t now_ms;             /* monotonic, as in every call */
    hf_store_dropped_fn dropped; /* may be NULL */
    void *user;                  /* for dropped; borrowed as long as the store */
};

/* 0; -EINVAL: an option out of bounds; -ENOMEM. The caller frees. */
int hf_store_new(const struct hf_store_options *options, struct hf_store **ret_store);
void hf_store_free(struct hf_store **store);

/* The hash of an id under that key: names its digest bucket, its place in the index, its shard. */
static inline uint64_t hf_store_hash(const uint8_t hash_key[16], struct hf_slice id)
{
    return hf_hash_keyed(id, hash_key);
}
/* Shard of a hash, in [0, shard_count). Independent of the digest bucket. */
static inline unsigned hf_store_shard(uint64_t id_hash, unsigned shard_count)
{
    return (unsigned)(((id_hash >> 32) * shard_count) >> 32);
}

struct hf_store_key {
    struct hf_slice id;             /* 1 to HF_STORE_ID_MAX bytes */
    uint64_t id_hash;               /* hf_store_hash of it */
    struct hf_slice prefix, suffix; /* the key's text is prefix id suffix; <= AFFIX_MAX each */
    bool satellite;                 /* a lock or the like: not what makes the session live */
};

/* With every call that may change something. */
struct hf_store_write {
    uint64_t now_ms;
    struct hf_version fresh; /* what a record that this call creates starts from: its first version
                              * is fresh with sequence + 1. Never compared with others */
    uint16_t owner;          /* this node's number, kept in a created record */
    bool reuse_tomb;         /* a tombstone may be replaced (`miss`); false = `strict`. Its `fresh`
                              * must be born after the tombstone, else HF_STORE_TOMBSTONE */
};

enum hf_store_effect {                    /* what copies must be told */
                       HF_STORE_NOTHING,  /* version as before */
                       HF_STORE_DEADLINE, /* the key's deadline alone; version raised */
                       HF_STORE_VALUE,    /* the key; version raised */
                       HF_STORE_GONE,     /* the key is gone, the record lives; version raised */
                       HF_STORE_TOMBED,   /* the record is a tombstone now; version raised */
                       HF_STORE_REMOVED,  /* the record is gone without a trace: it had nothing but
                                             this key */
};

struct hf_store_change { /* filled with every status OK */
    enum hf_store_effect effect;
    bool created_record, created_key;
    struct hf_version version; /* after the change; of REMOVED: what it would have got */
    struct hf_version base;    /* before it; epoch 0 and sequence 0: there was no record */
    uint64_t cas;              /* the key's, after the change */
};

enum hf_store_kind { HF_STORE_STRING, HF_STORE_HASH };

struct hf_store_value {
    enum hf_store_kind kind;
    struct hf_slice bytes; /* borrowed, see above; empty for a hash */
    uint32_t flags;        /* memcached's, opaque */
    uint32_t field_count;  /* of a hash */
    uint64_t cas;
    uint64_t deadline_ms; /* or HF_DEADLINE_NEVER */
};

/* ---- strings ---- */

/* OK, MISSING, NOT_OWNER. Notes the access (for eviction). A hash answers OK with its kind. */
enum hf_store_status hf_store_get(struct hf_store *store, const struct hf_store_key *key,
                                  uint64_t now_ms, struct hf_store_value *ret_value);

enum hf_store_when { HF_STORE_ALWAYS, HF_STORE_IF_NEW, HF_STORE_IF_EXISTS, HF_STORE_IF_CAS };

struct hf_store_set {
    struct hf_slice value; /* may not lie in the store */
    uint32_t flags;
    enum hf_store_when when;
    uint64_t cas;         /* for IF_CAS */
    bool keep_deadline;   /* of the key that is there; else: */
    uint64_t deadline_ms; /* absolute; one that is due stores nothing and deletes the key */
    bool keep_flags;
};
/* OK, EXISTS, MISSING (IF_EXISTS, IF_CAS), MISMATCH, NOT_OWNER, TOMBSTONE, TOO_LARGE, TOO_MANY,
 * FULL. Replaces a hash. On any but OK nothing changed. */
enum hf_store_status hf_store_set(struct hf_store *store, const struct hf_store_key *key,
                                  const struct hf_store_set *set,
                                  const struct hf_store_write *write,
                                  struct hf_store_change *ret_change);

enum hf_store_end { HF_STORE_APPEND, HF_STORE_PREPEND };
struct hf_store_extend {
    struct hf_slice bytes;
    enum hf_store_end end;
    bool create;  /* a missing key is made of the bytes, without deadline (Redis); else MISSING */
    uint64_t cas; /* 0 = any */
};
/* Flags and deadline stay. *ret_size: bytes of the value afterwards. */
enum hf_store_status hf_store_extend(struct hf_store *store, const struct hf_store_key *key,
                                     const struct hf_store_extend *extend,
                                     const struct hf_store_write *write,
                                     struct hf_store_change *ret_change);

enum hf_store_sum {
    HF_STORE_SIGNED,   /* signed 64 bit, OVERFLOW beyond; a missing key counts as 0 (Redis) */
    HF_STORE_INCREASE, /* unsigned, wraps at 2^64; MISSING (memcached) */
    HF_STORE_DECREASE, /* unsigned, stops at 0; MISSING (memcached) */
};
struct hf_store_add {
    enum hf_store_sum sum;
    uint64_t amount; /* SIGNED: two's complement */
    bool create;     /* INCREASE, DECREASE: a missing key becomes: */
    uint64_t initial;
    uint64_t deadline_ms; /* of a created key */
    uint64_t cas;         /* 0 = any */
    uint64_t result;      /* out */
};
enum hf_store_status hf_store_add(struct hf_store *store, const struct hf_store_key *key,
                                  struct hf_store_add *add, const struct hf_store_write *write,
                                  struct hf_store_change *ret_change);

/* Moves a key's deadline; HF_DEADLINE_NEVER persists it, one that is due deletes the key without a
 * tombstone. OK, MISSING, NOT_OWNER. */
enum hf_store_status hf_store_expire(struct hf_store *store, const struct hf_store_key *key,
                                     uint64_t deadline_ms, const struct hf_store_write *write,
                                     struct hf_store_change *ret_change);

struct hf_store_delete {
    uint64_t cas;     /* 0 = any; else MISMATCH */
    uint64_t tomb_ms; /* how long a tombstone stays; 0 = none. With one, the session is over: all
                       * keys of the record go but its satellites, and the version is raised */
};
/* OK, MISSING, MISMATCH, NOT_OWNER. Without a tombstone a record that has no key left is removed.
 */
enum hf_store_status hf_store_delete(struct hf_store *store, const struct hf_store_key *key,
                                     const struct hf_store_delete *how,
                                     const struct hf_store_write *write,
                                     struct hf_store_change *ret_change);

/* ---- hashes ---- */

struct hf_store_field {
    struct hf_slice name; /* may be empty */
    struct hf_slice value;
};

/* One field. OK, MISSING, WRONG_TYPE, NOT_OWNER. */
enum hf_store_status hf_store_hash_get(struct hf_store *store, const struct hf_store_key *key,
                                       struct hf_slice field, uint64_t now_ms,
                                       struct hf_slice *ret_value);

struct hf_store_cursor { /* zeroed = at the first field; valid as long as slices are */
    uint32_t at;
};
/* Every field once, in no order to rely on. True: *ret_field is the next one. False: none left, or
 * the key is missing, expired, a string, or not ours (hash_get or get says which). */
bool hf_store_hash_next(const struct hf_store *store, const struct hf_store_key *key,
                        uint64_t now_ms, struct hf_store_cursor *cursor,
                        struct hf_store_field *ret_field);

struct hf_store_hash_set {
    const struct hf_store_field *fields;
    uint32_t field_count; /* 1 to HF_STORE_HASH_FIELDS_MAX */
    bool only_new;        /* HSETNX: EXISTS when one of them is there */
    uint32_t created;     /* out: fields that were not there */
};
/* A missing key becomes a hash without deadline. OK, WRONG_TYPE and what hf_store_set answers. */
enum hf_store_status hf_store_hash_set(struct hf_store *store, const struct hf_store_key *key,
                                       struct hf_store_hash_set *set,
                                       const struct hf_store_write *write,
                                       struct hf_store_change *ret_change);

struct hf_store_hash_delete {
    const struct hf_slice *fields;
    uint32_t field_count;
    uint64_t tomb_ms; /* as hf_store_delete, when the last field goes: a hash is never empty */
    uint32_t deleted; /* out */
};
enum hf_store_status hf_store_hash_delete(struct hf_store *store, const struct hf_store_key *key,
                                          struct hf_store_hash_delete *how,
                                          const struct hf_store_write *write,
                                          struct hf_store_change *ret_change);
/* HINCRBY: a missing field counts as 0. *add uses SIGNED, amount and result alone. */
enum hf_store_status hf_store_hash_add(struct hf_store *store, const struct hf_store_key *key,
                                       struct hf_slice field, struct hf_store_add *add,
                                       const struct hf_store_write *write,
                                       struct hf_store_change *ret_change);

/* ---- records, for the fabric ---- */

struct hf_store_record {
    struct hf_slice id; /* borrowed */
    uint64_t id_hash;
    enum hf_record_state state;
    struct hf_version version;
    uint16_t owner;
    uint8_t key_count;    /* expired ones that were not purged yet included */
    bool alive;           /* some key that is no satellite has not expired */
    uint64_t deadline_ms; /* the last of its keys'; of a TOMB or POINTER its own */
};

/* The record in whatever role. False: none, or everything of it expired (of a BACKUP: and its grace
 * is over). now_ms 0: as long as it has not been dropped. Does not note an access. */
bool hf_store_find(const struct hf_store *store, struct hf_slice id, uint64_t id_hash,
                   uint64_t now_ms, struct hf_store_record *ret_record);
/* What was found is about to be read, and nothing changed since: brings it nearer meanwhile. */
void hf_store_announce(const struct hf_store *store, const struct hf_store_record *found);

struct hf_store_role {
    enum hf_record_state state;
    struct hf_version version;
    uint16_t owner;
    uint64_t deadline_ms; /* of a POINTER or TOMB; ignored for OWNER and BACKUP */
};
/* Gives a record another role, version or owner, whatever it was; the caller has compared. OWNER
 * and BACKUP keep keys and deadlines, POINTER drops the keys, TOMB all but satellites, NONE forgets
 * the record. Creates one for POINTER and TOMB, and for OWNER (a grant of an id that has no keys
 * yet: deadline_ms says how long such a record may stay empty). FULL; MISSING: BACKUP of nothing.
 */
enum hf_store_status hf_store_assign(struct hf_store *store, struct hf_slice id, uint64_t id_hash,
                                     const struct hf_store_role *role, uint64_t now_ms);

/* Visits records; `record` is borrowed for the call, which may not change the store. False ends. */
typedef bool (*hf_store_visit_fn)(void *user, const struct hf_store_record *record);

struct hf_store_scan {
    hf_store_visit_fn visit;
    void *user;
    uint64_t now_ms;
    unsigned count; /* records wanted; at most 4 x count places are looked at */
    int bucket; /* of a digest, whose records alone are visited at 1/1024 of the cost; -1 = all */
};
/* Visits about scan->count records from *cursor (0 = the beginning) and moves it; 0 again at the
 * end. Every record that is there from beginning to end is visited at least once, however much the
 * store grows meanwhile; seldom twice. Expired ones are left out. */
void hf_store_scan(const struct hf_store *store, uint64_t *cursor,
                   const struct hf_store_scan *scan);
/* The next record behind *cursor (0 = the beginning), one by one. False, and *cursor = 0: no more.
 * Every record that is there from beginning to end is met, seldom twice, whatever comes, changes
 * and goes meanwhile. now_ms as in hf_store_find. */
bool hf_store_next(const struct hf_store *store, uint64_t *cursor, uint64_t now_ms,
                   struct hf_store_record *ret_record);
/* Texts of a record's keys: prefix and suffix of key `index`, in [0, key_count). False: it expired,
 * or there is none. */
bool hf_store_key_at(const struct hf_store *store, struct hf_slice id, uint64_t id_hash,
                     unsigned index, uint64_t now_ms, struct hf_store_key *ret_key);

/* HF_DIGEST_BUCKETS sums over OWNER and BACKUP records and tombstones, kept with every change. */
const struct hf_digest *hf_store_digests(const struct hf_store *store);

/* ---- upkeep ---- */

/* Expires what is due and packs memory: about `budget` records at most. True: more is due now.
 * Call it a few times a second, and again while it says so and the loop has nothing better to do.
 */
bool hf_store_tick(struct hf_store *store, uint64_t now_ms, unsigned budget);

struct hf_store_stats {
    uint64_t records[HF_RECORD_STATES]; /* by state; NONE: all */
    uint64_t keys;
    uint64_t bytes_logical;             /* key texts and values as the application counts them */
    uint64_t bytes_used;                /* taken from the system: what options.memory bounds */
    uint64_t expired, evicted, refused; /* since the beginning: records, records, operations */
};
void hf_store_stats(const struct hf_store *store, struct hf_store_stats *ret_stats);
/* Removes every record, whatever its role, and tells nobody (`dropped`). Takes a moment for each:
 * some tenths of a second for a million. */
void hf_store_clear(struct hf_store *store);
/* Changes the limits of a running store (reload). With a memory limit below what is used,
 * ticks pack, give back and (EVICT) evict until it is met; REFUSE keeps all, and refuses new ones.
 * 0, -EINVAL, or -ENOMEM: more than the addresses that it got at its beginning, which are 64 GiB
 * unless the system counts them. */
int hf_store_limit(struct hf_store *store, size_t memory, enum hf_store_full full);
