/* The backend of `mode: external`: the store is Redis or memcached, and this agent is what keeps
 * sessions going while that is away.
 *
 * Rules:
 *   reading    asks the store, each time, and keeps the answer as a copy. A store that gives no
 *              answer: the copy, or if there is none UNSURE; a miss is what the store said
 *   writing    is done on the copy, then in the store, then answered (`through`), or answered
 *              before (`behind`). A store that does not take it: answered all the same, the key is
 *              *dirty*, and is written when the store answers again
 *   reconciling a dirty key reads what the store has first: what was there when this agent last
 *              knew is replaced by what the agent holds. What another wrote meanwhile is a
 *              conflict: a deletion here wins; else the later deadline, for with sliding expiry
 *              that is the later write; else this agent
 *   an empty store  (it began anew, or another one answers): every copy is compared likewise, and
 *              put back if it is missing; of two that differ the later deadline wins, else the
 * store
 *
 * One request about a key is under way at a time; calls of a key wait for each other.
 * Threads: the agent's loop. Layer: agent. */
#pragma once
#include "agent/sessions.h"
#include "remote/remote.h"

enum {
    HF_EXTERNAL_DIRTY_MAX = 100000, /* keys; beyond, what the store does not take is FULL */
    HF_EXTERNAL_WINDOW = 64,        /* keys that are reconciled or written behind at a time */
    HF_EXTERNAL_BEHIND_MS = 50,     /* `behind`: a write begins within it */
    HF_EXTERNAL_RETRY_MS = 1000,    /* a key whose write was refused is tried again */
    HF_EXTERNAL_TRIES_MAX = 3,      /* an operation whose key others change meanwhile */
    HF_EXTERNAL_PATIENCE_MS = 1000, /* a call waits that long for a store that is not known down */
};

struct hf_external;
struct hf_external_settings {
    struct hf_loop *loop; /* borrowed, as all pointers here */
    struct hf_store *store;
    const uint8_t *hash_key; /* 16 bytes */
    size_t memory;
    uint64_t tomb_ms;
    bool behind;
    struct hf_remote_settings remote; /* but for changed and owner */
};
/* 0, -ENOTSUP (hf_remote_new), -ENOMEM. The caller frees, before the session service. */
int hf_external_new(const struct hf_external_settings *settings, struct hf_external **ret_external);
/* Calls under way end as UNSURE. */
void hf_external_free(struct hf_external **external);
/* For hf_sessions_settings; borrowed as long as the external. */
const struct hf_sessions_backend *hf_external_backend(const struct hf_external *external);
/* Everything that is in memory is compared with the store, and put there if it is missing.
 * `sessions` is on the backend. */
void hf_external_bring(struct hf_external *external, struct hf_sessions *sessions);
/* The limit of the store's memory has changed: says again what a full store does. */
int hf_external_set_memory(struct hf_external *external, size_t memory);
/* True: nothing waits to be written. */
bool hf_external_is_clean(const struct hf_external *external);

struct hf_external_counts {
    uint64_t kept;         /* writes answered that the store did not take then */
    uint64_t copies;       /* reads answered from the copy, for the store gave no answer */
    uint64_t unsure;       /* operations refused, for neither knew */
    uint64_t refused;      /* for HF_EXTERNAL_DIRTY_MAX */
    uint64_t written;      /* dirty keys written */
    uint64_t restored;     /* of those: the store had none, and had had one */
    uint64_t won, yielded; /* conflicts, by who won: this agent, the store */
    uint64_t lost;         /* dirty keys that were gone from memory before they were written */
    uint32_t dirty;        /* now */
};
const struct hf_external_counts *hf_external_counts(const struct hf_external *external);
struct hf_remote *hf_external_remote(const struct hf_external *external);
