#include "base/test.h"
#include "net/conn.h"
#include "net/listener.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { DEADLINE_MS = 10000, BUFFERS_MAX = 4 };

static struct hf_loop *loop;
static struct hf_buffer_pool buffers;
static struct hf_conn conn; /* under test */
static int peer_fd;         /* the other end, blocking, in the test's hand */
static unsigned ready_bits; /* seen since the last look */
static unsigned closed_count;
static struct hf_timer give_up;
static bool late;

static void gave_up(struct hf_timer *timer)
{
    late = true;
    hf_loop_stop(loop);
}

static void ready(struct hf_event *event, unsigned bits)
{
    ready_bits |= bits;
    hf_conn_note_ready(hf_container_of(event, struct hf_conn, event), bits);
    hf_loop_stop(loop);
}

static void closed(struct hf_event *event)
{
    closed_count++;
    hf_loop_stop(loop);
}

/* Turns until all of `bits` were seen. */
static void wait_for(unsigned bits)
{
    hf_timer_set(hf_loop_timers(loop), &give_up, hf_loop_now_ms(loop) + DEADLINE_MS);
    while ((ready_bits & bits) != bits && !late)
        hf_loop_run(loop);
    assert_false(late);
    ready_bits = 0;
}

static void tcp_pair(int fds[2])
{
    struct hf_address address;
    assert_int_equal(hf_address_parse(HF_SLICE("127.0.0.1:0"), &address), 0);
    int listening = hf_listen(&address);
    assert_true(listening >= 0);
    assert_int_equal(getsockname(listening, &address.any, &address.size), 0);
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fds[1], &address.any, address.size), 0);
    fds[0] = -1;
    for (int i = 0; i < 1000000 && fds[0] < 0; i++) /* the listener does not block */
        fds[0] = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fds[0] >= 0);
    close(listening);
}

static int set_up(void **state)
{
    int fds[2];
    late = false;
    ready_bits = closed_count = 0;
    give_up = (struct hf_timer){.expired = gave_up};
    assert_int_equal(hf_loop_new(&loop), 0);
    hf_buffer_pool_init(&buffers, BUFFERS_MAX, 1);
    tcp_pair(fds);
    peer_fd = fds[1];
    assert_int_equal(hf_conn_open(&conn, loop, &buffers, fds[0], ready, closed), 0);
    wait_for(HF_WRITABLE);
    return 0;
}

static int tear_down(void **state)
{
    hf_conn_close(&conn);
    hf_conn_close(&conn);
    while (closed_count == 0)
        hf_loop_run(loop);
    assert_int_equal(closed_count, 1);
    if (peer_fd >= 0)
        close(peer_fd);
    hf_loop_free(&loop);
    hf_buffer_pool_fini(&buffers); /* asserts that every buffer came back */
    return 0;
}

static void peer_says(const char *text)
{
    assert_int_equal(write(peer_fd, text, strlen(text)), strlen(text));
}

static void a_short_read_uses_the_edge_up(void **state)
{
    assert_int_equal(hf_conn_receive(&conn, 100), -EAGAIN); /* no edge yet: no system call */
    assert_null(conn.in);
    peer_says("hello");
    wait_for(HF_READABLE);
    assert_true(conn.can_read);
    assert_int_equal(hf_conn_receive(&conn, 100), 5);
    assert_false(conn.can_read);
    assert_int_equal(buffers.lent_count, 1);
    assert_true(hf_slice_equal(hf_conn_input(&conn), HF_SLICE("hello")));
    hf_conn_consume(&conn, 2);
    assert_true(hf_slice_equal(hf_conn_input(&conn), HF_SLICE("llo")));
    hf_conn_consume(&conn, 3);
    assert_null(conn.in);
    assert_int_equal(buffers.lent_count, 0);
    hf_conn_consume(&conn, 0);
}

static void a_full_read_keeps_the_edge_and_eagain_gives_the_buffer_back(void **state)
{
    peer_says("hello");
    wait_for(HF_READABLE);
    assert_int_equal(hf_conn_receive(&conn, 3), 3);
    assert_true(conn.can_read);
    assert_int_equal(hf_conn_receive(&conn, 2), 2);
    assert_true(conn.can_read);
    hf_conn_consume(&conn, 5);
    assert_int_equal(hf_conn_receive(&conn, 2), -EAGAIN);
    assert_false(conn.can_read);
    assert_null(conn.in);
    assert_false(conn.broken);
}

static void the_end_is_read_after_a_short_read(void **state)
{
    peer_says("bye");
    shutdown(peer_fd, SHUT_WR);
    wait_for(HF_READABLE | HF_PEER_CLOSED);
    assert_true(conn.peer_closed);
    assert_int_equal(hf_conn_receive(&conn, 100), 3);
    assert_true(conn.can_read);
    assert_int_equal(hf_conn_receive(&conn, 100), 0);
    assert_true(conn.read_ended);
    assert_false(conn.broken);
    assert_non_null(conn.in); /* what was received before stays */
    assert_int_equal(hf_conn_receive(&conn, 100), 0);
    hf_conn_consume(&conn, 3);
    assert_int_equal(hf_conn_send(&conn, HF_SLICE("still")), 5); /* half-closed */
}

static void an_end_alone_leaves_no_buffer(void **state)
{
    shutdown(peer_fd, SHUT_WR);
    wait_for(HF_PEER_CLOSED);
    assert_int_equal(hf_conn_receive(&conn, 100), 0);
    assert_null(conn.in);
    assert_int_equal(buffers.lent_count, 0);
}

static void both_ends_closed_is_no_error(void **state)
{
    assert_int_equal(hf_conn_shutdown_write(&conn), 0);
    char byte;
    assert_int_equal(read(peer_fd, &byte, 1), 0);
    peer_says("last");
    close(peer_fd);
    peer_fd = -1;
    wait_for(HF_READABLE | HF_PEER_CLOSED);
    assert_false(conn.broken);
    assert_int_equal(hf_conn_receive(&conn, 100), 4);
    assert_int_equal(hf_conn_receive(&conn, 100), 0);
    hf_conn_consume(&conn, 4);
}

static void reset_by_peer(void)
{
    struct linger at_once = {1, 0};
    assert_int_equal(setsockopt(peer_fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    close(peer_fd);
    peer_fd = -1;
}

static void a_reset_breaks_it(void **state)
{
    reset_by_peer();
    wait_for(HF_BROKEN);
    assert_true(conn.broken);
    assert_false(conn.can_write);
    assert_int_equal(hf_conn_receive(&conn, 100), -ECONNRESET);
    assert_int_equal(hf_conn_send(&conn, HF_SLICE("x")), -EPIPE);
    assert_int_equal(hf_conn_shutdown_write(&conn), -EPIPE);
    assert_int_equal(hf_conn_flush(&conn, false), -EPIPE);
}

static void what_came_before_a_reset_is_still_read(void **state)
{
    peer_says("413");
    int waiting = 0;
    while (waiting < 3)
        assert_int_equal(ioctl(conn.event.fd, FIONREAD, &waiting), 0);
    reset_by_peer();
    wait_for(HF_BROKEN);
    assert_false(conn.broken);
    assert_int_equal(hf_conn_receive(&conn, 100), 3);
    hf_conn_consume(&conn, 3);
    assert_int_equal(hf_conn_receive(&conn, 100), -ECONNRESET);
    assert_true(conn.broken);
}

static void receiving_stops_at_the_pools_limit_and_at_a_full_buffer(void **state)
{
    struct hf_buffer *others[BUFFERS_MAX];
    for (int i = 0; i < BUFFERS_MAX; i++)
        others[i] = hf_buffer_borrow(&buffers);
    peer_says("hello");
    wait_for(HF_READABLE);
    assert_int_equal(hf_conn_receive(&conn, 100), -ENOBUFS);
    assert_null(hf_conn_output(&conn));
    assert_true(conn.can_read); /* the bytes still wait */
    for (int i = 0; i < BUFFERS_MAX; i++)
        hf_buffer_return(&buffers, &others[i]);
    assert_int_equal(hf_conn_receive(&conn, 5), 5);
    conn.in->end = HF_BUFFER_SIZE;
    assert_int_equal(hf_conn_receive(&conn, 100), -ENOBUFS);
    peer_says("again");
    wait_for(HF_READABLE);
    hf_conn_consume(&conn, HF_BUFFER_SIZE - 4);
    assert_int_equal(hf_conn_receive(&conn, 100), 5); /* compacted */
    assert_int_equal(conn.in->start, 0);
    assert_int_equal(hf_buffer_used(conn.in), 9);
    hf_conn_consume(&conn, 9);
}

static size_t drain_peer(size_t size)
{
    static char sink[65536];
    size_t got = 0;
    while (got < size) {
        ssize_t some = read(peer_fd, sink, sizeof(sink));
        assert_true(some > 0);
        got += (size_t)some;
    }
    return got;
}

/* Sends until the socket takes no more; answers how much it took. */
static size_t fill(void)
{
    static const char zeros[65536];
    size_t sent = 0;
    while (conn.can_write) {
        ssize_t taken = hf_conn_send(&conn, hf_slice(zeros, sizeof(zeros)));
        assert_true(taken >= 0);
        sent += (size_t)taken;
    }
    return sent;
}

static void a_full_socket_takes_nothing_and_says_when_it_does(void **state)
{
    size_t sent = fill();
    assert_int_equal(hf_conn_send(&conn, HF_SLICE("x")), 0);
    struct hf_buffer *out = hf_conn_output(&conn);
    assert_non_null(out);
    assert_true(hf_buffer_append(out, HF_SLICE("staged")));
    assert_int_equal(hf_conn_flush(&conn, false), -EAGAIN);
    assert_true(hf_conn_has_output(&conn));
    assert_int_equal(hf_conn_shutdown_write(&conn), 0); /* waits for what is staged */
    assert_false(conn.write_ended);
    assert_int_equal(drain_peer(sent), sent);
    wait_for(HF_WRITABLE);
    assert_int_equal(hf_conn_flush(&conn, false), 0);
    assert_false(hf_conn_has_output(&conn));
    assert_true(conn.write_ended);
    char rest[16];
    assert_int_equal(recv(peer_fd, rest, 6, MSG_WAITALL), 6);
    assert_memory_equal(rest, "staged", 6);
    assert_int_equal(read(peer_fd, rest, sizeof(rest)), 0);
    peer_says("the other way is open");
    wait_for(HF_READABLE);
    assert_int_equal(hf_conn_receive(&conn, 100), 21);
    hf_conn_consume(&conn, 21);
}

static void staged_bytes_are_sent_whole(void **state)
{
    char got[16];
    assert_int_equal(hf_conn_flush(&conn, false), 0); /* nothing staged */
    assert_true(hf_buffer_append(hf_conn_output(&conn), HF_SLICE("one ")));
    assert_true(hf_buffer_append(hf_conn_output(&conn), HF_SLICE("two ")));
    assert_int_equal(hf_conn_flush(&conn, true), 0);
    assert_int_equal(buffers.lent_count, 0);
    assert_int_equal(hf_conn_send(&conn, HF_SLICE("three")), 5);
    assert_int_equal(recv(peer_fd, got, 13, MSG_WAITALL), 13);
    assert_memory_equal(got, "one two three", 13);
    assert_int_equal(hf_conn_send(&conn, hf_slice(NULL, 0)), 0);
    assert_non_null(hf_conn_output(&conn)); /* closing gives it back unsent */
}

static void reset_sends_rst(void **state)
{
    char byte;
    hf_conn_reset(&conn);
    assert_int_equal(read(peer_fd, &byte, 1), -1);
    assert_int_equal(errno, ECONNRESET);
}

static void close_sends_fin(void **state)
{
    char byte;
    hf_conn_close(&conn);
    assert_int_equal(read(peer_fd, &byte, 1), 0);
}

static ssize_t fake_receive(struct hf_conn *self, char *out, size_t size)
{
    static unsigned calls;
    if (calls++ % 2 == 1)
        return -EAGAIN;
    memcpy(out, "record", 6);
    return 6;
}

static ssize_t fake_send(struct hf_conn *self, const char *bytes, size_t size, bool more)
{
    return size > 3 ? 3 : -EIO;
}

static int fake_shutdown(struct hf_conn *self)
{
    return -ENOTCONN;
}

static void another_transport_drains_by_eagain_alone(void **state)
{
    static const struct hf_transport fake = {"fake", fake_receive, fake_send, fake_shutdown};
    conn.transport = &fake;
    conn.can_read = true;
    assert_int_equal(hf_conn_receive(&conn, 100), 6);
    assert_true(conn.can_read);
    assert_int_equal(hf_conn_receive(&conn, 100), -EAGAIN);
    assert_false(conn.can_read);
    hf_conn_consume(&conn, 6);
    assert_int_equal(hf_conn_send(&conn, HF_SLICE("12345")), 3);
    assert_false(conn.can_write);
    conn.can_write = true;
    assert_int_equal(hf_conn_send(&conn, HF_SLICE("45")), -EIO);
    assert_true(conn.broken);
    conn.broken = false;
    assert_int_equal(hf_conn_shutdown_write(&conn), -ENOTCONN);
    assert_true(conn.broken);
}

static void connecting_shows_its_result(void **state)
{
    struct hf_address address;
    static struct hf_conn client, refused; /* until the tear-down ran a turn */
    assert_int_equal(hf_address_parse(HF_SLICE("127.0.0.1:0"), &address), 0);
    int listening = hf_listen(&address);
    assert_true(listening >= 0);
    assert_int_equal(getsockname(listening, &address.any, &address.size), 0);
    int fd = hf_connect_start(&address);
    assert_true(fd >= 0);
    assert_int_equal(hf_conn_open(&client, loop, &buffers, fd, ready, NULL), 0);
    assert_int_equal(hf_conn_send(&client, HF_SLICE("x")), 0); /* no edge yet */
    wait_for(HF_WRITABLE);
    assert_int_equal(hf_conn_connect_result(&client), 0);
    hf_conn_close(&client);
    close(listening);
    fd = hf_connect_start(&address); /* nobody listens any more */
    if (fd == -ECONNREFUSED)
        return;
    assert_true(fd >= 0);
    assert_int_equal(hf_conn_open(&refused, loop, &buffers, fd, ready, NULL), 0);
    wait_for(HF_BROKEN);
    assert_int_equal(hf_conn_connect_result(&refused), -ECONNREFUSED);
    assert_int_equal(hf_conn_connect_result(&refused), -ECONNRESET);
    hf_conn_close(&refused);
}

static void a_connect_under_way_says_so(void **state)
{
    static struct hf_conn client;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(hf_conn_open(&client, loop, &buffers, fd, ready, NULL), 0);
    assert_int_equal(hf_conn_connect_result(&client), -EINPROGRESS);
    hf_conn_close(&client);
}

static void connecting_to_a_missing_path_fails_at_once(void **state)
{
    struct hf_address address;
    assert_int_equal(hf_address_parse(HF_SLICE("unix:/nonexistent/socket"), &address), 0);
    assert_int_equal(hf_connect_start(&address), -ENOENT);
    address.any.sa_family = 255;
    assert_int_equal(hf_connect_start(&address), -EAFNOSUPPORT);
}

static void opening_what_cannot_be_watched_leaves_the_descriptor(void **state)
{
    struct hf_conn other;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(hf_conn_open(&other, loop, &buffers, fd, ready, closed), -EPERM);
    assert_int_equal(close(fd), 0);
}

int main(void)
{
#define CONN_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        CONN_TEST(a_short_read_uses_the_edge_up),
        CONN_TEST(a_full_read_keeps_the_edge_and_eagain_gives_the_buffer_back),
        CONN_TEST(the_end_is_read_after_a_short_read),
        CONN_TEST(an_end_alone_leaves_no_buffer),
        CONN_TEST(both_ends_closed_is_no_error),
        CONN_TEST(a_reset_breaks_it),
        CONN_TEST(what_came_before_a_reset_is_still_read),
        CONN_TEST(receiving_stops_at_the_pools_limit_and_at_a_full_buffer),
        CONN_TEST(a_full_socket_takes_nothing_and_says_when_it_does),
        CONN_TEST(staged_bytes_are_sent_whole),
        CONN_TEST(reset_sends_rst),
        CONN_TEST(close_sends_fin),
        CONN_TEST(another_transport_drains_by_eagain_alone),
        CONN_TEST(connecting_shows_its_result),
        CONN_TEST(a_connect_under_way_says_so),
        CONN_TEST(connecting_to_a_missing_path_fails_at_once),
        CONN_TEST(opening_what_cannot_be_watched_leaves_the_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
