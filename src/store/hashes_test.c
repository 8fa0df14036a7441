#include "store/testing.h"
#include <stdio.h>
#include <stdlib.h>

enum { NAME_SIZE = 12, MANY = HF_STORE_HASH_FIELDS_MAX };

static struct hf_store *store;
static struct hf_store_key key;
static struct hf_store_change change;
static char names[MANY + 1][NAME_SIZE];
static struct hf_store_field fields[MANY + 1];
static char long_text[HF_STORE_HASH_BYTES_MAX + 1];

static int begin(void **state)
{
    store = hf_testing_store(&hf_testing_options);
    key = hf_testing_key("a");
    memset(long_text, 'v', sizeof(long_text));
    for (unsigned i = 0; i <= MANY; i++) {
        snprintf(names[i], NAME_SIZE, "field%u", i);
        fields[i] = (struct hf_store_field){hf_slice_text(names[i]), HF_SLICE("v")};
    }
    return 0;
}

static int end(void **state)
{
    hf_shard_check(store);
    hf_store_free(&store);
    return 0;
}

static enum hf_store_status put(unsigned first, unsigned count, uint32_t *ret_created)
{
    struct hf_store_hash_set set = {.fields = fields + first, .field_count = count};
    enum hf_store_status status = hf_store_hash_set(store, &key, &set, &hf_testing_write, &change);
    if (ret_created != NULL)
        *ret_created = set.created;
    return status;
}

static enum hf_store_status put_one(struct hf_slice name, struct hf_slice value)
{
    struct hf_store_field field = {name, value};
    struct hf_store_hash_set set = {.fields = &field, .field_count = 1};
    return hf_store_hash_set(store, &key, &set, &hf_testing_write, &change);
}

static bool field_is(struct hf_slice name, struct hf_slice value)
{
    struct hf_slice got;
    return hf_store_hash_get(store, &key, name, HF_TESTING_NOW_MS, &got) == HF_STORE_OK &&
           hf_slice_equal(got, value);
}

static enum hf_store_status get_status(struct hf_slice name)
{
    struct hf_slice got;
    return hf_store_hash_get(store, &key, name, HF_TESTING_NOW_MS, &got);
}

static unsigned count_fields(void)
{
    struct hf_store_cursor cursor = {0};
    struct hf_store_field field;
    unsigned count = 0;
    while (hf_store_hash_next(store, &key, HF_TESTING_NOW_MS, &cursor, &field))
        count++;
    struct hf_store_value value;
    if (hf_store_get(store, &key, HF_TESTING_NOW_MS, &value) == HF_STORE_OK)
        assert_int_equal(value.field_count, count);
    return count;
}

static enum hf_store_status remove_fields(unsigned first, unsigned count, uint64_t tomb_ms)
{
    struct hf_slice *gone = calloc(count, sizeof(*gone));
    assert_non_null(gone);
    for (unsigned i = 0; i < count; i++)
        gone[i] = fields[first + i].name;
    struct hf_store_hash_delete how = {.fields = gone, .field_count = count, .tomb_ms = tomb_ms};
    enum hf_store_status status =
        hf_store_hash_delete(store, &key, &how, &hf_testing_write, &change);
    free(gone);
    return status;
}

static void fields_come_back(void **state)
{
    uint32_t created;
    assert_int_equal(get_status(HF_SLICE("field1")), HF_STORE_MISSING);
    assert_int_equal(put(0, 3, &created), HF_STORE_OK);
    assert_int_equal(created, 3);
    assert_true(change.created_record && change.created_key);
    assert_int_equal(put(2, 3, &created), HF_STORE_OK);
    assert_int_equal(created, 2);
    assert_int_equal(put_one(HF_SLICE(""), HF_SLICE("")), HF_STORE_OK);
    assert_int_equal(put_one(HF_SLICE("a\0b"), HF_SLICE("c\0d")), HF_STORE_OK);
    assert_true(field_is(HF_SLICE(""), HF_SLICE("")));
    assert_true(field_is(HF_SLICE("a\0b"), HF_SLICE("c\0d")));
    assert_int_equal(get_status(HF_SLICE("a")), HF_STORE_MISSING);
    assert_int_equal(count_fields(), 7);
}

static void of_a_name_given_twice_the_last_counts(void **state)
{
    struct hf_store_field twice[] = {{HF_SLICE("x"), HF_SLICE("1")},
                                     {HF_SLICE("y"), HF_SLICE("2")},
                                     {HF_SLICE("x"), HF_SLICE("3")}};
    struct hf_store_hash_set set = {.fields = twice, .field_count = 3};
    assert_int_equal(hf_store_hash_set(store, &key, &set, &hf_testing_write, &change), HF_STORE_OK);
    assert_int_equal(set.created, 2);
    assert_true(field_is(HF_SLICE("x"), HF_SLICE("3")));
    assert_int_equal(count_fields(), 2);
    assert_int_equal(put(0, 200, NULL), HF_STORE_OK); /* with an index now */
    assert_int_equal(hf_store_hash_set(store, &key, &set, &hf_testing_write, &change), HF_STORE_OK);
    assert_true(field_is(HF_SLICE("x"), HF_SLICE("3")));
    assert_int_equal(count_fields(), 202);
}

static void writing_the_same_fields_is_no_change(void **state)
{
    assert_int_equal(put(0, 10, NULL), HF_STORE_OK);
    struct hf_version version = change.version;
    assert_int_equal(put(3, 4, NULL), HF_STORE_OK);
    assert_int_equal(change.effect, HF_STORE_NOTHING);
    assert_true(hf_version_equal(change.version, version));
    assert_int_equal(remove_fields(50, 2, 0), HF_STORE_OK);
    assert_int_equal(change.effect, HF_STORE_NOTHING);
}

static void only_new_fields_are_made_if_asked(void **state)
{
    struct hf_store_hash_set set = {.fields = fields, .field_count = 2, .only_new = true};
    assert_int_equal(hf_store_hash_set(store, &key, &set, &hf_testing_write, &change), HF_STORE_OK);
    set.fields++;
    assert_int_equal(hf_store_hash_set(store, &key, &set, &hf_testing_write, &change),
                     HF_STORE_EXISTS);
    assert_int_equal(count_fields(), 2);
}

static void strings_and_hashes_are_told_apart(void **state)
{
    struct hf_store_extend extend = {.bytes = HF_SLICE("x"), .create = true};
    struct hf_store_add add = {.amount = 1};
    hf_testing_set(store, &key, HF_SLICE("text"), 0);
    assert_int_equal(put(0, 1, NULL), HF_STORE_WRONG_TYPE);
    assert_int_equal(get_status(HF_SLICE("field0")), HF_STORE_WRONG_TYPE);
    assert_int_equal(remove_fields(0, 1, 0), HF_STORE_WRONG_TYPE);
    assert_int_equal(
        hf_store_hash_add(store, &key, HF_SLICE("n"), &add, &hf_testing_write, &change),
        HF_STORE_WRONG_TYPE);
    assert_int_equal(count_fields(), 0);
    struct hf_store_delete how = {0};
    assert_int_equal(hf_store_delete(store, &key, &how, &hf_testing_write, &change), HF_STORE_OK);
    assert_int_equal(put(0, 1, NULL), HF_STORE_OK);
    assert_int_equal(hf_store_extend(store, &key, &extend, &hf_testing_write, &change),
                     HF_STORE_WRONG_TYPE);
    assert_int_equal(hf_store_add(store, &key, &add, &hf_testing_write, &change),
                     HF_STORE_WRONG_TYPE);
    hf_testing_set(store, &key, HF_SLICE("text"), 0); /* SET replaces whatever there is */
    hf_testing_holds(store, &key, HF_SLICE("text"));
}

/* The packed list becomes an index at either bound, and everything is still there. */
static void a_hash_grows_past_its_packed_form(void **state)
{
    for (unsigned i = 0; i < HF_FIELDS_PACKED_COUNT + 10; i++) {
        assert_int_equal(put(i, 1, NULL), HF_STORE_OK);
        assert_int_equal(count_fields(), i + 1);
    }
    assert_true(field_is(fields[0].name, HF_SLICE("v")));
    struct hf_store_delete how = {0};
    assert_int_equal(hf_store_delete(store, &key, &how, &hf_testing_write, &change), HF_STORE_OK);
    assert_int_equal(put(0, 2, NULL), HF_STORE_OK);
    struct hf_slice large = hf_slice(long_text, HF_FIELDS_PACKED_MAX + 1);
    assert_int_equal(put_one(HF_SLICE("large"), large), HF_STORE_OK);
    assert_true(field_is(HF_SLICE("large"), large));
    assert_true(field_is(fields[1].name, HF_SLICE("v")));
    assert_int_equal(count_fields(), 3);
}

static void fields_have_limits(void **state)
{
    uint32_t created;
    assert_int_equal(put(0, 0, NULL), HF_STORE_TOO_MANY);
    assert_int_equal(put(0, MANY + 1, NULL), HF_STORE_TOO_MANY);
    assert_int_equal(put(0, MANY, &created), HF_STORE_OK);
    assert_int_equal(created, MANY);
    assert_int_equal(put(MANY, 1, NULL), HF_STORE_TOO_MANY);
    assert_int_equal(put(0, MANY, NULL), HF_STORE_OK); /* none of them is new */
    assert_int_equal(count_fields(), MANY);
    struct hf_slice longer = hf_slice(long_text, HF_STORE_FIELD_MAX + 1);
    assert_int_equal(put_one(longer, HF_SLICE("v")), HF_STORE_TOO_LARGE);
    struct hf_store_delete how = {0};
    assert_int_equal(hf_store_delete(store, &key, &how, &hf_testing_write, &change), HF_STORE_OK);
    assert_int_equal(put_one(hf_slice(long_text, HF_STORE_FIELD_MAX), HF_SLICE("v")), HF_STORE_OK);
}

static void a_hash_has_so_many_bytes(void **state)
{
    size_t rest = HF_STORE_HASH_BYTES_MAX - HF_FIELDS_HEAD - 1;
    assert_int_equal(put_one(HF_SLICE("x"), hf_slice(long_text, rest + 1)), HF_STORE_TOO_LARGE);
    assert_int_equal(put_one(HF_SLICE("x"), hf_slice(long_text, rest)), HF_STORE_OK);
    assert_int_equal(put_one(HF_SLICE("y"), HF_SLICE("")), HF_STORE_TOO_LARGE);
    /* Replacing the one by a smaller makes room for the other. */
    assert_int_equal(put_one(HF_SLICE("x"), hf_slice(long_text, rest - 100)), HF_STORE_OK);
    assert_int_equal(put_one(HF_SLICE("y"), HF_SLICE("")), HF_STORE_OK);
    assert_int_equal(count_fields(), 2);
    assert_int_equal(put_one(HF_SLICE("z"), hf_slice(long_text, sizeof(long_text))),
                     HF_STORE_TOO_LARGE);
}

/* What is rewritten again and again takes no more room than what is there. */
static void rewriting_does_not_grow(void **state)
{
    assert_int_equal(put(0, 100, NULL), HF_STORE_OK);
    size_t before = store->memory.used;
    for (unsigned i = 0; i < 20000; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%u", i);
        assert_int_equal(put_one(fields[i % 100].name, hf_slice_text(text)), HF_STORE_OK);
    }
    assert_true(store->memory.used <= before + 8192);
    assert_int_equal(count_fields(), 100);
    assert_true(field_is(fields[99].name, HF_SLICE("19999")));
}

static void removed_fields_leave_the_others(void **state)
{
    static const unsigned sizes[] = {20, 1000}; /* packed, and with an index */
    for (unsigned round = 0; round < 2; round++) {
        unsigned count = sizes[round];
        assert_int_equal(put(0, count, NULL), HF_STORE_OK);
        for (unsigned i = 0; i < count; i += 2)
            assert_int_equal(remove_fields(i, 1, 0), HF_STORE_OK);
        assert_int_equal(count_fields(), count / 2);
        for (unsigned i = 0; i < count; i++)
            assert_int_equal(get_status(fields[i].name), i % 2 ? HF_STORE_OK : HF_STORE_MISSING);
        assert_int_equal(remove_fields(0, count, 0), HF_STORE_OK);
        assert_int_equal(change.effect, HF_STORE_REMOVED);
        assert_int_equal(remove_fields(0, 1, 0), HF_STORE_MISSING);
    }
    assert_int_equal(put(0, 1, NULL), HF_STORE_OK);
    assert_int_equal(remove_fields(0, 1, 1000), HF_STORE_OK);
    assert_int_equal(change.effect, HF_STORE_TOMBED);
}

static void fields_count(void **state)
{
    struct hf_store_add add = {.amount = 5};
    assert_int_equal(
        hf_store_hash_add(store, &key, HF_SLICE("n"), &add, &hf_testing_write, &change),
        HF_STORE_OK);
    assert_int_equal(add.result, 5);
    add.amount = (uint64_t)-7;
    assert_int_equal(
        hf_store_hash_add(store, &key, HF_SLICE("n"), &add, &hf_testing_write, &change),
        HF_STORE_OK);
    assert_true((int64_t)add.result == -2 && field_is(HF_SLICE("n"), HF_SLICE("-2")));
    add.amount = 0;
    assert_int_equal(
        hf_store_hash_add(store, &key, HF_SLICE("n"), &add, &hf_testing_write, &change),
        HF_STORE_OK);
    assert_int_equal(change.effect, HF_STORE_NOTHING);
    assert_int_equal(put_one(HF_SLICE("n"), HF_SLICE("9223372036854775807")), HF_STORE_OK);
    add.amount = 1;
    assert_int_equal(
        hf_store_hash_add(store, &key, HF_SLICE("n"), &add, &hf_testing_write, &change),
        HF_STORE_OVERFLOW);
    assert_int_equal(put_one(HF_SLICE("n"), HF_SLICE("x")), HF_STORE_OK);
    assert_int_equal(
        hf_store_hash_add(store, &key, HF_SLICE("n"), &add, &hf_testing_write, &change),
        HF_STORE_NOT_NUMBER);
}

/* A hash that is a satellite lives in a tombstone, and ends with it. */
static void a_hash_ends_with_its_record(void **state)
{
    struct hf_store_key value = key;
    struct hf_store_delete how = {.tomb_ms = 1000};
    struct hf_store_cursor cursor = {0};
    struct hf_store_field field;
    hf_testing_set(store, &value, HF_SLICE("v"), 0);
    key = hf_testing_lock("a");
    assert_int_equal(put(0, 2, NULL), HF_STORE_OK);
    assert_int_equal(hf_store_delete(store, &value, &how, &hf_testing_write, &change), HF_STORE_OK);
    assert_int_equal(count_fields(), 2);
    uint64_t later_ms = HF_TESTING_NOW_MS + 1000;
    assert_false(hf_store_hash_next(store, &key, later_ms, &cursor, &field));
    assert_int_equal(hf_testing_status(store, &key, later_ms), HF_STORE_MISSING);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(fields_come_back),
        ROW(of_a_name_given_twice_the_last_counts),
        ROW(writing_the_same_fields_is_no_change),
        ROW(only_new_fields_are_made_if_asked),
        ROW(strings_and_hashes_are_told_apart),
        ROW(a_hash_grows_past_its_packed_form),
        ROW(fields_have_limits),
        ROW(a_hash_has_so_many_bytes),
        ROW(rewriting_does_not_grow),
        ROW(removed_fields_leave_the_others),
        ROW(fields_count),
        ROW(a_hash_ends_with_its_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
