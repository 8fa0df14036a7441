/* memcached's side of a pipe: the meta protocol, so a server from 1.6 on. */
#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "proto/memcache_reply.h"
#include "remote/pipe.h"

enum {
    KEY_MAX = 250,
    RELATIVE_S_MAX = 30 * 24 * 3600, /* longer times are dates since 1970 */
    MS_PER_S = 1000,
};

/* ---- requests ---- */

static void write_base64(struct hf_writer *writer, struct hf_slice bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t at = 0; at < bytes.size; at += 3) {
        size_t left = bytes.size - at < 3 ? bytes.size - at : 3;
        uint32_t bits = 0;
        for (size_t i = 0; i < 3; i++)
            bits = bits << 8 | (i < left ? (uint8_t)bytes.bytes[at + i] : 0);
        for (size_t i = 0; i < 4; i++)
            hf_writer_byte(writer, i <= left ? digits[bits >> (18 - 6 * i) & 63] : '=');
    }
}

/* Whether it can stand in a line as it is. */
static bool is_plain(struct hf_slice key)
{
    for (size_t i = 0; i < key.size; i++)
        if ((uint8_t)key.bytes[i] <= ' ' || key.bytes[i] == 0x7f)
            return false;
    return true;
}

/* "mg KEY", and what says that the key is encoded. */
static void write_head(struct hf_writer *writer, const char *command, struct hf_slice key,
                       const uint64_t *size)
{
    bool plain = is_plain(key);
    hf_writer_text(writer, command);
    hf_writer_byte(writer, ' ');
    if (plain)
        hf_writer_slice(writer, key);
    else
        write_base64(writer, key);
    if (size != NULL) {
        hf_writer_byte(writer, ' ');
        hf_writer_u64(writer, *size);
    }
    if (!plain)
        hf_writer_text(writer, " b");
}

static void write_flag(struct hf_writer *writer, char flag, uint64_t number)
{
    hf_writer_byte(writer, ' ');
    hf_writer_byte(writer, flag);
    hf_writer_u64(writer, number);
}

static void write_ttl(struct hf_writer *writer, uint64_t ttl_ms)
{
    uint64_t seconds = 0; /* for ever */
    if (ttl_ms != HF_REMOTE_NEVER)
        seconds = (ttl_ms + MS_PER_S - 1) / MS_PER_S;
    if (seconds > RELATIVE_S_MAX)
        seconds += hf_clock_wall_s();
    if (seconds > INT32_MAX) /* it knows no later date */
        seconds = INT32_MAX;
    write_flag(writer, 'T', seconds);
}

static void write_put(struct hf_writer *writer, const struct hf_remote_request *request)
{
    uint64_t size = request->value.size;
    write_head(writer, "ms", request->key, &size);
    write_flag(writer, 'F', request->client_flags);
    write_ttl(writer, request->ttl_ms);
    if (request->token != 0)
        write_flag(writer, 'C', request->token);
    if (request->when == HF_REMOTE_IF_NEW)
        hf_writer_text(writer, " ME");
    else if (request->when == HF_REMOTE_IF_EXISTS)
        hf_writer_text(writer, " MR");
    hf_writer_text(writer, "\r\n");
    hf_writer_slice(writer, request->value);
    hf_writer_text(writer, "\r\n");
}

static unsigned encode(const struct hf_remote_request *request, struct hf_writer *writer)
{
    size_t size = request->key.size;
    if (!is_plain(request->key))
        size = (size + 2) / 3 * 4;
    if (size > KEY_MAX || (request->kind == HF_REMOTE_PUT && request->hash))
        return 0;
    switch ((enum hf_remote_kind)request->kind) {
    case HF_REMOTE_LOAD:
        write_head(writer, "mg", request->key, NULL);
        hf_writer_text(writer, " v f t c\r\n");
        return 1;
    case HF_REMOTE_PUT:
        write_put(writer, request);
        return 1;
    case HF_REMOTE_DELETE:
        write_head(writer, "md", request->key, NULL);
        if (request->token != 0)
            write_flag(writer, 'C', request->token);
        hf_writer_text(writer, "\r\n");
        return 1;
    case HF_REMOTE_EXPIRE:
        write_head(writer, "mg", request->key, NULL);
        write_ttl(writer, request->ttl_ms);
        hf_writer_text(writer, "\r\n");
        return 1;
    case HF_REMOTE_HASH_SET:
    case HF_REMOTE_HASH_DELETE:
    case HF_REMOTE_KINDS:
        break;
    }
    return 0;
}

static unsigned probe(struct hf_writer *writer)
{
    hf_writer_text(writer, "mn\r\n");
    return 1;
}

/* ---- replies ---- */

static enum hf_codec split(struct hf_pipe *pipe, struct hf_slice input, size_t *ret_used)
{
    struct hf_memcache_reply reply;
    return hf_memcache_parse_reply(input, HF_REMOTE_ANSWER_MAX, &reply, ret_used, &pipe->needed);
}

static struct hf_memcache_reply parse(struct hf_slice bytes)
{
    struct hf_memcache_reply reply;
    size_t used, needed;
    enum hf_codec found =
        hf_memcache_parse_reply(bytes, HF_REMOTE_ANSWER_MAX, &reply, &used, &needed);
    REQUIRE(found == HF_CODEC_DONE);
    return reply;
}

static void note_error(struct hf_pipe *pipe, struct hf_slice text)
{
    hf_pipe_note_trouble(pipe, "the store answers: %.*s", (int)(text.size < 100 ? text.size : 100),
                         text.bytes);
}

static void fold(struct hf_pipe *pipe, struct hf_pipe_slot *slot, struct hf_slice bytes,
                 struct hf_remote_result *result)
{
    struct hf_memcache_reply reply = parse(bytes);
    result->status = HF_REMOTE_OK;
    switch ((enum hf_memcache_reply_kind)reply.kind) {
    case HF_MEMCACHE_REPLY_VALUE:
        result->client_flags = reply.flags;
        result->value = reply.value;
        result->token = reply.cas;
        if (reply.ttl_s >= 0)
            result->ttl_ms = (uint64_t)(reply.ttl_s > 0 ? reply.ttl_s : 1) * MS_PER_S;
        break;
    case HF_MEMCACHE_REPLY_MISSING:
        if (slot->kind == HF_REMOTE_LOAD || slot->kind == HF_REMOTE_EXPIRE)
            result->status = HF_REMOTE_MISSING;
        else if (slot->kind == HF_REMOTE_PUT)
            result->status = HF_REMOTE_UNMET;
        break;
    case HF_MEMCACHE_REPLY_UNMET:
        result->status = HF_REMOTE_UNMET;
        break;
    case HF_MEMCACHE_REPLY_ERROR:
        note_error(pipe, reply.text);
        result->status = HF_REMOTE_REFUSED;
        break;
    case HF_MEMCACHE_REPLY_DONE:
    case HF_MEMCACHE_REPLY_NOOP:
    case HF_MEMCACHE_REPLY_STATS:
        if (slot->kind == HF_REMOTE_LOAD) { /* no value, and no word that there is none */
            hf_pipe_note_trouble(pipe, "the store answers something else to mg");
            result->status = HF_REMOTE_REFUSED;
        }
        break;
    }
}

/* ---- the greeting ---- */

static unsigned greet(struct hf_pipe *pipe, unsigned stage, struct hf_writer *writer)
{
    (void)pipe;
    if (stage > 0)
        return 0;
    hf_writer_text(writer, "stats\r\n");
    return 1;
}

static bool read_stat(struct hf_slice stats, const char *name, uint64_t *ret_number)
{
    struct hf_slice value;
    return hf_memcache_find_stat(stats, hf_slice_text(name), &value) &&
           hf_slice_to_u64(value, ret_number);
}

/* Which process it is: its number, and when it began. */
static bool greeted(struct hf_pipe *pipe, unsigned stage, unsigned index, struct hf_slice bytes)
{
    struct hf_memcache_reply reply = parse(bytes);
    uint64_t pid, now_s, uptime_s;
    (void)stage;
    (void)index;
    if (reply.kind != HF_MEMCACHE_REPLY_STATS) {
        note_error(pipe, reply.kind == HF_MEMCACHE_REPLY_ERROR ? reply.text : HF_SLICE("no stats"));
        return false;
    }
    bool whole = read_stat(reply.text, "pid", &pid) && read_stat(reply.text, "time", &now_s) &&
                 read_stat(reply.text, "uptime", &uptime_s);
    pipe->identity = whole ? hf_hash_mix(pid, now_s - uptime_s) | 1 : 0;
    return true;
}

const struct hf_pipe_codec hf_memcached_codec = {
    .name = "memcached (1.6 or later)",
    .encode = encode,
    .probe = probe,
    .split = split,
    .fold = fold,
    .greet = greet,
    .greeted = greeted,
};
