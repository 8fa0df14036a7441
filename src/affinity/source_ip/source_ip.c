#include "affinity/source_ip/source_ip.h"

#include "base/assert.h"
#include "base/hash.h"

uint64_t hf_source_ip_hash(const struct hf_address *client, unsigned ipv4_prefix,
                           unsigned ipv6_prefix)
{
    REQUIRE(client != NULL && ipv4_prefix <= 32 && ipv6_prefix <= 128);
    uint8_t key[16];
    hf_address_key(client, ipv4_prefix, ipv6_prefix, key);
    return hf_hash64(hf_slice((const char *)key, sizeof(key)), 0);
}

enum hf_affinity_verdict hf_source_ip_identify(struct hf_affinity_worker *worker,
                                               const struct hf_pool *pool,
                                               const struct hf_affinity *affinity,
                                               const struct hf_affinity_request *request,
                                               struct hf_affinity_choice *choice)
{
    REQUIRE(affinity->kind == HF_AFFINITY_SOURCE_IP);
    uint64_t hash =
        hf_source_ip_hash(request->client, affinity->ipv4_prefix, affinity->ipv6_prefix);
    return hf_strategy_follow_hash(pool, affinity, hash, request->now_ms, choice);
}
