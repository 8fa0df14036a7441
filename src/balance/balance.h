/* Choosing a server for a client that has none: pure algorithms over candidates.
 * A new algorithm is one file here and one row in algorithms.def.
 * Never sees a pool, a request or a clock. Threads: the state belongs to one. Layer: balance. */
#pragma once
#include "base/rng.h"
#include <stdbool.h>
#include <stdint.h>

struct hf_candidate {
    uint64_t id;      /* the server's, stable */
    uint32_t weight;  /* 0 = never chosen */
    uint32_t load;    /* requests in flight */
    uint64_t cost_us; /* expected response time (peak EWMA), for p2c; 0 = unknown */
    bool usable;      /* false: never chosen */
};

enum { HF_BALANCE_CANDIDATES_MAX = 1024 };

struct hf_balance_state { /* one a pool and thread; zeroed = fresh */
    int64_t *current;     /* smooth weighted round robin: owned, [capacity] */
    unsigned capacity;
};
/* 0 or -ENOMEM. */
int hf_balance_state_init(struct hf_balance_state *state, unsigned candidates_max);
void hf_balance_state_fini(struct hf_balance_state *state);

/* All answer the index of the chosen candidate, or -1 when none is usable. */
/* nginx's smooth weighted round robin: weights honoured without bursts. Candidates are told apart
 * by their position; count <= the state's capacity. */
int hf_balance_round_robin(struct hf_balance_state *state, const struct hf_candidate *candidates,
                           unsigned count);
/* Least load / weight; ties go to random ones by weight, so that proxies do not act in step. */
int hf_balance_least_connections(const struct hf_candidate *candidates, unsigned count,
                                 struct hf_rng *rng);
/* By weight. */
int hf_balance_random(const struct hf_candidate *candidates, unsigned count, struct hf_rng *rng);
/* The better of two random candidates by (load + 1) * cost / weight (Mitzenmacher 2001). Where a
 * cost is unknown load and weight decide alone: a new server is neither flooded nor shunned. */
int hf_balance_p2c(const struct hf_candidate *candidates, unsigned count, struct hf_rng *rng);
/* The usable candidate of highest weighted score (Thaler, Ravishankar 1998; weights by
 * Schindelhauer 2005: -weight / ln(hash)). Deterministic: every proxy ranks alike. */
int hf_balance_rendezvous(const struct hf_candidate *candidates, unsigned count, uint64_t hash);
/* Makes unusable whom one more request would lift above percent / 100 of its share: above the whole
 * number at or over (requests in flight at all usable ones + 1) * weight / all weights * percent /
 * 100. percent >= 100. One stays usable if one was: if all were full the sum of the shares would be
 * below the sum of the loads. */
void hf_balance_bound(struct hf_candidate *candidates, unsigned count, uint32_t percent);
