#include "agent/operation.h"
#include "agent/testing.h"
#include <stdlib.h>

enum { NOW_MS = 5000000, THERE_MS = 77000, ROOM = 4096, FIELD_ROOM = 8 };

static char bytes[ROOM];
static struct hf_slice fields[FIELD_ROOM];
static const struct hf_operation_room room = {fields, FIELD_ROOM};

static struct hf_slice encode(const struct hf_operation *operation)
{
    struct hf_writer counting = hf_writer(NULL, 0), writer = hf_writer(bytes, sizeof(bytes));
    hf_operation_encode(operation, NOW_MS, &counting);
    hf_operation_encode(operation, NOW_MS, &writer);
    assert_true(hf_writer_fits(&writer));
    assert_int_equal(counting.size, writer.size);
    return hf_slice(bytes, writer.size);
}

static void an_operation_arrives_as_it_was_sent(void **state)
{
    (void)state;
    const struct hf_slice pair[] = {HF_SLICE("field"), HF_SLICE("")};
    const struct hf_operation sent = {
        .kind = HF_OPERATION_HASH_SET,
        .when = HF_OPERATION_IF_NEW,
        .flags = HF_OPERATION_STARTS | HF_OPERATION_STRICT,
        .client_flags = 0xdeadbeef,
        .key = {.id = HF_SLICE("id"),
                .prefix = HF_SLICE("sess:"),
                .suffix = HF_SLICE("_LOCK"),
                .satellite = true},
        .value = HF_SLICE("value"),
        .match = HF_SLICE("match"),
        .cas = UINT64_MAX,
        .deadline_ms = NOW_MS + 1234,
        .amount = 5,
        .initial = 6,
        .fields = pair,
        .field_count = 2,
    };
    struct hf_operation got;
    assert_true(hf_operation_decode(encode(&sent), THERE_MS, &room, &got));
    assert_int_equal(got.kind, sent.kind);
    assert_int_equal(got.when, sent.when);
    assert_int_equal(got.flags, sent.flags);
    assert_int_equal(got.client_flags, sent.client_flags);
    assert_true(hf_slice_equal(got.key.id, sent.key.id));
    assert_true(hf_slice_equal(got.key.prefix, sent.key.prefix));
    assert_true(hf_slice_equal(got.key.suffix, sent.key.suffix));
    assert_true(got.key.satellite);
    assert_true(hf_slice_equal(got.value, sent.value));
    assert_true(hf_slice_equal(got.match, sent.match));
    assert_int_equal(got.cas, sent.cas);
    assert_int_equal(got.deadline_ms, THERE_MS + 1234); /* clocks share no zero */
    assert_int_equal(got.amount, 5);
    assert_int_equal(got.initial, 6);
    assert_int_equal(got.field_count, 2);
    assert_true(hf_slice_equal(got.fields[0], pair[0]));
    assert_int_equal(got.fields[1].size, 0);
}

static uint64_t deadline_there(uint64_t deadline_ms)
{
    const struct hf_operation sent = {
        .kind = HF_OPERATION_EXPIRE, .key.id = HF_SLICE("id"), .deadline_ms = deadline_ms};
    struct hf_operation got;
    assert_true(hf_operation_decode(encode(&sent), THERE_MS, &room, &got));
    return got.deadline_ms;
}

static void deadlines_travel_as_time_left(void **state)
{
    (void)state;
    assert_int_equal(deadline_there(NOW_MS), THERE_MS);
    assert_int_equal(deadline_there(NOW_MS - 1), THERE_MS - 1);
    assert_int_equal(deadline_there(0), 0);
    assert_int_equal(deadline_there(HF_DEADLINE_NEVER), HF_DEADLINE_NEVER);
    assert_int_equal(deadline_there(HF_DEADLINE_MAX), HF_DEADLINE_MAX - NOW_MS + THERE_MS);
}

/* Each copy ends at the end of its allocation, where the sanitizer looks. */
static bool decodes(struct hf_slice encoded)
{
    char *copy = malloc(encoded.size + 1);
    assert_non_null(copy);
    if (encoded.size > 0)
        memcpy(copy + 1, encoded.bytes, encoded.size);
    struct hf_operation got;
    bool good = hf_operation_decode(hf_slice(copy + 1, encoded.size), NOW_MS, &room, &got);
    free(copy);
    return good;
}

static void what_is_cut_or_wrong_is_refused(void **state)
{
    (void)state;
    enum { KIND_AT = 1, WHEN_AT, END_AT, SUM_AT, SATELLITE_AT, FLAGS_AT = 9, FIELD_COUNT_AT = 24 };
    const struct hf_slice names[] = {HF_SLICE("a"), HF_SLICE("b")};
    const struct hf_operation sent = {
        .kind = HF_OPERATION_HASH_GET, .key.id = HF_SLICE("id"), .fields = names, .field_count = 2};
    struct hf_slice whole = encode(&sent);
    assert_true(decodes(whole));
    for (size_t size = 0; size < whole.size; size++)
        assert_false(decodes(hf_slice(whole.bytes, size)));
    bytes[whole.size] = 0;
    assert_false(decodes(hf_slice(whole.bytes, whole.size + 1)));
    static const struct {
        size_t at;
        uint8_t value;
    } wrong[] = {
        {0, HF_OPERATION_FORMAT + 1},
        {KIND_AT, HF_OPERATION_KINDS},
        {KIND_AT, HF_OPERATION_GET},      /* has no fields */
        {KIND_AT, HF_OPERATION_HASH_ADD}, /* has one */
        {WHEN_AT, HF_OPERATION_WHENS},
        {END_AT, HF_STORE_PREPEND + 1},
        {SUM_AT, HF_STORE_DECREASE + 1},
        {SATELLITE_AT, 2},
        {FLAGS_AT, 0x80},
        {FIELD_COUNT_AT, FIELD_ROOM + 1},
        {FIELD_COUNT_AT, 1},
        {FIELD_COUNT_AT, 0},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char right = bytes[wrong[i].at];
        bytes[wrong[i].at] = (char)wrong[i].value;
        assert_false(decodes(whole));
        bytes[wrong[i].at] = right;
    }
    assert_true(decodes(whole));
}

static struct hf_slice encode_result(const struct hf_operation_result *result)
{
    struct hf_writer writer = hf_writer(bytes, sizeof(bytes));
    hf_operation_encode_result(result, NOW_MS, &writer);
    assert_true(hf_writer_fits(&writer));
    return hf_slice(bytes, writer.size);
}

static void a_result_arrives_as_it_was_sent(void **state)
{
    (void)state;
    struct hf_operation_result sent = hf_operation_failed(HF_OPERATION_EXISTS);
    sent.has_value = sent.created = true;
    sent.client_flags = 9;
    sent.cas = 8;
    sent.deadline_ms = NOW_MS + 10;
    sent.value_size = 5;
    sent.number = (uint64_t)-3;
    sent.value = HF_SLICE("value");
    sent.field_count = 12; /* of a hash that only GET was asked for */
    struct hf_slice whole = encode_result(&sent);
    struct hf_operation_result got;
    assert_true(hf_operation_decode_result(whole, THERE_MS, &got));
    assert_int_equal(got.status, sent.status);
    assert_true(got.has_value && got.created);
    assert_int_equal(got.client_flags, 9);
    assert_int_equal(got.cas, 8);
    assert_int_equal(got.deadline_ms, THERE_MS + 10);
    assert_int_equal(got.value_size, 5);
    assert_int_equal(got.number, sent.number);
    assert_true(hf_slice_equal(got.value, sent.value));
    assert_int_equal(got.field_count, 12);
    struct hf_operation_cursor cursor = {0};
    struct hf_operation_field field;
    assert_false(hf_operation_next_field(&got, &cursor, &field));
    for (size_t size = 0; size < whole.size; size++)
        assert_false(hf_operation_decode_result(hf_slice(whole.bytes, size), NOW_MS, &got));
    bytes[1] = (char)HF_OPERATION_STATUS_COUNT;
    assert_false(hf_operation_decode_result(whole, NOW_MS, &got));
}

static void fields_travel_with_the_result(void **state)
{
    (void)state;
    struct hf_testing_rig rig;
    struct hf_bytes scratch = {0};
    struct hf_store_change change;
    struct hf_operation_result result, got;
    const struct hf_slice pair[] = {HF_SLICE("a"), HF_SLICE("1")};
    const struct hf_slice asked[] = {HF_SLICE("none"), HF_SLICE("a")};
    hf_testing_rig_init(&rig);
    const struct hf_operation_context context = {
        .store = rig.store,
        .scratch = &scratch,
        .write = {.now_ms = HF_TESTING_NOW_MS, .fresh = {1, 0, 1}}};
    struct hf_operation operation = {
        .kind = HF_OPERATION_HASH_SET, .key.id = HF_SLICE("id"), .fields = pair, .field_count = 2};
    operation.key.id_hash = hf_store_hash(hf_testing_hash_key, operation.key.id);
    hf_operation_execute(&context, &operation, &result, &change);
    operation.kind = HF_OPERATION_HASH_GET;
    operation.fields = asked;
    hf_operation_execute(&context, &operation, &result, &change);
    struct hf_slice whole = encode_result(&result);
    assert_true(hf_operation_decode_result(whole, THERE_MS, &got));
    struct hf_operation_cursor cursor = {0};
    struct hf_operation_field field;
    assert_true(hf_operation_next_field(&got, &cursor, &field));
    assert_false(field.present);
    assert_true(hf_operation_next_field(&got, &cursor, &field));
    assert_true(field.present);
    assert_true(hf_slice_equal(field.name, HF_SLICE("a")));
    assert_true(hf_slice_equal(field.value, HF_SLICE("1")));
    assert_false(hf_operation_next_field(&got, &cursor, &field));
    /* once more, from the decoded one */
    char first[ROOM];
    memcpy(first, whole.bytes, whole.size);
    struct hf_operation_result again;
    assert_true(hf_operation_decode_result(hf_slice(first, whole.size), NOW_MS, &again));
    assert_true(hf_slice_equal(encode_result(&again), hf_slice(first, whole.size)));
    hf_bytes_clear(NULL, &scratch);
    hf_testing_rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operation_arrives_as_it_was_sent),
        cmocka_unit_test(deadlines_travel_as_time_left),
        cmocka_unit_test(what_is_cut_or_wrong_is_refused),
        cmocka_unit_test(a_result_arrives_as_it_was_sent),
        cmocka_unit_test(fields_travel_with_the_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
