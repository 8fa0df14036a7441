/* A cookie of our own carries a sealed token that says who serves whom since when. See README.md.
 * Keeps nothing: any proxy with the key reads it. Threads: the worker's. Layer: affinity. */
#pragma once
#include "affinity/strategy.h"

enum {
    HF_COOKIE_INSERT_REFRESH_PARTS = 4, /* sealed again when a quarter of `idle` has gone by */
    HF_COOKIE_INSERT_REFRESH_S = 3600,  /* the same when idle is unlimited, so that a limit which
                                           is configured later finds recent tokens */
};

/* hf_strategy_fn */
enum hf_affinity_verdict hf_cookie_insert_identify(struct hf_affinity_worker *worker,
                                                   const struct hf_pool *pool,
                                                   const struct hf_affinity *affinity,
                                                   const struct hf_affinity_request *request,
                                                   struct hf_affinity_choice *choice);
/* The Set-Cookie value that names server_id; its size, 0 when it does not fit. */
size_t hf_cookie_insert_write(struct hf_affinity_worker *worker, const struct hf_affinity *affinity,
                              const struct hf_affinity_request *request,
                              const struct hf_token *token, char *out, size_t room);
