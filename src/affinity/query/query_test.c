/* hash mod N over a parameter of the query, and which value of it counts. */
#include "affinity/query/query.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "affinity/fixture.h"
#include "base/hash.h"

enum { SERVERS = 5 };

static struct hf_fixture f;

static int setup(void **unused)
{
    hf_fixture_open(&f, SERVERS);
    hf_fixture_add(&f, HF_AFFINITY_QUERY, "sid");
    hf_fixture_start(&f);
    return 0;
}

static int teardown(void **unused)
{
    hf_fixture_close(&f);
    return 0;
}

static void test_the_value_names_the_server(void **unused)
{
    static const struct {
        const char *target, *value;
    } rows[] = {
        {"/?sid=abc", "abc"},
        {"/a/b?x=1&sid=abc&y=2", "abc"},
        {"/?sid=a=b=&z", "a=b="},
        {"/?sid=first&sid=second", "first"},
        {"/?&&sid=%41+b", "%41+b"}, /* not decoded */
        {"/?x?sid=0&sid=1/2;3", "1/2;3"},
        {"/?sid&sid=late", "late"},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hf_slice key = {0}, value = hf_slice_text(rows[i].value);
        hf_fixture_ask(&f, rows[i].target, "");
        assert_int_equal(hf_query_key(&f.head, HF_SLICE("sid"), &key), HF_KEY_FOUND);
        assert_true(hf_slice_equal(key, value));
        assert_int_equal(f.choice.verdict, HF_AFFINITY_HASHED);
        assert_int_equal(f.choice.server, hf_hash64(value, 0) % SERVERS);
        assert_false(hf_fixture_pin(&f, (unsigned)f.choice.server));
    }
}

static void test_what_counts_as_none(void **unused)
{
    static const char *const targets[] = {
        "/",      "/?",       "/?sid",   "/?sid=",    "/?sid=&sid=a", "/?SID=a", "/?xsid=a",
        "/sid=a", "/?sidx=a", "/;sid=a", "/?%73id=a", "/?x=sid=a",    "/?si",    "/?x&",
    };
    for (unsigned i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        hf_fixture_ask(&f, targets[i], "Cookie: sid=1\r\nsid: 1\r\n");
        assert_int_equal(f.choice.verdict, HF_AFFINITY_NONE);
        assert_int_equal(f.choice.strategy, -1);
        assert_int_equal(f.choice.server, i % SERVERS); /* round robin */
    }
}

/* The reader stays inside the target: what follows it in the buffer looks like more of it. */
static void test_the_end_of_the_target(void **unused)
{
    static const char text[] = "/a?sid=12345";
    struct hf_slice key = {0};
    for (uint32_t size = 0; size < sizeof(text); size++) {
        struct hf_head head = {.base = text, .path = {.offset = 0, .size = size}};
        enum hf_key found = hf_query_key(&head, HF_SLICE("sid"), &key);
        assert_int_equal(found, size > sizeof("/a?sid=") - 1 ? HF_KEY_FOUND : HF_KEY_NONE);
        if (found == HF_KEY_FOUND)
            assert_int_equal(key.size, size - (sizeof("/a?sid=") - 1));
    }
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_value_names_the_server),
        TEST(test_what_counts_as_none),
        TEST(test_the_end_of_the_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
