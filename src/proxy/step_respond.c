/* From the request on its way to the answer with the client. */
#include "base/assert.h"
#include "proxy/forward.h"
#include "proxy/origin.h"
#include "proxy/relay.h"

enum { SET_COOKIE_MAX = 1024 };

static enum hf_step end_with(struct hf_exchange *x, enum hf_end end)
{
    x->end = (uint8_t)end;
    return HF_STEP_FINISH;
}

/* Moves request content. WAIT = the answer is what is waited for. */
static enum hf_step push_content(struct hf_exchange *x)
{
    if (x->up_broken)
        return HF_STEP_WAIT;
    switch (hf_relay_up(x)) {
    case HF_RELAY_WAIT:
    case HF_RELAY_DONE:
        return HF_STEP_WAIT;
    case HF_RELAY_SINK_GONE:
        /* It may have answered before it stopped taking content (413, 401): look. */
        x->up_broken = true;
        return HF_STEP_WAIT;
    case HF_RELAY_SOURCE_GONE:
        return end_with(x, HF_END_CLIENT_GONE);
    case HF_RELAY_SOURCE_BAD:
        if (x->response_started)
            return end_with(x, HF_END_CLIENT_GONE);
        hf_count(&x->worker->counts.bad_requests[x->up.chunked.reason]);
        return hf_reply_with(x, 400, "the chunked request content is malformed");
    case HF_RELAY_FULL:
        if (x->response_started)
            return end_with(x, HF_END_CLIENT_GONE);
        return hf_reply_with(x, 413, "the request content is larger than limits.request_body");
    }
    return HF_STEP_WAIT;
}

/* An interim answer: 100 was given by the proxy, others go on to clients that know them. */
static bool pass_interim(struct hf_exchange *x)
{
    bool wanted = x->response.status != 100 && x->request.version_minor >= 1;
    struct hf_outgoing outgoing;
    bool passed = !wanted || (hf_forward_response(x, hf_slice(NULL, 0), NULL, &outgoing) &&
                              x->client_side->write_head(x, &outgoing) &&
                              x->client_side->flush(x) != HF_FLOW_GONE);
    hf_origin_head_done(x);
    x->down = (struct hf_content){0};
    x->response_seen = false;
    return passed;
}

static enum hf_step fail(struct hf_exchange *x, enum hf_failure failure)
{
    x->failure = (uint8_t)failure;
    return HF_STEP_RETRY;
}

static enum hf_step judge_head(struct hf_exchange *x)
{
    unsigned status = x->response.status;
    if (status == 101)
        return x->request.upgrade ? HF_STEP_STICK : fail(x, HF_FAILURE_MALFORMED);
    if (status < 200) {
        if (!pass_interim(x))
            return end_with(x, HF_END_CLIENT_GONE);
        return HF_STEP_AWAIT;
    }
    return status >= 500 && hf_exchange_retry_status(x) ? HF_STEP_ACQUIRE : HF_STEP_STICK;
}

enum hf_step hf_step_await(struct hf_exchange *x)
{
    enum hf_step pushed = push_content(x);
    if (pushed != HF_STEP_WAIT)
        return pushed;
    switch (hf_origin_read_head(x)) {
    case HF_ORIGIN_HEAD:
        return judge_head(x);
    case HF_ORIGIN_WAIT:
        if (x->client_side->gone(x))
            return end_with(x, HF_END_CLIENT_GONE);
        return HF_STEP_WAIT;
    case HF_ORIGIN_CLOSED:
        return fail(x, x->origin_reused ? HF_FAILURE_STALE : HF_FAILURE_RESET);
    case HF_ORIGIN_CUT:
    case HF_ORIGIN_BAD:
        return fail(x, HF_FAILURE_MALFORMED);
    case HF_ORIGIN_FULL:
        break;
    }
    hf_worker_count(x->worker, HF_PROXY_NO_MEMORY);
    return hf_reply_with(x, 503, "the proxy has no buffer to spare");
}

void hf_exchange_count_pin(struct hf_exchange *x, unsigned served, bool written)
{
    struct hf_worker *worker = x->worker;
    if (!written) {
        if (x->choice.owner >= 0 && (int)served != x->choice.owner)
            hf_worker_count(worker, HF_PROXY_STOOD_IN);
        if (x->choice.lost)
            hf_failover_note(x, served, false);
        return;
    }
    bool returned = x->moved && x->choice.returning && (int)served != x->choice.owner &&
                    x->pool->servers[served].server->id == x->choice.home_id;
    if (returned)
        hf_worker_count(worker, HF_PROXY_FAILBACKS);
    else if (x->moved) /* its owner may have been judged by this very request: not only choice.lost
                        */
        hf_failover_note(x, served, true);
    if (!x->moved && x->choice.pin_valid) {
        hf_worker_count(worker, HF_PROXY_PINS_REFRESHED);
        return;
    }
    hf_worker_count(worker, x->moved ? HF_PROXY_PINS_MOVED : HF_PROXY_PINS_SET);
    hf_worker_count_server(worker, x->pool->servers[served].server, HF_SERVER_PINS);
}

static void note_head(struct hf_exchange *x)
{
    struct hf_worker *worker = x->worker;
    x->status = x->response.status;
    x->head_us = hf_loop_now_us(worker->loop);
    hf_histogram_record(&worker->counts.response_us, x->head_us - x->sent_us);
    if (hf_balance_needs_cost(x->pool->balance))
        hf_server_note_latency(x->target->server, x->head_us - x->sent_us, x->head_us);
    if (x->tried_count > 0)
        hf_histogram_record(&worker->counts.recovery_us, x->head_us - x->start_us);
    static const enum hf_server_counter classes[] = {
        HF_SERVER_RESPONSES_1XX, HF_SERVER_RESPONSES_2XX, HF_SERVER_RESPONSES_3XX,
        HF_SERVER_RESPONSES_4XX, HF_SERVER_RESPONSES_5XX};
    hf_worker_count_server(worker, x->target->server, classes[x->status / 100 - 1]);
    if (x->status >= 500 && x->pool->passive.count_5xx)
        hf_exchange_speak_against(x, "an answer with a 5xx status");
    else
        hf_slot_proved(x);
}

/* Counts what the answer says to the client about its server. */
static void count_answer(struct hf_exchange *x, bool pinned)
{
    unsigned served = (unsigned)(x->target - x->pool->servers);
    bool stays = x->choice.named && x->choice.owner == (int)served;
    if (x->prefixed && !x->choice.pin_valid && !stays) {
        x->moved = x->choice.named;
        pinned = true;
    }
    hf_exchange_count_pin(x, served, pinned);
}

static bool write_final_head(struct hf_exchange *x)
{
    char cookie[SET_COOKIE_MAX];
    size_t cookie_size = 0;
    bool sticky = x->pool->affinity_count > 0, pinned = false;
    if (sticky) {
        struct hf_affinity_request request = hf_exchange_affinity_request(x);
        unsigned served = (unsigned)(x->target - x->pool->servers);
        cookie_size = hf_affinity_pin(&x->snapshot->affinity, x->pool, &request, &x->choice, served,
                                      cookie, sizeof(cookie), &x->moved);
        bool learned = x->pool->learns && hf_affinity_learn(&x->snapshot->affinity, x->pool,
                                                            &request, &x->response, served);
        bool known = x->choice.pin_valid;
        pinned = cookie_size > 0 || x->moved || (!known && (learned || x->choice.claimed != 0));
    }
    bool rewrites = cookie_size > 0 || hf_affinity_prefix_cookie(x->pool).size > 0;
    struct hf_buffer *scratch = NULL;
    if (rewrites && !(scratch = hf_buffer_borrow(&x->worker->buffers)))
        return false;
    struct hf_outgoing outgoing;
    bool fits = hf_forward_response(x, hf_slice(cookie, cookie_size), scratch, &outgoing);
    if (sticky)
        count_answer(x, pinned);
    fits = fits && x->client_side->write_head(x, &outgoing);
    hf_buffer_return(&x->worker->buffers, &scratch);
    return fits;
}

enum hf_step hf_step_stick(struct hf_exchange *x)
{
    note_head(x);
    if (!write_final_head(x)) {
        /* Nothing of it was staged, or the client takes nothing: an honest end either way. */
        if (x->response_started || x->client_side->gone(x))
            return end_with(x, HF_END_CLIENT_GONE);
        return hf_reply_with(x, 502, "the server's response head does not fit");
    }
    hf_origin_head_done(x);
    if (x->response.status == 101) {
        x->end = HF_END_COMPLETE;
        x->client_side->tunnel(x);
        return hf_exchange_conclude(x);
    }
    return HF_STEP_RELAY;
}

/* The answer is complete with the server: its connection serves others while a slow client reads.
 */
static void release_origin_early(struct hf_exchange *x)
{
    if (x->origin && x->down.passed)
        hf_origin_release(x, hf_origin_reusable(x));
}

enum hf_step hf_step_relay(struct hf_exchange *x)
{
    if (x->origin && !x->down.ended) {
        enum hf_step pushed = push_content(x);
        if (pushed != HF_STEP_WAIT)
            return pushed;
    }
    enum hf_relay relayed = hf_relay_down(x);
    release_origin_early(x);
    switch (relayed) {
    case HF_RELAY_DONE:
        return end_with(x, HF_END_COMPLETE);
    case HF_RELAY_WAIT:
        return HF_STEP_WAIT;
    case HF_RELAY_SINK_GONE:
        return end_with(x, HF_END_CLIENT_GONE);
    case HF_RELAY_SOURCE_BAD:
        hf_count(&x->worker->counts.bad_responses[x->down.chunked.reason]);
        break;
    case HF_RELAY_SOURCE_GONE:
    case HF_RELAY_FULL:
        break;
    }
    hf_worker_count_server(x->worker, x->target->server, HF_SERVER_FAIL_RESET);
    return end_with(x, HF_END_SERVER_GONE);
}
