/* hash mod N over the application's cookie. */
#include "affinity/hash_cookie/hash_cookie.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "affinity/fixture.h"
#include "base/hash.h"

enum { SERVERS = 5, CLIENTS = 2000 };

static struct hf_fixture f;

static int setup(void **unused)
{
    hf_fixture_open(&f, SERVERS);
    hf_fixture_add(&f, HF_AFFINITY_HASH_COOKIE, "JSESSIONID");
    hf_fixture_start(&f);
    return 0;
}

static int teardown(void **unused)
{
    hf_fixture_close(&f);
    return 0;
}

static void come(unsigned client)
{
    char lines[64];
    snprintf(lines, sizeof(lines), "Cookie: x=1; JSESSIONID=id%u\r\n", client);
    hf_fixture_identify(&f, lines);
}

static int textbook(unsigned client, unsigned count)
{
    char value[32];
    snprintf(value, sizeof(value), "id%u", client);
    return (int)(hf_hash64(hf_slice_text(value), 0) % count);
}

static void test_textbook_form(void **unused)
{
    for (unsigned client = 0; client < CLIENTS; client++) {
        come(client);
        assert_int_equal(f.choice.verdict, HF_AFFINITY_HASHED);
        assert_int_equal(f.choice.strategy, 0);
        assert_int_equal(f.choice.server, textbook(client, SERVERS));
        assert_int_equal(f.choice.owner, f.choice.server);
        assert_false(f.choice.pin_valid || f.choice.lost);
        assert_false(hf_fixture_pin(&f, (unsigned)f.choice.server));
    }
    assert_int_equal(f.worker.verdicts[HF_AFFINITY_HASHED], CLIENTS);
}

static void test_absent_or_empty_is_balanced(void **unused)
{
    static const char *const lines[] = {"", "Cookie: a=b\r\n", "Cookie: JSESSIONID=\r\n",
                                        "Cookie: jsessionid=x\r\n"};
    for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        hf_fixture_identify(&f, lines[i]);
        assert_int_equal(f.choice.verdict, HF_AFFINITY_NONE);
        assert_int_equal(f.choice.strategy, -1);
        assert_int_equal(f.choice.owner, -1);
        assert_int_equal(f.choice.server, i); /* round robin */
        assert_false(hf_fixture_pin(&f, i));
    }
}

static void test_first_of_several_counts(void **unused)
{
    hf_fixture_identify(&f, "Cookie: JSESSIONID=id7; JSESSIONID=id8\r\n");
    assert_int_equal(f.choice.server, textbook(7, SERVERS));
}

static void test_draining_server_keeps_its_clients(void **unused)
{
    hf_fixture_server(&f, 2)->admin = HF_ADMIN_DRAIN;
    hf_fixture_server(&f, 3)->health = HF_HEALTH_DOWN;
    for (unsigned client = 0; client < CLIENTS; client++) {
        come(client);
        if (textbook(client, SERVERS) == 3) { /* and takes over none */
            assert_int_not_equal(f.choice.server, 2);
            assert_int_not_equal(f.choice.server, 3);
        } else {
            assert_int_equal(f.choice.server, textbook(client, SERVERS));
        }
    }
}

static void test_unusable_server(void **unused)
{
    struct hf_server *server = hf_fixture_server(&f, 4);
    static const enum hf_affinity_verdict verdicts[] = {HF_AFFINITY_DOWN, HF_AFFINITY_MAINTENANCE,
                                                        HF_AFFINITY_DOWN};
    for (unsigned i = 0; i < 3; i++) {
        server->health = i == 0 ? HF_HEALTH_DOWN : HF_HEALTH_UP;
        server->admin = i == 1 ? HF_ADMIN_MAINTENANCE : HF_ADMIN_READY;
        server->ejected_until_ms = i == 2 ? f.request.now_ms + 1 : 0;
        unsigned seen[SERVERS] = {0};
        for (unsigned client = 0; client < CLIENTS; client++) {
            come(client);
            bool hit = textbook(client, SERVERS) == 4;
            assert_int_equal(f.choice.verdict, hit ? verdicts[i] : HF_AFFINITY_HASHED);
            assert_false(f.choice.lost); /* it could not tell the first time from the next */
            seen[f.choice.server] += hit;
            if (!hit)
                assert_int_equal(f.choice.server, textbook(client, SERVERS));
        }
        assert_int_equal(seen[4], 0);
        for (unsigned other = 0; other < 4; other++) /* 100 expected, five deviations */
            assert_in_range(seen[other], 57, 143);
    }
}

static void test_backups_take_no_place(void **unused)
{
    f.pool->servers[1].backup = true;
    f.pool->servers[2].weight = 0;
    hf_fixture_rebuild(&f);
    static const int places[] = {0, 3, 4};
    for (unsigned client = 0; client < 200; client++) {
        come(client);
        assert_int_equal(f.choice.server, places[textbook(client, 3)]);
    }
    for (unsigned i = 0; i < SERVERS; i++)
        hf_fixture_server(&f, i)->health = i == 1 || i == 2 ? HF_HEALTH_UP : HF_HEALTH_DOWN;
    come(1);
    assert_int_equal(f.choice.server, 1);
    hf_fixture_server(&f, 1)->health = HF_HEALTH_DOWN;
    come(1);
    assert_int_equal(f.choice.server, -1);
    assert_int_equal(f.choice.verdict, HF_AFFINITY_DOWN);
}

#define HASH_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HASH_TEST(test_textbook_form),           HASH_TEST(test_absent_or_empty_is_balanced),
        HASH_TEST(test_first_of_several_counts), HASH_TEST(test_draining_server_keeps_its_clients),
        HASH_TEST(test_unusable_server),         HASH_TEST(test_backups_take_no_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
