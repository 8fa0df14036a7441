/* What the files of the memcached front end share; nothing outside src/agent/memcache* includes it.
 * Threads: the agent's loop thread. Layer: agent. */
#pragma once
#include "agent/memcache.h"
#include "agent/memcache/memcache_tokens.h"
#include "proto/memcache.h"

enum hf_memcache_stage { /* which operation of a request is the next one */
                         HF_MEMCACHE_STAGE_FIRST,
                         HF_MEMCACHE_STAGE_CREATE, /* the key is missing, and the request makes it
                                                      then */
                         HF_MEMCACHE_STAGE_OVER,
};

struct hf_memcache_client { /* a connection's state */
    struct hf_memcache_parser parser;
    struct hf_memcache_request request; /* the one that is carried out; its slices are input */
    uint8_t stage;                      /* enum hf_memcache_stage */
    struct hf_slice key, rest;          /* text get: the key that is asked for, those behind it */
    struct hf_sessions_call call;
};

struct hf_memcache_shared { /* of all connections */
    struct hf_memcache_tokens tokens;
};

/* ---- memcache_plan.c: from a request to an operation ---- */

/* Whether a request of that kind is an operation on a key. */
bool hf_memcache_plan_has(uint8_t operation);
/* The operation of the client's request in its stage, and its key, into client->call. */
void hf_memcache_plan_fill(struct hf_memcache_client *client, const struct hf_sessions *sessions);
/* A value that is refused for its size must not leave an older one behind: whether the request is
 * such a one, and then the operation that ends the older value (and not the session). */
bool hf_memcache_plan_refused(struct hf_memcache_client *client);

/* ---- memcache_answer.c: from a result to an answer ---- */

/* What the client is told of a result. */
enum hf_memcache_status hf_memcache_answer_status(const struct hf_memcache_request *request,
                                                  enum hf_operation_status status);
/* Writes the answer to one operation of the client's request, the result being valid now. */
void hf_memcache_answer_write(struct hf_connection *connection, struct hf_memcache_client *client,
                              const struct hf_operation_result *result);
/* An answer that is a status alone, or the text of `version`. */
void hf_memcache_answer_plain(struct hf_connection *connection,
                              const struct hf_memcache_request *request,
                              enum hf_memcache_status status);

/* ---- memcache_stats.c ---- */

void hf_memcache_stats_write(struct hf_connection *connection,
                             const struct hf_memcache_request *request);
