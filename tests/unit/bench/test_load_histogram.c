/* The load generator's histogram: steps without gaps, quantiles within 1/128, merging, the .hgrm format. */
#include "bench/load/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct rg_histogram one, two;

static int setup(void **state)
{
    (void)state;
    memset(&one, 0, sizeof one);
    memset(&two, 0, sizeof two);
    return 0;
}

static void test_steps_follow_each_other(void **state)
{
    (void)state;
    assert_int_equal(rg_histogram_index(0), 0);
    for (unsigned i = 0; i + 1 < RG_HISTOGRAM_SIZE; i++) {
        uint64_t upper = rg_histogram_upper(i);
        assert_int_equal(rg_histogram_index(upper), i);
        assert_int_equal(rg_histogram_index(upper + 1), i + 1);
    }
    assert_true(rg_histogram_upper(RG_HISTOGRAM_SIZE - 1) == (UINT64_C(1) << RG_HISTOGRAM_TOP) - 1);
}

static void test_a_step_is_narrow(void **state)
{
    (void)state;
    for (unsigned i = 1; i < RG_HISTOGRAM_SIZE; i++) {
        uint64_t lower = rg_histogram_upper(i - 1) + 1;
        assert_true((rg_histogram_upper(i) - lower) * RG_HISTOGRAM_STEPS <= lower);
    }
}

static void test_values_beyond_the_top_are_kept(void **state)
{
    (void)state;
    rg_histogram_add(&one, UINT64_C(1) << 50);
    rg_histogram_add(&one, 1);
    assert_true(one.max == UINT64_C(1) << 50);
    assert_true(rg_histogram_quantile(&one, 1) == one.max);
    assert_true(one.min == 1);
}

static void test_quantiles(void **state)
{
    (void)state;
    static const double shares[] = {0.001, 0.01, 0.5, 0.9, 0.99, 0.999, 1};
    enum { N = 100000, US = 1000 };
    for (uint64_t i = 1; i <= N; i++)
        rg_histogram_add(&one, i * US);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        double exact = shares[i] * (double)N * (double)US, got = (double)rg_histogram_quantile(&one, shares[i]);
        assert_true(got >= exact * (1 - 1e-9) && got <= exact * (1 + 1.0 / (double)RG_HISTOGRAM_STEPS));
    }
    assert_true(rg_histogram_quantile(&one, 1) == (uint64_t)N * US);
    assert_true(rg_histogram_mean(&one) == (double)(N + 1) / 2.0 * (double)US);
}

static void test_empty(void **state)
{
    (void)state;
    assert_true(rg_histogram_quantile(&one, 0.5) == 0);
    assert_true(rg_histogram_mean(&one) == 0);
    rg_histogram_add(&two, 7);
    rg_histogram_merge(&two, &one);
    assert_true(two.min == 7 && two.count == 1);
    rg_histogram_merge(&one, &two);
    assert_true(one.min == 7 && one.max == 7 && one.count == 1);
}

static void test_merged_is_as_if_counted_together(void **state)
{
    (void)state;
    struct rg_histogram *all = calloc(1, sizeof *all);
    assert_non_null(all);
    for (uint64_t i = 0; i < 5000; i++) {
        uint64_t value = i * i * 37 + 5;
        rg_histogram_add(i % 3 ? &one : &two, value);
        rg_histogram_add(all, value);
    }
    rg_histogram_merge(&one, &two);
    assert_memory_equal(&one, all, sizeof one);
    free(all);
}

/* Reads the text as HdrHistogram's plotter does: data lines have four columns, the last one three. */
static void test_hgrm(void **state)
{
    (void)state;
    char *text = NULL, *line, *rest;
    size_t n, lines = 0, ends = 0;
    double last_value = 0, last_percentile = -1;
    for (uint64_t i = 1; i <= 1000; i++)
        rg_histogram_add(&one, i * 1000000);
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    rg_histogram_write_hgrm(&one, out);
    fclose(out);
    assert_non_null(strstr(text, "       Value     Percentile TotalCount 1/(1-Percentile)\n\n"));
    assert_non_null(strstr(text, "#[Max     =     1000.000, Total count    =         1000]"));
    assert_non_null(strtok_r(text, "\n", &rest));
    while ((line = strtok_r(NULL, "\n", &rest)) && line[0] != '#') {
        double value, percentile, inverse;
        unsigned long count;
        int columns = sscanf(line, "%lf %lf %lu %lf", &value, &percentile, &count, &inverse);
        assert_true(columns == 3 || columns == 4);
        assert_true(value >= last_value && percentile > last_percentile && count <= 1000);
        assert_true((double)count >= percentile * 1000);
        if (columns == 4)
            assert_true(inverse >= 1 && inverse * (1 - percentile) < 1.01);
        ends += columns == 3;
        lines++;
        last_value = value;
        last_percentile = percentile;
    }
    assert_true(ends == 1 && lines > 40);
    assert_true(last_percentile == 1 && last_value == 1000);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_steps_follow_each_other, setup),
        cmocka_unit_test_setup(test_a_step_is_narrow, setup),
        cmocka_unit_test_setup(test_values_beyond_the_top_are_kept, setup),
        cmocka_unit_test_setup(test_quantiles, setup),
        cmocka_unit_test_setup(test_empty, setup),
        cmocka_unit_test_setup(test_merged_is_as_if_counted_together, setup),
        cmocka_unit_test_setup(test_hgrm, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
