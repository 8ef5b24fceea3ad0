/* The reading side of histograms; the writing side is inline in metric.h. Pure, thread: any. */
#include "datapath/base/metric.h"

#include "datapath/base/assert.h"

uint64_t rg_histogram_bucket_low(unsigned bucket)
{
    RG_ASSERT(bucket < RG_HISTOGRAM_BUCKETS);
    if (bucket < RG_HISTOGRAM_STEPS)
        return bucket;
    unsigned octave = bucket / RG_HISTOGRAM_STEPS - 1;
    return (uint64_t)(RG_HISTOGRAM_STEPS + bucket % RG_HISTOGRAM_STEPS) << octave;
}
