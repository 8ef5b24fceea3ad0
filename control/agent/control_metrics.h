/* The metrics of control_metrics.def, as the control thread keeps them. */
#ifndef RG_AGENT_CONTROL_METRICS_H
#define RG_AGENT_CONTROL_METRICS_H

#include "bpf/sockmap.h"
#include "bpf/steer.h"
#include "datapath/base/metric.h"

enum rg_control_metric {
#define RG_COUNTER(id, family, labels, help) RG_CM_##id,
#define RG_GAUGE(id, family, labels, help)   RG_CM_##id,
#include "control/agent/control_metrics.def"
    RG_CM_COUNT
};
#undef RG_COUNTER
#undef RG_GAUGE

enum rg_control_histogram {
#define RG_COUNTER(id, family, labels, help)
#define RG_GAUGE(id, family, labels, help)
#define RG_CONTROL_HISTOGRAM(id, family, help) RG_CH_##id,
#include "control/agent/control_metrics.def"
    RG_CH_COUNT
};
#undef RG_COUNTER
#undef RG_GAUGE

struct rg_control_metrics { /* written and read by the control thread alone */
    uint64_t values[RG_CM_COUNT];
    struct rg_histogram histograms[RG_CH_COUNT];
};

#endif
