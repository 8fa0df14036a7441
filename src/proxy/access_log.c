/* A line an exchange: who asked for what, which server answered, and why that one. */
#include "base/assert.h"
#include "base/log.h"
#include "proxy/client.h"
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

enum { VALUE_MAX = 1024 /* bytes of one text from the request that a line shows */ };

struct line {
    char text[HF_LOG_LINE_MAX];
    size_t size;
};

static void put(struct line *line, const char *bytes, size_t size)
{
    size_t room = sizeof(line->text) - line->size;
    if (size > room)
        size = room;
    memcpy(line->text + line->size, bytes, size);
    line->size += size;
}

__attribute__((format(printf, 2, 3))) static void put_format(struct line *line, const char *format,
                                                             ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    REQUIRE(size >= 0);
    put(line, text, (size_t)size < sizeof(text) ? (size_t)size : sizeof(text) - 1);
}

/* What a peer sent must not break out of its quotes nor be two things to two readers: everything
 * but printable ASCII is escaped (RFC 8259 7; Latin-1 for single bytes, as nobody can know better).
 */
static void put_escaped(struct line *line, struct hf_slice value)
{
    if (value.size > VALUE_MAX)
        value.size = VALUE_MAX;
    for (size_t i = 0; i < value.size; i++) {
        unsigned char byte = (unsigned char)value.bytes[i];
        if (byte == '"' || byte == '\\')
            put(line, (char[]){'\\', (char)byte}, 2);
        else if (byte >= 0x20 && byte < 0x7f)
            put(line, (const char *)&byte, 1);
        else
            put_format(line, "\\u%04x", byte);
    }
}

static struct hf_slice field(const struct hf_exchange *x, enum hf_field_id id)
{
    const struct hf_field *found = hf_head_find(&x->request, id);
    return found ? hf_field_value(&x->request, found) : HF_SLICE("");
}

static void put_json(struct line *line, const char *key, struct hf_slice value)
{
    put_format(line, ",\"%s\":\"", key);
    put_escaped(line, value);
    put(line, "\"", 1);
}

static const char *why(const struct hf_exchange *x)
{
    if (!x->pool)
        return "-";
    if (x->choice.strategy < 0 && x->choice.verdict == HF_AFFINITY_NONE)
        return "balanced";
    return hf_affinity_verdict_word((enum hf_affinity_verdict)x->choice.verdict);
}

static void json(const struct hf_exchange *x, struct line *line)
{
    uint64_t now_us = hf_loop_now_us(x->worker->loop);
    char when[32];
    struct tm tm;
    time_t wall = (time_t)hf_loop_wall_s(x->worker->loop);
    gmtime_r(&wall, &tm);
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
    put_format(line, "{\"time\":\"%s\"", when);
    put_json(line, "client", x->client_ip);
    put_json(line, "method", hf_head_span(&x->request, x->request.method_text));
    put_json(line, "host", hf_head_span(&x->request, x->request.authority));
    put_json(line, "path", hf_head_span(&x->request, x->request.path));
    put_format(line, ",\"status\":%u,\"received\":%llu,\"sent\":%llu", x->status,
               (unsigned long long)x->up.total, (unsigned long long)x->down.total);
    put_format(line, ",\"ms\":%.3f", (double)(now_us - x->start_us) / 1000);
    if (x->queued)
        put_format(line, ",\"queued_ms\":%llu", (unsigned long long)x->queued_ms);
    if (x->head_us > 0)
        put_format(line, ",\"server_ms\":%.3f", (double)(x->head_us - x->sent_us) / 1000);
    if (x->pool)
        put_json(line, "pool", hf_slice_text(x->pool->name));
    if (x->target)
        put_json(line, "server", hf_slice_text(x->target->server->name));
    put_json(line, "why", hf_slice_text(why(x)));
    if (x->moved)
        put(line, ",\"moved\":true", 13);
    if (x->outcome != HF_OUTCOME_NONE)
        put_json(line, "session", hf_slice_text(hf_outcome_word((enum hf_outcome)x->outcome)));
    if (x->tried_count > 0)
        put_format(line, ",\"tried\":%u", x->tried_count);
    put_json(line, "end", hf_slice_text(hf_end_word((enum hf_end)x->end)));
    if (x->reply_reason && x->status == x->reply_status)
        put_json(line, "reason", hf_slice_text(x->reply_reason));
    put(line, "}", 1);
}

static const char *moved_word(const struct hf_exchange *x)
{
    if (!x->moved)
        return "";
    return x->outcome == HF_OUTCOME_MOVED ? "+moved_to_copy" : "+moved";
}

/* The Combined Log Format of Apache httpd, then pool/server, why, end and milliseconds. */
static void common(const struct hf_exchange *x, struct line *line)
{
    char when[40];
    struct tm tm;
    time_t wall = (time_t)hf_loop_wall_s(x->worker->loop);
    gmtime_r(&wall, &tm);
    strftime(when, sizeof(when), "%d/%b/%Y:%H:%M:%S +0000", &tm);
    put(line, x->client_ip.bytes, x->client_ip.size);
    put_format(line, " - - [%s] \"", when);
    put_escaped(line, hf_head_span(&x->request, x->request.method_text));
    put(line, " ", 1);
    put_escaped(line, hf_head_span(&x->request, x->request.path));
    put_format(line, " HTTP/1.%u\" %u %llu \"", x->request.version_minor, x->status,
               (unsigned long long)x->down.total);
    put_escaped(line, field(x, HF_FIELD_REFERER));
    put(line, "\" \"", 3);
    put_escaped(line, field(x, HF_FIELD_USER_AGENT));
    put_format(line, "\" %s/%s %s%s %s %.3f", x->pool ? x->pool->name : "-",
               x->target ? x->target->server->name : "-", why(x), moved_word(x),
               hf_end_word((enum hf_end)x->end),
               (double)(hf_loop_now_us(x->worker->loop) - x->start_us) / 1000);
}

void hf_access_log(const struct hf_exchange *x)
{
    REQUIRE(HF_MAGIC_OK(x, HF_EXCHANGE_MAGIC));
    struct line line; /* 4 KiB: only its size needs a value */
    line.size = 0;
    if (x->snapshot->config->access_format == HF_ACCESS_JSON)
        json(x, &line);
    else
        common(x, &line);
    hf_log_line(HF_LOG_ACCESS, hf_slice(line.text, line.size));
}
