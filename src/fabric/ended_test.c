#include "base/test.h"
#include "fabric/internal.h"

/* What is known of records that are over, and what is still told of them. */

enum { HASH = 7, START_MS = 1000 };

static struct hf_fabric *fabric;
static const struct hf_version end = {.epoch = 0x7800, .sequence = 34, .birth = 0x7400};

static int set_up(void **state)
{
    fabric = test_calloc(1, sizeof(*fabric));
    fabric->now_ms = START_MS;
    hf_ended_note(fabric, HASH, end);
    return 0;
}

static int tear_down(void **state)
{
    test_free(fabric);
    return 0;
}

static bool covers(uint64_t hash, enum hf_record_state record, struct hf_version version)
{
    struct hf_wire_message m = {.state = (uint8_t)record, .version = version};
    return hf_ended_covers(fabric, hash, &m);
}

/* A pointer to it too: taken for news, it would let an older copy in behind itself. */
static void copies_and_pointers_of_it_are_old(void **state)
{
    const struct hf_version before = {.epoch = 0x7800, .sequence = 18, .birth = 0x7400};
    const struct hf_version after = {.epoch = 0x7900, .sequence = 34, .birth = 0x7400};
    const struct hf_version anew = {.epoch = 0x7900, .sequence = 1, .birth = 0x7900};
    const enum hf_record_state states[] = {HF_RECORD_BACKUP, HF_RECORD_POINTER};
    for (unsigned i = 0; i < 2; i++) {
        assert_true(covers(HASH, states[i], before) && covers(HASH, states[i], end));
        assert_false(covers(HASH, states[i], after) || covers(HASH, states[i], anew));
        assert_false(covers(HASH + HF_FABRIC_ENDED, states[i], before)); /* another one */
    }
}

static void its_owner_and_its_tombstone_are_not(void **state)
{
    assert_false(covers(HASH, HF_RECORD_OWNER, end) || covers(HASH, HF_RECORD_TOMB, end) ||
                 covers(HASH, HF_RECORD_NONE, end));
}

static void it_is_forgotten(void **state)
{
    fabric->now_ms += HF_FABRIC_ENDED_MS - 1;
    assert_true(covers(HASH, HF_RECORD_BACKUP, end));
    fabric->now_ms++;
    assert_false(covers(HASH, HF_RECORD_BACKUP, end));
}

int main(void)
{
#define ENDED_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        ENDED_TEST(copies_and_pointers_of_it_are_old),
        ENDED_TEST(its_owner_and_its_tombstone_are_not),
        ENDED_TEST(it_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
