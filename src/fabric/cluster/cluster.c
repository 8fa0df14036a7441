#include "fabric/cluster/cluster.h"
#include "base/assert.h"
#include "fabric/wire.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    PULL_SIZE = 2 * HF_WIRE_FRAME_MAX,
    QUIET_MS = 5000,
    SILENT_MS = 1000,
    RELINK_MS = 20,
    ABANDONED_MS_MAX = 600, /* so late bytes of a connection that one side ended are still read */
    SOCKET_SIZE = 400 * 1024,
    SLOW_SOCKET_SIZE = 64 * 1024,
    NARROW_SIZE = 300 * 1024,
    RESTS =
        150, /* once in so many questions nobody asks for a session with a deadline for a while */
    REST_MS_MAX = 6000,
};

static unsigned draw(struct hf_cluster *cluster, unsigned bound)
{
    return hf_rng_below(&cluster->rng, bound);
}

static void on_complete(void *user, struct hf_fabric_op *op)
{
    struct hf_cluster_client *client = hf_container_of(op, struct hf_cluster_client, op);
    struct hf_cluster *cluster = client->cluster;
    hf_cluster_trace(cluster, op->id,
                     client->abandoned ? "abandoned" : hf_fabric_status_word(op->status),
                     client->node, client->kind == HF_CLUSTER_READ ? client->seen : client->write);
    if (op->remote && op->reply.size == sizeof(client->seen))
        memcpy(&client->seen, op->reply.bytes, sizeof(client->seen));
    client->busy = false;
    client->next_ms = cluster->now_ms + draw(cluster, 30);
    if (!client->abandoned)
        hf_cluster_finished(cluster, client);
}

static void on_wake(void *user, unsigned peer)
{
    struct hf_cluster_node *node = user;
    node->wakes |= 1u << peer;
}

static unsigned delay(struct hf_cluster *cluster)
{
    bool stalls = !cluster->options.steady && draw(cluster, 20) == 0;
    return draw(cluster, stalls ? 30 : 3);
}

static uint64_t arrival(struct hf_cluster *cluster, const struct hf_cluster_link *link, size_t size)
{
    uint64_t due_ms = cluster->now_ms + delay(cluster);
    uint64_t free_ms = link->last_due_ms > cluster->now_ms ? link->last_due_ms : cluster->now_ms;
    if (cluster->options.wire_bytes_ms > 0)
        free_ms += size / cluster->options.wire_bytes_ms;
    else
        free_ms = link->last_due_ms;
    return due_ms > free_ms ? due_ms : free_ms;
}

/* Takes what a node has to say and puts it on its way; one link keeps its order. */
void hf_cluster_flush(struct hf_cluster *cluster, struct hf_cluster_node *node)
{
    static char bytes[PULL_SIZE];
    for (unsigned peer = 0; peer < cluster->options.nodes && node->fabric != NULL; peer++) {
        struct hf_cluster_link *link = &cluster->links[node->number][peer];
        size_t size;
        if (!(node->wakes >> peer & 1))
            continue;
        size_t pull = cluster->options.wire_bytes_ms > 0 ? HF_WIRE_FRAME_MAX : sizeof(bytes);
        size_t most = cluster->options.wire_bytes_ms > 0 ? SLOW_SOCKET_SIZE : SOCKET_SIZE;
        while (link->waiting < most &&
               (size = hf_fabric_pull(node->fabric, peer, bytes, pull)) > 0) {
            struct hf_cluster_blob *blob = malloc(sizeof(*blob) + size);
            REQUIRE(blob != NULL);
            if (!cluster->joined[node->number][peer]) { /* nobody is there any more */
                free(blob);
                continue;
            }
            memcpy(blob->bytes, bytes, size);
            blob->size = size;
            blob->sent_ms = cluster->now_ms;
            blob->due_ms = link->last_due_ms = arrival(cluster, link, size);
            link->waiting += size;
            hf_list_push_back(&link->blobs, &blob->node);
        }
        if (link->waiting < most)
            node->wakes &= ~(1u << peer);
    }
}

static void empty_link(struct hf_cluster_link *link)
{
    struct hf_list *node;
    while ((node = hf_list_pop_front(&link->blobs)) != NULL)
        free(hf_container_of(node, struct hf_cluster_blob, node));
    free(link->rest);
    link->rest = NULL;
    link->rest_size = link->waiting = 0;
    link->last_due_ms = 0;
    link->ending = false;
}

static void tell_down(struct hf_cluster *cluster, unsigned at, unsigned peer, bool gone)
{
    struct hf_cluster_node *node = &cluster->nodes[at];
    struct hf_slice none = {0};
    if (node->fabric == NULL)
        return;
    hf_cluster_trace(cluster, none, gone ? "gone" : "link down", at, peer);
    hf_fabric_link_down(node->fabric, peer, gone, cluster->now_ms);
    hf_cluster_flush(cluster, node);
}

/* The connection of two nodes breaks; they will make another. */
void hf_cluster_unlink(struct hf_cluster *cluster, unsigned a, unsigned b)
{
    if (!cluster->joined[a][b])
        return;
    cluster->joined[a][b] = cluster->joined[b][a] = false;
    cluster->join_ms[a][b] = cluster->join_ms[b][a] = cluster->now_ms + RELINK_MS;
    empty_link(&cluster->links[a][b]);
    empty_link(&cluster->links[b][a]);
    tell_down(cluster, a, b, false);
    tell_down(cluster, b, a, false);
}

/* One side ends the connection. What it sent before still arrives, late, and the other hears of the
 * end behind that, unless they make another first. */
void hf_cluster_abandon(struct hf_cluster *cluster, unsigned a, unsigned b)
{
    struct hf_cluster_link *link = &cluster->links[a][b];
    if (!cluster->joined[a][b])
        return;
    cluster->joined[a][b] = cluster->joined[b][a] = false;
    cluster->join_ms[a][b] = cluster->join_ms[b][a] =
        cluster->now_ms + RELINK_MS + draw(cluster, ABANDONED_MS_MAX);
    empty_link(&cluster->links[b][a]);
    unsigned late_ms = draw(cluster, ABANDONED_MS_MAX);
    HF_LIST_EACH(&link->blobs, node)
    {
        hf_container_of(node, struct hf_cluster_blob, node)->due_ms += late_ms;
    }
    link->ending = true;
    tell_down(cluster, a, b, false);
}

void hf_cluster_start(struct hf_cluster *cluster, unsigned number)
{
    struct hf_cluster_node *node = &cluster->nodes[number];
    struct hf_fabric_host host = {.user = node, .complete = on_complete, .wake = on_wake};
    struct hf_fabric_settings settings = {
        .self = number,
        .backups = cluster->options.backups,
        .consistent = cluster->options.consistent,
        .acknowledge_memory = cluster->options.memory,
        .incarnation = hf_rng_u64(&cluster->rng) | 1,
        .epoch_floor = 1, /* as of one that was started anew within the minute */
        .activities_max = 100,
        .queue_size_max = cluster->options.narrow ? NARROW_SIZE : 1 << 20,
        .image_size_max = 1 << 20,
    };
    node->cluster = cluster;
    node->number = number;
    node->paused = node->leaving = false;
    node->drained_ms = 0;
    node->wakes = 0;
    memset(node->values, 0, sizeof(node->values));
    struct hf_fabric_store store =
        cluster->options.records ? hf_cluster_records_open(node) : hf_cluster_store(node);
    REQUIRE(hf_fabric_new(&settings, &cluster->rank, &store, &host, cluster->now_ms,
                          &node->fabric) == 0);
    for (unsigned i = 0; i < cluster->options.nodes; i++)
        cluster->join_ms[i][number] = cluster->join_ms[number][i] =
            cluster->now_ms + 1 + draw(cluster, RELINK_MS);
}

static void add_counts(struct hf_cluster *cluster, const struct hf_fabric_counts *counts)
{
    uint64_t *sum = (uint64_t *)&cluster->total;
    const uint64_t *one = (const uint64_t *)counts;
    for (size_t i = 0; i < sizeof(*counts) / sizeof(*one); i++)
        sum[i] += one[i];
}

/* A process that ends resets its connections; a machine that ends says nothing. */
void hf_cluster_end(struct hf_cluster *cluster, unsigned number, bool silent)
{
    struct hf_cluster_node *node = &cluster->nodes[number];
    add_counts(cluster, hf_fabric_counts(node->fabric));
    for (unsigned i = 0; i < HF_CLUSTER_CLIENTS; i++)
        cluster->clients[i].abandoned |=
            cluster->clients[i].busy && cluster->clients[i].node == number;
    hf_fabric_free(&node->fabric);
    hf_cluster_records_close(node);
    node->ended_ms = cluster->now_ms;
    node->paused = node->leaving = false;
    for (unsigned i = 0; i < cluster->options.nodes; i++) {
        bool linked = cluster->joined[i][number];
        bool lost = cluster->links[number][i].cut || draw(cluster, 2) == 0;
        cluster->joined[i][number] = cluster->joined[number][i] = false;
        empty_link(&cluster->links[i][number]);
        if (!linked || i == number)
            continue;
        if (lost || silent)
            empty_link(&cluster->links[number][i]);
        bool found = !silent && !cluster->links[number][i].cut; /* soon, to be gone */
        cluster->join_ms[i][number] = cluster->join_ms[number][i] =
            found ? cluster->now_ms + 5 : UINT64_MAX;
    }
}

static void deliver_blob(struct hf_cluster *cluster, unsigned from, unsigned to,
                         struct hf_cluster_blob *blob)
{
    struct hf_cluster_link *link = &cluster->links[from][to];
    struct hf_cluster_node *node = &cluster->nodes[to];
    size_t used = 0, size = link->rest_size + blob->size;
    char *bytes = malloc(size);
    REQUIRE(bytes != NULL);
    if (link->rest_size > 0)
        memcpy(bytes, link->rest, link->rest_size);
    memcpy(bytes + link->rest_size, blob->bytes, blob->size);
    free(link->rest);
    link->waiting -= blob->size;
    hf_cluster_arrived(cluster, blob->sent_ms);
    free(blob);
    hf_cluster_trace_bytes(cluster, from, to, hf_slice(bytes, size));
    if (!hf_fabric_receive(node->fabric, from, hf_slice(bytes, size), cluster->now_ms, &used))
        hf_cluster_wrong(cluster, "node %u refused what node %u sent", to, from);
    link->rest_size = size - used;
    link->rest = malloc(link->rest_size + 1);
    REQUIRE(link->rest != NULL);
    memcpy(link->rest, bytes + used, link->rest_size);
    free(bytes);
    hf_cluster_flush(cluster, node);
}

static void deliver(struct hf_cluster *cluster, unsigned from, unsigned to)
{
    struct hf_cluster_link *link = &cluster->links[from][to];
    const struct hf_cluster_node *node = &cluster->nodes[to];
    bool last_words = cluster->nodes[from].fabric == NULL;
    if (!cluster->joined[from][to] && !last_words && !link->ending)
        return;
    while (!hf_list_empty(&link->blobs) && !link->cut && !node->paused && node->fabric != NULL) {
        struct hf_cluster_blob *blob =
            hf_container_of(link->blobs.next, struct hf_cluster_blob, node);
        if (blob->due_ms > cluster->now_ms)
            break;
        hf_list_remove(&blob->node);
        deliver_blob(cluster, from, to, blob);
    }
    if (!link->ending || !hf_list_empty(&link->blobs) || link->cut || node->paused)
        return;
    empty_link(link);
    tell_down(cluster, to, from, false);
}

static void join(struct hf_cluster *cluster, unsigned a, unsigned b)
{
    struct hf_cluster_node *one = &cluster->nodes[a], *other = &cluster->nodes[b];
    struct hf_slice none = {0};
    if (cluster->joined[a][b] || cluster->join_ms[a][b] > cluster->now_ms || one->paused ||
        other->paused || cluster->links[a][b].cut || cluster->links[b][a].cut)
        return;
    if (one->fabric == NULL && other->fabric == NULL)
        return;
    if (one->fabric == NULL || other->fabric == NULL) { /* the connection is refused */
        tell_down(cluster, a, b, true);
        tell_down(cluster, b, a, true);
        empty_link(&cluster->links[a][b]);
        empty_link(&cluster->links[b][a]);
        cluster->join_ms[a][b] = cluster->join_ms[b][a] = cluster->now_ms + 200;
        return;
    }
    empty_link(&cluster->links[a][b]);
    empty_link(&cluster->links[b][a]);
    cluster->joined[a][b] = cluster->joined[b][a] = true;
    hf_cluster_trace(cluster, none, "linked", a, b);
    hf_fabric_link_up(one->fabric, b, cluster->now_ms);
    hf_fabric_link_up(other->fabric, a, cluster->now_ms);
    hf_cluster_flush(cluster, one);
    hf_cluster_flush(cluster, other);
}

static void network(struct hf_cluster *cluster)
{
    unsigned count = cluster->options.nodes, start = draw(cluster, count * count);
    for (unsigned i = 0; i < count * count; i++) {
        unsigned pair = (start + i) % (count * count);
        unsigned from = pair / count, to = pair % count;
        if (from == to)
            continue;
        deliver(cluster, from, to);
        if (from < to)
            join(cluster, from, to);
    }
}

static void run_node(struct hf_cluster *cluster, struct hf_cluster_node *node)
{
    if (node->paused && cluster->now_ms >= node->resume_ms) {
        hf_cluster_trace(cluster, (struct hf_slice){0}, "wakes", node->number, 0);
        node->paused = false;
    }
    if (node->fabric == NULL || node->paused)
        return;
    if ((cluster->now_ms + node->number * 3) % HF_FABRIC_TICK_MS == 0)
        hf_fabric_tick(node->fabric, cluster->now_ms);
    hf_cluster_records_tick(node);
    hf_cluster_flush(cluster, node);
    if (node->leaving && hf_fabric_left(node->fabric))
        hf_cluster_end(cluster, node->number, false);
}

static bool usable(const struct hf_cluster *cluster, unsigned node)
{
    return cluster->nodes[node].fabric != NULL && !cluster->nodes[node].leaving;
}

/* The load balancer: sticks, leaves a node that ended, and sometimes moves for no reason. */
static void choose_node(struct hf_cluster *cluster, struct hf_cluster_client *client)
{
    bool stray = cluster->options.moves && draw(cluster, 20) == 0;
    for (unsigned tries = 0; stray || !usable(cluster, client->node); tries++) {
        client->node = draw(cluster, cluster->options.nodes);
        stray = false;
        if (tries > 50)
            return;
    }
}

static bool mortal(const struct hf_cluster *cluster, const struct hf_cluster_client *client)
{
    return cluster->options.records && client->session >= HF_CLUSTER_MORTAL;
}

/* Some end while their users rest, some before everything has healed, some not at all. */
static uint32_t life(struct hf_cluster *cluster, const struct hf_cluster_client *client)
{
    static const uint16_t lives_ms[] = {1500, 3000, 20000}, moments_ms[] = {1, 25, 200};
    if (!mortal(cluster, client) || client->kind == HF_CLUSTER_DELETE)
        return 0;
    unsigned which = draw(cluster, 3);
    unsigned least_ms = cluster->options.fleeting ? moments_ms[which] : lives_ms[which];
    return least_ms + draw(cluster, least_ms);
}

static void new_write(struct hf_cluster *cluster, struct hf_cluster_client *client)
{
    if (cluster->write_count + 1 >= HF_CLUSTER_WRITES_MAX)
        client->kind = HF_CLUSTER_READ;
    client->write = 0;
    if (client->kind == HF_CLUSTER_READ)
        return;
    client->write = ++cluster->write_count;
    cluster->writes[client->write] =
        (struct hf_cluster_write){.session = (uint8_t)client->session,
                                  .deletes = client->kind == HF_CLUSTER_DELETE,
                                  .touches = client->kind == HF_CLUSTER_TOUCH,
                                  .life_ms = life(cluster, client)};
}

static void compose(struct hf_cluster *cluster, struct hf_cluster_client *client)
{
    static const char letters[] = {'R', 'W', 'D', 'T'};
    bool long_form = cluster->options.records;
    uint32_t life_ms = cluster->writes[client->write].life_ms; /* of none: 0 */
    client->request[0] = letters[client->kind];
    memcpy(client->request + 1, &client->write, sizeof(client->write));
    memcpy(client->request + 1 + sizeof(client->write), &life_ms, sizeof(life_ms));
    client->op.request = hf_slice(client->request, long_form ? HF_CLUSTER_REQUEST_SIZE : 5);
    if (cluster->options.wire_bytes_ms == 0 || client->session != 0 ||
        client->kind != HF_CLUSTER_WRITE)
        return;
    static char longs[HF_CLUSTER_CLIENTS][HF_CLUSTER_LONG];
    char *bytes = longs[client - cluster->clients];
    memcpy(bytes, client->request, client->op.request.size);
    client->op.request = hf_slice(bytes, HF_CLUSTER_LONG);
}

static enum hf_cluster_kind kind_of(struct hf_cluster *cluster,
                                    const struct hf_cluster_client *client, bool reads_only)
{
    unsigned chance = draw(cluster, 100);
    if (chance < 60 || reads_only)
        return HF_CLUSTER_READ;
    if (chance == 99)
        return HF_CLUSTER_DELETE;
    return mortal(cluster, client) && chance >= 80 ? HF_CLUSTER_TOUCH : HF_CLUSTER_WRITE;
}

static void ask(struct hf_cluster *cluster, struct hf_cluster_client *client, bool reads_only)
{
    static const char ids[] = "s0s1s2s3s4s5s6s7";
    enum hf_cluster_kind kind = kind_of(cluster, client, reads_only);
    choose_node(cluster, client);
    struct hf_cluster_node *node = &cluster->nodes[client->node];
    if (node->fabric == NULL)
        return;
    if (node->paused) { /* no answer from there: the next one is tried elsewhere */
        client->node = draw(cluster, cluster->options.nodes);
        client->next_ms = cluster->now_ms + draw(cluster, 30);
        return;
    }
    client->kind = kind;
    new_write(cluster, client);
    client->seen = 0;
    client->floor = cluster->floors[client->session];
    client->op = (struct hf_fabric_op){.id = hf_slice(ids + 2 * client->session, 2)};
    compose(cluster, client);
    if (client->kind == HF_CLUSTER_READ)
        client->op.flags = HF_FABRIC_ACQUIRES | HF_FABRIC_READS;
    else if (client->kind == HF_CLUSTER_WRITE)
        client->op.flags = HF_FABRIC_CREATES | (draw(cluster, 4) == 0 ? HF_FABRIC_OVER_TOMB : 0);
    client->busy = true;
    client->abandoned = false;
    client->asked_ms = cluster->now_ms;
    if (cluster->orphans[client->session].asked_ms == 0)
        cluster->orphans[client->session].asked_ms = cluster->now_ms;
    hf_cluster_trace(cluster, client->op.id,
                     client->kind == HF_CLUSTER_READ ? "read at" : "write at", client->node,
                     client->write);
    hf_fabric_submit(node->fabric, &client->op, cluster->now_ms);
    hf_cluster_flush(cluster, node);
}

static void clients(struct hf_cluster *cluster, bool reads_only)
{
    for (unsigned i = 0; i < HF_CLUSTER_CLIENTS; i++) {
        struct hf_cluster_client *client = &cluster->clients[i];
        if (client->busy || client->next_ms > cluster->now_ms ||
            cluster->rest_ms[client->session] > cluster->now_ms)
            continue;
        ask(cluster, client, reads_only);
        if (mortal(cluster, client) && !cluster->orphans[client->session].waits &&
            draw(cluster, RESTS) == 0)
            cluster->rest_ms[client->session] = cluster->now_ms + draw(cluster, REST_MS_MAX);
    }
}

enum what { EVERYTHING, READS, NOTHING };

static void step(struct hf_cluster *cluster, enum what what)
{
    cluster->now_ms++;
    if (draw(cluster, 2) == 0)
        network(cluster);
    for (unsigned i = 0; i < cluster->options.nodes; i++)
        run_node(cluster, &cluster->nodes[i]);
    network(cluster);
    if (what != NOTHING)
        clients(cluster, what == READS);
}

/* False when a promise was broken on the way. */
static bool run_for(struct hf_cluster *cluster, unsigned duration_ms, enum what what)
{
    uint64_t end_ms = cluster->now_ms + duration_ms;
    while (cluster->now_ms < end_ms && cluster->wrong[0] == '\0') {
        if (what == EVERYTHING)
            hf_cluster_faults(cluster);
        step(cluster, what);
    }
    return cluster->wrong[0] == '\0';
}

static void init(struct hf_cluster *cluster, const struct hf_cluster_options *options)
{
    static const struct hf_slice names[] = {HF_SLICE("app1"), HF_SLICE("app2"), HF_SLICE("app3"),
                                            HF_SLICE("app4"), HF_SLICE("app5"), HF_SLICE("app6")};
    memset(cluster, 0, sizeof(*cluster));
    cluster->options = *options;
    cluster->now_ms = 1000;
    hf_rng_seed(&cluster->rng, options->seed);
    REQUIRE(hf_rank_init(&cluster->rank, names, options->nodes) == 0);
    for (unsigned a = 0; a < options->nodes; a++)
        for (unsigned b = 0; b < options->nodes; b++)
            hf_list_init(&cluster->links[a][b].blobs);
    for (unsigned i = 0; i < HF_CLUSTER_CLIENTS; i++) {
        struct hf_cluster_client *client = &cluster->clients[i];
        client->cluster = cluster;
        client->session = i % HF_CLUSTER_SESSIONS;
        client->node = client->session % options->nodes;
        client->next_ms = cluster->now_ms + draw(cluster, 2000);
    }
    for (unsigned i = 0; i < options->nodes; i++)
        hf_cluster_start(cluster, i);
    cluster->next_fault_ms = cluster->now_ms + 3000;
}

static void fini(struct hf_cluster *cluster)
{
    for (unsigned i = 0; i < cluster->options.nodes; i++)
        if (cluster->nodes[i].fabric != NULL)
            hf_cluster_end(cluster, i, true);
    for (unsigned a = 0; a < cluster->options.nodes; a++)
        for (unsigned b = 0; b < cluster->options.nodes; b++)
            empty_link(&cluster->links[a][b]);
}

void hf_cluster_run(struct hf_cluster *cluster, const struct hf_cluster_options *options)
{
    init(cluster, options);
    run_for(cluster, options->duration_ms, EVERYTHING);
    hf_cluster_heal(cluster);
    for (unsigned i = 0; i < options->nodes; i++)
        cluster->nodes[i].resume_ms = cluster->now_ms;
    if (run_for(cluster, QUIET_MS, READS) && run_for(cluster, SILENT_MS, NOTHING))
        hf_cluster_judge_end(cluster);
    fini(cluster);
}
