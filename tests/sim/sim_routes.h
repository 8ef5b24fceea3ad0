/*
 * Routes that are replaced while a script is played: the control thread's part, which publishes the new ones before a
 * step and destroys the old ones as soon as nobody holds them. Whoever reads them later is caught by the sanitizer.
 */
#ifndef RG_SIM_ROUTES_H
#define RG_SIM_ROUTES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "datapath/base/assert.h"
#include "datapath/route/snapshot.h"
#include "tests/sim/sim.h"

/* What a script is played with, and what became of it. */
struct sim_routes {
    struct rg_snapshot *old, *next; /* old: NULL when it is destroyed, or there was none */
    unsigned publish_at;            /* the step */
    bool was_held;                  /* an exchange kept the old ones when the worker had switched */
    bool was_retired;               /* they were destroyed while the worker ran */
};

/* Of one unit with one route. */
struct rg_snapshot *sim_routes_of(const char *handle, uint64_t generation, const struct rg_route_spec *route);

/* Plays the script from the old routes on, which it destroys with the new ones at the end. */
struct sim_result sim_routes_play(struct sim_routes *routes, const struct sim_script *script,
                                  struct sim_choices *choices);

#endif
