#define XXH_INLINE_ALL
#include "base/hash.h"
#include "base/assert.h"
#include <endian.h>
#include <xxhash.h>

uint64_t hf_hash64(struct hf_slice bytes, uint64_t seed)
{
    REQUIRE(bytes.bytes != NULL || bytes.size == 0);
    return XXH3_64bits_withSeed(bytes.bytes, bytes.size, seed);
}

static uint64_t finalise(uint64_t value)
{
    value ^= value >> 33;
    value *= 0xff51afd7ed558ccdu;
    value ^= value >> 33;
    value *= 0xc4ceb9fe1a85ec53u;
    return value ^ value >> 33;
}

uint64_t hf_hash_mix(uint64_t a, uint64_t b)
{
    return finalise(a ^ finalise(b + 0x9e3779b97f4a7c15u));
}

static uint64_t load64(const void *from)
{
    uint64_t value;
    memcpy(&value, from, sizeof(value));
    return le64toh(value);
}

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static void sip_rounds(uint64_t v[4], int count)
{
    for (int i = 0; i < count; i++) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate_left(v[1], 13) ^ v[0];
        v[3] = rotate_left(v[3], 16) ^ v[2];
        v[0] = rotate_left(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotate_left(v[1], 17) ^ v[2];
        v[3] = rotate_left(v[3], 21) ^ v[0];
        v[2] = rotate_left(v[2], 32);
    }
}

static void sip_absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_rounds(v, 2);
    v[0] ^= word;
}

/* Aumasson, Bernstein, "SipHash: a fast short-input PRF", 2012. */
uint64_t hf_hash_keyed(struct hf_slice bytes, const uint8_t key[16])
{
    REQUIRE(bytes.bytes != NULL || bytes.size == 0);
    REQUIRE(key != NULL);
    uint64_t k0 = load64(key);
    uint64_t k1 = load64(key + 8);
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                     k1 ^ 0x7465646279746573u};
    size_t whole = bytes.size / 8 * 8;
    for (size_t i = 0; i < whole; i += 8)
        sip_absorb(v, load64(bytes.bytes + i));
    uint64_t last = (uint64_t)bytes.size << 56;
    for (size_t i = whole; i < bytes.size; i++)
        last |= (uint64_t)(unsigned char)bytes.bytes[i] << (8 * (i - whole));
    sip_absorb(v, last);
    v[2] ^= 0xff;
    sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
