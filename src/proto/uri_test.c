#include "base/rng.h"
#include "base/test.h"
#include "proto/guard.h"
#include "proto/uri.h"

static struct hf_guard guard;

static void assert_normal(const char *path, const char *expected)
{
    char out[256];
    struct hf_slice input = hf_slice_text(path);
    size_t size = hf_uri_normalise_path(hf_slice(hf_guard_copy(&guard, input), input.size), out);
    if (size != strlen(expected) || memcmp(out, expected, size) != 0)
        print_message("%s: %.*s, not %s\n", path, (int)size, out, expected);
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(out, expected, size);
}

static void test_normalise(void **state)
{
    static const char *const rows[][2] = {
        {"/", "/"},
        {"/a", "/a"},
        {"/a/", "/a/"},
        {"//", "/"},
        {"//a///b//", "/a/b/"},
        {"/a/./b", "/a/b"},
        {"/a/.", "/a/"},
        {"/a/..", "/"},
        {"/a/../", "/"},
        {"/a/b/..", "/a/"},
        {"/a/../../b", "/b"},
        {"/..", "/"},
        {"/../../..", "/"},
        {"/a/%2e%2E/b", "/b"},
        {"/a/.%2e/b", "/b"},
        {"/a/%2e/b", "/a/b"},
        {"/...", "/..."},
        {"/.a/..b", "/.a/..b"},
        {"/%61%7E%2d%5f", "/a~-_"},
        {"/a%2fb", "/a%2Fb"},
        {"/a%2F..%2Fb", "/a%2F..%2Fb"},
        {"/a%00b", "/a%00b"},
        {"/%25%32e", "/%252e"},
        {"/%zz%61", "/%zz%61"},
        {"/%%361", "/%%361"},
        {"/%", "/%"},
        {"/%6", "/%6"},
        {"/%6/1", "/%6/1"},
        {"/a;x=1/b;y", "/a/b"},
        {"/a/..;x/b", "/b"},
        {"/;x/a", "/a"},
        {"/a%3Bb", "/a%3Bb"},
        {"/a/;jsessionid=1", "/a/"},
        {"*", "/"},
        {"", "/"},
        {"a/b", "/"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_normal(rows[i][0], rows[i][1]);
}

static bool has_dot_segment(const char *path, size_t size)
{
    for (size_t at = 0; at < size; at++) {
        size_t end = at + 1;
        while (end < size && path[end] != '/')
            end++;
        size_t segment = end - at - 1;
        if (path[at] == '/' && ((segment == 1 && path[at + 1] == '.') ||
                                (segment == 2 && memcmp(path + at + 1, "..", 2) == 0)))
            return true;
    }
    return false;
}

/* Paths made of the pieces that matter: the result starts with "/", is no longer, holds no dot
 * segment, no double slash and no parameter, and is its own normal form. */
static void test_normal_form(void **state)
{
    static const char pieces[] = "/../%2e;%2Fa%%65b.%0";
    struct hf_rng rng;
    hf_rng_seed(&rng, 3986);
    for (unsigned round = 0; round < 200000; round++) {
        char path[41] = "/", once[41], twice[41];
        size_t size = 1 + hf_rng_below(&rng, 40);
        for (size_t i = 1; i < size; i++)
            path[i] = pieces[hf_rng_below(&rng, sizeof(pieces) - 1)];
        size_t once_size = hf_uri_normalise_path(hf_slice(path, size), once);
        assert_in_range(once_size, 1, size);
        assert_true(once[0] == '/' && !has_dot_segment(once, once_size));
        assert_null(memmem(once, once_size, "//", 2));
        assert_null(memchr(once, ';', once_size));
        size_t twice_size = hf_uri_normalise_path(hf_slice(once, once_size), twice);
        assert_int_equal(twice_size, once_size);
        assert_memory_equal(once, twice, once_size);
    }
}

static void test_output_needs_no_more_than_the_input(void **state)
{
    struct hf_guard out = hf_guard_init();
    static const char *const paths[] = {"/", "/a", "/a/..", "/%zz", "/a/./", "//", "/%2f", "/;"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct hf_slice path = hf_slice_text(paths[i]);
        hf_uri_normalise_path(path, hf_guard_copy(&out, path));
    }
    hf_guard_fini(&out);
}

static bool under(const char *path, const char *prefix)
{
    return hf_uri_path_under(hf_slice_text(path), hf_slice_text(prefix));
}

static void test_under(void **state)
{
    assert_true(under("/", "/"));
    assert_true(under("/a", "/"));
    assert_true(under("/api", "/api"));
    assert_true(under("/api", "/api/"));
    assert_true(under("/api/", "/api"));
    assert_true(under("/api/x", "/api/"));
    assert_true(under("/api/x", ""));
    assert_false(under("/apix", "/api"));
    assert_false(under("/apix", "/api/"));
    assert_false(under("/ap", "/api"));
    assert_false(under("/API/x", "/api"));
}

static void test_host_only(void **state)
{
    static const char *const rows[][2] = {
        {"a.b", "a.b"}, {"a:80", "a"}, {"a:", "a"},      {"[::1]", "[::1]"},
        {"", ""},       {":80", ""},   {"[::1", "[::1"}, {"[::1]:8080", "[::1]"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_true(
            hf_slice_equal(hf_uri_host_only(hf_slice_text(rows[i][0])), hf_slice_text(rows[i][1])));
}

static void test_authority(void **state)
{
    static const char *const good[] = {"a",          "a.example", "a_b-c.d", "127.0.0.1",
                                       "a:1",        "a:",        "a:65535", "[::1]",
                                       "[::1]:8080", "a.:080",    "A~!$&",   "[::ffff:1.2.3.4]"};
    static const char *const bad[] = {
        "",      ":",   ":80", "a:0",  "a:65536", "a:b",    "a:1:2", "a b",      "a,b",
        "u@a",   "a/",  "a\\", "a%41", "[]",      "[::1]a", "[a]",   "[::1",     "::1",
        "[::g]", "[:]", "a#",  "a?",   "a:+80",   "a: 80",  "a\t",   "\xc3\xa9", "[1.2.3.4]"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct hf_slice text = hf_slice_text(good[i]);
        assert_true(hf_uri_authority_valid(hf_slice(hf_guard_copy(&guard, text), text.size)));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct hf_slice text = hf_slice_text(bad[i]);
        assert_false(hf_uri_authority_valid(hf_slice(hf_guard_copy(&guard, text), text.size)));
    }
}

static void test_params(void **state)
{
    static const struct {
        const char *target, *first, *second; /* NULL = there is none */
    } rows[] = {
        {"/a;id=x", "x", NULL},
        {"/a;id=x/b;id=y?;id=z", "x", "y"},
        {"/a;v=1;id=x;id=", "x", ""},
        {"/;id=x=y;", "x=y", NULL},
        {"/a;id", NULL, NULL},
        {"/a;ID=x;idx=y;xid=z/id=w", NULL, NULL},
        {"/a?b;id=x", NULL, NULL},
        {"/a%3bid=x", NULL, NULL},
        {"/;;id=x//", "x", NULL},
        {"*", NULL, NULL},
        {"", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hf_slice target = hf_slice_text(rows[i].target), value;
        target = hf_slice(hf_guard_copy(&guard, target), target.size);
        const char *expected[] = {rows[i].first, rows[i].second, NULL};
        size_t at = 0, found = 0;
        for (; expected[found] != NULL; found++) {
            assert_true(hf_uri_next_param(target, HF_SLICE("id"), &at, &value));
            assert_true(hf_slice_equal(value, hf_slice_text(expected[found])));
        }
        assert_false(hf_uri_next_param(target, HF_SLICE("id"), &at, &value));
        assert_false(hf_uri_next_param(target, HF_SLICE("id"), &at, &value));
    }
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
        cmocka_unit_test(test_normalise),
        cmocka_unit_test(test_normal_form),
        cmocka_unit_test(test_output_needs_no_more_than_the_input),
        cmocka_unit_test(test_under),
        cmocka_unit_test(test_host_only),
        cmocka_unit_test(test_authority),
        cmocka_unit_test(test_params),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
