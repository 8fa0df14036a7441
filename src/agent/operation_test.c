#include "agent/operation.h"
#include "agent/testing.h"

static struct hf_testing_rig rig;
static struct hf_bytes scratch;
static struct hf_store_change change;
static uint64_t now_ms;

static int set_up(void **state)
{
    (void)state;
    hf_testing_rig_init(&rig);
    now_ms = HF_TESTING_NOW_MS;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hf_testing_rig_fini(&rig);
    hf_bytes_clear(NULL, &scratch);
    return 0;
}

static struct hf_operation_result run(struct hf_operation operation)
{
    struct hf_operation_context context = {
        .store = rig.store,
        .scratch = &scratch,
        .write = {.now_ms = now_ms, .fresh = {1, 0, 1}},
    };
    struct hf_operation_result result;
    if (operation.key.id.size == 0)
        operation.key.id = HF_SLICE("key");
    operation.key.id_hash = hf_store_hash(hf_testing_hash_key, operation.key.id);
    hf_operation_execute(&context, &operation, &result, &change);
    return result;
}

static void put(const char *value)
{
    struct hf_operation_result result = run((struct hf_operation){
        .kind = HF_OPERATION_SET, .value = hf_slice_text(value), .deadline_ms = HF_DEADLINE_NEVER});
    assert_int_equal(result.status, HF_OPERATION_OK);
}

static void put_field(const char *name, const char *value)
{
    const struct hf_slice fields[] = {hf_slice_text(name), hf_slice_text(value)};
    assert_int_equal(run((struct hf_operation){
                             .kind = HF_OPERATION_HASH_SET, .fields = fields, .field_count = 2})
                         .status,
                     HF_OPERATION_OK);
}

static void holds(const char *value)
{
    struct hf_operation_result result = run((struct hf_operation){.kind = HF_OPERATION_GET});
    if (value == NULL) {
        assert_int_equal(result.status, HF_OPERATION_MISSING);
        assert_false(result.has_value);
        return;
    }
    assert_int_equal(result.status, HF_OPERATION_OK);
    assert_true(hf_slice_equal(result.value, hf_slice_text(value)));
}

static void expires_at(uint64_t deadline_ms)
{
    struct hf_operation_result result =
        run((struct hf_operation){.kind = HF_OPERATION_GET, .flags = HF_OPERATION_NO_VALUE});
    assert_int_equal(result.status, HF_OPERATION_OK);
    assert_int_equal(result.deadline_ms, deadline_ms);
}

static void get_tells_all_about_a_value(void **state)
{
    (void)state;
    holds(NULL);
    run((struct hf_operation){.kind = HF_OPERATION_SET,
                              .value = HF_SLICE("value"),
                              .client_flags = 7,
                              .deadline_ms = now_ms + 5000});
    assert_int_equal(change.effect, HF_STORE_VALUE);
    struct hf_operation_result result = run((struct hf_operation){.kind = HF_OPERATION_GET});
    assert_int_equal(change.effect, HF_STORE_NOTHING);
    assert_true(result.has_value);
    assert_int_equal(result.client_flags, 7);
    assert_int_equal(result.value_size, 5);
    assert_int_equal(result.deadline_ms, now_ms + 5000);
    assert_true(result.cas > 0);
    result = run((struct hf_operation){.kind = HF_OPERATION_GET, .flags = HF_OPERATION_NO_VALUE});
    assert_int_equal(result.value.size, 0);
    assert_int_equal(result.value_size, 5);
    now_ms += 5000;
    holds(NULL);
}

static void set_keeps_its_conditions(void **state)
{
    (void)state;
    struct hf_operation set = {.kind = HF_OPERATION_SET,
                               .value = HF_SLICE("a"),
                               .deadline_ms = HF_DEADLINE_NEVER,
                               .when = HF_OPERATION_IF_EXISTS};
    assert_int_equal(run(set).status, HF_OPERATION_MISSING);
    set.when = HF_OPERATION_IF_CAS;
    assert_int_equal(run(set).status, HF_OPERATION_MISSING);
    set.when = HF_OPERATION_IF_EQUAL;
    assert_int_equal(run(set).status, HF_OPERATION_MISSING);
    set.when = HF_OPERATION_IF_NEW;
    struct hf_operation_result first = run(set);
    assert_int_equal(first.status, HF_OPERATION_OK);
    assert_true(first.created);
    assert_int_equal(run(set).status, HF_OPERATION_EXISTS);
    set.when = HF_OPERATION_IF_CAS;
    set.value = HF_SLICE("b");
    assert_int_equal(run(set).status, HF_OPERATION_MISMATCH);
    set.cas = first.cas;
    struct hf_operation_result second = run(set);
    assert_int_equal(second.status, HF_OPERATION_OK);
    assert_false(second.created);
    assert_true(second.cas != first.cas);
    set.when = HF_OPERATION_IF_EQUAL;
    set.match = HF_SLICE("a");
    assert_int_equal(run(set).status, HF_OPERATION_MISMATCH);
    set.match = HF_SLICE("b");
    set.value = HF_SLICE("c");
    assert_int_equal(run(set).status, HF_OPERATION_OK);
    holds("c");
}

static void the_old_value_is_answered_whatever_happens(void **state)
{
    (void)state;
    struct hf_operation set = {.kind = HF_OPERATION_SET,
                               .flags = HF_OPERATION_OLD_VALUE,
                               .value = HF_SLICE("new"),
                               .deadline_ms = HF_DEADLINE_NEVER};
    struct hf_operation_result result = run(set);
    assert_int_equal(result.status, HF_OPERATION_OK);
    assert_false(result.has_value);
    set.value = HF_SLICE("newer");
    result = run(set);
    assert_true(result.has_value);
    assert_true(hf_slice_equal(result.value, HF_SLICE("new")));
    holds("newer");
    set.when = HF_OPERATION_IF_NEW;
    result = run(set);
    assert_int_equal(result.status, HF_OPERATION_EXISTS);
    assert_true(hf_slice_equal(result.value, HF_SLICE("newer")));
    result =
        run((struct hf_operation){.kind = HF_OPERATION_DELETE, .flags = HF_OPERATION_OLD_VALUE});
    assert_int_equal(result.status, HF_OPERATION_OK);
    assert_true(hf_slice_equal(result.value, HF_SLICE("newer")));
    holds(NULL);
    put_field("f", "v");
    set.when = HF_OPERATION_ALWAYS;
    assert_int_equal(run(set).status, HF_OPERATION_WRONG_TYPE);
    assert_int_equal(change.effect, HF_STORE_NOTHING);
}

static void a_read_may_move_the_deadline(void **state)
{
    (void)state;
    struct hf_operation touch = {
        .kind = HF_OPERATION_EXPIRE, .flags = HF_OPERATION_OLD_VALUE, .deadline_ms = now_ms + 9000};
    assert_int_equal(run(touch).status, HF_OPERATION_MISSING);
    put("value");
    struct hf_operation_result result = run(touch);
    assert_int_equal(result.status, HF_OPERATION_OK);
    assert_true(hf_slice_equal(result.value, HF_SLICE("value")));
    assert_int_equal(result.deadline_ms, now_ms + 9000);
    assert_int_equal(change.effect, HF_STORE_DEADLINE);
    expires_at(now_ms + 9000);
    touch.deadline_ms = now_ms; /* due: the value is the last that is seen of it */
    result = run(touch);
    assert_true(hf_slice_equal(result.value, HF_SLICE("value")));
    holds(NULL);
}

static void expire_keeps_its_conditions(void **state)
{
    (void)state;
    static const struct {
        unsigned flags;
        int64_t after_ms;
        bool met;
    } rows[] = {
        {HF_OPERATION_EXPIRE_IF_ANY, 100000, false},
        {HF_OPERATION_EXPIRE_IF_LATER, 100000, false}, /* none is the latest */
        {HF_OPERATION_EXPIRE_IF_SOONER, 100000, true},
        {HF_OPERATION_EXPIRE_IF_NONE, 200000, false},
        {HF_OPERATION_EXPIRE_IF_SOONER, 200000, false},
        {HF_OPERATION_EXPIRE_IF_LATER, 200000, true},
        {HF_OPERATION_EXPIRE_IF_ANY | HF_OPERATION_EXPIRE_IF_LATER, 200000, false},
        {HF_OPERATION_EXPIRE_IF_ANY, 300000, true},
    };
    put("value");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hf_operation_result result =
            run((struct hf_operation){.kind = HF_OPERATION_EXPIRE,
                                      .flags = (uint16_t)rows[i].flags,
                                      .deadline_ms = now_ms + (uint64_t)rows[i].after_ms});
        assert_int_equal(result.status, rows[i].met ? HF_OPERATION_OK : HF_OPERATION_UNMET);
        if (rows[i].met)
            expires_at(now_ms + (uint64_t)rows[i].after_ms);
    }
}

static void unlocking_compares_first(void **state)
{
    (void)state;
    struct hf_operation unlock = {
        .kind = HF_OPERATION_DELETE, .when = HF_OPERATION_IF_EQUAL, .match = HF_SLICE("mine")};
    assert_int_equal(run(unlock).status, HF_OPERATION_MISSING);
    put("theirs");
    assert_int_equal(run(unlock).status, HF_OPERATION_MISMATCH);
    holds("theirs");
    put("mine");
    struct hf_operation renew = {.kind = HF_OPERATION_EXPIRE,
                                 .when = HF_OPERATION_IF_EQUAL,
                                 .match = HF_SLICE("theirs"),
                                 .deadline_ms = now_ms + 1000};
    assert_int_equal(run(renew).status, HF_OPERATION_MISMATCH);
    expires_at(HF_DEADLINE_NEVER);
    renew.match = HF_SLICE("mine");
    assert_int_equal(run(renew).status, HF_OPERATION_OK);
    assert_int_equal(run(unlock).status, HF_OPERATION_OK);
    holds(NULL);
}

static void values_grow_and_numbers_add(void **state)
{
    (void)state;
    struct hf_operation extend = {
        .kind = HF_OPERATION_EXTEND, .value = HF_SLICE("12"), .deadline_ms = now_ms + 60000};
    assert_int_equal(run(extend).status, HF_OPERATION_MISSING);
    extend.flags = HF_OPERATION_CREATE;
    struct hf_operation_result result = run(extend);
    assert_int_equal(result.status, HF_OPERATION_OK);
    assert_int_equal(result.number, 2);
    assert_true(change.created_key);
    expires_at(now_ms + 60000);
    extend.end = HF_STORE_PREPEND;
    extend.deadline_ms = now_ms + 90000;
    assert_int_equal(run(extend).number, 4);
    expires_at(now_ms + 60000); /* it was there before, and nobody said TOUCH */
    struct hf_operation add = {.kind = HF_OPERATION_ADD,
                               .flags = HF_OPERATION_TOUCH,
                               .amount = (uint64_t)-12,
                               .deadline_ms = now_ms + 120000};
    struct hf_version before = change.version;
    result = run(add);
    assert_int_equal(result.number, 1200);
    expires_at(now_ms + 120000);
    assert_int_equal(run(add).number, 1188);
    assert_int_equal(change.effect, HF_STORE_VALUE); /* value and deadline are one change */
    assert_true(change.base.sequence > before.sequence);
    assert_true(change.version.sequence > change.base.sequence);
    add.when = HF_OPERATION_IF_CAS;
    assert_int_equal(run(add).status, HF_OPERATION_MISMATCH);
    put("words");
    add.when = HF_OPERATION_ALWAYS;
    assert_int_equal(run(add).status, HF_OPERATION_NOT_NUMBER);
}

static void a_counter_may_begin_somewhere(void **state)
{
    (void)state;
    struct hf_operation add = {.kind = HF_OPERATION_ADD,
                               .sum = HF_STORE_INCREASE,
                               .amount = 3,
                               .initial = 40,
                               .deadline_ms = now_ms + 60000};
    assert_int_equal(run(add).status, HF_OPERATION_MISSING);
    add.flags = HF_OPERATION_CREATE;
    assert_int_equal(run(add).number, 40);
    expires_at(now_ms + 60000);
    assert_int_equal(run(add).number, 43);
}

static void hashes_answer_fields_in_order(void **state)
{
    (void)state;
    struct hf_operation_cursor cursor = {0};
    struct hf_operation_field field;
    const struct hf_slice asked[] = {HF_SLICE("b"), HF_SLICE("none"), HF_SLICE("a")};
    struct hf_operation get = {.kind = HF_OPERATION_HASH_GET, .fields = asked, .field_count = 3};
    assert_int_equal(run(get).status, HF_OPERATION_MISSING);
    put_field("a", "1");
    put_field("b", "2");
    get.key.id = HF_SLICE("key");
    get.key.id_hash = hf_store_hash(hf_testing_hash_key, get.key.id);
    struct hf_operation_context context = {
        .store = rig.store, .scratch = &scratch, .write = {.now_ms = now_ms}};
    struct hf_operation_result result;
    hf_operation_execute(&context, &get, &result, &change);
    assert_int_equal(result.field_count, 3);
    assert_true(hf_operation_next_field(&result, &cursor, &field));
    assert_true(field.present && hf_slice_equal(field.value, HF_SLICE("2")));
    assert_true(hf_operation_next_field(&result, &cursor, &field));
    assert_false(field.present);
    assert_true(hf_operation_next_field(&result, &cursor, &field));
    assert_true(hf_slice_equal(field.value, HF_SLICE("1")));
    assert_false(hf_operation_next_field(&result, &cursor, &field));
    put("string");
    assert_int_equal(run(get).status, HF_OPERATION_WRONG_TYPE);
}

static void hashes_change_field_by_field(void **state)
{
    (void)state;
    put_field("a", "1");
    const struct hf_slice pair[] = {HF_SLICE("a"), HF_SLICE("2")};
    struct hf_operation set = {.kind = HF_OPERATION_HASH_SET,
                               .when = HF_OPERATION_IF_NEW,
                               .fields = pair,
                               .field_count = 2};
    assert_int_equal(run(set).status, HF_OPERATION_EXISTS);
    struct hf_operation add = {
        .kind = HF_OPERATION_HASH_ADD, .fields = pair, .field_count = 1, .amount = 41};
    assert_int_equal(run(add).number, 42);
    const struct hf_slice gone[] = {HF_SLICE("a"), HF_SLICE("none")};
    struct hf_operation delete = {
        .kind = HF_OPERATION_HASH_DELETE, .fields = gone, .field_count = 2};
    assert_int_equal(run(delete).number, 1);
    holds(NULL); /* a hash is never empty */
}

static void a_key_moves_to_another_name(void **state)
{
    (void)state;
    char copy[256];
    assert_int_equal(run((struct hf_operation){.kind = HF_OPERATION_DUMP}).status,
                     HF_OPERATION_MISSING);
    run((struct hf_operation){.kind = HF_OPERATION_SET,
                              .value = HF_SLICE("value"),
                              .client_flags = 3,
                              .deadline_ms = now_ms + 5000});
    struct hf_operation_result dumped = run((struct hf_operation){.kind = HF_OPERATION_DUMP});
    assert_int_equal(dumped.status, HF_OPERATION_OK);
    assert_true(dumped.value.size <= sizeof(copy));
    memcpy(copy, dumped.value.bytes, dumped.value.size);
    struct hf_operation restore = {.kind = HF_OPERATION_RESTORE,
                                   .when = HF_OPERATION_IF_NEW,
                                   .key.id = HF_SLICE("other"),
                                   .value = hf_slice(copy, dumped.value.size)};
    assert_int_equal(run(restore).status, HF_OPERATION_OK);
    assert_int_equal(run(restore).status, HF_OPERATION_EXISTS);
    struct hf_operation_result result =
        run((struct hf_operation){.kind = HF_OPERATION_GET, .key.id = HF_SLICE("other")});
    assert_true(hf_slice_equal(result.value, HF_SLICE("value")));
    assert_int_equal(result.client_flags, 3);
    assert_int_equal(result.deadline_ms, now_ms + 5000);
    struct hf_operation delete = {
        .kind = HF_OPERATION_DELETE, .when = HF_OPERATION_IF_CAS, .cas = dumped.cas};
    assert_int_equal(run(delete).status, HF_OPERATION_OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(get_tells_all_about_a_value),
        TEST(set_keeps_its_conditions),
        TEST(the_old_value_is_answered_whatever_happens),
        TEST(a_read_may_move_the_deadline),
        TEST(expire_keeps_its_conditions),
        TEST(unlocking_compares_first),
        TEST(values_grow_and_numbers_add),
        TEST(a_counter_may_begin_somewhere),
        TEST(hashes_answer_fields_in_order),
        TEST(hashes_change_field_by_field),
        TEST(a_key_moves_to_another_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
