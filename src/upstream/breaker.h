/* The circuit breaker of a server. An ejection by passive checks (passive.h) is its open state:
 *   closed     whatever comes goes to the server
 *   open       for `eject`: nothing goes to it while another server takes clients
 *   half open  afterwards: exactly `probes` requests go to it, everyone else elsewhere; when all of
 *              them succeed it closes, one failure opens it again. A probe that ends without a
 *              result, its client having left, is made up for by another.
 * A server that is only left because every other one is worse gets requests in any state.
 * Threads: any; a change of state takes one short mutex, the rest is atomic. Layer: upstream. */
#pragma once
#include "model/config.h"

/* Slow path of hf_breaker_admit. */
bool hf_breaker_admit_probe(struct hf_server *server, uint64_t now_ms, uint64_t *ret_probe);
/* Whether a request may go to the server. *ret_probe: 0, or what it must end with by
 * hf_breaker_probe_ended or hf_breaker_probe_failed. One load while the breaker is closed. */
static inline bool hf_breaker_admit(struct hf_server *server, uint64_t now_ms, uint64_t *ret_probe)
{
    *ret_probe = 0;
    if (__builtin_expect(atomic_load_explicit(&server->ejected_until_ms, memory_order_relaxed) == 0,
                         1))
        return true;
    return hf_breaker_admit_probe(server, now_ms, ret_probe);
}

/* Opens it until that time; `probes` may begin then, and as many must succeed. Whoever waits for a
 * slot of the server is sent away. Under no lock of the caller's that a worker needs. */
void hf_breaker_open(struct hf_server *server, uint64_t until_ms, unsigned probes);
/* What a probe showed: its answer's head is good, or it ended without any result (the client left).
 * True when it was the success that closed the breaker: log it. */
bool hf_breaker_probe_ended(struct hf_server *server, uint64_t probe, bool good, uint64_t now_ms);
/* A probe failed: opens the breaker again for eject_ms, with as many probes as before. True when it
 * did, false when another one of the same time had done so: log the first. */
bool hf_breaker_probe_failed(const struct hf_pool *pool, struct hf_server *server, uint64_t probe,
                             uint64_t now_ms);
