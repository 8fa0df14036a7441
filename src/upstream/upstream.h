/* The glossary and signpost of upstream/: how servers are watched, judged and spared.
 *   health.h   active checks: one checker on the control thread's loop, writes server->health
 *   passive.h  failures seen in live traffic, ejection with a cap
 *   breaker.h  the states after an ejection: open, half open with probes, closed
 *   limit.h    how many requests a server gets at once, and the queue of those who wait
 *   retry.h    the retry budget of a pool
 *   pool.h     kept connections to servers, one pool a worker
 * Layer: upstream. */
#pragma once
