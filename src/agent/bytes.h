/* A queue of bytes in one piece that grows: what a connection received and not yet understood, or
 * has to send. A block of the usual size comes from a pool and goes back when the queue is empty,
 * so an idle connection holds none and a busy one allocates nothing. Appending costs amortised
 * constant time a byte.
 * Threads: the pool's. Layer: agent. */
#pragma once
#include "base/slice.h"

enum {
    HF_BYTES_BLOCK = 16 * 1024, /* the usual size */
    HF_BYTES_BLOCKS_KEPT = 64,  /* free ones a pool keeps */
};

struct hf_bytes_pool { /* zeroed = empty */
    void *free;
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

static inline struct hf_slice hf_bytes_slice(const struct hf_bytes *bytes)
{
    return hf_slice(bytes->bytes + bytes->start, bytes->end - bytes->start);
}

/* Makes room for `size` bytes behind the live ones; they may move. False without memory: nothing
 * changed. */
bool hf_bytes_reserve(struct hf_bytes_pool *pool, struct hf_bytes *bytes, size_t size);
/* Drops bytes from the front; nothing moves. */
void hf_bytes_consume(struct hf_bytes *bytes, size_t size);
/* Gives the memory back if nothing is in it. */
void hf_bytes_settle(struct hf_bytes_pool *pool, struct hf_bytes *bytes);
/* Drops all. */
void hf_bytes_clear(struct hf_bytes_pool *pool, struct hf_bytes *bytes);
void hf_bytes_pool_fini(struct hf_bytes_pool *pool);
