/* Failures seen in live traffic: `failures` within `window` eject a server for `eject`, never more
 * than maximum_ejected of a pool (and never its last usable server). One success does not forgive, a
 * quiet window does. Threads: any (atomics of hf_server). Layer: upstream. */
#pragma once
#include "model/config.h"

/* Notes a failure (connect, reset, timeout, malformed answer; 5xx are the application's and do not
 * count). True when this one ejected the server: log it. */
bool hf_passive_failure(const struct hf_pool *pool, unsigned server_index, unsigned shard,
                        uint64_t now_ms);
