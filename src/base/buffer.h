/* Buffers that are lent to a connection only while bytes are in flight, from one pool a worker.
 * Never grows a buffer, never shares one between threads.
 * Threads: the worker's that owns the pool. Layer: base. */
#pragma once
#include "base/list.h"
#include "base/slice.h"

enum {
    HF_BUFFER_SIZE = 64 * 1024, /* bytes a buffer holds */
};

struct hf_buffer {
    struct hf_list node; /* free list; the pool's while not lent */
    uint32_t start, end; /* live bytes are bytes[start..end) */
    char bytes[HF_BUFFER_SIZE];
};

struct hf_buffer_pool {
    struct hf_list free; /* most recently returned first: it is still in the cache */
    unsigned free_count;
    unsigned lent_count;     /* gauge */
    unsigned lent_count_max; /* limit given at init */
    unsigned keep_count_max; /* free buffers kept; more are given back to the system */
};

/* lent_count_max bounds memory: at the limit borrow answers NULL. */
void hf_buffer_pool_init(struct hf_buffer_pool *pool, unsigned lent_count_max,
                         unsigned keep_count_max);
/* Every buffer must have been returned. */
void hf_buffer_pool_fini(struct hf_buffer_pool *pool);
/* An empty buffer, or NULL at the limit or without memory. The caller returns it. */
struct hf_buffer *hf_buffer_borrow(struct hf_buffer_pool *pool);
/* Takes *buffer back and sets it to NULL; NULL is harmless. Poisons the bytes under ASan. */
void hf_buffer_return(struct hf_buffer_pool *pool, struct hf_buffer **buffer);

static inline size_t hf_buffer_used(const struct hf_buffer *buffer)
{
    return buffer->end - buffer->start;
}

static inline size_t hf_buffer_room(const struct hf_buffer *buffer)
{
    return HF_BUFFER_SIZE - buffer->end;
}

static inline struct hf_slice hf_buffer_slice(const struct hf_buffer *buffer)
{
    return hf_slice(buffer->bytes + buffer->start, hf_buffer_used(buffer));
}

/* Moves the live bytes to the start, to make room. Slices into the buffer become invalid. */
void hf_buffer_compact(struct hf_buffer *buffer);
/* Appends all or nothing; false when there is no room. */
bool hf_buffer_append(struct hf_buffer *buffer, struct hf_slice bytes);
