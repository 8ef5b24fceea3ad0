/* See metrics.h. */
#include "control/platform/metrics.h"

#define FAMILY(name) ((name) + sizeof("ringgate_") - 1)

const struct rg_metric_row rg_platform_rows[] = {
    [RG_PLATFORM_ROW_REQUESTS] = {"platform_requests_total", "", "Requests that reached the platform.",
                                  RG_METRIC_COUNTER},
    [RG_PLATFORM_ROW_REFUSED] = {"platform_connections_refused_total", "",
                                 "Connections of the front that the platform turned away.", RG_METRIC_COUNTER},
    [RG_PLATFORM_ROW_GATEWAYS] = {"platform_gateways_connected", "", "Connections of gateways that are open.",
                                  RG_METRIC_GAUGE},
    [RG_PLATFORM_ROW_STREAMS] = {"platform_event_streams", "", "Streams of Server-Sent Events that are open.",
                                 RG_METRIC_GAUGE},
    [RG_PLATFORM_ROW_SILENT] = {"platform_gateways_silent_total", "",
                                "Connections of gateways ended for want of a sign of life.", RG_METRIC_COUNTER},
#define TURNED_AWAY(why, reason, help)                                                                                 \
    [(int)RG_PLATFORM_ROW_TURNED_AWAY + (int)(why)] = {"platform_gateways_turned_away_total", "reason=\"" reason "\"", \
                                                       help, RG_METRIC_COUNTER}
    TURNED_AWAY(RG_TURNED_AWAY_RATE, "connects-per-minute",
                "Gateways that were not let in, by the limit that is reached (the options of `websocket`); ending: the "
                "platform ends."),
    TURNED_AWAY(RG_TURNED_AWAY_FULL, "connections", ""),
    TURNED_AWAY(RG_TURNED_AWAY_GATEWAY_FULL, "connections-per-gateway", ""),
    TURNED_AWAY(RG_TURNED_AWAY_ENDING, "ending", ""),
#undef TURNED_AWAY
#define RG_STORE_COUNTER(id, family, labels, help) \
    [(int)RG_PLATFORM_ROW_STORE + (int)RG_STORE_##id] = {FAMILY(family), labels, help, RG_METRIC_COUNTER},
#include "control/platform/store_counters.def"
#undef RG_STORE_COUNTER
};
