#include "agent/sessions.h"
#include "agent/testing.h"

static struct hf_testing_rig rig;
static struct hf_operation_result last; /* without its slices */
static unsigned completions;
static char value[64];

static int set_up(void **state)
{
    (void)state;
    hf_testing_rig_init(&rig);
    completions = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hf_testing_rig_fini(&rig);
    return 0;
}

static void completed(struct hf_sessions_call *call, const struct hf_operation_result *result)
{
    assert_null(call->pending);
    last = *result;
    completions++;
    assert_true(result->value.size < sizeof(value));
    memset(value, 0, sizeof(value));
    if (result->value.size > 0)
        memcpy(value, result->value.bytes, result->value.size);
}

static unsigned submit(const char *key, struct hf_operation operation)
{
    struct hf_sessions_call call = {
        .key = hf_slice_text(key), .operation = operation, .complete = completed};
    unsigned before = completions;
    hf_sessions_submit(rig.sessions, &call);
    assert_int_equal(completions, before + 1); /* what is held here is answered at once */
    return last.status;
}

static unsigned set(const char *key)
{
    return submit(key, (struct hf_operation){.kind = HF_OPERATION_SET,
                                             .value = HF_SLICE("value"),
                                             .deadline_ms = HF_DEADLINE_NEVER});
}

static unsigned get(const char *key)
{
    return submit(key, (struct hf_operation){.kind = HF_OPERATION_GET});
}

static unsigned delete (const char *key)
{
    return submit(key, (struct hf_operation){.kind = HF_OPERATION_DELETE});
}

static void keys_of_a_session_are_one_record(void **state)
{
    (void)state;
    struct hf_store_stats stats;
    assert_int_equal(set("PHPREDIS_SESSION:7"), HF_OPERATION_OK);
    assert_int_equal(set("PHPREDIS_SESSION:7_LOCK"), HF_OPERATION_OK);
    assert_int_equal(get("PHPREDIS_SESSION:7"), HF_OPERATION_OK);
    assert_string_equal(value, "value");
    hf_sessions_stats(rig.sessions, &stats);
    assert_int_equal(stats.records[HF_RECORD_OWNER], 1);
    assert_int_equal(hf_sessions_key_count(rig.sessions), 2);
    assert_int_equal(get("7"), HF_OPERATION_MISSING);
    const struct hf_sessions_counts *counts = hf_sessions_counts(rig.sessions);
    assert_int_equal(counts->hits, 1);
    assert_int_equal(counts->misses, 1);
    assert_int_equal(counts->operations[HF_OPERATION_SET], 2);
    assert_int_equal(counts->statuses[HF_OPERATION_OK], 3);
}

static void a_deleted_id_returns_where_ids_are_used_again(void **state)
{
    (void)state;
    set("PHPREDIS_SESSION:7");
    assert_int_equal(delete ("PHPREDIS_SESSION:7"), HF_OPERATION_OK);
    assert_int_equal(set("PHPREDIS_SESSION:7"), HF_OPERATION_OK);
    assert_int_equal(get("PHPREDIS_SESSION:7"), HF_OPERATION_OK);
}

static void a_late_write_is_dropped_where_they_are_not(void **state)
{
    (void)state;
    set("once:7");
    assert_int_equal(delete ("once:7"), HF_OPERATION_OK);
    assert_int_equal(set("once:7"), HF_OPERATION_DROPPED);
    assert_int_equal(get("once:7"), HF_OPERATION_MISSING);
    hf_sessions_set_time(rig.sessions, HF_TESTING_NOW_MS + HF_TESTING_TOMB_MS + 1, 0);
    assert_int_equal(set("once:7"), HF_OPERATION_OK);
}

static void keys_that_no_store_takes_are_told(void **state)
{
    (void)state;
    char key[HF_STORE_ID_MAX + 2];
    memset(key, 'k', sizeof(key));
    key[sizeof(key) - 1] = '\0';
    assert_int_equal(get(""), HF_OPERATION_BAD_KEY);
    assert_int_equal(set(key), HF_OPERATION_BAD_KEY);
    key[HF_STORE_ID_MAX] = '\0';
    assert_int_equal(set(key), HF_OPERATION_OK);
}

struct seen {
    unsigned count, hashes;
    bool lock;
};

static void see(void *user, struct hf_slice key, enum hf_store_kind kind)
{
    struct seen *seen = user;
    seen->count++;
    seen->hashes += kind == HF_STORE_HASH;
    seen->lock |= hf_slice_equal(key, HF_SLICE("PHPREDIS_SESSION:7_LOCK"));
}

static void a_scan_sees_every_key(void **state)
{
    (void)state;
    struct seen seen = {0};
    const struct hf_sessions_scan scan = {see, &seen, 2};
    const struct hf_slice pair[] = {HF_SLICE("f"), HF_SLICE("v")};
    uint64_t cursor = 0;
    set("PHPREDIS_SESSION:7");
    set("PHPREDIS_SESSION:7_LOCK");
    set("plain");
    submit("hash",
           (struct hf_operation){.kind = HF_OPERATION_HASH_SET, .fields = pair, .field_count = 2});
    do
        hf_sessions_scan(rig.sessions, &cursor, &scan);
    while (cursor != 0);
    assert_true(seen.count >= 4);
    assert_true(seen.lock);
    assert_int_equal(seen.hashes, 1);
}

static void nobody_may_end_all_sessions(void **state)
{
    (void)state;
    set("plain");
    assert_int_equal(hf_sessions_flush(rig.sessions), HF_OPERATION_DENIED);
    assert_int_equal(get("plain"), HF_OPERATION_OK);
}

static void where_it_is_allowed_all_sessions_end(void **state)
{
    (void)state;
    set("plain");
    set("PHPREDIS_SESSION:7");
    hf_sessions_allow_flush(rig.sessions, true);
    assert_int_equal(hf_sessions_flush(rig.sessions), HF_OPERATION_OK);
    assert_int_equal(get("plain"), HF_OPERATION_MISSING);
    assert_int_equal(hf_sessions_key_count(rig.sessions), 0);
    set("plain");
    hf_sessions_allow_flush(rig.sessions, false);
    assert_int_equal(hf_sessions_flush(rig.sessions), HF_OPERATION_DENIED);
    assert_int_equal(get("plain"), HF_OPERATION_OK);
}

static void limits_change_while_it_runs(void **state)
{
    (void)state;
    assert_int_equal(hf_sessions_set_limit(rig.sessions, 8 << 20, HF_STORE_EVICT), 0);
    assert_int_equal(hf_sessions_memory_max(rig.sessions), 8 << 20);
    assert_int_equal(hf_sessions_when_full(rig.sessions), HF_STORE_EVICT);
    assert_true(hf_sessions_set_limit(rig.sessions, 1, HF_STORE_EVICT) < 0);
    assert_int_equal(hf_sessions_memory_max(rig.sessions), 8 << 20);
}

/* ---- a backend that answers later ---- */

static struct hf_sessions_call *held;
static unsigned abandoned;

static void hold(void *user, struct hf_sessions_call *call)
{
    call->pending = user;
    held = call;
}

static void forget(void *user, struct hf_sessions_call *call)
{
    assert_ptr_equal(call->pending, user);
    abandoned++;
}

static void a_call_may_be_abandoned(void **state)
{
    (void)state;
    struct hf_sessions *sessions;
    int marker;
    const struct hf_sessions_backend backend = {"held", &marker, hold, forget};
    const struct hf_sessions_settings settings = {.store = rig.store,
                                                  .patterns = rig.patterns,
                                                  .hash_key = hf_testing_hash_key,
                                                  .backend = &backend};
    assert_int_equal(hf_sessions_new(&settings, &sessions), 0);
    struct hf_sessions_call call = {
        .key = HF_SLICE("sess:7"), .operation = {.kind = HF_OPERATION_GET}, .complete = completed};
    hf_sessions_submit(sessions, &call);
    assert_int_equal(completions, 0);
    assert_true(call.operation.flags & HF_OPERATION_STRICT);
    hf_sessions_abandon(&call);
    assert_int_equal(abandoned, 1);
    hf_sessions_abandon(&call); /* harmless */
    assert_int_equal(abandoned, 1);
    hf_sessions_submit(sessions, &call);
    const struct hf_operation_result unsure = hf_operation_failed(HF_OPERATION_UNSURE);
    hf_sessions_complete(held, &unsure);
    assert_int_equal(completions, 1);
    assert_int_equal(last.status, HF_OPERATION_UNSURE);
    hf_sessions_free(&sessions);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(keys_of_a_session_are_one_record),
        TEST(a_deleted_id_returns_where_ids_are_used_again),
        TEST(a_late_write_is_dropped_where_they_are_not),
        TEST(keys_that_no_store_takes_are_told),
        TEST(a_scan_sees_every_key),
        TEST(nobody_may_end_all_sessions),
        TEST(where_it_is_allowed_all_sessions_end),
        TEST(limits_change_while_it_runs),
        TEST(a_call_may_be_abandoned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
