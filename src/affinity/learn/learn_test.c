/* Which id a request brings and an answer sets, and that the table keeps to it. */
#include "affinity/fixture.h"
#include "affinity/learn/learn.h"
#include "base/test.h"
#include "table/table.h"

enum { SERVERS = 4, DEADLINE_MS = 10 * 1000 };

static struct hf_fixture f;
static struct hf_affinity *learn;
static struct hf_head answer;
static char answer_text[1024];

static void open_pool(bool header)
{
    hf_fixture_open(&f, SERVERS);
    learn = hf_fixture_add(&f, HF_AFFINITY_LEARN, header ? "X-Session" : "SID");
    learn->learn_header = header;
    learn->expire_s = 100;
    learn->table_size = 1000;
    hf_fixture_start(&f);
}

static int setup(void **state)
{
    open_pool(false);
    return 0;
}

static int teardown(void **state)
{
    hf_fixture_close(&f);
    return hf_table_wait_ended(DEADLINE_MS) ? 0 : -1;
}

/* The answer of a server with these field lines; whether something was learned. */
static bool answers(unsigned served, const char *lines)
{
    static const struct hf_http1_limits limits = {.head_size_max = sizeof(answer_text),
                                                  .fields_max = HF_FIELDS_MAX};
    struct hf_http1_parser parser = {0};
    int size = snprintf(answer_text, sizeof(answer_text), "HTTP/1.1 200 OK\r\n%s\r\n", lines);
    assert_int_equal(hf_http1_parse_response(&parser, &answer, answer_text, (size_t)size,
                                             HF_METHOD_GET, &limits),
                     HF_CODEC_DONE);
    return hf_affinity_learn(&f.worker, f.pool, &f.request, &answer, served);
}

static void comes_with(const char *id)
{
    char lines[128];
    snprintf(lines, sizeof(lines), "Cookie: a=b; SID=%s\r\n", id);
    hf_fixture_identify(&f, lines);
}

static void who_sets_an_id_has_the_session(void **state)
{
    static const char *const ids[] = {"one", "two", "three", "four"};
    char line[64];
    hf_fixture_identify(&f, "");
    assert_int_equal(f.choice.verdict, HF_AFFINITY_NONE);
    for (unsigned i = 0; i < 4; i++) {
        snprintf(line, sizeof(line), "Set-Cookie: SID=%s; Path=/; HttpOnly\r\n", ids[i]);
        assert_true(answers(i, line));
        assert_false(answers(i, line)); /* known already */
    }
    for (unsigned i = 0; i < 4; i++) {
        comes_with(ids[i]);
        assert_int_equal(f.choice.verdict, HF_AFFINITY_PINNED);
        assert_int_equal(f.choice.server, i);
        assert_false(hf_fixture_pin(&f, i)); /* nothing is written */
    }
}

static void what_ends_a_cookie_is_not_learned(void **state)
{
    static const char *const lines[] = {
        "Set-Cookie: SID=\r\n",
        "Set-Cookie: SID=deleted; Max-Age=0\r\n",
        "Set-Cookie: SID=deleted; max-age=-1\r\n",
        "Set-Cookie: SID=deleted; expires=Thu, 01 Jan 1970 00:00:01 GMT\r\n",
        "Set-Cookie: SIDE=x\r\n",
        "Set-Cookie: other=SID=x\r\n",
        "Cookie: SID=x\r\n",
        "",
    };
    for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_false(answers(1, lines[i]));
    /* The last one is what the client keeps. */
    assert_true(answers(2, "Set-Cookie: SID=a\r\nSet-Cookie: SID=b; Max-Age=10\r\n"));
    comes_with("b");
    assert_int_equal(f.choice.server, 2);
}

/* Requests with one id that nobody learned meet on one server, and make no entry. */
static void an_unknown_id_has_one_server_and_no_entry(void **state)
{
    unsigned seen[SERVERS] = {0};
    for (unsigned i = 0; i < 200; i++) {
        char id[16];
        snprintf(id, sizeof(id), "id%u", i);
        comes_with(id);
        assert_int_equal(f.choice.verdict, HF_AFFINITY_UNLISTED);
        int server = f.choice.server;
        seen[server]++;
        for (unsigned again = 0; again < 10; again++) {
            comes_with(id);
            assert_int_equal(f.choice.server, server);
        }
    }
    for (unsigned i = 0; i < SERVERS; i++) /* 50 expected, five deviations */
        assert_in_range(seen[i], 20, 80);
    struct hf_table_stats stats;
    hf_table_stats(f.worker.tables[0], &stats);
    assert_int_equal(stats.inserts, 0);
}

static void one_failed_request_moves_nobody_and_a_judgement_does(void **state)
{
    assert_true(answers(1, "Set-Cookie: SID=x\r\n"));
    comes_with("x");
    /* Server 3 stood in, and renews the id on every answer. */
    assert_false(hf_fixture_pin(&f, 3));
    assert_false(f.moved);
    assert_false(answers(3, "Set-Cookie: SID=x\r\n"));
    comes_with("x");
    assert_int_equal(f.choice.server, 1);
    hf_fixture_server(&f, 1)->health = HF_HEALTH_DOWN;
    comes_with("x");
    assert_int_equal(f.choice.verdict, HF_AFFINITY_DOWN);
    assert_true(f.choice.lost);
    int refuge = f.choice.server;
    assert_int_not_equal(refuge, 1);
    comes_with("x");
    assert_int_equal(f.choice.server, refuge); /* a second request at the same time */
    assert_false(hf_fixture_pin(&f, (unsigned)refuge));
    assert_true(f.moved);
    hf_fixture_server(&f, 1)->health = HF_HEALTH_UP;
    comes_with("x");
    assert_int_equal(f.choice.server, refuge);
    assert_int_equal(f.choice.verdict, HF_AFFINITY_PINNED);
}

static void a_server_that_is_gone_is_replaced(void **state)
{
    assert_true(answers(3, "Set-Cookie: SID=x\r\n"));
    struct hf_server *gone = f.pool->servers[3].server;
    f.pool->server_count = 3;
    free(f.pool->places);
    f.pool->places = NULL;
    comes_with("x");
    assert_int_equal(f.choice.verdict, HF_AFFINITY_GONE);
    unsigned refuge = (unsigned)f.choice.server;
    hf_fixture_pin(&f, refuge);
    assert_true(f.moved);
    comes_with("x");
    assert_int_equal(f.choice.server, refuge);
    f.pool->server_count = 4; /* so that it is given back */
    assert_ptr_equal(f.pool->servers[3].server, gone);
}

static void idle_sessions_expire(void **state)
{
    assert_true(answers(1, "Set-Cookie: SID=x\r\n"));
    f.request.now_ms = hf_clock_monotonic_ms() + 99 * 1000;
    comes_with("x");
    assert_int_equal(f.choice.verdict, HF_AFFINITY_PINNED);
    f.request.now_ms += 99 * 1000; /* used: lives on */
    comes_with("x");
    assert_int_equal(f.choice.verdict, HF_AFFINITY_PINNED);
    f.request.now_ms += 110 * 1000;
    comes_with("x");
    assert_int_equal(f.choice.verdict, HF_AFFINITY_UNLISTED);
}

static void a_header_field_is_learned_as_well(void **state)
{
    open_pool(true);
    assert_true(answers(2, "x-session: abc\r\n"));
    assert_false(answers(1, "Set-Cookie: X-Session=def\r\n"));
    hf_fixture_identify(&f, "X-SESSION: abc\r\n");
    assert_int_equal(f.choice.server, 2);
    assert_int_equal(f.choice.verdict, HF_AFFINITY_PINNED);
    hf_fixture_identify(&f, "Cookie: X-Session=abc\r\n");
    assert_int_equal(f.choice.verdict, HF_AFFINITY_NONE);
    teardown(state);
}

#define LEARN_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEARN_TEST(who_sets_an_id_has_the_session),
        LEARN_TEST(what_ends_a_cookie_is_not_learned),
        LEARN_TEST(an_unknown_id_has_one_server_and_no_entry),
        LEARN_TEST(one_failed_request_moves_nobody_and_a_judgement_does),
        LEARN_TEST(a_server_that_is_gone_is_replaced),
        LEARN_TEST(idle_sessions_expire),
        cmocka_unit_test(a_header_field_is_learned_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
