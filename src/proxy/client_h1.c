#include "proxy/client_h1.h"
#include "base/assert.h"
#include "proxy/content.h"
#include <errno.h>
#include <unistd.h>

static struct hf_client_h1 *client_of(struct hf_event *event)
{
    struct hf_client_h1 *client =
        hf_container_of(hf_container_of(event, struct hf_conn, event), struct hf_client_h1, conn);
    REQUIRE(HF_MAGIC_OK(client, HF_CLIENT_H1_MAGIC));
    return client;
}

static void set_timer(struct hf_client_h1 *client, uint64_t delay_ms)
{
    hf_timer_set(hf_loop_timers(client->worker->loop), &client->timer,
                 hf_loop_now_ms(client->worker->loop) + delay_ms);
}

static const struct hf_timeouts *timeouts_of(const struct hf_client_h1 *client)
{
    return &client->worker->snapshot->config->timeouts;
}

static void client_closed(struct hf_event *event)
{
    struct hf_client_h1 *client = client_of(event);
    struct hf_worker *worker = client->worker;
    REQUIRE(client->phase == HF_CLIENT_CLOSED && !client->exchange);
    client->magic = 0;
    hf_slab_release(&worker->clients, &client);
}

void hf_client_h1_close(struct hf_client_h1 *client, bool reset)
{
    REQUIRE(HF_MAGIC_OK(client, HF_CLIENT_H1_MAGIC));
    if (client->phase == HF_CLIENT_CLOSED)
        return;
    struct hf_worker *worker = client->worker;
    if (client->phase == HF_CLIENT_TUNNEL)
        hf_tunnel_end(client);
    client->phase = HF_CLIENT_CLOSED;
    if (client->exchange)
        hf_exchange_discard(&client->exchange);
    hf_timer_cancel(hf_loop_timers(worker->loop), &client->timer);
    hf_list_remove(&client->node);
    hf_worker_gauge(worker, HF_PROXY_CONNECTIONS_OPEN, -1);
    if (reset)
        hf_conn_reset(&client->conn);
    else
        hf_conn_close(&client->conn);
    hf_worker_client_ended(worker);
}

static void drop_input(struct hf_client_h1 *client)
{
    size_t size = hf_conn_input(&client->conn).size;
    if (size > 0)
        hf_conn_consume(&client->conn, size);
}

/* Takes and drops what a refused client still sends: closing with unread bytes would reset the
 * connection and the client might never read its answer (RFC 9112 9.6). */
static void linger(struct hf_client_h1 *client)
{
    while (client->conn.can_read && !client->conn.read_ended && !client->conn.broken) {
        ssize_t got = hf_conn_receive(&client->conn, HF_CONTENT_RECEIVE_MAX);
        if (got <= 0)
            break;
        client->lingered += (uint32_t)got;
        drop_input(client);
        if (client->lingered > HF_LINGER_BYTES)
            break;
    }
    if (client->conn.read_ended || client->conn.broken || client->lingered > HF_LINGER_BYTES)
        hf_client_h1_close(client, false);
}

static void start_linger(struct hf_client_h1 *client)
{
    client->phase = HF_CLIENT_LINGER;
    drop_input(client);
    if (hf_conn_shutdown_write(&client->conn) < 0) {
        hf_client_h1_close(client, false);
        return;
    }
    set_timer(client, HF_LINGER_MS);
    linger(client);
}

/* The head is complete: its bytes get a buffer of their own until the exchange ends, what follows
 * them moves to a new one. */
static bool detach_head(struct hf_client_h1 *client, struct hf_exchange *x)
{
    struct hf_conn *conn = &client->conn;
    struct hf_slice input = hf_conn_input(conn);
    struct hf_slice rest = hf_slice(input.bytes + x->request.size, input.size - x->request.size);
    struct hf_buffer *head_buffer = conn->in;
    conn->in = NULL;
    x->head_buffer = head_buffer;
    if (rest.size == 0)
        return true;
    conn->in = hf_buffer_borrow(conn->buffers);
    return conn->in && hf_buffer_append(conn->in, rest);
}

static void start_exchange(struct hf_client_h1 *client)
{
    struct hf_exchange *x = client->exchange;
    client->phase = HF_CLIENT_BUSY;
    client->had_request = true;
    x->start_us = hf_loop_now_us(client->worker->loop);
    x->client_keep_alive = x->request.keep_alive;
    hf_content_start(&x->up, (enum hf_body)x->request.body, x->request.content_length);
    if (!detach_head(client, x)) {
        hf_worker_count(client->worker, HF_PROXY_NO_MEMORY);
        hf_client_h1_close(client, false);
    }
}

static void refuse_head(struct hf_client_h1 *client, unsigned status, const char *reason)
{
    struct hf_exchange *x = client->exchange;
    client->phase = HF_CLIENT_BUSY;
    x->start_us = hf_loop_now_us(client->worker->loop);
    x->request.base = "";
    x->request.field_count = 0;
    x->request.method = HF_METHOD_OTHER;
    x->request.upgrade = false;
    x->request.method_text = x->request.path = x->request.authority = (struct hf_span){0, 0};
    x->request.version_minor = 1;
    x->client_keep_alive = false; /* up.ended stays false: nothing after it can be trusted */
    x->step = hf_reply_with(x, status, reason);
}

/* First byte of a request: from here on an exchange is held. */
static bool begin_head(struct hf_client_h1 *client)
{
    client->exchange = hf_exchange_new(client->worker, &hf_client_h1_side, client);
    if (!client->exchange) {
        hf_worker_count(client->worker, HF_PROXY_NO_MEMORY);
        hf_client_h1_close(client, false);
        return false;
    }
    client->exchange->peer = &client->peer;
    client->exchange->peer_ip = hf_slice(client->peer_ip, client->peer_ip_size);
    client->parser = (struct hf_http1_parser){0};
    client->phase = HF_CLIENT_HEAD;
    return true;
}

/* Parses what has come. True: the exchange is ready to run, with a request or a refusal. */
static bool parse_head(struct hf_client_h1 *client)
{
    struct hf_exchange *x = client->exchange;
    struct hf_slice input = hf_conn_input(&client->conn);
    switch (hf_http1_parse_request(&client->parser, &x->request, input.bytes, input.size,
                                   &x->snapshot->limits)) {
    case HF_CODEC_NEED_MORE:
        return false;
    case HF_CODEC_DONE:
        start_exchange(client);
        return client->phase == HF_CLIENT_BUSY;
    case HF_CODEC_BAD:
        break;
    }
    enum hf_http1_reason reason = (enum hf_http1_reason)client->parser.reason;
    hf_count(&client->worker->counts.bad_requests[reason]);
    refuse_head(client, hf_http1_reason_status(reason), hf_http1_reason_word(reason));
    return true;
}

/* Receives and parses until a head is complete. False: more must come, or the client is closed. */
static bool read_head(struct hf_client_h1 *client)
{
    struct hf_conn *conn = &client->conn;
    bool unparsed = hf_conn_input(conn).size > 0 && client->phase == HF_CLIENT_IDLE;
    for (;;) {
        if (!unparsed) {
            if (!conn->can_read && !conn->read_ended)
                return false;
            if (client->phase == HF_CLIENT_IDLE)
                hf_affinity_announce(&client->worker->snapshot->affinity, &client->peer);
            ssize_t got = conn->read_ended ? 0 : hf_conn_receive(conn, HF_CONTENT_RECEIVE_MAX);
            if (got == -EAGAIN)
                return false;
            if (got <= 0) {
                hf_client_h1_close(client, false);
                return false;
            }
        }
        unparsed = false;
        bool first = client->phase == HF_CLIENT_IDLE;
        if (first && !begin_head(client))
            return false;
        if (parse_head(client))
            return true;
        if (client->phase != HF_CLIENT_HEAD)
            return false;
        if (first)
            set_timer(client, timeouts_of(client)->client_head);
    }
}

static void wake(struct hf_client_h1 *client)
{
    REQUIRE(HF_MAGIC_OK(client, HF_CLIENT_H1_MAGIC));
    for (unsigned i = 0; i < HF_PIPELINE_BURST; i++) {
        if (client->phase != HF_CLIENT_BUSY && !read_head(client))
            return;
        hf_exchange_run(client->exchange);
        if (client->phase != HF_CLIENT_IDLE)
            return;
    }
    hf_event_again(client->worker->loop, &client->conn.event, HF_WRITABLE);
}

static void client_ready(struct hf_event *event, unsigned ready)
{
    struct hf_client_h1 *client = client_of(event);
    hf_conn_note_ready(&client->conn, ready);
    switch (client->phase) {
    case HF_CLIENT_TUNNEL:
        hf_tunnel_run(client);
        break;
    case HF_CLIENT_LINGER:
        linger(client);
        break;
    case HF_CLIENT_CLOSED:
        break;
    default:
        wake(client);
        break;
    }
}

static void client_expired(struct hf_timer *timer)
{
    struct hf_client_h1 *client = hf_container_of(timer, struct hf_client_h1, timer);
    REQUIRE(HF_MAGIC_OK(client, HF_CLIENT_H1_MAGIC));
    switch (client->phase) {
    case HF_CLIENT_HEAD:
        hf_worker_count(client->worker, HF_PROXY_CUT_HEAD);
        refuse_head(client, 408, "the request head came too slowly");
        hf_exchange_run(client->exchange);
        break;
    case HF_CLIENT_BUSY: /* the exchange has its own deadline */
        break;
    case HF_CLIENT_TUNNEL:
        hf_tunnel_expired(client);
        break;
    default:
        hf_client_h1_close(client, false);
        break;
    }
}

void hf_client_h1_accept(struct hf_worker *worker, int fd, const struct hf_address *peer)
{
    struct hf_client_h1 *client = hf_slab_acquire(&worker->clients);
    if (!client) {
        hf_worker_count(worker, HF_PROXY_NO_MEMORY);
        close(fd);
        hf_worker_client_ended(worker);
        return;
    }
    *client = (struct hf_client_h1){.magic = HF_CLIENT_H1_MAGIC, .worker = worker, .peer = *peer};
    char ip[HF_ADDRESS_TEXT_MAX];
    size_t size = hf_address_format_ip(peer, ip);
    client->peer_ip_size = (uint8_t)(size < sizeof(client->peer_ip) ? size : 0);
    memcpy(client->peer_ip, ip, client->peer_ip_size);
    client->timer.expired = client_expired;
    int result = hf_conn_open(&client->conn, worker->loop, &worker->buffers, fd, client_ready,
                              client_closed);
    if (result < 0) {
        close(fd);
        hf_slab_release(&worker->clients, &client);
        hf_worker_client_ended(worker);
        return;
    }
    client->conn.can_write = true; /* accepted sockets are connected */
    hf_list_push_back(&worker->client_list, &client->node);
    hf_worker_count(worker, HF_PROXY_CONNECTIONS);
    hf_worker_gauge(worker, HF_PROXY_CONNECTIONS_OPEN, 1);
    set_timer(client, timeouts_of(client)->client_head);
}

void hf_client_h1_drain(struct hf_client_h1 *client, bool force)
{
    bool idle = client->phase == HF_CLIENT_IDLE && hf_conn_input(&client->conn).size == 0;
    if (!force && !idle)
        return;
    if (!force && !client->had_request) { /* one is probably on its way */
        set_timer(client, HF_DRAIN_FRESH_MS);
        return;
    }
    if (client->phase == HF_CLIENT_BUSY)
        hf_exchange_abort(client->exchange, HF_END_SHUTDOWN);
    hf_client_h1_close(client, false);
}

/* --- the side as the steps see it --- */

static enum hf_flow side_read_content(struct hf_exchange *x, struct hf_slice *ret_piece)
{
    return hf_content_read(&x->up, &x->client->conn, ret_piece);
}

static void side_consume(struct hf_exchange *x)
{
    hf_content_consume(&x->up, &x->client->conn);
}

static bool stage_text(struct hf_exchange *x, struct hf_slice text)
{
    struct hf_buffer *out = hf_conn_output(&x->client->conn);
    return out && hf_buffer_append(out, text);
}

static bool side_send_continue(struct hf_exchange *x)
{
    return stage_text(x, HF_SLICE("HTTP/1.1 100 Continue\r\n\r\n")) &&
           hf_content_flush(&x->client->conn) != HF_FLOW_GONE;
}

/* How content of this answer is framed for this client; settles keep-alive with it. */
static void settle_framing(struct hf_exchange *x, const struct hf_outgoing *outgoing)
{
    x->down_framing = outgoing->body;
    if (outgoing->body == HF_BODY_CHUNKED && x->request.version_minor == 0) {
        x->down_framing = HF_BODY_UNTIL_CLOSE;
        x->client_keep_alive = false;
    }
    if (outgoing->close || x->worker->draining)
        x->client_keep_alive = false;
}

static void write_status(struct hf_http1_writer *writer, const struct hf_outgoing *outgoing)
{
    hf_http1_write(writer, HF_SLICE("HTTP/1.1 "));
    hf_http1_write_u64(writer, outgoing->status);
    hf_http1_write(writer, HF_SLICE(" "));
    if (outgoing->head)
        hf_http1_write(writer, hf_head_span(outgoing->head, outgoing->head->reason_phrase));
    else
        hf_http1_write(writer, hf_slice_text(hf_status_phrase(outgoing->status)));
    hf_http1_write(writer, HF_SLICE("\r\n"));
}

static void write_connection(struct hf_http1_writer *writer, const struct hf_exchange *x,
                             const struct hf_outgoing *outgoing)
{
    if (outgoing->upgrade)
        hf_http1_write(writer, HF_SLICE("Connection: Upgrade\r\n"));
    else if (outgoing->status >= 200 && !x->client_keep_alive)
        hf_http1_write(writer, HF_SLICE("Connection: close\r\n"));
    else if (outgoing->status >= 200 && x->request.version_minor == 0)
        hf_http1_write(writer, HF_SLICE("Connection: keep-alive\r\n"));
}

static bool side_write_head(struct hf_exchange *x, const struct hf_outgoing *outgoing)
{
    struct hf_buffer *out = hf_conn_output(&x->client->conn);
    if (!out)
        return false;
    if (outgoing->status >= 200)
        settle_framing(x, outgoing);
    struct hf_http1_writer writer = {.out = out->bytes + out->end, .room = hf_buffer_room(out)};
    write_status(&writer, outgoing);
    if (outgoing->head)
        hf_http1_write_fields(&writer, outgoing->head, outgoing->skip);
    for (unsigned i = 0; i < outgoing->added_count; i++)
        hf_http1_write_field(&writer, outgoing->added[i].name, outgoing->added[i].value);
    if (outgoing->status >= 200 && x->down_framing == HF_BODY_CHUNKED) {
        hf_http1_write(&writer, HF_SLICE("Transfer-Encoding: chunked\r\n"));
    } else if (outgoing->body == HF_BODY_LENGTH || outgoing->announce_length) {
        hf_http1_write(&writer, HF_SLICE("Content-Length: "));
        hf_http1_write_u64(&writer, outgoing->content_length);
        hf_http1_write(&writer, HF_SLICE("\r\n"));
    }
    write_connection(&writer, x, outgoing);
    hf_http1_write(&writer, HF_SLICE("\r\n"));
    if (writer.size > writer.room)
        return false;
    out->end += (uint32_t)writer.size;
    if (outgoing->status >= 200 || outgoing->status == 101)
        x->response_started = true;
    return true;
}

static bool side_write_content(struct hf_exchange *x, struct hf_slice piece)
{
    return hf_content_write(&x->client->conn, x->down_framing, piece);
}

static bool side_write_end(struct hf_exchange *x)
{
    return hf_content_write_end(&x->client->conn, x->down_framing);
}

static enum hf_flow side_flush(struct hf_exchange *x)
{
    return hf_content_flush(&x->client->conn);
}

static size_t side_staged(const struct hf_exchange *x)
{
    const struct hf_buffer *out = x->client->conn.out;
    return out ? hf_buffer_used(out) : 0;
}

static void side_again(struct hf_exchange *x)
{
    hf_event_again(x->worker->loop, &x->client->conn.event, HF_WRITABLE);
}

/* A client that sends FIN while it waits for an answer has gone, as browsers and client libraries
 * do when they are closed: its server need not work on. One that pipelined more has not. */
static bool side_gone(struct hf_exchange *x)
{
    struct hf_conn *conn = &x->client->conn;
    if (conn->broken)
        return true;
    if (!conn->peer_closed)
        return false;
    if (!x->up.ended) /* reading its content will tell, unless it waits for a server to read it */
        return x->origin == NULL;
    if (hf_conn_input(conn).size > 0)
        return false;
    ssize_t got = conn->read_ended ? 0 : hf_conn_receive(conn, HF_CONTENT_RECEIVE_MAX);
    return got == 0 || (got < 0 && got != -EAGAIN && got != -ENOBUFS);
}

static void side_release(struct hf_exchange *x, bool clean)
{
    struct hf_client_h1 *client = x->client;
    REQUIRE(client->exchange == x && client->phase == HF_CLIENT_BUSY);
    client->exchange = NULL;
    client->phase = HF_CLIENT_IDLE;
    if (clean && x->client_keep_alive && !client->worker->draining) {
        set_timer(client, timeouts_of(client)->client_idle);
        return;
    }
    /* A broken answer must not look complete: where only the close ends it, it becomes a reset. */
    bool answered = x->response_started && x->down.passed && !hf_conn_has_output(&client->conn);
    if (answered && !client->conn.broken && x->end != HF_END_CLIENT_GONE)
        start_linger(client);
    else
        hf_client_h1_close(client, x->down_framing == HF_BODY_UNTIL_CLOSE && !x->down.passed);
}

const struct hf_client_side hf_client_h1_side = {
    .protocol = "HTTP/1.1",
    .read_content = side_read_content,
    .consume = side_consume,
    .send_continue = side_send_continue,
    .write_head = side_write_head,
    .write_content = side_write_content,
    .write_end = side_write_end,
    .flush = side_flush,
    .staged = side_staged,
    .again = side_again,
    .gone = side_gone,
    .release = side_release,
    .tunnel = hf_tunnel_start,
    .wake = wake,
};
