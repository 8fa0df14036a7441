#include "sim/fleet.h"

#include "base/assert.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* As a server is before anything happened to it. Relaxed: one thread writes and reads. */
static void reset(struct hf_server *server)
{
    atomic_store_explicit(&server->admin, HF_ADMIN_READY, memory_order_relaxed);
    atomic_store_explicit(&server->health, HF_HEALTH_UP, memory_order_relaxed);
    atomic_store_explicit(&server->ejected_until_ms, 0, memory_order_relaxed);
    atomic_store_explicit(&server->probing, 0, memory_order_relaxed);
    atomic_store_explicit(&server->up_since_ms, 0, memory_order_relaxed);
    atomic_store_explicit(&server->active, 0, memory_order_relaxed);
    atomic_store_explicit(&server->ewma_us, 0, memory_order_relaxed);
    atomic_store_explicit(&server->ewma_at_us, 0, memory_order_relaxed);
    atomic_store_explicit(&server->passive.window, 0, memory_order_relaxed);
}

static void add_member(struct hf_fleet *fleet, struct hf_server *server,
                       const struct hf_pool_server *configured)
{
    REQUIRE(fleet->member_count < fleet->member_room);
    struct hf_fleet_member *member = &fleet->members[fleet->member_count++];
    *member = (struct hf_fleet_member){.server = server,
                                       .configured = *configured,
                                       .present = true,
                                       .judged_at_ms = HF_FLEET_NEVER};
    member->configured.server = server;
    reset(server);
}

static void drop_snapshot(struct hf_fleet *fleet)
{
    if (fleet->config == NULL)
        return;
    for (unsigned i = 0; i < HF_AFFINITY_VERDICT_COUNT; i++)
        fleet->verdicts[i] += fleet->worker.verdicts[i];
    hf_affinity_worker_fini(&fleet->worker);
    struct hf_pool *pool = fleet->config->pools;
    hf_pool_unindex(pool);
    free(pool->servers); /* the rest of the pool is the original's */
    free(pool);
    fleet->config->pools = NULL;
    fleet->config->pool_count = 0;
    hf_config_unref(&fleet->config);
}

/* The original pool with the members that are present now. */
static int fill_pool(struct hf_fleet *fleet, struct hf_pool *pool)
{
    *pool = *fleet->original;
    pool->index = 0;
    pool->places = NULL;
    memset(pool->tables, 0, sizeof(pool->tables));
    pool->server_count = 0;
    pool->servers = calloc(fleet->member_count + 1, sizeof(*pool->servers));
    if (pool->servers == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < fleet->member_count; i++) {
        if (!fleet->members[i].present)
            continue;
        fleet->member_at[pool->server_count] = (uint16_t)i;
        pool->servers[pool->server_count++] = fleet->members[i].configured;
    }
    return hf_pool_index(pool);
}

static int make_snapshot(struct hf_fleet *fleet)
{
    struct hf_affinity_cipher cipher = fleet->worker.cipher;
    bool first = fleet->config == NULL;
    drop_snapshot(fleet);
    struct hf_pool *pool = calloc(1, sizeof(*pool));
    fleet->config = hf_config_new();
    if (pool == NULL || fleet->config == NULL) {
        free(pool);
        hf_config_unref(&fleet->config);
        return -ENOMEM;
    }
    fleet->config->pools = pool;
    fleet->config->pool_count = 1;
    memcpy(fleet->config->cookie_keys, fleet->keys->cookie_keys, sizeof(fleet->keys->cookie_keys));
    fleet->config->cookie_key_count = fleet->keys->cookie_key_count;
    int rc = fill_pool(fleet, pool);
    if (rc == 0)
        rc = hf_affinity_worker_init(&fleet->worker, fleet->config);
    hf_rng_seed(&fleet->worker.rng, fleet->seed + ++fleet->generation);
    if (!first)
        fleet->worker.cipher = cipher;
    return rc;
}

int hf_fleet_init(struct hf_fleet *fleet, const struct hf_config *config,
                  const struct hf_pool *pool, unsigned room, uint64_t seed)
{
    *fleet = (struct hf_fleet){.original = pool,
                               .keys = config,
                               .member_room = pool->server_count + room,
                               .seed = seed,
                               .next_judgement_ms = HF_FLEET_NEVER};
    REQUIRE(fleet->member_room <= HF_POOL_SERVERS_MAX);
    fleet->members = calloc(fleet->member_room + 1, sizeof(*fleet->members));
    if (fleet->members == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < pool->server_count; i++) {
        add_member(fleet, hf_server_ref(pool->servers[i].server), &pool->servers[i]);
        fleet->members[i].from_start = true;
    }
    int rc = make_snapshot(fleet);
    if (rc < 0)
        hf_fleet_fini(fleet);
    return rc;
}

void hf_fleet_fini(struct hf_fleet *fleet)
{
    drop_snapshot(fleet);
    for (unsigned i = 0; i < fleet->member_count; i++) {
        reset(fleet->members[i].server);
        hf_server_unref(&fleet->members[i].server);
    }
    free(fleet->members);
    fleet->members = NULL;
    fleet->member_count = 0;
}

const struct hf_pool *hf_fleet_pool(const struct hf_fleet *fleet)
{
    REQUIRE(fleet->config != NULL);
    return &fleet->config->pools[0];
}

uint16_t hf_fleet_member_of(const struct hf_fleet *fleet, uint64_t server_id)
{
    int index = hf_pool_find(hf_fleet_pool(fleet), server_id);
    if (index >= 0)
        return fleet->member_at[index];
    for (unsigned i = 0; i < fleet->member_count; i++) { /* no longer configured */
        if (fleet->members[i].server->id == server_id)
            return (uint16_t)i;
    }
    REQUIRE(!"a server that the fleet never had");
    return 0;
}

static struct hf_fleet_member *find(struct hf_fleet *fleet, const char *name)
{
    for (unsigned i = 0; i < fleet->member_count; i++) {
        if (strcmp(fleet->members[i].server->name, name) == 0)
            return &fleet->members[i];
    }
    return NULL;
}

static int add_servers(struct hf_fleet *fleet, unsigned count, uint32_t now_ms)
{
    for (unsigned i = 0; i < count; i++) {
        char name[HF_NAME_MAX];
        snprintf(name, sizeof(name), HF_SCENARIO_NEW_NAME, ++fleet->added);
        struct hf_server *server = hf_server_acquire(fleet->original->name, name, 1);
        if (server == NULL)
            return -ENOMEM;
        add_member(fleet, server, &(struct hf_pool_server){.weight = 1});
        atomic_store_explicit(&server->up_since_ms, hf_fleet_monotonic_ms(now_ms),
                              memory_order_relaxed);
    }
    return make_snapshot(fleet);
}

static void judge_later(struct hf_fleet *fleet, struct hf_fleet_member *member, uint64_t at_ms)
{
    member->judged_at_ms = at_ms < HF_FLEET_NEVER ? (uint32_t)at_ms : HF_FLEET_NEVER;
    if (member->judged_at_ms < fleet->next_judgement_ms)
        fleet->next_judgement_ms = member->judged_at_ms;
}

static uint32_t crash(struct hf_fleet *fleet, struct hf_fleet_member *member, uint32_t now_ms)
{
    uint32_t died = member->sessions;
    uint64_t detection_ms = hf_config_detection_ms(fleet->original); /* 0 = no checks */
    if (member->dead)
        return 0;
    member->dead = true;
    member->life++;
    member->sessions = 0;
    judge_later(fleet, member, detection_ms > 0 ? now_ms + detection_ms : HF_FLEET_NEVER);
    return died;
}

static void recover(struct hf_fleet *fleet, struct hf_fleet_member *member, uint32_t now_ms)
{
    const struct hf_health_check *health = &fleet->original->health;
    if (!member->dead)
        return;
    member->dead = false;
    judge_later(fleet, member, now_ms + (uint64_t)health->interval_ms * health->rise);
}

static void set_admin(struct hf_fleet_member *member, enum hf_admin_state state)
{
    atomic_store_explicit(&member->server->admin, (uint8_t)state, memory_order_relaxed);
}

int64_t hf_fleet_apply(struct hf_fleet *fleet, const struct hf_scenario_event *event,
                       uint32_t now_ms)
{
    if (event->kind == HF_EVENT_ADD)
        return add_servers(fleet, event->value, now_ms);
    struct hf_fleet_member *member = find(fleet, event->server);
    if (member == NULL || !member->present)
        return 0;
    switch (event->kind) {
    case HF_EVENT_CRASH:
        return crash(fleet, member, now_ms);
    case HF_EVENT_RECOVER:
        recover(fleet, member, now_ms);
        return 0;
    case HF_EVENT_DRAIN:
        set_admin(member, HF_ADMIN_DRAIN);
        return 0;
    case HF_EVENT_MAINTENANCE:
        set_admin(member, HF_ADMIN_MAINTENANCE);
        return 0;
    case HF_EVENT_READY:
        set_admin(member, HF_ADMIN_READY);
        return 0;
    case HF_EVENT_REMOVE:
        member->present = member->from_start = false;
        return make_snapshot(fleet);
    case HF_EVENT_WEIGHT:
        member->configured.weight = event->value;
        return make_snapshot(fleet);
    case HF_EVENT_ADD:
    case HF_EVENT_KIND_COUNT:
        break;
    }
    REQUIRE(!"an event of the table");
    return 0;
}

void hf_fleet_remember(struct hf_fleet *fleet)
{
    for (unsigned i = 0; i < fleet->member_count; i++)
        fleet->members[i].life_before = fleet->members[i].life;
}

void hf_fleet_judge(struct hf_fleet *fleet, uint32_t now_ms)
{
    if (now_ms < fleet->next_judgement_ms)
        return;
    fleet->next_judgement_ms = HF_FLEET_NEVER;
    for (unsigned i = 0; i < fleet->member_count; i++) {
        struct hf_fleet_member *member = &fleet->members[i];
        if (member->judged_at_ms > now_ms) {
            judge_later(fleet, member, member->judged_at_ms);
            continue;
        }
        uint8_t health = member->dead ? HF_HEALTH_DOWN : HF_HEALTH_UP;
        atomic_store_explicit(&member->server->health, health, memory_order_relaxed);
        if (!member->dead)
            atomic_store_explicit(&member->server->up_since_ms, hf_fleet_monotonic_ms(now_ms),
                                  memory_order_relaxed);
        member->judged_at_ms = HF_FLEET_NEVER;
    }
}

uint64_t hf_fleet_table_bytes(const struct hf_fleet *fleet)
{
    const struct hf_pool *pool = hf_fleet_pool(fleet);
    uint64_t bytes = 0;
    for (enum hf_hash hash = 0; hash < HF_HASH_COUNT; hash++)
        bytes += pool->tables[hash] ? hf_balance_table_size(pool->tables[hash]) : 0;
    return bytes;
}

static bool counts(const struct hf_fleet_member *member, uint32_t now_ms)
{
    return member->present && !member->dead && !member->configured.backup &&
           member->configured.weight > 0 &&
           hf_server_accepts(member->server, hf_fleet_monotonic_ms(now_ms));
}

/* Sessions and weight of those that count. */
static void sum(const struct hf_fleet *fleet, uint32_t now_ms, uint64_t *sessions, uint64_t *weight)
{
    *sessions = *weight = 0;
    for (unsigned i = 0; i < fleet->member_count; i++) {
        const struct hf_fleet_member *member = &fleet->members[i];
        bool is_one = counts(member, now_ms);
        *sessions += is_one ? member->sessions : 0;
        *weight += is_one ? member->configured.weight : 0;
    }
}

static double share_of(uint64_t mine, uint32_t weight, uint64_t all, uint64_t weights)
{
    return all > 0 ? (double)mine * (double)weights / ((double)all * weight) : 0;
}

double hf_fleet_share(const struct hf_fleet *fleet, unsigned member, uint32_t now_ms)
{
    uint64_t sessions, weight;
    REQUIRE(member < fleet->member_count);
    const struct hf_fleet_member *one = &fleet->members[member];
    if (!counts(one, now_ms))
        return -1;
    sum(fleet, now_ms, &sessions, &weight);
    return share_of(one->sessions, one->configured.weight, sessions, weight);
}

struct hf_fleet_load hf_fleet_measure(const struct hf_fleet *fleet, uint32_t now_ms)
{
    struct hf_fleet_load load = {0};
    uint64_t sessions, weight;
    bool first = true;
    sum(fleet, now_ms, &sessions, &weight);
    for (unsigned i = 0; i < fleet->member_count; i++) {
        const struct hf_fleet_member *member = &fleet->members[i];
        load.sessions += member->sessions;
        if (!counts(member, now_ms))
            continue;
        double share = share_of(member->sessions, member->configured.weight, sessions, weight);
        load.max = share > load.max ? share : load.max;
        load.min = first || share < load.min ? share : load.min;
        first = false;
    }
    return load;
}

static bool served_throughout(const struct hf_fleet_member *member)
{
    return member->from_start && member->life == 0 && member->configured.weight > 0 &&
           !member->configured.backup;
}

double hf_fleet_requests_max(const struct hf_fleet *fleet)
{
    uint64_t requests = 0, weight = 0;
    double max = 0;
    for (unsigned i = 0; i < fleet->member_count; i++) {
        const struct hf_fleet_member *member = &fleet->members[i];
        bool is_one = served_throughout(member);
        requests += is_one ? member->requests : 0;
        weight += is_one ? member->configured.weight : 0;
    }
    for (unsigned i = 0; i < fleet->member_count; i++) {
        const struct hf_fleet_member *member = &fleet->members[i];
        if (!served_throughout(member))
            continue;
        double share = share_of(member->requests, member->configured.weight, requests, weight);
        max = share > max ? share : max;
    }
    return max;
}
