#include "upstream/probe.h"

#include "base/assert.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct hf_probe *of_event(struct hf_event *event)
{
    struct hf_conn *conn = hf_container_of(event, struct hf_conn, event);
    return hf_container_of(conn, struct hf_probe, conn);
}

static void end(struct hf_probe *probe)
{
    probe->running = false;
    hf_timer_cancel(hf_loop_timers(probe->conn.loop), &probe->deadline);
    hf_conn_close(&probe->conn);
}

static void finish(struct hf_probe *probe, enum hf_probe_result result, const char *reason)
{
    REQUIRE(probe->running);
    end(probe);
    probe->done(probe, result, reason);
}

/* What our own process lacks is not the server's fault. */
static bool our_own(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS ||
           error == -EADDRNOTAVAIL;
}

static enum hf_probe_result describe(int error, char reason[HF_PROBE_REASON_MAX])
{
    const char *text = strerrordesc_np(-error);
    snprintf(reason, HF_PROBE_REASON_MAX, "%s", text != NULL ? text : "unknown error");
    reason[0] = (char)tolower((unsigned char)reason[0]);
    return our_own(error) ? HF_PROBE_UNDECIDED : HF_PROBE_FAILED;
}

static void finish_error(struct hf_probe *probe, int error)
{
    char reason[HF_PROBE_REASON_MAX];
    enum hf_probe_result result = describe(error, reason);
    finish(probe, result, reason);
}

static void on_deadline(struct hf_timer *timer)
{
    struct hf_probe *probe = hf_container_of(timer, struct hf_probe, deadline);
    char reason[HF_PROBE_REASON_MAX];
    snprintf(reason, sizeof(reason), "timeout after %u ms", probe->settings->timeout_ms);
    finish(probe, HF_PROBE_FAILED, reason);
}

static void judge(struct hf_probe *probe)
{
    const struct hf_health_check *settings = probe->settings;
    unsigned status = probe->head.status;
    if (status >= settings->expect_low && status <= settings->expect_high) {
        finish(probe, HF_PROBE_OK, "");
        return;
    }
    char reason[HF_PROBE_REASON_MAX];
    snprintf(reason, sizeof(reason), "status %u, expected %u-%u", status, settings->expect_low,
             settings->expect_high);
    finish(probe, HF_PROBE_FAILED, reason);
}

/* Looks at what has come. False: the probe is finished. */
static bool parse(struct hf_probe *probe)
{
    static const struct hf_http1_limits limits = {.head_size_max = HF_PROBE_ANSWER_MAX,
                                                  .fields_max = HF_FIELDS_MAX};
    for (;;) {
        struct hf_slice input = hf_conn_input(&probe->conn);
        if (input.size == 0)
            return true;
        enum hf_codec codec = hf_http1_parse_response(&probe->parser, &probe->head, input.bytes,
                                                      input.size, HF_METHOD_GET, &limits);
        if (codec == HF_CODEC_NEED_MORE)
            return true;
        if (codec == HF_CODEC_BAD) {
            char reason[HF_PROBE_REASON_MAX];
            snprintf(reason, sizeof(reason), "malformed answer: %s",
                     hf_http1_reason_word((enum hf_http1_reason)probe->parser.reason));
            finish(probe, HF_PROBE_FAILED, reason);
            return false;
        }
        if (probe->head.status >= 200 || probe->head.status == 101) {
            judge(probe);
            return false;
        }
        hf_conn_consume(&probe->conn, probe->head.size); /* RFC 9110 15.2: the answer follows */
        probe->parser = (struct hf_http1_parser){0};
    }
}

static void read_answer(struct hf_probe *probe)
{
    while (probe->conn.can_read || probe->conn.broken) {
        ssize_t got = hf_conn_receive(&probe->conn, HF_PROBE_ANSWER_MAX);
        if (got == -EAGAIN)
            return;
        if (got == 0) {
            finish(probe, HF_PROBE_FAILED, "the connection was closed before an answer");
            return;
        }
        if (got < 0) {
            finish_error(probe, (int)got);
            return;
        }
        if (!parse(probe))
            return;
    }
}

/* Host is the configured name, else the address; a socket file has none (RFC 9112 3.2). */
static void format_host(const struct hf_probe *probe, char *out, size_t room)
{
    char address[HF_ADDRESS_TEXT_MAX] = "localhost";
    if (probe->address->any.sa_family != AF_UNIX)
        hf_address_format(probe->address, address);
    snprintf(out, room, "%s", probe->settings->host != NULL ? probe->settings->host : address);
}

static int ask(struct hf_probe *probe)
{
    struct hf_buffer *out = hf_conn_output(&probe->conn);
    if (out == NULL)
        return -ENOBUFS;
    char host[512];
    format_host(probe, host, sizeof(host));
    int size = snprintf(out->bytes + out->end, hf_buffer_room(out),
                        "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: holdfast-check\r\n"
                        "Connection: close\r\n\r\n",
                        probe->settings->path, host);
    REQUIRE(size > 0 && (size_t)size < hf_buffer_room(out));
    out->end += (uint32_t)size;
    return 0;
}

/* 0 = connected, -EINPROGRESS, or why not. */
static int connect_result(struct hf_probe *probe)
{
    if (probe->connected)
        return 0;
    int result = hf_conn_connect_result(&probe->conn);
    if (result == 0 && probe->settings->kind == HF_CHECK_HTTP)
        result = ask(probe);
    probe->connected = result == 0;
    return result;
}

static void on_ready(struct hf_event *event, unsigned ready)
{
    struct hf_probe *probe = of_event(event);
    hf_conn_note_ready(&probe->conn, ready);
    int result = connect_result(probe);
    if (result == -EINPROGRESS)
        return;
    if (result == 0 && probe->settings->kind != HF_CHECK_HTTP) {
        finish(probe, HF_PROBE_OK, "");
        return;
    }
    if (result == 0 && hf_conn_has_output(&probe->conn))
        result = hf_conn_flush(&probe->conn, false);
    if (result < 0 && result != -EAGAIN)
        finish_error(probe, result);
    else
        read_answer(probe);
}

static void on_closed(struct hf_event *event)
{
    struct hf_probe *probe = of_event(event);
    probe->open = false;
    probe->closed(probe);
}

static void fail_start(struct hf_probe *probe, int error)
{
    char reason[HF_PROBE_REASON_MAX];
    enum hf_probe_result result = describe(error, reason);
    probe->done(probe, result, reason);
}

void hf_probe_start(struct hf_probe *probe, struct hf_loop *loop, struct hf_buffer_pool *buffers)
{
    REQUIRE(!probe->open && !probe->running);
    REQUIRE(probe->settings->kind != HF_CHECK_NONE && probe->done != NULL);
    int fd = hf_connect_start(probe->address);
    if (fd < 0) {
        fail_start(probe, fd);
        return;
    }
    int result = hf_conn_open(&probe->conn, loop, buffers, fd, on_ready, on_closed);
    if (result < 0) {
        close(fd);
        fail_start(probe, result);
        return;
    }
    probe->open = probe->running = true;
    probe->connected = false;
    probe->parser = (struct hf_http1_parser){0};
    probe->deadline.expired = on_deadline;
    hf_timer_set(hf_loop_timers(loop), &probe->deadline,
                 hf_loop_now_ms(loop) + probe->settings->timeout_ms);
}

void hf_probe_cancel(struct hf_probe *probe)
{
    if (probe->running)
        end(probe);
}
