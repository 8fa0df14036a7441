/* Randomness. hf_rng: fast and seedable, for balancing, jitter and tests; never for secrets.
 * hf_random_bytes: the kernel's, for keys, nonces and ids that nobody may guess.
 * Threads: an hf_rng belongs to one thread. Layer: base. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct hf_rng { /* xoshiro256** (Blackman, Vigna 2018) */
    uint64_t state[4];
};

void hf_rng_seed(struct hf_rng *rng, uint64_t seed); /* by splitmix64 */
void hf_rng_seed_random(struct hf_rng *rng);
uint64_t hf_rng_u64(struct hf_rng *rng);
/* Uniform in [0, bound), bound > 0; no modulo bias (Lemire 2019). */
uint32_t hf_rng_below(struct hf_rng *rng, uint32_t bound);
/* Fills from getrandom(2); aborts if the kernel cannot, which it always can after boot. */
void hf_random_bytes(void *out, size_t size);
/* 64 random bits from a buffered hf_random_bytes; one buffer a thread. Unguessable. */
uint64_t hf_random_u64(void);
