/* Where a pinned client goes, and what becomes of its pin: the one place that knows `failback`.
 *
 *   stay: the client moves when its server is judged unusable, and remains where it went.
 *   return: the same, but the pin remembers its home: it goes back when that takes clients again.
 *   temporary: the pin stays as it is; a stand-in serves until the owner is back.
 *
 * For every strategy that keeps a pin, in a cookie or in a table. A hash keeps none: its clients
 * spread while their server is away and come back with it, whatever `failback` says. Never reads or
 * writes the pin itself. Threads: the worker's. Layer: affinity. */
#pragma once
#include "affinity/affinity.h"

struct hf_failback_pin {
    uint64_t owner_id; /* the server that has the session now */
    uint64_t home_id;  /* the one it was lost from and will return to; 0 = the owner is at home */
};

/* Fills owner, home_id, server, lost and returning of *choice, whose client_id is set: it ranks the
 * stand-ins. Answers PINNED (to choice->owner), RETURNED (choice->server is home again), or why the
 * session is lost: DOWN, MAINTENANCE, GONE. */
enum hf_affinity_verdict hf_failback_choose(const struct hf_pool *pool,
                                            const struct hf_failback_pin *pin, uint64_t now_ms,
                                            struct hf_affinity_choice *choice);
/* After pool->servers[served] answered a client that brought a pin: whether the pin changes, and to
 * what. One failed request never moves it; a judgement does. *ret_pin is filled in either case. */
bool hf_failback_next(const struct hf_pool *pool, const struct hf_affinity_choice *choice,
                      unsigned served, uint64_t now_ms, struct hf_failback_pin *ret_pin);
