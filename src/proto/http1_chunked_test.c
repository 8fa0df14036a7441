#include "base/rng.h"
#include "base/test.h"
#include "proto/guard.h"
#include "proto/http1.h"

enum { CONTENT_MAX = 4096 };

static struct hf_guard guard;

struct decoded {
    enum hf_codec answer;
    uint8_t reason;
    size_t used;
    size_t size;
    char content[CONTENT_MAX];
};

/* Decodes message[0..until), continuing; the way a caller does. */
static void decode_part(struct hf_http1_chunked *chunked, struct decoded *decoded,
                        struct hf_slice message, size_t until)
{
    const char *bytes = hf_guard_copy(&guard, hf_slice(message.bytes, until));
    size_t used;
    do {
        struct hf_slice content;
        decoded->answer = hf_http1_chunked_decode(chunked, bytes + decoded->used,
                                                  until - decoded->used, &used, &content);
        assert_in_range(used, 0, until - decoded->used);
        assert_true(content.size <= used && decoded->size + content.size <= CONTENT_MAX);
        assert_true(content.size == 0 || decoded->answer == HF_CODEC_NEED_MORE);
        if (content.size > 0)
            memcpy(decoded->content + decoded->size, content.bytes, content.size);
        decoded->size += content.size;
        decoded->used += used;
    } while (decoded->answer == HF_CODEC_NEED_MORE && used > 0);
    decoded->reason = chunked->reason;
}

static void assert_same(const struct decoded *a, const struct decoded *b)
{
    assert_int_equal(a->answer, b->answer);
    assert_int_equal(a->reason, b->reason);
    assert_int_equal(a->used, b->used);
    assert_int_equal(a->size, b->size);
    assert_memory_equal(a->content, b->content, a->size);
}

/* At once, cut in two anywhere, and byte by byte. */
static const struct decoded *decode(struct hf_slice message)
{
    static struct decoded whole, cut;
    struct hf_http1_chunked chunked = {0};
    whole = (struct decoded){0};
    decode_part(&chunked, &whole, message, message.size);
    for (size_t at = 0; at <= message.size; at++) {
        chunked = (struct hf_http1_chunked){0};
        cut = (struct decoded){0};
        decode_part(&chunked, &cut, message, at);
        if (cut.answer == HF_CODEC_NEED_MORE)
            decode_part(&chunked, &cut, message, message.size);
        assert_same(&whole, &cut);
    }
    chunked = (struct hf_http1_chunked){0};
    cut = (struct decoded){0};
    for (size_t at = 1; at <= message.size && cut.answer == HF_CODEC_NEED_MORE; at++)
        decode_part(&chunked, &cut, message, at);
    assert_same(&whole, &cut);
    return &whole;
}

static void assert_content(struct hf_slice message, const char *content, size_t left)
{
    const struct decoded *decoded = decode(message);
    assert_int_equal(decoded->answer, HF_CODEC_DONE);
    assert_int_equal(decoded->size, strlen(content));
    assert_memory_equal(decoded->content, content, decoded->size);
    assert_int_equal(message.size - decoded->used, left);
}
#define CONTENT(message, content) assert_content(HF_SLICE(message), content, 0)

static void test_content(void **state)
{
    CONTENT("0\r\n\r\n", "");
    CONTENT("5\r\nhello\r\n0\r\n\r\n", "hello");
    CONTENT("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world");
    CONTENT("A\r\n0123456789\r\n00\r\n\r\n", "0123456789");
    CONTENT("a\r\n\r\n0\r\n\r\n\r\n.\r\n0\r\n\r\n", "\r\n0\r\n\r\n\r\n.");
    CONTENT("0000000000000001\r\nx\r\n0000000000000000\r\n\r\n", "x");
    assert_content(HF_SLICE("1\r\nx\r\n0\r\n\r\nGET /"), "x", 5);
}

static void test_extensions(void **state)
{
    CONTENT("1;a\r\nx\r\n0;b\r\n\r\n", "x");
    CONTENT("1;a=b;c=\"d;\\\"\\\\\xc3\xa9\t \";e\r\nx\r\n0\r\n\r\n", "x");
    CONTENT("1 \t; a = b ;c=\"\" ; d ;e\r\nx\r\n0\r\n\r\n", "x");
}

static void test_trailers(void **state)
{
    CONTENT("0\r\nA: b\r\nContent-Length: 3\r\nC:\r\nD:\t\xc3\xa9 \r\n\r\n", "");
}

struct refusal {
    struct hf_slice message;
    enum hf_http1_reason reason;
};
#define ROW(reason, text)                                                                          \
    {                                                                                              \
        {text, sizeof(text) - 1}, HF_HTTP1_##reason                                                \
    }

static const struct refusal refusals[] = {
    ROW(BAD_CHUNK_SIZE, "\r\n"),
    ROW(BAD_CHUNK_SIZE, "g\r\n"),
    ROW(BAD_CHUNK_SIZE, "0x3\r\n"),
    ROW(BAD_CHUNK_SIZE, "+3\r\n"),
    ROW(BAD_CHUNK_SIZE, "-1\r\n"),
    ROW(BAD_CHUNK_SIZE, "0_3\r\n"),
    ROW(BAD_CHUNK_SIZE, " 3\r\n"),
    ROW(BAD_CHUNK_SIZE, ";a\r\n"),
    ROW(BAD_CHUNK_SIZE, "3\nabc"),
    ROW(BAD_CHUNK_SIZE, "3\rX"),
    ROW(BAD_CHUNK_SIZE, "3\0"),
    ROW(BAD_CHUNK_SIZE, "8000000000000000\r\n"),
    ROW(BAD_CHUNK_SIZE, "FFFFFFFFFFFFFFFF\r\n"),
    ROW(BAD_CHUNK_SIZE, "10000000000000000\r\n"),
    ROW(BAD_CHUNK_SIZE, "00000000000000003\r\n"),
    ROW(BAD_CHUNK_EXTENSION, "3 \r\n"),
    ROW(BAD_CHUNK_EXTENSION, "3;\r\n"),
    ROW(BAD_CHUNK_EXTENSION, "3; \r\n"),
    ROW(BAD_CHUNK_EXTENSION, "3;;a\r\n"),
    ROW(BAD_CHUNK_EXTENSION, "3;a=\r\n"),
    ROW(BAD_CHUNK_EXTENSION, "3;a= ;b\r\n"),
    ROW(BAD_CHUNK_EXTENSION, "3;a b\r\n"),
    ROW(BAD_CHUNK_EXTENSION, "3;a \r\n"),
    ROW(BAD_CHUNK_EXTENSION, "3;a=b c\r\n"),
    ROW(BAD_CHUNK_EXTENSION, "3;a=b \r\n"),
    ROW(BAD_CHUNK_EXTENSION, "3;=b\r\n"),
    ROW(BAD_CHUNK_EXTENSION, "3;a\n"),
    ROW(BAD_CHUNK_EXTENSION, "3;a=\"b\r\n"),
    ROW(BAD_CHUNK_EXTENSION, "3;a=\"b\n\""),
    ROW(BAD_CHUNK_EXTENSION, "3;a=\"b\\\r\n"),
    ROW(BAD_CHUNK_EXTENSION, "3;a=\"b\0\""),
    ROW(BAD_CHUNK_EXTENSION, "3;a=\"b\"c\r\n"),
    ROW(BAD_CHUNK_SIZE, "3;a\rX"),
    ROW(BAD_CHUNK_END, "3\r\nabcX"),
    ROW(BAD_CHUNK_END, "3\r\nabcde\r\n"),
    ROW(BAD_CHUNK_END, "3\r\nabc\n0\r\n\r\n"),
    ROW(BAD_CHUNK_END, "3\r\nabc\rX"),
    ROW(BAD_CHUNK_SIZE, "0\n\n"),
    ROW(BAD_TRAILER, "0\r\nXX\r\nGET / HTTP/1.1\r\n"),
    ROW(BAD_TRAILER, "0\r\n\n"),
    ROW(BAD_TRAILER, "0\r\n\rX"),
    ROW(BAD_TRAILER, "0\r\nA : b\r\n"),
    ROW(BAD_TRAILER, "0\r\n: b\r\n"),
    ROW(BAD_TRAILER, "0\r\nA: b\n"),
    ROW(BAD_TRAILER, "0\r\nA: b\rX"),
    ROW(BAD_TRAILER, "0\r\nA: b\r\n c\r\n\r\n"),
    ROW(BAD_TRAILER, "0\r\nA: b\0c\r\n"),
    ROW(BAD_TRAILER, "0\r\nA: b\x7f\r\n"),
};

static void test_refusals(void **state)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        const struct decoded *decoded = decode(refusals[i].message);
        if (decoded->answer == HF_CODEC_BAD && decoded->reason == refusals[i].reason)
            continue;
        print_message("%.*s: %s\n", (int)refusals[i].message.size, refusals[i].message.bytes,
                      hf_http1_reason_word((enum hf_http1_reason)decoded->reason));
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

/* `first`, then the unit repeated, then `last`, cut to `size` bytes before `last`. */
static struct hf_slice padded(const char *first, char pad, size_t size, const char *last)
{
    static char text[16 * 1024];
    size_t first_size = strlen(first);
    memcpy(text, first, first_size);
    memset(text + first_size, pad, size - first_size);
    memcpy(text + size, last, strlen(last));
    return hf_slice(text, size + strlen(last));
}

static void assert_limit(struct hf_slice message, enum hf_http1_reason reason)
{
    const struct decoded *decoded = decode(message);
    assert_int_equal(decoded->reason, reason);
    assert_int_equal(decoded->answer, reason == HF_HTTP1_OK ? HF_CODEC_DONE : HF_CODEC_BAD);
}

static void test_limits(void **state)
{
    size_t cap = 4 * 1024;
    assert_limit(padded("0;", 'a', cap + 1, "\r\n\r\n"), HF_HTTP1_OK);
    assert_limit(padded("0;", 'a', cap + 2, "\r\n\r\n"), HF_HTTP1_CHUNK_EXTENSIONS_TOO_LONG);
    assert_limit(padded("1;a=\"", 'a', cap + 9, ""), HF_HTTP1_CHUNK_EXTENSIONS_TOO_LONG);
    assert_limit(padded("0\r\nA:", 'a', cap - 1, "\r\n\r\n"), HF_HTTP1_OK);
    assert_limit(padded("0\r\nA:", 'a', cap, "\r\n\r\n"), HF_HTTP1_TRAILERS_TOO_LARGE);
}

/* The cap is over the message, not over a chunk. */
static void test_extensions_add_up(void **state)
{
    struct hf_http1_chunked chunked = {0};
    char chunk[] = "1;abcdefghijklmnopqrstuvwxyz\r\nx\r\n";
    enum hf_codec answer = HF_CODEC_NEED_MORE;
    unsigned chunks = 0;
    while (answer == HF_CODEC_NEED_MORE && chunks < 1000) {
        struct hf_slice content;
        size_t used = 0;
        for (size_t at = 0; at < sizeof(chunk) - 1 && answer == HF_CODEC_NEED_MORE; at += used)
            answer = hf_http1_chunked_decode(&chunked, chunk + at, sizeof(chunk) - 1 - at, &used,
                                             &content);
        chunks++;
    }
    assert_int_equal(chunked.reason, HF_HTTP1_CHUNK_EXTENSIONS_TOO_LONG);
    assert_int_equal(chunks, 4096 / 27 + 1);
}

static void test_chunk_heads(void **state)
{
    static const uint64_t sizes[] = {0,   1,    9,       15,         16,        255,
                                     256, 4096, 0x1a2b3, UINT32_MAX, INT64_MAX, UINT64_MAX};
    static const char *const texts[] = {"0",
                                        "1",
                                        "9",
                                        "f",
                                        "10",
                                        "ff",
                                        "100",
                                        "1000",
                                        "1a2b3",
                                        "ffffffff",
                                        "7fffffffffffffff",
                                        "ffffffffffffffff"};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char out[HF_HTTP1_CHUNK_HEAD_MAX];
        size_t size = hf_http1_chunk_head(sizes[i], out);
        assert_int_equal(size, strlen(texts[i]) + 2);
        assert_memory_equal(out, texts[i], size - 2);
        assert_memory_equal(out + size - 2, "\r\n", 2);
    }
}

/* What chunk_head writes, decode reads. */
static void test_round_trip(void **state)
{
    struct hf_rng rng;
    hf_rng_seed(&rng, 7230);
    for (unsigned round = 0; round < 50; round++) {
        char message[CONTENT_MAX], content[CONTENT_MAX];
        size_t size = 0, total = 0;
        for (unsigned i = hf_rng_below(&rng, 5); i > 0; i--) {
            size_t piece = 1 + hf_rng_below(&rng, 40);
            size += hf_http1_chunk_head(piece, message + size);
            for (size_t k = 0; k < piece; k++)
                content[total + k] = (char)hf_rng_u64(&rng);
            memcpy(message + size, content + total, piece);
            memcpy(message + size + piece, "\r\n", 2);
            size += piece + 2;
            total += piece;
        }
        memcpy(message + size, "0\r\n\r\n", 5);
        const struct decoded *decoded = decode(hf_slice(message, size + 5));
        assert_int_equal(decoded->answer, HF_CODEC_DONE);
        assert_int_equal(decoded->size, total);
        assert_memory_equal(decoded->content, content, total);
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
        cmocka_unit_test(test_content),     cmocka_unit_test(test_extensions),
        cmocka_unit_test(test_trailers),    cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_limits),      cmocka_unit_test(test_extensions_add_up),
        cmocka_unit_test(test_chunk_heads), cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
