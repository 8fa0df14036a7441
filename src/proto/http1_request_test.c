#include "base/test.h"
#include "proto/guard.h"
#include "proto/http1.h"

static const struct hf_http1_limits limits = {.head_size_max = 32 * 1024, .fields_max = 100};
static struct hf_guard guard;

struct outcome {
    enum hf_codec answer;
    struct hf_http1_parser parser;
    struct hf_head head;
};

static void feed(struct outcome *outcome, struct hf_slice message, size_t size)
{
    const char *bytes = hf_guard_copy(&guard, hf_slice(message.bytes, size));
    outcome->answer =
        hf_http1_parse_request(&outcome->parser, &outcome->head, bytes, size, &limits);
}

static void assert_same(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->answer, b->answer);
    assert_int_equal(a->parser.reason, b->parser.reason);
    assert_int_equal(a->parser.scanned, b->parser.scanned);
    if (a->answer != HF_CODEC_DONE)
        return;
    size_t skip = offsetof(struct hf_head, size);
    assert_memory_equal((const char *)&a->head + skip, (const char *)&b->head + skip,
                        offsetof(struct hf_head, fields) - skip);
    for (unsigned i = 0; i < a->head.field_count; i++) {
        const struct hf_field *x = &a->head.fields[i], *y = &b->head.fields[i];
        assert_true(x->name == y->name && x->name_size == y->name_size && x->value == y->value);
        assert_true(x->value_size == y->value_size && x->id == y->id && x->drop == y->drop);
    }
}

/* At once, split in two anywhere, and byte by byte: the same answer after the same bytes. */
static void parse(struct hf_slice message, struct outcome *ret_outcome)
{
    static struct outcome split;
    *ret_outcome = (struct outcome){0};
    feed(ret_outcome, message, message.size);
    for (size_t at = 0; at <= message.size; at++) {
        split = (struct outcome){0};
        feed(&split, message, at);
        if (split.answer == HF_CODEC_NEED_MORE)
            feed(&split, message, message.size);
        assert_same(ret_outcome, &split);
    }
    split = (struct outcome){0};
    for (size_t at = 1; at <= message.size && split.answer == HF_CODEC_NEED_MORE; at++) {
        feed(&split, message, at);
        assert_in_range(split.parser.scanned, at - (split.answer == HF_CODEC_BAD), at);
    }
    assert_same(ret_outcome, &split);
}

struct refusal {
    struct hf_slice message;
    enum hf_http1_reason reason;
};
#define ROW(reason, text)                                                                          \
    {                                                                                              \
        {text, sizeof(text) - 1}, HF_HTTP1_##reason                                                \
    }
#define HEAD "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define UPGRADE "Connection: upgrade\r\nUpgrade: websocket\r\n"

static const struct refusal refusals[] = {
    /* start line */
    ROW(BLANK_LINES, "\r\n\r\n\r\n\r\n\r\n" HEAD "\r\n"),
    ROW(BAD_LINE_END, "\r\r\n" HEAD "\r\n"),
    ROW(BAD_LINE_END, "\n" HEAD "\r\n"),
    ROW(BAD_METHOD, " GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW(BAD_METHOD, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    ROW(BAD_METHOD, "\0"),
    ROW(BAD_METHOD, "G\xc9T / HTTP/1.1\r\n"),
    ROW(BAD_METHOD, "G(T / HTTP/1.1\r\n"),
    ROW(BAD_METHOD, "GET\t/ HTTP/1.1\r\n"),
    ROW(BAD_METHOD, "GET\r\n"),
    ROW(BAD_LINE_END, "GET\n"),
    ROW(METHOD_TOO_LONG, "ABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDE / "),
    ROW(BAD_TARGET, "GET  / HTTP/1.1\r\n"),
    ROW(BAD_TARGET, "GET \t/ HTTP/1.1\r\n"),
    ROW(BAD_TARGET, "GET /\tHTTP/1.1\r\n"),
    ROW(BAD_TARGET, "GET /\r\n"),
    ROW(BAD_TARGET, "GET /a\nb HTTP/1.1\r\n"),
    ROW(BAD_TARGET, "GET /a\0b HTTP/1.1\r\n"),
    ROW(BAD_TARGET, "GET /a\x7f"),
    ROW(BAD_TARGET, "GET /a\xc3\xa9 HTTP/1.1\r\n"),
    ROW(BAD_TARGET, "GET /a#b HTTP/1.1\r\n"),
    ROW(BAD_TARGET, "GET /a\\..\\b HTTP/1.1\r\n"),
    ROW(BAD_TARGET, "GET * HTTP/1.1\r\n"),
    ROW(BAD_TARGET, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ROW(BAD_TARGET, "OPTIONS ** HTTP/1.1\r\n"),
    ROW(BAD_TARGET, "GET a HTTP/1.1\r\n"),
    ROW(BAD_TARGET, "GET ?a HTTP/1.1\r\n"),
    ROW(BAD_TARGET, "GET ftp://a/ HTTP/1.1\r\n"),
    ROW(BAD_TARGET, "GET http:/a/ HTTP/1.1\r\n"),
    ROW(BAD_TARGET, "GET http:// HTTP/1.1\r\n"),
    ROW(BAD_TARGET, "GET http:///a HTTP/1.1\r\n"),
    ROW(BAD_TARGET, "GET http://u@a/ HTTP/1.1\r\n"),
    ROW(BAD_TARGET, "GET http://u:p@a/ HTTP/1.1\r\n"),
    ROW(BAD_TARGET, "GET http://a:b/ HTTP/1.1\r\n"),
    ROW(BAD_TARGET, "GET http://a:65536/ HTTP/1.1\r\n"),
    ROW(BAD_TARGET, "GET http://a,b/ HTTP/1.1\r\n"),
    ROW(CONNECT_REFUSED, "CONNECT a:443 HTTP/1.1\r\n"),
    ROW(BAD_TARGET, "CONNECT a HTTP/1.1\r\n"),
    ROW(BAD_TARGET, "CONNECT a: HTTP/1.1\r\n"),
    ROW(BAD_TARGET, "CONNECT /a HTTP/1.1\r\n"),
    ROW(BAD_VERSION, "GET / HTTP/1.1 \r\n"),
    ROW(BAD_VERSION, "GET /  HTTP/1.1\r\n"),
    ROW(BAD_VERSION, "GET / HTTP/1.10\r\n"),
    ROW(BAD_VERSION, "GET / HTTP/11\r\n"),
    ROW(BAD_VERSION, "GET / http/1.1\r\n"),
    ROW(BAD_VERSION, "GET / HTTP/1,1\r\n"),
    ROW(BAD_VERSION, "GET / HTTPS/1.1\r\n"),
    ROW(BAD_VERSION, "GET / HTTP/1.1\tX\r\n"),
    ROW(BAD_VERSION, "GET / \r\n"),
    ROW(UNKNOWN_VERSION, "GET / HTTP/0.9\r\n"),
    ROW(UNKNOWN_VERSION, "GET / HTTP/2.0\r\n"),
    ROW(BAD_LINE_END, "GET / HTTP/1.1\nHost: a\n\n"),
    ROW(BAD_LINE_END, "GET / HTTP/1.1\rHost: a\r\n\r\n"),
    /* field lines */
    ROW(FOLDED_FIELD, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    ROW(FOLDED_FIELD, "GET / HTTP/1.1\r\n\tHost: a\r\n\r\n"),
    ROW(FOLDED_FIELD, HEAD "A: b\r\n c\r\n\r\n"),
    ROW(FOLDED_FIELD, POST "Content-Length: 1\r\n 2\r\n\r\n"),
    ROW(FOLDED_FIELD, POST "Transfer-Encoding:\r\n chunked\r\n\r\n"),
    ROW(SPACE_BEFORE_COLON, HEAD "A : b\r\n\r\n"),
    ROW(SPACE_BEFORE_COLON, POST "Content-Length : 3\r\n\r\n"),
    ROW(SPACE_BEFORE_COLON, POST "Transfer-Encoding\t: chunked\r\n\r\n"),
    ROW(BAD_FIELD_NAME, HEAD "nocolon\r\n\r\n"),
    ROW(BAD_FIELD_NAME, HEAD ": b\r\n\r\n"),
    ROW(BAD_FIELD_NAME, HEAD "A\0: b\r\n\r\n"),
    ROW(BAD_FIELD_NAME, HEAD "A(: b\r\n\r\n"),
    ROW(BAD_FIELD_NAME, HEAD "\xc3\xa9: b\r\n\r\n"),
    ROW(BAD_FIELD_VALUE, HEAD "A: b\0c\r\n\r\n"),
    ROW(BAD_FIELD_VALUE, HEAD "A: b\x01\r\n\r\n"),
    ROW(BAD_FIELD_VALUE, HEAD "A: b\x7f\r\n\r\n"),
    ROW(BAD_FIELD_VALUE, HEAD "Cookie: a=b\x1f\r\n\r\n"),
    ROW(BAD_LINE_END, HEAD "A: b\nC: d\r\n\r\n"),
    ROW(BAD_LINE_END, HEAD "A: b\rC: d\r\n\r\n"),
    ROW(BAD_LINE_END, HEAD "A: b\r\n\n"),
    ROW(BAD_LINE_END, HEAD "A\n\r\n"),
    ROW(BAD_LINE_END, HEAD "\rX"),
    /* Host */
    ROW(NO_HOST, "GET / HTTP/1.1\r\n\r\n"),
    ROW(NO_HOST, "GET http://a/ HTTP/1.1\r\n\r\n"),
    ROW(DUPLICATE_HOST, HEAD "Host: a\r\n\r\n"),
    ROW(DUPLICATE_HOST, HEAD "hOST: b\r\n\r\n"),
    ROW(DUPLICATE_HOST, "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
    ROW(BAD_HOST, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    ROW(BAD_HOST, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    ROW(BAD_HOST, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    ROW(BAD_HOST, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    ROW(BAD_HOST, "GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n"),
    ROW(BAD_HOST, "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"),
    ROW(BAD_HOST, "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"),
    ROW(BAD_HOST, "GET / HTTP/1.1\r\nHost: a:-1\r\n\r\n"),
    ROW(BAD_HOST, "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"),
    ROW(BAD_HOST, "GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n"),
    ROW(BAD_HOST, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
    ROW(BAD_HOST, "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n"),
    ROW(BAD_HOST, "GET / HTTP/1.1\r\nHost: [a]\r\n\r\n"),
    ROW(BAD_HOST, "GET / HTTP/1.1\r\nHost: :80\r\n\r\n"),
    ROW(BAD_HOST, "GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n"),
    /* framing */
    ROW(DUPLICATE_LENGTH, POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\n"),
    ROW(DUPLICATE_LENGTH, POST "Content-Length: 3\r\nContent-Length: 4\r\n\r\n"),
    ROW(BAD_LENGTH, POST "Content-Length: 3, 3\r\n\r\n"),
    ROW(BAD_LENGTH, POST "Content-Length: 3, 4\r\n\r\n"),
    ROW(BAD_LENGTH, POST "Content-Length:\r\n\r\n"),
    ROW(BAD_LENGTH, POST "Content-Length:\r\nContent-Length: 3\r\n\r\n"),
    ROW(BAD_LENGTH, POST "Content-Length: +3\r\n\r\n"),
    ROW(BAD_LENGTH, POST "Content-Length: -3\r\n\r\n"),
    ROW(BAD_LENGTH, POST "Content-Length: 0x3\r\n\r\n"),
    ROW(BAD_LENGTH, POST "Content-Length: 3 3\r\n\r\n"),
    ROW(BAD_LENGTH, POST "Content-Length: 9223372036854775808\r\n\r\n"),
    ROW(BAD_LENGTH, POST "Content-Length: 18446744073709551619\r\n\r\n"),
    ROW(CODING_AND_LENGTH, POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"),
    ROW(CODING_AND_LENGTH, POST "Content-Length: 3\r\nTransfer-Encoding: cow\r\n\r\n"),
    ROW(CODING_IN_HTTP10, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ROW(BAD_CODING, POST "Transfer-Encoding: chunked, chunked\r\n\r\n"),
    ROW(BAD_CODING, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ROW(BAD_CODING, POST "Transfer-Encoding: identity\r\n\r\n"),
    ROW(BAD_CODING, POST "Transfer-Encoding: chunked, gzip\r\n\r\n"),
    ROW(BAD_CODING, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n"),
    ROW(BAD_CODING, POST "Transfer-Encoding: gzip, chunked, chunked\r\n\r\n"),
    ROW(BAD_CODING, POST "Transfer-Encoding: cow\r\n\r\n"),
    ROW(BAD_CODING, POST "Transfer-Encoding: xchunked\r\n\r\n"),
    ROW(BAD_CODING, POST "Transfer-Encoding: \"chunked\"\r\n\r\n"),
    ROW(BAD_CODING, POST "Transfer-Encoding: ,chunked\r\n\r\n"),
    ROW(BAD_CODING, POST "Transfer-Encoding: chunked,\r\n\r\n"),
    ROW(BAD_CODING, POST "Transfer-Encoding:\r\n\r\n"),
    ROW(BAD_CODING, POST "Transfer-Encoding: chunked;a=b\r\n\r\n"),
    ROW(BAD_CODING, POST "Transfer-Encoding: chunk ed\r\n\r\n"),
    ROW(UNKNOWN_CODING, POST "Transfer-Encoding: gzip, chunked\r\n\r\n"),
    ROW(UNKNOWN_CODING, POST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"),
    /* the rest */
    ROW(BAD_EXPECTATION, POST "Expect: foo\r\n\r\n"),
    ROW(BAD_EXPECTATION, POST "Expect: y 100-continue\r\n\r\n"),
    ROW(BAD_EXPECTATION, POST "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n"),
    ROW(BAD_WEBSOCKET, HEAD UPGRADE "\r\n"),
    ROW(BAD_WEBSOCKET, HEAD UPGRADE "Sec-WebSocket-Key: abc\r\n\r\n"),
    ROW(BAD_WEBSOCKET, HEAD UPGRADE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j!Q==\r\n\r\n"),
    ROW(BAD_WEBSOCKET, HEAD UPGRADE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA\r\n\r\n"),
    ROW(BAD_WEBSOCKET, HEAD UPGRADE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"),
    ROW(BAD_WEBSOCKET, POST UPGRADE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"),
};

static void test_refusals(void **state)
{
    static struct outcome outcome;
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        parse(refusals[i].message, &outcome);
        if (outcome.answer != HF_CODEC_BAD || outcome.parser.reason != refusals[i].reason)
            print_message("%.*s: %s\n", (int)refusals[i].message.size, refusals[i].message.bytes,
                          hf_http1_reason_word((enum hf_http1_reason)outcome.parser.reason));
        wrong += outcome.answer != HF_CODEC_BAD || outcome.parser.reason != refusals[i].reason;
    }
    assert_int_equal(wrong, 0);
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
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
