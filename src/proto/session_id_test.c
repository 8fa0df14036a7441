#include "base/test.h"
#include "proto/guard.h"
#include "proto/session_id.h"

/* id NULL: there is none in the value. */
static const struct row {
    enum hf_session_format format;
    const char *value, *id;
} rows[] = {
    {HF_SESSION_PLAIN, "abc123", "abc123"},
    {HF_SESSION_PLAIN, "abc.app1", "abc.app1"},
    {HF_SESSION_PLAIN, "", NULL},
    {HF_SESSION_PLAIN, "\"\"", NULL},
    {HF_SESSION_PLAIN, "\"", "\""},
    {HF_SESSION_PLAIN, "\"quoted\"", "quoted"},
    {HF_SESSION_PLAIN, "a%2Cb%2cc", "a,b,c"}, /* PHP writes "," so */
    {HF_SESSION_PLAIN, "100%", "100%"},
    {HF_SESSION_PLAIN, "%4", "%4"},
    {HF_SESSION_PLAIN, "%zz%41", "%zzA"},
    {HF_SESSION_PLAIN, "a+b", "a+b"},

    {HF_SESSION_EXPRESS, "s%3AId-_9.c2lnbmF0dXJl%2Bx", "Id-_9"},
    {HF_SESSION_EXPRESS, "s:Id.sig", "Id"},
    {HF_SESSION_EXPRESS, "s:with.dots.sig", "with.dots"},
    {HF_SESSION_EXPRESS, "s:Id", NULL},
    {HF_SESSION_EXPRESS, "s:Id.", NULL},
    {HF_SESSION_EXPRESS, "s:.sig", NULL},
    {HF_SESSION_EXPRESS, "s:", NULL},
    {HF_SESSION_EXPRESS, "s", NULL},
    {HF_SESSION_EXPRESS, "j:{}.sig", NULL}, /* a signed object is no session */
    {HF_SESSION_EXPRESS, "Id.sig", NULL},

    /* FIPS 180-2 B.1 */
    {HF_SESSION_RACK, "abc", "2::ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {HF_SESSION_RACK, "%61bc",
     "2::ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {HF_SESSION_RACK, "", NULL},

    {HF_SESSION_BASE64, "Zg==", "f"},
    {HF_SESSION_BASE64, "Zg", "f"},
    {HF_SESSION_BASE64, "Zm8%3D", "fo"},
    {HF_SESSION_BASE64, "Zm9v", "foo"},
    {HF_SESSION_BASE64, "Zm9vYmFy", "foobar"},
    {HF_SESSION_BASE64, "/+8", "\xff\xef"},
    {HF_SESSION_BASE64, "_-8", "\xff\xef"},
    {HF_SESSION_BASE64, "aWQuYXBwMQ==", "id"}, /* id.app1 */
    {HF_SESSION_BASE64, "LmFwcDE=", NULL},     /* .app1 */
    {HF_SESSION_BASE64, "Z", NULL},
    {HF_SESSION_BASE64, "=", NULL},
    {HF_SESSION_BASE64, "Zm9v====", NULL},
    {HF_SESSION_BASE64, "Zm 9", NULL},
    {HF_SESSION_BASE64, "Zg==Zg==", NULL},

    {HF_SESSION_ROUTE_SUFFIX, "A1B2.app1", "A1B2"},
    {HF_SESSION_ROUTE_SUFFIX, "A1B2.app1.app2", "A1B2"},
    {HF_SESSION_ROUTE_SUFFIX, "A1B2", "A1B2"},
    {HF_SESSION_ROUTE_SUFFIX, "A1B2.", "A1B2"},
    {HF_SESSION_ROUTE_SUFFIX, ".app1", NULL},
};

static void ids_are_what_stores_know(void **state)
{
    struct hf_guard guard = hf_guard_init();
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hf_slice value = hf_slice_text(rows[i].value);
        value.bytes = hf_guard_copy(&guard, value);
        struct hf_session_id id;
        bool found = hf_session_id_read(rows[i].format, value, &id);
        if (found != (rows[i].id != NULL))
            print_error("row %u: %s\n", i, rows[i].value);
        assert_int_equal(found, rows[i].id != NULL);
        assert_true(!found ||
                    hf_slice_equal(hf_slice(id.bytes, id.size), hf_slice_text(rows[i].id)));
    }
    hf_guard_fini(&guard);
}

static void the_longest_value_is_read_and_one_more_is_not(void **state)
{
    struct hf_guard guard = hf_guard_init();
    char value[HF_SESSION_ID_MAX + 1];
    memset(value, 'A', sizeof(value));
    for (unsigned format = 0; format < HF_SESSION_FORMAT_COUNT; format++) {
        memcpy(value, "s:", format == HF_SESSION_EXPRESS ? 2 : 0);
        value[HF_SESSION_ID_MAX - 2] = format == HF_SESSION_EXPRESS ? '.' : 'A';
        struct hf_session_id id;
        struct hf_slice most = hf_slice(value, HF_SESSION_ID_MAX);
        most.bytes = hf_guard_copy(&guard, most);
        assert_true(hf_session_id_read((enum hf_session_format)format, most, &id));
        assert_in_range(id.size, 1, HF_SESSION_ID_MAX);
        struct hf_slice over = hf_slice(value, HF_SESSION_ID_MAX + 1);
        assert_false(hf_session_id_read((enum hf_session_format)format, over, &id));
        value[0] = value[1] = 'A';
    }
    hf_guard_fini(&guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_what_stores_know),
        cmocka_unit_test(the_longest_value_is_read_and_one_more_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
