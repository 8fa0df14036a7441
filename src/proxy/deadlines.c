#include "proxy/deadlines.h"
#include "base/assert.h"
#include "base/clock.h"
#include "proxy/client.h"

static const struct {
    enum hf_proxy_counter counter;
    unsigned status; /* answered when no answer has started */
    const char *reason;
} rows[HF_DEADLINE_COUNT] = {
    [HF_DEADLINE_PENDING] = {HF_PROXY_CUT_PENDING, 503,
                             "the server is at its limit and no request ended in time"},
    [HF_DEADLINE_CONNECT] = {HF_PROXY_CUT_CONNECT, 0, NULL},
    [HF_DEADLINE_CLIENT_BODY] = {HF_PROXY_CUT_BODY, 408, "the request content came too slowly"},
    [HF_DEADLINE_RESPONSE_HEAD] = {HF_PROXY_CUT_RESPONSE_HEAD, 504,
                                   "the server did not answer in time"},
    [HF_DEADLINE_RESPONSE_IDLE] = {HF_PROXY_CUT_RESPONSE, 504, "the server's answer stalled"},
    [HF_DEADLINE_CLIENT_READ] = {HF_PROXY_CUT_READER, 0, NULL},
};

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* When a client that began at began_ms, moved content last at moved_ms and `total` bytes in all is
 * too slow: by idling or by its rate, whichever comes first. */
static uint64_t paced(const struct hf_exchange *x, uint64_t began_ms, uint64_t moved_ms,
                      uint64_t total)
{
    uint32_t idle_ms = x->snapshot->config->timeouts.client_idle;
    return least(most(moved_ms, began_ms) + idle_ms,
                 began_ms + idle_ms + total * HF_MS_PER_S / HF_CONTENT_RATE_MIN);
}

static enum hf_deadline awaited(const struct hf_exchange *x)
{
    bool client_reads = x->step == HF_STEP_REPLY || x->client_side->staged(x) > 0;
    bool client_sends = !x->up.ended && !x->up_broken && x->origin && !x->origin->conn.out;
    if (x->step == HF_STEP_ACQUIRE)
        return x->resume_ms != 0 ? HF_DEADLINE_BACKOFF : HF_DEADLINE_PENDING;
    if (x->step == HF_STEP_CONNECT)
        return HF_DEADLINE_CONNECT;
    if (x->step == HF_STEP_AWAIT)
        return client_sends ? HF_DEADLINE_CLIENT_BODY : HF_DEADLINE_RESPONSE_HEAD;
    REQUIRE(x->step == HF_STEP_RELAY || x->step == HF_STEP_REPLY);
    return client_reads ? HF_DEADLINE_CLIENT_READ : HF_DEADLINE_RESPONSE_IDLE;
}

static uint64_t due_ms(const struct hf_exchange *x, enum hf_deadline deadline, uint64_t now_ms)
{
    const struct hf_timeouts *timeouts = &x->snapshot->config->timeouts;
    switch (deadline) {
    case HF_DEADLINE_PENDING:
        return now_ms + x->pool->breaker.pending_timeout_ms;
    case HF_DEADLINE_BACKOFF:
        return x->resume_ms;
    case HF_DEADLINE_CONNECT:
        return now_ms + timeouts->connect;
    case HF_DEADLINE_CLIENT_BODY:
        return paced(x, x->start_us / 1000, x->up_moved_ms, x->up.total);
    case HF_DEADLINE_RESPONSE_HEAD:
        return (x->up_moved_ms ? x->up_moved_ms : now_ms) + timeouts->response_head;
    case HF_DEADLINE_RESPONSE_IDLE:
        return most(x->up_moved_ms, most(x->down_moved_ms, x->head_us / 1000)) +
               timeouts->response_idle;
    case HF_DEADLINE_CLIENT_READ:
        return paced(x, x->head_us ? x->head_us / 1000 : now_ms, x->down_moved_ms, x->down.total);
    case HF_DEADLINE_NONE:
    case HF_DEADLINE_COUNT:
        break;
    }
    return now_ms;
}

void hf_deadline_arm(struct hf_exchange *x)
{
    enum hf_deadline deadline = awaited(x);
    REQUIRE(deadline != HF_DEADLINE_NONE);
    bool running = x->deadline == deadline && hf_timer_armed(&x->timer);
    /* These are set once a phase: events on the other side must not put them off. */
    bool once = deadline == HF_DEADLINE_CONNECT || deadline == HF_DEADLINE_PENDING ||
                deadline == HF_DEADLINE_BACKOFF || x->step == HF_STEP_REPLY;
    if (running && once)
        return;
    x->deadline = (uint8_t)deadline;
    hf_timer_set(hf_loop_timers(x->worker->loop), &x->timer,
                 due_ms(x, deadline, hf_loop_now_ms(x->worker->loop)));
}

void hf_deadline_expired(struct hf_timer *timer)
{
    struct hf_exchange *x = hf_container_of(timer, struct hf_exchange, timer);
    REQUIRE(HF_MAGIC_OK(x, HF_EXCHANGE_MAGIC));
    enum hf_deadline deadline = (enum hf_deadline)x->deadline;
    REQUIRE(deadline > HF_DEADLINE_NONE && deadline < HF_DEADLINE_COUNT);
    struct hf_client_h1 *client = x->client;
    const struct hf_client_side *side = x->client_side;
    if (deadline == HF_DEADLINE_BACKOFF) {
        x->resume_ms = 0;
        side->wake(client);
        return;
    }
    hf_worker_count(x->worker, rows[deadline].counter);
    x->end = HF_END_DEADLINE;
    if (deadline == HF_DEADLINE_CONNECT) {
        x->failure = HF_FAILURE_CONNECT;
        x->step = HF_STEP_RETRY;
    } else if (deadline == HF_DEADLINE_RESPONSE_HEAD) {
        x->failure = HF_FAILURE_TIMEOUT;
        x->step = HF_STEP_RETRY;
    } else if (rows[deadline].status != 0 && !x->response_started) {
        x->step = hf_reply_with(x, rows[deadline].status, rows[deadline].reason);
    } else {
        hf_exchange_abort(x, HF_END_DEADLINE);
        return;
    }
    side->wake(client);
}
