/* The circuit breaker: closed, open, half open, and that no probe too many begins. */
#include "upstream/breaker.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/assert.h"
#include "base/rng.h"

enum { THREADS = 4, ROUNDS = 20000, PROBES = 3, EJECT_MS = 1000 };

static struct hf_pool pool;
static struct hf_server *server;

static int setup(void **unused)
{
    memset(&pool, 0, sizeof(pool));
    pool.passive = (struct hf_passive){.failures = 1, .eject_ms = EJECT_MS, .probes = PROBES};
    server = hf_server_acquire("breaker", "app", THREADS + 1);
    assert_non_null(server);
    return 0;
}

static int teardown(void **unused)
{
    hf_server_unref(&server);
    return 0;
}

static void assert_state(uint64_t now_ms, enum hf_breaker_state breaker, enum hf_server_state state)
{
    assert_int_equal(hf_server_breaker(server, now_ms), breaker);
    assert_int_equal(hf_server_state(server, now_ms), state);
}

static unsigned admit_all(uint64_t now_ms, uint64_t *ret_probe)
{
    unsigned count = 0;
    uint64_t probe = 0;
    while (count < 100 && hf_breaker_admit(server, now_ms, &probe)) {
        *ret_probe = probe;
        count++;
    }
    return count;
}

static void test_closed_costs_nothing(void **unused)
{
    uint64_t probe = 77;
    assert_true(hf_breaker_admit(server, 5, &probe));
    assert_int_equal(probe, 0);
    assert_state(5, HF_BREAKER_CLOSED, HF_SERVER_READY);
}

static void test_open_then_probes_then_closed(void **unused)
{
    uint64_t probe = 0;
    hf_breaker_open(server, 2000, PROBES);
    assert_state(1999, HF_BREAKER_OPEN, HF_SERVER_EJECTED);
    assert_int_equal(admit_all(1999, &probe), 0);
    assert_state(2000, HF_BREAKER_HALF_OPEN, HF_SERVER_READY);
    assert_int_equal(admit_all(2000, &probe), PROBES);
    assert_int_equal(probe, 2000);
    assert_state(2001, HF_BREAKER_HALF_OPEN, HF_SERVER_EJECTED);
    /* One left without a result: its place is free, and nothing is proved. */
    assert_false(hf_breaker_probe_ended(server, probe, false, 2002));
    assert_state(2002, HF_BREAKER_HALF_OPEN, HF_SERVER_READY);
    assert_int_equal(admit_all(2002, &probe), 1);
    assert_false(hf_breaker_probe_ended(server, probe, true, 2003));
    assert_int_equal(admit_all(2003, &probe), 0); /* a success makes no room for more probes */
    assert_false(hf_breaker_probe_ended(server, probe, true, 2004));
    assert_true(hf_breaker_probe_ended(server, probe, true, 2005));
    assert_state(2005, HF_BREAKER_CLOSED, HF_SERVER_READY);
    assert_int_equal(hf_server_usable_since_ms(server, 2005), 2005);
    assert_false(hf_breaker_probe_ended(server, probe, true, 2006));
    assert_int_equal(admit_all(2006, &probe), 100);
}

static void test_a_failed_probe_opens_again(void **unused)
{
    uint64_t first = 0, second = 0;
    hf_breaker_open(server, 2000, PROBES);
    assert_int_equal(admit_all(2000, &first), PROBES);
    assert_false(hf_breaker_probe_ended(server, first, true, 2001));
    assert_true(hf_breaker_probe_failed(&pool, server, first, 2002));
    assert_state(2002 + EJECT_MS - 1, HF_BREAKER_OPEN, HF_SERVER_EJECTED);
    /* What the others of that time find out comes too late, good or bad. */
    assert_false(hf_breaker_probe_failed(&pool, server, first, 2003));
    assert_false(hf_breaker_probe_ended(server, first, true, 2003));
    assert_int_equal(admit_all(2002 + EJECT_MS, &second), PROBES);
    assert_int_equal(second, 2002 + EJECT_MS);
    for (unsigned i = 1; i < PROBES; i++)
        assert_false(hf_breaker_probe_ended(server, second, true, 5000));
    assert_true(hf_breaker_probe_ended(server, second, true, 5000));
}

/* A time alone, as an earlier release of this process's memory never was: it simply ends. */
static void test_an_ejection_without_probes_ends_by_itself(void **unused)
{
    uint64_t probe = 0;
    atomic_store(&server->ejected_until_ms, 2000);
    assert_false(hf_breaker_admit(server, 1999, &probe));
    assert_state(2000, HF_BREAKER_CLOSED, HF_SERVER_READY);
    assert_true(hf_breaker_admit(server, 2000, &probe));
    assert_int_equal(probe, 0);
}

/* --- threads: never more probes at once, and exactly one closes --- */

static atomic_int probing, most_probing;
static atomic_uint closings, openings;
static _Atomic uint64_t clock_ms;

static void note_begin(void)
{
    int now = atomic_fetch_add(&probing, 1) + 1, most = atomic_load(&most_probing);
    while (now > most && !atomic_compare_exchange_weak(&most_probing, &most, now))
        ;
}

static void *hammer(void *argument)
{
    struct hf_rng rng;
    hf_rng_seed(&rng, (uint64_t)(uintptr_t)argument);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t probe, now_ms = atomic_fetch_add(&clock_ms, 1);
        if (!hf_breaker_admit(server, now_ms, &probe))
            continue;
        if (probe == 0) {
            if (hf_rng_below(&rng, 50) == 0)
                hf_breaker_open(server, now_ms + 1, PROBES);
            continue;
        }
        note_begin();
        unsigned what = hf_rng_below(&rng, 10);
        atomic_fetch_sub(&probing, 1);
        if (what == 0)
            openings += hf_breaker_probe_failed(&pool, server, probe, now_ms);
        else
            closings += hf_breaker_probe_ended(server, probe, what < 9, now_ms);
    }
    return NULL;
}

static void test_threads(void **unused)
{
    pthread_t threads[THREADS];
    pool.passive.eject_ms = 50;
    clock_ms = 1000;
    hf_breaker_open(server, 1000, PROBES);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_in_range(most_probing, 1, PROBES);
    assert_true(closings > 0 && openings > 0);
    /* Nothing was lost on the way: it still comes to rest. */
    uint64_t probe = 0, now_ms = 10 * 1000 * 1000;
    for (unsigned i = 0; i < PROBES && hf_server_breaker(server, now_ms) != HF_BREAKER_CLOSED;
         i++) {
        assert_true(hf_breaker_admit(server, now_ms, &probe));
        hf_breaker_probe_ended(server, probe, true, now_ms);
    }
    assert_state(now_ms, HF_BREAKER_CLOSED, HF_SERVER_READY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_closed_costs_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_open_then_probes_then_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_failed_probe_opens_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_ejection_without_probes_ends_by_itself, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
