/* RESP2 and RESP3, the protocol of Redis: requests in, replies out, and replies in for a client.
 * Strict: what two servers could read differently is refused. No I/O, no allocation, no recursion.
 * Fed byte by byte or all at once it gives the same answer.
 * Source: redis.io "Redis serialization protocol specification". Threads: any. Layer: proto. */
#pragma once
#include "proto/codec.h"
#include "proto/writer.h"

enum {
    HF_RESP_ARGUMENTS_MAX = 1024,       /* of one request; limits may be set up to it */
    HF_RESP_REQUEST_SIZE_MAX = 1 << 30, /* limits may be set up to it */
    HF_RESP_INLINE_SIZE_MAX = 64,       /* bytes of an inline command, its CRLF included */
    HF_RESP_LINE_SIZE_MAX = 4096,       /* of a simple string or error in a reply */
    HF_RESP_DEPTH_MAX = 8,              /* aggregates inside each other in a reply */
};

/* Why a peer was refused (resp_reasons.def: id, "error to answer", "word"). */
enum hf_resp_reason {
    HF_RESP_OK,
#define HF_RESP_REASON_ROW(id, answer, word) HF_RESP_##id,
#include "proto/resp_reasons.def"
#undef HF_RESP_REASON_ROW
    HF_RESP_REASONS
};
/* The error to send before closing; empty: close without answering. */
struct hf_slice hf_resp_reason_answer(enum hf_resp_reason reason);
const char *hf_resp_reason_word(enum hf_resp_reason reason);

/* ---- requests ---- */

struct hf_resp_limits {        /* the same ones in all calls of a request */
    uint32_t arguments_max;    /* the command's name included; <= HF_RESP_ARGUMENTS_MAX */
    uint32_t bulk_size_max;    /* bytes of one argument */
    uint32_t request_size_max; /* bytes of a whole request; <= HF_RESP_REQUEST_SIZE_MAX */
};
/* Before a client has authenticated: 10 arguments, 16 KiB each (the answer to CVE-2021-32675). */
extern const struct hf_resp_limits hf_resp_limits_before_auth;

struct hf_resp_parser { /* zeroed = before a request, and so again after DONE */
    uint32_t at;        /* start of the first line that is not judged yet */
    uint32_t needed;    /* after NEED_MORE: bytes without which calling again is no use, counted
                           from the start of the request. Make room for as many and read them into
                           place: a large argument then is never copied, nor scanned */
    uint32_t count;     /* arguments announced */
    uint32_t index;     /* of the argument whose line starts at `at` */
    uint8_t reason;     /* enum hf_resp_reason after HF_CODEC_BAD */
};

struct hf_resp_request {
    uint32_t size;  /* bytes used */
    uint32_t count; /* arguments, at least one; the first is the command's name */
    struct hf_slice arguments[HF_RESP_ARGUMENTS_MAX]; /* borrowed: in the bytes that were parsed */
};

/* bytes[0..size) is everything since the start of the request, possibly at a new address since the
 * last call. *request may be another one in each call, one for a whole thread is enough; it is
 * filled by DONE, and undefined otherwise. A request is an array of bulk strings; besides, the
 * inline commands PING, QUIT and INFO [section] are understood, ended by CRLF, for health checks.
 */
enum hf_codec hf_resp_parse_request(struct hf_resp_parser *parser, const char *bytes, size_t size,
                                    const struct hf_resp_limits *limits,
                                    struct hf_resp_request *request);

/* ---- replies out ---- */

struct hf_resp_out { /* one a reply, or a batch of them */
    struct hf_writer writer;
    bool resp3; /* what HELLO agreed on */
};
void hf_resp_write_simple(struct hf_resp_out *out, struct hf_slice text); /* no CR, LF in it */
/* "-text": CR, LF and NUL in it become blanks, for it may quote a client (CVE-2025-67733). */
void hf_resp_write_error(struct hf_resp_out *out, struct hf_slice text);
void hf_resp_write_integer(struct hf_resp_out *out, int64_t number);
void hf_resp_write_bulk(struct hf_resp_out *out, struct hf_slice bytes);
/* "$size\r\n": the caller sends that many bytes and "\r\n" itself. */
void hf_resp_write_bulk_head(struct hf_resp_out *out, uint64_t size);
/* No value: "_\r\n", in RESP2 "$-1\r\n". */
void hf_resp_write_null(struct hf_resp_out *out);
/* No array, as EXEC answers when a watched key changed: "_\r\n", in RESP2 "*-1\r\n". */
void hf_resp_write_null_array(struct hf_resp_out *out);
/* Heads of aggregates; `count` elements, or pairs, follow. A map is a flat array in RESP2. */
void hf_resp_write_array(struct hf_resp_out *out, uint32_t count);
void hf_resp_write_map(struct hf_resp_out *out, uint32_t pairs);
/* A verbatim string of format "txt", in RESP2 a bulk string. */
void hf_resp_write_verbatim(struct hf_resp_out *out, struct hf_slice text);

/* ---- replies in ---- */

/* The values are the bytes of the protocol. */
enum hf_resp_type {
    HF_RESP_SIMPLE = '+',
    HF_RESP_ERROR = '-',
    HF_RESP_INTEGER = ':',
    HF_RESP_BULK = '$',
    HF_RESP_ARRAY = '*',
    HF_RESP_NULL = '_', /* also "$-1" and "*-1" */
    HF_RESP_BOOLEAN = '#',
    HF_RESP_DOUBLE = ',',
    HF_RESP_BIG_NUMBER = '(',
    HF_RESP_BULK_ERROR = '!',
    HF_RESP_VERBATIM = '=',
    HF_RESP_MAP = '%',
    HF_RESP_SET = '~',
    HF_RESP_PUSH = '>',
    HF_RESP_ATTRIBUTE = '|', /* of the item that follows it */
};

struct hf_resp_item {
    uint8_t type;         /* enum hf_resp_type */
    uint8_t depth;        /* 0: the reply itself; 1: an element of it; ... */
    int64_t number;       /* INTEGER; BOOLEAN 0 or 1; ARRAY, SET, PUSH: elements; MAP, ATTRIBUTE:
                             pairs, each of which is two items */
    struct hf_slice text; /* borrowed: SIMPLE, ERROR, BULK, BULK_ERROR; VERBATIM without its
                             format; DOUBLE and BIG_NUMBER as they are written */
};

struct hf_resp_reply_limits {
    uint32_t bulk_size_max;  /* bytes of one string */
    uint32_t reply_size_max; /* bytes of a whole reply; <= HF_RESP_REQUEST_SIZE_MAX */
    uint32_t items_max;      /* of a whole reply, at all depths */
};

struct hf_resp_reply_parser { /* zeroed = before a reply, and so again after DONE */
    uint32_t at;              /* start of the first item that is not judged yet */
    uint32_t needed;          /* as in hf_resp_parser */
    uint32_t items;           /* announced so far; 0 = before the first one */
    /* items to come: of the reply itself, of each aggregate */
    uint32_t left[HF_RESP_DEPTH_MAX + 1];
    uint8_t depth;  /* aggregates open */
    uint8_t reason; /* enum hf_resp_reason after HF_CODEC_BAD */
};
/* Finds the end of the first reply in bytes[0..size), which is everything since its start, possibly
 * at a new address since the last call. DONE sets *ret_used: bytes[0..*ret_used) is one reply,
 * well-formed throughout, for hf_resp_next_item. */
enum hf_codec hf_resp_parse_reply(struct hf_resp_reply_parser *parser, const char *bytes,
                                  size_t size, const struct hf_resp_reply_limits *limits,
                                  size_t *ret_used);

struct hf_resp_cursor { /* .reply = what DONE found, the rest zeroed */
    struct hf_slice reply;
    struct hf_resp_reply_parser walk;
};
/* The items of a reply in the order of the wire, an aggregate before what is in it. False at the
 * end. */
bool hf_resp_next_item(struct hf_resp_cursor *cursor, struct hf_resp_item *ret_item);
