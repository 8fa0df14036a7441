#include "base/rng.h"
#include "base/test.h"
#include "base/timer.h"
#include <stdlib.h>

enum { MODEL_TIMERS = 300, MODEL_STEPS = 20000 };

struct watched { /* a timer, and what the naive model knows about it */
    struct hf_timer timer;
    uint64_t deadline_ms;
    bool armed;
    unsigned fired_count;
};

static struct hf_timer_wheel wheel;
static struct watched watched[MODEL_TIMERS];
static struct hf_rng rng;
static uint64_t advance_to_ms; /* the model's now while the wheel advances */
static unsigned armed_in_model;

static void model_set(struct watched *one, uint64_t deadline_ms)
{
    armed_in_model += !one->armed;
    one->armed = true;
    one->deadline_ms = deadline_ms;
    hf_timer_set(&wheel, &one->timer, deadline_ms);
}

static void model_cancel(struct watched *one)
{
    armed_in_model -= one->armed;
    one->armed = false;
    hf_timer_cancel(&wheel, &one->timer);
}

static uint64_t random_distance(void)
{
    unsigned bits = hf_rng_below(&rng, 27);
    return hf_rng_below(&rng, (1u << bits) + 1);
}

static void model_touch_random(uint64_t now_ms)
{
    struct watched *one = &watched[hf_rng_below(&rng, MODEL_TIMERS)];
    uint64_t distance_ms = random_distance();
    if (hf_rng_below(&rng, 4) == 0)
        model_cancel(one);
    else if (hf_rng_below(&rng, 16) == 0)
        model_set(one, distance_ms < now_ms ? now_ms - distance_ms : 0);
    else
        model_set(one, now_ms + distance_ms);
}

static void model_expired(struct hf_timer *timer)
{
    struct watched *one = hf_container_of(timer, struct watched, timer);
    assert_true(one->armed);
    assert_true(one->deadline_ms <= advance_to_ms);
    assert_false(hf_timer_armed(timer));
    one->armed = false;
    armed_in_model--;
    one->fired_count++;
    unsigned action = hf_rng_below(&rng, 4);
    if (action == 0)
        model_set(one, advance_to_ms + hf_rng_below(&rng, 3));
    else if (action == 1)
        model_touch_random(advance_to_ms);
}

static void require_nothing_overdue(uint64_t before_ms)
{
    for (int i = 0; i < MODEL_TIMERS; i++) {
        assert_int_equal(watched[i].armed, hf_timer_armed(&watched[i].timer));
        /* one that a callback set to the past during this very advance may wait for the next */
        if (watched[i].armed)
            assert_true(watched[i].deadline_ms > before_ms || watched[i].fired_count > 0 ||
                        !hf_list_empty(&wheel.due));
    }
    assert_int_equal(armed_in_model, wheel.armed_count);
}

static void model_advance(uint64_t to_ms)
{
    advance_to_ms = to_ms;
    hf_timer_wheel_advance(&wheel, to_ms);
    require_nothing_overdue(to_ms);
    /* a second advance to the same time takes what callbacks set to the past; then all is fired */
    for (int i = 0; i < 1000 && !hf_list_empty(&wheel.due); i++)
        hf_timer_wheel_advance(&wheel, to_ms);
    for (int i = 0; i < MODEL_TIMERS; i++)
        assert_true(!watched[i].armed || watched[i].deadline_ms > to_ms);
}

static void run_model(uint64_t seed)
{
    hf_rng_seed(&rng, seed);
    uint64_t now_ms = seed % 2 == 0 ? 0 : hf_rng_u64(&rng) >> 20;
    hf_timer_wheel_init(&wheel, now_ms);
    armed_in_model = 0;
    for (int i = 0; i < MODEL_TIMERS; i++)
        watched[i] = (struct watched){.timer.expired = model_expired};
    for (int step = 0; step < MODEL_STEPS; step++) {
        if (hf_rng_below(&rng, 3) != 0) {
            model_touch_random(now_ms);
            continue;
        }
        int wait_ms = hf_timer_wheel_wait_ms(&wheel, 1 << 20);
        assert_int_equal(wait_ms == -1, armed_in_model == 0);
        for (int i = 0; wait_ms > 0 && i < MODEL_TIMERS; i++)
            assert_true(!watched[i].armed || wait_ms == 1 << 20 ||
                        watched[i].deadline_ms >= now_ms + (uint64_t)wait_ms);
        now_ms += hf_rng_below(&rng, 3) == 0 ? random_distance() : hf_rng_below(&rng, 70);
        model_advance(now_ms);
    }
}

static void agrees_with_a_naive_model(void **state)
{
    for (uint64_t seed = 1; seed <= 8; seed++)
        run_model(seed);
}

static unsigned fired;
static uint64_t fired_at_ms;

static void count_fired(struct hf_timer *timer)
{
    fired++;
    fired_at_ms = wheel.now_ms;
}

static void fires_at_its_millisecond_never_before(void **state)
{
    static const uint64_t distances[] = {1,    2,    63,      64,       65,       4095,    4096,
                                         4097, 5000, 1 << 18, 16777215, 16777216, 50000000};
    for (size_t i = 0; i < sizeof(distances) / sizeof(distances[0]); i++) {
        struct hf_timer timer = {.expired = count_fired};
        uint64_t start_ms = 1000 + 61 * i;
        uint64_t now_ms = start_ms;
        hf_timer_wheel_init(&wheel, start_ms);
        hf_timer_set(&wheel, &timer, start_ms + distances[i]);
        fired = 0;
        while (fired == 0) { /* as the loop does: sleeps as long as the wheel allows */
            int wait_ms = hf_timer_wheel_wait_ms(&wheel, 1000000000);
            assert_true(wait_ms > 0);
            now_ms += (uint64_t)wait_ms;
            assert_true(now_ms <= start_ms + distances[i]);
            hf_timer_wheel_advance(&wheel, now_ms);
        }
        assert_int_equal(now_ms, start_ms + distances[i]);
        assert_int_equal(hf_timer_wheel_wait_ms(&wheel, 1000), -1);
    }
}

static void every_step_of_time_finds_it(void **state)
{
    struct hf_timer timer = {.expired = count_fired};
    hf_timer_wheel_init(&wheel, 37);
    hf_timer_set(&wheel, &timer, 37 + 9000);
    fired = 0;
    for (uint64_t now_ms = 38; now_ms <= 37 + 9000; now_ms++) {
        assert_int_equal(fired, 0);
        hf_timer_wheel_advance(&wheel, now_ms);
    }
    assert_int_equal(fired, 1);
    assert_int_equal(fired_at_ms, 9037);
}

static void moving_later_leaves_the_node_where_it_is(void **state)
{
    struct hf_timer timer = {.expired = count_fired};
    hf_timer_wheel_init(&wheel, 100);
    hf_timer_set(&wheel, &timer, 150);
    struct hf_list *stood_after = timer.node.previous;
    hf_timer_set(&wheel, &timer, 90000);
    assert_ptr_equal(timer.node.previous, stood_after);
    assert_int_equal(timer.slot_ms, 150);
    fired = 0;
    hf_timer_wheel_advance(&wheel, 89999);
    assert_int_equal(fired, 0);
    hf_timer_wheel_advance(&wheel, 90000);
    assert_int_equal(fired, 1);
}

static void moving_earlier_is_honoured(void **state)
{
    struct hf_timer timer = {.expired = count_fired};
    hf_timer_wheel_init(&wheel, 100);
    hf_timer_set(&wheel, &timer, 90000);
    hf_timer_set(&wheel, &timer, 101);
    fired = 0;
    hf_timer_wheel_advance(&wheel, 101);
    assert_int_equal(fired, 1);
    assert_int_equal(wheel.armed_count, 0);
}

static void a_passed_deadline_fires_at_the_next_advance_even_at_the_same_time(void **state)
{
    struct hf_timer timer = {.expired = count_fired};
    hf_timer_wheel_init(&wheel, 0);
    hf_timer_set(&wheel, &timer, 0);
    assert_true(hf_timer_armed(&timer));
    assert_int_equal(hf_timer_wheel_wait_ms(&wheel, 10), 0);
    fired = 0;
    hf_timer_wheel_advance(&wheel, 0);
    assert_int_equal(fired, 1);
}

static void time_that_goes_back_fires_nothing_early(void **state)
{
    struct hf_timer timer = {.expired = count_fired};
    hf_timer_wheel_init(&wheel, 1000);
    hf_timer_set(&wheel, &timer, 1001);
    fired = 0;
    hf_timer_wheel_advance(&wheel, 500);
    assert_int_equal(wheel.now_ms, 1000);
    assert_int_equal(fired, 0);
    hf_timer_wheel_advance(&wheel, 1001);
    assert_int_equal(fired, 1);
}

static void cancelling_twice_or_unarmed_is_harmless(void **state)
{
    struct hf_timer timer = {.expired = count_fired};
    hf_timer_wheel_init(&wheel, 1);
    hf_timer_cancel(&wheel, &timer);
    hf_timer_set(&wheel, &timer, 5);
    hf_timer_cancel(&wheel, &timer);
    hf_timer_cancel(&wheel, &timer);
    assert_int_equal(wheel.armed_count, 0);
    assert_int_equal(wheel.occupied[0], 0);
    fired = 0;
    hf_timer_wheel_advance(&wheel, 100);
    assert_int_equal(fired, 0);
}

static void free_own(struct hf_timer *timer)
{
    fired++;
    free(hf_container_of(timer, struct watched, timer));
}

static void a_callback_may_free_its_own_object(void **state)
{
    hf_timer_wheel_init(&wheel, 10);
    for (int i = 0; i < 5; i++) {
        struct watched *one = calloc(1, sizeof(*one));
        assert_non_null(one);
        one->timer.expired = free_own;
        hf_timer_set(&wheel, &one->timer, 20);
    }
    fired = 0;
    hf_timer_wheel_advance(&wheel, 20);
    assert_int_equal(fired, 5);
    assert_int_equal(wheel.armed_count, 0);
}

static struct hf_timer victim, later;

static void cancel_victim(struct hf_timer *timer)
{
    hf_timer_cancel(&wheel, &victim);
    hf_timer_set(&wheel, &later, wheel.now_ms + 10);
}

static void a_callback_may_cancel_or_move_what_is_about_to_fire(void **state)
{
    struct hf_timer first = {.expired = cancel_victim};
    victim = (struct hf_timer){.expired = count_fired};
    later = (struct hf_timer){.expired = count_fired};
    hf_timer_wheel_init(&wheel, 10);
    hf_timer_set(&wheel, &first, 20);
    hf_timer_set(&wheel, &victim, 20);
    hf_timer_set(&wheel, &later, 20);
    fired = 0;
    hf_timer_wheel_advance(&wheel, 20);
    assert_int_equal(fired, 0);
    assert_true(hf_timer_armed(&later));
    hf_timer_wheel_advance(&wheel, 30);
    assert_int_equal(fired, 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_naive_model),
        cmocka_unit_test(fires_at_its_millisecond_never_before),
        cmocka_unit_test(every_step_of_time_finds_it),
        cmocka_unit_test(moving_later_leaves_the_node_where_it_is),
        cmocka_unit_test(moving_earlier_is_honoured),
        cmocka_unit_test(a_passed_deadline_fires_at_the_next_advance_even_at_the_same_time),
        cmocka_unit_test(time_that_goes_back_fires_nothing_early),
        cmocka_unit_test(cancelling_twice_or_unarmed_is_harmless),
        cmocka_unit_test(a_callback_may_free_its_own_object),
        cmocka_unit_test(a_callback_may_cancel_or_move_what_is_about_to_fire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
