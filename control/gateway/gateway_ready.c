/*
 * Readiness: may a load balancer send requests here? What /ready answers is also told to the log and to the service
 * manager, whenever it changes. Thread: the control thread.
 */
#include <limits.h>
#include <stdio.h>

#include "control/gateway/gateway.h"
#include "datapath/base/log.h"

#define SETTLE_MS 1000 /* workers switch to new settings within a turn or two: only longer is worth a line */

static const char *const names[RG_UNREADY_COUNT] = {"replica-unknown", "replica-down", "draining",
                                                    "settings-not-loaded"};

const char *rg_gateway_unready_name(unsigned index)
{
    return names[index];
}

unsigned rg_gateway_unready(const struct rg_gateway *g)
{
    unsigned mask = 0;
    switch ((enum rg_replica_state)__atomic_load_n(&g->replica.state, __ATOMIC_RELAXED)) {
    case RG_REPLICA_UNKNOWN:
        mask = RG_UNREADY_REPLICA_UNKNOWN;
        break;
    case RG_REPLICA_DOWN:
        mask = RG_UNREADY_REPLICA_DOWN;
        break;
    case RG_REPLICA_HEALTHY:
        break;
    }
    if (g->phase != RG_PHASE_SERVING)
        mask |= RG_UNREADY_DRAINING;
    if (!rg_gateway_settings_are_live(g))
        mask |= RG_UNREADY_SETTINGS;
    return mask;
}

static void list(unsigned mask, char *out, size_t size)
{
    size_t n = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < RG_UNREADY_COUNT; i++)
        if (mask & 1u << i)
            n += (size_t)snprintf(out + n, size - n, "%s%s", n ? "," : "", names[i]);
}

void rg_gateway_send_status(const struct rg_gateway *g)
{
    char reasons[96];
    const char *replica = rg_gateway_settings(g)->replica.text;
    if (g->unready_said == UINT_MAX) {
        rg_notify_send(&g->notify, "STATUS=Started, waiting for the first check of %s", replica);
    } else if (g->unready_said == 0) {
        rg_notify_send(&g->notify, "STATUS=Serving with %u workers in front of %s", g->n_workers, replica);
    } else if (!(g->unready_said & RG_UNREADY_DRAINING)) { /* the drain has told its own */
        list(g->unready_said, reasons, sizeof(reasons));
        rg_notify_send(&g->notify, "STATUS=Not ready: %s (replica %s)", reasons, replica);
    }
}

static void tell(const struct rg_gateway *g)
{
    char reasons[96];
    unsigned mask = g->unready_said;
    list(mask, reasons, sizeof(reasons));
    if (mask == 0)
        rg_info("ready");
    else if (mask & RG_UNREADY_DRAINING)
        rg_info("not ready reasons=%s", reasons);
    else
        rg_warn("not ready reasons=%s", reasons);
    rg_gateway_send_status(g);
}

void rg_gateway_note_readiness(struct rg_gateway *g)
{
    rg_prober_tick(&g->prober); /* first, so that the log has the cause before what follows from it */
    unsigned mask = rg_gateway_unready(g);
    if (!(mask & RG_UNREADY_SETTINGS))
        g->settled_ms = rg_now_ms();
    else if (rg_now_ms() - g->settled_ms < SETTLE_MS)
        mask &= ~(unsigned)RG_UNREADY_SETTINGS;
    bool undecided = g->unready_said == UINT_MAX && mask & RG_UNREADY_REPLICA_UNKNOWN;
    if (mask == g->unready_said || (undecided && !(mask & RG_UNREADY_DRAINING)))
        return;
    g->unready_said = mask;
    tell(g);
}
