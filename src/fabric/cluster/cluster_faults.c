#include "fabric/cluster/cluster.h"

/* What goes wrong in a cluster, drawn from the seed. One fault at a time: the next comes when the
 * cluster has had the time that the promises give it. */

enum {
    CALM_MS = 4000,
    CUT_MS_MAX = 4000,
    PAUSE_MS_MAX = 4000,
    DRAINS = 1500, /* once in so many ms a node is drained, */
    DRAIN_MS_MAX = 6000,
    SEVERED_MS = 50,
    SEVERED_MS_MAX = 200
};

static unsigned draw(struct hf_cluster *cluster, unsigned bound)
{
    return hf_rng_below(&cluster->rng, bound);
}

static void set_cut(struct hf_cluster *cluster, unsigned side, bool one_way)
{
    for (unsigned a = 0; a < cluster->options.nodes; a++)
        for (unsigned b = 0; b < cluster->options.nodes; b++)
            if ((side >> a & 1) && !(side >> b & 1)) {
                cluster->links[a][b].cut = true;
                cluster->links[b][a].cut |= !one_way;
            }
}

/* What waited in a cut either arrives late or is lost with its connection. */
void hf_cluster_heal(struct hf_cluster *cluster)
{
    for (unsigned a = 0; a < cluster->options.nodes; a++)
        for (unsigned b = 0; b < a; b++) {
            bool was_cut = cluster->links[a][b].cut || cluster->links[b][a].cut;
            cluster->links[a][b].cut = cluster->links[b][a].cut = false;
            if (was_cut && draw(cluster, 2) == 0)
                hf_cluster_unlink(cluster, a, b);
        }
    cluster->heal_ms = 0;
}

/* From here on the sessions of a node wait for their next answer. Those that nobody has asked for
 * since a fault before wait for whatever this one takes. */
static void orphan(struct hf_cluster *cluster, unsigned victim, bool silent)
{
    for (unsigned i = 0; i < HF_CLUSTER_SESSIONS; i++) {
        struct hf_cluster_value value = hf_cluster_look(&cluster->nodes[victim], i);
        cluster->orphans[i].silent |= silent;
        if (value.present && value.record.state == HF_RECORD_OWNER)
            cluster->orphans[i] = (struct hf_cluster_orphan){.waits = true, .silent = silent};
    }
}

static void crash(struct hf_cluster *cluster, unsigned victim)
{
    bool silent = draw(cluster, 3) == 0;    /* the machine, not the process */
    bool cut_first = draw(cluster, 2) == 0; /* the link goes before the node does */
    if (cut_first)
        set_cut(cluster, 1u << victim, false);
    orphan(cluster, victim, silent || cut_first);
    hf_cluster_end(cluster, victim, silent);
    for (unsigned i = 0; i < cluster->options.nodes; i++)
        cluster->links[i][victim].cut = cluster->links[victim][i].cut = false;
}

/* Some of a node's links are cut, in one direction or both; at its end, soon, nobody it cannot
 * reach hears of it. */
static void sever(struct hf_cluster *cluster, unsigned victim)
{
    unsigned others = (1u << cluster->options.nodes) - 1 - (1u << victim), peers = 0;
    bool all = draw(cluster, 4) == 0, out = draw(cluster, 3) > 0, in = !out || draw(cluster, 2) > 0;
    bool seen = draw(cluster, 3) == 0; /* the connections end too */
    while (peers == 0)
        peers = all ? others : others & draw(cluster, 1u << cluster->options.nodes);
    for (unsigned i = 0; i < cluster->options.nodes; i++)
        if (peers >> i & 1) {
            cluster->links[victim][i].cut = out;
            cluster->links[i][victim].cut = in;
            if (seen)
                hf_cluster_unlink(cluster, victim, i);
        }
    bool soon = draw(cluster, 2) == 0;
    cluster->victim = victim;
    cluster->kill_ms = cluster->now_ms + (soon ? SEVERED_MS : 1 + draw(cluster, SEVERED_MS_MAX));
}

static void kill_severed(struct hf_cluster *cluster)
{
    unsigned victim = cluster->victim;
    cluster->kill_ms = 0;
    orphan(cluster, victim, true);
    hf_cluster_trace(cluster, (struct hf_slice){0}, "killed", victim, 0);
    hf_cluster_end(cluster, victim, false);
    for (unsigned i = 0; i < cluster->options.nodes; i++)
        cluster->links[i][victim].cut = cluster->links[victim][i].cut = false;
}

/* The node ends some of its connections, or their other ends do. */
static void abandon(struct hf_cluster *cluster, unsigned victim)
{
    bool itself = draw(cluster, 2) == 0;
    for (unsigned i = 0; i < cluster->options.nodes; i++)
        if (i != victim && draw(cluster, 2) == 0)
            hf_cluster_abandon(cluster, itself ? victim : i, itself ? i : victim);
}

static void cause(struct hf_cluster *cluster, unsigned kind, unsigned victim)
{
    struct hf_cluster_node *node = &cluster->nodes[victim];
    switch (kind) {
    case 0:
        return crash(cluster, victim);
    case 1:
        orphan(cluster, victim, true);
        node->paused = true;
        node->resume_ms = cluster->now_ms + 100 + draw(cluster, PAUSE_MS_MAX);
        return;
    case 2:
        node->leaving = true;
        hf_fabric_leave(node->fabric, cluster->now_ms);
        return hf_cluster_flush(cluster, node);
    case 3:
        cluster->heal_ms = cluster->now_ms + 50 + draw(cluster, CUT_MS_MAX);
        cluster->parted = true;
        return set_cut(cluster, 1 + draw(cluster, (1u << cluster->options.nodes) - 2),
                       draw(cluster, 4) == 0);
    case 5:
        return sever(cluster, victim);
    case 6:
        return abandon(cluster, victim);
    default: /* a connection breaks */
        return hf_cluster_unlink(cluster, victim, (victim + 1) % cluster->options.nodes);
    }
}

static bool may(const struct hf_cluster_options *options, unsigned kind)
{
    const bool allowed[] = {options->crashes,
                            options->pauses,
                            options->joins,
                            options->cuts,
                            options->crashes || options->cuts,
                            options->severs,
                            options->abandons};
    return allowed[kind];
}

static unsigned running(const struct hf_cluster *cluster)
{
    unsigned count = 0;
    for (unsigned i = 0; i < cluster->options.nodes; i++) {
        const struct hf_cluster_node *node = &cluster->nodes[i];
        count += node->fabric != NULL && !node->paused && !node->leaving;
    }
    return count;
}

static bool calm(struct hf_cluster *cluster)
{
    for (unsigned i = 0; i < cluster->options.nodes; i++) {
        const struct hf_cluster_node *node = &cluster->nodes[i];
        if (node->paused || node->leaving ||
            (node->fabric != NULL &&
             !(hf_fabric_ready(node->fabric) && hf_fabric_complete(node->fabric))))
            return false;
    }
    return cluster->heal_ms == 0 && cluster->kill_ms == 0;
}

static void restart_ended(struct hf_cluster *cluster)
{
    for (unsigned i = 0; i < cluster->options.nodes; i++) {
        struct hf_cluster_node *node = &cluster->nodes[i];
        if (node->fabric == NULL && cluster->now_ms > node->ended_ms + 1500 &&
            draw(cluster, 1000) == 0)
            hf_cluster_start(cluster, i);
    }
}

/* The newest there is of a session, and nobody else has it: with it all would be gone. */
static bool is_last(const struct hf_cluster *cluster, const struct hf_fabric_record *record,
                    unsigned session)
{
    unsigned as_new = 0;
    for (unsigned i = 0; i < cluster->options.nodes; i++) {
        struct hf_cluster_value value = {0};
        if (cluster->nodes[i].fabric != NULL)
            value = hf_cluster_look(&cluster->nodes[i], session);
        bool holds = value.present && value.record.state != HF_RECORD_POINTER;
        as_new += holds &&
                  hf_version_compare((enum hf_record_state)value.record.state, value.record.version,
                                     (enum hf_record_state)record->state, record->version) >= 0;
    }
    return as_new < 2;
}

/* A copy goes somewhere, or the owner's own. */
static void evict(struct hf_cluster *cluster)
{
    struct hf_cluster_node *node = &cluster->nodes[draw(cluster, cluster->options.nodes)];
    unsigned session = draw(cluster, HF_CLUSTER_SESSIONS);
    struct hf_cluster_value value = hf_cluster_look(node, session);
    if (!value.present || node->fabric == NULL ||
        (value.record.state != HF_RECORD_BACKUP && value.record.state != HF_RECORD_OWNER) ||
        is_last(cluster, &value.record, session))
        return;
    cluster->faults++;
    hf_cluster_evict(node, session);
}

/* An operator drains a node, or takes that back. */
static void drain(struct hf_cluster *cluster)
{
    struct hf_slice none = {0};
    for (unsigned i = 0; i < cluster->options.nodes; i++) {
        struct hf_cluster_node *node = &cluster->nodes[i];
        bool able = node->fabric != NULL && !node->paused;
        bool begins = able && node->drained_ms == 0 && draw(cluster, DRAINS) == 0;
        bool ends = able && node->drained_ms != 0 && cluster->now_ms >= node->drained_ms;
        if (!begins && !ends)
            continue;
        hf_cluster_trace(cluster, none, begins ? "drain" : "drained", i, 0);
        cluster->faults++;
        node->drained_ms = begins ? cluster->now_ms + 50 + draw(cluster, DRAIN_MS_MAX) : 0;
        hf_fabric_drain(node->fabric, begins, cluster->now_ms);
    }
}

void hf_cluster_faults(struct hf_cluster *cluster)
{
    if (cluster->options.drains)
        drain(cluster);
    if (cluster->options.evicts && draw(cluster, 30) == 0)
        evict(cluster);
    if (cluster->heal_ms != 0 && cluster->now_ms >= cluster->heal_ms)
        hf_cluster_heal(cluster);
    if (cluster->kill_ms != 0 && cluster->now_ms >= cluster->kill_ms)
        kill_severed(cluster);
    restart_ended(cluster);
    if (cluster->now_ms < cluster->next_fault_ms || !calm(cluster))
        return;
    unsigned kinds = cluster->options.abandons ? 7 : 5;
    unsigned kind = cluster->options.severs ? 5 : draw(cluster, kinds),
             victim = draw(cluster, cluster->options.nodes);
    if (!may(&cluster->options, kind) || cluster->nodes[victim].fabric == NULL ||
        running(cluster) < 2)
        return;
    static const char *const words[] = {"crash",  "pause", "leave",  "cut",
                                        "unlink", "sever", "abandon"};
    struct hf_slice none = {0};
    hf_cluster_trace(cluster, none, words[kind], victim, 0);
    cluster->faults++;
    cause(cluster, kind, victim);
    cluster->next_fault_ms = cluster->now_ms + CALM_MS + draw(cluster, 500);
}
