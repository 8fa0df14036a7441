#include "agent/peering.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/rng.h"
#include "fabric/hello.h"
#include "fabric/links.h"
#include "net/listener.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PEERING_MAGIC = 0x50454552,
    EPOCH_MS = 60 * 1000,
    LOOK_MS = 1000, /* between two looks at the settings of peers */
};
static const uint64_t epoch_start_ms =
    UINT64_C(1735689600000); /* 2025-01-01, so that minutes fit */
static const uint32_t epoch_floor_max = (1u << 24) - 1;
_Static_assert((int)HF_AGENT_PEERS_MAX == (int)HF_RANK_NODES_MAX, "every configured peer fits");
_Static_assert((int)HF_AGENT_KEY_SIZE == (int)HF_HELLO_KEY_SIZE, "one form of key");

enum row {
#define HF_FABRIC_COUNT(name, help) ROW_##name,
#include "fabric/counts.def"
#undef HF_FABRIC_COUNT
    ROW_REPEATED,
    ROW_MALFORMED,
    ROW_REFUSED,
    ROW_UNDER_WAY,
    ROW_READY,
    ROW_COMPLETE,
    ROW_DRAINS,
    ROWS
};

// clang-format off
static const struct hf_metric metrics[ROWS] = {
#define HF_FABRIC_COUNT(name, help) \
    {"holdfast_fabric_" #name "_total", "", help, HF_METRIC_COUNTER},
#include "fabric/counts.def"
#undef HF_FABRIC_COUNT
    {"holdfast_fabric_repeated_total", "", "Reads that were asked again for want of an answer.",
     HF_METRIC_COUNTER},
    {"holdfast_fabric_malformed_total", "", "Operations of peers, or their results, that could not "
     "be read.", HF_METRIC_COUNTER},
    {"holdfast_fabric_refused_total", "", "Copies that found no place in a full store.",
     HF_METRIC_COUNTER},
    {"holdfast_fabric_operations_under_way", "", "Operations that wait for a peer now.",
     HF_METRIC_GAUGE},
    {"holdfast_fabric_ready", "", "1: this node serves; 0: it is joining or leaving.",
     HF_METRIC_GAUGE},
    {"holdfast_fabric_complete", "", "1: every live peer has told all it knows.", HF_METRIC_GAUGE},
    {"holdfast_fabric_drains", "", "1: a proxy says that this node is to be drained.",
     HF_METRIC_GAUGE},
};
// clang-format on

struct hf_peering {
    uint32_t magic;
    struct hf_loop *loop;                             /* borrowed */
    const struct hf_agent_replication *configuration; /* borrowed */
    struct hf_sessions *sessions;                     /* borrowed; NULL until opened */
    struct hf_rank rank;
    struct hf_address addresses[HF_RANK_NODES_MAX]; /* by number, as the next */
    unsigned numbers[HF_RANK_NODES_MAX];            /* of the places in the configuration */
    struct hf_replicated *replicated;               /* owned */
    struct hf_links *links;                         /* owned */
    struct hf_links_host fabric;                    /* what the links' events go to */
    struct hf_timer tick;
    bool drains; /* as the fabric was told last */
    hf_message_fn turn_end;
    void *turn_end_argument;
    hf_peering_left_fn left;
    void *user;
    uint64_t leave_end_ms, losses, reunions, look_ms;
    bool parted[HF_RANK_NODES_MAX];  /* by number: its link ended, and it may live */
    bool differs[HF_RANK_NODES_MAX]; /* by place: it was told */
    struct hf_metrics_source source;
    _Atomic uint64_t values[ROWS];
    _Atomic bool linked[HF_RANK_NODES_MAX]; /* by place */
};

/* ---- events: every one brings the time to whoever may answer clients in it ---- */

static void set_time(struct hf_peering *peering, uint64_t now_ms)
{
    hf_replicated_set_time(peering->replicated, now_ms);
    hf_sessions_set_time(peering->sessions, now_ms, hf_loop_wall_ms(peering->loop));
}

static void link_up(void *user, unsigned peer, uint64_t now_ms)
{
    struct hf_peering *peering = user;
    set_time(peering, now_ms);
    peering->reunions += peering->parted[peer];
    peering->parted[peer] = false;
    peering->fabric.up(peering->fabric.user, peer, now_ms);
}

static void link_down(void *user, unsigned peer, bool gone, uint64_t now_ms)
{
    struct hf_peering *peering = user;
    set_time(peering, now_ms);
    peering->losses++;
    peering->parted[peer] = !gone;
    peering->fabric.down(peering->fabric.user, peer, gone, now_ms);
}

static bool link_receive(void *user, unsigned peer, struct hf_slice bytes, uint64_t now_ms,
                         size_t *ret_used)
{
    struct hf_peering *peering = user;
    set_time(peering, now_ms);
    return peering->fabric.receive(peering->fabric.user, peer, bytes, now_ms, ret_used);
}

static size_t link_pull(void *user, unsigned peer, char *out, size_t size)
{
    struct hf_peering *peering = user;
    return peering->fabric.pull(peering->fabric.user, peer, out, size);
}

static uint8_t link_know(void *user, struct hf_slice id, uint64_t now_ms)
{
    struct hf_peering *peering = user;
    set_time(peering, now_ms);
    return peering->fabric.know(peering->fabric.user, id, now_ms);
}

static void wake(void *user, unsigned peer)
{
    struct hf_peering *peering = user;
    hf_links_wake(peering->links, peer);
}

static void turn_end(void *user)
{
    struct hf_peering *peering = user;
    if (peering->turn_end != NULL)
        peering->turn_end(peering->turn_end_argument);
    hf_links_flush(peering->links);
}

static void leave_over(struct hf_peering *peering, bool done)
{
    hf_peering_left_fn left = peering->left;
    peering->left = NULL;
    if (done)
        hf_info("the sessions of this agent are handed over");
    else
        hf_warning("not all sessions of this agent could be handed over within %d s: those are "
                   "served by others once they find it gone",
                   HF_PEERING_LEAVE_MS / 1000);
    left(peering->user);
}

/* What proxies say, once a tick is soon enough. */
static void heed_proxies(struct hf_peering *peering, uint64_t now_ms)
{
    bool drains = hf_links_drains(peering->links);
    if (drains == peering->drains)
        return;
    peering->drains = drains;
    hf_fabric_drain(hf_replicated_fabric(peering->replicated), drains, now_ms);
    hf_info(drains ? "a proxy drains this agent's server: its sessions go to other agents"
                   : "this agent's server is drained no longer: it gets sessions again");
}

/* All agents of a machine tick at the same time: what they send each other then is read at once. */
static uint64_t next_tick_ms(uint64_t now_ms)
{
    return now_ms - now_ms % HF_FABRIC_TICK_MS + HF_FABRIC_TICK_MS;
}

/* Each file is right by itself, so nobody else can tell. Once while it lasts. */
static void look_at_settings(struct hf_peering *peering, uint64_t now_ms)
{
    const struct hf_agent_replication *configuration = peering->configuration;
    const struct hf_fabric *fabric = hf_replicated_fabric(peering->replicated);
    if (now_ms < peering->look_ms)
        return;
    peering->look_ms = now_ms + LOOK_MS;
    for (unsigned i = 0; i < configuration->peer_count; i++) {
        bool differs = i != configuration->self && hf_fabric_differs(fabric, peering->numbers[i]);
        if (differs && !peering->differs[i])
            hf_warning("peer %s has another 'backups' or 'consistency' than this agent, which has "
                       "backups: %u, consistency: %s: write the same into the files of all agents "
                       "and restart them one after the other; until then only the weaker promise "
                       "holds",
                       configuration->peers[i].name, configuration->backups,
                       configuration->consistent ? "consistent" : "available");
        peering->differs[i] = differs;
    }
}

static void tick(struct hf_timer *timer)
{
    struct hf_peering *peering = hf_container_of(timer, struct hf_peering, tick);
    uint64_t now_ms = hf_loop_now_ms(peering->loop);
    set_time(peering, now_ms);
    heed_proxies(peering, now_ms);
    hf_replicated_tick(peering->replicated, now_ms);
    look_at_settings(peering, now_ms);
    hf_timer_set(hf_loop_timers(peering->loop), timer, next_tick_ms(now_ms));
    if (peering->left == NULL)
        return;
    bool done = hf_fabric_left(hf_replicated_fabric(peering->replicated));
    if (done || now_ms >= peering->leave_end_ms)
        leave_over(peering, done);
}

/* ---- life ---- */

static void fill_rank(struct hf_peering *peering)
{
    const struct hf_agent_replication *configuration = peering->configuration;
    struct hf_slice names[HF_RANK_NODES_MAX];
    for (unsigned i = 0; i < configuration->peer_count; i++)
        names[i] = hf_slice_text(configuration->peers[i].name);
    /* names were checked when the file was read */
    REQUIRE(hf_rank_init(&peering->rank, names, configuration->peer_count) == 0);
    for (unsigned i = 0; i < configuration->peer_count; i++) {
        int number = hf_rank_number(&peering->rank, names[i]);
        REQUIRE(number >= 0);
        peering->numbers[i] = (unsigned)number;
        peering->addresses[number] = configuration->peers[i].address;
    }
}

/* Higher at each start, as long as the clock of this machine goes on. */
static uint32_t epoch_floor(void)
{
    uint64_t wall_ms = hf_clock_wall_ms();
    uint64_t minutes = wall_ms > epoch_start_ms ? (wall_ms - epoch_start_ms) / EPOCH_MS : 0;
    return minutes < epoch_floor_max ? (uint32_t)minutes + 1 : epoch_floor_max;
}

static int make_replicated(struct hf_peering *peering, const struct hf_peering_settings *settings,
                           uint64_t incarnation)
{
    const struct hf_agent_replication *configuration = peering->configuration;
    struct hf_replicated_settings replicated = {
        .store = settings->store,
        .hash_key = settings->hash_key,
        .rank = &peering->rank,
        .fabric = {.self = peering->numbers[configuration->self],
                   .backups = configuration->backups,
                   .acknowledge_memory = configuration->acknowledge_memory,
                   .consistent = configuration->consistent,
                   .incarnation = incarnation,
                   .epoch_floor = epoch_floor(),
                   .activities_max = HF_PEERING_ACTIVITIES_MAX,
                   .queue_size_max = HF_PEERING_QUEUE_MAX,
                   .image_size_max = HF_PEERING_IMAGE_MAX},
        .calls_max = HF_PEERING_CALLS_MAX,
        .wake = wake,
        .user = peering,
    };
    return hf_replicated_new(&replicated, hf_loop_now_ms(peering->loop), &peering->replicated);
}

static int make_links(struct hf_peering *peering, uint64_t incarnation)
{
    const struct hf_agent_replication *configuration = peering->configuration;
    const struct hf_links_host host = {peering,      link_up,   link_down,
                                       link_receive, link_pull, link_know};
    const struct hf_links_settings links = {
        .rank = &peering->rank,
        .addresses = peering->addresses,
        .bind = &configuration->peers[configuration->self].address,
        .self = peering->numbers[configuration->self],
        .incarnation = incarnation,
        .key = configuration->has_key ? configuration->key : NULL,
    };
    peering->fabric = hf_links_host_of(hf_replicated_fabric(peering->replicated));
    return hf_links_new(&links, peering->loop, &host, &peering->links);
}

int hf_peering_new(struct hf_loop *loop, const struct hf_peering_settings *settings,
                   struct hf_peering **ret_peering, char told[HF_PEERING_TEXT_MAX])
{
    struct hf_peering *peering = calloc(1, sizeof(*peering));
    snprintf(told, HF_PEERING_TEXT_MAX, "out of memory");
    if (peering == NULL)
        return -ENOMEM;
    REQUIRE(settings->config->replication.on);
    peering->magic = PEERING_MAGIC;
    peering->loop = loop;
    peering->configuration = &settings->config->replication;
    peering->tick.expired = tick;
    peering->source =
        (struct hf_metrics_source){.metrics = metrics, .count = ROWS, .values = peering->values};
    hf_metrics_register(&peering->source);
    fill_rank(peering);
    uint64_t incarnation = hf_random_u64() | 1;
    int result = make_replicated(peering, settings, incarnation);
    if (result == 0)
        result = make_links(peering, incarnation);
    if (result < 0) {
        snprintf(told, HF_PEERING_TEXT_MAX, "the links to the peers cannot be made: %s",
                 strerror(-result));
        hf_peering_free(&peering);
        return result;
    }
    *ret_peering = peering;
    return 0;
}

struct hf_sessions_backend hf_peering_backend(struct hf_peering *peering)
{
    return hf_replicated_backend(peering->replicated);
}

struct hf_replicated *hf_peering_replicated(struct hf_peering *peering)
{
    return peering->replicated;
}

void hf_peering_set_turn_end(struct hf_peering *peering, hf_message_fn fn, void *argument)
{
    peering->turn_end = fn;
    peering->turn_end_argument = argument;
}

uint64_t hf_peering_losses(const struct hf_peering *peering)
{
    return peering->losses;
}

uint64_t hf_peering_reunions(const struct hf_peering *peering)
{
    return peering->reunions;
}

const struct hf_agent_replication *hf_peering_configuration(const struct hf_peering *peering)
{
    return peering->configuration;
}

int hf_peering_open(struct hf_peering *peering, struct hf_sessions *sessions,
                    char told[HF_PEERING_TEXT_MAX])
{
    const struct hf_agent_replication *configuration = peering->configuration;
    char text[HF_ADDRESS_TEXT_MAX];
    peering->sessions = sessions;
    int result = hf_links_open(peering->links);
    if (result < 0) {
        hf_address_format(&configuration->peers[configuration->self].address, text);
        snprintf(told, HF_PEERING_TEXT_MAX, "peer: cannot listen on %s: %s%s", text,
                 strerror(-result),
                 hf_listen_advice(&configuration->peers[configuration->self].address, result));
        peering->sessions = NULL;
        return result;
    }
    if (hf_rank_lease_ms(peering->rank.count) > HF_FABRIC_LEASE_MS)
        hf_info("of %u agents each is taken for dead after %u ms of silence, not %d as of few",
                peering->rank.count,
                hf_rank_lease_ms(peering->rank.count) * HF_FABRIC_DEAD_MS / HF_FABRIC_LEASE_MS,
                HF_FABRIC_DEAD_MS);
    hf_loop_set_turn_end(peering->loop, turn_end, peering);
    tick(&peering->tick);
    return 0;
}

void hf_peering_leave(struct hf_peering *peering, hf_peering_left_fn left, void *user)
{
    uint64_t now_ms = hf_loop_now_ms(peering->loop);
    REQUIRE(peering->sessions != NULL && peering->left == NULL);
    peering->left = left;
    peering->user = user;
    peering->leave_end_ms = now_ms + HF_PEERING_LEAVE_MS;
    set_time(peering, now_ms);
    hf_fabric_leave(hf_replicated_fabric(peering->replicated), now_ms);
}

void hf_peering_close(struct hf_peering *peering)
{
    if (peering->sessions == NULL)
        return;
    peering->sessions = NULL;
    peering->left = NULL;
    hf_timer_cancel(hf_loop_timers(peering->loop), &peering->tick);
    hf_loop_set_turn_end(peering->loop, NULL, NULL);
    hf_links_flush(peering->links);
    hf_links_close(peering->links);
}

void hf_peering_free(struct hf_peering **peering)
{
    struct hf_peering *gone = *peering;
    *peering = NULL;
    if (gone == NULL)
        return;
    REQUIRE(HF_MAGIC_OK(gone, PEERING_MAGIC) && gone->sessions == NULL);
    hf_links_free(&gone->links);
    hf_replicated_free(&gone->replicated);
    hf_metrics_unregister(&gone->source);
    gone->magic = 0;
    free(gone);
}

void hf_peering_dropped(struct hf_peering *peering, enum hf_store_drop why, struct hf_slice id,
                        enum hf_record_state state, struct hf_version version)
{
    hf_fabric_dropped(hf_replicated_fabric(peering->replicated), id, state, version,
                      why == HF_STORE_EXPIRED, hf_loop_now_ms(peering->loop));
}

/* ---- what others may know ---- */

static void put(struct hf_peering *peering, enum row row, uint64_t value)
{
    /* relaxed: each is a number of its own, and a reader may see one before another */
    atomic_store_explicit(&peering->values[row], value, memory_order_relaxed);
}

void hf_peering_publish(struct hf_peering *peering)
{
    const struct hf_fabric *fabric = hf_replicated_fabric(peering->replicated);
    const struct hf_fabric_counts *counts = hf_fabric_counts(fabric);
    struct hf_replicated_counts own = hf_replicated_counts(peering->replicated);
#define HF_FABRIC_COUNT(name, help) put(peering, ROW_##name, counts->name);
#include "fabric/counts.def"
#undef HF_FABRIC_COUNT
    put(peering, ROW_REPEATED, own.repeated);
    put(peering, ROW_MALFORMED, own.malformed);
    put(peering, ROW_REFUSED, own.refused);
    put(peering, ROW_UNDER_WAY, own.under_way);
    put(peering, ROW_DRAINS, peering->drains);
    put(peering, ROW_READY, hf_fabric_ready(fabric));
    put(peering, ROW_COMPLETE, hf_fabric_ready(fabric) && hf_fabric_complete(fabric));
    for (unsigned i = 0; i < peering->configuration->peer_count; i++) {
        bool self = i == peering->configuration->self;
        bool up =
            !self && peering->sessions != NULL && hf_links_up(peering->links, peering->numbers[i]);
        atomic_store_explicit(&peering->linked[i], up, memory_order_relaxed); /* as in put */
    }
}

static uint64_t get(const struct hf_peering *peering, enum row row)
{
    return atomic_load_explicit(&peering->values[row], memory_order_relaxed); /* as in put */
}

bool hf_peering_ready(const struct hf_peering *peering)
{
    return get(peering, ROW_READY) != 0;
}

bool hf_peering_complete(const struct hf_peering *peering)
{
    return get(peering, ROW_COMPLETE) != 0;
}

bool hf_peering_drains(const struct hf_peering *peering)
{
    return get(peering, ROW_DRAINS) != 0;
}

bool hf_peering_linked(const struct hf_peering *peering, unsigned place)
{
    return atomic_load_explicit(&peering->linked[place], memory_order_relaxed); /* as in put */
}
