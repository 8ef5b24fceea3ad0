/* The text of /metrics: sums, families, histograms, both formats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "control/gateway/metrics_text.h"

static struct rg_metrics workers[2];
static struct rg_control_metrics control;
static char *text;

static const char *write_text(bool open_metrics)
{
    const struct rg_metrics *list[] = {&workers[0], &workers[1]};
    struct rg_metrics_view view = {.workers = list, .n_workers = 2, .control = &control};
    size_t len = 0;
    free(text);
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    rg_metrics_write(&view, open_metrics, out);
    fclose(out);
    return text;
}

static int setup(void **state)
{
    (void)state;
    memset(workers, 0, sizeof(workers));
    memset(&control, 0, sizeof(control));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(text);
    text = NULL;
    return 0;
}

static void has_line(const char *wanted)
{
    size_t len = strlen(wanted);
    for (const char *at = text; (at = strstr(at, wanted)) != NULL; at++)
        if ((at == text || at[-1] == '\n') && at[len] == '\n')
            return;
    fail_msg("no line: %s", wanted);
}

static double value_of(const char *name)
{
    size_t len = strlen(name);
    for (const char *at = text; (at = strstr(at, name)) != NULL; at++)
        if ((at == text || at[-1] == '\n') && at[len] == ' ')
            return strtod(at + len, NULL);
    fail_msg("no sample: %s", name);
    return 0;
}

static void workers_are_summed(void **state)
{
    (void)state;
    rg_metric_add(&workers[0], RG_M_CONNECTIONS_ACCEPTED, 3);
    rg_metric_add(&workers[1], RG_M_CONNECTIONS_ACCEPTED, 4);
    rg_metric_add(&workers[1], RG_M_REQUESTS_5XX, 2);
    rg_metric_refused(&workers[0], RG_REASON_NO_HOST);
    rg_metric_refused(&workers[1], RG_REASON_NO_HOST);
    write_text(false);
    has_line("ringgate_connections_accepted_total 7");
    has_line("ringgate_requests_total{code=\"5xx\"} 2");
    has_line("ringgate_requests_total{code=\"2xx\"} 0");
    has_line("ringgate_requests_refused_total{reason=\"no-host\"} 2");
    assert_null(strstr(text, "reason=\"none\""));
    assert_null(strstr(text, "worker="));
}

static void the_gateways_own_are_there(void **state)
{
    (void)state;
    control.values[RG_CM_CONFIG_GENERATION] = 5;
    control.values[RG_CM_VERDICT_MIGRATED] = 100;
    control.values[RG_CM_PROBES_FAILED] = 6;
    write_text(false);
    has_line("ringgate_config_generation 5");
    has_line("ringgate_steering_verdicts_total{verdict=\"migrated\"} 100");
    has_line("ringgate_replica_probes_total{result=\"failed\"} 6");
    has_line("ringgate_replica_up 0");
    assert_non_null(strstr(text, "ringgate_build_info{version=\"" RG_VERSION "\",liburing=\"2."));
}

static void process_metrics_are_plausible(void **state)
{
    (void)state;
    write_text(false);
    assert_true(value_of("process_resident_memory_bytes") > 100000);
    assert_true(value_of("process_virtual_memory_bytes") > value_of("process_resident_memory_bytes"));
    double fds = value_of("process_open_fds");
    FILE *one_more = fopen("/dev/null", "r");
    write_text(false);
    fclose(one_more);
    assert_true(value_of("process_open_fds") == fds + 1);
    assert_true(value_of("process_max_fds") >= fds);
    double now = (double)time(NULL), start = value_of("process_start_time_seconds");
    assert_true(start > now - 600 && start < now + 2);
    assert_true(value_of("process_cpu_seconds_total") > 0);
}

/* Each family once: HELP, TYPE, then its samples together. */
static void check_families(bool open_metrics)
{
    char seen[200][96];
    unsigned n = 0;
    char current[96] = "";
    char *copy = strdup(write_text(open_metrics));
    assert_non_null(copy);
    for (char *line, *rest = copy; (line = strsep(&rest, "\n")) != NULL;) {
        char name[96], type[32];
        if (line[0] == '\0' || strcmp(line, "# EOF") == 0)
            continue;
        if (sscanf(line, "# HELP %95s", name) == 1) {
            for (unsigned i = 0; i < n; i++)
                assert_string_not_equal(seen[i], name);
            assert_true(n < 200);
            memcpy(seen[n++], name, sizeof(name));
            memcpy(current, name, sizeof(name));
            assert_true(strlen(line) > strlen("# HELP  ") + strlen(name)); /* says something */
            continue;
        }
        if (sscanf(line, "# TYPE %95s %31s", name, type) == 2) {
            assert_string_equal(name, current);
            continue;
        }
        assert_int_equal(strncmp(line, current, strlen(current)), 0);
        const char *tail = line + strlen(current);
        if (open_metrics && strncmp(tail, "_total", 6) == 0)
            tail += 6;
        for (const char *suffix = "_bucket\0_sum\0_count\0"; *suffix; suffix += strlen(suffix) + 1)
            if (strncmp(tail, suffix, strlen(suffix)) == 0)
                tail += strlen(suffix);
        assert_true(*tail == ' ' || *tail == '{');
        assert_non_null(strrchr(line, ' '));
        char *end;
        strtod(strrchr(line, ' ') + 1, &end);
        assert_true(*end == '\0');
    }
    assert_true(n > 40);
    free(copy);
}

static void families_are_well_formed(void **state)
{
    (void)state;
    check_families(false);
    check_families(true);
}

static void open_metrics_differs_where_it_must(void **state)
{
    (void)state;
    write_text(true);
    has_line("# TYPE ringgate_connections_accepted counter");
    has_line("ringgate_connections_accepted_total 0");
    has_line("# TYPE process_cpu_seconds counter");
    size_t len = strlen(text);
    assert_string_equal(text + len - 6, "# EOF\n");
    write_text(false);
    has_line("# TYPE ringgate_connections_accepted_total counter");
    assert_null(strstr(text, "# EOF"));
}

static void histograms_are_cumulative(void **state)
{
    (void)state;
    struct rg_histogram *h = &workers[0].histograms[RG_H_REQUEST_DURATION];
    rg_histogram_record(h, 10);
    rg_histogram_record(h, 900);
    rg_histogram_record(h, 900000);
    rg_histogram_record(&workers[1].histograms[RG_H_REQUEST_DURATION], 3600ull * 1000000 * 10);
    write_text(false);
    has_line("ringgate_request_duration_seconds_bucket{le=\"5e-05\"} 1");
    has_line("ringgate_request_duration_seconds_bucket{le=\"0.0005\"} 1");
    has_line("ringgate_request_duration_seconds_bucket{le=\"0.0025\"} 2");
    has_line("ringgate_request_duration_seconds_bucket{le=\"1\"} 3");
    has_line("ringgate_request_duration_seconds_bucket{le=\"60\"} 3");
    has_line("ringgate_request_duration_seconds_bucket{le=\"+Inf\"} 4");
    has_line("ringgate_request_duration_seconds_sum 36000.900910");
    has_line("ringgate_request_duration_seconds_count 4");
}

/* Against the definition: for any value, no bound below it counts it, and a bound 25 % above it does. */
static void bounds_hold_for_every_value(void **state)
{
    (void)state;
    for (uint64_t us = 0; us < 200000000; us += 1 + us / 50) {
        struct rg_histogram h = {0};
        uint64_t bounds[RG_METRICS_BOUNDS];
        rg_histogram_record(&h, us);
        assert_int_equal(rg_metrics_cumulate(h.buckets, bounds), 1);
        for (unsigned b = 0; b < RG_METRICS_BOUNDS; b++) {
            if (us > rg_metrics_bounds_us[b])
                assert_int_equal(bounds[b], 0);
            if (us + us / 4 + 1 < rg_metrics_bounds_us[b])
                assert_int_equal(bounds[b], 1);
        }
    }
}

static void accept_is_weighed(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        bool open;
    } cases[] = {
        {"", false},
        {"*/*", false},
        {"text/plain", false},
        {"application/openmetrics-text", true},
        {"application/openmetrics-text; version=1.0.0; charset=utf-8", true},
        {"application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1", true},
        {"application/openmetrics-text;version=1.0.0;q=0.3 , text/plain;version=0.0.4;q=0.5", false},
        {"application/openmetrics-text;q=0", false},
        {"application/openmetrics-text;q=0.000", false},
        {"Application/OpenMetrics-Text;Q=0.001", true},
        {"text/html, application/openmetrics-textual", false},
        {"application/openmetrics-text;q=nonsense", true},
        {";;,,;q=", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (rg_metrics_wants_open(rg_str_of(cases[i].accept)) != cases[i].open)
            fail_msg("%s", cases[i].accept);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(workers_are_summed),
        TEST(the_gateways_own_are_there),
        TEST(process_metrics_are_plausible),
        TEST(families_are_well_formed),
        TEST(open_metrics_differs_where_it_must),
        TEST(histograms_are_cumulative),
        TEST(bounds_hold_for_every_value),
        TEST(accept_is_weighed),
    };
    return cmocka_run_group_tests_name("metrics_text", tests, NULL, NULL);
}
