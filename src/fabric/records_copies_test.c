/* What travels between nodes is whole on the other side, or refused; so is what has no place. */
#include "fabric/records_testing.h"

/* Brings what one node holds to another, as the fabric does: version first, then content. */
static bool bring(struct hf_records_node *from, struct hf_fabric_record *record,
                  struct hf_records_node *to, const char *id)
{
    struct hf_slice image = from->seam.image(from->seam.user, record);
    struct hf_fabric_record *copy = hf_records_find(to, id);
    if (copy == NULL)
        copy = hf_records_create(to, id);
    copy->version = record->version;
    copy->owner = record->owner;
    copy->state = HF_RECORD_BACKUP;
    return to->seam.load(to->seam.user, copy, image);
}

/* ---- content on its way ---- */

static void an_image_brings_every_key(void **state)
{
    struct hf_records_node node, other;
    hf_records_init(&node);
    hf_records_init(&other);
    struct hf_fabric_record *record = hf_records_own(&node, "a", "Svalue");
    hf_records_run(&node, record, "a", "Xtwo");
    hf_records_run(&node, record, "a", "Lmine");
    assert_true(bring(&node, record, &other, "a"));
    hf_records_turn(&other);
    struct hf_fabric_record *copy = hf_records_find(&other, "a");
    assert_int_equal(copy->state, HF_RECORD_BACKUP);
    assert_int_equal(copy->deadline_ms, now_ms + TTL_MS);
    assert_true(hf_version_equal(copy->version, record->version));
    copy->state = HF_RECORD_OWNER;
    hf_records_turn(&other);
    hf_records_holds(&other, "a", "", "value");
    hf_records_holds(&other, "a", ":more", "two");
    hf_records_holds(&other, "a", "_LOCK", "mine");
    hf_records_fini(&other);
    hf_records_fini(&node);
}

static void a_delta_follows_its_base_alone(void **state)
{
    struct hf_records_node node, other;
    hf_records_init(&node);
    hf_records_init(&other);
    struct hf_fabric_record *record = hf_records_own(&node, "a", "Svalue");
    assert_true(bring(&node, record, &other, "a"));
    hf_records_turn(&other);
    const char *const requests[] = {"Snext", "Xtwo", "E90000", "Lmine", "U"};
    for (unsigned i = 0; i < 5; i++) {
        struct hf_fabric_outcome outcome = hf_records_run(&node, record, "a", requests[i]);
        struct hf_fabric_record *copy = hf_records_find(&other, "a");
        assert_int_equal(outcome.change, HF_FABRIC_VALUE);
        copy->version = record->version;
        assert_true(other.seam.change(other.seam.user, copy, outcome.delta));
        assert_int_equal(copy->deadline_ms, outcome.deadline_ms);
        hf_records_turn(&other);
        assert_true(hf_version_equal(hf_records_find(&other, "a")->version, record->version));
    }
    struct hf_slice delta = hf_records_run(&node, record, "a", "Slast").delta;
    struct hf_fabric_record *copy = hf_records_find(&other, "a");
    assert_false(other.seam.change(other.seam.user, copy, delta)); /* it is that version already */
    copy->state = HF_RECORD_OWNER;
    hf_records_turn(&other);
    hf_records_holds(&other, "a", "", "next");
    hf_records_fini(&other);
    hf_records_fini(&node);
}

static void bytes_that_are_none_are_refused(void **state)
{
    struct hf_records_node node;
    hf_records_init(&node);
    struct hf_fabric_record *record = hf_records_create(&node, "a");
    record->state = HF_RECORD_BACKUP;
    record->version = (struct hf_version){0x105, 1, 0x105};
    assert_false(node.seam.load(node.seam.user, record, HF_SLICE("no image")));
    assert_false(node.seam.load(node.seam.user, record, HF_SLICE("")));
    assert_false(node.seam.change(node.seam.user, record, HF_SLICE("no delta")));
    node.seam.remove(node.seam.user, record);
    hf_records_turn(&node);
    assert_null(hf_records_find(&node, "a"));
    hf_records_fini(&node);
}

static void what_expired_on_the_way_is_no_content(void **state)
{
    struct hf_records_node node, other;
    hf_records_init(&node);
    hf_records_init(&other);
    struct hf_fabric_record *record = hf_records_own(&node, "a", "Svalue");
    now_ms += TTL_MS;
    hf_records_turn(&node);
    assert_non_null(record = hf_records_find(&node, "a"));
    assert_false(bring(&node, record, &other, "a"));
    other.seam.remove(other.seam.user, hf_records_find(&other, "a"));
    hf_records_turn(&other);
    assert_null(hf_records_find(&other, "a"));
    hf_records_fini(&other);
    hf_records_fini(&node);
}

static void large_sessions_fit(void **state)
{
    enum { SIZE = 300 * 1000 };
    struct hf_records_node node, other;
    hf_records_init(&node);
    hf_records_init(&other);
    char *request = malloc(SIZE + 1);
    assert_non_null(request);
    memset(request, 'S', SIZE);
    request[SIZE] = '\0';
    struct hf_fabric_record *record = hf_records_own(&node, "a", request);
    assert_true(node.seam.image(node.seam.user, record).size > SIZE);
    assert_true(bring(&node, record, &other, "a"));
    hf_records_find(&other, "a")->state = HF_RECORD_OWNER;
    hf_records_turn(&other);
    hf_records_holds(&other, "a", "", request + 1);
    free(request);
    hf_records_fini(&other);
    hf_records_fini(&node);
}

/* ---- a full store ---- */

static void a_full_store_has_no_place_for_a_record(void **state)
{
    static const char value[] =
        "Svvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv";
    char id[16];
    unsigned count = 0;
    struct hf_records_node node;
    hf_records_init_with(&node, HF_STORE_MEMORY_MIN);
    struct hf_store_record found;
    for (;; count++) {
        snprintf(id, sizeof(id), "id%u", count);
        struct hf_fabric_record *record = hf_records_create(&node, id);
        if (record == NULL)
            break;
        record->state = HF_RECORD_OWNER;
        record->version = (struct hf_version){0x105, 0, 0x105};
        if (hf_records_run(&node, record, id, value).change == HF_FABRIC_EMPTY)
            record->state = HF_RECORD_POINTER; /* pointers have the reserve too */
        node.seam.end(node.seam.user);
    }
    assert_true(count > 1000);
    assert_true(hf_records_refused(node.records) > 0);
    assert_null(hf_records_find(&node, id));
    assert_false(hf_records_in_store(&node, id, &found));
    node.seam.remove(node.seam.user,
                     hf_records_find(&node, "id1")); /* what is there can go and change */
    hf_records_find(&node, "id2")->state = HF_RECORD_TOMB;
    hf_records_turn(&node);
    assert_int_equal(hf_records_find(&node, "id2")->state, HF_RECORD_TOMB);
    hf_records_fini(&node);
}

static void a_full_store_refuses_an_image(void **state)
{
    struct hf_records_node node, other;
    hf_records_init(&node);
    hf_records_init_with(&other, HF_STORE_MEMORY_MIN);
    char *request = malloc(HF_STORE_MEMORY_MIN + 1);
    assert_non_null(request);
    memset(request, 'S', HF_STORE_MEMORY_MIN);
    request[HF_STORE_MEMORY_MIN] = '\0';
    struct hf_fabric_record *record = hf_records_own(&node, "a", request);
    assert_false(bring(&node, record, &other, "a"));
    other.seam.remove(other.seam.user, hf_records_find(&other, "a"));
    hf_records_turn(&other);
    assert_null(hf_records_find(&other, "a"));
    free(request);
    hf_records_fini(&other);
    hf_records_fini(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_image_brings_every_key),
        cmocka_unit_test(a_delta_follows_its_base_alone),
        cmocka_unit_test(bytes_that_are_none_are_refused),
        cmocka_unit_test(what_expired_on_the_way_is_no_content),
        cmocka_unit_test(large_sessions_fit),
        cmocka_unit_test(a_full_store_has_no_place_for_a_record),
        cmocka_unit_test(a_full_store_refuses_an_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
