/* The application's cookie with a server's name in front: `app1~abc`. See README.md.
 * proxy/forward.c puts the names in and takes them out. Keeps nothing. Threads: any. Layer:
 * affinity. */
#pragma once
#include "affinity/strategy.h"

/* hf_strategy_fn. Several cookies of the name count when they all name the same server. */
enum hf_affinity_verdict hf_cookie_prefix_identify(struct hf_affinity_worker *worker,
                                                   const struct hf_pool *pool,
                                                   const struct hf_affinity *affinity,
                                                   const struct hf_affinity_request *request,
                                                   struct hf_affinity_choice *choice);
