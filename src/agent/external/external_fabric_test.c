/* The backend on a real fabric, of which one node lives, before a store that does not answer, or is
 * not there. What a store answers is tested by tests/system/test_agent_external_peers.py. */
#include "agent/external/external_fabric.h"
#include "agent/testing.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DIRTY_MAX = 3, PATIENCE_MS = 10000, STEP_MS = 5 };

static struct hf_loop *loop;
static struct hf_store *store;
static struct hf_pattern_table *patterns;
static struct hf_rank rank;
static struct hf_replicated *replicated;
static struct hf_sessions *sessions;
static struct hf_external_fabric *fabric;
static struct hf_timer step;
static int listener; /* takes connections, reads nothing; -1: nobody listens */
static bool (*wanted)(void);
static uint64_t deadline_ms;

struct asked {
    struct hf_sessions_call call;
    bool done;
    enum hf_operation_status status;
};

/* ---- turns ---- */

static void stepped(struct hf_timer *timer)
{
    uint64_t now_ms = hf_loop_now_ms(loop);
    hf_replicated_tick(replicated, now_ms);
    hf_sessions_set_time(sessions, now_ms, HF_TESTING_WALL_MS);
    if (wanted() || now_ms >= deadline_ms)
        hf_loop_stop(loop);
    hf_timer_set(hf_loop_timers(loop), timer, now_ms + STEP_MS);
}

static void turn_end(void *argument)
{
    if (fabric != NULL)
        hf_outbox_turn(hf_external_fabric_outbox(fabric));
}

static void run_until(bool (*condition)(void))
{
    wanted = condition;
    deadline_ms = hf_clock_monotonic_ms() + PATIENCE_MS;
    hf_loop_run(loop);
    assert_true(condition());
}

static bool is_ready(void)
{
    return hf_fabric_ready(hf_replicated_fabric(replicated));
}

static bool is_away(void)
{
    return hf_remote_is_open(hf_external_fabric_remote(fabric));
}

static const struct hf_external_counts *counts(void)
{
    return hf_outbox_counts(hf_external_fabric_outbox(fabric));
}

/* ---- beginning and ending ---- */

static struct hf_address listen_somewhere(bool answers)
{
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(place);
    struct hf_address address;
    char text[64];
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&place, size), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&place, &size), 0);
    if (answers)
        assert_int_equal(listen(listener, 8), 0);
    snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(place.sin_port));
    assert_int_equal(hf_address_parse(hf_slice_text(text), &address), 0);
    return address;
}

static void make_node(void)
{
    const struct hf_pattern strict = {HF_SLICE("once:{id}"), false, HF_PATTERN_TOMB_STRICT};
    const struct hf_store_options options = {.memory = HF_TESTING_MEMORY,
                                             .grace_ms = HF_FABRIC_GRACE_MS,
                                             .hash_key = "agent-testing-k",
                                             .now_ms = hf_loop_now_ms(loop)};
    unsigned bad;
    assert_int_equal(hf_pattern_table_new(&strict, 1, &patterns, &bad), 0);
    assert_int_equal(hf_store_new(&options, &store), 0);
    const struct hf_replicated_settings settings = {.store = store,
                                                    .hash_key = hf_testing_hash_key,
                                                    .rank = &rank,
                                                    .fabric = {.backups = 1,
                                                               .incarnation = 1,
                                                               .epoch_floor = 1,
                                                               .activities_max = 100,
                                                               .queue_size_max = 1 << 20,
                                                               .image_size_max = 1 << 20},
                                                    .calls_max = 64};
    assert_int_equal(hf_replicated_new(&settings, hf_loop_now_ms(loop), &replicated), 0);
    struct hf_sessions_backend backend = hf_replicated_backend(replicated);
    const struct hf_sessions_settings service = {.store = store,
                                                 .patterns = patterns,
                                                 .hash_key = hf_testing_hash_key,
                                                 .backend = &backend,
                                                 .memory = HF_TESTING_MEMORY};
    assert_int_equal(hf_sessions_new(&service, &sessions), 0);
}

static void set_up(bool answers)
{
    static const struct hf_slice names[] = {{"a", 1}, {"b", 1}};
    assert_int_equal(hf_loop_new(&loop), 0);
    assert_int_equal(hf_rank_init(&rank, names, 2), 0);
    make_node();
    hf_fabric_link_down(hf_replicated_fabric(replicated), 1, true, hf_loop_now_ms(loop));
    step.expired = stepped;
    hf_timer_set(hf_loop_timers(loop), &step, hf_loop_now_ms(loop) + STEP_MS);
    run_until(is_ready);
    struct hf_address address = listen_somewhere(answers);
    const struct hf_external_fabric_settings settings = {
        .outbox = {.loop = loop,
                   .store = store,
                   .sessions = sessions,
                   .replicated = replicated,
                   .hash_key = hf_testing_hash_key,
                   .memory = HF_TESTING_MEMORY,
                   .dirty_max = DIRTY_MAX},
        .remote = {.kind = HF_STORE_URL_REDIS, .addresses = &address, .address_count = 1}};
    assert_int_equal(hf_external_fabric_new(&settings, &fabric), 0);
    hf_sessions_set_backend(sessions, hf_external_fabric_backend(fabric));
    hf_loop_set_turn_end(loop, turn_end, NULL);
}

static int set_up_silent(void **state)
{
    set_up(true);
    return 0;
}

static int set_up_away(void **state)
{
    set_up(false);
    run_until(is_away);
    return 0;
}

static int tear_down(void **state)
{
    hf_sessions_set_backend(sessions, NULL);
    hf_external_fabric_free(&fabric);
    hf_timer_cancel(hf_loop_timers(loop), &step);
    hf_replicated_free(&replicated);
    hf_sessions_free(&sessions);
    hf_store_free(&store);
    hf_pattern_table_free(&patterns);
    hf_loop_free(&loop);
    close(listener);
    return 0;
}

/* ---- asking ---- */

static void completed(struct hf_sessions_call *call, const struct hf_operation_result *result)
{
    struct asked *asked = call->user;
    asked->done = true;
    asked->status = (enum hf_operation_status)result->status;
}

static struct asked *now_asked;

static bool is_done(void)
{
    return now_asked->done;
}

static void start(struct asked *asked, const char *key, const struct hf_operation *operation)
{
    *asked = (struct asked){.call = {.key = hf_slice_text(key),
                                     .operation = *operation,
                                     .complete = completed,
                                     .user = asked}};
    hf_sessions_submit(sessions, &asked->call);
}

static enum hf_operation_status ask(const char *key, const struct hf_operation *operation)
{
    struct asked asked;
    start(&asked, key, operation);
    now_asked = &asked;
    run_until(is_done);
    return asked.status;
}

static const struct hf_operation set = {
    .kind = HF_OPERATION_SET, .value = {"v", 1}, .deadline_ms = HF_DEADLINE_NEVER};
static const struct hf_operation set_new = {.kind = HF_OPERATION_SET,
                                            .when = HF_OPERATION_IF_NEW,
                                            .value = {"v", 1},
                                            .deadline_ms = HF_DEADLINE_NEVER};
static const struct hf_operation get = {.kind = HF_OPERATION_GET, .flags = HF_OPERATION_STARTS};
static const struct hf_operation delete = {.kind = HF_OPERATION_DELETE};
static const struct hf_operation adopt = {.kind = HF_OPERATION_GET, .flags = HF_OPERATION_ADOPTS};

/* ---- tests ---- */

static void so_many_keys_are_owed_and_no_more(void **state)
{
    assert_int_equal(ask("sess:1", &set), HF_OPERATION_OK);
    assert_int_equal(ask("sess:2", &set), HF_OPERATION_OK);
    assert_int_equal(ask("sess:3", &set_new), HF_OPERATION_OK);
    assert_int_equal(counts()->dirty, DIRTY_MAX);
    assert_int_equal(ask("sess:4", &set), HF_OPERATION_FULL);
    assert_int_equal(ask("sess:5", &set_new), HF_OPERATION_FULL);
    assert_int_equal(counts()->refused, 2);
    assert_int_equal(ask("sess:2", &set), HF_OPERATION_OK);
    assert_int_equal(ask("sess:3", &get), HF_OPERATION_OK);
    assert_int_equal(counts()->dirty, DIRTY_MAX);
    assert_int_equal(counts()->kept, 3); /* the second one changed nothing */
}

static void a_miss_is_not_known_while_the_store_is_away(void **state)
{
    const struct hf_operation more = {
        .kind = HF_OPERATION_ADD, .flags = HF_OPERATION_CREATE, .amount = 1};
    assert_int_equal(ask("sess:1", &get), HF_OPERATION_UNSURE);
    assert_int_equal(ask("sess:1", &delete), HF_OPERATION_UNSURE);
    assert_int_equal(ask("sess:1", &more), HF_OPERATION_UNSURE);
    assert_int_equal(counts()->unsure, 3);
    assert_int_equal(ask("sess:1", &set_new), HF_OPERATION_OK);
    assert_int_equal(ask("sess:1", &set_new), HF_OPERATION_EXISTS);
    assert_int_equal(ask("sess:1", &delete), HF_OPERATION_OK);
    assert_int_equal(ask("sess:1", &get), HF_OPERATION_MISSING); /* its delete is known */
}

static void nothing_is_adopted_over_a_delete(void **state)
{
    assert_int_equal(ask("PHPREDIS_SESSION:1", &set), HF_OPERATION_OK);
    assert_int_equal(ask("PHPREDIS_SESSION:1_LOCK", &set), HF_OPERATION_OK);
    assert_int_equal(ask("PHPREDIS_SESSION:1_LOCK", &adopt), HF_OPERATION_OK);
    assert_int_equal(ask("PHPREDIS_SESSION:1_LOCK", &delete), HF_OPERATION_OK);
    assert_int_equal(ask("PHPREDIS_SESSION:1_LOCK", &adopt), HF_OPERATION_DROPPED);
    assert_int_equal(ask("PHPREDIS_SESSION:1_LOCK", &get), HF_OPERATION_MISSING);
    assert_int_equal(counts()->unsure, 0); /* the owner knows it */
    assert_int_equal(ask("PHPREDIS_SESSION:1_LOCK", &set_new), HF_OPERATION_OK);
    assert_int_equal(ask("PHPREDIS_SESSION:1", &delete), HF_OPERATION_OK);
    assert_int_equal(ask("PHPREDIS_SESSION:1", &get), HF_OPERATION_MISSING);
    assert_int_equal(ask("PHPREDIS_SESSION:1", &set), HF_OPERATION_OK);
}

static void a_session_ends_with_all_its_keys(void **state)
{
    assert_int_equal(ask("once:1", &set), HF_OPERATION_OK);
    assert_int_equal(ask("1", &set), HF_OPERATION_OK); /* its id alone */
    assert_int_equal(ask("once:1", &delete), HF_OPERATION_OK);
    assert_int_equal(counts()->dirty, 2);
    assert_int_equal(ask("1", &get), HF_OPERATION_MISSING);
    assert_int_equal(ask("once:1", &set), HF_OPERATION_DROPPED);
}

static struct asked held;

static bool is_held_over(void)
{
    return held.done;
}

static void a_store_that_does_not_answer_is_not_waited_for_long(void **state)
{
    start(&held, "sess:1", &set);
    assert_false(held.done);
    uint64_t begun_ms = hf_clock_monotonic_ms();
    run_until(is_held_over);
    assert_int_equal(held.status, HF_OPERATION_OK);
    /* It counts from the turn of the loop, which may have begun long before. */
    assert_true(hf_clock_monotonic_ms() - begun_ms >= HF_OUTBOX_HOLD_MS / 2);
    assert_int_equal(counts()->dirty, 1);
    assert_int_equal(counts()->kept, 1);
    assert_int_equal(ask("sess:1", &get), HF_OPERATION_OK);
}

static void what_is_held_or_asked_is_answered_in_the_end(void **state)
{
    struct asked asked;
    start(&held, "sess:1", &set);
    start(&asked, "sess:2", &get);
    hf_sessions_set_backend(sessions, NULL);
    hf_external_fabric_free(&fabric);
    assert_true(held.done && asked.done);
    assert_int_equal(held.status, HF_OPERATION_OK);
    assert_int_equal(asked.status, HF_OPERATION_UNSURE);
}

static void what_was_abandoned_is_not_touched(void **state)
{
    struct asked *asked = calloc(2, sizeof(*asked));
    start(&asked[0], "sess:1", &set);
    start(&asked[1], "sess:2", &get);
    hf_sessions_abandon(&asked[0].call);
    hf_sessions_abandon(&asked[1].call);
    free(asked);
    run_until(is_away);
    assert_int_equal(ask("sess:1", &get), HF_OPERATION_OK); /* it happened */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(so_many_keys_are_owed_and_no_more, set_up_away, tear_down),
        cmocka_unit_test_setup_teardown(a_miss_is_not_known_while_the_store_is_away, set_up_away,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_adopted_over_a_delete, set_up_away, tear_down),
        cmocka_unit_test_setup_teardown(a_session_ends_with_all_its_keys, set_up_away, tear_down),
        cmocka_unit_test_setup_teardown(a_store_that_does_not_answer_is_not_waited_for_long,
                                        set_up_silent, tear_down),
        cmocka_unit_test_setup_teardown(what_is_held_or_asked_is_answered_in_the_end, set_up_silent,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_was_abandoned_is_not_touched, set_up_silent,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
