#include "fuzz.h"

/* At once and in pieces gives the same answer; body and persistence follow RFC 9112 6.3 and 9.3. */

static const struct hf_http1_limits limits = {.head_size_max = 16 * 1024, .fields_max = 64};

static enum hf_codec parse_in_pieces(struct hf_http1_parser *parser, struct hf_head *head,
                                     const uint8_t *data, size_t size, enum hf_method method)
{
    struct hf_rng rng;
    enum hf_codec answer = HF_CODEC_NEED_MORE;
    size_t at = 0;
    hf_rng_seed(&rng, size);
    while (answer == HF_CODEC_NEED_MORE && at < size) {
        at += 1 + hf_rng_below(&rng, size % 2 == 0 ? 2 : 64);
        at = at < size ? at : size;
        char *piece = fuzz_copy(data, at);
        answer = hf_http1_parse_response(parser, head, piece, at, method, &limits);
        head->base = NULL;
        free(piece);
    }
    return answer;
}

static void check_framing(const struct hf_head *head, enum hf_method method)
{
    REQUIRE(head->status >= 100 && head->status <= 599);
    REQUIRE(head->body != HF_BODY_LENGTH || (head->has_content_length && head->content_length > 0));
    REQUIRE(head->body != HF_BODY_UNTIL_CLOSE || !head->keep_alive);
    REQUIRE(head->version_minor > 0 || head->body != HF_BODY_CHUNKED);
    if (method == HF_METHOD_HEAD || head->status < 200 || head->status == 204 ||
        head->status == 304)
        REQUIRE(head->body == HF_BODY_NONE);
    for (unsigned i = 0; i < head->field_count; i++) {
        uint8_t id = head->fields[i].id;
        if (id == HF_FIELD_CONTENT_LENGTH || id == HF_FIELD_TRANSFER_ENCODING ||
            id == HF_FIELD_CONNECTION || id == HF_FIELD_KEEP_ALIVE)
            REQUIRE(head->fields[i].drop);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hf_head whole, pieces;
    struct hf_http1_parser whole_parser = {0}, pieces_parser = {0};
    if (size == 0)
        return 0;
    enum hf_method method = (enum hf_method)(data[0] % (HF_METHOD_PATCH + 1));
    char *bytes = fuzz_copy(data + 1, size - 1);
    enum hf_codec answer =
        hf_http1_parse_response(&whole_parser, &whole, bytes, size - 1, method, &limits);
    enum hf_codec other = parse_in_pieces(&pieces_parser, &pieces, data + 1, size - 1, method);
    REQUIRE(answer == other && whole_parser.reason == pieces_parser.reason);
    REQUIRE(whole_parser.scanned == pieces_parser.scanned && whole_parser.scanned <= size - 1);
    REQUIRE((answer == HF_CODEC_BAD) == (whole_parser.reason != HF_HTTP1_OK));
    if (answer == HF_CODEC_DONE) {
        REQUIRE(whole.size <= size - 1);
        fuzz_check_same_head(&whole, &pieces);
        fuzz_check_bounds(&whole);
        check_framing(&whole, method);
    }
    free(bytes);
    return 0;
}
