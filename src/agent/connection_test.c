/* Connections with a front end of lines: "get K", "set K V", "lock K V", "unlock K", "row K K...",
 * "big N", "skip N" (N bytes follow, which are dropped), "auth P", "quit". */
#include "agent/door_testing.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CONNECTIONS = 3, ANSWER_MAX = 4096, BIG = 300 * 1024 };

static struct hf_testing_rig rig;
static unsigned closes;

/* ---- the front end ---- */

struct state {
    struct hf_sessions_call call;
    struct hf_slice rest; /* keys of a row */
};

static void write_value(struct hf_sessions_call *call, const struct hf_operation_result *result)
{
    struct hf_connection *connection = call->user;
    if (result->status != HF_OPERATION_OK) {
        hf_connection_write(connection, hf_slice_text(hf_operation_status_word(
                                            (enum hf_operation_status)result->status)));
    } else if (result->has_value) {
        struct hf_writer writer = hf_connection_writer(connection, result->value.size);
        hf_writer_slice(&writer, result->value);
        hf_connection_wrote(connection, &writer);
    }
    hf_connection_write(connection, HF_SLICE("\n"));
}

static struct hf_slice word(struct hf_slice *rest)
{
    const char *blank = rest->size > 0 ? memchr(rest->bytes, ' ', rest->size) : NULL;
    size_t size = blank ? (size_t)(blank - rest->bytes) : rest->size;
    struct hf_slice first = hf_slice(rest->bytes, size);
    size_t skipped = blank ? size + 1 : size;
    *rest = hf_slice(rest->bytes + skipped, rest->size - skipped);
    return first;
}

static enum hf_front_step submit(struct hf_connection *connection, struct hf_slice key,
                                 struct hf_operation operation)
{
    struct state *state = hf_connection_state(connection);
    state->call = (struct hf_sessions_call){
        .key = key, .operation = operation, .complete = write_value, .user = connection};
    return hf_connection_submit(connection, &state->call) ? HF_FRONT_DONE : HF_FRONT_WAIT;
}

static enum hf_front_step row(struct hf_connection *connection)
{
    struct state *state = hf_connection_state(connection);
    while (state->rest.size > 0) {
        struct hf_slice key = word(&state->rest);
        if (submit(connection, key, (struct hf_operation){.kind = HF_OPERATION_GET}) ==
            HF_FRONT_WAIT)
            return HF_FRONT_WAIT;
    }
    return HF_FRONT_DONE;
}

static enum hf_front_step write_big(struct hf_connection *connection, struct hf_slice text)
{
    uint64_t size = 0;
    assert_true(hf_slice_to_u64(text, &size));
    struct hf_writer writer = hf_connection_writer(connection, size);
    if (writer.room >= size) {
        memset(writer.out, 'x', size);
        writer.size = size;
    }
    hf_connection_wrote(connection, &writer);
    return HF_FRONT_DONE;
}

static enum hf_front_step authenticate(struct hf_connection *connection, struct hf_slice password)
{
    static const char *const answers[] = {"ok\n", "wrong\n", "enough\n"};
    enum hf_connection_auth verdict =
        hf_connection_authenticate(connection, HF_SLICE("default"), password);
    hf_connection_write(connection, hf_slice_text(answers[verdict]));
    return verdict == HF_CONNECTION_AUTH_CLOSE ? HF_FRONT_CLOSE : HF_FRONT_DONE;
}

static enum hf_front_step carry_out(struct hf_connection *connection, struct hf_slice line,
                                    size_t *used)
{
    struct state *state = hf_connection_state(connection);
    struct hf_slice verb = word(&line), key = word(&line);
    if (hf_slice_equal(verb, HF_SLICE("auth")))
        return authenticate(connection, key);
    if (!hf_connection_authenticated(connection)) {
        hf_connection_write(connection, HF_SLICE("auth first\n"));
        return HF_FRONT_DONE;
    }
    struct hf_operation set = {
        .kind = HF_OPERATION_SET, .value = line, .deadline_ms = HF_DEADLINE_NEVER};
    if (hf_slice_equal(verb, HF_SLICE("set")))
        return submit(connection, key, set);
    set.when = HF_OPERATION_IF_NEW;
    if (hf_slice_equal(verb, HF_SLICE("lock")))
        return submit(connection, key, set);
    if (hf_slice_equal(verb, HF_SLICE("unlock")))
        return submit(connection, key, (struct hf_operation){.kind = HF_OPERATION_DELETE});
    if (hf_slice_equal(verb, HF_SLICE("get")))
        return submit(connection, key, (struct hf_operation){.kind = HF_OPERATION_GET});
    if (hf_slice_equal(verb, HF_SLICE("big")))
        return write_big(connection, key);
    if (hf_slice_equal(verb, HF_SLICE("row"))) {
        state->rest = hf_slice(key.bytes, key.size + (line.size > 0 ? 1 + line.size : 0));
        return row(connection);
    }
    if (hf_slice_equal(verb, HF_SLICE("quit"))) {
        hf_connection_write(connection, HF_SLICE("bye\n"));
        return HF_FRONT_CLOSE;
    }
    uint64_t skipped = 0;
    assert_true(hf_slice_equal(verb, HF_SLICE("skip")) && hf_slice_to_u64(key, &skipped));
    *used += skipped;
    hf_connection_write(connection, HF_SLICE("dropped\n"));
    return HF_FRONT_DONE;
}

static enum hf_front_step feed(struct hf_connection *connection, struct hf_slice input,
                               size_t *ret_used)
{
    const char *end = memchr(input.bytes, '\n', input.size);
    if (end == NULL)
        return HF_FRONT_MORE;
    struct hf_slice line = hf_slice(input.bytes, (size_t)(end - input.bytes));
    *ret_used = line.size + 1;
    return carry_out(connection, line, ret_used);
}

static void note_close(struct hf_connection *connection)
{
    closes++;
}

static const struct hf_front lines = {
    .name = "lines",
    .state_size = sizeof(struct state),
    .shared_size = 16,
    .too_many = {"too many\n", 9},
    .feed = feed,
    .resume = row,
    .close = note_close,
};

/* ---- a backend that answers when it is told to ---- */

static bool slow;
static struct hf_sessions_call *held;
static unsigned abandoned;
static struct hf_sessions *fast; /* executes what was held */

static void hold(void *user, struct hf_sessions_call *call)
{
    if (slow) {
        assert_null(held);
        held = call;
        call->pending = call;
        return;
    }
    struct hf_bytes scratch = {0};
    const struct hf_operation_context context = {
        .store = rig.store,
        .scratch = &scratch,
        .write = {.now_ms = hf_sessions_now_ms(fast), .fresh = {1, 0, 1}}};
    struct hf_operation_result result;
    struct hf_store_change change;
    hf_operation_execute(&context, &call->operation, &result, &change);
    hf_sessions_complete(call, &result);
    hf_bytes_clear(NULL, &scratch);
}

static void forget(void *user, struct hf_sessions_call *call)
{
    assert_ptr_equal(held, call);
    held = NULL;
    abandoned++;
}

static void release(void)
{
    struct hf_sessions_call *call = held;
    assert_non_null(call);
    held = NULL;
    slow = false;
    hold(NULL, call);
}

/* ---- what is waited for ---- */

static bool nothing_is_open(void)
{
    return hf_door_counts(hf_testing_door())->open == 0;
}

static bool one_is_gone(void)
{
    return hf_door_counts(hf_testing_door())->open == CONNECTIONS - 1;
}

static bool is_quiet(void) /* no request in 20 turns */
{
    static uint64_t requests;
    static unsigned turns;
    uint64_t now = hf_door_counts(hf_testing_door())->requests;
    turns = now == requests ? turns + 1 : 0;
    requests = now;
    return turns > 20;
}

static bool a_call_is_held(void)
{
    return held != NULL;
}

static int set_up(void **state)
{
    hf_testing_rig_init(&rig);
    static const struct hf_sessions_backend backend = {"held", NULL, hold, forget};
    const struct hf_sessions_settings settings = {.store = rig.store,
                                                  .patterns = rig.patterns,
                                                  .hash_key = hf_testing_hash_key,
                                                  .backend = &backend};
    assert_int_equal(hf_sessions_new(&settings, &fast), 0);
    slow = false;
    held = NULL;
    closes = abandoned = 0;
    hf_testing_open_door((struct hf_door_settings){
        .front = &lines, .sessions = fast, .connections_max = CONNECTIONS});
    return 0;
}

static int tear_down(void **state)
{
    hf_testing_close_door();
    hf_sessions_free(&fast);
    hf_testing_rig_fini(&rig);
    return 0;
}

/* ---- clients ---- */

static int client(void)
{
    int fd = hf_testing_connect();
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static char answer[2 * BIG];
static size_t answer_size, answer_wanted;
static int answer_fd;
static bool answer_ended;

static bool is_answered(void)
{
    ssize_t got;
    while ((got = recv(answer_fd, answer + answer_size, sizeof(answer) - 1 - answer_size, 0)) > 0)
        answer_size += (size_t)got;
    answer_ended = got == 0 || (got < 0 && errno != EAGAIN);
    return answer_size >= answer_wanted || answer_ended;
}

/* Reads at least so many bytes, or to the end. */
static void await(int fd, size_t size)
{
    answer_size = 0;
    answer_wanted = size;
    answer_fd = fd;
    hf_testing_turn_until(is_answered);
    answer[answer_size] = '\0';
}

/* Sends all of it, turning the loop while the sockets are full. */
static void says(int fd, const char *text)
{
    while (*text) {
        ssize_t sent = send(fd, text, strlen(text), MSG_NOSIGNAL);
        assert_true(sent >= 0 || errno == EAGAIN);
        if (sent < 0)
            await(fd, 0);
        text += sent > 0 ? sent : 0;
    }
}

static void answers(int fd, const char *text, const char *wanted)
{
    says(fd, text);
    await(fd, strlen(wanted));
    assert_string_equal(answer, wanted);
}

static void ends(int fd)
{
    await(fd, SIZE_MAX);
    assert_int_equal(answer_size, 0);
    assert_true(answer_ended);
    close(fd);
}

/* ---- tests ---- */

static void requests_are_answered_in_order(void **state)
{
    int fd = client();
    answers(fd, "set a 1\nget a\nget b\nset a 2\nget a\n", "\n1\nmissing\n\n2\n");
    answers(fd, "row a b a\nget a\n", "2\nmissing\n2\n2\n");
    for (const char *at = "get a"; *at; at++) { /* byte by byte */
        const char one[] = {*at, '\0'};
        says(fd, one);
        await(fd, 0);
    }
    says(fd, "\n");
    await(fd, 2);
    assert_string_equal(answer, "2\n");
    assert_int_equal(hf_door_counts(hf_testing_door())->requests, 8);
    close(fd);
    hf_testing_turn_until(nothing_is_open);
    assert_int_equal(closes, 1);
}

static void nothing_is_executed_while_a_call_is_under_way(void **state)
{
    int fd = client();
    slow = true;
    says(fd, "set a 1\nget a\nrow a a\n");
    hf_testing_turn_until(a_call_is_held);
    assert_int_equal(held->operation.kind, HF_OPERATION_SET);
    assert_true(hf_slice_equal(held->operation.value, HF_SLICE("1"))); /* the input stays */
    says(fd, "get b\n");
    await(fd, 0);
    release();
    await(fd, strlen("\n1\n1\n1\nmissing\n"));
    assert_string_equal(answer, "\n1\n1\n1\nmissing\n");
    slow = true;
    says(fd, "row a b a\n"); /* each in turn */
    for (unsigned i = 0; i < 3; i++) {
        hf_testing_turn_until(a_call_is_held);
        release();
        slow = true;
    }
    await(fd, strlen("1\nmissing\n1\n"));
    assert_string_equal(answer, "1\nmissing\n1\n");
    slow = false;
    close(fd);
}

static void a_client_that_goes_away_abandons_its_call(void **state)
{
    const struct linger at_once = {.l_onoff = 1};
    int fd = client();
    slow = true;
    says(fd, "get a\n");
    hf_testing_turn_until(a_call_is_held);
    hf_door_cut(hf_testing_door());
    assert_int_equal(abandoned, 1);
    ends(fd);
    fd = client();
    says(fd, "get a\n");
    hf_testing_turn_until(a_call_is_held);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd); /* a reset: found out when the answer is sent */
    release();
    hf_testing_turn_until(nothing_is_open);
}

/* Behind a stop only who still waits is served. */
static void who_hung_up_while_the_process_was_stopped_is_not_served(void **state)
{
    int gone = client(), waiting = client();
    hf_testing_door()->settings.shared = true;
    answers(gone, "get a\n", "missing\n");
    says(gone, "set a 1\n");
    says(waiting, "set b 2\n");
    close(gone);
    poll(NULL, 0, HF_LOOP_STOPPED_MS + 100); /* more than the timer's millisecond and rounding */
    await(waiting, strlen("\n"));
    assert_int_equal(hf_door_counts(hf_testing_door())->forsaken, 1);
    answers(waiting, "get a\n", "missing\n");
    answers(waiting, "get b\n", "2\n");
    close(waiting);
    hf_testing_turn_until(nothing_is_open);
}

static void large_requests_and_answers_pass(void **state)
{
    int fd = client();
    static char request[BIG];
    memset(request, 'v', sizeof(request));
    memcpy(request, "set a ", 6);
    request[BIG - 1] = '\n';
    for (size_t sent = 0; sent < BIG;) {
        ssize_t got = send(fd, request + sent, BIG - sent, MSG_NOSIGNAL);
        if (got > 0)
            sent += (size_t)got;
        else
            await(fd, 0);
    }
    await(fd, 1);
    assert_string_equal(answer, "\n");
    says(fd, "get a\n");
    await(fd, BIG - 6);
    assert_int_equal(answer_size, BIG - 6);
    assert_memory_equal(answer, request + 6, BIG - 7);
    answers(fd, "skip 5\nxxxxxget b\n", "dropped\nmissing\n");
    says(fd, "skip 100000\n");
    await(fd, 8);
    for (unsigned i = 0; i < 1000; i++) {
        static const char junk[101] =
            "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234"
            "567890123456789";
        says(fd, junk);
    }
    answers(fd, "get b\n", "missing\n");
    close(fd);
}

static void who_does_not_read_is_not_served_further(void **state)
{
    enum { REQUESTS = 40, PIECE = 262144 };
    int fd = client();
    for (unsigned i = 0; i < REQUESTS; i++)
        says(fd, "big 262144\n");
    says(fd, "set a 1\n");
    hf_testing_turn_until(is_quiet);
    assert_true(hf_door_counts(hf_testing_door())->requests <
                REQUESTS); /* the rest waits in sockets */
    for (size_t left = (size_t)REQUESTS * PIECE + 1; left > 0; left -= answer_size) {
        await(fd, 1);
        assert_true(answer_size > 0 && answer_size <= left);
    }
    assert_int_equal(hf_door_counts(hf_testing_door())->requests, REQUESTS + 1);
    close(fd);
}

static void more_than_the_limit_are_told(void **state)
{
    int fds[CONNECTIONS];
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        fds[i] = client();
        answers(fds[i], "get a\n", "missing\n");
    }
    int fd = client();
    await(fd, 9);
    assert_string_equal(answer, "too many\n");
    close(fd);
    assert_int_equal(hf_door_counts(hf_testing_door())->refused, 1);
    close(fds[0]);
    hf_testing_turn_until(one_is_gone);
    fd = client();
    answers(fd, "quit\nget a\n", "bye\n");
    ends(fd);
    for (unsigned i = 1; i < CONNECTIONS; i++)
        close(fds[i]);
}

static void a_password_is_asked_for(void **state)
{
    hf_door_set_password(hf_testing_door(), HF_SLICE("secret"));
    int fd = client();
    answers(fd, "get a\nauth wrong\nauth secret\nget a\n", "auth first\nwrong\nok\nmissing\n");
    close(fd);
    fd = client();
    for (unsigned i = 1; i < HF_CONNECTION_AUTH_FAILURES_MAX; i++)
        answers(fd, "auth x\n", "wrong\n");
    answers(fd, "auth x\n", "enough\n");
    ends(fd);
    assert_int_equal(hf_door_counts(hf_testing_door())->auth_failures,
                     HF_CONNECTION_AUTH_FAILURES_MAX + 1);
}

static void locks_end_with_their_connection(void **state)
{
    int first = client(), second = client();
    answers(first, "lock sess:7 x\n", "\n"); /* no lock: a value */
    answers(first,
            "lock PHPREDIS_SESSION:7_LOCK me\nlock PHPREDIS_SESSION:8_LOCK me\n"
            "lock PHPREDIS_SESSION:9_LOCK me\nunlock PHPREDIS_SESSION:9_LOCK\n",
            "\n\n\n\n");
    answers(second, "lock PHPREDIS_SESSION:9_LOCK you\nset PHPREDIS_SESSION:8_LOCK you\n", "\n\n");
    close(first);
    while (hf_door_counts(hf_testing_door())->open > 1)
        await(second, 0);
    answers(second,
            "row PHPREDIS_SESSION:7_LOCK PHPREDIS_SESSION:8_LOCK PHPREDIS_SESSION:9_LOCK "
            "sess:7\n",
            "missing\nyou\nyou\nx\n");
    close(second);
}

static void a_stopped_door_answers_what_was_asked(void **state)
{
    int idle = client(), busy = client();
    answers(idle, "get a\n", "missing\n");
    slow = true;
    says(busy, "get a\nget b\n");
    hf_testing_turn_until(a_call_is_held);
    hf_door_stop(hf_testing_door(), hf_testing_note_emptied, NULL);
    ends(idle);
    assert_false(hf_testing_is_emptied());
    release();
    await(busy, strlen("missing\nmissing\n"));
    assert_string_equal(answer, "missing\nmissing\n");
    ends(busy);
    hf_testing_turn_until(hf_testing_is_emptied);
    hf_door_free(&hf_testing_doorstep.door);
}

static void an_address_has_one_door(void **state)
{
    struct hf_door *second = NULL;
    struct hf_door_settings settings = {.front = &lines,
                                        .sessions = fast,
                                        .bind = *hf_door_address(hf_testing_door()),
                                        .connections_max = 1};
    assert_int_equal(hf_door_new(hf_testing_doorstep.loop, &settings, &second), -EADDRINUSE);
    assert_null(second);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(requests_are_answered_in_order),
        TEST(nothing_is_executed_while_a_call_is_under_way),
        TEST(a_client_that_goes_away_abandons_its_call),
        TEST(who_hung_up_while_the_process_was_stopped_is_not_served),
        TEST(large_requests_and_answers_pass),
        TEST(who_does_not_read_is_not_served_further),
        TEST(more_than_the_limit_are_told),
        TEST(a_password_is_asked_for),
        TEST(locks_end_with_their_connection),
        TEST(a_stopped_door_answers_what_was_asked),
        TEST(an_address_has_one_door),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
