#include "agent/memcache/memcache_internal.h"
#include "base/assert.h"

/* ---- operations on keys ---- */

/* Some requests make a key that is missing; that is another operation. */
static bool may_create(const struct hf_memcache_client *client)
{
    uint8_t operation = client->request.operation;
    return client->request.creates && client->stage == HF_MEMCACHE_STAGE_FIRST &&
           (operation == HF_MEMCACHE_GET || operation == HF_MEMCACHE_INCREMENT ||
            operation == HF_MEMCACHE_DECREMENT || operation == HF_MEMCACHE_APPEND ||
            operation == HF_MEMCACHE_PREPEND);
}

static void complete(struct hf_sessions_call *call, const struct hf_operation_result *result)
{
    struct hf_connection *connection = call->user;
    struct hf_memcache_client *client = hf_connection_state(connection);
    if (result->status == HF_OPERATION_MISSING && may_create(client))
        client->stage = HF_MEMCACHE_STAGE_CREATE;
    else
        hf_memcache_answer_write(connection, client, result);
}

/* The operations of one request, one after the other; comes back here when one had to wait. */
static enum hf_front_step go_on(struct hf_connection *connection)
{
    struct hf_memcache_client *client = hf_connection_state(connection);
    while (client->stage != HF_MEMCACHE_STAGE_OVER) {
        hf_memcache_plan_fill(client, hf_connection_sessions(connection));
        if (!hf_connection_submit(connection, &client->call))
            return HF_FRONT_WAIT;
    }
    return HF_FRONT_DONE;
}

static enum hf_front_step start(struct hf_connection *connection, struct hf_memcache_client *client)
{
    const struct hf_memcache_request *request = &client->request;
    client->stage = HF_MEMCACHE_STAGE_FIRST;
    client->key = request->key;
    client->rest = hf_slice(NULL, 0);
    if (request->dialect == HF_MEMCACHE_TEXT && request->operation == HF_MEMCACHE_GET) {
        client->rest = request->keys;
        REQUIRE(hf_memcache_next_key(&client->rest, &client->key));
    }
    client->call.complete = complete;
    client->call.user = connection;
    return go_on(connection);
}

/* ---- what is refused ---- */

/* Who said "noreply" does not read: an answer would be taken for that to the next request. */
static void write_refusal(struct hf_connection *connection,
                          const struct hf_memcache_request *request)
{
    if (request->quiet && request->dialect == HF_MEMCACHE_TEXT)
        return;
    struct hf_writer writer = hf_connection_writer(connection, HF_MEMCACHE_HEAD_MAX);
    hf_memcache_write_refusal(&writer, request);
    hf_connection_wrote(connection, &writer);
}

/* Whatever came of it, the client is told what was wrong with its value. */
static void complete_refused(struct hf_sessions_call *call,
                             const struct hf_operation_result *result)
{
    struct hf_connection *connection = call->user;
    struct hf_memcache_client *client = hf_connection_state(connection);
    client->stage = HF_MEMCACHE_STAGE_OVER;
    write_refusal(connection, &client->request);
}

static enum hf_front_step refuse(struct hf_connection *connection,
                                 struct hf_memcache_client *client)
{
    client->call.complete = complete_refused;
    client->call.user = connection;
    if (hf_memcache_plan_refused(client))
        return hf_connection_submit(connection, &client->call) ? HF_FRONT_DONE : HF_FRONT_WAIT;
    write_refusal(connection, &client->request);
    return HF_FRONT_DONE;
}

/* ---- before the client is known ---- */

/* memcached's own way to say a password in text: the first value that is set, as "user password"
 * (doc/protocol.txt, "Authentication"). What else comes before it ends the connection. */
static enum hf_front_step authenticate(struct hf_connection *connection,
                                       const struct hf_memcache_request *request)
{
    struct hf_slice value = request->value;
    const char *blank = value.size > 0 ? memchr(value.bytes, ' ', value.size) : NULL;
    if (request->dialect == HF_MEMCACHE_BINARY) {
        hf_memcache_answer_plain(connection, request, HF_MEMCACHE_DENIED);
        return HF_FRONT_CLOSE;
    }
    if (request->operation != HF_MEMCACHE_SET || request->dialect != HF_MEMCACHE_TEXT) {
        hf_connection_write(connection, HF_SLICE("CLIENT_ERROR unauthenticated\r\n"));
        return HF_FRONT_CLOSE;
    }
    enum hf_connection_auth verdict = HF_CONNECTION_AUTH_WRONG;
    if (blank != NULL) {
        size_t user = (size_t)(blank - value.bytes);
        verdict = hf_connection_authenticate(connection, hf_slice(value.bytes, user),
                                             hf_slice(blank + 1, value.size - user - 1));
    }
    hf_connection_write(connection, verdict == HF_CONNECTION_AUTH_OK
                                        ? HF_SLICE("STORED\r\n")
                                        : HF_SLICE("CLIENT_ERROR authentication failure\r\n"));
    return verdict == HF_CONNECTION_AUTH_CLOSE ? HF_FRONT_CLOSE : HF_FRONT_DONE;
}

/* ---- what concerns no key ---- */

static void flush(struct hf_connection *connection, const struct hf_memcache_request *request)
{
    /* at once, or not at all: a store that empties itself later is nobody's wish */
    enum hf_operation_status status = request->exptime == 0
                                          ? hf_sessions_flush(hf_connection_sessions(connection))
                                          : HF_OPERATION_DENIED;
    hf_memcache_answer_plain(connection, request, hf_memcache_answer_status(request, status));
}

static enum hf_front_step carry_out(struct hf_connection *connection,
                                    struct hf_memcache_client *client)
{
    const struct hf_memcache_request *request = &client->request;
    if (request->operation == HF_MEMCACHE_REFUSED)
        return refuse(connection, client);
    if (hf_memcache_plan_has(request->operation))
        return start(connection, client);
    if (request->operation == HF_MEMCACHE_FLUSH)
        flush(connection, request);
    else if (request->operation == HF_MEMCACHE_STATS)
        hf_memcache_stats_write(connection, request);
    else
        hf_memcache_answer_plain(connection, request, HF_MEMCACHE_DONE);
    return request->operation == HF_MEMCACHE_QUIT ? HF_FRONT_CLOSE : HF_FRONT_DONE;
}

static enum hf_front_step feed(struct hf_connection *connection, struct hf_slice input,
                               size_t *ret_used)
{
    struct hf_memcache_client *client = hf_connection_state(connection);
    struct hf_memcache_request *request = &client->request;
    bool known = hf_connection_authenticated(connection);
    size_t value_max = hf_sessions_value_max(hf_connection_sessions(connection));
    struct hf_memcache_limits limits = {
        .value_size_max = (uint32_t)(known ? value_max : HF_MEMCACHE_UNKNOWN_VALUE_MAX)};
    enum hf_codec parsed =
        hf_memcache_parse(&client->parser, input.bytes, input.size, &limits, request);
    if (parsed == HF_CODEC_NEED_MORE) {
        hf_connection_need(connection, client->parser.needed);
        return HF_FRONT_MORE;
    }
    if (parsed == HF_CODEC_BAD) {
        write_refusal(connection, request);
        return HF_FRONT_CLOSE;
    }
    *ret_used = (size_t)request->size + request->discard;
    return known || request->operation == HF_MEMCACHE_QUIT ? carry_out(connection, client)
                                                           : authenticate(connection, request);
}

const struct hf_front hf_memcache_front = {
    .name = "memcached",
    .state_size = sizeof(struct hf_memcache_client),
    .shared_size = sizeof(struct hf_memcache_shared),
    .too_many = HF_SLICE("ERROR Too many open connections\r\n"),
    .feed = feed,
    .resume = go_on,
};
