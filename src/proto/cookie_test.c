#include "base/rng.h"
#include "base/test.h"
#include "proto/cookie.h"
#include "proto/guard.h"
#include "proto/http1.h"
#include <stdio.h>

static struct hf_guard guard;

/* A head of Cookie fields, from `lines` such as "Cookie: a=1\r\n". */
static const struct hf_head *head_of(const char *lines)
{
    static struct hf_head head;
    static char text[1024];
    static const struct hf_http1_limits limits = {.head_size_max = 1024, .fields_max = 20};
    struct hf_http1_parser parser = {0};
    int size = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", lines);
    assert_int_equal(hf_http1_parse_request(&parser, &head, text, (size_t)size, &limits),
                     HF_CODEC_DONE);
    return &head;
}

static void assert_found(const char *lines, unsigned count, const char *value)
{
    struct hf_cookie_found found;
    hf_cookie_find(head_of(lines), HF_SLICE("SRV"), &found);
    assert_int_equal(found.count, count);
    assert_true(hf_slice_equal(found.value, hf_slice_text(value)));
}

static void test_find(void **state)
{
    assert_found("", 0, "");
    assert_found("Cookie: SRV=x\r\n", 1, "x");
    assert_found("cookie: a=1; SRV=x; b=2\r\n", 1, "x");
    assert_found("Cookie: a=1;SRV=x ;b=2\r\n", 1, "x");
    assert_found("Cookie: SRV=x=y==\r\n", 1, "x=y==");
    assert_found("Cookie: SRV=\r\n", 1, "");
    assert_found("Cookie: SRV=x; SRV=y\r\n", 2, "x");
    assert_found("Cookie: SRV=x\r\nA: b\r\nCookie: c=d; SRV=y\r\n", 2, "x");
    assert_found("Cookie: SRV=\"b1\"\r\n", 1, "\"b1\"");
    assert_found("Cookie: a=\"; SRV=x; b=\"\r\n", 1, "x");
    assert_found("Cookie: $Version=1; SRV=\"b1\"; $Path=/\r\n", 1, "\"b1\"");
    assert_found("Cookie: SRV =x\r\n", 1, "x");
    assert_found("Cookie: srv=x; XSRV=y; SRVX=z; SRV; =SRV; a=SRV=x\r\n", 0, "");
    assert_found("Cookie: ;;; SRV=x;;;\r\n", 1, "x");
    assert_found("Set-Cookie: SRV=x\r\n", 0, "");
}

static void assert_set(const char *lines, unsigned count, const char *value)
{
    struct hf_cookie_found found;
    hf_cookie_find_set(head_of(lines), HF_SLICE("SID"), &found);
    assert_int_equal(found.count, count);
    assert_true(hf_slice_equal(found.value, hf_slice_text(value)));
}

static void test_find_set(void **state)
{
    assert_set("", 0, "");
    assert_set("Set-Cookie: SID=x\r\n", 1, "x");
    assert_set("Set-Cookie: SID = x ; Path=/; HttpOnly\r\n", 1, "x");
    assert_set("Set-Cookie: SID=x; Max-Age=10; Expires=Fri, 01 Jan 2100 00:00:00 GMT\r\n", 1, "x");
    assert_set("Set-Cookie: SID=x\r\nSet-Cookie: A=b\r\nSet-Cookie: SID=y\r\n", 2, "y");
    /* What ends a cookie: nothing of it is to be learned. */
    assert_set("Set-Cookie: SID=\r\n", 0, "");
    assert_set("Set-Cookie: SID=x; max-age=0\r\n", 0, "");
    assert_set("Set-Cookie: SID=x; Max-Age=-1\r\n", 0, "");
    assert_set("Set-Cookie: SID=x; expires=Thu, 01 Jan 1970 00:00:01 GMT\r\n", 0, "");
    /* Other names, the name as an attribute, and a request's field. */
    assert_set("Set-Cookie: sid=x\r\nSet-Cookie: XSID=y\r\nSet-Cookie: A=b; SID=x\r\n", 0, "");
    assert_set("Cookie: SID=x\r\nSet-Cookie: SID\r\nSet-Cookie: ; SID=x\r\n", 0, "");
}

static void test_dollar_version_is_a_name(void **state)
{
    struct hf_cookie_found found;
    hf_cookie_find(head_of("Cookie: $Version=1; a=b\r\n"), HF_SLICE("$Version"), &found);
    assert_int_equal(found.count, 1);
    assert_true(hf_slice_equal(found.value, HF_SLICE("1")));
}

static void test_remove(void **state)
{
    static const char *const rows[][2] = {
        {"a=1; SRV=x; b=2", "a=1; b=2"},
        {"SRV=x; b=2", "b=2"},
        {"a=1; SRV=x", "a=1"},
        {"SRV=x", ""},
        {"", ""},
        {"a=1;  b=2 ;c=3", "a=1;  b=2 ;c=3"},
        {"a=1;SRV=x;  b=2", "a=1;  b=2"},
        {" a=1 ;SRV=x; b=2 ", " a=1 ; b=2 "},
        {"SRV=x; SRV=y; a=1", "a=1"},
        {"SRV=x; a=1; SRV=y", "a=1"},
        {"SRV=x; SRV=y", ""},
        {"SRV=x;", ""},
        {"SRV=x; ;;", ""},
        {"a=1; SRV=x;", "a=1;"},
        {"a=\"; SRV=x; b=\"", "a=\"; b=\""},
        {"SRV =x; a=1", "a=1"},
        {"SRV; srv=x; SRVX=y", "SRV; srv=x; SRVX=y"},
        {";a=1", ";a=1"},
        {"SRV=x;;a=1", ";a=1"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[64];
        struct hf_slice value = hf_slice_text(rows[i][0]);
        size_t size = hf_cookie_remove(hf_slice(hf_guard_copy(&guard, value), value.size),
                                       HF_SLICE("SRV"), out);
        if (!hf_slice_equal(hf_slice(out, size), hf_slice_text(rows[i][1])))
            print_message("%s: %.*s\n", rows[i][0], (int)size, out);
        assert_true(hf_slice_equal(hf_slice(out, size), hf_slice_text(rows[i][1])));
    }
}

static unsigned count_in(struct hf_slice value)
{
    struct hf_head head = {.base = value.bytes, .field_count = 1};
    struct hf_cookie_found found;
    head.fields[0] = (struct hf_field){.id = HF_FIELD_COOKIE, .value_size = (uint16_t)value.size};
    hf_cookie_find(&head, HF_SLICE("S"), &found);
    return found.count;
}

/* What is left holds none of that name, is no longer, and removing again changes nothing. */
static void test_removed_is_gone(void **state)
{
    struct hf_rng rng;
    hf_rng_seed(&rng, 6265);
    for (unsigned round = 0; round < 100000; round++) {
        char value[24], once[24], twice[24];
        size_t size = hf_rng_below(&rng, sizeof(value) + 1);
        for (size_t i = 0; i < size; i++)
            value[i] = "S=;; \tx\""[hf_rng_below(&rng, 8)];
        size_t once_size = hf_cookie_remove(hf_slice(value, size), HF_SLICE("S"), once);
        assert_in_range(once_size, 0, size);
        assert_int_equal(count_in(hf_slice(once, once_size)), 0);
        if (count_in(hf_slice(value, size)) == 0)
            assert_true(hf_slice_equal(hf_slice(value, size), hf_slice(once, once_size)));
        size_t twice_size = hf_cookie_remove(hf_slice(once, once_size), HF_SLICE("S"), twice);
        assert_true(hf_slice_equal(hf_slice(once, once_size), hf_slice(twice, twice_size)));
    }
}

static void test_next(void **state)
{
    const struct hf_head *head = head_of("Cookie: a=1; SRV= x ; SRV=\r\nA: SRV=no\r\n"
                                         "Cookie: srv=2; SRV=y;\r\n");
    static const char *const expected[] = {"x", "", "y"};
    struct hf_cookie_cursor cursor = {0};
    struct hf_slice value;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_true(hf_cookie_next(head, HF_SLICE("SRV"), &cursor, &value));
        assert_true(hf_slice_equal(value, hf_slice_text(expected[i])));
    }
    assert_false(hf_cookie_next(head, HF_SLICE("SRV"), &cursor, &value));
    assert_false(hf_cookie_next(head, HF_SLICE("SRV"), &cursor, &value));
}

static void test_prefix(void **state)
{
    static const char *const rows[][3] = {
        {"app1~abc", "app1", "abc"}, {"\"app1~abc\"", "app1", "abc\""},
        {"app1~a~b", "app1", "a~b"}, {"a.b_c-D9~", "a.b_c-D9", ""},
        {"  app1~x", "app1", "x"},   {"abc", NULL, NULL},
        {"~abc", NULL, NULL},        {"a b~c", NULL, NULL},
        {"\"~\"", NULL, NULL},       {"", NULL, NULL},
        {"\"\"app1~x", NULL, NULL},  {"app1", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hf_slice value = hf_slice_text(rows[i][0]), label, rest;
        value = hf_slice(hf_guard_copy(&guard, value), value.size);
        assert_int_equal(hf_cookie_prefix(value, '~', &label, &rest), rows[i][1] != NULL);
        if (rows[i][1] == NULL)
            continue;
        assert_true(hf_slice_equal(label, hf_slice_text(rows[i][1])));
        assert_true(hf_slice_equal(rest, hf_slice_text(rows[i][2])));
    }
}

static void test_cut_prefix(void **state)
{
    static const char *const rows[][2] = {
        {"SRV=app1~abc", "SRV=abc"},
        {"a=app1~1; SRV=app1~abc;b=2 ", "a=app1~1; SRV=abc;b=2 "},
        {"SRV=app1~a~b", "SRV=a~b"},
        {"SRV=\"app1~abc\"; x=y", "SRV=\"abc\"; x=y"},
        {"SRV=app1~a; SRV=app2~b", "SRV=a; SRV=b"},
        {" SRV = app1~a ;;", " SRV = a ;;"},
        {"SRV=app1~", "SRV="},
        {"SRV=abc; srv=app1~x; XSRV=app1~x", "SRV=abc; srv=app1~x; XSRV=app1~x"},
        {"SRV=~abc; SRV", "SRV=~abc; SRV"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *field = hf_guard_copy(&guard, hf_slice_text(rows[i][0]));
        size_t size = hf_cookie_cut_prefix(field, strlen(rows[i][0]), HF_SLICE("SRV"), '~');
        assert_true(hf_slice_equal(hf_slice(field, size), hf_slice_text(rows[i][1])));
    }
}

static void test_set_cookie_prefix_at(void **state)
{
    static const struct {
        const char *field;
        size_t at;
    } rows[] = {
        {"SRV=abc; Path=/", 4},
        {"SRV=a", 4},
        {"SRV=\"abc\"; HttpOnly", 5},
        {" SRV\t= abc", 7},
        {"SRV=a~b=c", 4},
        {"SRV=deleted; Max-Age=0", 4},
        {"SRV=", 0},
        {"SRV=; Max-Age=0", 0},
        {"SRV=\"\"; Max-Age=0", 0},
        {"SRV= ; Path=/", 0},
        {"SRV", 0},
        {"SRV; x=SRV=1", 0},
        {"x=1; SRV=abc", 0},
        {"srv=abc", 0},
        {"SRVX=abc", 0},
        {"", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hf_slice field = hf_slice_text(rows[i].field);
        field = hf_slice(hf_guard_copy(&guard, field), field.size);
        assert_int_equal(hf_cookie_set_prefix_at(field, HF_SLICE("SRV")), rows[i].at);
    }
}

static void assert_written(const struct hf_cookie_attributes *attributes, const char *expected)
{
    char out[256];
    size_t size = strlen(expected);
    assert_int_equal(hf_cookie_write(attributes, HF_SLICE("v1"), out, sizeof(out)), size);
    assert_memory_equal(out, expected, size);
    for (size_t room = 0; room < size; room++)
        assert_int_equal(
            hf_cookie_write(attributes, HF_SLICE("v1"), guard.area + HF_GUARD_SIZE - room, room),
            0);
    assert_int_equal(
        hf_cookie_write(attributes, HF_SLICE("v1"), guard.area + HF_GUARD_SIZE - size, size), size);
}

static void test_write(void **state)
{
    struct hf_cookie_attributes attributes = {.name = HF_SLICE("S"), .path = HF_SLICE("/")};
    assert_written(&attributes, "S=v1; Path=/");
    attributes.same_site = HF_SAME_SITE_STRICT;
    attributes.http_only = true;
    assert_written(&attributes, "S=v1; Path=/; HttpOnly; SameSite=Strict");
    attributes = (struct hf_cookie_attributes){.name = HF_SLICE("__Secure-S"),
                                               .path = HF_SLICE("/app"),
                                               .domain = HF_SLICE("a.example"),
                                               .max_age_s = 43200,
                                               .same_site = HF_SAME_SITE_NONE,
                                               .secure = true,
                                               .http_only = true,
                                               .partitioned = true};
    assert_written(&attributes,
                   "__Secure-S=v1; Path=/app; Domain=a.example; Max-Age=43200; Secure; "
                   "HttpOnly; SameSite=None; Partitioned");
}

static bool agrees(const char *name, const char *path, const char *domain, bool secure,
                   enum hf_same_site same_site, bool partitioned)
{
    struct hf_cookie_attributes attributes = {.name = hf_slice_text(name),
                                              .path = hf_slice_text(path),
                                              .domain = hf_slice_text(domain),
                                              .secure = secure,
                                              .same_site = same_site,
                                              .partitioned = partitioned};
    return hf_cookie_attributes_check(&attributes) == NULL;
}

static void test_attributes(void **state)
{
    assert_true(agrees("S", "/", "", false, HF_SAME_SITE_LAX, false));
    assert_true(agrees("__Host-S", "/", "", true, HF_SAME_SITE_NONE, true));
    assert_true(agrees("__Secure-S", "/a", "b.c", true, HF_SAME_SITE_UNSET, false));
    assert_false(agrees("", "/", "", false, HF_SAME_SITE_LAX, false));
    assert_false(agrees("S S", "/", "", false, HF_SAME_SITE_LAX, false));
    assert_false(agrees("S=", "/", "", false, HF_SAME_SITE_LAX, false));
    assert_false(agrees("S", "", "", false, HF_SAME_SITE_LAX, false));
    assert_false(agrees("S", "a", "", false, HF_SAME_SITE_LAX, false));
    assert_false(agrees("S", "/a;b", "", false, HF_SAME_SITE_LAX, false));
    assert_false(agrees("S", "/a\r\nX: y", "", false, HF_SAME_SITE_LAX, false));
    assert_false(agrees("S", "/", "a b", false, HF_SAME_SITE_LAX, false));
    assert_false(agrees("S", "/", "a\r\n", false, HF_SAME_SITE_LAX, false));
    assert_false(agrees("S", "/", "a;b", false, HF_SAME_SITE_LAX, false));
    assert_false(agrees("__Host-S", "/", "", false, HF_SAME_SITE_LAX, false));
    assert_false(agrees("__host-S", "/a", "", true, HF_SAME_SITE_LAX, false));
    assert_false(agrees("__Host-S", "/", "b.c", true, HF_SAME_SITE_LAX, false));
    assert_false(agrees("__Secure-S", "/", "", false, HF_SAME_SITE_LAX, false));
    assert_false(agrees("S", "/", "", false, HF_SAME_SITE_NONE, false));
    assert_false(agrees("S", "/", "", false, HF_SAME_SITE_LAX, true));
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
        cmocka_unit_test(test_find),       cmocka_unit_test(test_dollar_version_is_a_name),
        cmocka_unit_test(test_remove),     cmocka_unit_test(test_removed_is_gone),
        cmocka_unit_test(test_next),       cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_cut_prefix), cmocka_unit_test(test_set_cookie_prefix_at),
        cmocka_unit_test(test_write),      cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_find_set),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
