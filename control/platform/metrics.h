/* The platform's metrics, beside those of its front and of its process. Thread: any (constant data). */
#ifndef RG_PLATFORM_METRICS_H
#define RG_PLATFORM_METRICS_H

#include "control/gateway/metrics_text.h"
#include "control/platform/store.h"

/* Why a gateway that connects is not let in, where its token is not the reason. */
enum rg_turned_away {
    RG_TURNED_AWAY_RATE, /* before its token is looked at */
    RG_TURNED_AWAY_FULL,
    RG_TURNED_AWAY_GATEWAY_FULL,
    RG_TURNED_AWAY_ENDING,
    RG_TURNED_AWAY_REASONS
};

enum rg_platform_row {
    RG_PLATFORM_ROW_REQUESTS,
    RG_PLATFORM_ROW_REFUSED,
    RG_PLATFORM_ROW_GATEWAYS,
    RG_PLATFORM_ROW_STREAMS,
    RG_PLATFORM_ROW_SILENT,
    RG_PLATFORM_ROW_TURNED_AWAY, /* and from here on, by enum rg_turned_away */
    RG_PLATFORM_ROW_STORE =
        RG_PLATFORM_ROW_TURNED_AWAY + RG_TURNED_AWAY_REASONS, /* and from here on, by enum rg_store_counter */
    RG_PLATFORM_ROWS = RG_PLATFORM_ROW_STORE + RG_STORE_COUNTERS,
};

extern const struct rg_metric_row rg_platform_rows[];

#endif
