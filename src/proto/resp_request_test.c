#include "base/rng.h"
#include "base/test.h"
#include "proto/guard.h"
#include "proto/resp.h"

static struct hf_guard guard;
static struct hf_resp_request request;

static const struct hf_resp_limits limits = {
    .arguments_max = HF_RESP_ARGUMENTS_MAX,
    .bulk_size_max = 1 << 20,
    .request_size_max = 4 << 20,
};

struct outcome {
    enum hf_codec answer;
    uint8_t reason;
    uint32_t size, count;
    uint32_t offsets[HF_RESP_ARGUMENTS_MAX], sizes[HF_RESP_ARGUMENTS_MAX];
};

/* One call with the first `until` bytes, which end at the guard page. */
static void feed(struct hf_resp_parser *parser, struct hf_slice input, size_t until,
                 const struct hf_resp_limits *with, struct outcome *outcome)
{
    const char *bytes = hf_guard_copy(&guard, hf_slice(input.bytes, until));
    outcome->answer = hf_resp_parse_request(parser, bytes, until, with, &request);
    outcome->reason = parser->reason;
    if (outcome->answer == HF_CODEC_NEED_MORE)
        assert_true(parser->needed > until);
    if (outcome->answer != HF_CODEC_DONE)
        return;
    assert_int_equal(parser->at + parser->needed + parser->count + parser->index, 0);
    outcome->size = request.size;
    outcome->count = request.count;
    for (uint32_t i = 0; i < request.count; i++) {
        outcome->offsets[i] = (uint32_t)(request.arguments[i].bytes - bytes);
        outcome->sizes[i] = (uint32_t)request.arguments[i].size;
    }
}

static void assert_same(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->answer, b->answer);
    assert_int_equal(a->reason, b->reason);
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->offsets, b->offsets, a->count * sizeof(a->offsets[0]));
    assert_memory_equal(a->sizes, b->sizes, a->count * sizeof(a->sizes[0]));
}

/* At once, cut in two anywhere, byte by byte, and as `needed` asks for. */
static const struct outcome *parse(struct hf_slice input, const struct hf_resp_limits *with)
{
    static struct outcome whole, cut;
    struct hf_resp_parser parser = {0};
    whole = (struct outcome){0};
    feed(&parser, input, input.size, with, &whole);
    for (size_t at = 0; at <= input.size; at++) {
        parser = (struct hf_resp_parser){0};
        cut = (struct outcome){0};
        feed(&parser, input, at, with, &cut);
        if (cut.answer == HF_CODEC_NEED_MORE)
            feed(&parser, input, input.size, with, &cut);
        assert_same(&whole, &cut);
    }
    parser = (struct hf_resp_parser){0};
    cut = (struct outcome){0};
    for (size_t at = 0; at <= input.size && cut.answer == HF_CODEC_NEED_MORE; at++)
        feed(&parser, input, at, with, &cut);
    assert_same(&whole, &cut);
    parser = (struct hf_resp_parser){0};
    cut = (struct outcome){0};
    do {
        feed(&parser, input, parser.needed, with, &cut);
    } while (cut.answer == HF_CODEC_NEED_MORE && parser.needed <= input.size);
    assert_same(&whole, &cut);
    return &whole;
}

/* `words` are the arguments, separated by "|". */
static void assert_words(struct hf_slice input, const char *words, size_t left)
{
    const struct outcome *outcome = parse(input, &limits);
    assert_int_equal(outcome->answer, HF_CODEC_DONE);
    char joined[1024];
    struct hf_writer writer = hf_writer(joined, sizeof(joined));
    for (uint32_t i = 0; i < outcome->count; i++) {
        if (i > 0)
            hf_writer_byte(&writer, '|');
        hf_writer_bytes(&writer, input.bytes + outcome->offsets[i], outcome->sizes[i]);
    }
    assert_int_equal(writer.size, strlen(words));
    assert_memory_equal(joined, words, writer.size);
    assert_int_equal(input.size - outcome->size, left);
}
#define WORDS(input, words) assert_words(HF_SLICE(input), words, 0)

static void test_requests(void **state)
{
    WORDS("*1\r\n$4\r\nPING\r\n", "PING");
    WORDS("*2\r\n$3\r\nGET\r\n$6\r\nsess:1\r\n", "GET|sess:1");
    WORDS("*5\r\n$3\r\nset\r\n$1\r\nk\r\n$0\r\n\r\n$2\r\nEX\r\n$5\r\n86400\r\n", "set|k||EX|86400");
    WORDS("*1\r\n$12\r\n0123456789ab\r\n", "0123456789ab");
    WORDS("PING\r\n", "PING");
    WORDS("quit\r\n", "quit");
    WORDS("info replication\r\n", "info|replication");
    assert_words(HF_SLICE("*1\r\n$4\r\nPING\r\n*1\r\n$4"), "PING", 6);
    assert_words(HF_SLICE("PING\r\n*1\r\n"), "PING", 4);
}

/* Row 211: a key may hold anything, also what looks like protocol. */
static void test_binary_safe(void **state)
{
    struct hf_slice input = HF_SLICE("*2\r\n$3\r\nGET\r\n$10\r\na\0\r\n$3\r\n\xff"
                                     "b\r\n");
    const struct outcome *outcome = parse(input, &limits);
    assert_int_equal(outcome->answer, HF_CODEC_DONE);
    assert_int_equal(outcome->sizes[1], 10);
    assert_memory_equal(input.bytes + outcome->offsets[1],
                        "a\0\r\n$3\r\n\xff"
                        "b",
                        10);
}

struct refusal {
    struct hf_slice input;
    enum hf_resp_reason reason;
};
#define ROW(reason, text)                                                                          \
    {                                                                                              \
        {text, sizeof(text) - 1}, HF_RESP_##reason                                                 \
    }

static const struct refusal refusals[] = {
    /* counts: rows 196, 197, 199 */
    ROW(TOO_MANY_ARGUMENTS, "*3000000000\r\n"),
    ROW(TOO_MANY_ARGUMENTS, "*2147483648\r\n"),
    ROW(TOO_MANY_ARGUMENTS, "*2147483647\r\n"),
    ROW(TOO_MANY_ARGUMENTS, "*1025\r\n"),
    ROW(TOO_MANY_ARGUMENTS, "*4294967297\r\n"),
    ROW(BAD_COUNT, "*18446744073709551617\r\n"),
    ROW(BAD_COUNT, "*0\r\n"),
    ROW(BAD_COUNT, "*-1\r\n"),
    ROW(BAD_COUNT, "*-10\r\n"),
    ROW(BAD_COUNT, "*+1\r\n$4\r\nPING\r\n"),
    ROW(BAD_COUNT, "*01\r\n$4\r\nPING\r\n"),
    ROW(BAD_COUNT, "*00\r\n"),
    ROW(BAD_COUNT, "* 1\r\n$4\r\nPING\r\n"),
    ROW(BAD_COUNT, "*1 \r\n$4\r\nPING\r\n"),
    ROW(BAD_COUNT, "*0x1\r\n$4\r\nPING\r\n"),
    ROW(BAD_COUNT, "*\r\n$4\r\nPING\r\n"),
    ROW(BAD_COUNT, "*1\0\r\n"),
    ROW(BAD_COUNT, "*1e3\r\n"),
    /* sizes: row 200 */
    ROW(BAD_BULK_SIZE, "*2\r\n$3\r\nGET\r\n$-1\r\n"),
    ROW(BAD_BULK_SIZE, "*1\r\n$abc\r\n"),
    ROW(BULK_TOO_LARGE, "*1\r\n$2000000000\r\n"),
    ROW(BULK_TOO_LARGE, "*1\r\n$1048577\r\n"),
    ROW(BULK_TOO_LARGE, "*1\r\n$9999999999\r\n"),
    ROW(BAD_BULK_SIZE, "*1\r\n$10000000000\r\n"),
    ROW(BAD_BULK_SIZE, "*1\r\n$+4\r\nPING\r\n"),
    ROW(BAD_BULK_SIZE, "*1\r\n$04\r\nPING\r\n"),
    ROW(BAD_BULK_SIZE, "*1\r\n$ 4\r\nPING\r\n"),
    ROW(BAD_BULK_SIZE, "*1\r\n$\r\nPING\r\n"),
    ROW(BAD_BULK_SIZE, "*1\r\n$4x\r\n"),
    /* line ends: row 202 */
    ROW(BAD_LINE_END, "*1\n$4\nPING\n"),
    ROW(BAD_LINE_END, "*1\r\n$4\nPING\r\n"),
    ROW(BAD_LINE_END, "*1\rX"),
    ROW(BAD_LINE_END, "*1\r\r\n"),
    ROW(BAD_LINE_END, "*1\r\n$4\r\nPING\n\n"),
    ROW(BAD_LINE_END, "*1\r\n$4\r\nPING\rX"),
    ROW(BAD_LINE_END, "*1\r\n$4\r\nPINGPONG\r\n"),
    ROW(BAD_LINE_END, "*1\r\n$4\r\nPIN\r\n$1\r\n"),
    ROW(BAD_LINE_END, "PING\n"),
    /* nesting and other types: row 203 */
    ROW(NO_BULK, "*1\r\n*1\r\n$4\r\nPING\r\n"),
    ROW(NO_BULK, "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"),
    ROW(NO_BULK, "*1\r\n+PING\r\n"),
    ROW(NO_BULK, "*1\r\n:1\r\n"),
    ROW(NO_BULK, "*1\r\n\r\n"),
    /* other protocols: row 205 */
    ROW(CROSS_PROTOCOL, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW(CROSS_PROTOCOL, "POST /x HTTP/1.1\r\n"),
    ROW(CROSS_PROTOCOL, "OPTIONS * HTTP/1.1\r\n"),
    ROW(CROSS_PROTOCOL, "PURGE / HTTP/1.1\r\n"),
    ROW(CROSS_PROTOCOL, "Host: localhost:6379\r\n"),
    ROW(CROSS_PROTOCOL, "hOST:x\n"),
    ROW(CROSS_PROTOCOL, "GET /0123456789012345678901234567890123456789012345678901234567890123"),
    ROW(NOT_RESP, "\x16\x03\x01\x02"),
    ROW(NOT_RESP, "\x80\x00"),
    ROW(NOT_RESP, "\0"),
    ROW(NOT_RESP, "\r\nPING\r\n"),
    ROW(NOT_RESP, " PING\r\n"),
    ROW(NOT_RESP, "$4\r\nPING\r\n"),
    ROW(NOT_RESP, "+OK\r\n"),
    /* what is not among the inline commands */
    ROW(BAD_INLINE, "set k v\r\n"),
    ROW(BAD_INLINE, "FLUSHALL\r\n"),
    ROW(BAD_INLINE, "PING x\r\n"),
    ROW(BAD_INLINE, "info a b\r\n"),
    ROW(BAD_INLINE, "info  a\r\n"),
    ROW(BAD_INLINE, "PING \r\n"),
    ROW(BAD_INLINE, "P\0NG\r\n"),
    ROW(BAD_INLINE, "info a\r\r\n"),
    ROW(BAD_INLINE, "info aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"),
};

static void test_refusals(void **state)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        const struct outcome *outcome = parse(refusals[i].input, &limits);
        if (outcome->answer == HF_CODEC_BAD && outcome->reason == refusals[i].reason)
            continue;
        print_error("row %zu: answer %d, %s\n", i, outcome->answer,
                    hf_resp_reason_word((enum hf_resp_reason)outcome->reason));
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

/* Each prefix of a good request is one to wait for: row 206. */
static void test_partial(void **state)
{
    struct hf_slice input = HF_SLICE("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n");
    for (size_t size = 0; size < input.size; size++)
        assert_int_equal(parse(hf_slice(input.bytes, size), &limits)->answer, HF_CODEC_NEED_MORE);
    for (size_t size = 0; size < 6; size++)
        assert_int_equal(parse(hf_slice("PING\r\n", size), &limits)->answer, HF_CODEC_NEED_MORE);
}

/* "*count\r\n" and as many arguments of that size. */
static struct hf_slice repeated(unsigned count, unsigned size)
{
    static char text[HF_GUARD_SIZE];
    struct hf_writer writer = hf_writer(text, sizeof(text));
    struct hf_resp_out out = {.writer = writer};
    hf_resp_write_array(&out, count);
    for (unsigned i = 0; i < count; i++) {
        hf_resp_write_bulk_head(&out, size);
        for (unsigned k = 0; k < size; k++)
            hf_writer_byte(&out.writer, 'x');
        hf_writer_text(&out.writer, "\r\n");
    }
    assert_true(hf_writer_fits(&out.writer));
    return hf_slice(text, out.writer.size);
}

static void assert_limit(struct hf_slice input, const struct hf_resp_limits *with,
                         enum hf_resp_reason reason)
{
    struct hf_resp_parser parser = {0};
    static struct outcome outcome;
    outcome = (struct outcome){0};
    feed(&parser, input, input.size, with, &outcome);
    assert_int_equal(outcome.reason, reason);
    assert_int_equal(outcome.answer, reason == HF_RESP_OK ? HF_CODEC_DONE : HF_CODEC_BAD);
}

static void test_limits(void **state)
{
    assert_limit(repeated(1024, 1), &limits, HF_RESP_OK);
    assert_limit(repeated(1025, 1), &limits, HF_RESP_TOO_MANY_ARGUMENTS);
    struct hf_resp_limits small = {.arguments_max = 3, .bulk_size_max = 5, .request_size_max = 31};
    assert_limit(repeated(3, 3), &small, HF_RESP_OK);
    assert_limit(repeated(4, 3), &small, HF_RESP_TOO_MANY_ARGUMENTS);
    assert_limit(repeated(1, 5), &small, HF_RESP_OK);
    assert_limit(repeated(1, 6), &small, HF_RESP_BULK_TOO_LARGE);
    assert_limit(repeated(3, 4), &small, HF_RESP_REQUEST_TOO_LARGE);
}

/* Row 208. */
static void test_limits_before_auth(void **state)
{
    const struct hf_resp_limits *before = &hf_resp_limits_before_auth;
    assert_limit(repeated(10, 3), before, HF_RESP_OK);
    assert_limit(repeated(11, 3), before, HF_RESP_TOO_MANY_ARGUMENTS);
    assert_limit(repeated(1, 16 * 1024), before, HF_RESP_OK);
    assert_limit(repeated(1, 16 * 1024 + 1), before, HF_RESP_BULK_TOO_LARGE);
    assert_limit(repeated(3, 16 * 1024), before, HF_RESP_OK);
    assert_limit(HF_SLICE("*5\r\n$16385\r\n"), before, HF_RESP_BULK_TOO_LARGE);
    /* three of them, and the announcement of a fourth */
    struct hf_slice text = repeated(3, 16 * 1024);
    char *four = memcpy(malloc(text.size + 8), text.bytes, text.size);
    four[1] = '4';
    memcpy(four + text.size, "$16384\r\n", 8);
    assert_limit(hf_slice(four, text.size + 8), before, HF_RESP_REQUEST_TOO_LARGE);
    free(four);
}

/* A large argument: told at once how much is missing, and not asked again until it is there. */
static void test_needed(void **state)
{
    static const char head[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n";
    uint32_t head_size = sizeof(head) - 1, whole = head_size + 1000002;
    static char input[1000100];
    memset(input, 'v', sizeof(input));
    memcpy(input, head, head_size);
    struct hf_resp_parser parser = {0};
    assert_int_equal(hf_resp_parse_request(&parser, input, head_size, &limits, &request),
                     HF_CODEC_NEED_MORE);
    assert_int_equal(parser.needed, whole);
    assert_int_equal(hf_resp_parse_request(&parser, input, whole - 1, &limits, &request),
                     HF_CODEC_NEED_MORE);
    assert_int_equal(parser.needed, whole);
    memcpy(input + whole - 2, "\r\n", 2);
    assert_int_equal(hf_resp_parse_request(&parser, input, whole, &limits, &request),
                     HF_CODEC_DONE);
    assert_int_equal(request.count, 3);
    assert_ptr_equal(request.arguments[2].bytes, input + head_size);
    assert_int_equal(request.arguments[2].size, 1000000);
    assert_ptr_equal(request.arguments[0].bytes, input + 8);
}

/* What the serialiser writes as an array of bulk strings is a request; many follow each other. */
static void test_pipeline(void **state)
{
    static char text[HF_GUARD_SIZE];
    static const char source[] = "$3\r\n*1\r\nabc\0\r\n+OK";
    struct hf_rng rng;
    hf_rng_seed(&rng, 2024);
    for (unsigned round = 0; round < 20; round++) {
        struct hf_resp_out out = {.writer = hf_writer(text, sizeof(text))};
        uint32_t counts[16];
        for (unsigned i = 0; i < 16; i++) {
            counts[i] = 1 + hf_rng_below(&rng, 6);
            hf_resp_write_array(&out, counts[i]);
            for (uint32_t k = 0; k < counts[i]; k++)
                hf_resp_write_bulk(&out, hf_slice(source, hf_rng_below(&rng, sizeof(source))));
        }
        struct hf_slice rest = hf_slice(text, out.writer.size);
        for (unsigned i = 0; i < 16; i++) {
            const struct outcome *outcome = parse(rest, &limits);
            assert_int_equal(outcome->answer, HF_CODEC_DONE);
            assert_int_equal(outcome->count, counts[i]);
            rest = hf_slice(rest.bytes + outcome->size, rest.size - outcome->size);
        }
        assert_int_equal(rest.size, 0);
    }
}

static void test_reasons(void **state)
{
    for (int i = HF_RESP_OK + 1; i < HF_RESP_REASONS; i++) {
        struct hf_slice answer = hf_resp_reason_answer((enum hf_resp_reason)i);
        assert_true(answer.size == 0 || hf_slice_starts(answer, HF_SLICE("ERR Protocol error: ")));
        assert_true((answer.size == 0) == (i == HF_RESP_CROSS_PROTOCOL));
    }
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
        cmocka_unit_test(test_requests), cmocka_unit_test(test_binary_safe),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_partial),
        cmocka_unit_test(test_limits),   cmocka_unit_test(test_limits_before_auth),
        cmocka_unit_test(test_needed),   cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_reasons),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
