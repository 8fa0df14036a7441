#include "cmd/check_agent.h"
#include "agent/agent.h"
#include "agent/external.h"
#include "agent/peering.h"
#include "agent/replicated.h"
#include "balance/rank.h"
#include "config/agent.h"
#include "fabric/fabric.h"
#include "remote/remote.h"
#include <stdio.h>

enum { MS_PER_S = 1000 };

static void print_peers(const struct hf_agent_replication *replication)
{
    char address[HF_ADDRESS_TEXT_MAX];
    printf("  copies: %u, acknowledged by %s, %s%s\n", replication->backups,
           replication->acknowledge_memory ? "memory" : "backup",
           replication->consistent ? "consistent" : "available",
           replication->has_key ? " (key)" : "");
    for (unsigned i = 0; i < replication->peer_count; i++) {
        hf_address_format(&replication->peers[i].address, address);
        printf("  peer %s: %s%s\n", replication->peers[i].name, address,
               i == replication->self ? " (this agent)" : "");
    }
}

/* ---- what becomes of sessions: docs/promises.md has the whole of it ---- */

static void promise_alone(void)
{
    printf("\nwhat becomes of sessions when this process ends, for whatever reason:\n"
           "  all are gone; write peers: and mode: replicated to have copies at other agents\n");
}

static void promise_external(const struct hf_agent_external *external)
{
    printf("\nwhat becomes of sessions when something fails:\n"
           "  the store is away: noticed within %d ms, or %d requests without an answer; sessions "
           "that were read or written here go on, others are errors\n"
           "  this process ends: sessions are in the store, but for %s%d keys at most that the "
           "store had not taken\n",
           HF_REMOTE_DEADLINE_MS, HF_REMOTE_FAILURES_MAX,
           external->behind ? "what was written in the last moments, and " : "",
           HF_EXTERNAL_DIRTY_MAX);
}

static void promise_kept_back(const struct hf_agent_replication *replication)
{
    if (replication->acknowledge_memory)
        printf("    lost: writes of the last moments before it, for acknowledge: memory waits for "
               "nobody\n");
    else if (replication->consistent)
        printf("    lost: nothing that was answered OK\n");
    else
        printf("    lost: nothing that was answered OK, unless all others were silent for %d ms "
               "before\n",
               HF_FABRIC_DEGRADE_MS);
}

static void promise_parts(const struct hf_agent_replication *replication)
{
    unsigned majority = replication->peer_count / 2 + 1;
    if (replication->consistent)
        printf("  the network parts: who reaches fewer than %u of the %u agents (itself included) "
               "answers errors\n",
               majority, replication->peer_count);
    else
        printf("  the network parts: each part goes on with what it has; when they meet the newer "
               "version of each session stays\n");
    if (replication->consistent && majority == replication->peer_count)
        printf("    with %u agents the end of one stops all: have three\n",
               replication->peer_count);
}

static void promise_copies(const struct hf_agent_replication *replication)
{
    int silent_ms =
        (int)hf_rank_lease_ms(replication->peer_count) * HF_FABRIC_DEAD_MS / HF_FABRIC_LEASE_MS;
    printf("\nwhat becomes of sessions when something fails, at worst:\n"
           "  an agent's process ends (kill, crash): detection 0 (its connections break) + look-up "
           "one exchange between agents = no wait to speak of\n"
           "  an agent falls silent (machine, network, a hang): detection %d ms (its lease) + "
           "look-up one exchange; requests wait for it, at most %d ms, then errors\n",
           silent_ms, HF_REPLICATED_PATIENCE_MS);
    promise_kept_back(replication);
    printf("  %u at the same moment: what just these held is gone\n"
           "  all at the same moment: all sessions are gone\n"
           "  SIGTERM: what was asked is answered (at most %d s) and sessions are handed over (at "
           "most %d s)\n",
           replication->backups + 1, HF_AGENT_DRAIN_MS / MS_PER_S, HF_PEERING_LEAVE_MS / MS_PER_S);
    promise_parts(replication);
}

void hf_check_print_agent(const struct hf_agent_config *config)
{
    const struct {
        const char *name;
        const struct hf_address *address;
    } rows[] = {{"redis", &config->redis},
                {"memcached", &config->memcached},
                {"admin", &config->process->admin_bind}};
    char address[HF_ADDRESS_TEXT_MAX];
    printf("%s: good: agent %s, %s, %llu MiB for sessions, when full: %s\n", config->process->file,
           config->process->node, hf_agent_mode_word(config->mode),
           (unsigned long long)(config->memory >> 20),
           config->when_full == HF_STORE_EVICT ? "evict" : "refuse");
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].address->size == 0)
            continue;
        hf_address_format(rows[i].address, address);
        printf("  %s: %s\n", rows[i].name, address);
    }
    if (config->external.url != NULL)
        printf("  store: %s, write %s\n", config->external.url,
               config->external.behind ? "behind" : "through");
    if (config->replication.on)
        print_peers(&config->replication);
    if (config->external.url != NULL)
        promise_external(&config->external);
    else if (config->replication.on)
        promise_copies(&config->replication);
    else
        promise_alone();
}
