/* The metrics of control_metrics.def, and the agent's. Thread: written and read by the control thread alone. */
#ifndef RG_GATEWAY_CONTROL_METRICS_H
#define RG_GATEWAY_CONTROL_METRICS_H

#include "bpf/sockmap.h"
#include "bpf/steer.h"
#include "control/agent/agent_metrics.h"

enum rg_control_metric {
#define RG_COUNTER(id, family, labels, help) RG_CM_##id,
#define RG_GAUGE(id, family, labels, help)   RG_CM_##id,
#include "control/gateway/control_metrics.def"
    RG_CM_COUNT
};
#undef RG_COUNTER
#undef RG_GAUGE

struct rg_control_metrics {
    uint64_t values[RG_CM_COUNT];
    struct rg_agent_metrics agent;
};

#endif
