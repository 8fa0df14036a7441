/* Objects of one size, reused last in first out; the hot path's replacement for malloc.
 * Under ASan every object is its own malloc, so overruns and use after free show.
 * Threads: the owner's. Layer: base. */
#pragma once
#include <stddef.h>

struct hf_slab {
    const char *name;      /* for reports; borrowed for ever (a literal) */
    size_t object_size;    /* bytes, rounded up to 16 */
    size_t live_count;     /* gauge */
    size_t live_count_max; /* limit: acquire answers NULL beyond it */
    void *free;            /* singly linked through the objects */
    void *fresh;           /* objects of the newest block that were never handed out */
    size_t fresh_count;
    void *blocks; /* owned chunks of objects; freed by fini alone */
};

void hf_slab_init(struct hf_slab *slab, const char *name, size_t object_size,
                  size_t live_count_max);
/* Every object must have been released. */
void hf_slab_fini(struct hf_slab *slab);
/* An object whose content is undefined, aligned to 16; NULL at the limit or without memory. */
void *hf_slab_acquire(struct hf_slab *slab);
/* `object` is a `T **`; *object becomes NULL. */
void hf_slab_release(struct hf_slab *slab, void *object_pointer);
