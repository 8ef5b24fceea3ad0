/*
 * Units out of lines that read like the routes they mean, and requests to match against them.
 *
 *   "METHOD HOST PATH [name=value | name~pattern]..."
 *
 * METHOD and HOST may be "-": any. The path says what it is: "=/a" exact, "^/a" prefix, "/a/{x}" template. A route is
 * named after its line.
 */
#ifndef RG_TESTS_ROUTE_FIXTURE_H
#define RG_TESTS_ROUTE_FIXTURE_H

#include "datapath/route/snapshot.h"

#define FIXTURE_WORKERS 2

/* The parts of a line; it lives as long as the result is used. */
struct fixture_route {
    char text[512];
    struct rg_header_spec headers[8];
    struct rg_route_spec spec;
};

void fixture_parse(struct fixture_route *ret, const char *line);

/* lines: ended by NULL. The unit fails the test when it can't be made. */
struct rg_unit *fixture_unit(const char *handle, const char *const *lines);
/* The fault of a unit of this one route, else of one that can't be made; fails the test when it can. */
struct rg_unit_fault fixture_fault(const struct rg_route_spec *spec);

/* Takes the caller's references. Fails the test on a conflict. */
struct rg_snapshot *fixture_snapshot(struct rg_unit **units, size_t n);
struct rg_snapshot *fixture_snapshot_of(const char *const *lines);

/* "GET host /path [name=value]...": the route that takes it; NULL: none. */
const struct rg_route *fixture_lookup(const struct rg_snapshot *s, const char *request);

#endif
