/* What all hash tables promise: identity, weights, and who moves when a server cannot take clients.
 */
#include "balance/table_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { KEYS = 100000, SERVERS = 10 };

static struct hf_table_fixture f;

static void test_nobody_to_name(void **unused)
{
    for (enum hf_hash kind = 0; kind < HF_HASH_COUNT; kind++) {
        hf_table_fixture_open(&f, 2, 1);
        hf_table_fixture_weigh(&f, 0, 0);
        hf_table_fixture_weigh(&f, 1, 0);
        for (f.count = 0; f.count <= 2; f.count++) {
            struct hf_balance_table *table = hf_table_fixture_table(&f, kind);
            assert_int_equal(hf_balance_named(table, 7), -1);
            assert_int_equal(hf_balance_follow(table, 7, f.candidates, f.count), -1);
            hf_balance_table_free(&table);
            assert_null(table);
            hf_balance_table_free(&table);
        }
    }
}

static void test_one_has_all(void **unused)
{
    for (enum hf_hash kind = 0; kind < HF_HASH_COUNT; kind++) {
        hf_table_fixture_open(&f, 3, 2);
        hf_table_fixture_weigh(&f, 0, 0);
        hf_table_fixture_weigh(&f, 1, 256);
        hf_table_fixture_weigh(&f, 2, 0);
        struct hf_balance_table *table = hf_table_fixture_table(&f, kind);
        assert_int_equal(hf_balance_named(table, 0), 1);
        assert_int_equal(hf_balance_named(table, UINT64_MAX), 1);
        for (unsigned i = 0; i < 1000; i++)
            assert_int_equal(hf_balance_named(table, hf_rng_u64(&f.rng)), 1);
        hf_balance_table_free(&table);
    }
}

static void test_all_usable_follows_the_name(void **unused)
{
    for (enum hf_hash kind = 0; kind < HF_HASH_COUNT; kind++) {
        hf_table_fixture_open(&f, SERVERS, 3);
        for (unsigned i = 0; i < SERVERS; i++)
            hf_table_fixture_weigh(&f, i, i % 4);
        struct hf_balance_table *table = hf_table_fixture_table(&f, kind);
        for (unsigned i = 0; i < 10000; i++) {
            uint64_t key = hf_rng_u64(&f.rng);
            assert_int_equal(hf_balance_follow(table, key, f.candidates, SERVERS),
                             hf_balance_named(table, key));
        }
        hf_balance_table_free(&table);
    }
}

static void turn(struct hf_table_fixture *to, const struct hf_table_fixture *from)
{
    *to = *from;
    for (unsigned i = 0; i < from->count; i++)
        to->members[i] = from->members[(i * 7 + 3) % from->count];
}

/* Where a server stands in the list is nothing: it is told by its id and the rank of its name. */
static void test_order_does_not_matter(void **unused)
{
    for (enum hf_hash kind = 0; kind < HF_HASH_COUNT; kind++) {
        static struct hf_table_fixture turned;
        hf_table_fixture_open(&f, SERVERS, 4);
        for (unsigned server = 0; server < SERVERS; server++)
            hf_table_fixture_weigh(&f, server, 1 + hf_rng_below(&f.rng, 5));
        turn(&turned, &f);
        struct hf_balance_table *one = hf_table_fixture_table(&f, kind);
        struct hf_balance_table *other = hf_table_fixture_table(&turned, kind);
        for (unsigned n = 0; n < 10000; n++) {
            uint64_t key = hf_rng_u64(&f.rng);
            assert_true(f.members[hf_balance_named(one, key)].id ==
                        turned.members[hf_balance_named(other, key)].id);
        }
        hf_balance_table_free(&one);
        hf_balance_table_free(&other);
    }
}

/* A server goes down: its own clients spread over the others, and nobody else moves. */
static void check_unusable(enum hf_hash kind, unsigned gone)
{
    struct hf_balance_table *table = hf_table_fixture_table(&f, kind);
    unsigned moved = 0, moved_to[SERVERS] = {0};
    f.candidates[gone].usable = false;
    for (unsigned i = 0; i < KEYS; i++) {
        uint64_t key = hf_rng_u64(&f.rng);
        unsigned before = (unsigned)hf_balance_named(table, key);
        unsigned after = (unsigned)hf_balance_follow(table, key, f.candidates, SERVERS);
        assert_true(before == gone ? after != gone : after == before);
        assert_int_equal(after, hf_balance_follow(table, key, f.candidates, SERVERS));
        moved += before == gone;
        moved_to[after] += before == gone;
    }
    f.candidates[gone].usable = true;
    for (unsigned i = 0; i < SERVERS; i++) {
        double share = moved_to[i] / (moved / (SERVERS - 1.0));
        assert_true(i == gone ? moved_to[i] == 0 : share > 0.7 && share < 1.3);
    }
    hf_balance_table_free(&table);
}

static void test_unusable_moves_its_own_clients_alone(void **unused)
{
    for (enum hf_hash kind = 0; kind < HF_HASH_COUNT; kind++) {
        hf_table_fixture_open(&f, SERVERS, 5);
        check_unusable(kind, 0);
        check_unusable(kind, 4);
        check_unusable(kind, SERVERS - 1);
    }
}

/* Longer than any walk: one usable among many, and one that has no place in the table at all. */
static void test_the_last_one_is_found(void **unused)
{
    for (enum hf_hash kind = 0; kind < HF_HASH_COUNT; kind++) {
        hf_table_fixture_open(&f, HF_BALANCE_CANDIDATES_MAX, 6);
        for (unsigned i = 0; i < f.count; i++)
            f.candidates[i].usable = i == 777;
        f.members[1000].weight = 0; /* a backup */
        struct hf_balance_table *table = hf_table_fixture_table(&f, kind);
        for (unsigned i = 0; i < 200; i++)
            assert_int_equal(hf_balance_follow(table, hf_rng_u64(&f.rng), f.candidates, f.count),
                             777);
        f.candidates[777].usable = false;
        assert_int_equal(hf_balance_follow(table, 1, f.candidates, f.count), -1);
        f.candidates[1000].usable = true;
        assert_int_equal(hf_balance_follow(table, 1, f.candidates, f.count), 1000);
        hf_balance_table_free(&table);
    }
}

static void test_memory(void **unused)
{
    hf_table_fixture_open(&f, 100, 7);
    struct hf_balance_table *maglev = hf_table_fixture_table(&f, HF_HASH_MAGLEV);
    struct hf_balance_table *ring = hf_table_fixture_table(&f, HF_HASH_RING);
    struct hf_balance_table *jump = hf_table_fixture_table(&f, HF_HASH_JUMP);
    assert_in_range(hf_balance_table_size(maglev), 131074, 134000);
    assert_in_range(hf_balance_table_size(ring), 100 * 2048 * 8, 100 * 2048 * 8 + 4096);
    assert_in_range(hf_balance_table_size(jump), 1, 4096);
    hf_balance_table_free(&maglev);
    hf_balance_table_free(&ring);
    hf_balance_table_free(&jump);
}

/* The maximum of servers, with the weights furthest apart: no server with weight goes without. */
static void test_the_light_ones_have_a_place(void **unused)
{
    static bool seen[HF_BALANCE_CANDIDATES_MAX];
    hf_table_fixture_open(&f, HF_BALANCE_CANDIDATES_MAX, 8);
    for (unsigned i = 0; i < f.count; i++)
        hf_table_fixture_weigh(&f, i, i < 512 ? 1 : 256);
    struct hf_balance_table *table = hf_table_fixture_table(&f, HF_HASH_MAGLEV);
    for (uint64_t slot = 0; slot < HF_MAGLEV_SLOTS; slot++)
        seen[hf_balance_named(table, slot)] = true;
    for (unsigned i = 0; i < f.count; i++)
        assert_true(seen[i]);
    hf_balance_table_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_to_name),
        cmocka_unit_test(test_one_has_all),
        cmocka_unit_test(test_all_usable_follows_the_name),
        cmocka_unit_test(test_order_does_not_matter),
        cmocka_unit_test(test_unusable_moves_its_own_clients_alone),
        cmocka_unit_test(test_the_last_one_is_found),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_the_light_ones_have_a_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
