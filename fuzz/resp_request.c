#include "fuzz.h"
#include "proto/resp_script.h"
#include "proto/resp_testing.h"

/* Input: a byte that chooses limits and pieces, then what a client sends. At once and in pieces
 * gives the same requests; there is one spelling for each; and whatever a request asks for, a
 * refusal of it is one error reply. */

static const struct hf_resp_limits wide = {
    .arguments_max = HF_RESP_ARGUMENTS_MAX,
    .bulk_size_max = 64 * 1024,
    .request_size_max = 128 * 1024,
};
static struct hf_resp_request whole, pieces;

struct stream {
    const uint8_t *bytes;
    size_t size;
    const struct hf_resp_limits *limits;
};

/* Up to the end of the first request, each time at a new address. */
static enum hf_codec parse_in_pieces(struct hf_resp_parser *parser, const struct stream *stream,
                                     struct hf_rng *rng, unsigned step)
{
    enum hf_codec answer = HF_CODEC_NEED_MORE;
    for (size_t at = 0; answer == HF_CODEC_NEED_MORE && at < stream->size;) {
        at += 1 + hf_rng_below(rng, step);
        at = at < stream->size ? at : stream->size;
        char *piece = fuzz_copy(stream->bytes, at);
        answer = hf_resp_parse_request(parser, piece, at, stream->limits, &pieces);
        if (answer == HF_CODEC_NEED_MORE)
            REQUIRE(parser->needed > at);
        for (uint32_t i = 0; answer == HF_CODEC_DONE && i < pieces.count; i++) {
            size_t offset = (size_t)(pieces.arguments[i].bytes - piece);
            pieces.arguments[i].bytes = (const char *)stream->bytes + offset;
        }
        free(piece);
    }
    return answer;
}

static void check_same(void)
{
    REQUIRE(whole.size == pieces.size && whole.count == pieces.count);
    for (uint32_t i = 0; i < whole.count; i++)
        REQUIRE(hf_slice_equal(whole.arguments[i], pieces.arguments[i]));
}

/* Within its bytes and limits, and written anew it is the same bytes. */
static void check_spelling(const char *bytes, const struct hf_resp_limits *limits)
{
    static char text[160 * 1024];
    struct hf_resp_out out = {.writer = hf_writer(text, sizeof(text))};
    REQUIRE(whole.count > 0 && whole.count <= limits->arguments_max);
    for (uint32_t i = 0; i < whole.count; i++) {
        const struct hf_slice *argument = &whole.arguments[i];
        REQUIRE(argument->bytes >= bytes && argument->size <= limits->bulk_size_max);
        REQUIRE(argument->bytes + argument->size <= bytes + whole.size);
    }
    if (bytes[0] != '*') {
        REQUIRE(whole.size <= HF_RESP_INLINE_SIZE_MAX && whole.count <= 2);
        return;
    }
    REQUIRE(whole.size <= limits->request_size_max);
    hf_resp_testing_encode(&out, &whole);
    REQUIRE(out.writer.size == whole.size && memcmp(text, bytes, whole.size) == 0);
}

static void check_refusal(void)
{
    static const struct hf_resp_reply_limits limits = {1, 64 * 1024, 1};
    char text[2048];
    struct hf_resp_out out = {.writer = hf_writer(text, sizeof(text))};
    struct hf_resp_reply_parser parser = {0};
    size_t used = 0;
    if (hf_resp_testing_refuse(&out, &whole) == HF_RESP_ERROR_NONE) {
        REQUIRE(out.writer.size == 0);
        return;
    }
    REQUIRE(hf_writer_fits(&out.writer) && text[0] == '-');
    enum hf_codec answer = hf_resp_parse_reply(&parser, text, out.writer.size, &limits, &used);
    REQUIRE(answer == HF_CODEC_DONE && used == out.writer.size);
}

/* A pattern that is all text and no magic matches itself alone. */
static void check_pattern(struct hf_slice pattern, struct hf_slice text)
{
    bool fits = hf_resp_glob_match(pattern, text), plain = true;
    for (size_t i = 0; i < pattern.size; i++)
        plain &= pattern.bytes[i] == '\0' || strchr("*?[\\", pattern.bytes[i]) == NULL;
    if (plain && pattern.size <= HF_RESP_GLOB_SIZE_MAX)
        REQUIRE(fits == hf_slice_equal(pattern, text));
}

static bool check_first(struct stream *stream, struct hf_rng *rng, unsigned step)
{
    struct hf_resp_parser whole_parser = {0}, pieces_parser = {0};
    char *bytes = fuzz_copy(stream->bytes, stream->size);
    enum hf_codec answer =
        hf_resp_parse_request(&whole_parser, bytes, stream->size, stream->limits, &whole);
    enum hf_codec other = parse_in_pieces(&pieces_parser, stream, rng, step);
    REQUIRE(answer == other && whole_parser.reason == pieces_parser.reason);
    REQUIRE((answer == HF_CODEC_BAD) == (whole_parser.reason != HF_RESP_OK));
    if (answer == HF_CODEC_DONE) {
        check_same();
        check_spelling(bytes, stream->limits);
        check_refusal();
        check_pattern(whole.arguments[whole.count - 1], whole.arguments[0]);
        stream->bytes += whole.size;
        stream->size -= whole.size;
    }
    free(bytes);
    return answer == HF_CODEC_DONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_rng rng;
    if (size == 0)
        return 0;
    struct stream stream = {data + 1, size - 1, data[0] & 1 ? &hf_resp_limits_before_auth : &wide};
    hf_rng_seed(&rng, data[0]);
    while (stream.size > 0 && check_first(&stream, &rng, data[0] & 2 ? 2 : 64))
        continue;
    return 0;
}
