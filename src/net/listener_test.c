#include "base/test.h"
#include "net/conn.h"
#include "net/listener.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { DEADLINE_MS = 10000, CLIENTS_MAX = 200 };

static struct hf_loop *loop;
static struct hf_listener listener;
static int clients[CLIENTS_MAX], accepted_fds[CLIENTS_MAX];
static int client_count, accepted_count, expected_count;
static int closes_at;
static bool pauses_each_time, late;
static unsigned closed_count;
static struct hf_timer give_up;

static void gave_up(struct hf_timer *timer)
{
    late = true;
    hf_loop_stop(loop);
}

static void closed(struct hf_event *event)
{
    closed_count++;
}

static void accepted(struct hf_listener *self, int fd, const struct hf_address *peer)
{
    assert_int_equal(self->user == &listener, true);
    assert_true(peer->size > 0);
    accepted_fds[accepted_count++] = fd;
    if (pauses_each_time)
        hf_listener_pause(self, true);
    if (accepted_count == closes_at)
        hf_listener_close(self, closed);
    if (accepted_count == expected_count)
        hf_loop_stop(loop);
}

static void open_at(const char *text)
{
    struct hf_address address;
    assert_int_equal(hf_address_parse(hf_slice_text(text), &address), 0);
    int fd = hf_listen(&address);
    assert_true(fd >= 0);
    assert_int_equal(hf_listener_open(&listener, loop, fd, accepted, &listener), 0);
}

static int set_up(void **state)
{
    client_count = accepted_count = 0;
    closes_at = expected_count = 0;
    pauses_each_time = late = false;
    closed_count = 0;
    give_up = (struct hf_timer){.expired = gave_up};
    assert_int_equal(hf_loop_new(&loop), 0);
    return 0;
}

static void finish_turn(void *argument)
{
    hf_loop_stop(loop);
}

static void run_one_turn(void)
{
    assert_int_equal(hf_loop_post(loop, finish_turn, NULL), 0);
    hf_loop_run(loop);
}

static int tear_down(void **state)
{
    hf_listener_close(&listener, closed);
    run_one_turn();
    hf_listener_close(&listener, closed);
    assert_int_equal(closed_count, 1);
    for (int i = 0; i < client_count; i++)
        close(clients[i]);
    for (int i = 0; i < accepted_count; i++)
        close(accepted_fds[i]);
    hf_loop_free(&loop);
    return 0;
}

/* Blocking connects: once each returned, its connection waits in the backlog. */
static void connect_clients(int count)
{
    for (int i = 0; i < count; i++) {
        int fd = socket(listener.address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        assert_int_equal(connect(fd, &listener.address.any, listener.address.size), 0);
        clients[client_count++] = fd;
    }
}

static void run_until_accepted(int count)
{
    expected_count = count;
    hf_timer_set(hf_loop_timers(loop), &give_up, hf_loop_now_ms(loop) + DEADLINE_MS);
    while (accepted_count < count && !late)
        hf_loop_run(loop);
    assert_false(late);
    assert_int_equal(accepted_count, count);
}

static void accepted_sockets_do_not_delay_or_block(void **state)
{
    open_at("127.0.0.1:0");
    connect_clients(1);
    run_until_accepted(1);
    int no_delay = 0;
    socklen_t size = sizeof(no_delay);
    assert_int_equal(getsockopt(accepted_fds[0], IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), 0);
    assert_true(no_delay);
    char byte;
    assert_int_equal(read(accepted_fds[0], &byte, 1), -1);
    assert_int_equal(errno, EAGAIN);
}

static void a_burst_is_cut_at_its_bound(void **state)
{
    open_at("127.0.0.1:0");
    connect_clients(HF_ACCEPT_BURST + 10);
    run_one_turn();
    assert_int_equal(accepted_count, HF_ACCEPT_BURST);
    run_one_turn();
    assert_int_equal(accepted_count, HF_ACCEPT_BURST + 10);
}

static void a_pause_holds_even_within_a_burst(void **state)
{
    open_at("127.0.0.1:0");
    pauses_each_time = true;
    connect_clients(3);
    run_one_turn();
    run_one_turn();
    assert_int_equal(accepted_count, 1);
    hf_listener_pause(&listener, false);
    hf_listener_pause(&listener, false);
    run_one_turn();
    assert_int_equal(accepted_count, 2);
}

static void close_accepts_the_backlog_first(void **state)
{
    open_at("127.0.0.1:0");
    connect_clients(5);
    hf_listener_pause(&listener, true);
    hf_listener_close(&listener, closed);
    assert_int_equal(accepted_count, 5);
    run_one_turn();
    assert_int_equal(closed_count, 1);
    for (int i = 0; i < 5; i++) { /* none was reset */
        char byte = 0;
        assert_int_equal(write(accepted_fds[i], "x", 1), 1);
        assert_int_equal(read(clients[i], &byte, 1), 1);
    }
}

static void accepted_may_close_the_listener(void **state)
{
    open_at("127.0.0.1:0");
    closes_at = 2;
    connect_clients(3);
    run_until_accepted(3); /* the third by the close */
    assert_int_equal(listener.event.fd, -1);
}

static void used_up_descriptors_pause_it_for_a_while(void **state)
{
    struct rlimit before, tight;
    open_at("127.0.0.1:0");
    connect_clients(2);
    int spare = dup(0);
    assert_true(spare >= 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = (struct rlimit){(rlim_t)spare, before.rlim_max};
    close(spare);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    uint64_t start_ms = hf_loop_now_ms(loop);
    run_one_turn();
    run_one_turn();
    run_one_turn();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(listener.exhausted_count, 1); /* not reported in every turn */
    assert_int_equal(accepted_count, 0);
    run_until_accepted(2);
    assert_true(hf_loop_now_ms(loop) >= start_ms + 100);
}

static void two_listeners_share_a_port_and_ipv4_reaches_the_dual_stack_one(void **state)
{
    open_at("*:21077");
    int second = hf_listen(&listener.address);
    assert_true(second >= 0);
    close(second);
    struct hf_address address;
    assert_int_equal(hf_address_parse(HF_SLICE("127.0.0.1:21077"), &address), 0);
    clients[client_count] = hf_connect_start(&address);
    assert_true(clients[client_count++] >= 0);
    run_until_accepted(1);
}

static void who_listens_alone_shares_no_port(void **state)
{
    struct hf_address address = {.size = sizeof(address.local)}, wanted;
    assert_int_equal(hf_address_parse(HF_SLICE("127.0.0.1:0"), &wanted), 0);
    int alone = hf_listen_alone(&wanted);
    assert_true(alone >= 0);
    assert_int_equal(getsockname(alone, &address.any, &address.size), 0);
    assert_int_equal(hf_listen_alone(&address), -EADDRINUSE);
    assert_int_equal(hf_listen(&address), -EADDRINUSE);
    close(alone);
    int shared = hf_listen(&address);
    assert_true(shared >= 0);
    assert_int_equal(hf_listen_alone(&address), -EADDRINUSE);
    close(shared);
}

static void a_local_socket_replaces_a_dead_one_only(void **state)
{
    char directory[] = "/tmp/holdfast-listener-XXXXXX";
    char text[sizeof(directory) + 16];
    struct hf_address address;
    assert_non_null(mkdtemp(directory));
    snprintf(text, sizeof(text), "unix:%s/s", directory);
    assert_int_equal(hf_address_parse(hf_slice_text(text), &address), 0);
    int fd = hf_listen(&address);
    assert_true(fd >= 0);
    assert_int_equal(hf_listen(&address), -EADDRINUSE); /* alive */
    close(fd);
    open_at(text);
    connect_clients(1);
    run_until_accepted(1);
    assert_int_equal(unlink(address.local.sun_path), 0);
    FILE *plain = fopen(address.local.sun_path, "w");
    assert_non_null(plain);
    fclose(plain);
    assert_int_equal(hf_listen(&address), -EADDRINUSE); /* not a socket: never removed */
    assert_int_equal(unlink(address.local.sun_path), 0);
    assert_int_equal(rmdir(directory), 0);
}

static void what_cannot_be_listened_on_is_an_error(void **state)
{
    struct hf_address address;
    assert_int_equal(hf_address_parse(HF_SLICE("192.0.2.1:21078"), &address), 0);
    assert_int_equal(hf_listen(&address), -EADDRNOTAVAIL);
    assert_int_equal(hf_address_parse(HF_SLICE("unix:/nonexistent/s"), &address), 0);
    assert_int_equal(hf_listen(&address), -ENOENT);
    int pipes[2];
    struct hf_listener other;
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(hf_listener_open(&other, loop, pipes[0], accepted, NULL), -ENOTSOCK);
    close(pipes[0]);
    close(pipes[1]);
    open_at("127.0.0.1:0"); /* for the tear-down */
}

int main(void)
{
#define LISTENER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        LISTENER_TEST(accepted_sockets_do_not_delay_or_block),
        LISTENER_TEST(a_burst_is_cut_at_its_bound),
        LISTENER_TEST(a_pause_holds_even_within_a_burst),
        LISTENER_TEST(close_accepts_the_backlog_first),
        LISTENER_TEST(accepted_may_close_the_listener),
        LISTENER_TEST(used_up_descriptors_pause_it_for_a_while),
        LISTENER_TEST(two_listeners_share_a_port_and_ipv4_reaches_the_dual_stack_one),
        cmocka_unit_test(who_listens_alone_shares_no_port),
        LISTENER_TEST(a_local_socket_replaces_a_dead_one_only),
        LISTENER_TEST(what_cannot_be_listened_on_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
