/* Redis' side of a pipe: requests as commands, replies as results, and the greeting. */
#include "base/assert.h"
#include "base/hash.h"
#include "remote/pipe.h"
#include <inttypes.h>
#include <stdio.h>

enum {
    ITEMS_MAX = 1 << 17, /* of one reply: a hash's fields, and what stands around them */
    STAGE_HELLO = 0,
    STAGE_FENCE = 1,
};

enum greeting {
    GREETING_AUTH,
    GREETING_SELECT,
    GREETING_CLIENT_ID,
    GREETING_INFO,
    GREETING_ROLE,
    GREETING_KILL,
};

/* ---- requests ---- */

static void write_command(struct hf_resp_out *out, uint32_t arguments, const char *name)
{
    hf_resp_write_array(out, arguments);
    hf_resp_write_bulk(out, hf_slice_text(name));
}

static void write_number(struct hf_resp_out *out, uint64_t number)
{
    char text[HF_WRITER_DIGITS_MAX];
    struct hf_writer digits = hf_writer(text, sizeof(text));
    hf_writer_u64(&digits, number);
    hf_resp_write_bulk(out, hf_slice(text, digits.size));
}

static void write_fields(struct hf_resp_out *out, const char *name,
                         const struct hf_remote_request *request)
{
    write_command(out, 2 + request->field_count, name);
    hf_resp_write_bulk(out, request->key);
    for (uint32_t i = 0; i < request->field_count; i++)
        hf_resp_write_bulk(out, request->fields[i]);
}

/* The value and how long it lives, both of one moment. */
static unsigned write_load(struct hf_resp_out *out, const struct hf_remote_request *request)
{
    write_command(out, 1, "MULTI");
    write_command(out, 2, request->hash ? "HGETALL" : "GET");
    hf_resp_write_bulk(out, request->key);
    write_command(out, 2, "PTTL");
    hf_resp_write_bulk(out, request->key);
    write_command(out, 1, "EXEC");
    return 4;
}

static unsigned write_expire(struct hf_resp_out *out, const struct hf_remote_request *request)
{
    bool persists = request->ttl_ms == HF_REMOTE_NEVER;
    write_command(out, persists ? 2 : 3, persists ? "PERSIST" : "PEXPIRE");
    hf_resp_write_bulk(out, request->key);
    if (!persists)
        write_number(out, request->ttl_ms);
    return 1;
}

static unsigned write_key(struct hf_resp_out *out, const char *name, struct hf_slice key)
{
    write_command(out, 2, name);
    hf_resp_write_bulk(out, key);
    return 1;
}

static unsigned write_whole_hash(struct hf_resp_out *out, const struct hf_remote_request *request)
{
    unsigned replies = 4;
    write_command(out, 1, "MULTI");
    write_key(out, "DEL", request->key);
    write_fields(out, "HSET", request);
    if (request->ttl_ms != HF_REMOTE_NEVER)
        replies += write_expire(out, request);
    write_command(out, 1, "EXEC");
    return replies;
}

static unsigned write_put(struct hf_resp_out *out, const struct hf_remote_request *request)
{
    bool expires = request->ttl_ms != HF_REMOTE_NEVER;
    if (request->hash)
        return write_whole_hash(out, request);
    write_command(out, 3 + (expires ? 2 : 0) + (request->when != HF_REMOTE_ALWAYS), "SET");
    hf_resp_write_bulk(out, request->key);
    hf_resp_write_bulk(out, request->value);
    if (expires) {
        hf_resp_write_bulk(out, HF_SLICE("PX"));
        write_number(out, request->ttl_ms);
    }
    if (request->when != HF_REMOTE_ALWAYS)
        hf_resp_write_bulk(out,
                           request->when == HF_REMOTE_IF_NEW ? HF_SLICE("NX") : HF_SLICE("XX"));
    return 1;
}

static unsigned encode(const struct hf_remote_request *request, struct hf_writer *writer)
{
    struct hf_resp_out out = {.writer = *writer};
    unsigned replies = 1;
    if (request->asking)
        write_command(&out, 1, "ASKING");
    if (request->kind == HF_PIPE_TOPOLOGY) {
        write_key(&out, "CLUSTER", HF_SLICE("SLOTS"));
        *writer = out.writer;
        return replies;
    }
    switch ((enum hf_remote_kind)request->kind) {
    case HF_REMOTE_LOAD:
        replies = write_load(&out, request);
        break;
    case HF_REMOTE_PUT:
        replies = write_put(&out, request);
        break;
    case HF_REMOTE_DELETE:
        replies = write_key(&out, "DEL", request->key);
        break;
    case HF_REMOTE_EXPIRE:
        replies = write_expire(&out, request);
        break;
    case HF_REMOTE_HASH_SET:
        write_fields(&out, "HSET", request);
        break;
    case HF_REMOTE_HASH_DELETE:
        write_fields(&out, "HDEL", request);
        break;
    case HF_REMOTE_KINDS:
        REQUIRE(!"no request");
    }
    *writer = out.writer;
    return replies + request->asking;
}

static unsigned probe(struct hf_writer *writer)
{
    struct hf_resp_out out = {.writer = *writer};
    write_command(&out, 1, "PING");
    *writer = out.writer;
    return 1;
}

/* ---- replies ---- */

static enum hf_codec split(struct hf_pipe *pipe, struct hf_slice input, size_t *ret_used)
{
    static const struct hf_resp_reply_limits limits = {
        .bulk_size_max = HF_REMOTE_ANSWER_MAX,
        .reply_size_max = HF_REMOTE_ANSWER_MAX,
        .items_max = ITEMS_MAX,
    };
    enum hf_codec found =
        hf_resp_parse_reply(&pipe->parser, input.bytes, input.size, &limits, ret_used);
    pipe->needed = pipe->parser.needed;
    return found;
}

static struct hf_resp_item first_item(struct hf_slice reply, struct hf_resp_cursor *cursor)
{
    struct hf_resp_item item = {0};
    *cursor = (struct hf_resp_cursor){.reply = reply};
    (void)hf_resp_next_item(cursor, &item);
    return item;
}

static bool is_error(const struct hf_resp_item *item)
{
    return item->type == HF_RESP_ERROR || item->type == HF_RESP_BULK_ERROR;
}

static enum hf_remote_status note_error(struct hf_pipe *pipe, struct hf_slice text)
{
    if (hf_slice_starts(text, HF_SLICE("WRONGTYPE")))
        return HF_REMOTE_WRONG_TYPE;
    if (hf_slice_starts(text, HF_SLICE("READONLY")) && pipe->settings.kind == HF_STORE_URL_SENTINEL)
        pipe->misled = true;
    bool moved =
        hf_slice_starts(text, HF_SLICE("MOVED ")) || hf_slice_starts(text, HF_SLICE("ASK "));
    if (moved && pipe->moved != NULL) {
        pipe->moved(pipe, text);
        return HF_REMOTE_MOVED;
    }
    hf_pipe_note_trouble(pipe, "the store answers: %.*s", (int)(text.size < 100 ? text.size : 100),
                         text.bytes);
    return HF_REMOTE_REFUSED;
}

/* What EXEC answered: the value, then PTTL. */
static void fold_load(struct hf_pipe *pipe, struct hf_slice reply, struct hf_remote_result *result)
{
    struct hf_resp_cursor cursor;
    struct hf_resp_item item = first_item(reply, &cursor), last = {0};
    bool right = item.type == HF_RESP_ARRAY && item.number == 2;
    if (!right || !hf_resp_next_item(&cursor, &item)) {
        hf_pipe_note_trouble(pipe, "the store's EXEC answers something else");
        result->status = HF_REMOTE_REFUSED;
        return;
    }
    if (is_error(&item)) {
        result->status = (uint8_t)note_error(pipe, item.text);
        return;
    }
    bool hash = item.type == HF_RESP_ARRAY || item.type == HF_RESP_MAP;
    bool text = item.type == HF_RESP_BULK || item.type == HF_RESP_VERBATIM;
    if (!hash && !text && item.type != HF_RESP_NULL) {
        hf_pipe_note_trouble(pipe, "the store answers neither a value nor a hash");
        result->status = HF_REMOTE_REFUSED;
        return;
    }
    result->hash = hash;
    result->value = item.text;
    result->fields = cursor;
    result->field_count = hash ? (uint32_t)item.number / 2 : 0;
    bool none = item.type == HF_RESP_NULL || (hash && item.number == 0);
    result->status = none ? HF_REMOTE_MISSING : HF_REMOTE_OK;
    while (hf_resp_next_item(&cursor, &item))
        last = item;
    if (last.type == HF_RESP_INTEGER && last.number >= 0)
        result->ttl_ms = last.number > 0 ? (uint64_t)last.number : 1;
}

bool hf_remote_next_field(struct hf_remote_result *result, struct hf_slice *ret_name,
                          struct hf_slice *ret_value)
{
    struct hf_resp_item name, value;
    bool more = result->field_count > 0 && hf_resp_next_item(&result->fields, &name) &&
                hf_resp_next_item(&result->fields, &value);
    if (!more)
        return false;
    result->field_count--;
    *ret_name = name.text;
    *ret_value = value.text;
    return true;
}

static void fold(struct hf_pipe *pipe, struct hf_pipe_slot *slot, struct hf_slice reply,
                 struct hf_remote_result *result)
{
    struct hf_resp_cursor cursor;
    struct hf_resp_item item = first_item(reply, &cursor);
    if (is_error(&item) && slot->error == HF_REMOTE_OK)
        slot->error = (uint8_t)note_error(pipe, item.text);
    if (slot->replies > 0)
        return;
    result->status = slot->error;
    result->value = reply;
    if (slot->error != HF_REMOTE_OK || slot->kind == HF_PIPE_TOPOLOGY)
        return;
    switch ((enum hf_remote_kind)slot->kind) {
    case HF_REMOTE_LOAD:
        fold_load(pipe, reply, result);
        break;
    case HF_REMOTE_PUT:
        if (item.type == HF_RESP_NULL)
            result->status = HF_REMOTE_UNMET;
        break;
    case HF_REMOTE_EXPIRE: /* PERSIST answers 0 also where there was nothing to do */
        if (!slot->persists && item.type == HF_RESP_INTEGER && item.number == 0)
            result->status = HF_REMOTE_MISSING;
        break;
    case HF_REMOTE_DELETE:
    case HF_REMOTE_HASH_SET:
    case HF_REMOTE_HASH_DELETE:
    case HF_REMOTE_KINDS:
        break;
    }
}

/* ---- the greeting ---- */

static unsigned greet_first(struct hf_pipe *pipe, struct hf_resp_out *out)
{
    const struct hf_remote_settings *settings = &pipe->settings;
    unsigned count = 0;
    if (settings->password.size > 0) {
        write_command(out, settings->user.size > 0 ? 3 : 2, "AUTH");
        if (settings->user.size > 0)
            hf_resp_write_bulk(out, settings->user);
        hf_resp_write_bulk(out, settings->password);
        pipe->greetings[count++] = GREETING_AUTH;
    }
    if (settings->database != 0) {
        write_command(out, 2, "SELECT");
        write_number(out, settings->database);
        pipe->greetings[count++] = GREETING_SELECT;
    }
    write_command(out, 2, "CLIENT");
    hf_resp_write_bulk(out, HF_SLICE("ID"));
    pipe->greetings[count++] = GREETING_CLIENT_ID;
    write_key(out, "INFO", HF_SLICE("server"));
    pipe->greetings[count++] = GREETING_INFO;
    if (settings->kind == HF_STORE_URL_SENTINEL) {
        write_command(out, 1, "ROLE");
        pipe->greetings[count++] = GREETING_ROLE;
    }
    return count;
}

/* The connection before may have left requests that the server has not read yet: they must not
 * happen after ours. Numbers of clients are the server's own: not after it began anew. */
static unsigned greet_fence(struct hf_pipe *pipe, struct hf_resp_out *out)
{
    if (pipe->fence_id == 0 || pipe->identity == 0 || pipe->identity != pipe->was)
        return 0;
    write_command(out, 4, "CLIENT");
    hf_resp_write_bulk(out, HF_SLICE("KILL"));
    hf_resp_write_bulk(out, HF_SLICE("ID"));
    write_number(out, (uint64_t)pipe->fence_id);
    pipe->greetings[0] = GREETING_KILL;
    return 1;
}

static unsigned greet(struct hf_pipe *pipe, unsigned stage, struct hf_writer *writer)
{
    struct hf_resp_out out = {.writer = *writer};
    unsigned replies = 0;
    if (stage == STAGE_HELLO)
        replies = greet_first(pipe, &out);
    else if (stage == STAGE_FENCE)
        replies = greet_fence(pipe, &out);
    *writer = out.writer;
    return replies;
}

/* The run_id of INFO: another one each time that a server starts. 0: it has none. */
static uint64_t identity_of(struct hf_slice info)
{
    static const char name[] = "run_id:";
    const char *found = memmem(info.bytes, info.size, name, sizeof(name) - 1);
    if (found == NULL)
        return 0;
    const char *start = found + sizeof(name) - 1, *end = info.bytes + info.size, *at = start;
    while (at < end && *at != '\r' && *at != '\n')
        at++;
    return hf_hash64(hf_slice(start, (size_t)(at - start)), 0) | 1;
}

static bool greeted(struct hf_pipe *pipe, unsigned stage, unsigned index, struct hf_slice reply)
{
    struct hf_resp_cursor cursor;
    struct hf_resp_item item = first_item(reply, &cursor);
    bool text = item.type == HF_RESP_BULK || item.type == HF_RESP_VERBATIM;
    REQUIRE(index < HF_PIPE_GREETINGS_MAX);
    switch ((enum greeting)pipe->greetings[index]) {
    case GREETING_AUTH:
    case GREETING_SELECT:
        if (!is_error(&item))
            return true;
        (void)note_error(pipe, item.text);
        return false;
    case GREETING_CLIENT_ID: /* unknown to old servers, or not allowed: no fence then */
        pipe->client_id = item.type == HF_RESP_INTEGER ? item.number : 0;
        return true;
    case GREETING_INFO:
        pipe->identity = text ? identity_of(item.text) : 0;
        if (is_error(&item) && (hf_slice_starts(item.text, HF_SLICE("NOAUTH")) ||
                                hf_slice_starts(item.text, HF_SLICE("LOADING")))) {
            (void)note_error(pipe, item.text);
            return false;
        }
        /* It answers INFO, but nothing else yet. */
        if (text && memmem(item.text.bytes, item.text.size, "\nloading:1", 10) != NULL) {
            hf_pipe_note_trouble(pipe, "the store is loading its data");
            return false;
        }
        return true;
    case GREETING_ROLE:
        if (is_error(&item) || !hf_resp_next_item(&cursor, &item) ||
            hf_slice_equal(item.text, HF_SLICE("master")))
            return true;
        hf_pipe_note_trouble(pipe, "the sentinel names a server that is no master");
        return false;
    case GREETING_KILL: /* it is gone already, or we may not: nothing more can be done */
        break;
    }
    return true;
}

/* ---- a sentinel: where the master is ---- */

static unsigned sentinel_greet(struct hf_pipe *pipe, unsigned stage, struct hf_writer *writer)
{
    struct hf_resp_out out = {.writer = *writer};
    if (stage > 0)
        return 0;
    write_command(&out, 3, "SENTINEL");
    hf_resp_write_bulk(&out, HF_SLICE("get-master-addr-by-name"));
    hf_resp_write_bulk(&out, pipe->settings.master);
    *writer = out.writer;
    return 1;
}

static bool sentinel_greeted(struct hf_pipe *pipe, unsigned stage, unsigned index,
                             struct hf_slice reply)
{
    struct hf_resp_cursor cursor;
    struct hf_resp_item item = first_item(reply, &cursor), host, port;
    char text[HF_ADDRESS_TEXT_MAX];
    (void)stage;
    (void)index;
    bool named = item.type == HF_RESP_ARRAY && item.number == 2 &&
                 hf_resp_next_item(&cursor, &host) && hf_resp_next_item(&cursor, &port);
    if (!named) {
        hf_pipe_note_trouble(pipe, "the sentinel knows no master '%.*s'",
                             (int)pipe->settings.master.size, pipe->settings.master.bytes);
        return false;
    }
    bool six = host.text.size > 0 && memchr(host.text.bytes, ':', host.text.size) != NULL;
    int size = snprintf(text, sizeof(text), six ? "[%.*s]:%.*s" : "%.*s:%.*s", (int)host.text.size,
                        host.text.bytes, (int)port.text.size, port.text.bytes);
    bool fits = size > 0 && (size_t)size < sizeof(text);
    pipe->guided = fits && hf_address_parse(hf_slice(text, (size_t)size), &pipe->address) == 0;
    if (!pipe->guided)
        hf_pipe_note_trouble(pipe, "the sentinel names '%.100s', which is no numeric address",
                             text);
    return pipe->guided;
}

const struct hf_pipe_codec hf_sentinel_codec = {
    .name = "Redis",
    .split = split,
    .greet = sentinel_greet,
    .greeted = sentinel_greeted,
};

const struct hf_pipe_codec hf_redis_codec = {
    .name = "Redis",
    .encode = encode,
    .probe = probe,
    .split = split,
    .fold = fold,
    .greet = greet,
    .greeted = greeted,
};
