#include "agent/memcache/memcache_tokens.h"
#include "base/test.h"

static struct hf_memcache_tokens tokens;

static void test_belongs_to_one_state(void **state)
{
    tokens = (struct hf_memcache_tokens){0};
    assert_false(hf_memcache_tokens_sent(&tokens, 7, 100));
    hf_memcache_tokens_send(&tokens, 7, 100);
    assert_true(hf_memcache_tokens_sent(&tokens, 7, 100));
    assert_false(hf_memcache_tokens_sent(&tokens, 7, 101));
    assert_false(hf_memcache_tokens_sent(&tokens, 8, 100));
}

static void test_of_nothing_none_is_out(void **state)
{
    tokens = (struct hf_memcache_tokens){0};
    assert_false(hf_memcache_tokens_sent(&tokens, 0, 0));
}

/* The limit: one more than there are places takes the place of one. */
static void test_forgets(void **state)
{
    tokens = (struct hf_memcache_tokens){0};
    for (uint64_t cas = 1; cas <= HF_MEMCACHE_TOKENS_MAX; cas++)
        hf_memcache_tokens_send(&tokens, cas, 100);
    for (uint64_t cas = 1; cas <= HF_MEMCACHE_TOKENS_MAX; cas++)
        assert_true(hf_memcache_tokens_sent(&tokens, cas, 100));
    hf_memcache_tokens_send(&tokens, HF_MEMCACHE_TOKENS_MAX + 1, 100);
    assert_false(hf_memcache_tokens_sent(&tokens, 1, 100));
    assert_true(hf_memcache_tokens_sent(&tokens, 2, 100));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_belongs_to_one_state),
        cmocka_unit_test(test_of_nothing_none_is_out),
        cmocka_unit_test(test_forgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
