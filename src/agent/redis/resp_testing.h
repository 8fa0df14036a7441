/* The RESP front end on a store in memory, without a socket: what a connection is to a front end is
 * played here. `slow` has every operation wait, as if its session were elsewhere, and spoils what
 * does not last until then; answers must be the same. Included once a program: it defines what the
 * library's connection does. Tests only. Threads: one. Layer: agent. */
#pragma once
#include "agent/resp_front.h"
#include "base/assert.h"
#include "proto/resp_testing.h"
#include "store/pattern.h"
#include <stdlib.h>

enum {
    HF_RESP_TESTING_OUT_MAX = 8 << 20,
    HF_RESP_TESTING_IN_MAX = 1 << 16,
    HF_RESP_TESTING_NOW_MS = 1000000,
    HF_RESP_TESTING_MEMORY = 64 << 20,
    HF_RESP_TESTING_TOMB_MS = 900000,
};
#define HF_RESP_TESTING_WALL_MS UINT64_C(1700000000000)

struct hf_connection {
    void *state;
    struct hf_resp_testing *rig;
    struct hf_sessions_call *call; /* under way */
    size_t needed;
    uint64_t id;
    unsigned auth_failures;
    bool authenticated;
};

struct hf_resp_testing {
    struct hf_store *store;
    struct hf_pattern_table *patterns;
    struct hf_sessions *sessions;
    struct hf_bytes scratch;
    struct hf_sessions_backend backend;
    struct hf_front_counts counts;
    void *shared;
    const char *password;
    char *out;
    size_t size;
    uint64_t now_ms;
    uint64_t next_id;
    uint32_t epoch; /* raised by every operation: an id may be used again at once */
    enum hf_operation_status forced; /* OK: operations are executed */
    unsigned forced_after;           /* so many operations before */
    bool slow;
};

static const uint8_t hf_resp_testing_hash_key[16] = "agent-testing-k";

/* ---- the service's backend ---- */

static void hf_resp_testing_finish(struct hf_resp_testing *rig, struct hf_sessions_call *call)
{
    const struct hf_operation_context context = {
        .store = rig->store,
        .scratch = &rig->scratch,
        .write = {.now_ms = rig->now_ms, .fresh = {.epoch = ++rig->epoch, .birth = rig->epoch}},
        .tomb_ms = HF_RESP_TESTING_TOMB_MS};
    struct hf_operation_result result;
    struct hf_store_change change;
    if (rig->forced != HF_OPERATION_OK && rig->forced_after == 0) {
        result = hf_operation_failed(rig->forced);
    } else {
        rig->forced_after -= rig->forced_after > 0;
        hf_operation_execute(&context, &call->operation, &result, &change);
    }
    hf_sessions_complete(call, &result);
}

static void hf_resp_testing_submit(void *user, struct hf_sessions_call *call)
{
    struct hf_resp_testing *rig = (struct hf_resp_testing *)user;
    call->pending = rig;
    if (!rig->slow)
        hf_resp_testing_finish(rig, call);
}

static void hf_resp_testing_abandon(void *user, struct hf_sessions_call *call)
{
    call->pending = NULL;
}

/* ---- a connection, as front.h says ---- */

void *hf_connection_state(struct hf_connection *connection)
{
    return connection->state;
}

void *hf_connection_shared(struct hf_connection *connection)
{
    return connection->rig->shared;
}

struct hf_sessions *hf_connection_sessions(struct hf_connection *connection)
{
    return connection->rig->sessions;
}

void hf_connection_need(struct hf_connection *connection, size_t size)
{
    connection->needed = size;
}

bool hf_connection_submit(struct hf_connection *connection, struct hf_sessions_call *call)
{
    REQUIRE(connection->call == NULL);
    hf_sessions_submit(connection->rig->sessions, call);
    if (call->pending != NULL)
        connection->call = call;
    return call->pending == NULL;
}

struct hf_writer hf_connection_writer(struct hf_connection *connection, size_t room)
{
    struct hf_resp_testing *rig = connection->rig;
    REQUIRE(room <= HF_RESP_TESTING_OUT_MAX - rig->size);
    return hf_writer(rig->out + rig->size, room);
}

void hf_connection_wrote(struct hf_connection *connection, const struct hf_writer *writer)
{
    REQUIRE(hf_writer_fits(writer));
    connection->rig->size += writer->size;
}

bool hf_connection_authenticated(const struct hf_connection *connection)
{
    return connection->authenticated;
}

bool hf_connection_has_password(const struct hf_connection *connection)
{
    return connection->rig->password != NULL;
}

enum hf_connection_auth hf_connection_authenticate(struct hf_connection *connection,
                                                   struct hf_slice user, struct hf_slice password)
{
    bool right = (user.size == 0 || hf_slice_equal(user, HF_SLICE("default"))) &&
                 hf_slice_equal(password, hf_slice_text(connection->rig->password));
    if (right)
        connection->authenticated = true;
    else if (++connection->auth_failures == HF_CONNECTION_AUTH_FAILURES_MAX)
        return HF_CONNECTION_AUTH_CLOSE;
    return right ? HF_CONNECTION_AUTH_OK : HF_CONNECTION_AUTH_WRONG;
}

void hf_connection_deauthenticate(struct hf_connection *connection)
{
    connection->authenticated = connection->rig->password == NULL;
}

uint64_t hf_connection_id(const struct hf_connection *connection)
{
    return connection->id;
}

const struct hf_front_counts *hf_connection_counts(const struct hf_connection *connection)
{
    return &connection->rig->counts;
}

/* ---- the rig ---- */

static inline void hf_resp_testing_set_time(struct hf_resp_testing *rig, uint64_t now_ms)
{
    rig->now_ms = now_ms;
    hf_sessions_set_time(rig->sessions, now_ms,
                         HF_RESP_TESTING_WALL_MS + now_ms - HF_RESP_TESTING_NOW_MS);
}

static inline void hf_resp_testing_init(struct hf_resp_testing *rig, size_t memory,
                                        const char *password)
{
    struct hf_store_options options = {.memory = memory, .now_ms = HF_RESP_TESTING_NOW_MS};
    const struct hf_pattern strict = {HF_SLICE("once:{id}"), false, HF_PATTERN_TOMB_STRICT};
    unsigned bad;
    *rig = (struct hf_resp_testing){.password = password};
    memcpy(options.hash_key, hf_resp_testing_hash_key, sizeof(options.hash_key));
    REQUIRE(hf_store_new(&options, &rig->store) == 0);
    REQUIRE(hf_pattern_table_new(&strict, 1, &rig->patterns, &bad) == 0);
    rig->backend = (struct hf_sessions_backend){.name = "testing",
                                                .user = rig,
                                                .submit = hf_resp_testing_submit,
                                                .abandon = hf_resp_testing_abandon};
    const struct hf_sessions_settings settings = {.store = rig->store,
                                                  .patterns = rig->patterns,
                                                  .hash_key = hf_resp_testing_hash_key,
                                                  .backend = &rig->backend,
                                                  .memory = memory,
                                                  .value_max = HF_STORE_VALUE_MAX,
                                                  .tomb_ms = HF_RESP_TESTING_TOMB_MS,
                                                  .epoch_floor = 1};
    REQUIRE(hf_sessions_new(&settings, &rig->sessions) == 0);
    rig->shared = calloc(1, hf_resp_front.shared_size);
    rig->out = (char *)malloc(HF_RESP_TESTING_OUT_MAX);
    REQUIRE(rig->shared != NULL && rig->out != NULL);
    hf_resp_testing_set_time(rig, HF_RESP_TESTING_NOW_MS);
}

static inline void hf_resp_testing_fini(struct hf_resp_testing *rig)
{
    hf_sessions_free(&rig->sessions);
    hf_pattern_table_free(&rig->patterns);
    hf_store_free(&rig->store);
    hf_bytes_clear(NULL, &rig->scratch);
    free(rig->shared);
    free(rig->out);
}

static inline void hf_resp_testing_open(struct hf_resp_testing *rig,
                                        struct hf_connection *connection)
{
    *connection = (struct hf_connection){.rig = rig,
                                         .id = ++rig->next_id,
                                         .authenticated = rig->password == NULL,
                                         .state = calloc(1, hf_resp_front.state_size)};
    REQUIRE(connection->state != NULL);
    hf_resp_front.open(connection);
}

static inline void hf_resp_testing_close(struct hf_connection *connection)
{
    if (connection->call != NULL)
        hf_sessions_abandon(connection->call);
    hf_resp_front.close(connection);
    free(connection->state);
}

/* Lets the call under way complete: what the shared request was is gone by then. */
static inline enum hf_front_step hf_resp_testing_resume(struct hf_connection *connection)
{
    struct hf_sessions_call *call = connection->call;
    REQUIRE(call != NULL);
    connection->call = NULL;
    memset(connection->rig->shared, 0xee, sizeof(struct hf_resp_request));
    hf_resp_testing_finish(connection->rig, call);
    return hf_resp_front.resume(connection);
}

/* One request of the input, or none; *ret_used bytes of it. */
static inline enum hf_front_step hf_resp_testing_feed(struct hf_connection *connection,
                                                      struct hf_slice input, size_t *ret_used)
{
    enum hf_front_step step = hf_resp_front.feed(connection, input, ret_used);
    while (step == HF_FRONT_WAIT)
        step = hf_resp_testing_resume(connection);
    return step;
}

/* The reply to the words of a line: valid until the next one. */
static inline struct hf_slice hf_resp_testing_ask_request(struct hf_connection *connection,
                                                          const struct hf_resp_request *request)
{
    static char in[HF_RESP_TESTING_IN_MAX];
    struct hf_resp_out out = {.writer = hf_writer(in, sizeof(in))};
    size_t used = 0;
    hf_resp_testing_encode(&out, request);
    REQUIRE(hf_writer_fits(&out.writer));
    connection->rig->size = 0;
    enum hf_front_step step =
        hf_resp_testing_feed(connection, hf_slice(in, out.writer.size), &used);
    REQUIRE(step == HF_FRONT_CLOSE || used == out.writer.size);
    return hf_slice(connection->rig->out, connection->rig->size);
}

static inline struct hf_slice hf_resp_testing_ask(struct hf_connection *connection,
                                                  const char *line)
{
    static struct hf_resp_request request;
    hf_resp_testing_words(&request, hf_slice_text(line));
    return hf_resp_testing_ask_request(connection, &request);
}
