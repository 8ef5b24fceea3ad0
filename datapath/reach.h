/*
 * What connects have found out about a place: nothing against it, or that it is left alone for now.
 *
 * Embedded in what it is about. Thread: any; the fields are atomic, without an order between them: a late view of them
 * costs a connect at most.
 */
#ifndef RG_REACH_H
#define RG_REACH_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

struct rg_reach {
    uint64_t down_until_ms; /* CLOCK_MONOTONIC; 0: nothing is known against it */
    uint32_t failures;      /* in a row, since it was left alone */
};

/* From good to bad. */
enum rg_reach_state {
    RG_REACH_UP,
    RG_REACH_DUE, /* it has been left alone for long enough: one may try it, who claims it first */
    RG_REACH_DOWN
};

static inline enum rg_reach_state rg_reach_state(const struct rg_reach *r, uint64_t now_ms)
{
    uint64_t until = __atomic_load_n(&r->down_until_ms, __ATOMIC_RELAXED);
    if (until == 0)
        return RG_REACH_UP;
    return now_ms < until ? RG_REACH_DOWN : RG_REACH_DUE;
}

/* The errno of a connect for which we are short of ports, descriptors or memory ourselves: it says nothing of a place.
 */
static inline bool rg_reach_is_own_shortage(int error)
{
    return error == EADDRNOTAVAIL || error == ENOBUFS || error == ENOMEM || error == EMFILE || error == ENFILE;
}

/* Of one that is due: true is told to a single caller, who tries it. It counts as failed in advance: others go on
 * leaving it alone, for longer, most_ms at most, until it has connected. */
bool rg_reach_claim(struct rg_reach *r, uint64_t now_ms, uint64_t most_ms);
/* Many connects that fail together are one failure. */
void rg_reach_failed(struct rg_reach *r, uint64_t now_ms);
void rg_reach_connected(struct rg_reach *r);

#endif
