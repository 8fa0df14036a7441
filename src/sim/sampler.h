/* Draws times from a distribution. Never asks for entropy: the generator is the caller's.
 * Threads: any, one at a time a generator. Layer: sim. */
#pragma once
#include "base/rng.h"
#include "config/scenario.h"

struct hf_sampler { /* a hf_spread with its parameters worked out */
    enum hf_spread_kind kind;
    double scale; /* ms: the mean, the median, the minimum */
    double shape; /* sigma of the logarithm; Pareto's exponent */
};

void hf_sampler_init(struct hf_sampler *sampler, const struct hf_spread *spread);
/* Whole ms, 1 at least, cut at UINT32_MAX / 4 (12 days). */
uint32_t hf_sampler_draw(const struct hf_sampler *sampler, struct hf_rng *rng);
/* Uniform in (0, 1), never an end. */
double hf_sampler_unit(struct hf_rng *rng);
