#include "model/server.h"

#include "base/clock.h"
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void count_one(struct hf_server *server, void *user)
{
    assert_non_null(server);
    (*(unsigned *)user)++;
}

static unsigned living(void)
{
    unsigned count = 0;
    hf_server_each(count_one, &count);
    return count;
}

static void identity_is_pool_and_name(void **state)
{
    (void)state;
    uint64_t id = hf_server_id(HF_SLICE("shop"), HF_SLICE("app1"));
    assert_true(id == hf_server_id(HF_SLICE("shop"), HF_SLICE("app1")));
    assert_true(id != hf_server_id(HF_SLICE("shop"), HF_SLICE("app2")));
    assert_true(id != hf_server_id(HF_SLICE("shopapp"), HF_SLICE("1")));
    assert_true(id != 0);
}

static void names_stand_as_people_count(void **state)
{
    (void)state;
    static const char *const names[] = {"",
                                        "001",
                                        "01",
                                        "1",
                                        "2",
                                        "10",
                                        "a",
                                        "a-1",
                                        "a01",
                                        "a1",
                                        "a1b",
                                        "a01b2",
                                        "a1b10",
                                        "a2",
                                        "a9",
                                        "a10",
                                        "a10x",
                                        "a11",
                                        "ab",
                                        "app99",
                                        "app100",
                                        "b20251124120000000000009",
                                        "b20251124120000000000010"};
    enum { NAMES = sizeof(names) / sizeof(names[0]) };
    for (int i = 0; i < NAMES; i++) {
        for (int n = 0; n < NAMES; n++) {
            int order = hf_server_compare_names(names[i], names[n]);
            assert_int_equal((order > 0) - (order < 0), (i > n) - (i < n));
        }
    }
}

static void identity_never_changes_between_releases(void **state)
{
    (void)state;
    /* XXH3_64bits("shop\0app1"): tokens in browsers name servers by it */
    assert_true(hf_server_id(HF_SLICE("shop"), HF_SLICE("app1")) == UINT64_C(0x274b1041367db507));
}

static void one_identity_is_one_server(void **state)
{
    (void)state;
    struct hf_server *first = hf_server_acquire("shop", "app1", 3);
    struct hf_server *again = hf_server_acquire("shop", "app1", 3);
    struct hf_server *other = hf_server_acquire("api", "app1", 3);
    assert_non_null(first);
    assert_ptr_equal(first, again);
    assert_ptr_not_equal(first, other);
    assert_int_not_equal(first->slot, other->slot);
    assert_string_equal(first->pool, "shop");
    assert_string_equal(first->name, "app1");
    assert_int_equal(living(), 2);

    hf_server_unref(&again);
    assert_null(again);
    assert_int_equal(living(), 2);
    hf_server_unref(&first);
    assert_int_equal(living(), 1);
    hf_server_unref(&other);
    hf_server_unref(&other); /* NULL is no reference */
    assert_int_equal(living(), 0);
}

static void state_outlives_configurations_but_not_the_last_reference(void **state)
{
    (void)state;
    struct hf_server *server = hf_server_acquire("shop", "app1", 2);
    atomic_store(&server->admin, HF_ADMIN_DRAIN);
    struct hf_server *next = hf_server_acquire("shop", "app1", 2);
    hf_server_unref(&server);
    assert_int_equal(hf_server_state(next, 0), HF_SERVER_DRAIN);
    hf_server_unref(&next);
    server = hf_server_acquire("shop", "app1", 2);
    assert_int_equal(hf_server_state(server, 0), HF_SERVER_READY);
    hf_server_unref(&server);
}

static void a_slot_is_used_again(void **state)
{
    (void)state;
    struct hf_server *a = hf_server_acquire("p", "a", 1);
    struct hf_server *b = hf_server_acquire("p", "b", 1);
    uint32_t slot = a->slot;
    hf_server_unref(&a);
    struct hf_server *c = hf_server_acquire("p", "c", 1);
    assert_int_equal(c->slot, slot);
    assert_int_not_equal(c->slot, b->slot);
    hf_server_unref(&b);
    hf_server_unref(&c);
}

static void the_registry_has_a_limit(void **state)
{
    (void)state;
    static struct hf_server *servers[HF_SERVERS_MAX];
    char name[HF_NAME_MAX];
    for (unsigned i = 0; i < HF_SERVERS_MAX; i++) {
        snprintf(name, sizeof(name), "s%u", i);
        servers[i] = hf_server_acquire("many", name, 1);
        assert_non_null(servers[i]);
        assert_true(servers[i]->slot < HF_SERVERS_MAX);
    }
    assert_null(hf_server_acquire("many", "one more", 1));
    struct hf_server *known = hf_server_acquire("many", "s7", 1);
    assert_ptr_equal(known, servers[7]);
    hf_server_unref(&known);
    for (unsigned i = 0; i < HF_SERVERS_MAX; i++)
        hf_server_unref(&servers[i]);
    assert_int_equal(living(), 0);
    struct hf_server *after = hf_server_acquire("many", "one more", 1);
    assert_non_null(after);
    hf_server_unref(&after);
}

static void the_state_weighs_admin_health_and_ejection(void **state)
{
    (void)state;
    struct hf_server *server = hf_server_acquire("p", "a", 1);
    assert_int_equal(hf_server_state(server, 100), HF_SERVER_READY); /* not checked yet */
    assert_true(hf_server_accepts(server, 100) && hf_server_serves(server, 100));

    atomic_store(&server->ejected_until_ms, 101);
    assert_int_equal(hf_server_state(server, 100), HF_SERVER_EJECTED);
    assert_false(hf_server_serves(server, 100));
    assert_int_equal(hf_server_state(server, 101), HF_SERVER_READY);

    atomic_store(&server->admin, HF_ADMIN_DRAIN);
    assert_int_equal(hf_server_state(server, 101), HF_SERVER_DRAIN);
    assert_true(hf_server_serves(server, 101));
    assert_false(hf_server_accepts(server, 101));
    assert_int_equal(hf_server_state(server, 100), HF_SERVER_EJECTED);

    atomic_store(&server->health, HF_HEALTH_DOWN);
    assert_int_equal(hf_server_state(server, 100), HF_SERVER_DOWN);
    assert_false(hf_server_serves(server, 101));
    atomic_store(&server->admin, HF_ADMIN_MAINTENANCE);
    assert_int_equal(hf_server_state(server, 100), HF_SERVER_MAINTENANCE);
    atomic_store(&server->health, HF_HEALTH_UP);
    assert_false(hf_server_serves(server, 101));
    hf_server_unref(&server);
}

static void words_go_both_ways(void **state)
{
    (void)state;
    for (int i = HF_ADMIN_READY; i <= HF_ADMIN_MAINTENANCE; i++) {
        enum hf_admin_state parsed = HF_ADMIN_READY;
        const char *word = hf_admin_state_word((enum hf_admin_state)i);
        assert_int_equal(hf_admin_state_parse(hf_slice_text(word), &parsed), 0);
        assert_int_equal(parsed, i);
    }
    enum hf_admin_state untouched = HF_ADMIN_DRAIN;
    assert_int_equal(hf_admin_state_parse(HF_SLICE("Drain"), &untouched), -EINVAL);
    assert_int_equal(hf_admin_state_parse(HF_SLICE(""), &untouched), -EINVAL);
    assert_int_equal(untouched, HF_ADMIN_DRAIN);
    assert_string_equal(hf_server_state_word(HF_SERVER_EJECTED), "ejected");
    assert_string_equal(hf_server_state_word(HF_SERVER_DOWN), "down");
}

static void counts_sum_over_shards(void **state)
{
    (void)state;
    struct hf_server *server = hf_server_acquire("p", "a", 4);
    assert_true(server->shard_count >= 4);
    hf_count(&server->shards[0].counts[HF_SERVER_REQUESTS]);
    hf_count_add(&server->shards[3].counts[HF_SERVER_REQUESTS], 41);
    assert_int_equal(hf_server_count(server, HF_SERVER_REQUESTS), 42);
    assert_int_equal(hf_server_count(server, HF_SERVER_PINS), 0);
    hf_server_unref(&server);
}

static void fewer_workers_later_still_leave_room_for_the_running_ones(void **state)
{
    (void)state;
    struct hf_server *wide = hf_server_acquire("p", "wide", 9);
    struct hf_server *narrow = hf_server_acquire("p", "narrow", 2);
    assert_true(narrow->shard_count >= 9);
    hf_server_unref(&wide);
    hf_server_unref(&narrow);
}

enum { ROUNDS = 2000, THREADS = 4 };

static void *churn(void *user)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct hf_server *server = hf_server_acquire("p", "hot", 1);
        struct hf_server *second = hf_server_ref(server);
        hf_server_unref(&server);
        if (strcmp(second->name, "hot") != 0)
            *(bool *)user = false;
        hf_server_unref(&second);
    }
    return NULL;
}

static void threads_may_acquire_and_give_up_at_once(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    bool good[THREADS] = {true, true, true, true};
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, &good[i]), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(good[i]);
    }
    assert_int_equal(living(), 0);
}

static void a_slow_answer_counts_at_once_and_is_forgiven_in_time(void **state)
{
    (void)state;
    const uint64_t start_us = 1000 * 1000;
    struct hf_server *server = hf_server_acquire("shop", "app1", 1);
    assert_non_null(server);
    hf_server_note_latency(server, 5000, start_us);
    assert_int_equal(server->ewma_us, 5000);
    hf_server_note_latency(server, 900 * 1000, start_us + 1);
    assert_int_equal(server->ewma_us, 900 * 1000);
    /* 10 s later an answer of 0: what is left of the old value is 1 / e */
    hf_server_note_latency(server, 0, start_us + 1 + 10 * 1000 * 1000);
    assert_in_range(server->ewma_us, 331090, 331092);
    hf_server_note_latency(server, 0, start_us); /* another worker's clock: nothing is forgiven */
    assert_int_equal(server->ewma_us, 0);
    hf_server_unref(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity_is_pool_and_name),
        cmocka_unit_test(names_stand_as_people_count),
        cmocka_unit_test(identity_never_changes_between_releases),
        cmocka_unit_test(one_identity_is_one_server),
        cmocka_unit_test(state_outlives_configurations_but_not_the_last_reference),
        cmocka_unit_test(a_slot_is_used_again),
        cmocka_unit_test(the_registry_has_a_limit),
        cmocka_unit_test(the_state_weighs_admin_health_and_ejection),
        cmocka_unit_test(words_go_both_ways),
        cmocka_unit_test(counts_sum_over_shards),
        cmocka_unit_test(fewer_workers_later_still_leave_room_for_the_running_ones),
        cmocka_unit_test(threads_may_acquire_and_give_up_at_once),
        cmocka_unit_test(a_slow_answer_counts_at_once_and_is_forgiven_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
