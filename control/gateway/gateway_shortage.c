/*
 * Descriptors or buffers that run out, or will: workers only count it, the log says it here, with the remedy. One line
 * at the first time, then at most one a minute. Thread: the control thread.
 */
#include <inttypes.h>

#include "control/common/descriptors.h"
#include "control/gateway/gateway.h"
#include "datapath/base/log.h"

#define QUIET_MS       60000
#define CLIENTS_WANTED 4096 /* with a request each, when limits.connections does not say */

static uint64_t refused(const struct rg_gateway *g, enum rg_reason reason)
{
    uint64_t sum = 0;
    for (uint16_t i = 0; i < g->n_workers; i++)
        sum += __atomic_load_n(&rg_worker_metrics(g->workers[i].worker)->refused[reason], __ATOMIC_RELAXED);
    return sum;
}

/* What the counter has grown by since the last look. */
static uint64_t growth(struct rg_shortage *s, uint64_t counter)
{
    uint64_t n = counter - s->seen;
    s->seen = counter;
    return n;
}

static bool is_due(const struct rg_shortage *s, uint64_t now_ms)
{
    return s->times > 0 && (s->said_ms == 0 || now_ms - s->said_ms >= QUIET_MS);
}

static void was_said(struct rg_shortage *s, uint64_t now_ms)
{
    s->times = 0;
    s->said_ms = now_ms;
}

static void note_descriptors(struct rg_gateway *g, uint64_t now_ms)
{
    struct rg_shortage *s = &g->descriptors;
    s->times += growth(s, rg_gateway_sum(g, RG_M_DESCRIPTORS_EXHAUSTED) + refused(g, RG_REASON_OUT_OF_DESCRIPTORS));
    if (!is_due(s, now_ms))
        return;
    rg_warn("descriptors ran out times=%" PRIu64 " limit=%u connections=%" PRIu64 " shed=%" PRIu64
            ": idle clients are closed, others wait; raise LimitNOFILE= in the unit, or ulimit -n, or lower "
            "limits.connections",
            s->times, rg_descriptors_limit(), rg_gateway_sum(g, RG_M_CONNECTIONS_OPEN),
            rg_gateway_sum(g, RG_M_CONNECTIONS_SHED));
    was_said(s, now_ms);
}

/* A receive that waits a moment for a block is everyday life, unless the limit is why there was none. */
static void note_buffers(struct rg_gateway *g, uint64_t now_ms)
{
    struct rg_shortage *s = &g->buffers;
    s->times += growth(s, rg_gateway_sum(g, RG_M_BUFFERS_AT_LIMIT) + refused(g, RG_REASON_OUT_OF_BUFFERS));
    if (!is_due(s, now_ms))
        return;
    rg_warn(
        "buffers ran out times=%" PRIu64 " limit_bytes=%" PRIu64 " connections=%" PRIu64
        ": requests wait or get 503; raise limits.buffer_bytes, or lower timeouts.client_head and timeouts.body_idle",
        s->times, rg_gateway_settings(g)->buffer_bytes, rg_gateway_sum(g, RG_M_CONNECTIONS_OPEN));
    was_said(s, now_ms);
}

void rg_gateway_note_shortages(struct rg_gateway *g)
{
    uint64_t now_ms = rg_now_ms();
    note_descriptors(g, now_ms);
    note_buffers(g, now_ms);
}

void rg_gateway_check_descriptors(const struct rg_settings *s)
{
    uint32_t all = rg_descriptors_limit(), idle = rg_worker_clients_of(rg_descriptors_of_datapath());
    uint64_t wanted_clients = 2 * (uint64_t)(s->connections ? s->connections : CLIENTS_WANTED);
    if (idle >= wanted_clients)
        return;
    rg_warn("few descriptors limit=%u wanted=%" PRIu64
            " idle_clients=%u busy_clients=%u: there is room for no more clients "
            "than this, without and with a request in progress; raise LimitNOFILE= in the unit, or ulimit -n%s",
            all, all + wanted_clients - idle, idle, idle / 2, s->connections ? ", or lower limits.connections" : "");
}
