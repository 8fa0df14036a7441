/* A request's place at a server: a slot below the server's limit, or in its queue, and the word of
 * the circuit breaker. A client bound to a server waits for it; any other goes where a slot is
 * free.
 */
#include "base/assert.h"
#include "base/log.h"
#include "proxy/client.h"
#include "upstream/breaker.h"

enum { REFUSALS_MAX = 8 /* of breakers, each time after another choice */ };

static uint64_t now_ms(const struct hf_exchange *x)
{
    return hf_loop_now_ms(x->worker->loop);
}

static struct hf_server *server_of(const struct hf_exchange *x, int index)
{
    REQUIRE(index >= 0 && (unsigned)index < x->pool->server_count);
    return x->pool->servers[index].server;
}

/* Its session is there, or will be: it does not go elsewhere for want of a slot. */
static bool bound(const struct hf_exchange *x)
{
    const struct hf_affinity_choice *choice = &x->choice;
    if (choice->owner >= 0 && choice->server == choice->owner)
        return true;
    bool guest = choice->lost && x->pool->failback == HF_FAILBACK_TEMPORARY;
    return x->tried_count == 0 && (choice->returning || guest);
}

static void end_probe(struct hf_exchange *x, bool good)
{
    uint64_t probe = x->probe;
    x->probe = 0;
    if (probe != 0 && hf_breaker_probe_ended(x->slot_server, probe, good, now_ms(x)))
        hf_info("%s/%s takes all its requests again: its probes succeeded", x->slot_server->pool,
                x->slot_server->name);
}

static void note_queue_left(struct hf_exchange *x)
{
    x->pending = false;
    x->queued_ms += now_ms(x) - x->queued_at_ms;
}

void hf_slot_release(struct hf_exchange *x)
{
    if (!x->slot_server && !x->pending) {
        x->waited = false;
        return;
    }
    if (x->pending) {
        hf_limit_cancel(&x->waiter);
        note_queue_left(x);
    }
    x->waited = false;
    if (!x->slot_server)
        return;
    end_probe(x, false);
    hf_limit_leave(x->slot_server);
    x->slot_server = NULL;
}

void hf_slot_hand_on(struct hf_exchange *x)
{
    REQUIRE(x->slot_server != NULL && x->probe == 0);
    x->slot_server = NULL;
}

void hf_slot_proved(struct hf_exchange *x)
{
    REQUIRE(x->slot_server != NULL);
    end_probe(x, true);
}

void hf_slot_woken(struct hf_limit_waiter *waiter, bool granted)
{
    struct hf_exchange *x = hf_container_of(waiter, struct hf_exchange, waiter);
    REQUIRE(HF_MAGIC_OK(x, HF_EXCHANGE_MAGIC) && x->pending && x->step == HF_STEP_ACQUIRE);
    note_queue_left(x);
    x->waited = granted;
    x->slot_server = granted ? waiter->server : NULL;
    if (!granted) /* judged: who is the client's server now? */
        x->step = x->tried_count == 0 ? HF_STEP_IDENTIFY : HF_STEP_ACQUIRE;
    x->rechosen |= !granted;
    x->client_side->wake(x->client);
}

/* A slot of that server, or with `queue` a place in its queue. */
static bool enter(struct hf_exchange *x, int index, bool queue)
{
    struct hf_server *server = server_of(x, index);
    bool entered = hf_limit_try(server);
    if (!entered && queue) {
        enum hf_limit_entry entry = hf_limit_wait(server, &x->worker->waker, &x->waiter);
        entered = entry == HF_LIMIT_ENTERED;
        x->pending = entry == HF_LIMIT_WAITING;
    }
    if (!entered && !x->pending)
        return false;
    x->choice.server = index;
    x->slot_server = entered ? server : NULL;
    return true;
}

/* The other servers that take clients, in the order of a fall-back. */
static bool enter_another(struct hf_exchange *x, bool queue)
{
    uint16_t seen[HF_TRIES_MAX];
    unsigned count = x->tried_count;
    memcpy(seen, x->tried, count * sizeof(seen[0]));
    int next = x->choice.server;
    while (count < HF_TRIES_MAX) {
        seen[count++] = (uint16_t)next;
        next =
            hf_affinity_next(&x->snapshot->affinity, x->pool, &x->choice, seen, count, now_ms(x));
        if (next < 0 || !hf_server_accepts(server_of(x, next), now_ms(x)))
            return false;
        if (enter(x, next, queue))
            return true;
    }
    return false;
}

static enum hf_step take_slot(struct hf_exchange *x)
{
    if (enter(x, x->choice.server, false))
        return HF_STEP_ACQUIRE;
    bool free_to_go = !bound(x);
    bool placed = (free_to_go && enter_another(x, false)) || enter(x, x->choice.server, true) ||
                  (free_to_go && enter_another(x, true));
    if (!placed) {
        hf_worker_count(x->worker, HF_PROXY_PENDING_FULL);
        return hf_reply_with(x, 503,
                             free_to_go ? "every server is at its limit, and so are their queues"
                                        : "your server is at its limit, and so is its queue");
    }
    if (!x->pending)
        return HF_STEP_ACQUIRE;
    x->queued = true;
    x->queued_at_ms = now_ms(x);
    hf_worker_count(x->worker, HF_PROXY_PENDED);
    return HF_STEP_WAIT;
}

static bool anybody_accepts(const struct hf_exchange *x)
{
    for (unsigned i = 0; i < x->pool->server_count; i++) {
        const struct hf_pool_server *one = &x->pool->servers[i];
        if (one->weight > 0 && hf_server_accepts(one->server, now_ms(x)))
            return true;
    }
    return false;
}

/* Another server, before this one got anything of the request. */
static enum hf_step choose_again(struct hf_exchange *x)
{
    uint16_t seen[HF_TRIES_MAX + 1];
    hf_slot_release(x);
    if (x->refusals++ >= REFUSALS_MAX)
        return hf_reply_with(x, 503, "no server of the pool is usable");
    x->rechosen = true;
    if (x->tried_count == 0)
        return HF_STEP_IDENTIFY;
    memcpy(seen, x->tried, x->tried_count * sizeof(seen[0]));
    seen[x->tried_count] = (uint16_t)x->choice.server;
    int next = hf_affinity_next(&x->snapshot->affinity, x->pool, &x->choice, seen,
                                x->tried_count + 1u, now_ms(x));
    if (next < 0)
        return hf_reply_with(x, 503, "no server of the pool is usable");
    x->choice.server = next;
    return take_slot(x);
}

/* Down, in maintenance, or draining while a client without a session waited for it. */
static bool judged_while_waiting(const struct hf_exchange *x)
{
    enum hf_server_state state = hf_server_state(x->slot_server, now_ms(x));
    return state == HF_SERVER_DOWN || state == HF_SERVER_MAINTENANCE ||
           (state == HF_SERVER_DRAIN && !bound(x));
}

enum hf_step hf_slot_acquire(struct hf_exchange *x)
{
    if (x->pending || x->resume_ms != 0) {
        if (!x->client_side->gone(x))
            return HF_STEP_WAIT;
        x->end = HF_END_CLIENT_GONE;
        return HF_STEP_FINISH;
    }
    enum hf_step next = x->slot_server ? HF_STEP_ACQUIRE : take_slot(x);
    while (next == HF_STEP_ACQUIRE) {
        bool judged = x->waited && judged_while_waiting(x);
        if (!judged && hf_breaker_admit(x->slot_server, now_ms(x), &x->probe))
            return HF_STEP_ACQUIRE;
        /* An open breaker is better tried than a 503. */
        if (!judged && !anybody_accepts(x))
            return HF_STEP_ACQUIRE;
        next = choose_again(x);
    }
    return next;
}
