/* What the store's unit tests share. Tests only. Threads: one. Layer: store. */
#pragma once
#include "base/test.h"
#include "store/shard.h"

enum { HF_TESTING_NOW_MS = 1000000, HF_TESTING_MEMORY = 64 << 20 };

static const struct hf_store_options hf_testing_options = {.memory = HF_TESTING_MEMORY,
                                                           .grace_ms = 5000,
                                                           .hash_key = "0123456789abcde",
                                                           .now_ms = HF_TESTING_NOW_MS};

/* Epoch 1, as an agent that is alone would have it. */
static const struct hf_store_write hf_testing_write = {.now_ms = HF_TESTING_NOW_MS,
                                                       .fresh = {1, 0, 1}};

static inline struct hf_store *hf_testing_store(const struct hf_store_options *options)
{
    struct hf_store *store = NULL;
    assert_int_equal(hf_store_new(options, &store), 0);
    return store;
}

static inline struct hf_store_key hf_testing_key_of(struct hf_slice id, const char *prefix,
                                                    const char *suffix)
{
    return (struct hf_store_key){.id = id,
                                 .id_hash = hf_store_hash(hf_testing_options.hash_key, id),
                                 .prefix = hf_slice_text(prefix),
                                 .suffix = hf_slice_text(suffix)};
}

static inline struct hf_store_key hf_testing_key(const char *id)
{
    return hf_testing_key_of(hf_slice_text(id), "sess:", "");
}

static inline struct hf_store_key hf_testing_lock(const char *id)
{
    struct hf_store_key key = hf_testing_key_of(hf_slice_text(id), "sess:", "_LOCK");
    key.satellite = true;
    return key;
}

/* A set that must succeed, without deadline when deadline_ms is 0. */
static inline struct hf_store_change hf_testing_set(struct hf_store *store,
                                                    const struct hf_store_key *key,
                                                    struct hf_slice value, uint64_t deadline_ms)
{
    struct hf_store_set set = {.value = value,
                               .deadline_ms = deadline_ms ? deadline_ms : HF_DEADLINE_NEVER};
    struct hf_store_change change;
    assert_int_equal(hf_store_set(store, key, &set, &hf_testing_write, &change), HF_STORE_OK);
    return change;
}

static inline void hf_testing_holds(struct hf_store *store, const struct hf_store_key *key,
                                    struct hf_slice value)
{
    struct hf_store_value got;
    assert_int_equal(hf_store_get(store, key, HF_TESTING_NOW_MS, &got), HF_STORE_OK);
    assert_int_equal(got.kind, HF_STORE_STRING);
    assert_true(hf_slice_equal(got.bytes, value));
}

static inline enum hf_store_status
hf_testing_status(struct hf_store *store, const struct hf_store_key *key, uint64_t now_ms)
{
    struct hf_store_value got;
    return hf_store_get(store, key, now_ms, &got);
}
