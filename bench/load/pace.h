/*
 * How the load is spread over connections: the spacing of each in an open loop, and the shares of a skewed load.
 * Pure but for the credit, which belongs to the worker's thread.
 */
#ifndef RG_LOAD_PACE_H
#define RG_LOAD_PACE_H

#include <stdbool.h>

#include "bench/load/options.h"

/* Nanoseconds between two requests of a connection (open loop); heavy: it is one of --skew's. */
uint64_t rg_pace_interval(const struct rg_load_options *o, bool heavy);
/* Where in its interval a connection begins: at random, the same for a seed. connection counts over all threads. */
uint64_t rg_pace_phase(uint64_t seed, unsigned connection, uint64_t interval);

/*
 * Which of a thread's connections are heavy: asked for one after the other, any set of that many is as likely as any
 * other. Were they the first ones opened, a server that spreads connections by their number would spread this load
 * evenly without doing anything about it.
 */
struct rg_choice {
    uint64_t state;
    uint32_t left, wanted; /* not yet asked for; to be chosen among them */
};

void rg_choice_init(struct rg_choice *c, uint64_t seed, unsigned thread, uint32_t members, uint32_t wanted);
bool rg_choice_next(struct rg_choice *c);

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
