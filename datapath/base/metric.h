/*
 * Counters and histograms of one worker. The worker alone writes, with relaxed stores (no lock, no read-modify-write
 * instruction); any thread reads. Declared in metrics.def.
 */
#ifndef RG_BASE_METRIC_H
#define RG_BASE_METRIC_H

#include "datapath/base/reasons.h"

enum rg_metric {
#define RG_COUNTER(id, family, labels, help) RG_M_##id,
#define RG_GAUGE(id, family, labels, help)   RG_M_##id,
#define RG_HISTOGRAM(id, family, help)
#include "datapath/base/metrics.def"
    RG_M_COUNT
};
#undef RG_COUNTER
#undef RG_GAUGE
#undef RG_HISTOGRAM

enum rg_histogram_id {
#define RG_COUNTER(id, family, labels, help)
#define RG_GAUGE(id, family, labels, help)
#define RG_HISTOGRAM(id, family, help) RG_H_##id,
#include "datapath/base/metrics.def"
    RG_H_COUNT
};
#undef RG_COUNTER
#undef RG_GAUGE
#undef RG_HISTOGRAM

/* Log-linear: 4 linear steps per power of two of microseconds, from 1 us to about 1 h; relative error under 13 %. */
#define RG_HISTOGRAM_STEPS   4
#define RG_HISTOGRAM_BUCKETS (32 * RG_HISTOGRAM_STEPS)

struct rg_histogram {
    uint64_t buckets[RG_HISTOGRAM_BUCKETS];
    uint64_t count;
    uint64_t sum_us;
};

struct rg_metrics {
    uint64_t values[RG_M_COUNT];
    uint64_t refused[RG_REASON_COUNT];
    struct rg_histogram histograms[RG_H_COUNT];
} __attribute__((aligned(64)));

static inline void rg_metric_add(struct rg_metrics *m, enum rg_metric id, uint64_t n)
{
    __atomic_store_n(&m->values[id], m->values[id] + n, __ATOMIC_RELAXED);
}
static inline void rg_metric_sub(struct rg_metrics *m, enum rg_metric id, uint64_t n)
{
    __atomic_store_n(&m->values[id], m->values[id] - n, __ATOMIC_RELAXED);
}
static inline void rg_metric_set(struct rg_metrics *m, enum rg_metric id, uint64_t v)
{
    __atomic_store_n(&m->values[id], v, __ATOMIC_RELAXED);
}
static inline uint64_t rg_metric_get(const struct rg_metrics *m, enum rg_metric id)
{
    return __atomic_load_n(&m->values[id], __ATOMIC_RELAXED);
}
static inline void rg_metric_refused(struct rg_metrics *m, enum rg_reason reason)
{
    __atomic_store_n(&m->refused[reason], m->refused[reason] + 1, __ATOMIC_RELAXED);
}

static inline unsigned rg_histogram_bucket(uint64_t us)
{
    if (us < RG_HISTOGRAM_STEPS)
        return (unsigned)us;
    unsigned log2 = 63u - (unsigned)__builtin_clzll(us);
    unsigned bucket = (log2 - 1) * RG_HISTOGRAM_STEPS + (unsigned)((us >> (log2 - 2)) & (RG_HISTOGRAM_STEPS - 1));
    return bucket < RG_HISTOGRAM_BUCKETS ? bucket : RG_HISTOGRAM_BUCKETS - 1;
}

static inline void rg_histogram_record(struct rg_histogram *h, uint64_t us)
{
    uint64_t *b = &h->buckets[rg_histogram_bucket(us)];
    __atomic_store_n(b, *b + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&h->count, h->count + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&h->sum_us, h->sum_us + us, __ATOMIC_RELAXED);
}

/* Smallest value in microseconds that falls into the bucket. */
uint64_t rg_histogram_bucket_low(unsigned bucket);

#endif
