/* Inside of the external backend: its keys, and what its files ask of each other.
 * Threads: the agent's loop. Layer: agent. */
#pragma once
#include "agent/external.h"
#include "base/list.h"
#include "base/timer.h"

enum { HF_EXTERNAL_MAGIC = 0x45585445, HF_EXTERNAL_BUCKETS = 1 << 16 };

enum hf_external_step { /* what a key waits for */
                        HF_EXTERNAL_IDLE,
                        HF_EXTERNAL_LOADING,   /* for the first of its calls */
                        HF_EXTERNAL_WRITING,   /* likewise */
                        HF_EXTERNAL_COMPARING, /* dirty: what the store has */
                        HF_EXTERNAL_CATCHING,  /* dirty: that it is written */
};

enum hf_external_known { /* what a call's key is known by */
                         HF_EXTERNAL_UNASKED,
                         HF_EXTERNAL_FRESH, /* the store has said it */
                         HF_EXTERNAL_STALE, /* it did not answer */
};

struct hf_external_call {
    struct hf_list node;
    struct hf_sessions_call *call; /* NULL: abandoned */
    struct hf_operation operation; /* borrows from the call, or from `owned` */
    char *owned;                   /* an abandoned write */
    uint64_t until_ms;             /* patience */
    uint64_t before;               /* digest of the key before it was executed */
    uint8_t known;                 /* enum hf_external_known */
    bool compared;                 /* its key's copy was, as the walk would do it */
    uint8_t tries;
    char *answer; /* owned: the result, encoded, while its write is under way */
    size_t answer_size;
    uint64_t answer_ms;
};

struct hf_external_key {          /* lives as long as there are calls, or it is dirty */
    struct hf_external_key *next; /* of its bucket */
    struct hf_external *external;
    struct hf_list node;  /* of external->dirty, or of none */
    struct hf_list calls; /* the first one is under way */
    struct hf_remote_call remote;
    struct hf_store_key key; /* in `text` */
    bool strict;
    bool advancing;
    bool dirty;           /* the store may not have what the agent has */
    bool compare;         /* it may have what another wrote */
    bool restoring;       /* it had it once: nothing is new here */
    bool gone;            /* the agent has deleted it */
    bool hash;            /* what a load asks for */
    bool turned;          /* the other kind was asked for already */
    uint8_t step;         /* enum hf_external_step */
    uint64_t token;       /* of what was loaded for the first call; 0: none */
    uint64_t base, tried; /* digests: what the store had, and may have got, as far as is known */
    uint64_t deadline_ms; /* of a dirty one */
    uint64_t retry_ms;    /* not before */
    size_t size;
    char text[];
};

struct hf_external {
    uint32_t magic;
    struct hf_external_settings settings;
    struct hf_sessions_backend backend;
    struct hf_sessions *sessions; /* borrowed; NULL before the first call */
    struct hf_remote *remote;     /* owned */
    struct hf_bytes scratch;
    struct hf_external_key **buckets; /* owned: [HF_EXTERNAL_BUCKETS] */
    struct hf_list dirty;
    struct hf_timer flush;
    uint32_t catching; /* dirty keys under way */
    bool flushing;
    bool walking;  /* every copy is being compared */
    uint64_t walk; /* cursor */
    bool outage;   /* since the store was away dirty keys are left */
    struct hf_external_counts counts;
};

/* external_keys.c */
uint64_t hf_external_now_ms(const struct hf_external *external);
/* While there are dirty keys, or copies that are to be compared, none may be dropped for room: it
 * may be the only one. 0 or -EINVAL. */
int hf_external_limit(const struct hf_external *external);
/* The key of that text, made if need be; NULL without memory. */
struct hf_external_key *hf_external_key_get(struct hf_external *external, struct hf_slice text,
                                            const struct hf_store_key *key, bool strict);
/* Frees one that nothing needs any more. */
void hf_external_key_settle(struct hf_external_key *key);
void hf_external_key_mark(struct hf_external_key *key, bool compare, uint64_t base);
void hf_external_key_clean(struct hf_external_key *key);

/* external_copy.c: between the agent's store and requests. */
bool hf_external_copy_get(const struct hf_external_key *key, struct hf_store_value *ret_value);
/* Of kind, flags and bytes; 0: there is none. */
uint64_t hf_external_copy_digest(const struct hf_external_key *key);
uint64_t hf_external_result_digest(const struct hf_external *external,
                                   const struct hf_remote_result *result);
/* Makes the copy what the store has; MISSING: none. OK, or why it cannot be kept. */
enum hf_operation_status hf_external_copy_put(const struct hf_external_key *key,
                                              struct hf_remote_result *result);
/* Asks the store to have what the copy is: the whole key. */
void hf_external_copy_send(struct hf_external_key *key, uint8_t when);

/* external_write.c */
/* Asks the store for what the first call of the key, which was executed, has changed. */
void hf_external_write(struct hf_external_key *key, const struct hf_external_call *call);
/* The other keys of a session: a tombstone takes them with it, so the store's are to go too. Noted
 * before, deleted after it is executed. */
struct hf_external_siblings {
    char texts[HF_STORE_KEYS_MAX][2 * HF_STORE_AFFIX_MAX + HF_STORE_ID_MAX];
    size_t sizes[HF_STORE_KEYS_MAX];
    unsigned count;
};
void hf_external_note_siblings(const struct hf_external_key *key,
                               struct hf_external_siblings *siblings);
void hf_external_delete_siblings(struct hf_external_key *key,
                                 const struct hf_external_siblings *siblings);

/* external_reconcile.c */
void hf_external_reconcile(struct hf_external_key *key);
void hf_external_compared(struct hf_external_key *key, struct hf_remote_result *result);
void hf_external_caught(struct hf_external_key *key, const struct hf_remote_result *result);
/* Has a copy compared with a store that may have lost it. */
void hf_external_key_restore(struct hf_external_key *key);
void hf_external_changed(void *owner, enum hf_remote_change change);
/* Starts as many dirty keys as the window has room for. */
void hf_external_flush(struct hf_external *external);

/* external.c */
/* What key->remote was submitted for has an answer. */
void hf_external_done(struct hf_external_key *key, struct hf_remote_result *result);
void hf_external_advance(struct hf_external_key *key);
bool hf_external_asks(const struct hf_external_key *key); /* the store may be asked about it now */
