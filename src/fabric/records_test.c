/* The seam of fabric.h on a real store: what the fabric writes into a record is what the store
 * holds when the event is over, and the other way round. */
#include "fabric/records_testing.h"

static void same_record(const struct hf_fabric_record *a, const struct hf_fabric_record *b)
{
    assert_true(hf_version_equal(a->version, b->version));
    assert_int_equal(a->deadline_ms, b->deadline_ms);
    assert_int_equal(a->owner, b->owner);
    assert_int_equal(a->generation, b->generation);
    assert_int_equal(a->state, b->state);
}

/* ---- what the fabric knows of a record ---- */

static void what_is_written_into_a_record_is_read_in_the_next_event(void **state)
{
    const struct hf_fabric_record wanted[] = {
        {{0x105, 7, 0x102}, now_ms + 5000, HF_RANK_NODES_MAX - 1, 0, HF_RECORD_POINTER},
        {{0x205, 0, 0x205}, 0, 0, HF_FABRIC_GENERATIONS - 1, HF_RECORD_POINTER},
        {{UINT32_MAX, UINT32_MAX, UINT32_MAX}, now_ms + HF_FABRIC_TOMB_MS, 1, 7, HF_RECORD_TOMB},
    };
    struct hf_records_node node;
    hf_records_init(&node);
    struct hf_fabric_record *record = hf_records_create(&node, "a");
    for (unsigned i = 0; i < 3; i++) {
        *record = wanted[i];
        assert_ptr_equal(hf_records_find(&node, "a"), record);
        hf_records_turn(&node);
        record = hf_records_find(&node, "a");
        same_record(record, &wanted[i]);
        assert_true(hf_slice_equal(node.seam.id(node.seam.user, record), HF_SLICE("a")));
    }
    assert_int_equal(hf_records_refused(node.records), 0);
    hf_records_fini(&node);
}

static void an_owner_has_its_generation_and_its_keys_deadline(void **state)
{
    struct hf_records_node node;
    hf_records_init(&node);
    struct hf_fabric_record *record = hf_records_own(&node, "a", "Svalue");
    record->generation = HF_FABRIC_GENERATIONS - 1;
    record->deadline_ms = 12345; /* not the fabric's to say */
    hf_records_turn(&node);
    same_record(hf_records_find(&node, "a"),
                &(struct hf_fabric_record){.version = {0x105, 1, 0x105},
                                           .deadline_ms = now_ms + TTL_MS,
                                           .owner = SELF,
                                           .generation = 511,
                                           .state = HF_RECORD_OWNER});
    hf_records_fini(&node);
}

static void a_record_that_nothing_was_made_of_is_none(void **state)
{
    struct hf_store_record found;
    struct hf_records_node node;
    hf_records_init(&node);
    assert_non_null(hf_records_create(&node, "a"));
    hf_records_turn(&node);
    assert_null(hf_records_find(&node, "a"));
    assert_false(hf_records_in_store(&node, "a", &found));
    hf_records_fini(&node);
}

static void a_removed_record_is_gone_at_once(void **state)
{
    struct hf_store_record found;
    struct hf_records_node node;
    hf_records_init(&node);
    node.seam.remove(node.seam.user, hf_records_own(&node, "a", "Svalue"));
    assert_null(hf_records_find(&node, "a"));
    hf_records_turn(&node);
    assert_false(hf_records_in_store(&node, "a", &found));
    node.seam.remove(node.seam.user, hf_records_create(&node, "b"));
    assert_null(hf_records_find(&node, "b"));
    hf_records_fini(&node);
}

/* An owner becomes a backup with all it holds, a pointer without. */
static void roles_keep_keys_or_drop_them(void **state)
{
    struct hf_store_record found;
    struct hf_records_node node;
    hf_records_init(&node);
    struct hf_fabric_record *record = hf_records_own(&node, "a", "Svalue");
    hf_records_run(&node, record, "a", "Xtwo");
    record->state = HF_RECORD_BACKUP;
    hf_records_turn(&node);
    assert_true(hf_records_in_store(&node, "a", &found) && found.state == HF_RECORD_BACKUP);
    assert_int_equal(found.key_count, 2);
    hf_records_find(&node, "a")->state = HF_RECORD_OWNER;
    hf_records_turn(&node);
    hf_records_holds(&node, "a", "", "value");
    hf_records_holds(&node, "a", ":more", "two");
    hf_records_find(&node, "a")->state = HF_RECORD_POINTER;
    hf_records_turn(&node);
    assert_true(hf_records_in_store(&node, "a", &found) && found.state == HF_RECORD_POINTER);
    assert_int_equal(found.key_count, 0);
    hf_records_fini(&node);
}

/* A record is granted as a new one where an older copy lies. */
static void clear_drops_what_was_held(void **state)
{
    struct hf_store_record found;
    struct hf_records_node node;
    hf_records_init(&node);
    struct hf_fabric_record *record = hf_records_own(&node, "a", "Svalue");
    node.seam.clear(node.seam.user, record);
    record->version = (struct hf_version){0x300, 0, 0x300};
    assert_int_equal(node.seam.image(node.seam.user, record).size, 0);
    hf_records_turn(&node);
    assert_true(hf_records_in_store(&node, "a", &found));
    assert_int_equal(found.key_count, 0);
    assert_int_equal(found.version.epoch, 0x300);
    record = hf_records_find(&node, "a");
    node.seam.clear(node.seam.user, record);
    assert_int_equal(hf_records_run(&node, record, "a", "Xtwo").change, HF_FABRIC_VALUE);
    hf_records_turn(&node);
    assert_true(hf_records_in_store(&node, "a", &found) && found.key_count == 1);
    hf_records_fini(&node);
}

/* Whoever holds a session's lock keeps it while the session is deleted and made anew. */
static void a_lock_outlives_its_session(void **state)
{
    struct hf_store_record found;
    struct hf_records_node node;
    hf_records_init(&node);
    struct hf_fabric_record *record = hf_records_own(&node, "a", "Svalue");
    hf_records_run(&node, record, "a", "Lmine");
    assert_int_equal(hf_records_run(&node, record, "a", "D").change, HF_FABRIC_DELETED);
    record->version.sequence++;
    node.seam.clear(node.seam.user, record);
    record->state = HF_RECORD_TOMB;
    record->deadline_ms = now_ms + HF_FABRIC_TOMB_MS;
    hf_records_turn(&node);
    assert_true(hf_records_in_store(&node, "a", &found) && found.state == HF_RECORD_TOMB);
    assert_int_equal(found.key_count, 1);
    record = hf_records_find(&node, "a");
    node.seam.clear(node.seam.user, record);
    record->state = HF_RECORD_OWNER;
    record->version = (struct hf_version){0x300, 0, 0x300};
    assert_int_equal(hf_records_run(&node, record, "a", "Snew").change, HF_FABRIC_VALUE);
    hf_records_turn(&node);
    hf_records_holds(&node, "a", "", "new");
    hf_records_holds(&node, "a", "_LOCK", "mine");
    hf_records_fini(&node);
}

/* ---- executing ---- */

static void versions_count_as_the_fabric_counts_them(void **state)
{
    struct hf_store_record found;
    struct hf_records_node node;
    hf_records_init(&node);
    struct hf_fabric_record *record = hf_records_own(&node, "a", "Svalue");
    for (unsigned i = 2; i < 6; i++) {
        char request[] = "S0";
        request[1] = (char)('0' + i);
        assert_int_equal(hf_records_run(&node, record, "a", request).change, HF_FABRIC_VALUE);
        assert_true(hf_records_in_store(&node, "a", &found));
        assert_true(hf_version_equal(found.version, (struct hf_version){0x105, i, 0x105}));
        assert_true(hf_version_equal(found.version, record->version));
    }
    assert_int_equal(hf_records_refused(node.records), 0);
    hf_records_fini(&node);
}

static void a_read_changes_nothing_and_answers(void **state)
{
    struct hf_records_node node;
    hf_records_init(&node);
    struct hf_fabric_record *record = hf_records_own(&node, "a", "Svalue");
    struct hf_fabric_outcome outcome = hf_records_run(&node, record, "a", "G");
    assert_int_equal(outcome.change, HF_FABRIC_NOTHING);
    assert_true(hf_slice_equal(outcome.reply, HF_SLICE("value")));
    assert_int_equal(outcome.deadline_ms, now_ms + TTL_MS);
    hf_records_fini(&node);
}

static void a_touch_is_told_when_it_moved_enough(void **state)
{
    struct hf_records_node node;
    hf_records_init(&node);
    struct hf_fabric_record *record = hf_records_own(&node, "a", "Svalue");
    struct hf_fabric_outcome outcome = hf_records_run(&node, record, "a", "E60500");
    assert_int_equal(outcome.change, HF_FABRIC_NOTHING);
    assert_int_equal(outcome.deadline_ms, now_ms + 60500);
    outcome = hf_records_run(&node, record, "a", "E70000");
    assert_int_equal(outcome.change, HF_FABRIC_VALUE);
    assert_true(outcome.delta.size > 0);
    assert_int_equal(outcome.deadline_ms, now_ms + 70000);
    hf_records_fini(&node);
}

static void ends_are_told_as_what_they_are(void **state)
{
    struct hf_records_node node;
    hf_records_init(&node);
    struct hf_fabric_record *record = hf_records_own(&node, "deleted", "Svalue");
    assert_int_equal(hf_records_run(&node, record, "deleted", "D").change, HF_FABRIC_DELETED);
    record = hf_records_own(&node, "expired", "Svalue");
    assert_int_equal(hf_records_run(&node, record, "expired", "E0").change, HF_FABRIC_DELETED);
    record = hf_records_own(&node, "locked", "Lmine");
    assert_int_equal(hf_records_run(&node, record, "locked", "U").change, HF_FABRIC_EMPTY);
    record = hf_records_create(&node, "nothing");
    record->state = HF_RECORD_OWNER;
    record->version = (struct hf_version){0x105, 0, 0x105};
    assert_int_equal(hf_records_run(&node, record, "nothing", "G").change, HF_FABRIC_EMPTY);
    record = hf_records_own(&node, "part", "Svalue");
    hf_records_run(&node, record, "part", "Lmine");
    struct hf_fabric_outcome outcome = hf_records_run(&node, record, "part", "U");
    assert_int_equal(outcome.change, HF_FABRIC_VALUE); /* one key less */
    assert_true(outcome.delta.size > 0);
    hf_records_fini(&node);
}

/* Its place is kept for a while, then it is none: a client that locks, and never comes. */
static void a_granted_record_may_stay_empty_for_a_while(void **state)
{
    struct hf_records_node node;
    hf_records_init(&node);
    struct hf_fabric_record *record = hf_records_create(&node, "a");
    record->state = HF_RECORD_OWNER;
    record->version = (struct hf_version){0x105, 0, 0x105};
    hf_records_turn(&node);
    record = hf_records_find(&node, "a");
    assert_int_equal(record->state, HF_RECORD_OWNER);
    assert_true(record->deadline_ms > now_ms);
    now_ms = record->deadline_ms;
    hf_records_turn(&node);
    hf_store_tick(node.store, now_ms + 1000, 1000);
    assert_null(hf_records_find(&node, "a"));
    assert_int_equal(node.expired, 1);
    hf_records_fini(&node);
}

/* ---- expiry ---- */

/* Their end is the fabric's to tell, as long as the store has not come to them. */
static void expired_records_are_still_shown(void **state)
{
    struct hf_records_node node;
    hf_records_init(&node);
    hf_records_own(&node, "a", "Svalue");
    hf_records_turn(&node);
    now_ms += TTL_MS;
    hf_records_turn(&node);
    uint64_t cursor = 0;
    struct hf_fabric_record *record = hf_records_find(&node, "a");
    assert_non_null(record);
    assert_int_equal(record->deadline_ms, now_ms);
    assert_int_equal(hf_records_run(&node, record, "a", "G").change, HF_FABRIC_EMPTY);
    assert_non_null(node.seam.next(node.seam.user, &cursor));
    assert_null(node.seam.next(node.seam.user, &cursor));
    hf_records_fini(&node);
}

/* ---- walking ---- */

enum { WALKED = 6000 };

static unsigned number_of(struct hf_records_node *node, const struct hf_fabric_record *record)
{
    struct hf_slice id = node->seam.id(node->seam.user, record);
    return hf_records_number_in(hf_slice(id.bytes + 1, id.size - 1));
}

static void fill(struct hf_records_node *node, unsigned first, unsigned count)
{
    char id[16];
    for (unsigned i = first; i < first + count; i++) {
        snprintf(id, sizeof(id), "w%u", i);
        struct hf_fabric_record *record = hf_records_create(node, id);
        assert_non_null(record);
        record->state = HF_RECORD_POINTER;
        record->version = (struct hf_version){i, 0, i};
        node->seam.end(node->seam.user);
    }
}

static void a_walk_meets_everything_once(void **state)
{
    static uint8_t met[WALKED];
    struct hf_records_node node;
    struct hf_fabric_record *record;
    uint64_t cursor = 0;
    hf_records_init(&node);
    assert_null(node.seam.next(node.seam.user, &cursor));
    fill(&node, 0, WALKED);
    memset(met, 0, sizeof(met));
    while ((record = node.seam.next(node.seam.user, &cursor)) != NULL) {
        unsigned i = number_of(&node, record);
        assert_int_equal(record->version.epoch, i);
        met[i]++;
    }
    assert_int_equal(cursor, 0);
    for (unsigned i = 0; i < WALKED; i++)
        assert_int_equal(met[i], 1);
    hf_records_fini(&node);
}

/* Every second record that is met goes, others change their role, new ones come all the time. */
static void a_walk_misses_nobody_whatever_happens(void **state)
{
    static uint8_t met[WALKED];
    struct hf_records_node node;
    struct hf_fabric_record *record;
    uint64_t cursor = 0;
    unsigned fresh = WALKED;
    hf_records_init(&node);
    fill(&node, 0, WALKED);
    memset(met, 0, sizeof(met));
    while ((record = node.seam.next(node.seam.user, &cursor)) != NULL) {
        unsigned i = number_of(&node, record);
        if (i >= WALKED)
            continue;
        met[i] = 1;
        if (i % 2 == 0)
            node.seam.remove(node.seam.user, record);
        else
            record->state = HF_RECORD_TOMB;
        node.seam.end(node.seam.user);
        if (fresh < 2 * WALKED)
            fill(&node, fresh++, 1);
        if (i % 64 == 0)
            hf_store_tick(node.store, now_ms, 1000);
    }
    for (unsigned i = 0; i < WALKED; i++)
        assert_int_equal(met[i], 1);
    hf_records_fini(&node);
}

static void one_event_may_touch_many_records(void **state)
{
    char id[16];
    struct hf_records_node node;
    hf_records_init(&node);
    fill(&node, 0, 2000);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 2000; i++) {
            snprintf(id, sizeof(id), "w%u", i);
            struct hf_fabric_record *record = hf_records_find(&node, id);
            assert_int_equal(record->version.sequence, round);
            record->version.sequence++;
        }
        hf_records_turn(&node);
    }
    hf_records_fini(&node);
}

static void ends_in_the_middle_of_an_event(void **state)
{
    struct hf_store_record found;
    struct hf_records_node node;
    hf_records_init(&node);
    hf_records_find(&node, "none");
    hf_records_own(&node, "a", "Svalue")->version.epoch = 0x777;
    hf_records_free(&node.records);
    assert_true(hf_records_in_store(&node, "a", &found));
    assert_int_equal(found.version.epoch, 0x777);
    hf_records_fini(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_into_a_record_is_read_in_the_next_event),
        cmocka_unit_test(an_owner_has_its_generation_and_its_keys_deadline),
        cmocka_unit_test(a_record_that_nothing_was_made_of_is_none),
        cmocka_unit_test(a_removed_record_is_gone_at_once),
        cmocka_unit_test(roles_keep_keys_or_drop_them),
        cmocka_unit_test(clear_drops_what_was_held),
        cmocka_unit_test(a_lock_outlives_its_session),
        cmocka_unit_test(versions_count_as_the_fabric_counts_them),
        cmocka_unit_test(a_read_changes_nothing_and_answers),
        cmocka_unit_test(a_touch_is_told_when_it_moved_enough),
        cmocka_unit_test(ends_are_told_as_what_they_are),
        cmocka_unit_test(a_granted_record_may_stay_empty_for_a_while),
        cmocka_unit_test(expired_records_are_still_shown),
        cmocka_unit_test(a_walk_meets_everything_once),
        cmocka_unit_test(a_walk_misses_nobody_whatever_happens),
        cmocka_unit_test(one_event_may_touch_many_records),
        cmocka_unit_test(ends_in_the_middle_of_an_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
