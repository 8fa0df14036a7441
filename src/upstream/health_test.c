/* Active checks against real servers of every manner, on a real loop. */
#include "upstream/health.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "upstream/testing.h"

enum { WAIT_MS = 10000, CHANGES_MAX = 64 };

enum manner { ANSWER, SILENT, RESET, CLOSE, TRICKLE };

static struct server { /* one thread that serves one connection after the other */
    pthread_t thread;
    int listener;
    struct hf_address address;
    _Atomic int manner;
    _Atomic int accepted;
    _Atomic bool stopping;
    _Atomic bool fail_once; /* the next answer is a 500 */
    const char *_Atomic answer;
    char request[1024]; /* the last one; read when the thread is at rest */
} origin;

static struct hf_loop *loop;
static struct hf_health_checker *checker;
static struct hf_config *config;
static struct {
    struct hf_server *server;
    enum hf_health from, to;
    char reason[160];
} changes[CHANGES_MAX];
static unsigned change_count;

/* Reads until the blank line, or until the peer has gone. */
static bool read_request(struct server *server, int fd)
{
    size_t size = 0;
    ssize_t got;
    while ((got = recv(fd, server->request + size, sizeof(server->request) - 1 - size, 0)) > 0) {
        size += (size_t)got;
        server->request[size] = '\0';
        if (strstr(server->request, "\r\n\r\n") != NULL)
            return true;
    }
    return false;
}

static void wait_gone(int fd)
{
    char byte;
    while (recv(fd, &byte, 1, 0) > 0)
        ;
}

static void serve(struct server *server, int fd)
{
    struct linger at_once = {.l_onoff = 1};
    const char *answer =
        atomic_exchange(&server->fail_once, false) ? "HTTP/1.1 500 Oops\r\n\r\n" : server->answer;
    switch ((enum manner)server->manner) {
    case RESET:
        if (read_request(server, fd))
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        return;
    case SILENT:
        wait_gone(fd);
        return;
    case CLOSE:
        read_request(server, fd);
        return;
    case ANSWER:
        if (read_request(server, fd) && send(fd, answer, strlen(answer), MSG_NOSIGNAL) > 0) {
            shutdown(fd, SHUT_WR);
            wait_gone(fd);
        }
        return;
    case TRICKLE: /* a byte each 5 ms */
        if (!read_request(server, fd))
            return;
        for (; *answer != '\0' && send(fd, answer, 1, MSG_NOSIGNAL) == 1; answer++)
            poll(NULL, 0, 5);
        wait_gone(fd);
        return;
    }
}

static void *run_server(void *argument)
{
    struct server *server = argument;
    while (!server->stopping) {
        int fd = accept(server->listener, NULL, NULL);
        if (fd < 0)
            break;
        server->accepted++;
        serve(server, fd);
        close(fd);
    }
    return NULL;
}

static void on_changed(struct hf_server *server, enum hf_health from, enum hf_health to,
                       const char *reason, void *user)
{
    assert_ptr_equal(user, &origin);
    assert_int_equal(server->health, to);
    assert_in_range(change_count, 0, CHANGES_MAX - 1);
    changes[change_count].server = server;
    changes[change_count].from = from;
    changes[change_count].to = to;
    snprintf(changes[change_count++].reason, sizeof(changes[0].reason), "%s", reason);
}

/* A snapshot of one pool with servers app0, app1... */
static struct hf_config *make_config(enum hf_check_kind kind, const struct hf_address *addresses,
                                     unsigned count)
{
    struct hf_config *made = hf_config_new();
    made->pools = calloc(1, sizeof(*made->pools));
    made->pool_count = 1;
    struct hf_pool *pool = made->pools;
    snprintf(pool->name, sizeof(pool->name), "checked");
    pool->health = (struct hf_health_check){.kind = kind,
                                            .path = strdup("/healthz?deep=1"),
                                            .expect_low = 200,
                                            .expect_high = 399,
                                            .interval_ms = 20,
                                            .timeout_ms = 2000,
                                            .rise = 3,
                                            .fall = 2};
    pool->servers = calloc(count, sizeof(*pool->servers));
    pool->server_count = count;
    for (unsigned i = 0; i < count; i++) {
        char name[HF_NAME_MAX];
        snprintf(name, sizeof(name), "app%u", i);
        pool->servers[i].server = hf_server_acquire("checked", name, 1);
        pool->servers[i].address = addresses[i];
        pool->servers[i].weight = 1;
    }
    return made;
}

static struct hf_server *server_at(unsigned index)
{
    return config->pools[0].servers[index].server;
}

static int setup(void **unused)
{
    memset(&origin, 0, sizeof(origin));
    change_count = 0;
    origin.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    origin.listener = hf_testing_listen(64, &origin.address);
    assert_true(origin.listener >= 0);
    assert_int_equal(pthread_create(&origin.thread, NULL, run_server, &origin), 0);
    assert_int_equal(hf_loop_new(&loop), 0);
    assert_int_equal(hf_health_checker_new(loop, on_changed, &origin, &checker), 0);
    config = make_config(HF_CHECK_HTTP, &origin.address, 1);
    return 0;
}

static int teardown(void **unused)
{
    hf_health_checker_free(&checker);
    assert_null(checker);
    hf_testing_turn(loop);
    hf_loop_free(&loop);
    origin.stopping = true;
    shutdown(origin.listener, SHUT_RDWR);
    pthread_join(origin.thread, NULL);
    close(origin.listener);
    struct hf_server *server = server_at(0);
    assert_int_equal(server->references, 1); /* the config's */
    hf_config_unref(&config);
    return 0;
}

static void apply(void)
{
    assert_int_equal(hf_health_checker_apply(checker, config), 0);
}

static bool changed(void *count)
{
    return change_count >= *(unsigned *)count;
}

static void wait_changes(unsigned count)
{
    assert_true(hf_testing_run_until(loop, changed, &count, WAIT_MS));
    assert_int_equal(change_count, count);
}

static void assert_change(unsigned index, enum hf_health from, enum hf_health to,
                          const char *reason)
{
    assert_int_equal(changes[index].from, from);
    assert_int_equal(changes[index].to, to);
    assert_string_equal(changes[index].reason, reason);
}

/* The first check of a new server tells this. */
static void assert_first_result(enum hf_health to, const char *reason)
{
    apply();
    wait_changes(1);
    assert_change(0, HF_HEALTH_UNKNOWN, to, reason);
    assert_int_equal(server_at(0)->health, to);
    assert_int_equal(hf_server_count(server_at(0), HF_SERVER_CHECKS_OK), to == HF_HEALTH_UP);
    assert_int_equal(hf_server_count(server_at(0), HF_SERVER_CHECKS_FAILED), to == HF_HEALTH_DOWN);
    assert_int_equal(hf_server_count(server_at(0), HF_SERVER_WENT_DOWN), to == HF_HEALTH_DOWN);
    assert_int_equal(hf_server_count(server_at(0), HF_SERVER_WENT_UP), 0);
}

static void test_http_answer(void **unused)
{
    assert_first_result(HF_HEALTH_UP, "");
    hf_health_checker_free(&checker);
    hf_testing_turn(loop);
    char expected[256], host[HF_ADDRESS_TEXT_MAX];
    hf_address_format(&origin.address, host);
    snprintf(expected, sizeof(expected),
             "GET /healthz?deep=1 HTTP/1.1\r\nHost: %s\r\nUser-Agent: holdfast-check\r\n"
             "Connection: close\r\n\r\n",
             host);
    shutdown(origin.listener, SHUT_RDWR);
    pthread_join(origin.thread, NULL);
    assert_string_equal(origin.request, expected);
    assert_int_equal(pthread_create(&origin.thread, NULL, run_server, &origin), 0);
}

static void test_http_host_is_configured(void **unused)
{
    config->pools[0].health.host = strdup("shop.example.com");
    assert_first_result(HF_HEALTH_UP, "");
    hf_health_checker_free(&checker);
    hf_testing_turn(loop);
    shutdown(origin.listener, SHUT_RDWR);
    pthread_join(origin.thread, NULL);
    assert_non_null(strstr(origin.request, "\r\nHost: shop.example.com\r\n"));
    assert_int_equal(pthread_create(&origin.thread, NULL, run_server, &origin), 0);
}

static void test_http_edges_of_the_range(void **unused)
{
    config->pools[0].health.expect_low = 204;
    config->pools[0].health.expect_high = 204;
    origin.answer = "HTTP/1.0 204 No Content\r\n\r\n";
    assert_first_result(HF_HEALTH_UP, "");
}

static void test_http_wrong_status(void **unused)
{
    origin.answer = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n";
    assert_first_result(HF_HEALTH_DOWN, "status 500, expected 200-399");
}

static void test_http_interim_answers(void **unused)
{
    origin.answer = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found\r\nLocation: /\r\n\r\n";
    assert_first_result(HF_HEALTH_UP, "");
}

static void test_http_trickled_answer(void **unused)
{
    origin.manner = TRICKLE;
    origin.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    assert_first_result(HF_HEALTH_UP, "");
}

static void test_http_trickled_beyond_the_timeout(void **unused)
{
    origin.manner = TRICKLE;
    config->pools[0].health.timeout_ms = 60;
    assert_first_result(HF_HEALTH_DOWN, "timeout after 60 ms");
}

static void test_http_silence(void **unused)
{
    origin.manner = SILENT;
    config->pools[0].health.timeout_ms = 40;
    assert_first_result(HF_HEALTH_DOWN, "timeout after 40 ms");
}

static void test_http_reset(void **unused)
{
    origin.manner = RESET;
    assert_first_result(HF_HEALTH_DOWN, "connection reset by peer");
}

static void test_http_closed_without_answer(void **unused)
{
    origin.manner = CLOSE;
    assert_first_result(HF_HEALTH_DOWN, "the connection was closed before an answer");
}

static void test_http_cut_answer(void **unused)
{
    origin.answer = "HTTP/1.1 200 OK\r\nContent-Le";
    assert_first_result(HF_HEALTH_DOWN, "the connection was closed before an answer");
}

static void test_http_no_http(void **unused)
{
    origin.answer = "SSH-2.0-OpenSSH_9.2\r\n\r\n";
    apply();
    wait_changes(1);
    assert_int_equal(changes[0].to, HF_HEALTH_DOWN);
    assert_memory_equal(changes[0].reason, "malformed answer: ", 18);
    assert_true(strlen(changes[0].reason) > 18);
}

static void refuse(struct hf_address *ret_address)
{
    int listener = hf_testing_listen(1, ret_address);
    assert_true(listener >= 0);
    close(listener);
}

static void test_refused(void **unused)
{
    refuse(&config->pools[0].servers[0].address);
    assert_first_result(HF_HEALTH_DOWN, "connection refused");
}

static void test_missing_socket_file(void **unused)
{
    struct hf_address *address = &config->pools[0].servers[0].address;
    assert_int_equal(hf_address_parse(HF_SLICE("unix:/nonexistent/app.sock"), address), 0);
    assert_first_result(HF_HEALTH_DOWN, "no such file or directory");
}

static void test_tcp_asks_nothing(void **unused)
{
    config->pools[0].health.kind = HF_CHECK_TCP;
    origin.manner = SILENT;
    assert_first_result(HF_HEALTH_UP, "");
}

static void test_rise_and_fall(void **unused)
{
    apply();
    wait_changes(1);
    struct hf_server *server = server_at(0);
    uint64_t since_ms = server->up_since_ms;
    origin.answer = "HTTP/1.1 503 Later\r\n\r\n";
    wait_changes(2);
    assert_change(1, HF_HEALTH_UP, HF_HEALTH_DOWN, "status 503, expected 200-399");
    assert_int_equal(hf_server_count(server, HF_SERVER_CHECKS_FAILED), 2); /* fall */
    uint64_t good = hf_server_count(server, HF_SERVER_CHECKS_OK);
    origin.answer = "HTTP/1.1 200 OK\r\n\r\n";
    wait_changes(3);
    assert_change(2, HF_HEALTH_DOWN, HF_HEALTH_UP, "");
    assert_int_equal(hf_server_count(server, HF_SERVER_CHECKS_OK), good + 3); /* rise */
    assert_int_equal(hf_server_count(server, HF_SERVER_WENT_DOWN), 1);
    assert_int_equal(hf_server_count(server, HF_SERVER_WENT_UP), 1);
    assert_true(server->up_since_ms > since_ms);
    assert_int_equal(server->up_since_ms, server->state_since_ms);
}

static bool checked_often(void *count)
{
    return hf_server_count(server_at(0), HF_SERVER_CHECKS_OK) >= *(uint64_t *)count;
}

static void test_one_failure_is_forgiven(void **unused)
{
    apply();
    wait_changes(1);
    for (uint64_t round = 1; round <= 3; round++) {
        uint64_t count = hf_server_count(server_at(0), HF_SERVER_CHECKS_OK) + 3;
        origin.fail_once = true;
        assert_true(hf_testing_run_until(loop, checked_often, &count, WAIT_MS));
        assert_int_equal(hf_server_count(server_at(0), HF_SERVER_CHECKS_FAILED), round);
    }
    assert_int_equal(change_count, 1);
    assert_int_equal(server_at(0)->health, HF_HEALTH_UP);
}

static void test_one_socket_at_a_time_and_the_rhythm(void **unused)
{
    apply();
    uint64_t count = 20;
    uint64_t start_ms = hf_clock_monotonic_ms();
    assert_true(hf_testing_run_until(loop, checked_often, &count, WAIT_MS));
    uint64_t took_ms = hf_clock_monotonic_ms() - start_ms;
    assert_true(took_ms >= 19 * 18); /* 20 ms less a tenth between two starts */
    /* The server serves one connection after the other and never had another one waiting. */
    assert_in_range(origin.accepted, 20, 21);
}

static struct hf_config *reload(enum hf_check_kind kind, const struct hf_address *addresses,
                                unsigned count)
{
    struct hf_config *before = config;
    config = make_config(kind, addresses, count);
    apply();
    hf_config_unref(&before);
    return config;
}

static void test_reload_keeps_state_and_rhythm(void **unused)
{
    apply();
    wait_changes(1);
    for (unsigned i = 0; i < 20; i++) {
        reload(HF_CHECK_HTTP, &origin.address, 1);
        hf_testing_turn(loop);
        assert_int_equal(server_at(0)->health, HF_HEALTH_UP);
    }
    uint64_t count = hf_server_count(server_at(0), HF_SERVER_CHECKS_OK) + 3;
    assert_true(hf_testing_run_until(loop, checked_often, &count, WAIT_MS));
    assert_int_equal(change_count, 1);
}

static void test_reload_in_the_midst_of_a_check(void **unused)
{
    origin.manner = SILENT;
    config->pools[0].health.timeout_ms = 100;
    apply();
    while (origin.accepted == 0)
        hf_testing_turn(loop);
    reload(HF_CHECK_HTTP, &origin.address, 1);
    config->pools[0].health.timeout_ms = 77;
    wait_changes(1);
    assert_change(0, HF_HEALTH_UNKNOWN, HF_HEALTH_DOWN, "timeout after 77 ms");
}

static void test_changed_address_starts_afresh(void **unused)
{
    struct hf_address nowhere;
    refuse(&nowhere);
    apply();
    wait_changes(1);
    reload(HF_CHECK_HTTP, &nowhere, 1);
    assert_int_equal(change_count, 2);
    assert_change(1, HF_HEALTH_UP, HF_HEALTH_UNKNOWN, "its address changed");
    wait_changes(3); /* the first result decides, not `fall` of them */
    assert_change(2, HF_HEALTH_UNKNOWN, HF_HEALTH_DOWN, "connection refused");
    assert_int_equal(hf_server_count(server_at(0), HF_SERVER_CHECKS_FAILED), 1);
}

static void test_no_check_any_more(void **unused)
{
    refuse(&config->pools[0].servers[0].address);
    apply();
    wait_changes(1);
    reload(HF_CHECK_NONE, &origin.address, 1);
    wait_changes(2);
    assert_change(1, HF_HEALTH_DOWN, HF_HEALTH_UNKNOWN, "it is not checked any more");
    uint64_t checks = hf_server_count(server_at(0), HF_SERVER_CHECKS_OK);
    int accepted = origin.accepted;
    for (unsigned i = 0; i < 50; i++)
        hf_testing_turn(loop);
    assert_int_equal(hf_server_count(server_at(0), HF_SERVER_CHECKS_OK), checks);
    assert_int_equal(origin.accepted, accepted);
}

static void test_servers_come_and_go(void **unused)
{
    struct hf_address addresses[3] = {origin.address, origin.address};
    refuse(&addresses[2]);
    apply();
    wait_changes(1);
    reload(HF_CHECK_HTTP, addresses, 3);
    wait_changes(3);
    assert_int_equal(server_at(1)->health, HF_HEALTH_UP);
    assert_int_equal(server_at(2)->health, HF_HEALTH_DOWN);
    struct hf_server *gone = hf_server_ref(server_at(2));
    reload(HF_CHECK_HTTP, addresses, 1);
    hf_testing_turn(loop);
    assert_int_equal(gone->references, 1); /* the checker let go of it */
    uint64_t checks = hf_server_count(gone, HF_SERVER_CHECKS_FAILED);
    uint64_t count = hf_server_count(server_at(0), HF_SERVER_CHECKS_OK) + 3;
    assert_true(hf_testing_run_until(loop, checked_often, &count, WAIT_MS));
    assert_int_equal(hf_server_count(gone, HF_SERVER_CHECKS_FAILED), checks);
    /* It comes back while its identity still lives: what was known of it is not believed. */
    reload(HF_CHECK_HTTP, addresses, 3);
    assert_ptr_equal(server_at(2), gone);
    assert_int_equal(gone->health, HF_HEALTH_UNKNOWN);
    hf_server_unref(&gone);
}

static void test_freed_in_the_midst_of_a_check(void **unused)
{
    origin.manner = SILENT;
    apply();
    while (origin.accepted == 0)
        hf_testing_turn(loop);
    hf_health_checker_free(&checker);
    assert_null(checker);
    hf_testing_turn(loop);
    assert_int_equal(change_count, 0);
}

#define HEALTH_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HEALTH_TEST(test_http_answer),
        HEALTH_TEST(test_http_host_is_configured),
        HEALTH_TEST(test_http_edges_of_the_range),
        HEALTH_TEST(test_http_wrong_status),
        HEALTH_TEST(test_http_interim_answers),
        HEALTH_TEST(test_http_trickled_answer),
        HEALTH_TEST(test_http_trickled_beyond_the_timeout),
        HEALTH_TEST(test_http_silence),
        HEALTH_TEST(test_http_reset),
        HEALTH_TEST(test_http_closed_without_answer),
        HEALTH_TEST(test_http_cut_answer),
        HEALTH_TEST(test_http_no_http),
        HEALTH_TEST(test_refused),
        HEALTH_TEST(test_missing_socket_file),
        HEALTH_TEST(test_tcp_asks_nothing),
        HEALTH_TEST(test_rise_and_fall),
        HEALTH_TEST(test_one_failure_is_forgiven),
        HEALTH_TEST(test_one_socket_at_a_time_and_the_rhythm),
        HEALTH_TEST(test_reload_keeps_state_and_rhythm),
        HEALTH_TEST(test_reload_in_the_midst_of_a_check),
        HEALTH_TEST(test_changed_address_starts_afresh),
        HEALTH_TEST(test_no_check_any_more),
        HEALTH_TEST(test_servers_come_and_go),
        HEALTH_TEST(test_freed_in_the_midst_of_a_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
