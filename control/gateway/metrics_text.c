/* See metrics_text.h: families in the order in which they stand in the text. */
#include "control/gateway/metrics_text.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <liburing.h>
#include <math.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "control/common/descriptors.h"
#include "control/common/file.h"
#include "datapath/base/ascii.h"
#include "datapath/settings.h"

/* 50 us to 60 s: from a fast answer on loopback to the default response time-out. */
const uint64_t rg_metrics_bounds_us[RG_METRICS_BOUNDS] = {
    50,     100,    250,    500,     1000,    2500,    5000,     10000,    25000,    50000,
    100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000,
};

struct writer {
    FILE *out;
    bool open; /* OpenMetrics */
};

/* ---- Families ---- */

struct family {
    const char *prefix, *name, *help;
    enum rg_metric_kind kind;
};

static const char *kind_name(enum rg_metric_kind kind)
{
    static const char *const names[] = {
        [RG_METRIC_COUNTER] = "counter", [RG_METRIC_GAUGE] = "gauge", [RG_METRIC_HISTOGRAM] = "histogram"};
    return names[kind];
}

/* OpenMetrics names a counter's family without _total and keeps it in the sample; the classic format repeats it. */
static void write_head(const struct writer *w, const struct family *f)
{
    size_t len = strlen(f->name);
    if (w->open && f->kind == RG_METRIC_COUNTER && len > 6 && strcmp(f->name + len - 6, "_total") == 0)
        len -= 6;
    fprintf(w->out, "# HELP %s%.*s %s\n", f->prefix, (int)len, f->name, f->help);
    fprintf(w->out, "# TYPE %s%.*s %s\n", f->prefix, (int)len, f->name, kind_name(f->kind));
}

static void write_sample(const struct writer *w, const char *name, const char *labels, uint64_t value)
{
    if (labels[0])
        fprintf(w->out, "ringgate_%s{%s} %" PRIu64 "\n", name, labels, value);
    else
        fprintf(w->out, "ringgate_%s %" PRIu64 "\n", name, value);
}

static void write_rows(const struct writer *w, const struct rg_metric_row *rows, const uint64_t *values, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (i == 0 || strcmp(rows[i].family, rows[i - 1].family) != 0)
            write_head(w, &(struct family){"ringgate_", rows[i].family, rows[i].help, rows[i].kind});
        write_sample(w, rows[i].family, rows[i].labels, values[i]);
    }
}

/* ---- Per-worker metrics, summed ---- */

#define RG_COUNTER(id, family, labels, help) [RG_M_##id] = {family, labels, help, RG_METRIC_COUNTER},
#define RG_GAUGE(id, family, labels, help)   [RG_M_##id] = {family, labels, help, RG_METRIC_GAUGE},
#define RG_HISTOGRAM(id, family, help)
static const struct rg_metric_row worker_rows[] = {
#include "datapath/base/metrics.def"
};
#undef RG_COUNTER
#undef RG_GAUGE
#undef RG_HISTOGRAM

static void write_worker_rows(const struct writer *w, const struct rg_metrics_view *view)
{
    uint64_t sums[RG_M_COUNT] = {0};
    for (unsigned i = 0; i < view->n_workers; i++)
        for (unsigned m = 0; m < RG_M_COUNT; m++)
            sums[m] += rg_metric_get(view->workers[i], (enum rg_metric)m);
    write_rows(w, worker_rows, sums, RG_M_COUNT);
}

static void write_refused(const struct writer *w, const struct rg_metrics_view *view)
{
    write_head(w,
               &(struct family){"ringgate_", "requests_refused_total",
                                "Exchanges that ended other than by a complete response from the replica, by reason.",
                                RG_METRIC_COUNTER});
    for (unsigned reason = RG_REASON_NONE + 1; reason < RG_REASON_COUNT; reason++) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < view->n_workers; i++)
            sum += __atomic_load_n(&view->workers[i]->refused[reason], __ATOMIC_RELAXED);
        char labels[96];
        struct rg_str name = rg_reason_info((enum rg_reason)reason)->name;
        snprintf(labels, sizeof(labels), "reason=\"%.*s\"", (int)name.len, name.ptr);
        write_sample(w, "requests_refused_total", labels, sum);
    }
}

/* ---- Histograms ---- */

/*
 * A bucket counts for a bound when its largest value does: what is reported as "at most 1 ms" was at most 1 ms. The
 * buckets are finer than 25 %, so a value near its bound may show under the next one.
 */
uint64_t rg_metrics_cumulate(const uint64_t buckets[RG_HISTOGRAM_BUCKETS], uint64_t ret[RG_METRICS_BOUNDS])
{
    uint64_t total = 0;
    unsigned bound = 0;
    for (unsigned b = 0; b < RG_HISTOGRAM_BUCKETS; b++) {
        bool last = b == RG_HISTOGRAM_BUCKETS - 1;
        while (bound < RG_METRICS_BOUNDS && (last || rg_histogram_bucket_low(b + 1) - 1 > rg_metrics_bounds_us[bound]))
            ret[bound++] = total;
        total += buckets[b];
    }
    while (bound < RG_METRICS_BOUNDS)
        ret[bound++] = total;
    return total;
}

static void write_histogram(const struct writer *w, const struct rg_histogram *const *all, unsigned n, const char *name,
                            const char *help)
{
    uint64_t buckets[RG_HISTOGRAM_BUCKETS] = {0}, bounds[RG_METRICS_BOUNDS], sum_us = 0;
    for (unsigned i = 0; i < n; i++) {
        for (unsigned b = 0; b < RG_HISTOGRAM_BUCKETS; b++)
            buckets[b] += __atomic_load_n(&all[i]->buckets[b], __ATOMIC_RELAXED);
        sum_us += __atomic_load_n(&all[i]->sum_us, __ATOMIC_RELAXED);
    }
    /* The count is that of the buckets as they were read, so that it never is less than one of them. */
    uint64_t total = rg_metrics_cumulate(buckets, bounds);
    write_head(w, &(struct family){"ringgate_", name, help, RG_METRIC_HISTOGRAM});
    for (unsigned b = 0; b < RG_METRICS_BOUNDS; b++)
        fprintf(w->out, "ringgate_%s_bucket{le=\"%g\"} %" PRIu64 "\n", name, (double)rg_metrics_bounds_us[b] / 1e6,
                bounds[b]);
    fprintf(w->out, "ringgate_%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, total);
    fprintf(w->out, "ringgate_%s_sum %" PRIu64 ".%06" PRIu64 "\n", name, sum_us / 1000000, sum_us % 1000000);
    fprintf(w->out, "ringgate_%s_count %" PRIu64 "\n", name, total);
}

static void write_of_workers(const struct writer *w, const struct rg_metrics_view *view, enum rg_histogram_id id,
                             const char *name, const char *help)
{
    const struct rg_histogram *all[RG_WORKERS_MAX];
    for (unsigned i = 0; i < view->n_workers; i++)
        all[i] = &view->workers[i]->histograms[id];
    write_histogram(w, all, view->n_workers, name, help);
}

static void write_histograms(const struct writer *w, const struct rg_metrics_view *view)
{
#define RG_COUNTER(id, family, labels, help)
#define RG_GAUGE(id, family, labels, help)
#define RG_HISTOGRAM(id, family, help) write_of_workers(w, view, RG_H_##id, family, help);
#include "datapath/base/metrics.def"
#undef RG_COUNTER
#undef RG_GAUGE
#undef RG_HISTOGRAM
}

static void write_agent_histograms(const struct writer *w, const struct rg_metrics_view *view)
{
    const struct rg_histogram *h;
#define RG_COUNTER(id, family, labels, help)
#define RG_GAUGE(id, family, labels, help)
#define RG_HISTOGRAM(id, family, help)                \
    h = &view->control->agent.histograms[RG_AH_##id]; \
    write_histogram(w, &h, 1, family, help);
#include "control/agent/agent_metrics.def"
#undef RG_COUNTER
#undef RG_GAUGE
#undef RG_HISTOGRAM
}

/* ---- The gateway's own ---- */

#define RG_COUNTER(id, family, labels, help) [RG_CM_##id] = {family, labels, help, RG_METRIC_COUNTER},
#define RG_GAUGE(id, family, labels, help)   [RG_CM_##id] = {family, labels, help, RG_METRIC_GAUGE},
static const struct rg_metric_row control_rows[] = {
#include "control/gateway/control_metrics.def"
};
#undef RG_COUNTER
#undef RG_GAUGE

#define RG_COUNTER(id, family, labels, help) [RG_AM_##id] = {family, labels, help, RG_METRIC_COUNTER},
#define RG_GAUGE(id, family, labels, help)   [RG_AM_##id] = {family, labels, help, RG_METRIC_GAUGE},
#define RG_HISTOGRAM(id, family, help)
static const struct rg_metric_row agent_rows[] = {
#include "control/agent/agent_metrics.def"
};
#undef RG_COUNTER
#undef RG_GAUGE
#undef RG_HISTOGRAM

static void write_info_build(const struct writer *w, const char *name)
{
    struct utsname uts = {0};
    uname(&uts);
    fprintf(w->out, "ringgate_%s{version=\"%s\",liburing=\"%d.%d\",kernel=\"%s\"} 1\n", name, RG_VERSION,
            io_uring_major_version(), io_uring_minor_version(), uts.release);
}

static void write_infos(const struct writer *w)
{
#define RG_COUNTER(id, family, labels, help)
#define RG_GAUGE(id, family, labels, help)
#define RG_INFO(id, name, label_names, text)                                   \
    write_head(w, &(struct family){"ringgate_", name, text, RG_METRIC_GAUGE}); \
    write_info_##id(w, name);
#define write_info_BUILD write_info_build
#include "control/gateway/control_metrics.def"
#undef write_info_BUILD
#undef RG_COUNTER
#undef RG_GAUGE
}

/* ---- Per unit ---- */

static void write_label(const struct writer *w, const char *name, struct rg_str value)
{
    fprintf(w->out, "%s=\"", name);
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == '"' || value.ptr[i] == '\\')
            fputc('\\', w->out);
        fputc(value.ptr[i] == '\n' ? ' ' : value.ptr[i], w->out);
    }
    fputc('"', w->out);
}

static void write_unit_samples(const struct writer *w, const struct rg_metrics_view *view, const char *name,
                               uint64_t (*read)(const struct rg_unit *))
{
    struct rg_unit *const *units = NULL;
    size_t n = view->routes ? rg_snapshot_units(view->routes, &units) : 0;
    for (size_t i = 0; i < n; i++) {
        fprintf(w->out, "ringgate_%s{", name);
        write_label(w, "kind", rg_unit_kind(units[i]));
        fputc(',', w->out);
        write_label(w, "unit", rg_unit_handle(units[i]));
        fprintf(w->out, "} %" PRIu64 "\n", read(units[i]));
    }
}

static void write_per_unit(const struct writer *w, const struct rg_metrics_view *view)
{
#define RG_COUNTER(id, family, labels, help)
#define RG_GAUGE(id, family, labels, help)
#define RG_PER_UNIT(id, name, text)                                              \
    write_head(w, &(struct family){"ringgate_", name, text, RG_METRIC_COUNTER}); \
    write_unit_samples(w, view, name, read_##id);
#define read_UNIT_REQUESTS rg_unit_requests
#include "control/gateway/control_metrics.def"
#undef read_UNIT_REQUESTS
#undef RG_COUNTER
#undef RG_GAUGE
}

/* ---- The process ---- */

enum process_metric {
#define RG_COUNTER(id, family, labels, help)
#define RG_GAUGE(id, family, labels, help)
#define RG_PROCESS(id, family, type, help) PROCESS_##id,
#include "control/gateway/control_metrics.def"
    PROCESS_COUNT
};
#undef RG_COUNTER
#undef RG_GAUGE

/* A file of /proc as text; false: it can't be read. */
static bool read_proc(const char *path, char *text, size_t size)
{
    ssize_t n = rg_file_load(path, RG_FILE_ANY, text, size - 1);
    text[n > 0 ? n : 0] = '\0';
    return text[0] != '\0';
}

static void read_memory(double values[PROCESS_COUNT])
{
    char text[256], *rest;
    if (!read_proc("/proc/self/statm", text, sizeof(text)))
        return;
    double page = (double)sysconf(_SC_PAGESIZE);
    values[PROCESS_VIRTUAL] = (double)strtoull(text, &rest, 10) * page;
    values[PROCESS_RESIDENT] = (double)strtoull(rest, NULL, 10) * page;
}

static void read_descriptors(double values[PROCESS_COUNT])
{
    values[PROCESS_MAX_FDS] = rg_descriptors_limit();
    DIR *dir = opendir("/proc/self/fd");
    if (!dir && errno == EMFILE) {
        rg_descriptors_lift();
        dir = opendir("/proc/self/fd");
        rg_descriptors_lower();
    }
    if (!dir)
        return;
    values[PROCESS_OPEN_FDS] = -1; /* the directory itself */
    for (const struct dirent *e; (e = readdir(dir));)
        values[PROCESS_OPEN_FDS] += e->d_name[0] != '.';
    closedir(dir);
}

static double boot_unix_seconds(void)
{
    struct timespec wall, boot;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    return (double)(wall.tv_sec - boot.tv_sec) + (double)(wall.tv_nsec - boot.tv_nsec) / 1e9;
}

/* Field 22 of /proc/self/stat: ticks between boot and start. The second field, the name, may hold anything: skip to its
 * ')'. */
static void read_start(double values[PROCESS_COUNT])
{
    char text[1024];
    if (!read_proc("/proc/self/stat", text, sizeof(text)))
        return;
    char *at = strrchr(text, ')');
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (at)
        values[PROCESS_START_TIME] =
            boot_unix_seconds() + (double)strtoull(at + 1, NULL, 10) / (double)sysconf(_SC_CLK_TCK);
}

static void read_cpu(double values[PROCESS_COUNT])
{
    struct timespec ts;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts) == 0)
        values[PROCESS_CPU] = (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void write_process_sample(const struct writer *w, const struct family *f, double value)
{
    if (isnan(value))
        return;
    write_head(w, f);
    fprintf(w->out, "%s %.15g\n", f->name, value);
}

static void write_process(const struct writer *w)
{
    double values[PROCESS_COUNT];
    for (unsigned i = 0; i < PROCESS_COUNT; i++)
        values[i] = NAN; /* what can't be read, for want of a descriptor, is not shown */
    read_memory(values);
    read_descriptors(values);
    read_start(values);
    read_cpu(values);
#define RG_COUNTER(id, family, labels, help)
#define RG_GAUGE(id, family, labels, help)
#define RG_PROCESS(id, name, type, text)                                                                         \
    write_process_sample(                                                                                        \
        w, &(struct family){"", name, text, strcmp(type, "counter") == 0 ? RG_METRIC_COUNTER : RG_METRIC_GAUGE}, \
        values[PROCESS_##id]);
#include "control/gateway/control_metrics.def"
#undef RG_COUNTER
#undef RG_GAUGE
}

void rg_metrics_write(const struct rg_metrics_view *view, bool open_metrics, FILE *out)
{
    struct writer w = {out, open_metrics};
    write_infos(&w);
    write_rows(&w, control_rows, view->control->values, RG_CM_COUNT);
    write_rows(&w, agent_rows, view->control->agent.values, RG_AM_COUNT);
    write_rows(&w, view->more, view->more_values, view->n_more);
    write_per_unit(&w, view);
    write_worker_rows(&w, view);
    write_refused(&w, view);
    write_histograms(&w, view);
    write_agent_histograms(&w, view);
    write_process(&w);
    if (open_metrics)
        fputs("# EOF\n", out);
}

/* ---- Accept ---- */

static struct rg_str split(struct rg_str *rest, char separator)
{
    const char *end = rest->len ? memchr(rest->ptr, separator, rest->len) : NULL;
    struct rg_str part = {rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len};
    *rest = end ? (struct rg_str){end + 1, rest->len - part.len - 1} : RG_STR_NONE;
    return rg_str_trim(part);
}

/* RFC 9110 12.4.2, in thousandths: "0.5" is 500. Malformed counts as 1000, as if it were absent. */
static unsigned weight(struct rg_str value)
{
    static const unsigned place[] = {1000, 0, 100, 10, 1};
    unsigned q = 0;
    for (size_t i = 0; i < value.len; i++) {
        bool dot = i == 1 && value.ptr[i] == '.';
        if (i > 4 || (!dot && (value.ptr[i] < '0' || value.ptr[i] > '9')))
            return 1000;
        if (!dot)
            q += (unsigned)(value.ptr[i] - '0') * place[i];
    }
    return value.len && q <= 1000 ? q : 1000;
}

bool rg_metrics_wants_open(struct rg_str accept)
{
    unsigned open = 0, plain = 0;
    while (accept.len) {
        struct rg_str element = split(&accept, ',');
        struct rg_str type = split(&element, ';');
        unsigned q = 1000;
        while (element.len) {
            struct rg_str parameter = split(&element, ';');
            if (parameter.len > 2 && rg_lower(parameter.ptr[0]) == 'q' && parameter.ptr[1] == '=')
                q = weight((struct rg_str){parameter.ptr + 2, parameter.len - 2});
        }
        if (rg_str_eq_nocase(type, RG_STR("application/openmetrics-text")) && q > open)
            open = q;
        else if (rg_str_eq_nocase(type, RG_STR("text/plain")) && q > plain)
            plain = q;
    }
    return open > 0 && open >= plain;
}
