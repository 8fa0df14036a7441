/* A connection without a socket, for the tests of the memcached front end: it takes bytes, in
 * pieces, and keeps the answers; its store is a real one. Calls are done at once or, as on a node
 * that does not hold the session, after the front end has returned. Stands in for connection.c, so
 * one program includes it once. Tests and fuzzing only. Threads: one. Layer: agent. */
#pragma once
#include "agent/memcache.h"
#include "base/assert.h"
#include <stdlib.h>

enum {
    HF_MEMCACHE_FAKE_NOW_MS = 1000000,
    HF_MEMCACHE_FAKE_MEMORY = 16 << 20,
    HF_MEMCACHE_FAKE_OUTPUT = 4 << 20, /* bytes of answers that are kept */
    HF_MEMCACHE_FAKE_TOMB_MS = 60000,
};
#define HF_MEMCACHE_FAKE_WALL_MS UINT64_C(1700000000000)

struct hf_connection {
    void *state, *shared; /* owned */
    struct hf_store *store;
    struct hf_pattern_table *patterns;
    struct hf_sessions *sessions;
    bool waits;      /* each call is done after submit has answered */
    uint8_t failure; /* enum hf_operation_status of every call; OK: they are done */
    struct hf_sessions_call *call;
    struct hf_slice password; /* empty: none */
    bool authenticated, closed;
    unsigned calls;
    size_t needed, drop;
    char *input; /* owned: what was not used yet, in a block of just that size */
    size_t input_size;
    char *out; /* owned */
    size_t out_size;
    bool overflowed; /* more was to be answered than is kept: the connection is given up */
    struct hf_front_counts counts;
};

static inline void hf_memcache_fake_open(struct hf_connection *connection)
{
    static const uint8_t hash_key[16] = "memcache-testing";
    const struct hf_store_options options = {.memory = HF_MEMCACHE_FAKE_MEMORY,
                                             .hash_key = "memcache-testing",
                                             .now_ms = HF_MEMCACHE_FAKE_NOW_MS};
    const struct hf_pattern strict = {HF_SLICE("once:{id}"), false, HF_PATTERN_TOMB_STRICT};
    unsigned bad;
    memset(connection, 0, sizeof(*connection));
    REQUIRE(hf_store_new(&options, &connection->store) == 0);
    REQUIRE(hf_pattern_table_new(&strict, 1, &connection->patterns, &bad) == 0);
    const struct hf_sessions_settings settings = {.store = connection->store,
                                                  .patterns = connection->patterns,
                                                  .hash_key = hash_key,
                                                  .memory = HF_MEMCACHE_FAKE_MEMORY,
                                                  .value_max = 64 * 1024,
                                                  .tomb_ms = HF_MEMCACHE_FAKE_TOMB_MS,
                                                  .epoch_floor = 1};
    REQUIRE(hf_sessions_new(&settings, &connection->sessions) == 0);
    hf_sessions_set_time(connection->sessions, HF_MEMCACHE_FAKE_NOW_MS, HF_MEMCACHE_FAKE_WALL_MS);
    connection->state = calloc(1, hf_memcache_front.state_size);
    connection->shared = calloc(1, hf_memcache_front.shared_size);
    connection->out = malloc(HF_MEMCACHE_FAKE_OUTPUT);
    REQUIRE(connection->state && connection->shared && connection->out);
    connection->authenticated = true;
}

static inline void hf_memcache_fake_close(struct hf_connection *connection)
{
    hf_sessions_free(&connection->sessions);
    hf_pattern_table_free(&connection->patterns);
    hf_store_free(&connection->store);
    free(connection->state);
    free(connection->shared);
    free(connection->out);
    free(connection->input);
}

/* Another client of the same agent. */
static inline void hf_memcache_fake_reconnect(struct hf_connection *connection)
{
    memset(connection->state, 0, hf_memcache_front.state_size);
    connection->closed = false;
    connection->needed = connection->drop = connection->input_size = 0;
    connection->authenticated = connection->password.size == 0;
}

static inline void hf_memcache_fake_run(struct hf_connection *connection,
                                        struct hf_sessions_call *call)
{
    connection->calls++;
    if (connection->failure == HF_OPERATION_OK) {
        hf_sessions_submit(connection->sessions, call);
        return;
    }
    struct hf_operation_result result =
        hf_operation_failed((enum hf_operation_status)connection->failure);
    call->complete(call, &result);
}

/* ---- what front.h promises ---- */

void *hf_connection_state(struct hf_connection *connection)
{
    return connection->state;
}

void *hf_connection_shared(struct hf_connection *connection)
{
    return connection->shared;
}

struct hf_sessions *hf_connection_sessions(struct hf_connection *connection)
{
    return connection->sessions;
}

void hf_connection_need(struct hf_connection *connection, size_t size)
{
    connection->needed = size;
}

bool hf_connection_submit(struct hf_connection *connection, struct hf_sessions_call *call)
{
    REQUIRE(connection->call == NULL);
    if (connection->waits) {
        connection->call = call;
        return false;
    }
    hf_memcache_fake_run(connection, call);
    return true;
}

/* A block of its own, so that writing past the room asked for shows. */
struct hf_writer hf_connection_writer(struct hf_connection *connection, size_t room)
{
    connection->overflowed |= room > HF_MEMCACHE_FAKE_OUTPUT - connection->out_size;
    if (connection->overflowed)
        room = 0;
    char *block = malloc(room + 1);
    REQUIRE(block != NULL);
    return hf_writer(block, room);
}

void hf_connection_wrote(struct hf_connection *connection, const struct hf_writer *writer)
{
    if (!connection->overflowed) {
        REQUIRE(hf_writer_fits(writer));
        memcpy(connection->out + connection->out_size, writer->out, writer->size);
        connection->out_size += writer->size;
    }
    free(writer->out);
}

void hf_connection_write(struct hf_connection *connection, struct hf_slice bytes)
{
    struct hf_writer writer = hf_connection_writer(connection, bytes.size);
    hf_writer_slice(&writer, bytes);
    hf_connection_wrote(connection, &writer);
}

bool hf_connection_authenticated(const struct hf_connection *connection)
{
    return connection->authenticated;
}

bool hf_connection_has_password(const struct hf_connection *connection)
{
    return connection->password.size > 0;
}

enum hf_connection_auth hf_connection_authenticate(struct hf_connection *connection,
                                                   struct hf_slice user, struct hf_slice password)
{
    connection->authenticated = hf_slice_equal(connection->password, password);
    if (connection->authenticated)
        return HF_CONNECTION_AUTH_OK;
    return ++connection->counts.auth_failures < HF_CONNECTION_AUTH_FAILURES_MAX
               ? HF_CONNECTION_AUTH_WRONG
               : HF_CONNECTION_AUTH_CLOSE;
}

const struct hf_front_counts *hf_connection_counts(const struct hf_connection *connection)
{
    return &connection->counts;
}

/* ---- feeding ---- */

static inline void hf_memcache_fake_drop(struct hf_connection *connection, size_t size)
{
    size_t now = size < connection->input_size ? size : connection->input_size;
    size_t left = connection->input_size - now;
    char *rest = malloc(left + 1);
    REQUIRE(rest != NULL);
    if (left > 0)
        memcpy(rest, connection->input + now, left);
    free(connection->input);
    connection->input = rest;
    connection->input_size = left;
    connection->drop = size - now;
    connection->needed = 0;
}

static inline enum hf_front_step hf_memcache_fake_step(struct hf_connection *connection,
                                                       size_t *ret_used)
{
    char *exact = malloc(connection->input_size);
    REQUIRE(exact != NULL);
    memcpy(exact, connection->input, connection->input_size);
    enum hf_front_step step =
        hf_memcache_front.feed(connection, hf_slice(exact, connection->input_size), ret_used);
    while (step == HF_FRONT_WAIT) {
        struct hf_sessions_call *call = connection->call;
        REQUIRE(call != NULL);
        connection->call = NULL;
        hf_memcache_fake_run(connection, call);
        step = hf_memcache_front.resume(connection);
    }
    free(exact);
    return step;
}

static inline void hf_memcache_fake_take(struct hf_connection *connection, struct hf_slice bytes)
{
    char *joined = malloc(connection->input_size + bytes.size + 1);
    REQUIRE(joined != NULL);
    if (connection->input_size > 0)
        memcpy(joined, connection->input, connection->input_size);
    memcpy(joined + connection->input_size, bytes.bytes, bytes.size);
    free(connection->input);
    connection->input = joined;
    connection->input_size += bytes.size;
    if (connection->drop > 0)
        hf_memcache_fake_drop(connection, connection->drop);
}

/* One piece of what a client sends. */
static inline void hf_memcache_fake_feed(struct hf_connection *connection, struct hf_slice bytes)
{
    hf_memcache_fake_take(connection, bytes);
    while (!connection->closed && connection->drop == 0 && connection->input_size > 0 &&
           connection->input_size >= connection->needed) {
        size_t used = 0;
        enum hf_front_step step = hf_memcache_fake_step(connection, &used);
        if (step == HF_FRONT_MORE) {
            REQUIRE(connection->needed > connection->input_size);
            return;
        }
        connection->closed = step == HF_FRONT_CLOSE || connection->overflowed;
        REQUIRE(connection->closed || used > 0);
        hf_memcache_fake_drop(connection, used);
    }
}
