/* An external store of keys (Redis, memcached), as the agent sees it: asynchronous requests about
 * one key each, one answer each.
 *
 * What stands in the store is what an application's stock library would have put there: the same
 * key text, the same value bytes, a hash as a hash, an expiry as the store's own. So an operator
 * points applications from the store to an agent, and back, and migrates nothing.
 *
 * One connection, everything pipelined on it; so requests about one key happen in the order of
 * hf_remote_submit. A request is answered within HF_REMOTE_DEADLINE_MS in any case: by FAILED if
 * nothing came, and then it may have happened, or may still. A connection that is given up is
 * fenced where the store can do that (Redis: CLIENT KILL of the old one), so nothing of it happens
 * after what is sent on the next.
 *
 * A breaker (breaker.h) stands before the store: while it is open everything is answered by DOWN at
 * once. It probes the store itself; `changed` tells when it opens and closes.
 *
 * Never: keeps a value, waits, retries a request. Threads: the loop's. Layer: remote. */
#pragma once
#include "net/address.h"
#include "net/loop.h"
#include "proto/resp.h"
#include "proto/store_url.h"

enum {
    HF_REMOTE_DEADLINE_MS = 500,     /* of a request; of making a connection */
    HF_REMOTE_QUEUE_MAX = 32768,     /* requests that wait for an answer; one more: DOWN */
    HF_REMOTE_UNSENT_MAX = 64 << 20, /* bytes not sent yet; beyond: DOWN */
    HF_REMOTE_ANSWER_MAX = 32 << 20, /* bytes of one answer; beyond, the connection ends */
    HF_REMOTE_FAILURES_MAX = 3,      /* requests without an answer in a row: the breaker opens */
    HF_REMOTE_OPEN_MS = 500,         /* it stays so; then the store is probed */
    HF_REMOTE_NODES_MAX = 128,       /* of a cluster; keys of more are answered by DOWN */
    HF_REMOTE_SILENT_MS = 5000,      /* a connection from which nothing came is given up */
};
#define HF_REMOTE_NEVER UINT64_MAX

/* A row: enum, word (of metrics). */
#define HF_REMOTE_KIND_ROWS(X)                                                                     \
    X(LOAD, "load")                                                                                \
    X(PUT, "put")                 /* the whole key: value, expiry */                               \
    X(DELETE, "delete")           /* OK also when there was none */                                \
    X(EXPIRE, "expire")           /* its expiry alone; MISSING: there is none */                   \
    X(HASH_SET, "hash_set")       /* some fields; a missing hash is made, without an expiry */     \
    X(HASH_DELETE, "hash_delete") /* some fields; OK also when there were none */

enum hf_remote_kind {
#define HF_REMOTE_KIND_ENUM(name, word) HF_REMOTE_##name,
    HF_REMOTE_KIND_ROWS(HF_REMOTE_KIND_ENUM)
#undef HF_REMOTE_KIND_ENUM
        HF_REMOTE_KINDS
};

enum hf_remote_when { HF_REMOTE_ALWAYS, HF_REMOTE_IF_NEW, HF_REMOTE_IF_EXISTS };

struct hf_remote_request { /* borrowed for hf_remote_submit alone */
    uint8_t kind;          /* enum hf_remote_kind */
    uint8_t when;          /* enum hf_remote_when; PUT of a string alone. Not met: UNMET */
    bool asking;           /* ours */
    bool hash;             /* LOAD: it may be a hash (else: a string); PUT: it is one */
    uint32_t client_flags; /* PUT: memcached's; Redis has no place for them */
    uint64_t token;  /* PUT, DELETE: only if it is what LOAD answered with it, else UNMET; 0: any.
                      * Redis has none */
    uint64_t ttl_ms; /* PUT, EXPIRE: from now, > 0, or HF_REMOTE_NEVER */
    struct hf_slice key;
    struct hf_slice value; /* PUT of a string */
    /* HASH_SET, PUT of a hash: names and values by turns. HASH_DELETE: names. */
    const struct hf_slice *fields;
    uint32_t field_count; /* slices */
};

/* A row: enum, word (of metrics). */
#define HF_REMOTE_STATUSES(X)                                                                      \
    X(OK, "ok")                                                                                    \
    X(MISSING, "missing")       /* the store said so */                                            \
    X(UNMET, "unmet")           /* `when` */                                                       \
    X(WRONG_TYPE, "wrong_type") /* LOAD: the other kind, or nothing we know; else: changed         \
                                   meanwhile */                                                    \
    X(MOVED, "moved")           /* a cluster's node: another one has the key. It did not happen:   \
                                   ask again, now */                                               \
    X(REFUSED, "refused")       /* the store answered an error */                                  \
    X(FAILED, "failed")         /* no answer: it may have happened, or may still */                \
    X(DOWN, "down")             /* the breaker is open, or a queue is full: it did not happen */

enum hf_remote_status {
#define HF_REMOTE_STATUS_ENUM(name, word) HF_REMOTE_##name,
    HF_REMOTE_STATUSES(HF_REMOTE_STATUS_ENUM)
#undef HF_REMOTE_STATUS_ENUM
        HF_REMOTE_STATUS_COUNT
};
const char *hf_remote_status_word(enum hf_remote_status status);

struct hf_remote_result { /* slices are valid in the callback alone */
    uint8_t status;       /* enum hf_remote_status */
    bool hash;            /* LOAD */
    uint32_t client_flags;
    uint32_t field_count; /* of a hash */
    uint64_t ttl_ms;      /* LOAD: what is left, or HF_REMOTE_NEVER */
    uint64_t token;       /* LOAD: see the request; 0: there is none */
    struct hf_slice value;
    struct hf_resp_cursor fields; /* for hf_remote_next_field */
};
/* The fields of a loaded hash, in no order. False at the end. */
bool hf_remote_next_field(struct hf_remote_result *result, struct hf_slice *ret_name,
                          struct hf_slice *ret_value);

struct hf_remote_call; /* the caller's memory until `complete` */
typedef void (*hf_remote_complete_fn)(struct hf_remote_call *call, struct hf_remote_result *result);
struct hf_remote_call {
    hf_remote_complete_fn complete; /* may run inside hf_remote_submit, with DOWN */
    void *user;
};

enum hf_remote_change {
    HF_REMOTE_CLOSED, /* the breaker closed: the store answers */
    HF_REMOTE_OPENED, /* it opened; what was under way was answered before */
    HF_REMOTE_OTHER,  /* what answers now is not what answered before: it began anew, or is another
                         one, and may have lost something. Before CLOSED */
};

struct hf_remote_settings {
    uint8_t kind;                       /* enum hf_store_url_kind */
    const struct hf_address *addresses; /* copied */
    unsigned address_count;
    uint32_t database;
    struct hf_slice user, password; /* copied; empty: none */
    struct hf_slice master;         /* copied; SENTINEL: what it calls the master */
    void (*changed)(void *owner, enum hf_remote_change change); /* never inside hf_remote_new */
    void *owner;
};

struct hf_remote_counts {
    uint64_t requests[HF_REMOTE_KINDS];
    uint64_t results[HF_REMOTE_STATUS_COUNT];
    uint64_t connections, opened; /* made; the breaker opened */
    uint64_t late;                /* answers that came after FAILED was told */
};

struct hf_remote;
/* Begins to connect; the breaker is closed, so requests wait for the connection. 0; -ENOTSUP: a
 * kind that this build has no driver for; -ENOMEM. The caller frees. */
int hf_remote_new(struct hf_loop *loop, const struct hf_remote_settings *settings,
                  struct hf_remote **ret_remote);
/* What is under way is not answered any more. */
void hf_remote_free(struct hf_remote **remote);

void hf_remote_submit(struct hf_remote *remote, struct hf_remote_call *call,
                      const struct hf_remote_request *request);

/* Whether the breaker is open (or half open); a cluster's: that of any node that has keys. */
bool hf_remote_is_open(const struct hf_remote *remote);
/* Whether nothing is asked about that key now. */
bool hf_remote_is_away(const struct hf_remote *remote, struct hf_slice key);
/* Valid until it is called again. */
const struct hf_remote_counts *hf_remote_counts(struct hf_remote *remote);
/* The error that the store answered last, or why it is not reached; for logs. Never empty. */
const char *hf_remote_trouble(const struct hf_remote *remote);
