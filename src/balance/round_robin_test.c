/* Smooth weighted round robin: exact sequences and exact shares. */
#include "balance/balance.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

enum { SERVERS_MAX = 16 };

static void fill(struct hf_candidate *candidates, const uint32_t *weights, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        candidates[i] = (struct hf_candidate){.id = i + 1, .weight = weights[i], .usable = true};
}

static void turns(struct hf_balance_state *state, const struct hf_candidate *candidates,
                  unsigned count, const char *expected)
{
    for (; *expected != '\0'; expected++)
        assert_int_equal(hf_balance_round_robin(state, candidates, count), *expected - 'a');
}

static void test_equal_weights_take_turns(void **unused)
{
    struct hf_balance_state state;
    struct hf_candidate candidates[3];
    assert_int_equal(hf_balance_state_init(&state, 3), 0);
    fill(candidates, (uint32_t[]){1, 1, 1}, 3);
    turns(&state, candidates, 3, "abcabcabc");
    hf_balance_state_fini(&state);
    assert_null(state.current);
}

static void test_weights_are_smooth(void **unused)
{
    struct hf_balance_state state;
    struct hf_candidate candidates[3];
    assert_int_equal(hf_balance_state_init(&state, 3), 0);
    fill(candidates, (uint32_t[]){5, 1, 1}, 3);
    turns(&state, candidates, 3, "aabacaaaabacaa");
    hf_balance_state_fini(&state);
    assert_int_equal(hf_balance_state_init(&state, 3), 0);
    fill(candidates, (uint32_t[]){4, 2, 0}, 3);
    turns(&state, candidates, 3, "abaabaaba");
    hf_balance_state_fini(&state);
}

static void test_unusable_is_left_out_and_returns(void **unused)
{
    struct hf_balance_state state;
    struct hf_candidate candidates[3];
    assert_int_equal(hf_balance_state_init(&state, 3), 0);
    fill(candidates, (uint32_t[]){1, 1, 1}, 3);
    turns(&state, candidates, 3, "abc");
    candidates[1].usable = false;
    turns(&state, candidates, 3, "acac");
    candidates[1].usable = true;
    turns(&state, candidates, 3, "abcabc");
    hf_balance_state_fini(&state);
}

static void test_none_usable(void **unused)
{
    struct hf_balance_state state;
    struct hf_candidate candidates[2];
    assert_int_equal(hf_balance_state_init(&state, 2), 0);
    fill(candidates, (uint32_t[]){1, 0}, 2);
    candidates[0].usable = false;
    assert_int_equal(hf_balance_round_robin(&state, candidates, 2), -1);
    assert_int_equal(hf_balance_round_robin(&state, candidates, 0), -1);
    candidates[0].usable = true;
    turns(&state, candidates, 2, "aaa");
    hf_balance_state_fini(&state);
}

/* Whatever the weights: a cycle of as many turns as they sum to serves each exactly its weight, at
 * any phase, and nobody waits longer than two of its fair intervals. */
static void test_shares_are_exact(void **unused)
{
    struct hf_rng rng;
    hf_rng_seed(&rng, 11);
    for (int round = 0; round < 200; round++) {
        unsigned count = 1 + hf_rng_below(&rng, SERVERS_MAX);
        uint32_t weights[SERVERS_MAX], total = 0;
        for (unsigned i = 0; i < count; i++)
            total += weights[i] = 1 + hf_rng_below(&rng, 20);
        struct hf_candidate candidates[SERVERS_MAX];
        fill(candidates, weights, count);
        struct hf_balance_state state;
        assert_int_equal(hf_balance_state_init(&state, count), 0);
        unsigned served[SERVERS_MAX] = {0}, last[SERVERS_MAX] = {0};
        for (unsigned turn = 1; turn <= 3 * total; turn++) {
            int chosen = hf_balance_round_robin(&state, candidates, count);
            assert_in_range(chosen, 0, count - 1);
            served[chosen]++;
            assert_true(turn - last[chosen] <=
                        2 * ((total + weights[chosen] - 1) / weights[chosen]));
            last[chosen] = turn;
            for (unsigned i = 0; turn % total == 0 && i < count; i++)
                assert_int_equal(served[i], turn / total * weights[i]);
        }
        hf_balance_state_fini(&state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_weights_take_turns),
        cmocka_unit_test(test_weights_are_smooth),
        cmocka_unit_test(test_unusable_is_left_out_and_returns),
        cmocka_unit_test(test_none_usable),
        cmocka_unit_test(test_shares_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
