/* Random, least connections and two choices: shares within what theory allows, and hard rules. */
#include "balance/balance.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

enum { DRAWS = 100000, SERVERS_MAX = 256 };

static struct hf_rng rng;

static int seed(void **unused)
{
    hf_rng_seed(&rng, 2001);
    return 0;
}

static void fill(struct hf_candidate *candidates, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        candidates[i] = (struct hf_candidate){.id = i + 1, .weight = 1, .usable = true};
}

/* Binomial: five standard deviations, passed by chance once in 10^6. */
static void assert_share(unsigned seen, unsigned draws, double share)
{
    double deviation = sqrt(draws * share * (1 - share));
    assert_true(fabs(seen - draws * share) <= 5 * deviation + 1e-9);
}

static void test_random_by_weight(void **unused)
{
    struct hf_candidate candidates[5];
    fill(candidates, 5);
    for (unsigned i = 0; i < 5; i++)
        candidates[i].weight = i; /* 0 1 2 3 4, and 4 is down */
    candidates[4].usable = false;
    unsigned seen[5] = {0};
    for (int i = 0; i < DRAWS; i++) {
        int chosen = hf_balance_random(candidates, 5, &rng);
        assert_in_range(chosen, 1, 3);
        seen[chosen]++;
    }
    for (unsigned i = 1; i <= 3; i++)
        assert_share(seen[i], DRAWS, i / 6.0);
}

static void test_none_usable(void **unused)
{
    struct hf_candidate candidates[2];
    fill(candidates, 2);
    candidates[0].usable = false;
    candidates[1].weight = 0;
    for (unsigned count = 0; count <= 2; count++) {
        assert_int_equal(hf_balance_random(candidates, count, &rng), -1);
        assert_int_equal(hf_balance_least_connections(candidates, count, &rng), -1);
        assert_int_equal(hf_balance_p2c(candidates, count, &rng), -1);
    }
    candidates[0].usable = true;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(hf_balance_random(candidates, 2, &rng), 0);
        assert_int_equal(hf_balance_least_connections(candidates, 2, &rng), 0);
        assert_int_equal(hf_balance_p2c(candidates, 2, &rng), 0);
    }
}

static void test_least_is_least(void **unused)
{
    struct hf_candidate candidates[8];
    for (int round = 0; round < 10000; round++) {
        fill(candidates, 8);
        double least = INFINITY;
        for (unsigned i = 0; i < 8; i++) {
            candidates[i].weight = 1 + hf_rng_below(&rng, 5);
            candidates[i].load = hf_rng_below(&rng, 20);
            candidates[i].usable = hf_rng_below(&rng, 4) > 0;
            if (candidates[i].usable)
                least = fmin(least, (double)candidates[i].load / candidates[i].weight);
        }
        int chosen = hf_balance_least_connections(candidates, 8, &rng);
        if (isinf(least)) {
            assert_int_equal(chosen, -1);
            continue;
        }
        assert_true(candidates[chosen].usable);
        assert_true((double)candidates[chosen].load / candidates[chosen].weight <= least + 1e-9);
    }
}

static void test_least_breaks_ties_by_weight(void **unused)
{
    struct hf_candidate candidates[4];
    fill(candidates, 4);
    candidates[1].weight = 3;
    candidates[2].load = 1;
    unsigned seen[4] = {0};
    for (int i = 0; i < DRAWS; i++)
        seen[hf_balance_least_connections(candidates, 4, &rng)]++;
    assert_int_equal(seen[2], 0);
    assert_share(seen[0], DRAWS, 0.2);
    assert_share(seen[1], DRAWS, 0.6);
    assert_share(seen[3], DRAWS, 0.2);
}

static void test_two_choices_take_the_better(void **unused)
{
    struct hf_candidate candidates[2];
    fill(candidates, 2);
    static const struct {
        uint32_t load, weight;
        uint64_t cost_us;
    } rows[][2] = {
        /* always the second */
        {{1, 1, 0}, {0, 1, 0}},       {{0, 1, 2000}, {0, 1, 1000}},
        {{3, 1, 1000}, {0, 1, 3999}}, {{2, 1, 0}, {7, 4, 0}},
        {{1, 1, 1}, {0, 1, 0}}, /* an unknown cost does not count */
        {{1, 1, 0}, {0, 1, 9999}},    {{UINT32_MAX, 1, UINT64_MAX}, {UINT32_MAX, 2, UINT64_MAX}},
    };
    for (unsigned row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        for (unsigned i = 0; i < 2; i++) {
            candidates[i].load = rows[row][i].load;
            candidates[i].weight = rows[row][i].weight;
            candidates[i].cost_us = rows[row][i].cost_us;
        }
        for (int i = 0; i < 50; i++)
            assert_int_equal(hf_balance_p2c(candidates, 2, &rng), 1);
    }
}

static void test_two_choices_are_uniform(void **unused)
{
    struct hf_candidate candidates[5];
    fill(candidates, 5);
    candidates[3].usable = false;
    unsigned seen[5] = {0};
    for (int i = 0; i < DRAWS; i++)
        seen[hf_balance_p2c(candidates, 5, &rng)]++;
    for (unsigned i = 0; i < 5; i++)
        assert_share(seen[i], DRAWS, i == 3 ? 0 : 0.25);
}

/* n balls into n bins: the fullest has ln ln n / ln 2 + O(1) with two choices, about
 * ln n / ln ln n with one (Mitzenmacher 2001). For n = 256 that is 2.5 + O(1), and 3.2 + O(1). */
static void test_two_choices_beat_one(void **unused)
{
    unsigned most_by_two = 0, sum_by_two = 0, sum_by_one = 0;
    for (int round = 0; round < 20; round++) {
        struct hf_candidate two[SERVERS_MAX], one[SERVERS_MAX];
        fill(two, SERVERS_MAX);
        fill(one, SERVERS_MAX);
        unsigned two_max = 0, one_max = 0;
        for (unsigned ball = 0; ball < SERVERS_MAX; ball++) {
            unsigned a = ++two[hf_balance_p2c(two, SERVERS_MAX, &rng)].load;
            unsigned b = ++one[hf_balance_random(one, SERVERS_MAX, &rng)].load;
            two_max = a > two_max ? a : two_max;
            one_max = b > one_max ? b : one_max;
        }
        most_by_two = two_max > most_by_two ? two_max : most_by_two;
        sum_by_two += two_max;
        sum_by_one += one_max;
    }
    assert_in_range(most_by_two, 2, 4);
    assert_true(sum_by_one > sum_by_two + 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_random_by_weight, seed),
        cmocka_unit_test_setup(test_none_usable, seed),
        cmocka_unit_test_setup(test_least_is_least, seed),
        cmocka_unit_test_setup(test_least_breaks_ties_by_weight, seed),
        cmocka_unit_test_setup(test_two_choices_take_the_better, seed),
        cmocka_unit_test_setup(test_two_choices_are_uniform, seed),
        cmocka_unit_test_setup(test_two_choices_beat_one, seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
