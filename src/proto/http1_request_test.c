#include "base/test.h"
#include "proto/http1_feed.h"
#include <stdio.h>

static struct hf_http1_feed requests = {.limits = {.head_size_max = 32 * 1024, .fields_max = 100}};

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
    ROW(METHOD_TOO_LONG,
        "ABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDEFGHIJ / "),
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
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        wrong += !hf_http1_feed_refused(&requests, refusals[i].message, refusals[i].reason);
    assert_int_equal(wrong, 0);
}

static const struct hf_head *accept(const char *message)
{
    return hf_http1_feed_accepted(&requests, message);
}

static bool is(struct hf_slice slice, const char *text)
{
    return hf_slice_equal(slice, hf_slice_text(text));
}

static void test_browser_request(void **state)
{
    const struct hf_head *head =
        accept("\r\nGET /a/b?q=1|2 HTTP/1.1\r\nHost: shop.example:8080\r\n"
               "User-Agent:  Mozilla/5.0 (X11) \t\r\nCookie: a=b; c=\"d\"\r\n"
               "X:\r\nY: \xc3\xa9\t1\r\n\r\nGET /next");
    assert_int_equal(head->size, requests.message.size - strlen("GET /next"));
    assert_int_equal(head->method, HF_METHOD_GET);
    assert_true(is(hf_head_span(head, head->method_text), "GET"));
    assert_true(is(hf_head_span(head, head->path), "/a/b?q=1|2"));
    assert_true(is(hf_head_span(head, head->authority), "shop.example:8080"));
    assert_int_equal(head->version_minor, 1);
    assert_int_equal(head->field_count, 5);
    assert_true(is(hf_field_value(head, &head->fields[1]), "Mozilla/5.0 (X11)"));
    assert_int_equal(head->fields[2].id, HF_FIELD_COOKIE);
    assert_true(is(hf_field_name(head, &head->fields[3]), "X"));
    assert_true(is(hf_field_value(head, &head->fields[3]), ""));
    assert_true(is(hf_field_value(head, &head->fields[4]), "\xc3\xa9\t1"));
    assert_true(head->keep_alive && !head->upgrade && !head->expect_continue);
    assert_int_equal(head->body, HF_BODY_NONE);
}

static void test_blank_lines_before(void **state)
{
    accept("\r\n" HEAD "\r\n");
    accept("\r\n\r\n\r\n\r\n" HEAD "\r\n");
}

static void test_methods(void **state)
{
    static const char *const names[] = {"OTHER",  "GET",     "HEAD",    "POST",  "PUT",
                                        "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};
    char text[128];
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (i == HF_METHOD_CONNECT)
            continue;
        snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: a\r\n\r\n", names[i]);
        assert_int_equal(accept(text)->method, i);
    }
    assert_int_equal(accept("get / HTTP/1.1\r\nHost: a\r\n\r\n")->method, HF_METHOD_OTHER);
    assert_int_equal(accept("G!T / HTTP/1.1\r\nHost: a\r\n\r\n")->method, HF_METHOD_OTHER);
    snprintf(text, sizeof(text), "%064d / HTTP/1.1\r\nHost: a\r\n\r\n", 7);
    assert_int_equal(accept(text)->method_text.size, HF_METHOD_SIZE_MAX);
}

static void assert_target(const char *line, const char *path, const char *authority)
{
    char text[256];
    snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: other:1\r\n\r\n", line);
    const struct hf_head *head = accept(text);
    assert_true(is(hf_head_span(head, head->path), path));
    assert_true(is(hf_head_span(head, head->authority), authority));
}

static void test_targets(void **state)
{
    assert_target("GET /", "/", "other:1");
    assert_target("GET //a//b?c?d", "//a//b?c?d", "other:1");
    assert_target("GET /%00%zz%", "/%00%zz%", "other:1");
    assert_target("GET /a?b\\c", "/a?b\\c", "other:1");
    assert_target("GET http://a.example/b?c", "/b?c", "a.example");
    assert_target("GET HTTPS://[::1]:443/", "/", "[::1]:443");
    assert_target("GET http://a", "/", "a");
    assert_target("GET http://a:", "/", "a:");
    assert_false(requests.head.options_asterisk);
    assert_target("OPTIONS *", "*", "other:1");
    assert_true(requests.head.options_asterisk);
    assert_target("OPTIONS http://a", "/", "a");
    assert_true(requests.head.options_asterisk);
    assert_target("OPTIONS /", "/", "other:1");
    assert_false(requests.head.options_asterisk);
}

static void test_versions(void **state)
{
    const struct hf_head *head = accept("GET / HTTP/1.0\r\n\r\n");
    assert_true(head->version_minor == 0 && !head->keep_alive && head->authority.size == 0);
    assert_true(accept("GET / HTTP/1.0\r\nConnection: x, Keep-Alive\r\n\r\n")->keep_alive);
    assert_false(accept("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n")->keep_alive);
    assert_int_equal(accept("GET / HTTP/1.0\r\nHost:\r\n\r\n")->authority.size, 0);
    assert_int_equal(accept("GET / HTTP/1.2\r\nHost: a\r\n\r\n")->version_minor, 1);
    assert_false(accept(HEAD "Connection: close\r\n\r\n")->keep_alive);
    assert_false(accept(HEAD "Connection: a\r\nConnection: ,CLOSE,\r\n\r\n")->keep_alive);
    assert_true(accept(HEAD "Connection: closed, \"close\", clos\r\n\r\n")->keep_alive);
}

static void test_framing(void **state)
{
    const struct hf_head *head = accept(POST "Content-Length: 0003\r\n\r\nabc");
    assert_true(head->body == HF_BODY_LENGTH && head->content_length == 3);
    assert_false(hf_http1_feed_forwards(head, "content-length"));
    head = accept(POST "Content-Length: 0\r\n\r\n");
    assert_true(head->body == HF_BODY_NONE && head->has_content_length);
    head = accept(POST "Content-Length: 9223372036854775807\r\n\r\n");
    assert_true(head->content_length == INT64_MAX);
    head = accept("GET / HTTP/1.0\r\nContent-Length: 3\r\n\r\n");
    assert_true(head->body == HF_BODY_LENGTH && head->content_length == 3);
    head = accept(POST "Transfer-Encoding: \t cHuNkEd \r\n\r\n");
    assert_int_equal(head->body, HF_BODY_CHUNKED);
    assert_false(head->has_content_length);
    assert_false(hf_http1_feed_forwards(head, "transfer-encoding"));
    assert_false(accept(POST "\r\n")->has_content_length);
}

static void test_expect(void **state)
{
    assert_true(accept(POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n")->expect_continue);
    assert_false(hf_http1_feed_forwards(&requests.head, "expect"));
    assert_false(accept(POST "Expect: 100-continue\r\n\r\n")->expect_continue);
    assert_false(accept("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
                     ->expect_continue);
}

static void test_hop_by_hop(void **state)
{
    static const char *const dropped[] = {
        "Connection", "Keep-Alive",     "Proxy-Connection", "TE", "Trailer",       "Upgrade",
        "X-Mine",     "HTTP2-Settings", "X_Forwarded_For",  "_",  "Content_Length"};
    static const char *const kept[] = {
        "Host", "Cookie", "X-Forwarded-For", "Authorization", "Cache-Control", "Range", "X-Yours"};
    const struct hf_head *head =
        accept(HEAD "Connection: x-mine, HTTP2-Settings, Upgrade, host, cookie, te\r\n"
                    "Connection: X-Forwarded-For,authorization,cache-control,range,absent\r\n"
                    "Keep-Alive: 5\r\nProxy-Connection: keep-alive\r\nTE: trailers, chunked\r\n"
                    "Trailer: x\r\nUpgrade: h2c\r\nX-Mine: 1\r\nHTTP2-Settings: AA\r\n"
                    "X_Forwarded_For: 1.2.3.4\r\n_: 1\r\nContent_Length: 4\r\n"
                    "Cookie: a=b\r\nX-Forwarded-For: 1.2.3.4\r\nAuthorization: x\r\n"
                    "Cache-Control: x\r\nRange: x\r\nX-Yours: 1\r\n\r\n");
    assert_false(head->upgrade);
    for (size_t i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++)
        assert_false(hf_http1_feed_forwards(head, dropped[i]));
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        assert_true(hf_http1_feed_forwards(head, kept[i]));
}

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define ASKED HEAD "Connection: upgrade\r\n"

static void test_upgrades(void **state)
{
    const struct hf_head *head =
        accept(HEAD "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n" KEY "\r\n");
    assert_true(head->upgrade && hf_http1_feed_forwards(head, "upgrade"));
    assert_false(hf_http1_feed_forwards(head, "connection"));
    assert_true(accept(HEAD UPGRADE KEY "Sec-WebSocket-Version: 12\r\n\r\n")->upgrade);
    assert_true(accept(ASKED "Upgrade: foo/1.0\r\n\r\n")->upgrade);
    static const char *const plain[] = {
        HEAD "Upgrade: websocket\r\n\r\n",
        ASKED "\r\n",
        ASKED "Upgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
        ASKED "Upgrade: websocket, h2c\r\n" KEY "\r\n",
        ASKED "Upgrade: TLS/1.2\r\n\r\n",
        ASKED "Upgrade: HTTP/2.0\r\n\r\n",
        ASKED "Upgrade: foo/\"\r\n\r\n",
        ASKED "Upgrade: /1\r\n\r\n",
        ASKED "Upgrade:\r\n\r\n",
        HEAD UPGRADE "Upgrade: websocket\r\n" KEY "\r\n",
        "GET / HTTP/1.0\r\n" UPGRADE KEY "\r\n",
        HEAD UPGRADE KEY "Content-Length: 5\r\n\r\n",
        HEAD UPGRADE KEY "Transfer-Encoding: chunked\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        assert_false(accept(plain[i])->upgrade);
        const struct hf_field *field = hf_head_find(&requests.head, HF_FIELD_UPGRADE);
        assert_true(field == NULL || field->drop);
    }
}

/* `count` times the text `unit`, between two others. */
static struct hf_slice repeated(const char *before, const char *unit, size_t count,
                                const char *after)
{
    static char text[64 * 1024];
    size_t size = strlen(before), unit_size = strlen(unit);
    assert_true(size + count * unit_size + strlen(after) <= sizeof(text));
    memcpy(text, before, size);
    for (size_t i = 0; i < count; i++, size += unit_size)
        memcpy(text + size, unit, unit_size);
    memcpy(text + size, after, strlen(after));
    return hf_slice(text, size + strlen(after));
}

static void assert_limit(struct hf_slice message, enum hf_http1_reason reason)
{
    hf_http1_feed_all_ways(&requests, message, 997);
    assert_int_equal(requests.parser.reason, reason);
    assert_int_equal(requests.answer, reason == HF_HTTP1_OK ? HF_CODEC_DONE : HF_CODEC_BAD);
}

static void test_line_limits(void **state)
{
    const char *end = " HTTP/1.1\r\nHost: a\r\n\r\n";
    size_t room = HF_HEAD_LINE_MAX - strlen("GET / HTTP/1.1\r\n");
    assert_limit(repeated("GET /", "a", room, end), HF_HTTP1_OK);
    assert_limit(repeated("GET /", "a", room + 1, end), HF_HTTP1_TARGET_TOO_LONG);
    assert_limit(repeated("GET /", "a", 60000, ""), HF_HTTP1_TARGET_TOO_LONG);
    room = HF_HEAD_LINE_MAX - strlen("A: \r\n");
    assert_limit(repeated(HEAD "A: ", "b", room, "\r\n\r\n"), HF_HTTP1_OK);
    assert_limit(repeated(HEAD "A: ", "b", room + 1, "\r\n\r\n"), HF_HTTP1_FIELD_TOO_LONG);
    assert_limit(repeated(HEAD, "A", 60000, ""), HF_HTTP1_FIELD_TOO_LONG);
    assert_limit(repeated(HEAD "A:", " ", 60000, ""), HF_HTTP1_FIELD_TOO_LONG);
}

static void test_head_limits(void **state)
{
    assert_limit(repeated(HEAD, "A: b\r\n", 99, "\r\n"), HF_HTTP1_OK);
    assert_limit(repeated(HEAD, "A: b\r\n", 100, "\r\n"), HF_HTTP1_TOO_MANY_FIELDS);
    assert_limit(repeated(HEAD, "A: b\r\n", 9000, ""), HF_HTTP1_TOO_MANY_FIELDS);
    assert_limit(repeated(HEAD "Connection: ", "a,", 64, "\r\n\r\n"), HF_HTTP1_OK);
    assert_limit(repeated(HEAD "Connection: ", "a,", 65, "\r\n\r\n"), HF_HTTP1_CONNECTION_OPTIONS);
    struct hf_slice whole = repeated(HEAD, "A: b\r\n", 40, "\r\n");
    requests.limits.head_size_max = (uint32_t)whole.size;
    assert_limit(whole, HF_HTTP1_OK);
    requests.limits.head_size_max--;
    assert_limit(whole, HF_HTTP1_HEAD_TOO_LARGE);
    requests.limits.head_size_max = 10;
    assert_limit(whole, HF_HTTP1_TARGET_TOO_LONG);
    requests.limits = (struct hf_http1_limits){HF_HEAD_SIZE_MAX, HF_FIELDS_MAX};
    assert_limit(repeated(HEAD, "A: b\r\n", HF_FIELDS_MAX - 1, "\r\n"), HF_HTTP1_OK);
    assert_limit(repeated(HEAD, "A: b\r\n", HF_FIELDS_MAX, "\r\n"), HF_HTTP1_TOO_MANY_FIELDS);
    requests.limits = (struct hf_http1_limits){32 * 1024, 100};
}

static void test_answers_stay(void **state)
{
    accept(HEAD "\r\n");
    hf_http1_feed_part(&requests, requests.message.size);
    assert_int_equal(requests.answer, HF_CODEC_DONE);
    assert_true(hf_http1_feed_refused(&requests, HF_SLICE("GET\r"), HF_HTTP1_BAD_METHOD));
    hf_http1_feed_part(&requests, requests.message.size);
    assert_int_equal(requests.answer, HF_CODEC_BAD);
    assert_int_equal(requests.parser.reason, HF_HTTP1_BAD_METHOD);
}

static void test_reasons(void **state)
{
    assert_int_equal(hf_http1_reason_status(HF_HTTP1_TARGET_TOO_LONG), 414);
    assert_int_equal(hf_http1_reason_status(HF_HTTP1_BAD_EXPECTATION), 417);
    assert_int_equal(hf_http1_reason_status(HF_HTTP1_UNKNOWN_VERSION), 505);
    for (unsigned i = HF_HTTP1_OK + 1; i < HF_HTTP1_REASONS; i++) {
        assert_in_range(hf_http1_reason_status((enum hf_http1_reason)i), 400, 505);
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(hf_http1_reason_word((enum hf_http1_reason)i),
                                    hf_http1_reason_word((enum hf_http1_reason)j));
    }
}

static int setup(void **state)
{
    requests.guard = hf_guard_init();
    return 0;
}

static int teardown(void **state)
{
    hf_guard_fini(&requests.guard);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_browser_request),
        cmocka_unit_test(test_blank_lines_before),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_framing),
        cmocka_unit_test(test_expect),
        cmocka_unit_test(test_hop_by_hop),
        cmocka_unit_test(test_upgrades),
        cmocka_unit_test(test_line_limits),
        cmocka_unit_test(test_head_limits),
        cmocka_unit_test(test_answers_stay),
        cmocka_unit_test(test_reasons),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
