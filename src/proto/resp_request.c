#include "base/assert.h"
#include "proto/foreign.h"
#include "proto/resp.h"

enum {
    LENGTH_DIGITS_MAX = 10,
    INLINE_WORDS_MAX = 2,
};

static enum hf_codec refuse(struct hf_resp_parser *parser, enum hf_resp_reason reason)
{
    parser->reason = (uint8_t)reason;
    return HF_CODEC_BAD;
}

/* "digits CRLF" from bytes[*at]: plain decimal without sign, blank or leading zero. *at moves
 * behind the line when it is DONE. `bad` is the reason for anything but a wrong line end. */
static inline enum hf_codec read_length(struct hf_resp_parser *parser, struct hf_slice input,
                                        size_t *at, uint64_t *ret_length, enum hf_resp_reason bad)
{
    size_t first = *at, i = first;
    uint64_t value = 0;
    unsigned digit = 0;
    while (i < input.size && (digit = (unsigned char)input.bytes[i] - (unsigned)'0') <= 9) {
        if (i - first == LENGTH_DIGITS_MAX || (i > first && value == 0))
            return refuse(parser, bad);
        value = value * 10 + digit;
        i++;
    }
    if (i == input.size)
        return HF_CODEC_NEED_MORE;
    if (i == first || (input.bytes[i] != '\r' && input.bytes[i] != '\n'))
        return refuse(parser, bad);
    if (input.bytes[i] == '\n')
        return refuse(parser, HF_RESP_BAD_LINE_END);
    if (i + 1 == input.size)
        return HF_CODEC_NEED_MORE;
    if (input.bytes[i + 1] != '\n')
        return refuse(parser, HF_RESP_BAD_LINE_END);
    *at = i + 2;
    *ret_length = value;
    return HF_CODEC_DONE;
}

static enum hf_codec read_count(struct hf_resp_parser *parser, struct hf_slice input,
                                const struct hf_resp_limits *limits)
{
    size_t at = 1;
    uint64_t count = 0;
    enum hf_codec answer = read_length(parser, input, &at, &count, HF_RESP_BAD_COUNT);
    if (answer != HF_CODEC_DONE)
        return answer;
    if (count == 0)
        return refuse(parser, HF_RESP_BAD_COUNT);
    if (count > limits->arguments_max)
        return refuse(parser, HF_RESP_TOO_MANY_ARGUMENTS);
    parser->at = (uint32_t)at;
    parser->count = (uint32_t)count;
    return HF_CODEC_DONE;
}

/* The body is stepped over by its length: only the two bytes behind it are looked at. */
static inline enum hf_codec read_argument(struct hf_resp_parser *parser, struct hf_slice input,
                                          const struct hf_resp_limits *limits,
                                          struct hf_slice *ret_argument)
{
    size_t at = parser->at;
    uint64_t length = 0;
    if (at == input.size)
        return HF_CODEC_NEED_MORE;
    if (input.bytes[at] != '$')
        return refuse(parser, HF_RESP_NO_BULK);
    at++;
    enum hf_codec answer = read_length(parser, input, &at, &length, HF_RESP_BAD_BULK_SIZE);
    if (answer != HF_CODEC_DONE)
        return answer;
    if (length > limits->bulk_size_max)
        return refuse(parser, HF_RESP_BULK_TOO_LARGE);
    if (at + length + 2 > limits->request_size_max)
        return refuse(parser, HF_RESP_REQUEST_TOO_LARGE);
    if (input.size - at < length + 2) {
        parser->needed = (uint32_t)(at + length + 2);
        return HF_CODEC_NEED_MORE;
    }
    const char *end = input.bytes + at + length;
    if (end[0] != '\r' || end[1] != '\n')
        return refuse(parser, HF_RESP_BAD_LINE_END);
    *ret_argument = hf_slice(input.bytes + at, length);
    parser->at = (uint32_t)(at + length + 2);
    return HF_CODEC_DONE;
}

/* Splits at single blanks. Letters alone: nothing that is worth smuggling has such a form. */
static uint32_t split_inline(struct hf_slice line, struct hf_slice words[INLINE_WORDS_MAX])
{
    uint32_t count = 0;
    size_t first = 0;
    for (size_t i = 0; i <= line.size; i++) {
        char lower = i < line.size ? (char)(line.bytes[i] | 0x20) : ' ';
        if (lower >= 'a' && lower <= 'z')
            continue;
        if ((i < line.size && line.bytes[i] != ' ') || i == first || count == INLINE_WORDS_MAX)
            return 0;
        words[count++] = hf_slice(line.bytes + first, i - first);
        first = i + 1;
    }
    return count;
}

static bool understood_inline(const struct hf_resp_request *request)
{
    struct hf_slice name = request->arguments[0];
    if (hf_slice_equal_nocase(name, HF_SLICE("info")))
        return true;
    return request->count == 1 && (hf_slice_equal_nocase(name, HF_SLICE("ping")) ||
                                   hf_slice_equal_nocase(name, HF_SLICE("quit")));
}

static enum hf_codec read_inline(struct hf_resp_parser *parser, struct hf_slice input,
                                 struct hf_resp_request *request)
{
    char lower = (char)(input.bytes[0] | 0x20);
    if (lower < 'a' || lower > 'z')
        return refuse(parser, HF_RESP_NOT_RESP);
    size_t looked = input.size < HF_RESP_INLINE_SIZE_MAX ? input.size : HF_RESP_INLINE_SIZE_MAX;
    const char *end = memchr(input.bytes, '\n', looked);
    if (end == NULL && looked < HF_RESP_INLINE_SIZE_MAX)
        return HF_CODEC_NEED_MORE;
    size_t size = end != NULL ? (size_t)(end - input.bytes) : looked;
    if (hf_foreign_http(hf_slice(input.bytes, size)))
        return refuse(parser, HF_RESP_CROSS_PROTOCOL);
    if (end == NULL)
        return refuse(parser, HF_RESP_BAD_INLINE);
    if (input.bytes[size - 1] != '\r')
        return refuse(parser, HF_RESP_BAD_LINE_END);
    request->count = split_inline(hf_slice(input.bytes, size - 1), request->arguments);
    if (request->count == 0 || !understood_inline(request))
        return refuse(parser, HF_RESP_BAD_INLINE);
    parser->at = (uint32_t)size + 1;
    return HF_CODEC_DONE;
}

static enum hf_codec walk(struct hf_resp_parser *parser, struct hf_slice input,
                          const struct hf_resp_limits *limits, struct hf_resp_request *request)
{
    if (parser->count == 0) {
        if (input.bytes[0] != '*')
            return read_inline(parser, input, request);
        enum hf_codec answer = read_count(parser, input, limits);
        if (answer != HF_CODEC_DONE)
            return answer;
    }
    for (; parser->index < parser->count; parser->index++) {
        enum hf_codec answer =
            read_argument(parser, input, limits, &request->arguments[parser->index]);
        if (answer != HF_CODEC_DONE)
            return answer;
    }
    request->count = parser->count;
    return HF_CODEC_DONE;
}

enum hf_codec hf_resp_parse_request(struct hf_resp_parser *parser, const char *bytes, size_t size,
                                    const struct hf_resp_limits *limits,
                                    struct hf_resp_request *request)
{
    REQUIRE(limits->arguments_max <= HF_RESP_ARGUMENTS_MAX &&
            limits->request_size_max <= HF_RESP_REQUEST_SIZE_MAX);
    if (parser->needed == 0)
        parser->needed = 1;
    if (size < parser->needed)
        return HF_CODEC_NEED_MORE;
    bool resumed = parser->index > 0;
    parser->needed = 0;
    enum hf_codec answer = walk(parser, hf_slice(bytes, size), limits, request);
    if (answer == HF_CODEC_DONE &&
        resumed) { /* once more: the first ones were at another address */
        *parser = (struct hf_resp_parser){0};
        answer = walk(parser, hf_slice(bytes, size), limits, request);
    }
    if (answer == HF_CODEC_NEED_MORE && parser->needed == 0)
        parser->needed = (uint32_t)(size < UINT32_MAX ? size + 1 : size);
    if (answer == HF_CODEC_DONE) {
        request->size = parser->at;
        *parser = (struct hf_resp_parser){0};
    }
    return answer;
}
