/* What a memcached answers to the meta commands that a client of it needs: mg, ms, md, mn, and
 * stats. Strict; no I/O, no allocation. Fed byte by byte or all at once it gives the same answer.
 * Source: memcached 1.6 doc/protocol.txt, "Meta Commands". Threads: any. Layer: proto. */
#pragma once
#include "base/slice.h"
#include "proto/codec.h"

enum {
    HF_MEMCACHE_REPLY_LINE_MAX = 2048,      /* of one line */
    HF_MEMCACHE_REPLY_STATS_MAX = 64 * 1024 /* of all statistics */
};

enum hf_memcache_reply_kind {
    HF_MEMCACHE_REPLY_VALUE,   /* VA */
    HF_MEMCACHE_REPLY_DONE,    /* HD */
    HF_MEMCACHE_REPLY_MISSING, /* EN, NF */
    HF_MEMCACHE_REPLY_UNMET,   /* NS, EX */
    HF_MEMCACHE_REPLY_NOOP,    /* MN */
    HF_MEMCACHE_REPLY_STATS,   /* STAT lines up to END; END alone too */
    HF_MEMCACHE_REPLY_ERROR,   /* ERROR, CLIENT_ERROR, SERVER_ERROR */
};

struct hf_memcache_reply {
    uint8_t kind;          /* enum hf_memcache_reply_kind */
    uint32_t flags;        /* VALUE: f */
    int64_t ttl_s;         /* VALUE: t; -1: for ever, also when it is not there */
    uint64_t cas;          /* VALUE: c; 0: it is not there */
    struct hf_slice value; /* VALUE; borrowed */
    struct hf_slice text;  /* ERROR: the line; STATS: all lines; borrowed */
};

/* Finds the end of the first reply in bytes[0..size), which is everything since its start. DONE
 * fills *ret_reply and *ret_used; NEED_MORE sets *ret_needed: bytes without which calling again is
 * no use. A value of more than value_max bytes is BAD. */
enum hf_codec hf_memcache_parse_reply(struct hf_slice bytes, size_t value_max,
                                      struct hf_memcache_reply *ret_reply, size_t *ret_used,
                                      size_t *ret_needed);
/* The value of one statistic ("pid"); false: it is not there. */
bool hf_memcache_find_stat(struct hf_slice stats, struct hf_slice name, struct hf_slice *ret_value);
