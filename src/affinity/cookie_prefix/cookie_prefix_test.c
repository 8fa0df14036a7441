/* The name in front of the application's cookie: who is found by it, and who loses its server. */
#include "affinity/cookie_prefix/cookie_prefix.h"
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
    hf_fixture_add(&f, HF_AFFINITY_COOKIE_PREFIX, "SID");
    hf_fixture_start(&f);
    return 0;
}

static int teardown(void **unused)
{
    hf_fixture_close(&f);
    return 0;
}

static void come(const char *value)
{
    char lines[128];
    snprintf(lines, sizeof(lines), "Cookie: a=b; SID=%s; sid=app4~no\r\n", value);
    hf_fixture_identify(&f, lines);
}

static void assert_at(unsigned server)
{
    assert_int_equal(f.choice.verdict, HF_AFFINITY_PINNED);
    assert_int_equal(f.choice.owner, server);
    assert_int_equal(f.choice.server, server);
    assert_true(f.choice.named);
    assert_false(f.choice.lost || f.choice.pin_valid || f.choice.by_url);
}

static void test_who_is_found(void **unused)
{
    static const struct {
        const char *value;
        unsigned server;
    } rows[] = {
        {"app1~abc", 1}, {"app2~a~b", 2},           {"\"app3~abc\"", 3},
        {"app4~", 4},    {"app1~x; SID=app1~y", 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        come(rows[i].value);
        assert_at(rows[i].server);
        assert_false(hf_fixture_pin(&f, rows[i].server));
    }
    assert_true(hf_slice_equal(hf_affinity_prefix_cookie(f.pool), HF_SLICE("SID")));
    assert_int_equal(hf_affinity_own_cookie(f.pool).size, 0);
}

static void test_who_is_not(void **unused)
{
    static const struct {
        const char *value;
        enum hf_affinity_verdict verdict;
    } rows[] = {
        {"abc", HF_AFFINITY_NONE},
        {"", HF_AFFINITY_NONE},
        {"~abc", HF_AFFINITY_NONE},
        {"app9~abc", HF_AFFINITY_GONE},
        {"APP1~abc", HF_AFFINITY_GONE},
        {"app1~x; SID=app2~x", HF_AFFINITY_DUPLICATE},
        {"app1~x; SID=x", HF_AFFINITY_DUPLICATE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        come(rows[i].value);
        assert_int_equal(f.choice.verdict, rows[i].verdict);
        assert_int_equal(f.choice.strategy, -1);
        assert_int_equal(f.choice.owner, -1);
        assert_in_range(f.choice.server, 0, SERVERS - 1);
        assert_false(f.choice.lost || f.choice.named);
    }
}

static void assert_lost(enum hf_affinity_verdict verdict)
{
    come("app1~abc");
    int first = f.choice.server;
    for (unsigned i = 0; i < 4; i++) { /* all requests of the session meet on one server */
        come("app1~abc");
        assert_int_equal(f.choice.verdict, verdict);
        assert_true(f.choice.lost && f.choice.named);
        assert_int_equal(f.choice.owner, 1);
        assert_int_equal(f.choice.strategy, 0);
        assert_int_equal(f.choice.server, first);
        assert_int_not_equal(first, 1);
    }
    unsigned seen[SERVERS] = {0};
    for (unsigned i = 0; i < 400; i++) { /* and the sessions spread over all others */
        char value[32];
        snprintf(value, sizeof(value), "app1~s%u", i);
        come(value);
        seen[f.choice.server]++;
    }
    for (unsigned i = 0; i < SERVERS; i++)
        assert_in_range(seen[i], i == 1 ? 0 : 57, i == 1 ? 0 : 143); /* 100, five deviations */
}

static void test_lost_by_a_judgement(void **unused)
{
    struct hf_server *server = hf_fixture_server(&f, 1);
    server->health = HF_HEALTH_DOWN;
    assert_lost(HF_AFFINITY_DOWN);
    server->health = HF_HEALTH_UP;
    server->admin = HF_ADMIN_MAINTENANCE;
    assert_lost(HF_AFFINITY_MAINTENANCE);
    server->admin = HF_ADMIN_READY;
    server->ejected_until_ms = f.request.now_ms + 1000;
    assert_lost(HF_AFFINITY_DOWN);
    server->ejected_until_ms = 0;
    come("app1~abc"); /* nothing could be written: it is back where it was */
    assert_at(1);
}

static void test_drain_and_the_last_ejected_keep_theirs(void **unused)
{
    hf_fixture_server(&f, 1)->admin = HF_ADMIN_DRAIN;
    come("app1~abc");
    assert_at(1);
    hf_fixture_server(&f, 1)->admin = HF_ADMIN_READY;
    for (unsigned i = 0; i < SERVERS; i++)
        hf_fixture_server(&f, i)->ejected_until_ms = f.request.now_ms + 1000;
    come("app1~abc");
    assert_at(1);
}

static void test_nobody_left(void **unused)
{
    for (unsigned i = 0; i < SERVERS; i++)
        hf_fixture_server(&f, i)->health = HF_HEALTH_DOWN;
    come("app1~abc");
    assert_true(f.choice.lost);
    assert_int_equal(f.choice.server, -1);
}

static void test_fall_backs_of_a_session_are_one(void **unused)
{
    come("app1~abc");
    const uint16_t tried[] = {1};
    int next = hf_affinity_next(&f.worker, f.pool, &f.choice, tried, 1, f.request.now_ms);
    hf_fixture_server(&f, 1)->health = HF_HEALTH_DOWN;
    come("app1~abc");
    assert_int_equal(f.choice.server, next);
    come("app2~abc"); /* the name is no part of the session */
    assert_int_equal(f.choice.client_id, hf_hash64(HF_SLICE("abc"), 0));
}

#define PREFIX_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PREFIX_TEST(test_who_is_found),
        PREFIX_TEST(test_who_is_not),
        PREFIX_TEST(test_lost_by_a_judgement),
        PREFIX_TEST(test_drain_and_the_last_ejected_keep_theirs),
        PREFIX_TEST(test_nobody_left),
        PREFIX_TEST(test_fall_backs_of_a_session_are_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
