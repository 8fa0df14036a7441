#include "base/histogram.h"
#include "base/assert.h"
#include <stdatomic.h>
#include <stddef.h>

enum { STEP_BITS = 4 };
_Static_assert(1 << STEP_BITS == HF_HISTOGRAM_STEPS, "a step is STEP_BITS of the value");

/* Relaxed throughout: counts are independent, and a reader may miss the newest few. */
static uint64_t load(const _Atomic uint64_t *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

static void add(_Atomic uint64_t *to, uint64_t amount)
{
    atomic_store_explicit(to, load(to) + amount, memory_order_relaxed);
}

static void raise(_Atomic uint64_t *to, uint64_t value)
{
    if (value > load(to))
        atomic_store_explicit(to, value, memory_order_relaxed);
}

static size_t bucket_of(uint64_t value)
{
    if (value < HF_HISTOGRAM_STEPS)
        return (size_t)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - STEP_BITS;
    size_t bucket = (shift + 1) * HF_HISTOGRAM_STEPS + ((value >> shift) % HF_HISTOGRAM_STEPS);
    return bucket < HF_HISTOGRAM_BUCKETS ? bucket : HF_HISTOGRAM_BUCKETS - 1;
}

static uint64_t upper_bound(size_t bucket)
{
    if (bucket < HF_HISTOGRAM_STEPS)
        return bucket;
    unsigned shift = (unsigned)(bucket / HF_HISTOGRAM_STEPS) - 1;
    uint64_t step = HF_HISTOGRAM_STEPS + bucket % HF_HISTOGRAM_STEPS;
    return ((step + 1) << shift) - 1;
}

void hf_histogram_record(struct hf_histogram *histogram, uint64_t value)
{
    REQUIRE(histogram != NULL);
    add(&histogram->counts[bucket_of(value)], 1);
    add(&histogram->sum, value);
    add(&histogram->count, 1);
    raise(&histogram->max, value);
}

void hf_histogram_merge(struct hf_histogram *into, const struct hf_histogram *from)
{
    REQUIRE(into != NULL && from != NULL && into != from);
    for (size_t i = 0; i < HF_HISTOGRAM_BUCKETS; i++)
        if (load(&from->counts[i]) != 0)
            add(&into->counts[i], load(&from->counts[i]));
    add(&into->sum, load(&from->sum));
    add(&into->count, load(&from->count));
    raise(&into->max, load(&from->max));
}

/* The buckets' own total: `count` may already be one ahead of or behind them. */
static uint64_t total(const struct hf_histogram *histogram)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < HF_HISTOGRAM_BUCKETS; i++)
        sum += load(&histogram->counts[i]);
    return sum;
}

uint64_t hf_histogram_quantile(const struct hf_histogram *histogram, double quantile)
{
    REQUIRE(histogram != NULL);
    REQUIRE(quantile >= 0 && quantile <= 1);
    uint64_t count = total(histogram);
    if (count == 0)
        return 0;
    double exact = quantile * (double)count;
    uint64_t rank = (uint64_t)exact;
    if ((double)rank < exact || rank == 0)
        rank++;
    uint64_t seen = 0;
    for (size_t i = 0; i < HF_HISTOGRAM_BUCKETS - 1; i++) {
        seen += load(&histogram->counts[i]);
        if (seen >= rank)
            return upper_bound(i);
    }
    return load(&histogram->max); /* the last bucket has no bound of its own */
}

uint64_t hf_histogram_below(const struct hf_histogram *histogram, uint64_t bound)
{
    REQUIRE(histogram != NULL);
    uint64_t sum = 0;
    for (size_t i = 0; i < HF_HISTOGRAM_BUCKETS - 1 && upper_bound(i) <= bound; i++)
        sum += load(&histogram->counts[i]);
    return bound >= upper_bound(HF_HISTOGRAM_BUCKETS - 1) && bound >= load(&histogram->max)
               ? total(histogram)
               : sum;
}
