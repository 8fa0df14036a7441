#include "base/clock.h"
#include "base/test.h"
#include "net/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { DEADLINE_MS = 10000 };

struct peer { /* one end of a socket pair in the loop, the other in the test's hand */
    struct hf_event event;
    int other_fd;
    unsigned ready_count, closed_count;
    unsigned ready_bits; /* all seen so far */
    unsigned calls_left; /* hf_event_again is asked for this often */
    struct peer *victim; /* closed by this one's ready */
};

static struct hf_loop *loop;
static struct hf_timer give_up;
static bool late;
static unsigned order[16], order_count;

static void gave_up(struct hf_timer *timer)
{
    late = true;
    hf_loop_stop(loop);
}

static int set_up(void **state)
{
    late = false;
    order_count = 0;
    assert_int_equal(hf_loop_new(&loop), 0);
    give_up = (struct hf_timer){.expired = gave_up};
    hf_timer_set(hf_loop_timers(loop), &give_up, hf_loop_now_ms(loop) + DEADLINE_MS);
    return 0;
}

static int tear_down(void **state)
{
    hf_loop_free(&loop);
    assert_null(loop);
    return 0;
}

static void run(void)
{
    hf_loop_run(loop);
    assert_false(late);
}

static void stop(void *argument)
{
    hf_loop_stop(loop);
}

/* Runs until what is ready now was served: the message comes after the events of a turn. */
static void run_one_turn(void)
{
    assert_int_equal(hf_loop_post(loop, stop, NULL), 0);
    run();
}

static void peer_ready(struct hf_event *event, unsigned ready)
{
    struct peer *peer = hf_container_of(event, struct peer, event);
    peer->ready_count++;
    peer->ready_bits |= ready;
    if (peer->victim != NULL)
        hf_event_close(loop, &peer->victim->event);
    if (peer->calls_left > 0) {
        peer->calls_left--;
        hf_event_again(loop, event, HF_READABLE);
    }
}

static void peer_closed(struct hf_event *event)
{
    hf_container_of(event, struct peer, event)->closed_count++;
}

static void open_peer(struct peer *peer)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    *peer =
        (struct peer){.event = {.ready = peer_ready, .closed = peer_closed}, .other_fd = fds[1]};
    assert_int_equal(hf_event_open(loop, &peer->event, fds[0]), 0);
}

static void close_peer(struct peer *peer)
{
    hf_event_close(loop, &peer->event);
    close(peer->other_fd);
}

static void edges_come_once_each(void **state)
{
    struct peer peer;
    open_peer(&peer);
    run_one_turn();
    assert_int_equal(peer.ready_count, 1);
    assert_int_equal(peer.ready_bits, HF_WRITABLE);
    run_one_turn();
    assert_int_equal(peer.ready_count, 1); /* nothing new */
    assert_int_equal(write(peer.other_fd, "x", 1), 1);
    run_one_turn();
    assert_int_equal(peer.ready_count, 2);
    assert_int_equal(peer.ready_bits, HF_WRITABLE | HF_READABLE);
    assert_int_equal(shutdown(peer.other_fd, SHUT_WR), 0);
    run_one_turn();
    assert_int_equal(peer.ready_bits, HF_WRITABLE | HF_READABLE | HF_PEER_CLOSED);
    close_peer(&peer);
    assert_int_equal(peer.closed_count, 0); /* not before the end of a turn */
    run_one_turn();
    assert_int_equal(peer.closed_count, 1);
}

static void an_event_closed_in_a_batch_is_not_called_again(void **state)
{
    struct peer a, b;
    open_peer(&a);
    open_peer(&b);
    a.victim = &b;
    b.victim = &a;
    run_one_turn(); /* both are ready in one batch; the first closes the second */
    assert_int_equal(a.ready_count + b.ready_count, 1);
    assert_int_equal(a.closed_count + b.closed_count, 1);
    assert_true((a.event.fd < 0) == (a.ready_count == 0));
    close_peer(&a);
    close_peer(&b);
    close_peer(&b); /* harmless on the event; the descriptor is already closed */
    run_one_turn();
    assert_int_equal(a.closed_count, 1);
    assert_int_equal(b.closed_count, 1);
}

static void free_peer(struct hf_event *event)
{
    free(hf_container_of(event, struct peer, event));
    order[order_count++] = 1;
}

static void memory_may_go_in_closed(void **state)
{
    struct peer *peer = malloc(sizeof(*peer));
    assert_non_null(peer);
    open_peer(peer);
    peer->event.closed = free_peer;
    peer->victim = peer; /* closes itself in its own callback */
    int other_fd = peer->other_fd;
    run_one_turn();
    assert_int_equal(order_count, 1);
    close(other_fd);
}

static void a_loop_freed_early_still_calls_closed(void **state)
{
    struct hf_loop *short_lived;
    struct peer peer;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    peer = (struct peer){.event = {.ready = peer_ready, .closed = peer_closed}};
    assert_int_equal(hf_loop_new(&short_lived), 0);
    assert_int_equal(hf_event_open(short_lived, &peer.event, fds[0]), 0);
    hf_event_close(short_lived, &peer.event);
    assert_int_equal(hf_loop_post(short_lived, stop, NULL), 0); /* dropped, not leaked */
    hf_loop_free(&short_lived);
    hf_loop_free(&short_lived);
    assert_int_equal(peer.closed_count, 1);
    close(fds[1]);
}

static void what_cannot_be_watched_is_an_error(void **state)
{
    struct peer peer = {.event = {.fd = -1, .ready = peer_ready}};
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(hf_event_open(loop, &peer.event, fd), -EPERM);
    assert_int_equal(peer.event.fd, -1);
    close(fd);
    assert_int_equal(hf_event_open(loop, &peer.event, fd), -EBADF);
}

static void again_runs_in_this_turn_then_in_the_next(void **state)
{
    struct peer peer;
    open_peer(&peer);
    peer.calls_left = 1;
    run_one_turn();
    assert_int_equal(peer.ready_count, 2);
    peer.calls_left = 3;
    hf_event_again(loop, &peer.event, HF_READABLE);
    hf_event_again(loop, &peer.event, HF_WRITABLE); /* joined into one call */
    run_one_turn();
    assert_int_equal(peer.ready_count, 3);
    run_one_turn();
    run_one_turn();
    run_one_turn();
    assert_int_equal(peer.ready_count, 6);
    hf_event_again(loop, &peer.event, HF_READABLE);
    close_peer(&peer); /* cancels it */
    run_one_turn();
    assert_int_equal(peer.ready_count, 6);
    assert_int_equal(peer.closed_count, 1);
}

static void a_paused_level_event_is_silent_and_comes_back(void **state)
{
    int fds[2];
    struct peer peer = {.event = {.ready = peer_ready, .closed = peer_closed}};
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(hf_event_open_level(loop, &peer.event, fds[0]), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    run_one_turn();
    run_one_turn();
    assert_int_equal(peer.ready_count, 2); /* level: as long as the byte waits */
    hf_event_pause(loop, &peer.event, true);
    run_one_turn();
    assert_int_equal(peer.ready_count, 2);
    hf_event_pause(loop, &peer.event, false);
    run_one_turn();
    assert_int_equal(peer.ready_count, 3);
    hf_event_close(loop, &peer.event);
    close(fds[1]);
    run_one_turn();
    assert_int_equal(peer.closed_count, 1);
}

static void a_closed_level_event_stays_silent_though_a_copy_of_it_is_open(void **state)
{
    int fds[2];
    struct peer peer = {.event = {.ready = peer_ready}};
    assert_int_equal(pipe(fds), 0);
    int copy = dup(fds[0]);
    assert_int_equal(hf_event_open_level(loop, &peer.event, fds[0]), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    hf_event_close(loop, &peer.event);
    run_one_turn();
    memset(&peer, 0xff, sizeof(peer)); /* a stale pointer would be followed to nowhere */
    run_one_turn();
    close(copy);
    close(fds[1]);
}

static void timer_stops(struct hf_timer *timer)
{
    hf_loop_stop(loop);
}

static void timers_wake_the_loop_in_time(void **state)
{
    struct hf_timer timer = {.expired = timer_stops};
    uint64_t start_ns = hf_clock_monotonic_ns();
    hf_timer_set(hf_loop_timers(loop), &timer, hf_loop_now_ms(loop) + 20);
    uint64_t asked_ms = hf_loop_now_ms(loop) + 20;
    run();
    assert_true(hf_loop_now_ms(loop) >= asked_ms);
    assert_true(hf_clock_monotonic_ns() - start_ns < (uint64_t)DEADLINE_MS * 1000000);
    assert_int_equal(hf_loop_now_us(loop) / 1000, hf_loop_now_ms(loop));
    assert_in_range(hf_loop_wall_s(loop), hf_clock_wall_s() - 5, hf_clock_wall_s());
    assert_int_equal(hf_loop_wall_ms(loop) / HF_MS_PER_S, hf_loop_wall_s(loop));
}

enum { POSTERS = 4, POSTS_EACH = 5000 };

struct poster {
    pthread_t thread;
    unsigned next_expected;
    bool in_order;
    struct note {
        struct poster *poster;
        unsigned number;
    } notes[POSTS_EACH];
};

static struct poster posters[POSTERS];
static unsigned notes_received;

static void note_received(void *argument)
{
    struct note *note = argument;
    note->poster->in_order &= note->number == note->poster->next_expected++;
    if (++notes_received == POSTERS * POSTS_EACH)
        hf_loop_stop(loop);
}

static void *post_notes(void *argument)
{
    struct poster *poster = argument;
    for (unsigned i = 0; i < POSTS_EACH; i++) {
        poster->notes[i] = (struct note){poster, i};
        if (hf_loop_post(loop, note_received, &poster->notes[i]) != 0)
            return argument;
    }
    return NULL;
}

static void messages_of_many_threads_arrive_in_their_order(void **state)
{
    notes_received = 0;
    for (int i = 0; i < POSTERS; i++) {
        posters[i].next_expected = 0;
        posters[i].in_order = true;
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_notes, &posters[i]), 0);
    }
    run();
    for (int i = 0; i < POSTERS; i++) {
        void *failed;
        assert_int_equal(pthread_join(posters[i].thread, &failed), 0);
        assert_null(failed);
        assert_true(posters[i].in_order);
    }
}

static void post_more(void *argument)
{
    order[order_count++] = 1;
    assert_int_equal(hf_loop_post(loop, stop, NULL), 0);
}

static void a_message_may_post_a_message(void **state)
{
    assert_int_equal(hf_loop_post(loop, post_more, NULL), 0);
    run();
    assert_int_equal(order_count, 1);
}

static void stop_from_signal(int number)
{
    hf_loop_stop(loop);
}

static void a_signal_handler_may_stop_it(void **state)
{
    struct sigaction action = {.sa_handler = stop_from_signal};
    struct itimerval soon = {.it_value = {.tv_usec = 10000}};
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    run();
}

static void a_stop_before_the_run_is_not_lost(void **state)
{
    struct peer peer;
    open_peer(&peer);
    hf_loop_stop(loop);
    run();
    assert_int_equal(peer.ready_count, 0);
    close_peer(&peer);
    run_one_turn();
}

static void note_turn_end(void *argument)
{
    order[order_count++] = 3;
    hf_event_close(loop, argument);
}

static void note_closed(struct hf_event *event)
{
    order[order_count++] = 2;
}

static void note_ready(struct hf_event *event, unsigned ready)
{
    order[order_count++] = 1;
}

static void the_turn_end_comes_last_and_may_close(void **state)
{
    struct peer first, second;
    open_peer(&first);
    open_peer(&second);
    first.event.closed = second.event.closed = note_closed;
    first.event.ready = second.event.ready = note_ready;
    hf_event_close(loop, &first.event);
    hf_loop_set_turn_end(loop, note_turn_end, &second.event);
    run_one_turn();
    static const unsigned expected[] = {1, 2, 3, 2};
    assert_int_equal(order_count, 4);
    assert_memory_equal(order, expected, sizeof(expected));
    hf_loop_set_turn_end(loop, NULL, NULL);
    close_peer(&first);
    close_peer(&second);
}

static void a_stop_of_the_process_is_noticed(void **state)
{
    struct hf_timer timer = {.expired = timer_stops};
    hf_timer_set(hf_loop_timers(loop), &timer, hf_loop_now_ms(loop) + 1);
    run();
    assert_int_equal(hf_loop_woke_ms(loop), 0);
    hf_timer_set(hf_loop_timers(loop), &timer, hf_loop_now_ms(loop) + 1);
    poll(NULL, 0, HF_LOOP_STOPPED_MS + 100); /* no turn while one is due */
    run();
    assert_int_equal(hf_loop_woke_ms(loop), hf_loop_now_ms(loop));
}

int main(void)
{
#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        LOOP_TEST(edges_come_once_each),
        LOOP_TEST(an_event_closed_in_a_batch_is_not_called_again),
        LOOP_TEST(memory_may_go_in_closed),
        LOOP_TEST(a_loop_freed_early_still_calls_closed),
        LOOP_TEST(what_cannot_be_watched_is_an_error),
        LOOP_TEST(again_runs_in_this_turn_then_in_the_next),
        LOOP_TEST(a_paused_level_event_is_silent_and_comes_back),
        LOOP_TEST(a_closed_level_event_stays_silent_though_a_copy_of_it_is_open),
        LOOP_TEST(timers_wake_the_loop_in_time),
        LOOP_TEST(messages_of_many_threads_arrive_in_their_order),
        LOOP_TEST(a_message_may_post_a_message),
        LOOP_TEST(a_signal_handler_may_stop_it),
        LOOP_TEST(a_stop_before_the_run_is_not_lost),
        LOOP_TEST(the_turn_end_comes_last_and_may_close),
        LOOP_TEST(a_stop_of_the_process_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
