/* A log-linear histogram: 16 linear steps in each power of two, so a value is known within 6 %.
 * Recording is one shift and one store. Never allocates.
 * Threads: one writer; any reader (relaxed atomics). Layer: base. */
#pragma once
#include <stdint.h>

enum {
    HF_HISTOGRAM_STEPS = 16,
    HF_HISTOGRAM_BUCKETS = 40 * HF_HISTOGRAM_STEPS, /* up to 2^43: microseconds to 100 days */
};

struct hf_histogram { /* zeroed = empty */
    _Atomic uint64_t counts[HF_HISTOGRAM_BUCKETS];
    _Atomic uint64_t sum, count, max;
};

void hf_histogram_record(struct hf_histogram *histogram, uint64_t value);
/* Adds `from` to `into`; for summing over threads. */
void hf_histogram_merge(struct hf_histogram *into, const struct hf_histogram *from);
/* quantile in [0,1]; answers the upper bound of the bucket it falls in, 0 when empty. */
uint64_t hf_histogram_quantile(const struct hf_histogram *histogram, double quantile);
/* How many recorded values are <= bound (bucket resolution). */
uint64_t hf_histogram_below(const struct hf_histogram *histogram, uint64_t bound);
