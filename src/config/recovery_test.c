#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WEB "listeners: [{name: web, bind: \"127.0.0.1:8080\"}]\n"
#define TWO "servers: [{name: a, address: \"127.0.0.1:1\"}, {name: b, address: \"127.0.0.1:2\"}]"

static struct hf_config *load(const char *text)
{
    struct hf_config_report report;
    struct hf_config *config = NULL;
    assert_int_equal(hf_config_load_text(hf_slice_text(text), "x.yaml", false, &config, &report),
                     0);
    return config;
}

/* Plays a hang at every ms after a check that was answered at once, against the latest checks that
 * jitter allows, and answers the longest time until `fall` of them in a row have failed. */
static uint64_t longest_by_trial(const struct hf_health_check *health)
{
    uint64_t latest = health->interval_ms + health->interval_ms / 10, longest = 0;
    for (uint64_t hang = 0; hang < latest; hang++) {
        uint64_t judged = health->fall * latest + health->timeout_ms;
        if (judged - hang > longest)
            longest = judged - hang;
    }
    return longest;
}

static void detection_is_the_longest_a_hang_can_hide(void **state)
{
    (void)state;
    static const struct hf_health_check checks[] = {
        {.kind = HF_CHECK_TCP, .interval_ms = 1000, .timeout_ms = 500, .rise = 2, .fall = 2},
        {.kind = HF_CHECK_HTTP, .interval_ms = 100, .timeout_ms = 100, .rise = 1, .fall = 1},
        {.kind = HF_CHECK_HTTP, .interval_ms = 50, .timeout_ms = 1, .rise = 1, .fall = 7},
    };
    for (unsigned i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        struct hf_pool pool = {.health = checks[i]};
        assert_int_equal(hf_config_detection_ms(&pool), longest_by_trial(&checks[i]));
    }
    struct hf_pool odd = {
        .health = {.kind = HF_CHECK_TCP, .interval_ms = 11, .timeout_ms = 11, .fall = 1}};
    assert_int_equal(hf_config_detection_ms(&odd), 24); /* jitter is rounded up */
    struct hf_pool off = {.health = {.kind = HF_CHECK_NONE}};
    assert_int_equal(hf_config_detection_ms(&off), 0);
}

static void expect_in(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        print_error("not promised: %s\nin: %s", part, text);
    assert_non_null(strstr(text, part));
}

static void the_text_adds_up_each_pool(void **state)
{
    (void)state;
    struct hf_config *config = load(
        WEB "timeouts: {connect: 300ms, response_head: 7s}\n"
            "routes: [{path: /a, pool: shop}, {pool: api}]\n"
            "pools:\n"
            "- {name: shop, affinity: [{cookie: A, hash: mod}], on_loss: {redirect: /in},\n"
            "   health: {http: /, interval: 200ms, timeout: 100ms, fall: 3}, " TWO "}\n"
            "- {name: api, failback: return, slow_start: 20s, retry: {backoff: 40ms},\n"
            "   passive: {failure_ratio: 30%, probes: 2}, breaker: {connections: 9}, " TWO "}\n");
    char *text = hf_config_recovery_text(config);
    assert_non_null(text);
    expect_in(text, "pool shop, 2 servers: ");
    expect_in(text, "at most 300ms to connect, 7s for the answer");
    expect_in(text, "active HTTP check, 3 x (interval 200ms + jitter 10%) + timeout 100ms = 760ms");
    expect_in(text, "worst case: 760ms;");
    expect_in(text, "its clients are redirected to /in");
    expect_in(text, "active TCP check, 2 x (interval 1s + jitter 10%) + timeout 500ms = 2700ms");
    expect_in(text, "a process that hangs while its kernel still accepts connections");
    expect_in(text, "a hang shows there no sooner than 7s");
    expect_in(text, "sessions: none are kept here (no affinity)");
    expect_in(text, "back-off at most 25ms + look-up 0, sent again within the retry budget of 20%");
    expect_in(text, "back-off at most 40ms");
    expect_in(text, "if they are 30% of its requests at least");
    expect_in(text, "then 2 requests try it: all answered well, it is back");
    expect_in(text, "9 at once; 200 more wait, at most 5s, then 503; beyond them 503 at once");
    expect_in(text, "2 good checks in a row bring it back");
    expect_in(text, "its share of new clients grows for 20s (slow_start)");
    free(text);
    hf_config_unref(&config);
}

static void what_is_off_is_not_promised(void **state)
{
    (void)state;
    struct hf_config *config =
        load(WEB "pools: [{name: solo, health: off, passive: off, retry: {attempts: 0},\n"
                 "  affinity: [{source_ip: hash}], on_loss: error,\n"
                 "  servers: [{name: a, address: \"127.0.0.1:1\"}]}]\n");
    char *text = hf_config_recovery_text(config);
    assert_non_null(text);
    expect_in(text, "pool solo, 1 server: ");
    expect_in(text, "there is no other server to go to");
    expect_in(text, "not retried: an error to the client until a check finds out");
    expect_in(text, "not retried: 502 to the client");
    expect_in(text, "active check: off, so only live traffic finds out");
    expect_in(text, "live traffic: not watched (passive: off)");
    expect_in(text, "its clients get an error (on_loss: error)");
    assert_null(strstr(text, "too many requests"));
    assert_null(strstr(text, "bring it back"));
    assert_null(strstr(text, "worst case"));
    free(text);
    hf_config_unref(&config);
}

static void sessions_follow_their_agents(void **state)
{
    (void)state;
    struct hf_config *config =
        load(WEB "routes: [{path: /a, pool: all}, {pool: some}]\n"
                 "pools:\n"
                 "- {name: all, affinity: [{cookie: A, hash: mod}], session: {cookie: S},\n"
                 "   failback: return, servers: [{name: a, address: \"127.0.0.1:1\", agent: "
                 "\"127.0.0.1:7\"}]}\n"
                 "- {name: some, affinity: [{cookie: A, hash: mod}], on_loss: error,\n"
                 "   health: {interval: 100ms}, servers: [{name: a, address: \"127.0.0.1:1\", "
                 "agent: \"127.0.0.1:7\"}, {name: b, address: \"127.0.0.1:2\"}]}\n");
    char *text = hf_config_recovery_text(config);
    assert_non_null(text);
    char *some = strstr(text, "pool some");
    assert_non_null(some);
    expect_in(some, "go on with their session on another server and stay there");
    expect_in(some, "lease 1s + drift 10% = 1100ms when it is silent");
    expect_in(some, "the longer of 320ms and 1100ms = 1100ms, and one fetch");
    expect_in(some, "without 'session' a failover is a fetch");
    expect_in(some, "1 of 2 servers have no agent: what such a server held is gone with it; its "
                    "clients get an error (on_loss: error)");
    *some = '\0';
    expect_in(text, "return with it when their server is back");
    expect_in(text, "the longer of 2700ms and 1100ms = 2700ms, and one fetch");
    assert_null(strstr(text, "on_loss"));
    assert_null(strstr(text, "without 'session'"));
    free(text);
    hf_config_unref(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(detection_is_the_longest_a_hang_can_hide),
        cmocka_unit_test(the_text_adds_up_each_pool),
        cmocka_unit_test(what_is_off_is_not_promised),
        cmocka_unit_test(sessions_follow_their_agents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
