#include "agent/external/external_side.h"
#include "base/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct hf_remote_settings remote_of(const struct hf_agent_external *config)
{
    return (struct hf_remote_settings){.kind = config->kind,
                                       .addresses = config->addresses,
                                       .address_count = config->address_count,
                                       .database = config->database,
                                       .user = config->user,
                                       .master = config->master,
                                       .password = hf_slice_text(config->password)};
}

static enum hf_outbox_writing writing_of(const struct hf_agent_config *config)
{
    if (config->mode == HF_AGENT_TRANSITION)
        return HF_OUTBOX_DELETES;
    return config->external.behind ? HF_OUTBOX_BEHIND : HF_OUTBOX_THROUGH;
}

/* ---- beginning and ending ---- */

static void turn_end(void *user)
{
    struct hf_external_side *side = user;
    struct hf_outbox *outbox = hf_external_fabric_outbox(side->fabric);
    uint64_t losses = hf_peering_losses(side->peering);
    if (side->losses != losses)
        hf_outbox_peer_lost(outbox);
    side->losses = losses;
    uint64_t reunions = hf_peering_reunions(side->peering);
    if (side->reunions != reunions)
        hf_outbox_peer_back(outbox);
    side->reunions = reunions;
    hf_outbox_turn(outbox);
}

static int open_fabric(struct hf_external_side *side, const struct hf_agent_config *config)
{
    const struct hf_external_fabric_settings settings = {
        .outbox = {.loop = side->loop,
                   .store = side->store,
                   .sessions = side->sessions,
                   .replicated = hf_peering_replicated(side->peering),
                   .hash_key = side->hash_key,
                   .memory = config->memory,
                   .when_full = config->when_full,
                   .writing = writing_of(config),
                   .dirty_max = HF_EXTERNAL_DIRTY_MAX},
        .remote = remote_of(&config->external)};
    int result = hf_external_fabric_new(&settings, &side->fabric);
    if (result < 0)
        return result;
    hf_peering_set_turn_end(side->peering, turn_end, side);
    hf_sessions_set_backend(side->sessions, hf_external_fabric_backend(side->fabric));
    return 0;
}

static int open_alone(struct hf_external_side *side, const struct hf_agent_config *config)
{
    const struct hf_external_settings settings = {.loop = side->loop,
                                                  .store = side->store,
                                                  .hash_key = side->hash_key,
                                                  .memory = config->memory,
                                                  .tomb_ms = side->tomb_ms,
                                                  .behind = config->external.behind,
                                                  .remote = remote_of(&config->external)};
    int result = hf_external_new(&settings, &side->alone);
    if (result == 0)
        hf_sessions_set_backend(side->sessions, hf_external_backend(side->alone));
    return result;
}

/* Of the first store, which is the only one until a restart. */
static int remember(struct hf_external_side *side, const struct hf_agent_external *config)
{
    if (config->url == NULL || side->url != NULL)
        return 0;
    side->url = strdup(config->url);
    if (config->password != NULL)
        side->password = strdup(config->password);
    bool right = side->url != NULL && (config->password == NULL || side->password != NULL);
    return right ? 0 : -ENOMEM;
}

int hf_external_side_open(struct hf_external_side *side, const struct hf_agent_config *config)
{
    int result = remember(side, &config->external);
    if (result < 0)
        return result;
    if (config->external.url != NULL)
        result = side->peering != NULL ? open_fabric(side, config) : open_alone(side, config);
    if (result < 0)
        return result;
    if (config->external.url != NULL && !side->counted) {
        hf_external_counters_init(&side->counters);
        side->counted = true;
    }
    side->mode = config->mode;
    side->behind = config->external.behind;
    return 0;
}

/* What answers clients from here on is what was behind the store. */
static void leave_fabric(struct hf_external_side *side)
{
    hf_peering_set_turn_end(side->peering, NULL, NULL);
    hf_sessions_set_backend(side->sessions, NULL);
    hf_external_fabric_free(&side->fabric);
    side->leaving = false;
}

void hf_external_side_close(struct hf_external_side *side)
{
    if (side->fabric != NULL)
        leave_fabric(side);
    hf_external_free(&side->alone);
    if (side->counted)
        hf_external_counters_fini(&side->counters);
    side->counted = false;
    if (side->password != NULL)
        explicit_bzero(side->password, strlen(side->password));
    free(side->password);
    free(side->url);
    side->url = side->password = NULL;
}

/* ---- switching ---- */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool is_another_store(const struct hf_external_side *side,
                             const struct hf_agent_external *config)
{
    return side->url != NULL && config->url != NULL &&
           !(same_text(side->url, config->url) && same_text(side->password, config->password));
}

/* NULL: it can be done; else why not, and what to do. */
static const char *obstacle(const struct hf_external_side *side,
                            const struct hf_agent_config *config)
{
    enum hf_agent_mode from = (enum hf_agent_mode)side->mode;
    if (config->mode == from && (from == HF_AGENT_LOCAL || from == HF_AGENT_REPLICATED))
        return NULL;
    if (is_another_store(side, &config->external))
        return "another external store, or password, needs a restart of one agent after the other";
    if (side->peering == NULL && config->mode == from)
        return side->behind == config->external.behind
                   ? NULL
                   : "write: of an agent without peers is changed by a restart";
    if (side->peering == NULL && from == HF_AGENT_LOCAL)
        return config->replication.on ? "there are no peers" : NULL;
    if (side->peering == NULL)
        return "an agent that has its store to itself leaves it, or gets peers, by a restart";
    if (!config->replication.on)
        return "peers are left by a restart, which hands the sessions over to them";
    if (from == HF_AGENT_EXTERNAL && config->mode == HF_AGENT_REPLICATED)
        return "sessions that only the external store has would be lost: reload with mode: "
               "transition, and with mode: replicated when the longest session is over";
    return NULL;
}

bool hf_external_side_switch(struct hf_external_side *side, const struct hf_agent_config *config,
                             char told[HF_EXTERNAL_SIDE_TEXT_MAX])
{
    enum hf_agent_mode from = (enum hf_agent_mode)side->mode;
    const char *why = obstacle(side, config);
    if (why != NULL) {
        snprintf(told, HF_EXTERNAL_SIDE_TEXT_MAX, "mode stays %s: %s", hf_agent_mode_word(from),
                 why);
        return false;
    }
    if (side->fabric != NULL && config->external.url != NULL) {
        side->leaving = false;
        hf_sessions_set_backend(side->sessions, hf_external_fabric_backend(side->fabric));
        hf_outbox_set_writing(hf_external_fabric_outbox(side->fabric), writing_of(config));
    } else if (side->fabric != NULL) {
        side->leaving = true;
        hf_sessions_set_backend(side->sessions, NULL);
    } else if (side->alone == NULL && config->external.url != NULL) {
        int result = hf_external_side_open(side, config);
        if (result == 0 && side->alone != NULL)
            hf_external_bring(side->alone, side->sessions);
        if (result < 0) {
            snprintf(told, HF_EXTERNAL_SIDE_TEXT_MAX,
                     "mode stays %s: the external store cannot be used: %s",
                     hf_agent_mode_word(from), strerror(-result));
            return false;
        }
    }
    side->mode = config->mode;
    side->behind = config->external.behind;
    if (config->mode != from)
        hf_info("mode: %s, before %s", hf_agent_mode_word(config->mode), hf_agent_mode_word(from));
    return true;
}

/* ---- looking ---- */

void hf_external_side_publish(struct hf_external_side *side)
{
    if (side->leaving && hf_external_fabric_is_idle(side->fabric))
        leave_fabric(side);
    if (side->fabric != NULL)
        hf_external_counters_publish(&side->counters,
                                     hf_outbox_counts(hf_external_fabric_outbox(side->fabric)),
                                     hf_external_fabric_remote(side->fabric));
    else if (side->alone != NULL)
        hf_external_counters_publish(&side->counters, hf_external_counts(side->alone),
                                     hf_external_remote(side->alone));
}

void hf_external_side_set_memory(struct hf_external_side *side,
                                 const struct hf_agent_config *config)
{
    if (side->fabric != NULL)
        hf_outbox_set_memory(hf_external_fabric_outbox(side->fabric), config->memory,
                             config->when_full);
    else if (side->alone != NULL)
        (void)hf_external_set_memory(side->alone, config->memory);
    else
        (void)hf_store_limit(side->store, config->memory, config->when_full);
}

void hf_external_side_leave(struct hf_external_side *side)
{
    if (side->fabric != NULL)
        hf_outbox_leave(hf_external_fabric_outbox(side->fabric));
}

uint32_t hf_external_side_dirty(const struct hf_external_side *side)
{
    if (side->fabric != NULL)
        return hf_outbox_counts(hf_external_fabric_outbox(side->fabric))->dirty;
    return side->alone != NULL ? hf_external_counts(side->alone)->dirty : 0;
}

const char *hf_external_side_trouble(const struct hf_external_side *side)
{
    if (side->fabric != NULL)
        return hf_remote_trouble(hf_external_fabric_remote(side->fabric));
    return side->alone != NULL ? hf_remote_trouble(hf_external_remote(side->alone))
                               : "there is none";
}

enum hf_agent_mode hf_external_side_mode(const struct hf_external_side *side)
{
    return (enum hf_agent_mode)side->mode;
}

const struct hf_external_counters *hf_external_side_counters(const struct hf_external_side *side)
{
    return side->counted ? &side->counters : NULL;
}
