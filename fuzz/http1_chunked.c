#include "fuzz.h"

/* At once and in pieces gives the same content and answer; content chunked anew decodes to itself.
 */

struct decoded {
    enum hf_codec answer;
    uint8_t reason;
    size_t used, size;
    char *content; /* owned */
};

static void decode_until(struct hf_http1_chunked *chunked, struct decoded *decoded,
                         const uint8_t *data, size_t until)
{
    char *bytes = fuzz_copy(data, until);
    size_t used;
    do {
        struct hf_slice content;
        size_t size = until - decoded->used;
        decoded->answer =
            hf_http1_chunked_decode(chunked, bytes + decoded->used, size, &used, &content);
        REQUIRE(used <= size && content.size <= used);
        REQUIRE(content.size == 0 ||
                (content.bytes >= bytes + decoded->used &&
                 content.bytes + content.size <= bytes + decoded->used + used));
        REQUIRE(content.size == 0 || decoded->answer == HF_CODEC_NEED_MORE);
        if (content.size > 0)
            memcpy(decoded->content + decoded->size, content.bytes, content.size);
        decoded->size += content.size;
        decoded->used += used;
    } while (decoded->answer == HF_CODEC_NEED_MORE && used > 0);
    decoded->reason = chunked->reason;
    free(bytes);
}

static struct decoded decode(const uint8_t *data, size_t size, size_t step_max)
{
    struct decoded decoded = {.content = malloc(size + 1)};
    struct hf_http1_chunked chunked = {0};
    struct hf_rng rng;
    hf_rng_seed(&rng, size);
    REQUIRE(decoded.content != NULL);
    for (size_t at = 0; at < size && decoded.answer == HF_CODEC_NEED_MORE;) {
        at += step_max == 0 ? size : 1 + hf_rng_below(&rng, (uint32_t)step_max);
        at = at < size ? at : size;
        decode_until(&chunked, &decoded, data, at);
    }
    return decoded;
}

static void check_again(const struct decoded *decoded, size_t chunk_size)
{
    char *text = malloc(decoded->size * (HF_HTTP1_CHUNK_HEAD_MAX + 3) + 16);
    size_t size = 0;
    REQUIRE(text != NULL);
    for (size_t at = 0; at < decoded->size; at += chunk_size) {
        size_t piece = decoded->size - at < chunk_size ? decoded->size - at : chunk_size;
        size += hf_http1_chunk_head(piece, text + size);
        memcpy(text + size, decoded->content + at, piece);
        memcpy(text + size + piece, "\r\n", 2);
        size += piece + 2;
    }
    memcpy(text + size, "0\r\n\r\n", 5);
    struct decoded again = decode((const uint8_t *)text, size + 5, 7);
    REQUIRE(again.answer == HF_CODEC_DONE && again.used == size + 5);
    REQUIRE(again.size == decoded->size);
    REQUIRE(memcmp(again.content, decoded->content, again.size) == 0);
    free(again.content);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct decoded whole = decode(data, size, 0), pieces = decode(data, size, 1 + size % 9);
    REQUIRE(whole.answer == pieces.answer && whole.reason == pieces.reason);
    REQUIRE(whole.used == pieces.used && whole.size == pieces.size);
    REQUIRE(memcmp(whole.content, pieces.content, whole.size) == 0);
    REQUIRE((whole.answer == HF_CODEC_BAD) == (whole.reason != HF_HTTP1_OK));
    if (whole.answer == HF_CODEC_NEED_MORE)
        REQUIRE(whole.used == size);
    if (whole.answer == HF_CODEC_DONE)
        check_again(&whole, 1 + size % 5);
    free(whole.content);
    free(pieces.content);
    return 0;
}
