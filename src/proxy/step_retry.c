/* An attempt failed: what may be done without any effect happening twice (RFC 9110 9.2.2). */
#include "affinity/successor.h"
#include "base/assert.h"
#include "base/log.h"
#include "proxy/client.h"
#include "upstream/passive.h"

/* One row a failure: how it is counted, whether it speaks against the server, what may follow. */
static const struct {
    enum hf_server_counter server_counter;
    enum hf_proxy_counter retry_counter;
    uint8_t needs_on; /* bit of retry.on; 0 = no such retry */
    bool against_server;
    bool nothing_sent; /* safe for every method, costs no budget */
    unsigned status;
    const char *reason;
} failures[] = {
    [HF_FAILURE_CONNECT] = {HF_SERVER_FAIL_CONNECT, HF_PROXY_REDISPATCHES, HF_RETRY_CONNECT, true,
                            true, 503, "no server of the pool accepts connections"},
    [HF_FAILURE_STALE] = {HF_SERVER_FAIL_RESET, HF_PROXY_RETRY_STALE, HF_RETRY_RESET, false, false,
                          502, "the server closed the connection before it answered"},
    [HF_FAILURE_RESET] = {HF_SERVER_FAIL_RESET, HF_PROXY_RETRY_RESET, HF_RETRY_RESET, true, false,
                          502, "the server closed the connection before it answered"},
    [HF_FAILURE_TIMEOUT] = {HF_SERVER_FAIL_TIMEOUT, HF_PROXY_RETRY_RESET, 0, true, false, 504,
                            "the server did not answer in time"},
    [HF_FAILURE_MALFORMED] = {HF_SERVER_FAIL_BAD, HF_PROXY_RETRY_RESET, 0, true, false, 502,
                              "the server's answer is malformed"},
    [HF_FAILURE_STATUS] = {HF_SERVER_RESPONSES_5XX, HF_PROXY_RETRY_5XX, HF_RETRY_5XX, false, false,
                           502, "the server failed"},
};

void hf_exchange_speak_against(struct hf_exchange *x, const char *reason)
{
    struct hf_worker *worker = x->worker;
    const struct hf_passive *passive = &x->pool->passive;
    unsigned index = (unsigned)(x->target - x->pool->servers);
    uint64_t probe = x->probe;
    x->probe = 0;
    if (!hf_passive_failure(x->pool, index, hf_worker_shard(worker), probe,
                            hf_loop_now_ms(worker->loop)))
        return;
    if (probe != 0)
        hf_warning("%s/%s stays ejected for %u ms more: a probe failed: %s", x->pool->name,
                   x->target->server->name, passive->eject_ms, reason);
    else
        hf_warning(
            "%s/%s ejected for %u ms: %u failures of live requests within %u ms, the last: %s",
            x->pool->name, x->target->server->name, passive->eject_ms, passive->failures,
            passive->window_ms, reason);
}

static void note_failure(struct hf_exchange *x)
{
    struct hf_worker *worker = x->worker;
    hf_worker_count_server(worker, x->target->server, failures[x->failure].server_counter);
    if (!failures[x->failure].against_server)
        return;
    hf_exchange_speak_against(x, failures[x->failure].reason);
}

static bool repeatable(const struct hf_exchange *x)
{
    if (failures[x->failure].nothing_sent)
        return true;
    return hf_method_idempotent((enum hf_method)x->request.method) && x->up.total == 0 &&
           !x->response_started;
}

/* May this request be tried again at all, by rule and by budget? */
static bool retry_allowed(struct hf_exchange *x)
{
    const struct hf_retry *retry = &x->pool->retry;
    if (!(retry->on & failures[x->failure].needs_on) || !repeatable(x))
        return false;
    if (x->failure != HF_FAILURE_STALE && x->retries >= retry->attempts)
        return false;
    if (x->tried_count >= HF_TRIES_MAX || failures[x->failure].nothing_sent)
        return x->tried_count < HF_TRIES_MAX;
    if (hf_retry_take(x->snapshot->budgets[x->pool->index], retry->budget_percent,
                      hf_loop_now_ms(x->worker->loop)))
        return true;
    hf_worker_count(x->worker, HF_PROXY_RETRY_DENIED);
    return false;
}

/* A session that must not be answered by a server which has it not stays an error until its own is
 * back or is judged down. A client on its way home has a server that has it: where it was. */
static bool held_back(const struct hf_exchange *x, int next)
{
    return (x->choice.owner >= 0 || x->choice.lost) && !x->choice.returning &&
           hf_failover_refuses(x, next);
}

static enum hf_step give_up(struct hf_exchange *x)
{
    return hf_reply_with(x, failures[x->failure].status, failures[x->failure].reason);
}

/* Retries of many requests that failed together must not arrive together: a random part of the
 * back-off, which doubles with each retry ("full jitter", Brooker 2015). */
static void back_off(struct hf_exchange *x)
{
    enum { DOUBLINGS_MAX = 4 };
    unsigned doublings = x->retries > 1 ? x->retries - 1u : 0;
    doublings = doublings < DOUBLINGS_MAX ? doublings : DOUBLINGS_MAX;
    uint32_t most_ms = x->pool->retry.backoff_ms << doublings;
    uint32_t wait_ms = hf_rng_below(&x->snapshot->affinity.rng, most_ms + 1);
    x->resume_ms = wait_ms > 0 ? hf_loop_now_ms(x->worker->loop) + wait_ms : 0;
}

/* The server to try after this one, or -1. */
static int find_next(struct hf_exchange *x)
{
    struct hf_affinity_request request = hf_exchange_affinity_request(x);
    hf_successor_note(x->pool, &request, &x->choice);
    x->tried[x->tried_count] = (uint16_t)(x->target - x->pool->servers);
    return hf_affinity_next(&x->snapshot->affinity, x->pool, &x->choice, x->tried,
                            x->tried_count + 1u, request.now_ms);
}

/* Puts up the server that find_next found. False: it found none. */
static bool choose_next(struct hf_exchange *x, int next)
{
    x->tried_count++;
    if (next < 0)
        return false;
    x->choice.server = next;
    x->fresh_only = false;
    x->retries++;
    if (!failures[x->failure].nothing_sent)
        back_off(x);
    return true;
}

bool hf_exchange_retry_status(struct hf_exchange *x)
{
    /* A pinned client's session is on this server: another one knows nothing of it. */
    if (x->choice.pin_valid || x->choice.named || !(x->pool->retry.on & HF_RETRY_5XX) ||
        !repeatable(x))
        return false;
    x->failure = HF_FAILURE_STATUS;
    if (!retry_allowed(x) || !choose_next(x, find_next(x)))
        return false;
    if (x->pool->passive.count_5xx)
        hf_exchange_speak_against(x, failures[HF_FAILURE_STATUS].reason);
    else
        hf_slot_proved(x);
    hf_origin_release(x, false);
    x->down = (struct hf_content){0};
    x->up.passed = false;
    hf_worker_count_server(x->worker, x->target->server, HF_SERVER_RESPONSES_5XX);
    hf_worker_count(x->worker, failures[HF_FAILURE_STATUS].retry_counter);
    return true;
}

enum hf_step hf_step_retry(struct hf_exchange *x)
{
    REQUIRE(x->failure != HF_FAILURE_NONE && x->target != NULL);
    note_failure(x);
    bool stale = x->failure == HF_FAILURE_STALE;
    if (x->origin)
        hf_origin_release(x, false);
    hf_slot_release(x); /* before an answer of ours: the server has nothing of this request now */
    x->down = (struct hf_content){0};
    if (!retry_allowed(x))
        return give_up(x);
    if (stale) { /* the server may be well: a new connection to it tells */
        x->fresh_only = true;
    } else {
        int next = find_next(x);
        if (held_back(x, next))
            return hf_reply_with(x, 503, "the server that holds your session cannot be reached");
        if (!choose_next(x, next))
            return give_up(x);
    }
    x->up.passed = false;
    hf_worker_count(x->worker, failures[x->failure].retry_counter);
    return HF_STEP_ACQUIRE;
}
