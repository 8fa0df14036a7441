#include "base/assert.h"
#include "fabric/cluster/cluster.h"
#include <stdio.h>
#include <stdlib.h>

/* A store of few sessions, found by the digit in their id: "s0" to "s7". The first is long. None
 * has a deadline. */

unsigned hf_cluster_session_of(struct hf_slice id)
{
    REQUIRE(id.size == 2 && id.bytes[1] >= '0' && id.bytes[1] < '0' + HF_CLUSTER_SESSIONS);
    return (unsigned)(id.bytes[1] - '0');
}

static struct hf_cluster_value *value_of(struct hf_fabric_record *record)
{
    return hf_container_of(record, struct hf_cluster_value, record);
}

static struct hf_fabric_record *find(void *user, struct hf_slice id, uint64_t hash)
{
    struct hf_cluster_node *node = user;
    struct hf_cluster_value *value = &node->values[hf_cluster_session_of(id)];
    return value->present ? &value->record : NULL;
}

static struct hf_fabric_record *create(void *user, struct hf_slice id, uint64_t hash)
{
    struct hf_cluster_node *node = user;
    struct hf_cluster_value *value = &node->values[hf_cluster_session_of(id)];
    *value = (struct hf_cluster_value){.present = true};
    return &value->record;
}

static void drop(void *user, struct hf_fabric_record *record)
{
    *value_of(record) = (struct hf_cluster_value){0};
}

static void clear(void *user, struct hf_fabric_record *record)
{
    value_of(record)->write = 0;
}

static struct hf_slice id_of(void *user, const struct hf_fabric_record *record)
{
    static const char ids[] = "s0s1s2s3s4s5s6s7";
    struct hf_cluster_node *node = user;
    const struct hf_cluster_value *value =
        hf_container_of(record, const struct hf_cluster_value, record);
    return hf_slice(ids + 2 * (value - node->values), 2);
}

static struct hf_fabric_record *next(void *user, uint64_t *cursor)
{
    struct hf_cluster_node *node = user;
    while (*cursor < HF_CLUSTER_SESSIONS) {
        struct hf_cluster_value *value = &node->values[(*cursor)++];
        if (value->present)
            return &value->record;
    }
    *cursor = 0;
    return NULL;
}

static struct hf_slice image(void *user, const struct hf_fabric_record *record)
{
    static char bytes[HF_CLUSTER_LONG];
    struct hf_cluster_node *node = user;
    const struct hf_cluster_value *value =
        hf_container_of(record, const struct hf_cluster_value, record);
    memcpy(bytes, &value->write, sizeof(value->write));
    bool is_long = value == &node->values[0];
    return hf_slice(bytes, is_long ? HF_CLUSTER_LONG : sizeof(value->write));
}

static bool load(void *user, struct hf_fabric_record *record, struct hf_slice bytes)
{
    struct hf_cluster_value *value = value_of(record);
    if (bytes.size < sizeof(value->write))
        return false;
    memcpy(&value->write, bytes.bytes, sizeof(value->write));
    return true;
}

static void execute(void *user, struct hf_fabric_record *record, struct hf_fabric_op *op,
                    struct hf_fabric_outcome *outcome)
{
    static uint32_t reply;
    struct hf_cluster_node *node = user;
    struct hf_cluster *cluster = node->cluster;
    struct hf_cluster_value *value = value_of(record);
    char letter = op->request.bytes[0];
    uint32_t write;
    memcpy(&write, op->request.bytes + 1, sizeof(write));
    hf_cluster_executed(node, (unsigned)(value - node->values), record->version.epoch, write,
                        value->write);
    if (letter == 'D') {
        outcome->change = HF_FABRIC_DELETED;
    } else if (letter == 'W') {
        value->write = write;
        outcome->change = HF_FABRIC_VALUE;
        if (hf_rng_below(&cluster->rng, 2) == 0)
            outcome->delta = hf_slice((const char *)&value->write, sizeof(value->write));
    } else if (value->write == 0) {
        outcome->change = HF_FABRIC_EMPTY;
    }
    reply = value->write;
    outcome->reply = hf_slice((const char *)&reply, sizeof(reply));
    hf_cluster_saw(cluster, op, reply);
}

void hf_cluster_saw(struct hf_cluster *cluster, const struct hf_fabric_op *op, uint32_t write)
{
    for (unsigned i = 0; i < HF_CLUSTER_CLIENTS; i++)
        if (op == &cluster->clients[i].op)
            cluster->clients[i].seen = write;
}

void hf_cluster_evict(struct hf_cluster_node *node, unsigned session)
{
    const struct hf_cluster_value value = hf_cluster_look(node, session);
    char id[] = {'s', (char)('0' + session)};
    struct hf_slice name = hf_slice(id, sizeof(id));
    hf_cluster_trace(node->cluster, name, "evicted at", node->number, value.record.state);
    if (node->store != NULL)
        hf_cluster_records_evict(node, session);
    else
        drop(node, &node->values[session].record);
    hf_fabric_dropped(node->fabric, name, (enum hf_record_state)value.record.state,
                      value.record.version, false, node->cluster->now_ms);
}

struct hf_cluster_value hf_cluster_look(const struct hf_cluster_node *node, unsigned session)
{
    return node->store != NULL ? hf_cluster_records_look(node, session) : node->values[session];
}

struct hf_fabric_store hf_cluster_store(struct hf_cluster_node *node)
{
    return (struct hf_fabric_store){
        .user = node,
        .find = find,
        .create = create,
        .remove = drop,
        .clear = clear,
        .id = id_of,
        .next = next,
        .image = image,
        .load = load,
        .change = load,
        .execute = execute,
    };
}
