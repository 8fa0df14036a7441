/* The service that front ends call: it finds the session of a key and has the operation done by
 * whoever holds the session. Front ends know of nothing behind it.
 *
 * Asynchronous: `complete` may run before hf_sessions_submit returns (a session that is held here
 * always does so), or later. What a result borrows is valid in `complete` alone: write the answer
 * there. A front end normally goes through front.h, which adds the connection's part: order,
 * suspension, locks.
 *
 * Behind it is one backend at a time (struct hf_sessions_backend): `local` executes on this
 * process's store; others ship what they cannot do here.
 *
 * Threads: the agent's loop thread, all of it; nothing is locked. Layer: agent. */
#pragma once
#include "agent/operation.h"
#include "agent/reads.h"
#include "store/pattern.h"

struct hf_sessions;
struct hf_sessions_call;

/* Must not free the call's memory's owner before it returns, nor submit the same call again from
 * inside (front.h resumes for that). */
typedef void (*hf_sessions_complete_fn)(struct hf_sessions_call *call,
                                        const struct hf_operation_result *result);

/* The caller's memory until `complete` or hf_sessions_abandon. Zero it, then fill the first part.
 */
struct hf_sessions_call {
    struct hf_slice key; /* its text; borrowed as all slices of the operation until `complete` */
    struct hf_operation operation; /* key, STRICT and LATE are filled by submit */
    hf_sessions_complete_fn complete;
    void *user;
    struct hf_reads *reads; /* of the connection it comes from, borrowed; NULL: of none */
    bool locks; /* in: the connection releases a lock that this takes. From submit on: this takes
                   one, without a deadline of its own */
    /* The service's. */
    struct hf_sessions *sessions;
    void *pending;                             /* the backend's, while it is under way; else NULL */
    void *carrier;                             /* the connection that it went through (front.h) */
    const struct hf_sessions_backend *backend; /* that it went to */
    bool nested;                               /* a backend's own: not counted */
};

/* ---- for front ends ---- */

void hf_sessions_submit(struct hf_sessions *sessions, struct hf_sessions_call *call);
/* Whoever waits for the call is gone: `complete` will not run, nothing of the call is touched from
 * here on, and all it lent may be freed. The operation may still happen. Harmless when nothing is
 * under way. */
void hf_sessions_abandon(struct hf_sessions_call *call);

/* Clocks of this turn: for deadlines. */
uint64_t hf_sessions_now_ms(const struct hf_sessions *sessions);
uint64_t hf_sessions_wall_ms(const struct hf_sessions *sessions);

/* Largest value a client may send, bytes: for parsers' limits. */
size_t hf_sessions_value_max(const struct hf_sessions *sessions);

/* How long a lock without a deadline lasts when its connection's agent does not renew it; 0: it has
 * none. And the deadline of one that is taken or renewed now. */
uint64_t hf_sessions_lock_lease_ms(const struct hf_sessions *sessions);
uint64_t hf_sessions_lock_deadline_ms(const struct hf_sessions *sessions);

/* Which session a key belongs to: the key as the store takes it, and what its pattern says. */
struct hf_store_key hf_sessions_match(const struct hf_sessions *sessions, struct hf_slice key,
                                      struct hf_pattern_match *ret_match);

/* What can stand around an id in a key's text, pattern by pattern. */
void hf_sessions_each_pattern(const struct hf_sessions *sessions, hf_pattern_visit_fn visit,
                              void *user);

/* SCAN, KEYS: keys that this node holds and may serve; never pulls one. Visits about `count`
 * records from *cursor (0 = the beginning) and moves it; 0 again at the end. `key` is the whole
 * text, borrowed for the call of `visit`, which must not submit. Promises as hf_store_scan. */
typedef void (*hf_sessions_key_fn)(void *user, struct hf_slice key, enum hf_store_kind kind);
struct hf_sessions_scan {
    hf_sessions_key_fn visit;
    void *user;
    unsigned count;
};
void hf_sessions_scan(struct hf_sessions *sessions, uint64_t *cursor,
                      const struct hf_sessions_scan *scan);
/* DBSIZE, curr_items: keys held here, of whatever role. */
uint64_t hf_sessions_key_count(const struct hf_sessions *sessions);

/* For INFO and stats: what the store holds and what happened to operations. */
struct hf_sessions_counts {
    uint64_t operations[HF_OPERATION_KINDS];
    uint64_t statuses[HF_OPERATION_STATUS_COUNT];
    uint64_t hits, misses; /* of GET, HASH_GET and HASH_ALL */
};
const struct hf_sessions_counts *hf_sessions_counts(const struct hf_sessions *sessions);
void hf_sessions_stats(const struct hf_sessions *sessions, struct hf_store_stats *ret_stats);
/* options.memory of the store: INFO's maxmemory, limit_maxbytes. */
size_t hf_sessions_memory_max(const struct hf_sessions *sessions);
/* Whether a full store evicts: INFO's maxmemory_policy. */
enum hf_store_full hf_sessions_when_full(const struct hf_sessions *sessions);

/* FLUSHALL, FLUSHDB, flush_all: OK, all is gone; or DENIED, which is the rule: an application must
 * not end the sessions of others. */
enum hf_operation_status hf_sessions_flush(struct hf_sessions *sessions);
/* Whether it may, from now on; at first it may not. Only for a store that nobody has copies of. */
void hf_sessions_allow_flush(struct hf_sessions *sessions, bool allowed);

/* ---- the seam to whoever executes ---- */

struct hf_sessions_backend {
    const char *name; /* "local" */
    void *user;
    /* Does the operation; ends it, now or later, by hf_sessions_complete. operation.key is filled,
     * hash included. To answer later it keeps what it needs in call->pending (its own memory, which
     * may not borrow from the call once `abandon` was called). */
    void (*submit)(void *user, struct hf_sessions_call *call);
    /* The call is going away: forget it. call->pending is not NULL. */
    void (*abandon)(void *user, struct hf_sessions_call *call);
};
/* For backends: the call is over. Sets pending to NULL, counts, runs call->complete. */
void hf_sessions_complete(struct hf_sessions_call *call, const struct hf_operation_result *result);

struct hf_sessions_settings {
    struct hf_store *store; /* borrowed, as all pointers here */
    const struct hf_pattern_table *patterns;
    const uint8_t *hash_key;                   /* 16 bytes: the store's */
    const struct hf_sessions_backend *backend; /* NULL: local */
    size_t memory, value_max;
    enum hf_store_full when_full;
    uint64_t tomb_ms;       /* tombstones of sessions whose ids are never used again */
    uint32_t epoch_floor;   /* local: epoch of what is created here */
    uint64_t lock_lease_ms; /* 0: nobody else would keep the locks of this process */
};
/* 0 or -ENOMEM. The caller frees, after all calls are complete or abandoned. */
int hf_sessions_new(const struct hf_sessions_settings *settings, struct hf_sessions **ret_sessions);
void hf_sessions_free(struct hf_sessions **sessions);
/* From now on calls go there; those under way end where they are. Borrowed as long as the service,
 * or until another one is set and all its calls are over. NULL: what it was made with. */
void hf_sessions_set_backend(struct hf_sessions *sessions,
                             const struct hf_sessions_backend *backend);
/* As if it had been made with that one; only while it is local, which has no calls under way.
 * Copied; NULL: local again. */
void hf_sessions_set_first(struct hf_sessions *sessions, const struct hf_sessions_backend *backend);
/* Called by the loop at the beginning of what it does: the time of this turn. */
void hf_sessions_set_time(struct hf_sessions *sessions, uint64_t now_ms, uint64_t wall_ms);
/* Reload: as hf_store_limit. */
int hf_sessions_set_limit(struct hf_sessions *sessions, size_t memory, enum hf_store_full full);
