#include "proto/memcache_testing.h"

static struct hf_guard guard;

static void assert_request(struct hf_slice input, const char *description, size_t left)
{
    const struct hf_memcache_outcome *outcome = hf_memcache_testing_parse(&guard, input);
    assert_int_equal(outcome->answer, HF_CODEC_DONE);
    assert_int_equal(outcome->discard, 0);
    assert_int_equal(input.size - outcome->size, left);
    assert_string_equal(outcome->text, description);
}
#define REQUEST(input, description) assert_request(HF_SLICE(input), description, 0)

static void test_text(void **state)
{
    REQUEST("get k\r\n", "get key=k v");
    REQUEST("get k\n", "get key=k v");
    REQUEST("get  k  j \r\n", "get key=k v");
    REQUEST("gets k\r\n", "get key=k v wantscas");
    REQUEST("gat 100 k\r\n", "get key=k exptime=100 touch v");
    REQUEST("gats -1 k\r\n", "get key=k exptime=-1 touch v wantscas");
    REQUEST("set k 1 1440 3\r\nabc\r\n", "set key=k value=abc flags=1 exptime=1440");
    REQUEST("set k 0 0 0\r\n\r\n", "set key=k");
    REQUEST("set k 4294967295 -1 1 noreply\r\n\n\r\n",
            "set key=k value=\n flags=4294967295 exptime=-1 quiet");
    REQUEST("add k 2 3 1\r\n\xff\r\n", "add key=k value=\xff flags=2 exptime=3");
    REQUEST("replace k 0 0 2\r\n\r\n\r\n", "replace key=k value=\r\n");
    REQUEST("append k 0 0 1\r\na\r\n", "append key=k value=a");
    REQUEST("prepend k 0 0 1 noreply\r\na\r\n", "prepend key=k value=a quiet");
    REQUEST("cas k 0 0 1 77\r\na\r\n", "set key=k value=a cas=77 hascas");
    REQUEST("cas k 0 0 1 0 noreply\r\na\r\n", "set key=k value=a quiet hascas");
    REQUEST("touch k 60\r\n", "touch key=k exptime=60 touch");
    REQUEST("touch k 60 noreply\r\n", "touch key=k exptime=60 quiet touch");
    REQUEST("delete k\r\n", "delete key=k");
    REQUEST("delete k 0\r\n", "delete key=k");
    REQUEST("delete k noreply\r\n", "delete key=k quiet");
    REQUEST("delete k 0 noreply\r\n", "delete key=k quiet");
    REQUEST("incr k 5\r\n", "incr key=k delta=5");
    REQUEST("decr k 18446744073709551615 noreply\r\n", "decr key=k delta=-1 quiet");
    REQUEST("flush_all\r\n", "flush");
    REQUEST("flush_all 10 noreply\r\n", "flush exptime=10 quiet");
    REQUEST("stats\r\n", "stats");
    REQUEST("stats items\r\n", "stats key=items");
    REQUEST("version\r\n", "version");
    REQUEST("verbosity 1\r\n", "verbosity");
    REQUEST("verbosity noreply\r\n", "verbosity quiet");
    REQUEST("quit\r\n", "quit");
    REQUEST("get k\xc3\xa9#\r\n", "get key=k\xc3\xa9# v");
    assert_request(HF_SLICE("get k\r\nget j\r\n"), "get key=k v", 7);
    assert_request(HF_SLICE("set k 0 0 1\r\na\r\nquit"), "set key=k value=a", 4);
    /* "noreply" is a key like any other where a key is due */
    REQUEST("get noreply\r\n", "get key=noreply v");
}

static void test_meta(void **state)
{
    REQUEST("mn\r\n", "noop");
    REQUEST("mg k\r\n", "get key=k");
    REQUEST("mg k v f\r\n", "get key=k v");
    REQUEST("mg Zm9v b c f h k l q s t v Oabc\r\n", "get key=foo quiet v");
    REQUEST("mg k T60 N30 R10 E9\r\n",
            "get key=k exptime=60 newcas=9 createexp=30 recache=10 touch hasnew creates recaches");
    REQUEST("ms k 4 c F1 T3601 ME\r\n\x04\x08{\x01\r\n",
            "add key=k value=\x04\x08{\x01 flags=1 exptime=3601 touch");
    REQUEST("ms k 1 MR\r\na\r\n", "replace key=k value=a");
    REQUEST("ms k 1 Ms\r\na\r\n", "set key=k value=a");
    REQUEST("ms k 1 MA N60 q\r\na\r\n", "append key=k value=a createexp=60 quiet creates");
    REQUEST("ms k 1 MP\r\na\r\n", "prepend key=k value=a");
    REQUEST("ms k 1 C7 I O1\r\na\r\n", "set key=k value=a cas=7 hascas invalidates");
    REQUEST("md k\r\n", "delete key=k");
    REQUEST("md k q C5 x\r\n", "delete key=k cas=5 quiet hascas keeps");
    REQUEST("md k MX v\r\n", "delete key=k v");
    REQUEST("mg k u O012345678901234567890123456789X\r\n", "get key=k");
    REQUEST("md k I T30\r\n", "delete key=k exptime=30 touch invalidates");
    REQUEST("ma k\r\n", "incr key=k delta=1");
    REQUEST("ma k MD D5 v t c\r\n", "decr key=k delta=5 v");
    REQUEST("ma k M- \r\n", "decr key=k delta=1");
    REQUEST("ma k M+ N0 J13\r\n", "incr key=k delta=1 initial=13 creates");
    REQUEST("me k\r\n", "debug key=k");
    REQUEST("me Zm8= b\r\n", "debug key=fo");
}

struct refusal {
    struct hf_slice input;
    enum hf_memcache_reason reason;
    uint32_t discard;
};
#define ROW(reason, discard, text)                                                                 \
    {                                                                                              \
        {text, sizeof(text) - 1}, HF_MEMCACHE_##reason, discard                                    \
    }

/* What is wrong with one request only: it is answered, and the next one is read. */
static const struct refusal refusals[] = {
    ROW(UNKNOWN_COMMAND, 0, "\r\n"),
    ROW(UNKNOWN_COMMAND, 0, "\n"),
    ROW(UNKNOWN_COMMAND, 0, "   \r\n"),
    ROW(UNKNOWN_COMMAND, 0, "foo\r\n"),
    ROW(UNKNOWN_COMMAND, 0, "shutdown\r\n"),
    ROW(UNKNOWN_COMMAND, 0, "SET k 0 0 1\r\n"),
    ROW(UNKNOWN_COMMAND, 0, "get\r\n"),
    ROW(UNKNOWN_COMMAND, 0, "gat 1\r\n"),
    ROW(UNKNOWN_COMMAND, 0, "gat\r\n"),
    ROW(UNKNOWN_COMMAND, 0, "set\r\n"),
    ROW(UNKNOWN_COMMAND, 0, "touch k\r\n"),
    ROW(UNKNOWN_COMMAND, 0, "incr k\r\n"),
    ROW(UNKNOWN_COMMAND, 0, "delete\r\n"),
    ROW(UNKNOWN_COMMAND, 0, "verbosity\r\n"),
    ROW(UNKNOWN_COMMAND, 0, "verbosity foo bar my\r\n"),
    ROW(BAD_LINE, 0, "verbosity foo\r\n"),
    ROW(UNKNOWN_COMMAND, 0, "mz k\r\n"),
    ROW(UNKNOWN_COMMAND, 0, "xx k\r\n"),
    /* row 214: keys */
    ROW(BAD_KEY, 0,
        "get a\x01"
        "b\r\n"),
    ROW(BAD_KEY, 0, "get a\tb\r\n"),
    ROW(BAD_KEY, 0, "get a\0b\r\n"),
    ROW(BAD_KEY, 0, "get a\x7f\r\n"),
    ROW(BAD_KEY, 0, "get a\rb\r\n"),
    ROW(BAD_KEY, 5, "set a\x01 0 0 3\r\nabc\r\n"),
    ROW(BAD_KEY, 0, "delete \x02\r\n"),
    ROW(BAD_KEY, 0, "mg a\tb v\r\n"),
    ROW(UNKNOWN_COMMAND, 0, "mg\r\n"),
    ROW(UNKNOWN_COMMAND, 0, "ms\r\n"),
    ROW(BAD_LINE, 0, "stats \x01\r\n"),
    /* row 217: too large, and exactly its bytes are dropped */
    ROW(TOO_LARGE, 1027, "set k 0 0 1025\r\nabc"),
    ROW(TOO_LARGE, 1027, "ms k 1025\r\n"),
    ROW(TOO_LARGE, (128 << 20) + 2, "set k 0 0 134217728\r\n"),
    /* row 218: numbers */
    ROW(BAD_LINE, 3, "set k 4294967296 0 1\r\na\r\n"),
    ROW(BAD_LINE, 3, "set k -1 0 1\r\na\r\n"),
    ROW(BAD_LINE, 3, "set k x 0 1\r\na\r\n"),
    ROW(BAD_LINE, 3, "set k 0 x 1\r\na\r\n"),
    ROW(BAD_LINE, 3, "set k 0 0 1 zz\r\na\r\n"),
    ROW(BAD_LINE, 3, "set k 0 0 1 noreply zz\r\na\r\n"),
    ROW(BAD_EXPTIME, 0, "touch k x\r\n"),
    ROW(BAD_EXPTIME, 0, "gat x k\r\n"),
    ROW(BAD_DELTA, 0, "incr k x\r\n"),
    ROW(BAD_DELTA, 0, "incr k -1\r\n"),
    ROW(BAD_DELTA, 0, "incr k 18446744073709551616\r\n"),
    ROW(BAD_DELETE, 0, "delete k 5\r\n"),
    ROW(BAD_DELETE, 0, "delete k 0 0\r\n"),
    ROW(BAD_EXPTIME, 0, "flush_all x\r\n"),
    ROW(UNKNOWN_COMMAND, 0, "flush_all 1 2\r\n"),
    /* row 223: cas, meta flags, base64 */
    ROW(BAD_LINE, 3, "cas k 0 0 1 x\r\na\r\n"),
    ROW(BAD_LINE, 3, "cas k 0 0 1\r\na\r\n"),
    ROW(BAD_LINE, 3, "cas k 0 0 1 -1\r\na\r\n"),
    ROW(BAD_FLAG, 0, "mg k z\r\n"),
    ROW(BAD_FLAG, 0, "mg k vv\r\n"),
    ROW(BAD_FLAG, 3, "ms k 1 ca\r\na\r\n"),
    ROW(DUPLICATE_FLAG, 0, "mg k v v\r\n"),
    ROW(DUPLICATE_FLAG, 3, "ms k 1 T1 T2\r\na\r\n"),
    ROW(BAD_FLAG_VALUE, 0, "mg k Tx\r\n"),
    ROW(BAD_FLAG_VALUE, 0, "mg k T\r\n"),
    ROW(BAD_FLAG_VALUE, 3, "ms k 1 F4294967296\r\na\r\n"),
    ROW(BAD_FLAG_VALUE, 3, "ms k 1 C-1\r\na\r\n"),
    ROW(BAD_SET_MODE, 3, "ms k 1 MX\r\na\r\n"),
    ROW(BAD_FLAG_VALUE, 3, "ms k 1 MSS\r\na\r\n"),
    ROW(BAD_COUNT_MODE, 0, "ma k MA\r\n"),
    ROW(BAD_OPAQUE, 0, "mg k O0123456789012345678901234567890X\r\n"),
    ROW(BAD_ENCODING, 0, "mg a b\r\n"),
    ROW(BAD_ENCODING, 0, "mg Zm9=b b\r\n"),
    ROW(BAD_ENCODING, 0, "mg Zm9 b\r\n"),
    ROW(BAD_ENCODING, 0, "mg Zm9* b\r\n"),
    ROW(BAD_ENCODING, 0, "mg Zm9v===b b\r\n"),
    ROW(BAD_ENCODING, 0, "mg Zh== b\r\n"),
    ROW(BAD_ENCODING, 0, "mg Zm9= b\r\n"),
    ROW(BAD_ENCODING, 0, "mg ==== b\r\n"),
    ROW(BAD_ENCODING, 3, "ms Zm9 1 b\r\na\r\n"),
};

static void test_refusals(void **state)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        struct hf_slice input = refusals[i].input;
        const struct hf_memcache_outcome *outcome = hf_memcache_testing_parse(&guard, input);
        if (outcome->answer == HF_CODEC_DONE && outcome->operation == HF_MEMCACHE_REFUSED &&
            outcome->reason == refusals[i].reason && outcome->discard == refusals[i].discard)
            continue;
        print_error("row %zu: answer %d, %s, discard %u\n", i, outcome->answer,
                    hf_memcache_reason_word((enum hf_memcache_reason)outcome->reason),
                    outcome->discard);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

/* Where nobody can say where the next request starts, or who is talking. */
static const struct refusal endings[] = {
    /* row 215: the value's length is not to be known */
    ROW(BAD_SIZE, 0, "set k 0 0 -1\r\n"),
    ROW(BAD_SIZE, 0, "set k 0 0 x\r\n"),
    ROW(BAD_SIZE, 0, "set k 0 0 2147483648\r\n"),
    ROW(BAD_SIZE, 0, "set k 0 0 4294967296\r\n"),
    ROW(BAD_SIZE, 0, "set k 0 0 18446744073709551617\r\n"),
    ROW(BAD_SIZE, 0, "set k 0 0\r\n"),
    ROW(BAD_SIZE, 0, "ms k\r\n"),
    ROW(BAD_SIZE, 0, "ms k S3\r\n"),
    ROW(BAD_SIZE, 0, "ms k -1\r\n"),
    ROW(TOO_LARGE, 0, "set k 0 0 134217729\r\n"),
    ROW(TOO_LARGE, 0, "set k 0 0 2147483645\r\n"),
    /* a value of another size than was said */
    ROW(BAD_DATA_END, 0, "set k 0 0 3\r\nabcd\r\n"),
    ROW(BAD_DATA_END, 0, "set k 0 0 3\r\nab\r\n\r\n"),
    ROW(BAD_DATA_END, 0, "set k 0 0 3\r\nabc\n\n"),
    ROW(BAD_DATA_END, 0, "set k 0 0 0\r\nxx"),
    /* row 205: other protocols; row 224: magics that no client sends */
    ROW(CROSS_PROTOCOL, 0, "GET / HTTP/1.1\r\n"),
    ROW(CROSS_PROTOCOL, 0, "POST / HTTP/1.1\r\n"),
    ROW(CROSS_PROTOCOL, 0, "Host: localhost:11211\r\n"),
    ROW(NOT_MEMCACHE, 0, "\x82"),
    ROW(NOT_MEMCACHE, 0, "\x81"),
    ROW(NOT_MEMCACHE, 0, "\x16\x03\x01"),
    ROW(NOT_MEMCACHE, 0, "\0"),
};

static void test_endings(void **state)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        const struct hf_memcache_outcome *outcome =
            hf_memcache_testing_parse(&guard, endings[i].input);
        if (outcome->answer == HF_CODEC_BAD && outcome->reason == endings[i].reason)
            continue;
        print_error("row %zu: answer %d, %s\n", i, outcome->answer,
                    hf_memcache_reason_word((enum hf_memcache_reason)outcome->reason));
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

/* command, as many bytes of `pad` as make the line that long, CRLF counted, and the line's end */
static struct hf_slice padded(const char *command, char pad, size_t size)
{
    static char text[HF_GUARD_SIZE];
    memset(text, pad, size);
    memcpy(text, command, strlen(command));
    memcpy(text + size - 2, "\r\n", 2);
    return hf_slice(text, size);
}

static struct hf_memcache_outcome once(struct hf_slice input)
{
    struct hf_memcache_parser parser = {0};
    static struct hf_memcache_outcome outcome;
    memset(&outcome, 0, sizeof(outcome));
    hf_memcache_testing_feed(&guard, &parser, input, input.size, &outcome);
    return outcome;
}

static void test_key_size(void **state)
{
    assert_int_equal(once(padded("get ", 'k', 4 + 250 + 2)).operation, HF_MEMCACHE_GET);
    assert_int_equal(once(padded("get ", 'k', 4 + 251 + 2)).reason, HF_MEMCACHE_BAD_KEY);
    assert_int_equal(once(padded("mg ", 'k', 3 + 250 + 2)).operation, HF_MEMCACHE_GET);
    assert_int_equal(once(padded("mg ", 'k', 3 + 251 + 2)).reason, HF_MEMCACHE_BAD_KEY);
}

/* Row 221: bounded lines, and keys of one get. */
static void test_line_limits(void **state)
{
    assert_int_equal(once(padded("stats a", ' ', 2048)).operation, HF_MEMCACHE_STATS);
    assert_int_equal(once(padded("stats a", ' ', 2049)).reason, HF_MEMCACHE_LINE_TOO_LONG);
    assert_int_equal(once(padded("stats a", ' ', 2049)).answer, HF_CODEC_BAD);
    assert_int_equal(once(padded("get k", ' ', 32 * 1024)).operation, HF_MEMCACHE_GET);
    assert_int_equal(once(padded("get k", ' ', 32 * 1024 + 1)).reason, HF_MEMCACHE_LINE_TOO_LONG);
    struct hf_slice http = padded("GET /", 'x', 4000);
    assert_int_equal(once(http).reason, HF_MEMCACHE_CROSS_PROTOCOL);
    struct hf_slice keys = padded("get ", 'k', 4 + 2 * 1025 + 2);
    for (size_t i = 5; i < keys.size - 2; i += 2)
        ((char *)keys.bytes)[i] = ' ';
    assert_int_equal(once(keys).reason, HF_MEMCACHE_TOO_MANY_KEYS);
    assert_int_equal(once(keys).answer, HF_CODEC_BAD);
    ((char *)keys.bytes)[4] = ' ';
    assert_int_equal(once(keys).operation, HF_MEMCACHE_GET);
}

static void test_keys(void **state)
{
    struct hf_memcache_parser parser = {0};
    struct hf_memcache_limits limits = {.value_size_max = 1};
    static struct hf_memcache_request request;
    static const char line[] = "gat 5  a bb  ccc \r\n";
    assert_int_equal(hf_memcache_parse(&parser, line, sizeof(line) - 1, &limits, &request),
                     HF_CODEC_DONE);
    struct hf_slice rest = request.keys, key;
    static const char *const expected[] = {"a", "bb", "ccc"};
    for (unsigned i = 0; i < 3; i++) {
        assert_true(hf_memcache_next_key(&rest, &key));
        assert_true(hf_slice_equal(key, hf_slice_text(expected[i])));
    }
    assert_false(hf_memcache_next_key(&rest, &key));
}

/* Row 229: what a connection began with it keeps. */
static void test_one_dialect(void **state)
{
    struct hf_memcache_parser parser = {0};
    struct hf_memcache_outcome outcome = {0};
    char packet[24] = {(char)0x80, 0x0a};
    hf_memcache_testing_feed(&guard, &parser, HF_SLICE("version\r\n"), 9, &outcome);
    assert_int_equal(outcome.answer, HF_CODEC_DONE);
    hf_memcache_testing_feed(&guard, &parser, HF_SLICE("mn\r\n"), 4, &outcome);
    assert_int_equal(outcome.answer, HF_CODEC_DONE);
    hf_memcache_testing_feed(&guard, &parser, hf_slice(packet, 24), 24, &outcome);
    assert_int_equal(outcome.answer, HF_CODEC_BAD);
    assert_int_equal(outcome.reason, HF_MEMCACHE_MIXED_PROTOCOLS);
    memset(&parser, 0, sizeof(parser));
    hf_memcache_testing_feed(&guard, &parser, hf_slice(packet, 24), 24, &outcome);
    assert_int_equal(outcome.answer, HF_CODEC_DONE);
    hf_memcache_testing_feed(&guard, &parser, HF_SLICE("version\r\n"), 9, &outcome);
    assert_int_equal(outcome.answer, HF_CODEC_BAD);
    assert_int_equal(outcome.reason, HF_MEMCACHE_MIXED_PROTOCOLS);
}

/* The whole rule of expiries, at a wall clock of 2026. */
static void test_seconds_left(void **state)
{
    const int64_t now = 1798000000;
    static const int64_t rows[][2] = {
        {0, HF_MEMCACHE_FOREVER},
        {1, 1},
        {1440, 1440},
        {2592000, 2592000}, /* 30 days: the last that counts from now */
        {2592001, 0},       /* a date in January 1970 */
        {2678400, 0},       /* meant as 31 days by php-memcached: stored, and gone */
        {1797999999, 0},
        {1798000000, 0},
        {1798000001, 1},
        {1800678400, 2678400}, /* as Flask-Session says 31 days */
        {4294967295, 2496967295},
        {-1, 0},
        {INT64_MIN, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_true(hf_memcache_seconds_left(rows[i][0], now) == rows[i][1]);
}

static int setup(void **state)
{
    guard = hf_guard_init();
    return 0;
}

static int teardown(void **state)
{
    hf_guard_fini(&guard);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),         cmocka_unit_test(test_meta),
        cmocka_unit_test(test_refusals),     cmocka_unit_test(test_endings),
        cmocka_unit_test(test_key_size),     cmocka_unit_test(test_line_limits),
        cmocka_unit_test(test_keys),         cmocka_unit_test(test_one_dialect),
        cmocka_unit_test(test_seconds_left),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
