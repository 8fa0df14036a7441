#include "base/test.h"
#include "proto/guard.h"
#include "proto/http.h"
#include "proto/http1_feed.h"
#include <ctype.h>

static struct hf_guard guard;

static enum hf_field_id identify(const char *bytes, size_t size)
{
    return hf_field_identify(hf_slice(hf_guard_copy(&guard, hf_slice(bytes, size)), size));
}

/* Every name of the table in three cases, and every name that differs from it in one byte. */
static void test_known_fields(void **state)
{
    for (unsigned id = HF_FIELD_OTHER + 1; id < HF_FIELD_COUNT; id++) {
        struct hf_slice text = hf_field_text((enum hf_field_id)id);
        char lower[64], upper[64], mixed[64];
        for (size_t i = 0; i < text.size; i++) {
            lower[i] = text.bytes[i];
            upper[i] = (char)toupper(text.bytes[i]);
            mixed[i] = i % 2 == 0 ? upper[i] : lower[i];
        }
        assert_int_equal(identify(lower, text.size), id);
        assert_int_equal(identify(upper, text.size), id);
        assert_int_equal(identify(mixed, text.size), id);
        assert_int_equal(identify(lower, text.size - 1), HF_FIELD_OTHER);
        for (size_t at = 0; at < text.size; at++) {
            for (int byte = 0; byte < 256; byte++) {
                mixed[at] = (char)byte;
                bool same = byte == lower[at] || byte == upper[at];
                assert_int_equal(identify(mixed, text.size), same ? id : HF_FIELD_OTHER);
            }
            mixed[at] = lower[at];
        }
    }
    assert_int_equal(identify("", 0), HF_FIELD_OTHER);
    assert_int_equal(identify("x-a-name-longer-than-any", 24), HF_FIELD_OTHER);
}

static void test_find(void **state)
{
    static struct hf_http1_feed feed = {.limits = {.head_size_max = 1024, .fields_max = 9}};
    feed.guard = guard;
    const struct hf_head *head =
        hf_http1_feed_accepted(&feed, "GET / HTTP/1.1\r\nHost: a\r\nCookie: 1\r\nX-A: 2\r\n"
                                      "cookie: 3\r\nx-a: 4\r\n\r\n");
    assert_ptr_equal(hf_head_find(head, HF_FIELD_COOKIE), &head->fields[1]);
    assert_null(hf_head_find(head, HF_FIELD_DATE));
    assert_ptr_equal(hf_head_find_name(head, HF_SLICE("X-a")), &head->fields[2]);
    assert_ptr_equal(hf_head_find_name(head, HF_SLICE("COOKIE")), &head->fields[1]);
    assert_null(hf_head_find_name(head, HF_SLICE("X")));
}

static void test_statuses(void **state)
{
    assert_string_equal(hf_status_phrase(200), "OK");
    assert_string_equal(hf_status_phrase(404), "Not Found");
    assert_string_equal(hf_status_phrase(511), "Network Authentication Required");
    assert_string_equal(hf_status_phrase(299), "");
    assert_string_equal(hf_status_phrase(0), "");
    assert_string_equal(hf_status_phrase(512), "");
    assert_string_equal(hf_status_phrase(UINT32_MAX), "");
}

static void test_idempotent(void **state)
{
    assert_true(hf_method_idempotent(HF_METHOD_GET) && hf_method_idempotent(HF_METHOD_HEAD));
    assert_true(hf_method_idempotent(HF_METHOD_PUT) && hf_method_idempotent(HF_METHOD_DELETE));
    assert_true(hf_method_idempotent(HF_METHOD_OPTIONS) && hf_method_idempotent(HF_METHOD_TRACE));
    assert_false(hf_method_idempotent(HF_METHOD_POST) || hf_method_idempotent(HF_METHOD_PATCH));
    assert_false(hf_method_idempotent(HF_METHOD_OTHER) || hf_method_idempotent(HF_METHOD_CONNECT));
}

static int setup(void **state)
{
    guard = hf_guard_init();
    return 0;
}

static int teardown(void **state)
{
    hf_guard_fini(&guard);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_fields),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_idempotent),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
