/* hash mod N over a field of the request, and which value of it counts. */
#include "affinity/header/header.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "affinity/fixture.h"
#include "base/hash.h"

enum { SERVERS = 5, CLIENTS = 200 };

static struct hf_fixture f;

static int setup(void **unused)
{
    hf_fixture_open(&f, SERVERS);
    hf_fixture_add(&f, HF_AFFINITY_HEADER, "X-Tenant");
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
    for (unsigned client = 0; client < CLIENTS; client++) {
        char lines[64], value[32];
        snprintf(value, sizeof(value), "tenant %u", client);
        snprintf(lines, sizeof(lines), "x-tENANT: \t%s \r\n", value);
        hf_fixture_identify(&f, lines);
        assert_int_equal(f.choice.verdict, HF_AFFINITY_HASHED);
        assert_int_equal(f.choice.strategy, 0);
        assert_int_equal(f.choice.server, hf_hash64(hf_slice_text(value), 0) % SERVERS);
        assert_false(hf_fixture_pin(&f, (unsigned)f.choice.server));
    }
}

static void test_what_counts_as_none(void **unused)
{
    static const struct {
        const char *lines;
        enum hf_affinity_verdict verdict;
    } rows[] = {
        {"", HF_AFFINITY_NONE},
        {"X-Tenant:\r\n", HF_AFFINITY_NONE},
        {"X-Tenants: a\r\nX-Tenan: b\r\n", HF_AFFINITY_NONE},
        {"X-Tenant: a\r\nX-Tenant: a\r\n", HF_AFFINITY_DUPLICATE},
        {"X-Tenant:\r\nx-tenant: a\r\n", HF_AFFINITY_DUPLICATE},
        {"Connection: X-Tenant\r\nX-Tenant: a\r\n", HF_AFFINITY_NONE}, /* is not forwarded */
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        hf_fixture_identify(&f, rows[i].lines);
        assert_int_equal(f.choice.verdict, rows[i].verdict);
        assert_int_equal(f.choice.strategy, -1);
        assert_int_equal(f.choice.server, i % SERVERS); /* round robin */
    }
}

static void test_the_key_alone(void **unused)
{
    struct hf_slice key = {0};
    hf_fixture_identify(&f, "A: 1\r\nX-Tenant: k=\"v\", w\r\n");
    assert_int_equal(hf_header_key(&f.head, HF_SLICE("x-tenant"), &key), HF_KEY_FOUND);
    assert_true(hf_slice_equal(key, HF_SLICE("k=\"v\", w")));
    assert_int_equal(hf_header_key(&f.head, HF_SLICE("b"), &key), HF_KEY_NONE);
}

#define HEADER_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HEADER_TEST(test_the_value_names_the_server),
        HEADER_TEST(test_what_counts_as_none),
        HEADER_TEST(test_the_key_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
