/* What the two targets of the memcached codec share. At once and in pieces gives the same requests;
 * what is not understood is answered with one line or packet; and whatever the result of a request
 * is, the answer is framed as its dialect says, and repeats nothing that could end a line. */
#pragma once
#include "fuzz.h"
#include "proto/memcache.h"

struct fuzz_memcache {
    const uint8_t *bytes;
    size_t size;
    unsigned step; /* bytes of a piece, at most */
    struct hf_rng rng;
    struct hf_memcache_parser whole_parser, pieces_parser;
    struct hf_memcache_request whole, pieces;
    char *whole_bytes, *pieces_bytes; /* what the requests point into */
};

static const struct hf_memcache_limits fuzz_memcache_limits = {.value_size_max = 64 * 1024};

/* Up to the end of the first request, each time at a new address. */
static inline enum hf_codec fuzz_memcache_in_pieces(struct fuzz_memcache *fuzz)
{
    enum hf_codec answer = HF_CODEC_NEED_MORE;
    for (size_t at = 0; answer == HF_CODEC_NEED_MORE && at < fuzz->size;) {
        at += 1 + hf_rng_below(&fuzz->rng, fuzz->step);
        at = at < fuzz->size ? at : fuzz->size;
        free(fuzz->pieces_bytes);
        fuzz->pieces_bytes = fuzz_copy(fuzz->bytes, at);
        answer = hf_memcache_parse(&fuzz->pieces_parser, fuzz->pieces_bytes, at,
                                   &fuzz_memcache_limits, &fuzz->pieces);
        if (answer == HF_CODEC_NEED_MORE)
            REQUIRE(fuzz->pieces_parser.needed > at);
    }
    return answer;
}

/* Whether two answers agree in everything: numbers byte by byte, texts by what they say. */
static inline void fuzz_memcache_check_same(const struct hf_memcache_request *a,
                                            const struct hf_memcache_request *b)
{
    REQUIRE(memcmp(a, b, offsetof(struct hf_memcache_request, key)) == 0);
    REQUIRE(hf_slice_equal(a->key, b->key) && hf_slice_equal(a->keys, b->keys));
    REQUIRE(hf_slice_equal(a->value, b->value) && hf_slice_equal(a->key_text, b->key_text));
    REQUIRE(hf_slice_equal(a->meta_flags, b->meta_flags));
}

/* One line that nothing else ends. */
static inline void fuzz_memcache_check_line(struct hf_slice line)
{
    REQUIRE(line.size > 2 && memcmp(line.bytes + line.size - 2, "\r\n", 2) == 0);
    REQUIRE(memchr(line.bytes, '\n', line.size - 1) == NULL);
    REQUIRE(memchr(line.bytes, '\r', line.size - 2) == NULL);
    REQUIRE(memchr(line.bytes, '\0', line.size) == NULL);
}

/* One packet, whose header says how long it is; `missing` bytes of its value are sent elsewhere. */
static inline void fuzz_memcache_check_packet(struct hf_slice packet, size_t missing,
                                              const struct hf_memcache_request *request)
{
    const unsigned char *at = (const unsigned char *)packet.bytes;
    REQUIRE(packet.size >= HF_MEMCACHE_HEADER_SIZE && at[0] == 0x81 && at[1] == request->opcode);
    size_t body = (size_t)at[8] << 24 | (size_t)at[9] << 16 | (size_t)at[10] << 8 | (size_t)at[11];
    REQUIRE(body + HF_MEMCACHE_HEADER_SIZE == packet.size + missing);
    REQUIRE((size_t)(at[2] << 8 | at[3]) + at[4] <= body);
}

static inline void fuzz_memcache_check_answer(const struct hf_memcache_request *request,
                                              struct hf_slice head, size_t value_size)
{
    if (head.size == 0)
        REQUIRE(value_size == 0);
    else if (request->dialect == HF_MEMCACHE_BINARY)
        fuzz_memcache_check_packet(head, value_size, request);
    else if (request->operation == HF_MEMCACHE_VERSION && value_size > 0)
        REQUIRE(hf_slice_equal(head, HF_SLICE("VERSION ")));
    else if (request->operation != HF_MEMCACHE_INCREMENT &&
             request->operation != HF_MEMCACHE_DECREMENT) /* meta: a second line with the number */
        fuzz_memcache_check_line(head);
}

static inline void fuzz_memcache_check_results(const struct hf_memcache_request *request)
{
    char out[HF_MEMCACHE_HEAD_MAX + HF_MEMCACHE_SHORT_LINE_MAX];
    for (int status = HF_MEMCACHE_DONE; status <= HF_MEMCACHE_DENIED; status++) {
        struct hf_memcache_result result = {
            .status = (uint8_t)status,
            .flags = UINT32_MAX,
            .idle_s = UINT32_MAX,
            .ttl_s = INT64_MIN,
            .cas = UINT64_MAX,
            .number = UINT64_MAX,
            .key = request->key,
            .value = HF_SLICE("1\r\n"),
        };
        struct hf_writer writer = hf_writer(out, sizeof(out));
        bool more = hf_memcache_write_head(&writer, request, &result);
        REQUIRE(writer.size <= HF_MEMCACHE_HEAD_MAX + request->meta_flags.size);
        fuzz_memcache_check_answer(request, hf_slice(out, writer.size),
                                   more ? result.value.size : 0);
    }
}

static inline void fuzz_memcache_check_refusal(const struct hf_memcache_request *request)
{
    char out[HF_MEMCACHE_HEAD_MAX];
    struct hf_writer writer = hf_writer(out, sizeof(out));
    hf_memcache_write_refusal(&writer, request);
    REQUIRE(hf_writer_fits(&writer) && request->discard <= HF_MEMCACHE_DISCARD_MAX + 2);
    if (writer.size == 0)
        return;
    if (request->dialect == HF_MEMCACHE_BINARY)
        fuzz_memcache_check_packet(hf_slice(out, writer.size), 0, request);
    else
        fuzz_memcache_check_line(hf_slice(out, writer.size));
}

static inline void fuzz_memcache_check_keys(const struct hf_memcache_request *request)
{
    struct hf_slice rest = request->keys, key;
    unsigned count = 0;
    REQUIRE(request->key.size <= HF_MEMCACHE_KEY_MAX || request->operation == HF_MEMCACHE_STATS);
    REQUIRE(request->value.size <= fuzz_memcache_limits.value_size_max);
    if (request->dialect != HF_MEMCACHE_TEXT || request->operation != HF_MEMCACHE_GET)
        return;
    while (hf_memcache_next_key(&rest, &key)) {
        REQUIRE(key.size > 0 && key.size <= HF_MEMCACHE_KEY_MAX);
        REQUIRE(count > 0 || hf_slice_equal(key, request->key));
        count++;
    }
    REQUIRE(count > 0 && count <= HF_MEMCACHE_KEYS_MAX);
}

/* The first request of what is left; false when no other follows. */
static inline bool fuzz_memcache_first(struct fuzz_memcache *fuzz)
{
    struct hf_memcache_request *request = &fuzz->whole;
    fuzz->whole_bytes = fuzz_copy(fuzz->bytes, fuzz->size);
    enum hf_codec answer = hf_memcache_parse(&fuzz->whole_parser, fuzz->whole_bytes, fuzz->size,
                                             &fuzz_memcache_limits, request);
    enum hf_codec other = fuzz_memcache_in_pieces(fuzz);
    REQUIRE(answer == other && fuzz->whole_parser.reason == fuzz->pieces_parser.reason);
    REQUIRE((answer == HF_CODEC_BAD) == (fuzz->whole_parser.reason != HF_MEMCACHE_OK));
    if (answer != HF_CODEC_NEED_MORE && request->operation == HF_MEMCACHE_REFUSED)
        fuzz_memcache_check_refusal(request);
    if (answer != HF_CODEC_DONE)
        return false;
    fuzz_memcache_check_same(request, &fuzz->pieces);
    REQUIRE(request->size > 0 && request->size <= fuzz->size);
    if (request->operation != HF_MEMCACHE_REFUSED) {
        fuzz_memcache_check_keys(request);
        fuzz_memcache_check_results(request);
    }
    size_t used = (size_t)request->size + request->discard;
    used = used < fuzz->size ? used : fuzz->size;
    fuzz->bytes += used;
    fuzz->size -= used;
    return fuzz->size > 0;
}

static inline void fuzz_memcache_run(const uint8_t *bytes, size_t size, uint8_t seed)
{
    static struct fuzz_memcache fuzz;
    bool more = size > 0;
    memset(&fuzz, 0, sizeof(fuzz));
    fuzz.bytes = bytes;
    fuzz.size = size;
    fuzz.step = seed % 2 == 0 ? 2 : 64;
    hf_rng_seed(&fuzz.rng, seed);
    while (more) {
        more = fuzz_memcache_first(&fuzz);
        free(fuzz.whole_bytes);
        free(fuzz.pieces_bytes);
        fuzz.whole_bytes = fuzz.pieces_bytes = NULL;
    }
}
