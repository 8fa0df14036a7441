/* The running agent: one loop with its store, its session service and the doors of its front ends.
 * Knows no protocol: who starts it brings the front ends.
 * Threads: the loop's, but for hf_agent_counters. Layer: agent. */
#pragma once
#include "agent/counters.h"
#include "agent/external/external_counters.h"
#include "config/agent.h"

enum {
    HF_AGENT_TICK_MS = 100,            /* expiry, counters */
    HF_AGENT_BUSY_TICK_MS = 2,         /* while more is due than one tick does */
    HF_AGENT_DRAIN_MS = 5000,          /* requests under way get that long to end at SIGTERM */
    HF_AGENT_CONNECTIONS_MAX = 10000,  /* of each front end, as far as descriptors allow */
    HF_AGENT_LOCK_MS = 30 * 1000,      /* how long a lock without an expiry outlives its agent */
    HF_AGENT_TOMB_MS = 15 * 60 * 1000, /* how long a deleted session's id is remembered */
};

struct hf_agent;
struct hf_peering;
struct hf_agent_fronts { /* borrowed; NULL = this build does not have it */
    const struct hf_front *redis, *memcached;
};
struct hf_agent_error { /* what failed, and what to do */
    char text[512];
};
/* All connections ended after hf_agent_stop. */
typedef void (*hf_agent_ended_fn)(void *user);

/* Listens. The configuration is borrowed until hf_agent_free, for its patterns stay in force. 0, or
 * negative errno with a message. The loop is borrowed and must run soon. */
int hf_agent_new(struct hf_loop *loop, const struct hf_agent_config *config,
                 const struct hf_agent_fronts *fronts, struct hf_agent **ret_agent,
                 struct hf_agent_error *error);
/* Puts memory, when_full, the password and, as far as it can (external_side.h), the mode of another
 * configuration in force; says in the log what waits for a restart. 0: `config` is borrowed from
 * now on, and one that an earlier reload brought may be freed, unless it is hf_agent_fleet.
 * Negative errno and a message: nothing changed. */
int hf_agent_reload(struct hf_agent *agent, const struct hf_agent_config *config,
                    struct hf_agent_error *error);
/* Accepts no more, answers what was asked, for at most HF_AGENT_DRAIN_MS, and hands its sessions
 * over to its peers (HF_PEERING_LEAVE_MS); then `ended`. Called again it cuts what is left and
 * ends. */
void hf_agent_stop(struct hf_agent *agent, hf_agent_ended_fn ended, void *user);
/* The configuration whose peers are this agent's, which stays borrowed; NULL: it has none. */
const struct hf_agent_config *hf_agent_fleet(const struct hf_agent *agent);
/* After `ended`, or before the loop ran. */
void hf_agent_free(struct hf_agent **agent);

/* Any thread, as long as the agent lives. */
const struct hf_counters *hf_agent_counters(const struct hf_agent *agent);
/* What runs, whatever the file says. */
enum hf_agent_mode hf_agent_mode(const struct hf_agent *agent);
/* NULL: there never was one; then it stays. */
const char *hf_agent_external_url(const struct hf_agent *agent);
/* NULL: there never was a store. */
const struct hf_external_counters *hf_agent_external_counters(const struct hf_agent *agent);
/* NULL: another mode. For what peering.h allows any thread. */
const struct hf_peering *hf_agent_peering(const struct hf_agent *agent);
/* Where a front end listens, as bound; NULL: it is not served. */
enum hf_agent_front { HF_AGENT_REDIS, HF_AGENT_MEMCACHED, HF_AGENT_FRONT_COUNT };
const struct hf_address *hf_agent_address(const struct hf_agent *agent, enum hf_agent_front front);
