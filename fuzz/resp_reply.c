#include "fuzz.h"
#include "proto/resp.h"

/* Input: a byte that chooses the pieces, then what a server sends. At once and in pieces gives the
 * same answer; a reply that is whole is walked item by item to its very end; and no part of it is
 * whole already. */

static const struct hf_resp_reply_limits limits = {
    .bulk_size_max = 64 * 1024,
    .reply_size_max = 128 * 1024,
    .items_max = 1000,
};

static enum hf_codec parse_in_pieces(struct hf_resp_reply_parser *parser, const uint8_t *data,
                                     size_t size, uint8_t seed, size_t *ret_used)
{
    struct hf_rng rng;
    enum hf_codec answer = HF_CODEC_NEED_MORE;
    hf_rng_seed(&rng, seed);
    for (size_t at = 0; answer == HF_CODEC_NEED_MORE && at < size;) {
        at += 1 + hf_rng_below(&rng, seed % 2 == 0 ? 2 : 64);
        at = at < size ? at : size;
        char *piece = fuzz_copy(data, at);
        answer = hf_resp_parse_reply(parser, piece, at, &limits, ret_used);
        if (answer == HF_CODEC_NEED_MORE)
            REQUIRE(parser->needed > at);
        free(piece);
    }
    return answer;
}

static void check_items(const uint8_t *data, size_t size)
{
    char *bytes = fuzz_copy(data, size);
    struct hf_resp_cursor cursor = {.reply = hf_slice(bytes, size)};
    struct hf_resp_item item;
    uint32_t items = 0, attributes = 0;
    while (hf_resp_next_item(&cursor, &item)) {
        items++;
        attributes += item.type == HF_RESP_ATTRIBUTE;
        REQUIRE(item.depth <= HF_RESP_DEPTH_MAX && (items > 1 || item.depth == 0));
        REQUIRE(item.text.size == 0 ||
                (item.text.bytes >= bytes && item.text.bytes + item.text.size <= bytes + size));
    }
    REQUIRE(items > 0 && items - attributes <= limits.items_max && cursor.walk.at == size);
    struct hf_resp_reply_parser parser = {0};
    size_t used = 0;
    REQUIRE(hf_resp_parse_reply(&parser, bytes, size - 1, &limits, &used) == HF_CODEC_NEED_MORE);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_resp_reply_parser whole_parser = {0}, pieces_parser = {0};
    size_t whole_used = 0, pieces_used = 0;
    if (size == 0)
        return 0;
    char *bytes = fuzz_copy(data + 1, size - 1);
    enum hf_codec answer =
        hf_resp_parse_reply(&whole_parser, bytes, size - 1, &limits, &whole_used);
    enum hf_codec other =
        parse_in_pieces(&pieces_parser, data + 1, size - 1, data[0], &pieces_used);
    REQUIRE(answer == other && whole_parser.reason == pieces_parser.reason);
    REQUIRE(whole_used == pieces_used && whole_used <= size - 1);
    REQUIRE((answer == HF_CODEC_BAD) == (whole_parser.reason != HF_RESP_OK));
    if (answer == HF_CODEC_DONE)
        check_items(data + 1, whole_used);
    free(bytes);
    return 0;
}
