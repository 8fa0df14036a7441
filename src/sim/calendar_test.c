#include "sim/calendar.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { TICKS = 10, ITEMS = 6 };

static void test_chains_by_tick(void **unused)
{
    struct hf_calendar calendar;
    uint32_t next[ITEMS];
    (void)unused;
    assert_int_equal(hf_calendar_init(&calendar, TICKS), 0);
    hf_calendar_add(&calendar, 3, 0, &next[0]);
    hf_calendar_add(&calendar, 9, 1, &next[1]);
    hf_calendar_add(&calendar, 3, 2, &next[2]);
    assert_int_equal(hf_calendar_take(&calendar, 0), HF_CALENDAR_NONE);
    assert_int_equal(hf_calendar_take(&calendar, 3), 2);
    assert_int_equal(next[2], 0);
    assert_int_equal(next[0], HF_CALENDAR_NONE);
    assert_int_equal(hf_calendar_take(&calendar, 3), HF_CALENDAR_NONE);
    assert_int_equal(hf_calendar_take(&calendar, 9), 1);
    hf_calendar_fini(&calendar);
}

static void test_beyond_the_end_is_forgotten(void **unused)
{
    struct hf_calendar calendar;
    uint32_t next = 7;
    (void)unused;
    assert_int_equal(hf_calendar_init(&calendar, TICKS), 0);
    hf_calendar_add(&calendar, TICKS, 0, &next);
    hf_calendar_add(&calendar, UINT32_MAX, 0, &next);
    assert_int_equal(next, 7);
    for (uint32_t tick = 0; tick < TICKS; tick++)
        assert_int_equal(hf_calendar_take(&calendar, tick), HF_CALENDAR_NONE);
    hf_calendar_fini(&calendar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chains_by_tick),
        cmocka_unit_test(test_beyond_the_end_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
