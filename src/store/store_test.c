#include "store/testing.h"
#include <errno.h>
#include <stdio.h>

enum { HOUR_MS = 3600000, TOMB_MS = 900000 };

static struct hf_store_change change;

static enum hf_store_status set_when(struct hf_store *store, const struct hf_store_key *key,
                                     const char *value, enum hf_store_when when, uint64_t cas)
{
    struct hf_store_set set = {
        .value = hf_slice_text(value), .when = when, .cas = cas, .deadline_ms = HF_DEADLINE_NEVER};
    return hf_store_set(store, key, &set, &hf_testing_write, &change);
}

static void options_out_of_bounds_are_refused(void **state)
{
    struct hf_store *store = NULL;
    struct hf_store_options options = hf_testing_options;
    options.memory = HF_STORE_MEMORY_MIN - 1;
    assert_int_equal(hf_store_new(&options, &store), -EINVAL);
    options.memory = HF_TESTING_MEMORY;
    options.value_max = HF_STORE_VALUE_MAX + 1;
    assert_int_equal(hf_store_new(&options, &store), -EINVAL);
    assert_null(store);
    hf_store_free(&store);
}

static void a_value_is_kept_with_flags_and_deadline(void **state)
{
    struct hf_store *store = hf_testing_store(&hf_testing_options);
    struct hf_store_key key = hf_testing_key("a");
    struct hf_store_value got;
    struct hf_store_set set = {
        .value = HF_SLICE("a\0b"), .flags = 77, .deadline_ms = HF_TESTING_NOW_MS + 9};
    assert_int_equal(hf_store_get(store, &key, HF_TESTING_NOW_MS, &got), HF_STORE_MISSING);
    assert_int_equal(hf_store_set(store, &key, &set, &hf_testing_write, &change), HF_STORE_OK);
    assert_true(change.created_key && change.created_record);
    assert_int_equal(change.effect, HF_STORE_VALUE);
    assert_int_equal(change.version.epoch, 1);
    assert_int_equal(change.version.sequence, 1);
    assert_int_equal(change.base.epoch, 0);
    assert_int_equal(hf_store_get(store, &key, HF_TESTING_NOW_MS, &got), HF_STORE_OK);
    assert_true(hf_slice_equal(got.bytes, HF_SLICE("a\0b")));
    assert_int_equal(got.flags, 77);
    assert_int_equal(got.cas, change.cas);
    assert_int_equal(got.deadline_ms, HF_TESTING_NOW_MS + 9);
    assert_int_equal(hf_store_get(store, &key, HF_TESTING_NOW_MS + 8, &got), HF_STORE_OK);
    assert_int_equal(hf_store_get(store, &key, HF_TESTING_NOW_MS + 9, &got), HF_STORE_MISSING);
    hf_shard_check(store);
    hf_store_free(&store);
    assert_null(store);
}

static void conditions_hold(void **state)
{
    struct hf_store *store = hf_testing_store(&hf_testing_options);
    struct hf_store_key key = hf_testing_key("a");
    assert_int_equal(set_when(store, &key, "x", HF_STORE_IF_EXISTS, 0), HF_STORE_MISSING);
    assert_int_equal(set_when(store, &key, "x", HF_STORE_IF_CAS, 1), HF_STORE_MISSING);
    assert_int_equal(set_when(store, &key, "x", HF_STORE_IF_NEW, 0), HF_STORE_OK);
    uint64_t cas = change.cas;
    assert_int_equal(set_when(store, &key, "y", HF_STORE_IF_NEW, 0), HF_STORE_EXISTS);
    assert_int_equal(set_when(store, &key, "y", HF_STORE_IF_CAS, cas + 1), HF_STORE_MISMATCH);
    hf_testing_holds(store, &key, HF_SLICE("x"));
    assert_int_equal(set_when(store, &key, "y", HF_STORE_IF_CAS, cas), HF_STORE_OK);
    assert_true(change.cas > cas);
    assert_int_equal(set_when(store, &key, "z", HF_STORE_IF_CAS, cas), HF_STORE_MISMATCH);
    assert_int_equal(set_when(store, &key, "z", HF_STORE_IF_EXISTS, 0), HF_STORE_OK);
    hf_testing_holds(store, &key, HF_SLICE("z"));
    hf_store_free(&store);
}

static void a_cas_number_never_comes_back(void **state)
{
    struct hf_store *store = hf_testing_store(&hf_testing_options);
    struct hf_store_key key = hf_testing_key("a");
    uint64_t last = 0;
    for (int i = 0; i < 100; i++) {
        hf_testing_set(store, &key, HF_SLICE("v"), 0);
        struct hf_store_value got;
        assert_int_equal(hf_store_get(store, &key, HF_TESTING_NOW_MS, &got), HF_STORE_OK);
        assert_true(got.cas > last);
        last = got.cas;
        struct hf_store_delete how = {0};
        assert_int_equal(hf_store_delete(store, &key, &how, &hf_testing_write, &change),
                         HF_STORE_OK);
        assert_int_equal(change.effect, HF_STORE_REMOVED);
    }
    hf_store_free(&store);
}

static void writing_the_same_changes_no_version(void **state)
{
    struct hf_store *store = hf_testing_store(&hf_testing_options);
    struct hf_store_key key = hf_testing_key("a");
    uint64_t deadline_ms = HF_TESTING_NOW_MS + HOUR_MS;
    struct hf_version first = hf_testing_set(store, &key, HF_SLICE("v"), deadline_ms).version;
    struct hf_store_change same = hf_testing_set(store, &key, HF_SLICE("v"), deadline_ms);
    assert_int_equal(same.effect, HF_STORE_NOTHING);
    assert_true(hf_version_equal(same.version, first));
    /* 1 % of an hour is 36 s: moves below it are kept here and told to nobody, until they add up.
     */
    struct hf_store_value got;
    for (unsigned moved = 10000; moved <= 30000; moved += 10000) {
        same = hf_testing_set(store, &key, HF_SLICE("v"), deadline_ms + moved);
        assert_int_equal(same.effect, HF_STORE_NOTHING);
        hf_store_get(store, &key, HF_TESTING_NOW_MS, &got);
        assert_int_equal(got.deadline_ms, deadline_ms + moved);
    }
    struct hf_store_change told = hf_testing_set(store, &key, HF_SLICE("v"), deadline_ms + 40000);
    assert_int_equal(told.effect, HF_STORE_DEADLINE);
    assert_int_equal(told.version.sequence, first.sequence + 1);
    assert_true(hf_version_equal(told.base, first));
    assert_int_equal(hf_testing_set(store, &key, HF_SLICE("v"), 0).effect, HF_STORE_DEADLINE);
    struct hf_store_set flags = {
        .value = HF_SLICE("v"), .flags = 1, .deadline_ms = HF_DEADLINE_NEVER};
    assert_int_equal(hf_store_set(store, &key, &flags, &hf_testing_write, &change), HF_STORE_OK);
    assert_int_equal(change.effect, HF_STORE_VALUE);
    hf_store_free(&store);
}

static void many_small_touches_are_told_exactly(void **state)
{
    struct hf_store *store = hf_testing_store(&hf_testing_options);
    struct hf_store_key key = hf_testing_key("a");
    uint64_t told_ms = HF_TESTING_NOW_MS + 60000;
    hf_testing_set(store, &key, HF_SLICE("v"), told_ms);
    unsigned messages = 0;
    for (unsigned i = 1; i <= 10000; i++) {
        uint64_t deadline_ms = HF_TESTING_NOW_MS + 60000 + i;
        assert_int_equal(hf_store_expire(store, &key, deadline_ms, &hf_testing_write, &change),
                         HF_STORE_OK);
        messages += change.effect == HF_STORE_DEADLINE;
        told_ms = change.effect == HF_STORE_DEADLINE ? deadline_ms : told_ms;
        assert_true(deadline_ms - told_ms <= HF_DEADLINE_SLACK_MS);
    }
    assert_int_equal(messages, 9); /* one each 1,001 ms */
    hf_store_free(&store);
}

static void flags_and_deadline_are_kept_if_asked(void **state)
{
    struct hf_store *store = hf_testing_store(&hf_testing_options);
    struct hf_store_key key = hf_testing_key("a");
    struct hf_store_set set = {
        .value = HF_SLICE("1"), .flags = 7, .deadline_ms = HF_TESTING_NOW_MS + 9};
    assert_int_equal(hf_store_set(store, &key, &set, &hf_testing_write, &change), HF_STORE_OK);
    set = (struct hf_store_set){.value = HF_SLICE("2"), .keep_flags = true, .keep_deadline = true};
    assert_int_equal(hf_store_set(store, &key, &set, &hf_testing_write, &change), HF_STORE_OK);
    struct hf_store_value got;
    assert_int_equal(hf_store_get(store, &key, HF_TESTING_NOW_MS, &got), HF_STORE_OK);
    assert_true(hf_slice_equal(got.bytes, HF_SLICE("2")) && got.flags == 7);
    assert_int_equal(got.deadline_ms, HF_TESTING_NOW_MS + 9);
    /* There is nothing to keep of a key that is not there. */
    struct hf_store_key other = hf_testing_key("b");
    assert_int_equal(hf_store_set(store, &other, &set, &hf_testing_write, &change), HF_STORE_OK);
    assert_int_equal(hf_store_get(store, &other, HF_TESTING_NOW_MS, &got), HF_STORE_OK);
    assert_true(got.flags == 0 && got.deadline_ms == HF_DEADLINE_NEVER);
    hf_store_free(&store);
}

static void statuses_have_words(void **state)
{
    assert_string_equal(hf_store_status_word(HF_STORE_OK), "ok");
    assert_string_equal(hf_store_status_word(HF_STORE_BAD), "bad");
}

static void a_due_deadline_stores_and_vanishes(void **state)
{
    struct hf_store *store = hf_testing_store(&hf_testing_options);
    struct hf_store_key key = hf_testing_key("a");
    struct hf_store_set set = {.value = HF_SLICE("v"), .deadline_ms = HF_TESTING_NOW_MS};
    assert_int_equal(hf_store_set(store, &key, &set, &hf_testing_write, &change), HF_STORE_OK);
    assert_int_equal(change.effect, HF_STORE_NOTHING);
    hf_testing_set(store, &key, HF_SLICE("v"), 0);
    assert_int_equal(hf_store_set(store, &key, &set, &hf_testing_write, &change), HF_STORE_OK);
    assert_int_equal(change.effect, HF_STORE_REMOVED);
    hf_testing_set(store, &key, HF_SLICE("v"), 0);
    assert_int_equal(hf_store_expire(store, &key, 0, &hf_testing_write, &change), HF_STORE_OK);
    assert_int_equal(change.effect, HF_STORE_REMOVED);
    assert_int_equal(hf_testing_status(store, &key, HF_TESTING_NOW_MS), HF_STORE_MISSING);
    hf_store_free(&store);
}

static void keys_of_a_session_are_one_record(void **state)
{
    struct hf_store *store = hf_testing_store(&hf_testing_options);
    struct hf_store_key key = hf_testing_key("a"), lock = hf_testing_lock("a");
    hf_testing_set(store, &lock, HF_SLICE("host|1"), HF_TESTING_NOW_MS + 100);
    struct hf_store_change second = hf_testing_set(store, &key, HF_SLICE("v"), 0);
    assert_false(second.created_record);
    assert_int_equal(second.version.sequence, 2);
    struct hf_store_record record;
    assert_true(hf_store_find(store, key.id, key.id_hash, HF_TESTING_NOW_MS, &record));
    assert_int_equal(record.key_count, 2);
    assert_true(record.alive);
    assert_int_equal(record.state, HF_RECORD_OWNER);
    assert_true(record.deadline_ms == HF_DEADLINE_NEVER);
    struct hf_store_key seen;
    assert_true(hf_store_key_at(store, key.id, key.id_hash, 0, HF_TESTING_NOW_MS, &seen));
    assert_true(hf_slice_equal(seen.suffix, HF_SLICE("_LOCK")) && seen.satellite);
    assert_false(hf_store_key_at(store, key.id, key.id_hash, 0, HF_TESTING_NOW_MS + 100, &seen));
    struct hf_store_delete how = {0};
    assert_int_equal(hf_store_delete(store, &lock, &how, &hf_testing_write, &change), HF_STORE_OK);
    assert_int_equal(change.effect, HF_STORE_GONE);
    hf_testing_holds(store, &key, HF_SLICE("v"));
    hf_shard_check(store);
    hf_store_free(&store);
}

static void a_record_has_room_for_so_many_keys(void **state)
{
    struct hf_store *store = hf_testing_store(&hf_testing_options);
    char suffix[2] = "a";
    for (int i = 0; i <= HF_STORE_KEYS_MAX; i++, suffix[0]++) {
        struct hf_store_key key = hf_testing_key_of(HF_SLICE("id"), "", suffix);
        struct hf_store_set set = {.value = HF_SLICE("v"), .deadline_ms = HF_DEADLINE_NEVER};
        enum hf_store_status wanted = i < HF_STORE_KEYS_MAX ? HF_STORE_OK : HF_STORE_TOO_MANY;
        assert_int_equal(hf_store_set(store, &key, &set, &hf_testing_write, &change), wanted);
    }
    hf_store_free(&store);
}

static void a_shard_has_room_for_so_many_names(void **state)
{
    struct hf_store *store = hf_testing_store(&hf_testing_options);
    char prefix[8];
    for (int i = 0; i <= HF_STORE_NAMES_MAX; i++) {
        snprintf(prefix, sizeof(prefix), "%d:", i);
        struct hf_store_key key = hf_testing_key_of(HF_SLICE("id"), prefix, "");
        struct hf_store_delete how = {0};
        enum hf_store_status wanted = i < HF_STORE_NAMES_MAX ? HF_STORE_OK : HF_STORE_TOO_MANY;
        assert_int_equal(set_when(store, &key, "v", HF_STORE_ALWAYS, 0), wanted);
        if (wanted == HF_STORE_OK)
            assert_int_equal(hf_store_delete(store, &key, &how, &hf_testing_write, &change),
                             HF_STORE_OK);
    }
    hf_store_free(&store);
}

static void sizes_have_limits(void **state)
{
    static char long_id[HF_STORE_ID_MAX + 1], long_affix[HF_STORE_AFFIX_MAX + 2], value[65];
    memset(long_id, 'x', sizeof(long_id));
    memset(long_affix, 'x', sizeof(long_affix) - 1);
    struct hf_store_options options = hf_testing_options;
    options.value_max = sizeof(value) - 1;
    struct hf_store *store = hf_testing_store(&options);
    struct hf_store_key empty = hf_testing_key_of(HF_SLICE(""), "", "");
    struct hf_store_key longest = hf_testing_key_of(hf_slice(long_id, HF_STORE_ID_MAX), "", "");
    struct hf_store_key longer = hf_testing_key_of(hf_slice(long_id, HF_STORE_ID_MAX + 1), "", "");
    struct hf_store_key affix = hf_testing_key_of(HF_SLICE("a"), long_affix, "");
    struct hf_store_key key = hf_testing_key("a");
    struct hf_store_set set = {.value = {value, sizeof(value)}, .deadline_ms = HF_DEADLINE_NEVER};
    assert_int_equal(set_when(store, &empty, "v", HF_STORE_ALWAYS, 0), HF_STORE_TOO_LARGE);
    assert_int_equal(set_when(store, &longest, "v", HF_STORE_ALWAYS, 0), HF_STORE_OK);
    assert_int_equal(set_when(store, &longer, "v", HF_STORE_ALWAYS, 0), HF_STORE_TOO_LARGE);
    assert_int_equal(set_when(store, &affix, "v", HF_STORE_ALWAYS, 0), HF_STORE_TOO_LARGE);
    assert_int_equal(hf_store_set(store, &key, &set, &hf_testing_write, &change),
                     HF_STORE_TOO_LARGE);
    set.value.size--;
    assert_int_equal(hf_store_set(store, &key, &set, &hf_testing_write, &change), HF_STORE_OK);
    struct hf_store_extend extend = {.bytes = HF_SLICE("x"), .end = HF_STORE_APPEND};
    assert_int_equal(hf_store_extend(store, &key, &extend, &hf_testing_write, &change),
                     HF_STORE_TOO_LARGE);
    hf_store_free(&store);
}

static void values_of_every_size_come_back(void **state)
{
    static char value[HF_STORE_VALUE_MAX];
    for (size_t i = 0; i < sizeof(value); i++)
        value[i] = (char)(i * 7 + i / 251);
    struct hf_store *store = hf_testing_store(&hf_testing_options);
    struct hf_store_key key = hf_testing_key("a"), lock = hf_testing_lock("a");
    hf_testing_set(store, &lock, HF_SLICE("owner"), 0);
    for (size_t size = 0; size < 5000; size += 13) {
        hf_testing_set(store, &key, hf_slice(value, size), 0);
        hf_testing_holds(store, &key, hf_slice(value, size));
        hf_testing_holds(store, &lock, HF_SLICE("owner"));
    }
    for (size_t size = sizeof(value); size > 5000; size /= 2) {
        hf_testing_set(store, &key, hf_slice(value, size), 0);
        hf_testing_holds(store, &key, hf_slice(value, size));
        hf_testing_set(store, &lock, hf_slice(value + 1, size / 2), 0);
        hf_testing_holds(store, &lock, hf_slice(value + 1, size / 2));
    }
    hf_shard_check(store);
    hf_store_free(&store);
}

static void bytes_are_added_at_both_ends(void **state)
{
    struct hf_store *store = hf_testing_store(&hf_testing_options);
    struct hf_store_key key = hf_testing_key("a");
    struct hf_store_extend extend = {.bytes = HF_SLICE("b"), .end = HF_STORE_APPEND};
    assert_int_equal(hf_store_extend(store, &key, &extend, &hf_testing_write, &change),
                     HF_STORE_MISSING);
    extend.create = true;
    assert_int_equal(hf_store_extend(store, &key, &extend, &hf_testing_write, &change),
                     HF_STORE_OK);
    extend = (struct hf_store_extend){.bytes = HF_SLICE("a"), .end = HF_STORE_PREPEND};
    assert_int_equal(hf_store_extend(store, &key, &extend, &hf_testing_write, &change),
                     HF_STORE_OK);
    hf_testing_holds(store, &key, HF_SLICE("ab"));
    extend.cas = change.cas + 1;
    assert_int_equal(hf_store_extend(store, &key, &extend, &hf_testing_write, &change),
                     HF_STORE_MISMATCH);
    struct hf_store_extend nothing = {.end = HF_STORE_APPEND};
    assert_int_equal(hf_store_extend(store, &key, &nothing, &hf_testing_write, &change),
                     HF_STORE_OK);
    assert_int_equal(change.effect, HF_STORE_NOTHING);
    hf_store_free(&store);
}

static const struct {
    const char *old;
    enum hf_store_sum sum;
    uint64_t amount;
    enum hf_store_status status;
    const char *text;
} sums[] = {
    {"41", HF_STORE_SIGNED, 1, HF_STORE_OK, "42"},
    {"0", HF_STORE_SIGNED, (uint64_t)-5, HF_STORE_OK, "-5"},
    {"-9223372036854775808", HF_STORE_SIGNED, 1, HF_STORE_OK, "-9223372036854775807"},
    {"9223372036854775807", HF_STORE_SIGNED, 1, HF_STORE_OVERFLOW, "9223372036854775807"},
    {"-9223372036854775808", HF_STORE_SIGNED, (uint64_t)-1, HF_STORE_OVERFLOW,
     "-9223372036854775808"},
    {"9223372036854775808", HF_STORE_SIGNED, 1, HF_STORE_NOT_NUMBER, "9223372036854775808"},
    {"01", HF_STORE_SIGNED, 1, HF_STORE_NOT_NUMBER, "01"},
    {"-0", HF_STORE_SIGNED, 1, HF_STORE_NOT_NUMBER, "-0"},
    {"+1", HF_STORE_SIGNED, 1, HF_STORE_NOT_NUMBER, "+1"},
    {"-", HF_STORE_SIGNED, 1, HF_STORE_NOT_NUMBER, "-"},
    {"", HF_STORE_SIGNED, 1, HF_STORE_NOT_NUMBER, ""},
    {"18446744073709551615", HF_STORE_INCREASE, 1, HF_STORE_OK, "0"},
    {"7", HF_STORE_DECREASE, 9, HF_STORE_OK, "0"},
    {"-1", HF_STORE_INCREASE, 1, HF_STORE_NOT_NUMBER, "-1"},
};

static void numbers_add_up(void **state)
{
    struct hf_store *store = hf_testing_store(&hf_testing_options);
    struct hf_store_key key = hf_testing_key("a");
    for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
        hf_testing_set(store, &key, hf_slice_text(sums[i].old), 0);
        struct hf_store_add add = {.sum = sums[i].sum, .amount = sums[i].amount};
        assert_int_equal(hf_store_add(store, &key, &add, &hf_testing_write, &change),
                         sums[i].status);
        hf_testing_holds(store, &key, hf_slice_text(sums[i].text));
    }
    struct hf_store_key other = hf_testing_key("b");
    struct hf_store_add add = {.sum = HF_STORE_INCREASE, .amount = 5};
    assert_int_equal(hf_store_add(store, &other, &add, &hf_testing_write, &change),
                     HF_STORE_MISSING);
    add.create = true;
    add.initial = 100;
    add.deadline_ms = HF_TESTING_NOW_MS + 10;
    assert_int_equal(hf_store_add(store, &other, &add, &hf_testing_write, &change), HF_STORE_OK);
    assert_int_equal(add.result, 100);
    hf_testing_holds(store, &other, HF_SLICE("100"));
    assert_int_equal(hf_testing_status(store, &other, HF_TESTING_NOW_MS + 10), HF_STORE_MISSING);
    struct hf_store_key third = hf_testing_key("c");
    struct hf_store_add from_zero = {.sum = HF_STORE_SIGNED, .amount = (uint64_t)-3};
    assert_int_equal(hf_store_add(store, &third, &from_zero, &hf_testing_write, &change),
                     HF_STORE_OK);
    hf_testing_holds(store, &third, HF_SLICE("-3"));
    hf_store_free(&store);
}

static void a_deleted_session_stays_deleted(void **state)
{
    struct hf_store *store = hf_testing_store(&hf_testing_options);
    struct hf_store_key key = hf_testing_key("a"), lock = hf_testing_lock("a");
    hf_testing_set(store, &lock, HF_SLICE("me"), 0);
    hf_testing_set(store, &key, HF_SLICE("v"), 0);
    struct hf_store_delete how = {.tomb_ms = TOMB_MS};
    assert_int_equal(hf_store_delete(store, &key, &how, &hf_testing_write, &change), HF_STORE_OK);
    assert_int_equal(change.effect, HF_STORE_TOMBED);
    assert_int_equal(change.version.sequence, 3);
    assert_int_equal(hf_testing_status(store, &key, HF_TESTING_NOW_MS), HF_STORE_MISSING);
    assert_int_equal(set_when(store, &key, "zombie", HF_STORE_ALWAYS, 0), HF_STORE_TOMBSTONE);
    assert_int_equal(set_when(store, &key, "zombie", HF_STORE_IF_NEW, 0), HF_STORE_TOMBSTONE);
    assert_int_equal(set_when(store, &key, "zombie", HF_STORE_IF_EXISTS, 0), HF_STORE_MISSING);
    /* Its lock is there to be given back. */
    hf_testing_holds(store, &lock, HF_SLICE("me"));
    how.tomb_ms = 0;
    assert_int_equal(hf_store_delete(store, &lock, &how, &hf_testing_write, &change), HF_STORE_OK);
    assert_int_equal(change.effect, HF_STORE_GONE);
    struct hf_store_record record;
    assert_true(hf_store_find(store, key.id, key.id_hash, HF_TESTING_NOW_MS, &record));
    assert_int_equal(record.state, HF_RECORD_TOMB);
    assert_false(hf_store_find(store, key.id, key.id_hash, HF_TESTING_NOW_MS + TOMB_MS, &record));
    struct hf_store_write later = hf_testing_write;
    later.now_ms += TOMB_MS;
    struct hf_store_set set = {.value = HF_SLICE("new"), .deadline_ms = HF_DEADLINE_NEVER};
    assert_int_equal(hf_store_set(store, &key, &set, &later, &change), HF_STORE_OK);
    hf_shard_check(store);
    hf_store_free(&store);
}

static void an_id_may_live_again_if_its_stack_uses_ids_again(void **state)
{
    struct hf_store *store = hf_testing_store(&hf_testing_options);
    struct hf_store_key key = hf_testing_key("a");
    hf_testing_set(store, &key, HF_SLICE("v"), 0);
    struct hf_store_delete how = {.tomb_ms = TOMB_MS};
    assert_int_equal(hf_store_delete(store, &key, &how, &hf_testing_write, &change), HF_STORE_OK);
    struct hf_version tomb = change.version;
    struct hf_store_set set = {.value = HF_SLICE("new"), .deadline_ms = HF_DEADLINE_NEVER};
    struct hf_store_write write = hf_testing_write;
    write.reuse_tomb = true; /* but born under the tombstone's epoch: could lose against it */
    assert_int_equal(hf_store_set(store, &key, &set, &write, &change), HF_STORE_TOMBSTONE);
    write.fresh = (struct hf_version){.epoch = 2, .birth = 2};
    assert_int_equal(hf_store_set(store, &key, &set, &write, &change), HF_STORE_OK);
    assert_true(change.created_record && hf_version_equal(change.base, tomb));
    assert_true(hf_version_compare(HF_RECORD_OWNER, change.version, HF_RECORD_TOMB, tomb) > 0);
    hf_testing_holds(store, &key, HF_SLICE("new"));
    hf_shard_check(store);
    hf_store_free(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_out_of_bounds_are_refused),
        cmocka_unit_test(a_value_is_kept_with_flags_and_deadline),
        cmocka_unit_test(conditions_hold),
        cmocka_unit_test(a_cas_number_never_comes_back),
        cmocka_unit_test(writing_the_same_changes_no_version),
        cmocka_unit_test(many_small_touches_are_told_exactly),
        cmocka_unit_test(flags_and_deadline_are_kept_if_asked),
        cmocka_unit_test(statuses_have_words),
        cmocka_unit_test(a_due_deadline_stores_and_vanishes),
        cmocka_unit_test(keys_of_a_session_are_one_record),
        cmocka_unit_test(a_record_has_room_for_so_many_keys),
        cmocka_unit_test(a_shard_has_room_for_so_many_names),
        cmocka_unit_test(sizes_have_limits),
        cmocka_unit_test(values_of_every_size_come_back),
        cmocka_unit_test(bytes_are_added_at_both_ends),
        cmocka_unit_test(numbers_add_up),
        cmocka_unit_test(a_deleted_session_stays_deleted),
        cmocka_unit_test(an_id_may_live_again_if_its_stack_uses_ids_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
