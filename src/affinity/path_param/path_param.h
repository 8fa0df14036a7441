/* A parameter of a path segment names the server: `;jsessionid=VALUE`. See README.md.
 * Keeps nothing and writes nothing. Threads: any. Layer: affinity. */
#pragma once
#include "affinity/strategy.h"

/* The value of the first `;name=value` in any segment of the path (RFC 3986 3.3), which ends at the
 * next `;`, `/` or `?`. Compared and taken as the bytes that came, nothing is decoded; a later one
 * of the name does not count. Never HF_KEY_DUPLICATE. */
enum hf_key hf_path_param_key(const struct hf_head *head, struct hf_slice name,
                              struct hf_slice *ret_key);
/* hf_strategy_fn: the hash of that key. */
enum hf_affinity_verdict hf_path_param_identify(struct hf_affinity_worker *worker,
                                                const struct hf_pool *pool,
                                                const struct hf_affinity *affinity,
                                                const struct hf_affinity_request *request,
                                                struct hf_affinity_choice *choice);
