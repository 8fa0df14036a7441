/* Many records, many shards: scans, digests, growth, and that shards share nothing. */
#include "base/rng.h"
#include "store/testing.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { COUNT = 20000 };

static struct hf_store_key key_in(char text[16], unsigned number)
{
    snprintf(text, 16, "%u", number);
    return hf_testing_key(text);
}

static void put(struct hf_store *store, unsigned number)
{
    char text[16];
    struct hf_store_key key = key_in(text, number);
    hf_testing_set(store, &key, hf_slice_text(text), 0);
}

/* ---- growth ---- */

static void the_index_grows_by_one_at_a_time(void **state)
{
    struct hf_store *store = hf_testing_store(&hf_testing_options);
    uint64_t before = store->bucket_count;
    for (unsigned i = 0; i < COUNT; i++) {
        put(store, i);
        assert_in_range(store->bucket_count, before, before + 1);
        before = store->bucket_count;
    }
    assert_in_range(store->bucket_count, COUNT - 1, COUNT + 1);
    hf_shard_check(store);
    hf_store_free(&store);
}

/* ---- scans ---- */

struct seen {
    unsigned char times[2 * COUNT];
    unsigned visits, stop_after;
};

static bool note(void *user, const struct hf_store_record *record)
{
    struct seen *seen = user;
    uint64_t number;
    assert_true(hf_slice_to_u64(record->id, &number) && number < 2 * COUNT);
    assert_int_equal(record->id_hash, hf_store_hash(hf_testing_options.hash_key, record->id));
    seen->times[number]++;
    return ++seen->visits != seen->stop_after;
}

/* While a scan goes on the store doubles: all that were there at its beginning are visited. */
static void a_scan_misses_nobody_while_the_store_grows(void **state)
{
    static struct seen seen;
    struct hf_store *store = hf_testing_store(&hf_testing_options);
    struct hf_store_scan scan = {
        .visit = note, .user = &seen, .now_ms = HF_TESTING_NOW_MS, .count = 50, .bucket = -1};
    for (unsigned i = 0; i < COUNT; i++)
        put(store, i);
    uint64_t cursor = 0;
    unsigned added = COUNT, calls = 0;
    do {
        unsigned before = seen.visits;
        hf_store_scan(store, &cursor, &scan);
        assert_true(seen.visits - before < 50 + 20); /* a chain is finished */
        for (unsigned i = 0; i < 60 && added < 2 * COUNT; i++)
            put(store, added++);
        calls++;
    } while (cursor != 0);
    assert_true(calls > COUNT / 100);
    for (unsigned i = 0; i < COUNT; i++)
        assert_true(seen.times[i] > 0);
    hf_store_free(&store);
}

/* Counts those met one by one; in the middle as many come as there were. */
static void walk(struct hf_store *store, unsigned met[2 * COUNT], unsigned grow_at)
{
    struct hf_store_record record;
    uint64_t cursor = 0;
    unsigned steps = 0;
    while (hf_store_next(store, &cursor, HF_TESTING_NOW_MS, &record)) {
        char text[16] = "";
        memcpy(text, record.id.bytes, record.id.size);
        met[strtoul(text, NULL, 10)]++;
        assert_int_equal(record.id_hash, hf_store_hash(hf_testing_options.hash_key, record.id));
        assert_true(++steps <= 4 * COUNT);
        for (unsigned i = 0; steps == grow_at && i < COUNT; i++)
            put(store, COUNT + i);
    }
    assert_int_equal(cursor, 0);
}

static void one_by_one_all_are_met_and_once_when_nothing_changes(void **state)
{
    static unsigned met[2][2 * COUNT];
    struct hf_store *store = hf_testing_store(&hf_testing_options);
    memset(met, 0, sizeof(met));
    for (unsigned i = 0; i < COUNT; i++)
        put(store, i);
    walk(store, met[0], 0);
    walk(store, met[1], COUNT / 3);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(met[0][i], 1);
        assert_true(met[1][i] >= 1);
    }
    hf_store_free(&store);
}

static void a_scan_of_a_bucket_visits_that_alone(void **state)
{
    static struct seen seen, all;
    struct hf_store *store = hf_testing_store(&hf_testing_options);
    for (unsigned i = 0; i < COUNT; i++)
        put(store, i);
    for (int bucket = 0; bucket < HF_DIGEST_BUCKETS; bucket++) {
        struct hf_store_scan scan = {.visit = note,
                                     .user = &seen,
                                     .now_ms = HF_TESTING_NOW_MS,
                                     .count = 8,
                                     .bucket = bucket};
        uint64_t cursor = 0;
        memset(&seen, 0, sizeof(seen));
        do {
            hf_store_scan(store, &cursor, &scan);
        } while (cursor != 0);
        assert_int_equal(seen.visits, hf_store_digests(store)[bucket].count);
        for (unsigned i = 0; i < COUNT; i++)
            all.times[i] += seen.times[i];
    }
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(all.times[i], 1);
    hf_store_free(&store);
}

static void a_visitor_may_end_a_scan(void **state)
{
    static struct seen seen = {.stop_after = 3};
    struct hf_store *store = hf_testing_store(&hf_testing_options);
    struct hf_store_scan scan = {
        .visit = note, .user = &seen, .now_ms = HF_TESTING_NOW_MS, .count = COUNT, .bucket = -1};
    for (unsigned i = 0; i < COUNT; i++)
        put(store, i);
    uint64_t cursor = 0;
    hf_store_scan(store, &cursor, &scan);
    assert_true(seen.visits == 3 && cursor != 0);
    hf_store_free(&store);
}

/* ---- digests ---- */

static void digests_do_not_depend_on_the_order(void **state)
{
    struct hf_store *a = hf_testing_store(&hf_testing_options);
    struct hf_store *b = hf_testing_store(&hf_testing_options);
    size_t size = HF_DIGEST_BUCKETS * sizeof(struct hf_digest);
    for (unsigned i = 0; i < COUNT; i++) {
        put(a, i);
        put(b, COUNT - 1 - i);
    }
    assert_memory_equal(hf_store_digests(a), hf_store_digests(b), size);
    char text[16];
    struct hf_store_key key = key_in(text, 77);
    hf_testing_set(a, &key, HF_SLICE("changed"), 0);
    unsigned different = 0;
    for (unsigned i = 0; i < HF_DIGEST_BUCKETS; i++)
        different += hf_store_digests(a)[i].sum != hf_store_digests(b)[i].sum;
    assert_int_equal(different, 1);
    hf_testing_set(b, &key, HF_SLICE("changed"), 0);
    assert_memory_equal(hf_store_digests(a), hf_store_digests(b), size);
    hf_store_free(&a);
    hf_store_free(&b);
}

/* ---- shards ---- */

static void ids_spread_over_shards(void **state)
{
    enum { SHARDS = 7, MANY = 70000 };
    unsigned counts[SHARDS] = {0};
    for (unsigned i = 0; i < MANY; i++) {
        char text[16];
        struct hf_store_key key = key_in(text, i);
        unsigned shard = hf_store_shard(key.id_hash, SHARDS);
        assert_true(shard < SHARDS);
        counts[shard]++;
    }
    for (unsigned i = 0; i < SHARDS; i++)
        assert_in_range(counts[i], MANY / SHARDS * 95 / 100, MANY / SHARDS * 105 / 100);
}

enum { THREADS = 4, STEPS = 20000 };
static bool thread_right[THREADS];

/* Each thread works on the ids of its shard; nothing is shared, so nothing is locked. */
static void *work(void *argument)
{
    unsigned shard = (unsigned)(uintptr_t)argument;
    struct hf_store *store = NULL;
    struct hf_store_options options = hf_testing_options;
    options.memory = HF_STORE_MEMORY_MIN;
    options.full = HF_STORE_EVICT;
    bool right = hf_store_new(&options, &store) == 0;
    struct hf_store_write write = hf_testing_write;
    for (unsigned i = 0; right && i < STEPS; i++) {
        char text[16];
        struct hf_store_key key = key_in(text, i);
        struct hf_store_change change;
        struct hf_store_value got;
        struct hf_store_set set = {.value = hf_slice_text(text),
                                   .deadline_ms = write.now_ms + 1000 + i % 5000};
        if (hf_store_shard(key.id_hash, THREADS) != shard)
            continue;
        write.now_ms++;
        right = hf_store_set(store, &key, &set, &write, &change) == HF_STORE_OK &&
                hf_store_get(store, &key, write.now_ms, &got) == HF_STORE_OK &&
                hf_slice_equal(got.bytes, set.value);
        hf_store_tick(store, write.now_ms, HF_STORE_TICK_BUDGET);
    }
    if (right)
        hf_shard_check(store);
    thread_right[shard] = right;
    hf_store_free(&store);
    return NULL;
}

static void shards_share_nothing(void **state)
{
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)i), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(thread_right[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_index_grows_by_one_at_a_time),
        cmocka_unit_test(a_scan_misses_nobody_while_the_store_grows),
        cmocka_unit_test(one_by_one_all_are_met_and_once_when_nothing_changes),
        cmocka_unit_test(a_scan_of_a_bucket_visits_that_alone),
        cmocka_unit_test(a_visitor_may_end_a_scan),
        cmocka_unit_test(digests_do_not_depend_on_the_order),
        cmocka_unit_test(ids_spread_over_shards),
        cmocka_unit_test(shards_share_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
