/* The memory of a table: who is found, who goes, who wins. */
#include "base/hash.h"
#include "base/rng.h"
#include "base/test.h"
#include "table/space.h"
#include <errno.h>

enum { NOW = 100, LIFE = 1000, THREADS = 4, SMALL = 1, ROUNDS = 200 * 1000 };

static uint64_t key(uint64_t number)
{
    return hf_hash_mix(number, 77) | 1;
}

static struct hf_space_entry entry(uint64_t hash, uint16_t server, uint32_t expiry_s)
{
    return (struct hf_space_entry){.hash = hash, .server = server, .expiry_s = expiry_s};
}

static uint16_t claim(struct hf_space *space, uint64_t hash, uint16_t server, uint32_t expiry_s)
{
    struct hf_space_entry one = entry(hash, server, expiry_s);
    return hf_space_claim(space, &one, NOW);
}

static uint16_t find(struct hf_space *space, uint64_t hash, uint32_t now_s)
{
    return hf_space_find(space, hash, now_s, 0, 0);
}

static uint64_t sum(const struct hf_space *space, size_t offset)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < space->shard_count; i++)
        total += *(const uint64_t *)((const char *)&space->shards[i] + offset);
    return total;
}
#define SUM(space, field) sum(space, offsetof(struct hf_space_shard, field))

static void an_entry_lives_until_it_expires(void **state)
{
    struct hf_space space;
    assert_int_equal(hf_space_init(&space, 10), 0);
    assert_int_equal(find(&space, key(1), NOW), 0);
    assert_int_equal(claim(&space, key(1), 7, NOW + 5), 7);
    assert_int_equal(find(&space, key(1), NOW + 4), 7);
    assert_int_equal(find(&space, key(1), NOW + 5), 0);
    /* Less than 10 s left: prolonged to NOW + 50; then 10 s or more are left: not touched. */
    assert_int_equal(hf_space_find(&space, key(1), NOW + 4, 10, NOW + 50), 7);
    assert_int_equal(hf_space_find(&space, key(1), NOW + 40, 10, NOW + 90), 7);
    assert_int_equal(find(&space, key(1), NOW + 49), 7);
    assert_int_equal(find(&space, key(1), NOW + 50), 0);
    hf_space_fini(&space);
    assert_int_equal(hf_space_init(&space, 0), -EINVAL);
}

static void the_first_claim_wins_and_a_move_needs_the_owner(void **state)
{
    struct hf_space space;
    assert_int_equal(hf_space_init(&space, 10), 0);
    assert_int_equal(claim(&space, key(1), 7, NOW + LIFE), 7);
    assert_int_equal(claim(&space, key(1), 8, NOW + LIFE), 7);
    struct hf_space_entry to = entry(key(1), 9, NOW + LIFE);
    assert_int_equal(hf_space_move(&space, &to, 8, NOW), 7); /* 8 is not its owner */
    assert_int_equal(hf_space_move(&space, &to, 7, NOW), 9);
    assert_int_equal(hf_space_move(&space, &to, 7, NOW), 9); /* the second of two movers */
    assert_int_equal(find(&space, key(1), NOW), 9);
    assert_int_equal(SUM(&space, moves), 1);
    to = entry(key(2), 3, NOW + LIFE); /* gone meanwhile: made anew */
    assert_int_equal(hf_space_move(&space, &to, 7, NOW), 3);
    assert_int_equal(SUM(&space, entries), 2);
    hf_space_fini(&space);
}

static void as_many_as_its_size_have_room(void **state)
{
    static const uint64_t sizes[] = {1, 10, 1000, 30 * 1000, 300 * 1000};
    for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        struct hf_space space;
        assert_int_equal(hf_space_init(&space, sizes[s]), 0);
        for (uint64_t i = 0; i < sizes[s]; i++)
            claim(&space, key(i), (uint16_t)(i % 100 + 1), NOW + LIFE);
        assert_int_equal(SUM(&space, evictions), 0);
        assert_int_equal(SUM(&space, entries), sizes[s]);
        for (uint64_t i = 0; i < sizes[s]; i++)
            assert_int_equal(find(&space, key(i), NOW), i % 100 + 1);
        for (uint64_t i = 0; i < 300 * 1000; i++) /* a match would be one of 2^64 / entries */
            assert_int_equal(find(&space, key(i + 1000 * 1000 * 1000), NOW), 0);
        hf_space_fini(&space);
    }
}

/* Hashes that differ in one bit alone are different clients, also in the same bucket. */
static void every_bit_of_the_hash_counts(void **state)
{
    struct hf_space space;
    assert_int_equal(hf_space_init(&space, SMALL), 0);
    for (uint64_t i = 0; i < 1000; i++) {
        claim(&space, key(i), 5, NOW + LIFE);
        for (unsigned bit = 1; bit < 64; bit++)
            assert_int_equal(find(&space, key(i) ^ 1ull << bit, NOW), 0);
        assert_int_equal(find(&space, key(i), NOW), 5);
    }
    hf_space_fini(&space);
}

static void when_full_the_oldest_idle_goes_and_is_counted(void **state)
{
    enum { SIZE = 20 * 1000 };
    struct hf_space space;
    assert_int_equal(hf_space_init(&space, SIZE), 0);
    for (uint64_t i = 0; i < SIZE; i++)
        claim(&space, key(i), 1, NOW + 10);
    for (uint64_t i = SIZE; i < 2 * SIZE; i++)
        claim(&space, key(i), 2, NOW + 20);
    uint64_t left = 0, young = 0;
    for (uint64_t i = 0; i < SIZE; i++) {
        left += find(&space, key(i), NOW) != 0;
        young += find(&space, key(SIZE + i), NOW) == 2;
    }
    /* Oldest of sixteen, not of all: that a younger one went is the exception. */
    assert_in_range(young, SIZE - SIZE / 100, SIZE);
    assert_int_equal(SUM(&space, evictions), 2 * SIZE - left - young);
    assert_in_range(left, SIZE / 4, SIZE / 2); /* 1.45 places for each of `size` */
    assert_int_equal(SUM(&space, entries), young + left);
    hf_space_fini(&space);
}

static void what_expired_makes_room_and_is_swept(void **state)
{
    enum { SIZE = 5000 };
    struct hf_space space;
    assert_int_equal(hf_space_init(&space, SIZE), 0);
    for (uint64_t i = 0; i < SIZE; i++)
        claim(&space, key(i), 1, NOW + 10);
    struct hf_space_entry again = entry(key(1), 2, NOW + 100);
    assert_int_equal(hf_space_claim(&space, &again, NOW + 10), 2); /* the old one is over */
    for (uint64_t i = 0; i < space.bucket_count; i++)
        hf_space_sweep(&space, i, NOW + 10);
    assert_int_equal(SUM(&space, expired), SIZE);
    assert_int_equal(SUM(&space, entries), 1);
    assert_int_equal(SUM(&space, evictions), 0);
    assert_int_equal(find(&space, key(1), NOW + 10), 2);
    hf_space_fini(&space);
}

static void restored_entries_yield_to_living_ones(void **state)
{
    struct hf_space space;
    uint64_t buckets[2];
    assert_int_equal(hf_space_init(&space, 10), 0);
    hf_space_locate(&space, key(1), buckets);
    struct hf_space_entry old = entry(key(1), 4, NOW + LIFE);
    assert_true(hf_space_restore(&space, &old, NOW, buckets[1]));
    assert_int_equal(hf_space_take_marks(&space, buckets[1] / 64), 0); /* as on disk: no write */
    claim(&space, key(2), 6, NOW + LIFE);
    old = entry(key(2), 4, NOW + 2 * LIFE);
    assert_true(hf_space_restore(&space, &old, NOW, UINT64_MAX));
    assert_int_equal(find(&space, key(2), NOW), 6);
    /* In a space full of longer lives there is no room. */
    for (uint64_t i = 10; i < 1000; i++)
        claim(&space, key(i), 1, NOW + LIFE);
    old = entry(key(5000), 4, NOW + 1);
    assert_false(hf_space_restore(&space, &old, NOW, UINT64_MAX));
    hf_space_fini(&space);
}

static void a_bucket_is_read_whole_and_marked_once_changed(void **state)
{
    struct hf_space space;
    struct hf_space_entry read[HF_SPACE_WAYS];
    assert_int_equal(hf_space_init(&space, 10), 0);
    claim(&space, key(3), 9, NOW + LIFE);
    unsigned marked = 0, entries = 0;
    for (uint64_t group = 0; group <= space.bucket_count / 64; group++) {
        uint64_t marks = hf_space_take_marks(&space, group);
        marked += (unsigned)__builtin_popcountll(marks);
        for (unsigned bit = 0; bit < 64; bit++) {
            if (marks >> bit & 1)
                entries += hf_space_read(&space, group * 64 + bit, NOW, read);
        }
    }
    assert_int_equal(marked, 1);
    assert_int_equal(entries, 1);
    assert_true(read[0].hash == key(3));
    assert_int_equal(read[0].server, 9);
    assert_int_equal(read[0].expiry_s, NOW + LIFE);
    hf_space_fini(&space);
}

/* --- several threads --- */

static uint16_t server_of(uint64_t hash)
{
    return (uint16_t)(hash % 60000 + 1);
}

static struct hf_space shared;
static atomic_bool wrong;

/* Many keys for few places: each is written over all the time, and a reader never joins one key to
 * the server of another. */
static void *fight(void *seed)
{
    struct hf_rng rng;
    hf_rng_seed(&rng, (uint64_t)(uintptr_t)seed);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t hash = key(hf_rng_below(&rng, 1000));
        uint16_t found = find(&shared, hash, NOW);
        if (found == 0)
            found = claim(&shared, hash, server_of(hash), NOW + LIFE + hf_rng_below(&rng, 50));
        if (found != server_of(hash))
            atomic_store(&wrong, true);
        if (i % 16 == 0)
            hf_space_sweep(&shared, hash % shared.bucket_count, NOW + LIFE + 25);
    }
    return NULL;
}

static void run(void *(*body)(void *), unsigned count)
{
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, body, (void *)(uintptr_t)(i + 1)), 0);
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static void readers_never_join_a_key_to_anothers_server(void **state)
{
    assert_int_equal(hf_space_init(&shared, SMALL), 0);
    run(fight, THREADS);
    assert_false(atomic_load(&wrong));
    assert_true(SUM(&shared, evictions) > 0);
    hf_space_fini(&shared);
}

enum { RACES = 5000 };
static _Atomic uint16_t winners[THREADS + 1][RACES];

static void *race(void *me)
{
    unsigned index = (unsigned)(uintptr_t)me;
    for (unsigned i = 0; i < RACES; i++)
        winners[index][i] = claim(&shared, key(i), (uint16_t)index, NOW + LIFE);
    return NULL;
}

static void of_several_first_claims_one_wins(void **state)
{
    assert_int_equal(hf_space_init(&shared, RACES), 0);
    run(race, THREADS);
    for (unsigned i = 0; i < RACES; i++) {
        uint16_t owner = find(&shared, key(i), NOW);
        assert_in_range(owner, 1, THREADS);
        for (unsigned t = 1; t <= THREADS; t++)
            assert_int_equal(winners[t][i], owner);
    }
    assert_int_equal(SUM(&shared, inserts), RACES);
    hf_space_fini(&shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_lives_until_it_expires),
        cmocka_unit_test(the_first_claim_wins_and_a_move_needs_the_owner),
        cmocka_unit_test(as_many_as_its_size_have_room),
        cmocka_unit_test(every_bit_of_the_hash_counts),
        cmocka_unit_test(when_full_the_oldest_idle_goes_and_is_counted),
        cmocka_unit_test(what_expired_makes_room_and_is_swept),
        cmocka_unit_test(restored_entries_yield_to_living_ones),
        cmocka_unit_test(a_bucket_is_read_whole_and_marked_once_changed),
        cmocka_unit_test(readers_never_join_a_key_to_anothers_server),
        cmocka_unit_test(of_several_first_claims_one_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
