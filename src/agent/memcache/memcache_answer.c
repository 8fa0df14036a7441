#include "agent/memcache/memcache_internal.h"
#include "base/assert.h"

enum { ANSWER_END_MAX = 8 }; /* the end of a value's line, and "END" with its own */

/* A write that comes after the end of its session is over as well: a plain one is told that it was
 * done, any other that there is no such key. */
static enum hf_memcache_status dropped_status(const struct hf_memcache_request *request)
{
    if (request->operation == HF_MEMCACHE_ADD)
        return HF_MEMCACHE_PRESENT;
    bool plain = request->operation == HF_MEMCACHE_SET && !request->has_cas;
    return plain ? HF_MEMCACHE_DONE : HF_MEMCACHE_MISSING;
}

enum hf_memcache_status hf_memcache_answer_status(const struct hf_memcache_request *request,
                                                  enum hf_operation_status status)
{
    static const uint8_t statuses[HF_OPERATION_STATUS_COUNT] = {
        [HF_OPERATION_OK] = HF_MEMCACHE_DONE,
        [HF_OPERATION_MISSING] = HF_MEMCACHE_MISSING,
        [HF_OPERATION_EXISTS] = HF_MEMCACHE_PRESENT,
        [HF_OPERATION_MISMATCH] = HF_MEMCACHE_PRESENT,
        [HF_OPERATION_UNMET] = HF_MEMCACHE_PRESENT,
        [HF_OPERATION_WRONG_TYPE] = HF_MEMCACHE_WRONG_KIND,
        [HF_OPERATION_NOT_NUMBER] = HF_MEMCACHE_NOT_NUMERIC,
        [HF_OPERATION_OVERFLOW] = HF_MEMCACHE_NOT_NUMERIC,
        [HF_OPERATION_TOO_LARGE] = HF_MEMCACHE_VALUE_TOO_LARGE,
        [HF_OPERATION_TOO_MANY] = HF_MEMCACHE_NO_MEMORY,
        [HF_OPERATION_BAD_KEY] = HF_MEMCACHE_UNSURE,
        [HF_OPERATION_FULL] = HF_MEMCACHE_NO_MEMORY,
        [HF_OPERATION_UNSURE] = HF_MEMCACHE_UNSURE,
        [HF_OPERATION_DENIED] = HF_MEMCACHE_DENIED,
    };
    REQUIRE(status < HF_OPERATION_STATUS_COUNT);
    if (status == HF_OPERATION_DROPPED)
        return dropped_status(request);
    if (status == HF_OPERATION_EXISTS && request->operation == HF_MEMCACHE_GET)
        return HF_MEMCACHE_UNSURE; /* missing, and then it was there: ask again */
    return (enum hf_memcache_status)statuses[status];
}

/* Seconds until then, as memcached counts them: what was set a moment ago is whole. */
static int64_t ttl_s(uint64_t deadline_ms, uint64_t now_ms)
{
    if (deadline_ms == HF_DEADLINE_NEVER)
        return HF_MEMCACHE_FOREVER;
    return deadline_ms > now_ms ? (int64_t)((deadline_ms - now_ms + 999) / 1000) : 0;
}

/* Who makes the value anew: one client is told so, others that somebody does. */
static void give_token(struct hf_memcache_tokens *tokens, const struct hf_memcache_request *request,
                       struct hf_memcache_result *told, uint64_t deadline_ms)
{
    bool expires_soon = request->has_recache && told->ttl_s != HF_MEMCACHE_FOREVER &&
                        told->ttl_s < request->recache_s;
    told->sent = hf_memcache_tokens_sent(tokens, told->cas, deadline_ms);
    if (told->sent || told->cas == 0 || !(expires_soon || told->won))
        return;
    told->won = true;
    hf_memcache_tokens_send(tokens, told->cas, deadline_ms);
}

/* What mg and its like tell of a value that is there, or was made just now. */
static void tell_value(struct hf_connection *connection, const struct hf_memcache_client *client,
                       const struct hf_operation_result *result, struct hf_memcache_result *told)
{
    struct hf_memcache_shared *shared = hf_connection_shared(connection);
    const struct hf_operation *operation = &client->call.operation;
    bool sets_deadline =
        operation->kind == HF_OPERATION_EXPIRE || operation->kind == HF_OPERATION_SET;
    uint64_t deadline_ms =
        hf_deadline_clamp(sets_deadline ? operation->deadline_ms : result->deadline_ms);
    told->flags = result->client_flags;
    told->value = result->value;
    if (result->value.size == 0) /* its bytes may have stayed where they are */
        told->value =
            hf_slice(NULL, operation->flags & HF_OPERATION_NO_VALUE ? result->value_size : 0);
    told->ttl_s = ttl_s(deadline_ms, hf_sessions_now_ms(hf_connection_sessions(connection)));
    if (client->request.dialect != HF_MEMCACHE_META)
        return;
    told->won = client->stage == HF_MEMCACHE_STAGE_CREATE;
    give_token(&shared->tokens, &client->request, told, deadline_ms);
}

/* A value that is a hash is none that memcached could have. */
static enum hf_operation_status status_of(const struct hf_operation_result *result)
{
    bool hash = result->has_value && result->value_kind == HF_STORE_HASH;
    return hash ? HF_OPERATION_WRONG_TYPE : (enum hf_operation_status)result->status;
}

static struct hf_memcache_result tell(struct hf_connection *connection,
                                      const struct hf_memcache_client *client,
                                      const struct hf_operation_result *result)
{
    const struct hf_memcache_request *request = &client->request;
    struct hf_memcache_result told = {
        .status = (uint8_t)hf_memcache_answer_status(request, status_of(result)),
        .cas = result->cas,
        .number = result->number,
        .key = client->key,
    };
    bool looks = request->operation == HF_MEMCACHE_GET || request->operation == HF_MEMCACHE_DEBUG ||
                 request->operation == HF_MEMCACHE_TOUCH;
    if (told.status == HF_MEMCACHE_DONE && looks)
        tell_value(connection, client, result, &told);
    return told;
}

void hf_memcache_answer_write(struct hf_connection *connection, struct hf_memcache_client *client,
                              const struct hf_operation_result *result)
{
    const struct hf_memcache_request *request = &client->request;
    struct hf_memcache_result told = tell(connection, client, result);
    bool gets = request->operation == HF_MEMCACHE_GET;
    bool good = told.status == HF_MEMCACHE_DONE || told.status == HF_MEMCACHE_MISSING;
    size_t room = HF_MEMCACHE_HEAD_MAX + request->meta_flags.size + result->value.size;
    struct hf_writer writer = hf_connection_writer(connection, room + ANSWER_END_MAX);
    hf_memcache_write_result(&writer, request, &told);
    /* an error ends a row of keys, and stands for its END */
    bool more = gets && good && hf_memcache_next_key(&client->rest, &client->key);
    client->stage = more ? HF_MEMCACHE_STAGE_FIRST : HF_MEMCACHE_STAGE_OVER;
    if (gets && good && !more)
        hf_memcache_write_end(&writer, request);
    hf_connection_wrote(connection, &writer);
}

void hf_memcache_answer_plain(struct hf_connection *connection,
                              const struct hf_memcache_request *request,
                              enum hf_memcache_status status)
{
    struct hf_memcache_result told = {.status = (uint8_t)status};
    if (request->operation == HF_MEMCACHE_VERSION)
        told.value = HF_SLICE(HF_MEMCACHE_VERSION_TEXT);
    struct hf_writer writer =
        hf_connection_writer(connection, HF_MEMCACHE_HEAD_MAX + request->meta_flags.size);
    hf_memcache_write_result(&writer, request, &told);
    hf_connection_wrote(connection, &writer);
}
