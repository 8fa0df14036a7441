/* A pool as the balancing algorithms see it, and which servers may take a client at all.
 * In order, the next only when the one before is empty: those that take new clients; such among the
 * backups; those that live traffic ejected (better tried than a 503). A server that is down,
 * drains, is in maintenance or has weight 0 is never chosen for a client that it does not have. All
 * answer an index in pool->servers, or -1. Never allocates: 32 KiB of stack at most. Threads: the
 * worker's. Layer: affinity. */
#pragma once
#include "affinity/affinity.h"

/* The pool's balancer, for a client without a key. */
int hf_candidates_balance(struct hf_affinity_worker *worker, const struct hf_pool *pool,
                          const struct hf_affinity_request *request);
/* The first of the client's rank that is none of tried[0..tried_count). */
int hf_candidates_rendezvous(const struct hf_pool *pool, uint64_t client_id, const uint16_t *tried,
                             unsigned tried_count, uint64_t now_ms);
/* hash mod N over the servers that are no backups, whatever their state. */
int hf_candidates_named(const struct hf_pool *pool, uint64_t hash);
/* The same, hashed again while it names one that takes no client. */
int hf_candidates_mod(const struct hf_pool *pool, uint64_t hash, uint64_t now_ms);
