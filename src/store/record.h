/* How a record lies in its block, and how one is taken apart and put together again.
 *
 *   struct hf_record | id | entry, inline value | entry, inline value | ...
 *
 * One block a record, because the usual session has one key: no second header, no second rounding,
 * no second cache miss. Values that would make the block too large are elsewhere, and the entry
 * holds a pointer. Everything is packed; nothing has an alignment but the block (16).
 *
 * A change takes a record apart into a draft, edits that, and puts it together (edit.h).
 * Threads: the shard's. Layer: store. */
#pragma once
#include "store/memory.h"
#include "store/store.h"

enum {
    HF_RECORD_INLINE_MAX = HF_MEMORY_BLOCK_MAX,
    HF_RECORD_DEADLINE_BITS = 40, /* of a key's deadline; the other 24 of a word say what is told */
};

struct hf_record { /* 44 bytes, of which the last 2 are the first of the id */
    uint32_t next; /* handle: the next of its index bucket; 0 = last */
    uint8_t state; /* enum hf_record_state; at HF_MEMORY_MARK */
    uint8_t key_count;
    uint8_t wheel_slot;
    bool wheel_armed;
    uint32_t wheel_next, wheel_previous; /* handles */
    uint32_t epoch, sequence, birth;
    uint32_t used;        /* when it was last asked for: ms / 1024 */
    uint16_t deadline[3]; /* its own, while it has no keys; all ones = never */
    uint16_t owner;
    uint16_t id_size;
    char id[]; /* the entries follow */
};
#define HF_RECORD_DEADLINE_MASK ((UINT64_C(1) << HF_RECORD_DEADLINE_BITS) - 1)
_Static_assert(offsetof(struct hf_record, state) == HF_MEMORY_MARK, "the mark of free blocks");

enum hf_entry_form {                     /* bits */
                     HF_ENTRY_HASH = 1,  /* else a string */
                     HF_ENTRY_LARGE = 2, /* bytes are elsewhere: a pointer follows */
                     HF_ENTRY_INDEXED =
                         4, /* with HASH and LARGE: the pointer is to a struct hf_fields */
};

struct hf_entry_head { /* 24 bytes: what stands before each value */
    uint32_t size;     /* bytes of the value; of an indexed hash 0 */
    uint32_t flags;
    uint32_t deadline[2]; /* low 40 bits: ms, all ones = never; high 24: deadline - told, signed */
    uint16_t cas[3];
    uint8_t form;
    uint8_t name; /* index into the shard's names */
};

struct hf_entry { /* one key, unpacked */
    struct hf_entry_head head;
    uint64_t deadline_ms, cas;
    int32_t ahead_ms; /* deadline less the one that copies were told; |it| <= 2 hours */
    char *bytes;      /* into the block, or to the large value, or the struct hf_fields */
    bool fresh;       /* edit.h: a large value made by this edit, not the block's yet */
};

/* 48-bit numbers, as three 16-bit ones to avoid padding; all ones is UINT64_MAX and back. */
static inline uint64_t hf_record_load48(const uint16_t from[3])
{
    uint64_t value = (uint64_t)from[0] | (uint64_t)from[1] << 16 | (uint64_t)from[2] << 32;
    return value == (UINT64_C(1) << 48) - 1 ? UINT64_MAX : value;
}

static inline void hf_record_store48(uint16_t to[3], uint64_t value)
{
    to[0] = (uint16_t)value;
    to[1] = (uint16_t)(value >> 16);
    to[2] = (uint16_t)(value >> 32);
}

static inline struct hf_version hf_record_version(const struct hf_record *record)
{
    return (struct hf_version){record->epoch, record->sequence, record->birth};
}

static inline struct hf_slice hf_record_id(const struct hf_record *record)
{
    return hf_slice(record->id, record->id_size);
}

/* Bytes that an entry takes in the block, its head included. */
static inline size_t hf_entry_inline_size(uint8_t form, uint32_t size)
{
    return sizeof(struct hf_entry_head) + (form & HF_ENTRY_LARGE ? sizeof(void *) : size);
}

/* Puts the unpacked deadline and CAS number into the head. */
static inline void hf_entry_pack(struct hf_entry *entry)
{
    uint64_t deadline_ms = entry->deadline_ms > HF_DEADLINE_MAX && entry->deadline_ms != UINT64_MAX
                               ? HF_DEADLINE_MAX
                               : entry->deadline_ms & HF_RECORD_DEADLINE_MASK;
    uint64_t word = (uint64_t)entry->ahead_ms << HF_RECORD_DEADLINE_BITS | deadline_ms;
    entry->head.deadline[0] = (uint32_t)word;
    entry->head.deadline[1] = (uint32_t)(word >> 32);
    hf_record_store48(entry->head.cas, entry->cas);
}

/* Walks the entries: `at` is the first byte of one. Unpacks it and answers where the next begins.
 */
static inline char *hf_entry_read(char *at, struct hf_entry *ret_entry)
{
    memcpy(&ret_entry->head, at, sizeof(ret_entry->head));
    uint64_t word = (uint64_t)ret_entry->head.deadline[1] << 32 | ret_entry->head.deadline[0];
    uint64_t deadline_ms = word & HF_RECORD_DEADLINE_MASK;
    ret_entry->deadline_ms = deadline_ms == HF_RECORD_DEADLINE_MASK ? UINT64_MAX : deadline_ms;
    ret_entry->ahead_ms = (int32_t)((int64_t)word >> HF_RECORD_DEADLINE_BITS);
    ret_entry->cas = hf_record_load48(ret_entry->head.cas);
    char *value = at + sizeof(ret_entry->head);
    ret_entry->fresh = false;
    ret_entry->bytes = value;
    if (ret_entry->head.form & HF_ENTRY_LARGE)
        memcpy(&ret_entry->bytes, value, sizeof(ret_entry->bytes));
    return at + hf_entry_inline_size(ret_entry->head.form, ret_entry->head.size);
}

static inline char *hf_record_entries(struct hf_record *record)
{
    return record->id + record->id_size;
}
