#include "agent/agent.h"
#include "agent/peering.h"
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
    struct hf_peering *peering;           /* NULL: another mode */
    struct hf_external *external;         /* likewise */
    struct hf_external_counters stored;   /* of it */
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
    if (agent->external != NULL)
        hf_external_counters_publish(&agent->stored, agent->external);
    set_tick(agent, more ? HF_AGENT_BUSY_TICK_MS : HF_AGENT_TICK_MS);
    if (agent->waiting && hf_external_is_clean(agent->external))
        end(agent);
}

/* ---- beginning ---- */

/* What is kept in an external store is evicted as its copies are no longer used. */
static enum hf_store_full when_full(const struct hf_agent_config *config)
{
    return config->external.url != NULL ? HF_STORE_EVICT : config->when_full;
}

static int make_external(struct hf_agent *agent, struct hf_agent_error *error)
{
    const struct hf_agent_external *config = &agent->config->external;
    if (config->url == NULL)
        return 0;
    struct hf_external_settings settings = {
        .loop = agent->loop,
        .store = agent->store,
        .hash_key = agent->hash_key,
        .memory = agent->config->memory,
        .tomb_ms = HF_AGENT_TOMB_MS,
        .behind = config->behind,
        .remote = {.kind = config->kind,
                   .addresses = config->addresses,
                   .address_count = config->address_count,
                   .database = config->database,
                   .user = config->user,
                   .master = config->master,
                   .password = hf_slice_text(config->password)}};
    int result = hf_external_new(&settings, &agent->external);
    if (result < 0)
        return fail(error, result, "%s: the external store cannot be used: %s",
                    agent->config->process->file, strerror(-result));
    hf_external_counters_init(&agent->stored);
    return 0;
}

static int make_peering(struct hf_agent *agent, struct hf_agent_error *error)
{
    const struct hf_agent_config *config = agent->config;
    const struct hf_peering_settings settings = {config, agent->store, agent->hash_key};
    char told[HF_PEERING_TEXT_MAX];
    if (!config->replication.on)
        return 0;
    int result = hf_peering_new(agent->loop, &settings, &agent->peering, told);
    return result < 0 ? fail(error, result, "%s:%u: %s", config->process->file,
                             config->replication.line, told)
                      : 0;
}

static int open_peering(struct hf_agent *agent, struct hf_agent_error *error)
{
    const struct hf_agent_config *config = agent->config;
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
    bool local = agent->peering == NULL && agent->external == NULL;
    hf_sessions_allow_flush(agent->sessions, local && agent->config->flush_allowed);
}

static int make_store(struct hf_agent *agent, struct hf_agent_error *error)
{
    const struct hf_agent_config *config = agent->config;
    struct hf_store_options options = {.memory = config->memory,
                                       .full = when_full(config),
                                       .now_ms = hf_loop_now_ms(agent->loop),
                                       .dropped = dropped,
                                       .user = agent};
    if (config->replication.on)
        options.grace_ms = HF_FABRIC_GRACE_MS;
    hf_random_bytes(agent->hash_key, sizeof(agent->hash_key));
    memcpy(options.hash_key, agent->hash_key, sizeof(options.hash_key));
    int result = hf_store_new(&options, &agent->store);
    if (result < 0)
        return fail(error, result, "the session store cannot be made: %s", strerror(-result));
    result = make_peering(agent, error);
    if (result == 0)
        result = make_external(agent, error);
    if (result < 0)
        return result;
    struct hf_sessions_backend backend;
    if (agent->peering != NULL)
        backend = hf_peering_backend(agent->peering);
    else if (agent->external != NULL)
        backend = *hf_external_backend(agent->external);
    bool local = agent->peering == NULL && agent->external == NULL;
    struct hf_sessions_settings settings = {.store = agent->store,
                                            .patterns = config->patterns,
                                            .hash_key = agent->hash_key,
                                            .backend = local ? NULL : &backend,
                                            .memory = config->memory,
                                            .when_full = when_full(config),
                                            .tomb_ms = HF_AGENT_TOMB_MS,
                                            .epoch_floor = 1};
    result = hf_sessions_new(&settings, &agent->sessions);
    if (result < 0)
        return fail(error, result, "out of memory");
    hf_sessions_set_time(agent->sessions, hf_loop_now_ms(agent->loop),
                         hf_loop_wall_ms(agent->loop));
    allow_flush(agent);
    return 0;
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
                result == -EADDRINUSE ? "; stop the other program or choose another port" : "");
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
        result = open_peering(agent, error);
    if (result < 0) {
        hf_agent_free(&agent);
        return result;
    }
    set_tick(agent, 0);
    *ret_agent = agent;
    return 0;
}

/* ---- reload ---- */

static void warn_of_mode(const struct hf_agent *agent, const struct hf_agent_config *config)
{
    if (!hf_agent_config_same_external(agent->first, config))
        hf_warning("%s: mode and external stay what they are until a restart",
                   config->process->file);
}

static void warn_of_rest(const struct hf_agent *agent, const struct hf_agent_config *config)
{
    const struct hf_agent_config *old = agent->config;
    const char *file = config->process->file;
    warn_of_mode(agent, config);
    if (!hf_agent_config_same_patterns(agent->first, config))
        hf_warning("%s: session_keys and tombstones stay what they are until a restart: sessions "
                   "that are held would be lost by another division of keys",
                   file);
    if (!hf_address_equal(&old->redis, &config->redis) ||
        !hf_address_equal(&old->memcached, &config->memcached))
        hf_warning("%s: redis and memcached stay where they are until a restart", file);
    if (!hf_agent_config_same_replication(agent->first, config))
        hf_warning(
            "%s: mode, peer, peer_key_file, peers, backups, acknowledge and consistency stay "
            "what they are until a restart; restart one agent after the other",
            file);
    if (!hf_address_equal(&old->process->admin_bind, &config->process->admin_bind))
        hf_warning("%s: admin.bind stays what it is until a restart", file);
}

int hf_agent_reload(struct hf_agent *agent, const struct hf_agent_config *config,
                    struct hf_agent_error *error)
{
    REQUIRE(HF_MAGIC_OK(agent, AGENT_MAGIC));
    enum hf_store_full full = agent->external != NULL ? HF_STORE_EVICT : config->when_full;
    int result = hf_sessions_set_limit(agent->sessions, config->memory, full);
    if (result == 0 && agent->external != NULL)
        result = hf_external_set_memory(agent->external, config->memory);
    if (result < 0)
        return fail(error, result, "memory cannot be changed: %s", strerror(-result));
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
    bool clean = agent->external == NULL || hf_external_is_clean(agent->external);
    agent->waiting = !clean && !agent->cut;
    if (agent->waiting)
        return;
    if (!clean)
        hf_error("%u keys end here without having reached the external store: %s",
                 hf_external_counts(agent->external)->dirty,
                 hf_remote_trouble(hf_external_remote(agent->external)));
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
    hf_peering_free(&gone->peering); /* ends what is under way */
    if (gone->external != NULL)
        hf_external_counters_fini(&gone->stored);
    hf_external_free(&gone->external);
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
    return agent->external != NULL ? &agent->stored : NULL;
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
