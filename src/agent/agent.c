#include "agent/agent.h"
#include "agent/external/external_side.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum {
    AGENT_MAGIC = 0x4147454e,
    DOORS = 2,
    DESCRIPTORS_RESERVED = 128, /* listeners, admin, log, loop */
    HASH_KEY_SIZE = 16,
};

struct hf_agent {
    uint32_t magic;
    struct hf_loop *loop;                 /* borrowed */
    const struct hf_agent_config *config; /* borrowed: in force */
    const struct hf_agent_config *first;  /* borrowed: whose patterns are in force */
    struct hf_store *store;               /* owned, as all below */
    struct hf_peering *_Atomic peering;   /* NULL: another mode */
    const struct hf_agent_config *fleet;  /* borrowed: whose peers they are; NULL likewise */
    struct hf_external_side external;
    struct hf_sessions *sessions;
    struct hf_door *redis, *memcached; /* NULL = not served */
    struct hf_timer tick, drain;
    struct hf_counters counters;
    uint8_t hash_key[HASH_KEY_SIZE];
    unsigned doors_open;
    bool stopping, cut, ending;
    bool waiting; /* at the end: for the external store */
    hf_agent_ended_fn ended;
    void *user;
};

__attribute__((format(printf, 3, 4))) static int fail(struct hf_agent_error *error, int cause,
                                                      const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    return cause;
}

/* ---- time ---- */

static void set_tick(struct hf_agent *agent, uint64_t delay_ms)
{
    hf_timer_set(hf_loop_timers(agent->loop), &agent->tick, hf_loop_now_ms(agent->loop) + delay_ms);
}

static void end(void *user);

static void tick(struct hf_timer *timer)
{
    struct hf_agent *agent = hf_container_of(timer, struct hf_agent, tick);
    uint64_t now_ms = hf_loop_now_ms(agent->loop);
    hf_sessions_set_time(agent->sessions, now_ms, hf_loop_wall_ms(agent->loop));
    if (agent->peering != NULL)
        hf_peering_publish(agent->peering);
    bool more = hf_store_tick(agent->store, now_ms, HF_STORE_TICK_BUDGET);
    hf_counters_publish(&agent->counters, agent->sessions, agent->redis, agent->memcached);
    hf_external_side_publish(&agent->external);
    set_tick(agent, more ? HF_AGENT_BUSY_TICK_MS : HF_AGENT_TICK_MS);
    if (agent->waiting && hf_external_side_dirty(&agent->external) == 0)
        end(agent);
}

/* ---- beginning ---- */

static int make_external(struct hf_agent *agent, struct hf_agent_error *error)
{
    agent->external = (struct hf_external_side){.loop = agent->loop,
                                                .store = agent->store,
                                                .hash_key = agent->hash_key,
                                                .tomb_ms = HF_AGENT_TOMB_MS,
                                                .sessions = agent->sessions,
                                                .peering = agent->peering};
    int result = hf_external_side_open(&agent->external, agent->config);
    return result < 0 ? fail(error, result, "%s: the external store cannot be used: %s",
                             agent->config->process->file, strerror(-result))
                      : 0;
}

static int make_peering(struct hf_agent *agent, const struct hf_agent_config *config,
                        struct hf_agent_error *error)
{
    const struct hf_peering_settings settings = {config, agent->store, agent->hash_key};
    struct hf_peering *peering = NULL;
    char told[HF_PEERING_TEXT_MAX];
    if (!config->replication.on)
        return 0;
    int result = hf_peering_new(agent->loop, &settings, &peering, told);
    agent->peering = peering;
    agent->fleet = config;
    return result < 0 ? fail(error, result, "%s:%u: %s", config->process->file,
                             config->replication.line, told)
                      : 0;
}

static int open_peering(struct hf_agent *agent, const struct hf_agent_config *config,
                        struct hf_agent_error *error)
{
    char told[HF_PEERING_TEXT_MAX];
    if (agent->peering == NULL)
        return 0;
    int result = hf_peering_open(agent->peering, agent->sessions, told);
    return result < 0 ? fail(error, result, "%s:%u: %s", config->process->file,
                             config->replication.line, told)
                      : 0;
}

static void dropped(void *user, enum hf_store_drop why, struct hf_slice id,
                    enum hf_record_state state, struct hf_version version)
{
    struct hf_agent *agent = user;
    if (agent->peering != NULL)
        hf_peering_dropped(agent->peering, why, id, state, version);
}

/* The file may name another mode than the one that runs until a restart. */
static void allow_flush(struct hf_agent *agent)
{
    bool local = hf_external_side_mode(&agent->external) == HF_AGENT_LOCAL;
    hf_sessions_allow_flush(agent->sessions, local && agent->config->flush_allowed);
}

static int make_store(struct hf_agent *agent, struct hf_agent_error *error)
{
    const struct hf_agent_config *config = agent->config;
    struct hf_store_options options = {.memory = config->memory,
                                       .full = config->when_full,
                                       .now_ms = hf_loop_now_ms(agent->loop),
                                       .grace_ms = HF_FABRIC_GRACE_MS, /* of copies */
                                       .dropped = dropped,
                                       .user = agent};
    hf_random_bytes(agent->hash_key, sizeof(agent->hash_key));
    memcpy(options.hash_key, agent->hash_key, sizeof(options.hash_key));
    int result = hf_store_new(&options, &agent->store);
    if (result < 0)
        return fail(error, result, "the session store cannot be made: %s", strerror(-result));
    result = make_peering(agent, config, error);
    if (result < 0)
        return result;
    struct hf_sessions_backend backend;
    if (agent->peering != NULL)
        backend = hf_peering_backend(agent->peering);
    struct hf_sessions_settings settings = {.store = agent->store,
                                            .patterns = config->patterns,
                                            .hash_key = agent->hash_key,
                                            .backend = agent->peering != NULL ? &backend : NULL,
                                            .memory = config->memory,
                                            .when_full = config->when_full,
                                            .tomb_ms = HF_AGENT_TOMB_MS,
                                            .epoch_floor = 1,
                                            .lock_lease_ms =
                                                agent->peering != NULL ? HF_AGENT_LOCK_MS : 0};
    result = hf_sessions_new(&settings, &agent->sessions);
    if (result < 0)
        return fail(error, result, "out of memory");
    hf_sessions_set_time(agent->sessions, hf_loop_now_ms(agent->loop),
                         hf_loop_wall_ms(agent->loop));
    result = make_external(agent, error);
    if (result == 0)
        allow_flush(agent);
    return result;
}

/* Each door's share of the descriptors that this process may open. */
static unsigned connections_max(void)
{
    struct rlimit limit;
    const rlim_t needed = DOORS * HF_AGENT_CONNECTIONS_MAX + DESCRIPTORS_RESERVED;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return HF_AGENT_CONNECTIONS_MAX;
    if (limit.rlim_cur < needed && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = needed < limit.rlim_max ? needed : limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur >= needed)
        return HF_AGENT_CONNECTIONS_MAX;
    rlim_t reserved =
        limit.rlim_cur > 2 * DESCRIPTORS_RESERVED ? DESCRIPTORS_RESERVED : limit.rlim_cur / 2;
    unsigned share = (unsigned)((limit.rlim_cur - reserved) / DOORS);
    hf_warning("this process may open %llu descriptors: accepting %u connections for each front "
               "end; raise the limit (LimitNOFILE= or ulimit -n) for %u",
               (unsigned long long)limit.rlim_cur, share, HF_AGENT_CONNECTIONS_MAX);
    return share;
}

struct doorway { /* what one key of the configuration asks for */
    const char *key;
    unsigned line;
    const struct hf_address *bind;
    const struct hf_front *front;
};

static int open_door(struct hf_agent *agent, const struct doorway *doorway, unsigned share,
                     struct hf_door **ret_door, struct hf_agent_error *error)
{
    const struct hf_agent_config *config = agent->config;
    if (doorway->bind->size == 0)
        return 0;
    if (doorway->front == NULL)
        return fail(error, -ENOTSUP, "%s:%u: not supported yet: %s of agent: leave it out",
                    config->process->file, doorway->line, doorway->key);
    struct hf_door_settings settings = {.front = doorway->front,
                                        .sessions = agent->sessions,
                                        .bind = *doorway->bind,
                                        .password = hf_slice_text(config->password),
                                        .connections_max = share,
                                        .shared = agent->peering != NULL};
    int result = hf_door_new(agent->loop, &settings, ret_door);
    if (result == 0)
        return 0;
    char text[HF_ADDRESS_TEXT_MAX];
    hf_address_format(doorway->bind, text);
    return fail(error, result, "%s:%u: %s: cannot listen on %s: %s%s", config->process->file,
                doorway->line, doorway->key, text, strerror(-result),
                hf_listen_advice(doorway->bind, result));
}

static int open_doors(struct hf_agent *agent, const struct hf_agent_fronts *fronts,
                      struct hf_agent_error *error)
{
    const struct hf_agent_config *config = agent->config;
    const struct doorway redis = {"redis", config->redis_line, &config->redis, fronts->redis};
    const struct doorway memcached = {"memcached", config->memcached_line, &config->memcached,
                                      fronts->memcached};
    unsigned share = connections_max();
    int result = open_door(agent, &redis, share, &agent->redis, error);
    return result == 0 ? open_door(agent, &memcached, share, &agent->memcached, error) : result;
}

int hf_agent_new(struct hf_loop *loop, const struct hf_agent_config *config,
                 const struct hf_agent_fronts *fronts, struct hf_agent **ret_agent,
                 struct hf_agent_error *error)
{
    struct hf_agent *agent = calloc(1, sizeof(*agent));
    if (agent == NULL)
        return fail(error, -ENOMEM, "out of memory");
    agent->magic = AGENT_MAGIC;
    agent->loop = loop;
    agent->config = agent->first = config;
    agent->tick.expired = tick;
    hf_counters_init(&agent->counters);
    int result = make_store(agent, error);
    if (result == 0)
        result = open_doors(agent, fronts, error);
    if (result == 0)
        result = open_peering(agent, config, error);
    if (result < 0) {
        hf_agent_free(&agent);
        return result;
    }
    set_tick(agent, 0);
    *ret_agent = agent;
    return 0;
}

/* ---- reload ---- */

static void free_peering(struct hf_agent *agent)
{
    struct hf_peering *peering = agent->peering;
    agent->peering = NULL;
    agent->fleet = NULL;
    hf_peering_free(&peering);
}

/* What a local agent holds becomes known to its peers as what one that comes back holds. */
static void join(struct hf_agent *agent, const struct hf_agent_config *config)
{
    struct hf_agent_error error;
    int result = make_peering(agent, config, &error);
    if (result == 0) {
        struct hf_sessions_backend backend = hf_peering_backend(agent->peering);
        hf_sessions_allow_flush(agent->sessions, false);
        hf_sessions_set_first(agent->sessions, &backend);
        result = open_peering(agent, config, &error);
    }
    if (result < 0) {
        hf_sessions_set_first(agent->sessions, NULL);
        free_peering(agent);
        hf_error("%s", error.text);
        return;
    }
    agent->external.peering = agent->peering;
    if (agent->redis != NULL)
        hf_door_set_shared(agent->redis, true);
    if (agent->memcached != NULL)
        hf_door_set_shared(agent->memcached, true);
}

static void switch_mode(struct hf_agent *agent, const struct hf_agent_config *config)
{
    if (hf_external_side_mode(&agent->external) == HF_AGENT_LOCAL && config->replication.on)
        join(agent, config);
    char told[HF_EXTERNAL_SIDE_TEXT_MAX];
    if (!hf_external_side_switch(&agent->external, config, told))
        hf_warning("%s: %s", config->process->file, told);
}

static void warn_of_rest(const struct hf_agent *agent, const struct hf_agent_config *config)
{
    const struct hf_agent_config *old = agent->config;
    const char *file = config->process->file;
    if (!hf_agent_config_same_patterns(agent->first, config))
        hf_warning("%s: session_keys and tombstones stay what they are until a restart: sessions "
                   "that are held would be lost by another division of keys",
                   file);
    if (!hf_address_equal(&old->redis, &config->redis) ||
        !hf_address_equal(&old->memcached, &config->memcached))
        hf_warning("%s: redis and memcached stay where they are until a restart", file);
    if (agent->fleet != NULL && !hf_agent_config_same_replication(agent->fleet, config))
        hf_warning("%s: peer, peer_key_file, peers, backups, acknowledge and consistency stay "
                   "what they are until a restart; restart one agent after the other",
                   file);
    if (!hf_address_equal(&old->process->admin_bind, &config->process->admin_bind))
        hf_warning("%s: admin.bind stays what it is until a restart", file);
}

int hf_agent_reload(struct hf_agent *agent, const struct hf_agent_config *config,
                    struct hf_agent_error *error)
{
    REQUIRE(HF_MAGIC_OK(agent, AGENT_MAGIC));
    int result = hf_sessions_set_limit(agent->sessions, config->memory, config->when_full);
    if (result < 0)
        return fail(error, result, "memory cannot be changed: %s", strerror(-result));
    switch_mode(agent, config);
    hf_external_side_set_memory(&agent->external, config);
    warn_of_rest(agent, config);
    agent->config = config;
    allow_flush(agent);
    if (agent->redis != NULL)
        hf_door_set_password(agent->redis, hf_slice_text(config->password));
    if (agent->memcached != NULL)
        hf_door_set_password(agent->memcached, hf_slice_text(config->password));
    return 0;
}

/* ---- ending ---- */

static void end(void *user)
{
    struct hf_agent *agent = user;
    bool waits = agent->waiting;
    hf_external_side_leave(&agent->external);
    bool clean = hf_external_side_dirty(&agent->external) == 0;
    agent->waiting = !clean && !agent->cut;
    if (agent->waiting && !waits)
        hf_timer_set(hf_loop_timers(agent->loop), &agent->drain,
                     hf_loop_now_ms(agent->loop) + HF_AGENT_DRAIN_MS);
    if (agent->waiting)
        return;
    if (!clean)
        hf_error("%u keys end here without having reached the external store: %s",
                 hf_external_side_dirty(&agent->external),
                 hf_external_side_trouble(&agent->external));
    hf_timer_cancel(hf_loop_timers(agent->loop), &agent->drain);
    hf_timer_cancel(hf_loop_timers(agent->loop), &agent->tick);
    if (agent->peering != NULL)
        hf_peering_close(agent->peering);
    agent->ending = true;
    agent->ended(agent->user);
}

/* Clients are gone: now the sessions go. */
static void hand_over(struct hf_agent *agent)
{
    if (agent->peering == NULL || agent->cut)
        end(agent);
    else
        hf_peering_leave(agent->peering, end, agent);
}

static void door_emptied(void *user)
{
    struct hf_agent *agent = user;
    REQUIRE(agent->doors_open > 0);
    if (--agent->doors_open == 0)
        hand_over(agent);
}

static void cut(struct hf_agent *agent)
{
    if (agent->redis != NULL)
        hf_door_cut(agent->redis);
    if (agent->memcached != NULL)
        hf_door_cut(agent->memcached);
}

static void drain_expired(struct hf_timer *timer)
{
    struct hf_agent *agent = hf_container_of(timer, struct hf_agent, drain);
    if (!agent->waiting) {
        cut(agent);
        return;
    }
    agent->cut = true;
    end(agent);
}

void hf_agent_stop(struct hf_agent *agent, hf_agent_ended_fn ended, void *user)
{
    REQUIRE(HF_MAGIC_OK(agent, AGENT_MAGIC));
    if (agent->stopping) {
        agent->cut = true;
        if (agent->doors_open > 0)
            cut(agent);
        else if (!agent->ending)
            end(agent);
        return;
    }
    uint64_t now_ms = hf_loop_now_ms(agent->loop);
    agent->stopping = true;
    agent->ended = ended;
    agent->user = user;
    agent->drain.expired = drain_expired;
    hf_timer_set(hf_loop_timers(agent->loop), &agent->drain, now_ms + HF_AGENT_DRAIN_MS);
    hf_sessions_set_time(agent->sessions, now_ms, hf_loop_wall_ms(agent->loop));
    agent->doors_open = (agent->redis != NULL) + (agent->memcached != NULL);
    if (agent->redis != NULL)
        hf_door_stop(agent->redis, door_emptied, agent);
    if (agent->memcached != NULL)
        hf_door_stop(agent->memcached, door_emptied, agent);
}

void hf_agent_free(struct hf_agent **agent)
{
    struct hf_agent *gone = *agent;
    *agent = NULL;
    if (gone == NULL)
        return;
    REQUIRE(HF_MAGIC_OK(gone, AGENT_MAGIC));
    hf_timer_cancel(hf_loop_timers(gone->loop), &gone->tick);
    hf_door_free(&gone->redis);
    hf_door_free(&gone->memcached);
    hf_external_side_close(&gone->external);
    free_peering(gone); /* ends what is under way */
    hf_sessions_free(&gone->sessions);
    hf_store_free(&gone->store);
    hf_counters_fini(&gone->counters);
    gone->magic = 0;
    free(gone);
}

const struct hf_counters *hf_agent_counters(const struct hf_agent *agent)
{
    return &agent->counters;
}

const struct hf_external_counters *hf_agent_external_counters(const struct hf_agent *agent)
{
    return hf_external_side_counters(&agent->external);
}

enum hf_agent_mode hf_agent_mode(const struct hf_agent *agent)
{
    return hf_external_side_mode(&agent->external);
}

const char *hf_agent_external_url(const struct hf_agent *agent)
{
    return agent->external.url;
}

const struct hf_agent_config *hf_agent_fleet(const struct hf_agent *agent)
{
    return agent->fleet;
}

const struct hf_peering *hf_agent_peering(const struct hf_agent *agent)
{
    return agent->peering;
}

const struct hf_address *hf_agent_address(const struct hf_agent *agent, enum hf_agent_front front)
{
    const struct hf_door *door = front == HF_AGENT_REDIS ? agent->redis : agent->memcached;
    return door ? hf_door_address(door) : NULL;
}
