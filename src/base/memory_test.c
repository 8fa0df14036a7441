/* Slabs, buffers and lists. */
#include "base/buffer.h"
#include "base/rng.h"
#include "base/slab.h"
#include "base/test.h"
#include <sanitizer/asan_interface.h>
#include <string.h>

#pragma weak __asan_address_is_poisoned
static bool under_asan(void)
{
    return __asan_address_is_poisoned != NULL;
}

static void a_slab_keeps_its_limit_and_its_count(void **state)
{
    struct hf_slab slab;
    char *objects[100];
    hf_slab_init(&slab, "test", 40, 100);
    assert_int_equal(slab.object_size, 48);
    for (int i = 0; i < 100; i++) {
        objects[i] = hf_slab_acquire(&slab);
        assert_non_null(objects[i]);
        assert_int_equal((uintptr_t)objects[i] % 16, 0);
        memset(objects[i], i, 40);
    }
    assert_null(hf_slab_acquire(&slab));
    assert_int_equal(slab.live_count, 100);
    for (int i = 0; i < 100; i++) {
        for (int at = 0; at < 40; at++)
            assert_int_equal(objects[i][at], i);
        hf_slab_release(&slab, &objects[i]);
        assert_null(objects[i]);
    }
    assert_int_equal(slab.live_count, 0);
    hf_slab_fini(&slab);
}

static void a_slab_reuses_last_in_first_out(void **state)
{
    if (under_asan())
        skip(); /* every object is its own malloc there */
    struct hf_slab slab;
    hf_slab_init(&slab, "test", 200 * 1024, 20); /* larger than a block's usual size */
    void *a = hf_slab_acquire(&slab);
    void *b = hf_slab_acquire(&slab);
    void *first = a;
    void *second = b;
    hf_slab_release(&slab, &a);
    hf_slab_release(&slab, &b);
    assert_ptr_equal(a = hf_slab_acquire(&slab), second);
    assert_ptr_equal(b = hf_slab_acquire(&slab), first);
    hf_slab_release(&slab, &a);
    hf_slab_release(&slab, &b);
    hf_slab_fini(&slab);
}

static void slab_objects_never_overlap_over_random_use(void **state)
{
    enum { LIVE_MAX = 500, STEPS = 50000 };
    struct hf_slab slab;
    struct hf_rng rng;
    uint64_t *live[LIVE_MAX] = {0};
    hf_slab_init(&slab, "test", sizeof(uint64_t) * 3, LIVE_MAX);
    hf_rng_seed(&rng, 7);
    for (int step = 0; step < STEPS; step++) {
        uint64_t i = hf_rng_below(&rng, LIVE_MAX);
        if (live[i] != NULL) {
            assert_true(live[i][0] == i && live[i][2] == ~i);
            hf_slab_release(&slab, &live[i]);
            continue;
        }
        live[i] = hf_slab_acquire(&slab);
        assert_non_null(live[i]);
        live[i][0] = i;
        live[i][2] = ~i;
    }
    for (int i = 0; i < LIVE_MAX; i++)
        if (live[i] != NULL)
            hf_slab_release(&slab, &live[i]);
    hf_slab_fini(&slab);
}

static void a_buffer_pool_lends_to_its_limit_and_keeps_some(void **state)
{
    struct hf_buffer_pool pool;
    struct hf_buffer *lent[3];
    struct hf_buffer *none = NULL;
    hf_buffer_pool_init(&pool, 3, 2);
    for (int i = 0; i < 3; i++)
        assert_non_null(lent[i] = hf_buffer_borrow(&pool));
    assert_null(hf_buffer_borrow(&pool));
    assert_int_equal(pool.lent_count, 3);
    struct hf_buffer *second = lent[1];
    for (int i = 0; i < 3; i++) {
        hf_buffer_return(&pool, &lent[i]);
        assert_null(lent[i]);
    }
    hf_buffer_return(&pool, &none);
    assert_int_equal(pool.lent_count, 0);
    assert_int_equal(pool.free_count, 2); /* the third was given back */
    assert_ptr_equal(lent[0] = hf_buffer_borrow(&pool), second);
    assert_int_equal(hf_buffer_used(lent[0]), 0);
    hf_buffer_return(&pool, &lent[0]);
    hf_buffer_pool_fini(&pool);
}

static void a_returned_buffer_is_poisoned_and_a_lent_one_is_not(void **state)
{
    if (!under_asan())
        skip();
    struct hf_buffer_pool pool;
    hf_buffer_pool_init(&pool, 1, 1);
    struct hf_buffer *buffer = hf_buffer_borrow(&pool);
    struct hf_buffer *gone = buffer;
    assert_non_null(buffer);
    assert_int_equal(__asan_address_is_poisoned(gone->bytes), 0);
    hf_buffer_return(&pool, &buffer);
    assert_int_equal(__asan_address_is_poisoned(gone->bytes), 1);
    assert_ptr_equal(buffer = hf_buffer_borrow(&pool), gone);
    assert_int_equal(__asan_address_is_poisoned(gone->bytes + HF_BUFFER_SIZE - 1), 0);
    hf_buffer_return(&pool, &buffer);
    hf_buffer_pool_fini(&pool);
}

static void a_buffer_appends_all_or_nothing_and_compacts(void **state)
{
    static const char zeros[HF_BUFFER_SIZE];
    struct hf_buffer_pool pool;
    hf_buffer_pool_init(&pool, 1, 0);
    struct hf_buffer *buffer = hf_buffer_borrow(&pool);
    assert_non_null(buffer);
    assert_true(hf_buffer_append(buffer, HF_SLICE("abcdef")));
    assert_false(hf_buffer_append(buffer, hf_slice(zeros, HF_BUFFER_SIZE - 5)));
    assert_true(hf_buffer_append(buffer, hf_slice(zeros, HF_BUFFER_SIZE - 6)));
    assert_true(hf_buffer_append(buffer, hf_slice(NULL, 0)));
    assert_int_equal(hf_buffer_room(buffer), 0);
    buffer->start = 3;
    buffer->end = 6;
    hf_buffer_compact(buffer);
    assert_int_equal(buffer->start, 0);
    assert_true(hf_slice_equal(hf_buffer_slice(buffer), HF_SLICE("def")));
    hf_buffer_return(&pool, &buffer);
    assert_int_equal(pool.free_count, 0);
    hf_buffer_pool_fini(&pool);
}

struct item {
    int number;
    struct hf_list node;
};

static void a_list_keeps_order_and_survives_removal_while_walking(void **state)
{
    struct hf_list head;
    struct item items[5];
    hf_list_init(&head);
    for (int i = 0; i < 5; i++) {
        items[i].number = i;
        hf_list_init(&items[i].node);
        hf_list_remove(&items[i].node); /* in no list: harmless */
        hf_list_push_back(&head, &items[i].node);
    }
    int expected = 0;
    HF_LIST_EACH(&head, node)
    {
        struct item *item = hf_container_of(node, struct item, node);
        assert_int_equal(item->number, expected++);
        if (item->number % 2 == 0)
            hf_list_remove(node);
    }
    assert_int_equal(expected, 5);
    assert_ptr_equal(hf_list_pop_front(&head), &items[1].node);
    assert_ptr_equal(hf_list_pop_front(&head), &items[3].node);
    assert_null(hf_list_pop_front(&head));
    assert_true(hf_list_empty(&head));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slab_keeps_its_limit_and_its_count),
        cmocka_unit_test(a_slab_reuses_last_in_first_out),
        cmocka_unit_test(slab_objects_never_overlap_over_random_use),
        cmocka_unit_test(a_buffer_pool_lends_to_its_limit_and_keeps_some),
        cmocka_unit_test(a_returned_buffer_is_poisoned_and_a_lent_one_is_not),
        cmocka_unit_test(a_buffer_appends_all_or_nothing_and_compacts),
        cmocka_unit_test(a_list_keeps_order_and_survives_removal_while_walking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
