/* After 101: bytes both ways, untouched, half-close included (RFC 9110 7.8, RFC 6455).
 * An idle tunnel holds two connection objects and no buffer. */
#include "base/assert.h"
#include "proxy/client_h1.h"
#include "proxy/content.h"
#include <errno.h>

enum { TUNNEL_BURST = 256 * 1024 /* bytes one way in a turn */ };

static void tunnel_ready(struct hf_event *event, unsigned ready)
{
    struct hf_upstream_conn *origin = hf_container_of(hf_container_of(event, struct hf_conn, event),
                                                      struct hf_upstream_conn, conn);
    struct hf_client_h1 *client = origin->user;
    REQUIRE(HF_MAGIC_OK(client, HF_CLIENT_H1_MAGIC) && client->tunnel == origin);
    hf_conn_note_ready(&origin->conn, ready);
    hf_tunnel_run(client);
}

/* Sends what was received. False: `to` is broken. */
static bool drain_input(struct hf_conn *from, struct hf_conn *to)
{
    struct hf_slice input = hf_conn_input(from);
    if (input.size == 0 || !to->can_write)
        return true;
    ssize_t sent = hf_conn_send(to, input);
    if (sent < 0)
        return false;
    if (sent > 0)
        hf_conn_consume(from, (size_t)sent);
    return true;
}

/* Moves what can be moved one way. False: the tunnel is broken. */
static bool move(struct hf_client_h1 *client, struct hf_conn *from, struct hf_conn *to)
{
    size_t moved = 0;
    if (hf_content_flush(to) == HF_FLOW_GONE)
        return false;
    while (!hf_conn_has_output(to)) {
        if (!drain_input(from, to))
            return false;
        if (from->in || !from->can_read || from->read_ended)
            break;
        if (moved >= TUNNEL_BURST) {
            hf_event_again(client->worker->loop, &client->conn.event, HF_WRITABLE);
            break;
        }
        ssize_t got = hf_conn_receive(from, HF_CONTENT_RECEIVE_MAX);
        if (got < 0)
            return got == -EAGAIN;
        moved += (size_t)got;
    }
    if (moved > 0) {
        hf_count_add(&client->worker->counts.proxy[HF_PROXY_TUNNEL_BYTES], moved);
        client->tunnel_moved_ms = hf_loop_now_ms(client->worker->loop);
    }
    if (from->read_ended && !from->in && !hf_conn_has_output(to) && !to->write_ended)
        return hf_conn_shutdown_write(to) == 0;
    return true;
}

void hf_tunnel_run(struct hf_client_h1 *client)
{
    REQUIRE(client->phase == HF_CLIENT_TUNNEL && client->tunnel != NULL);
    struct hf_conn *near = &client->conn, *far = &client->tunnel->conn;
    bool whole = move(client, near, far) && move(client, far, near);
    /* A reset on one side is passed on as one: the other must not take it for an orderly end. */
    if (!whole)
        hf_client_h1_close(client, true);
    else if (near->write_ended && far->write_ended)
        hf_client_h1_close(client, false);
}

void hf_tunnel_start(struct hf_exchange *x)
{
    struct hf_client_h1 *client = x->client;
    struct hf_worker *worker = x->worker;
    REQUIRE(client->phase == HF_CLIENT_BUSY && x->origin != NULL && x->slot_server != NULL);
    client->tunnel = x->origin;
    client->tunnel_server = hf_server_ref(x->target->server);
    client->tunnel->user = client;
    client->tunnel->busy_ready = tunnel_ready;
    x->origin = NULL;
    hf_slot_hand_on(x);
    x->down.ended = x->down.passed = true;
    client->phase = HF_CLIENT_TUNNEL;
    client->tunnel_moved_ms = hf_loop_now_ms(worker->loop);
    hf_worker_count(worker, HF_PROXY_TUNNELS);
    hf_worker_gauge(worker, HF_PROXY_TUNNELS_OPEN, 1);
    hf_timer_set(hf_loop_timers(worker->loop), &client->timer,
                 client->tunnel_moved_ms + x->snapshot->config->timeouts.tunnel_idle);
    client->exchange = NULL;
    hf_tunnel_run(client);
}

void hf_tunnel_expired(struct hf_client_h1 *client)
{
    uint32_t idle_ms = client->worker->snapshot->config->timeouts.tunnel_idle;
    uint64_t due_ms = client->tunnel_moved_ms + idle_ms;
    if (due_ms > hf_loop_now_ms(client->worker->loop)) {
        hf_timer_set(hf_loop_timers(client->worker->loop), &client->timer, due_ms);
        return;
    }
    hf_worker_count(client->worker, HF_PROXY_CUT_TUNNEL);
    hf_client_h1_close(client, false);
}

void hf_tunnel_end(struct hf_client_h1 *client)
{
    REQUIRE(client->phase == HF_CLIENT_TUNNEL);
    hf_upstream_close(client->worker->upstreams, &client->tunnel, client->conn.broken);
    hf_limit_leave(client->tunnel_server); /* once the server has one less: never one too many */
    hf_server_unref(&client->tunnel_server);
    client->tunnel = NULL;
    hf_worker_gauge(client->worker, HF_PROXY_TUNNELS_OPEN, -1);
}
