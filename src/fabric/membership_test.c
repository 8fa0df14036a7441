#include "base/test.h"
#include "fabric/internal.h"
#include <stdio.h>

/* One node among many: what it says to whom as others come and go, and how often. */

enum { NODES = 100, PEER = 7, START_MS = 100 * 1000, DIGESTS = 2 };

static struct hf_rank rank;
static char texts[NODES][8];
static struct hf_fabric *fabric;
static uint64_t now_ms;
static char out[2 * HF_WIRE_FRAME_MAX];
static uint8_t last_flags; /* of what was said last */

static void on_wake(void *user, unsigned peer)
{
}

static struct hf_fabric_record *no_next(void *user, uint64_t *cursor)
{
    return NULL;
}

static struct hf_fabric *node_new(unsigned self)
{
    const struct hf_fabric_settings settings = {.self = self,
                                                .backups = 1,
                                                .incarnation = 1,
                                                .activities_max = 1,
                                                .queue_size_max = 4 << 20,
                                                .image_size_max = 1000};
    const struct hf_fabric_store store = {.next = no_next};
    const struct hf_fabric_host host = {.wake = on_wake};
    struct hf_fabric *made;
    assert_int_equal(hf_fabric_new(&settings, &rank, &store, &host, now_ms, &made), 0);
    for (unsigned i = 0; i < NODES; i++)
        if (i != self)
            hf_fabric_link_up(made, i, now_ms);
    return made;
}

static int set_up(void **state)
{
    struct hf_slice names[NODES];
    for (unsigned i = 0; i < NODES; i++)
        names[i] = hf_slice(texts[i], (size_t)snprintf(texts[i], sizeof(texts[i]), "n%03u", i));
    assert_int_equal(hf_rank_init(&rank, names, NODES), 0);
    now_ms = START_MS;
    fabric = node_new(0);
    return 0;
}

static int tear_down(void **state)
{
    hf_fabric_free(&fabric);
    return 0;
}

/* How many messages of the type have come up for the peer; all that waited is taken away. */
static unsigned said(struct hf_fabric *f, unsigned peer, enum hf_wire_type type)
{
    unsigned count = 0;
    size_t size, used;
    while ((size = hf_fabric_pull(f, peer, out, sizeof(out))) > 0) {
        for (size_t at = 0; at < size; at += used) {
            struct hf_wire_message m;
            assert_int_equal(
                hf_wire_decode(hf_slice(out + at, size - at), HF_WIRE_FRAME_MAX, &m, &used),
                HF_WIRE_DONE);
            count += m.type == type;
            last_flags = m.type == type ? m.flags : last_flags;
        }
    }
    return count;
}

static void hear(unsigned peer, bool counts_us)
{
    struct hf_wire_message m = {.type = HF_WIRE_HEARTBEAT,
                                .sent_ms = now_ms,
                                .echo_ms = now_ms,
                                .status = HF_PEER_SYNCING,
                                .flags = counts_us ? HF_PEER_COUNTS_YOU : 0,
                                .weight = 1,
                                .view = 1,
                                .incarnation = 1};
    char bytes[256];
    size_t used, size = hf_wire_encode(&m, bytes, sizeof(bytes));
    assert_true(size > 0);
    assert_true(hf_fabric_receive(fabric, peer, hf_slice(bytes, size), now_ms, &used));
}

static void tick(void)
{
    now_ms += HF_FABRIC_TICK_MS;
    hf_fabric_tick(fabric, now_ms);
}

static void a_peer_hears_from_all_in_the_same_tick(void **state)
{
    struct hf_fabric *other = node_new(1);
    unsigned together = 0, ticks = 0, longest = 0;
    tick(); /* what starting has to say */
    hf_fabric_tick(other, now_ms);
    said(fabric, PEER, HF_WIRE_HEARTBEAT);
    said(other, PEER, HF_WIRE_HEARTBEAT);
    for (unsigned i = 0; i < 10 * HF_FABRIC_HEARTBEAT_MS_MAX / HF_FABRIC_TICK_MS; i++) {
        tick();
        hf_fabric_tick(other, now_ms);
        unsigned ours = said(fabric, PEER, HF_WIRE_HEARTBEAT);
        assert_int_equal(ours, said(other, PEER, HF_WIRE_HEARTBEAT));
        together += ours;
        ticks = ours > 0 ? 0 : ticks + 1;
        longest = ticks > longest ? ticks : longest;
    }
    assert_in_range(together, 10, 11); /* and that it is ready, all others being dead */
    assert_true(longest < HF_FABRIC_HEARTBEAT_MS_MAX / HF_FABRIC_TICK_MS);
    hf_fabric_free(&other);
}

static void the_heartbeats_of_a_tick_are_those_of_few(void **state)
{
    unsigned most = 0;
    for (unsigned i = 0; i < 3 * HF_FABRIC_HEARTBEAT_MS_MAX / HF_FABRIC_TICK_MS; i++) {
        unsigned sent = 0;
        tick();
        for (unsigned peer = 1; peer < NODES; peer++)
            sent += said(fabric, peer, HF_WIRE_HEARTBEAT);
        if (i > 2) /* behind what starting has to say */
            most = sent > most ? sent : most;
    }
    assert_int_equal(most, 4); /* a hundred in thirty ticks */
}

static void all_are_told_of_many_changes_together(void **state)
{
    unsigned beats = 0;
    tick();
    said(fabric, PEER, HF_WIRE_HEARTBEAT);
    for (unsigned peer = PEER + 1; peer < NODES; peer++) {
        uint64_t view = fabric->view;
        hear(peer, true);
        assert_true(fabric->view != view);
        if (peer % 10 == 0)
            tick();
        beats += said(fabric, PEER, HF_WIRE_HEARTBEAT);
    }
    assert_in_range(beats, 1, 3); /* in 90 ms, with its own of the 300 */
}

static void all_is_compared_when_no_more_changes_come(void **state)
{
    unsigned digests = 0;
    hear(PEER, true);
    for (unsigned peer = PEER + 1; peer < 60; peer++) {
        hear(peer, true);
        tick();
        hear(PEER, true);
        digests += said(fabric, PEER, HF_WIRE_DIGEST);
    }
    assert_int_equal(digests, 0);
    for (unsigned i = 0; i < NODES * HF_FABRIC_NODE_QUIET_MS / HF_FABRIC_TICK_MS + 1; i++)
        tick();
    assert_int_equal(said(fabric, PEER, HF_WIRE_DIGEST), 1);
}

static void changes_that_do_not_end_do_not_keep_it_from_comparing(void **state)
{
    unsigned digests = 0;
    for (unsigned i = 0; i < 2 * HF_FABRIC_QUIET_MS_MAX / HF_FABRIC_TICK_MS; i++) {
        tick();
        hear(PEER, true);
        hf_fabric_link_up(fabric, PEER + 1, now_ms);
        digests += said(fabric, PEER, HF_WIRE_DIGEST);
    }
    assert_true(digests > 0);
}

/* Its promise is taken back in every second tick. */
static void who_joins_is_told_again_and_does_not_begin_anew(void **state)
{
    uint64_t incarnation = fabric->incarnation;
    unsigned asked = 0;
    for (unsigned i = 0; i < 100; i++) {
        tick();
        hear(PEER, i % 2 == 0);
        hear(PEER + 1, true);
        asked += said(fabric, PEER, HF_WIRE_DIGEST);
        assert_false(hf_fabric_ready(fabric));
    }
    assert_true(asked > 0);
    assert_true(fabric->peers[PEER].sync.asks || last_flags == HF_SYNC_TELL);
    assert_false(fabric->peers[PEER + 1].sync.asks);
    assert_int_equal(hf_fabric_counts(fabric)->lapses, 0);
    assert_true(fabric->incarnation == incarnation);
}

static void who_is_asked_tells_again(void **state)
{
    struct hf_wire_message m = {.type = HF_WIRE_DIGEST, .view = 1, .flags = HF_SYNC_TELL};
    char bytes[256];
    size_t used;
    hear(PEER, true);
    for (unsigned i = 0; i < 50; i++)
        tick();
    assert_int_equal(said(fabric, PEER, HF_WIRE_DIGEST), 1);
    fabric->peers[PEER].sync.step = HF_SYNC_IDLE; /* it has told all */
    size_t size = hf_wire_encode(&m, bytes, sizeof(bytes));
    assert_true(hf_fabric_receive(fabric, PEER, hf_slice(bytes, size), now_ms, &used));
    tick();
    tick();
    assert_int_equal(said(fabric, PEER, HF_WIRE_DIGEST), 1);
}

/* It would take what it was not told of for what there is not. */
static void who_owes_something_agrees_when_it_has_told_it(void **state)
{
    struct hf_wire_message ask = {.type = HF_WIRE_READY_ASK, .incarnation = 1};
    char bytes[256];
    size_t used;
    hear(PEER, true);
    hf_sync_owe(fabric, PEER);
    size_t size = hf_wire_encode(&ask, bytes, sizeof(bytes));
    assert_true(hf_fabric_receive(fabric, PEER, hf_slice(bytes, size), now_ms, &used));
    tick();
    assert_int_equal(said(fabric, PEER, HF_WIRE_READY_YES), 0);
    fabric->peers[PEER].sync.owes = fabric->peers[PEER].sync.settles = false; /* told */
    tick();
    assert_int_equal(said(fabric, PEER, HF_WIRE_READY_YES), 1);
    tick();
    assert_int_equal(said(fabric, PEER, HF_WIRE_READY_YES), 0);
}

int main(void)
{
#define MEMBERSHIP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        MEMBERSHIP_TEST(a_peer_hears_from_all_in_the_same_tick),
        MEMBERSHIP_TEST(the_heartbeats_of_a_tick_are_those_of_few),
        MEMBERSHIP_TEST(all_are_told_of_many_changes_together),
        MEMBERSHIP_TEST(all_is_compared_when_no_more_changes_come),
        MEMBERSHIP_TEST(changes_that_do_not_end_do_not_keep_it_from_comparing),
        MEMBERSHIP_TEST(who_joins_is_told_again_and_does_not_begin_anew),
        MEMBERSHIP_TEST(who_is_asked_tells_again),
        MEMBERSHIP_TEST(who_owes_something_agrees_when_it_has_told_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
