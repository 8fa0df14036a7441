/* A session service on a small store, for the unit tests of the agent and its front ends. Tests
 * only. Threads: one. Layer: agent. */
#pragma once
#include "agent/sessions.h"
#include "base/test.h"

enum {
    HF_TESTING_NOW_MS = 1000000,
    HF_TESTING_MEMORY = 64 << 20,
    HF_TESTING_TOMB_MS = 900000,
};
#define HF_TESTING_WALL_MS UINT64_C(1700000000000)

struct hf_testing_rig {
    struct hf_store *store;
    struct hf_pattern_table *patterns; /* the built-in ones; "once:{id}" is strict */
    struct hf_sessions *sessions;
};

static const uint8_t hf_testing_hash_key[16] = "agent-testing-k";

static inline void hf_testing_rig_init(struct hf_testing_rig *rig)
{
    const struct hf_store_options options = {
        .memory = HF_TESTING_MEMORY, .hash_key = "agent-testing-k", .now_ms = HF_TESTING_NOW_MS};
    const struct hf_pattern strict = {HF_SLICE("once:{id}"), false, HF_PATTERN_TOMB_STRICT};
    unsigned bad;
    assert_int_equal(hf_store_new(&options, &rig->store), 0);
    assert_int_equal(hf_pattern_table_new(&strict, 1, &rig->patterns, &bad), 0);
    const struct hf_sessions_settings settings = {.store = rig->store,
                                                  .patterns = rig->patterns,
                                                  .hash_key = hf_testing_hash_key,
                                                  .memory = HF_TESTING_MEMORY,
                                                  .tomb_ms = HF_TESTING_TOMB_MS,
                                                  .epoch_floor = 1};
    assert_int_equal(hf_sessions_new(&settings, &rig->sessions), 0);
    hf_sessions_set_time(rig->sessions, HF_TESTING_NOW_MS, HF_TESTING_WALL_MS);
}

static inline void hf_testing_rig_fini(struct hf_testing_rig *rig)
{
    hf_sessions_free(&rig->sessions);
    hf_pattern_table_free(&rig->patterns);
    hf_store_free(&rig->store);
}
