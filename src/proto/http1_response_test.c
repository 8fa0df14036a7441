#include "base/test.h"
#include "proto/http1_feed.h"

static struct hf_http1_feed responses = {.limits = {.head_size_max = 32 * 1024, .fields_max = 100},
                                         .as_response = true,
                                         .request_method = HF_METHOD_GET};

struct refusal {
    struct hf_slice message;
    enum hf_http1_reason reason;
};
#define ROW(reason, text)                                                                          \
    {                                                                                              \
        {text, sizeof(text) - 1}, HF_HTTP1_##reason                                                \
    }
#define OK "HTTP/1.1 200 OK\r\n"

static const struct refusal refusals[] = {
    ROW(BAD_STATUS_LINE, "\r\n" OK "\r\n"),
    ROW(BAD_STATUS_LINE, "\x15\x03\x03"),
    ROW(BAD_STATUS_LINE, "SSH-2.0"),
    ROW(BAD_STATUS_LINE, "http/1.1 200 OK\r\n"),
    ROW(BAD_STATUS_LINE, "HTTP/2.0 200 OK\r\n"),
    ROW(BAD_STATUS_LINE, "HTTP/1.10 200 OK\r\n"),
    ROW(BAD_STATUS_LINE, "HTTP/1.1  200 OK\r\n"),
    ROW(BAD_STATUS_LINE, "HTTP/1.1 2000 OK\r\n"),
    ROW(BAD_STATUS_LINE, "HTTP/1.1 20 OK\r\n"),
    ROW(BAD_STATUS_LINE, "HTTP/1.1 099 OK\r\n"),
    ROW(BAD_STATUS_LINE, "HTTP/1.1 600 OK\r\n"),
    ROW(BAD_STATUS_LINE, "HTTP/1.1 200\tOK\r\n"),
    ROW(BAD_STATUS_LINE, "HTTP/1.1 200 O\0K\r\n"),
    ROW(BAD_LINE_END, "HTTP/1.1 200 OK\n\n"),
    ROW(BAD_LINE_END, "HTTP/1.1 200 OK\rX"),
    ROW(FOLDED_FIELD, OK "A: b\r\n c\r\n\r\n"),
    ROW(BAD_FIELD_NAME, OK "nocolon\r\n\r\n"),
    ROW(FOLDED_FIELD, OK " A: b\r\n\r\n"),
    ROW(BAD_FIELD_VALUE, OK "A: b\0c\r\n\r\n"),
    ROW(BAD_LINE_END, OK "A: b\n\r\n"),
    ROW(BAD_FIELD_NAME, OK "A b: c\r\n\r\n"),
    ROW(DUPLICATE_LENGTH, OK "Content-Length: 3\r\nContent-Length: 4\r\n\r\n"),
    ROW(DUPLICATE_LENGTH, OK "Content-Length: 3\r\nContent-Length: 3\r\n\r\n"),
    ROW(BAD_LENGTH, OK "Content-Length: x\r\n\r\n"),
    ROW(BAD_LENGTH, OK "Content-Length: -1\r\n\r\n"),
    ROW(BAD_LENGTH, OK "Content-Length:\r\n\r\n"),
    ROW(BAD_LENGTH, OK "Content-Length: 3, 3\r\n\r\n"),
    ROW(UNKNOWN_CODING, OK "Transfer-Encoding: gzip\r\n\r\n"),
    ROW(UNKNOWN_CODING, OK "Transfer-Encoding: gzip, chunked\r\n\r\n"),
    ROW(BAD_CODING, OK "Transfer-Encoding: chunked, chunked\r\n\r\n"),
    ROW(CODING_IN_HTTP10, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
};

static void test_refusals(void **state)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        wrong += !hf_http1_feed_refused(&responses, refusals[i].message, refusals[i].reason);
    assert_int_equal(wrong, 0);
}

static const struct hf_head *accept(const char *message)
{
    return hf_http1_feed_accepted(&responses, message);
}

static void test_plain_response(void **state)
{
    const struct hf_head *head =
        accept(OK "Content-Length: 5\r\nServer : x\r\nA_B: c\r\n\r\nhello");
    assert_int_equal(head->status, 200);
    assert_true(hf_slice_equal(hf_head_span(head, head->reason_phrase), HF_SLICE("OK")));
    assert_true(head->body == HF_BODY_LENGTH && head->content_length == 5 && head->keep_alive);
    assert_int_equal(head->size, responses.message.size - 5);
    assert_true(hf_http1_feed_forwards(head, "Server"));
    assert_true(hf_http1_feed_forwards(head, "A_B"));
    assert_false(hf_http1_feed_forwards(head, "Content-Length"));
}

static void test_phrases(void **state)
{
    assert_int_equal(accept("HTTP/1.1 599 \r\n\r\n")->reason_phrase.size, 0);
    assert_int_equal(accept("HTTP/1.1 404\r\n\r\n")->reason_phrase.size, 0);
    assert_int_equal(accept("HTTP/1.1 404  a \xc3\xa9\t\r\n\r\n")->reason_phrase.size, 6);
}

static void test_persistence(void **state)
{
    assert_true(accept(OK "Content-Length: 0\r\n\r\n")->keep_alive);
    assert_false(accept(OK "Content-Length: 0\r\nConnection: close\r\n\r\n")->keep_alive);
    assert_false(accept("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")->keep_alive);
    assert_true(accept("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n")
                    ->keep_alive);
    const struct hf_head *head = accept(OK "\r\n");
    assert_true(head->body == HF_BODY_UNTIL_CLOSE && !head->keep_alive);
    assert_int_equal(accept(OK "Content-Length: 0\r\n\r\n")->body, HF_BODY_NONE);
}

static void test_coding_beside_length(void **state)
{
    const struct hf_head *head =
        accept(OK "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_true(head->body == HF_BODY_CHUNKED && !head->keep_alive && !head->has_content_length);
    assert_false(hf_http1_feed_forwards(head, "Content-Length"));
    assert_true(accept(OK "Transfer-Encoding: chunked\r\n\r\n")->keep_alive);
}

static void test_no_content(void **state)
{
    const struct hf_head *head = accept("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n");
    assert_true(head->body == HF_BODY_NONE && head->has_content_length && head->keep_alive);
    assert_true(head->content_length == 9);
    assert_true(accept("HTTP/1.1 204 No Content\r\n\r\n")->keep_alive);
    assert_int_equal(responses.head.body, HF_BODY_NONE);
    assert_false(accept("HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n")->keep_alive);
    assert_int_equal(responses.head.body, HF_BODY_NONE);
    assert_false(accept("HTTP/1.1 204 OK\r\nTransfer-Encoding: chunked\r\n\r\n")->keep_alive);
    assert_int_equal(accept("HTTP/1.1 100 Continue\r\n\r\n" OK)->body, HF_BODY_NONE);
    assert_int_equal(responses.head.size, strlen("HTTP/1.1 100 Continue\r\n\r\n"));
    assert_true(responses.head.keep_alive);
    responses.request_method = HF_METHOD_HEAD;
    head = accept(OK "Content-Length: 5\r\n\r\n");
    assert_true(head->body == HF_BODY_NONE && head->content_length == 5 && head->keep_alive);
    head = accept(OK "Transfer-Encoding: chunked\r\n\r\n");
    assert_true(head->body == HF_BODY_NONE && head->keep_alive);
    responses.request_method = HF_METHOD_CONNECT;
    assert_int_equal(accept(OK "Content-Length: 5\r\n\r\n")->body, HF_BODY_NONE);
    assert_int_equal(accept("HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\n")->body, HF_BODY_LENGTH);
    responses.request_method = HF_METHOD_GET;
}

static void test_switching(void **state)
{
    const struct hf_head *head = accept("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                        "Connection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n");
    assert_true(head->upgrade && head->body == HF_BODY_NONE);
    assert_true(hf_http1_feed_forwards(head, "Upgrade"));
    assert_false(hf_http1_feed_forwards(head, "Connection"));
    accept(OK "Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n");
    assert_false(hf_http1_feed_forwards(&responses.head, "Upgrade"));
    assert_false(accept("HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n")->upgrade);
}

static void test_hop_by_hop(void **state)
{
    const struct hf_head *head =
        accept(OK "Connection: x-mine, set-cookie\r\nX-Mine: 1\r\nSet-Cookie: a=b\r\n"
                  "Keep-Alive: timeout=5\r\nProxy-Connection: x\r\nTrailer: y\r\nDate: z\r\n\r\n");
    assert_false(hf_http1_feed_forwards(head, "X-Mine"));
    assert_false(hf_http1_feed_forwards(head, "Keep-Alive"));
    assert_false(hf_http1_feed_forwards(head, "Proxy-Connection"));
    assert_false(hf_http1_feed_forwards(head, "Trailer"));
    assert_true(hf_http1_feed_forwards(head, "Set-Cookie"));
    assert_true(hf_http1_feed_forwards(head, "Date"));
}

static int setup(void **state)
{
    responses.guard = hf_guard_init();
    return 0;
}

static int teardown(void **state)
{
    hf_guard_fini(&responses.guard);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),   cmocka_unit_test(test_plain_response),
        cmocka_unit_test(test_phrases),    cmocka_unit_test(test_persistence),
        cmocka_unit_test(test_no_content), cmocka_unit_test(test_coding_beside_length),
        cmocka_unit_test(test_switching),  cmocka_unit_test(test_hop_by_hop),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
