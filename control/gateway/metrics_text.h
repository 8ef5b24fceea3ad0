/*
 * The text of /metrics: per-worker counters summed, histograms as cumulative buckets, the gateway's own metrics and
 * the process's. Prometheus text 0.0.4 or OpenMetrics 1.0. Thread: the control thread; workers keep counting meanwhile.
 */
#ifndef RG_GATEWAY_METRICS_TEXT_H
#define RG_GATEWAY_METRICS_TEXT_H

#include <stdbool.h>
#include <stdio.h>

#include "control/gateway/control_metrics.h"
#include "datapath/route/snapshot.h"

enum rg_metric_kind { RG_METRIC_COUNTER, RG_METRIC_GAUGE, RG_METRIC_HISTOGRAM };

/* One sample of a family; rows of a family stand together, the help of the first counts. */
struct rg_metric_row {
    const char *family; /* without the ringgate_ prefix */
    const char *labels, *help;
    enum rg_metric_kind kind;
};

struct rg_metrics_view {
    const struct rg_metrics *const *workers;
    unsigned n_workers;
    const struct rg_control_metrics *control;
    const struct rg_snapshot *routes; /* NULL: none */
    /* of the program behind the gateway; n_more may be 0 */
    const struct rg_metric_row *more;
    const uint64_t *more_values;
    unsigned n_more;
};

#define RG_METRICS_TYPE_PROMETHEUS   "text/plain; version=0.0.4; charset=utf-8"
#define RG_METRICS_TYPE_OPEN_METRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"

void rg_metrics_write(const struct rg_metrics_view *view, bool open_metrics, FILE *out);

/* Whether an Accept field asks for OpenMetrics with no lower weight than for plain text. */
bool rg_metrics_wants_open(struct rg_str accept);

/* Cumulative counts for the exported bounds, then for infinity; returns the total. The bounds are in microseconds. */
#define RG_METRICS_BOUNDS 19
extern const uint64_t rg_metrics_bounds_us[RG_METRICS_BOUNDS];
uint64_t rg_metrics_cumulate(const uint64_t buckets[RG_HISTOGRAM_BUCKETS], uint64_t ret[RG_METRICS_BOUNDS]);

#endif
