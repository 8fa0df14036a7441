#include "base/assert.h"
#include "proto/number.h"
#include "proto/resp.h"

/* The reply itself and what it announces, as a stack of counters: an aggregate adds one, its last
 * item takes it away. An attribute is an aggregate that counts for nothing itself. */

static enum hf_codec refuse(struct hf_resp_reply_parser *parser, enum hf_resp_reason reason)
{
    parser->reason = (uint8_t)reason;
    return HF_CODEC_BAD;
}

/* The text up to CRLF; *at moves behind it. The line is searched again when more of it comes, which
 * HF_RESP_LINE_SIZE_MAX bounds. */
static enum hf_codec read_line(struct hf_resp_reply_parser *parser, struct hf_slice input,
                               size_t *at, struct hf_slice *ret_text)
{
    size_t left = input.size - *at;
    size_t looked = left < HF_RESP_LINE_SIZE_MAX ? left : HF_RESP_LINE_SIZE_MAX;
    const char *start = input.bytes + *at;
    const char *end = looked > 0 ? memchr(start, '\r', looked) : NULL;
    if (end == NULL)
        return looked < HF_RESP_LINE_SIZE_MAX ? HF_CODEC_NEED_MORE
                                              : refuse(parser, HF_RESP_LINE_TOO_LONG);
    size_t size = (size_t)(end - start);
    if (size + 1 == left)
        return HF_CODEC_NEED_MORE;
    if (end[1] != '\n' || (size > 0 && memchr(start, '\n', size) != NULL))
        return refuse(parser, HF_RESP_BAD_LINE_END);
    *ret_text = hf_slice(start, size);
    *at += size + 2;
    return HF_CODEC_DONE;
}

static size_t digits_end(struct hf_slice text, size_t at)
{
    while (at < text.size && text.bytes[at] >= '0' && text.bytes[at] <= '9')
        at++;
    return at;
}

static size_t sign_end(struct hf_slice text, size_t at)
{
    return at < text.size && (text.bytes[at] == '-' || text.bytes[at] == '+') ? at + 1 : at;
}

static bool valid_big_number(struct hf_slice text)
{
    size_t digits = sign_end(text, 0);
    return digits < text.size && digits_end(text, digits) == text.size;
}

/* [sign] digits [. digits] [e [sign] digits], or inf, -inf, nan. */
static bool valid_double(struct hf_slice text)
{
    if (hf_slice_equal(text, HF_SLICE("inf")) || hf_slice_equal(text, HF_SLICE("-inf")) ||
        hf_slice_equal(text, HF_SLICE("nan")))
        return true;
    size_t whole = sign_end(text, 0), at = digits_end(text, whole);
    if (at == whole)
        return false;
    if (at < text.size && text.bytes[at] == '.') {
        size_t fraction = at + 1;
        at = digits_end(text, fraction);
        if (at == fraction)
            return false;
    }
    if (at < text.size && (text.bytes[at] == 'e' || text.bytes[at] == 'E')) {
        size_t exponent = sign_end(text, at + 1);
        at = digits_end(text, exponent);
        if (at == exponent)
            return false;
    }
    return at == text.size;
}

static bool parse_integer(struct hf_slice text, int64_t *ret_number)
{
    bool plus = text.size > 1 && text.bytes[0] == '+' && text.bytes[1] != '-';
    return hf_number_parse_i64(hf_slice(text.bytes + plus, text.size - plus), ret_number);
}

/* What stands on one line, save sizes and counts. */
static enum hf_codec settle_line(struct hf_resp_reply_parser *parser, struct hf_resp_item *item)
{
    bool valid = true;
    switch (item->type) {
    case HF_RESP_INTEGER:
        valid = parse_integer(item->text, &item->number);
        break;
    case HF_RESP_NULL:
        valid = item->text.size == 0;
        break;
    case HF_RESP_BOOLEAN:
        valid = item->text.size == 1 && (item->text.bytes[0] == 't' || item->text.bytes[0] == 'f');
        item->number = valid && item->text.bytes[0] == 't';
        break;
    case HF_RESP_DOUBLE:
        valid = valid_double(item->text);
        break;
    case HF_RESP_BIG_NUMBER:
        valid = valid_big_number(item->text);
        break;
    default:
        break;
    }
    return valid ? HF_CODEC_DONE : refuse(parser, HF_RESP_BAD_NUMBER);
}

static enum hf_codec read_string(struct hf_resp_reply_parser *parser, struct hf_slice input,
                                 const struct hf_resp_reply_limits *limits, size_t *at,
                                 struct hf_resp_item *item)
{
    uint64_t size = (uint64_t)item->number;
    if (size > limits->bulk_size_max)
        return refuse(parser, HF_RESP_BULK_TOO_LARGE);
    if (*at + size + 2 > limits->reply_size_max)
        return refuse(parser, HF_RESP_REPLY_TOO_LARGE);
    if (input.size - *at < size + 2) {
        parser->needed = (uint32_t)(*at + size + 2);
        return HF_CODEC_NEED_MORE;
    }
    const char *start = input.bytes + *at;
    if (start[size] != '\r' || start[size + 1] != '\n')
        return refuse(parser, HF_RESP_BAD_LINE_END);
    item->text = hf_slice(start, size);
    item->number = 0;
    *at += size + 2;
    if (item->type != HF_RESP_VERBATIM)
        return HF_CODEC_DONE;
    if (size < 4 || start[3] != ':')
        return refuse(parser, HF_RESP_BAD_TEXT);
    item->text = hf_slice(start + 4, size - 4);
    return HF_CODEC_DONE;
}

/* Opens the aggregate. */
static enum hf_codec settle_aggregate(struct hf_resp_reply_parser *parser,
                                      const struct hf_resp_reply_limits *limits,
                                      const struct hf_resp_item *item)
{
    bool paired = item->type == HF_RESP_MAP || item->type == HF_RESP_ATTRIBUTE;
    uint64_t inside = (uint64_t)item->number * (paired ? 2 : 1);
    if (item->number > INT32_MAX || inside + parser->items > limits->items_max)
        return refuse(parser, HF_RESP_TOO_MANY_ITEMS);
    if (inside > 0 && parser->depth == HF_RESP_DEPTH_MAX)
        return refuse(parser, HF_RESP_TOO_DEEP);
    parser->items += (uint32_t)inside;
    if (inside > 0)
        parser->left[++parser->depth] = (uint32_t)inside;
    return HF_CODEC_DONE;
}

static bool is_aggregate(uint8_t type)
{
    return type == HF_RESP_ARRAY || type == HF_RESP_MAP || type == HF_RESP_SET ||
           type == HF_RESP_PUSH || type == HF_RESP_ATTRIBUTE;
}

static bool is_string(uint8_t type)
{
    return type == HF_RESP_BULK || type == HF_RESP_BULK_ERROR || type == HF_RESP_VERBATIM;
}

/* A size or a count; "-1" makes a bulk string or an array a null. */
static enum hf_codec settle_size(struct hf_resp_reply_parser *parser, struct hf_resp_item *item)
{
    if (!hf_number_parse_i64(item->text, &item->number) || item->number < -1)
        return refuse(parser, HF_RESP_BAD_NUMBER);
    if (item->number >= 0)
        return HF_CODEC_DONE;
    if (item->type != HF_RESP_BULK && item->type != HF_RESP_ARRAY)
        return refuse(parser, HF_RESP_BAD_NUMBER);
    item->type = HF_RESP_NULL;
    item->number = 0;
    item->text.size = 0;
    return HF_CODEC_DONE;
}

static enum hf_codec read_body(struct hf_resp_reply_parser *parser, struct hf_slice input,
                               const struct hf_resp_reply_limits *limits, size_t *at,
                               struct hf_resp_item *item)
{
    if (!is_string(item->type) && !is_aggregate(item->type))
        return settle_line(parser, item);
    enum hf_codec answer = settle_size(parser, item);
    if (answer != HF_CODEC_DONE || item->type == HF_RESP_NULL)
        return answer;
    return is_string(item->type) ? read_string(parser, input, limits, at, item) : HF_CODEC_DONE;
}

/* The item is whole: it is counted, and aggregates that end with it are closed. */
static enum hf_codec count_item(struct hf_resp_reply_parser *parser,
                                const struct hf_resp_reply_limits *limits,
                                const struct hf_resp_item *item)
{
    if (item->type != HF_RESP_ATTRIBUTE)
        parser->left[parser->depth]--;
    if (is_aggregate(item->type)) {
        enum hf_codec answer = settle_aggregate(parser, limits, item);
        if (answer != HF_CODEC_DONE)
            return answer;
    }
    while (parser->depth > 0 && parser->left[parser->depth] == 0)
        parser->depth--;
    return HF_CODEC_DONE;
}

static enum hf_codec read_item(struct hf_resp_reply_parser *parser, struct hf_slice input,
                               const struct hf_resp_reply_limits *limits, struct hf_resp_item *item)
{
    size_t at = parser->at;
    if (at == input.size)
        return HF_CODEC_NEED_MORE;
    if (parser->items == 0)
        parser->items = parser->left[0] = 1;
    *item = (struct hf_resp_item){.type = (uint8_t)input.bytes[at++], .depth = parser->depth};
    if (item->type == 0 || memchr("+-:$*_#,(!=%~>|", item->type, 15) == NULL)
        return refuse(parser, HF_RESP_BAD_TYPE);
    enum hf_codec answer = read_line(parser, input, &at, &item->text);
    if (answer == HF_CODEC_DONE)
        answer = read_body(parser, input, limits, &at, item);
    if (answer != HF_CODEC_DONE)
        return answer;
    if (at > limits->reply_size_max)
        return refuse(parser, HF_RESP_REPLY_TOO_LARGE);
    parser->at = (uint32_t)at;
    return count_item(parser, limits, item);
}

enum hf_codec hf_resp_parse_reply(struct hf_resp_reply_parser *parser, const char *bytes,
                                  size_t size, const struct hf_resp_reply_limits *limits,
                                  size_t *ret_used)
{
    REQUIRE(limits->reply_size_max <= HF_RESP_REQUEST_SIZE_MAX);
    enum hf_codec answer;
    struct hf_resp_item item;
    if (parser->needed == 0)
        parser->needed = 1;
    if (size < parser->needed)
        return HF_CODEC_NEED_MORE;
    parser->needed = 0;
    do {
        answer = read_item(parser, hf_slice(bytes, size), limits, &item);
    } while (answer == HF_CODEC_DONE && (parser->depth > 0 || parser->left[0] > 0));
    if (answer == HF_CODEC_NEED_MORE && parser->needed == 0)
        parser->needed = (uint32_t)size + 1;
    if (answer == HF_CODEC_DONE) {
        *ret_used = parser->at;
        *parser = (struct hf_resp_reply_parser){0};
    }
    return answer;
}

bool hf_resp_next_item(struct hf_resp_cursor *cursor, struct hf_resp_item *ret_item)
{
    static const struct hf_resp_reply_limits none = {UINT32_MAX, HF_RESP_REQUEST_SIZE_MAX,
                                                     UINT32_MAX};
    if (cursor->walk.at == cursor->reply.size)
        return false;
    enum hf_codec answer = read_item(&cursor->walk, cursor->reply, &none, ret_item);
    REQUIRE(answer == HF_CODEC_DONE);
    return true;
}
