#include "base/bytes.h"
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
    bool kept =
        pool != NULL && bytes->room == HF_BYTES_BLOCK && pool->free_count < HF_BYTES_BLOCKS_KEPT;
    if (kept) {
        memcpy(bytes->bytes, &pool->free, sizeof(pool->free));
        pool->free = bytes->bytes;
        pool->free_count++;
    } else {
        free(bytes->bytes);
    }
    *bytes = (struct hf_bytes){0};
}

static void compact(struct hf_bytes *bytes)
{
    size_t size = hf_bytes_size(bytes);
    if (bytes->start > 0 && size > 0)
        memmove(bytes->bytes, bytes->bytes + bytes->start, size);
    bytes->start = 0;
    bytes->end = size;
}

/* Into a block of the pool, or out of one. */
static bool move(struct hf_bytes_pool *pool, struct hf_bytes *bytes, size_t room)
{
    size_t live = hf_bytes_size(bytes);
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

/* The system may enlarge a long one in its place. */
static bool extend(struct hf_bytes *bytes, size_t room)
{
    compact(bytes);
    char *block = realloc(bytes->bytes, room);
    if (block == NULL)
        return false;
    bytes->bytes = block;
    bytes->room = room;
    return true;
}

bool hf_bytes_reserve(struct hf_bytes_pool *pool, struct hf_bytes *bytes, size_t size)
{
    size_t live = hf_bytes_size(bytes), room_min = pool ? HF_BYTES_BLOCK : HF_BYTES_ROOM_MIN;
    if (size <= bytes->room - bytes->end)
        return true;
    /* Moving pays when at least as much was consumed since the last move as has to move; what is
     * small moves at no cost worth an allocation. */
    if (size <= bytes->room - live && (live <= bytes->start || bytes->room <= room_min)) {
        compact(bytes);
        return true;
    }
    size_t wanted = live + size;
    if (wanted < size || wanted > SIZE_MAX / 2)
        return false;
    size_t room = wanted <= room_min ? room_min : wanted + live;
    return pool && bytes->room <= HF_BYTES_BLOCK ? move(pool, bytes, room) : extend(bytes, room);
}

bool hf_bytes_append(struct hf_bytes_pool *pool, struct hf_bytes *bytes, struct hf_slice added)
{
    if (!hf_bytes_reserve(pool, bytes, added.size))
        return false;
    if (added.size > 0)
        memcpy(bytes->bytes + bytes->end, added.bytes, added.size);
    bytes->end += added.size;
    return true;
}

void hf_bytes_consume(struct hf_bytes *bytes, size_t size)
{
    REQUIRE(size <= hf_bytes_size(bytes));
    bytes->start += size;
    if (bytes->start == bytes->end)
        bytes->start = bytes->end = 0;
}

char *hf_bytes_renew(struct hf_bytes *bytes, size_t size)
{
    bytes->start = bytes->end = 0;
    if (size <= bytes->room && bytes->bytes != NULL)
        return bytes->bytes;
    free(bytes->bytes); /* before the new one: not both at once */
    bytes->bytes = size <= SIZE_MAX / 2 ? malloc(size > 0 ? size : 1) : NULL;
    bytes->room = bytes->bytes != NULL ? size : 0;
    return bytes->bytes;
}

void hf_bytes_trim(struct hf_bytes_pool *pool, struct hf_bytes *bytes, size_t room_max)
{
    if (bytes->room > room_max && hf_bytes_size(bytes) == 0)
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
