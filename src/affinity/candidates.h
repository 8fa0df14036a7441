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

struct hf_candidates_hash {   /* a client by the hash of its key */
    enum hf_hash hash;        /* the pool has its table */
    uint32_t bounded_percent; /* 0 = no bound */
    uint64_t key;
    const uint16_t *tried; /* borrowed; servers left out, [tried_count] */
    unsigned tried_count;
};
/* Whom the key names, whatever his state: among the servers that are no backups. */
int hf_candidates_named(const struct hf_pool *pool, const struct hf_candidates_hash *by);
/* The first of the key's sequence that takes clients and is within the bound. stays: the named
 * server if it serves its clients though it may take no new ones, and counts as one of them; or -1.
 */
int hf_candidates_follow(const struct hf_pool *pool, const struct hf_candidates_hash *by, int stays,
                         uint64_t now_ms);
