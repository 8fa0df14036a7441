/* Each distribution against its own moments; 200,000 draws are within 2 % of them. */
#include "sim/sampler.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { DRAWS = 200 * 1000 };

static uint32_t drawn[DRAWS]; /* ascending */

static int compare(const void *a, const void *b)
{
    const uint32_t *one = a, *other = b;
    return (*one > *other) - (*one < *other);
}

/* Draws, sorts, answers the mean. */
static double draw_all(struct hf_spread spread)
{
    struct hf_sampler sampler;
    struct hf_rng rng;
    double sum = 0;
    hf_rng_seed(&rng, 3);
    hf_sampler_init(&sampler, &spread);
    for (unsigned i = 0; i < DRAWS; i++)
        sum += drawn[i] = hf_sampler_draw(&sampler, &rng);
    qsort(drawn, DRAWS, sizeof(drawn[0]), compare);
    return sum / DRAWS;
}

static void assert_near(double value, double wanted)
{
    if (fabs(value - wanted) > 0.02 * wanted)
        fail_msg("%g is not near %g", value, wanted);
}

static void test_fixed(void **unused)
{
    (void)unused;
    draw_all((struct hf_spread){.kind = HF_SPREAD_FIXED, .mean_ms = 1234});
    assert_int_equal(drawn[0], 1234);
    assert_int_equal(drawn[DRAWS - 1], 1234);
}

static void test_exponential(void **unused)
{
    (void)unused;
    double mean = draw_all((struct hf_spread){.kind = HF_SPREAD_EXPONENTIAL, .mean_ms = 60000});
    assert_near(mean, 60000);
    assert_near(drawn[DRAWS / 2], 60000 * log(2));
    assert_near(drawn[DRAWS / 100 * 95], 60000 * log(20));
}

static void test_lognormal(void **unused)
{
    (void)unused;
    double mean = draw_all(
        (struct hf_spread){.kind = HF_SPREAD_LOGNORMAL, .mean_ms = 30000, .median_ms = 20000});
    assert_near(mean, 30000);
    assert_near(drawn[DRAWS / 2], 20000);
}

static void test_pareto(void **unused)
{
    (void)unused;
    /* exponent 3: the mean converges */
    double mean = draw_all(
        (struct hf_spread){.kind = HF_SPREAD_PARETO, .mean_ms = 30000, .minimum_ms = 20000});
    assert_near(mean, 30000);
    assert_near(drawn[0], 20000);
    assert_near(drawn[DRAWS / 2], 20000 * pow(2, 1.0 / 3));
    assert_true(drawn[DRAWS - 1] > 10 * 30000); /* the tail is there */
}

static void test_draws_have_bounds(void **unused)
{
    (void)unused;
    draw_all((struct hf_spread){.kind = HF_SPREAD_EXPONENTIAL, .mean_ms = 1});
    assert_int_equal(drawn[0], 1);
    draw_all((struct hf_spread){.kind = HF_SPREAD_FIXED, .mean_ms = UINT32_MAX});
    assert_int_equal(drawn[0], UINT32_MAX / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixed),
        cmocka_unit_test(test_exponential),
        cmocka_unit_test(test_lognormal),
        cmocka_unit_test(test_pareto),
        cmocka_unit_test(test_draws_have_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
