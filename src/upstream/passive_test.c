/* Passive counting: the window, the caps, and the same under threads. */
#include "upstream/passive.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"

enum { SERVERS_MAX = 12, THREADS = 4 };

static struct hf_pool_server servers[SERVERS_MAX];
static struct hf_pool pool;

static void open_pool(unsigned count)
{
    memset(&pool, 0, sizeof(pool));
    memset(servers, 0, sizeof(servers));
    pool.passive = (struct hf_passive){.failures = 5,
                                       .window_ms = 10000,
                                       .eject_ms = 3000,
                                       .ejected_percent_max = 50,
                                       .probes = 3};
    pool.servers = servers;
    pool.server_count = count;
    for (unsigned i = 0; i < count; i++) {
        char name[HF_NAME_MAX];
        snprintf(name, sizeof(name), "app%u", i);
        servers[i].server = hf_server_acquire("passive", name, THREADS + 1);
        servers[i].weight = 1;
        assert_non_null(servers[i].server);
    }
}

static void close_pool(void)
{
    for (unsigned i = 0; i < pool.server_count; i++)
        hf_server_unref(&servers[i].server);
}

/* How many failures at that time it takes until one ejects; 0 = none of `most` did. */
static unsigned fail_until_ejected(unsigned server, unsigned most, uint64_t now_ms)
{
    for (unsigned i = 1; i <= most; i++) {
        if (hf_passive_failure(&pool, server, 0, 0, now_ms))
            return i;
    }
    return 0;
}

static void test_ejects_at_the_limit(void **unused)
{
    open_pool(4);
    assert_int_equal(fail_until_ejected(0, 4, 1000), 0);
    assert_int_equal(hf_server_state(servers[0].server, 1000), HF_SERVER_READY);
    assert_true(hf_passive_failure(&pool, 0, 2, 0, 10999));
    assert_int_equal(hf_server_state(servers[0].server, 10999), HF_SERVER_EJECTED);
    assert_int_equal(hf_server_state(servers[0].server, 13998), HF_SERVER_EJECTED);
    assert_int_equal(hf_server_state(servers[0].server, 13999), HF_SERVER_READY);
    assert_int_equal(hf_server_count(servers[0].server, HF_SERVER_EJECTIONS), 1);
    assert_int_equal(servers[0].server->shards[2].counts[HF_SERVER_EJECTIONS], 1);
    /* While it is out nothing counts; afterwards the count starts afresh. */
    assert_int_equal(fail_until_ejected(0, 50, 12000), 0);
    assert_int_equal(fail_until_ejected(0, 50, 13999), 5);
    close_pool();
}

static void test_a_quiet_window_forgives(void **unused)
{
    open_pool(2);
    assert_int_equal(fail_until_ejected(0, 4, 1000), 0);
    assert_int_equal(fail_until_ejected(0, 4, 11000), 0); /* the window of 1000 is over */
    assert_true(hf_passive_failure(&pool, 0, 0, 0, 20999));
    close_pool();
}

static void test_off(void **unused)
{
    open_pool(2);
    pool.passive.failures = 0;
    assert_int_equal(fail_until_ejected(0, 1000, 1000), 0);
    close_pool();
}

static void test_clock_of_another_worker_is_ahead(void **unused)
{
    open_pool(2);
    assert_false(hf_passive_failure(&pool, 0, 0, 0, 5010));
    assert_int_equal(fail_until_ejected(0, 10, 5000), 4);
    close_pool();
}

static void test_part_that_may_be_ejected(void **unused)
{
    open_pool(5);
    assert_int_equal(fail_until_ejected(0, 5, 1000), 5);
    assert_int_equal(fail_until_ejected(1, 5, 1000), 5); /* 50 % of 5 = 2 */
    assert_int_equal(fail_until_ejected(2, 50, 1000), 0);
    pool.passive.ejected_percent_max = 60;
    assert_int_equal(fail_until_ejected(2, 5, 1000), 5);
    close_pool();
    open_pool(5);
    pool.passive.ejected_percent_max = 1; /* one at least */
    assert_int_equal(fail_until_ejected(4, 5, 1000), 5);
    assert_int_equal(fail_until_ejected(3, 50, 1000), 0);
    assert_int_equal(fail_until_ejected(3, 50, 4000), 5); /* the other one is back */
    close_pool();
}

static void test_never_the_last_usable(void **unused)
{
    open_pool(1);
    pool.passive.ejected_percent_max = 100;
    assert_int_equal(fail_until_ejected(0, 100, 1000), 0);
    close_pool();
    open_pool(5);
    pool.passive.ejected_percent_max = 100;
    servers[1].server->health = HF_HEALTH_DOWN;
    servers[2].server->admin = HF_ADMIN_MAINTENANCE;
    servers[3].server->admin = HF_ADMIN_DRAIN;
    servers[4].weight = 0;
    assert_int_equal(fail_until_ejected(0, 100, 1000), 0);
    assert_int_equal(fail_until_ejected(3, 100, 1000), 5); /* draining, but judged like any */
    assert_int_equal(fail_until_ejected(1, 100, 1000), 0); /* down already: no news */
    servers[4].weight = 1;
    assert_int_equal(fail_until_ejected(0, 100, 1000), 5);
    assert_int_equal(fail_until_ejected(4, 100, 1000), 0);
    close_pool();
}

/* Against a plain model of the rules, with random states. */
static void test_like_the_model(void **unused)
{
    struct hf_rng rng;
    hf_rng_seed(&rng, 5);
    open_pool(6);
    uint64_t now_ms = 1, start_ms[6] = {0}, until_ms[6] = {0};
    unsigned counts[6] = {0}, ejections = 0, refusals = 0;
    for (int step = 0; step < 200000; step++) {
        now_ms += hf_rng_below(&rng, 30) == 0 ? hf_rng_below(&rng, 6000) : hf_rng_below(&rng, 60);
        unsigned at = hf_rng_below(&rng, 6);
        struct hf_server *server = servers[at].server;
        if (hf_rng_below(&rng, 8) == 0) {
            server->health = (uint8_t)hf_rng_below(&rng, 3);
            server->admin = (uint8_t)(hf_rng_below(&rng, 3) ? 0 : hf_rng_below(&rng, 3));
        }
        bool expected = false;
        if (server->health != HF_HEALTH_DOWN && server->admin != HF_ADMIN_MAINTENANCE &&
            until_ms[at] <= now_ms) {
            bool fresh = counts[at] == 0 || now_ms - start_ms[at] >= pool.passive.window_ms;
            counts[at] = fresh ? 1 : counts[at] + 1;
            start_ms[at] = fresh ? now_ms : start_ms[at];
            unsigned out = 0, others = 0;
            for (unsigned i = 0; i < 6; i++) {
                bool ready = servers[i].server->health != HF_HEALTH_DOWN &&
                             servers[i].server->admin == HF_ADMIN_READY && until_ms[i] <= now_ms;
                out += until_ms[i] > now_ms;
                others += i != at && ready;
            }
            expected = counts[at] == 5 && out < 3 && others > 0;
            refusals += counts[at] == 5 && !expected;
            counts[at] = counts[at] == 5 ? 0 : counts[at];
        }
        assert_int_equal(hf_passive_failure(&pool, at, 0, 0, now_ms), expected);
        if (expected)
            until_ms[at] = now_ms + pool.passive.eject_ms;
        ejections += expected;
    }
    assert_true(ejections > 1000 && refusals > 100);
    close_pool();
}

struct failing_worker {
    unsigned shard, server_first, server_count, failures, ejections;
};

static void *fail_often(void *argument)
{
    struct failing_worker *worker = argument;
    for (unsigned i = 0; i < worker->failures; i++) {
        unsigned server = worker->server_first + i % worker->server_count;
        worker->ejections += hf_passive_failure(&pool, server, worker->shard, 0, 1000);
    }
    return NULL;
}

static unsigned run_threads(unsigned servers_used, unsigned failures)
{
    struct failing_worker workers[THREADS];
    pthread_t threads[THREADS];
    unsigned ejections = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct failing_worker){
            .shard = i + 1, .server_count = servers_used, .failures = failures};
        assert_int_equal(pthread_create(&threads[i], NULL, fail_often, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        ejections += workers[i].ejections;
        assert_int_equal(hf_server_count(servers[0].server, HF_SERVER_EJECTIONS) <= 1, true);
    }
    return ejections;
}

static void test_threads_lose_no_failure(void **unused)
{
    open_pool(2);
    pool.passive.failures = THREADS * 5000 + 1;
    assert_int_equal(run_threads(1, 5000), 0);
    assert_true(hf_passive_failure(&pool, 0, 0, 0, 1000)); /* the very next one is the limit */
    close_pool();
}

static void test_threads_keep_the_caps(void **unused)
{
    for (unsigned round = 0; round < 50; round++) {
        open_pool(SERVERS_MAX);
        pool.passive.failures = 2;
        pool.passive.ejected_percent_max = round % 2 ? 100 : 50;
        unsigned most = round % 2 ? SERVERS_MAX - 1 : SERVERS_MAX / 2;
        assert_int_equal(run_threads(SERVERS_MAX, 40 * SERVERS_MAX), most);
        unsigned out = 0;
        for (unsigned i = 0; i < SERVERS_MAX; i++)
            out += hf_server_state(servers[i].server, 1000) == HF_SERVER_EJECTED;
        assert_int_equal(out, most);
        close_pool();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ejects_at_the_limit),
        cmocka_unit_test(test_a_quiet_window_forgives),
        cmocka_unit_test(test_off),
        cmocka_unit_test(test_clock_of_another_worker_is_ahead),
        cmocka_unit_test(test_part_that_may_be_ejected),
        cmocka_unit_test(test_never_the_last_usable),
        cmocka_unit_test(test_like_the_model),
        cmocka_unit_test(test_threads_lose_no_failure),
        cmocka_unit_test(test_threads_keep_the_caps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
