#include "agent/bytes.h"
#include "base/assert.h"
#include <stdlib.h>

static char *take_block(struct hf_bytes_pool *pool)
{
    void *block = pool->free;
    if (block == NULL)
        return malloc(HF_BYTES_BLOCK);
    memcpy(&pool->free, block, sizeof(pool->free));
    pool->free_count--;
    return block;
}

static void give_back(struct hf_bytes_pool *pool, struct hf_bytes *bytes)
{
    if (bytes->room != HF_BYTES_BLOCK || pool->free_count >= HF_BYTES_BLOCKS_KEPT) {
        free(bytes->bytes);
    } else {
        memcpy(bytes->bytes, &pool->free, sizeof(pool->free));
        pool->free = bytes->bytes;
        pool->free_count++;
    }
    *bytes = (struct hf_bytes){0};
}

static void compact(struct hf_bytes *bytes)
{
    size_t size = hf_bytes_size(bytes);
    memmove(bytes->bytes, bytes->bytes + bytes->start, size);
    bytes->start = 0;
    bytes->end = size;
}

bool hf_bytes_reserve(struct hf_bytes_pool *pool, struct hf_bytes *bytes, size_t size)
{
    size_t live = hf_bytes_size(bytes);
    if (size <= bytes->room - bytes->end)
        return true;
    /* Moving pays when at least as much was consumed since the last move as has to move. */
    if (size <= bytes->room - live && live <= bytes->start) {
        compact(bytes);
        return true;
    }
    size_t wanted = live + size;
    if (wanted < size || wanted > SIZE_MAX / 2)
        return false;
    size_t room = wanted <= HF_BYTES_BLOCK ? HF_BYTES_BLOCK : wanted + live;
    char *block = room == HF_BYTES_BLOCK ? take_block(pool) : malloc(room);
    if (block == NULL)
        return false;
    if (live > 0)
        memcpy(block, bytes->bytes + bytes->start, live);
    if (bytes->bytes != NULL)
        give_back(pool, bytes);
    *bytes = (struct hf_bytes){.bytes = block, .end = live, .room = room};
    return true;
}

void hf_bytes_consume(struct hf_bytes *bytes, size_t size)
{
    REQUIRE(size <= hf_bytes_size(bytes));
    bytes->start += size;
}

void hf_bytes_settle(struct hf_bytes_pool *pool, struct hf_bytes *bytes)
{
    if (bytes->bytes != NULL && hf_bytes_size(bytes) == 0)
        give_back(pool, bytes);
}

void hf_bytes_clear(struct hf_bytes_pool *pool, struct hf_bytes *bytes)
{
    if (bytes->bytes != NULL)
        give_back(pool, bytes);
}

void hf_bytes_pool_fini(struct hf_bytes_pool *pool)
{
    while (pool->free != NULL)
        free(take_block(pool));
}
