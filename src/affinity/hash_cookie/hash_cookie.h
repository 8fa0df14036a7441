/* The application's own cookie names the server: hash mod N, the textbook form. See README.md.
 * Keeps nothing and writes nothing. Threads: any. Layer: affinity. */
#pragma once
#include "affinity/strategy.h"

/* hf_strategy_fn. Of several cookies of the name the first counts: browsers send the one of the
 * longest path first (RFC 6265 5.4), and that is the one applications take. */
enum hf_affinity_verdict hf_hash_cookie_identify(struct hf_affinity_worker *worker,
                                                 const struct hf_pool *pool,
                                                 const struct hf_affinity *affinity,
                                                 const struct hf_affinity_request *request,
                                                 struct hf_affinity_choice *choice);
