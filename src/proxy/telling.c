#include "proxy/telling.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/metrics.h"
#include "fabric/fabric.h"
#include "fabric/teller.h"
#include <errno.h>
#include <stdlib.h>

enum { TELLING_MAGIC = 0x544e4c47, BUFFERS_MAX = 1024, BUFFERS_KEPT = 4 };

#define COUNTS(ROW)                                                                                \
    ROW(DRAIN, "holdfast_agents_told_total", "what=\"drain\"",                                     \
        "What agents confirmed to have been told: to drain, to go on, of servers seen dead.")      \
    ROW(READY, "holdfast_agents_told_total", "what=\"ready\"", "")                                 \
    ROW(DEAD, "holdfast_agents_told_total", "what=\"dead\"", "")                                   \
    ROW(FAILED, "holdfast_agents_tell_failures_total", "",                                         \
        "Times an agent could not be told; each is tried again.")                                  \
    ROW(HELD_DOWN, "holdfast_sessions_confirmed_total", "answer=\"held\",cause=\"down\"",          \
        "What the agent of the server that a session moved to knew of it after its answer.")       \
    ROW(HELD_MAINTENANCE, "holdfast_sessions_confirmed_total",                                     \
        "answer=\"held\",cause=\"maintenance\"", "")                                               \
    ROW(HELD_GONE, "holdfast_sessions_confirmed_total", "answer=\"held\",cause=\"gone\"", "")      \
    ROW(NEW_DOWN, "holdfast_sessions_confirmed_total", "answer=\"new\",cause=\"down\"", "")        \
    ROW(NEW_MAINTENANCE, "holdfast_sessions_confirmed_total",                                      \
        "answer=\"new\",cause=\"maintenance\"", "")                                                \
    ROW(NEW_GONE, "holdfast_sessions_confirmed_total", "answer=\"new\",cause=\"gone\"", "")        \
    ROW(UNKNOWN_DOWN, "holdfast_sessions_confirmed_total", "answer=\"unknown\",cause=\"down\"",    \
        "")                                                                                        \
    ROW(UNKNOWN_MAINTENANCE, "holdfast_sessions_confirmed_total",                                  \
        "answer=\"unknown\",cause=\"maintenance\"", "")                                            \
    ROW(UNKNOWN_GONE, "holdfast_sessions_confirmed_total", "answer=\"unknown\",cause=\"gone\"", "")

enum count {
#define COUNT_ENUM(id, name, labels, help) COUNT_##id,
    COUNTS(COUNT_ENUM)
#undef COUNT_ENUM
        COUNT_COUNT
};

static const struct hf_metric metrics[COUNT_COUNT] = {
#define COUNT_ROW(id, name, labels, help) {name, labels, help, HF_METRIC_COUNTER},
    COUNTS(COUNT_ROW)
#undef COUNT_ROW
};

enum sight { SIGHT_READY, SIGHT_DRAINS, SIGHT_DEAD };

struct place {                  /* a server with an agent */
    const struct hf_pool *pool; /* borrowed from the snapshot, as the next */
    const struct hf_pool_server *server;
    unsigned listener; /* whose agent it is */
};

struct listener { /* an agent, which may stand beside several servers */
    struct hf_telling *telling;
    struct hf_teller *teller; /* owned */
    struct hf_address address;
    char name[HF_NAME_MAX]; /* of a server beside it */
    bool complained;        /* since it was told last */
};

struct hf_telling {
    uint32_t magic;
    struct hf_loop *loop;     /* borrowed */
    struct hf_config *config; /* counted; NULL before the first apply */
    struct hf_buffer_pool buffers;
    struct hf_timer timer;
    struct place *places; /* owned */
    unsigned place_count;
    struct listener **listeners; /* owned, as each */
    unsigned listener_count;
    uint8_t sights[HF_SERVERS_MAX]; /* enum sight as of the last look, by slot */
    struct hf_metrics_source source;
    _Atomic uint64_t counts[COUNT_COUNT];
};

/* ---- what agents answered ---- */

static bool lists(const struct hf_teller_words *words, const unsigned char *name)
{
    size_t size = 1 + (size_t)name[0];
    for (size_t at = 0; at < words->size; at += 1 + (size_t)words->dead[at])
        if (words->dead[at] == name[0] && memcmp(words->dead + at, name, size) == 0)
            return true;
    return false;
}

static void note_dead(struct listener *listener, const struct hf_teller_words *words,
                      const struct hf_teller_words *before)
{
    for (size_t at = 0; at < words->size; at += 1 + (size_t)words->dead[at]) {
        const unsigned char *name = words->dead + at;
        if (lists(before, name))
            continue;
        hf_count(&listener->telling->counts[COUNT_DEAD]);
        hf_info("the agent of %s was told that %.*s looks dead", listener->name, (int)name[0],
                (const char *)name + 1);
    }
}

static void told(void *user, const struct hf_teller_words *words,
                 const struct hf_teller_words *before)
{
    struct listener *listener = user;
    listener->complained = false;
    if (words->drains != before->drains) {
        hf_count(&listener->telling->counts[words->drains ? COUNT_DRAIN : COUNT_READY]);
        hf_info("the agent of %s was told %s", listener->name,
                words->drains ? "to drain: its sessions go to other agents"
                              : "that its server takes clients again");
    }
    note_dead(listener, words, before);
}

/* An agent that ends does so before its server is seen to: only what stays is worth a warning. */
static void failed(void *user, const char *why, bool refused)
{
    struct listener *listener = user;
    char address[HF_ADDRESS_TEXT_MAX];
    hf_count(&listener->telling->counts[COUNT_FAILED]);
    if (listener->complained)
        return;
    listener->complained = true;
    hf_address_format(&listener->address, address);
    hf_log(
        refused ? HF_LOG_WARNING : HF_LOG_INFO,
        "the agent of %s (%s) cannot be told of drains and deaths: %s; trying again until it can%s",
        listener->name, address, why,
        refused ? "; copy its peer_key_file to agents.key in state_dir, and reload" : "");
}

static void known(void *user, uint8_t tag, uint8_t knowledge)
{
    static const enum count firsts[HF_FABRIC_KNOWLEDGES] = {
        [HF_FABRIC_KNOWS_NOTHING] = COUNT_UNKNOWN_DOWN,
        [HF_FABRIC_KNOWS_OLD] = COUNT_HELD_DOWN,
        [HF_FABRIC_KNOWS_NEW] = COUNT_NEW_DOWN,
    };
    struct listener *listener = user;
    enum count first = knowledge < HF_FABRIC_KNOWLEDGES ? firsts[knowledge] : COUNT_UNKNOWN_DOWN;
    hf_count(&listener->telling->counts[(unsigned)first + tag]);
}

/* ---- looking ---- */

static enum sight look_at(const struct hf_server *server, uint64_t now_ms)
{
    switch (hf_server_state(server, now_ms)) {
    case HF_SERVER_DRAIN:
    case HF_SERVER_MAINTENANCE:
        return SIGHT_DRAINS;
    case HF_SERVER_DOWN:
    case HF_SERVER_EJECTED:
        return SIGHT_DEAD;
    case HF_SERVER_READY:
        break;
    }
    return SIGHT_READY;
}

static enum sight sight_of(const struct hf_telling *telling, const struct hf_pool_server *server)
{
    return (enum sight)telling->sights[server->server->slot];
}

/* Names of what looks dead beside it in its pool; the size of all with them. */
static size_t add_dead(const struct hf_telling *telling, const struct place *place,
                       unsigned char out[HF_TELLER_NAMES_MAX], size_t size)
{
    for (unsigned i = 0; i < place->pool->server_count; i++) {
        const struct hf_pool_server *other = &place->pool->servers[i];
        unsigned char name[1 + HF_NAME_MAX];
        struct hf_teller_words so_far = {.size = size, .dead = out};
        if (other->agent.size == 0 || sight_of(telling, other) != SIGHT_DEAD ||
            hf_address_equal(&other->agent, &place->server->agent))
            continue;
        name[0] = (unsigned char)strlen(other->server->name);
        memcpy(name + 1, other->server->name, name[0]);
        if (size + 1 + name[0] > HF_TELLER_NAMES_MAX || lists(&so_far, name))
            continue; /* an agent that knows more than 128 nodes there is not */
        memcpy(out + size, name, 1 + (size_t)name[0]);
        size += 1 + (size_t)name[0];
    }
    return size;
}

/* An agent beside several servers is to be drained with the last of them. */
static void say(struct hf_telling *telling, unsigned number)
{
    unsigned char dead[HF_TELLER_NAMES_MAX];
    struct hf_teller_words words = {.drains = true, .dead = dead};
    struct listener *listener = telling->listeners[number];
    for (unsigned i = 0; i < telling->place_count; i++) {
        const struct place *place = &telling->places[i];
        if (place->listener != number)
            continue;
        words.drains &= sight_of(telling, place->server) == SIGHT_DRAINS;
        words.size = add_dead(telling, place, dead, words.size);
    }
    if (hf_teller_say(listener->teller, &words) < 0)
        telling->sights[telling->places[0].server->server->slot] = UINT8_MAX; /* look again */
}

static bool changed(struct hf_telling *telling)
{
    uint64_t now_ms = hf_loop_now_ms(telling->loop);
    bool any = false;
    for (unsigned i = 0; i < telling->place_count; i++) {
        const struct hf_server *server = telling->places[i].server->server;
        uint8_t sight = (uint8_t)look_at(server, now_ms);
        any |= telling->sights[server->slot] != sight;
        telling->sights[server->slot] = sight;
    }
    return any;
}

void hf_telling_look(struct hf_telling *telling)
{
    REQUIRE(HF_MAGIC_OK(telling, TELLING_MAGIC));
    if (!changed(telling))
        return;
    for (unsigned i = 0; i < telling->listener_count; i++)
        say(telling, i);
}

static void look_again(struct hf_timer *timer)
{
    struct hf_telling *telling = hf_container_of(timer, struct hf_telling, timer);
    hf_timer_set(hf_loop_timers(telling->loop), timer,
                 hf_loop_now_ms(telling->loop) + HF_TELLING_LOOK_MS);
    hf_telling_look(telling);
}

/* ---- life ---- */

static void free_listener(struct listener *listener)
{
    hf_teller_free(&listener->teller);
    free(listener);
}

static struct listener *new_listener(struct hf_telling *telling, const struct hf_config *config,
                                     const struct hf_pool_server *server)
{
    struct listener *listener = calloc(1, sizeof(*listener));
    if (listener == NULL)
        return NULL;
    struct hf_teller_host host = {.user = listener, .told = told, .failed = failed, .known = known};
    listener->telling = telling;
    listener->address = server->agent;
    memcpy(listener->name, server->server->name, sizeof(listener->name));
    if (hf_teller_new(telling->loop, &telling->buffers, &server->agent,
                      config->has_agent_key ? config->agent_key : NULL, &host,
                      &listener->teller) == 0)
        return listener;
    free(listener);
    return NULL;
}

static bool same_key(const struct hf_config *old, const struct hf_config *config)
{
    return old->has_agent_key == config->has_agent_key &&
           memcmp(old->agent_key, config->agent_key, sizeof(old->agent_key)) == 0;
}

/* What is being built of a snapshot, to be put in force as a whole. */
struct plan {
    struct place *places;
    struct listener **listeners;
    unsigned place_count, listener_count;
};

static struct listener *find(const struct hf_telling *telling, const struct hf_address *address)
{
    for (unsigned i = 0; i < telling->listener_count; i++)
        if (hf_address_equal(&telling->listeners[i]->address, address))
            return telling->listeners[i];
    return NULL;
}

void hf_telling_ask(struct hf_telling *telling, const struct hf_address *agent, struct hf_slice id,
                    unsigned cause)
{
    REQUIRE(HF_MAGIC_OK(telling, TELLING_MAGIC) && cause < HF_TELLING_CAUSES);
    struct listener *listener = find(telling, agent);
    if (listener != NULL)
        hf_teller_ask(listener->teller, id, (uint8_t)cause);
    else /* its server is configured no more */
        hf_count(&telling->counts[COUNT_UNKNOWN_DOWN + cause]);
}

static int listener_of(struct hf_telling *telling, const struct hf_config *config,
                       struct plan *plan, const struct hf_pool_server *server)
{
    bool keeps = telling->config != NULL && same_key(telling->config, config);
    for (unsigned i = 0; i < plan->listener_count; i++)
        if (hf_address_equal(&plan->listeners[i]->address, &server->agent))
            return (int)i;
    struct listener *listener = keeps ? find(telling, &server->agent) : NULL;
    if (listener == NULL)
        listener = new_listener(telling, config, server);
    if (listener == NULL)
        return -ENOMEM;
    plan->listeners[plan->listener_count] = listener;
    return (int)plan->listener_count++;
}

static int fill(struct hf_telling *telling, const struct hf_config *config, struct plan *plan)
{
    for (unsigned p = 0; p < config->pool_count; p++) {
        const struct hf_pool *pool = &config->pools[p];
        for (unsigned i = 0; i < pool->server_count; i++) {
            if (pool->servers[i].agent.size == 0)
                continue;
            int listener = listener_of(telling, config, plan, &pool->servers[i]);
            if (listener < 0)
                return listener;
            plan->places[plan->place_count++] =
                (struct place){pool, &pool->servers[i], (unsigned)listener};
        }
    }
    return 0;
}

static bool holds(struct listener *const *listeners, unsigned count, const struct listener *one)
{
    for (unsigned i = 0; i < count; i++)
        if (listeners[i] == one)
            return true;
    return false;
}

/* Frees those listeners of the first that are not among the second. */
static void free_rest(struct listener **listeners, unsigned count, struct listener *const *others,
                      unsigned other_count)
{
    for (unsigned i = 0; i < count; i++)
        if (!holds(others, other_count, listeners[i]))
            free_listener(listeners[i]);
    free(listeners);
}

static unsigned count_agents(const struct hf_config *config)
{
    unsigned count = 0;
    for (unsigned p = 0; p < config->pool_count; p++)
        for (unsigned i = 0; i < config->pools[p].server_count; i++)
            count += config->pools[p].servers[i].agent.size != 0;
    return count;
}

int hf_telling_apply(struct hf_telling *telling, struct hf_config *config)
{
    REQUIRE(HF_MAGIC_OK(telling, TELLING_MAGIC) && config != NULL);
    unsigned count = count_agents(config);
    struct plan plan = {.places = calloc(count + 1, sizeof(*plan.places)),
                        .listeners = calloc(count + 1, sizeof(struct listener *))};
    if (plan.places == NULL || plan.listeners == NULL || fill(telling, config, &plan) < 0) {
        free(plan.places);
        free_rest(plan.listeners, plan.listener_count, telling->listeners, telling->listener_count);
        return -ENOMEM;
    }
    free(telling->places);
    free_rest(telling->listeners, telling->listener_count, plan.listeners, plan.listener_count);
    struct hf_config *before = telling->config;
    telling->config = hf_config_ref(config);
    hf_config_unref(&before);
    telling->places = plan.places;
    telling->place_count = plan.place_count;
    telling->listeners = plan.listeners;
    telling->listener_count = plan.listener_count;
    memset(telling->sights, UINT8_MAX, sizeof(telling->sights)); /* all is said anew */
    look_again(&telling->timer);
    return 0;
}

int hf_telling_new(struct hf_loop *loop, struct hf_telling **ret_telling)
{
    struct hf_telling *telling = calloc(1, sizeof(*telling));
    if (telling == NULL)
        return -ENOMEM;
    telling->magic = TELLING_MAGIC;
    telling->loop = loop;
    telling->timer.expired = look_again;
    hf_buffer_pool_init(&telling->buffers, BUFFERS_MAX, BUFFERS_KEPT);
    telling->source = (struct hf_metrics_source){
        .metrics = metrics, .count = COUNT_COUNT, .values = telling->counts};
    hf_metrics_register(&telling->source);
    *ret_telling = telling;
    return 0;
}

void hf_telling_free(struct hf_telling **telling)
{
    struct hf_telling *gone = *telling;
    *telling = NULL;
    if (gone == NULL)
        return;
    REQUIRE(HF_MAGIC_OK(gone, TELLING_MAGIC));
    hf_timer_cancel(hf_loop_timers(gone->loop), &gone->timer);
    free_rest(gone->listeners, gone->listener_count, NULL, 0);
    free(gone->places);
    hf_config_unref(&gone->config);
    hf_metrics_unregister(&gone->source);
    hf_buffer_pool_fini(&gone->buffers);
    gone->magic = 0;
    free(gone);
}
