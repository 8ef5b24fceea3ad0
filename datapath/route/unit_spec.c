/* Upstreams of a unit, copied and checked: see unit_parts.h. */
#include <errno.h>

#include "datapath/http/h1_parse.h"
#include "datapath/route/unit_parts.h"
#include "datapath/targets.h"

#define TARGETS_MAX    256 /* of an upstream */
#define PATH_MAX_BYTES 4096

/* What may stand in a path (RFC 3986 3.3), and what templates add to it. */
static bool is_path_byte(char c)
{
    return c > ' ' && c < 0x7f && !memchr("\"#<>?[\\]^`|", c, 11);
}

bool rg_unit_path_is_normal(struct rg_str path)
{
    char normal[PATH_MAX_BYTES];
    if (path.len == 0 || path.ptr[0] != '/' || path.len > sizeof normal)
        return false;
    for (size_t i = 0; i < path.len; i++)
        if (!is_path_byte(path.ptr[i]))
            return false;
    int32_t n = rg_h1_normalize_path(path, normal);
    return n > 0 && rg_str_eq(path, (struct rg_str){normal, (size_t)n});
}

static int copy_target(struct rg_unit *u, const struct rg_target_spec *spec, size_t i, struct rg_target *ret,
                       struct rg_unit_fault *fault)
{
    char field[32];
    snprintf(field, sizeof field, "targets[%u]", (unsigned)i);
    bool is_path = spec->host.len > 0 && spec->host.ptr[0] == '/';
    if (spec->host.len == 0 || spec->host.len > RG_HOST_MAX)
        return rg_unit_refuse(fault, field,
                              "a target needs a host: a name of at most %d bytes, an address, or the "
                              "path of a UNIX socket",
                              RG_HOST_MAX);
    if (!is_path && spec->port == 0)
        return rg_unit_refuse(fault, field, "the target %.*s needs a port from 1 to 65535", (int)spec->host.len,
                              spec->host.ptr);
    *ret = (struct rg_target){.port = spec->port, .tls = spec->tls, .weight = spec->weight};
    return rg_arena_copy(&u->arena, spec->host, &ret->host) ? 0 : -ENOMEM;
}

static int copy_targets(struct rg_unit *u, const struct rg_upstream_spec *spec, struct rg_unit_upstream *ret,
                        struct rg_unit_fault *fault)
{
    uint64_t weight = 0;
    if (spec->n_targets == 0 || spec->n_targets > TARGETS_MAX)
        return rg_unit_refuse(fault, "targets", "%zu targets, wanted 1 to %d", spec->n_targets, TARGETS_MAX);
    struct rg_target *targets = rg_arena_array(&u->arena, spec->n_targets, sizeof *targets);
    if (!targets)
        return -ENOMEM;
    for (size_t i = 0; i < spec->n_targets; i++) {
        int r = copy_target(u, &spec->targets[i], i, &targets[i], fault);
        if (r < 0)
            return r;
        weight += spec->targets[i].weight;
    }
    if (weight == 0)
        return rg_unit_refuse(fault, "targets", "every target has the weight 0, so that none would get a request");
    ret->targets = targets;
    ret->n_targets = spec->n_targets;
    return 0;
}

static int check_base_path(const struct rg_upstream_spec *spec, struct rg_unit_fault *fault)
{
    struct rg_str p = spec->base_path;
    bool has_braces = p.len > 0 && (memchr(p.ptr, '{', p.len) || memchr(p.ptr, '}', p.len));
    if (p.len > 0 && (!rg_unit_path_is_normal(p) || has_braces || p.ptr[p.len - 1] == '/'))
        return rg_unit_refuse(fault, "base_path",
                              "\"%.*s\", wanted a path in normal form without a slash at its end, or nothing",
                              (int)p.len, p.ptr);
    return 0;
}

static int make_ways(struct rg_endpoints *endpoints, const struct rg_upstream_spec *spec, struct rg_targets **ret,
                     struct rg_unit_fault *fault)
{
    struct rg_targets_fault why = {0};
    char field[64];
    if (!endpoints)
        return rg_unit_refuse(fault, "targets", "nothing but the replica can be reached from here");
    int r = rg_targets_create(ret, endpoints, spec, &why);
    if (r != -EINVAL)
        return r;
    if (strcmp(why.endpoint.field, "host") == 0 || strcmp(why.endpoint.field, "port") == 0)
        snprintf(field, sizeof field, "targets[%u].%.16s", (unsigned)why.target, why.endpoint.field);
    else /* TLS, which is that of all targets */
        snprintf(field, sizeof field, "%.32s", why.endpoint.field);
    return rg_unit_refuse(fault, field, "%s", why.endpoint.text);
}

int rg_unit_copy_upstream(struct rg_unit *u, const struct rg_upstream_spec *spec, struct rg_endpoints *endpoints,
                          struct rg_unit_upstream *ret, struct rg_unit_fault *fault)
{
    *ret = (struct rg_unit_upstream){.connect_ms = spec->connect_ms,
                                     .response_head_ms = spec->response_head_ms,
                                     .body_idle_ms = spec->body_idle_ms,
                                     .verify = spec->verify};
    int r = copy_targets(u, spec, ret, fault);
    if (r == 0)
        r = check_base_path(spec, fault);
    if (r < 0)
        return r;
    const struct {
        struct rg_str from, *to;
    } texts[] = {{spec->name, &ret->name},         {spec->base_path, &ret->base_path},
                 {spec->ca_file, &ret->ca_file},   {spec->cert_file, &ret->cert_file},
                 {spec->key_file, &ret->key_file}, {spec->server_name, &ret->server_name}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!rg_arena_copy(&u->arena, texts[i].from, texts[i].to))
            return -ENOMEM;
    return make_ways(endpoints, spec, &ret->ways, fault);
}
