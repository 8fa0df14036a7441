#include "upstream/retry.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

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
        hf_retry_note_request(budget, now_ms);
}

static void test_floor_without_requests(void **unused)
{
    struct hf_retry_budget budget = {0};
    assert_int_equal(take_all(&budget, 20, 3), HF_RETRY_FLOOR);
    assert_false(hf_retry_take(&budget, 100, 9999));
    assert_int_equal(take_all(&budget, 0, 10000), HF_RETRY_FLOOR);
}

static void test_part_of_requests(void **unused)
{
    struct hf_retry_budget budget = {0};
    note(&budget, 1000, 50000);
    assert_int_equal(take_all(&budget, 20, 50999), HF_RETRY_FLOOR + 200);
    assert_int_equal(take_all(&budget, 21, 50999), 10);
    assert_int_equal(take_all(&budget, 20, 50999), 0);
    note(&budget, 4, 51000); /* 20 % of 1004 is 200, whole */
    assert_int_equal(take_all(&budget, 21, 51000), 0);
    note(&budget, 1, 51000);
    assert_int_equal(take_all(&budget, 21, 51000), 1);
}

static void test_window_slides(void **unused)
{
    struct hf_retry_budget budget = {0};
    for (unsigned second = 100; second < 110; second++)
        note(&budget, 100, second * 1000 + 7);
    assert_int_equal(take_all(&budget, 10, 109999), HF_RETRY_FLOOR + 100);
    /* Second 100 has left, with its requests; the retries were all taken in second 109. */
    assert_int_equal(take_all(&budget, 10, 110000), 0);
    note(&budget, 200, 110000);
    assert_int_equal(take_all(&budget, 10, 110000), 10);
    /* When second 109 has left too, only the requests and retries of second 110 are known. */
    assert_int_equal(take_all(&budget, 10, 119000), HF_RETRY_FLOOR + 20 - 10);
    /* A gap longer than the window forgets everything. */
    assert_int_equal(take_all(&budget, 100, 500000), HF_RETRY_FLOOR);
}

/* Against a list of everything that happened. */
static void test_like_a_full_history(void **unused)
{
    enum { SECONDS = 200 };
    struct hf_retry_budget budget = {0};
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
            hf_retry_note_request(&budget, now_ms);
            requests[second]++;
            continue;
        }
        unsigned requests_known = 0, retries_known = 0;
        for (uint64_t s = second >= 9 ? second - 9 : 0; s <= second; s++) {
            requests_known += requests[s];
            retries_known += retries[s];
        }
        bool expected = retries_known < HF_RETRY_FLOOR + requests_known * 15 / 100;
        assert_int_equal(hf_retry_take(&budget, 15, now_ms), expected);
        retries[second] += expected;
        granted += expected;
        denied += !expected;
    }
    assert_true(granted > 100 && denied > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_floor_without_requests),
        cmocka_unit_test(test_part_of_requests),
        cmocka_unit_test(test_window_slides),
        cmocka_unit_test(test_like_a_full_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
