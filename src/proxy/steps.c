/* The table of steps and the driver.
 *
 *   ROUTE -> IDENTIFY -> CHOOSE -> ACQUIRE -> (CONNECT) -> SEND -> AWAIT -> STICK -> RELAY ->
 * FINISH |            |         ^  |        |                   |
 *              +---- REPLY <+         +-- RETRY <-+-------------------+      REPLY -> FINISH
 */
#include "base/assert.h"
#include "base/log.h"
#include "proxy/client.h"
#include "proxy/deadlines.h"
#include "proxy/exchange.h"

typedef enum hf_step (*step_fn)(struct hf_exchange *x);

static const step_fn steps[HF_STEP_COUNT] = {
    [HF_STEP_ROUTE] = hf_step_route,     [HF_STEP_IDENTIFY] = hf_step_identify,
    [HF_STEP_CHOOSE] = hf_step_choose,   [HF_STEP_ACQUIRE] = hf_step_acquire,
    [HF_STEP_CONNECT] = hf_step_connect, [HF_STEP_SEND] = hf_step_send,
    [HF_STEP_AWAIT] = hf_step_await,     [HF_STEP_STICK] = hf_step_stick,
    [HF_STEP_RELAY] = hf_step_relay,     [HF_STEP_RETRY] = hf_step_retry,
    [HF_STEP_REPLY] = hf_step_reply,     [HF_STEP_FINISH] = hf_step_finish,
};

static const struct {
    const char *word;
    enum hf_proxy_counter counter;
} ends[HF_END_COUNT] = {
    [HF_END_COMPLETE] = {"complete", HF_PROXY_END_OK},
    [HF_END_REPLIED] = {"answered_here", HF_PROXY_END_REPLIED},
    [HF_END_CLIENT_GONE] = {"client_gone", HF_PROXY_END_CLIENT_GONE},
    [HF_END_SERVER_GONE] = {"server_gone", HF_PROXY_END_SERVER_GONE},
    [HF_END_DEADLINE] = {"deadline", HF_PROXY_END_CUT},
    [HF_END_SHUTDOWN] = {"shutdown", HF_PROXY_END_SHUTDOWN},
};

const char *hf_end_word(enum hf_end end)
{
    REQUIRE(end < HF_END_COUNT);
    return ends[end].word;
}

enum hf_proxy_counter hf_end_counter(enum hf_end end)
{
    REQUIRE(end < HF_END_COUNT);
    return ends[end].counter;
}

struct hf_exchange *hf_exchange_new(struct hf_worker *worker, const struct hf_client_side *side,
                                    struct hf_client_h1 *client)
{
    REQUIRE(HF_MAGIC_OK(worker, HF_WORKER_MAGIC) && side != NULL);
    struct hf_exchange *x = hf_slab_acquire(&worker->exchanges);
    if (!x)
        return NULL;
    /* The two heads are filled by their parsers: clearing their 8 KiB would cost more than all the
     * rest of a request's bookkeeping. */
    memset(x, 0, offsetof(struct hf_exchange, request));
    x->magic = HF_EXCHANGE_MAGIC;
    x->worker = worker;
    x->snapshot = hf_snapshot_ref(worker->snapshot);
    x->client_side = side;
    x->client = client;
    x->choice.owner = x->choice.server = x->choice.strategy = -1;
    x->timer.expired = hf_deadline_expired;
    return x;
}

static void exchange_free(struct hf_exchange *x)
{
    REQUIRE(HF_MAGIC_OK(x, HF_EXCHANGE_MAGIC) && x->origin == NULL && !x->pending);
    REQUIRE(x->slot_server == NULL);
    struct hf_worker *worker = x->worker;
    hf_timer_cancel(hf_loop_timers(worker->loop), &x->timer);
    hf_buffer_return(&worker->buffers, &x->head_buffer);
    hf_snapshot_unref(&x->snapshot);
    x->magic = 0;
    hf_slab_release(&worker->exchanges, &x);
}

void hf_exchange_discard(struct hf_exchange **exchange)
{
    exchange_free(*exchange);
    *exchange = NULL;
}

void hf_exchange_run(struct hf_exchange *x)
{
    REQUIRE(HF_MAGIC_OK(x, HF_EXCHANGE_MAGIC));
    for (;;) {
        REQUIRE(x->step < HF_STEP_COUNT);
        enum hf_step next = steps[x->step](x);
        if (next == HF_STEP_GONE)
            return;
        if (next == HF_STEP_WAIT) {
            hf_deadline_arm(x);
            return;
        }
        x->step = next;
    }
}

void hf_exchange_abort(struct hf_exchange *x, enum hf_end end)
{
    REQUIRE(HF_MAGIC_OK(x, HF_EXCHANGE_MAGIC));
    x->end = (uint8_t)end;
    hf_step_finish(x);
}

/* Counts what happened. A request whose head never became complete has no start time. */
static void count_end(struct hf_exchange *x)
{
    struct hf_worker *worker = x->worker;
    hf_worker_count(worker, hf_end_counter((enum hf_end)x->end));
    if (x->status >= 100 && x->status < 600)
        hf_worker_count(
            worker, (enum hf_proxy_counter)(HF_PROXY_RESPONSES_1XX + (int)(x->status / 100) - 1));
    if (x->start_us == 0)
        return;
    uint64_t now_us = hf_loop_now_us(worker->loop);
    hf_histogram_record(&worker->counts.duration_us, now_us - x->start_us);
}

enum hf_step hf_exchange_conclude(struct hf_exchange *x)
{
    REQUIRE(x->origin == NULL);
    count_end(x);
    if (x->snapshot->config->access_path)
        hf_access_log(x);
    exchange_free(x);
    return HF_STEP_GONE;
}

enum hf_step hf_step_finish(struct hf_exchange *x)
{
    /* A refusal by deadline is a complete answer too. */
    bool answered =
        x->end == HF_END_COMPLETE || x->end == HF_END_REPLIED || x->end == HF_END_DEADLINE;
    bool clean = answered && x->up.ended && x->down.passed;
    if (x->origin)
        hf_origin_release(x, false);
    hf_slot_release(x);
    x->client_side->release(x, clean);
    return hf_exchange_conclude(x);
}
