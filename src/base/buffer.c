#include "base/buffer.h"
#include "base/assert.h"
#include <sanitizer/asan_interface.h>
#include <stdlib.h>

void hf_buffer_pool_init(struct hf_buffer_pool *pool, unsigned lent_count_max,
                         unsigned keep_count_max)
{
    REQUIRE(pool != NULL);
    REQUIRE(lent_count_max > 0);
    *pool =
        (struct hf_buffer_pool){.lent_count_max = lent_count_max, .keep_count_max = keep_count_max};
    hf_list_init(&pool->free);
}

void hf_buffer_pool_fini(struct hf_buffer_pool *pool)
{
    REQUIRE(pool != NULL);
    REQUIRE(pool->lent_count == 0);
    struct hf_list *node;
    while ((node = hf_list_pop_front(&pool->free)) != NULL) {
        free(hf_container_of(node, struct hf_buffer, node));
        pool->free_count--;
    }
    REQUIRE(pool->free_count == 0);
}

static struct hf_buffer *take_free(struct hf_buffer_pool *pool)
{
    struct hf_buffer *buffer =
        hf_container_of(hf_list_pop_front(&pool->free), struct hf_buffer, node);
    pool->free_count--;
    ASAN_UNPOISON_MEMORY_REGION(buffer->bytes, HF_BUFFER_SIZE);
    return buffer;
}

struct hf_buffer *hf_buffer_borrow(struct hf_buffer_pool *pool)
{
    REQUIRE(pool != NULL);
    if (pool->lent_count >= pool->lent_count_max)
        return NULL;
    struct hf_buffer *buffer =
        hf_list_empty(&pool->free) ? malloc(sizeof(*buffer)) : take_free(pool);
    if (buffer == NULL)
        return NULL;
    hf_list_init(&buffer->node);
    buffer->start = buffer->end = 0;
    pool->lent_count++;
    return buffer;
}

void hf_buffer_return(struct hf_buffer_pool *pool, struct hf_buffer **buffer)
{
    REQUIRE(pool != NULL && buffer != NULL);
    struct hf_buffer *returned = *buffer;
    if (returned == NULL)
        return;
    REQUIRE(pool->lent_count > 0);
    REQUIRE(hf_list_empty(&returned->node)); /* else it was returned before */
    *buffer = NULL;
    pool->lent_count--;
    if (pool->free_count >= pool->keep_count_max) {
        free(returned);
        return;
    }
    ASAN_POISON_MEMORY_REGION(returned->bytes, HF_BUFFER_SIZE);
    hf_list_push_front(&pool->free, &returned->node);
    pool->free_count++;
}

void hf_buffer_compact(struct hf_buffer *buffer)
{
    REQUIRE(buffer != NULL && buffer->start <= buffer->end);
    if (buffer->start == 0)
        return;
    size_t used = hf_buffer_used(buffer);
    if (used > 0)
        memmove(buffer->bytes, buffer->bytes + buffer->start, used);
    buffer->start = 0;
    buffer->end = (uint32_t)used;
}

bool hf_buffer_append(struct hf_buffer *buffer, struct hf_slice bytes)
{
    REQUIRE(buffer != NULL && buffer->end <= HF_BUFFER_SIZE);
    if (bytes.size > hf_buffer_room(buffer))
        return false;
    if (bytes.size > 0)
        memcpy(buffer->bytes + buffer->end, bytes.bytes, bytes.size);
    buffer->end += (uint32_t)bytes.size;
    return true;
}
