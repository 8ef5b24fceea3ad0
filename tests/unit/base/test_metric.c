/* Histogram buckets and per-worker counters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "datapath/base/metric.h"

#define HOUR_US 3600000000u

static void bounds_and_buckets_agree(void **state)
{
    (void)state;
    for (unsigned b = 0; b < RG_HISTOGRAM_BUCKETS; b++) {
        uint64_t low = rg_histogram_bucket_low(b);
        assert_int_equal(rg_histogram_bucket(low), b);
        if (b > 0) {
            assert_true(low > rg_histogram_bucket_low(b - 1));
            assert_int_equal(rg_histogram_bucket(low - 1), b - 1);
        }
    }
    assert_int_equal(rg_histogram_bucket_low(0), 0);
    assert_int_equal(rg_histogram_bucket_low(4), 4);
    assert_int_equal(rg_histogram_bucket_low(9), 10);
}

/* The middle of a bucket stands for all its values. */
static void error_is_under_13_percent_to_an_hour(void **state)
{
    (void)state;
    assert_true(rg_histogram_bucket(HOUR_US) < RG_HISTOGRAM_BUCKETS - 1);
    for (unsigned b = RG_HISTOGRAM_STEPS; b < RG_HISTOGRAM_BUCKETS - 1; b++) {
        uint64_t low = rg_histogram_bucket_low(b), high = rg_histogram_bucket_low(b + 1) - 1;
        assert_true((high - low) * 100 < 2 * 13 * low);
    }
}

static void values_beyond_the_last_bucket_count_there(void **state)
{
    (void)state;
    assert_int_equal(rg_histogram_bucket(UINT64_MAX), RG_HISTOGRAM_BUCKETS - 1);
    assert_int_equal(rg_histogram_bucket(UINT64_C(1) << 40), RG_HISTOGRAM_BUCKETS - 1);
}

static void recording_counts_and_sums(void **state)
{
    (void)state;
    struct rg_histogram h = {0};
    rg_histogram_record(&h, 3);
    rg_histogram_record(&h, 1000);
    rg_histogram_record(&h, 1001);
    assert_int_equal(h.count, 3);
    assert_int_equal(h.sum_us, 2004);
    assert_int_equal(h.buckets[3], 1);
    assert_int_equal(h.buckets[rg_histogram_bucket(1000)], 2);
}

static void counters_and_gauges(void **state)
{
    (void)state;
    static struct rg_metrics m;
    rg_metric_add(&m, RG_M_CONNECTIONS_OPEN, 3);
    rg_metric_sub(&m, RG_M_CONNECTIONS_OPEN, 2);
    assert_int_equal(rg_metric_get(&m, RG_M_CONNECTIONS_OPEN), 1);
    rg_metric_set(&m, RG_M_BUFFER_BYTES, 4096);
    assert_int_equal(rg_metric_get(&m, RG_M_BUFFER_BYTES), 4096);
    rg_metric_refused(&m, RG_REASON_BAD_HOST);
    rg_metric_refused(&m, RG_REASON_BAD_HOST);
    assert_int_equal(m.refused[RG_REASON_BAD_HOST], 2);
    assert_int_equal(m.refused[RG_REASON_NO_HOST], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_and_buckets_agree),
        cmocka_unit_test(error_is_under_13_percent_to_an_hour),
        cmocka_unit_test(values_beyond_the_last_bucket_count_there),
        cmocka_unit_test(recording_counts_and_sums),
        cmocka_unit_test(counters_and_gauges),
    };
    return cmocka_run_group_tests_name("metric", tests, NULL, NULL);
}
