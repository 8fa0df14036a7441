/* Hashing. Pure. Threads: any. Layer: base. */
#pragma once
#include "base/slice.h"
#include <stdint.h>

/* XXH3 64 bit (xxhash): stable over releases and machines, so it may name things on the wire. */
uint64_t hf_hash64(struct hf_slice bytes, uint64_t seed);
/* Mixes two 64-bit values (a murmur3-style finaliser); for rendezvous scores. Stable. */
uint64_t hf_hash_mix(uint64_t a, uint64_t b);
/* SipHash-2-4 with a secret key: for tables whose keys an attacker chooses. */
uint64_t hf_hash_keyed(struct hf_slice bytes, const uint8_t key[16]);
