/* What this agent, as the owner of sessions with copies at other agents, has yet to write to the
 * external store.
 *
 * Rules:
 *   only the owner  writes: looked at before each request. Who is not it any more forgets the key,
 *            for whoever is has it to write (`owned`)
 *   through  an operation is held until the store has its key, HF_OUTBOX_HOLD_MS at most, beside
 *            the copies that the fabric waits for
 *   behind   the key waits up to HF_OUTBOX_FLUSH_MS; with HF_EXTERNAL_DIRTY_MAX of them it is as
 *            `through`
 *   away     what the store does not take stays, in order, and is answered: copies have it. With
 *            HF_EXTERNAL_DIRTY_MAX keys a write of another one is FULL
 *   taking over  all keys of a record that this node becomes the owner of are written again
 *            HF_OUTBOX_AGAIN_MS later: its predecessor may have owed them, and what it had sent may
 *            arrive until then
 *   deleted  a key that is gone is remembered for HF_OUTBOX_AGAIN_MS after the store knows it, and
 *            keeps what was read there before from coming back (HF_OPERATION_ADOPTS). Before a
 *            delete is repeated the fabric is asked: somebody may have made the key anew
 *   deleted by another  when the store is back, or an agent is lost, the deletes of the outage, or
 *            of the last moments, are told again by whoever has their tombstones
 *   two owners  when a peer is back that was not dead, everything that is owned here is written
 *            HF_OUTBOX_REUNION_MS later, when the fabric has settled whose value stays
 *   an empty store  (it began anew, or another one answers), or more taken over than
 *            HF_EXTERNAL_DIRTY_MAX: everything that is owned here is written
 *
 * Threads: the agent's loop. Layer: agent. */
#pragma once
#include "agent/external.h"
#include "agent/replicated.h"

enum {
    HF_OUTBOX_HOLD_MS = 200, /* below HF_FABRIC_ANSWER_MS */
    HF_OUTBOX_FLUSH_MS = HF_EXTERNAL_BEHIND_MS,
    HF_OUTBOX_AGAIN_MS = 1000, /* longer than HF_REMOTE_DEADLINE_MS */
    HF_OUTBOX_TOMBS_MS = 5000, /* a delete that old was told, or the breaker is open */
    HF_OUTBOX_REUNION_MS = 3000,
    HF_OUTBOX_LATE_MS = 50, /* a turn that takes longer may have outlived a lease */
};

enum hf_outbox_writing {
    HF_OUTBOX_THROUGH,
    HF_OUTBOX_BEHIND,
    HF_OUTBOX_DELETES, /* nothing but deletes is told */
};

struct hf_outbox;
struct hf_outbox_settings {
    struct hf_loop *loop; /* borrowed, as all pointers here */
    struct hf_store *store;
    struct hf_sessions *sessions; /* on the backend of `replicated`, or on one before it */
    struct hf_replicated *replicated;
    struct hf_remote *remote;
    const uint8_t *hash_key; /* 16 bytes */
    size_t memory;
    enum hf_store_full when_full; /* DELETES; else copies are evicted while the store has all */
    enum hf_outbox_writing writing;
    unsigned dirty_max; /* HF_EXTERNAL_DIRTY_MAX */
};
/* 0 or -ENOMEM. Sets the hooks of `replicated`. The caller frees. */
int hf_outbox_new(const struct hf_outbox_settings *settings, struct hf_outbox **ret_outbox);
/* Answers what is held; what was not written is not. After the remote is freed and the sessions
 * have another backend, before `replicated`. */
void hf_outbox_free(struct hf_outbox **outbox);

/* Sends what was changed in this turn. */
void hf_outbox_turn(struct hf_outbox *outbox);
void hf_outbox_set_memory(struct hf_outbox *outbox, size_t memory, enum hf_store_full when_full);
/* From now on. Beginning to write, everything that is owned here is written. */
void hf_outbox_set_writing(struct hf_outbox *outbox, enum hf_outbox_writing writing);
/* Before this node ends: what others own by now is theirs to write. */
void hf_outbox_leave(struct hf_outbox *outbox);
/* To be told what hf_remote_settings.changed is. */
void hf_outbox_store_changed(struct hf_outbox *outbox, enum hf_remote_change change);
/* An agent has ended, or is not reached: what it was told to delete last it may have owed. */
void hf_outbox_peer_lost(struct hf_outbox *outbox);
/* One is back that may have gone on by itself: as the owner of what others owned too, and wrote. */
void hf_outbox_peer_back(struct hf_outbox *outbox);
/* The store still has a key that the fabric says is deleted. */
void hf_outbox_delete(struct hf_outbox *outbox, const struct hf_store_key *key);

/* Of the counts those of writing: `restored`, `won` and `yielded` stay 0. */
struct hf_external_counts *hf_outbox_counts(struct hf_outbox *outbox);
