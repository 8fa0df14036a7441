#include "base/rng.h"
#include "base/assert.h"
#include <errno.h>
#include <sys/random.h>

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

/* Splitmix64 (Steele, Lea, Flood 2014): spreads one seed over the state; never gives four zeros. */
void hf_rng_seed(struct hf_rng *rng, uint64_t seed)
{
    REQUIRE(rng != NULL);
    for (int i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15u;
        uint64_t mixed = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9u;
        mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
        rng->state[i] = mixed ^ mixed >> 31;
    }
}

void hf_rng_seed_random(struct hf_rng *rng)
{
    uint64_t seed;
    hf_random_bytes(&seed, sizeof(seed));
    hf_rng_seed(rng, seed);
}

uint64_t hf_rng_u64(struct hf_rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/* The high half of the product is uniform once the few products whose low half falls under
 * 2^32 mod bound are thrown away. */
uint32_t hf_rng_below(struct hf_rng *rng, uint32_t bound)
{
    REQUIRE(rng != NULL);
    REQUIRE(bound > 0);
    uint64_t product = (hf_rng_u64(rng) >> 32) * bound;
    if ((uint32_t)product < bound) {
        uint32_t unfair = -bound % bound;
        while ((uint32_t)product < unfair)
            product = (hf_rng_u64(rng) >> 32) * bound;
    }
    return (uint32_t)(product >> 32);
}

void hf_random_bytes(void *out, size_t size)
{
    REQUIRE(out != NULL || size == 0);
    char *at = out;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        REQUIRE(got > 0);
        at += got;
        size -= (size_t)got;
    }
}

uint64_t hf_random_u64(void)
{
    enum { POOLED = 32 };
    static _Thread_local uint64_t pool[POOLED];
    static _Thread_local unsigned left;
    if (left == 0) {
        hf_random_bytes(pool, sizeof(pool));
        left = POOLED;
    }
    uint64_t value = pool[--left];
    pool[left] = 0; /* what was handed out must not be readable here later */
    return value;
}
