/* The side of an agent that faces an external store, in whatever mode: with peers or without, and
 * the switch from one mode to another.
 * Threads: the loop's, but for the two that say otherwise. Layer: agent. */
#pragma once
#include "agent/external/external_counters.h"
#include "agent/external/external_fabric.h"
#include "agent/peering.h"
#include <stdatomic.h>

enum { HF_EXTERNAL_SIDE_TEXT_MAX = 320 };

struct hf_external_side { /* zeroed, then the first part filled: nothing is kept elsewhere */
    struct hf_loop *loop; /* borrowed, as all of these */
    struct hf_store *store;
    const uint8_t *hash_key;
    uint64_t tomb_ms;
    struct hf_sessions *sessions;
    struct hf_peering *peering; /* NULL: no peers */
    /* Its own. */
    struct hf_external *alone;         /* owned; one at most */
    struct hf_external_fabric *fabric; /* likewise */
    bool leaving; /* it serves what is under way and no more, until a publish finds it idle */
    struct hf_external_counters counters;
    _Atomic bool counted; /* they are registered */
    _Atomic int mode;     /* enum hf_agent_mode: what runs */
    char *url, *password; /* owned; not freed before the end */
    bool behind;
    uint64_t losses, reunions; /* of peering, that the outbox was told of */
};

/* Begins what the configuration says. 0 or negative errno. */
int hf_external_side_open(struct hf_external_side *side, const struct hf_agent_config *config);
/* Changes over to what another configuration says. False, and what to do in `told`: that cannot be
 * done in a running agent, and what ran goes on. */
bool hf_external_side_switch(struct hf_external_side *side, const struct hf_agent_config *config,
                             char told[HF_EXTERNAL_SIDE_TEXT_MAX]);
/* Ends what is under way as UNSURE. Before peering and sessions are freed. */
void hf_external_side_close(struct hf_external_side *side);

/* From a timer, some times a second. */
void hf_external_side_publish(struct hf_external_side *side);
void hf_external_side_set_memory(struct hf_external_side *side,
                                 const struct hf_agent_config *config);
/* Before the agent ends: what its peers have taken over is theirs to write. */
void hf_external_side_leave(struct hf_external_side *side);
/* Keys that wait to be written. */
uint32_t hf_external_side_dirty(const struct hf_external_side *side);
/* Why they do; never empty. */
const char *hf_external_side_trouble(const struct hf_external_side *side);

/* Any thread. */
enum hf_agent_mode hf_external_side_mode(const struct hf_external_side *side);
/* NULL: there never was a store. */
const struct hf_external_counters *hf_external_side_counters(const struct hf_external_side *side);
