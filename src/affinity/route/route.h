/* The application itself appends the server's name to its session id: `abc.app1` (jvmRoute), in a
 * cookie or as a path parameter. See README.md. Reads only. Threads: any. Layer: affinity. */
#pragma once
#include "affinity/strategy.h"

/* hf_strategy_fn. A cookie of the name, with a route or without, hides the URL, as servlet
 * containers have it. Several pairs count when they all name the same server.
 */
enum hf_affinity_verdict hf_route_identify(struct hf_affinity_worker *worker,
                                           const struct hf_pool *pool,
                                           const struct hf_affinity *affinity,
                                           const struct hf_affinity_request *request,
                                           struct hf_affinity_choice *choice);
