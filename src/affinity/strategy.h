/* What a strategy is: one function behind one row of the table in affinity.c.
 * Threads: the worker's. Layer: affinity. */
#pragma once
#include "affinity/affinity.h"

/* Looks for this strategy's key. When it names a server (or tells that the client lost one) it
 * fills owner, server, client_id and what else it knows; otherwise it leaves *choice alone.
 * Answers what it found; the caller stores that and goes on while server < 0 and not lost. */
typedef enum hf_affinity_verdict (*hf_strategy_fn)(struct hf_affinity_worker *worker,
                                                   const struct hf_pool *pool,
                                                   const struct hf_affinity *affinity,
                                                   const struct hf_affinity_request *request,
                                                   struct hf_affinity_choice *choice);

/* The two strategies of hash mod N differ in the key alone: the server that the hash names serves
 * while it serves at all, also when it drains; else the hash is mixed and tried again. */
enum hf_affinity_verdict hf_strategy_follow_hash(const struct hf_pool *pool, uint64_t hash,
                                                 uint64_t now_ms,
                                                 struct hf_affinity_choice *choice);
