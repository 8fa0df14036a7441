/* The glossary and signpost of upstream/: how servers are watched, judged and spared.
 *   health.h   active checks: one checker on the control thread's loop, writes server->health
 *   passive.h  failures seen in live traffic, ejection with a cap
 *   retry.h    the retry budget of a pool
 *   pool.h     kept connections to servers, one pool a worker
 * Layer: upstream. */
#pragma once
