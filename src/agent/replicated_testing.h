/* The backend on real stores and fabrics: three nodes in one thread, whose bytes the test carries
 * from one to the other, by a clock of its own. Tests only. Threads: one. Layer: agent. */
#pragma once
#include "agent/locks.h"
#include "agent/replicated.h"
#include "agent/testing.h"

#include "base/hash.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NODES = 3,
    CALLS_MAX = 64,
    BUFFER = 1 << 17,
    TEXT_MAX = 64,
    LEASE_MS = 9000,
    TURNS = 200, /* of 10 ms, at most, until an answer is there */
    PATIENCE_TURNS = HF_REPLICATED_PATIENCE_MS / HF_FABRIC_TICK_MS + TURNS,
};

struct node {
    struct hf_store *store;
    struct hf_sessions *sessions;
    struct hf_replicated *replicated;
};

struct asked { /* a call and what came of it; slices are copied */
    struct hf_sessions_call call;
    char key[TEXT_MAX];
    unsigned completions;
    struct hf_operation_result result;
    char value[TEXT_MAX];
    const char *where; /* the result's value, where it was */
    char fields[4][TEXT_MAX];
    unsigned field_count;
};

static struct node nodes[NODES];
static struct hf_rank rank;
static struct hf_pattern_table *patterns;
static uint64_t now_ms;
static bool cut[NODES][NODES]; /* no bytes from the first to the second */
static bool consistent;        /* what the next node is */
static char bytes[BUFFER];

/* ---- the cluster ---- */

static inline void hf_replicated_testing_set_time(void)
{
    for (unsigned i = 0; i < NODES; i++) {
        if (nodes[i].replicated == NULL)
            continue;
        hf_replicated_set_time(nodes[i].replicated, now_ms);
        hf_sessions_set_time(nodes[i].sessions, now_ms, HF_TESTING_WALL_MS);
    }
}

static inline bool hf_replicated_testing_carry(unsigned from, unsigned to)
{
    if (nodes[from].replicated == NULL || nodes[to].replicated == NULL || cut[from][to])
        return false;
    struct hf_fabric *sender = hf_replicated_fabric(nodes[from].replicated);
    size_t used, size = hf_fabric_pull(sender, to, bytes, sizeof(bytes));
    if (size == 0)
        return false;
    assert_true(hf_fabric_receive(hf_replicated_fabric(nodes[to].replicated), from,
                                  hf_slice(bytes, size), now_ms, &used));
    assert_int_equal(used, size);
    return true;
}

/* Until nobody has anything to say. */
static inline void hf_replicated_testing_carry_all(void)
{
    bool more = true;
    hf_replicated_testing_set_time();
    while (more) {
        more = false;
        for (unsigned from = 0; from < NODES; from++)
            for (unsigned to = 0; to < NODES; to++)
                more |= from != to && hf_replicated_testing_carry(from, to);
    }
}

static inline void hf_replicated_testing_turn(void)
{
    now_ms += HF_FABRIC_TICK_MS;
    hf_replicated_testing_set_time();
    for (unsigned i = 0; i < NODES; i++)
        if (nodes[i].replicated != NULL)
            hf_replicated_tick(nodes[i].replicated, now_ms);
    hf_replicated_testing_carry_all();
}

static inline void hf_replicated_testing_link_nodes(unsigned a, unsigned b)
{
    hf_fabric_link_up(hf_replicated_fabric(nodes[a].replicated), b, now_ms);
    hf_fabric_link_up(hf_replicated_fabric(nodes[b].replicated), a, now_ms);
}

static inline void hf_replicated_testing_start_node(unsigned number, unsigned calls_max)
{
    struct node *node = &nodes[number];
    const struct hf_store_options options = {.memory = HF_TESTING_MEMORY,
                                             .grace_ms = HF_FABRIC_GRACE_MS,
                                             .hash_key = "agent-testing-k",
                                             .now_ms = now_ms};
    assert_int_equal(hf_store_new(&options, &node->store), 0);
    const struct hf_replicated_settings settings = {.store = node->store,
                                                    .hash_key = hf_testing_hash_key,
                                                    .rank = &rank,
                                                    .fabric = {.self = number,
                                                               .backups = 1,
                                                               .consistent = consistent,
                                                               .incarnation = number + 1,
                                                               .epoch_floor = 1,
                                                               .activities_max = 1000,
                                                               .queue_size_max = 4 << 20,
                                                               .image_size_max = 8 << 20},
                                                    .calls_max = calls_max};
    assert_int_equal(hf_replicated_new(&settings, now_ms, &node->replicated), 0);
    struct hf_sessions_backend backend = hf_replicated_backend(node->replicated);
    const struct hf_sessions_settings sessions = {.store = node->store,
                                                  .patterns = patterns,
                                                  .hash_key = hf_testing_hash_key,
                                                  .backend = &backend,
                                                  .memory = HF_TESTING_MEMORY,
                                                  .lock_lease_ms = LEASE_MS};
    assert_int_equal(hf_sessions_new(&sessions, &node->sessions), 0);
}

static inline void hf_replicated_testing_stop_node(unsigned number)
{
    struct node *node = &nodes[number];
    hf_replicated_free(&node->replicated);
    hf_sessions_free(&node->sessions);
    hf_store_free(&node->store);
}

static inline bool hf_replicated_testing_all_ready(void)
{
    for (unsigned i = 0; i < NODES; i++)
        if (!hf_fabric_ready(hf_replicated_fabric(nodes[i].replicated)))
            return false;
    return true;
}

static inline int hf_replicated_testing_set_up(void **state)
{
    static const struct hf_slice names[NODES] = {{"a", 1}, {"b", 1}, {"c", 1}};
    const struct hf_pattern strict[] = {
        {HF_SLICE("once:{id}"), false, HF_PATTERN_TOMB_STRICT},
        {HF_SLICE("once:{id}_LOCK"), true, HF_PATTERN_TOMB_STRICT},
    };
    unsigned bad;
    memset(cut, 0, sizeof(cut));
    now_ms = HF_TESTING_NOW_MS;
    assert_int_equal(hf_rank_init(&rank, names, NODES), 0);
    assert_int_equal(hf_pattern_table_new(strict, 2, &patterns, &bad), 0);
    for (unsigned i = 0; i < NODES; i++)
        hf_replicated_testing_start_node(i, CALLS_MAX);
    for (unsigned i = 0; i < NODES; i++)
        for (unsigned j = 0; j < i; j++)
            hf_replicated_testing_link_nodes(i, j);
    for (unsigned i = 0; i < TURNS && !hf_replicated_testing_all_ready(); i++)
        hf_replicated_testing_turn();
    assert_true(hf_replicated_testing_all_ready());
    return 0;
}

static inline int hf_replicated_testing_tear_down(void **state)
{
    for (unsigned i = 0; i < NODES; i++) {
        if (nodes[i].replicated != NULL) {
            assert_int_equal(hf_replicated_counts(nodes[i].replicated).malformed, 0);
            hf_replicated_testing_stop_node(i);
        }
    }
    hf_pattern_table_free(&patterns);
    return 0;
}

/* ---- asking ---- */

static struct hf_locks *locks; /* of the connection that asks; NULL: it keeps none */

static inline void hf_replicated_testing_completed(struct hf_sessions_call *call,
                                                   const struct hf_operation_result *result)
{
    struct asked *asked = call->user;
    struct hf_operation_cursor cursor = {0};
    struct hf_operation_field field;
    asked->completions++;
    asked->result = *result;
    if (locks != NULL)
        hf_locks_note(locks, call, result);
    asked->where = result->value.bytes;
    assert_true(result->value.size < sizeof(asked->value));
    if (result->value.size > 0)
        memcpy(asked->value, result->value.bytes, result->value.size);
    while (hf_operation_next_field(result, &cursor, &field)) {
        assert_true(asked->field_count < 4);
        snprintf(asked->fields[asked->field_count++], TEXT_MAX, "%.*s=%.*s", (int)field.name.size,
                 field.name.bytes, (int)field.value.size, field.present ? field.value.bytes : "-");
    }
}

static struct hf_reads *reads; /* of the connection that asks; NULL: of none */

static inline void hf_replicated_testing_start(struct asked *asked, unsigned node, const char *key,
                                               const struct hf_operation *operation)
{
    memset(asked, 0, sizeof(*asked));
    snprintf(asked->key, sizeof(asked->key), "%s", key);
    asked->call = (struct hf_sessions_call){.key = hf_slice_text(asked->key),
                                            .operation = *operation,
                                            .complete = hf_replicated_testing_completed,
                                            .user = asked,
                                            .reads = reads,
                                            .locks = locks != NULL};
    hf_sessions_submit(nodes[node].sessions, &asked->call);
}

static inline void hf_replicated_testing_await(struct asked *asked, unsigned turns)
{
    for (unsigned i = 0; i < turns && asked->completions == 0; i++)
        hf_replicated_testing_turn();
    assert_int_equal(asked->completions, 1);
}

/* Waits for the answer; the status. */
static inline unsigned hf_replicated_testing_ask(struct asked *asked, unsigned node,
                                                 const char *key,
                                                 const struct hf_operation *operation)
{
    hf_replicated_testing_start(asked, node, key, operation);
    hf_replicated_testing_carry_all();
    hf_replicated_testing_await(asked, TURNS);
    return asked->result.status;
}

static inline struct hf_operation hf_replicated_testing_setting(const char *value)
{
    return (struct hf_operation){
        .kind = HF_OPERATION_SET, .value = hf_slice_text(value), .deadline_ms = now_ms + 60000};
}

static const struct hf_operation getting = {.kind = HF_OPERATION_GET, .flags = HF_OPERATION_STARTS};
static const struct hf_operation looking = {.kind = HF_OPERATION_GET};
static const struct hf_operation deleting = {.kind = HF_OPERATION_DELETE};

static inline void hf_replicated_testing_set(unsigned node, const char *key, const char *value)
{
    struct asked asked;
    struct hf_operation operation = hf_replicated_testing_setting(value);
    assert_int_equal(hf_replicated_testing_ask(&asked, node, key, &operation), HF_OPERATION_OK);
}

static inline void hf_replicated_testing_get_is(unsigned node, const char *key, const char *value)
{
    struct asked asked;
    assert_int_equal(hf_replicated_testing_ask(&asked, node, key, &getting),
                     value ? HF_OPERATION_OK : HF_OPERATION_MISSING);
    assert_string_equal(asked.value, value ? value : "");
}

static inline uint64_t hf_replicated_testing_relayed(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < NODES; i++)
        if (nodes[i].replicated != NULL)
            sum += hf_fabric_counts(hf_replicated_fabric(nodes[i].replicated))->relayed;
    return sum;
}

static inline struct hf_slice hf_replicated_testing_in_store(unsigned node, const char *id)
{
    const struct hf_store_key key = {
        .id = hf_slice_text(id), .id_hash = hf_store_hash(hf_testing_hash_key, hf_slice_text(id))};
    struct hf_store_value value;
    assert_int_equal(hf_store_get(nodes[node].store, &key, now_ms, &value), HF_STORE_OK);
    return value.bytes;
}

static inline void hf_replicated_testing_cut_off(unsigned node)
{
    for (unsigned i = 0; i < NODES; i++)
        cut[node][i] = cut[i][node] = true;
}

static inline void hf_replicated_testing_join_again(unsigned node)
{
    for (unsigned i = 0; i < NODES; i++)
        cut[node][i] = cut[i][node] = false;
}

/* What a client was to be told of a value must not be what the store holds when its copy came. */
