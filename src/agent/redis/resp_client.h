/* What the files of the RESP front end share: a client's state, how a command is carried out, and
 * the table that says so for each.
 * A command is run by its `go`, which is called again whenever a call of its is complete, until it
 * answers DONE; what must last until then is in struct hf_resp_run. The request itself is borrowed
 * from the connection's input, or from the queue of a transaction, which stay where they are.
 * Threads: the agent's loop thread. Layer: agent. */
#pragma once
#include "agent/resp_front.h"
#include "base/bytes.h"
#include "proto/resp_options.h"
#include "proto/resp_script.h"

enum { HF_RESP_CLIENT_FIELDS = 8 }; /* fields of a hash command that need no allocation */

struct hf_resp_client;
typedef enum hf_front_step (*hf_resp_go_fn)(struct hf_resp_client *client);
/* Makes the operation of a request; answers NONE or what is wrong with its arguments. */
typedef enum hf_resp_error (*hf_resp_prepare_fn)(struct hf_resp_client *client,
                                                 struct hf_operation *operation);
/* Writes, or notes, what came of a call. Runs inside `complete`; the request may be gone: only the
 * call's operation and the run count. */
typedef void (*hf_resp_answer_fn)(struct hf_resp_client *client,
                                  const struct hf_operation_result *result);

struct hf_resp_row { /* how a command is carried out */
    hf_resp_go_fn go;
    hf_resp_prepare_fn prepare; /* NULL: go needs none; likewise */
    hf_resp_answer_fn answer;
};
const struct hf_resp_row *hf_resp_row_of(enum hf_resp_command_id id);

struct hf_resp_stage { /* a reply, or a value, under construction; zeroed = empty */
    struct hf_bytes bytes;
    bool failed; /* no memory, or beyond STAGE_SIZE_MAX: nothing of it is usable */
};

struct hf_resp_run { /* of one command; zeroed when the next one begins */
    const struct hf_resp_row *row;
    const struct hf_resp_command *command;
    hf_resp_answer_fn answer;
    struct hf_slice source; /* the request's bytes, borrowed until its end */
    struct hf_resp_stage stage;
    struct hf_slice *fields; /* owned, when more than the client's own are needed */
    int64_t total;           /* of a command over several keys */
    uint64_t cas;            /* of the last call, where it is noted */
    uint32_t index;          /* of the next key */
    uint32_t script_keys;    /* how many a script got */
    uint8_t subcommand;      /* enum hf_resp_subcommand */
    uint8_t phase;           /* a command's own; 0 at the beginning */
    uint8_t script;          /* enum hf_resp_script */
    uint8_t status;          /* enum hf_operation_status of the last call, where it is noted */
    bool answered;           /* the reply is written */
    bool get;                /* SET with GET */
};

struct hf_resp_watch {
    char *key; /* owned */
    size_t key_size;
    uint64_t cas; /* 0: there was none */
};

struct hf_resp_transaction {
    bool open;                     /* after MULTI */
    bool failed;                   /* a request was refused: EXEC will not run */
    bool running;                  /* EXEC took over */
    uint32_t count;                /* requests queued */
    struct hf_bytes queue;         /* they: as they came */
    struct hf_resp_watch *watches; /* owned */
    uint32_t watch_count, watch_room;
};

struct hf_resp_client { /* state of a connection */
    struct hf_connection *connection;
    struct hf_resp_parser parser;
    struct hf_sessions_call call; /* the one under way */
    struct hf_resp_run run;
    struct hf_resp_transaction transaction;
    struct hf_slice fields[HF_RESP_CLIENT_FIELDS];
    struct hf_slice wrong; /* what a refusal quotes: a part of the request */
    char *name;            /* owned; NULL: none */
    bool resp3;
};

struct hf_resp_known { /* a script that came with blanks of its own */
    char hash[HF_RESP_SCRIPT_HASH_SIZE];
    uint8_t script; /* enum hf_resp_script; NONE: free */
};

struct hf_resp_shared {             /* of all connections */
    struct hf_resp_request request; /* the one that runs just now */
    uint32_t known_next;
    struct hf_resp_known known[HF_RESP_FRONT_SCRIPTS_MAX];
};

static inline struct hf_resp_shared *hf_resp_client_shared(const struct hf_resp_client *client)
{
    return (struct hf_resp_shared *)hf_connection_shared(client->connection);
}
static inline struct hf_sessions *hf_resp_client_sessions(const struct hf_resp_client *client)
{
    return hf_connection_sessions(client->connection);
}
/* The request that runs; only in `go` and `prepare`. */
static inline const struct hf_resp_request *
hf_resp_client_request(const struct hf_resp_client *client)
{
    return &hf_resp_client_shared(client)->request;
}
static inline struct hf_slice hf_resp_client_argument(const struct hf_resp_client *client,
                                                      uint32_t index)
{
    return hf_resp_client_request(client)->arguments[index];
}

/* ---- replies (resp_answer.c) ---- */

enum {
    HF_RESP_CLIENT_HEAD_ROOM = 32,   /* what stands around a string: its size, line ends */
    HF_RESP_CLIENT_LINE_ROOM = 1024, /* any error, with all it quotes */
};

struct hf_resp_out hf_resp_client_out(struct hf_resp_client *client, size_t room);
void hf_resp_client_wrote(struct hf_resp_client *client, const struct hf_resp_out *out);
void hf_resp_client_simple(struct hf_resp_client *client, struct hf_slice text);
void hf_resp_client_ok(struct hf_resp_client *client);
void hf_resp_client_integer(struct hf_resp_client *client, int64_t number);
void hf_resp_client_bulk(struct hf_resp_client *client, struct hf_slice bytes);
void hf_resp_client_null(struct hf_resp_client *client);
void hf_resp_client_array(struct hf_resp_client *client, uint32_t count);
void hf_resp_client_map(struct hf_resp_client *client, uint32_t pairs);
void hf_resp_client_staged(struct hf_resp_client *client, const struct hf_resp_stage *stage);
/* The command's name, where the text wants one. */
void hf_resp_client_error(struct hf_resp_client *client, enum hf_resp_error error);
/* The error of a status that is none of those a command knows what to do with. */
void hf_resp_client_failure(struct hf_resp_client *client, enum hf_operation_status status);
/* Writes the error and answers DONE: for `go`. */
enum hf_front_step hf_resp_client_refuse(struct hf_resp_client *client, enum hf_resp_error error);

/* ---- a stage (resp_stage.c) ---- */

/* Room for as many bytes at the end; false: failed. */
bool hf_resp_stage_reserve(struct hf_resp_stage *stage, size_t size);
void hf_resp_stage_append(struct hf_resp_stage *stage, struct hf_slice bytes);
void hf_resp_stage_bulk(struct hf_resp_stage *stage, struct hf_slice bytes);
void hf_resp_stage_fini(struct hf_resp_stage *stage);

/* ---- running (resp_run.c) ---- */

/* Zeroes the call but for what every call has. */
struct hf_operation *hf_resp_run_call(struct hf_resp_client *client, struct hf_slice key);
/* DONE: `answer` has run. WAIT: it will, then `go` is called again. */
enum hf_front_step hf_resp_run_submit(struct hf_resp_client *client);
/* Notes the status alone in run.status: for commands of several calls. */
void hf_resp_run_note(struct hf_resp_client *client, const struct hf_operation_result *result);
/* `count` slices that last until the end of the command; NULL without memory. */
struct hf_slice *hf_resp_run_fields(struct hf_resp_client *client, uint32_t count);
/* Commands of one key, argument 1: prepare, submit, answer. */
enum hf_front_step hf_resp_go_once(struct hf_resp_client *client);
/* Commands over keys, arguments 1 and on: the same for each, then run.total as an integer. */
enum hf_front_step hf_resp_go_each(struct hf_resp_client *client);
/* An expiry as a deadline. */
uint64_t hf_resp_run_deadline(const struct hf_resp_client *client,
                              const struct hf_resp_expiry *expiry);
/* The operation of an EXPIRE with these options. */
void hf_resp_run_expire(struct hf_resp_client *client, const struct hf_resp_expire_options *options,
                        struct hf_operation *operation);
/* Ends a command: frees what the run owns. */
void hf_resp_run_fini(struct hf_resp_client *client);

/* ---- transactions (resp_transaction.c) ---- */

/* Queues the request that was parsed and answers for it. */
void hf_resp_transaction_queue(struct hf_resp_client *client);
/* Forgets queue and watches: DISCARD, RESET, the end. */
void hf_resp_transaction_reset(struct hf_resp_client *client);
/* The bytes of the next request that EXEC is to run; false: none left, and the transaction is over.
 */
bool hf_resp_transaction_next(struct hf_resp_client *client, struct hf_slice *ret_source);

/* ---- the commands ---- */

enum hf_front_step hf_resp_go_mget(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_watch(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_unwatch(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_multi(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_exec(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_discard(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_rename(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_eval(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_script(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_scan(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_keys(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_dbsize(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_flush(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_time(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_config(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_command(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_info(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_ping(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_echo(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_auth(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_hello(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_client(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_select(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_quit(struct hf_resp_client *client);
enum hf_front_step hf_resp_go_reset(struct hf_resp_client *client);

/* prepare: */
enum hf_resp_error hf_resp_prepare_get(struct hf_resp_client *client,
                                       struct hf_operation *operation);
enum hf_resp_error hf_resp_prepare_look(struct hf_resp_client *client,
                                        struct hf_operation *operation);
enum hf_resp_error hf_resp_prepare_set(struct hf_resp_client *client,
                                       struct hf_operation *operation);
enum hf_resp_error hf_resp_prepare_setex(struct hf_resp_client *client,
                                         struct hf_operation *operation);
enum hf_resp_error hf_resp_prepare_setnx(struct hf_resp_client *client,
                                         struct hf_operation *operation);
enum hf_resp_error hf_resp_prepare_getex(struct hf_resp_client *client,
                                         struct hf_operation *operation);
enum hf_resp_error hf_resp_prepare_getdel(struct hf_resp_client *client,
                                          struct hf_operation *operation);
enum hf_resp_error hf_resp_prepare_delete(struct hf_resp_client *client,
                                          struct hf_operation *operation);
enum hf_resp_error hf_resp_prepare_expire(struct hf_resp_client *client,
                                          struct hf_operation *operation);
enum hf_resp_error hf_resp_prepare_persist(struct hf_resp_client *client,
                                           struct hf_operation *operation);
enum hf_resp_error hf_resp_prepare_hget(struct hf_resp_client *client,
                                        struct hf_operation *operation);
enum hf_resp_error hf_resp_prepare_hall(struct hf_resp_client *client,
                                        struct hf_operation *operation);
enum hf_resp_error hf_resp_prepare_hset(struct hf_resp_client *client,
                                        struct hf_operation *operation);
enum hf_resp_error hf_resp_prepare_hsetnx(struct hf_resp_client *client,
                                          struct hf_operation *operation);
enum hf_resp_error hf_resp_prepare_hdel(struct hf_resp_client *client,
                                        struct hf_operation *operation);
enum hf_resp_error hf_resp_prepare_hincrby(struct hf_resp_client *client,
                                           struct hf_operation *operation);

/* answer: */
void hf_resp_answer_value(struct hf_resp_client *client, const struct hf_operation_result *result);
void hf_resp_answer_set(struct hf_resp_client *client, const struct hf_operation_result *result);
void hf_resp_answer_setnx(struct hf_resp_client *client, const struct hf_operation_result *result);
void hf_resp_answer_ttl(struct hf_resp_client *client, const struct hf_operation_result *result);
void hf_resp_answer_pttl(struct hf_resp_client *client, const struct hf_operation_result *result);
void hf_resp_answer_type(struct hf_resp_client *client, const struct hf_operation_result *result);
/* 1: it was done; 0: there is no such key, or the condition is not met. */
void hf_resp_answer_done(struct hf_resp_client *client, const struct hf_operation_result *result);
/* Adds that 1 to run.total. */
void hf_resp_answer_count(struct hf_resp_client *client, const struct hf_operation_result *result);
void hf_resp_answer_hget(struct hf_resp_client *client, const struct hf_operation_result *result);
void hf_resp_answer_hmget(struct hf_resp_client *client, const struct hf_operation_result *result);
void hf_resp_answer_hgetall(struct hf_resp_client *client,
                            const struct hf_operation_result *result);
void hf_resp_answer_hkeys(struct hf_resp_client *client, const struct hf_operation_result *result);
void hf_resp_answer_hvals(struct hf_resp_client *client, const struct hf_operation_result *result);
void hf_resp_answer_hlen(struct hf_resp_client *client, const struct hf_operation_result *result);
void hf_resp_answer_hexists(struct hf_resp_client *client,
                            const struct hf_operation_result *result);
void hf_resp_answer_hset(struct hf_resp_client *client, const struct hf_operation_result *result);
void hf_resp_answer_hmset(struct hf_resp_client *client, const struct hf_operation_result *result);
void hf_resp_answer_hdel(struct hf_resp_client *client, const struct hf_operation_result *result);
void hf_resp_answer_hincrby(struct hf_resp_client *client,
                            const struct hf_operation_result *result);
