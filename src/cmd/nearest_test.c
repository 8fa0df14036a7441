#include "cmd/nearest.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *const names[] = {"status", "servers", "drain", "ready", "maintenance"};
enum { NAMES = sizeof(names) / sizeof(names[0]) };

static void test_finds_the_slip(void **state)
{
    assert_string_equal(hf_nearest("sttaus", names, NAMES), "status");
    assert_string_equal(hf_nearest("server", names, NAMES), "servers");
    assert_string_equal(hf_nearest("maintanence", names, NAMES), "maintenance");
    assert_string_equal(hf_nearest("drain", names, NAMES), "drain");
}

static void test_far_words_have_none(void **state)
{
    assert_null(hf_nearest("explode", names, NAMES));
    assert_null(hf_nearest("x", names, NAMES));
    assert_null(hf_nearest("", names, NAMES));
    assert_null(hf_nearest("status", names, 0));
}

static void test_words_at_the_limit(void **state)
{
    char longest[HF_NEAREST_WORD_MAX + 2];
    memset(longest, 'a', sizeof(longest) - 1);
    longest[HF_NEAREST_WORD_MAX + 1] = '\0';
    const char *many[] = {longest};
    assert_null(hf_nearest(longest, many, 1));
    longest[HF_NEAREST_WORD_MAX] = '\0';
    assert_ptr_equal(hf_nearest(longest, many, 1), longest);
}

static void test_first_of_equals(void **state)
{
    const char *apps[] = {"shop/app1", "shop/app2"};
    assert_string_equal(hf_nearest("shop/app9", apps, 2), "shop/app1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_the_slip),
        cmocka_unit_test(test_far_words_have_none),
        cmocka_unit_test(test_words_at_the_limit),
        cmocka_unit_test(test_first_of_equals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
