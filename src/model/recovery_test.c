#include "model/recovery.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct hf_server *server;
static uint64_t judged_ms, detection_ms;

static int setup(void **state)
{
    (void)state;
    server = hf_server_acquire("shop", "app1", 1);
    server->health = HF_HEALTH_UP;
    server->state_since_ms = 1000;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hf_server_unref(&server);
    return 0;
}

static void detection_counts_from_the_last_good_check(void **state)
{
    (void)state;
    assert_false(hf_recovery_take(server, &judged_ms, &detection_ms));
    hf_recovery_note_good(server, 2000);
    hf_recovery_note_good(server, 3000);
    hf_recovery_judged_by_checks(server, 5250);
    assert_true(hf_recovery_take(server, &judged_ms, &detection_ms));
    assert_int_equal(judged_ms, 5250);
    assert_int_equal(detection_ms, 2250);
    assert_false(hf_recovery_take(server, &judged_ms, &detection_ms)); /* the first alone */
}

static void without_a_good_check_it_counts_from_the_last_change(void **state)
{
    (void)state;
    hf_recovery_judged_by_checks(server, 1500);
    assert_true(hf_recovery_take(server, &judged_ms, &detection_ms));
    assert_int_equal(detection_ms, 500);
    hf_recovery_judged_by_checks(server, 900); /* another clock was a moment ahead */
    assert_true(hf_recovery_take(server, &judged_ms, &detection_ms));
    assert_int_equal(judged_ms, 900);
    assert_int_equal(detection_ms, 0);
}

static void who_is_out_already_fails_no_second_time(void **state)
{
    (void)state;
    hf_recovery_judged(server, 1900, 2000);
    server->ejected_until_ms = 9000;
    hf_recovery_judged_by_checks(server, 2500);
    assert_true(hf_recovery_take(server, &judged_ms, &detection_ms));
    assert_int_equal(judged_ms, 2000);
    assert_int_equal(detection_ms, 100);
    server->ejected_until_ms = 0;
    server->admin = HF_ADMIN_MAINTENANCE;
    hf_recovery_judged(server, 1900, 3000);
    assert_false(hf_recovery_take(server, &judged_ms, &detection_ms));
    server->admin = HF_ADMIN_DRAIN; /* has its sessions still */
    hf_recovery_judged(server, 1900, 3000);
    assert_true(hf_recovery_take(server, &judged_ms, &detection_ms));
}

static void a_detection_of_days_is_the_longest_that_is_told(void **state)
{
    (void)state;
    const uint64_t day_ms = 24ull * 3600 * 1000;
    hf_recovery_judged(server, 7, 30 * day_ms);
    assert_true(hf_recovery_take(server, &judged_ms, &detection_ms));
    assert_int_equal(judged_ms, 30 * day_ms);
    assert_int_equal(detection_ms, (1 << 24) - 1);
}

static void the_last_recoveries_are_kept(void **state)
{
    (void)state;
    struct hf_recovery list[HF_RECOVERIES_KEPT];
    assert_int_equal(hf_recovery_list(list), 0);
    for (unsigned i = 0; i < HF_RECOVERIES_KEPT + 5; i++) {
        struct hf_recovery one = {.at_ms = i, .lookup_us = i * 10, .session = "moved"};
        snprintf(one.server, sizeof(one.server), "app%u", i);
        hf_recovery_keep(&one);
        unsigned count = hf_recovery_list(list);
        assert_int_equal(count, i < HF_RECOVERIES_KEPT ? i + 1 : HF_RECOVERIES_KEPT);
        for (unsigned j = 0; j < count; j++) {
            assert_int_equal(list[j].at_ms, i - j); /* newest first */
            assert_int_equal(list[j].lookup_us, (i - j) * 10);
        }
        assert_string_equal(list[0].server, one.server);
        assert_string_equal(list[0].session, "moved");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(detection_counts_from_the_last_good_check, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_good_check_it_counts_from_the_last_change, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(who_is_out_already_fails_no_second_time, setup, teardown),
        cmocka_unit_test_setup_teardown(a_detection_of_days_is_the_longest_that_is_told, setup,
                                        teardown),
        cmocka_unit_test(the_last_recoveries_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
