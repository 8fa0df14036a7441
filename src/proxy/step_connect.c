/* From the chosen server to a request head on a connection to it. */
#include "base/assert.h"
#include "base/log.h"
#include "proxy/forward.h"
#include "proxy/origin.h"
#include <errno.h>

static void begin_attempt(struct hf_exchange *x)
{
    x->target = &x->pool->servers[x->choice.server];
    x->failure = HF_FAILURE_NONE;
    x->response_seen = false;
    x->up_broken = false;
    x->response_parser = (struct hf_http1_parser){0};
    x->deadline = 0;
}

void hf_origin_release(struct hf_exchange *x, bool reusable)
{
    REQUIRE(x->origin != NULL);
    if (reusable)
        hf_upstream_keep(x->worker->upstreams, &x->origin);
    else
        hf_upstream_close(x->worker->upstreams, &x->origin, false);
    x->origin = NULL;
    hf_slot_release(x);
}

/* A kept connection that the server closed while it was idle, unseen so far. For a request that can
 * be repeated this shows soon enough; one that cannot is worth a system call. */
static struct hf_upstream_conn *take_kept(struct hf_exchange *x)
{
    bool repeatable = hf_method_idempotent((enum hf_method)x->request.method) && x->up.ended;
    for (;;) {
        struct hf_upstream_conn *kept =
            hf_upstream_take(x->worker->upstreams, x->target, hf_origin_ready, x);
        if (!kept || repeatable || hf_upstream_alive(kept))
            return kept;
        hf_upstream_close(x->worker->upstreams, &kept, false);
    }
}

enum hf_step hf_step_acquire(struct hf_exchange *x)
{
    REQUIRE(x->origin == NULL && x->choice.server >= 0);
    enum hf_step next = hf_slot_acquire(x);
    if (next != HF_STEP_ACQUIRE)
        return next;
    begin_attempt(x);
    if (!x->fresh_only && !x->request.upgrade)
        x->origin = take_kept(x);
    x->origin_reused = x->origin != NULL;
    if (x->origin)
        return HF_STEP_SEND;
    int result = hf_upstream_connect(x->worker->upstreams, x->target, hf_worker_shard(x->worker),
                                     hf_origin_ready, x, &x->origin);
    if (result == -ENOBUFS || result == -EMFILE || result == -ENFILE || result == -ENOMEM) {
        hf_slot_release(x);
        hf_worker_count(x->worker, HF_PROXY_NO_MEMORY);
        return hf_reply_with(x, 503, "the proxy has no connection to spare");
    }
    if (result < 0) {
        x->failure = HF_FAILURE_CONNECT;
        return HF_STEP_RETRY;
    }
    return HF_STEP_CONNECT;
}

enum hf_step hf_step_connect(struct hf_exchange *x)
{
    if (x->client_side->gone(x)) {
        x->end = HF_END_CLIENT_GONE;
        return HF_STEP_FINISH;
    }
    struct hf_conn *conn = &x->origin->conn;
    if (!conn->can_write && !conn->broken)
        return HF_STEP_WAIT;
    int result = hf_conn_connect_result(conn);
    if (result == -EINPROGRESS)
        return HF_STEP_WAIT;
    if (result < 0) {
        x->failure = HF_FAILURE_CONNECT;
        return HF_STEP_RETRY;
    }
    return HF_STEP_SEND;
}

enum hf_step hf_step_send(struct hf_exchange *x)
{
    struct hf_buffer *scratch = hf_buffer_borrow(&x->worker->buffers);
    if (!scratch) {
        hf_worker_count(x->worker, HF_PROXY_NO_MEMORY);
        return hf_reply_with(x, 503, "the proxy has no buffer to spare");
    }
    struct hf_outgoing outgoing;
    bool fits = hf_forward_request(x, scratch, &outgoing) && hf_origin_write_head(x, &outgoing);
    hf_buffer_return(&x->worker->buffers, &scratch);
    if (!fits)
        return hf_reply_with(x, 431, "the request head grows too large when it is forwarded");
    hf_worker_count_server(x->worker, x->target->server, HF_SERVER_REQUESTS);
    x->up_moved_ms = hf_loop_now_ms(x->worker->loop);
    x->sent_us = hf_loop_now_us(x->worker->loop);
    if (x->request.expect_continue && !x->up.ended && !x->continued) {
        x->continued = true;
        if (!x->client_side->send_continue(x)) {
            x->end = HF_END_CLIENT_GONE;
            return HF_STEP_FINISH;
        }
    }
    return HF_STEP_AWAIT;
}
