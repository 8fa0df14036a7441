#include "model/recovery.h"

#include "base/assert.h"

/* server->failure.judged holds when and how long it took in one word, so that whoever takes it has
 * both of one judgement. Monotonic ms fit 40 bits for 34 years. */
enum { DETECTION_BITS = 24 };
static const uint64_t detection_max = (1u << DETECTION_BITS) - 1; /* 4.6 hours */

static struct {
    pthread_mutex_t lock; /* a leaf */
    struct hf_recovery kept[HF_RECOVERIES_KEPT];
    uint64_t count; /* ever; the newest is at count - 1 */
} recoveries = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* All accesses are relaxed: each word stands alone. */
void hf_recovery_note_good(struct hf_server *server, uint64_t now_ms)
{
    atomic_store_explicit(&server->failure.good_ms, now_ms, memory_order_relaxed);
}

void hf_recovery_judged(struct hf_server *server, uint64_t since_ms, uint64_t now_ms)
{
    REQUIRE(since_ms <= now_ms);
    if (!hf_server_serves(server, now_ms))
        return;
    uint64_t took_ms = now_ms - since_ms;
    took_ms = took_ms < detection_max ? took_ms : detection_max;
    atomic_store_explicit(&server->failure.judged, now_ms << DETECTION_BITS | took_ms,
                          memory_order_relaxed);
}

void hf_recovery_judged_by_checks(struct hf_server *server, uint64_t now_ms)
{
    uint64_t good_ms = atomic_load_explicit(&server->failure.good_ms, memory_order_relaxed);
    uint64_t since_ms = atomic_load_explicit(&server->state_since_ms, memory_order_relaxed);
    since_ms = good_ms > since_ms ? good_ms : since_ms;
    hf_recovery_judged(server, since_ms < now_ms ? since_ms : now_ms, now_ms);
}

bool hf_recovery_take(struct hf_server *server, uint64_t *ret_judged_ms, uint64_t *ret_detection_ms)
{
    if (atomic_load_explicit(&server->failure.judged, memory_order_relaxed) == 0)
        return false;
    uint64_t judged = atomic_exchange_explicit(&server->failure.judged, 0, memory_order_relaxed);
    if (judged == 0)
        return false;
    *ret_judged_ms = judged >> DETECTION_BITS;
    *ret_detection_ms = judged & detection_max;
    return true;
}

void hf_recovery_keep(const struct hf_recovery *recovery)
{
    pthread_mutex_lock(&recoveries.lock);
    recoveries.kept[recoveries.count++ % HF_RECOVERIES_KEPT] = *recovery;
    pthread_mutex_unlock(&recoveries.lock);
}

unsigned hf_recovery_list(struct hf_recovery ret_list[HF_RECOVERIES_KEPT])
{
    pthread_mutex_lock(&recoveries.lock);
    uint64_t count = recoveries.count;
    unsigned found = 0;
    for (; found < HF_RECOVERIES_KEPT && found < count; found++)
        ret_list[found] = recoveries.kept[(count - 1 - found) % HF_RECOVERIES_KEPT];
    pthread_mutex_unlock(&recoveries.lock);
    return found;
}
