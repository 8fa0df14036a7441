#include "base/rng.h"
#include "base/test.h"
#include "store/memory.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { LIMIT = 32 << 20, BLOCKS = 20000, ROUNDS = 100000, BUDGET = 256 };

static struct hf_memory memory;

struct block { /* one that the test holds, filled with a byte of its own */
    uint32_t handle;
    unsigned size;
    uint8_t fill;
};

static struct block blocks[BLOCKS];
static unsigned held; /* of them are looked at when one moves */

static void begin(size_t limit)
{
    assert_int_equal(hf_memory_init(&memory, limit), 0);
    memset(blocks, 0, sizeof(blocks));
    held = BLOCKS;
}

static void acquire(struct block *block, unsigned size, uint8_t fill)
{
    block->handle = hf_memory_acquire(&memory, hf_memory_class(&memory, size), SIZE_MAX);
    assert_int_not_equal(block->handle, 0);
    block->size = size;
    block->fill = fill;
    char *bytes = hf_memory_at(&memory, block->handle);
    memset(bytes, fill, size);
    bytes[HF_MEMORY_MARK] = 0;
}

static void check(const struct block *block)
{
    const char *bytes = hf_memory_at(&memory, block->handle);
    for (unsigned i = 0; i < block->size; i++)
        assert_int_equal((uint8_t)bytes[i], i == HF_MEMORY_MARK ? 0 : block->fill);
}

static void release(struct block *block)
{
    check(block);
    hf_memory_release(&memory, block->handle);
    block->handle = 0;
}

static void every_size_has_the_smallest_class_that_holds_it(void **state)
{
    begin(LIMIT);
    for (unsigned size = 1; size <= HF_MEMORY_BLOCK_MAX; size++) {
        unsigned class = hf_memory_class(&memory, size);
        assert_true(memory.classes[class].size >= size);
        assert_true(class == 0 || memory.classes[class - 1].size < size);
        assert_true((size_t)memory.classes[class].size * memory.classes[class].slots <=
                    HF_MEMORY_SPAN);
    }
    hf_memory_fini(&memory);
}

static void blocks_keep_what_they_hold(void **state)
{
    struct hf_rng rng;
    hf_rng_seed(&rng, 1);
    begin(LIMIT);
    for (int i = 0; i < ROUNDS; i++) {
        struct block *block = &blocks[hf_rng_below(&rng, BLOCKS / 4)];
        if (block->handle != 0)
            release(block);
        else
            acquire(block, HF_MEMORY_MARK + 1 + hf_rng_below(&rng, HF_MEMORY_BLOCK_MAX - 4),
                    (uint8_t)hf_rng_u64(&rng));
    }
    hf_memory_check(&memory);
    assert_true(memory.used <= LIMIT);
    hf_memory_fini(&memory);
}

static void the_limit_holds_and_says_what_was_wanted(void **state)
{
    enum { SMALL = 1 << 20 };
    unsigned count = 0;
    begin(SMALL);
    unsigned class = hf_memory_class(&memory, 1024);
    uint32_t first = hf_memory_acquire(&memory, class, SMALL);
    while (hf_memory_acquire(&memory, class, SMALL) != 0)
        count++;
    assert_true(memory.used <= SMALL && memory.used > SMALL - 2 * HF_MEMORY_SPAN);
    assert_true(memory.wanted >= HF_MEMORY_SPAN);
    assert_null(hf_memory_large_acquire(&memory, 2 * HF_MEMORY_SPAN, SMALL));
    assert_int_equal(memory.wanted, 2 * HF_MEMORY_SPAN);
    /* What is given back can be had again, whatever the limit of the one who asks. */
    hf_memory_release(&memory, first);
    assert_int_equal(hf_memory_acquire(&memory, class, 0), first);
    hf_memory_fini(&memory);
}

static void larger_values_are_counted_as_what_they_take(void **state)
{
    begin(LIMIT);
    size_t before = memory.used;
    void *large = hf_memory_large_acquire(&memory, 100000, SIZE_MAX);
    assert_non_null(large);
    memset(large, 1, 100000);
    assert_true(memory.used >= before + 100000 && memory.used < before + 110000);
    assert_null(hf_memory_large_acquire(&memory, 1, memory.used));
    assert_null(hf_memory_large_acquire(&memory, SIZE_MAX - 100, SIZE_MAX));
    hf_memory_large_release(&memory, large);
    hf_memory_large_release(&memory, NULL);
    assert_int_equal(memory.used, before);
    hf_memory_fini(&memory);
}

static void moved(void *user, uint32_t from, uint32_t to)
{
    (void)user;
    for (unsigned i = 0; i < held; i++)
        if (blocks[i].handle == from) {
            blocks[i].handle = to;
            return;
        }
    fail_msg("a block moved that nobody holds");
}

static void sparse_spans_are_emptied_into_others(void **state)
{
    enum { KEPT = 10, SIZE = 1024 };
    begin(LIMIT);
    for (unsigned i = 0; i < BLOCKS; i++)
        acquire(&blocks[i], SIZE, (uint8_t)i);
    size_t full = memory.used;
    for (unsigned i = 0; i < BLOCKS; i++)
        if (i % KEPT != 0)
            release(&blocks[i]);
    assert_true(memory.used == full && memory.slack > full / 2);
    unsigned steps = 0;
    while (hf_memory_pack(&memory, BUDGET, false, moved, NULL)) {
        hf_memory_check(&memory);
        assert_true(++steps < BLOCKS);
    }
    hf_memory_trim(&memory, UINT32_MAX, 0);
    assert_true(memory.used < full / KEPT * 5 / 4);
    for (unsigned i = 0; i < BLOCKS; i += KEPT)
        release(&blocks[i]);
    assert_int_equal(memory.slack, 0);
    hf_memory_trim(&memory, UINT32_MAX, 0);
    assert_true(memory.used < HF_MEMORY_SPAN);
    /* What went back to the system is used again before new addresses are. */
    uint32_t count = memory.span_count;
    acquire(&blocks[0], SIZE, 7);
    check(&blocks[0]);
    assert_int_equal(memory.span_count, count);
    hf_memory_fini(&memory);
}

/* Blocks come and go while a span is being emptied: into it nothing may come. */
static void packing_and_use_take_turns(void **state)
{
    struct hf_rng rng;
    hf_rng_seed(&rng, 2);
    begin(LIMIT);
    held = 2000;
    for (int i = 0; i < ROUNDS; i++) {
        struct block *block = &blocks[hf_rng_below(&rng, held)];
        bool filling = i / 5000 % 2 == 0; /* by turns more come, more go */
        if (block->handle == 0 && (filling || hf_rng_below(&rng, 4) == 0))
            acquire(block, 500 + 16 * hf_rng_below(&rng, 4), (uint8_t)hf_rng_u64(&rng));
        else if (block->handle != 0 && (!filling || hf_rng_below(&rng, 4) == 0))
            release(block);
        hf_memory_pack(&memory, hf_rng_below(&rng, 3), hf_rng_below(&rng, 2), moved, NULL);
    }
    hf_memory_check(&memory);
    for (unsigned i = 0; i < BLOCKS; i++)
        if (blocks[i].handle != 0)
            release(&blocks[i]);
    hf_memory_check(&memory);
    hf_memory_fini(&memory);
}

static void a_table_grows_in_place(void **state)
{
    enum { TABLE_MAX = 8 << 20 };
    struct hf_memory_table table;
    begin(4 << 20);
    assert_int_equal(hf_memory_table_init(&memory, &table, TABLE_MAX), 0);
    const char *where = table.bytes;
    for (size_t size = 1; size < 2 << 20; size += 50000) {
        assert_true(hf_memory_table_grow(&memory, &table, size));
        assert_int_equal(table.bytes[size - 1], 0);
        table.bytes[size - 1] = 1;
    }
    assert_ptr_equal(table.bytes, where);
    assert_int_equal(memory.used, table.size);
    assert_false(hf_memory_table_grow(&memory, &table, 5 << 20)); /* the limit */
    memory.limit = 2 * TABLE_MAX;
    assert_false(hf_memory_table_grow(&memory, &table, TABLE_MAX + 1)); /* its addresses */
    assert_true(hf_memory_table_grow(&memory, &table, TABLE_MAX));
    hf_memory_table_fini(&memory, &table);
    assert_int_equal(memory.used, 0);
    hf_memory_fini(&memory);
}

/* Each request to the system, refused once. */
static void a_refusal_of_the_system_is_told(void **state)
{
    struct hf_memory_table table;
    begin(LIMIT);
    memory.refuse_in = 1;
    assert_int_equal(hf_memory_table_init(&memory, &table, 1 << 20), -ENOMEM);
    assert_int_equal(hf_memory_table_init(&memory, &table, 1 << 20), 0);
    memory.refuse_in = 1;
    assert_false(hf_memory_table_grow(&memory, &table, 1));
    assert_true(hf_memory_table_grow(&memory, &table, 1));
    memory.refuse_in = 1;
    assert_int_equal(hf_memory_acquire(&memory, 0, SIZE_MAX), 0);
    assert_int_not_equal(hf_memory_acquire(&memory, 0, SIZE_MAX), 0);
    size_t before = memory.used;
    for (unsigned i = 1; i <= 2; i++) { /* before malloc, and for what malloc took more */
        memory.refuse_in = i;
        assert_null(hf_memory_large_acquire(&memory, 5000, SIZE_MAX));
        assert_int_equal(memory.used, before);
    }
    hf_memory_table_fini(&memory, &table);
    hf_memory_fini(&memory);
    hf_memory_fini(&memory);
}

static size_t addresses_in_use(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%zu", &pages), 1);
    fclose(file);
    return pages * 4096;
}

/* With that many addresses more than are in use now. */
static int init_within(size_t addresses, size_t limit)
{
    struct rlimit before, low;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    low = before;
    low.rlim_cur = addresses_in_use() + addresses;
    assert_int_equal(setrlimit(RLIMIT_AS, &low), 0);
    int error = hf_memory_init(&memory, limit);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    return error;
}

static void no_addresses_is_an_error(void **state)
{
    assert_int_equal(init_within(HF_MEMORY_ADDRESSES_MIN / 2, LIMIT), -ENOMEM);
    hf_memory_fini(&memory);
    assert_int_equal(init_within(HF_MEMORY_ADDRESSES / 4, HF_MEMORY_ADDRESSES / 4 + 1), -ENOMEM);
    hf_memory_fini(&memory);
}

static void fewer_addresses_do_where_the_limit_fits(void **state)
{
    struct block block = {0};
    assert_int_equal(init_within(HF_MEMORY_ADDRESSES / 3, LIMIT), 0);
    assert_int_equal(memory.addresses, HF_MEMORY_ADDRESSES / 4);
    acquire(&block, 100, 7);
    release(&block);
    hf_memory_check(&memory);
    hf_memory_fini(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_has_the_smallest_class_that_holds_it),
        cmocka_unit_test(blocks_keep_what_they_hold),
        cmocka_unit_test(the_limit_holds_and_says_what_was_wanted),
        cmocka_unit_test(larger_values_are_counted_as_what_they_take),
        cmocka_unit_test(sparse_spans_are_emptied_into_others),
        cmocka_unit_test(packing_and_use_take_turns),
        cmocka_unit_test(a_table_grows_in_place),
        cmocka_unit_test(a_refusal_of_the_system_is_told),
        cmocka_unit_test(no_addresses_is_an_error),
        cmocka_unit_test(fewer_addresses_do_where_the_limit_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
