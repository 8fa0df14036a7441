/* The tables of a pool and of what stands in it. Threads: any, they are constant. Layer: config. */
#pragma once
#include "config/schema.h"

enum { HF_HASH_OF_COOKIE = HF_HASH_COUNT /* {hash: cookie, cookie: NAME}: mod N */ };
enum hf_source_ip_mode { HF_SOURCE_IP_HASH, HF_SOURCE_IP_TABLE };
enum hf_cookie_mode { HF_COOKIE_INSERT, HF_COOKIE_PREFIX };

extern const struct hf_schema hf_schema_pool, hf_schema_affinity;
void *hf_schema_place_pool(struct hf_loader *loader, void *target, const struct hf_yaml *node,
                           unsigned index);
void *hf_schema_place_affinity(struct hf_loader *loader, void *target, const struct hf_yaml *node,
                               unsigned index);
