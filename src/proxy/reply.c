/* Answers that the proxy gives itself: small, honest, never cacheable. */
#include "base/assert.h"
#include "proxy/client.h"
#include <stdio.h>

enum { REPLY_BODY_MAX = 512, SET_COOKIE_MAX = 1024 };

enum hf_step hf_reply_with(struct hf_exchange *x, unsigned status, const char *reason)
{
    REQUIRE(status >= 300 && status < 600 && reason != NULL);
    REQUIRE(!x->response_started);
    x->reply_status = status;
    x->reply_reason = reason;
    return HF_STEP_REPLY;
}

static void add(struct hf_outgoing *outgoing, const char *name, struct hf_slice value)
{
    REQUIRE(outgoing->added_count < HF_ADDED_FIELDS_MAX);
    outgoing->added[outgoing->added_count].name = hf_slice_text(name);
    outgoing->added[outgoing->added_count++].value = value;
}

/* The pin that a redirect carries, so that the client lands where its session can start anew. */
static struct hf_slice reply_pin(struct hf_exchange *x, char *out, size_t room)
{
    if (!x->reply_pins || x->choice.server < 0)
        return hf_slice(NULL, 0);
    struct hf_affinity_request request = hf_exchange_affinity_request(x);
    unsigned served = (unsigned)x->choice.server;
    size_t size = hf_affinity_pin(&x->snapshot->affinity, x->pool, &request, &x->choice, served,
                                  out, room, &x->moved);
    hf_exchange_count_pin(x, served, size > 0);
    return hf_slice(out, size);
}

static bool stage_reply(struct hf_exchange *x)
{
    char body[REPLY_BODY_MAX], cookie[SET_COOKIE_MAX];
    int size = snprintf(body, sizeof(body), "%u %s: %s\n", x->reply_status,
                        hf_status_phrase(x->reply_status), x->reply_reason);
    REQUIRE(size > 0 && size < (int)sizeof(body));
    struct hf_outgoing outgoing = {
        .status = x->reply_status,
        .body = x->head_only ? HF_BODY_NONE : HF_BODY_LENGTH,
        .announce_length = true,
        .content_length = (uint64_t)size,
        /* What is left of the request would be taken for the next one. */
        .close = !x->up.ended,
    };
    add(&outgoing, "Date", hf_worker_date(x->worker));
    add(&outgoing, "Content-Type", HF_SLICE("text/plain; charset=utf-8"));
    add(&outgoing, "Cache-Control", HF_SLICE("no-store"));
    if (x->reply_location)
        add(&outgoing, "Location", hf_slice_text(x->reply_location));
    if (x->reply_status == 503)
        add(&outgoing, "Retry-After", HF_SLICE("1"));
    if (x->reply_status == 405)
        add(&outgoing, "Allow", HF_SLICE("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    struct hf_slice pin = reply_pin(x, cookie, sizeof(cookie));
    if (pin.size > 0)
        add(&outgoing, "Set-Cookie", pin);
    return x->client_side->write_head(x, &outgoing) &&
           (x->head_only || x->client_side->write_content(x, hf_slice(body, (size_t)size)));
}

enum hf_step hf_step_reply(struct hf_exchange *x)
{
    if (!x->response_started) {
        if (x->origin)
            hf_origin_release(x, false);
        hf_slot_release(x);
        x->status = x->reply_status;
        if (x->end != HF_END_DEADLINE)
            x->end = HF_END_REPLIED;
        if (!stage_reply(x)) {
            x->end = HF_END_CLIENT_GONE;
            return HF_STEP_FINISH;
        }
        x->down.ended = x->down.passed = true;
    }
    switch (x->client_side->flush(x)) {
    case HF_FLOW_WAIT:
        return HF_STEP_WAIT;
    case HF_FLOW_END:
        return HF_STEP_FINISH;
    case HF_FLOW_MOVED:
    case HF_FLOW_GONE:
    case HF_FLOW_BAD:
        break;
    }
    x->end = HF_END_CLIENT_GONE;
    return HF_STEP_FINISH;
}
