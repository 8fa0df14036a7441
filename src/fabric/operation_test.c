#include "base/test.h"
#include "fabric/internal.h"

/* A write that another node is to do: how old it looks to that node, and when its client is told
 * that nobody knows what became of it. */

enum { SELF, HOME, OWNER, NODES, START_MS = 50 * 1000, THEIR_MS = 7000, EARLIER_MS = 30 };

static struct hf_rank rank;
static struct hf_fabric *fabric;
static uint64_t now_ms;
static struct hf_fabric_op op;
static struct hf_fabric_record *held; /* the one there is, or NULL */
static unsigned answers, executed;
static char out[2 * HF_WIRE_FRAME_MAX];

static void on_complete(void *user, struct hf_fabric_op *done)
{
    answers++;
}

static void on_wake(void *user, unsigned peer)
{
}

static struct hf_fabric_record *find(void *user, struct hf_slice id, uint64_t hash)
{
    return held;
}

static void drop(void *user, struct hf_fabric_record *record)
{
    held = NULL;
}

static struct hf_slice id_of(void *user, const struct hf_fabric_record *record)
{
    return HF_SLICE("s1");
}

static struct hf_fabric_record *no_next(void *user, uint64_t *cursor)
{
    return NULL;
}

static void execute(void *user, struct hf_fabric_record *record, struct hf_fabric_op *done,
                    struct hf_fabric_outcome *ret_outcome)
{
    executed++;
}

/* What the home told of its clock came EARLIER_MS ago. */
static void set_clock(unsigned peer)
{
    fabric->peers[peer].echo_ms = THEIR_MS - EARLIER_MS;
    fabric->peers[peer].heard_ms = now_ms - EARLIER_MS;
}

static int set_up(void **state)
{
    static const struct hf_slice names[NODES] = {HF_SLICE("a"), HF_SLICE("b"), HF_SLICE("c")};
    const struct hf_fabric_settings settings = {.self = SELF,
                                                .backups = 1,
                                                .incarnation = 1,
                                                .activities_max = 4,
                                                .queue_size_max = 4 << 20,
                                                .image_size_max = 1000};
    const struct hf_fabric_store store = {
        .find = find, .remove = drop, .id = id_of, .next = no_next, .execute = execute};
    const struct hf_fabric_host host = {.complete = on_complete, .wake = on_wake};
    assert_int_equal(hf_rank_init(&rank, names, NODES), 0);
    now_ms = START_MS;
    answers = executed = 0;
    held = NULL;
    assert_int_equal(hf_fabric_new(&settings, &rank, &store, &host, now_ms, &fabric), 0);
    hf_fabric_link_up(fabric, HOME, now_ms);
    hf_fabric_link_up(fabric, OWNER, now_ms);
    fabric->peers[HOME].status = HF_PEER_READY;
    hf_membership_changed(fabric);
    set_clock(HOME);
    return 0;
}

static int tear_down(void **state)
{
    hf_fabric_free(&fabric);
    return 0;
}

static void submit(unsigned flags)
{
    op = (struct hf_fabric_op){.id = HF_SLICE("s1"), .request = HF_SLICE("SET"), .user = &op};
    op.flags = (uint8_t)flags;
    hf_fabric_submit(fabric, &op, now_ms);
}

/* The last message of the type that came up for the peer. */
static bool said(unsigned peer, enum hf_wire_type type, struct hf_wire_message *ret_message)
{
    bool found = false;
    size_t used, size = hf_fabric_pull(fabric, peer, out, sizeof(out));
    for (size_t at = 0; at < size; at += used) {
        struct hf_wire_message m;
        assert_int_equal(
            hf_wire_decode(hf_slice(out + at, size - at), HF_WIRE_FRAME_MAX, &m, &used),
            HF_WIRE_DONE);
        if (m.type == type)
            *ret_message = m;
        found |= m.type == type;
    }
    return found;
}

static uint64_t requested(void)
{
    struct hf_wire_message m;
    assert_true(said(HOME, HF_WIRE_REQUEST, &m));
    assert_int_equal(m.asked_ms, THEIR_MS + now_ms - START_MS);
    return m.number;
}

static void hear(unsigned peer, uint64_t number, enum hf_fabric_status status)
{
    struct hf_wire_message m = {.type = HF_WIRE_RESULT, .number = number, .id = HF_SLICE("s1")};
    char bytes[128];
    size_t used;
    m.status = (uint8_t)status;
    size_t size = hf_wire_encode(&m, bytes, sizeof(bytes));
    assert_true(hf_fabric_receive(fabric, peer, hf_slice(bytes, size), now_ms, &used));
}

static void pass(uint64_t ms)
{
    now_ms += ms;
    fabric->now_ms = now_ms;
    hf_operation_tick(fabric);
}

static void expect_answer(enum hf_fabric_status status)
{
    assert_int_equal(answers, 1);
    assert_int_equal(op.status, status);
}

/* Its bytes may stand in the connection that ended, or on their way to the owner. */
static void a_write_is_not_answered_while_somebody_may_do_it(void **state)
{
    submit(0);
    requested();
    pass(100);
    hf_fabric_link_down(fabric, HOME, false, now_ms);
    assert_int_equal(answers, 0);
    pass(HF_FABRIC_ANSWER_MS - 101);
    assert_int_equal(answers, 0);
    pass(1);
    expect_answer(HF_FABRIC_UNSURE);
}

static void its_owner_may_answer_when_the_home_has_ended(void **state)
{
    submit(0);
    uint64_t number = requested();
    hf_fabric_link_down(fabric, HOME, true, now_ms);
    hear(OWNER, number + 1, HF_FABRIC_OK); /* another's */
    assert_int_equal(answers, 0);
    hear(OWNER, number, HF_FABRIC_OK);
    expect_answer(HF_FABRIC_OK);
    assert_true(op.remote);
    hear(OWNER, number, HF_FABRIC_OK);
    pass(HF_FABRIC_WRITE_MS);
    assert_int_equal(answers, 1);
}

static void what_is_long_is_waited_for(void **state)
{
    submit(0);
    uint64_t number = requested();
    hf_fabric_link_down(fabric, HOME, false, now_ms);
    pass(HF_FABRIC_ANSWER_MS - 1);
    hear(OWNER, number, HF_FABRIC_UNDER_WAY);
    pass(HF_FABRIC_ANSWER_MS - 1);
    assert_int_equal(answers, 0);
    hear(OWNER, number, HF_FABRIC_LATE);
    expect_answer(HF_FABRIC_UNSURE); /* nothing was done, and nobody can be asked */
}

static void what_came_too_late_is_asked_for_again(void **state)
{
    submit(0);
    uint64_t number = requested();
    pass(20);
    hear(OWNER, number, HF_FABRIC_LATE);
    pass(HF_FABRIC_RETRY_MS);
    assert_true(requested() > number);
    assert_int_equal(answers, 0);
}

/* One that was sent a moment before its patience ends, too. */
static void patience_ends_when_nobody_does_it_any_more(void **state)
{
    submit(0);
    uint64_t number = requested();
    for (uint64_t end_ms = now_ms + HF_FABRIC_WRITE_MS; now_ms < end_ms;) {
        pass(HF_FABRIC_ANSWER_MS / 2);
        assert_int_equal(answers, 0);
        hear(HOME, number, HF_FABRIC_RETRY);
        pass(HF_FABRIC_RETRY_MS);
        set_clock(HOME);
        fabric->peers[HOME].echo_ms += now_ms - START_MS;
        number = requested();
    }
    pass(HF_FABRIC_ANSWER_MS - 1);
    assert_int_equal(answers, 0);
    pass(1);
    expect_answer(HF_FABRIC_UNSURE);
}

static void before_the_first_heartbeat_nothing_is_written(void **state)
{
    struct hf_wire_message m;
    fabric->peers[HOME].echo_ms = 0;
    submit(0);
    assert_false(said(HOME, HF_WIRE_REQUEST, &m));
    set_clock(HOME);
    pass(HF_FABRIC_RETRY_MS);
    requested();
}

static void the_owner_does_nothing_for_who_waits_no_longer(void **state)
{
    struct hf_wire_message m = {.number = 5, .id = HF_SLICE("s1"), .bytes = HF_SLICE("SET")};
    struct hf_wire_message result;
    struct hf_fabric_record record = {.state = HF_RECORD_OWNER};
    m.asked_ms = now_ms - HF_FABRIC_OPERATION_MS - 1;
    hf_owner_execute_for(fabric, &record, HOME, &m);
    assert_true(said(HOME, HF_WIRE_RESULT, &result));
    assert_int_equal(result.status, HF_FABRIC_LATE);
    assert_int_equal(result.number, 5);
    m.asked_ms = 0; /* no telling */
    hf_owner_execute_for(fabric, &record, HOME, &m);
    assert_int_equal(fabric->counts.late, 2);
    assert_int_equal(executed, 0);
    m.flags = HF_FABRIC_READS;
    hf_owner_execute_for(fabric, &record, HOME, &m);
    m.flags = 0;
    m.asked_ms = now_ms - HF_FABRIC_OPERATION_MS;
    hf_owner_execute_for(fabric, &record, HOME, &m);
    assert_int_equal(executed, 2);
}

/* Its home is told that it ended; written on, the rest would be unknown there for a while. */
static void what_is_over_is_not_written_on(void **state)
{
    struct hf_fabric_record record = {.state = HF_RECORD_OWNER, .version = {0x105, 3, 0x105}};
    struct hf_wire_message m = {.number = 5, .id = HF_SLICE("s1"), .bytes = HF_SLICE("SET")};
    struct hf_wire_message said_last;
    m.node = OWNER;
    m.asked_ms = now_ms;
    record.generation = fabric->generation;
    record.deadline_ms = now_ms;
    fabric->peers[HOME].lease_ms = now_ms + 1;
    fabric->peers[OWNER].gone = true; /* nobody is missing who might hold it yet */
    held = &record;
    hf_owner_relay(fabric, HOME, &m);
    assert_null(held);
    assert_int_equal(executed, 0);
    assert_true(said(HOME, HF_WIRE_REPLICATE, &said_last));
    assert_int_equal(said_last.kind, HF_WIRE_GONE);
    assert_true(said(OWNER, HF_WIRE_RESULT, &said_last)); /* here the one who asked */
    assert_int_equal(said_last.status, HF_FABRIC_RETRY);
    record.deadline_ms = now_ms + 1;
    held = &record;
    hf_owner_relay(fabric, HOME, &m);
    assert_int_equal(executed, 1);
}

int main(void)
{
#define OPERATION_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        OPERATION_TEST(a_write_is_not_answered_while_somebody_may_do_it),
        OPERATION_TEST(its_owner_may_answer_when_the_home_has_ended),
        OPERATION_TEST(what_is_long_is_waited_for),
        OPERATION_TEST(what_came_too_late_is_asked_for_again),
        OPERATION_TEST(patience_ends_when_nobody_does_it_any_more),
        OPERATION_TEST(before_the_first_heartbeat_nothing_is_written),
        OPERATION_TEST(the_owner_does_nothing_for_who_waits_no_longer),
        OPERATION_TEST(what_is_over_is_not_written_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
