#include "fuzz.h"

/* At once and in pieces gives the same answer, and what we would send on is a request that means
 * the same, with nothing left that could be read differently. */

static const struct hf_http1_limits limits = {.head_size_max = 16 * 1024, .fields_max = 64};

static enum hf_codec parse_in_pieces(struct hf_http1_parser *parser, struct hf_head *head,
                                     const uint8_t *data, size_t size, uint64_t seed)
{
    struct hf_rng rng;
    enum hf_codec answer = HF_CODEC_NEED_MORE;
    size_t at = 0;
    hf_rng_seed(&rng, seed);
    while (answer == HF_CODEC_NEED_MORE && at < size) {
        at += 1 + hf_rng_below(&rng, seed % 2 == 0 ? 2 : 64);
        at = at < size ? at : size;
        char *piece = fuzz_copy(data, at); /* at a new address each time */
        answer = hf_http1_parse_request(parser, head, piece, at, &limits);
        head->base = NULL;
        free(piece);
    }
    return answer;
}

static size_t write_on(const struct hf_head *head, char *out, size_t room)
{
    struct hf_http1_writer writer = {.out = out, .room = room};
    hf_http1_write(&writer, hf_head_span(head, head->method_text));
    hf_http1_write(&writer, HF_SLICE(" "));
    hf_http1_write(&writer, hf_head_span(head, head->path));
    hf_http1_write(&writer, HF_SLICE(" HTTP/1.1\r\n"));
    hf_http1_write_field(&writer, HF_SLICE("Host"), hf_head_span(head, head->authority));
    hf_http1_write_fields(&writer, head, 1ull << HF_FIELD_HOST);
    if (head->upgrade)
        hf_http1_write(&writer, HF_SLICE("Connection: upgrade\r\n"));
    if (head->body == HF_BODY_CHUNKED)
        hf_http1_write(&writer, HF_SLICE("Transfer-Encoding: chunked\r\n"));
    if (head->has_content_length) {
        hf_http1_write(&writer, HF_SLICE("Content-Length: "));
        hf_http1_write_u64(&writer, head->content_length);
        hf_http1_write(&writer, HF_SLICE("\r\n"));
    }
    hf_http1_write(&writer, HF_SLICE("\r\n"));
    REQUIRE(writer.size <= room);
    return writer.size;
}

static void check_sent_on(const struct hf_head *head)
{
    static struct hf_head again;
    static const struct hf_http1_limits wide = {HF_HEAD_SIZE_MAX, HF_FIELDS_MAX};
    char out[20 * 1024];
    struct hf_http1_parser parser = {0};
    size_t size = write_on(head, out, sizeof(out));
    char *copy = fuzz_copy(out, size);
    REQUIRE(hf_http1_parse_request(&parser, &again, copy, size, &wide) == HF_CODEC_DONE);
    REQUIRE(again.size == size && again.method == head->method && again.body == head->body);
    REQUIRE(again.content_length == head->content_length && again.upgrade == head->upgrade);
    REQUIRE(hf_slice_equal(hf_head_span(head, head->path), hf_head_span(&again, again.path)));
    REQUIRE(
        hf_slice_equal(hf_head_span(head, head->authority), hf_head_span(&again, again.authority)));
    for (unsigned i = 0; i < again.field_count; i++)
        REQUIRE(memchr(again.base + again.fields[i].name, '_', again.fields[i].name_size) == NULL);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hf_head whole, pieces;
    struct hf_http1_parser whole_parser = {0}, pieces_parser = {0};
    if (size == 0)
        return 0;
    uint64_t seed = data[0];
    char *bytes = fuzz_copy(data + 1, size - 1);
    enum hf_codec answer = hf_http1_parse_request(&whole_parser, &whole, bytes, size - 1, &limits);
    enum hf_codec other = parse_in_pieces(&pieces_parser, &pieces, data + 1, size - 1, seed);
    REQUIRE(answer == other && whole_parser.reason == pieces_parser.reason);
    REQUIRE(whole_parser.scanned == pieces_parser.scanned && whole_parser.scanned <= size - 1);
    REQUIRE((answer == HF_CODEC_BAD) == (whole_parser.reason != HF_HTTP1_OK));
    if (answer == HF_CODEC_NEED_MORE)
        REQUIRE(whole_parser.scanned == size - 1 && size - 1 < limits.head_size_max);
    if (answer == HF_CODEC_DONE) {
        REQUIRE(whole.size <= size - 1);
        fuzz_check_same_head(&whole, &pieces);
        fuzz_check_bounds(&whole);
        if (whole.authority.size > 0)
            check_sent_on(&whole);
    }
    free(bytes);
    return 0;
}
