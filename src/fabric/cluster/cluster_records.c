#include "base/assert.h"
#include "fabric/cluster/cluster.h"
#include "store/shard.h"
#include <stdio.h>

/* The session store under a simulated node: SET, GET, DEL, EXPIRE of one key a session. */

enum { MEMORY = 8 << 20, TICK_BUDGET = 16 };

static const uint8_t hash_key[16] = "a cluster's own";

static struct hf_store_key key_of(struct hf_slice id)
{
    return (struct hf_store_key){
        .id = id, .id_hash = hf_store_hash(hash_key, id), .prefix = HF_SLICE("sess:")};
}

static uint32_t write_in(struct hf_slice value)
{
    uint32_t write = 0;
    if (value.size >= sizeof(write))
        memcpy(&write, value.bytes, sizeof(write));
    return write;
}

static struct hf_slice value_of(uint32_t write, unsigned session)
{
    static char bytes[HF_CLUSTER_LONG];
    memcpy(bytes, &write, sizeof(write));
    return hf_slice(bytes, session == 0 ? HF_CLUSTER_LONG : sizeof(write));
}

static uint32_t held_by(struct hf_cluster_node *node, const struct hf_store_key *key)
{
    struct hf_store_value value = {0};
    bool there = hf_store_get(node->store, key, node->cluster->now_ms, &value) == HF_STORE_OK;
    return there ? write_in(value.bytes) : 0;
}

static void change(struct hf_cluster_node *node, const struct hf_fabric_op *op,
                   const struct hf_store_write *write, struct hf_records_done *done)
{
    uint32_t number, life_ms;
    memcpy(&number, op->request.bytes + 1, sizeof(number));
    memcpy(&life_ms, op->request.bytes + 1 + sizeof(number), sizeof(life_ms));
    uint64_t deadline_ms =
        life_ms == 0 ? HF_DEADLINE_NEVER : hf_deadline_after(node->cluster->now_ms, life_ms);
    const struct hf_store_set set = {.value = value_of(number, hf_cluster_session_of(op->id)),
                                     .deadline_ms = deadline_ms};
    const struct hf_store_delete end = {.tomb_ms = HF_FABRIC_TOMB_MS};
    enum hf_store_status status = HF_STORE_OK;
    if (op->request.bytes[0] == 'W')
        status = hf_store_set(node->store, &done->key, &set, write, &done->change);
    else if (op->request.bytes[0] == 'D')
        status = hf_store_delete(node->store, &done->key, &end, write, &done->change);
    else
        status = hf_store_expire(node->store, &done->key, deadline_ms, write, &done->change);
    if (status != HF_STORE_OK && status != HF_STORE_MISSING)
        hf_cluster_wrong(node->cluster, "node %u: the store says %s", node->number,
                         hf_store_status_word(status));
}

static void execute(void *user, struct hf_fabric_op *op, const struct hf_store_write *write,
                    struct hf_records_done *ret_done)
{
    static uint32_t reply;
    struct hf_cluster_node *node = user;
    uint32_t number;
    memcpy(&number, op->request.bytes + 1, sizeof(number));
    ret_done->key = key_of(op->id);
    hf_cluster_executed(node, hf_cluster_session_of(op->id), write->fresh.epoch, number,
                        held_by(node, &ret_done->key));
    if (op->request.bytes[0] != 'R')
        change(node, op, write, ret_done);
    reply = held_by(node, &ret_done->key);
    ret_done->reply = hf_slice((const char *)&reply, sizeof(reply));
    hf_cluster_saw(node->cluster, op, reply);
}

static void dropped(void *user, enum hf_store_drop why, struct hf_slice id,
                    enum hf_record_state state, struct hf_version version)
{
    struct hf_cluster_node *node = user;
    hf_cluster_trace(node->cluster, id, "dropped at", node->number, state);
    if (node->fabric != NULL)
        hf_fabric_dropped(node->fabric, id, state, version, why == HF_STORE_EXPIRED,
                          node->cluster->now_ms);
}

struct hf_fabric_store hf_cluster_records_open(struct hf_cluster_node *node)
{
    struct hf_store_options options = {.memory = MEMORY,
                                       .grace_ms = HF_FABRIC_GRACE_MS,
                                       .now_ms = node->cluster->now_ms,
                                       .dropped = dropped,
                                       .user = node};
    struct hf_records_settings settings = {.self = node->number, .execute = execute, .user = node};
    memcpy(options.hash_key, hash_key, sizeof(hash_key));
    memcpy(settings.hash_key, hash_key, sizeof(hash_key));
    REQUIRE(hf_store_new(&options, &node->store) == 0);
    settings.store = node->store;
    REQUIRE(hf_records_new(&settings, &node->records) == 0);
    return hf_records_store(node->records);
}

void hf_cluster_records_close(struct hf_cluster_node *node)
{
    hf_records_free(&node->records);
    if (node->store != NULL)
        hf_shard_check(node->store);
    hf_store_free(&node->store);
}

/* The agent does this a few times a second; what expires is found by it or by the fabric. */
void hf_cluster_records_tick(struct hf_cluster_node *node)
{
    if (node->store != NULL && hf_rng_below(&node->cluster->rng, 10) == 0)
        hf_store_tick(node->store, node->cluster->now_ms, TICK_BUDGET);
}

void hf_cluster_records_evict(struct hf_cluster_node *node, unsigned session)
{
    char id[] = {'s', (char)('0' + session)};
    struct hf_store_key key = key_of(hf_slice(id, sizeof(id)));
    const struct hf_store_role none = {.state = HF_RECORD_NONE};
    hf_store_assign(node->store, key.id, key.id_hash, &none, node->cluster->now_ms);
}

struct hf_cluster_value hf_cluster_records_look(const struct hf_cluster_node *node,
                                                unsigned session)
{
    char id[] = {'s', (char)('0' + session)};
    struct hf_store_key key = key_of(hf_slice(id, sizeof(id)));
    struct hf_cluster_value value = {0};
    struct hf_store_record found;
    struct hf_entry entry;
    if (!hf_store_find(node->store, key.id, key.id_hash, 0, &found))
        return value;
    value.present = true;
    value.record.version = found.version;
    value.record.state = (uint8_t)found.state;
    value.record.owner = found.owner % HF_RANK_NODES_MAX;
    value.record.deadline_ms = found.deadline_ms == HF_DEADLINE_NEVER ? 0 : found.deadline_ms;
    if (hf_shard_entry(node->store, hf_index_record(node->store, key.id, key.id_hash), &key, 0,
                       &entry))
        value.write = write_in(hf_slice(entry.bytes, entry.head.size));
    return value;
}
