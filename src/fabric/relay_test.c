#include "base/test.h"
#include "fabric/internal.h"

/* What a home sends on to an owner, and whom it tells what when that owner ends first. */

enum { SELF, OWNER, ASKER, NODES, START_MS = 1000, THEIR_MS = 70000 };

static struct hf_rank rank;
static struct hf_fabric *fabric;
static char out[2 * HF_WIRE_FRAME_MAX];

static void on_wake(void *user, unsigned peer)
{
}

static int set_up(void **state)
{
    static const struct hf_slice names[NODES] = {HF_SLICE("a"), HF_SLICE("b"), HF_SLICE("c")};
    assert_int_equal(hf_rank_init(&rank, names, NODES), 0);
    fabric = test_calloc(1, sizeof(*fabric));
    fabric->rank = &rank;
    fabric->self = SELF;
    fabric->now_ms = START_MS;
    fabric->settings.queue_size_max = 4 << 20;
    fabric->host.wake = on_wake;
    for (unsigned i = 0; i < NODES; i++) {
        hf_queue_init(&fabric->peers[i].queue);
        hf_list_init(&fabric->peers[i].relayed);
        fabric->peers[i].linked = i != SELF;
        fabric->peers[i].echo_ms = THEIR_MS;
        fabric->peers[i].heard_ms = START_MS;
    }
    return 0;
}

static int tear_down(void **state)
{
    for (unsigned i = 0; i < NODES; i++) {
        hf_relay_forget(&fabric->peers[i]);
        assert_int_equal(fabric->peers[i].relayed_count, 0);
        hf_queue_fini(&fabric->peers[i].queue);
    }
    test_free(fabric);
    return 0;
}

static bool relay(uint64_t number, unsigned flags)
{
    struct hf_request request = {
        .origin = ASKER, .number = number, .flags = (uint8_t)flags, .asked_ms = fabric->now_ms};
    return hf_relay_send(fabric, HF_SLICE("s1"), OWNER, &request);
}

/* The next message that waits for the peer; false when there is none. */
static bool pull(unsigned peer, struct hf_wire_message *ret_message)
{
    static size_t size, at;
    static unsigned of;
    size_t used = 0;
    if (at == size || of != peer) {
        size = hf_queue_pull(&fabric->peers[peer].queue, out, sizeof(out));
        at = 0;
        of = peer;
    }
    if (at == size)
        return false;
    assert_int_equal(
        hf_wire_decode(hf_slice(out + at, size - at), HF_WIRE_FRAME_MAX, ret_message, &used),
        HF_WIRE_DONE);
    at += used;
    return true;
}

static void expect_result(uint64_t number, enum hf_fabric_status status)
{
    struct hf_wire_message m;
    assert_true(pull(ASKER, &m));
    assert_int_equal(m.type, HF_WIRE_RESULT);
    assert_int_equal(m.number, number);
    assert_int_equal(m.status, status);
    assert_true(hf_slice_equal(m.id, HF_SLICE("s1")));
}

static void expect_nothing(unsigned peer)
{
    struct hf_wire_message m;
    assert_false(pull(peer, &m));
}

static void the_owner_gets_it_in_the_name_of_who_asked(void **state)
{
    struct hf_wire_message m;
    char bytes[sizeof(struct hf_request) + 3];
    struct hf_request *request = memset(bytes, 0, sizeof(bytes));
    request->origin = ASKER;
    request->number = 7;
    request->flags = HF_FABRIC_READS | HF_OP_REFUSED | HF_OP_REMOTE;
    request->size = 3;
    request->asked_ms = START_MS - 100;
    memcpy(request->bytes, "GET", 3);
    assert_true(hf_relay_send(fabric, HF_SLICE("s1"), OWNER, request));
    assert_true(pull(OWNER, &m));
    assert_int_equal(m.type, HF_WIRE_RELAY);
    assert_int_equal(m.number, 7);
    assert_int_equal(m.node, ASKER);
    assert_int_equal(m.asked_ms, THEIR_MS - 100); /* by the owner's clock */
    assert_int_equal(m.flags, HF_FABRIC_READS);   /* none of those between nodes */
    assert_true(hf_slice_equal(m.bytes, HF_SLICE("GET")));
    expect_nothing(OWNER);
    expect_nothing(ASKER);
    assert_int_equal(fabric->peers[OWNER].relayed_count, 1);
}

static void without_a_link_nothing_is_under_way(void **state)
{
    fabric->peers[OWNER].linked = false;
    assert_false(relay(1, HF_FABRIC_READS));
    assert_int_equal(fabric->peers[OWNER].relayed_count, 0);
}

/* It could not tell how old the write is. */
static void before_the_owner_has_told_its_clock_it_gets_nothing(void **state)
{
    fabric->peers[OWNER].echo_ms = 0;
    assert_false(relay(1, 0));
    expect_nothing(OWNER);
    assert_int_equal(fabric->peers[OWNER].relayed_count, 0);
}

static void when_the_owner_ends_everybody_is_told(void **state)
{
    fabric->peers[OWNER].gone = true;
    assert_true(relay(1, HF_FABRIC_READS) && relay(2, 0) && relay(3, HF_FABRIC_READS));
    hf_relay_unlinked(fabric, OWNER, true);
    expect_result(1, HF_FABRIC_RETRY);
    expect_result(2, HF_FABRIC_UNSURE);
    expect_result(3, HF_FABRIC_RETRY);
    expect_nothing(ASKER);
    assert_int_equal(fabric->peers[OWNER].relayed_count, 0);
}

static void when_only_the_link_ends_a_write_may_still_be_answered(void **state)
{
    assert_true(relay(1, 0) && relay(2, HF_FABRIC_READS) && relay(3, 0));
    hf_relay_unlinked(fabric, OWNER, false);
    expect_result(2, HF_FABRIC_RETRY);
    expect_nothing(ASKER);
    hf_relay_unlinked(fabric, OWNER, true); /* dead, for nothing was heard of it */
    expect_nothing(ASKER);
    assert_int_equal(fabric->peers[OWNER].relayed_count, 2);
    fabric->peers[OWNER].gone = true;
    hf_relay_unlinked(fabric, OWNER, true);
    expect_result(1, HF_FABRIC_UNSURE);
    expect_result(3, HF_FABRIC_UNSURE);
    expect_nothing(ASKER);
}

static void another_owner_that_ends_is_none_of_its_business(void **state)
{
    assert_true(relay(1, HF_FABRIC_READS));
    hf_relay_unlinked(fabric, ASKER, true);
    expect_nothing(ASKER);
    assert_int_equal(fabric->peers[OWNER].relayed_count, 1);
}

static void it_is_forgotten_when_nobody_waits_any_more(void **state)
{
    assert_true(relay(1, HF_FABRIC_READS));
    fabric->now_ms++;
    assert_true(relay(2, HF_FABRIC_READS));
    fabric->now_ms = START_MS + HF_FABRIC_ANSWER_MS - 1;
    hf_relay_tick(fabric);
    assert_int_equal(fabric->peers[OWNER].relayed_count, 2);
    fabric->now_ms++;
    hf_relay_tick(fabric);
    assert_int_equal(fabric->peers[OWNER].relayed_count, 1);
    hf_relay_unlinked(fabric, OWNER, true);
    expect_result(2, HF_FABRIC_RETRY);
    expect_nothing(ASKER);
}

/* Itself long, or short behind a long one of the same record: the owner has not heard of it. */
static void who_waits_for_what_is_still_on_its_way_is_told(void **state)
{
    enum { SIZE = 1 << 20 };
    struct hf_request *request = test_calloc(1, sizeof(*request) + SIZE);
    request->origin = ASKER;
    request->number = 7;
    request->size = SIZE;
    assert_true(hf_relay_send(fabric, HF_SLICE("s1"), OWNER, request));
    assert_true(relay(8, HF_FABRIC_READS));
    test_free(request);
    unsigned told = 0;
    for (uint64_t end_ms = fabric->now_ms + 20 * 1000; fabric->now_ms < end_ms;
         fabric->now_ms += HF_FABRIC_TICK_MS) {
        struct hf_wire_message m;
        hf_relay_tick(fabric);
        while (pull(ASKER, &m)) {
            assert_int_equal(m.type, HF_WIRE_RESULT);
            assert_int_equal(m.status, HF_FABRIC_UNDER_WAY);
            told++;
        }
    }
    unsigned most = 2 * (SIZE + HF_FABRIC_SOCKET_SIZE) / HF_FABRIC_BYTES_A_MS;
    assert_in_range(told, most / HF_FABRIC_UNDER_WAY_MS - 4, most / HF_FABRIC_UNDER_WAY_MS + 4);
    assert_int_equal(fabric->peers[OWNER].relayed_count, 0);
    assert_int_equal(fabric->peers[OWNER].relayed_long, 0);
}

static void what_is_remembered_is_bounded(void **state)
{
    struct hf_wire_message m;
    unsigned sent = 0;
    for (unsigned i = 0; i <= HF_FABRIC_RELAYED_MAX; i++)
        assert_true(relay(i, HF_FABRIC_READS));
    while (pull(OWNER, &m))
        sent++;
    assert_int_equal(sent, HF_FABRIC_RELAYED_MAX + 1);
    assert_int_equal(fabric->peers[OWNER].relayed_count, HF_FABRIC_RELAYED_MAX);
}

int main(void)
{
#define RELAY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        RELAY_TEST(the_owner_gets_it_in_the_name_of_who_asked),
        RELAY_TEST(without_a_link_nothing_is_under_way),
        RELAY_TEST(before_the_owner_has_told_its_clock_it_gets_nothing),
        RELAY_TEST(when_the_owner_ends_everybody_is_told),
        RELAY_TEST(when_only_the_link_ends_a_write_may_still_be_answered),
        RELAY_TEST(another_owner_that_ends_is_none_of_its_business),
        RELAY_TEST(it_is_forgotten_when_nobody_waits_any_more),
        RELAY_TEST(who_waits_for_what_is_still_on_its_way_is_told),
        RELAY_TEST(what_is_remembered_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
