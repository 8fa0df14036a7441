/* Bounded load: never above the factor, whatever comes and goes, and never nobody. */
#include "balance/table_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

enum { SERVERS_MAX = 40, ROUNDS = 3000 };

static struct hf_table_fixture f;

/* In floating point, as the paper writes it; the code counts in whole numbers. */
static double bound_of(unsigned index, uint32_t percent)
{
    double load = 1, weight = 0;
    for (unsigned i = 0; i < f.count; i++) {
        load += f.candidates[i].usable ? f.candidates[i].load : 0;
        weight += f.candidates[i].usable ? f.candidates[i].weight : 0;
    }
    return ceil(percent / 100.0 * load * f.candidates[index].weight / weight - 1e-9);
}

static void test_whom_it_leaves_out(void **unused)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        hf_table_fixture_open(&f, 1 + round % SERVERS_MAX, round);
        struct hf_candidate after[SERVERS_MAX];
        uint32_t percent = 100 + hf_rng_below(&f.rng, 200);
        unsigned usable = 0, left = 0;
        for (unsigned i = 0; i < f.count; i++) {
            f.candidates[i].weight = 1 + hf_rng_below(&f.rng, 256);
            f.candidates[i].load = hf_rng_below(&f.rng, round % 7 == 0 ? 3 : 5000);
            f.candidates[i].usable = hf_rng_below(&f.rng, 5) > 0;
            usable += f.candidates[i].usable;
        }
        memcpy(after, f.candidates, f.count * sizeof(after[0]));
        hf_balance_bound(after, f.count, percent);
        for (unsigned i = 0; i < f.count; i++) {
            bool fits = f.candidates[i].usable && f.candidates[i].load + 1 <= bound_of(i, percent);
            assert_int_equal(after[i].usable, fits);
            left += after[i].usable;
        }
        assert_true((left > 0) == (usable > 0));
    }
}

static void test_ends_of_the_range(void **unused)
{
    hf_table_fixture_open(&f, 3, 1);
    hf_table_fixture_weigh(&f, 1, 256);
    f.candidates[0].load = f.candidates[1].load = UINT32_MAX;
    hf_balance_bound(f.candidates, 3, 10000);
    assert_false(f.candidates[0].usable && f.candidates[1].usable && f.candidates[2].usable);
    assert_true(f.candidates[1].usable || f.candidates[2].usable);
    hf_balance_bound(f.candidates, 0, 100);
}

/* Requests with few keys, so that all want the same servers, come and go at random. */
static void check_run(enum hf_hash kind, uint32_t percent, uint64_t seed)
{
    static uint16_t open[4096]; /* the server of each request in flight */
    unsigned open_count = 0;
    hf_table_fixture_open(&f, 20, seed);
    for (unsigned i = 0; i < f.count; i++)
        hf_table_fixture_weigh(&f, i, 1 + hf_rng_below(&f.rng, 3));
    struct hf_balance_table *table = hf_table_fixture_table(&f, kind);
    for (unsigned step = 0; step < 6000; step++) {
        if (open_count > 0 && (hf_rng_below(&f.rng, 100) < 45 || open_count == 4096)) {
            unsigned gone = hf_rng_below(&f.rng, open_count);
            f.candidates[open[gone]].load--;
            open[gone] = open[--open_count];
            continue;
        }
        struct hf_candidate bounded[20];
        memcpy(bounded, f.candidates, sizeof(bounded));
        hf_balance_bound(bounded, 20, percent);
        int server =
            hf_balance_follow(table, hf_rng_below(&f.rng, 5) * 0x9e3779b97f4a7c15u, bounded, 20);
        assert_true(server >= 0);
        assert_true(f.candidates[server].load + 1 <= bound_of((unsigned)server, percent));
        f.candidates[server].load++;
        open[open_count++] = (uint16_t)server;
    }
    hf_balance_table_free(&table);
}

static void test_never_above_the_factor(void **unused)
{
    static const uint32_t percents[] = {100, 110, 125, 200, 1000};
    for (enum hf_hash kind = 0; kind < HF_HASH_COUNT; kind++) {
        for (unsigned i = 0; i < sizeof(percents) / sizeof(percents[0]); i++)
            check_run(kind, percents[i], 100 + i);
    }
}

/* Below its bound a key's server is its own: the same one, each time. */
static void test_nobody_moves_without_need(void **unused)
{
    for (enum hf_hash kind = 0; kind < HF_HASH_COUNT; kind++) {
        hf_table_fixture_open(&f, 20, 5);
        for (unsigned i = 0; i < f.count; i++)
            f.candidates[i].load = 100;
        struct hf_balance_table *table = hf_table_fixture_table(&f, kind);
        hf_balance_bound(f.candidates, 20, 125);
        for (unsigned i = 0; i < 1000; i++) {
            uint64_t key = hf_rng_u64(&f.rng);
            assert_int_equal(hf_balance_follow(table, key, f.candidates, 20),
                             hf_balance_named(table, key));
        }
        hf_balance_table_free(&table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whom_it_leaves_out),
        cmocka_unit_test(test_ends_of_the_range),
        cmocka_unit_test(test_never_above_the_factor),
        cmocka_unit_test(test_nobody_moves_without_need),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
