#include "base/assert.h"
#include "table/bucket.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif
#if defined(__SANITIZE_THREAD__) /* gcc */
#define HF_THREAD_SANITIZER 1
#elif defined(__has_feature) /* clang */
#if __has_feature(thread_sanitizer)
#define HF_THREAD_SANITIZER 1
#endif
#endif

enum { NO_PLACE = HF_SPACE_WAYS };

struct place {
    uint64_t bucket;
    unsigned way; /* NO_PLACE = none */
};

/* Hashes first: they are looked at before the words. */
static void ask_for(const struct hf_space *space, const struct hf_bucket_home *home)
{
    __builtin_prefetch(&space->buckets[home->buckets[0]].hashes);
    __builtin_prefetch(&space->buckets[home->buckets[1]].hashes);
    __builtin_prefetch(&space->buckets[home->buckets[0]].words);
    __builtin_prefetch(&space->buckets[home->buckets[1]].words);
}

void hf_space_announce(const struct hf_space *space, uint64_t hash)
{
    struct hf_bucket_home home = hf_bucket_home(space, hash);
    ask_for(space, &home);
}

/* The places whose hash it seems to be, a bit for each: A's, then B's. Without branches: one that
 * depends on what memory has yet to answer is guessed, and a wrong guess throws away all that the
 * processor began meanwhile. Only a hint: whoever uses a place reads it again, atomically. Two
 * hashes a load are no atomic ones, which matters to a sanitizer alone: one that stays as it is
 * cannot be missed. */
#if defined(__SSE2__) && !defined(HF_THREAD_SANITIZER)
_Static_assert(HF_SPACE_WAYS == 8, "four loads a bucket");
static __m128i equal_halves(const struct hf_space_bucket *bucket, __m128i hash)
{
    const __m128i *pairs = (const __m128i *)(const void *)bucket->hashes;
    __m128i a = _mm_packs_epi32(_mm_cmpeq_epi32(pairs[0], hash), _mm_cmpeq_epi32(pairs[1], hash));
    __m128i b = _mm_packs_epi32(_mm_cmpeq_epi32(pairs[2], hash), _mm_cmpeq_epi32(pairs[3], hash));
    return _mm_packs_epi16(a, b); /* two bytes a hash, one for each half of it */
}

static unsigned matches_in(const struct hf_space_bucket *a, const struct hf_space_bucket *b,
                           uint64_t hash)
{
    __m128i wanted = _mm_set1_epi64x((long long)hash), both = _mm_set1_epi16(-1);
    __m128i of_a = _mm_cmpeq_epi16(equal_halves(a, wanted), both);
    __m128i of_b = _mm_cmpeq_epi16(equal_halves(b, wanted), both);
    return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(of_a, of_b));
}
#else
static unsigned matches_in(const struct hf_space_bucket *a, const struct hf_space_bucket *b,
                           uint64_t hash)
{
    unsigned matches = 0;
    for (unsigned way = 0; way < HF_SPACE_WAYS; way++) {
        uint64_t of_a = atomic_load_explicit(&a->hashes[way], memory_order_relaxed);
        uint64_t of_b = atomic_load_explicit(&b->hashes[way], memory_order_relaxed);
        matches |= (unsigned)(of_a == hash) << way | (unsigned)(of_b == hash)
                                                         << (way + HF_SPACE_WAYS);
    }
    return matches;
}
#endif

static _Atomic uint64_t *word_at(struct hf_space *space, struct place place)
{
    return &space->buckets[place.bucket].words[place.way];
}

/* Without a lock. The hash is read before and after the word, and the word carries 16 bits of it,
 * so a place that changes hands between the loads is told. acquire: the word stored before this
 * hash is seen with it. */
static struct place find(struct hf_space *space, const struct hf_bucket_home *home, uint64_t hash,
                         uint64_t *ret_word)
{
    unsigned matches =
        matches_in(&space->buckets[home->buckets[0]], &space->buckets[home->buckets[1]], hash);
    for (; matches != 0; matches &= matches - 1) {
        unsigned at = (unsigned)__builtin_ctz(matches);
        struct place place = {home->buckets[at / HF_SPACE_WAYS], at % HF_SPACE_WAYS};
        const _Atomic uint64_t *here = &space->buckets[place.bucket].hashes[place.way];
        if (atomic_load_explicit(here, memory_order_acquire) != hash)
            continue;
        uint64_t word = atomic_load_explicit(word_at(space, place), memory_order_acquire);
        bool same = atomic_load_explicit(here, memory_order_relaxed) == hash;
        if (same && word != 0 && (uint16_t)word == hf_bucket_check(hash)) {
            *ret_word = word;
            return place;
        }
    }
    return (struct place){.way = NO_PLACE};
}

/* Later only. A lost race is another's refresh, or a writer's newer word. */
static void prolong(struct hf_space *space, struct place place, uint64_t word, uint32_t expiry_s)
{
    uint64_t longer = (uint64_t)expiry_s << 32 | (uint32_t)word;
    if (atomic_compare_exchange_strong_explicit(word_at(space, place), &word, longer,
                                                memory_order_acq_rel, memory_order_relaxed))
        hf_space_mark(space, place.bucket);
}

uint16_t hf_space_find(struct hf_space *space, uint64_t hash, uint32_t now_s, uint32_t refresh_s,
                       uint32_t expiry_s)
{
    uint64_t word = 0;
    struct hf_bucket_home home = hf_bucket_home(space, hash);
    ask_for(space, &home);
    struct place place = find(space, &home, hash, &word);
    if (place.way == NO_PLACE || hf_bucket_expiry(word) <= now_s)
        return 0;
    if (hf_bucket_expiry(word) - now_s < refresh_s && expiry_s > hf_bucket_expiry(word))
        prolong(space, place, word, expiry_s);
    return hf_bucket_server(word);
}

/* --- writers: under the shard's lock --- */

/* Emptied first, so that no reader joins the new hash to the old word. */
static void write(struct hf_space *space, struct place place, const struct hf_space_entry *entry)
{
    struct hf_space_bucket *bucket = &space->buckets[place.bucket];
    atomic_store_explicit(&bucket->words[place.way], 0, memory_order_release);
    atomic_store_explicit(&bucket->hashes[place.way], entry->hash, memory_order_release);
    atomic_store_explicit(&bucket->words[place.way], hf_bucket_word(entry), memory_order_release);
}

struct survey { /* of one bucket */
    unsigned living;
    unsigned unused; /* a way that is free or expired, or NO_PLACE */
};

/* Without branches on what is there, as matches_in. A free place never lives. */
static struct survey look(const struct hf_space_bucket *bucket, uint32_t now_s)
{
    unsigned usable = 0, living = 0;
    for (unsigned way = 0; way < HF_SPACE_WAYS; way++) {
        uint64_t word = atomic_load_explicit(&bucket->words[way], memory_order_relaxed);
        unsigned over = hf_bucket_expiry(word) <= now_s;
        usable |= over << way;
        living += !over;
    }
    return (struct survey){.living = living,
                           .unused = usable != 0 ? (unsigned)__builtin_ctz(usable) : NO_PLACE};
}

/* Of two full buckets; *ret_oldest_s: when the entry at the place would expire. */
static struct place find_oldest(struct hf_space *space, const struct hf_bucket_home *home,
                                uint32_t *ret_oldest_s)
{
    struct place oldest = {home->buckets[0], 0};
    *ret_oldest_s = UINT32_MAX;
    for (unsigned i = 0; i < 2 * HF_SPACE_WAYS; i++) {
        struct place place = {home->buckets[i / HF_SPACE_WAYS], i % HF_SPACE_WAYS};
        uint64_t word = atomic_load_explicit(word_at(space, place), memory_order_relaxed);
        if (hf_bucket_expiry(word) >= *ret_oldest_s)
            continue;
        *ret_oldest_s = hf_bucket_expiry(word);
        oldest = place;
    }
    return oldest;
}

/* Where a new entry goes: into the emptier bucket. *ret_oldest_s: 0, or when the living entry that
 * must go would expire. */
static struct place find_room(struct hf_space *space, const struct hf_bucket_home *home,
                              uint32_t now_s, uint32_t *ret_oldest_s)
{
    struct survey seen[2] = {look(&space->buckets[home->buckets[0]], now_s),
                             look(&space->buckets[home->buckets[1]], now_s)};
    unsigned emptier = seen[1].living < seen[0].living;
    *ret_oldest_s = 0;
    if (seen[emptier].unused == NO_PLACE)
        return find_oldest(space, home, ret_oldest_s);
    return (struct place){home->buckets[emptier], seen[emptier].unused};
}

/* Whoever was at the place is counted as what became of him. */
static void occupy(struct hf_space *space, struct hf_space_shard *shard, struct place place,
                   const struct hf_space_entry *entry, uint32_t now_s)
{
    uint64_t before = atomic_load_explicit(word_at(space, place), memory_order_relaxed);
    if (before == 0)
        hf_bucket_count(&shard->entries, 1);
    else
        hf_bucket_count(hf_bucket_expiry(before) <= now_s ? &shard->expired : &shard->evictions, 1);
    hf_bucket_count(&shard->inserts, 1);
    write(space, place, entry);
}

static void insert(struct hf_space *space, const struct hf_bucket_home *home,
                   const struct hf_space_entry *entry, uint32_t now_s)
{
    uint32_t oldest_s;
    struct place place = find_room(space, home, now_s, &oldest_s);
    occupy(space, &space->shards[home->shard], place, entry, now_s);
    hf_space_mark(space, place.bucket);
}

static void revive(struct hf_space *space, struct hf_space_shard *shard, struct place place,
                   const struct hf_space_entry *entry, uint32_t now_s)
{
    occupy(space, shard, place, entry, now_s);
    hf_space_mark(space, place.bucket);
}

static struct hf_bucket_home lock_home(struct hf_space *space, uint64_t hash)
{
    struct hf_bucket_home home = hf_bucket_home(space, hash);
    /* All that a writer touches arrives while the lock is taken; the marks too: a
     * quarter of a megabyte of them for ten million entries is in no near cache. */
    ask_for(space, &home);
    __builtin_prefetch(&space->dirty[home.buckets[0] / 64]);
    __builtin_prefetch(&space->dirty[home.buckets[1] / 64]);
    pthread_mutex_lock(&space->shards[home.shard].lock);
    return home;
}

uint16_t hf_space_claim(struct hf_space *space, const struct hf_space_entry *entry, uint32_t now_s)
{
    REQUIRE(entry->hash != 0 && entry->server != 0 && entry->expiry_s > now_s);
    uint64_t word = 0;
    uint16_t owner = entry->server;
    struct hf_bucket_home home = lock_home(space, entry->hash);
    struct place place = find(space, &home, entry->hash, &word);
    if (place.way == NO_PLACE)
        insert(space, &home, entry, now_s);
    else if (hf_bucket_expiry(word) <= now_s)
        revive(space, &space->shards[home.shard], place, entry, now_s);
    else
        owner = hf_bucket_server(word);
    pthread_mutex_unlock(&space->shards[home.shard].lock);
    return owner;
}

uint16_t hf_space_move(struct hf_space *space, const struct hf_space_entry *entry, uint16_t from,
                       uint32_t now_s)
{
    REQUIRE(entry->hash != 0 && entry->server != 0 && entry->expiry_s > now_s);
    uint64_t word = 0;
    uint16_t owner = entry->server;
    struct hf_bucket_home home = lock_home(space, entry->hash);
    struct place place = find(space, &home, entry->hash, &word);
    if (place.way == NO_PLACE) {
        insert(space, &home, entry, now_s);
    } else if (hf_bucket_expiry(word) <= now_s) {
        revive(space, &space->shards[home.shard], place, entry, now_s);
    } else if (hf_bucket_server(word) == from) {
        atomic_store_explicit(word_at(space, place), hf_bucket_word(entry), memory_order_release);
        hf_space_mark(space, place.bucket);
        hf_bucket_count(&space->shards[home.shard].moves, 1);
    } else {
        owner = hf_bucket_server(word);
    }
    pthread_mutex_unlock(&space->shards[home.shard].lock);
    return owner;
}

/* The place for a restored entry, or none. Under the lock. */
static struct place restored_place(struct hf_space *space, const struct hf_bucket_home *home,
                                   const struct hf_space_entry *entry, uint32_t now_s,
                                   uint64_t wanted)
{
    uint32_t oldest_s;
    if (wanted == home->buckets[0] || wanted == home->buckets[1]) {
        struct survey seen = look(&space->buckets[wanted], now_s);
        if (seen.unused != NO_PLACE)
            return (struct place){.bucket = wanted, .way = seen.unused};
    }
    struct place place = find_room(space, home, now_s, &oldest_s);
    if (oldest_s >= entry->expiry_s)
        place.way = NO_PLACE;
    return place;
}

bool hf_space_restore(struct hf_space *space, const struct hf_space_entry *entry, uint32_t now_s,
                      uint64_t bucket)
{
    REQUIRE(entry->hash != 0 && entry->server != 0 && entry->expiry_s > now_s);
    uint64_t word = 0;
    struct hf_bucket_home home = lock_home(space, entry->hash);
    struct place place = find(space, &home, entry->hash, &word);
    bool there = place.way != NO_PLACE && hf_bucket_expiry(word) > now_s;
    if (!there) {
        if (place.way == NO_PLACE)
            place = restored_place(space, &home, entry, now_s, bucket);
        if (place.way != NO_PLACE)
            occupy(space, &space->shards[home.shard], place, entry, now_s);
    }
    pthread_mutex_unlock(&space->shards[home.shard].lock);
    bool placed = place.way != NO_PLACE;
    /* Where it was read from, all is as it is on disk; elsewhere both buckets differ. */
    if (placed && place.bucket != bucket)
        hf_space_mark(space, place.bucket);
    if (bucket < space->bucket_count && (!placed || place.bucket != bucket))
        hf_space_mark(space, bucket);
    return placed;
}
