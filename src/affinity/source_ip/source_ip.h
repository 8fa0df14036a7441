/* The client's network names its server: hash mod N, the textbook ip_hash. See README.md.
 * Keeps nothing. Threads: any. Layer: affinity. */
#pragma once
#include "affinity/strategy.h"

enum { HF_SOURCE_IP_IPV4_PREFIX = 32, HF_SOURCE_IP_IPV6_PREFIX = 64 /* of `balance: ip_hash` */ };

/* Of the address cut to so many bits; the same for 10.0.0.1 and ::ffff:10.0.0.1. */
uint64_t hf_source_ip_hash(const struct hf_address *client, unsigned ipv4_prefix,
                           unsigned ipv6_prefix);
/* hf_strategy_fn */
enum hf_affinity_verdict hf_source_ip_identify(struct hf_affinity_worker *worker,
                                               const struct hf_pool *pool,
                                               const struct hf_affinity *affinity,
                                               const struct hf_affinity_request *request,
                                               struct hf_affinity_choice *choice);
