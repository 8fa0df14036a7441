#include "base/assert.h"
#include "table/bucket.h"

enum { NO_PLACE = HF_SPACE_WAYS };

struct place {
    uint64_t bucket;
    unsigned way; /* NO_PLACE = none */
};

/* Without a lock. The hash is read twice and the word carries 16 bits of it, so a place that
 * changes hands between the loads is told. acquire: the word stored before this hash is seen with
 * it. */
static unsigned find_in(struct hf_space_bucket *bucket, uint64_t hash, uint64_t *ret_word)
{
    for (unsigned way = 0; way < HF_SPACE_WAYS; way++) {
        if (atomic_load_explicit(&bucket->hashes[way], memory_order_acquire) != hash)
            continue;
        uint64_t word = atomic_load_explicit(&bucket->words[way], memory_order_acquire);
        bool same = atomic_load_explicit(&bucket->hashes[way], memory_order_relaxed) == hash;
        if (same && word != 0 && (uint16_t)word == hf_bucket_check(hash)) {
            *ret_word = word;
            return way;
        }
    }
    return NO_PLACE;
}

/* Hashes first: they are looked at before the words. */
static void ask_for(const struct hf_space *space, const uint64_t buckets[2])
{
    __builtin_prefetch(&space->buckets[buckets[0]].hashes);
    __builtin_prefetch(&space->buckets[buckets[1]].hashes);
    __builtin_prefetch(&space->buckets[buckets[0]].words);
    __builtin_prefetch(&space->buckets[buckets[1]].words);
}

void hf_space_announce(const struct hf_space *space, uint64_t hash)
{
    uint64_t buckets[2];
    hf_space_locate(space, hash, buckets);
    ask_for(space, buckets);
}

static struct place find(struct hf_space *space, uint64_t hash, uint64_t *ret_word)
{
    uint64_t buckets[2];
    hf_space_locate(space, hash, buckets);
    ask_for(space, buckets);
    for (unsigned i = 0; i < 2; i++) {
        unsigned way = find_in(&space->buckets[buckets[i]], hash, ret_word);
        if (way != NO_PLACE)
            return (struct place){.bucket = buckets[i], .way = way};
    }
    return (struct place){.way = NO_PLACE};
}

static _Atomic uint64_t *word_at(struct hf_space *space, struct place place)
{
    return &space->buckets[place.bucket].words[place.way];
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
    struct place place = find(space, hash, &word);
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
    unsigned oldest; /* the way that expires first */
    uint32_t oldest_s;
};

static struct survey look(const struct hf_space_bucket *bucket, uint32_t now_s)
{
    struct survey seen = {.unused = NO_PLACE, .oldest_s = UINT32_MAX};
    for (unsigned way = 0; way < HF_SPACE_WAYS; way++) {
        uint64_t word = atomic_load_explicit(&bucket->words[way], memory_order_relaxed);
        if (word == 0 || hf_bucket_expiry(word) <= now_s) {
            /* A free place is better than one whose end is still to be counted. */
            if (seen.unused == NO_PLACE || word == 0)
                seen.unused = way;
            continue;
        }
        seen.living++;
        if (hf_bucket_expiry(word) < seen.oldest_s) {
            seen.oldest = way;
            seen.oldest_s = hf_bucket_expiry(word);
        }
    }
    return seen;
}

/* Where a new entry goes; *ret_oldest_s: 0, or when the living entry that must go would expire. */
static struct place find_room(struct hf_space *space, const uint64_t buckets[2], uint32_t now_s,
                              uint32_t *ret_oldest_s)
{
    struct survey a = look(&space->buckets[buckets[0]], now_s);
    struct survey b = look(&space->buckets[buckets[1]], now_s);
    *ret_oldest_s = 0;
    if (a.unused != NO_PLACE && (a.living <= b.living || b.unused == NO_PLACE))
        return (struct place){.bucket = buckets[0], .way = a.unused};
    if (b.unused != NO_PLACE)
        return (struct place){.bucket = buckets[1], .way = b.unused};
    bool first = a.oldest_s <= b.oldest_s;
    *ret_oldest_s = first ? a.oldest_s : b.oldest_s;
    return (struct place){.bucket = buckets[!first], .way = first ? a.oldest : b.oldest};
}

/* Whoever was at the place is counted as what became of him. */
static void occupy(struct hf_space *space, struct place place, const struct hf_space_entry *entry,
                   uint32_t now_s)
{
    struct hf_space_shard *shard = hf_bucket_shard(space, place.bucket);
    uint64_t before = atomic_load_explicit(word_at(space, place), memory_order_relaxed);
    if (before == 0)
        hf_bucket_count(&shard->entries, 1);
    else
        hf_bucket_count(hf_bucket_expiry(before) <= now_s ? &shard->expired : &shard->evictions, 1);
    hf_bucket_count(&shard->inserts, 1);
    write(space, place, entry);
}

static void insert(struct hf_space *space, const struct hf_space_entry *entry, uint32_t now_s)
{
    uint64_t buckets[2];
    uint32_t oldest_s;
    hf_space_locate(space, entry->hash, buckets);
    struct place place = find_room(space, buckets, now_s, &oldest_s);
    occupy(space, place, entry, now_s);
    hf_space_mark(space, place.bucket);
}

static void revive(struct hf_space *space, struct place place, const struct hf_space_entry *entry,
                   uint32_t now_s)
{
    occupy(space, place, entry, now_s);
    hf_space_mark(space, place.bucket);
}

static struct hf_space_shard *lock_shard(struct hf_space *space, uint64_t hash)
{
    uint64_t buckets[2];
    hf_space_locate(space, hash, buckets);
    /* Their lines arrive while the lock is taken. */
    __builtin_prefetch(&space->buckets[buckets[0]].hashes, 1);
    __builtin_prefetch(&space->buckets[buckets[1]].hashes, 1);
    __builtin_prefetch(&space->buckets[buckets[0]].words, 1);
    __builtin_prefetch(&space->buckets[buckets[1]].words, 1);
    struct hf_space_shard *shard = hf_bucket_shard(space, buckets[0]);
    pthread_mutex_lock(&shard->lock);
    return shard;
}

uint16_t hf_space_claim(struct hf_space *space, const struct hf_space_entry *entry, uint32_t now_s)
{
    REQUIRE(entry->hash != 0 && entry->server != 0 && entry->expiry_s > now_s);
    uint64_t word = 0;
    uint16_t owner = entry->server;
    struct hf_space_shard *shard = lock_shard(space, entry->hash);
    struct place place = find(space, entry->hash, &word);
    if (place.way == NO_PLACE)
        insert(space, entry, now_s);
    else if (hf_bucket_expiry(word) <= now_s)
        revive(space, place, entry, now_s);
    else
        owner = hf_bucket_server(word);
    pthread_mutex_unlock(&shard->lock);
    return owner;
}

uint16_t hf_space_move(struct hf_space *space, const struct hf_space_entry *entry, uint16_t from,
                       uint32_t now_s)
{
    REQUIRE(entry->hash != 0 && entry->server != 0 && entry->expiry_s > now_s);
    uint64_t word = 0;
    uint16_t owner = entry->server;
    struct hf_space_shard *shard = lock_shard(space, entry->hash);
    struct place place = find(space, entry->hash, &word);
    if (place.way == NO_PLACE) {
        insert(space, entry, now_s);
    } else if (hf_bucket_expiry(word) <= now_s) {
        revive(space, place, entry, now_s);
    } else if (hf_bucket_server(word) == from) {
        atomic_store_explicit(word_at(space, place), hf_bucket_word(entry), memory_order_release);
        hf_space_mark(space, place.bucket);
        hf_bucket_count(&shard->moves, 1);
    } else {
        owner = hf_bucket_server(word);
    }
    pthread_mutex_unlock(&shard->lock);
    return owner;
}

/* The place for a restored entry, or none. Under the lock. */
static struct place restored_place(struct hf_space *space, const struct hf_space_entry *entry,
                                   uint32_t now_s, uint64_t wanted)
{
    uint64_t buckets[2];
    uint32_t oldest_s;
    hf_space_locate(space, entry->hash, buckets);
    if (wanted == buckets[0] || wanted == buckets[1]) {
        struct survey seen = look(&space->buckets[wanted], now_s);
        if (seen.unused != NO_PLACE)
            return (struct place){.bucket = wanted, .way = seen.unused};
    }
    struct place place = find_room(space, buckets, now_s, &oldest_s);
    if (oldest_s >= entry->expiry_s)
        place.way = NO_PLACE;
    return place;
}

bool hf_space_restore(struct hf_space *space, const struct hf_space_entry *entry, uint32_t now_s,
                      uint64_t bucket)
{
    REQUIRE(entry->hash != 0 && entry->server != 0 && entry->expiry_s > now_s);
    uint64_t word = 0;
    struct hf_space_shard *shard = lock_shard(space, entry->hash);
    struct place place = find(space, entry->hash, &word);
    bool there = place.way != NO_PLACE && hf_bucket_expiry(word) > now_s;
    if (!there) {
        if (place.way == NO_PLACE)
            place = restored_place(space, entry, now_s, bucket);
        if (place.way != NO_PLACE)
            occupy(space, place, entry, now_s);
    }
    pthread_mutex_unlock(&shard->lock);
    bool placed = place.way != NO_PLACE;
    /* Where it was read from, all is as it is on disk; elsewhere both buckets differ. */
    if (placed && place.bucket != bucket)
        hf_space_mark(space, place.bucket);
    if (bucket < space->bucket_count && (!placed || place.bucket != bucket))
        hf_space_mark(space, bucket);
    return placed;
}
