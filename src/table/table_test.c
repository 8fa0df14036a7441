/* A table as a whole: one per name, over reloads and other sizes. */
#include "table/fixture.h"
#include "table/keeper.h"
#include <sys/mman.h>

enum { THREADS = 3 };

static void one_table_a_name_as_long_as_someone_holds_it(void **state)
{
    struct hf_table *table = hf_fixture_acquire(), *same = hf_fixture_acquire(), *other = NULL;
    struct hf_table_options options = {.name = "other", .size = 10};
    assert_int_equal(hf_table_acquire(&options, &other), 0);
    assert_ptr_equal(table, same);
    assert_ptr_not_equal(table, other);
    hf_fixture_fill(table, 0, 10);
    hf_table_release(&table); /* the old configuration goes */
    assert_int_equal(hf_fixture_count_found(same, 20), 10);
    assert_int_equal(hf_fixture_stats(same).hits, 10);
    assert_int_equal(hf_fixture_stats(same).misses, 10);
    assert_int_equal(hf_fixture_stats(same).entries, 10);
    assert_true(hf_fixture_stats(same).persistent);
    assert_false(hf_fixture_stats(other).persistent);
    hf_fixture_end(&other);
    hf_fixture_end(&same);
}

/* No writer waits until the kernel has cleared a page. */
static void a_new_tables_memory_is_present(void **state)
{
    enum { SIZE = 300 * 1000, PAGE = 4096, PAGES_MAX = 4096 };
    static unsigned char present[PAGES_MAX];
    struct hf_table *table = hf_fixture_acquire_sized(SIZE);
    const struct hf_space *space = hf_keeper_current(table);
    size_t pages = space->mapped / PAGE;
    assert_true(pages > 1000 && pages <= PAGES_MAX && space->shard_count > 1);
    assert_int_equal(mincore(space->buckets, pages * PAGE, present), 0);
    for (size_t i = 0; i < pages; i++)
        assert_true(present[i] & 1);
    hf_fixture_end(&table);
}

static void announcing_changes_nothing(void **state)
{
    struct hf_table *table = hf_fixture_acquire();
    hf_fixture_fill(table, 0, 10);
    for (unsigned i = 0; i < 20; i++)
        hf_table_announce(table, hf_fixture_hash_of(table, i));
    struct hf_table_stats now = hf_fixture_stats(table);
    assert_int_equal(now.entries, 10);
    assert_int_equal(now.hits + now.misses, 0);
    assert_int_equal(hf_fixture_count_found(table, 20), 10);
    hf_fixture_end(&table);
}

static void an_entry_moves_from_its_owner_alone(void **state)
{
    struct hf_table *table = hf_fixture_acquire();
    uint64_t hash = hf_fixture_hash_of(table, 1), now_ms = hf_clock_monotonic_ms();
    assert_true(hf_table_claim(table, hash, 11, EXPIRE_S, now_ms) == 11);
    assert_true(hf_table_claim(table, hash, 12, EXPIRE_S, now_ms) == 11);
    struct hf_table_move wrong = {12, 13}, right = {11, 12};
    assert_true(hf_table_move(table, hash, &wrong, EXPIRE_S, now_ms) == 11);
    assert_true(hf_table_move(table, hash, &right, EXPIRE_S, now_ms) == 12);
    assert_int_equal(hf_fixture_stats(table).moves, 1);
    hf_fixture_end(&table);
}

/* A life is never shorter than asked, and a sixteenth and two seconds longer at most. */
static void idle_entries_expire_and_used_ones_do_not(void **state)
{
    struct hf_table *table = hf_fixture_acquire();
    uint64_t hash = hf_fixture_hash_of(table, 1), now_ms = hf_clock_monotonic_ms();
    hf_table_claim(table, hash, 11, 160, now_ms);
    for (unsigned i = 0; i < 50; i++)
        assert_true(hf_table_find(table, hash, 160, now_ms += 159 * 1000) == 11);
    assert_true(hf_table_find(table, hash, 160, now_ms + (160 + 10 + 2) * 1000) == 0);
    hf_fixture_end(&table);
}

struct filler {
    struct hf_table *table;
    unsigned from, to;
};

static void *fill_beside(void *argument)
{
    struct filler *filler = argument;
    for (unsigned i = filler->from; i < filler->to; i++) {
        uint64_t now_ms = hf_clock_monotonic_ms(), hash = hf_fixture_hash_of(filler->table, i);
        if (hf_table_find(filler->table, hash, EXPIRE_S, now_ms) == 0)
            hf_table_claim(filler->table, hash, hf_fixture_server_of(i), EXPIRE_S, now_ms);
    }
    return NULL;
}

/* Up and down while others read and write, and over a restart with yet another size. */
static void another_size_loses_nobody_who_has_room(void **state)
{
    static const uint64_t sizes[] = {40 * 1000, 9 * CLIENTS, 60 * 1000};
    struct hf_table *table = hf_fixture_acquire_sized(9 * CLIENTS);
    hf_fixture_fill(table, 0, CLIENTS);
    for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        pthread_t threads[THREADS];
        struct filler fillers[THREADS];
        struct hf_table *same = hf_fixture_acquire_sized(sizes[s]);
        for (unsigned i = 0; i < THREADS; i++) {
            fillers[i] = (struct filler){table, CLIENTS * (1 + s), CLIENTS * (2 + s)};
            assert_int_equal(pthread_create(&threads[i], NULL, fill_beside, &fillers[i]), 0);
        }
        assert_int_equal(hf_fixture_count_found(table, CLIENTS * (1 + s)), CLIENTS * (1 + s));
        for (unsigned i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        hf_fixture_wait_size(table, sizes[s]);
        assert_int_equal(hf_fixture_count_found(table, CLIENTS * (2 + s)), CLIENTS * (2 + s));
        hf_table_release(&same);
    }
    hf_fixture_end(&table);
    table = hf_fixture_acquire_sized(5 * CLIENTS);
    assert_int_equal(hf_fixture_count_found(table, CLIENTS * 4), CLIENTS * 4);
    hf_fixture_wait_loaded(table);
    assert_int_equal(hf_fixture_count_found(table, CLIENTS * 4), CLIENTS * 4);
    assert_int_equal(hf_fixture_stats(table).evictions, 0);
    hf_fixture_end(&table);
}

static void servers_beyond_the_dictionary_are_refused_and_counted(void **state)
{
    struct hf_table *table = hf_fixture_acquire_sized(70 * 1000);
    uint64_t now_ms = hf_clock_monotonic_ms();
    for (unsigned i = 1; i <= 65535; i++)
        assert_true(hf_table_claim(table, hf_fixture_hash_of(table, i), i, EXPIRE_S, now_ms) == i);
    assert_true(hf_table_claim(table, hf_fixture_hash_of(table, 70000), 65536, EXPIRE_S, now_ms) ==
                0);
    assert_int_equal(hf_fixture_stats(table).refused, 1);
    hf_fixture_end(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TABLE_TEST(one_table_a_name_as_long_as_someone_holds_it),
        TABLE_TEST(a_new_tables_memory_is_present),
        TABLE_TEST(announcing_changes_nothing),
        TABLE_TEST(an_entry_moves_from_its_owner_alone),
        TABLE_TEST(idle_entries_expire_and_used_ones_do_not),
        TABLE_TEST(another_size_loses_nobody_who_has_room),
        TABLE_TEST(servers_beyond_the_dictionary_are_refused_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
