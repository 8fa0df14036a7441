/* What a strategy is: one function behind one row of the table in affinity.c.
 * Threads: the worker's. Layer: affinity. */
#pragma once
#include "affinity/affinity.h"

/* Looks for this strategy's key. *choice comes as nobody's. When the key names a server (or tells
 * that the client lost one) the strategy fills owner, server, client_id and what else it knows, and
 * sets by_url when the key stood in the URL alone; otherwise it leaves *choice alone. Answers what
 * it found. The caller sets verdict and strategy, and goes on as hf_affinity_identify says. */
typedef enum hf_affinity_verdict (*hf_strategy_fn)(struct hf_affinity_worker *worker,
                                                   const struct hf_pool *pool,
                                                   const struct hf_affinity *affinity,
                                                   const struct hf_affinity_request *request,
                                                   struct hf_affinity_choice *choice);

/* What a strategy's own reader found of its key in a request. */
enum hf_key {
    HF_KEY_NONE,     /* absent, or empty, which counts as absent */
    HF_KEY_FOUND,    /* the caller's slice has it, borrowed from the head */
    HF_KEY_DUPLICATE /* more than once where it may be there once: not to be believed */
};

/* The server of a key whose reader answered `found`; the verdict tells what came of it. */
enum hf_affinity_verdict hf_strategy_follow_key(const struct hf_pool *pool,
                                                const struct hf_affinity *affinity,
                                                enum hf_key found, struct hf_slice key,
                                                uint64_t now_ms, struct hf_affinity_choice *choice);
/* The strategies of a hash differ in the key alone: the server that the hash names serves while it
 * serves at all, also when it drains, and is within its bound; else the key's sequence goes on. */
enum hf_affinity_verdict hf_strategy_follow_hash(const struct hf_pool *pool,
                                                 const struct hf_affinity *affinity, uint64_t hash,
                                                 uint64_t now_ms,
                                                 struct hf_affinity_choice *choice);

/* What the pairs of one name in a request say together. Start zeroed. */
struct hf_strategy_named {
    unsigned count;         /* pairs */
    struct hf_slice server; /* the first pair's: a name, or empty */
    struct hf_slice key;    /* the first pair's: the application's own part of the value */
    bool differ;            /* another pair says something else about the server */
};
void hf_strategy_add_named(struct hf_strategy_named *named, struct hf_slice server,
                           struct hf_slice key);
/* Goes to the server they name, by its name in this pool. It serves while it serves at all, also
 * when it drains; ejected it is left for one that takes clients. Pairs that disagree count as none
 * (DUPLICATE), a name that the pool does not have is GONE and nothing is lost by it: anyone can
 * write one. Of a lost owner choice->server stays -1. */
enum hf_affinity_verdict hf_strategy_follow_named(const struct hf_pool *pool,
                                                  const struct hf_strategy_named *named,
                                                  uint64_t now_ms,
                                                  struct hf_affinity_choice *choice);
