/* What became of a session whose server cannot serve it, and how long that took. With agents it
 * moves; without, it is lost, and on_loss says what its client gets. */
#include "affinity/successor.h"
#include "base/assert.h"
#include "model/recovery.h"
#include "proxy/exchange.h"
#include "proxy/process.h"
#include "proxy/telling.h"
#include <stdio.h>

enum cause { CAUSE_DOWN, CAUSE_MAINTENANCE, CAUSE_GONE, CAUSES };
_Static_assert((int)CAUSES == (int)HF_TELLING_CAUSES, "agents are asked for each");
_Static_assert((int)HF_PROXY_LOST_GONE == (int)HF_PROXY_LOST_DOWN + CAUSE_GONE &&
                   (int)HF_PROXY_MOVED_GONE == (int)HF_PROXY_MOVED_DOWN + CAUSE_GONE &&
                   (int)HF_PROXY_REPLACED_GONE == (int)HF_PROXY_REPLACED_DOWN + CAUSE_GONE &&
                   (int)HF_PROXY_UNKNOWN_GONE == (int)HF_PROXY_UNKNOWN_DOWN + CAUSE_GONE &&
                   (int)HF_PROXY_REFUSED_GONE == (int)HF_PROXY_REFUSED_DOWN + CAUSE_GONE,
               "rows in the order of the causes");

static enum cause cause_of(const struct hf_exchange *x)
{
    if (x->choice.verdict == HF_AFFINITY_MAINTENANCE)
        return CAUSE_MAINTENANCE;
    return x->choice.verdict == HF_AFFINITY_GONE ? CAUSE_GONE : CAUSE_DOWN;
}

/* first: the counter of CAUSE_DOWN. */
static void count_cause(struct hf_exchange *x, enum hf_proxy_counter first)
{
    hf_worker_count(x->worker, (enum hf_proxy_counter)((int)first + (int)cause_of(x)));
}

const char *hf_failover_cause_word(const struct hf_exchange *x)
{
    static const char *const words[] = {
        [CAUSE_DOWN] = "down", [CAUSE_MAINTENANCE] = "maintenance", [CAUSE_GONE] = "gone"};
    return words[cause_of(x)];
}

const char *hf_outcome_word(enum hf_outcome outcome)
{
    static const char *const words[] = {
        [HF_OUTCOME_NONE] = "none",         [HF_OUTCOME_MOVED] = "moved",
        [HF_OUTCOME_REPLACED] = "replaced", [HF_OUTCOME_UNKNOWN] = "unknown",
        [HF_OUTCOME_FRESH] = "fresh",       [HF_OUTCOME_REFUSED] = "refused"};
    REQUIRE((unsigned)outcome < sizeof(words) / sizeof(words[0]));
    return words[outcome];
}

bool hf_failover_refuses(const struct hf_exchange *x, int index)
{
    return x->pool->on_loss != HF_ON_LOSS_FRESH &&
           !hf_successor_follows(x->pool, &x->choice, index);
}

void hf_failover_refused(struct hf_exchange *x)
{
    x->outcome = HF_OUTCOME_REFUSED;
    count_cause(x, HF_PROXY_REFUSED_DOWN);
}

static void keep(const struct hf_exchange *x, unsigned served, const struct hf_recovery *times)
{
    const struct hf_server *failed = x->pool->servers[x->choice.owner].server;
    struct hf_recovery recovery = *times;
    snprintf(recovery.pool, sizeof(recovery.pool), "%s", x->pool->name);
    snprintf(recovery.server, sizeof(recovery.server), "%s", failed->name);
    snprintf(recovery.successor, sizeof(recovery.successor), "%s",
             x->pool->servers[served].server->name);
    recovery.at_ms = hf_loop_now_ms(x->worker->loop);
    hf_recovery_keep(&recovery);
}

/* The first session that a failure moves tells how long all of them were kept waiting. */
static void measure(struct hf_exchange *x, unsigned served, bool moves)
{
    struct hf_proxy_counts *counts = &x->worker->counts;
    if (x->choice.owner < 0 || x->head_us == 0 || cause_of(x) != CAUSE_DOWN)
        return;
    struct hf_recovery times = {.lookup_us = x->head_us - x->sent_us,
                                .session = hf_outcome_word((enum hf_outcome)x->outcome)};
    uint64_t judged_ms = 0, sent_ms = x->sent_us / 1000;
    bool first =
        hf_recovery_take(x->pool->servers[x->choice.owner].server, &judged_ms, &times.detection_ms);
    if (moves || first)
        hf_histogram_record(&counts->lookup_us, times.lookup_us);
    if (!first)
        return;
    /* A request that was under way when the server was judged is not waited for. */
    times.propagation_ms = sent_ms > judged_ms ? sent_ms - judged_ms : 0;
    hf_histogram_record(&counts->detection_us, times.detection_ms * 1000);
    hf_histogram_record(&counts->propagation_us, times.propagation_ms * 1000);
    keep(x, served, &times);
}

/* That the successor has the session is the agents' promise. An answer that gives the client
 * another one tells that it was not kept; a 5xx, which is what frameworks make of an agent that
 * does not know, tells nothing. Whether the promise was kept is asked afterwards. */
static enum hf_outcome find_outcome(const struct hf_exchange *x, unsigned served)
{
    if (!hf_successor_follows(x->pool, &x->choice, (int)served))
        return HF_OUTCOME_FRESH;
    if (x->response.status >= 500)
        return HF_OUTCOME_UNKNOWN;
    bool replaced = hf_successor_replaced(x->pool, &x->choice, &x->response);
    return replaced ? HF_OUTCOME_REPLACED : HF_OUTCOME_MOVED;
}

/* The successor's agent is asked once the application has had the session, or has not looked for
 * it: for the counters alone. */
static void confirm(struct hf_exchange *x, unsigned served)
{
    struct hf_affinity_request request = hf_exchange_affinity_request(x);
    struct hf_session_id id;
    bool asked = hf_successor_session(x->pool, &request, &id) &&
                 hf_process_ask_agent(x->worker->process, &x->pool->servers[served].agent,
                                      hf_slice(id.bytes, id.size), (unsigned)cause_of(x));
    if (!asked)
        hf_worker_count(x->worker, HF_PROXY_UNCONFIRMED);
}

static enum hf_proxy_counter moved_counter(enum hf_outcome outcome)
{
    if (outcome == HF_OUTCOME_FRESH)
        return HF_PROXY_LOST_DOWN;
    if (outcome == HF_OUTCOME_UNKNOWN)
        return HF_PROXY_UNKNOWN_DOWN;
    return outcome == HF_OUTCOME_REPLACED ? HF_PROXY_REPLACED_DOWN : HF_PROXY_MOVED_DOWN;
}

void hf_failover_note(struct hf_exchange *x, unsigned served, bool moves)
{
    enum hf_outcome outcome = find_outcome(x, served);
    if (x->outcome == HF_OUTCOME_NONE) /* else refused, and sent away with a new pin */
        x->outcome = (uint8_t)outcome;
    if (moves)
        count_cause(x, moved_counter(outcome));
    if (moves && outcome == HF_OUTCOME_MOVED)
        confirm(x, served);
    measure(x, served, moves);
}
