#include "base/test.h"
#include "fabric/internal.h"

/* What one node makes of what another tells of a record that both hold. */

enum { NOW_MS = 100 * 1000, SOON_MS = HF_DEADLINE_SLACK_MS / 2, LATER_MS = 60 * 1000 };

static struct hf_fabric *fabric;

static int set_up(void **state)
{
    fabric = test_calloc(1, sizeof(*fabric));
    fabric->now_ms = NOW_MS;
    fabric->generation = 1;
    return 0;
}

static int tear_down(void **state)
{
    test_free(fabric);
    return 0;
}

static struct hf_fabric_record copy(uint64_t deadline_ms)
{
    return (struct hf_fabric_record){.state = HF_RECORD_BACKUP, .deadline_ms = deadline_ms};
}

static void a_copy_about_to_end_is_passing(void **state)
{
    struct hf_fabric_record soon = copy(NOW_MS + SOON_MS), past = copy(NOW_MS - LATER_MS);
    struct hf_fabric_record later = copy(NOW_MS + LATER_MS), never = copy(0);
    assert_true(hf_record_passing(fabric, &soon));
    assert_true(hf_record_passing(fabric, &past));
    assert_false(hf_record_passing(fabric, &later));
    assert_false(hf_record_passing(fabric, &never));
    assert_false(hf_record_passing(fabric, NULL));
}

/* The owner's own count is the one that holds. */
static void what_is_owned_is_not_passing(void **state)
{
    struct hf_fabric_record record = copy(NOW_MS + SOON_MS);
    record.state = HF_RECORD_OWNER;
    record.generation = 1;
    assert_false(hf_record_passing(fabric, &record));
    record.generation = 2; /* of a term before */
    record.state = HF_RECORD_POINTER;
    assert_false(hf_record_passing(fabric, &record)); /* nothing that could end */
}

static void it_is_outlived_by_what_lives_longer_alone(void **state)
{
    struct hf_fabric_record soon = copy(NOW_MS + SOON_MS), later = copy(NOW_MS + LATER_MS);
    assert_true(hf_record_outlived(fabric, &soon, LATER_MS));
    assert_true(hf_record_outlived(fabric, &soon, 0)); /* for ever */
    assert_false(hf_record_outlived(fabric, &soon, 1));
    assert_false(
        hf_record_outlived(fabric, &later, 2 * LATER_MS)); /* it comes with the next write */
}

static void of_two_epochs_granted_at_once_none_is_the_same(void **state)
{
    const uint32_t before = 0x1200 | 3;
    uint32_t one = hf_record_next_epoch(before, 1), other = hf_record_next_epoch(before, 2);
    assert_true(one > before && other > before && one != other);
    assert_true(hf_record_next_epoch(one, 0) > other);
}

int main(void)
{
#define RECORD_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        RECORD_TEST(a_copy_about_to_end_is_passing),
        RECORD_TEST(what_is_owned_is_not_passing),
        RECORD_TEST(it_is_outlived_by_what_lives_longer_alone),
        RECORD_TEST(of_two_epochs_granted_at_once_none_is_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
