/* Kept connections, over real loopback sockets and a real loop. */
#include "upstream/pool.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "upstream/testing.h"

enum { CONNS_MAX = 300, WAIT_MS = 5000 };

static struct hf_loop *loop;
static struct hf_buffer_pool buffers;
static struct hf_upstream_pool *pool;
static int listener;
static struct hf_pool_server target;
static unsigned edges; /* that lent connections saw */

static void on_ready(struct hf_event *event, unsigned ready)
{
    struct hf_conn *conn = hf_container_of(event, struct hf_conn, event);
    hf_conn_note_ready(conn, ready);
    edges++;
}

static int setup(void **unused)
{
    edges = 0;
    assert_int_equal(hf_loop_new(&loop), 0);
    hf_buffer_pool_init(&buffers, 16, 4);
    assert_int_equal(hf_upstream_pool_new(loop, &buffers, CONNS_MAX, &pool), 0);
    target = (struct hf_pool_server){.server = hf_server_acquire("pool", "app1", 2), .weight = 1};
    assert_non_null(target.server);
    listener = hf_testing_listen(CONNS_MAX, &target.address);
    assert_true(listener >= 0);
    return 0;
}

static int teardown(void **unused)
{
    hf_upstream_pool_free(&pool);
    assert_null(pool);
    hf_testing_turn(loop);
    hf_loop_free(&loop);
    hf_buffer_pool_fini(&buffers);
    assert_int_equal(target.server->connections, 0);
    assert_int_equal(target.server->references, 1);
    hf_server_unref(&target.server);
    close(listener);
    return 0;
}

static int connect_result; /* of the last connection: an error can be fetched once */

static bool connected(void *user)
{
    connect_result = hf_conn_connect_result(&((struct hf_upstream_conn *)user)->conn);
    return connect_result != -EINPROGRESS;
}

/* A lent connection and the server's end of it. */
static struct hf_upstream_conn *connect_one(int *ret_peer)
{
    struct hf_upstream_conn *conn = NULL;
    assert_int_equal(hf_upstream_connect(pool, &target, 1, on_ready, &edges, &conn), 0);
    *ret_peer = accept(listener, NULL, NULL);
    assert_true(*ret_peer >= 0);
    assert_true(hf_testing_run_until(loop, connected, conn, WAIT_MS));
    assert_int_equal(connect_result, 0);
    return conn;
}

static void keep(struct hf_upstream_conn *conn)
{
    hf_upstream_keep(pool, &conn);
    assert_null(conn);
}

static void close_one(struct hf_upstream_conn *conn)
{
    hf_upstream_close(pool, &conn, false);
    assert_null(conn);
}

static uint64_t counted(enum hf_server_counter counter)
{
    return target.server->shards[1].counts[counter];
}

static bool none_idle(void *unused)
{
    return hf_upstream_idle_count(pool) == 0;
}

static void test_kept_and_taken(void **unused)
{
    int peers[2];
    struct hf_upstream_conn *first = connect_one(&peers[0]);
    struct hf_upstream_conn *second = connect_one(&peers[1]);
    assert_ptr_equal(first->user, &edges);
    assert_int_equal(first->uses, 1);
    assert_int_equal(target.server->connections, 2);
    assert_int_equal(counted(HF_SERVER_CONNECTS), 2);
    assert_null(hf_upstream_take(pool, &target, on_ready, NULL));
    keep(first);
    keep(second);
    assert_int_equal(hf_upstream_idle_count(pool), 2);
    assert_null(second->user);
    /* Last in, first out. */
    assert_ptr_equal(hf_upstream_take(pool, &target, on_ready, &loop), second);
    assert_ptr_equal(second->user, &loop);
    assert_int_equal(second->uses, 2);
    assert_ptr_equal(hf_upstream_take(pool, &target, on_ready, NULL), first);
    assert_null(hf_upstream_take(pool, &target, on_ready, NULL));
    assert_int_equal(counted(HF_SERVER_REUSES), 2);
    assert_int_equal(counted(HF_SERVER_CONNECTS), 2);
    assert_int_equal(target.server->connections, 2);
    close_one(first);
    assert_int_equal(target.server->connections, 1);
    keep(second);
    close(peers[0]);
    close(peers[1]);
}

static void test_idle_is_closed_by_hang_up_and_by_bytes(void **unused)
{
    int peer;
    keep(connect_one(&peer));
    hf_testing_turn(loop);
    assert_int_equal(hf_upstream_idle_count(pool), 1);
    close(peer);
    assert_true(hf_testing_run_until(loop, none_idle, NULL, WAIT_MS));
    assert_int_equal(target.server->connections, 0);
    keep(connect_one(&peer));
    assert_int_equal(send(peer, "x", 1, 0), 1);
    assert_true(hf_testing_run_until(loop, none_idle, NULL, WAIT_MS));
    assert_int_equal(target.server->connections, 0);
    assert_int_equal(buffers.lent_count, 0);
    close(peer);
}

static bool hung_up(void *user)
{
    return ((struct hf_upstream_conn *)user)->conn.peer_closed;
}

static void test_lent_sees_its_own_edges(void **unused)
{
    int peer;
    struct hf_upstream_conn *conn = connect_one(&peer);
    keep(conn);
    conn = hf_upstream_take(pool, &target, on_ready, NULL);
    unsigned before = edges;
    close(peer);
    assert_true(hf_testing_run_until(loop, hung_up, conn, WAIT_MS));
    assert_true(edges > before);
    assert_int_equal(target.server->connections, 1);
    keep(conn); /* which closes what the server has left */
    assert_int_equal(hf_upstream_idle_count(pool), 0);
    assert_int_equal(target.server->connections, 0);
}

static bool can_read(void *user)
{
    return ((struct hf_upstream_conn *)user)->conn.can_read;
}

static void test_unread_bytes_are_not_kept(void **unused)
{
    int peer;
    struct hf_upstream_conn *conn = connect_one(&peer);
    assert_int_equal(send(peer, "late", 4, 0), 4);
    assert_true(hf_testing_run_until(loop, can_read, conn, WAIT_MS));
    keep(conn); /* in the socket */
    assert_int_equal(hf_upstream_idle_count(pool), 0);
    close(peer);

    conn = connect_one(&peer);
    assert_int_equal(send(peer, "late", 4, 0), 4);
    assert_true(hf_testing_run_until(loop, can_read, conn, WAIT_MS));
    assert_int_equal(hf_conn_receive(&conn->conn, 100), 4);
    keep(conn); /* in the buffer */
    assert_int_equal(hf_upstream_idle_count(pool), 0);
    close(peer);

    conn = connect_one(&peer);
    assert_int_equal(send(peer, "late", 4, 0), 4);
    assert_true(hf_testing_run_until(loop, can_read, conn, WAIT_MS));
    assert_int_equal(hf_conn_receive(&conn->conn, 4), 4);
    hf_conn_consume(&conn->conn, 4);
    conn->conn.can_read = true; /* not known to be empty: it looks, and finds it is */
    keep(conn);
    assert_int_equal(hf_upstream_idle_count(pool), 1);
    close(peer); /* and the edge for this was not lost */
    assert_true(hf_testing_run_until(loop, none_idle, NULL, WAIT_MS));
}

static bool not_alive(void *user)
{
    return !hf_upstream_alive(user);
}

static void test_alive(void **unused)
{
    int peer;
    struct hf_upstream_conn *conn = connect_one(&peer);
    assert_true(hf_upstream_alive(conn));
    assert_int_equal(send(peer, "x", 1, 0), 1);
    assert_true(hf_testing_run_until(loop, not_alive, conn, WAIT_MS));
    close_one(conn);
    close(peer);
    conn = connect_one(&peer);
    assert_true(hf_upstream_alive(conn));
    close(peer);
    assert_true(hf_testing_run_until(loop, not_alive, conn, WAIT_MS));
    close_one(conn);
}

static void test_moved_server(void **unused)
{
    int peers[2];
    struct hf_upstream_conn *first = connect_one(&peers[0]);
    struct hf_upstream_conn *second = connect_one(&peers[1]);
    keep(first);
    keep(second);
    struct hf_pool_server moved = target;
    moved.address.v4.sin_port ^= 1;
    assert_null(hf_upstream_take(pool, &moved, on_ready, NULL));
    assert_int_equal(hf_upstream_idle_count(pool), 0);
    assert_int_equal(target.server->connections, 0);
    close(peers[0]);
    close(peers[1]);
}

static void test_close_idle_of_one_server(void **unused)
{
    int peers[3];
    struct hf_pool_server first = target;
    struct hf_upstream_conn *conns[3];
    conns[0] = connect_one(&peers[0]);
    conns[1] = connect_one(&peers[1]);
    target.server = hf_server_acquire("pool", "app2", 2);
    struct hf_pool_server second = target;
    conns[2] = connect_one(&peers[2]);
    for (unsigned i = 0; i < 3; i++)
        keep(conns[i]);
    hf_upstream_close_idle(pool, first.server);
    assert_int_equal(hf_upstream_idle_count(pool), 1);
    assert_null(hf_upstream_take(pool, &first, on_ready, NULL));
    assert_int_equal(first.server->connections, 0);
    assert_int_equal(second.server->connections, 1);
    hf_upstream_close_idle(pool, NULL);
    assert_int_equal(hf_upstream_idle_count(pool), 0);
    assert_int_equal(second.server->connections, 0);
    target = first;
    hf_testing_turn(loop);
    hf_server_unref(&second.server);
    for (unsigned i = 0; i < 3; i++)
        close(peers[i]);
}

static void test_limits(void **unused)
{
    static struct hf_upstream_conn *conns[CONNS_MAX];
    static int peers[CONNS_MAX];
    for (unsigned i = 0; i < CONNS_MAX; i++)
        conns[i] = connect_one(&peers[i]);
    struct hf_upstream_conn *more = NULL;
    assert_int_equal(hf_upstream_connect(pool, &target, 1, on_ready, NULL, &more), -ENOBUFS);
    assert_null(more);
    for (unsigned i = 0; i < CONNS_MAX; i++)
        keep(conns[i]);
    assert_int_equal(hf_upstream_idle_count(pool), HF_KEEP_PER_SERVER_MAX);
    assert_int_equal(target.server->connections, HF_KEEP_PER_SERVER_MAX);
    hf_testing_turn(loop);
    int peer;
    close_one(connect_one(&peer)); /* there is room again */
    close(peer);
    for (unsigned i = 0; i < CONNS_MAX; i++)
        close(peers[i]);
}

static void test_reset(void **unused)
{
    int peer;
    char byte;
    struct hf_upstream_conn *conn = connect_one(&peer);
    hf_upstream_close(pool, &conn, true);
    assert_int_equal(recv(peer, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    close(peer);
    close_one(connect_one(&peer));
    assert_int_equal(recv(peer, &byte, 1, 0), 0);
    close(peer);
}

static void test_refused(void **unused)
{
    close(listener);
    struct hf_upstream_conn *conn = NULL;
    int result = hf_upstream_connect(pool, &target, 1, on_ready, NULL, &conn);
    if (result == 0) {
        assert_true(hf_testing_run_until(loop, connected, conn, WAIT_MS));
        result = connect_result;
        close_one(conn);
    }
    assert_int_equal(result, -ECONNREFUSED);
    assert_int_equal(target.server->connections, 0);
    listener = hf_testing_listen(1, &target.address);
}

static uint64_t ahead_ms;

static uint64_t later_ns(void *unused)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return ((uint64_t)now.tv_sec * 1000 + ahead_ms) * 1000000 + (uint64_t)now.tv_nsec;
}

static uint64_t wall_ms(void *unused)
{
    return 0;
}

static void test_idle_timeout(void **unused)
{
    static const struct hf_clock_source source = {.monotonic_ns = later_ns, .wall_ms = wall_ms};
    hf_clock_override(&source);
    int peers[2];
    ahead_ms = 0;
    struct hf_upstream_conn *first = connect_one(&peers[0]);
    struct hf_upstream_conn *second = connect_one(&peers[1]);
    keep(first);
    ahead_ms = HF_KEEP_IDLE_MS / 2;
    hf_testing_turn(loop);
    keep(second);
    hf_testing_turn(loop);
    assert_int_equal(hf_upstream_idle_count(pool), 2);
    ahead_ms = HF_KEEP_IDLE_MS + 5; /* the first is due, the second is not */
    hf_testing_turn(loop);
    hf_testing_turn(loop);
    assert_int_equal(hf_upstream_idle_count(pool), 1);
    assert_ptr_equal(hf_upstream_take(pool, &target, on_ready, NULL), second);
    keep(second);
    ahead_ms = HF_KEEP_IDLE_MS * 2 + 10;
    assert_true(hf_testing_run_until(loop, none_idle, NULL, WAIT_MS));
    close(peers[0]);
    close(peers[1]);
    hf_clock_override(NULL);
}

#define POOL_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        POOL_TEST(test_kept_and_taken),
        POOL_TEST(test_idle_is_closed_by_hang_up_and_by_bytes),
        POOL_TEST(test_lent_sees_its_own_edges),
        POOL_TEST(test_unread_bytes_are_not_kept),
        POOL_TEST(test_alive),
        POOL_TEST(test_moved_server),
        POOL_TEST(test_close_idle_of_one_server),
        POOL_TEST(test_limits),
        POOL_TEST(test_reset),
        POOL_TEST(test_refused),
        POOL_TEST(test_idle_timeout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
