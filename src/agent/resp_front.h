/* The agent as a Redis: the front end that speaks RESP2 and RESP3. What it understands, and where
 * it differs from Redis, is in docs/agent-protocols.md. It decides nothing about sessions: it makes
 * operations of requests and replies of their results.
 * Threads: the agent's loop thread. Layer: agent. */
#pragma once
#include "agent/front.h"

enum {
    HF_RESP_FRONT_TRANSACTION_SIZE_MAX = 32
                                         << 20, /* bytes of requests queued between MULTI, EXEC */
    HF_RESP_FRONT_TRANSACTION_COUNT_MAX = 8192, /* and how many they may be */
    HF_RESP_FRONT_WATCHES_MAX = 128,            /* keys of a connection */
    HF_RESP_FRONT_NAME_SIZE_MAX = 256,          /* bytes of CLIENT SETNAME */
    HF_RESP_FRONT_SCRIPTS_MAX = 256,      /* hashes remembered; one more takes the oldest's place */
    HF_RESP_FRONT_DATABASES = 16,         /* that SELECT takes: all are the same */
    HF_RESP_FRONT_SCAN_COUNT_MAX = 10000, /* of SCAN; KEYS looks at as many at once */
    HF_RESP_FRONT_KEYS_MAX = 100000,      /* keys of a node for which KEYS is still answered */
    HF_RESP_FRONT_STAGE_SIZE_MAX = 64 << 20,   /* bytes of a reply that must be whole or an error */
    HF_RESP_FRONT_RENAMES_MAX = 8,             /* tries, while others write to the old name */
    HF_RESP_FRONT_REQUEST_EXTRA_MAX = 1 << 20, /* bytes of a request beside its largest value */
};

/* What HELLO and INFO claim: clients look at it to know what they may send. */
#define HF_RESP_FRONT_VERSION "7.2.0"

extern const struct hf_front hf_resp_front;
