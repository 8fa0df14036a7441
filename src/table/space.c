#include "table/space.h"

#include "base/assert.h"
#include "table/bucket.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 * 1024 * 1024 };

int hf_space_init(struct hf_space *space, uint64_t size)
{
    if (size == 0 || size > UINT64_MAX / 64)
        return -EINVAL;
    uint64_t buckets = size * HF_SPACE_PLACES_PER_100 / 100 / HF_SPACE_WAYS + HF_SPACE_BUCKETS_MIN;
    uint64_t shards = (buckets + HF_SPACE_SHARD_BUCKETS - 1) / HF_SPACE_SHARD_BUCKETS;
    uint64_t each = (buckets + shards - 1) / shards;
    *space = (struct hf_space){.size = size,
                               .shard_count = (uint32_t)shards,
                               .shard_buckets = (uint32_t)each,
                               .bucket_count = shards * each};
    space->mapped = space->bucket_count * sizeof(struct hf_space_bucket);
    space->shards = aligned_alloc(64, shards * sizeof(*space->shards));
    space->dirty = calloc(space->bucket_count / 64 + 1, sizeof(*space->dirty));
    void *memory = mmap(NULL, space->mapped + HUGE_PAGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    space->mapping = memory != MAP_FAILED ? memory : NULL;
    if (space->shards == NULL || space->dirty == NULL || space->mapping == NULL) {
        hf_space_fini(space);
        return -ENOMEM;
    }
    /* A look-up in huge pages misses the TLB seldom; without them it is slower, not wrong. */
    uintptr_t start = ((uintptr_t)memory + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1);
    space->buckets = (struct hf_space_bucket *)start;
    (void)madvise(space->buckets, space->mapped, MADV_HUGEPAGE);
    for (uint64_t i = 0; i < shards; i++) {
        space->shards[i] = (struct hf_space_shard){0};
        pthread_mutex_init(&space->shards[i].lock, NULL);
    }
    return 0;
}

void hf_space_fini(struct hf_space *space)
{
    if (space->shards != NULL && space->dirty != NULL && space->buckets != NULL) {
        for (uint32_t i = 0; i < space->shard_count; i++)
            pthread_mutex_destroy(&space->shards[i].lock);
    }
    if (space->mapping != NULL)
        munmap(space->mapping, space->mapped + HUGE_PAGE);
    free(space->shards);
    free((void *)space->dirty);
    *space = (struct hf_space){0};
}

void hf_space_populate(struct hf_space *space, uint32_t shard)
{
    REQUIRE(shard < space->shard_count);
    size_t size = (size_t)space->shard_buckets * sizeof(struct hf_space_bucket);
    uintptr_t from = (uintptr_t)space->buckets + shard * size;
    uintptr_t start = from & ~(uintptr_t)4095;
    /* Linux 5.14; where it is unknown, the first writer of a page waits for it instead. */
    (void)madvise((void *)start, from + size - start, MADV_POPULATE_WRITE);
}

void hf_space_drop(struct hf_space *space)
{
    (void)madvise(space->buckets, space->mapped, MADV_DONTNEED);
}

void hf_space_locate(const struct hf_space *space, uint64_t hash, uint64_t ret_buckets[2])
{
    struct hf_bucket_home home = hf_bucket_home(space, hash);
    ret_buckets[0] = home.buckets[0];
    ret_buckets[1] = home.buckets[1];
}

void hf_space_mark(struct hf_space *space, uint64_t bucket)
{
    _Atomic uint64_t *group = &space->dirty[bucket / 64];
    uint64_t bit = 1ull << bucket % 64;
    /* Whoever takes the mark reads the bucket afterwards (acq_rel there), so what is marked already
     * needs no second locked instruction. */
    if (!(atomic_load_explicit(group, memory_order_relaxed) & bit))
        atomic_fetch_or_explicit(group, bit, memory_order_release);
}

uint64_t hf_space_take_marks(struct hf_space *space, uint64_t group)
{
    if (atomic_load_explicit(&space->dirty[group], memory_order_relaxed) == 0)
        return 0;
    return atomic_exchange_explicit(&space->dirty[group], 0, memory_order_acq_rel);
}
void hf_space_sweep(struct hf_space *space, uint64_t bucket, uint32_t now_s)
{
    struct hf_space_bucket *one = &space->buckets[bucket];
    unsigned ended = 0;
    for (unsigned way = 0; way < HF_SPACE_WAYS; way++) {
        uint64_t word = atomic_load_explicit(&one->words[way], memory_order_relaxed);
        ended += word != 0 && hf_bucket_expiry(word) <= now_s;
    }
    if (ended == 0)
        return;
    struct hf_space_shard *shard = hf_bucket_shard(space, bucket);
    pthread_mutex_lock(&shard->lock);
    for (unsigned way = 0; way < HF_SPACE_WAYS; way++) {
        uint64_t word = atomic_load_explicit(&one->words[way], memory_order_relaxed);
        if (word == 0 || hf_bucket_expiry(word) > now_s)
            continue;
        atomic_store_explicit(&one->words[way], 0, memory_order_release);
        atomic_store_explicit(&one->hashes[way], 0, memory_order_release);
        hf_bucket_count(&shard->expired, 1);
        hf_bucket_count(&shard->entries, (uint64_t)-1);
    }
    pthread_mutex_unlock(&shard->lock);
    hf_space_mark(space, bucket);
}

unsigned hf_space_read(struct hf_space *space, uint64_t bucket, uint32_t now_s,
                       struct hf_space_entry *out)
{
    REQUIRE(bucket < space->bucket_count);
    struct hf_space_bucket *one = &space->buckets[bucket];
    struct hf_space_shard *shard = hf_bucket_shard(space, bucket);
    unsigned living = 0;
    pthread_mutex_lock(&shard->lock);
    for (unsigned way = 0; way < HF_SPACE_WAYS; way++) {
        uint64_t word = atomic_load_explicit(&one->words[way], memory_order_relaxed);
        uint64_t hash = atomic_load_explicit(&one->hashes[way], memory_order_relaxed);
        if (word != 0 && hf_bucket_expiry(word) > now_s)
            out[living++] = (struct hf_space_entry){
                .hash = hash, .expiry_s = hf_bucket_expiry(word), .server = hf_bucket_server(word)};
    }
    pthread_mutex_unlock(&shard->lock);
    return living;
}
