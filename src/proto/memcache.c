#include "base/assert.h"
#include "proto/foreign.h"
#include "proto/memcache_internal.h"
#include "proto/scan.h"

enum {
    RELATIVE_SECONDS_MAX = 60 * 60 * 24 * 30,
    BINARY_MAGIC = 0x80,
};

static const struct {
    const char *word;
    const char *line;
    uint16_t status;
} reasons[HF_MEMCACHE_REASONS] = {
    [HF_MEMCACHE_OK] = {"none", "OK", 0},
#define HF_MEMCACHE_REASON_ROW(id, line, status, word) [HF_MEMCACHE_##id] = {word, line, status},
#include "proto/memcache_reasons.def"
#undef HF_MEMCACHE_REASON_ROW
};

const char *hf_memcache_reason_word(enum hf_memcache_reason reason)
{
    REQUIRE(reason < HF_MEMCACHE_REASONS);
    return reasons[reason].word;
}

uint16_t hf_memcache_reason_status(enum hf_memcache_reason reason)
{
    REQUIRE(reason < HF_MEMCACHE_REASONS);
    return reasons[reason].status;
}

void hf_memcache_write_refusal(struct hf_writer *writer, const struct hf_memcache_request *request)
{
    REQUIRE(request->reason > HF_MEMCACHE_OK && request->reason < HF_MEMCACHE_REASONS);
    const char *line = reasons[request->reason].line;
    if (line[0] == '\0')
        return;
    if (request->dialect == HF_MEMCACHE_BINARY) {
        hf_memcache_binary_error(writer, request, reasons[request->reason].status);
        return;
    }
    hf_writer_text(writer, line);
    hf_writer_text(writer, "\r\n");
}

int64_t hf_memcache_seconds_left(int64_t exptime, int64_t now_s)
{
    if (exptime == 0)
        return HF_MEMCACHE_FOREVER;
    if (exptime < 0)
        return 0;
    if (exptime <= RELATIVE_SECONDS_MAX)
        return exptime;
    return exptime > now_s ? exptime - now_s : 0;
}

enum hf_memcache_reason hf_memcache_refuse(struct hf_memcache_request *request,
                                           enum hf_memcache_reason reason)
{
    request->operation = HF_MEMCACHE_REFUSED;
    request->reason = (uint8_t)reason;
    return HF_MEMCACHE_OK;
}

enum hf_memcache_reason hf_memcache_refuse_large(struct hf_memcache_request *request,
                                                 uint8_t operation)
{
    request->refused = operation;
    return hf_memcache_refuse(request, HF_MEMCACHE_TOO_LARGE);
}

static enum hf_codec reject(struct hf_memcache_parser *parser, struct hf_memcache_request *request,
                            enum hf_memcache_reason reason)
{
    hf_memcache_refuse(request, reason);
    parser->reason = (uint8_t)reason;
    return HF_CODEC_BAD;
}

static enum hf_codec wait_for(struct hf_memcache_parser *parser, size_t needed)
{
    parser->needed = (uint32_t)needed;
    return HF_CODEC_NEED_MORE;
}

/* Ready for the next request of the same connection. */
static enum hf_codec finish(struct hf_memcache_parser *parser, struct hf_memcache_request *request,
                            size_t size)
{
    request->size = (uint32_t)size;
    *parser = (struct hf_memcache_parser){.dialect = parser->dialect};
    return HF_CODEC_DONE;
}

/* Only these may be long. */
static bool is_multi_get(struct hf_slice line)
{
    return hf_slice_starts(line, HF_SLICE("get")) || hf_slice_starts(line, HF_SLICE("gat"));
}

/* The size of the first line, its LF included. A line ends with LF; one CR before it goes too. */
static enum hf_codec find_line(struct hf_memcache_parser *parser, struct hf_slice input,
                               struct hf_memcache_request *request)
{
    if (parser->line_size > 0)
        return HF_CODEC_DONE;
    size_t max = input.size < HF_MEMCACHE_SHORT_LINE_MAX || is_multi_get(input)
                     ? HF_MEMCACHE_LINE_MAX
                     : HF_MEMCACHE_SHORT_LINE_MAX;
    size_t looked = input.size < max ? input.size : max;
    const char *end = looked > parser->scanned
                          ? memchr(input.bytes + parser->scanned, '\n', looked - parser->scanned)
                          : NULL;
    if (end != NULL) {
        parser->line_size = (uint32_t)(end - input.bytes) + 1;
        return HF_CODEC_DONE;
    }
    parser->scanned = (uint32_t)looked;
    if (looked < max)
        return wait_for(parser, input.size + 1);
    bool foreign = hf_foreign_http(hf_slice(input.bytes, HF_MEMCACHE_SHORT_LINE_MAX));
    return reject(parser, request,
                  foreign ? HF_MEMCACHE_CROSS_PROTOCOL : HF_MEMCACHE_LINE_TOO_LONG);
}

static enum hf_codec take_value(struct hf_memcache_parser *parser, struct hf_slice input,
                                const struct hf_memcache_line *line,
                                struct hf_memcache_request *request)
{
    size_t start = parser->line_size, end = start + line->value_size;
    if (request->operation == HF_MEMCACHE_REFUSED) {
        request->discard = line->value_size + 2;
        return finish(parser, request, start);
    }
    if (input.size < end + 2)
        return wait_for(parser, end + 2);
    if (input.bytes[end] != '\r' || input.bytes[end + 1] != '\n')
        return reject(parser, request, HF_MEMCACHE_BAD_DATA_END);
    request->value = hf_slice(input.bytes + start, line->value_size);
    return finish(parser, request, end + 2);
}

static enum hf_codec parse_text(struct hf_memcache_parser *parser, struct hf_slice input,
                                const struct hf_memcache_limits *limits,
                                struct hf_memcache_request *request)
{
    enum hf_codec answer = find_line(parser, input, request);
    if (answer != HF_CODEC_DONE)
        return answer;
    size_t size = parser->line_size - 1;
    if (size > 0 && input.bytes[size - 1] == '\r')
        size--;
    struct hf_memcache_line line = {.rest = hf_slice(input.bytes, size)};
    line.clean = hf_scan(input.bytes, 0, size, HF_SCAN_VALUE) == size &&
                 memchr(input.bytes, '\t', size) == NULL;
    enum hf_memcache_reason wrong = hf_memcache_read_text(&line, request);
    if (wrong != HF_MEMCACHE_OK)
        return reject(parser, request, wrong);
    if (request->operation == HF_MEMCACHE_REFUSED &&
        request->reason == HF_MEMCACHE_UNKNOWN_COMMAND &&
        hf_foreign_http(hf_slice(input.bytes, size)))
        return reject(parser, request, HF_MEMCACHE_CROSS_PROTOCOL);
    if (!line.has_value)
        return finish(parser, request, parser->line_size);
    if (request->operation != HF_MEMCACHE_REFUSED && line.value_size > limits->value_size_max)
        hf_memcache_refuse_large(request, request->operation);
    return take_value(parser, input, &line, request);
}

/* Of a value that is too large, the key is needed still. It belongs to what is dropped. */
static enum hf_codec refuse_binary(struct hf_memcache_parser *parser, struct hf_slice input,
                                   struct hf_memcache_request *request)
{
    if (request->reason == HF_MEMCACHE_TOO_LARGE) {
        size_t needed = hf_memcache_key_end(input.bytes);
        if (input.size < needed)
            return wait_for(parser, needed);
        hf_memcache_read_key(input.bytes, request);
    }
    return finish(parser, request, HF_MEMCACHE_HEADER_SIZE);
}

static enum hf_codec parse_binary(struct hf_memcache_parser *parser, struct hf_slice input,
                                  const struct hf_memcache_limits *limits,
                                  struct hf_memcache_request *request)
{
    uint32_t body = 0;
    request->dialect = HF_MEMCACHE_BINARY;
    if (input.size < HF_MEMCACHE_HEADER_SIZE)
        return wait_for(parser, HF_MEMCACHE_HEADER_SIZE);
    enum hf_memcache_reason wrong =
        hf_memcache_read_header(input.bytes, limits->value_size_max, request, &body);
    if (wrong != HF_MEMCACHE_OK)
        return reject(parser, request, wrong);
    if (request->operation == HF_MEMCACHE_REFUSED)
        return refuse_binary(parser, input, request);
    size_t whole = HF_MEMCACHE_HEADER_SIZE + (size_t)body;
    if (input.size < whole)
        return wait_for(parser, whole);
    hf_memcache_read_body(input.bytes, request);
    return finish(parser, request, whole);
}

static bool is_text(unsigned char byte)
{
    return (byte >= ' ' && byte < 0x7f) || byte == '\r' || byte == '\n' || byte == '\t';
}

enum hf_codec hf_memcache_parse(struct hf_memcache_parser *parser, const char *bytes, size_t size,
                                const struct hf_memcache_limits *limits,
                                struct hf_memcache_request *request)
{
    REQUIRE(limits->value_size_max <= HF_MEMCACHE_DISCARD_MAX);
    if (parser->needed == 0)
        parser->needed = 1;
    if (size < parser->needed)
        return HF_CODEC_NEED_MORE;
    bool binary = (unsigned char)bytes[0] == BINARY_MAGIC;
    uint8_t dialect = binary ? HF_MEMCACHE_BINARY : HF_MEMCACHE_TEXT;
    parser->needed = 0;
    memset(request, 0, offsetof(struct hf_memcache_request, decoded_key));
    request->dialect = parser->dialect == HF_MEMCACHE_UNDECIDED ? dialect : parser->dialect;
    if (!binary && !is_text((unsigned char)bytes[0]))
        return reject(parser, request, HF_MEMCACHE_NOT_MEMCACHE);
    if (request->dialect != dialect)
        return reject(parser, request, HF_MEMCACHE_MIXED_PROTOCOLS);
    parser->dialect = dialect;
    return binary ? parse_binary(parser, hf_slice(bytes, size), limits, request)
                  : parse_text(parser, hf_slice(bytes, size), limits, request);
}
