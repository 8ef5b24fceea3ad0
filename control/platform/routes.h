/* Every call that the platform knows, in one table: what is routed, who may, what goes in and comes out. From it the
 * OpenAPI document is made. Thread: any (constant data). */
#ifndef RG_PLATFORM_ROUTES_H
#define RG_PLATFORM_ROUTES_H

#include "control/platform/call.h"

struct rg_route_table {
    const struct rg_route *routes; /* a literal segment stands before a parameter in its place */
    size_t count;
    const char *base;
};

extern const struct rg_route_table rg_public_routes, rg_internal_routes;

#endif
