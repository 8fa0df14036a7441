#include "base/test.h"
#include "fabric/internal.h"

/* What waits for one peer: order, turns, bounds. */

enum { LONG = 200 * 1000, QUEUE_MAX = 512 * 1024, PEER = 1 };

static struct hf_fabric *fabric;
static char value[LONG], out[2 * HF_WIRE_FRAME_MAX];
static unsigned wakes;

static void on_wake(void *user, unsigned peer)
{
    wakes++;
}

static int set_up(void **state)
{
    fabric = test_calloc(1, sizeof(*fabric));
    fabric->settings.queue_size_max = QUEUE_MAX;
    fabric->host.wake = on_wake;
    fabric->peers[PEER].linked = true;
    hf_queue_init(&fabric->peers[PEER].queue);
    wakes = 0;
    return 0;
}

static int tear_down(void **state)
{
    hf_queue_fini(&fabric->peers[PEER].queue);
    test_free(fabric);
    return 0;
}

static bool replicate(const char *id, size_t size, uint8_t *ret_lane)
{
    struct hf_wire_message m = {.kind = HF_WIRE_IMAGE, .bytes = hf_slice(value, size)};
    m.id = hf_slice(id, strlen(id));
    return hf_queue_replicate(fabric, PEER, &m, ret_lane);
}

static void append(char *letters, char letter)
{
    size_t size = strlen(letters);
    letters[size] = letter;
    letters[size + 1] = '\0';
}

/* Takes what one send would take, as letters: C for a piece, h for a heartbeat. */
static void pull(char *letters)
{
    struct hf_wire_message m;
    size_t used = 0, size = hf_queue_pull(&fabric->peers[PEER].queue, out, HF_WIRE_FRAME_MAX);
    for (size_t at = 0; at < size; at += used) {
        assert_int_equal(
            hf_wire_decode(hf_slice(out + at, size - at), HF_WIRE_FRAME_MAX, &m, &used),
            HF_WIRE_DONE);
        append(letters, m.type == HF_WIRE_CHUNK ? 'C' : 'h');
    }
}

static void a_long_message_takes_turns_with_short_ones(void **state)
{
    struct hf_wire_message beat = {.type = HF_WIRE_HEARTBEAT};
    char letters[16] = "";
    uint8_t lane;
    assert_true(replicate("long", LONG, &lane));
    assert_int_equal(lane, 1);
    pull(letters);
    assert_true(hf_queue_send(fabric, PEER, &beat));
    while (hf_queue_size(&fabric->peers[PEER].queue) > 0)
        pull(letters);
    assert_string_equal(letters, "ChCCC");
}

static void nothing_overtakes_a_long_message_of_its_record(void **state)
{
    uint8_t lane;
    assert_true(replicate("s1", LONG, &lane));
    assert_true(replicate("s1", 10, &lane));
    assert_int_equal(lane, 1);
    assert_true(replicate("s2", 10, &lane));
    assert_int_equal(lane, 0);
    assert_int_equal(fabric->peers[PEER].sent[0], 1); /* each lane counts its own */
    assert_int_equal(fabric->peers[PEER].sent[1], 2);
}

static void a_full_queue_leaves_copies_to_a_resync(void **state)
{
    struct hf_wire_message beat = {.type = HF_WIRE_HEARTBEAT};
    uint8_t lane;
    assert_true(replicate("s1", LONG, &lane));
    assert_true(replicate("s2", LONG, &lane));
    assert_false(fabric->peers[PEER].sync.wanted);
    assert_false(replicate("s3", LONG, &lane));
    assert_true(fabric->peers[PEER].sync.wanted);
    assert_int_equal(fabric->counts.queue_full, 1);
    assert_int_equal(fabric->peers[PEER].sent[1], 2); /* no number is lost */
    assert_true(hf_queue_send(fabric, PEER, &beat));  /* what keeps the peer alive still fits */
}

static void nothing_is_queued_without_a_link(void **state)
{
    struct hf_wire_message beat = {.type = HF_WIRE_HEARTBEAT};
    fabric->peers[PEER].linked = false;
    assert_false(hf_queue_send(fabric, PEER, &beat));
    assert_int_equal(wakes, 0);
}

static void a_long_life_needs_no_more_room(void **state)
{
    uint8_t lane;
    struct hf_queue *queue = &fabric->peers[PEER].queue;
    for (unsigned i = 0; i < 10000; i++) {
        assert_true(replicate("s1", 1000, &lane));
        assert_true(hf_queue_pull(queue, out, sizeof(out)) > 1000);
    }
    assert_in_range(queue->brief.room, 1, 8192);
    assert_int_equal(wakes, 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_long_message_takes_turns_with_short_ones, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nothing_overtakes_a_long_message_of_its_record, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_full_queue_leaves_copies_to_a_resync, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_queued_without_a_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_life_needs_no_more_room, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
