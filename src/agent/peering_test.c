/* Agents among peers, over real sockets: each on a loop of its own, whose turns the test gives them
 * one after the other. */
#include "agent/peering.h"
#include "agent/testing.h"
#include "base/clock.h"
#include "fabric/links.h"
#include "fabric/teller.h"
#include "net/listener.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NODES = 3, SESSIONS = 40, TEXT_MAX = 64, DEADLINE_MS = 20000, TURN_MS = 1 };

struct node {
    struct hf_loop *loop;
    struct hf_timer turn;
    struct hf_agent_config config;
    struct hf_agent_peer peers[NODES];
    struct hf_store *store;
    struct hf_sessions *sessions;
    struct hf_peering *peering;
    unsigned left;
};

struct asked { /* a call and what came of it */
    struct hf_sessions_call call;
    char key[TEXT_MAX], value[TEXT_MAX];
    unsigned completions, status;
};

static const char *const names[NODES] = {"app1", "app2", "app3"};
static struct node nodes[NODES];
static struct hf_address addresses[NODES];
static struct hf_pattern_table *patterns;
static struct hf_buffer_pool buffers;
static struct hf_teller *teller; /* a proxy; on the first node's loop */
static unsigned known_count;
static uint8_t knowledge;

/* ---- turns ---- */

static void turn_over(struct hf_timer *timer)
{
    hf_loop_stop(hf_container_of(timer, struct node, turn)->loop);
}

static void give_turns(void)
{
    for (unsigned i = 0; i < NODES; i++) {
        struct node *node = &nodes[i];
        if (node->loop == NULL)
            continue;
        hf_timer_set(hf_loop_timers(node->loop), &node->turn, hf_loop_now_ms(node->loop) + TURN_MS);
        hf_loop_run(node->loop);
        if (node->peering != NULL)
            hf_peering_publish(node->peering);
    }
}

typedef bool (*done_fn)(void);

static void until(done_fn done)
{
    uint64_t end_ms = hf_clock_monotonic_ms() + DEADLINE_MS;
    while (!done()) {
        assert_true(hf_clock_monotonic_ms() < end_ms);
        give_turns();
    }
}

/* ---- nodes ---- */

static void dropped(void *user, enum hf_store_drop why, struct hf_slice id,
                    enum hf_record_state state, struct hf_version version)
{
    struct node *node = user;
    if (node->peering != NULL)
        hf_peering_dropped(node->peering, why, id, state, version);
}

static void configure(unsigned number)
{
    struct node *node = &nodes[number];
    for (unsigned i = 0; i < NODES; i++)
        node->peers[i] = (struct hf_agent_peer){(char *)names[i], addresses[i]};
    node->config = (struct hf_agent_config){
        .replication = {
            .on = true, .peers = node->peers, .peer_count = NODES, .self = number, .backups = 1}};
}

static int make_peering(unsigned number, char told[HF_PEERING_TEXT_MAX])
{
    struct node *node = &nodes[number];
    const struct hf_store_options options = {.memory = HF_TESTING_MEMORY,
                                             .grace_ms = HF_FABRIC_GRACE_MS,
                                             .hash_key = "agent-testing-k",
                                             .now_ms = hf_clock_monotonic_ms(),
                                             .dropped = dropped,
                                             .user = node};
    const struct hf_peering_settings settings = {&node->config, NULL, hf_testing_hash_key};
    struct hf_peering_settings whole = settings;
    node->turn.expired = turn_over;
    assert_int_equal(hf_loop_new(&node->loop), 0);
    assert_int_equal(hf_store_new(&options, &node->store), 0);
    whole.store = node->store;
    int result = hf_peering_new(node->loop, &whole, &node->peering, told);
    if (result < 0)
        return result;
    struct hf_sessions_backend backend = hf_peering_backend(node->peering);
    const struct hf_sessions_settings sessions = {.store = node->store,
                                                  .patterns = patterns,
                                                  .hash_key = hf_testing_hash_key,
                                                  .backend = &backend,
                                                  .memory = HF_TESTING_MEMORY};
    assert_int_equal(hf_sessions_new(&sessions, &node->sessions), 0);
    return hf_peering_open(node->peering, node->sessions, told);
}

static void start_node(unsigned number)
{
    char told[HF_PEERING_TEXT_MAX];
    configure(number);
    assert_int_equal(make_peering(number, told), 0);
}

/* As agent.c ends: closed in one turn, freed after it. */
static void stop_node(unsigned number)
{
    struct node *node = &nodes[number];
    if (node->loop == NULL)
        return;
    if (node->peering != NULL)
        hf_peering_close(node->peering);
    hf_loop_free(&node->loop);
    hf_peering_free(&node->peering);
    hf_sessions_free(&node->sessions);
    hf_store_free(&node->store);
    *node = (struct node){0};
}

static int set_up(void **state)
{
    unsigned bad;
    memset(nodes, 0, sizeof(nodes));
    known_count = 0;
    assert_int_equal(hf_pattern_table_new(NULL, 0, &patterns, &bad), 0);
    hf_buffer_pool_init(&buffers, 4, 2);
    for (unsigned i = 0; i < NODES; i++) {
        assert_int_equal(hf_address_parse(HF_SLICE("127.0.0.1:0"), &addresses[i]), 0);
        int fd = hf_listen(&addresses[i]);
        assert_true(fd >= 0);
        assert_int_equal(getsockname(fd, &addresses[i].any, &addresses[i].size), 0);
        close(fd);
    }
    return 0;
}

static int tear_down(void **state)
{
    hf_teller_free(&teller);
    for (unsigned i = 0; i < NODES; i++)
        stop_node(i);
    hf_buffer_pool_fini(&buffers);
    hf_pattern_table_free(&patterns);
    return 0;
}

static bool all_joined(void)
{
    for (unsigned i = 0; i < NODES; i++) {
        const struct hf_peering *peering = nodes[i].peering;
        if (!hf_peering_ready(peering) || !hf_peering_complete(peering))
            return false;
        for (unsigned peer = 0; peer < NODES; peer++)
            if (hf_peering_linked(peering, peer) == (peer == i))
                return false;
    }
    return true;
}

static void start_all(void)
{
    for (unsigned i = 0; i < NODES; i++)
        start_node(i);
    until(all_joined);
}

/* ---- sessions ---- */

static struct asked asked;

static void completed(struct hf_sessions_call *call, const struct hf_operation_result *result)
{
    asked.completions++;
    asked.status = result->status;
    snprintf(asked.value, sizeof(asked.value), "%.*s", (int)result->value.size,
             result->value.size > 0 ? result->value.bytes : "");
}

static bool answered(void)
{
    return asked.completions == 1;
}

static unsigned ask(unsigned number, unsigned session, const struct hf_operation *operation)
{
    struct node *node = &nodes[number];
    asked = (struct asked){.call = {.operation = *operation, .complete = completed}};
    snprintf(asked.key, sizeof(asked.key), "s%u", session);
    asked.call.key = hf_slice_text(asked.key);
    hf_sessions_submit(node->sessions, &asked.call);
    until(answered);
    return asked.status;
}

static void set(unsigned number, unsigned session, const char *value)
{
    const struct hf_operation setting = {.kind = HF_OPERATION_SET,
                                         .value = hf_slice_text(value),
                                         .deadline_ms = hf_clock_monotonic_ms() + 600000};
    assert_int_equal(ask(number, session, &setting), HF_OPERATION_OK);
}

static void get_is(unsigned number, unsigned session, const char *value)
{
    static const struct hf_operation getting = {.kind = HF_OPERATION_GET,
                                                .flags = HF_OPERATION_STARTS};
    assert_int_equal(ask(number, session, &getting), HF_OPERATION_OK);
    assert_string_equal(asked.value, value);
}

static uint64_t owned(unsigned number)
{
    struct hf_store_stats stats;
    hf_sessions_stats(nodes[number].sessions, &stats);
    return stats.records[HF_RECORD_OWNER];
}

static void fill_first(void)
{
    for (unsigned i = 0; i < SESSIONS; i++)
        set(0, i, "kept");
    assert_int_equal(owned(0), SESSIONS);
}

static bool others_own_all(void)
{
    return owned(0) == 0 && owned(1) + owned(2) == SESSIONS;
}

/* ---- tests ---- */

static void an_address_that_is_taken_is_told(void **state)
{
    char told[HF_PEERING_TEXT_MAX];
    int fd = hf_listen_alone(&addresses[0]);
    assert_true(fd >= 0);
    configure(0);
    assert_int_equal(make_peering(0, told), -EADDRINUSE);
    assert_non_null(strstr(told, "peer: cannot listen on 127.0.0.1:"));
    assert_non_null(strstr(told, "choose another port"));
    close(fd);
}

static void addresses_off_loopback_want_a_key(void **state)
{
    char told[HF_PEERING_TEXT_MAX];
    struct node *node = &nodes[0];
    configure(0);
    assert_int_equal(hf_address_parse(HF_SLICE("192.0.2.1:7401"), &node->peers[1].address), 0);
    assert_int_equal(make_peering(0, told), -EPERM);
    assert_null(node->peering);
    assert_non_null(strstr(told, "the links to the peers cannot be made"));
}

static void what_one_was_told_all_serve(void **state)
{
    start_all();
    set(0, 1, "first");
    get_is(1, 1, "first");
    set(1, 1, "second");
    get_is(2, 1, "second");
    get_is(0, 1, "second");
    assert_int_equal(owned(0) + owned(1) + owned(2), 1);
    assert_false(hf_peering_drains(nodes[0].peering));
}

static void left(void *user)
{
    struct node *node = user;
    node->left++;
}

static bool first_left(void)
{
    return nodes[0].left > 0;
}

static void who_leaves_hands_all_over(void **state)
{
    start_all();
    fill_first();
    hf_peering_leave(nodes[0].peering, left, &nodes[0]);
    until(first_left);
    assert_int_equal(nodes[0].left, 1);
    until(others_own_all);
    assert_false(hf_peering_ready(nodes[0].peering));
    stop_node(0);
    for (unsigned i = 0; i < SESSIONS; i++)
        get_is(1 + i % 2, i, "kept");
}

static bool first_is_ready(void)
{
    return hf_peering_ready(nodes[0].peering);
}

static void who_is_alone_leaves_at_once(void **state)
{
    start_node(0);
    until(first_is_ready); /* nobody listens at the others' */
    fill_first();
    uint64_t begun_ms = hf_clock_monotonic_ms();
    hf_peering_leave(nodes[0].peering, left, &nodes[0]);
    until(first_left);
    assert_true(hf_clock_monotonic_ms() - begun_ms < HF_PEERING_LEAVE_MS);
}

static bool first_is_joined_by_one(void)
{
    return hf_peering_ready(nodes[0].peering) && hf_peering_linked(nodes[0].peering, 1);
}

/* Its end is not told once more when it is cut short. */
static void closed_means_closed(void **state)
{
    start_node(0);
    start_node(1);
    until(first_is_joined_by_one);
    fill_first();
    hf_peering_leave(nodes[0].peering, left, &nodes[0]);
    hf_peering_close(nodes[0].peering);
    hf_peering_close(nodes[0].peering); /* harmless */
    for (unsigned i = 0; i < 20; i++)
        give_turns();
    assert_int_equal(nodes[0].left, 0);
    assert_false(hf_peering_linked(nodes[0].peering, 1));
}

static void told(void *user, const struct hf_teller_words *words,
                 const struct hf_teller_words *before)
{
}

static void failed(void *user, const char *why, bool refused)
{
    fail_msg("%s", why);
}

static void known(void *user, uint8_t tag, uint8_t what)
{
    known_count++;
    knowledge = what;
}

static void start_proxy(unsigned agent)
{
    const struct hf_teller_host host = {NULL, told, failed, known};
    hf_teller_free(&teller);
    give_turns(); /* its memory goes at the end of one */
    assert_int_equal(
        hf_teller_new(nodes[0].loop, &buffers, &addresses[agent], NULL, &host, &teller), 0);
}

static bool first_drains(void)
{
    return hf_peering_drains(nodes[0].peering);
}

static bool first_drains_no_more(void)
{
    return !hf_peering_drains(nodes[0].peering);
}

static void a_drained_one_owns_nothing_and_serves(void **state)
{
    const struct hf_teller_words drain = {.drains = true}, go_on = {0};
    start_all();
    fill_first();
    start_proxy(0);
    assert_int_equal(hf_teller_say(teller, &drain), 0);
    until(first_drains);
    for (unsigned i = 0; i < SESSIONS; i += 2) /* while they go */
        set(0, i, "more");
    until(others_own_all);
    for (unsigned i = 0; i < SESSIONS; i++)
        get_is(0, i, i % 2 == 0 ? "more" : "kept");
    assert_true(others_own_all()); /* to be asked is no reason to get them back */
    assert_true(hf_peering_ready(nodes[0].peering));
    assert_int_equal(hf_teller_say(teller, &go_on), 0);
    until(first_drains_no_more);
    for (unsigned i = 0; i < SESSIONS; i++)
        get_is(0, i, i % 2 == 0 ? "more" : "kept");
    assert_int_equal(owned(0), SESSIONS);
}

static bool first_owns_none(void)
{
    return owned(0) == 0;
}

/* What is made anew at a drained one goes, too, in its time. */
static void new_sessions_of_a_drained_one_go_too(void **state)
{
    const struct hf_teller_words drain = {.drains = true};
    start_all();
    start_proxy(0);
    assert_int_equal(hf_teller_say(teller, &drain), 0);
    until(first_drains);
    for (unsigned i = 0; i < SESSIONS; i++)
        set(0, i, "new");
    until(first_owns_none);
    for (unsigned i = 0; i < SESSIONS; i++)
        get_is(0, i, "new");
}

static bool all_known(void)
{
    return known_count == 1;
}

static unsigned knows(unsigned agent, unsigned session)
{
    char id[TEXT_MAX];
    start_proxy(agent);
    snprintf(id, sizeof(id), "s%u", session);
    known_count = 0;
    hf_teller_ask(teller, hf_slice_text(id), 0);
    until(all_known);
    return knowledge;
}

static void it_is_known_where_a_session_comes_from(void **state)
{
    start_all();
    set(0, 1, "made here");
    assert_int_equal(knows(0, 1), HF_FABRIC_KNOWS_NEW);
    assert_int_equal(knows(1, 1), HF_FABRIC_KNOWS_NOTHING);
    assert_int_equal(owned(0), 1); /* to ask moves nothing */
    get_is(1, 1, "made here");
    assert_int_equal(knows(1, 1), HF_FABRIC_KNOWS_OLD);
    assert_int_equal(knows(0, 1), HF_FABRIC_KNOWS_NOTHING);
    assert_int_equal(knows(2, 7), HF_FABRIC_KNOWS_NOTHING);
}

int main(void)
{
#define PEERING_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        PEERING_TEST(an_address_that_is_taken_is_told),
        PEERING_TEST(addresses_off_loopback_want_a_key),
        PEERING_TEST(what_one_was_told_all_serve),
        PEERING_TEST(who_leaves_hands_all_over),
        PEERING_TEST(who_is_alone_leaves_at_once),
        PEERING_TEST(closed_means_closed),
        PEERING_TEST(a_drained_one_owns_nothing_and_serves),
        PEERING_TEST(new_sessions_of_a_drained_one_go_too),
        PEERING_TEST(it_is_known_where_a_session_comes_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
