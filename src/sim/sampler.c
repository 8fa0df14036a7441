/* Inversion for exponential and Pareto; Box, Muller ("A note on the generation of random normal
 * deviates", 1958) for the logarithm of the lognormal. */
#include "sim/sampler.h"

#include "base/assert.h"
#include <math.h>

enum { DRAW_MAX = UINT32_MAX / 4 };

void hf_sampler_init(struct hf_sampler *sampler, const struct hf_spread *spread)
{
    double mean = (double)spread->mean_ms;
    *sampler = (struct hf_sampler){.kind = spread->kind, .scale = mean};
    switch (spread->kind) {
    case HF_SPREAD_EXPONENTIAL:
    case HF_SPREAD_FIXED:
        return;
    case HF_SPREAD_LOGNORMAL: /* mean = median * exp(sigma^2 / 2) */
        sampler->scale = (double)spread->median_ms;
        sampler->shape = sqrt(2 * log(mean / sampler->scale));
        return;
    case HF_SPREAD_PARETO: /* mean = minimum * shape / (shape - 1) */
        sampler->scale = (double)spread->minimum_ms;
        sampler->shape = mean / (mean - sampler->scale);
        return;
    }
    REQUIRE(!"a distribution of the table");
}

double hf_sampler_unit(struct hf_rng *rng)
{
    return ((double)(hf_rng_u64(rng) >> 11) + 0.5) * 0x1p-53;
}

static double normal(struct hf_rng *rng)
{
    double radius = sqrt(-2 * log(hf_sampler_unit(rng)));
    return radius * cos(2 * M_PI * hf_sampler_unit(rng));
}

static double draw(const struct hf_sampler *sampler, struct hf_rng *rng)
{
    switch (sampler->kind) {
    case HF_SPREAD_EXPONENTIAL:
        return -sampler->scale * log(hf_sampler_unit(rng));
    case HF_SPREAD_LOGNORMAL:
        return sampler->scale * exp(sampler->shape * normal(rng));
    case HF_SPREAD_PARETO:
        return sampler->scale * pow(hf_sampler_unit(rng), -1 / sampler->shape);
    case HF_SPREAD_FIXED:
        break;
    }
    return sampler->scale;
}

uint32_t hf_sampler_draw(const struct hf_sampler *sampler, struct hf_rng *rng)
{
    double ms = round(draw(sampler, rng));
    return ms < 1 ? 1 : ms > DRAW_MAX ? DRAW_MAX : (uint32_t)ms;
}
