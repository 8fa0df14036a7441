/* The options of commands, in whatever order they come. Each function takes a request that resolved
 * to its command, and answers NONE or the error to send; *ret_options is then undefined.
 * Source: redis.io command reference, Redis 7.0. Pure. Threads: any. Layer: proto. */
#pragma once
#include "proto/resp_command.h"

enum hf_resp_expiry_kind {
    HF_RESP_EXPIRY_NONE,
    HF_RESP_EXPIRY_IN,      /* ms from now */
    HF_RESP_EXPIRY_AT,      /* ms since 1970 */
    HF_RESP_EXPIRY_PERSIST, /* GETEX: take the expiry away */
};

struct hf_resp_expiry {
    uint8_t kind; /* enum hf_resp_expiry_kind */
    int64_t ms;   /* of IN and AT; IN is at most HF_RESP_EXPIRY_IN_MAX: now + ms is a number */
};
#define HF_RESP_EXPIRY_IN_MAX (INT64_MAX / 2)

struct hf_resp_set_options {
    struct hf_resp_expiry expiry;
    bool if_absent, if_present; /* NX, XX; an NX set is a command of a request's start */
    bool get;                   /* answer the old value */
    bool keep_expiry;
};
/* SET. SYNTAX, NOT_INTEGER, INVALID_EXPIRE. */
enum hf_resp_error hf_resp_options_set(const struct hf_resp_request *request,
                                       struct hf_resp_set_options *ret_options);
/* GETEX. As for SET. */
enum hf_resp_error hf_resp_options_getex(const struct hf_resp_request *request,
                                         struct hf_resp_expiry *ret_expiry);
/* SETEX, and in milliseconds PSETEX: argument 2. NOT_INTEGER, INVALID_EXPIRE. */
enum hf_resp_error hf_resp_options_setex(const struct hf_resp_request *request, bool milliseconds,
                                         struct hf_resp_expiry *ret_expiry);

struct hf_resp_expire_options {
    struct hf_resp_expiry expiry; /* IN or AT; in the past, and below zero, it deletes */
    bool if_none, if_any;         /* NX, XX: what the key has now */
    bool if_later, if_sooner;     /* GT, LT: than what it has now; none counts as latest */
};
/* EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT, by the id. UNSUPPORTED_OPTION (then *ret_wrong is it),
 * NX_WITH_OTHERS, GT_WITH_LT, NOT_INTEGER, INVALID_EXPIRE. */
enum hf_resp_error hf_resp_options_expire(const struct hf_resp_request *request,
                                          enum hf_resp_command_id id,
                                          struct hf_resp_expire_options *ret_options,
                                          struct hf_slice *ret_wrong);

struct hf_resp_scan_options {
    uint64_t cursor;
    bool has_match, has_type;
    struct hf_slice match; /* borrowed from the request, as type */
    struct hf_slice type;
    uint64_t count; /* 10 when it is not given */
};
/* SCAN. INVALID_CURSOR, SYNTAX, NOT_INTEGER. */
enum hf_resp_error hf_resp_options_scan(const struct hf_resp_request *request,
                                        struct hf_resp_scan_options *ret_options);

struct hf_resp_hello_options {
    int version; /* 2, 3; 0: not given, as it is */
    bool has_auth, has_name;
    struct hf_slice user, password, name; /* borrowed from the request */
};
/* HELLO. BAD_PROTO, NO_PROTO, HELLO_SYNTAX (then *ret_wrong is the option). */
enum hf_resp_error hf_resp_options_hello(const struct hf_resp_request *request,
                                         struct hf_resp_hello_options *ret_options,
                                         struct hf_slice *ret_wrong);

enum { HF_RESP_GLOB_SIZE_MAX = 1024 }; /* bytes of a pattern; a longer one matches nothing */
/* Whether the whole text fits the pattern of KEYS and SCAN: "*", "?", "[a-c]", "[^a]", "\x". Takes
 * at most pattern.size * text.size steps. */
bool hf_resp_glob_match(struct hf_slice pattern, struct hf_slice text);
