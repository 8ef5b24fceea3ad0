/*
 * What connects have found out about a place: nothing against it, or that it is left alone for now.
 *
 * Embedded in what it is about. Thread: any; the fields are atomic, without an order between them: a late view of them
 * costs a connect at most.
 */
#ifndef RG_HEALTH_H
#define RG_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

struct rg_health {
    uint64_t down_until_ms; /* CLOCK_MONOTONIC; 0: nothing is known against it */
    uint32_t failures;      /* in a row, since it was left alone */
};

enum rg_health_state {
    RG_HEALTH_UP,
    RG_HEALTH_DUE, /* it has been left alone for long enough: one may try it, who claims it first */
    RG_HEALTH_DOWN
};

static inline enum rg_health_state rg_health_state(const struct rg_health *h, uint64_t now_ms)
{
    uint64_t until = __atomic_load_n(&h->down_until_ms, __ATOMIC_RELAXED);
    if (until == 0)
        return RG_HEALTH_UP;
    return now_ms < until ? RG_HEALTH_DOWN : RG_HEALTH_DUE;
}

/* Of one that is due: true is told to a single caller, who tries it. It counts as failed in advance: others go on
 * leaving it alone, for longer, most_ms at most, until it has connected. */
bool rg_health_claim(struct rg_health *h, uint64_t now_ms, uint64_t most_ms);
/* Many connects that fail together are one failure. */
void rg_health_failed(struct rg_health *h, uint64_t now_ms);
void rg_health_connected(struct rg_health *h);

#endif
