/*
 * A unit: what one artifact adds, built of a specification (spec.h) and shared by every snapshot that holds it. What a
 * deployment does not touch goes on being the same unit, with its counters and what its policies keep.
 *
 * Lifetime: counted by reference; the last one frees it. Who reads it without a reference of its own (a worker, an
 * exchange) reads through a snapshot that it has pinned. Thread: made, referenced and let go of by the control thread;
 * read by any; of the counters, each worker writes its own row.
 */
#ifndef RG_ROUTE_UNIT_H
#define RG_ROUTE_UNIT_H

#include <stdio.h>

#include "datapath/http/http.h"
#include "datapath/route/spec.h"

#define RG_ROUTE_SEGMENTS_MAX 64 /* of a path */
#define RG_ROUTE_HEADERS_MAX  16 /* that a route asks for */

struct rg_unit;
struct rg_route_match;
struct rg_endpoints; /* endpoint.h */
struct rg_targets;

struct rg_target {
    struct rg_str host;
    uint16_t port;
    bool tls;
    uint32_t weight;
};

struct rg_unit_upstream {
    struct rg_str name;
    const struct rg_target *targets; /* as specified, for those who show them */
    size_t n_targets;
    struct rg_targets *ways; /* to them: targets.h */
    struct rg_str base_path;
    uint32_t connect_ms, response_head_ms, body_idle_ms; /* 0: the gateway's own setting */
    bool verify;
    struct rg_str ca_file, cert_file, key_file, server_name;
};

/* What an exchange is told of the route that it takes. */
struct rg_route {
    const struct rg_unit *unit;
    const struct rg_route_match *match; /* unit_parts.h */
    struct rg_str name;
    const struct rg_unit_upstream *upstream; /* NULL: see `kind` */
    struct rg_policy_chain *policies;        /* NULL: none */
    uint32_t context_bytes;                  /* so much of the path's front gives way to the upstream's base path */
    uint32_t connect_ms, response_head_ms, body_idle_ms; /* the route's, else the upstream's; 0: the gateway's own */
    uint32_t check_ms;                                   /* the shortest of them; UINT32_MAX: none is set */
    uint8_t kind;                                        /* enum rg_route_kind */
    bool keep_host;
};

enum rg_route_kind {
    RG_ROUTE_REPLICA,  /* to the replica */
    RG_ROUTE_UPSTREAM, /* to `upstream` */
    RG_ROUTE_NONE      /* a policy answers; 404 where none does */
};

/* Why a specification can't become a unit. */
struct rg_unit_fault {
    size_t route;   /* index of the route it is about; SIZE_MAX: none */
    char field[64]; /* of that route, else of the unit: "host", "headers[0].value", "upstreams[1].targets" */
    char text[256]; /* what it says, what was wanted: a sentence */
};

/* What there is besides the units. */
struct rg_unit_place {
    uint16_t workers;               /* threads that will count */
    struct rg_endpoints *endpoints; /* where upstreams are looked up; NULL: the unit may have none */
};

/*
 * Copies everything of the specification and takes its policy chains over. -EINVAL with *fault, or -ENOMEM: *ret is
 * untouched then and the chains stay the caller's.
 */
int rg_unit_create(struct rg_unit **ret, const struct rg_unit_spec *spec, const struct rg_unit_place *place,
                   struct rg_unit_fault *fault);
struct rg_unit *rg_unit_ref(struct rg_unit *unit);
void rg_unit_unref(struct rg_unit *unit); /* NULL is fine */

/* The unit takes the place of an older version of itself: it goes on with its counters. Before it is published. */
void rg_unit_succeed(struct rg_unit *unit, const struct rg_unit *older);

struct rg_str rg_unit_kind(const struct rg_unit *unit);
struct rg_str rg_unit_handle(const struct rg_unit *unit);
struct rg_str rg_unit_version(const struct rg_unit *unit);
size_t rg_unit_routes(const struct rg_unit *unit, const struct rg_route **ret);
size_t rg_unit_upstreams(const struct rg_unit *unit, const struct rg_unit_upstream **ret);
/* Exchanges that took one of its routes, or those of an older version of it; summed over all workers. Any thread. */
uint64_t rg_unit_requests(const struct rg_unit *unit);

/* So much of a path that the route matches was matched by a prefix, context included; else all of it. Hot. */
size_t rg_route_prefix_bytes(const struct rg_route *route, struct rg_str path);

/* What a route matches, as people write it: "GET api.example.com/items/{id} (x-tier: gold)". For messages; cut to
 * size. */
void rg_route_describe(const struct rg_route *route, char *out, size_t size);

#endif
