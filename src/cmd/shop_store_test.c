#include "cmd/shop_store.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct hf_shop_store store;

static int setup(void **state)
{
    hf_shop_store_init(&store);
    return 0;
}

static int teardown(void **state)
{
    hf_shop_store_fini(&store);
    return 0;
}

static struct hf_slice id_of(const char *id)
{
    return hf_slice(id, strlen(id));
}

static void test_finds_only_what_it_opened(void **state)
{
    struct hf_shop_session *ada = hf_shop_store_open(&store);
    struct hf_shop_session *bob = hf_shop_store_open(&store);
    assert_string_not_equal(ada->id, bob->id);
    assert_int_equal(strspn(ada->id, "0123456789abcdef"), HF_SHOP_ID_SIZE);
    assert_ptr_equal(hf_shop_store_find(&store, id_of(ada->id)), ada);
    assert_ptr_equal(hf_shop_store_find(&store, id_of(bob->id)), bob);
    assert_null(hf_shop_store_find(&store, HF_SLICE("00000000000000000000000000000000")));
    assert_null(hf_shop_store_find(&store, HF_SLICE("short")));
    assert_null(hf_shop_store_find(&store, hf_slice(NULL, 0)));
}

static void test_full_forgets_the_longest_unused(void **state)
{
    store.sessions_max = 3;
    char first[HF_SHOP_ID_SIZE + 1], second[HF_SHOP_ID_SIZE + 1];
    memcpy(first, hf_shop_store_open(&store)->id, sizeof(first));
    memcpy(second, hf_shop_store_open(&store)->id, sizeof(second));
    assert_non_null(hf_shop_store_open(&store));
    assert_non_null(hf_shop_store_find(&store, id_of(first)));
    assert_non_null(hf_shop_store_open(&store));
    assert_int_equal(store.count, 3);
    assert_null(hf_shop_store_find(&store, id_of(second)));
    assert_non_null(hf_shop_store_find(&store, id_of(first)));
}

static void test_cart_has_an_end(void **state)
{
    struct hf_shop_session *session = hf_shop_store_open(&store);
    for (unsigned i = 0; i < HF_SHOP_ITEMS_MAX; i++)
        assert_int_equal(hf_shop_session_add(session, HF_SLICE("tea")), 0);
    assert_int_equal(hf_shop_session_add(session, HF_SLICE("tea")), -ENOSPC);
    assert_int_equal(session->item_count, HF_SHOP_ITEMS_MAX);
}

static void test_long_texts_are_cut(void **state)
{
    char text[2 * HF_SHOP_TEXT_MAX];
    memset(text, 'x', sizeof(text));
    struct hf_shop_session *session = hf_shop_store_open(&store);
    hf_shop_session_login(session, hf_slice(text, sizeof(text)));
    assert_int_equal(strlen(session->user), HF_SHOP_TEXT_MAX - 1);
    memcpy(text + HF_SHOP_TEXT_MAX - 2, "\xe2\x82\xac", 3); /* no half character stays */
    hf_shop_session_login(session, hf_slice(text, sizeof(text)));
    assert_int_equal(strlen(session->user), HF_SHOP_TEXT_MAX - 2);
    hf_shop_session_login(session, hf_slice(NULL, 0));
    assert_string_equal(session->user, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_finds_only_what_it_opened, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_forgets_the_longest_unused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cart_has_an_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_texts_are_cut, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
