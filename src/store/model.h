/* A naive model of the store, for its model test: arrays, and the rules of time. Tests only.
 * Threads: one. Layer: store. */
#pragma once
#include "store/testing.h"
#include <stdlib.h>

enum {
    MODEL_KEYS = 3,    /* value, lock, another satellite */
    MODEL_FIELDS = 90, /* names of fields: enough to leave the packed form */
    MODEL_GRACE_MS = 5000,
};

struct model_bytes {
    bool there;
    size_t size;
    char *bytes; /* owned */
};

struct model_key {
    bool there, hash;
    struct model_bytes value;
    struct model_bytes fields[MODEL_FIELDS];
    uint32_t flags;
    uint64_t deadline_ms, told_ms, cas;
};

struct model_record {
    enum hf_record_state state;
    struct hf_version version;
    uint64_t deadline_ms; /* of a tombstone, of a record without keys */
    struct model_key keys[MODEL_KEYS];
};

static inline void hf_model_put(struct model_bytes *to, struct hf_slice from)
{
    char *copy = malloc(from.size + 1);
    assert_non_null(copy);
    memcpy(copy, from.bytes, from.size);
    free(to->bytes);
    *to = (struct model_bytes){true, from.size, copy};
}

static inline void hf_model_drop(struct model_bytes *from)
{
    free(from->bytes);
    *from = (struct model_bytes){0};
}

static inline struct hf_slice hf_model_slice(const struct model_bytes *from)
{
    return hf_slice(from->bytes, from->size);
}

static inline void hf_model_drop_key(struct model_key *key)
{
    hf_model_drop(&key->value);
    for (unsigned i = 0; i < MODEL_FIELDS; i++)
        hf_model_drop(&key->fields[i]);
    *key = (struct model_key){0};
}

static inline unsigned hf_model_keys(const struct model_record *record)
{
    unsigned count = 0;
    for (unsigned i = 0; i < MODEL_KEYS; i++)
        count += record->keys[i].there;
    return count;
}

static inline void hf_model_drop_record(struct model_record *record)
{
    for (unsigned i = 0; i < MODEL_KEYS; i++)
        hf_model_drop_key(&record->keys[i]);
    *record = (struct model_record){0};
}

static inline uint64_t hf_model_last_deadline(const struct model_record *record)
{
    uint64_t last = 0;
    for (unsigned i = 0; i < MODEL_KEYS; i++)
        if (record->keys[i].there && record->keys[i].deadline_ms > last)
            last = record->keys[i].deadline_ms;
    return last;
}

/* What time does to a record before anything else is asked of it. */
static inline void hf_model_age(struct model_record *record, uint64_t now_ms)
{
    bool own = hf_model_keys(record) == 0 || record->state == HF_RECORD_TOMB;
    uint64_t end = own ? record->deadline_ms : hf_model_last_deadline(record);
    if (!own && record->state == HF_RECORD_BACKUP && end != HF_DEADLINE_NEVER)
        end += MODEL_GRACE_MS;
    if (record->state == HF_RECORD_NONE || end <= now_ms) {
        hf_model_drop_record(record);
        return;
    }
    for (unsigned i = 0; i < MODEL_KEYS && record->state != HF_RECORD_BACKUP; i++)
        if (record->keys[i].there && record->keys[i].deadline_ms <= now_ms)
            hf_model_drop_key(&record->keys[i]);
}
