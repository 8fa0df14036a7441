#include "base/assert.h"
#include "proto/http1.h"
#include "proto/scan.h"

/* RFC 9112 7.1. Strict: CRLF only, digits only, extensions by their grammar. */
enum state {
    AT_SIZE,
    AT_EXTENSION_BLANK, /* behind the size or an extension: a blank, then ";" */
    AT_EXTENSION_NAME_START,
    AT_EXTENSION_NAME,
    AT_EXTENSION_NAME_BLANK, /* behind the name: "=" or ";" */
    AT_EXTENSION_VALUE_START,
    AT_EXTENSION_VALUE,
    AT_EXTENSION_QUOTED,
    AT_EXTENSION_ESCAPE,
    AT_EXTENSION_END, /* behind a closing quote */
    AT_SIZE_LF,
    AT_CONTENT,
    AT_CONTENT_CR,
    AT_CONTENT_LF,
    AT_TRAILER,
    AT_TRAILER_NAME,
    AT_TRAILER_VALUE,
    AT_TRAILER_LF,
    AT_END_LF,
    AT_DONE,
    AT_BAD,
};

enum { SIZE_DIGITS_MAX = 16, EXTENSIONS_SIZE_MAX = 4 * 1024 };

/* What one byte leads to: the next state, or the reason why it cannot stand here. */
struct next {
    enum state state;
    enum hf_http1_reason wrong;
};

static struct next go(enum state state)
{
    return (struct next){state, HF_HTTP1_OK};
}

static struct next wrong(enum hf_http1_reason reason)
{
    return (struct next){AT_BAD, reason};
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

static struct next take_size(struct hf_http1_chunked *chunked, char byte)
{
    int digit = hf_scan_hex_digit(byte);
    if (digit >= 0) {
        if (++chunked->line_size > SIZE_DIGITS_MAX || chunked->left > INT64_MAX >> 4)
            return wrong(HF_HTTP1_BAD_CHUNK_SIZE);
        chunked->left = chunked->left << 4 | (unsigned)digit;
        return go(AT_SIZE);
    }
    if (chunked->line_size == 0)
        return wrong(HF_HTTP1_BAD_CHUNK_SIZE);
    if (byte == '\r')
        return go(AT_SIZE_LF);
    if (byte == ';')
        return go(AT_EXTENSION_NAME_START);
    return is_blank(byte) ? go(AT_EXTENSION_BLANK) : wrong(HF_HTTP1_BAD_CHUNK_SIZE);
}

/* Between extensions, and behind the last one when a blank may no longer follow. */
static struct next take_separator(char byte, bool may_end)
{
    if (byte == ';')
        return go(AT_EXTENSION_NAME_START);
    if (byte == '\r' && may_end)
        return go(AT_SIZE_LF);
    return is_blank(byte) ? go(AT_EXTENSION_BLANK) : wrong(HF_HTTP1_BAD_CHUNK_EXTENSION);
}

static struct next take_extension_name(enum state state, char byte)
{
    if (state == AT_EXTENSION_NAME_START && is_blank(byte))
        return go(AT_EXTENSION_NAME_START);
    if (state != AT_EXTENSION_NAME_BLANK && hf_scan_is(byte, HF_SCAN_TOKEN))
        return go(AT_EXTENSION_NAME);
    if (state == AT_EXTENSION_NAME_START)
        return wrong(HF_HTTP1_BAD_CHUNK_EXTENSION);
    if (byte == '=')
        return go(AT_EXTENSION_VALUE_START);
    if (is_blank(byte))
        return go(AT_EXTENSION_NAME_BLANK);
    return take_separator(byte, state == AT_EXTENSION_NAME);
}

static struct next take_extension_value(enum state state, char byte)
{
    if (state == AT_EXTENSION_VALUE_START && is_blank(byte))
        return go(AT_EXTENSION_VALUE_START);
    if (state == AT_EXTENSION_VALUE_START && byte == '"')
        return go(AT_EXTENSION_QUOTED);
    if (hf_scan_is(byte, HF_SCAN_TOKEN))
        return go(AT_EXTENSION_VALUE);
    if (state == AT_EXTENSION_VALUE_START)
        return wrong(HF_HTTP1_BAD_CHUNK_EXTENSION);
    return take_separator(byte, true);
}

static struct next take_extension_quoted(enum state state, char byte)
{
    if (state == AT_EXTENSION_ESCAPE)
        return hf_scan_is(byte, HF_SCAN_VALUE) ? go(AT_EXTENSION_QUOTED)
                                               : wrong(HF_HTTP1_BAD_CHUNK_EXTENSION);
    if (byte == '"')
        return go(AT_EXTENSION_END);
    if (byte == '\\')
        return go(AT_EXTENSION_ESCAPE);
    return hf_scan_is(byte, HF_SCAN_QUOTED) ? go(AT_EXTENSION_QUOTED)
                                            : wrong(HF_HTTP1_BAD_CHUNK_EXTENSION);
}

static struct next take_extension(struct hf_http1_chunked *chunked, char byte)
{
    enum state state = (enum state)chunked->state;
    if (++chunked->extensions_size > EXTENSIONS_SIZE_MAX)
        return wrong(HF_HTTP1_CHUNK_EXTENSIONS_TOO_LONG);
    if (state == AT_EXTENSION_BLANK)
        return take_separator(byte, false);
    if (state == AT_EXTENSION_END)
        return take_separator(byte, true);
    if (state <= AT_EXTENSION_NAME_BLANK)
        return take_extension_name(state, byte);
    if (state <= AT_EXTENSION_VALUE)
        return take_extension_value(state, byte);
    return take_extension_quoted(state, byte);
}

static struct next take_size_lf(struct hf_http1_chunked *chunked, char byte)
{
    if (byte != '\n')
        return wrong(HF_HTTP1_BAD_CHUNK_SIZE);
    chunked->line_size = 0;
    return go(chunked->left > 0 ? AT_CONTENT : AT_TRAILER);
}

static struct next take_trailer(struct hf_http1_chunked *chunked, char byte)
{
    if (++chunked->line_size > HF_TRAILER_SIZE_MAX)
        return wrong(HF_HTTP1_TRAILERS_TOO_LARGE);
    switch (chunked->state) {
    case AT_TRAILER:
        if (byte == '\r')
            return go(AT_END_LF);
        return hf_scan_is(byte, HF_SCAN_TOKEN) ? go(AT_TRAILER_NAME) : wrong(HF_HTTP1_BAD_TRAILER);
    case AT_TRAILER_NAME:
        if (byte == ':')
            return go(AT_TRAILER_VALUE);
        return hf_scan_is(byte, HF_SCAN_TOKEN) ? go(AT_TRAILER_NAME) : wrong(HF_HTTP1_BAD_TRAILER);
    case AT_TRAILER_VALUE:
        if (byte == '\r')
            return go(AT_TRAILER_LF);
        return hf_scan_is(byte, HF_SCAN_VALUE) ? go(AT_TRAILER_VALUE) : wrong(HF_HTTP1_BAD_TRAILER);
    case AT_TRAILER_LF:
        return byte == '\n' ? go(AT_TRAILER) : wrong(HF_HTTP1_BAD_TRAILER);
    default:
        return byte == '\n' ? go(AT_DONE) : wrong(HF_HTTP1_BAD_TRAILER);
    }
}

static struct next take(struct hf_http1_chunked *chunked, char byte)
{
    switch ((enum state)chunked->state) {
    case AT_SIZE:
        return take_size(chunked, byte);
    case AT_SIZE_LF:
        return take_size_lf(chunked, byte);
    case AT_CONTENT_CR:
        return byte == '\r' ? go(AT_CONTENT_LF) : wrong(HF_HTTP1_BAD_CHUNK_END);
    case AT_CONTENT_LF:
        return byte == '\n' ? go(AT_SIZE) : wrong(HF_HTTP1_BAD_CHUNK_END);
    case AT_EXTENSION_BLANK:
    case AT_EXTENSION_NAME_START:
    case AT_EXTENSION_NAME:
    case AT_EXTENSION_NAME_BLANK:
    case AT_EXTENSION_VALUE_START:
    case AT_EXTENSION_VALUE:
    case AT_EXTENSION_QUOTED:
    case AT_EXTENSION_ESCAPE:
    case AT_EXTENSION_END:
        return take_extension(chunked, byte);
    case AT_TRAILER:
    case AT_TRAILER_NAME:
    case AT_TRAILER_VALUE:
    case AT_TRAILER_LF:
    case AT_END_LF:
        return take_trailer(chunked, byte);
    case AT_CONTENT:
    case AT_DONE:
    case AT_BAD:
        break;
    }
    REQUIRE(!"a state in which framing is read");
    return wrong(HF_HTTP1_BAD_CHUNK_SIZE);
}

/* The content that is there, and its CRLF when that is there too. */
static size_t take_content(struct hf_http1_chunked *chunked, struct hf_slice input,
                           struct hf_slice *ret_content)
{
    size_t size = input.size < chunked->left ? input.size : (size_t)chunked->left;
    *ret_content = hf_slice(input.bytes, size);
    chunked->left -= size;
    if (chunked->left > 0)
        return size;
    chunked->state = AT_CONTENT_CR;
    if (input.size - size < 2 || memcmp(input.bytes + size, "\r\n", 2) != 0)
        return size;
    chunked->state = AT_SIZE;
    return size + 2;
}

enum hf_codec hf_http1_chunked_decode(struct hf_http1_chunked *chunked, const char *bytes,
                                      size_t size, size_t *ret_used, struct hf_slice *ret_content)
{
    size_t at = 0;
    *ret_content = hf_slice(bytes, 0);
    while (at < size && chunked->state < AT_DONE) {
        if (chunked->state == AT_CONTENT) {
            at += take_content(chunked, hf_slice(bytes + at, size - at), ret_content);
            break;
        }
        struct next next = take(chunked, bytes[at]);
        chunked->state = (uint8_t)next.state;
        chunked->reason = (uint8_t)next.wrong;
        at += next.state != AT_BAD;
    }
    *ret_used = at;
    if (chunked->state == AT_DONE)
        return HF_CODEC_DONE;
    return chunked->state == AT_BAD ? HF_CODEC_BAD : HF_CODEC_NEED_MORE;
}

size_t hf_http1_chunk_head(uint64_t size, char out[HF_HTTP1_CHUNK_HEAD_MAX])
{
    unsigned digits = size == 0 ? 1 : (67 - (unsigned)__builtin_clzll(size)) / 4;
    for (unsigned i = digits; i > 0; i--, size >>= 4)
        out[i - 1] = "0123456789abcdef"[size & 15];
    out[digits] = '\r';
    out[digits + 1] = '\n';
    return digits + 2;
}
