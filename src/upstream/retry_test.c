#include "upstream/retry.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

enum { SHARDS = 5, THREADS = 4 };
static unsigned next_shard; /* requests come to any worker, the budget is one */

static unsigned take_all(struct hf_retry_budget *budget, uint8_t percent, uint64_t now_ms)
{
    unsigned taken = 0;
    while (taken < 100000 && hf_retry_take(budget, percent, now_ms))
        taken++;
    return taken;
}

static void note(struct hf_retry_budget *budget, unsigned count, uint64_t now_ms)
{
    for (unsigned i = 0; i < count; i++)
        hf_retry_note_request(budget, next_shard++ % SHARDS, now_ms);
}

static void test_floor_without_requests(void **unused)
{
    struct hf_retry_budget *budget = hf_retry_budget_acquire("shop");
    assert_non_null(budget);
    assert_int_equal(take_all(budget, 20, 3), HF_RETRY_FLOOR);
    assert_false(hf_retry_take(budget, 100, 9999));
    assert_int_equal(take_all(budget, 0, 10000), HF_RETRY_FLOOR);
    hf_retry_budget_release(&budget);
}

static void test_part_of_requests(void **unused)
{
    struct hf_retry_budget *budget = hf_retry_budget_acquire("shop");
    assert_non_null(budget);
    note(budget, 1000, 50000);
    assert_int_equal(take_all(budget, 20, 50999), HF_RETRY_FLOOR + 200);
    assert_int_equal(take_all(budget, 21, 50999), 10);
    assert_int_equal(take_all(budget, 20, 50999), 0);
    note(budget, 4, 51000); /* 20 % of 1004 is 200, whole */
    assert_int_equal(take_all(budget, 21, 51000), 0);
    note(budget, 1, 51000);
    assert_int_equal(take_all(budget, 21, 51000), 1);
    hf_retry_budget_release(&budget);
}

static void test_window_slides(void **unused)
{
    struct hf_retry_budget *budget = hf_retry_budget_acquire("shop");
    assert_non_null(budget);
    for (unsigned second = 100; second < 110; second++)
        note(budget, 100, second * 1000 + 7);
    assert_int_equal(take_all(budget, 10, 109999), HF_RETRY_FLOOR + 100);
    /* Second 100 has left, with its requests; the retries were all taken in second 109. */
    assert_int_equal(take_all(budget, 10, 110000), 0);
    note(budget, 200, 110000);
    assert_int_equal(take_all(budget, 10, 110000), 10);
    /* When second 109 has left too, only the requests and retries of second 110 are known. */
    assert_int_equal(take_all(budget, 10, 119000), HF_RETRY_FLOOR + 20 - 10);
    /* A gap longer than the window forgets everything. */
    assert_int_equal(take_all(budget, 100, 500000), HF_RETRY_FLOOR);
    hf_retry_budget_release(&budget);
}

/* Against a list of everything that happened. */
static void test_like_a_full_history(void **unused)
{
    enum { SECONDS = 200 };
    struct hf_retry_budget *budget = hf_retry_budget_acquire("shop");
    assert_non_null(budget);
    unsigned requests[SECONDS] = {0}, retries[SECONDS] = {0};
    uint64_t random = 12345;
    unsigned denied = 0, granted = 0;
    for (uint64_t now_ms = 0; now_ms < SECONDS * 1000;) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        now_ms += (random >> 33) % 100 == 0 ? (random >> 40) % 15000 : (random >> 40) % 20;
        uint64_t second = now_ms / 1000;
        if (second >= SECONDS)
            break;
        if ((random >> 50) % 3 != 0) {
            hf_retry_note_request(budget, next_shard++ % SHARDS, now_ms);
            requests[second]++;
            continue;
        }
        unsigned requests_known = 0, retries_known = 0;
        for (uint64_t s = second >= 9 ? second - 9 : 0; s <= second; s++) {
            requests_known += requests[s];
            retries_known += retries[s];
        }
        bool expected = retries_known < HF_RETRY_FLOOR + requests_known * 15 / 100;
        assert_int_equal(hf_retry_take(budget, 15, now_ms), expected);
        retries[second] += expected;
        granted += expected;
        denied += !expected;
    }
    assert_true(granted > 100 && denied > 100);
    hf_retry_budget_release(&budget);
}

static void test_found_by_name_while_somebody_holds_it(void **unused)
{
    struct hf_retry_budget *shop = hf_retry_budget_acquire("shop");
    struct hf_retry_budget *other = hf_retry_budget_acquire("other");
    assert_int_equal(take_all(shop, 0, 5000), HF_RETRY_FLOOR);
    assert_int_equal(take_all(other, 0, 5000), HF_RETRY_FLOOR);
    struct hf_retry_budget *again = hf_retry_budget_acquire("shop"); /* a reload */
    assert_ptr_equal(again, shop);
    hf_retry_budget_release(&shop);
    assert_null(shop);
    assert_int_equal(take_all(again, 0, 5001), 0);
    hf_retry_budget_release(&again);
    hf_retry_budget_release(&other);
    hf_retry_budget_release(&other);
    shop = hf_retry_budget_acquire("shop");
    assert_int_equal(take_all(shop, 0, 5001), HF_RETRY_FLOOR);
    hf_retry_budget_release(&shop);
}

/* --- threads: together they get what one would --- */

static struct hf_retry_budget *shared;
static atomic_uint taken;

static void *take_many(void *argument)
{
    unsigned shard = (unsigned)(uintptr_t)argument;
    for (unsigned i = 0; i < 5000; i++) {
        hf_retry_note_request(shared, shard, 7000);
        taken += hf_retry_take(shared, 10, 7000);
        taken += hf_retry_take(shared, 10, 7000);
    }
    return NULL;
}

static void test_threads(void **unused)
{
    pthread_t threads[THREADS];
    shared = hf_retry_budget_acquire("shared");
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, (void *)i), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    taken += take_all(shared, 10, 7000);
    assert_int_equal(taken, HF_RETRY_FLOOR + THREADS * 5000 / 10);
    hf_retry_budget_release(&shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_floor_without_requests),
        cmocka_unit_test(test_part_of_requests),
        cmocka_unit_test(test_window_slides),
        cmocka_unit_test(test_like_a_full_history),
        cmocka_unit_test(test_found_by_name_while_somebody_holds_it),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
