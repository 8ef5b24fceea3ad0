/* See unit.h: life, counters, and the routes of a unit as they are put together. */
#include "datapath/route/unit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "datapath/base/assert.h"
#include "datapath/policy/chain.h"
#include "datapath/route/unit_parts.h"
#include "datapath/targets.h"

int rg_unit_refuse(struct rg_unit_fault *fault, const char *field, const char *format, ...)
{
    va_list args;
    snprintf(fault->field, sizeof fault->field, "%s", field);
    va_start(args, format);
    vsnprintf(fault->text, sizeof fault->text, format, args);
    va_end(args);
    return -EINVAL;
}

/* ---- Counters ---- */

static struct rg_unit_counts *create_counts(uint16_t workers)
{
    size_t bytes = sizeof(struct rg_unit_counts) + workers * sizeof(struct rg_unit_row);
    struct rg_unit_counts *c = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    if (!c)
        return NULL;
    memset(c, 0, bytes);
    c->refs = 1;
    c->workers = workers;
    return c;
}

static void unref_counts(struct rg_unit_counts *c)
{
    if (c && --c->refs == 0)
        free(c);
}

void rg_unit_succeed(struct rg_unit *unit, const struct rg_unit *older)
{
    if (unit->counts == older->counts || unit->counts->workers != older->counts->workers)
        return;
    unref_counts(unit->counts);
    unit->counts = older->counts;
    unit->counts->refs++;
}

uint64_t rg_unit_requests(const struct rg_unit *unit)
{
    uint64_t sum = 0;
    for (uint16_t i = 0; i < unit->counts->workers; i++)
        sum += __atomic_load_n(&unit->counts->rows[i].requests, __ATOMIC_RELAXED);
    return sum;
}

/* ---- Life ---- */

static int copy_names(struct rg_unit *u, const struct rg_unit_spec *spec, struct rg_unit_fault *fault)
{
    if (spec->handle.len == 0)
        return rg_unit_refuse(fault, "handle", "a unit needs a name");
    return rg_arena_copy(&u->arena, spec->kind, &u->kind) && rg_arena_copy(&u->arena, spec->handle, &u->handle) &&
                   rg_arena_copy(&u->arena, spec->version, &u->version)
               ? 0
               : -ENOMEM;
}

static int copy_upstreams(struct rg_unit *u, const struct rg_unit_spec *spec, struct rg_endpoints *endpoints,
                          struct rg_unit_fault *fault)
{
    u->upstreams = rg_arena_array(&u->arena, spec->n_upstreams, sizeof *u->upstreams);
    if (!u->upstreams)
        return -ENOMEM;
    for (size_t i = 0; i < spec->n_upstreams; i++) {
        int r = rg_unit_copy_upstream(u, &spec->upstreams[i], endpoints, &u->upstreams[i], fault);
        if (r == -EINVAL) {
            char field[sizeof fault->field];
            snprintf(field, sizeof field, "upstreams[%u].%.24s", (unsigned)i, fault->field);
            memcpy(fault->field, field, sizeof field);
        }
        if (r < 0)
            return r;
        u->n_upstreams++;
    }
    return 0;
}

/* ---- Routes ---- */

static int find_way(struct rg_unit *u, const struct rg_route_spec *spec, struct rg_route *r,
                    struct rg_unit_fault *fault)
{
    if (spec->upstream == RG_UPSTREAM_REPLICA) {
        r->kind = RG_ROUTE_REPLICA;
    } else if (spec->upstream == RG_UPSTREAM_NONE) {
        r->kind = RG_ROUTE_NONE;
    } else if (spec->upstream < u->n_upstreams) {
        r->kind = RG_ROUTE_UPSTREAM;
        r->upstream = &u->upstreams[spec->upstream];
    } else {
        return rg_unit_refuse(fault, "upstream", "there is no upstream %" PRIu32 ", the unit has %zu", spec->upstream,
                              u->n_upstreams);
    }
    return 0;
}

/* What is cut off has to end where a segment does, in what is spelled out: then it stands in front of every path that
 * matches. */
static int check_context(const struct rg_route_spec *spec, struct rg_unit_fault *fault)
{
    size_t n = spec->context_bytes;
    bool is_end = n <= spec->path.len && (n == spec->path.len || spec->path.ptr[n] == '/');
    bool is_plain = is_end && !memchr(spec->path.ptr, '{', n) && !memchr(spec->path.ptr, '*', n);
    if (n > 0 && !(is_end && is_plain && n > 1))
        return rg_unit_refuse(fault, "context_bytes", "%zu bytes of %.*s are no whole segments of it", n,
                              (int)spec->path.len, spec->path.ptr);
    return 0;
}

static int name_route(struct rg_unit *u, const struct rg_route_spec *spec, struct rg_route *r)
{
    char text[256];
    if (spec->name.len > 0)
        return rg_arena_copy(&u->arena, spec->name, &r->name) ? 0 : -ENOMEM;
    rg_route_describe(r, text, sizeof text);
    return rg_arena_copy(&u->arena, rg_str_of(text), &r->name) ? 0 : -ENOMEM;
}

static uint32_t first_set(uint32_t a, uint32_t b)
{
    return a > 0 ? a : b;
}

static uint32_t shortest(uint32_t ms, uint32_t other)
{
    return ms > 0 && ms < other ? ms : other;
}

static int copy_route(struct rg_unit *u, const struct rg_route_spec *spec, struct rg_route *r,
                      struct rg_unit_fault *fault)
{
    *r = (struct rg_route){.unit = u, .keep_host = spec->keep_host, .context_bytes = spec->context_bytes};
    int err = rg_unit_copy_match(u, spec, &r->match, fault);
    if (err == 0)
        err = find_way(u, spec, r, fault);
    if (err == 0)
        err = check_context(spec, fault);
    if (err == 0)
        err = name_route(u, spec, r);
    if (err < 0)
        return err;
    const struct rg_unit_upstream *up = r->upstream;
    r->connect_ms = up ? up->connect_ms : 0;
    r->response_head_ms = first_set(spec->response_head_ms, up ? up->response_head_ms : 0);
    r->body_idle_ms = first_set(spec->body_idle_ms, up ? up->body_idle_ms : 0);
    r->check_ms = shortest(r->connect_ms, shortest(r->response_head_ms, shortest(r->body_idle_ms, UINT32_MAX)));
    return 0;
}

static int copy_routes(struct rg_unit *u, const struct rg_unit_spec *spec, struct rg_unit_fault *fault)
{
    u->routes = rg_arena_array(&u->arena, spec->n_routes, sizeof *u->routes);
    if (!u->routes)
        return -ENOMEM;
    for (size_t i = 0; i < spec->n_routes; i++) {
        int r = copy_route(u, &spec->routes[i], &u->routes[i], fault);
        if (r == -EINVAL)
            fault->route = i;
        if (r < 0)
            return r;
        u->n_routes++;
        u->n_nodes += u->routes[i].match->n_segments + 1;
    }
    return 0;
}

static void free_unit(struct rg_unit *u)
{
    for (size_t i = 0; i < u->n_routes; i++)
        rg_policy_chain_destroy(u->routes[i].policies);
    for (size_t i = 0; i < u->n_upstreams; i++)
        rg_targets_destroy(u->upstreams[i].ways);
    unref_counts(u->counts);
    rg_arena_fini(&u->arena);
    free(u);
}

int rg_unit_create(struct rg_unit **ret, const struct rg_unit_spec *spec, const struct rg_unit_place *place,
                   struct rg_unit_fault *fault)
{
    *fault = (struct rg_unit_fault){.route = SIZE_MAX};
    struct rg_unit *u = calloc(1, sizeof *u);
    if (!u)
        return -ENOMEM;
    u->refs = 1;
    rg_arena_init(&u->arena);
    u->counts = create_counts(place->workers);
    int r = u->counts ? copy_names(u, spec, fault) : -ENOMEM;
    if (r == 0)
        r = copy_upstreams(u, spec, place->endpoints, fault);
    if (r == 0)
        r = copy_routes(u, spec, fault);
    if (r < 0) {
        free_unit(u);
        return r;
    }
    for (size_t i = 0; i < u->n_routes; i++) /* only now, so that a failure leaves them */
        u->routes[i].policies = spec->routes[i].policies;
    *ret = u;
    return 0;
}

struct rg_unit *rg_unit_ref(struct rg_unit *unit)
{
    unit->refs++;
    return unit;
}

void rg_unit_unref(struct rg_unit *unit)
{
    if (!unit)
        return;
    RG_ASSERT(unit->refs > 0);
    if (--unit->refs == 0)
        free_unit(unit);
}

/* ---- What is in it ---- */

struct rg_str rg_unit_kind(const struct rg_unit *unit)
{
    return unit->kind;
}

struct rg_str rg_unit_handle(const struct rg_unit *unit)
{
    return unit->handle;
}

struct rg_str rg_unit_version(const struct rg_unit *unit)
{
    return unit->version;
}

size_t rg_unit_routes(const struct rg_unit *unit, const struct rg_route **ret)
{
    *ret = unit->routes;
    return unit->n_routes;
}

size_t rg_unit_upstreams(const struct rg_unit *unit, const struct rg_unit_upstream **ret)
{
    *ret = unit->upstreams;
    return unit->n_upstreams;
}

void rg_route_describe(const struct rg_route *route, char *out, size_t size)
{
    const struct rg_route_match *m = route->match;
    FILE *f = fmemopen(out, size, "w");
    if (!f) {
        snprintf(out, size, "%.*s", (int)m->path.len, m->path.ptr);
        return;
    }
    fprintf(f, "%.*s %s%.*s%.*s", m->method.len ? (int)m->method.len : 3, m->method.len ? m->method.ptr : "ANY",
            m->host_kind == RG_ROUTE_HOST_WILDCARD ? "*." : "", (int)m->host.len, m->host.len ? m->host.ptr : "",
            (int)m->path.len, m->path.ptr);
    for (size_t i = 0; i < m->n_headers; i++) {
        const struct rg_route_header *h = &m->headers[i];
        fprintf(f, "%s%.*s%s%.*s%s", i == 0 ? " (" : ", ", (int)h->name.len, h->name.ptr,
                h->match == RG_HEADER_REGEX ? " ~ " : ": ", (int)h->value.len, h->value.ptr,
                i + 1 == m->n_headers ? ")" : "");
    }
    fclose(f); /* ends it in NUL, cut to size */
    out[size - 1] = '\0';
}
