#include "base/slab.h"
#include "base/assert.h"
#include <stdint.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HF_SLAB_SINGLE 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HF_SLAB_SINGLE 1
#endif
#if !defined(HF_SLAB_SINGLE)
#define HF_SLAB_SINGLE 0
#endif

enum { ALIGNMENT = 16, BLOCK_SIZE = 64 * 1024, BLOCK_OBJECTS_MIN = 8 };

struct hf_slab_block { /* objects follow */
    _Alignas(ALIGNMENT) struct hf_slab_block *next;
};

void hf_slab_init(struct hf_slab *slab, const char *name, size_t object_size, size_t live_count_max)
{
    REQUIRE(slab != NULL && name != NULL);
    REQUIRE(object_size > 0 && object_size <= SIZE_MAX / (2 * BLOCK_OBJECTS_MIN));
    *slab = (struct hf_slab){
        .name = name,
        .object_size = (object_size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT,
        .live_count_max = live_count_max,
    };
}

void hf_slab_fini(struct hf_slab *slab)
{
    REQUIRE(slab != NULL);
    REQUIRE(slab->live_count == 0);
    struct hf_slab_block *block = slab->blocks;
    while (block != NULL) {
        struct hf_slab_block *next = block->next;
        free(block);
        block = next;
    }
    slab->blocks = slab->free = slab->fresh = NULL;
    slab->fresh_count = 0;
}

/* Fresh objects are handed out one by one instead of being linked at once: pages that nobody needed
 * yet stay untouched. */
static void *take_fresh(struct hf_slab *slab)
{
    if (slab->fresh_count == 0) {
        size_t count = BLOCK_SIZE / slab->object_size;
        if (count < BLOCK_OBJECTS_MIN)
            count = BLOCK_OBJECTS_MIN;
        struct hf_slab_block *block = malloc(sizeof(*block) + count * slab->object_size);
        if (block == NULL)
            return NULL;
        block->next = slab->blocks;
        slab->blocks = block;
        slab->fresh = block + 1;
        slab->fresh_count = count;
    }
    void *object = slab->fresh;
    slab->fresh = (char *)slab->fresh + slab->object_size;
    slab->fresh_count--;
    return object;
}

static void *take_free(struct hf_slab *slab)
{
    void *object = slab->free;
    slab->free = *(void **)object;
    return object;
}

void *hf_slab_acquire(struct hf_slab *slab)
{
    REQUIRE(slab != NULL && slab->object_size > 0);
    if (slab->live_count >= slab->live_count_max)
        return NULL;
    void *object;
    if (HF_SLAB_SINGLE)
        object = malloc(slab->object_size);
    else if (slab->free != NULL)
        object = take_free(slab);
    else
        object = take_fresh(slab);
    if (object != NULL)
        slab->live_count++;
    return object;
}

void hf_slab_release(struct hf_slab *slab, void *object_pointer)
{
    REQUIRE(slab != NULL && object_pointer != NULL);
    void **pointer = object_pointer;
    void *object = *pointer;
    REQUIRE(object != NULL);
    REQUIRE(slab->live_count > 0);
    *pointer = NULL;
    slab->live_count--;
    if (HF_SLAB_SINGLE) {
        free(object);
        return;
    }
    *(void **)object = slab->free;
    slab->free = object;
}
