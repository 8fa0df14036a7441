/* The buffer that grows. */
#include "base/bytes.h"
#include "base/rng.h"
#include "base/test.h"
#include <stdlib.h>

#pragma weak __asan_address_is_poisoned
#pragma weak __tsan_acquire
extern int __asan_address_is_poisoned(void const volatile *address);
extern void __tsan_acquire(void *address);

/* A sanitizer's allocator ends the process where the system's answers NULL. */
static bool allocator_answers_null(void)
{
    return __asan_address_is_poisoned == NULL && __tsan_acquire == NULL;
}

static void assert_holds(const struct hf_bytes *bytes, const char *text)
{
    struct hf_slice live = hf_bytes_slice(bytes);
    assert_int_equal(live.size, strlen(text));
    assert_memory_equal(live.bytes, text, live.size);
}

static void append(struct hf_bytes_pool *pool, struct hf_bytes *bytes, const char *text)
{
    assert_true(hf_bytes_append(pool, bytes, hf_slice_text(text)));
}

static void what_is_appended_is_consumed_in_order(void **state)
{
    struct hf_bytes bytes = {0};
    append(NULL, &bytes, "one ");
    append(NULL, &bytes, "two");
    append(NULL, &bytes, "");
    assert_holds(&bytes, "one two");
    hf_bytes_consume(&bytes, 4);
    assert_holds(&bytes, "two");
    hf_bytes_consume(&bytes, 3);
    assert_int_equal(hf_bytes_size(&bytes), 0);
    assert_int_equal(bytes.end, 0); /* an emptied one is written from its beginning again */
    assert_true(bytes.room >= HF_BYTES_ROOM_MIN);
    hf_bytes_clear(NULL, &bytes);
    assert_null(bytes.bytes);
    assert_int_equal(bytes.room, 0);
    hf_bytes_clear(NULL, &bytes);
}

/* Against a count: any order of appending and consuming keeps the order, and the room stays within
 * twice what was ever needed. */
static void check_random_use(struct hf_bytes_pool *pool, uint64_t seed)
{
    enum { STEPS = 20000, PIECE_MAX = 9000 };
    struct hf_bytes bytes = {0};
    struct hf_rng rng;
    unsigned char in = 0, out = 0;
    size_t largest = 0, room_min = pool ? HF_BYTES_BLOCK : HF_BYTES_ROOM_MIN;
    hf_rng_seed(&rng, seed);
    for (int step = 0; step < STEPS; step++) {
        size_t size = hf_rng_below(&rng, PIECE_MAX), live = hf_bytes_size(&bytes);
        assert_true(hf_bytes_reserve(pool, &bytes, size));
        assert_true(bytes.room - bytes.end >= size);
        assert_int_equal(hf_bytes_size(&bytes), live);
        for (size_t i = 0; i < size; i++)
            bytes.bytes[bytes.end++] = (char)in++;
        largest = live + size > largest ? live + size : largest;
        size_t taken = hf_rng_below(&rng, (uint32_t)(live + size + 1));
        for (size_t i = 0; i < taken; i++)
            assert_int_equal((unsigned char)bytes.bytes[bytes.start + i], out++);
        hf_bytes_consume(&bytes, taken);
        assert_true(bytes.room <= 2 * largest || bytes.room == room_min);
    }
    hf_bytes_clear(pool, &bytes);
}

static void it_keeps_the_order_over_random_use(void **state)
{
    struct hf_bytes_pool pool = {0};
    for (uint64_t seed = 1; seed <= 3; seed++) {
        check_random_use(NULL, seed);
        check_random_use(&pool, seed);
    }
    hf_bytes_pool_fini(&pool);
}

/* Byte by byte, a million of them: moved some twenty times, not a million. */
static void growing_allocates_seldom(void **state)
{
    enum { SIZE = 1000 * 1000, MOVES_MAX = 24 };
    struct hf_bytes bytes = {0};
    size_t room = 0;
    int moves = 0;
    for (int i = 0; i < SIZE; i++) {
        append(NULL, &bytes, "x");
        moves += bytes.room != room;
        room = bytes.room;
    }
    assert_in_range(moves, 1, MOVES_MAX);
    assert_int_equal(hf_bytes_size(&bytes), SIZE);
    hf_bytes_clear(NULL, &bytes);
}

/* A few bytes out and a few in, with much between: it must not be moved each time. */
static void a_long_queue_moves_seldom(void **state)
{
    enum { LIVE = 100 * 1000, PIECE = 10, STEPS = 100 * 1000, MOVES_MAX = 20 };
    struct hf_bytes bytes = {0};
    int moves = 0;
    assert_true(hf_bytes_reserve(NULL, &bytes, LIVE));
    memset(bytes.bytes, 'x', LIVE);
    bytes.end = LIVE;
    for (int i = 0; i < STEPS; i++) {
        hf_bytes_consume(&bytes, PIECE);
        size_t start = bytes.start;
        append(NULL, &bytes, "0123456789");
        moves += bytes.start != start;
    }
    assert_in_range(moves, 1, MOVES_MAX);
    hf_bytes_clear(NULL, &bytes);
}

static void sizes_that_overflow_are_refused_and_change_nothing(void **state)
{
    struct hf_bytes_pool pool = {0};
    struct hf_bytes bytes = {0}, pooled = {0};
    append(NULL, &bytes, "kept");
    append(&pool, &pooled, "kept");
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 3, SIZE_MAX - 4, SIZE_MAX / 2};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_false(hf_bytes_reserve(NULL, &bytes, sizes[i]));
        assert_false(hf_bytes_reserve(&pool, &pooled, sizes[i]));
    }
    assert_holds(&bytes, "kept");
    assert_holds(&pooled, "kept");
    assert_null(hf_bytes_renew(&bytes, SIZE_MAX));
    assert_int_equal(bytes.room, 0);
    hf_bytes_clear(NULL, &bytes);
    hf_bytes_clear(&pool, &pooled);
    hf_bytes_pool_fini(&pool);
}

static void without_memory_it_says_so_and_keeps_what_it_has(void **state)
{
    const size_t too_much = SIZE_MAX / 4;
    struct hf_bytes_pool pool = {0};
    struct hf_bytes bytes = {0}, pooled = {0};
    if (!allocator_answers_null())
        skip();
    assert_false(hf_bytes_reserve(NULL, &bytes, too_much));
    assert_null(bytes.bytes);
    append(NULL, &bytes, "gone, kept");
    append(&pool, &pooled, "gone, kept");
    hf_bytes_consume(&bytes, 6);
    hf_bytes_consume(&pooled, 6);
    assert_false(hf_bytes_reserve(NULL, &bytes, too_much));
    assert_false(hf_bytes_reserve(&pool, &pooled, too_much));
    assert_holds(&bytes, "kept");
    assert_holds(&pooled, "kept");
    append(NULL, &bytes, ", and goes on");
    assert_holds(&bytes, "kept, and goes on");
    assert_null(hf_bytes_renew(&bytes, too_much));
    assert_int_equal(hf_bytes_size(&bytes), 0);
    assert_non_null(hf_bytes_renew(&bytes, 10)); /* usable again */
    hf_bytes_clear(NULL, &bytes);
    hf_bytes_clear(&pool, &pooled);
    hf_bytes_pool_fini(&pool);
}

static void a_renewed_area_is_neither_zeroed_nor_moved_while_it_suffices(void **state)
{
    struct hf_bytes bytes = {0};
    char *area = hf_bytes_renew(&bytes, 100);
    assert_non_null(area);
    assert_int_equal(bytes.room, 100); /* no more than was needed */
    memset(area, 'x', 100);
    bytes.end = 100;
    assert_ptr_equal(hf_bytes_renew(&bytes, 60), area);
    assert_int_equal(hf_bytes_size(&bytes), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(area[i], 'x');
    assert_ptr_equal(hf_bytes_renew(&bytes, 0), area);
    assert_non_null(hf_bytes_renew(&bytes, 101));
    assert_int_equal(bytes.room, 101);
    hf_bytes_clear(NULL, &bytes);
    assert_non_null(hf_bytes_renew(&bytes, 0)); /* NULL would say: no memory */
    hf_bytes_clear(NULL, &bytes);
}

static void trimming_gives_back_what_a_large_value_took(void **state)
{
    enum { KEPT = 4096, LARGE = 1 << 20 };
    struct hf_bytes bytes = {0};
    append(NULL, &bytes, "small");
    hf_bytes_consume(&bytes, 5);
    hf_bytes_trim(NULL, &bytes, KEPT);
    assert_int_equal(bytes.room, HF_BYTES_ROOM_MIN); /* small enough to keep */
    assert_true(hf_bytes_reserve(NULL, &bytes, LARGE));
    bytes.end = LARGE;
    hf_bytes_consume(&bytes, LARGE - 1);
    hf_bytes_trim(NULL, &bytes, KEPT);
    assert_true(bytes.room >= LARGE); /* something is in it */
    hf_bytes_consume(&bytes, 1);
    hf_bytes_trim(NULL, &bytes, KEPT);
    assert_int_equal(bytes.room, 0);
    assert_null(bytes.bytes);
}

static void a_pool_lends_a_trimmed_block_to_the_next(void **state)
{
    struct hf_bytes_pool pool = {0};
    struct hf_bytes first = {0}, second = {0};
    append(&pool, &first, "x");
    char *block = first.bytes;
    assert_int_equal(first.room, HF_BYTES_BLOCK);
    hf_bytes_consume(&first, 1);
    hf_bytes_trim(&pool, &first, 0);
    assert_null(first.bytes);
    assert_int_equal(pool.free_count, 1);
    append(&pool, &second, "y");
    assert_ptr_equal(second.bytes, block);
    assert_int_equal(pool.free_count, 0);
    assert_true(hf_bytes_reserve(&pool, &second, HF_BYTES_BLOCK)); /* outgrows it */
    assert_holds(&second, "y");
    assert_int_equal(pool.free_count, 1);
    hf_bytes_clear(&pool, &second); /* not of the usual size: not kept */
    assert_int_equal(pool.free_count, 1);
    hf_bytes_pool_fini(&pool);
    assert_null(pool.free);
}

static void a_pool_keeps_so_many_blocks_and_no_more(void **state)
{
    enum { COUNT = HF_BYTES_BLOCKS_KEPT + 3 };
    struct hf_bytes_pool pool = {0};
    struct hf_bytes all[COUNT] = {0};
    for (int i = 0; i < COUNT; i++)
        append(&pool, &all[i], "x");
    for (int i = 0; i < COUNT; i++)
        hf_bytes_clear(&pool, &all[i]);
    assert_int_equal(pool.free_count, HF_BYTES_BLOCKS_KEPT);
    hf_bytes_pool_fini(&pool);
    assert_int_equal(pool.free_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_appended_is_consumed_in_order),
        cmocka_unit_test(it_keeps_the_order_over_random_use),
        cmocka_unit_test(growing_allocates_seldom),
        cmocka_unit_test(a_long_queue_moves_seldom),
        cmocka_unit_test(sizes_that_overflow_are_refused_and_change_nothing),
        cmocka_unit_test(without_memory_it_says_so_and_keeps_what_it_has),
        cmocka_unit_test(a_renewed_area_is_neither_zeroed_nor_moved_while_it_suffices),
        cmocka_unit_test(trimming_gives_back_what_a_large_value_took),
        cmocka_unit_test(a_pool_lends_a_trimmed_block_to_the_next),
        cmocka_unit_test(a_pool_keeps_so_many_blocks_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
