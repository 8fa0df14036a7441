/* Small populations through whole runs: what theory says of each event, and that nothing depends on
 * anything but scenario and seed. */
#include "sim/report.h"
#include "sim/sim.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* 20,000 users who stay, so that each event meets all of them; 20 servers. */
#define PEOPLE                                                                                     \
    "duration: 20m\n"                                                                              \
    "users: {count: 20000, arrive: 1m, session: 1h, think: {mean: 30s}, session_key: known}\n"     \
    "servers: {count: 20}\n"
#define COOKIE "pools: [{name: p, balance: random, affinity: [{cookie: HOLDFAST}]}]\n"
#define MOD "pools: [{name: p, affinity: [{cookie: SID, hash: mod}]}]\n"

static struct hf_scenario scenario;
static struct hf_sim_report report;

static void run(const char *text, unsigned threads)
{
    struct hf_config_report mistakes = {0};
    int rc = hf_scenario_load_text(hf_slice_text(text), "test.yaml", &scenario, &mistakes);
    if (rc != 0)
        fail_msg("line %u: %s", mistakes.messages[0].line, mistakes.messages[0].text);
    assert_int_equal(hf_sim_run(&scenario, threads, &report), 0);
}

static void done(void)
{
    hf_sim_report_fini(&report);
    hf_scenario_fini(&scenario);
}

static const struct hf_sim_event *event(unsigned index)
{
    assert_in_range(index, 0, report.results[0].event_count - 1);
    return &report.results[0].events[index];
}

static double moved(unsigned index)
{
    return (double)event(index)->moved / event(index)->returned;
}

static void test_a_crash_moves_its_own(void **unused)
{
    (void)unused;
    run(PEOPLE COOKIE "events: [{at: 10m, crash: app7}]\n", 1);
    assert_string_equal(event(1)->text, "crash app7");
    assert_int_equal(event(1)->sessions, 20000);
    assert_true(event(1)->returned > 19990); /* one in e^20 sends nothing for 10 minutes */
    assert_int_equal(event(1)->lost, event(1)->moved);
    assert_int_equal(event(1)->needless, 0);
    assert_int_equal(event(1)->refused, 0);
    assert_true(event(1)->died - event(1)->moved < 5);
    assert_true(event(1)->stood_in > 0); /* until the server was judged */
    done();
}

static void test_who_returns_in_time_keeps_the_server_not_the_session(void **unused)
{
    (void)unused;
    run(PEOPLE "pools: [{name: p, balance: random, affinity: [{cookie: HOLDFAST}], passive: off,"
               " health: off}]\nevents: [{at: 10m, crash: app1}, {at: 12m, recover: app1}]\n",
        1);
    assert_true(event(1)->stood_in > 0);
    /* nobody judged it: all pins still name it, and lead back */
    assert_true(event(2)->moved > event(1)->moved * 9 / 10);
    assert_int_equal(report.results[0].refused, 0);
    done();
}

static void test_mod_n_moves_nearly_all_when_n_changes(void **unused)
{
    (void)unused;
    run(PEOPLE MOD "events: [{at: 7m, remove: app7}, {at: 14m, add: 1}]\n", 1);
    assert_true(moved(1) > 0.93 && moved(1) < 0.97); /* 19 of 20 */
    assert_true(event(1)->needless > event(1)->lost * 9 / 10);
    assert_true(moved(2) > 0.93 && moved(2) < 0.97);
    done();
}

static void test_mod_n_survives_a_crash(void **unused)
{
    (void)unused;
    run(PEOPLE MOD "events: [{at: 10m, crash: app7}]\n", 1);
    assert_true(moved(1) > 0.04 && moved(1) < 0.06); /* 1 of 20 */
    /* who was served by a stand-in before the judgement is hashed elsewhere after it */
    assert_true(event(1)->needless < event(1)->moved / 20);
    done();
}

static void test_drain_and_scaling_move_no_cookie(void **unused)
{
    (void)unused;
    run(PEOPLE COOKIE "events: [{at: 5m, drain: app1}, {at: 6m, add: 5}, {at: 7m, weight: app2, "
                      "to: 9}, {at: 7m, ready: app1}]\n",
        1);
    assert_int_equal(report.results[0].event_count, 4);
    assert_string_equal(event(3)->text, "weight app2 to 9, ready app1");
    for (unsigned i = 1; i < 4; i++) {
        assert_int_equal(event(i)->moved, 0);
        assert_int_equal(event(i)->lost, 0);
    }
    assert_int_equal(report.results[0].server_added, 5);
    done();
}

/* Who was moved by the crash, by what the pool does when the server is back. */
static void test_failback(void **unused)
{
    (void)unused;
    static const struct {
        const char *word;
        bool goes_back;
    } kinds[] = {{"stay", false}, {"return", true}, {"temporary", true}};
    for (unsigned i = 0; i < 3; i++) {
        char text[1024];
        snprintf(text, sizeof(text),
                 PEOPLE "pools: [{name: p, balance: random, affinity: [{cookie: HOLDFAST}], "
                        "failback: %s}]\n"
                        "events: [{at: 7m, crash: app7}, {at: 14m, recover: app7}]\n",
                 kinds[i].word);
        run(text, 1);
        assert_true(moved(1) > 0.04 && moved(1) < 0.06);
        if (kinds[i].goes_back)
            assert_true(event(2)->moved > event(1)->moved * 9 / 10);
        else
            assert_int_equal(event(2)->moved, 0);
        assert_int_equal(event(2)->needless, event(2)->moved); /* a session is left each time */
        done();
    }
}

static void test_maintenance_and_removal_move_their_own(void **unused)
{
    (void)unused;
    run(PEOPLE COOKIE "events: [{at: 5m, maintenance: app1}, {at: 12m, remove: app2}]\n", 1);
    for (unsigned i = 1; i < 3; i++) {
        assert_true(moved(i) > 0.04 && moved(i) < 0.065);
        assert_int_equal(event(i)->lost, event(i)->moved);
        assert_int_equal(event(i)->needless, 0);
        assert_int_equal(event(i)->died, 0);
    }
    done();
}

static void test_weights_are_honoured(void **unused)
{
    (void)unused;
    run("users: {count: 50000, arrive: 1m, session: 1h}\nduration: 2m\n"
        "servers: {count: 20, weights: [1, 3]}\n" COOKIE,
        1);
    const struct hf_sim_result *result = &report.results[0];
    assert_int_equal(result->load_count, 20);
    assert_true(result->peak_max < 1.1 && result->peak_min > 0.9); /* by weight */
    done();
}

static void test_shared_addresses_crowd_ip_hash(void **unused)
{
    (void)unused;
    run("users: {count: 50000, arrive: 1m, session: 1h, nat: [{share: 0%}, {share: 50%, "
        "addresses: 5}]}\nduration: 2m\nservers: {count: 20}\npools: [{name: p, balance: "
        "ip_hash}]\n",
        1);
    assert_int_equal(report.count, 2);
    assert_true(report.results[0].peak_max < 1.1);
    assert_true(report.results[1].peak_max > 2.4); /* each address is a tenth: two servers' share */
    done();
}

static void test_who_keeps_no_cookies_is_lost_all_the_time(void **unused)
{
    (void)unused;
    run("users: {count: 1000, arrive: 1m, session: 1h, without_cookies: 50%}\nduration: 10m\n"
        "servers: {count: 20}\n" COOKIE,
        1);
    assert_in_range(event(0)->moved, 450, 550);
    assert_true(event(0)->needless > 450 * 5);
    done();
}

static void test_a_key_of_the_first_answer_comes_too_late_for_a_hash(void **unused)
{
    (void)unused;
    run("users: {count: 10000, arrive: 1m, session: 1h}\nduration: 30m\nservers: {count: 20}\n" MOD,
        1);
    assert_true(moved(0) > 0.93 && moved(0) < 0.97);
    done();
}

static void test_sessions_end_and_return(void **unused)
{
    (void)unused;
    run("users: {count: 1000, arrive: 1m, session: {mean: 5m}, away: {mean: 5m}}\n"
        "duration: 2h\nservers: {count: 4}\n" COOKIE,
        1);
    const struct hf_sim_result *result = &report.results[0];
    assert_in_range(result->sessions, 11000, 13000); /* one in 10 minutes a user */
    const struct hf_sim_sample *last = &result->samples[HF_SIM_SAMPLES - 1];
    assert_in_range(last->sessions, 400, 600);
    assert_int_equal(result->lost, 0); /* the pin outlives the session */
    done();
}

static void test_on_loss_refuses(void **unused)
{
    (void)unused;
    run(PEOPLE "pools: [{name: p, affinity: [{cookie: HOLDFAST}], on_loss: error}]\n"
               "events: [{at: 10m, crash: app1}]\n",
        1);
    assert_true(event(1)->refused > 1000);
    assert_int_equal(event(1)->moved, 0);
    done();
}

static void test_no_server_is_left(void **unused)
{
    (void)unused;
    run("users: {count: 1000, arrive: 1m, session: 1h}\nduration: 10m\nservers: {count: 1}\n" COOKIE
        "events: [{at: 5m, crash: app1}]\n",
        1);
    assert_true(event(1)->refused > 3000);
    done();
}

#define SEVERAL                                                                                    \
    "users: {count: 3000, arrive: 1m, session: {mean: 5m}, nat: [{share: 0%}, {share: 20%}]}\n"    \
    "duration: 10m\nservers: {count: 10}\n"                                                        \
    "pools: [{name: a, balance: p2c, affinity: [{cookie: HOLDFAST}]}, {name: b, balance: "         \
    "least_connections, affinity: [{cookie: HOLDFAST}]}, {name: c, balance: round_robin}, "        \
    "{name: d, affinity: [{source_ip: hash}]}]\n"                                                  \
    "events: [{at: 3m, crash: app1}, {at: 5m, recover: app1}, {at: 7m, add: 2}]\n"

/* The document without what it cost. */
static char *document(const char *text, unsigned threads)
{
    run(text, threads);
    report.wall_ms = report.cpu_ms = report.rss_peak_bytes = 0;
    for (unsigned i = 0; i < report.count; i++)
        report.results[i].wall_ms = 0;
    char *json = hf_sim_report_json(&report);
    assert_non_null(json);
    done();
    return json;
}

static void test_the_same_again(void **unused)
{
    (void)unused;
    char *first = document(SEVERAL, 1), *second = document(SEVERAL, 4);
    char *other = document("seed: 2\n" SEVERAL, 1);
    assert_string_equal(first, second);
    assert_string_not_equal(first, other);
    free(first);
    free(second);
    free(other);
}

static void test_sums_hold(void **unused)
{
    (void)unused;
    run(SEVERAL, 2);
    assert_int_equal(report.count, 8);
    for (unsigned i = 0; i < report.count; i++) {
        const struct hf_sim_result *result = &report.results[i];
        uint64_t identified = 0, lost = 0;
        for (unsigned v = 0; v < HF_AFFINITY_VERDICT_COUNT; v++)
            identified += result->verdicts[v];
        if (result->pool->affinity_count > 0)
            assert_int_equal(identified, result->requests);
        for (unsigned e = 0; e < result->event_count; e++) {
            assert_true(result->events[e].moved <= result->events[e].returned);
            assert_true(result->events[e].returned <= result->events[e].sessions);
            assert_true(result->events[e].needless <= result->events[e].lost);
            lost += result->events[e].lost;
        }
        assert_int_equal(lost, result->lost);
        assert_true(result->checked > 0 || result->sealed == 0);
    }
    done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_crash_moves_its_own),
        cmocka_unit_test(test_who_returns_in_time_keeps_the_server_not_the_session),
        cmocka_unit_test(test_mod_n_moves_nearly_all_when_n_changes),
        cmocka_unit_test(test_mod_n_survives_a_crash),
        cmocka_unit_test(test_drain_and_scaling_move_no_cookie),
        cmocka_unit_test(test_failback),
        cmocka_unit_test(test_maintenance_and_removal_move_their_own),
        cmocka_unit_test(test_weights_are_honoured),
        cmocka_unit_test(test_shared_addresses_crowd_ip_hash),
        cmocka_unit_test(test_who_keeps_no_cookies_is_lost_all_the_time),
        cmocka_unit_test(test_a_key_of_the_first_answer_comes_too_late_for_a_hash),
        cmocka_unit_test(test_sessions_end_and_return),
        cmocka_unit_test(test_on_loss_refuses),
        cmocka_unit_test(test_no_server_is_left),
        cmocka_unit_test(test_the_same_again),
        cmocka_unit_test(test_sums_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
