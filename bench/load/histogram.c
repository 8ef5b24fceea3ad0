/* What is done with a histogram after the counting. Thread: main. */
#include "bench/load/histogram.h"

#include <inttypes.h>
#include <math.h>

void rg_histogram_merge(struct rg_histogram *into, const struct rg_histogram *from)
{
    if (from->count == 0)
        return;
    if (into->count == 0 || from->min < into->min)
        into->min = from->min;
    if (from->max > into->max)
        into->max = from->max;
    into->count += from->count;
    into->sum += from->sum;
    for (unsigned i = 0; i < RG_HISTOGRAM_SIZE; i++)
        into->counts[i] += from->counts[i];
}

uint64_t rg_histogram_upper(unsigned index)
{
    if (index < 2 * RG_HISTOGRAM_STEPS)
        return index;
    unsigned shift = index / RG_HISTOGRAM_STEPS - 1;
    uint64_t step = index - shift * RG_HISTOGRAM_STEPS;
    return ((step + 1) << shift) - 1;
}

/* Of a step as it is reported: no value is larger than the maximum, and the last step has no other end. */
static uint64_t reported(const struct rg_histogram *h, unsigned index)
{
    uint64_t upper = rg_histogram_upper(index);
    return upper > h->max || index == RG_HISTOGRAM_SIZE - 1 ? h->max : upper;
}

uint64_t rg_histogram_quantile(const struct rg_histogram *h, double share)
{
    double wanted = ceil(share * (double)h->count);
    uint64_t target = wanted < 1 ? 1 : (uint64_t)wanted, seen = 0;
    if (h->count == 0)
        return 0;
    for (unsigned i = 0; i < RG_HISTOGRAM_SIZE; i++) {
        seen += h->counts[i];
        if (seen >= target)
            return reported(h, i);
    }
    return h->max;
}

double rg_histogram_mean(const struct rg_histogram *h)
{
    return h->count ? (double)h->sum / (double)h->count : 0;
}

static double deviation(const struct rg_histogram *h)
{
    double mean = rg_histogram_mean(h), squares = 0;
    for (unsigned i = 0; i < RG_HISTOGRAM_SIZE; i++) {
        double off = (double)reported(h, i) - mean;
        if (h->counts[i])
            squares += off * off * (double)h->counts[i];
    }
    return h->count ? sqrt(squares / (double)h->count) : 0;
}

/* Five reported percentiles in every halving of what is left to 100. */
static double next_percentile(double percentile)
{
    static const double per_halving = 5;
    double halvings = floor(log2(100 / (100 - percentile))) + 1;
    return percentile + 100 / (per_halving * exp2(halvings));
}

/* Through the steps once; a step is reported for every percentile that it reaches. */
static void write_percentiles(const struct rg_histogram *h, FILE *out)
{
    double percentile = 0;
    uint64_t seen = 0;
    for (unsigned i = 0; i < RG_HISTOGRAM_SIZE; i++) {
        if (!h->counts[i])
            continue;
        seen += h->counts[i];
        while (seen < h->count && percentile <= 100 * (double)seen / (double)h->count) {
            fprintf(out, "%12.3f %2.12f %10" PRIu64 " %14.2f\n", (double)reported(h, i) / 1e6, percentile / 100, seen,
                    1 / (1 - percentile / 100));
            percentile = next_percentile(percentile);
        }
    }
    /* The plotter knows the end by the missing fourth column: it would be infinite. */
    fprintf(out, "%12.3f %2.12f %10" PRIu64 "\n", (double)h->max / 1e6, 1.0, h->count);
}

void rg_histogram_write_hgrm(const struct rg_histogram *h, FILE *out)
{
    fprintf(out, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    if (h->count)
        write_percentiles(h, out);
    fprintf(out, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", rg_histogram_mean(h) / 1e6, deviation(h) / 1e6);
    fprintf(out, "#[Max     = %12.3f, Total count    = %12" PRIu64 "]\n", (double)h->max / 1e6, h->count);
    fprintf(out, "#[Buckets = %12d, SubBuckets     = %12d]\n", RG_HISTOGRAM_TOP - RG_HISTOGRAM_BITS,
            RG_HISTOGRAM_STEPS);
}
