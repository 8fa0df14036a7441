/* A parameter of the query string names the server. See README.md.
 * Keeps nothing and writes nothing. Threads: any. Layer: affinity. */
#pragma once
#include "affinity/strategy.h"

/* The value of the first `name=value` between `&` in the query, compared and taken as the bytes
 * that came: percent-escapes and `+` are not decoded (RFC 3986 3.4 gives a query no inner form;
 * decoding is the application's). A later parameter of the name does not count. Never
 * HF_KEY_DUPLICATE. */
enum hf_key hf_query_key(const struct hf_head *head, struct hf_slice name,
                         struct hf_slice *ret_key);
/* hf_strategy_fn: the hash of that key. */
enum hf_affinity_verdict hf_query_identify(struct hf_affinity_worker *worker,
                                           const struct hf_pool *pool,
                                           const struct hf_affinity *affinity,
                                           const struct hf_affinity_request *request,
                                           struct hf_affinity_choice *choice);
