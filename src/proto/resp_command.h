/* Which commands are understood, what they need, and the exact errors that clients look at. Decides
 * nothing about sessions: it only says what a request is. The tables are resp_commands.def,
 * resp_subcommands.def and resp_errors.def.
 * Source: redis.io command reference, Redis 7.0. Pure. Threads: any. Layer: proto. */
#pragma once
#include "proto/resp.h"

enum hf_resp_command_id {
    HF_RESP_COMMAND_NONE,
#define HF_RESP_COMMAND_GROUP(size)
#define HF_RESP_COMMAND_ROW(id, name, arity, flags, first, last, step) HF_RESP_COMMAND_##id,
#include "proto/resp_commands.def"
#undef HF_RESP_COMMAND_ROW
#undef HF_RESP_COMMAND_GROUP
    HF_RESP_COMMANDS
};

enum hf_resp_command_flag {
    HF_RESP_COMMAND_START = 1 << 0, /* an application's request starts with it: pulls the record */
    HF_RESP_COMMAND_END = 1 << 1,   /* it ends with it: goes to the owner. SET with NX is a START,
                                       struct hf_resp_set_options says so */
    HF_RESP_COMMAND_WRITE = 1 << 2,
    HF_RESP_COMMAND_ADMIN = 1 << 3,     /* over all sessions, or none: never pulls one */
    HF_RESP_COMMAND_HANDSHAKE = 1 << 4, /* about the connection */
    HF_RESP_COMMAND_BEFORE_AUTH = 1 << 5,
    HF_RESP_COMMAND_TRANSACTION = 1 << 6,  /* done at once inside MULTI, not queued */
    HF_RESP_COMMAND_COUNTED_KEYS = 1 << 7, /* argument 2 says how many keys follow it */
    HF_RESP_COMMAND_SUBCOMMANDS = 1 << 8,
};

struct hf_resp_command {
    struct hf_slice name; /* static, lower case */
    uint16_t id;          /* enum hf_resp_command_id */
    uint16_t flags;       /* enum hf_resp_command_flag */
    int8_t arity;         /* see resp_commands.def, as for the rest */
    int8_t first_key, last_key, key_step;
};

enum hf_resp_subcommand {
    HF_RESP_SUBCOMMAND_NONE,
#define HF_RESP_SUBCOMMAND_ROW(command, id, name, arity) HF_RESP_##command##_##id,
#include "proto/resp_subcommands.def"
#undef HF_RESP_SUBCOMMAND_ROW
    HF_RESP_SUBCOMMANDS
};

/* resp_errors.def: id, "text". */
enum hf_resp_error {
    HF_RESP_ERROR_NONE,
#define HF_RESP_ERROR_ROW(id, text) HF_RESP_ERROR_##id,
#include "proto/resp_errors.def"
#undef HF_RESP_ERROR_ROW
    HF_RESP_ERRORS
};

/* By name in any case; NONE when it is not understood. */
enum hf_resp_command_id hf_resp_command_find(struct hf_slice name);
const struct hf_resp_command *hf_resp_command_row(enum hf_resp_command_id id);

struct hf_resp_call {
    const struct hf_resp_command *command; /* static; NULL when it is not understood */
    uint8_t subcommand;                    /* enum hf_resp_subcommand */
};
/* What a request asks for: NONE, or UNKNOWN_COMMAND, UNKNOWN_SUBCOMMAND, WRONG_ARITY. */
enum hf_resp_error hf_resp_command_resolve(const struct hf_resp_request *request,
                                           struct hf_resp_call *ret_call);

struct hf_resp_keys { /* arguments first, first + step, ...: count of them */
    uint32_t first, count, step;
};
/* Where the keys of a resolved request stand; count 0 when it has none. NONE, or for EVAL and
 * EVALSHA: NOT_INTEGER, NEGATIVE_KEYS, TOO_MANY_KEYS. */
enum hf_resp_error hf_resp_command_keys(const struct hf_resp_call *call,
                                        const struct hf_resp_request *request,
                                        struct hf_resp_keys *ret_keys);

/* "-text\r\n". The insert takes the place of "%", cut at 128 bytes, its line ends made blanks. */
void hf_resp_write_error_of(struct hf_resp_out *out, enum hf_resp_error error,
                            struct hf_slice insert);
/* The answer to a request that did not resolve, or whose options were wrong: inserts what belongs
 * into the text. `insert` is for UNSUPPORTED_OPTION and HELLO_SYNTAX alone. */
void hf_resp_write_refusal(struct hf_resp_out *out, enum hf_resp_error error,
                           const struct hf_resp_call *call, const struct hf_resp_request *request,
                           struct hf_slice insert);
