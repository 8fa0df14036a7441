#include "proto/memcache_testing.h"

static struct hf_memcache_request request;
static struct hf_memcache_parser parser;
static char out[2048];

static void parse(const char *line)
{
    static const struct hf_memcache_limits limits = {.value_size_max = MEMCACHE_VALUE_MAX};
    parser = (struct hf_memcache_parser){0};
    enum hf_codec parsed = hf_memcache_parse(&parser, line, strlen(line), &limits, &request);
    assert_int_not_equal(parsed, HF_CODEC_NEED_MORE);
}

static void assert_written(const char *line, struct hf_slice found, const char *expected)
{
    if (!hf_slice_equal(found, hf_slice_text(expected)))
        fail_msg("%s: %.*s", line, (int)found.size, found.bytes);
}

/* The answer to the line, when the result is that. */
static void assert_result(const char *line, struct hf_memcache_result result, const char *expected)
{
    struct hf_writer writer = hf_writer(out, sizeof(out));
    parse(line);
    result.key = request.key;
    hf_memcache_write_result(&writer, &request, &result);
    assert_true(hf_writer_fits(&writer));
    assert_written(line, hf_slice(out, writer.size), expected);
}

static void assert_status(const char *line, enum hf_memcache_status status, const char *expected)
{
    assert_result(line, (struct hf_memcache_result){.status = (uint8_t)status}, expected);
}

static const struct hf_memcache_result hit = {
    .flags = 7, .cas = 9, .ttl_s = HF_MEMCACHE_FOREVER, .value = HF_SLICE("ab")};

static void test_text(void **state)
{
    assert_result("get k\r\n", hit, "VALUE k 7 2\r\nab\r\n");
    assert_result("gets k\r\n", hit, "VALUE k 7 2 9\r\nab\r\n");
    assert_result("incr k 1\r\n", (struct hf_memcache_result){.number = UINT64_MAX},
                  "18446744073709551615\r\n");
    assert_result("version\r\n", (struct hf_memcache_result){.value = HF_SLICE("1.6.38")},
                  "VERSION 1.6.38\r\n");
    assert_status("get k\r\n", HF_MEMCACHE_MISSING, "");
    assert_status("set k 0 0 0\r\n\r\n", HF_MEMCACHE_DONE, "STORED\r\n");
    assert_status("add k 0 0 0\r\n\r\n", HF_MEMCACHE_PRESENT, "NOT_STORED\r\n");
    assert_status("append k 0 0 0\r\n\r\n", HF_MEMCACHE_MISSING, "NOT_STORED\r\n");
    assert_status("cas k 0 0 0 1\r\n\r\n", HF_MEMCACHE_PRESENT, "EXISTS\r\n");
    assert_status("cas k 0 0 0 1\r\n\r\n", HF_MEMCACHE_MISSING, "NOT_FOUND\r\n");
    assert_status("touch k 1\r\n", HF_MEMCACHE_DONE, "TOUCHED\r\n");
    assert_status("delete k\r\n", HF_MEMCACHE_DONE, "DELETED\r\n");
    assert_status("delete k\r\n", HF_MEMCACHE_MISSING, "NOT_FOUND\r\n");
    assert_status("flush_all\r\n", HF_MEMCACHE_DONE, "OK\r\n");
    assert_status("quit\r\n", HF_MEMCACHE_DONE, "");
}

static void test_meta(void **state)
{
    struct hf_memcache_result stale = hit;
    stale.stale = stale.won = stale.sent = stale.fetched = true;
    stale.idle_s = 5;
    stale.ttl_s = 60;
    assert_result("mg k v c f h k l s t Oab\r\n", hit, "VA 2 c9 f7 h0 kk l0 s2 t-1 Oab\r\nab\r\n");
    assert_result("mg k h l t\r\n", stale, "HD h1 l5 t60 W X Z\r\n");
    assert_result("mg a2s= b k s\r\n", hit, "HD ka2s= b s2\r\n");
    assert_result("ms k 3 c s\r\nabc\r\n", hit, "HD c9 s3\r\n");
    assert_result("ma k v t\r\n", (struct hf_memcache_result){.number = 10, .ttl_s = 60},
                  "VA 2 t60\r\n10\r\n");
    assert_result("me k\r\n", stale, "ME k exp=60 la=5 cas=9 fetch=yes cls=1 size=2\r\n");
    assert_status("mn\r\n", HF_MEMCACHE_DONE, "MN\r\n");
    assert_status("mg k v k O1\r\n", HF_MEMCACHE_MISSING, "EN kk O1\r\n");
    assert_status("me k\r\n", HF_MEMCACHE_MISSING, "EN\r\n");
    assert_status("ms k 0 MR\r\n\r\n", HF_MEMCACHE_MISSING, "NS\r\n");
    assert_status("ms k 0 ME\r\n\r\n", HF_MEMCACHE_PRESENT, "NS\r\n");
    assert_status("ms k 0 C1\r\n\r\n", HF_MEMCACHE_PRESENT, "EX\r\n");
    assert_status("ms k 0 C1\r\n\r\n", HF_MEMCACHE_MISSING, "NF\r\n");
    assert_status("md k O1\r\n", HF_MEMCACHE_MISSING, "NF O1\r\n");
}

/* What quiet leaves out; what matters is said in any case, but for noreply, which hears nothing. */
static void test_quiet(void **state)
{
    assert_status("set k 0 0 0 noreply\r\n\r\n", HF_MEMCACHE_DONE, "");
    assert_status("delete k noreply\r\n", HF_MEMCACHE_MISSING, "");
    assert_status("incr k 1 noreply\r\n", HF_MEMCACHE_NOT_NUMERIC, "");
    assert_status("set k 0 0 0 noreply\r\n\r\n", HF_MEMCACHE_UNSURE, "");
    assert_status("mg k v q\r\n", HF_MEMCACHE_MISSING, "");
    assert_result("mg k v q\r\n", hit, "VA 2\r\nab\r\n");
    assert_status("ms k 0 q\r\n\r\n", HF_MEMCACHE_DONE, "");
    assert_status("ms k 0 q ME\r\n\r\n", HF_MEMCACHE_PRESENT, "NS\r\n");
    assert_status("md k q\r\n", HF_MEMCACHE_DONE, "");
    assert_status("md k q\r\n", HF_MEMCACHE_MISSING, "NF\r\n");
    assert_status("ma k q\r\n", HF_MEMCACHE_DONE, "");
    assert_status("mg k q\r\n", HF_MEMCACHE_UNSURE,
                  "SERVER_ERROR the session's owner is not known for sure just now\r\n");
}

/* The same words in text and meta. */
static void test_errors(void **state)
{
    static const char *const lines[] = {"get k\r\n",      "mg k v\r\n",    "set k 0 0 0\r\n\r\n",
                                        "ms k 0\r\n\r\n", "touch k 1\r\n", "md k\r\n"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_status(lines[i], HF_MEMCACHE_UNSURE,
                      "SERVER_ERROR the session's owner is not known for sure just now\r\n");
        assert_status(lines[i], HF_MEMCACHE_DENIED, "CLIENT_ERROR switched off here\r\n");
        assert_status(lines[i], HF_MEMCACHE_NO_MEMORY,
                      "SERVER_ERROR out of memory storing object\r\n");
        assert_status(lines[i], HF_MEMCACHE_VALUE_TOO_LARGE,
                      "SERVER_ERROR object too large for cache\r\n");
    }
    assert_status("incr k 1\r\n", HF_MEMCACHE_NOT_NUMERIC,
                  "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n");
}

static void assert_refusal(const char *line, const char *expected)
{
    struct hf_writer writer = hf_writer(out, sizeof(out));
    parse(line);
    assert_int_equal(request.operation, HF_MEMCACHE_REFUSED);
    hf_memcache_write_refusal(&writer, &request);
    assert_written(line, hf_slice(out, writer.size), expected);
}

static void test_refusals(void **state)
{
    assert_refusal("nosuch\r\n", "ERROR\r\n");
    assert_refusal("incr k x noreply\r\n", "CLIENT_ERROR invalid numeric delta argument\r\n");
    assert_refusal("set k 0 0 9999\r\n", "SERVER_ERROR object too large for cache\r\n");
    assert_refusal("mg k v v\r\n", "CLIENT_ERROR duplicate flag\r\n");
    assert_refusal("GET / HTTP/1.1\r\n", "");
    assert_refusal("\x82", "");
}

static void test_stats(void **state)
{
    struct hf_writer writer = hf_writer(out, sizeof(out));
    parse("stats\r\n");
    hf_memcache_write_stat(&writer, &request, HF_SLICE("pid"), HF_SLICE("1\r\n2"));
    hf_memcache_write_end(&writer, &request);
    assert_written("stats", hf_slice(out, writer.size), "STAT pid 1  2\r\nEND\r\n");
    writer.size = 0;
    parse("mg k v\r\n");
    hf_memcache_write_end(&writer, &request);
    assert_int_equal(writer.size, 0);
}

/* A value that is elsewhere goes between head and tail. */
static void test_head_and_tail(void **state)
{
    struct hf_writer writer = hf_writer(out, sizeof(out));
    struct hf_memcache_result large = {.value = hf_slice(NULL, 1 << 20)};
    parse("mg k v\r\n");
    assert_true(hf_memcache_write_head(&writer, &request, &large));
    hf_memcache_write_tail(&writer, &request);
    assert_written("mg", hf_slice(out, writer.size), "VA 1048576\r\n\r\n");
    parse("mg k\r\n");
    assert_false(hf_memcache_write_head(&writer, &request, &large));
}

/* The longest head there is stays within its bound; less room than it needs is told. */
static void test_room(void **state)
{
    static char line[300] = "gets ";
    struct hf_memcache_result result = {
        .flags = UINT32_MAX, .cas = UINT64_MAX, .value = hf_slice(NULL, UINT32_MAX)};
    memset(line + 5, 'k', HF_MEMCACHE_KEY_MAX);
    memcpy(line + 5 + HF_MEMCACHE_KEY_MAX, "\r\n", 3);
    parse(line);
    result.key = request.key;
    struct hf_writer whole = hf_writer(out, HF_MEMCACHE_HEAD_MAX);
    assert_true(hf_memcache_write_head(&whole, &request, &result));
    assert_true(hf_writer_fits(&whole));
    struct hf_writer tight = hf_writer(out, whole.size - 1);
    hf_memcache_write_head(&tight, &request, &result);
    assert_false(hf_writer_fits(&tight));
    assert_int_equal(tight.size, whole.size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),          cmocka_unit_test(test_meta),
        cmocka_unit_test(test_quiet),         cmocka_unit_test(test_errors),
        cmocka_unit_test(test_refusals),      cmocka_unit_test(test_stats),
        cmocka_unit_test(test_head_and_tail), cmocka_unit_test(test_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
