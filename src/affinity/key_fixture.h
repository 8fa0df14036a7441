/* What the tests of strategies that hash a parameter of the URL share. Never in the product.
 * Threads: the test's. Layer: affinity. */
#pragma once
#include "affinity/fixture.h"
#include "affinity/strategy.h"
#include "base/hash.h"
#include "base/test.h"

typedef enum hf_key (*hf_key_fixture_fn)(const struct hf_head *head, struct hf_slice name,
                                         struct hf_slice *ret_key);

/* The fixture's only strategy finds that value of the parameter `sid`, whose hash mod N names the
 * server, and writes nothing. */
static inline void hf_key_fixture_check(struct hf_fixture *f, hf_key_fixture_fn find,
                                        const char *target, const char *text)
{
    struct hf_slice key = {0}, value = hf_slice_text(text);
    hf_fixture_ask(f, target, "");
    assert_int_equal(find(&f->head, HF_SLICE("sid"), &key), HF_KEY_FOUND);
    assert_true(hf_slice_equal(key, value));
    assert_int_equal(f->choice.verdict, HF_AFFINITY_HASHED);
    assert_int_equal(f->choice.server, hf_hash64(value, 0) % f->pool->server_count);
    assert_false(hf_fixture_pin(f, (unsigned)f->choice.server));
}

/* The target has no such parameter, whatever cookies and fields are called: round robin gives that
 * server. */
static inline void hf_key_fixture_check_none(struct hf_fixture *f, const char *target,
                                             unsigned server)
{
    hf_fixture_ask(f, target, "Cookie: sid=1\r\nsid: 1\r\n");
    assert_int_equal(f->choice.verdict, HF_AFFINITY_NONE);
    assert_int_equal(f->choice.strategy, -1);
    assert_int_equal(f->choice.server, server);
}

/* The reader stays inside the target: what follows it in the buffer looks like more of it. The
 * value of `sid` is the end of `text`, from value_at on. */
static inline void hf_key_fixture_check_end(hf_key_fixture_fn find, const char *text,
                                            uint32_t value_at)
{
    struct hf_slice key = {0};
    for (uint32_t size = 0; size <= strlen(text); size++) {
        struct hf_head head = {.base = text, .path = {.offset = 0, .size = size}};
        enum hf_key found = find(&head, HF_SLICE("sid"), &key);
        assert_int_equal(found, size > value_at ? HF_KEY_FOUND : HF_KEY_NONE);
        if (found == HF_KEY_FOUND)
            assert_int_equal(key.size, size - value_at);
    }
}
