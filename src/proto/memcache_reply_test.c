#include "base/test.h"
#include "proto/guard.h"
#include "proto/memcache_reply.h"
#include <stdio.h>

enum { VALUE_MAX = 1000 };

static struct hf_guard guard;

/* At once, and byte by byte: the same. */
static enum hf_codec parse(struct hf_slice all, struct hf_memcache_reply *ret_reply,
                           size_t *ret_used)
{
    struct hf_memcache_reply reply;
    size_t used = 0, needed = 0;
    enum hf_codec early = HF_CODEC_NEED_MORE;
    for (size_t size = 0; size < all.size && early == HF_CODEC_NEED_MORE; size++) {
        struct hf_slice part = hf_slice(hf_guard_copy(&guard, hf_slice(all.bytes, size)), size);
        early = hf_memcache_parse_reply(part, VALUE_MAX, &reply, &used, &needed);
        assert_true(early != HF_CODEC_NEED_MORE || needed > size);
    }
    struct hf_slice whole = hf_slice(hf_guard_copy(&guard, all), all.size);
    enum hf_codec found = hf_memcache_parse_reply(whole, VALUE_MAX, ret_reply, ret_used, &needed);
    if (early != HF_CODEC_NEED_MORE) {
        assert_int_equal(early, found);
        assert_true(early == HF_CODEC_BAD || used == *ret_used);
    }
    return found;
}

static void right(struct hf_slice all, enum hf_memcache_reply_kind kind,
                  struct hf_memcache_reply *ret_reply)
{
    size_t used = 0;
    assert_int_equal(parse(all, ret_reply, &used), HF_CODEC_DONE);
    assert_int_equal(used, all.size);
    assert_int_equal(ret_reply->kind, kind);
}

static void values(void **state)
{
    (void)state;
    struct hf_memcache_reply reply;
    right(HF_SLICE("VA 5 f7 t-1 c62\r\na\r\nbc\r\n"), HF_MEMCACHE_REPLY_VALUE, &reply);
    assert_true(hf_slice_equal(reply.value, HF_SLICE("a\r\nbc")));
    assert_int_equal(reply.flags, 7);
    assert_int_equal(reply.ttl_s, -1);
    assert_int_equal(reply.cas, 62);
    right(HF_SLICE("VA 0 t86400 f4294967295 c18446744073709551615 W\r\n\r\n"),
          HF_MEMCACHE_REPLY_VALUE, &reply);
    assert_int_equal(reply.value.size, 0);
    assert_int_equal(reply.ttl_s, 86400);
    assert_int_equal(reply.flags, UINT32_MAX);
    assert_true(reply.cas == UINT64_MAX);
    right(HF_SLICE("VA 1\r\nx\r\n"), HF_MEMCACHE_REPLY_VALUE, &reply);
    assert_int_equal(reply.ttl_s, -1);
}

static void short_answers(void **state)
{
    (void)state;
    struct hf_memcache_reply reply;
    right(HF_SLICE("HD\r\n"), HF_MEMCACHE_REPLY_DONE, &reply);
    right(HF_SLICE("HD c5\r\n"), HF_MEMCACHE_REPLY_DONE, &reply);
    right(HF_SLICE("EN\r\n"), HF_MEMCACHE_REPLY_MISSING, &reply);
    right(HF_SLICE("NF\r\n"), HF_MEMCACHE_REPLY_MISSING, &reply);
    right(HF_SLICE("NS\r\n"), HF_MEMCACHE_REPLY_UNMET, &reply);
    right(HF_SLICE("EX\r\n"), HF_MEMCACHE_REPLY_UNMET, &reply);
    right(HF_SLICE("MN\r\n"), HF_MEMCACHE_REPLY_NOOP, &reply);
    right(HF_SLICE("ERROR\r\n"), HF_MEMCACHE_REPLY_ERROR, &reply);
    right(HF_SLICE("SERVER_ERROR out of memory\r\n"), HF_MEMCACHE_REPLY_ERROR, &reply);
    assert_true(hf_slice_equal(reply.text, HF_SLICE("SERVER_ERROR out of memory")));
}

static void statistics(void **state)
{
    (void)state;
    struct hf_memcache_reply reply;
    struct hf_slice value;
    right(HF_SLICE("STAT pid 42\r\nSTAT time 1700000000\r\nEND\r\n"), HF_MEMCACHE_REPLY_STATS,
          &reply);
    assert_true(hf_memcache_find_stat(reply.text, HF_SLICE("time"), &value));
    assert_true(hf_slice_equal(value, HF_SLICE("1700000000")));
    assert_true(hf_memcache_find_stat(reply.text, HF_SLICE("pid"), &value));
    assert_false(hf_memcache_find_stat(reply.text, HF_SLICE("pi"), &value));
    right(HF_SLICE("END\r\n"), HF_MEMCACHE_REPLY_STATS, &reply);
    assert_false(hf_memcache_find_stat(reply.text, HF_SLICE("pid"), &value));
}

static void what_is_no_memcached(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "\r\n",
        "\n",
        "HD\n",
        "XX\r\n",
        "HDX\r\n",
        "+OK\r\n",
        "VA \r\n",
        "VA x\r\n",
        "VA 1001\r\n",
        "VA 2\r\nabc\r\n",
        "VA 1 f\r\nx\r\n",
        "VA 1 t-2\r\nx\r\n",
        "VA 1 f4294967296\r\nx\r\n",
        "VA 1  f1\r\nx\r\n",
        "STAT a b\r\nHD\r\n",
        "VA -1\r\n",
        "HTTP/1.1 400 Bad Request\r\n",
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hf_memcache_reply reply;
        size_t used;
        enum hf_codec found = parse(hf_slice_text(rows[i]), &reply, &used);
        if (found != HF_CODEC_BAD)
            print_error("taken: %s\n", rows[i]);
        assert_int_equal(found, HF_CODEC_BAD);
    }
}

static void lines_and_statistics_have_limits(void **state)
{
    (void)state;
    static char text[HF_MEMCACHE_REPLY_STATS_MAX + 4096];
    struct hf_memcache_reply reply;
    size_t used, needed;
    memset(text, 'x', HF_MEMCACHE_REPLY_LINE_MAX + 1);
    struct hf_slice line = hf_slice(text, HF_MEMCACHE_REPLY_LINE_MAX);
    assert_int_equal(hf_memcache_parse_reply(line, VALUE_MAX, &reply, &used, &needed),
                     HF_CODEC_NEED_MORE);
    line.size++;
    assert_int_equal(hf_memcache_parse_reply(line, VALUE_MAX, &reply, &used, &needed),
                     HF_CODEC_BAD);
    size_t size = 0;
    while (size <= HF_MEMCACHE_REPLY_STATS_MAX)
        size += (size_t)snprintf(text + size, sizeof(text) - size, "STAT name %0100d\r\n", 0);
    assert_int_equal(
        hf_memcache_parse_reply(hf_slice(text, size), VALUE_MAX, &reply, &used, &needed),
        HF_CODEC_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(short_answers),
        cmocka_unit_test(statistics),
        cmocka_unit_test(what_is_no_memcached),
        cmocka_unit_test(lines_and_statistics_have_limits),
    };
    guard = hf_guard_init();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    hf_guard_fini(&guard);
    return failed;
}
