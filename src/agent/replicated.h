/* Sessions with copies at other agents: the backend of sessions.h that executes what this node owns
 * on its store and lets the fabric bring the rest to whoever does. An operation on a session that
 * is owned here, under a valid lease, is executed where it stands: nothing is copied or encoded.
 * Never: opens a socket (peering.h does), decides who owns a session (fabric.h does).
 * Threads: the agent's loop. Layer: agent. */
#pragma once
#include "agent/sessions.h"
#include "fabric/fabric.h"

enum {
    /* A read that got no certain answer is asked again for so long, then its client gets an error:
     * longer than HF_FABRIC_DEAD_MS, after which another node serves. */
    HF_REPLICATED_PATIENCE_MS = HF_FABRIC_WRITE_MS,
    HF_REPLICATED_AGAIN_MS = 20, /* until it is asked again */
};

struct hf_replicated_settings {
    struct hf_store *store;     /* borrowed, as all pointers here */
    const uint8_t *hash_key;    /* 16 bytes: the store's */
    const struct hf_rank *rank; /* the nodes */
    struct hf_fabric_settings fabric;
    unsigned calls_max; /* operations under way; beyond it they are refused FULL */
    /* Bytes wait for the peer (hf_fabric_pull); may be NULL. */
    void (*wake)(void *user, unsigned peer);
    void *user;
};

/* Who writes to an external store what is executed here (outbox.h). Called inside the
 * fabric's events: may read the store, and must not submit. */
struct hf_replicated_hooks {
    void *user;
    /* Before an operation is executed. Anything but OK is its result instead. */
    enum hf_operation_status (*admit)(void *user, const struct hf_operation *operation);
    /* After it, whatever came of it; may set op->held. */
    void (*changed)(void *user, struct hf_fabric_op *op, const struct hf_operation *operation,
                    const struct hf_store_change *change);
    /* An operation whose `held` is set is over, by op->status. True: whoever asked is told by
     * hf_replicated_resume. */
    bool (*hold)(void *user, struct hf_fabric_op *op);
    /* As hf_records_settings.owned. */
    void (*owned)(void *user, struct hf_slice id, uint64_t id_hash);
};

struct hf_replicated;
/* 0, -ENOMEM, or -EINVAL as hf_fabric_new. The caller frees, before the sessions that it serves. */
int hf_replicated_new(const struct hf_replicated_settings *settings, uint64_t now_ms,
                      struct hf_replicated **ret_replicated);
/* What is under way is answered UNSURE, unless its call was abandoned. */
void hf_replicated_free(struct hf_replicated **replicated);

/* What hf_sessions_new takes; borrows `replicated`. */
struct hf_sessions_backend hf_replicated_backend(struct hf_replicated *replicated);
/* For its links, its counts and whether it is ready; ticks go through the next. */
struct hf_fabric *hf_replicated_fabric(struct hf_replicated *replicated);
/* Before anything else is done in an event: the time of it. */
void hf_replicated_set_time(struct hf_replicated *replicated, uint64_t now_ms);
/* Every HF_FABRIC_TICK_MS. */
void hf_replicated_tick(struct hf_replicated *replicated, uint64_t now_ms);

/* Borrowed until others are set; NULL: none. What is held is to be resumed before that. */
void hf_replicated_set_hooks(struct hf_replicated *replicated,
                             const struct hf_replicated_hooks *hooks);
void hf_replicated_resume(struct hf_replicated *replicated, struct hf_fabric_op *op);
/* Whether this node owned the record, under a valid lease, when the fabric last learned the time;
 * only outside of its events. */
bool hf_replicated_serves(const struct hf_replicated *replicated, struct hf_slice id,
                          uint64_t id_hash, uint64_t now_ms);

struct hf_replicated_counts {
    uint64_t under_way; /* now */
    uint64_t repeated;  /* reads that were asked again */
    uint64_t malformed; /* operations or answers of peers that could not be read */
    uint64_t refused;   /* roles that found no place in a full store (records.h) */
};
struct hf_replicated_counts hf_replicated_counts(const struct hf_replicated *replicated);
