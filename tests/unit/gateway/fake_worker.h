/* Workers without threads, for tests of the control side: they do what they are told at once and remember it. */
#ifndef RG_TEST_FAKE_WORKER_H
#define RG_TEST_FAKE_WORKER_H

#include "datapath/worker.h"

struct fake_worker {
    struct rg_worker_init init;
    const struct rg_settings *published;
    uint64_t generation;
    struct rg_snapshot *routes;
    uint64_t routes_generation, endpoints_epoch;
    bool started, draining, stopped, ended, abandoned;
    uint32_t stalled_ms;
    struct rg_metrics metrics;
};

struct fake_worker *fake_worker_of(struct rg_worker *w);
void fake_worker_switch_routes(struct rg_worker *w); /* to those that were published last */

/* What the fakes do from now on, and how many there are. */
extern struct fake_worker_rules {
    bool keep_generation; /* published settings are not taken over */
    bool keep_routes;     /* nor are published routes */
    bool keep_running;    /* a drain does not end them */
    bool hang;            /* nor does a stop */
    int create_error;     /* negative errno: rg_worker_create fails */
    unsigned alive;
} fake_worker_rules;

#endif
