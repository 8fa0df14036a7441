#include "remote/remote.h"
#include "base/assert.h"
#include "remote/cluster.h"
#include "remote/pipe.h"
#include <errno.h>
#include <stdlib.h>

enum {
    REMOTE_MAGIC = 0x52454d54,
    NOWHERE = UINT8_MAX, /* a slot whose node is not known */
    REFRESH_MS = 1000,
};

struct node {
    struct hf_pipe pipe;
    struct hf_remote *remote;
};

struct hf_remote {
    uint32_t magic;
    struct hf_loop *loop; /* borrowed */
    struct hf_remote_settings settings;
    const struct hf_pipe_codec *codec;
    struct node *nodes[HF_REMOTE_NODES_MAX]; /* owned; one unless it is a cluster */
    unsigned node_count;
    const struct node *troubled; /* whose trouble is told */
    struct hf_remote_counts counts;
    /* Of a cluster: */
    uint8_t *slots; /* owned: [HF_CLUSTER_SLOTS], a node's number or NOWHERE; else NULL */
    struct hf_timer refresh;
    struct hf_remote_call asked; /* for the slots */
    bool asking, outdated;
    unsigned teller;             /* which node is asked next */
    struct hf_cluster_move once; /* the next request for its slot goes there; slot_count: none */
};

const char *hf_remote_status_word(enum hf_remote_status status)
{
    static const char *const words[] = {
#define HF_REMOTE_STATUS_WORD(name, word) word,
        HF_REMOTE_STATUSES(HF_REMOTE_STATUS_WORD)
#undef HF_REMOTE_STATUS_WORD
    };
    REQUIRE(status < HF_REMOTE_STATUS_COUNT);
    return words[status];
}

/* ---- nodes ---- */

static bool is_closed(const struct node *node)
{
    return node->pipe.breaker == HF_BREAKER_CLOSED;
}

static void node_changed(void *owner, enum hf_remote_change change)
{
    struct node *node = owner;
    struct hf_remote *remote = node->remote;
    remote->troubled = node;
    remote->outdated |= change != HF_REMOTE_OTHER;
    if (remote->settings.changed != NULL)
        remote->settings.changed(remote->settings.owner, change);
}

static void node_moved(struct hf_pipe *pipe, struct hf_slice error);

static int add_node(struct hf_remote *remote, const struct hf_address *addresses, unsigned count)
{
    if (remote->node_count == HF_REMOTE_NODES_MAX)
        return -ENOSPC;
    struct node *node = calloc(1, sizeof(*node));
    if (node == NULL)
        return -ENOMEM;
    struct hf_remote_settings settings = remote->settings;
    settings.addresses = addresses;
    settings.address_count = count;
    settings.changed = node_changed;
    settings.owner = node;
    node->remote = remote;
    int result = hf_pipe_init(&node->pipe, remote->loop, remote->codec, &settings);
    if (result < 0) {
        free(node);
        return result;
    }
    node->pipe.moved = remote->slots != NULL ? node_moved : NULL;
    remote->nodes[remote->node_count++] = node;
    return 0;
}

/* The number of the node at that address, made if need be; NOWHERE: there is no room. */
static uint8_t node_at(struct hf_remote *remote, const struct hf_address *address)
{
    for (unsigned i = 0; i < remote->node_count; i++)
        if (hf_address_equal(&remote->nodes[i]->pipe.addresses[0], address))
            return (uint8_t)i;
    return add_node(remote, address, 1) == 0 ? (uint8_t)(remote->node_count - 1) : NOWHERE;
}

/* ---- a cluster's slots ---- */

static void node_moved(struct hf_pipe *pipe, struct hf_slice error)
{
    struct node *node = hf_container_of(pipe, struct node, pipe);
    struct hf_remote *remote = node->remote;
    struct hf_cluster_move move;
    if (!hf_cluster_parse_move(error, &move))
        return;
    if (move.ask) {
        remote->once = move;
        return;
    }
    remote->slots[move.slot] = node_at(remote, &move.address);
    remote->outdated = true;
}

static void take_slots(struct hf_remote_call *call, struct hf_remote_result *result)
{
    struct hf_remote *remote = hf_container_of(call, struct hf_remote, asked);
    struct hf_cluster_cursor cursor = {.items = {.reply = result->value}};
    struct hf_cluster_range range;
    remote->asking = false;
    if (result->status != HF_REMOTE_OK)
        return;
    remote->outdated = false;
    while (hf_cluster_next_range(&cursor, &range)) {
        uint8_t number = node_at(remote, &range.address);
        for (unsigned slot = range.first; slot <= range.last; slot++)
            remote->slots[slot] = number;
    }
}

static bool is_whole(const struct hf_remote *remote)
{
    for (unsigned slot = 0; slot < HF_CLUSTER_SLOTS; slot++) {
        uint8_t number = remote->slots[slot];
        if (number == NOWHERE || !is_closed(remote->nodes[number]))
            return false;
    }
    return true;
}

static void refresh(struct hf_timer *timer)
{
    struct hf_remote *remote = hf_container_of(timer, struct hf_remote, refresh);
    const struct hf_remote_request request = {.kind = HF_PIPE_TOPOLOGY};
    hf_timer_set(hf_loop_timers(remote->loop), &remote->refresh,
                 hf_loop_now_ms(remote->loop) + REFRESH_MS);
    if (remote->asking || (!remote->outdated && is_whole(remote)))
        return;
    for (unsigned i = 0; i < remote->node_count; i++) {
        struct node *node = remote->nodes[remote->teller++ % remote->node_count];
        if (!is_closed(node))
            continue;
        remote->asking = true;
        hf_pipe_submit(&node->pipe, &remote->asked, &request);
        return;
    }
}

/* Whom to ask about a key. */
static struct node *node_of(const struct hf_remote *remote, struct hf_slice key)
{
    uint8_t number = remote->slots ? remote->slots[hf_cluster_slot(key)] : 0;
    return remote->nodes[number == NOWHERE ? 0 : number];
}

/* ---- life ---- */

static int make_nodes(struct hf_remote *remote)
{
    const struct hf_remote_settings *settings = &remote->settings;
    int result = 0;
    if (settings->kind != HF_STORE_URL_CLUSTER)
        return add_node(remote, settings->addresses, settings->address_count);
    remote->slots = malloc(HF_CLUSTER_SLOTS);
    if (remote->slots == NULL)
        return -ENOMEM;
    memset(remote->slots, NOWHERE, HF_CLUSTER_SLOTS);
    for (unsigned i = 0; result == 0 && i < settings->address_count; i++)
        result = add_node(remote, &settings->addresses[i], 1);
    remote->refresh.expired = refresh;
    hf_timer_set(hf_loop_timers(remote->loop), &remote->refresh, hf_loop_now_ms(remote->loop));
    return result;
}

int hf_remote_new(struct hf_loop *loop, const struct hf_remote_settings *settings,
                  struct hf_remote **ret_remote)
{
    static const struct hf_pipe_codec *const codecs[HF_STORE_URL_KINDS] = {
        [HF_STORE_URL_REDIS] = &hf_redis_codec,
        [HF_STORE_URL_SENTINEL] = &hf_redis_codec,
        [HF_STORE_URL_CLUSTER] = &hf_redis_codec,
        [HF_STORE_URL_MEMCACHED] = &hf_memcached_codec,
    };
    REQUIRE(settings->kind < HF_STORE_URL_KINDS && settings->address_count > 0);
    struct hf_remote *remote = calloc(1, sizeof(*remote));
    if (remote == NULL)
        return -ENOMEM;
    remote->magic = REMOTE_MAGIC;
    remote->loop = loop;
    remote->settings = *settings;
    remote->codec = codecs[settings->kind];
    remote->asked.complete = take_slots;
    remote->once.slot = HF_CLUSTER_SLOTS;
    int result = make_nodes(remote);
    if (result < 0) {
        hf_remote_free(&remote);
        return result;
    }
    remote->settings.addresses = NULL; /* the nodes have them */
    *ret_remote = remote;
    return 0;
}

void hf_remote_free(struct hf_remote **remote)
{
    struct hf_remote *gone = *remote;
    *remote = NULL;
    if (gone == NULL)
        return;
    REQUIRE(HF_MAGIC_OK(gone, REMOTE_MAGIC));
    hf_timer_cancel(hf_loop_timers(gone->loop), &gone->refresh);
    for (unsigned i = 0; i < gone->node_count; i++) {
        hf_pipe_fini(&gone->nodes[i]->pipe);
        free(gone->nodes[i]);
    }
    free(gone->slots);
    gone->magic = 0;
    free(gone);
}

/* ---- requests ---- */

void hf_remote_submit(struct hf_remote *remote, struct hf_remote_call *call,
                      const struct hf_remote_request *request)
{
    struct node *node = node_of(remote, request->key);
    struct hf_remote_request asking = *request;
    asking.asking = false;
    if (remote->slots != NULL && remote->once.slot == hf_cluster_slot(request->key)) {
        uint8_t number = node_at(remote, &remote->once.address);
        remote->once.slot = HF_CLUSTER_SLOTS;
        asking.asking = number != NOWHERE;
        node = asking.asking ? remote->nodes[number] : node;
    }
    hf_pipe_submit(&node->pipe, call, &asking);
}

bool hf_remote_is_open(const struct hf_remote *remote)
{
    return remote->slots ? !is_whole(remote) : !is_closed(remote->nodes[0]);
}

bool hf_remote_is_away(const struct hf_remote *remote, struct hf_slice key)
{
    return !is_closed(node_of(remote, key));
}

static void add_counts(struct hf_remote_counts *sum, const struct hf_remote_counts *counts)
{
    for (unsigned i = 0; i < HF_REMOTE_KINDS; i++)
        sum->requests[i] += counts->requests[i];
    for (unsigned i = 0; i < HF_REMOTE_STATUS_COUNT; i++)
        sum->results[i] += counts->results[i];
    sum->connections += counts->connections;
    sum->opened += counts->opened;
    sum->late += counts->late;
}

const struct hf_remote_counts *hf_remote_counts(struct hf_remote *remote)
{
    remote->counts = (struct hf_remote_counts){0};
    for (unsigned i = 0; i < remote->node_count; i++)
        add_counts(&remote->counts, &remote->nodes[i]->pipe.counts);
    return &remote->counts;
}

const char *hf_remote_trouble(const struct hf_remote *remote)
{
    const struct node *node = remote->troubled ? remote->troubled : remote->nodes[0];
    return node->pipe.trouble;
}
