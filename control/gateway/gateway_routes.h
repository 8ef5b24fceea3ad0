/*
 * The routes of the gateway as the control thread sees them: the snapshot that workers have been given, those that they
 * had before and that exchanges still hold, and who wants to know when a new one is live.
 *
 * Owner: struct rg_gateway. Thread: the control thread.
 */
#ifndef RG_GATEWAY_GATEWAY_ROUTES_H
#define RG_GATEWAY_GATEWAY_ROUTES_H

#include "control/common/loop.h"
#include "datapath/route/snapshot.h"

struct rg_gateway;

struct rg_routes_box { /* a snapshot that waits until no worker and no exchange reads it */
    struct rg_snapshot *snapshot;
    struct rg_routes_box *next;
};

struct rg_gateway_routes {
    struct rg_routes_box *current; /* NULL: none; all requests go to the replica */
    struct rg_routes_box *retired;
    uint64_t live;            /* generation that every worker was last seen to have reached */
    struct rg_watch switched; /* the eventfd of the workers */
    /* When all workers have switched to the current snapshot; also when some were late. May publish. */
    void (*on_live)(void *arg, uint64_t generation);
    void *arg;
};

/*
 * Makes a snapshot of these units and has every worker switch to it. Before the workers are created, they begin with
 * it. Takes a reference to each unit. -EEXIST with *conflict, or -ENOMEM: nothing has changed then. Else *generation is
 * that of the snapshot, which on_live tells later.
 */
int rg_gateway_publish_routes(struct rg_gateway *g, struct rg_unit *const *units, size_t n, uint64_t *generation,
                              struct rg_route_conflict *conflict);
/* Before and after all others. A negative errno. */
int rg_gateway_init_routes(struct rg_gateway *g);
void rg_gateway_fini_routes(struct rg_gateway *g);   /* after the workers are destroyed; half-started is fine */
void rg_gateway_retire_routes(struct rg_gateway *g); /* destroys what no worker and no exchange reads any more */
const struct rg_snapshot *rg_gateway_current_routes(const struct rg_gateway *g); /* NULL: none */
unsigned rg_gateway_retired_routes(const struct rg_gateway *g);                  /* that still have readers */
void rg_gateway_write_routes(const struct rg_gateway *g, FILE *out); /* JSON: generation, units, their routes */

/* All workers that run have the current snapshot. */
bool rg_gateway_routes_are_live(const struct rg_gateway *g);
/* The first worker that has not reached this generation; -1: none. */
int32_t rg_gateway_late_worker(const struct rg_gateway *g, uint64_t generation);

#endif
