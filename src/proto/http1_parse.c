#include "base/assert.h"
#include "proto/http1_internal.h"
#include "proto/scan.h"

/* What the next byte belongs to. Within a line the states follow each other in this order. */
enum state {
    AT_START, /* blank lines before a request line */
    AT_BLANK_LF,
    AT_METHOD,
    AT_TARGET,
    AT_VERSION,
    AT_STATUS, /* "HTTP/1.1 200" of a response */
    AT_PHRASE_BLANK,
    AT_PHRASE,
    AT_LINE_LF,
    AT_FIELD,
    AT_NAME,
    AT_NAME_BLANK, /* responses only */
    AT_VALUE_BLANK,
    AT_VALUE,
    AT_VALUE_LF,
    AT_END_LF,
    AT_DONE,
    AT_BAD,
};

enum { VERSION_SIZE = 8, STATUS_SIZE = 12, BLANK_LINES_MAX = 4 };

struct reader { /* one call */
    struct hf_http1_parser *parser;
    struct hf_head *head;
    const struct hf_http1_limits *limits;
    const char *bytes;
    size_t size;
    size_t at;  /* the next byte to look at */
    size_t end; /* of what may be looked at: the input, or where the line or the head is too long */
    bool is_response;
};

/* A step takes the bytes of its state. GO_ON: it is through, and set the next state. */
enum go { GO_ON, GO_WAIT, GO_BAD };

static enum go bad(struct reader *r, enum hf_http1_reason reason)
{
    r->parser->reason = (uint8_t)reason;
    return GO_BAD;
}

static void set_end(struct reader *r)
{
    r->end = r->size;
    if (r->end > (size_t)r->parser->line + HF_HEAD_LINE_MAX)
        r->end = (size_t)r->parser->line + HF_HEAD_LINE_MAX;
    if (r->end > r->limits->head_size_max)
        r->end = r->limits->head_size_max;
}

/* All bytes up to r->end were legal and more are needed: there may be no room for more. */
static enum go out_of_bytes(struct reader *r)
{
    bool line_full = r->at >= (size_t)r->parser->line + HF_HEAD_LINE_MAX;
    if (!line_full && r->at < r->limits->head_size_max)
        return GO_WAIT;
    if (r->parser->state >= AT_FIELD)
        return bad(r, line_full ? HF_HTTP1_FIELD_TOO_LONG : HF_HTTP1_HEAD_TOO_LARGE);
    return bad(r, r->is_response ? HF_HTTP1_BAD_STATUS_LINE : HF_HTTP1_TARGET_TOO_LONG);
}

static void enter(struct reader *r, enum state state)
{
    r->parser->state = (uint8_t)state;
    r->parser->mark = (uint32_t)r->at;
}

static struct hf_span marked(const struct reader *r)
{
    return (struct hf_span){r->parser->mark, (uint32_t)(r->at - r->parser->mark)};
}

static enum go take_lf(struct reader *r, enum state next)
{
    if (r->at == r->end)
        return out_of_bytes(r);
    if (r->bytes[r->at] != '\n')
        return bad(r, HF_HTTP1_BAD_LINE_END);
    r->at++;
    r->parser->line = (uint32_t)r->at;
    set_end(r);
    enter(r, next);
    return GO_ON;
}

static enum go take_start(struct reader *r)
{
    if (r->at == r->end)
        return out_of_bytes(r);
    if (r->is_response || r->bytes[r->at] != '\r') {
        enter(r, r->is_response ? AT_STATUS : AT_METHOD);
        return GO_ON;
    }
    if (++r->parser->blank_lines > BLANK_LINES_MAX)
        return bad(r, HF_HTTP1_BLANK_LINES);
    r->at++;
    enter(r, AT_BLANK_LF);
    return GO_ON;
}

static enum go take_method(struct reader *r)
{
    while (r->at < r->end && r->at - r->parser->mark <= HF_METHOD_SIZE_MAX &&
           hf_scan_is(r->bytes[r->at], HF_SCAN_TOKEN))
        r->at++;
    struct hf_span method = marked(r);
    if (method.size > HF_METHOD_SIZE_MAX)
        return bad(r, HF_HTTP1_METHOD_TOO_LONG);
    if (r->at == r->end)
        return out_of_bytes(r);
    char stop = r->bytes[r->at];
    if (stop == '\n')
        return bad(r, HF_HTTP1_BAD_LINE_END);
    if (stop != ' ' || method.size == 0)
        return bad(r, HF_HTTP1_BAD_METHOD);
    r->head->method_text = method;
    r->at++;
    enter(r, AT_TARGET);
    return GO_ON;
}

static enum go take_target(struct reader *r)
{
    r->at = hf_scan(r->bytes, r->at, r->end, HF_SCAN_TARGET);
    if (r->at == r->end)
        return out_of_bytes(r);
    struct hf_span target = marked(r);
    if (r->bytes[r->at] != ' ' || target.size == 0)
        return bad(r, HF_HTTP1_BAD_TARGET);
    enum hf_http1_reason reason = hf_http1_settle_target(r->head, target);
    if (reason != HF_HTTP1_OK)
        return bad(r, reason);
    r->at++;
    enter(r, AT_VERSION);
    return GO_ON;
}

/* Whether the byte at r->at fits a pattern in which '0' stands for any digit. */
static bool fits(const struct reader *r, const char *pattern)
{
    char want = pattern[r->at - r->parser->mark];
    char byte = r->bytes[r->at];
    return want == '0' ? byte >= '0' && byte <= '9' : byte == want;
}

/* A higher minor version is read as the one we know (RFC 9110 2.5). */
static uint8_t minor_version(const struct reader *r)
{
    return r->bytes[r->parser->mark + VERSION_SIZE - 1] == '0' ? 0 : 1;
}

static enum go take_version(struct reader *r)
{
    for (; r->at < r->end && r->at < r->parser->mark + VERSION_SIZE; r->at++)
        if (!fits(r, "HTTP/0.0"))
            return bad(r, HF_HTTP1_BAD_VERSION);
    if (r->at == r->end)
        return out_of_bytes(r);
    if (r->bytes[r->at] == '\n')
        return bad(r, HF_HTTP1_BAD_LINE_END);
    if (r->bytes[r->at] != '\r')
        return bad(r, HF_HTTP1_BAD_VERSION);
    if (r->bytes[r->parser->mark + 5] != '1')
        return bad(r, HF_HTTP1_UNKNOWN_VERSION);
    r->head->version_minor = minor_version(r);
    r->at++;
    enter(r, AT_LINE_LF);
    return GO_ON;
}

static enum go take_status(struct reader *r)
{
    for (; r->at < r->end && r->at < r->parser->mark + STATUS_SIZE; r->at++)
        if (!fits(r, "HTTP/1.0 000"))
            return bad(r, HF_HTTP1_BAD_STATUS_LINE);
    if (r->at < r->parser->mark + STATUS_SIZE)
        return out_of_bytes(r);
    const char *digits = r->bytes + r->parser->mark + STATUS_SIZE - 3;
    if (digits[0] < '1' || digits[0] > '5')
        return bad(r, HF_HTTP1_BAD_STATUS_LINE);
    r->head->status =
        (uint16_t)((digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0'));
    r->head->version_minor = minor_version(r);
    enter(r, AT_PHRASE_BLANK);
    return GO_ON;
}

/* The blank before an absent phrase is required (RFC 9112 4), but many servers leave it out. */
static enum go take_phrase_blank(struct reader *r)
{
    if (r->at == r->end)
        return out_of_bytes(r);
    if (r->bytes[r->at] == ' ')
        r->at++;
    else if (r->bytes[r->at] != '\r')
        return bad(r, HF_HTTP1_BAD_STATUS_LINE);
    enter(r, AT_PHRASE);
    return GO_ON;
}

static enum go take_phrase(struct reader *r)
{
    r->at = hf_scan(r->bytes, r->at, r->end, HF_SCAN_VALUE);
    if (r->at == r->end)
        return out_of_bytes(r);
    if (r->bytes[r->at] != '\r')
        return bad(r, r->bytes[r->at] == '\n' ? HF_HTTP1_BAD_LINE_END : HF_HTTP1_BAD_STATUS_LINE);
    r->head->reason_phrase = marked(r);
    r->at++;
    enter(r, AT_LINE_LF);
    return GO_ON;
}

static enum go take_field(struct reader *r)
{
    if (r->at == r->end)
        return out_of_bytes(r);
    char byte = r->bytes[r->at];
    if (byte == '\r') {
        r->at++;
        enter(r, AT_END_LF);
        return GO_ON;
    }
    if (byte == ' ' || byte == '\t')
        return bad(r, HF_HTTP1_FOLDED_FIELD);
    if (r->head->field_count == r->limits->fields_max)
        return bad(r, HF_HTTP1_TOO_MANY_FIELDS);
    r->head->fields[r->head->field_count].drop = false;
    enter(r, AT_NAME);
    return GO_ON;
}

static enum go bad_name(struct reader *r, char stop)
{
    if (stop == '\n')
        return bad(r, HF_HTTP1_BAD_LINE_END);
    bool blank = stop == ' ' || stop == '\t';
    return bad(r, blank ? HF_HTTP1_SPACE_BEFORE_COLON : HF_HTTP1_BAD_FIELD_NAME);
}

/* An underscore marks a request's field `drop`: gateways read it as a dash (X_Forwarded_For). */
static enum go take_name(struct reader *r)
{
    struct hf_field *field = &r->head->fields[r->head->field_count];
    while ((r->at = hf_scan(r->bytes, r->at, r->end, HF_SCAN_PLAIN)) < r->end &&
           hf_scan_is(r->bytes[r->at], HF_SCAN_TOKEN)) {
        field->drop |= r->bytes[r->at] == '_' && !r->is_response;
        r->at++;
    }
    if (r->at == r->end)
        return out_of_bytes(r);
    char stop = r->bytes[r->at];
    bool blank = stop == ' ' || stop == '\t';
    if ((stop != ':' && !(blank && r->is_response)) || r->at == r->parser->mark)
        return bad_name(r, stop);
    struct hf_span name = marked(r);
    field->name = name.offset;
    field->name_size = (uint16_t)name.size;
    field->id = (uint8_t)hf_field_identify(hf_slice(r->bytes + name.offset, name.size));
    enter(r, AT_NAME_BLANK);
    return GO_ON;
}

/* Up to and over the colon. Blanks before it get this far in responses alone, where they are to be
 * removed (RFC 9112 5.1). */
static enum go take_name_blank(struct reader *r)
{
    while (r->at < r->end && (r->bytes[r->at] == ' ' || r->bytes[r->at] == '\t'))
        r->at++;
    if (r->at == r->end)
        return out_of_bytes(r);
    if (r->bytes[r->at] != ':')
        return bad_name(r, r->bytes[r->at]);
    r->at++;
    enter(r, AT_VALUE_BLANK);
    return GO_ON;
}

static enum go take_value_blank(struct reader *r)
{
    while (r->at < r->end && (r->bytes[r->at] == ' ' || r->bytes[r->at] == '\t'))
        r->at++;
    if (r->at == r->end)
        return out_of_bytes(r);
    enter(r, AT_VALUE);
    return GO_ON;
}

static enum go take_value(struct reader *r)
{
    r->at = hf_scan(r->bytes, r->at, r->end, HF_SCAN_VALUE);
    if (r->at == r->end)
        return out_of_bytes(r);
    if (r->bytes[r->at] != '\r')
        return bad(r, r->bytes[r->at] == '\n' ? HF_HTTP1_BAD_LINE_END : HF_HTTP1_BAD_FIELD_VALUE);
    struct hf_span value = marked(r);
    while (value.size > 0 && (r->bytes[value.offset + value.size - 1] == ' ' ||
                              r->bytes[value.offset + value.size - 1] == '\t'))
        value.size--;
    struct hf_field *field = &r->head->fields[r->head->field_count];
    field->value = value.offset;
    field->value_size = (uint16_t)value.size;
    r->at++;
    enter(r, AT_VALUE_LF);
    return GO_ON;
}

static enum go take_value_lf(struct reader *r)
{
    enum go go = take_lf(r, AT_FIELD);
    if (go == GO_ON)
        r->head->field_count++;
    return go;
}

static enum go take_end_lf(struct reader *r)
{
    enum go go = take_lf(r, AT_DONE);
    if (go == GO_ON)
        r->head->size = (uint32_t)r->at;
    return go;
}

static enum go take(struct reader *r)
{
    switch ((enum state)r->parser->state) {
    case AT_START:
        return take_start(r);
    case AT_BLANK_LF:
        return take_lf(r, AT_START);
    case AT_METHOD:
        return take_method(r);
    case AT_TARGET:
        return take_target(r);
    case AT_VERSION:
        return take_version(r);
    case AT_STATUS:
        return take_status(r);
    case AT_PHRASE_BLANK:
        return take_phrase_blank(r);
    case AT_PHRASE:
        return take_phrase(r);
    case AT_LINE_LF:
        return take_lf(r, AT_FIELD);
    case AT_FIELD:
        return take_field(r);
    case AT_NAME:
        return take_name(r);
    case AT_NAME_BLANK:
        return take_name_blank(r);
    case AT_VALUE_BLANK:
        return take_value_blank(r);
    case AT_VALUE:
        return take_value(r);
    case AT_VALUE_LF:
        return take_value_lf(r);
    case AT_END_LF:
        return take_end_lf(r);
    case AT_DONE:
    case AT_BAD:
        break;
    }
    REQUIRE(!"a state in which bytes are read");
    return GO_BAD;
}

/* Reads on from where the last call stopped. DONE: the whole head was read, not yet settled. */
static enum hf_codec read_head(struct reader *r)
{
    struct hf_http1_parser *parser = r->parser;
    REQUIRE(r->limits->fields_max <= HF_FIELDS_MAX);
    REQUIRE(r->limits->head_size_max <= HF_HEAD_SIZE_MAX);
    REQUIRE(parser->scanned <= r->size);
    if (parser->state == AT_BAD)
        return HF_CODEC_BAD;
    if (parser->scanned == 0)
        memset(r->head, 0, offsetof(struct hf_head, fields));
    r->head->base = r->bytes;
    r->at = parser->scanned;
    set_end(r);
    enum go go = GO_ON;
    while (go == GO_ON && parser->state != AT_DONE)
        go = take(r);
    parser->scanned = (uint32_t)r->at;
    if (go == GO_BAD)
        parser->state = AT_BAD;
    return go == GO_ON ? HF_CODEC_DONE : go == GO_BAD ? HF_CODEC_BAD : HF_CODEC_NEED_MORE;
}

static enum hf_codec settled(struct hf_http1_parser *parser, enum hf_http1_reason reason)
{
    if (reason == HF_HTTP1_OK)
        return HF_CODEC_DONE;
    parser->reason = (uint8_t)reason;
    parser->state = AT_BAD;
    return HF_CODEC_BAD;
}

enum hf_codec hf_http1_parse_request(struct hf_http1_parser *parser, struct hf_head *head,
                                     const char *bytes, size_t size,
                                     const struct hf_http1_limits *limits)
{
    struct reader r = {
        .parser = parser, .head = head, .limits = limits, .bytes = bytes, .size = size};
    enum hf_codec answer = read_head(&r);
    return answer == HF_CODEC_DONE ? settled(parser, hf_http1_settle_request(head)) : answer;
}

enum hf_codec hf_http1_parse_response(struct hf_http1_parser *parser, struct hf_head *head,
                                      const char *bytes, size_t size, enum hf_method request_method,
                                      const struct hf_http1_limits *limits)
{
    struct reader r = {.parser = parser,
                       .head = head,
                       .limits = limits,
                       .bytes = bytes,
                       .size = size,
                       .is_response = true};
    enum hf_codec answer = read_head(&r);
    if (answer != HF_CODEC_DONE)
        return answer;
    return settled(parser, hf_http1_settle_response(head, request_method));
}
