/* A field of the request names the server, such as a tenant or a session id of an API. See
 * README.md. Keeps nothing and writes nothing. Threads: any. Layer: affinity. */
#pragma once
#include "affinity/strategy.h"

/* The value of the field of that name (any case, RFC 9110 5.1), trimmed, its bytes as they are.
 * More than one field of the name is HF_KEY_DUPLICATE, also when the values are equal: which of
 * them the application believes cannot be known. Fields that Connection names are not looked at,
 * since the application never sees them. */
enum hf_key hf_header_key(const struct hf_head *head, struct hf_slice name,
                          struct hf_slice *ret_key);
/* hf_strategy_fn: the hash of that key. */
enum hf_affinity_verdict hf_header_identify(struct hf_affinity_worker *worker,
                                            const struct hf_pool *pool,
                                            const struct hf_affinity *affinity,
                                            const struct hf_affinity_request *request,
                                            struct hf_affinity_choice *choice);
