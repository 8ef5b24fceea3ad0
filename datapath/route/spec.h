/*
 * What the datapath is told of routes: plain values from which the control side has a snapshot built (snapshot.h).
 *
 * A unit is what one artifact adds: its routes and the upstreams they lead to. Units are compiled on their own, shared
 * by all snapshots that hold them and counted by reference: what a deployment does not touch keeps its counters and its
 * connections.
 *
 * Owner: whoever builds it; everything is copied when a unit is made of it. Thread: the control thread's. Durations in
 * milliseconds; 0: the gateway's own setting.
 */
#ifndef RG_ROUTE_SPEC_H
#define RG_ROUTE_SPEC_H

#include <stddef.h>
#include <stdint.h>

#include "datapath/base/str.h"

struct rg_policy_chain; /* policy/chain.h */

enum rg_path_match {
    RG_PATH_EXACT,   /* /a/b */
    RG_PATH_PREFIX,  /* /a/b, and what is below it: /a/b/..., not /a/bc */
    RG_PATH_TEMPLATE /* /a/{name}/c: a {name} is one segment that is not empty; a last "*" segment is any rest, or none
                      */
};

enum rg_header_match {
    RG_HEADER_EXACT,
    RG_HEADER_REGEX /* base/regex.h: RE2's syntax, of the whole value */
};

struct rg_header_spec {
    struct rg_str name; /* any case */
    struct rg_str value;
    enum rg_header_match match;
};

/* Where requests go: one of the targets, by weight. */
struct rg_target_spec {
    struct rg_str host; /* a name, an address without brackets, or "/path" of a UNIX socket */
    uint16_t port;
    bool tls;
    uint32_t weight; /* 0: gets nothing */
};

struct rg_upstream_spec {
    struct rg_str name; /* for logs and metrics; one of a unit's names */
    const struct rg_target_spec *targets;
    size_t n_targets;
    struct rg_str base_path; /* put before what is left of the path; "" or "/x", without a slash at the end */
    uint32_t connect_ms, response_head_ms, body_idle_ms;
    bool verify;                       /* of TLS: the certificate, by the system's authorities or `ca_file` */
    struct rg_str ca_file;             /* "": the system's */
    struct rg_str cert_file, key_file; /* of a client certificate; "": none */
    struct rg_str server_name;         /* of SNI and verification; "": the target's host */
};

struct rg_route_spec {
    struct rg_str name;   /* for logs, metrics and answers: "GET /items/{id}" */
    struct rg_str host;   /* "api.example.com", "*.example.com" (one or more labels); "": any */
    struct rg_str method; /* "": any */
    struct rg_str path;   /* normal form, context included */
    enum rg_path_match path_match;
    const struct rg_header_spec *headers; /* all of them have to match */
    size_t n_headers;

    uint32_t upstream;      /* index into the unit's; RG_UPSTREAM_REPLICA; RG_UPSTREAM_NONE: a policy answers */
    uint32_t context_bytes; /* so much of the path's front is replaced by the upstream's base path */
    bool keep_host;         /* the upstream gets the client's Host, not its own name */
    uint32_t response_head_ms, body_idle_ms; /* before those of the upstream */
    struct rg_policy_chain *policies;        /* taken over by the unit; NULL: none */
};

#define RG_UPSTREAM_REPLICA UINT32_MAX
#define RG_UPSTREAM_NONE    (UINT32_MAX - 1)

struct rg_unit_spec {
    struct rg_str kind;    /* "RestApi" */
    struct rg_str handle;  /* metadata.name */
    struct rg_str version; /* spec.version, for policies that ask */
    const struct rg_upstream_spec *upstreams;
    size_t n_upstreams;
    const struct rg_route_spec *routes;
    size_t n_routes;
};

#endif
