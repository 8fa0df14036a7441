/* What each driver sends for a request, and what it makes of the answers. */
#include "base/test.h"
#include "remote/pipe.h"
#include <stdio.h>

static struct hf_pipe pipe_of_tests;

static void sends(const struct hf_pipe_codec *codec, const struct hf_remote_request *request,
                  unsigned replies, const char *expected)
{
    char text[1024];
    struct hf_writer measure = hf_writer(NULL, 0), writer = hf_writer(text, sizeof(text));
    assert_int_equal(codec->encode(request, &measure), replies);
    assert_int_equal(codec->encode(request, &writer), replies);
    assert_int_equal(measure.size, writer.size);
    assert_true(hf_writer_fits(&writer));
    if (!hf_slice_equal(hf_slice(text, writer.size), hf_slice_text(expected)))
        print_error("sent: %.*s\n", (int)writer.size, text);
    assert_true(hf_slice_equal(hf_slice(text, writer.size), hf_slice_text(expected)));
}

/* The replies of one request, as they come from the socket. */
static struct hf_remote_result answers(const struct hf_pipe_codec *codec, enum hf_remote_kind kind,
                                       unsigned replies, const char *text)
{
    struct hf_slice rest = hf_slice_text(text);
    struct hf_pipe_slot slot = {.kind = (uint8_t)kind, .replies = (uint8_t)replies};
    struct hf_remote_result result = {.ttl_ms = HF_REMOTE_NEVER};
    while (slot.replies > 0) {
        size_t used = 0;
        assert_int_equal(codec->split(&pipe_of_tests, rest, &used), HF_CODEC_DONE);
        slot.replies--;
        codec->fold(&pipe_of_tests, &slot, hf_slice(rest.bytes, used), &result);
        rest = hf_slice(rest.bytes + used, rest.size - used);
    }
    assert_int_equal(rest.size, 0);
    return result;
}

static void redis_requests(void **state)
{
    (void)state;
    const struct hf_slice key = HF_SLICE("k");
    const struct hf_slice pair[] = {HF_SLICE("f"), HF_SLICE("v")};
    const struct hf_pipe_codec *redis = &hf_redis_codec;
    struct hf_remote_request request = {.kind = HF_REMOTE_LOAD, .key = key};
    sends(redis, &request, 4,
          "*1\r\n$5\r\nMULTI\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$4\r\nPTTL\r\n$1\r\nk\r\n"
          "*1\r\n$4\r\nEXEC\r\n");
    request.hash = request.asking = true;
    sends(redis, &request, 5,
          "*1\r\n$6\r\nASKING\r\n*1\r\n$5\r\nMULTI\r\n*2\r\n$7\r\nHGETALL\r\n$1\r\nk\r\n"
          "*2\r\n$4\r\nPTTL\r\n$1\r\nk\r\n*1\r\n$4\r\nEXEC\r\n");
    request = (struct hf_remote_request){
        .kind = HF_REMOTE_PUT, .key = key, .value = HF_SLICE("v"), .ttl_ms = HF_REMOTE_NEVER};
    sends(redis, &request, 1, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n");
    request.ttl_ms = 1500;
    request.when = HF_REMOTE_IF_NEW;
    sends(redis, &request, 1,
          "*6\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n$2\r\nPX\r\n$4\r\n1500\r\n$2\r\nNX\r\n");
    request.hash = true;
    request.fields = pair;
    request.field_count = 2;
    sends(redis, &request, 5,
          "*1\r\n$5\r\nMULTI\r\n*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n"
          "*4\r\n$4\r\nHSET\r\n$1\r\nk\r\n$1\r\nf\r\n$1\r\nv\r\n"
          "*3\r\n$7\r\nPEXPIRE\r\n$1\r\nk\r\n$4\r\n1500\r\n*1\r\n$4\r\nEXEC\r\n");
    request =
        (struct hf_remote_request){.kind = HF_REMOTE_EXPIRE, .key = key, .ttl_ms = HF_REMOTE_NEVER};
    sends(redis, &request, 1, "*2\r\n$7\r\nPERSIST\r\n$1\r\nk\r\n");
    request = (struct hf_remote_request){
        .kind = HF_REMOTE_HASH_DELETE, .key = key, .fields = pair, .field_count = 1};
    sends(redis, &request, 1, "*3\r\n$4\r\nHDEL\r\n$1\r\nk\r\n$1\r\nf\r\n");
}

static void redis_answers(void **state)
{
    (void)state;
    const struct hf_pipe_codec *redis = &hf_redis_codec;
    const enum hf_remote_kind load = HF_REMOTE_LOAD;
    struct hf_slice name, value;
    struct hf_remote_result result =
        answers(redis, load, 4, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$2\r\nab\r\n:90\r\n");
    assert_int_equal(result.status, HF_REMOTE_OK);
    assert_true(hf_slice_equal(result.value, HF_SLICE("ab")));
    assert_int_equal(result.ttl_ms, 90);
    result = answers(redis, load, 4, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$-1\r\n:-2\r\n");
    assert_int_equal(result.status, HF_REMOTE_MISSING);
    result = answers(redis, load, 4,
                     "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n"
                     "$0\r\n\r\n:-1\r\n");
    assert_true(result.status == HF_REMOTE_OK && result.hash && result.field_count == 2);
    assert_true(result.ttl_ms == HF_REMOTE_NEVER);
    assert_true(hf_remote_next_field(&result, &name, &value));
    assert_true(hf_slice_equal(name, HF_SLICE("a")) && hf_slice_equal(value, HF_SLICE("1")));
    assert_true(hf_remote_next_field(&result, &name, &value));
    assert_true(hf_slice_equal(name, HF_SLICE("b")) && value.size == 0);
    assert_false(hf_remote_next_field(&result, &name, &value));
    result = answers(redis, load, 4, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n*0\r\n:-2\r\n");
    assert_int_equal(result.status, HF_REMOTE_MISSING);
    result = answers(redis, load, 4, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n-WRONGTYPE no\r\n:-1\r\n");
    assert_int_equal(result.status, HF_REMOTE_WRONG_TYPE);
    result = answers(redis, load, 4, "+OK\r\n-NOPERM no\r\n+QUEUED\r\n-EXECABORT discarded\r\n");
    assert_int_equal(result.status, HF_REMOTE_REFUSED);
    assert_non_null(strstr(pipe_of_tests.trouble, "NOPERM no"));
    result = answers(redis, load, 4, "+OK\r\n+QUEUED\r\n+QUEUED\r\n+odd\r\n");
    assert_int_equal(result.status, HF_REMOTE_REFUSED);
    result = answers(redis, load, 4, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:5\r\n:-1\r\n");
    assert_int_equal(result.status, HF_REMOTE_REFUSED); /* never an empty session */
    assert_int_equal(answers(redis, HF_REMOTE_PUT, 1, "$-1\r\n").status, HF_REMOTE_UNMET);
    assert_int_equal(answers(redis, HF_REMOTE_PUT, 1, "-OOM no\r\n").status, HF_REMOTE_REFUSED);
    assert_int_equal(answers(redis, HF_REMOTE_EXPIRE, 1, ":0\r\n").status, HF_REMOTE_MISSING);
    assert_int_equal(answers(redis, HF_REMOTE_DELETE, 1, ":0\r\n").status, HF_REMOTE_OK);
}

static void memcached_requests(void **state)
{
    (void)state;
    const struct hf_pipe_codec *memcached = &hf_memcached_codec;
    struct hf_remote_request request = {.kind = HF_REMOTE_LOAD, .key = HF_SLICE("k")};
    sends(memcached, &request, 1, "mg k v f t c\r\n");
    request.key = HF_SLICE("a b");
    sends(memcached, &request, 1, "mg YSBi b v f t c\r\n");
    request.key = HF_SLICE("a b1");
    sends(memcached, &request, 1, "mg YSBiMQ== b v f t c\r\n");
    request = (struct hf_remote_request){.kind = HF_REMOTE_PUT,
                                         .key = HF_SLICE("a b12"),
                                         .value = HF_SLICE("v\r\n"),
                                         .client_flags = 7,
                                         .ttl_ms = 1500};
    sends(memcached, &request, 1, "ms YSBiMTI= 3 b F7 T2\r\nv\r\n\r\n");
    request.key = HF_SLICE("k");
    request.ttl_ms = HF_REMOTE_NEVER;
    request.token = 5;
    sends(memcached, &request, 1, "ms k 3 F7 T0 C5\r\nv\r\n\r\n");
    request.token = 0;
    request.when = HF_REMOTE_IF_NEW;
    sends(memcached, &request, 1, "ms k 3 F7 T0 ME\r\nv\r\n\r\n");
    request =
        (struct hf_remote_request){.kind = HF_REMOTE_EXPIRE, .key = HF_SLICE("k"), .ttl_ms = 1};
    sends(memcached, &request, 1, "mg k T1\r\n");
    request.kind = HF_REMOTE_DELETE;
    sends(memcached, &request, 1, "md k\r\n");
    request.kind = HF_REMOTE_HASH_SET; /* it has none */
    sends(memcached, &request, 0, "");
    static char text[251];
    memset(text, 'k', sizeof(text));
    request =
        (struct hf_remote_request){.kind = HF_REMOTE_DELETE, .key = hf_slice(text, sizeof(text))};
    sends(memcached, &request, 0, "");
}

static void memcached_answers(void **state)
{
    (void)state;
    const struct hf_pipe_codec *memcached = &hf_memcached_codec;
    struct hf_remote_result result =
        answers(memcached, HF_REMOTE_LOAD, 1, "VA 2 f7 t90 c5\r\nab\r\n");
    assert_int_equal(result.status, HF_REMOTE_OK);
    assert_true(hf_slice_equal(result.value, HF_SLICE("ab")));
    assert_int_equal(result.client_flags, 7);
    assert_int_equal(result.ttl_ms, 90000);
    assert_int_equal(result.token, 5);
    result = answers(memcached, HF_REMOTE_LOAD, 1, "VA 0 f0 t-1 c5\r\n\r\n");
    assert_true(result.ttl_ms == HF_REMOTE_NEVER);
    assert_int_equal(answers(memcached, HF_REMOTE_LOAD, 1, "EN\r\n").status, HF_REMOTE_MISSING);
    assert_int_equal(answers(memcached, HF_REMOTE_LOAD, 1, "HD\r\n").status, HF_REMOTE_REFUSED);
    assert_int_equal(answers(memcached, HF_REMOTE_LOAD, 1, "MN\r\n").status, HF_REMOTE_REFUSED);
    assert_int_equal(answers(memcached, HF_REMOTE_EXPIRE, 1, "EN\r\n").status, HF_REMOTE_MISSING);
    assert_int_equal(answers(memcached, HF_REMOTE_EXPIRE, 1, "HD\r\n").status, HF_REMOTE_OK);
    assert_int_equal(answers(memcached, HF_REMOTE_PUT, 1, "NS\r\n").status, HF_REMOTE_UNMET);
    assert_int_equal(answers(memcached, HF_REMOTE_PUT, 1, "EX\r\n").status, HF_REMOTE_UNMET);
    assert_int_equal(answers(memcached, HF_REMOTE_PUT, 1, "NF\r\n").status, HF_REMOTE_UNMET);
    assert_int_equal(answers(memcached, HF_REMOTE_DELETE, 1, "NF\r\n").status, HF_REMOTE_OK);
    assert_int_equal(answers(memcached, HF_REMOTE_DELETE, 1, "EX\r\n").status, HF_REMOTE_UNMET);
    result = answers(memcached, HF_REMOTE_PUT, 1, "SERVER_ERROR too large\r\n");
    assert_int_equal(result.status, HF_REMOTE_REFUSED);
    assert_non_null(strstr(pipe_of_tests.trouble, "too large"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(redis_requests),
        cmocka_unit_test(redis_answers),
        cmocka_unit_test(memcached_requests),
        cmocka_unit_test(memcached_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
