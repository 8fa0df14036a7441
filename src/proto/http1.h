/* HTTP/1.x heads and chunked coding, strict: what two parsers could read differently is refused.
 * Sources: RFC 9110, RFC 9112 (with errata), RFC 6455 4. No I/O, no allocation, no recursion.
 * Fed byte by byte or all at once it gives the same answer. Threads: any. Layer: proto. */
#pragma once
#include "proto/codec.h"
#include "proto/http.h"

/* Why a message was refused: one row gives enum, HTTP status to answer, and the word used in log
 * and metric (http1_reasons.def: id, status, "word"). */
enum hf_http1_reason {
    HF_HTTP1_OK,
#define HF_HTTP1_REASON_ROW(id, status, word) HF_HTTP1_##id,
#include "proto/http1_reasons.def"
#undef HF_HTTP1_REASON_ROW
    HF_HTTP1_REASONS
};
unsigned hf_http1_reason_status(enum hf_http1_reason reason);
const char *hf_http1_reason_word(enum hf_http1_reason reason);

struct hf_http1_limits {
    uint32_t head_size_max; /* bytes; beyond: 431 (a request line beyond HF_HEAD_LINE_MAX: 414) */
    uint16_t fields_max;    /* <= HF_FIELDS_MAX; beyond: 431 */
};

struct hf_http1_parser { /* zeroed = start of a message; resumes where the last call stopped */
    uint32_t scanned;    /* bytes looked at; none is scanned twice */
    uint32_t line;       /* offset where the current line starts */
    uint32_t mark;       /* offset where the current part of the line starts */
    uint8_t state;
    uint8_t reason;      /* enum hf_http1_reason after HF_CODEC_BAD */
    uint8_t blank_lines; /* CRLFs before the start-line: 1 to 4 are ignored (9112 2.2) */
};

/* bytes[0..size) is everything since the start of the message, possibly at a new address since the
 * last call; *head is the same one in all calls of a message, and undefined before DONE.
 * DONE: *head is filled, head->base = bytes, head->size is what was used. The whole of framing is
 * settled: body kind, length, keep_alive; hop-by-hop fields are marked `drop`, also those that
 * Connection names, underscore names, Proxy-Connection, Keep-Alive, TE, Trailer, Upgrade (unless
 * head->upgrade: it then names only "websocket" or another single non-h2c token), HTTP2-Settings,
 * Expect, Content-Length and Transfer-Encoding (the writer sets its own framing).
 * Connection cannot name away fields for all recipients (RFC 9110 7.6.1): those of
 * http_fields.def, Authorization, Content-Type and their like stay. */
enum hf_codec hf_http1_parse_request(struct hf_http1_parser *parser, struct hf_head *head,
                                     const char *bytes, size_t size,
                                     const struct hf_http1_limits *limits);
/* request_method decides the body of the answer (HEAD, CONNECT; 9112 6.3). A 1xx is DONE too, the
 * caller goes on with a zeroed parser behind head->size. */
enum hf_codec hf_http1_parse_response(struct hf_http1_parser *parser, struct hf_head *head,
                                      const char *bytes, size_t size, enum hf_method request_method,
                                      const struct hf_http1_limits *limits);

struct hf_http1_chunked {     /* zeroed = before the first chunk */
    uint64_t left;            /* bytes of the current chunk still to come */
    uint32_t line_size;       /* digits of the current size line, or bytes of the trailers */
    uint32_t extensions_size; /* bytes of chunk extensions so far, capped over the message */
    uint8_t state;
    uint8_t reason; /* enum hf_http1_reason after HF_CODEC_BAD */
};
/* Decodes from bytes[0..size): sets *ret_used (bytes taken, framing included) and *ret_content, the
 * next run of content inside `bytes`, at most one run a call. NEED_MORE with *ret_used == 0 means
 * nothing can be done without more; else call again. DONE, which never comes with content: final
 * chunk and trailers were read (the trailers are checked, then dropped, RFC 9110 6.5.1). */
enum hf_codec hf_http1_chunked_decode(struct hf_http1_chunked *chunked, const char *bytes,
                                      size_t size, size_t *ret_used, struct hf_slice *ret_content);
enum { HF_HTTP1_CHUNK_HEAD_MAX = 18 }; /* 16 hex digits and CRLF */
/* "1a2b\r\n" into out; answers its size. The chunk's content and CRLF follow. */
size_t hf_http1_chunk_head(uint64_t size, char out[HF_HTTP1_CHUNK_HEAD_MAX]);

/* A bounded writer for heads: keeps counting past the end, so one check at the finish is enough. */
struct hf_http1_writer {
    char *out;
    size_t size, room; /* size > room afterwards = it did not fit, nothing is usable */
};
void hf_http1_write(struct hf_http1_writer *writer, struct hf_slice bytes);
void hf_http1_write_u64(struct hf_http1_writer *writer, uint64_t number);
/* "name: value\r\n" */
void hf_http1_write_field(struct hf_http1_writer *writer, struct hf_slice name,
                          struct hf_slice value);
/* Every field that is not `drop` and whose id's bit is not set in skip (bit = 1ull << id). */
void hf_http1_write_fields(struct hf_http1_writer *writer, const struct hf_head *head,
                           uint64_t skip);
