#include "base/test.h"
#include "fabric/internal.h"
#include <stdio.h>

/* What one node tells a peer of what it holds: all of it at first, and after a change what that
 * concerns. The peers are frames; the store is an array of copies, of owners in turn. */

enum { SELF, PEER, OTHER, LOST, NODES, RECORDS = 200, IN_A_SECOND = 1000 / HF_FABRIC_TICK_MS };

static struct hf_rank rank;
static struct hf_fabric *fabric;
static struct hf_fabric_record records[RECORDS];
static char ids[RECORDS][16];
static uint64_t now_ms;
static char out[2 * HF_WIRE_FRAME_MAX];

/* What was told to the peer last. */
static struct told {
    unsigned digests, lists, refusals;
    uint64_t view, base, number;
    uint8_t flags;
    bool records[RECORDS];
    unsigned count;
} told;

static void on_wake(void *user, unsigned peer)
{
}

static struct hf_fabric_record *next(void *user, uint64_t *cursor)
{
    if (*cursor < RECORDS)
        return &records[(*cursor)++];
    *cursor = 0;
    return NULL;
}

static struct hf_slice id_of(void *user, const struct hf_fabric_record *record)
{
    return hf_slice_text(ids[record - records]);
}

static struct hf_fabric_record *find(void *user, struct hf_slice id, uint64_t hash)
{
    for (unsigned i = 0; i < RECORDS; i++)
        if (hf_slice_equal(id, hf_slice_text(ids[i])))
            return &records[i];
    return NULL;
}

/* Ours stand first in the rank: none is astray here. */
static void name_record(unsigned record)
{
    static unsigned last;
    uint8_t first;
    do {
        snprintf(ids[record], sizeof(ids[record]), "s%u", ++last);
        hf_rank_first(&rank, hf_rank_hash(hf_slice_text(ids[record])), &first, 1);
    } while (first != SELF);
}

static int set_up(void **state)
{
    static const struct hf_slice names[NODES] = {HF_SLICE("a"), HF_SLICE("b"), HF_SLICE("c"),
                                                 HF_SLICE("d")};
    const struct hf_fabric_settings settings = {.self = SELF,
                                                .backups = 1,
                                                .incarnation = 1,
                                                .activities_max = 1,
                                                .queue_size_max = 4 << 20,
                                                .image_size_max = 1000};
    const struct hf_fabric_store store = {.next = next, .id = id_of, .find = find};
    const struct hf_fabric_host host = {.wake = on_wake};
    assert_int_equal(hf_rank_init(&rank, names, NODES), 0);
    now_ms = 100 * 1000;
    assert_int_equal(hf_fabric_new(&settings, &rank, &store, &host, now_ms, &fabric), 0);
    for (unsigned i = 0; i < RECORDS; i++) {
        name_record(i);
        records[i] = (struct hf_fabric_record){.version = {.epoch = 1, .sequence = 1, .birth = 1},
                                               .owner = (uint16_t)(1 + i % (NODES - 1)),
                                               .state = HF_RECORD_BACKUP};
    }
    for (unsigned i = 1; i < NODES; i++)
        hf_fabric_link_up(fabric, i, now_ms);
    return 0;
}

static int tear_down(void **state)
{
    hf_fabric_free(&fabric);
    return 0;
}

static void receive(unsigned peer, const struct hf_wire_message *m)
{
    static char bytes[HF_WIRE_FRAME_MAX];
    size_t used, size = hf_wire_encode(m, bytes, sizeof(bytes));
    assert_true(size > 0);
    assert_true(hf_fabric_receive(fabric, peer, hf_slice(bytes, size), now_ms, &used));
}

static void note_list(const struct hf_wire_message *m)
{
    struct hf_slice bytes = m->bytes;
    struct hf_wire_entry entry;
    bool bad = false;
    told.lists++;
    told.view = m->view;
    told.base = told.number = m->number;
    told.flags = m->flags;
    while (hf_wire_get_entry(&bytes, &entry, &bad)) {
        struct hf_fabric_record *record = find(NULL, entry.id, 0);
        assert_non_null(record);
        told.count += !told.records[record - records];
        told.records[record - records] = true;
    }
    assert_false(bad);
}

static void listen(void)
{
    size_t size, used;
    while ((size = hf_fabric_pull(fabric, PEER, out, sizeof(out))) > 0)
        for (size_t at = 0; at < size; at += used) {
            struct hf_wire_message m;
            assert_int_equal(
                hf_wire_decode(hf_slice(out + at, size - at), HF_WIRE_FRAME_MAX, &m, &used),
                HF_WIRE_DONE);
            told.digests += m.type == HF_WIRE_DIGEST;
            if (m.type == HF_WIRE_DIGEST) {
                told.view = m.view;
                told.number = m.number;
            }
            told.refusals += m.type == HF_WIRE_DIFFERENT && m.bytes.size > 0 &&
                             (uint8_t)m.bytes.bytes[0] == 0xff;
            if (m.type == HF_WIRE_VERSIONS)
                note_list(&m);
        }
}

static void hear(unsigned peer, enum hf_peer_status status)
{
    receive(peer, &(struct hf_wire_message){.type = HF_WIRE_HEARTBEAT,
                                            .sent_ms = now_ms,
                                            .echo_ms = now_ms,
                                            .status = (uint8_t)status,
                                            .flags = HF_PEER_COUNTS_YOU,
                                            .weight = 1,
                                            .view = 1,
                                            .incarnation = 1});
}

/* So many ticks with the first `living` nodes ready. */
static void pass(unsigned ticks, unsigned living)
{
    for (unsigned i = 0; i < ticks; i++) {
        for (unsigned peer = 1; peer < living; peer++)
            hear(peer, HF_PEER_READY);
        now_ms += HF_FABRIC_TICK_MS;
        hf_fabric_tick(fabric, now_ms);
        listen();
    }
}

/* The peer says that it knows nothing of what the digest tells. */
static void differ(void)
{
    char all[HF_FABRIC_BUCKETS / 8];
    memset(all, 0xff, sizeof(all));
    struct hf_wire_message m = {
        .type = HF_WIRE_DIFFERENT, .view = told.view, .number = told.number};
    m.bytes = hf_slice(all, sizeof(all));
    receive(PEER, &m);
}

static void forget(void)
{
    told = (struct told){0};
}

/* All is told, and told again; answers the view. */
static uint64_t tell_all(unsigned living)
{
    forget();
    for (unsigned i = 0; i < 6 * IN_A_SECOND; i++) {
        unsigned digests = told.digests;
        pass(1, living);
        if (told.digests > digests)
            differ();
    }
    assert_true(told.digests > 0 && told.lists > 0 && told.count > 0);
    assert_int_equal(told.flags, HF_SYNC_LAST);
    assert_true(fabric->peers[PEER].sync.base == fabric->view);
    return fabric->view;
}

/* The owner, or one of the first two of those that are ready: home, or backup when the home is the
 * owner. */
static bool has_to_do_with(unsigned record, unsigned node)
{
    uint8_t first[3];
    hf_rank_first(&rank, hf_rank_hash(hf_slice_text(ids[record])), first, 3);
    return records[record].owner == node || first[1] == node || first[2] == node;
}

static void after_an_end_only_what_it_concerns_is_told(void **state)
{
    uint64_t base = tell_all(NODES);
    unsigned whole = told.count;
    forget();
    hf_fabric_link_down(fabric, LOST, true, now_ms);
    pass(2 * NODES, LOST);
    assert_int_equal(told.lists, 1);
    assert_int_equal(told.digests, 0);
    assert_int_equal(told.flags, HF_SYNC_LAST | HF_SYNC_CHANGES);
    assert_true(told.base == base && told.view == fabric->view && told.view != base);
    assert_in_range(told.count, 1, whole);
    for (unsigned i = 0; i < RECORDS; i++) {
        uint64_t hash = hf_rank_hash(hf_slice_text(ids[i]));
        bool of_peer = hf_membership_holds(fabric, hash, records[i].owner, PEER);
        assert_int_equal(told.records[i], of_peer && has_to_do_with(i, LOST));
    }
}

static void behind_that_all_is_compared(void **state)
{
    tell_all(NODES);
    hf_fabric_link_down(fabric, LOST, true, now_ms);
    pass(2 * NODES, LOST);
    forget();
    pass(2 * IN_A_SECOND, LOST);
    assert_true(told.digests > 0);
}

static void who_does_not_know_the_rest_is_told_all(void **state)
{
    tell_all(NODES);
    hf_fabric_link_down(fabric, LOST, true, now_ms);
    forget();
    pass(2 * NODES, LOST);
    assert_int_equal(told.digests, 0);
    differ(); /* than all of what the changes build on */
    pass(2, LOST);
    assert_int_equal(told.digests, 1);
}

static void of_a_node_that_begins_to_join_others_are_told_no_record(void **state)
{
    uint64_t base = tell_all(LOST);
    forget();
    hf_fabric_link_up(fabric, LOST, now_ms);
    for (unsigned i = 0; i < 2 * NODES; i++) {
        hear(LOST, HF_PEER_SYNCING);
        pass(1, LOST);
    }
    assert_int_equal(told.lists, 1);
    assert_int_equal(told.count, 0);
    assert_true(told.base == base && told.view == fabric->view && told.view != base);
}

static void when_it_is_ready_they_are_told_of_its_own(void **state)
{
    of_a_node_that_begins_to_join_others_are_told_no_record(state);
    fabric->peers[LOST].ready_incarnation = 1; /* it has asked, and we agreed */
    forget();
    pass(2 * NODES, NODES);
    assert_int_equal(told.digests, 0);
    assert_true(told.count > 0);
    for (unsigned i = 0; i < RECORDS; i++)
        assert_true(!told.records[i] || has_to_do_with(i, LOST));
}

static struct hf_wire_message changes(uint64_t base, uint64_t view)
{
    return (struct hf_wire_message){.type = HF_WIRE_VERSIONS,
                                    .number = base,
                                    .view = view,
                                    .flags = HF_SYNC_LAST | HF_SYNC_CHANGES};
}

static void changes_count_for_who_was_told_before(void **state)
{
    struct hf_wire_message digest = {.type = HF_WIRE_DIGEST, .view = 70};
    struct hf_wire_message list = {.type = HF_WIRE_VERSIONS, .view = 70, .flags = HF_SYNC_LAST};
    struct hf_wire_message m = changes(70, 71);
    struct hf_sync *sync = &fabric->peers[PEER].sync;
    pass(1, NODES);
    forget();
    receive(PEER, &m); /* nothing was told before */
    listen();
    assert_int_equal(told.refusals, 1);
    assert_true(sync->done_view == 0);
    receive(PEER, &digest);
    receive(PEER, &list);
    assert_true(sync->done_view == 70);
    receive(PEER, &m);
    assert_true(sync->done_view == 71);
    receive(PEER, &m); /* they are told again */
    assert_true(sync->done_view == 71);
    m = changes(70, 72); /* of the change to 71 we would not know */
    forget();
    receive(PEER, &m);
    listen();
    assert_int_equal(told.refusals, 1);
    assert_true(sync->done_view == 71);
}

/* What is left of an earlier telling under the same view. */
static void an_answer_counts_for_its_own_telling(void **state)
{
    struct hf_sync *sync = &fabric->peers[PEER].sync;
    forget();
    while (told.digests == 0)
        pass(1, NODES);
    uint64_t first = told.number;
    sync->wanted = sync->whole = true;
    sync->step = HF_SYNC_IDLE;
    while (told.digests < 2)
        pass(1, NODES);
    assert_true(told.number != first);
    told.number = first;
    differ();
    assert_int_equal(sync->step, HF_SYNC_ASKED);
    told.number = sync->number;
    differ();
    listen();
    assert_int_equal(told.lists, 1);
}

static void what_was_under_way_when_a_promise_ended_counts_for_nothing(void **state)
{
    struct hf_wire_message digest = {.type = HF_WIRE_DIGEST, .view = 70, .number = 5};
    struct hf_wire_message list = {
        .type = HF_WIRE_VERSIONS, .view = 70, .number = 5, .flags = HF_SYNC_LAST};
    struct hf_sync *sync = &fabric->peers[PEER].sync;
    pass(1, NODES);
    receive(PEER, &digest);
    hf_sync_doubt(fabric, PEER);
    receive(PEER, &list);
    assert_true(sync->done_view == 0);
    receive(PEER, &digest);
    receive(PEER, &list);
    assert_true(sync->done_view == 70);
}

/* The value of a record comes with the number of the telling that it was asked for in. */
static void a_value_that_was_asked_for_is_waited_for(void **state)
{
    struct hf_sync *sync = &fabric->peers[PEER].sync;
    struct hf_wire_message m = {.type = HF_WIRE_ANSWER,
                                .id = hf_slice_text(ids[0]),
                                .flags = HF_ANSWER_PULLED,
                                .node = HF_FABRIC_NOBODY};
    pass(1, NODES);
    sync->done_view = fabric->view;
    assert_true(hf_sync_done(fabric, PEER));
    sync->pulls = 1;
    m.number = sync->round + 1;
    receive(PEER, &m);
    assert_false(hf_sync_done(fabric, PEER));
    m.number = sync->round;
    receive(PEER, &m);
    assert_true(sync->pulls == 0);
}

int main(void)
{
#define SYNC_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        SYNC_TEST(after_an_end_only_what_it_concerns_is_told),
        SYNC_TEST(behind_that_all_is_compared),
        SYNC_TEST(who_does_not_know_the_rest_is_told_all),
        SYNC_TEST(of_a_node_that_begins_to_join_others_are_told_no_record),
        SYNC_TEST(when_it_is_ready_they_are_told_of_its_own),
        SYNC_TEST(changes_count_for_who_was_told_before),
        SYNC_TEST(an_answer_counts_for_its_own_telling),
        SYNC_TEST(what_was_under_way_when_a_promise_ended_counts_for_nothing),
        SYNC_TEST(a_value_that_was_asked_for_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
