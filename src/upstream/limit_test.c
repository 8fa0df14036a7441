/* Limits and queues: first come first served, nothing lost, never one too many, on many loops. */
#include "upstream/limit.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/assert.h"
#include "base/rng.h"
#include "upstream/testing.h"

enum { WAITERS = 8 };

static struct hf_server *server;
static struct hf_loop *loop;
static struct hf_limit_waker waker;
static struct hf_limit_waiter waiters[WAITERS];
static unsigned woken[WAITERS], woken_count, granted_count;

static void on_woken(struct hf_limit_waiter *waiter, bool granted)
{
    assert_true(woken_count < WAITERS);
    woken[woken_count++] = (unsigned)(waiter - waiters);
    granted_count += granted;
}

static void set_limits(uint32_t active_max, uint32_t pending_max)
{
    server->limit.active_max = active_max;
    server->limit.pending_max = pending_max;
}

static int setup(void **unused)
{
    server = hf_server_acquire("limit", "app", 1);
    assert_int_equal(hf_loop_new(&loop), 0);
    assert_int_equal(hf_limit_waker_open(&waker, loop, on_woken), 0);
    memset(waiters, 0, sizeof(waiters));
    woken_count = granted_count = 0;
    return 0;
}

static int teardown(void **unused)
{
    assert_int_equal(server->limit.pending, 0);
    assert_int_equal(server->active, 0);
    hf_limit_waker_close(&waker, loop);
    hf_loop_free(&loop);
    hf_server_unref(&server);
    return 0;
}

static enum hf_limit_entry wait_in_queue(unsigned index)
{
    return hf_limit_wait(server, &waker, &waiters[index]);
}

static void leave(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        hf_limit_leave(server);
}

static void test_without_a_limit(void **unused)
{
    set_limits(0, 0);
    for (unsigned i = 0; i < 1000; i++)
        assert_true(hf_limit_try(server));
    assert_int_equal(server->active, 1000);
    leave(1000);
}

static void test_the_limit_and_the_queue(void **unused)
{
    set_limits(2, 3);
    assert_true(hf_limit_try(server) && hf_limit_try(server));
    assert_false(hf_limit_try(server));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(wait_in_queue(i), HF_LIMIT_WAITING);
    assert_int_equal(wait_in_queue(3), HF_LIMIT_FULL);
    assert_int_equal(server->limit.pending, 3);
    hf_limit_leave(server);
    /* The slot is the oldest one's already: a newcomer stands behind. */
    assert_int_equal(server->active, 2);
    assert_false(hf_limit_try(server));
    hf_limit_leave(server);
    hf_testing_turn(loop);
    assert_int_equal(woken_count, 2);
    assert_true(woken[0] == 0 && woken[1] == 1 && granted_count == 2);
    assert_int_equal(server->limit.pending, 1);
    leave(2); /* one goes to the third */
    hf_testing_turn(loop);
    assert_true(woken_count == 3 && woken[2] == 2);
    leave(1);
}

static void test_no_queue(void **unused)
{
    set_limits(1, 0);
    assert_true(hf_limit_try(server));
    assert_int_equal(wait_in_queue(0), HF_LIMIT_FULL);
    leave(1);
}

/* A slot that became free between the try and the wait is taken, not waited for. */
static void test_enters_at_once(void **unused)
{
    set_limits(1, 1);
    assert_int_equal(wait_in_queue(0), HF_LIMIT_ENTERED);
    assert_int_equal(server->active, 1);
    leave(1);
    hf_testing_turn(loop);
    assert_int_equal(woken_count, 0);
}

static void test_cancel(void **unused)
{
    set_limits(1, 3);
    hf_limit_cancel(&waiters[0]); /* idle: harmless */
    assert_true(hf_limit_try(server));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(wait_in_queue(i), HF_LIMIT_WAITING);
    hf_limit_cancel(&waiters[0]);
    assert_int_equal(server->limit.pending, 2);
    hf_limit_leave(server); /* the second gets it, and leaves before it hears of it */
    hf_limit_cancel(&waiters[1]);
    hf_testing_turn(loop);
    assert_true(woken_count == 1 && woken[0] == 2 && granted_count == 1);
    leave(1);
}

static void test_flush(void **unused)
{
    set_limits(1, 3);
    assert_true(hf_limit_try(server));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(wait_in_queue(i), HF_LIMIT_WAITING);
    hf_limit_flush(server);
    assert_int_equal(server->limit.pending, 0);
    hf_limit_cancel(&waiters[1]);
    hf_testing_turn(loop);
    assert_true(woken_count == 2 && woken[0] == 0 && woken[1] == 2 && granted_count == 0);
    leave(1);
}

static void test_a_raised_limit_lets_in(void **unused)
{
    struct hf_pool_server one = {.server = server};
    struct hf_pool pool = {.servers = &one, .server_count = 1};
    struct hf_config config = {.pools = &pool, .pool_count = 1};
    set_limits(1, 3);
    assert_true(hf_limit_try(server));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(wait_in_queue(i), HF_LIMIT_WAITING);
    pool.breaker = (struct hf_breaker){.connections = 2, .pending = 3};
    hf_limit_apply(&config);
    assert_int_equal(server->active, 2);
    pool.breaker.connections = 0;
    hf_limit_apply(&config);
    assert_int_equal(server->active, 4);
    hf_testing_turn(loop);
    assert_int_equal(granted_count, 3);
    leave(4);
    /* A lowered one throws nobody out. */
    set_limits(0, 0);
    assert_true(hf_limit_try(server) && hf_limit_try(server));
    set_limits(1, 0);
    assert_false(hf_limit_try(server));
    leave(1);
    assert_false(hf_limit_try(server));
    leave(1);
    assert_true(hf_limit_try(server));
    leave(1);
}

/* --- several loops: every request of every loop is served, the count never exceeds the limit ---
 */

enum { LOOPS = 4, PER_LOOP = 16, VISITS = 3000, SLOTS = 3 };

struct visitor {
    struct hf_limit_waiter waiter;
    struct guest_loop *home;
    bool inside, waiting;
};

struct guest_loop {
    struct hf_limit_waker waker;
    struct hf_loop *loop;
    struct hf_timer tick;
    struct hf_rng rng;
    struct visitor visitors[PER_LOOP];
    unsigned served, cancelled, sent_away, full;
    pthread_t thread;
};

static atomic_int inside, most_inside;

static void go_in(struct visitor *visitor)
{
    int now = atomic_fetch_add(&inside, 1) + 1, most = atomic_load(&most_inside);
    while (now > most && !atomic_compare_exchange_weak(&most_inside, &most, now))
        ;
    visitor->inside = true;
    visitor->home->served++;
}

static void go_out(struct visitor *visitor)
{
    atomic_fetch_sub(&inside, 1);
    visitor->inside = false;
    hf_limit_leave(server);
}

static void visitor_woken(struct hf_limit_waiter *waiter, bool granted)
{
    struct visitor *visitor = hf_container_of(waiter, struct visitor, waiter);
    REQUIRE(visitor->waiting);
    visitor->waiting = false;
    if (granted)
        go_in(visitor);
    else
        visitor->home->sent_away++;
}

static void act(struct guest_loop *guest, struct visitor *visitor)
{
    if (visitor->inside) {
        go_out(visitor);
    } else if (visitor->waiting) {
        if (hf_rng_below(&guest->rng, 8) == 0) {
            hf_limit_cancel(&visitor->waiter);
            visitor->waiting = false;
            guest->cancelled++;
        }
    } else if (hf_limit_try(server)) {
        go_in(visitor);
    } else {
        enum hf_limit_entry entry = hf_limit_wait(server, &guest->waker, &visitor->waiter);
        if (entry == HF_LIMIT_ENTERED)
            go_in(visitor);
        visitor->waiting = entry == HF_LIMIT_WAITING;
        guest->full += entry == HF_LIMIT_FULL;
    }
}

static void end_all(struct guest_loop *guest)
{
    for (unsigned i = 0; i < PER_LOOP; i++) {
        hf_limit_cancel(&guest->visitors[i].waiter);
        if (guest->visitors[i].inside)
            go_out(&guest->visitors[i]);
    }
    hf_loop_stop(guest->loop);
}

static void tick(struct hf_timer *timer)
{
    struct guest_loop *guest = hf_container_of(timer, struct guest_loop, tick);
    for (unsigned i = 0; i < 2 * PER_LOOP; i++)
        act(guest, &guest->visitors[hf_rng_below(&guest->rng, PER_LOOP)]);
    if (hf_rng_below(&guest->rng, 50) == 0)
        hf_limit_flush(server);
    if (guest->served >= VISITS)
        end_all(guest);
    else
        hf_timer_set(hf_loop_timers(guest->loop), timer, hf_loop_now_ms(guest->loop) + 1);
}

static void *guest_main(void *argument)
{
    struct guest_loop *guest = argument;
    hf_timer_set(hf_loop_timers(guest->loop), &guest->tick, hf_loop_now_ms(guest->loop) + 1);
    hf_loop_run(guest->loop);
    return NULL;
}

static void open_guest(struct guest_loop *guest, unsigned seed)
{
    memset(guest, 0, sizeof(*guest));
    assert_int_equal(hf_loop_new(&guest->loop), 0);
    assert_int_equal(hf_limit_waker_open(&guest->waker, guest->loop, visitor_woken), 0);
    hf_rng_seed(&guest->rng, seed);
    guest->tick.expired = tick;
    for (unsigned i = 0; i < PER_LOOP; i++)
        guest->visitors[i].home = guest;
}

static void test_many_loops(void **unused)
{
    static struct guest_loop guests[LOOPS];
    set_limits(SLOTS, LOOPS * PER_LOOP / 2);
    inside = most_inside = 0;
    for (unsigned i = 0; i < LOOPS; i++) {
        open_guest(&guests[i], i);
        assert_int_equal(pthread_create(&guests[i].thread, NULL, guest_main, &guests[i]), 0);
    }
    unsigned cancelled = 0, sent_away = 0, full = 0;
    for (unsigned i = 0; i < LOOPS; i++) {
        pthread_join(guests[i].thread, NULL);
        cancelled += guests[i].cancelled;
        sent_away += guests[i].sent_away;
        full += guests[i].full;
        hf_limit_waker_close(&guests[i].waker, guests[i].loop);
        hf_loop_free(&guests[i].loop);
    }
    assert_int_equal(most_inside, SLOTS);
    assert_true(cancelled > 0 && sent_away > 0 && full > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_without_a_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_limit_and_the_queue, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_queue, setup, teardown),
        cmocka_unit_test_setup_teardown(test_enters_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flush, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_raised_limit_lets_in, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_loops, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
