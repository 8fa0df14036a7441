/* The route behind the application's session id, in cookie or URL: what names a server. */
#include "affinity/route/route.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "affinity/fixture.h"

enum { SERVERS = 4 };

static struct hf_fixture f;

static int setup(void **unused)
{
    hf_fixture_open(&f, SERVERS);
    hf_fixture_add(&f, HF_AFFINITY_ROUTE, "JSESSIONID");
    hf_fixture_start(&f);
    return 0;
}

static int teardown(void **unused)
{
    hf_fixture_close(&f);
    return 0;
}

static void assert_named(unsigned server, bool by_url)
{
    assert_int_equal(f.choice.verdict, HF_AFFINITY_PINNED);
    assert_int_equal(f.choice.strategy, 0);
    assert_int_equal(f.choice.owner, server);
    assert_int_equal(f.choice.server, server);
    assert_true(f.choice.named && f.choice.by_url == by_url);
    assert_false(f.choice.lost || f.choice.pin_valid);
    assert_false(hf_fixture_pin(&f, server));
}

static void assert_nobody(enum hf_affinity_verdict verdict)
{
    assert_int_equal(f.choice.verdict, verdict);
    assert_int_equal(f.choice.strategy, -1);
    assert_int_equal(f.choice.owner, -1);
    assert_in_range(f.choice.server, 0, SERVERS - 1);
    assert_false(f.choice.named || f.choice.by_url || f.choice.lost || f.choice.pin_valid);
}

static void test_what_names_a_server(void **unused)
{
    static const struct {
        const char *target, *lines;
        unsigned server;
        bool by_url;
    } rows[] = {
        {"/", "Cookie: JSESSIONID=abc.app2\r\n", 2, false},
        {"/", "Cookie: x=1; JSESSIONID=a.b.c.app3; y=2\r\n", 3, false},
        {"/", "Cookie: JSESSIONID=\"abc.app1\"\r\n", 1, false},
        {"/", "Cookie: JSESSIONID=.app1\r\n", 1, false},
        {"/", "Cookie: JSESSIONID=a.app1; JSESSIONID=b.app1\r\n", 1, false},
        {"/", "Cookie: JSESSIONID=a.app1\r\nCookie: JSESSIONID=b.app1\r\n", 1, false},
        {"/a/b;jsessionid=abc.app2", "", 2, true},
        {"/a;jsessionid=abc.app2/b?c=d.app1", "Cookie: other=x.app1\r\n", 2, true},
        {"/a;v=1;jsessionid=abc.app3;w", "", 3, true},
        {"/a;JSESSIONID=abc.app3", "", 3, true}, /* Tomcat: a name of one's own as it is */
        {"/a;jsessionid=x.app1/b;jsessionid=y.app1", "", 1, true},
        {"/a;jsessionid=abc.app2", "Cookie: JSESSIONID=x.app1\r\n", 1, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        hf_fixture_ask(&f, rows[i].target, rows[i].lines);
        assert_named(rows[i].server, rows[i].by_url);
    }
}

static void test_what_names_none(void **unused)
{
    static const struct {
        const char *target, *lines;
        enum hf_affinity_verdict verdict;
    } rows[] = {
        {"/", "", HF_AFFINITY_NONE},
        {"/", "Cookie: JSESSIONID=abc\r\n", HF_AFFINITY_NONE},
        {"/", "Cookie: JSESSIONID=\r\n", HF_AFFINITY_NONE},
        {"/", "Cookie: JSESSIONID=\"\"\r\n", HF_AFFINITY_NONE},
        {"/", "Cookie: JSESSIONID=\"\r\n", HF_AFFINITY_NONE},
        {"/", "Cookie: JSESSIONID=abc.\r\n", HF_AFFINITY_NONE},
        {"/", "Cookie: jsessionid=abc.app1; JSESSIONIDX=abc.app1\r\n", HF_AFFINITY_NONE},
        {"/", "Cookie: JSESSIONID=abc.App1\r\n", HF_AFFINITY_GONE},
        {"/", "Cookie: JSESSIONID=abc.app9\r\n", HF_AFFINITY_GONE},
        {"/", "Cookie: JSESSIONID=abc!app1\r\n", HF_AFFINITY_NONE},
        {"/", "Cookie: JSESSIONID=a.app1; JSESSIONID=a.app2\r\n", HF_AFFINITY_DUPLICATE},
        {"/", "Cookie: JSESSIONID=a.app1; JSESSIONID=a\r\n", HF_AFFINITY_DUPLICATE},
        {"/a;jsessionid=x.app1/b;jsessionid=y.app2", "", HF_AFFINITY_DUPLICATE},
        {"/a;jsessionid=x.app1;JSESSIONID=y.app2", "", HF_AFFINITY_DUPLICATE},
        {"/a?;jsessionid=x.app1", "", HF_AFFINITY_NONE},
        {"/a;JSessionId=x.app1", "", HF_AFFINITY_NONE},
        {"/a%3Bjsessionid=x.app1", "", HF_AFFINITY_NONE},
        {"/a;jsessionid=x.app9", "", HF_AFFINITY_GONE},
        /* A cookie hides the URL, also one without a route: it is the application's session. */
        {"/a;jsessionid=x.app1", "Cookie: JSESSIONID=abc\r\n", HF_AFFINITY_NONE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        hf_fixture_ask(&f, rows[i].target, rows[i].lines);
        assert_nobody(rows[i].verdict);
    }
    char lines[256], name[HF_NAME_MAX + 40];
    memset(name, 'a', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    snprintf(lines, sizeof(lines), "Cookie: JSESSIONID=x.%s\r\n", name);
    hf_fixture_identify(&f, lines);
    assert_nobody(HF_AFFINITY_GONE);
}

static void test_server_of_another_pool(void **unused)
{
    struct hf_server *other = hf_server_acquire("api", "other", 1);
    assert_non_null(other);
    hf_fixture_identify(&f, "Cookie: JSESSIONID=abc.other\r\n");
    assert_nobody(HF_AFFINITY_GONE);
    hf_server_unref(&other);
}

static void test_separator(void **unused)
{
    f.pool->affinities[0].separator = '!';
    hf_fixture_identify(&f, "Cookie: JSESSIONID=abc.app2!app1\r\n");
    assert_named(1, false);
}

#define ROUTE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUTE_TEST(test_what_names_a_server),
        ROUTE_TEST(test_what_names_none),
        ROUTE_TEST(test_server_of_another_pool),
        ROUTE_TEST(test_separator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
