/* A run of bytes in one piece that grows: what came in and is not yet understood, what is to be
 * sent, a message under construction, or an area that every use writes anew. Reserve, write behind
 * `end`, move `end`; consume from the front. Appending costs amortised constant time a byte.
 * Never zeroes, never shrinks what holds something, knows no limit but the address space: its owner
 * checks how much he takes. Fixed buffers of one size, lent and returned: base/buffer.h.
 * A buffer may draw on a pool, for owners that are many and mostly empty: blocks of the usual size
 * come from it and go back when the buffer is trimmed, so an idle connection holds no memory and a
 * busy one allocates nothing. Every call for a buffer names the same pool; NULL is the heap alone.
 * Threads: the owner's, and the pool's. Layer: base. */
#pragma once
#include "base/slice.h"

enum {
    HF_BYTES_ROOM_MIN = 1024,   /* of the heap: what growing begins with */
    HF_BYTES_BLOCK = 16 * 1024, /* of a pool: the usual size */
    HF_BYTES_BLOCKS_KEPT = 64,  /* free ones a pool keeps */
};

struct hf_bytes_pool { /* zeroed = empty */
    void *free;        /* owned blocks, each begins with the next one's address */
    unsigned free_count;
};

struct hf_bytes { /* zeroed = empty */
    char *bytes;  /* owned; live are [start..end) */
    size_t start, end, room;
};

static inline size_t hf_bytes_size(const struct hf_bytes *bytes)
{
    return bytes->end - bytes->start;
}

/* Valid until the next call that reserves, renews, trims or clears. */
static inline struct hf_slice hf_bytes_slice(const struct hf_bytes *bytes)
{
    if (bytes->bytes == NULL) /* to which C lets nothing be added, not even 0 */
        return hf_slice(NULL, 0);
    return hf_slice(bytes->bytes + bytes->start, bytes->end - bytes->start);
}

/* Makes room for `size` bytes behind the live ones, which may move. False without memory, or when
 * the sum overflows: what is in it stays. */
bool hf_bytes_reserve(struct hf_bytes_pool *pool, struct hf_bytes *bytes, size_t size);
/* Appends all or nothing; false as for hf_bytes_reserve. `added` must not point into it. */
bool hf_bytes_append(struct hf_bytes_pool *pool, struct hf_bytes *bytes, struct hf_slice added);
/* Drops bytes from the front; nothing moves. */
void hf_bytes_consume(struct hf_bytes *bytes, size_t size);
/* Empties a buffer of the heap and answers where `size` bytes can be written: what was in it is
 * lost, what is there now is undefined. The room is as large as the largest need so far, no larger.
 * NULL without memory: it is empty then, too. Never NULL for what room was there. */
char *hf_bytes_renew(struct hf_bytes *bytes, size_t size);
/* Gives the memory back if nothing is in it and it has more room than room_max. */
void hf_bytes_trim(struct hf_bytes_pool *pool, struct hf_bytes *bytes, size_t room_max);
/* Drops all and gives the memory back. */
void hf_bytes_clear(struct hf_bytes_pool *pool, struct hf_bytes *bytes);
/* Frees what the pool keeps; buffers that drew on it are cleared first. */
void hf_bytes_pool_fini(struct hf_bytes_pool *pool);
