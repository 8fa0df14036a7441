/* What is hashed from a user's number: shares as described, and the same each time. */
#include "sim/population.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { COUNT = 100 * 1000, ADDRESSES = 50, FIRST_SHARED = (10 << 24) + 1 };

static const struct hf_scenario scenario = {
    .seed = 1, .users = {.count = COUNT, .without_cookies_percent = 5}};

static struct hf_population population;

static int make(void **state)
{
    const struct hf_scenario_nat nat = {.share_percent = 33, .addresses = ADDRESSES};
    (void)state;
    return hf_population_init(&population, &scenario, &nat);
}

static int drop(void **state)
{
    (void)state;
    hf_population_fini(&population);
    return 0;
}

static uint32_t ip_of(uint32_t user)
{
    struct hf_address address = hf_population_address(&population, user);
    return ntohl(address.v4.sin_addr.s_addr);
}

static void a_third_shares_the_addresses_evenly(void **state)
{
    (void)state;
    unsigned at[ADDRESSES] = {0}, sharing = 0;
    for (uint32_t user = 0; user < COUNT; user++) {
        uint32_t place = ip_of(user) - FIRST_SHARED;
        if (place >= ADDRESSES)
            continue;
        sharing++;
        at[place]++;
    }
    /* binomial, n = 100,000, p = 0.33: 33,000 +- 149; four times that */
    assert_in_range(sharing, 32400, 33600);
    for (unsigned i = 0; i < ADDRESSES; i++)
        assert_in_range(at[i], 557, 763); /* 660 +- 25.7 */
}

static void cookies_are_kept_by_the_share_described(void **state)
{
    (void)state;
    unsigned keeping = 0;
    for (uint32_t user = 0; user < COUNT; user++)
        keeping += hf_population_keeps_cookies(&population, user);
    assert_in_range(keeping, 94724, 95276); /* 95,000 +- 69 */
}

static void a_user_is_the_same_each_time_and_no_other(void **state)
{
    (void)state;
    char first[HF_USER_KEY_SIZE], again[HF_USER_KEY_SIZE], other[HF_USER_KEY_SIZE];
    hf_population_key(&population, 7, first);
    hf_population_key(&population, 7, again);
    hf_population_key(&population, 8, other);
    assert_memory_equal(first, again, sizeof(first));
    assert_memory_not_equal(first, other, sizeof(first));
    assert_int_equal(ip_of(7), ip_of(7));
    assert_int_equal(population.users[7].home, HF_USER_NOWHERE);
    assert_int_equal(population.users[7].pinned, HF_USER_NOWHERE);
}

static void another_seed_is_another_population(void **state)
{
    (void)state;
    const struct hf_scenario_nat nobody = {.share_percent = 0, .addresses = 1};
    struct hf_scenario second = scenario;
    struct hf_population others;
    unsigned same = 0;
    second.seed = 2;
    assert_int_equal(hf_population_init(&others, &second, &nobody), 0);
    for (uint32_t user = 0; user < 1000; user++) {
        char one[HF_USER_KEY_SIZE], two[HF_USER_KEY_SIZE];
        hf_population_key(&population, user, one);
        hf_population_key(&others, user, two);
        same += memcmp(one, two, sizeof(one)) == 0;
    }
    assert_int_equal(same, 0);
    hf_population_fini(&others);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_third_shares_the_addresses_evenly),
        cmocka_unit_test(cookies_are_kept_by_the_share_described),
        cmocka_unit_test(a_user_is_the_same_each_time_and_no_other),
        cmocka_unit_test(another_seed_is_another_population),
    };
    return cmocka_run_group_tests(tests, make, drop);
}
