/* A fabric that is alone, on the session store: what the two make of each other. */
#include "fabric/records_testing.h"

static const struct hf_slice names[] = {HF_SLICE("app1")};

struct alone {
    struct hf_records_node node;
    struct hf_rank rank;
    struct hf_fabric *fabric;
    struct hf_fabric_op op;
    unsigned completed;
};

static void complete(void *user, struct hf_fabric_op *op)
{
    ((struct alone *)user)->completed++;
}

static void wake(void *user, unsigned peer)
{
    fail();
}

static void tell_dropped(void *user, enum hf_store_drop why, struct hf_slice id,
                         enum hf_record_state state, struct hf_version version)
{
    struct alone *alone = user;
    hf_fabric_dropped(alone->fabric, id, state, version, why == HF_STORE_EXPIRED, now_ms);
}

static void step(struct alone *alone, uint64_t for_ms)
{
    for (uint64_t end_ms = now_ms + for_ms; now_ms < end_ms; now_ms += HF_FABRIC_TICK_MS)
        hf_fabric_tick(alone->fabric, now_ms);
}

static void start(struct alone *alone)
{
    const struct hf_fabric_host host = {.user = alone, .complete = complete, .wake = wake};
    const struct hf_fabric_settings settings = {.backups = 1,
                                                .incarnation = 1,
                                                .epoch_floor = 5,
                                                .activities_max = 10,
                                                .queue_size_max = 1 << 20,
                                                .image_size_max = 1 << 20};
    *alone = (struct alone){0};
    hf_records_init(&alone->node);
    alone->node.store->options.dropped = tell_dropped;
    alone->node.store->options.user = alone;
    assert_int_equal(hf_rank_init(&alone->rank, names, 1), 0);
    assert_int_equal(
        hf_fabric_new(&settings, &alone->rank, &alone->node.seam, &host, now_ms, &alone->fabric),
        0);
    step(alone, 100);
    assert_true(hf_fabric_ready(alone->fabric));
}

static void stop(struct alone *alone)
{
    hf_fabric_free(&alone->fabric);
    hf_records_fini(&alone->node);
}

/* Answers what came of it. */
static enum hf_fabric_status ask(struct alone *alone, const char *id, const char *request)
{
    unsigned before = alone->completed;
    alone->op = (struct hf_fabric_op){.id = hf_slice_text(id), .request = hf_slice_text(request)};
    alone->op.flags = request[0] == 'G' ? HF_FABRIC_ACQUIRES | HF_FABRIC_READS : HF_FABRIC_CREATES;
    hf_fabric_submit(alone->fabric, &alone->op, now_ms);
    assert_int_equal(alone->completed, before + 1);
    return (enum hf_fabric_status)alone->op.status;
}

static struct hf_version version_of(const struct alone *alone, const char *id)
{
    struct hf_store_record found;
    assert_true(hf_records_in_store(&alone->node, id, &found));
    assert_int_equal(found.state, HF_RECORD_OWNER);
    return found.version;
}

static void a_session_lives_and_is_deleted(void **state)
{
    struct hf_store_record found;
    struct alone alone;
    start(&alone);
    assert_int_equal(ask(&alone, "a", "G"), HF_FABRIC_MISS);
    assert_int_equal(ask(&alone, "a", "Svalue"), HF_FABRIC_OK);
    hf_records_holds(&alone.node, "a", "", "value");
    assert_int_equal(version_of(&alone, "a").sequence, 1);
    assert_int_equal(ask(&alone, "a", "Snext"), HF_FABRIC_OK);
    assert_int_equal(version_of(&alone, "a").sequence, 2);
    assert_int_equal(ask(&alone, "a", "D"), HF_FABRIC_OK);
    assert_true(hf_records_in_store(&alone.node, "a", &found) && found.state == HF_RECORD_TOMB);
    assert_int_equal(ask(&alone, "a", "G"), HF_FABRIC_MISS);
    assert_int_equal(ask(&alone, "a", "Slate"), HF_FABRIC_DROPPED);
    stop(&alone);
}

/* Whoever finds the end, the store in its own time or the fabric when asked or at its sweep: it is
 * a miss, and what comes next stands above all copies of what was. */
static void no_epoch_comes_again_after_an_end(void **state)
{
    enum { STORE, ASKED, SWEEP, WAYS };
    struct hf_store_record found;
    struct hf_version before, after;
    struct alone alone;
    start(&alone);
    for (unsigned way = STORE; way < WAYS; way++) {
        assert_int_equal(ask(&alone, "a", "Svalue"), HF_FABRIC_OK);
        before = version_of(&alone, "a");
        now_ms += TTL_MS + 1000;
        if (way == STORE)
            while (hf_store_tick(alone.node.store, now_ms, HF_STORE_TICK_BUDGET))
                continue;
        if (way == ASKED)
            assert_int_equal(ask(&alone, "a", "G"), HF_FABRIC_MISS);
        step(&alone, 500); /* it was away for long: ready again */
        assert_false(
            hf_store_find(alone.node.store, HF_SLICE("a"), hf_testing_key("a").id_hash, 0, &found));
        assert_int_equal(ask(&alone, "a", "Sother"), HF_FABRIC_OK);
        after = version_of(&alone, "a");
        assert_true(after.birth > before.epoch);
        assert_int_equal(ask(&alone, "a", "E0"), HF_FABRIC_OK);
        now_ms += HF_FABRIC_TOMB_MS;
        step(&alone, 500);
    }
    stop(&alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_lives_and_is_deleted),
        cmocka_unit_test(no_epoch_comes_again_after_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
