#include "fabric/cluster/cluster.h"
#include <stdarg.h>
#include <stdio.h>

/* The promises of docs/peer-protocol.md, as a judge who sees every execution and every answer.
 * Writes are ordered by when an owner executed them. A write is strong when it was acknowledged
 * with a copy. Whoever asks after a strong write was acknowledged, or after somebody saw it, sees
 * it or a later one: so reads never go back, nothing acknowledged is lost, no deleted session is
 * read again, and no miss is false. What was answered, whatever the answer was, is not executed any
 * more: it could undo what its client did since. A value is read until its deadline and not after
 * it, as far as both can be known: a touch that moves it by less than TOUCH_MS is told to nobody,
 * and what is under way for long arrives with a deadline that is as much later. */

enum { TOUCH_MS = HF_DEADLINE_SLACK_MS, HOPS = 6, STALL_MEMORY_MS = 40 * 1000 };

void hf_cluster_wrong(struct hf_cluster *cluster, const char *format, ...)
{
    va_list arguments;
    if (cluster->wrong[0] != '\0')
        return;
    int used = snprintf(cluster->wrong, sizeof(cluster->wrong),
                        "at %llu ms: ", (unsigned long long)cluster->now_ms);
    va_start(arguments, format);
    vsnprintf(cluster->wrong + used, sizeof(cluster->wrong) - (size_t)used, format, arguments);
    va_end(arguments);
}

/* What each node knows of a session, for the reader of a failure: "0:B 102.5 of 1 =686". */
static const char *known(const struct hf_cluster *cluster, unsigned session)
{
    static char text[HF_CLUSTER_NODES_MAX * 40];
    size_t used = 0;
    for (unsigned i = 0; i < cluster->options.nodes; i++) {
        if (cluster->nodes[i].fabric == NULL)
            continue;
        struct hf_cluster_value value = hf_cluster_look(&cluster->nodes[i], session);
        const struct hf_fabric_record *record = &value.record;
        if (!value.present)
            continue;
        int size = snprintf(text + used, sizeof(text) - used, " %u:%c %x.%u of %u =%u,", i,
                            "-OBPT"[record->state], record -> version.epoch,
                            record->version.sequence, record->owner, value.write);
        used += size > 0 && (size_t)size < sizeof(text) - used ? (size_t)size : 0;
    }
    text[used] = '\0';
    return text;
}

static bool both_sides_may_serve(const struct hf_cluster *cluster)
{
    return cluster->parted && !cluster->options.consistent;
}

/* One owner an epoch; and no two nodes serve at one time. */
static void check_owner(struct hf_cluster *cluster, const struct hf_cluster_node *node,
                        unsigned session, uint32_t epoch)
{
    unsigned at = 0;
    for (; at < cluster->epoch_count; at++)
        if (cluster->epochs[at].epoch == epoch && cluster->epochs[at].session == session)
            break;
    if (at == cluster->epoch_count && at < HF_CLUSTER_EPOCHS_MAX) {
        cluster->epochs[at].epoch = epoch;
        cluster->epochs[at].session = (uint8_t)session;
        cluster->epochs[at].node = (uint8_t)node->number;
        cluster->epoch_count++;
    } else if (at < cluster->epoch_count && cluster->epochs[at].node != node->number) {
        hf_cluster_wrong(cluster, "s%u: epoch %x has two owners, %u and %u", session, epoch,
                         cluster->epochs[at].node, node->number);
    }
}

static uint64_t end_of(const struct hf_cluster_write *write)
{
    return write->life_ms == 0 ? UINT64_MAX : write->executed_ms + write->life_ms;
}

static void touch(struct hf_cluster *cluster, uint32_t touch, uint32_t held)
{
    struct hf_cluster_write *value = &cluster->writes[held];
    uint64_t end_ms = end_of(&cluster->writes[touch]);
    cluster->writes[touch].other = held;
    value->other = touch;
    value->most_ms = end_ms > value->most_ms ? end_ms : value->most_ms;
    value->least_ms = end_ms < value->least_ms ? end_ms : value->least_ms;
}

/* Acknowledged: all who hold the value know about when it ends. */
static void touched(struct hf_cluster *cluster, uint32_t touch)
{
    struct hf_cluster_write *one = &cluster->writes[touch];
    struct hf_cluster_write *value = &cluster->writes[one->other];
    uint64_t least_ms = end_of(one) - (one->life_ms == 0 ? 0 : TOUCH_MS);
    if (one->other != 0 && value->other == touch && least_ms > value->least_ms)
        value->least_ms = least_ms;
}

void hf_cluster_executed(struct hf_cluster_node *node, unsigned session, uint32_t epoch,
                         uint32_t write, uint32_t held)
{
    struct hf_cluster *cluster = node->cluster;
    check_owner(cluster, node, session, epoch);
    if (write == 0)
        return;
    struct hf_cluster_write *one = &cluster->writes[write];
    if (one->executed)
        hf_cluster_wrong(cluster, "s%u: write %u was executed twice", session, write);
    if (one->answered)
        hf_cluster_wrong(cluster, "s%u: node %u executed write %u, which was answered before",
                         session, node->number, write);
    one->executed = true;
    one->order = ++cluster->order;
    one->executed_ms = cluster->now_ms;
    one->least_ms = one->most_ms = end_of(one);
    if (one->touches && held != 0)
        touch(cluster, write, held);
    if (!one->deletes)
        return;
    cluster->deleted[session] = one->order;
    cluster->unsettled[session]++;
}

static uint32_t order_of(const struct hf_cluster *cluster, uint32_t write)
{
    return write == 0 ? 0 : cluster->writes[write].order;
}

static void raise_floor(struct hf_cluster *cluster, unsigned session, uint32_t write)
{
    if (order_of(cluster, write) > order_of(cluster, cluster->floors[session]))
        cluster->floors[session] = write;
}

static bool is_value(const struct hf_cluster_write *write, unsigned session)
{
    return write->session == session && write->executed && !write->deletes && !write->touches;
}

/* Whether the value of a strong write, or one of those that may have replaced it, has reached its
 * deadline. */
static bool may_have_expired(const struct hf_cluster *cluster, uint32_t strong)
{
    for (uint32_t i = 1; i <= cluster->write_count; i++) {
        const struct hf_cluster_write *write = &cluster->writes[i];
        if (is_value(write, cluster->writes[strong].session) &&
            write->order >= cluster->writes[strong].order && write->least_ms <= cluster->now_ms)
            return true;
    }
    return false;
}

static void judge_end(struct hf_cluster *cluster, const struct hf_cluster_client *client)
{
    const struct hf_cluster_write *seen = &cluster->writes[client->seen];
    uint64_t late_ms = HOPS * cluster->stall_ms;
    if (client->seen != 0 && seen->most_ms != UINT64_MAX &&
        client->asked_ms > seen->most_ms + late_ms)
        hf_cluster_wrong(cluster,
                         "s%u: node %u answered write %u, which ended %llu ms before (%llu):%s",
                         client->session, client->node, client->seen,
                         (unsigned long long)(client->asked_ms - seen->most_ms),
                         (unsigned long long)late_ms, known(cluster, client->session));
}

void hf_cluster_arrived(struct hf_cluster *cluster, uint64_t sent_ms)
{
    uint64_t took_ms = cluster->now_ms - sent_ms;
    if (took_ms < cluster->stall_ms && cluster->now_ms - cluster->stalled_ms < STALL_MEMORY_MS)
        return;
    cluster->stall_ms = took_ms;
    cluster->stalled_ms = cluster->now_ms;
}

static void judge_read(struct hf_cluster *cluster, struct hf_cluster_client *client)
{
    unsigned session = client->session;
    uint32_t floor = order_of(cluster, client->floor);
    bool miss = client->op.status == HF_FABRIC_MISS || client->seen == 0;
    judge_end(cluster, client);
    if (both_sides_may_serve(cluster))
        return;
    if (miss) {
        if (floor <= cluster->deleted[session] || cluster->unsettled[session] > 0)
            return;
        if (may_have_expired(cluster, client->floor))
            cluster->expired++;
        else
            hf_cluster_wrong(cluster, "s%u: a miss at node %u, but write %u is strong:%s", session,
                             client->node, client->floor, known(cluster, session));
        return;
    }
    const struct hf_cluster_write *seen = &cluster->writes[client->seen];
    if (!is_value(seen, session))
        hf_cluster_wrong(cluster, "s%u: read what was never written to it", session);
    /* A delete that was not acknowledged may take effect late, with what was written after it. */
    bool late = cluster->unsettled[session] > 0 && !seen->strong;
    if (seen->order < floor && !late)
        hf_cluster_wrong(cluster, "s%u: node %u answered write %u (order %u) after %u (order %u)%s",
                         session, client->node, client->seen, seen->order, client->floor, floor,
                         cluster->writes[client->floor].deletes ? ", a delete" : "");
    if (seen->strong || cluster->options.consistent)
        raise_floor(cluster, session, client->seen);
}

/* How long a session's users waited after its owner ended, tries that failed included. */
static void measure(struct hf_cluster *cluster, const struct hf_cluster_client *client)
{
    struct hf_cluster_orphan *orphan = &cluster->orphans[client->session];
    if (!orphan->waits || orphan->asked_ms == 0 || client->asked_ms < orphan->asked_ms)
        return;
    unsigned *count = &cluster->wait_count[orphan->silent];
    orphan->waits = false;
    hf_cluster_trace(cluster, client->op.id, orphan->silent ? "waited, unseen" : "waited",
                     client->node, (unsigned)(cluster->now_ms - orphan->asked_ms));
    if (*count < HF_CLUSTER_WAITS_MAX)
        cluster->waits_ms[orphan->silent][(*count)++] =
            (uint16_t)(cluster->now_ms - orphan->asked_ms);
}

void hf_cluster_finished(struct hf_cluster *cluster, struct hf_cluster_client *client)
{
    unsigned status = client->op.status;
    cluster->done[status]++;
    cluster->long_unsure += status == HF_FABRIC_UNSURE && client->session == 0;
    bool answered = status == HF_FABRIC_OK || status == HF_FABRIC_DEGRADED;
    if (answered || status == HF_FABRIC_MISS || status == HF_FABRIC_DROPPED)
        measure(cluster, client);
    if (client->kind == HF_CLUSTER_READ) {
        if (answered || status == HF_FABRIC_MISS)
            judge_read(cluster, client);
        return;
    }
    struct hf_cluster_write *write = &cluster->writes[client->write];
    write->answered = true;
    if (answered && !write->executed)
        hf_cluster_wrong(cluster, "s%u: write %u was acknowledged, and nobody executed it",
                         client->session, client->write);
    if (status == HF_FABRIC_DROPPED && write->executed)
        hf_cluster_wrong(cluster, "s%u: write %u was both dropped and executed", client->session,
                         client->write);
    bool all = cluster->options.severs || cluster->options.consistent; /* DEGRADED too */
    bool promised = status == HF_FABRIC_OK || (all && answered);
    if (promised && !(cluster->options.memory && !write->deletes)) {
        write->strong = true;
        if (write->touches)
            return touched(cluster, client->write);
        cluster->unsettled[client->session] -= write->deletes;
        raise_floor(cluster, client->session, client->write);
    }
}

/* Everything has healed and had its time: the copies are as many as promised, and equal. */
static void judge_copies(struct hf_cluster *cluster, unsigned session)
{
    unsigned running = 0, copies = 0, owners = 0;
    struct hf_cluster_value first = {0};
    bool ends = false; /* some may be gone already */
    for (unsigned i = 0; i < cluster->options.nodes; i++) {
        const struct hf_cluster_node *node = &cluster->nodes[i];
        if (node->fabric == NULL)
            continue;
        struct hf_cluster_value value = hf_cluster_look(node, session);
        uint64_t deadline_ms = value.record.deadline_ms;
        running++;
        if (!value.present ||
            (value.record.state != HF_RECORD_OWNER && value.record.state != HF_RECORD_BACKUP))
            continue;
        copies++;
        owners += value.record.state == HF_RECORD_OWNER;
        ends |= deadline_ms != 0 &&
                deadline_ms <= cluster->now_ms + TOUCH_MS + HOPS * cluster->stall_ms;
        if (first.present && !ends &&
            (value.write != first.write ||
             !hf_version_equal(value.record.version, first.record.version)))
            hf_cluster_wrong(cluster, "s%u: copies differ:%s", session, known(cluster, session));
        first = value;
    }
    unsigned wanted = 1 + cluster->options.backups;
    wanted = wanted < running ? wanted : running;
    if (copies != 0 && copies != wanted && !ends && !cluster->options.evicts)
        hf_cluster_wrong(cluster, "s%u: %u copies, not %u:%s", session, copies, wanted,
                         known(cluster, session));
    if (owners > 1)
        hf_cluster_wrong(cluster, "s%u: %u owners", session, owners);
}

void hf_cluster_judge_end(struct hf_cluster *cluster)
{
    for (unsigned session = 0; session < HF_CLUSTER_SESSIONS; session++)
        judge_copies(cluster, session);
    for (unsigned i = 0; i < cluster->options.nodes; i++)
        if (cluster->nodes[i].fabric != NULL && !hf_fabric_ready(cluster->nodes[i].fabric))
            hf_cluster_wrong(cluster, "node %u never became ready", i);
}
