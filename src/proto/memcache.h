/* memcached's three protocols - classic text, meta, binary - as one kind of request and one kind of
 * result, so that a server needs one executor. No I/O, no allocation, no recursion. Fed byte by
 * byte or all at once it gives the same answer. Source: memcached 1.6 doc/protocol.txt,
 * "BinaryProtocolRevamped". Threads: any. Layer: proto. */
#pragma once
#include "proto/codec.h"
#include "proto/writer.h"

enum {
    HF_MEMCACHE_KEY_MAX = 250,
    HF_MEMCACHE_KEYS_MAX = 1024,         /* of one get */
    HF_MEMCACHE_LINE_MAX = 32 * 1024,    /* bytes of a get, gets, gat or gats with many keys */
    HF_MEMCACHE_SHORT_LINE_MAX = 2048,   /* of any other line */
    HF_MEMCACHE_OPAQUE_MAX = 32,         /* bytes of a meta opaque with its letter */
    HF_MEMCACHE_DISCARD_MAX = 128 << 20, /* a refused value is read and dropped; beyond: close */
    HF_MEMCACHE_HEADER_SIZE = 24,        /* of the binary protocol */
    HF_MEMCACHE_HEAD_MAX = 512, /* room that hf_memcache_write_head needs, meta flags aside */
};

/* Why a request was refused (memcache_reasons.def: id, "line", binary status, "word"). */
enum hf_memcache_reason {
    HF_MEMCACHE_OK,
#define HF_MEMCACHE_REASON_ROW(id, line, status, word) HF_MEMCACHE_##id,
#include "proto/memcache_reasons.def"
#undef HF_MEMCACHE_REASON_ROW
    HF_MEMCACHE_REASONS
};
const char *hf_memcache_reason_word(enum hf_memcache_reason reason);

enum hf_memcache_dialect {
    HF_MEMCACHE_UNDECIDED,
    HF_MEMCACHE_TEXT,
    HF_MEMCACHE_META,
    HF_MEMCACHE_BINARY,
};

enum hf_memcache_operation {
    HF_MEMCACHE_REFUSED, /* answer it with hf_memcache_write_refusal, drop `discard` bytes, go on */
    HF_MEMCACHE_GET,     /* get gets gat gats mg GET GETK GAT ...: of each of `keys` */
    HF_MEMCACHE_SET,     /* set cas ms */
    HF_MEMCACHE_ADD,
    HF_MEMCACHE_REPLACE,
    HF_MEMCACHE_APPEND,
    HF_MEMCACHE_PREPEND,
    HF_MEMCACHE_TOUCH,
    HF_MEMCACHE_DELETE,
    HF_MEMCACHE_INCREMENT,
    HF_MEMCACHE_DECREMENT,
    HF_MEMCACHE_FLUSH, /* exptime: when; 0: now */
    HF_MEMCACHE_STATS, /* key: which; empty: the general ones */
    HF_MEMCACHE_VERSION,
    HF_MEMCACHE_VERBOSITY,
    HF_MEMCACHE_NOOP,  /* mn, NOOP: the answer ends a row of quiet requests */
    HF_MEMCACHE_DEBUG, /* me */
    HF_MEMCACHE_QUIT,
};

struct hf_memcache_limits {
    uint32_t value_size_max; /* bytes; a larger value is refused and discarded */
};

/* Zeroed = start of a connection; after DONE ready for the next request. */
struct hf_memcache_parser {
    uint32_t scanned;   /* bytes without a line's end */
    uint32_t line_size; /* of a line that is whole, while its value is not */
    uint32_t needed;    /* as in hf_resp_parser: bytes without which calling again is no use */
    uint8_t dialect;    /* UNDECIDED, TEXT (meta too) or BINARY: a connection keeps its own */
    uint8_t reason;     /* enum hf_memcache_reason after HF_CODEC_BAD */
};

/* May not be copied: `key` can point into it. Meta takes any flag with any command, so what does
 * not concern an operation may be set too. */
struct hf_memcache_request {
    uint32_t size;     /* bytes used; the value, unless refused, included */
    uint32_t discard;  /* REFUSED: bytes behind them to read and drop */
    uint8_t dialect;   /* TEXT, META or BINARY */
    uint8_t operation; /* enum hf_memcache_operation */
    uint8_t reason;    /* enum hf_memcache_reason of REFUSED */
    uint8_t refused;   /* reason TOO_LARGE: the operation that it would have been */
    uint8_t opcode;    /* BINARY */
    bool quiet;        /* noreply, q, the ...Q opcodes: the writers know what to leave out */
    bool touch;        /* GET, INCREMENT: set the expiry to `exptime` too */
    bool wants_value;  /* GET */
    bool wants_cas;    /* text: gets, gats */
    bool wants_key;    /* binary: GETK and its like */
    bool has_cas;      /* only if the value's number is `cas` */
    bool has_new_cas;  /* meta E: the number of the new value is `new_cas` */
    bool creates;      /* INCREMENT, DECREMENT, meta N: a missing key is made, with `initial` or
                          empty, expiring by `create_exptime` */
    bool invalidates;  /* meta I: an older number marks the value stale */
    bool has_recache;  /* meta R: winner when less than `recache_s` is left */
    bool keeps_item;   /* meta x: DELETE the value and flags only */
    uint32_t flags;
    int64_t exptime; /* as sent; hf_memcache_seconds_left says what it means */
    int64_t create_exptime;
    int64_t recache_s;
    uint64_t cas, new_cas;
    uint64_t delta, initial;  /* INCREMENT, DECREMENT */
    uint32_t opaque;          /* BINARY: as sent, to be sent back */
    struct hf_slice key;      /* the first or only one, decoded */
    struct hf_slice keys;     /* text GET: the rest of the line from the first key on */
    struct hf_slice value;    /* borrowed: in the bytes that were parsed, as all slices but `key` */
    struct hf_slice key_text; /* META: as sent, maybe base64 */
    struct hf_slice meta_flags;            /* META: as sent, behind the key and size */
    char decoded_key[HF_MEMCACHE_KEY_MAX]; /* of a base64 key */
};

/* bytes[0..size) is everything since the start of the request, possibly at a new address since the
 * last call. DONE fills *request; so does BAD, as far as hf_memcache_write_refusal needs it:
 * answer, then close. A request whose value is refused with TOO_LARGE has its key set, and
 * `refused`: an older value must not stay. */
enum hf_codec hf_memcache_parse(struct hf_memcache_parser *parser, const char *bytes, size_t size,
                                const struct hf_memcache_limits *limits,
                                struct hf_memcache_request *request);
/* The keys of a text GET, checked already: start with *rest = request->keys. False at the end. */
bool hf_memcache_next_key(struct hf_slice *rest, struct hf_slice *ret_key);

#define HF_MEMCACHE_FOREVER INT64_MAX
/* What an expiry means at now_s, wall clock seconds since 1970: how many seconds the value lives; 0
 * is gone at once. 0 lives forever, a negative one is over, up to 30 days count from now, and what
 * is larger is a date: so 2678400, meant as 31 days, is in 1970. */
int64_t hf_memcache_seconds_left(int64_t exptime, int64_t now_s);

/* ---- results ---- */

enum hf_memcache_status {
    HF_MEMCACHE_DONE,
    HF_MEMCACHE_MISSING,     /* no such key */
    HF_MEMCACHE_PRESENT,     /* ADD: there is one; else: it has another number than `cas` */
    HF_MEMCACHE_NOT_NUMERIC, /* INCREMENT, DECREMENT */
    HF_MEMCACHE_WRONG_KIND,  /* what the key holds is nothing that memcached knows */
    HF_MEMCACHE_VALUE_TOO_LARGE,
    HF_MEMCACHE_NO_MEMORY,
    HF_MEMCACHE_UNSURE, /* who owns the session is not known: an error, never a miss */
    HF_MEMCACHE_DENIED, /* switched off */
};

struct hf_memcache_result {
    uint8_t status;        /* enum hf_memcache_status */
    bool won, stale, sent; /* meta W, X, Z */
    bool fetched;          /* meta h: read before */
    uint32_t flags;
    uint32_t idle_s; /* meta l: since it was read last */
    int64_t ttl_s;   /* meta t; HF_MEMCACHE_FOREVER is written as -1 */
    uint64_t cas;
    uint64_t number;     /* INCREMENT, DECREMENT */
    struct hf_slice key; /* text GET: which of the keys */
    struct hf_slice
        value; /* GET; VERSION: the text. Its size counts also where the caller sends it */
};

/* The answer up to its value, and what follows the value. A caller that keeps the value elsewhere
 * sends it between the two when the first says true; otherwise the answer is complete, or nothing
 * at all is to be said. */
bool hf_memcache_write_head(struct hf_writer *writer, const struct hf_memcache_request *request,
                            const struct hf_memcache_result *result);
void hf_memcache_write_tail(struct hf_writer *writer, const struct hf_memcache_request *request);
/* Head, value and tail. */
void hf_memcache_write_result(struct hf_writer *writer, const struct hf_memcache_request *request,
                              const struct hf_memcache_result *result);
/* Behind the results of a GET's keys, and behind all statistics: "END" in text; nothing in meta; in
 * binary the empty packet that ends statistics. */
void hf_memcache_write_end(struct hf_writer *writer, const struct hf_memcache_request *request);
/* One line, or packet, of statistics. */
void hf_memcache_write_stat(struct hf_writer *writer, const struct hf_memcache_request *request,
                            struct hf_slice name, struct hf_slice value);
/* The answer to REFUSED, or to BAD: request->reason says which. May be empty. */
void hf_memcache_write_refusal(struct hf_writer *writer, const struct hf_memcache_request *request);
