/*
 * How the load is spread over connections: the spacing of each in an open loop, and the shares of a skewed load.
 * Pure but for the credit, which belongs to the worker's thread.
 */
#ifndef RG_LOAD_PACE_H
#define RG_LOAD_PACE_H

#include <stdbool.h>

#include "bench/load/options.h"

/* Nanoseconds between two requests of a connection (open loop). connection counts from 0 over all threads. */
uint64_t rg_pace_interval(const struct rg_load_options *o, unsigned connection);
/* Where in its interval a connection begins: spread evenly at random, the same in every run. */
uint64_t rg_pace_phase(unsigned connection, uint64_t interval);

static inline bool rg_pace_is_heavy(const struct rg_load_options *o, unsigned connection)
{
    return connection < o->skew_connections;
}

/*
 * A closed loop with skew: heavy connections never wait, the others start only what the shares allow. Every start of a
 * heavy one earns a part of a light one.
 */
struct rg_credit {
    double each, saved;
};

static inline void rg_credit_init(struct rg_credit *c, double heavy_share)
{
    c->each = heavy_share > 0 ? (1 - heavy_share) / heavy_share : 0;
    c->saved = 0;
}

static inline void rg_credit_earn(struct rg_credit *c)
{
    c->saved += c->each;
}

static inline bool rg_credit_spend(struct rg_credit *c)
{
    if (c->saved < 1)
        return false;
    c->saved -= 1;
    return true;
}

#endif
