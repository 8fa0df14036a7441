/* Blocks of a shard: up to HF_MEMORY_BLOCK_MAX bytes, in spans of one size class each, named by a
 * 32-bit handle and movable, so that sparse spans can be emptied into others (packing). Larger
 * values come from malloc. Counts every byte taken from the system and keeps it below a limit.
 *
 * Why not malloc for all: a handle takes 4 bytes instead of 8, a block has no header, and malloc
 * can neither move blocks nor give back what a change of sizes left between them. Never: knows what
 * a block holds, but that its byte HF_MEMORY_MARK is its own to mark free blocks. Threads: the
 * shard's. Layer: store. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HF_MEMORY_UNIT = 16,        /* bytes; handles count them */
    HF_MEMORY_BLOCK_MIN = 64,   /* bytes of the smallest class */
    HF_MEMORY_BLOCK_MAX = 4096, /* bytes of the largest class */
    HF_MEMORY_SPAN = 64 * 1024, /* bytes of blocks of one class */
    HF_MEMORY_CLASSES = 141,    /* 64 to 2,048 by 16, then 64 KiB/31 to 64 KiB/16 */
    HF_MEMORY_MARK = 4,         /* offset of the byte that is HF_MEMORY_FREE in free blocks */
    HF_MEMORY_FREE = 0xff,
    HF_MEMORY_TABLE_STEP = 64 * 1024, /* bytes by which a growing table grows */
};
#define HF_MEMORY_ADDRESSES (UINT64_C(64) << 30) /* 2^32 units */
/* Fewer are enough where a system counts addresses, but not fewer than this or than the limit. */
#define HF_MEMORY_ADDRESSES_MIN (UINT64_C(1) << 30)

struct hf_memory_span {      /* one of 2^20, at handle / 4096 */
    uint32_t next, previous; /* in its class's list of spans with room, or a list of empty ones */
    uint16_t live;           /* blocks handed out */
    uint16_t free;           /* slot + 1 of the first block that was given back; 0 = none */
    uint16_t fresh;          /* slots from here on were never handed out */
    uint8_t class;
    uint8_t listed; /* in its class's list */
};

struct hf_memory_class {
    uint32_t partial; /* first span with room; 0 = none */
    uint32_t spans;   /* spans of this class */
    uint64_t free;    /* blocks that could be handed out without another span */
    uint16_t size;    /* bytes of a block */
    uint16_t slots;   /* blocks of a span */
};

struct hf_memory {
    char *base;                   /* owned: `addresses` bytes reserved, a part of it usable */
    uint64_t addresses;           /* HF_MEMORY_ADDRESSES, or a half, a quarter and so on of it */
    struct hf_memory_span *spans; /* owned: one for each span of the addresses, touched when used */
    uint32_t span_count;          /* spans ever used, with the one at 0 that never is */
    uint32_t usable_count;        /* spans whose addresses may be touched */
    uint32_t idle, idle_count;    /* empty spans that still have memory */
    uint32_t gone;                /* empty spans whose memory went back to the system */
    uint32_t packing;             /* the span being emptied; 0 = none */
    uint32_t packing_slot, packing_class;
    size_t used, limit; /* bytes taken from the system, and how many may be */
    size_t wanted;      /* bytes of the last request that was refused */
    uint64_t slack;     /* bytes of blocks that could be handed out */
    bool grown;         /* a class got another span since packing last began */
    unsigned refuse_in; /* tests: the n-th request from here to the system fails; 0 = none */
    struct hf_memory_class classes[HF_MEMORY_CLASSES];
    uint8_t class_of[HF_MEMORY_BLOCK_MAX / HF_MEMORY_UNIT + 1];
};

/* 0 or -ENOMEM. limit: bytes. */
int hf_memory_init(struct hf_memory *memory, size_t limit);
/* Blocks, whether given back or not, are gone afterwards; larger values must have been freed. */
void hf_memory_fini(struct hf_memory *memory);

static inline void *hf_memory_at(const struct hf_memory *memory, uint32_t handle)
{
    return memory->base + (uint64_t)handle * HF_MEMORY_UNIT;
}

/* Class of blocks for `size` bytes, 1 to HF_MEMORY_BLOCK_MAX. */
static inline unsigned hf_memory_class(const struct hf_memory *memory, size_t size)
{
    return memory->class_of[(size + HF_MEMORY_UNIT - 1) / HF_MEMORY_UNIT];
}

/* Class and bytes of a block that was handed out. */
static inline unsigned hf_memory_class_at(const struct hf_memory *memory, uint32_t handle)
{
    return memory->spans[handle / (HF_MEMORY_SPAN / HF_MEMORY_UNIT)].class;
}
static inline size_t hf_memory_size_at(const struct hf_memory *memory, uint32_t handle)
{
    return memory->classes[hf_memory_class_at(memory, handle)].size;
}

/* A block of that class, content undefined; 0 when it would need more than `limit` bytes in all
 * (at most memory->limit counts) or the system refuses. */
uint32_t hf_memory_acquire(struct hf_memory *memory, unsigned class, size_t limit);
void hf_memory_release(struct hf_memory *memory, uint32_t handle);

/* Larger values. `size` must be the one asked for. NULL as above. */
void *hf_memory_large_acquire(struct hf_memory *memory, size_t size, size_t limit);
void hf_memory_large_release(struct hf_memory *memory, void *large);

struct hf_memory_table { /* an array that grows in place, without a pause */
    char *bytes;         /* owned: addresses for size_max */
    size_t size, size_max;
};
int hf_memory_table_init(struct hf_memory *memory, struct hf_memory_table *table, size_t size_max);
void hf_memory_table_fini(struct hf_memory *memory, struct hf_memory_table *table);
/* Makes at least `size` bytes usable; new ones are zero. False: limit, or the system refuses. */
bool hf_memory_table_grow(struct hf_memory *memory, struct hf_memory_table *table, size_t size);

/* The block at `from` was copied to `to`: whoever names it must follow. */
typedef void (*hf_memory_moved_fn)(void *user, uint32_t from, uint32_t to);

/* Empties sparse spans while more than 1/64 of the memory is slack, or, if `hard`, while any span
 * can be spared. Looks at `budget` blocks at most. True: there is more to do. */
bool hf_memory_pack(struct hf_memory *memory, unsigned budget, bool hard, hf_memory_moved_fn moved,
                    void *user);
/* Gives the memory of up to `count` empty spans back to the system, as long as more than `keep` are
 * there. */
void hf_memory_trim(struct hf_memory *memory, unsigned count, unsigned keep);
/* Walks everything and aborts where a count is wrong. Tests. */
void hf_memory_check(const struct hf_memory *memory);
