/* What the store does when memory ends: its limit is reached, or the system refuses, at any point
 * of any operation. */
#include "base/rng.h"
#include "store/blob.h"
#include "store/testing.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    VALUE_SIZE = 1000,
    SHIFTS = 7,
    SESSIONS_MAX = 1 << 20,
    REFUSALS_MAX = 200, /* requests to the system that one operation makes, at most */
};

static struct hf_store *store;
static struct hf_store_change change;
static char value[HF_STORE_VALUE_MAX + SHIFTS]; /* sessions hold it from different bytes on */
static char id_text[16];

static void begin_with(enum hf_store_full full, size_t memory)
{
    struct hf_store_options options = hf_testing_options;
    options.memory = memory;
    options.full = full;
    store = hf_testing_store(&options);
    for (size_t i = 0; i < sizeof(value); i++)
        value[i] = (char)(i * 31 + i / 253);
}

static void begin(enum hf_store_full full)
{
    begin_with(full, 8 << 20);
}

static void end(void)
{
    hf_shard_check(store);
    assert_true(store->memory.used <= store->options.memory);
    hf_store_free(&store);
}

static struct hf_store_key key_of(unsigned number)
{
    snprintf(id_text, sizeof(id_text), "%u", number);
    return hf_testing_key(id_text);
}

static enum hf_store_status put_at(unsigned number, size_t size, uint64_t now_ms)
{
    struct hf_store_key key = key_of(number);
    struct hf_store_set set = {.value = {value + number % SHIFTS, size},
                               .deadline_ms = HF_DEADLINE_NEVER};
    struct hf_store_write write = hf_testing_write;
    write.now_ms = now_ms;
    return hf_store_set(store, &key, &set, &write, &change);
}

static enum hf_store_status put(unsigned number, size_t size)
{
    return put_at(number, size, HF_TESTING_NOW_MS);
}

static bool holds(unsigned number, size_t size)
{
    struct hf_store_key key = key_of(number);
    struct hf_store_value got;
    return hf_store_get(store, &key, HF_TESTING_NOW_MS, &got) == HF_STORE_OK &&
           hf_slice_equal(got.bytes, hf_slice(value + number % SHIFTS, size));
}

static unsigned fill(void)
{
    unsigned count = 0;
    while (count < SESSIONS_MAX && put(count, VALUE_SIZE) == HF_STORE_OK)
        count++;
    assert_in_range(count, 1000, SESSIONS_MAX - 1);
    return count;
}

static struct hf_store_stats stats_of(void)
{
    struct hf_store_stats stats;
    hf_store_stats(store, &stats);
    return stats;
}

static void new_sessions_are_refused_and_old_ones_live(void **state)
{
    begin(HF_STORE_REFUSE);
    unsigned count = fill();
    assert_int_equal(stats_of().refused, 1);
    assert_int_equal(put(count, VALUE_SIZE), HF_STORE_FULL);
    assert_int_equal(stats_of().refused, 2);
    assert_int_equal(stats_of().evicted, 0);
    assert_int_equal(stats_of().records[HF_RECORD_NONE], count);
    /* The reserve lets those that are there change their sizes. */
    unsigned grown = 0;
    for (unsigned i = 0; i < count; i += 100)
        grown += put(i, VALUE_SIZE + 50) == HF_STORE_OK;
    assert_int_equal(grown, (count + 99) / 100);
    for (unsigned i = 0; i < count; i++)
        assert_true(holds(i, i % 100 == 0 ? VALUE_SIZE + 50 : VALUE_SIZE));
    end();
}

static void what_is_deleted_makes_room(void **state)
{
    begin(HF_STORE_REFUSE);
    unsigned count = fill();
    struct hf_store_delete how = {0};
    for (unsigned i = 0; i < count; i += 2) {
        struct hf_store_key key = key_of(i);
        assert_int_equal(hf_store_delete(store, &key, &how, &hf_testing_write, &change),
                         HF_STORE_OK);
    }
    /* Of another size: the holes are of no use before they are packed. */
    unsigned more = 0;
    while (put(count + more, VALUE_SIZE / 2) == HF_STORE_OK)
        more++;
    assert_true(more > count / 2 * 3 / 2);
    for (unsigned i = 1; i < count; i += 2)
        assert_true(holds(i, VALUE_SIZE));
    end();
}

/* A write that does not fit leaves the session as it was, whatever it did on the way. */
static void a_refused_write_changes_nothing(void **state)
{
    begin(HF_STORE_REFUSE);
    fill();
    struct hf_store_stats before = stats_of();
    assert_int_equal(put(7, 400000), HF_STORE_FULL);
    assert_true(holds(7, VALUE_SIZE));
    struct hf_store_stats after = stats_of();
    assert_int_equal(after.bytes_logical, before.bytes_logical);
    assert_int_equal(after.refused, before.refused + 1);
    end();
}

static unsigned dropped_count;
static void dropped(void *user, enum hf_store_drop why, struct hf_slice id,
                    enum hf_record_state state, struct hf_version version)
{
    (void)user;
    assert_int_equal(why, HF_STORE_EVICTED);
    assert_true(id.size > 0 && state == HF_RECORD_OWNER && version.epoch == 1);
    dropped_count++;
}

static void the_longest_idle_go_first(void **state)
{
    enum { FRESH = 500, NEW = 4000 };
    begin(HF_STORE_EVICT);
    store->options.dropped = dropped;
    dropped_count = 0;
    unsigned count = 0;
    for (; dropped_count == 0; count++)
        assert_int_equal(put_at(count, VALUE_SIZE, HF_TESTING_NOW_MS + count), HF_STORE_OK);
    /* Some are asked for an hour later; then as many as the store holds come new. */
    uint64_t later_ms = HF_TESTING_NOW_MS + 3600000;
    for (unsigned i = count - FRESH; i < count; i++) {
        struct hf_store_key key = key_of(i);
        hf_testing_status(store, &key, later_ms);
    }
    for (unsigned i = 0; i < NEW; i++)
        assert_int_equal(put_at(count + i, VALUE_SIZE, later_ms + 2000), HF_STORE_OK);
    unsigned alive = 0;
    for (unsigned i = count - FRESH; i < count; i++)
        alive += holds(i, VALUE_SIZE);
    assert_in_range(alive, FRESH * 95 / 100, FRESH);
    assert_int_equal(stats_of().evicted, dropped_count);
    assert_int_equal(stats_of().refused, 0);
    end();
}

static void evicting_makes_room_for_the_largest_value(void **state)
{
    begin_with(HF_STORE_EVICT, 32 << 20);
    for (unsigned i = 0; i < 50000; i++)
        assert_int_equal(put(i, 100 + i % 1500), HF_STORE_OK);
    unsigned long before = stats_of().records[HF_RECORD_NONE];
    assert_int_equal(put(50000, HF_STORE_VALUE_MAX), HF_STORE_OK);
    assert_true(holds(50000, HF_STORE_VALUE_MAX));
    /* It took about what it needs, not all. */
    assert_in_range(stats_of().records[HF_RECORD_NONE], before / 2, before - 1);
    end();
}

/* Sizes of every kind come and go: the memory that sessions cannot use stays small. */
static void a_full_store_is_full_of_sessions(void **state)
{
    struct hf_rng rng;
    hf_rng_seed(&rng, 5);
    begin_with(HF_STORE_EVICT, 32 << 20);
    for (unsigned i = 0; i < 60000; i++)
        assert_int_equal(put(hf_rng_below(&rng, 40000), 200 + hf_rng_below(&rng, 3800)),
                         HF_STORE_OK);
    struct hf_store_stats stats = stats_of();
    assert_true(stats.bytes_logical > store->options.memory * 75 / 100);
    end();
}

/* Tombstones and pointers say what must not be forgotten. */
static void tombstones_are_not_evicted(void **state)
{
    enum { TOMBS = 500 };
    begin(HF_STORE_EVICT);
    struct hf_store_delete how = {.tomb_ms = 900000};
    for (unsigned i = 0; i < TOMBS; i++) {
        assert_int_equal(put(i, VALUE_SIZE), HF_STORE_OK);
        struct hf_store_key key = key_of(i);
        assert_int_equal(hf_store_delete(store, &key, &how, &hf_testing_write, &change),
                         HF_STORE_OK);
    }
    for (unsigned i = TOMBS; i < 20000; i++)
        assert_int_equal(put(i, VALUE_SIZE), HF_STORE_OK);
    assert_true(stats_of().evicted > 0);
    assert_int_equal(stats_of().records[HF_RECORD_TOMB], TOMBS);
    end();
}

static void a_lowered_limit_is_met_by_ticks(void **state)
{
    static const enum hf_store_full policies[] = {HF_STORE_REFUSE, HF_STORE_EVICT};
    for (unsigned i = 0; i < 2; i++) {
        begin(policies[i]);
        unsigned count = 0;
        for (; count < 5000; count++)
            assert_int_equal(put(count, VALUE_SIZE), HF_STORE_OK);
        assert_int_equal(hf_store_limit(store, HF_STORE_MEMORY_MIN - 1, policies[i]), -EINVAL);
        assert_int_equal(hf_store_limit(store, HF_STORE_MEMORY_MIN, policies[i]), 0);
        for (unsigned tick = 0; hf_store_tick(store, HF_TESTING_NOW_MS, HF_STORE_TICK_BUDGET);
             tick++)
            assert_true(tick < 10000);
        bool met = stats_of().bytes_used <= HF_STORE_MEMORY_MIN;
        assert_int_equal(met, policies[i] == HF_STORE_EVICT);
        assert_int_equal(stats_of().evicted > 0, policies[i] == HF_STORE_EVICT);
        /* REFUSE keeps every session, and serves it. */
        for (unsigned number = 0; !met && number < count; number++)
            assert_true(holds(number, VALUE_SIZE));
        assert_int_equal(hf_store_limit(store, 8 << 20, policies[i]), 0);
        end();
    }
}

/* ---- the system refuses ---- */

/* An operation on session 1; its value before and after are told apart by their sizes. */
struct operation {
    const char *name;
    enum hf_store_status (*run)(void);
};

static enum hf_store_status set_large(void)
{
    return put(1, 100000);
}

static enum hf_store_status set_two_large(void)
{
    struct hf_store_key key = hf_testing_lock("1");
    struct hf_store_set set = {.value = {value, 90000}, .deadline_ms = HF_DEADLINE_NEVER};
    return hf_store_set(store, &key, &set, &hf_testing_write, &change);
}

static enum hf_store_status append_large(void)
{
    struct hf_store_key key = key_of(1);
    struct hf_store_extend extend = {.bytes = {value, 50000}, .end = HF_STORE_APPEND};
    return hf_store_extend(store, &key, &extend, &hf_testing_write, &change);
}

static enum hf_store_status set_hash(void)
{
    static struct hf_store_field fields[60];
    static char names[60][4];
    for (unsigned i = 0; i < 60; i++) {
        snprintf(names[i], sizeof(names[i]), "%u", i);
        fields[i] = (struct hf_store_field){hf_slice_text(names[i]), {value, 500}};
    }
    struct hf_store_key key = hf_testing_key_of(HF_SLICE("1"), "h:", "");
    struct hf_store_hash_set set = {.fields = fields, .field_count = 60};
    return hf_store_hash_set(store, &key, &set, &hf_testing_write, &change);
}

static enum hf_store_status assign_new(void)
{
    struct hf_store_role role = {
        HF_RECORD_POINTER, {4, 1, 1}, 2, .deadline_ms = HF_TESTING_NOW_MS + 9};
    struct hf_store_key key = hf_testing_key("other");
    return hf_store_assign(store, key.id, key.id_hash, &role, HF_TESTING_NOW_MS);
}

static enum hf_store_status apply_copy(void)
{
    static char bytes[400000];
    struct hf_store_key key = key_of(1), other = hf_testing_key("copied");
    struct hf_blob_out out = {.bytes = bytes, .room = sizeof(bytes)};
    assert_int_equal(hf_blob_encode(store, &key, HF_BLOB_RECORD, HF_TESTING_NOW_MS, &out),
                     HF_STORE_OK);
    struct hf_blob_apply how = {
        .blob = {bytes, out.size},
        .role = {.state = HF_RECORD_BACKUP, .version = {3, 1, 1}},
        .base_ms = HF_TESTING_NOW_MS,
        .now_ms = HF_TESTING_NOW_MS,
    };
    return hf_blob_apply(store, other.id, other.id_hash, &how);
}

/* Each in turn makes the record that the next works on. */
static const struct operation operations[] = {
    {"set", set_large}, {"second key", set_two_large}, {"append", append_large},
    {"hash", set_hash}, {"assign", assign_new},        {"apply", apply_copy},
};

static void whatever_the_system_refuses_nothing_breaks(void **state)
{
    begin(HF_STORE_REFUSE);
    assert_int_equal(put(1, VALUE_SIZE), HF_STORE_OK);
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        unsigned refused = 0;
        for (unsigned at = 1; at < REFUSALS_MAX; at++) {
            struct hf_store_stats before = stats_of();
            store->memory.refuse_in = at;
            enum hf_store_status got = operations[i].run();
            bool reached = store->memory.refuse_in == 0;
            store->memory.refuse_in = 0;
            hf_shard_check(store);
            if (!reached && got == HF_STORE_OK)
                break;
            if (got == HF_STORE_OK)
                continue; /* room was made, or it can do without */
            refused++;
            assert_int_equal(got, HF_STORE_FULL);
            assert_int_equal(stats_of().bytes_logical, before.bytes_logical);
            assert_int_equal(stats_of().keys, before.keys);
            assert_int_equal(stats_of().records[HF_RECORD_NONE], before.records[HF_RECORD_NONE]);
        }
        if (refused == 0 && operations[i].run != assign_new)
            fail_msg("%s asks the system for nothing", operations[i].name);
    }
    struct hf_store_stats stats = stats_of();
    assert_true(stats.keys > 0);
    end();
}

/* The index cannot grow: chains get longer, and everything is still found. */
static void an_index_that_cannot_grow_still_works(void **state)
{
    enum { COUNT = 20000 };
    begin(HF_STORE_REFUSE);
    size_t room = store->buckets.size_max;
    store->buckets.size_max = store->buckets.size;
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(put(i, 20), HF_STORE_OK);
    uint64_t stuck = store->bucket_count;
    assert_true(stuck < COUNT);
    for (unsigned i = 0; i < COUNT; i++)
        assert_true(holds(i, 20));
    store->buckets.size_max = room; /* memory is there again: it catches up */
    assert_int_equal(put(COUNT, 20), HF_STORE_OK);
    assert_true(store->bucket_count > stuck);
    end();
}

static void a_sequence_that_ends_refuses_writes(void **state)
{
    begin(HF_STORE_REFUSE);
    assert_int_equal(put(1, 10), HF_STORE_OK);
    struct hf_store_key key = key_of(1);
    struct hf_store_role role = {.state = HF_RECORD_OWNER, .version = {1, UINT32_MAX - 1, 1}};
    assert_int_equal(hf_store_assign(store, key.id, key.id_hash, &role, HF_TESTING_NOW_MS),
                     HF_STORE_OK);
    assert_int_equal(put(1, 11), HF_STORE_OK);
    assert_int_equal(change.version.sequence, UINT32_MAX);
    assert_int_equal(put(1, 12), HF_STORE_TOO_MANY);
    assert_true(holds(1, 11));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_sessions_are_refused_and_old_ones_live),
        cmocka_unit_test(what_is_deleted_makes_room),
        cmocka_unit_test(a_refused_write_changes_nothing),
        cmocka_unit_test(the_longest_idle_go_first),
        cmocka_unit_test(evicting_makes_room_for_the_largest_value),
        cmocka_unit_test(a_full_store_is_full_of_sessions),
        cmocka_unit_test(tombstones_are_not_evicted),
        cmocka_unit_test(a_lowered_limit_is_met_by_ticks),
        cmocka_unit_test(whatever_the_system_refuses_nothing_breaks),
        cmocka_unit_test(an_index_that_cannot_grow_still_works),
        cmocka_unit_test(a_sequence_that_ends_refuses_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
