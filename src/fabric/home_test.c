#include "base/test.h"
#include "fabric/internal.h"
#include <stdlib.h>

/* What waits at a home, and what becomes of it when the link to who asked ends. */

enum { SELF, ASKER, OTHER, NODES };

static struct hf_rank rank;
static struct hf_fabric *fabric;
static struct hf_activity *activity;

static struct hf_slice id(void)
{
    return HF_SLICE("s1");
}

static struct hf_fabric_record *find_none(void *user, struct hf_slice of, uint64_t hash)
{
    return NULL;
}

static int set_up(void **state)
{
    static const struct hf_slice names[NODES] = {HF_SLICE("a"), HF_SLICE("b"), HF_SLICE("c")};
    assert_int_equal(hf_rank_init(&rank, names, NODES), 0);
    fabric = test_calloc(1, sizeof(*fabric));
    fabric->rank = &rank;
    fabric->self = SELF;
    fabric->store.find = find_none;
    fabric->settings.activities_max = 1;
    for (unsigned i = 0; i < HF_FABRIC_ACTIVE; i++)
        hf_list_init(&fabric->active[i]);
    activity = hf_activity_ensure(fabric, id(), hf_rank_hash(id()));
    assert_non_null(activity);
    return 0;
}

static int tear_down(void **state)
{
    hf_activity_free_all(fabric);
    assert_int_equal(fabric->active_count, 0);
    test_free(fabric);
    return 0;
}

/* A request that waits for the owner's answer. */
static void wait_for(unsigned origin, uint64_t number)
{
    struct hf_request *request = calloc(1, sizeof(*request));
    assert_non_null(request);
    request->origin = (uint8_t)origin;
    request->number = number;
    hf_list_push_back(&activity->requests, &request->node);
    activity->request_count++;
    activity->step = HF_HOME_TRANSFERRING;
}

static void what_nobody_waits_for_is_not_done(void **state)
{
    wait_for(ASKER, 1);
    wait_for(ASKER, 2);
    hf_home_unlinked(fabric, ASKER);
    assert_null(hf_activity_find(fabric, id(), hf_rank_hash(id())));
}

static void others_are_waited_for(void **state)
{
    wait_for(OTHER, 1);
    wait_for(ASKER, 2);
    wait_for(OTHER, 3);
    hf_home_unlinked(fabric, ASKER);
    assert_int_equal(activity->request_count, 2);
    assert_int_equal(activity->step, HF_HOME_TRANSFERRING); /* for the first of them */
    HF_LIST_EACH(&activity->requests, node)
    assert_int_equal(hf_container_of(node, struct hf_request, node)->origin, OTHER);
}

/* Within an event about the record the home looks at the requests itself. */
static void a_decision_under_way_is_left_alone(void **state)
{
    wait_for(ASKER, 1);
    activity->deciding = true;
    hf_home_unlinked(fabric, ASKER);
    assert_int_equal(activity->request_count, 1);
    activity->deciding = false;
}

/* Whoever granted it may come back with what was made under it. */
static void an_epoch_that_was_met_is_not_granted_again(void **state)
{
    const uint32_t met = 0x1300 | OTHER;
    struct hf_wire_message m = {.id = id(), .kind = HF_WIRE_CHANGE, .state = HF_RECORD_OWNER};
    m.version = (struct hf_version){.epoch = met, .sequence = 35, .birth = 0x1000};
    m.base = (struct hf_version){.epoch = 0x1200, .sequence = 35, .birth = 0x1000};
    hf_backup_replicate(fabric, OTHER, &m); /* nothing is here that it could change */
    assert_true(hf_home_epoch(fabric, hf_rank_hash(id()),
                              fabric->epoch_high[hf_digest_bucket(hf_rank_hash(id()))]) > met);
}

int main(void)
{
#define HOME_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        HOME_TEST(what_nobody_waits_for_is_not_done),
        HOME_TEST(others_are_waited_for),
        HOME_TEST(a_decision_under_way_is_left_alone),
        HOME_TEST(an_epoch_that_was_met_is_not_granted_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
