/* The metrics of agent_metrics.def. Thread: written and read by the control thread alone. */
#ifndef RG_AGENT_METRICS_H
#define RG_AGENT_METRICS_H

#include "datapath/base/metric.h"

enum rg_agent_metric {
#define RG_COUNTER(id, family, labels, help) RG_AM_##id,
#define RG_GAUGE(id, family, labels, help)   RG_AM_##id,
#define RG_HISTOGRAM(id, family, help)
#include "control/agent/agent_metrics.def"
    RG_AM_COUNT
};
#undef RG_COUNTER
#undef RG_GAUGE
#undef RG_HISTOGRAM

enum rg_agent_histogram {
#define RG_COUNTER(id, family, labels, help)
#define RG_GAUGE(id, family, labels, help)
#define RG_HISTOGRAM(id, family, help) RG_AH_##id,
#include "control/agent/agent_metrics.def"
    RG_AH_COUNT
};
#undef RG_COUNTER
#undef RG_GAUGE
#undef RG_HISTOGRAM

struct rg_agent_metrics {
    uint64_t values[RG_AM_COUNT];
    struct rg_histogram histograms[RG_AH_COUNT];
};

#endif
