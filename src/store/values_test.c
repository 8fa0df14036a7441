#include "base/rng.h"
#include "base/test.h"
#include "store/deadline.h"
#include "store/version.h"

enum { ROUNDS = 200000 };

struct copy {
    enum hf_record_state state;
    struct hf_version version;
};

static int order(const struct copy *a, const struct copy *b)
{
    return hf_version_compare(a->state, a->version, b->state, b->version);
}

/* Small numbers, so that ties and crossings are common. */
static struct copy random_copy(struct hf_rng *rng)
{
    uint32_t birth = 1 + hf_rng_below(rng, 4);
    return (struct copy){
        .state = hf_rng_below(rng, HF_RECORD_STATES),
        .version = {.epoch = birth + hf_rng_below(rng, 4),
                    .sequence = hf_rng_below(rng, 3),
                    .birth = birth},
    };
}

static void the_order_is_total(void **state)
{
    struct hf_rng rng;
    hf_rng_seed(&rng, 4);
    for (int i = 0; i < ROUNDS; i++) {
        struct copy a = random_copy(&rng), b = random_copy(&rng), c = random_copy(&rng);
        assert_int_equal(order(&a, &a), 0);
        assert_int_equal(order(&a, &b), -order(&b, &a));
        if (order(&a, &b) <= 0 && order(&b, &c) <= 0)
            assert_true(order(&a, &c) <= 0);
    }
}

static void a_tombstone_wins_over_all_that_did_not_know_it(void **state)
{
    struct copy tomb = {HF_RECORD_TOMB, {.epoch = 5, .sequence = 9, .birth = 1}};
    struct copy cut_off = {HF_RECORD_OWNER, {.epoch = 9, .sequence = 99, .birth = 1}};
    struct copy reborn = {HF_RECORD_OWNER, {.epoch = 6, .sequence = 1, .birth = 6}};
    struct copy older = {HF_RECORD_BACKUP, {.epoch = 9, .sequence = 98, .birth = 1}};
    struct copy later_tomb = {HF_RECORD_TOMB, {.epoch = 6, .sequence = 2, .birth = 6}};
    struct copy none = {HF_RECORD_NONE, {0}};
    assert_true(order(&tomb, &cut_off) > 0);
    assert_true(order(&reborn, &tomb) > 0);
    assert_true(order(&reborn, &cut_off) > 0); /* else the three would turn in a circle */
    assert_true(order(&cut_off, &older) > 0);
    assert_true(order(&later_tomb, &reborn) > 0);
    assert_true(order(&older, &none) > 0);
    assert_true(order(&tomb, &none) > 0);
}

static void digests_tell_versions_and_tombstones_apart(void **state)
{
    struct hf_version version = {.epoch = 2, .sequence = 3, .birth = 1};
    struct hf_version next = {.epoch = 2, .sequence = 4, .birth = 1};
    assert_int_not_equal(hf_digest_of(7, false, version), hf_digest_of(7, true, version));
    assert_int_not_equal(hf_digest_of(7, false, version), hf_digest_of(7, false, next));
    assert_int_not_equal(hf_digest_of(7, false, version), hf_digest_of(8, false, version));
    struct hf_digest digest = {0};
    hf_digest_add(&digest, hf_digest_of(7, false, version));
    hf_digest_add(&digest, hf_digest_of(8, false, version));
    hf_digest_remove(&digest, hf_digest_of(7, false, version));
    assert_int_equal(digest.count, 1);
    assert_int_equal(digest.sum, hf_digest_of(8, false, version));
}

static void clocks_convert(void **state)
{
    assert_int_equal(hf_deadline_after(100, 50), 150);
    assert_int_equal(hf_deadline_after(100, UINT64_MAX), HF_DEADLINE_MAX);
    assert_int_equal(hf_deadline_after(UINT64_MAX, 1), HF_DEADLINE_MAX);
    assert_int_equal(hf_deadline_from_wall(5000, 4000, 100), 1100);
    assert_int_equal(hf_deadline_from_wall(3000, 4000, 100), 100);
    assert_true(hf_deadline_due(hf_deadline_from_wall(0, 4000, 100), 100));
    assert_int_equal(hf_deadline_to_wall(1100, 4000, 100), 5000);
    assert_int_equal(hf_deadline_to_wall(50, 4000, 100), 3950);
    assert_int_equal(hf_deadline_to_wall(50, 10, 100), 0);
    assert_true(hf_deadline_to_wall(HF_DEADLINE_NEVER, 4000, 100) == HF_DEADLINE_NEVER);
    assert_int_equal(hf_deadline_to_wall(HF_DEADLINE_MAX, UINT64_MAX - 5, 100), INT64_MAX);
    assert_true(hf_deadline_clamp(HF_DEADLINE_NEVER) == HF_DEADLINE_NEVER);
    assert_int_equal(hf_deadline_clamp(HF_DEADLINE_NEVER - 1), HF_DEADLINE_MAX);
}

static void a_deadline_moves_by_more_than_the_slack(void **state)
{
    const uint64_t now = 1000000;
    assert_false(hf_deadline_moved(now, now + 5000, now + 6000));
    assert_true(hf_deadline_moved(now, now + 5000, now + 6001));
    assert_true(hf_deadline_moved(now, now + 6001, now + 5000));
    assert_false(hf_deadline_moved(now, now + 1000000, now + 1010000)); /* 1 % of 1,010 s */
    assert_true(hf_deadline_moved(now, now + 1000000, now + 1010102));
    assert_false(hf_deadline_moved(now, now + 8000000000, now + 8007200000)); /* 2 h of 92 days */
    assert_true(hf_deadline_moved(now, now + 8000000000, now + 8007200001));
    assert_true(hf_deadline_moved(now, now + 5000, HF_DEADLINE_NEVER));
    assert_true(hf_deadline_moved(now, HF_DEADLINE_NEVER, now + 5000));
    assert_false(hf_deadline_moved(now, HF_DEADLINE_NEVER, HF_DEADLINE_NEVER));
    assert_true(hf_deadline_moved(now, now + 5000, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_is_total),
        cmocka_unit_test(a_tombstone_wins_over_all_that_did_not_know_it),
        cmocka_unit_test(digests_tell_versions_and_tombstones_apart),
        cmocka_unit_test(clocks_convert),
        cmocka_unit_test(a_deadline_moves_by_more_than_the_slack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
