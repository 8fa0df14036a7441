/* One operation on one key, in the words of no protocol: what a front end asks for, what a store
 * executes (here, or on the node that owns the session), and what came of it.
 *
 * A zeroed operation with its kind is a plain one: GET of a value, SET always, DELETE whatever is
 * there. Commands on several keys are rows of operations, one after the other.
 *
 * What the well-known commands are:
 *   GET, mg, get       GET | STARTS              STRLEN, TTL, TYPE, EXISTS, HLEN  GET + NO_VALUE
 *   SET, set           SET                       SET NX, SETNX, add               SET, IF_NEW
 *   SET XX, replace    SET, IF_EXISTS            cas                              SET, IF_CAS
 *   SET .. GET         SET + OLD_VALUE           GETDEL              DELETE + OLD_VALUE
 *   EXPIRE, PERSIST    EXPIRE                    GETEX, gat          EXPIRE + OLD_VALUE
 *   TOUCH of Redis     GET + NO_VALUE            touch               EXPIRE
 *   "delete if equal"  DELETE, IF_EQUAL          "pexpire if equal"  EXPIRE, IF_EQUAL
 *   WATCH              GET + NO_VALUE: remember result.cas (0: MISSING), compare it at EXEC
 *   RENAME             DUMP of the old name, RESTORE under the new one, then DELETE of the old one,
 *                      IF_CAS with the number that DUMP answered (MISMATCH: begin again)
 *
 * Deadlines are absolute here, on this machine's monotonic clock (store/deadline.h), and time left
 * in the encoding. Slices are borrowed. Pure: no clock, no I/O. Threads: any; a store's executor:
 * the store's. Layer: agent. */
#pragma once
#include "base/bytes.h"
#include "proto/writer.h"
#include "store/store.h"

enum { HF_OPERATION_FORMAT = 1 }; /* first byte of what is encoded; another one is refused */

/* A row: enum, word (of metrics). */
#define HF_OPERATION_KIND_ROWS(X)                                                                  \
    X(GET, "get")                                                                                  \
    X(SET, "set")                                                                                  \
    X(DELETE, "delete")                                                                            \
    X(EXPIRE, "expire")                                                                            \
    X(EXTEND, "extend")                                                                            \
    X(ADD, "add")                                                                                  \
    X(HASH_GET, "hash_get") /* the fields named, in their order, a missing one as such */          \
    X(HASH_ALL, "hash_all")                                                                        \
    X(HASH_SET, "hash_set")                                                                        \
    X(HASH_DELETE, "hash_delete")                                                                  \
    X(HASH_ADD, "hash_add")                                                                        \
    X(DUMP, "dump")       /* the key as a blob (store/blob.h), for RESTORE */                      \
    X(RESTORE, "restore") /* `value` is such a blob; ALWAYS or IF_NEW; MISSING: it holds nothing   \
                           */

enum hf_operation_kind {
#define HF_OPERATION_KIND_ENUM(name, word) HF_OPERATION_##name,
    HF_OPERATION_KIND_ROWS(HF_OPERATION_KIND_ENUM)
#undef HF_OPERATION_KIND_ENUM
        HF_OPERATION_KINDS
};
const char *hf_operation_kind_word(enum hf_operation_kind kind);

enum hf_operation_when {
    HF_OPERATION_ALWAYS,
    HF_OPERATION_IF_NEW,    /* SET, RESTORE, HASH_SET (none of the fields is there): else EXISTS */
    HF_OPERATION_IF_EXISTS, /* SET: else MISSING */
    HF_OPERATION_IF_CAS,    /* SET, DELETE, EXPIRE, EXTEND, ADD: else MISMATCH, or MISSING */
    HF_OPERATION_IF_EQUAL,  /* SET, DELETE, EXPIRE: the value is `match`; else MISMATCH, MISSING */
    HF_OPERATION_WHENS
};

enum hf_operation_flag {
    HF_OPERATION_STARTS = 1 << 0,         /* a request of an application starts with it: the session
                                             moves here. Else the operation goes to the session */
    HF_OPERATION_NO_VALUE = 1 << 1,       /* GET: all about the value but its bytes */
    HF_OPERATION_OLD_VALUE = 1 << 2,      /* SET, DELETE, EXPIRE: answer what was there before, also
                                             when the condition fails. WRONG_TYPE for a hash */
    HF_OPERATION_KEEP_DEADLINE = 1 << 3,  /* SET: that of the key that is there */
    HF_OPERATION_KEEP_FLAGS = 1 << 4,     /* SET: likewise client_flags */
    HF_OPERATION_CREATE = 1 << 5,         /* EXTEND, ADD: a missing key is made; else MISSING */
    HF_OPERATION_TOUCH = 1 << 6,          /* ADD, EXTEND: an existing key gets deadline_ms too */
    HF_OPERATION_EXPIRE_IF_NONE = 1 << 7, /* EXPIRE: the key has no deadline now; else UNMET */
    HF_OPERATION_EXPIRE_IF_ANY = 1 << 8,
    HF_OPERATION_EXPIRE_IF_LATER = 1 << 9, /* than the key's; none counts as latest */
    HF_OPERATION_EXPIRE_IF_SOONER = 1 << 10,
    HF_OPERATION_STRICT = 1 << 11, /* set by hf_sessions_submit, from the pattern: a deleted
                                      session's id may not be used again */
    HF_OPERATION_ADOPTS = 1 << 12, /* no client's: brings in what the external store has, and is
                                      dropped where the session, or the key, was deleted */
    HF_OPERATION_LATE = 1 << 13,   /* likewise, from what the connection has read: the session was
                                      alive then, and if it is deleted now this comes too late */
    HF_OPERATION_FLAGS = (1 << 14) - 1
};

struct hf_operation {
    uint8_t kind;            /* enum hf_operation_kind */
    uint8_t when;            /* enum hf_operation_when */
    uint8_t end;             /* EXTEND: enum hf_store_end */
    uint8_t sum;             /* ADD, HASH_ADD: enum hf_store_sum */
    uint16_t flags;          /* enum hf_operation_flag */
    uint32_t client_flags;   /* SET: memcached's, opaque */
    struct hf_store_key key; /* set by hf_sessions_submit, from the key's text */
    struct hf_slice value;   /* SET, EXTEND: the bytes; RESTORE: the blob */
    struct hf_slice match;   /* IF_EQUAL */
    uint64_t cas;            /* IF_CAS */
    uint64_t deadline_ms; /* SET, EXPIRE: absolute or HF_DEADLINE_NEVER, also of a key that ADD or
                             EXTEND creates. One that is due deletes. Mind: 0 is due */
    uint64_t amount;      /* ADD, HASH_ADD; SIGNED: two's complement */
    uint64_t initial;     /* ADD + CREATE with INCREASE, DECREASE: the number of a new key */
    /* HASH_GET, HASH_DELETE, HASH_ADD (one): names. HASH_SET: names and values by turns. */
    const struct hf_slice *fields;
    uint32_t field_count; /* slices in `fields`: at most HF_OPERATION_FIELDS_MAX */
};
enum { HF_OPERATION_FIELDS_MAX = 2 * HF_STORE_HASH_FIELDS_MAX };

/* Whether it may change something. */
bool hf_operation_writes(const struct hf_operation *operation);

/* What came of it; a row: enum, word (of metrics). */
#define HF_OPERATION_STATUSES(X)                                                                   \
    X(OK, "ok")                                                                                    \
    X(MISSING, "missing")       /* no such key: known, not guessed */                              \
    X(EXISTS, "exists")         /* IF_NEW: there is one */                                         \
    X(MISMATCH, "mismatch")     /* IF_CAS, IF_EQUAL: it is another one */                          \
    X(UNMET, "unmet")           /* EXPIRE: its condition is not met, nothing changed */            \
    X(WRONG_TYPE, "wrong_type") /* a hash where a string is needed, or the other way round */      \
    X(NOT_NUMBER, "not_number")                                                                    \
    X(OVERFLOW, "overflow")                                                                        \
    X(TOO_LARGE, "too_large")                                                                      \
    X(TOO_MANY, "too_many") /* keys of a session, fields of a hash, different key patterns */      \
    X(BAD_KEY, "bad_key")   /* empty, or longer than the store takes */                            \
    X(FULL, "full")         /* the memory limit, or a table's; an error to the client */           \
    X(DROPPED, "dropped")   /* the session was deleted before: nothing was kept. The request is a  \
                               late one of a session that is over: answer a plain write as done,   \
                               one with a condition as not met */                                  \
    X(UNSURE, "unsure")     /* who holds the session is not known, or whether it was done: answer  \
                               an error, never a miss */                                           \
    X(DENIED, "denied")     /* switched off */

enum hf_operation_status {
#define HF_OPERATION_STATUS_ENUM(name, word) HF_OPERATION_##name,
    HF_OPERATION_STATUSES(HF_OPERATION_STATUS_ENUM)
#undef HF_OPERATION_STATUS_ENUM
        HF_OPERATION_STATUS_COUNT
};
const char *hf_operation_status_word(enum hf_operation_status status);

/* Fields of a result, wherever they are: in the store, or in an encoded answer. */
struct hf_operation_fields {
    struct hf_store *store;               /* NULL: they are in `encoded` */
    const struct hf_operation *operation; /* asked the store */
    uint64_t now_ms;
    struct hf_slice encoded;
};

struct hf_operation_result {
    uint8_t status;     /* enum hf_operation_status */
    bool has_value;     /* GET, OLD_VALUE: there is, or was, one: value_kind to deadline_ms count */
    bool created;       /* the key was not there before */
    uint8_t value_kind; /* enum hf_store_kind */
    uint32_t client_flags;
    uint32_t field_count;  /* of a hash; HASH_GET, HASH_ALL: results of next_field */
    uint64_t cas;          /* of the key after the operation; 0 when it is gone */
    uint64_t deadline_ms;  /* of the value; HF_DEADLINE_NEVER */
    uint64_t value_size;   /* bytes, also with NO_VALUE */
    uint64_t number;       /* ADD, HASH_ADD: the sum (HASH_ADD, SIGNED: two's complement); EXTEND:
                              bytes now; HASH_SET: fields created; HASH_DELETE: fields deleted */
    struct hf_slice value; /* GET, OLD_VALUE; DUMP: the blob. Borrowed, for the callback alone */
    struct hf_operation_fields fields; /* for hf_operation_next_field */
};

struct hf_operation_field {
    struct hf_slice name, value; /* borrowed likewise */
    bool present;                /* false: HASH_GET asked for it, and there is none */
};
struct hf_operation_cursor { /* zeroed = before the first field */
    struct hf_store_cursor store;
    uint32_t index;
    size_t at;
};
/* The fields that HASH_GET (in the order asked) or HASH_ALL (in none) found: result->field_count of
 * them. Only while the result is valid: in its callback. False at the end. */
bool hf_operation_next_field(const struct hf_operation_result *result,
                             struct hf_operation_cursor *cursor,
                             struct hf_operation_field *ret_field);

/* ---- execution ---- */

struct hf_operation_context {
    struct hf_store *store;
    struct hf_bytes *scratch; /* of the heap, one a store is enough: old values and blobs are in it
                                 until the next operation with it */
    struct hf_store_write write; /* reuse_tomb is set from the operation: not STRICT */
    uint64_t tomb_ms;            /* life of the tombstone that a deleted session leaves; 0 = none */
};
/* Executes on the store, now. *ret_result: its slices are borrowed from the store and the scratch,
 * until the next call on either. *ret_change is what the store changed: effect NOTHING when it did
 * not; a row of changes is told as one. */
void hf_operation_execute(const struct hf_operation_context *context,
                          const struct hf_operation *operation,
                          struct hf_operation_result *ret_result,
                          struct hf_store_change *ret_change);
/* A result that is a status alone. */
struct hf_operation_result hf_operation_failed(enum hf_operation_status status);

/* Whether it may make a key that is not there. */
bool hf_operation_creates(const struct hf_operation *operation);
/* Whether what it leaves does not depend on what is there. */
bool hf_operation_overwrites(const struct hf_operation *operation);

/* ---- as bytes: for an owner on another machine ---- */

/* Appends the encoding. It keeps counting past the end of writer->out: ask with room 0 first. */
void hf_operation_encode(const struct hf_operation *operation, uint64_t now_ms,
                         struct hf_writer *writer);
void hf_operation_encode_result(const struct hf_operation_result *result, uint64_t now_ms,
                                struct hf_writer *writer);
/* Strict and bounded: a false one, or one with bytes behind it, is no operation and *ret_* is
 * undefined. Slices are borrowed from `bytes`. key.id_hash is not part of it: the caller's to fill.
 * `fields` lends room for field_room slices. */
struct hf_operation_room {
    struct hf_slice *fields;
    uint32_t field_room;
};
bool hf_operation_decode(struct hf_slice bytes, uint64_t now_ms,
                         const struct hf_operation_room *room, struct hf_operation *ret_operation);
bool hf_operation_decode_result(struct hf_slice bytes, uint64_t now_ms,
                                struct hf_operation_result *ret_result);
