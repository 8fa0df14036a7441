/* The sealed affinity token: AES-256-GCM over who serves whom since when; opaque and unforgeable.
 * Layout before base64url (no padding): version 1, key id 1, nonce 12, sealed fields 36, tag 16.
 * Version 1: server 8, client 8, issued 8, seen 8, epoch 4. Version 2, only of a client that is
 * away from its home: server 8, client 8, home 8, issued 5, seen 5, epoch 2. Both have the same
 * size. Associated data: version, key id, and the scope (pool and cookie name), so a token of one
 * pool is worth nothing in another. Source: NIST SP 800-38D (random 96-bit nonces: rotate a key
 * before 2^32 seals); RFC 4648 5. No I/O, no allocation after init. Threads: an opener belongs to
 * one thread. Layer: proto. */
#pragma once
#include "base/slice.h"
#include <stdint.h>

enum {
    HF_TOKEN_KEY_SIZE = 32,
    HF_TOKEN_KEYS_MAX = 8,
    HF_TOKEN_TEXT_SIZE = 88, /* characters, exactly */
    HF_TOKEN_SCOPE_MAX = 192,
    HF_TOKEN_AWAY_EPOCH_MAX = 0xffff, /* of version 2: later moves count no further */
};

/* Seconds of version 2 are at most these, some 34,000 years. */
#define HF_TOKEN_AWAY_TIME_MAX ((UINT64_C(1) << 40) - 1)

struct hf_token {
    uint64_t server_id; /* hf_server_id(pool, name) */
    uint64_t client_id; /* random, for life; ranks the client's fall-back servers */
    uint64_t issued_s;  /* wall seconds of the first seal: the absolute lifetime counts from it */
    uint64_t seen_s;    /* wall seconds of this seal: the idle lifetime counts from it */
    uint32_t epoch;     /* raised by every move to another server */
    uint64_t home_id;   /* of the server it was moved from and returns to; 0 = it is at home */
};

struct hf_token_key {
    uint8_t id; /* 1-255, chosen by the operator */
    uint8_t bytes[HF_TOKEN_KEY_SIZE];
};

enum hf_token_verdict {
    HF_TOKEN_VALID,
    HF_TOKEN_OLD_KEY,   /* valid, sealed by an earlier key */
    HF_TOKEN_MALFORMED, /* length, alphabet, version */
    HF_TOKEN_UNKNOWN_KEY,
    HF_TOKEN_FORGED,
};

struct hf_token_sealer; /* prepared cipher state for a key set */
/* keys[0] seals, all open. 0, -EINVAL (no key, too many, an id of 0 or given twice) or -ENOMEM. The
 * keys are copied and wiped at free. */
int hf_token_sealer_new(const struct hf_token_key *keys, unsigned count,
                        struct hf_token_sealer **ret_sealer);
void hf_token_sealer_free(struct hf_token_sealer **sealer);
void hf_token_seal(struct hf_token_sealer *sealer, struct hf_slice scope,
                   const struct hf_token *token, char out[HF_TOKEN_TEXT_SIZE]);
/* VALID and OLD_KEY fill *ret_token. Lifetimes are not judged here; a scope is at most
 * HF_TOKEN_SCOPE_MAX bytes. */
enum hf_token_verdict hf_token_open(struct hf_token_sealer *sealer, struct hf_slice scope,
                                    struct hf_slice text, struct hf_token *ret_token);
/* A key file holds 64 hex digits and a newline, which may be missing. 0, or -EINVAL. */
int hf_token_key_parse(struct hf_slice text, uint8_t ret_bytes[HF_TOKEN_KEY_SIZE]);
void hf_token_key_format(const uint8_t bytes[HF_TOKEN_KEY_SIZE], char out[65]);
