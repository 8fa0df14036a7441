/* Scenarios: what is read, and each mistake at its line. */
#include "config/scenario.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define POOL "pools: [{name: p, affinity: [{cookie: HOLDFAST}]}]\n"

static struct hf_scenario scenario;
static struct hf_config_report report;

static int load(const char *text)
{
    return hf_scenario_load_text(hf_slice_text(text), "test.yaml", &scenario, &report);
}

static void assert_good(const char *text)
{
    if (load(text) != 0)
        fail_msg("line %u: %s", report.messages[0].line, report.messages[0].text);
}

static void assert_wrong(const char *text, unsigned line, const char *words)
{
    assert_int_equal(load(text), -EINVAL);
    assert_true(report.count > 0);
    if (report.messages[0].line != line || strstr(report.messages[0].text, words) == NULL)
        fail_msg("line %u: %s", report.messages[0].line, report.messages[0].text);
    hf_config_report_fini(&report);
}

static void test_defaults(void **unused)
{
    (void)unused;
    assert_good("users: {count: 5}\nservers: {count: 3}\n" POOL);
    assert_int_equal(scenario.seed, 1);
    assert_int_equal(scenario.duration_ms, 3600 * 1000);
    assert_int_equal(scenario.users.arrive_ms, 600 * 1000);
    assert_int_equal(scenario.users.session.mean_ms, 1800 * 1000);
    assert_int_equal(scenario.users.away.mean_ms, 0);
    assert_int_equal(scenario.users.nat_count, 1);
    assert_int_equal(scenario.users.nats[0].share_percent, 0);
    assert_int_equal(scenario.config->pool_count, 1);
    assert_int_equal(scenario.config->pools[0].server_count, 3);
    assert_string_equal(scenario.config->pools[0].servers[2].server->name, "app3");
    assert_int_equal(scenario.config->cookie_key_count, 1);
    hf_scenario_fini(&scenario);
}

static void test_everything(void **unused)
{
    (void)unused;
    assert_good("seed: 7\nduration: 2h\n"
                "users:\n"
                "  count: 1000\n"
                "  arrive: 1m\n"
                "  session: {distribution: lognormal, median: 10m, mean: 30m}\n"
                "  think: {distribution: pareto, minimum: 5s, mean: 20s}\n"
                "  answer: 80ms\n"
                "  away: {mean: 1h}\n"
                "  session_key: known\n"
                "  without_cookies: 5%\n"
                "  nat: [{share: 0%}, {share: 33%, addresses: 50}]\n"
                "servers: {count: 4, prefix: node, weights: [1, 2]}\n"
                "pools:\n"
                "  - {name: a}\n"
                "  - {name: b, servers: [{name: own, address: \"127.0.0.1:1\"}]}\n"
                "events: [{at: 20m, recover: node1}, {at: 10m, crash: node1}, {at: 30m, add: 2},\n"
                "         {at: 30m, weight: own, to: 3}, {at: 40m, drain: new2}]\n");
    assert_int_equal(scenario.users.session.kind, HF_SPREAD_LOGNORMAL);
    assert_int_equal(scenario.users.session.median_ms, 600 * 1000);
    assert_int_equal(scenario.users.think.minimum_ms, 5000);
    assert_int_equal(scenario.users.answer.kind, HF_SPREAD_FIXED);
    assert_int_equal(scenario.users.session_key, HF_SESSION_KEY_KNOWN);
    assert_int_equal(scenario.users.nats[1].addresses, 50);
    assert_int_equal(scenario.config->pools[0].servers[3].weight, 2);
    assert_int_equal(scenario.config->pools[1].server_count, 1);
    assert_int_equal(scenario.event_count, 5);
    assert_int_equal(scenario.events[0].kind, HF_EVENT_CRASH);
    assert_int_equal(scenario.events[1].kind, HF_EVENT_RECOVER);
    assert_int_equal(scenario.events[2].value, 2);
    assert_int_equal(scenario.events[3].value, 3);
    assert_int_equal(scenario.events[4].line, 18);
    hf_scenario_fini(&scenario);
}

static void test_a_proxys_own_file(void **unused)
{
    (void)unused;
    char text[256];
    snprintf(text, sizeof(text), "users: {count: 5}\nconfiguration: %s/examples/minimal.yaml\n",
             HF_SOURCE_ROOT);
    assert_good(text);
    assert_true(scenario.config->pool_count == 1 && scenario.config->pools[0].server_count > 1);
    hf_scenario_fini(&scenario);
    assert_wrong("users: {count: 5}\nconfiguration: nowhere.yaml\n", 2, "holdfast check");
}

static const struct hf_pool *find_pool(const char *name)
{
    for (unsigned i = 0; i < scenario.config->pool_count; i++) {
        if (strcmp(scenario.config->pools[i].name, name) == 0)
            return &scenario.config->pools[i];
    }
    fail_msg("no pool '%s'", name);
    return NULL;
}

static void test_each_algorithm_has_a_pool_to_compare(void **unused)
{
    (void)unused;
    assert_good("users: {count: 5}\nservers: {count: 3}\npools: [{name: own}]\n"
                "compare: [balance, hash, source_ip]\n");
    assert_string_equal(scenario.config->pools[0].name, "own");
    assert_int_equal(find_pool("least_connections")->balance, HF_BALANCE_LEAST_CONNECTIONS);
    assert_int_equal(find_pool("ip_hash")->affinities[0].kind, HF_AFFINITY_COOKIE_INSERT);
    assert_int_equal(find_pool("hash-mod")->affinities[0].kind, HF_AFFINITY_HASH_COOKIE);
    assert_int_equal(find_pool("source_ip-mod")->affinities[0].kind, HF_AFFINITY_SOURCE_IP);
    assert_int_equal(find_pool("source_ip-mod")->server_count, 3);
    hf_scenario_fini(&scenario);
    assert_good("users: {count: 5}\nservers: {count: 3}\ncompare: [hash]\n");
    assert_true(scenario.config->pool_count >= 1);
    hf_scenario_fini(&scenario);
}

static void test_mistakes(void **unused)
{
    (void)unused;
    assert_wrong("users: {count: 5}\nservers: {count: 3}\npols: []\n", 3, "did you mean 'pools'?");
    assert_wrong("users: {cuont: 5}\nservers: {count: 3}\n" POOL, 1, "did you mean 'count'?");
    assert_wrong("servers: {count: 3}\n" POOL, 1, "has no 'users'");
    assert_wrong("users: {count: 5}\n", 1, "write one of 'pools'");
    assert_wrong("users: {count: 5}\n" POOL "configuration: x.yaml\n", 3, "write one of 'pools'");
    assert_wrong("users: {count: 5}\ncompare: [balance]\n", 2, "has no 'servers'");
    assert_wrong("users: {count: 5}\nservers: {count: 3}\ncompare: [balanse]\n", 3,
                 "did you mean 'balance'?");
    assert_wrong("users: {count: 5}\nservers: {count: 3}\npools: [{name: hash-mod}]\n"
                 "compare: [hash]\n",
                 4, "two pools are called 'hash-mod'");
    assert_wrong("users: {count: 5}\nservers: {count: 1024}\n"
                 "pools: [{name: a}, {name: b}, {name: c}, {name: d}, {name: e}]\n",
                 2, "5 pools of 1024 servers: at most 4096");
    assert_wrong("users: {count: 5}\n" POOL, 2, "has no 'servers'");
    assert_wrong("users: {count: 5}\nservers: {count: 3, weights: [0]}\n" POOL, 2, "1 to 256");
    assert_wrong("users: {count: 5}\nservers: {count: 3}\n"
                 "pools: [{name: p, affinity: [{cookie: SID, mode: prefix}]}]\n",
                 3, "pool 'p' has a strategy that is not simulated: write");
    assert_wrong("[1]\n", 0, "not one mapping");
    assert_wrong("users: {count: 5}\nservers: {count: 3}\npools:\n  - {name: p, balanse: random}\n",
                 4, "did you mean 'balance'?");
}

static void test_mistakes_of_distributions(void **unused)
{
    (void)unused;
#define WITH(session) "users:\n  count: 5\n  session: " session "\nservers: {count: 3}\n" POOL
    assert_wrong(WITH("{distribution: log}"), 3, "'distribution' is 'log'");
    assert_wrong(WITH("{mean: 5m, median: 1m}"), 3, "write distribution: lognormal");
    assert_wrong(WITH("{distribution: pareto, mean: 5m, minimum: 5m}"), 3, "not below 'mean'");
    assert_wrong(WITH("[]"), 3, "'session' is");
    assert_good(WITH("{distribution: pareto, mean: 5m}"));
    assert_int_equal(scenario.users.session.minimum_ms, 75 * 1000);
    hf_scenario_fini(&scenario);
}

static void test_mistakes_of_events(void **unused)
{
    (void)unused;
#define HAPPENS(event) "users: {count: 5}\nservers: {count: 3}\n" POOL "events:\n  - " event "\n"
    assert_wrong(HAPPENS("{at: 5m}"), 5, "one thing that happens");
    assert_wrong(HAPPENS("{at: 5m, crash: app1, drain: app2}"), 5, "one thing that happens");
    assert_wrong(HAPPENS("{at: 5m, weight: app1}"), 5, "belong together");
    assert_wrong(HAPPENS("{at: 5m, crash: app1, to: 3}"), 5, "belong together");
    assert_wrong(HAPPENS("{at: 5m, crash: ap1}"), 5, "did you mean 'app1'?");
    assert_wrong(HAPPENS("{at: 5m, crash: new1}"), 5, "no pool has");
    assert_wrong(HAPPENS("{at: 61m, crash: app1}"), 5, "behind 'duration'");
    assert_wrong(HAPPENS("{at: 5m, add: 1022}"), 5, "more than 1024 servers");
    assert_wrong(HAPPENS("{at: 5m, exlode: app1}"), 5, "unknown key 'exlode'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_a_proxys_own_file),
        cmocka_unit_test(test_each_algorithm_has_a_pool_to_compare),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_mistakes_of_distributions),
        cmocka_unit_test(test_mistakes_of_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
