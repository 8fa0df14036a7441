#include "agent/replicated_testing.h"

/* How sessions, locks and copies end, and what does not bring them back. */

static void a_deleted_session_is_a_miss_everywhere(void **state)
{
    struct asked asked;
    struct hf_operation late = hf_replicated_testing_setting("late");
    hf_replicated_testing_set(0, "once:1", "value");
    hf_replicated_testing_set(0, "2", "value");
    assert_int_equal(hf_replicated_testing_ask(&asked, 1, "once:1", &deleting), HF_OPERATION_OK);
    assert_int_equal(hf_replicated_testing_ask(&asked, 1, "2", &deleting), HF_OPERATION_OK);
    for (unsigned node = 0; node < NODES; node++) {
        hf_replicated_testing_get_is(node, "once:1", NULL);
        hf_replicated_testing_get_is(node, "2", NULL);
        assert_int_equal(hf_replicated_testing_ask(&asked, node, "once:1", &late),
                         HF_OPERATION_DROPPED);
        hf_replicated_testing_get_is(node, "once:1", NULL);
    }
    hf_replicated_testing_set(2, "2", "again");
    hf_replicated_testing_get_is(0, "2", "again");
}

/* Ids are used again here, and yet a request that had read the session does not bring it back. */
static void a_request_that_began_before_the_logout_brings_nothing_back(void **state)
{
    struct asked asked;
    struct hf_reads slow = {0}, fresh = {0};
    struct hf_operation late = hf_replicated_testing_setting("late"),
                        anew = hf_replicated_testing_setting("anew");
    hf_replicated_testing_set(0, "2", "value");
    for (unsigned node = 0; node < NODES; node++) {
        slow = fresh = (struct hf_reads){0};
        reads = &slow;
        hf_replicated_testing_get_is(node, "2", "value");
        reads = NULL;
        assert_int_equal(hf_replicated_testing_ask(&asked, 1, "2", &deleting), HF_OPERATION_OK);
        reads = &slow;
        assert_int_equal(hf_replicated_testing_ask(&asked, node, "2", &late), HF_OPERATION_DROPPED);
        reads = &fresh; /* its own requests see the miss */
        hf_replicated_testing_get_is(node, "2", NULL);
        assert_int_equal(hf_replicated_testing_ask(&asked, node, "2", &anew), HF_OPERATION_OK);
        hf_replicated_testing_get_is(node, "2", "anew");
        assert_int_equal(hf_replicated_testing_ask(&asked, node, "2", &deleting), HF_OPERATION_OK);
        assert_int_equal(hf_replicated_testing_ask(&asked, node, "2", &anew),
                         HF_OPERATION_OK); /* it ended it itself */
        reads = NULL;
        hf_replicated_testing_set(node, "2", "value");
    }
    slow = (struct hf_reads){0};
    reads = &slow; /* its request is over with its write: the next one may be another's */
    hf_replicated_testing_get_is(0, "2", "value");
    assert_int_equal(hf_replicated_testing_ask(&asked, 0, "2", &late), HF_OPERATION_OK);
    reads = NULL;
    assert_int_equal(hf_replicated_testing_ask(&asked, 1, "2", &deleting), HF_OPERATION_OK);
    reads = &slow;
    assert_int_equal(hf_replicated_testing_ask(&asked, 0, "2", &anew), HF_OPERATION_OK);
    slow = (struct hf_reads){0};
    hf_replicated_testing_get_is(0, "2", "anew");
    now_ms += HF_READS_MS;
    for (unsigned i = 0; i < TURNS; i++)
        hf_replicated_testing_turn();
    reads = NULL;
    hf_replicated_testing_set(0, "2", "value");
    assert_int_equal(hf_replicated_testing_ask(&asked, 1, "2", &deleting), HF_OPERATION_OK);
    reads = &slow;
    late = hf_replicated_testing_setting("late");
    assert_int_equal(hf_replicated_testing_ask(&asked, 0, "2", &late),
                     HF_OPERATION_OK); /* no request lasts so long */
    reads = NULL;
}

/* It has asked before: who writes on it may have seen the delete on another. */
static void a_connection_of_a_pool_loses_no_write(void **state)
{
    struct asked asked;
    struct hf_reads pooled = {0};
    struct hf_operation anew = hf_replicated_testing_setting("anew");
    hf_replicated_testing_set(0, "2", "value");
    reads = &pooled;
    hf_replicated_testing_get_is(0, "2", "value");
    hf_replicated_testing_get_is(0, "2", "value");
    reads = NULL;
    assert_int_equal(hf_replicated_testing_ask(&asked, 1, "2", &deleting), HF_OPERATION_OK);
    reads = &pooled;
    assert_int_equal(hf_replicated_testing_ask(&asked, 0, "2", &anew), HF_OPERATION_OK);
    reads = NULL;
    hf_replicated_testing_get_is(2, "2", "anew");
}

/* A lock must not make a session that is over anew, for the late write behind it. */
static void a_lock_does_not_pass_a_strict_tombstone(void **state)
{
    struct asked asked;
    struct hf_operation lock = hf_replicated_testing_setting("token"),
                        late = hf_replicated_testing_setting("late");
    lock.when = HF_OPERATION_IF_NEW;
    hf_replicated_testing_set(0, "once:1", "value");
    assert_int_equal(hf_replicated_testing_ask(&asked, 1, "once:1", &deleting), HF_OPERATION_OK);
    for (unsigned node = 0; node < NODES; node++) {
        assert_int_equal(hf_replicated_testing_ask(&asked, node, "once:1_LOCK", &lock),
                         HF_OPERATION_DROPPED);
        assert_int_equal(hf_replicated_testing_ask(&asked, node, "once:1", &lock),
                         HF_OPERATION_DROPPED);
        assert_int_equal(hf_replicated_testing_ask(&asked, node, "once:1", &late),
                         HF_OPERATION_DROPPED);
        hf_replicated_testing_get_is(node, "once:1", NULL);
    }
}

static void a_lock_outlives_no_session_and_no_session_a_lock(void **state)
{
    struct asked asked;
    struct hf_operation lock = hf_replicated_testing_setting("token"),
                        note = hf_replicated_testing_setting("late");
    lock.when = HF_OPERATION_IF_NEW;
    hf_replicated_testing_set(0, "PHPREDIS_SESSION:1", "value");
    assert_int_equal(hf_replicated_testing_ask(&asked, 1, "PHPREDIS_SESSION:1_LOCK", &lock),
                     HF_OPERATION_OK);
    assert_int_equal(hf_replicated_testing_ask(&asked, 2, "PHPREDIS_SESSION:1_LOCK", &lock),
                     HF_OPERATION_EXISTS);
    assert_int_equal(hf_replicated_testing_ask(&asked, 2, "PHPREDIS_SESSION:1_LOCK", &deleting),
                     HF_OPERATION_OK);
    hf_replicated_testing_get_is(0, "PHPREDIS_SESSION:1", "value");
    assert_int_equal(hf_replicated_testing_ask(&asked, 2, "PHPREDIS_SESSION:1", &deleting),
                     HF_OPERATION_OK);
    /* over the tombstone goes a lock, not a note about a session that is over */
    assert_int_equal(hf_replicated_testing_ask(&asked, 0, "PHPREDIS_SESSION:1_LOCK", &note),
                     HF_OPERATION_DROPPED);
    assert_int_equal(hf_replicated_testing_ask(&asked, 0, "PHPREDIS_SESSION:1_LOCK", &lock),
                     HF_OPERATION_OK);
    hf_replicated_testing_get_is(1, "PHPREDIS_SESSION:1", NULL);
    hf_replicated_testing_set(1, "PHPREDIS_SESSION:1", "again");
    hf_replicated_testing_get_is(2, "PHPREDIS_SESSION:1", "again");
}

/* A connection to node 0 takes a lock that has no expiry of its own. */
static void take_lock(struct hf_locks *of, struct hf_timer_wheel *timers, const char *key)
{
    struct asked asked;
    struct hf_operation lock = hf_replicated_testing_setting("token");
    lock.when = HF_OPERATION_IF_NEW;
    lock.deadline_ms = HF_DEADLINE_NEVER;
    hf_timer_wheel_init(timers, now_ms);
    hf_locks_init(of, nodes[0].sessions, timers, 1);
    locks = of;
    assert_int_equal(hf_replicated_testing_ask(&asked, 0, key, &lock), HF_OPERATION_OK);
    locks = NULL;
    assert_int_equal(of->count, 1);
}

static unsigned lock_at(unsigned node, const char *key)
{
    struct asked asked;
    struct hf_operation lock = hf_replicated_testing_setting("other");
    lock.when = HF_OPERATION_IF_NEW;
    return hf_replicated_testing_ask(&asked, node, key, &lock);
}

static void pass(struct hf_timer_wheel *timers, unsigned for_ms)
{
    for (uint64_t end_ms = now_ms + for_ms; now_ms < end_ms;) {
        hf_replicated_testing_turn();
        hf_timer_wheel_advance(timers, now_ms);
    }
}

static void a_lock_lasts_as_long_as_its_connection(void **state)
{
    struct hf_timer_wheel timers;
    struct hf_locks of;
    take_lock(&of, &timers, "PHPREDIS_SESSION:1_LOCK");
    hf_replicated_testing_set(1, "PHPREDIS_SESSION:1", "value");
    for (unsigned i = 0; i < NODES; i++) { /* the session moves, the lock with it */
        hf_replicated_testing_get_is(i, "PHPREDIS_SESSION:1", "value");
        pass(&timers, LEASE_MS);
        hf_replicated_testing_set(1, "PHPREDIS_SESSION:1", "value");
        assert_int_equal(lock_at(i, "PHPREDIS_SESSION:1_LOCK"), HF_OPERATION_EXISTS);
    }
    hf_replicated_testing_get_is(2, "PHPREDIS_SESSION:1", "value");
    hf_locks_release(&of);
    hf_replicated_testing_carry_all();
    assert_int_equal(lock_at(1, "PHPREDIS_SESSION:1_LOCK"), HF_OPERATION_OK);
    assert_int_equal(timers.armed_count, 0);
}

static void a_lock_ends_with_the_agent_that_took_it(void **state)
{
    struct hf_timer_wheel timers;
    struct hf_locks of;
    take_lock(&of, &timers, "PHPREDIS_SESSION:1_LOCK");
    hf_replicated_testing_get_is(1, "PHPREDIS_SESSION:1",
                                 NULL); /* the record lives elsewhere than its lock's holder */
    pass(&timers, LEASE_MS);
    assert_int_equal(lock_at(2, "PHPREDIS_SESSION:1_LOCK"), HF_OPERATION_EXISTS);
    hf_timer_cancel(&timers, &of.timer);
    hf_replicated_testing_stop_node(0);
    for (unsigned i = 1; i < NODES; i++)
        hf_fabric_link_down(hf_replicated_fabric(nodes[i].replicated), 0, true, now_ms);
    assert_int_equal(lock_at(2, "PHPREDIS_SESSION:1_LOCK"), HF_OPERATION_EXISTS);
    pass(&timers, LEASE_MS);
    assert_int_equal(lock_at(2, "PHPREDIS_SESSION:1_LOCK"), HF_OPERATION_OK);
    while (!hf_list_empty(&of.list)) { /* the process that held them is gone */
        struct hf_lock *lock = (void *)hf_list_pop_front(&of.list);
        free(lock);
    }
}

/* Another one took it meanwhile: the first has lost it, and does not keep it from ending. */
static void a_lock_that_another_holds_is_not_renewed(void **state)
{
    struct asked asked;
    struct hf_timer_wheel timers;
    struct hf_locks of;
    take_lock(&of, &timers, "PHPREDIS_SESSION:1_LOCK");
    assert_int_equal(hf_replicated_testing_ask(&asked, 1, "PHPREDIS_SESSION:1_LOCK", &deleting),
                     HF_OPERATION_OK);
    assert_int_equal(lock_at(1, "PHPREDIS_SESSION:1_LOCK"), HF_OPERATION_OK);
    pass(&timers, LEASE_MS);
    assert_int_equal(of.count, 0);
    hf_locks_release(&of);
    hf_replicated_testing_carry_all();
    assert_int_equal(lock_at(2, "PHPREDIS_SESSION:1_LOCK"), HF_OPERATION_EXISTS);
}

static void one_key_of_several_is_deleted_alone(void **state)
{
    struct asked asked;
    hf_replicated_testing_set(0, "PHPREDIS_SESSION:1", "value");
    hf_replicated_testing_set(0, "sess_1", "other"); /* the same id */
    assert_int_equal(hf_replicated_testing_ask(&asked, 1, "sess_1", &deleting), HF_OPERATION_OK);
    hf_replicated_testing_get_is(2, "sess_1", NULL);
    hf_replicated_testing_get_is(2, "PHPREDIS_SESSION:1", "value");
}

/* The store drops a copy to have room. */
static void evict(unsigned node, const char *id)
{
    struct hf_slice text = hf_slice_text(id);
    uint64_t id_hash = hf_store_hash(hf_testing_hash_key, text);
    const struct hf_store_role none = {.state = HF_RECORD_NONE};
    struct hf_store_record found;
    assert_true(hf_store_find(nodes[node].store, text, id_hash, now_ms, &found));
    enum hf_record_state state = found.state;
    struct hf_version version = found.version;
    assert_int_equal(hf_store_assign(nodes[node].store, text, id_hash, &none, now_ms), HF_STORE_OK);
    hf_fabric_dropped(hf_replicated_fabric(nodes[node].replicated), text, state, version, false,
                      now_ms);
}

static uint64_t queries(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < NODES; i++)
        sum += hf_fabric_counts(hf_replicated_fabric(nodes[i].replicated))->queries;
    return sum;
}

/* Its home is node 0, and its bucket the one given; -1: any. */
static int find_id(char id[TEXT_MAX], int bucket, unsigned from)
{
    for (unsigned i = from;; i++) {
        snprintf(id, TEXT_MAX, "s%u", i);
        uint64_t hash = hf_rank_hash(hf_slice_text(id));
        struct hf_rank_walk walk;
        hf_rank_walk_init(&walk, &rank, hash);
        int its = (int)hf_digest_bucket(hash);
        if (hf_rank_walk_next(&walk) == 0 && (bucket < 0 || its == bucket))
            return its;
    }
}

/* A home that lost a copy asks everybody about whatever it does not know of that bucket; no longer
 * than until everybody has told it anew what there is. */
static void an_evicted_copy_is_asked_for_until_all_have_told(void **state)
{
    char id[TEXT_MAX], other[TEXT_MAX];
    int bucket = find_id(id, -1, 0);
    find_id(other, bucket, 100000);
    hf_replicated_testing_set(1, id, "value");
    hf_replicated_testing_get_is(1, id, "value");
    hf_replicated_testing_get_is(2, other, NULL);
    uint64_t before = queries();
    evict(0, id);
    hf_replicated_testing_get_is(2, other, NULL);
    assert_int_equal(queries(), before + 1);
    for (uint64_t end_ms = now_ms + 15000; now_ms < end_ms;)
        hf_replicated_testing_turn();
    hf_replicated_testing_get_is(2, other, NULL);
    assert_int_equal(queries(), before + 1);
    hf_replicated_testing_get_is(2, id, "value");
    assert_int_equal(queries(), before + 1);
    evict(2, id); /* its owner's own: a copy is left, and asked for */
    hf_replicated_testing_get_is(2, id, "value");
    evict(2, id);
    hf_replicated_testing_get_is(0, id, "value");
}

int main(void)
{
#define CLUSTER_TEST(name)                                                                         \
    cmocka_unit_test_setup_teardown(name, hf_replicated_testing_set_up,                            \
                                    hf_replicated_testing_tear_down)
    static const struct CMUnitTest tests[] = {
        CLUSTER_TEST(a_deleted_session_is_a_miss_everywhere),
        CLUSTER_TEST(a_request_that_began_before_the_logout_brings_nothing_back),
        CLUSTER_TEST(a_connection_of_a_pool_loses_no_write),
        CLUSTER_TEST(a_lock_does_not_pass_a_strict_tombstone),
        CLUSTER_TEST(a_lock_outlives_no_session_and_no_session_a_lock),
        CLUSTER_TEST(a_lock_lasts_as_long_as_its_connection),
        CLUSTER_TEST(a_lock_ends_with_the_agent_that_took_it),
        CLUSTER_TEST(a_lock_that_another_holds_is_not_renewed),
        CLUSTER_TEST(one_key_of_several_is_deleted_alone),
        CLUSTER_TEST(an_evicted_copy_is_asked_for_until_all_have_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
