#include "balance/rank.h"
#include "base/hash.h"
#include "base/test.h"
#include <errno.h>
#include <stdio.h>

enum { IDS = 100000, NODES = 100 };

static char texts[NODES][16];
static struct hf_slice names[NODES];

static struct hf_slice id_text(char text[32], unsigned number)
{
    int size = snprintf(text, 32, "sess:%08x", number);
    return hf_slice(text, (size_t)size);
}

static void make_rank(struct hf_rank *rank, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        int size = snprintf(texts[i], sizeof(texts[i]), "app%u", i + 1);
        names[i] = hf_slice(texts[i], (size_t)size);
    }
    assert_int_equal(hf_rank_init(rank, names, count), 0);
}

static struct hf_slice first_name(const struct hf_rank *rank, unsigned id)
{
    char text[32];
    uint8_t first;
    hf_rank_first(rank, hf_rank_hash(id_text(text, id)), &first, 1);
    return rank->names[first];
}

static void the_order_of_the_list_does_not_matter(void **state)
{
    struct hf_rank rank, other;
    struct hf_slice turned[10];
    make_rank(&rank, 10);
    for (unsigned i = 0; i < 10; i++)
        turned[i] = names[9 - i];
    assert_int_equal(hf_rank_init(&other, turned, 10), 0);
    assert_true(rank.list == other.list);
    for (unsigned id = 0; id < 1000; id++)
        assert_true(hf_slice_equal(first_name(&rank, id), first_name(&other, id)));
    assert_int_equal(hf_rank_number(&rank, HF_SLICE("app10")), 1); /* sorted by bytes */
    assert_int_equal(hf_rank_number(&rank, HF_SLICE("app11")), -1);
}

static void a_walk_yields_each_node_once(void **state)
{
    struct hf_rank rank;
    make_rank(&rank, NODES);
    for (unsigned id = 0; id < 100; id++) {
        struct hf_rank_walk walk;
        bool seen[NODES] = {false};
        hf_rank_walk_init(&walk, &rank, id);
        for (unsigned i = 0; i < NODES; i++) {
            int node = hf_rank_walk_next(&walk);
            assert_in_range(node, 0, NODES - 1);
            assert_false(seen[node]);
            seen[node] = true;
        }
        assert_int_equal(hf_rank_walk_next(&walk), -1);
    }
}

/* Whatever is known beforehand: no node before one that scores more. */
static void a_walk_goes_by_the_scores(void **state)
{
    static const unsigned counts[] = {1, 2, HF_RANK_FIRST, HF_RANK_FIRST + 1, NODES};
    for (unsigned at = 0; at < sizeof(counts) / sizeof(counts[0]); at++) {
        struct hf_rank rank;
        make_rank(&rank, counts[at]);
        for (unsigned id = 0; id < 200; id++) {
            struct hf_rank_walk walk;
            hf_rank_walk_init(&walk, &rank, hf_hash_mix(id, at));
            int before = hf_rank_walk_next(&walk), node;
            while ((node = hf_rank_walk_next(&walk)) >= 0) {
                assert_true(walk.scores[before] > walk.scores[node]);
                before = node;
            }
        }
    }
}

static void a_walk_among_some_leaves_out_the_others(void **state)
{
    struct hf_rank rank;
    make_rank(&rank, NODES);
    for (unsigned id = 0; id < 200; id++) {
        struct hf_rank_walk all, some;
        uint64_t among[HF_RANK_WORDS] = {hf_hash_mix(id, 1), hf_hash_mix(id, 2)};
        among[1] &= (1ull << (NODES - 64)) - 1;
        hf_rank_walk_init(&all, &rank, id);
        hf_rank_walk_init_among(&some, &rank, id, among);
        for (int node = hf_rank_walk_next(&all); node >= 0; node = hf_rank_walk_next(&all))
            if (among[node / 64] >> node % 64 & 1)
                assert_int_equal(hf_rank_walk_next(&some), node);
        assert_int_equal(hf_rank_walk_next(&some), -1);
    }
}

static void leases_grow_with_the_nodes_within_bounds(void **state)
{
    assert_int_equal(hf_rank_lease_ms(1), 1000);
    assert_int_equal(hf_rank_lease_ms(32), 1000);
    assert_int_equal(hf_rank_lease_ms(48), 1500);
    assert_int_equal(hf_rank_lease_ms(64), 2000);
    assert_int_equal(hf_rank_lease_ms(HF_RANK_NODES_MAX), 2000);
}

/* 1,000 ids a node: the fullest of 100 stays within 15 % of the mean. */
static void ids_spread_evenly(void **state)
{
    struct hf_rank rank;
    unsigned counts[NODES] = {0}, most = 0;
    make_rank(&rank, NODES);
    for (unsigned id = 0; id < IDS; id++)
        counts[hf_rank_number(&rank, first_name(&rank, id))]++;
    for (unsigned i = 0; i < NODES; i++)
        most = counts[i] > most ? counts[i] : most;
    print_message("first of the rank over %d nodes: max/mean %.3f\n", NODES,
                  (double)most * NODES / IDS);
    assert_true(most * 100 <= 115 * (IDS / NODES));
}

/* The ids of a node that leaves go to all others, and no other id moves. */
static void a_lost_node_moves_only_its_own(void **state)
{
    struct hf_rank rank, less;
    unsigned moved = 0, counts[NODES] = {0}, most = 0;
    make_rank(&rank, NODES);
    make_rank(&less, NODES - 1); /* without app100 */
    make_rank(&rank, NODES);
    for (unsigned id = 0; id < IDS; id++) {
        struct hf_slice before = first_name(&rank, id), after = first_name(&less, id);
        if (hf_slice_equal(before, HF_SLICE("app100"))) {
            moved++;
            counts[hf_rank_number(&less, after)]++;
        } else {
            assert_true(hf_slice_equal(before, after));
        }
    }
    for (unsigned i = 0; i < NODES - 1; i++)
        most = counts[i] > most ? counts[i] : most;
    print_message("one of %d nodes lost: %.2f %% of the ids move, at most %u to one node\n", NODES,
                  100.0 * moved / IDS, most);
    assert_in_range(moved, IDS / NODES * 85 / 100, IDS / NODES * 115 / 100);
    assert_true(most < 40); /* about 10 each */
}

static void bad_lists_are_refused(void **state)
{
    struct hf_rank rank;
    struct hf_slice twice[] = {HF_SLICE("a"), HF_SLICE("b"), HF_SLICE("a")};
    struct hf_slice empty[] = {HF_SLICE("")};
    static struct hf_slice many[HF_RANK_NODES_MAX + 1];
    assert_int_equal(hf_rank_init(&rank, twice, 0), -EINVAL);
    assert_int_equal(hf_rank_init(&rank, twice, 3), -EINVAL);
    assert_int_equal(hf_rank_init(&rank, empty, 1), -EINVAL);
    assert_int_equal(hf_rank_init(&rank, many, HF_RANK_NODES_MAX + 1), -EINVAL);
}

/* Other machines and releases must agree: these numbers may never change. */
static void the_order_is_the_one_of_the_protocol(void **state)
{
    struct hf_rank rank;
    uint8_t order[5];
    make_rank(&rank, 5);
    assert_int_equal(hf_rank_first(&rank, hf_rank_hash(HF_SLICE("sess:abc")), order, 5), 5);
    const uint8_t known[5] = {0, 3, 1, 2, 4};
    assert_memory_equal(order, known, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_of_the_list_does_not_matter),
        cmocka_unit_test(a_walk_yields_each_node_once),
        cmocka_unit_test(a_walk_goes_by_the_scores),
        cmocka_unit_test(leases_grow_with_the_nodes_within_bounds),
        cmocka_unit_test(a_walk_among_some_leaves_out_the_others),
        cmocka_unit_test(ids_spread_evenly),
        cmocka_unit_test(a_lost_node_moves_only_its_own),
        cmocka_unit_test(bad_lists_are_refused),
        cmocka_unit_test(the_order_is_the_one_of_the_protocol),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
