/* Failures seen in live traffic: `failures` within `window` eject a server for `eject`, never more
 * than maximum_ejected of a pool, but one at least (of 3 servers, 50 % are one; so are 10 %), and
 * never its last server that takes new clients. A window starts at its first failure. One success
 * does not forgive, a quiet window does. With a failure_ratio the failures must also be that part
 * of the server's requests since the window began. Never counts what fails on a server already
 * judged, but for a probe: that opens the breaker again at once, whatever the cap (breaker.h).
 * Threads: any; an ejection takes one short mutex, a counted failure none. Layer: upstream. */
#pragma once
#include "model/config.h"

/* Notes a failure (connect, reset, timeout, malformed answer; an answer of 5xx only if the pool has
 * count_5xx). probe: of hf_breaker_admit. True when this one ejected the server: log it. */
bool hf_passive_failure(const struct hf_pool *pool, unsigned server_index, unsigned shard,
                        uint64_t probe, uint64_t now_ms);
