/*
 * A log-linear histogram of nanoseconds: below 256 exact, above it 128 equal steps in every power of two, so that a
 * value is known to 1/128. Counting is one increment. Minimum, maximum and sum are exact.
 * Thread: each of its own; they are added up when all have ended.
 */
#ifndef RG_LOAD_HISTOGRAM_H
#define RG_LOAD_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

enum {
    RG_HISTOGRAM_BITS = 7,
    RG_HISTOGRAM_STEPS = 1 << RG_HISTOGRAM_BITS,
    RG_HISTOGRAM_TOP = 42, /* values from 2^42 ns (73 minutes) on share the last step */
    RG_HISTOGRAM_SIZE = (RG_HISTOGRAM_TOP - RG_HISTOGRAM_BITS + 1) * RG_HISTOGRAM_STEPS,
};

struct rg_histogram {
    uint64_t count, min, max;
    uint64_t sum; /* 2^64 ns are 584 years of latency */
    uint64_t counts[RG_HISTOGRAM_SIZE];
};

static inline unsigned rg_histogram_index(uint64_t value)
{
    if (value >= UINT64_C(1) << RG_HISTOGRAM_TOP)
        return RG_HISTOGRAM_SIZE - 1;
    if (value < 2 * RG_HISTOGRAM_STEPS)
        return (unsigned)value;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - RG_HISTOGRAM_BITS;
    return shift * RG_HISTOGRAM_STEPS + (unsigned)(value >> shift);
}

static inline void rg_histogram_add(struct rg_histogram *h, uint64_t value)
{
    h->counts[rg_histogram_index(value)]++;
    h->count++;
    h->sum += value;
    if (value > h->max)
        h->max = value;
    if (value < h->min || h->count == 1)
        h->min = value;
}

void rg_histogram_merge(struct rg_histogram *into, const struct rg_histogram *from);
/* The largest value of a step: what its members are reported as. */
uint64_t rg_histogram_upper(unsigned index);
/* At least this share (0 to 1) of the values is not larger. 0 when empty. */
uint64_t rg_histogram_quantile(const struct rg_histogram *h, double share);
double rg_histogram_mean(const struct rg_histogram *h);
/* In the format of HdrHistogram's outputPercentileDistribution, values in milliseconds. */
void rg_histogram_write_hgrm(const struct rg_histogram *h, FILE *out);

#endif
