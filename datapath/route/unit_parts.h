/*
 * A unit and its routes from inside: what unit*.c, snapshot.c and lookup.c share. Nothing outside datapath/route
 * includes this. Thread: see unit.h.
 */
#ifndef RG_ROUTE_UNIT_PARTS_H
#define RG_ROUTE_UNIT_PARTS_H

#include "datapath/base/arena.h"
#include "datapath/base/regex.h"
#include "datapath/route/unit.h"

#define RG_HOST_MAX 255 /* bytes of a name: longer ones match no route that names a host */

/* Of a segment, of a host: FNV-1a. Who may put names into the index (deployments) has other ways to be slow. */
#define RG_ROUTE_HASH_INIT 2166136261u

static inline uint32_t rg_route_hash_byte(uint32_t hash, char c)
{
    return (hash ^ (unsigned char)c) * 16777619u;
}

static inline uint32_t rg_route_hash(struct rg_str s)
{
    uint32_t hash = RG_ROUTE_HASH_INIT;
    for (size_t i = 0; i < s.len; i++)
        hash = rg_route_hash_byte(hash, s.ptr[i]);
    return hash;
}

struct rg_route_segment {
    struct rg_str text; /* spelled out; of a parameter: its name */
    uint32_t hash;      /* of what is spelled out */
    bool is_param;
};

struct rg_route_header {
    struct rg_str name;  /* in lower case */
    uint8_t id;          /* enum rg_field_id */
    uint8_t match;       /* enum rg_header_match */
    struct rg_str value; /* or the pattern */
    const struct rg_regex *regex;
};

enum rg_route_host { RG_ROUTE_HOST_ANY, RG_ROUTE_HOST_EXACT, RG_ROUTE_HOST_WILDCARD };

struct rg_route_match {
    uint8_t host_kind;  /* enum rg_route_host */
    uint8_t method_id;  /* enum rg_method */
    bool rest;          /* more segments may follow */
    struct rg_str host; /* in lower case, without "*." and without a dot at the end */
    uint32_t host_hash;
    struct rg_str method; /* "": any */
    struct rg_str path;   /* as declared */
    const struct rg_route_segment *segments;
    size_t n_segments;
    const struct rg_route_header *headers; /* in the order of their names and values, so that two sets compare */
    size_t n_headers;
    uint32_t headers_hash;
};

struct rg_unit_row { /* of a worker: it alone writes */
    uint64_t requests __attribute__((aligned(64)));
};

struct rg_unit_counts { /* outlive the unit: its successor goes on with them */
    uint32_t refs;
    uint16_t workers;
    struct rg_unit_row rows[];
};

struct rg_unit {
    uint32_t refs;
    struct rg_route *routes;
    size_t n_routes;
    size_t n_nodes; /* of an index, that its routes need at most */
    struct rg_str kind, handle, version;
    struct rg_unit_upstream *upstreams;
    size_t n_upstreams;
    struct rg_unit_counts *counts;
    struct rg_arena arena; /* of everything but the counts, the chains and the ways of upstreams */
};

/* unit_spec.c: copies the parts of a specification, checked. -EINVAL with *fault, or -ENOMEM. */
int rg_unit_copy_upstream(struct rg_unit *u, const struct rg_upstream_spec *spec, struct rg_endpoints *endpoints,
                          struct rg_unit_upstream *ret, struct rg_unit_fault *fault);
/* unit_match.c */
int rg_unit_copy_match(struct rg_unit *u, const struct rg_route_spec *spec, const struct rg_route_match **ret,
                       struct rg_unit_fault *fault);

/* Notes what is wrong with a field; returns -EINVAL. */
int rg_unit_refuse(struct rg_unit_fault *fault, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The path is in normal form, so that it can match; braces and "*" of a template may be in it. */
bool rg_unit_path_is_normal(struct rg_str path);

/* As routes see it: without port and final dot, in lower case. Returns the length; 0: none, or too long. */
size_t rg_route_host_of(struct rg_str host, char out[RG_HOST_MAX], uint32_t *ret_hash);

#endif
