/* How much of its weight a server that came back gets: from a small part to all of it, evenly over
 * `slow_start`. Weights are multiplied by HF_SLOW_START_SCALE, so that a weight of 1 can grow in
 * steps; all servers of the pool are, always, so that balancing state stays comparable.
 * For new clients alone: a hash must not move clients because a server is warming up.
 * Pure. Threads: any. Layer: affinity. */
#pragma once
#include "model/config.h"

enum {
    HF_SLOW_START_SCALE = 100,
    HF_SLOW_START_LEAST = 5, /* of HF_SLOW_START_SCALE: what it begins with */
};

/* The scaled weight of a server of a pool with slow_start_ms > 0. */
uint32_t hf_slow_start_weight(const struct hf_pool *pool, const struct hf_pool_server *one,
                              uint64_t now_ms);
