#include "agent/replicated_testing.h"

/* Where operations go, and when they are answered. */

static void what_is_owned_here_is_read_where_it_stands(void **state)
{
    struct asked asked;
    hf_replicated_testing_set(0, "s1", "value");
    hf_replicated_testing_get_is(0, "s1", "value");
    hf_replicated_testing_start(&asked, 0, "s1", &getting);
    assert_int_equal(asked.completions, 1); /* before anything was carried */
    assert_ptr_equal(asked.where, hf_replicated_testing_in_store(0, "s1").bytes);
    assert_int_equal(hf_replicated_counts(nodes[0].replicated).under_way, 0);
}

static void a_session_moves_to_who_starts_with_it(void **state)
{
    struct asked asked;
    for (unsigned i = 0; i < 30; i++) {
        char id[TEXT_MAX];
        snprintf(id, sizeof(id), "s%u", i);
        hf_replicated_testing_set(i % NODES, id, "value");
        hf_replicated_testing_get_is((i + 1) % NODES, id, "value");
        hf_replicated_testing_start(&asked, (i + 1) % NODES, id, &getting);
        assert_int_equal(asked.completions, 1); /* it lives here now */
    }
    hf_replicated_testing_get_is(0, "none", NULL);
}

static void what_ends_a_request_goes_to_the_owner(void **state)
{
    struct asked asked;
    const struct hf_operation expire = {.kind = HF_OPERATION_EXPIRE,
                                        .deadline_ms = now_ms + 500000};
    hf_replicated_testing_set(0, "s1", "value");
    hf_replicated_testing_get_is(0, "s1", "value");
    uint64_t before = hf_replicated_testing_relayed();
    assert_int_equal(hf_replicated_testing_ask(&asked, 1, "s1", &expire), HF_OPERATION_OK);
    assert_int_equal(hf_replicated_testing_ask(&asked, 2, "s1", &looking), HF_OPERATION_OK);
    assert_string_equal(asked.value, "value");
    assert_true(asked.result.deadline_ms > now_ms + 400000);
    assert_int_equal(hf_replicated_testing_relayed(), before + 2);
    hf_replicated_testing_start(&asked, 0, "s1", &getting);
    assert_int_equal(asked.completions, 1); /* it did not move */
}

static void fields_come_from_elsewhere(void **state)
{
    const struct hf_slice pairs[] = {HF_SLICE("name"), HF_SLICE("Ada"), HF_SLICE("n"),
                                     HF_SLICE("7")};
    const struct hf_slice names[] = {HF_SLICE("n"), HF_SLICE("none")};
    const struct hf_operation set_fields = {
        .kind = HF_OPERATION_HASH_SET, .fields = pairs, .field_count = 4};
    const struct hf_operation get_fields = {
        .kind = HF_OPERATION_HASH_GET, .fields = names, .field_count = 2};
    const struct hf_operation add = {.kind = HF_OPERATION_HASH_ADD,
                                     .fields = names,
                                     .field_count = 1,
                                     .sum = HF_STORE_SIGNED,
                                     .amount = 5};
    struct asked asked;
    assert_int_equal(hf_replicated_testing_ask(&asked, 0, "h1", &set_fields), HF_OPERATION_OK);
    assert_int_equal(asked.result.number, 2);
    hf_replicated_testing_get_is(0, "h2", NULL);
    for (unsigned node = 0; node < NODES; node++) { /* one of them reads where it stands */
        assert_int_equal(hf_replicated_testing_ask(&asked, node, "h1", &get_fields),
                         HF_OPERATION_OK);
        assert_int_equal(asked.field_count, 2);
        assert_string_equal(asked.fields[0], "n=7");
        assert_string_equal(asked.fields[1], "none=");
    }
    assert_int_equal(hf_replicated_testing_ask(&asked, 2, "h1", &add), HF_OPERATION_OK);
    assert_int_equal(asked.result.number, 12);
}

static void an_answer_that_waits_is_kept(void **state)
{
    struct asked first, read, old, second;
    struct hf_operation one = hf_replicated_testing_setting("one"),
                        two = hf_replicated_testing_setting("two"),
                        three = hf_replicated_testing_setting("three");
    two.flags |= HF_OPERATION_OLD_VALUE;
    hf_replicated_testing_set(0, "s1", "none");
    hf_replicated_testing_get_is(0, "s1", "none");
    hf_replicated_testing_cut_off(0);
    hf_replicated_testing_start(&first, 0, "s1", &one);
    hf_replicated_testing_start(&read, 0, "s1", &getting);
    hf_replicated_testing_start(&old, 0, "s1", &two);
    hf_replicated_testing_start(&second, 0, "s1", &three);
    assert_int_equal(first.completions + read.completions + old.completions + second.completions,
                     0);
    hf_replicated_testing_join_again(0);
    hf_replicated_testing_carry_all();
    assert_int_equal(first.result.status, HF_OPERATION_OK);
    assert_int_equal(read.completions, 1);
    assert_string_equal(read.value, "one");
    assert_string_equal(old.value, "one");
    assert_int_equal(second.completions, 1);
    hf_replicated_testing_get_is(1, "s1", "three");
}

/* Whoever leaves takes all he lent with him. */
static void abandon(struct asked *asked)
{
    hf_sessions_abandon(&asked->call);
    memset(asked, 0xa5, sizeof(*asked));
}

static void a_call_may_go_away_at_any_time(void **state)
{
    struct asked asked;
    struct hf_operation operation = hf_replicated_testing_setting("new");
    hf_replicated_testing_set(0, "s1", "old");
    hf_replicated_testing_get_is(0, "s1", "old");

    hf_replicated_testing_cut_off(0);
    hf_replicated_testing_start(&asked, 0, "s1", &operation); /* executed, waits for its copy */
    abandon(&asked);
    hf_replicated_testing_join_again(0);
    hf_replicated_testing_turn();
    hf_replicated_testing_get_is(0, "s1", "new");

    char value[] = "newer"; /* lent, too */
    operation.value = hf_slice_text(value);
    hf_replicated_testing_cut_off(1);
    hf_replicated_testing_start(&asked, 1, "s1",
                                &operation); /* asked of another node, or about to be */
    abandon(&asked);
    memset(value, 'x', sizeof(value));
    hf_replicated_testing_join_again(1);
    for (unsigned i = 0; i < 10; i++)
        hf_replicated_testing_turn();
    hf_replicated_testing_get_is(2, "s1", "newer");

    hf_replicated_testing_cut_off(1);
    hf_replicated_testing_start(&asked, 1, "s1", &getting);
    for (unsigned i = 0; i < 40; i++) /* past the patience of the fabric: to be asked again */
        hf_replicated_testing_turn();
    abandon(&asked);
    hf_replicated_testing_join_again(1);
    for (unsigned i = 0; i < TURNS; i++)
        hf_replicated_testing_turn();
    hf_replicated_testing_get_is(1, "s1", "newer");
    for (unsigned i = 0; i < NODES; i++)
        assert_int_equal(hf_replicated_counts(nodes[i].replicated).under_way, 0);
}

static void a_read_is_asked_again_until_somebody_knows(void **state)
{
    struct asked asked;
    for (unsigned i = 0; i < 8; i++) {
        char id[TEXT_MAX];
        snprintf(id, sizeof(id), "s%u", i);
        hf_replicated_testing_set(0, id, "value");
        hf_replicated_testing_get_is(0, id, "value");
    }
    hf_replicated_testing_cut_off(0); /* silent: dead after its lease */
    for (unsigned i = 0; i < 8; i++) {
        char id[TEXT_MAX];
        snprintf(id, sizeof(id), "s%u", i);
        assert_int_equal(hf_replicated_testing_ask(&asked, 1 + i % 2, id, &getting),
                         HF_OPERATION_OK);
        assert_string_equal(asked.value, "value");
    }
    assert_true(hf_replicated_counts(nodes[1].replicated).repeated +
                    hf_replicated_counts(nodes[2].replicated).repeated >
                0);
}

/* The smaller part of a consistent cluster knows nothing for sure. */
static void a_read_nobody_can_answer_ends_with_an_error(void **state)
{
    struct asked asked;
    consistent = true;
    hf_replicated_testing_stop_node(2);
    hf_replicated_testing_start_node(2, CALLS_MAX);
    consistent = false;
    uint64_t begin_ms = now_ms;
    hf_replicated_testing_start(&asked, 2, "s1", &getting);
    hf_replicated_testing_await(&asked, PATIENCE_TURNS);
    assert_int_equal(asked.result.status, HF_OPERATION_UNSURE);
    assert_true(now_ms - begin_ms >= HF_REPLICATED_PATIENCE_MS);
    assert_true(hf_replicated_counts(nodes[2].replicated).repeated > 1);
}

static void more_than_may_be_under_way_are_refused(void **state)
{
    struct asked asked[CALLS_MAX + 1];
    hf_replicated_testing_cut_off(0);
    for (unsigned i = 0; i <= CALLS_MAX; i++) {
        char id[TEXT_MAX];
        snprintf(id, sizeof(id), "s%u", i);
        hf_replicated_testing_start(&asked[i], 0, id, &getting);
    }
    /* those whose home this node is were answered at once */
    unsigned refused = 0, under_way = 0;
    for (unsigned i = 0; i <= CALLS_MAX; i++) {
        refused += asked[i].completions == 1 && asked[i].result.status == HF_OPERATION_FULL;
        under_way += asked[i].completions == 0;
    }
    assert_int_equal(under_way, hf_replicated_counts(nodes[0].replicated).under_way);
    assert_true(under_way <= CALLS_MAX && (refused > 0) == (under_way == CALLS_MAX));
    hf_replicated_testing_join_again(0);
    for (unsigned i = 0; i <= CALLS_MAX; i++)
        if (asked[i].completions == 0)
            hf_replicated_testing_await(&asked[i], TURNS);
}

/* Also what is long, and would be waited for longer. */
static void long_writes_under_way_at_the_end_are_answered(void **state)
{
    enum { SIZE = 1 << 20 };
    struct asked asked;
    char *large = malloc(SIZE);
    assert_non_null(large);
    memset(large, 'x', SIZE);
    struct hf_operation operation = hf_replicated_testing_setting("");
    operation.value = hf_slice(large, SIZE);
    hf_replicated_testing_cut_off(0);
    unsigned waiting = 0;
    for (unsigned i = 0; i < 8 && waiting == 0; i++) {
        char id[TEXT_MAX];
        snprintf(id, sizeof(id), "s%u", i);
        hf_replicated_testing_start(&asked, 0, id, &operation);
        waiting = asked.completions == 0;
    }
    assert_int_equal(waiting, 1);
    hf_replicated_free(&nodes[0].replicated);
    assert_int_equal(asked.completions, 1);
    hf_replicated_testing_stop_node(0);
    free(large);
}

static void what_is_under_way_at_the_end_is_answered(void **state)
{
    struct asked asked;
    hf_replicated_testing_cut_off(0);
    struct hf_operation operation = hf_replicated_testing_setting("value");
    unsigned waiting = 0;
    for (unsigned i = 0; i < 8 && waiting == 0; i++) {
        char id[TEXT_MAX];
        snprintf(id, sizeof(id), "s%u", i);
        hf_replicated_testing_start(&asked, 0, id, &operation);
        waiting = asked.completions == 0;
    }
    assert_int_equal(waiting, 1);
    hf_replicated_free(&nodes[0].replicated);
    assert_int_equal(asked.completions, 1);
    assert_true(asked.result.status == HF_OPERATION_UNSURE ||
                asked.result.status == HF_OPERATION_OK);
    hf_replicated_testing_stop_node(0);
}

int main(void)
{
#define CLUSTER_TEST(name)                                                                         \
    cmocka_unit_test_setup_teardown(name, hf_replicated_testing_set_up,                            \
                                    hf_replicated_testing_tear_down)
    static const struct CMUnitTest tests[] = {
        CLUSTER_TEST(what_is_owned_here_is_read_where_it_stands),
        CLUSTER_TEST(a_session_moves_to_who_starts_with_it),
        CLUSTER_TEST(what_ends_a_request_goes_to_the_owner),
        CLUSTER_TEST(fields_come_from_elsewhere),
        CLUSTER_TEST(an_answer_that_waits_is_kept),
        CLUSTER_TEST(a_call_may_go_away_at_any_time),
        CLUSTER_TEST(a_read_is_asked_again_until_somebody_knows),
        CLUSTER_TEST(a_read_nobody_can_answer_ends_with_an_error),
        CLUSTER_TEST(more_than_may_be_under_way_are_refused),
        CLUSTER_TEST(long_writes_under_way_at_the_end_are_answered),
        CLUSTER_TEST(what_is_under_way_at_the_end_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
