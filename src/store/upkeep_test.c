#include "base/rng.h"
#include "store/testing.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    GRACE_MS = 5000, /* hf_testing_options */
    LATE_MS = 512,   /* two ticks of the wheel: how late what expired is removed */
    TICKS_MAX = 1000000,
};

static struct hf_store *store;
static struct hf_store_change change;
static char id_text[16];

static int begin(void **state)
{
    store = hf_testing_store(&hf_testing_options);
    return 0;
}

static int end(void **state)
{
    hf_shard_check(store);
    hf_store_free(&store);
    return 0;
}

static struct hf_store_key key_of(unsigned number)
{
    snprintf(id_text, sizeof(id_text), "%u", number);
    return hf_testing_key(id_text);
}

static void put(unsigned number, uint64_t deadline_ms)
{
    struct hf_store_key key = key_of(number);
    hf_testing_set(store, &key, HF_SLICE("value"), deadline_ms);
}

static uint64_t records(enum hf_record_state state)
{
    struct hf_store_stats stats;
    hf_store_stats(store, &stats);
    return stats.records[state];
}

static unsigned tick_all(uint64_t now_ms)
{
    unsigned ticks = 1;
    while (hf_store_tick(store, now_ms, HF_STORE_TICK_BUDGET))
        assert_true(ticks++ < TICKS_MAX);
    return ticks;
}

static struct hf_store_record find(const struct hf_store_key *key, uint64_t now_ms)
{
    struct hf_store_record record = {0};
    if (!hf_store_find(store, key->id, key->id_hash, now_ms, &record))
        assert_int_equal(record.state, HF_RECORD_NONE);
    return record;
}

static enum hf_store_status assign(const struct hf_store_key *key, enum hf_record_state state,
                                   uint64_t deadline_ms)
{
    struct hf_store_role role = {
        .state = state, .version = {7, 3, 1}, .owner = 2, .deadline_ms = deadline_ms};
    return hf_store_assign(store, key->id, key->id_hash, &role, HF_TESTING_NOW_MS);
}

/* ---- expiry ---- */

/* However many end at one moment, a tick ends no more than its budget. */
static void what_is_due_together_ends_in_small_steps(void **state)
{
    enum { COUNT = 30000 };
    for (unsigned i = 0; i < COUNT; i++)
        put(i, HF_TESTING_NOW_MS + 1000);
    uint64_t now_ms = HF_TESTING_NOW_MS + 1000 + LATE_MS, left = COUNT;
    for (unsigned ticks = 0; left > 0; ticks++) {
        assert_true(ticks < TICKS_MAX);
        hf_store_tick(store, now_ms, HF_STORE_TICK_BUDGET);
        uint64_t now_left = records(HF_RECORD_NONE);
        assert_true(left - now_left <= HF_STORE_TICK_BUDGET);
        left = now_left;
    }
    struct hf_store_stats stats;
    hf_store_stats(store, &stats);
    assert_int_equal(stats.expired, COUNT);
    tick_all(now_ms);
    assert_true(store->memory.used < (2 << 20) + sizeof(*store)); /* memory went back */
}

static uint64_t random_ttl(struct hf_rng *rng)
{
    return 1 + hf_rng_u64(rng) % (UINT64_C(1) << (5 + hf_rng_below(rng, 30))); /* to 1 year */
}

/* None ends before its time, nor more than two ticks after, through every level of the wheel. */
static void each_ends_at_its_time(void **state)
{
    enum { COUNT = 3000, ROUNDS = 400 };
    static uint64_t deadlines[COUNT];
    struct hf_rng rng;
    hf_rng_seed(&rng, 9);
    for (unsigned i = 0; i < COUNT; i++)
        put(i, deadlines[i] = HF_TESTING_NOW_MS + random_ttl(&rng));
    uint64_t now_ms = HF_TESTING_NOW_MS;
    for (unsigned round = 0; round < ROUNDS; round++) {
        now_ms += random_ttl(&rng) / (1 + hf_rng_below(&rng, 1000));
        tick_all(now_ms);
        unsigned alive = 0, perhaps = 0;
        for (unsigned i = 0; i < COUNT; i++) {
            alive += deadlines[i] > now_ms;
            perhaps += deadlines[i] + LATE_MS > now_ms;
        }
        assert_in_range(records(HF_RECORD_NONE), alive, perhaps);
    }
    hf_shard_check(store);
    tick_all(now_ms + (UINT64_C(1) << 36));
    assert_int_equal(records(HF_RECORD_NONE), 0);
}

static void what_is_touched_lives_on(void **state)
{
    enum { COUNT = 500, TOUCHES = 50 };
    uint64_t now_ms = HF_TESTING_NOW_MS;
    for (unsigned i = 0; i < COUNT; i++)
        put(i, now_ms + 60000);
    for (unsigned touch = 0; touch < TOUCHES; touch++) {
        now_ms += 30000;
        for (unsigned i = 0; i < COUNT; i++) {
            struct hf_store_key key = key_of(i);
            struct hf_store_write write = {.now_ms = now_ms, .fresh = {1, 0, 1}};
            assert_int_equal(hf_store_expire(store, &key, now_ms + 60000, &write, &change),
                             HF_STORE_OK);
        }
        tick_all(now_ms);
    }
    assert_int_equal(records(HF_RECORD_OWNER), COUNT);
    tick_all(now_ms + 60000 + LATE_MS);
    assert_int_equal(records(HF_RECORD_OWNER), 0);
}

static unsigned told;
static void dropped(void *user, enum hf_store_drop why, struct hf_slice id,
                    enum hf_record_state state, struct hf_version version)
{
    assert_ptr_equal(user, &told);
    assert_int_equal(why, HF_STORE_EXPIRED);
    assert_true(hf_slice_equal(id, HF_SLICE("1")) && version.sequence == 1);
    assert_int_equal(state, HF_RECORD_OWNER);
    told++;
}

static void an_end_is_told_once(void **state)
{
    store->options.dropped = dropped;
    store->options.user = &told;
    told = 0;
    put(1, HF_TESTING_NOW_MS + 1000);
    tick_all(HF_TESTING_NOW_MS + 999);
    assert_int_equal(told, 0);
    tick_all(HF_TESTING_NOW_MS + 1000 + LATE_MS);
    tick_all(HF_TESTING_NOW_MS + 9000 + LATE_MS);
    assert_int_equal(told, 1);
    /* A write that finds the old one expired tells it too, before it begins anew. */
    put(1, HF_TESTING_NOW_MS + 1000);
    struct hf_store_key key = key_of(1);
    struct hf_store_set set = {.value = HF_SLICE("new"), .deadline_ms = HF_DEADLINE_NEVER};
    struct hf_store_write write = {.now_ms = HF_TESTING_NOW_MS + 1000, .fresh = {2, 0, 2}};
    assert_int_equal(hf_store_set(store, &key, &set, &write, &change), HF_STORE_OK);
    assert_int_equal(told, 2);
    assert_true(change.created_record && change.version.epoch == 2);
}

static void a_lock_ends_without_its_session(void **state)
{
    struct hf_store_key key = key_of(1), lock = hf_testing_lock("1");
    hf_testing_set(store, &lock, HF_SLICE("me"), HF_TESTING_NOW_MS + 1000);
    hf_testing_set(store, &key, HF_SLICE("value"), 0);
    struct hf_version version = find(&key, HF_TESTING_NOW_MS).version;
    tick_all(HF_TESTING_NOW_MS + 1000 + LATE_MS);
    struct hf_store_record record = find(&key, HF_TESTING_NOW_MS);
    assert_int_equal(record.key_count, 1);
    assert_true(hf_version_equal(record.version, version));
    hf_testing_holds(store, &key, HF_SLICE("value"));
    /* A session whose value ended is not alive, though its lock is there. */
    hf_testing_set(store, &lock, HF_SLICE("me"), HF_TESTING_NOW_MS + 1000);
    assert_true(find(&key, HF_TESTING_NOW_MS).alive);
    assert_int_equal(hf_store_expire(store, &key, 0, &hf_testing_write, &change), HF_STORE_OK);
    assert_int_equal(change.effect, HF_STORE_GONE);
    assert_false(find(&key, HF_TESTING_NOW_MS).alive);
}

static void a_backup_stays_for_its_grace(void **state)
{
    uint64_t deadline_ms = HF_TESTING_NOW_MS + 1000;
    struct hf_store_key key = key_of(1);
    put(1, deadline_ms);
    assert_int_equal(assign(&key, HF_RECORD_BACKUP, 0), HF_STORE_OK);
    tick_all(deadline_ms + LATE_MS);
    struct hf_store_record record = find(&key, deadline_ms + GRACE_MS - 1);
    assert_int_equal(record.state, HF_RECORD_BACKUP);
    assert_false(record.alive);
    assert_int_equal(record.deadline_ms, deadline_ms);
    assert_int_equal(find(&key, deadline_ms + GRACE_MS).state, HF_RECORD_NONE);
    assert_int_equal(records(HF_RECORD_BACKUP), 1);
    tick_all(deadline_ms + GRACE_MS + LATE_MS);
    assert_int_equal(records(HF_RECORD_BACKUP), 0);
}

/* ---- roles ---- */

static void roles_keep_and_drop_what_they_should(void **state)
{
    struct hf_store_key key = key_of(1), lock = hf_testing_lock("1"), none = hf_testing_key("none");
    uint64_t until_ms = HF_TESTING_NOW_MS + 9000;
    hf_testing_set(store, &key, HF_SLICE("value"), 0);
    hf_testing_set(store, &lock, HF_SLICE("me"), 0);
    assert_int_equal(assign(&key, HF_RECORD_BACKUP, 0), HF_STORE_OK);
    assert_int_equal(hf_testing_status(store, &key, HF_TESTING_NOW_MS), HF_STORE_NOT_OWNER);
    struct hf_store_delete how = {0};
    assert_int_equal(hf_store_delete(store, &key, &how, &hf_testing_write, &change),
                     HF_STORE_NOT_OWNER);
    assert_int_equal(assign(&key, HF_RECORD_OWNER, 0), HF_STORE_OK);
    hf_testing_holds(store, &key, HF_SLICE("value"));
    assert_int_equal(assign(&key, HF_RECORD_TOMB, until_ms), HF_STORE_OK);
    assert_int_equal(hf_testing_status(store, &key, HF_TESTING_NOW_MS), HF_STORE_MISSING);
    hf_testing_holds(store, &lock, HF_SLICE("me"));
    struct hf_store_record record = find(&key, HF_TESTING_NOW_MS);
    assert_true(record.state == HF_RECORD_TOMB && record.owner == 2 && record.key_count == 1);
    assert_int_equal(record.deadline_ms, until_ms);
    assert_int_equal(assign(&key, HF_RECORD_POINTER, until_ms), HF_STORE_OK);
    assert_int_equal(find(&key, HF_TESTING_NOW_MS).key_count, 0);
    assert_int_equal(hf_testing_status(store, &key, HF_TESTING_NOW_MS), HF_STORE_NOT_OWNER);
    assert_int_equal(hf_testing_status(store, &key, until_ms), HF_STORE_MISSING);
    assert_int_equal(assign(&key, HF_RECORD_BACKUP, 0), HF_STORE_MISSING);
    assert_int_equal(assign(&key, HF_RECORD_NONE, 0), HF_STORE_OK);
    assert_int_equal(records(HF_RECORD_NONE), 0);
    assert_int_equal(assign(&none, HF_RECORD_NONE, 0), HF_STORE_OK);
    assert_int_equal(assign(&none, HF_RECORD_BACKUP, 0), HF_STORE_MISSING);
}

/* A grant for an id without keys: writes go on from its version; unused, it ends. */
static void a_grant_may_be_empty(void **state)
{
    struct hf_store_key key = key_of(1);
    assert_int_equal(assign(&key, HF_RECORD_OWNER, HF_TESTING_NOW_MS + 1000), HF_STORE_OK);
    assert_int_equal(hf_testing_status(store, &key, HF_TESTING_NOW_MS), HF_STORE_MISSING);
    change = hf_testing_set(store, &key, HF_SLICE("value"), 0);
    assert_int_equal(change.version.epoch, 7);
    assert_int_equal(change.version.sequence, 4);
    struct hf_store_key other = hf_testing_key("other");
    assert_int_equal(assign(&other, HF_RECORD_OWNER, HF_TESTING_NOW_MS + 1000), HF_STORE_OK);
    tick_all(HF_TESTING_NOW_MS + 1000 + LATE_MS);
    assert_int_equal(records(HF_RECORD_OWNER), 1);
    hf_testing_holds(store, &key, HF_SLICE("value"));
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(what_is_due_together_ends_in_small_steps),
        ROW(each_ends_at_its_time),
        ROW(what_is_touched_lives_on),
        ROW(an_end_is_told_once),
        ROW(a_lock_ends_without_its_session),
        ROW(a_backup_stays_for_its_grace),
        ROW(roles_keep_and_drop_what_they_should),
        ROW(a_grant_may_be_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
