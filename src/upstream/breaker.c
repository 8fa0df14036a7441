#include "upstream/breaker.h"

#include "base/assert.h"
#include "upstream/limit.h"

/* Guards changes of state. A leaf. */
static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;

/* Acquire, and release where it is written: who sees a state sees what was stored before it. */
static uint64_t probing_of(struct hf_server *server)
{
    return atomic_load_explicit(&server->probing, memory_order_acquire);
}

bool hf_breaker_admit_probe(struct hf_server *server, uint64_t now_ms, uint64_t *ret_probe)
{
    uint64_t until_ms = atomic_load_explicit(&server->ejected_until_ms, memory_order_acquire);
    if (until_ms == 0)
        return true;
    if (until_ms > now_ms)
        return false;
    uint64_t old = probing_of(server);
    for (;;) {
        if (old == 0)
            return true;
        unsigned room = hf_server_probing_room(old);
        if (hf_server_probing_until_ms(old) != until_ms || room == 0)
            return false;
        uint64_t new = hf_server_probing_pack(until_ms, room - 1, hf_server_probing_needed(old));
        if (atomic_compare_exchange_weak_explicit(&server->probing, &old, new, memory_order_acq_rel,
                                                  memory_order_acquire))
            break;
    }
    *ret_probe = until_ms;
    return true;
}

/* Under the lock. What is stored first makes a reader in between see it open, never closed. */
static void open_locked(struct hf_server *server, uint64_t until_ms, unsigned probes)
{
    atomic_store_explicit(&server->probing, hf_server_probing_pack(until_ms, probes, probes),
                          memory_order_release);
    atomic_store_explicit(&server->ejected_until_ms, until_ms, memory_order_release);
}

void hf_breaker_open(struct hf_server *server, uint64_t until_ms, unsigned probes)
{
    REQUIRE(until_ms > 0 && probes >= 1 && probes <= HF_PROBES_MAX);
    pthread_mutex_lock(&changing);
    open_locked(server, until_ms, probes);
    pthread_mutex_unlock(&changing);
    hf_limit_flush(server);
}

/* The last success that was needed, unless a failure came first. */
static bool close_after(struct hf_server *server, uint64_t probe, uint64_t now_ms)
{
    pthread_mutex_lock(&changing);
    uint64_t probing = probing_of(server);
    bool close =
        hf_server_probing_until_ms(probing) == probe && hf_server_probing_needed(probing) == 0;
    if (close) {
        atomic_store_explicit(&server->up_since_ms, now_ms, memory_order_relaxed);
        atomic_store_explicit(&server->ejected_until_ms, 0, memory_order_release);
        atomic_store_explicit(&server->probing, 0, memory_order_release);
    }
    pthread_mutex_unlock(&changing);
    return close;
}

bool hf_breaker_probe_ended(struct hf_server *server, uint64_t probe, bool good, uint64_t now_ms)
{
    REQUIRE(probe != 0);
    uint64_t old = probing_of(server), new;
    do {
        if (hf_server_probing_until_ms(old) != probe)
            return false; /* decided meanwhile */
        unsigned needed = hf_server_probing_needed(old);
        new = hf_server_probing_pack(probe, hf_server_probing_room(old) + !good, needed - good);
        REQUIRE(needed > 0);
    } while (!atomic_compare_exchange_weak_explicit(&server->probing, &old, new,
                                                    memory_order_acq_rel, memory_order_acquire));
    return hf_server_probing_needed(new) == 0 && close_after(server, probe, now_ms);
}

bool hf_breaker_probe_failed(const struct hf_pool *pool, struct hf_server *server, uint64_t probe,
                             uint64_t now_ms)
{
    REQUIRE(probe != 0);
    pthread_mutex_lock(&changing);
    bool first = hf_server_probing_until_ms(probing_of(server)) == probe;
    /* Later than the one before in any case: a probe is told by its time. */
    uint64_t until_ms = now_ms + pool->passive.eject_ms;
    if (first)
        open_locked(server, until_ms > probe ? until_ms : probe + 1, pool->passive.probes);
    pthread_mutex_unlock(&changing);
    if (first)
        hf_limit_flush(server);
    return first;
}
