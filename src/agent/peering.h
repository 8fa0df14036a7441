/* An agent among its peers: who they are, the links to them, the ticks of the fabric, what other
 * threads may know of it, and a planned end that hands sessions over.
 * Threads: the agent's loop, but for the functions that say otherwise. Layer: agent. */
#pragma once
#include "agent/replicated.h"
#include "config/agent.h"
#include "net/loop.h"

enum {
    HF_PEERING_LEAVE_MS = 10 * 1000, /* for handing sessions over at a planned end */
    HF_PEERING_QUEUE_MAX = 64 << 20, /* bytes that wait for one peer */
    HF_PEERING_IMAGE_MAX = 2 * HF_PEERING_QUEUE_MAX, /* more than a peer can have sent */
    HF_PEERING_ACTIVITIES_MAX = 65536,
    HF_PEERING_CALLS_MAX = 32768,
    HF_PEERING_TEXT_MAX = 256,
};

struct hf_peering;
/* config->replication.on, borrowed as long as the peering, as are all pointers. 0, or negative
 * errno and what failed in `told`. */
struct hf_peering_settings {
    const struct hf_agent_config *config;
    struct hf_store *store;
    const uint8_t *hash_key; /* 16 bytes: the store's */
};
int hf_peering_new(struct hf_loop *loop, const struct hf_peering_settings *settings,
                   struct hf_peering **ret_peering, char told[HF_PEERING_TEXT_MAX]);
struct hf_sessions_backend hf_peering_backend(struct hf_peering *peering);
struct hf_replicated *hf_peering_replicated(struct hf_peering *peering);
/* Called at the end of each turn, before what is to be sent goes to the peers. NULL: none. */
void hf_peering_set_turn_end(struct hf_peering *peering, hf_message_fn fn, void *argument);
/* Listens for peers and dials them. `sessions` runs on the backend; borrowed until closed. 0 or
 * negative errno, likewise. Takes the loop's turn end. */
int hf_peering_open(struct hf_peering *peering, struct hf_sessions *sessions,
                    char told[HF_PEERING_TEXT_MAX]);
/* Hands over what this node owns, then calls `left`: at the latest after HF_PEERING_LEAVE_MS, which
 * is told in the log. */
typedef void (*hf_peering_left_fn)(void *user);
void hf_peering_leave(struct hf_peering *peering, hf_peering_left_fn left, void *user);
/* Ends the links at the end of this turn; `left` is not called any more. */
void hf_peering_close(struct hf_peering *peering);
/* After the turn in which it was closed, or when it was never opened. Before the sessions, whose
 * calls under way it ends, and the store. NULL is harmless. */
void hf_peering_free(struct hf_peering **peering);

/* Counts links that ended, of whatever cause. */
uint64_t hf_peering_losses(const struct hf_peering *peering);
/* Counts peers that are linked again and may have gone on by themselves meanwhile. */
uint64_t hf_peering_reunions(const struct hf_peering *peering);
/* What hf_store_options.dropped is told. */
void hf_peering_dropped(struct hf_peering *peering, enum hf_store_drop why, struct hf_slice id,
                        enum hf_record_state state, struct hf_version version);
/* Copies what other threads read. */
void hf_peering_publish(struct hf_peering *peering);

/* Any thread. */
const struct hf_agent_replication *hf_peering_configuration(const struct hf_peering *peering);
bool hf_peering_ready(const struct hf_peering *peering);    /* hf_fabric_ready */
bool hf_peering_complete(const struct hf_peering *peering); /* hf_fabric_complete */
bool hf_peering_drains(const struct hf_peering *peering);   /* a proxy drains its server */
/* Whether the link to the peer at this place of config->replication.peers is up. */
bool hf_peering_linked(const struct hf_peering *peering, unsigned place);
