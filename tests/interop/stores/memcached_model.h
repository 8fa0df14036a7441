/* The least store that can carry out what the codec reads and give it results to write: what is
 * compared with a real memcached is then whole conversations. No expiry: nothing here waits.
 * Threads: one. */
#pragma once
#include "proto/memcache.h"

enum { MEMCACHED_MODEL_ENTRIES = 16, MEMCACHED_MODEL_VALUE_MAX = 1024 };

struct memcached_model_entry {
    bool used, fetched;
    size_t key_size, value_size;
    uint32_t flags;
    uint64_t cas;
    char key[HF_MEMCACHE_KEY_MAX], value[MEMCACHED_MODEL_VALUE_MAX];
};

struct memcached_model {
    uint64_t cas; /* the last number given */
    struct hf_slice version;
    struct memcached_model_entry entries[MEMCACHED_MODEL_ENTRIES];
};

/* Carries out a request that was not refused and writes its whole answer. */
void memcached_model_answer(struct memcached_model *model,
                            const struct hf_memcache_request *request, struct hf_writer *writer);
