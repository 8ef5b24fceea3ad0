/*
 * A snapshot: an index over the routes of some units, immutable once made. A request is matched against one snapshot,
 * and keeps to it until its last byte, whatever is deployed meanwhile.
 *
 * What matches is chosen by: host (exact, then the longest wildcard, then any), path (exact, then template, then the
 * prefix with the most segments; a segment that is spelled out before one that is a parameter, from the left), method
 * (named before any), how many headers are asked for, order of declaration. A route that does not match in all of it
 * is passed over, so that the next best one is found: an artifact for one host takes from others only what it matches.
 *
 * Lifetime: made by the control thread, published to workers (worker.h), pinned by exchanges: a count for each worker,
 * which that worker alone writes. The control thread destroys it when every worker has switched to a later one and
 * rg_snapshot_is_unused says so. Thread: as said at each function.
 */
#ifndef RG_ROUTE_SNAPSHOT_H
#define RG_ROUTE_SNAPSHOT_H

#include "datapath/route/unit.h"

struct rg_snapshot;

/* Two routes of different units that match the same requests: `route` is that of the unit that comes later. */
struct rg_route_conflict {
    const struct rg_route *route, *with;
};

/*
 * Control thread. Takes a reference to each unit. generation: grows from one snapshot to the next. workers: as many
 * threads will pin it. -EEXIST with *conflict (views into the units), or -ENOMEM.
 */
int rg_snapshot_create(struct rg_snapshot **ret, struct rg_unit *const *units, size_t n_units, uint64_t generation,
                       uint16_t workers, struct rg_route_conflict *conflict);
void rg_snapshot_destroy(struct rg_snapshot *snapshot); /* unpinned; NULL is fine */

uint64_t rg_snapshot_generation(const struct rg_snapshot *snapshot);
size_t rg_snapshot_units(const struct rg_snapshot *snapshot, struct rg_unit *const **ret);
size_t rg_snapshot_routes(const struct rg_snapshot *snapshot); /* how many */

struct rg_route_query {
    struct rg_str host; /* as in Host: with a port or without, any case */
    struct rg_str method;
    uint8_t method_id;  /* enum rg_method */
    struct rg_str path; /* normal form, without the query */
    const struct rg_field *fields;
    size_t n_fields;
};

/* Hot, any thread that has pinned it or holds it. NULL: nothing matches. A HEAD is served by a route for GET where
 * there is none for HEAD at the same path. */
const struct rg_route *rg_snapshot_lookup(const struct rg_snapshot *snapshot, const struct rg_route_query *query);

/* Hot, the worker's thread: an exchange holds on to the snapshot in which it found its route. */
void rg_snapshot_pin(struct rg_snapshot *snapshot, uint16_t worker, const struct rg_route *route);
void rg_snapshot_unpin(struct rg_snapshot *snapshot, uint16_t worker);

/* Control thread, after every worker has switched to a later one: no exchange holds it any more. */
bool rg_snapshot_is_unused(const struct rg_snapshot *snapshot);
uint64_t rg_snapshot_pins(const struct rg_snapshot *snapshot);

#endif
