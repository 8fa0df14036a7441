/* What the tests of records.c share: a node's store as the fabric sees it, and a small executor.
 * Tests only. Threads: one. Layer: fabric. */
#pragma once
#include "base/assert.h"
#include "fabric/records.h"
#include "store/testing.h"
#include <stdio.h>
#include <stdlib.h>

enum { SELF = 3, MEMORY = 16 << 20, TTL_MS = 60000 };

struct hf_records_node {
    struct hf_store *store;
    struct hf_records *records;
    struct hf_fabric_store seam;
    unsigned expired; /* records that the store dropped by itself */
};

static uint64_t now_ms = HF_TESTING_NOW_MS;

/* Executes a letter and what is behind it: G gets; S value sets, X value another key, L value a
 * lock; D deletes, U the lock; E ms expires in so many. */

static inline unsigned hf_records_number_in(struct hf_slice digits)
{
    unsigned number = 0;
    for (size_t i = 0; i < digits.size; i++)
        number = number * 10 + (unsigned)(digits.bytes[i] - '0');
    return number;
}

static inline void hf_records_execute(void *user, struct hf_fabric_op *op,
                                      const struct hf_store_write *write,
                                      struct hf_records_done *ret_done)
{
    struct hf_records_node *node = user;
    char letter = op->request.bytes[0];
    struct hf_slice rest = hf_slice(op->request.bytes + 1, op->request.size - 1);
    struct hf_store_key key = hf_testing_key_of(op->id, "sess:", "");
    struct hf_store_set set = {.value = rest, .deadline_ms = now_ms + TTL_MS};
    struct hf_store_delete end = {.tomb_ms = HF_FABRIC_TOMB_MS};
    struct hf_store_value value = {.bytes = HF_SLICE("")};
    if (letter == 'L' || letter == 'U')
        key = (struct hf_store_key){.id = op->id,
                                    .id_hash = key.id_hash,
                                    .prefix = HF_SLICE("sess:"),
                                    .suffix = HF_SLICE("_LOCK"),
                                    .satellite = true};
    if (letter == 'X')
        key.suffix = HF_SLICE(":more");
    if (letter == 'U')
        end.tomb_ms = 0;
    if (letter == 'G')
        hf_store_get(node->store, &key, write->now_ms, &value);
    else if (letter == 'D' || letter == 'U')
        hf_store_delete(node->store, &key, &end, write, &ret_done->change);
    else if (letter == 'E')
        hf_store_expire(node->store, &key, now_ms + hf_records_number_in(rest), write,
                        &ret_done->change);
    else
        hf_store_set(node->store, &key, &set, write, &ret_done->change);
    ret_done->key = key;
    ret_done->reply = value.bytes;
}

static inline void hf_records_dropped(void *user, enum hf_store_drop why, struct hf_slice id,
                                      enum hf_record_state state, struct hf_version version)
{
    struct hf_records_node *node = user;
    node->expired += why == HF_STORE_EXPIRED;
}

static inline void hf_records_init_with(struct hf_records_node *node, size_t memory)
{
    struct hf_store_options options = hf_testing_options;
    *node = (struct hf_records_node){0};
    options.memory = memory;
    options.dropped = hf_records_dropped;
    options.user = node;
    assert_int_equal(hf_store_new(&options, &node->store), 0);
    struct hf_records_settings settings = {
        .store = node->store, .self = SELF, .execute = hf_records_execute, .user = node};
    memcpy(settings.hash_key, options.hash_key, sizeof(settings.hash_key));
    assert_int_equal(hf_records_new(&settings, &node->records), 0);
    node->seam = hf_records_store(node->records);
    now_ms = HF_TESTING_NOW_MS;
    node->seam.begin(node->seam.user, now_ms);
}

static inline void hf_records_init(struct hf_records_node *node)
{
    hf_records_init_with(node, MEMORY);
}

static inline void hf_records_fini(struct hf_records_node *node)
{
    hf_records_free(&node->records);
    hf_shard_check(node->store);
    hf_store_free(&node->store);
}

/* One event ends, another begins. */
static inline void hf_records_turn(struct hf_records_node *node)
{
    node->seam.end(node->seam.user);
    hf_shard_check(node->store);
    node->seam.begin(node->seam.user, now_ms);
}

static inline struct hf_fabric_record *hf_records_find(struct hf_records_node *node, const char *id)
{
    return node->seam.find(node->seam.user, hf_slice_text(id), 0);
}

static inline struct hf_fabric_record *hf_records_create(struct hf_records_node *node,
                                                         const char *id)
{
    assert_null(hf_records_find(node, id));
    return node->seam.create(node->seam.user, hf_slice_text(id), 0);
}

static inline struct hf_fabric_outcome hf_records_run(struct hf_records_node *node,
                                                      struct hf_fabric_record *record,
                                                      const char *id, const char *request)
{
    struct hf_fabric_op op = {.id = hf_slice_text(id), .request = hf_slice_text(request)};
    struct hf_fabric_outcome outcome = {0};
    node->seam.execute(node->seam.user, record, &op, &outcome);
    record->deadline_ms = outcome.deadline_ms;
    if (outcome.change == HF_FABRIC_VALUE)
        record->version.sequence++;
    return outcome;
}

/* A record granted here, with a value. */
static inline struct hf_fabric_record *hf_records_own(struct hf_records_node *node, const char *id,
                                                      const char *request)
{
    struct hf_fabric_record *record = hf_records_create(node, id);
    assert_non_null(record);
    *record = (struct hf_fabric_record){
        .version = {0x105, 0, 0x105}, .owner = SELF, .generation = 1, .state = HF_RECORD_OWNER};
    assert_int_equal(hf_records_run(node, record, id, request).change, HF_FABRIC_VALUE);
    hf_records_turn(node);
    return hf_records_find(node, id);
}

static inline bool hf_records_in_store(const struct hf_records_node *node, const char *id,
                                       struct hf_store_record *ret_record)
{
    struct hf_store_key key = hf_testing_key(id);
    return hf_store_find(node->store, key.id, key.id_hash, now_ms, ret_record);
}

static inline void hf_records_holds(struct hf_records_node *node, const char *id,
                                    const char *suffix, const char *value)
{
    struct hf_store_key key = hf_testing_key_of(hf_slice_text(id), "sess:", suffix);
    hf_testing_holds(node->store, &key, hf_slice_text(value));
}
