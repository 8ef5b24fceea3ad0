/* See gateway_routes.h. */
#include "control/gateway/gateway_routes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "control/gateway/gateway.h"
#include "datapath/base/log.h"

/* ---- Who has which ---- */

/* Without a thread it reads none: it has not begun, or it has ended, and its exchanges with it. */
static bool reads_routes(const struct rg_gateway *g, uint16_t i)
{
    const struct rg_worker *w = g->workers ? g->workers[i].worker : NULL;
    return w && !rg_worker_has_ended(w);
}

int32_t rg_gateway_late_worker(const struct rg_gateway *g, uint64_t generation)
{
    for (uint16_t i = 0; i < g->n_workers; i++)
        if (reads_routes(g, i) && rg_worker_routes_generation(g->workers[i].worker) < generation)
            return i;
    return -1;
}

static uint64_t current_generation(const struct rg_gateway *g)
{
    return g->routes.current ? rg_snapshot_generation(g->routes.current->snapshot) : 0;
}

bool rg_gateway_routes_are_live(const struct rg_gateway *g)
{
    return rg_gateway_late_worker(g, current_generation(g)) < 0;
}

const struct rg_snapshot *rg_gateway_current_routes(const struct rg_gateway *g)
{
    return g->routes.current ? g->routes.current->snapshot : NULL;
}

unsigned rg_gateway_retired_routes(const struct rg_gateway *g)
{
    unsigned n = 0;
    for (const struct rg_routes_box *box = g->routes.retired; box; box = box->next)
        n++;
    return n;
}

/* ---- Publishing ---- */

static void free_box(struct rg_routes_box *box)
{
    rg_snapshot_destroy(box->snapshot);
    free(box);
}

int rg_gateway_publish_routes(struct rg_gateway *g, struct rg_unit *const *units, size_t n, uint64_t *generation,
                              struct rg_route_conflict *conflict)
{
    struct rg_gateway_routes *r = &g->routes;
    struct rg_routes_box *box = calloc(1, sizeof(*box));
    if (!box)
        return -ENOMEM;
    int err = rg_snapshot_create(&box->snapshot, units, n, current_generation(g) + 1, g->n_workers, conflict);
    if (err < 0) {
        free(box);
        return err;
    }
    if (r->current) {
        r->current->next = r->retired;
        r->retired = r->current;
    }
    r->current = box;
    *generation = rg_snapshot_generation(box->snapshot);
    for (uint16_t i = 0; i < g->n_workers; i++)
        if (reads_routes(g, i))
            rg_worker_publish_routes(g->workers[i].worker, box->snapshot);
    rg_debug("routes published generation=%" PRIu64 " units=%zu routes=%zu", *generation, n,
             rg_snapshot_routes(box->snapshot));
    return 0;
}

/* No worker can come to it any more once all have passed it, and then its pins only fall. */
void rg_gateway_retire_routes(struct rg_gateway *g)
{
    struct rg_routes_box **at = &g->routes.retired;
    while (*at) {
        struct rg_routes_box *box = *at;
        bool passed = rg_gateway_late_worker(g, rg_snapshot_generation(box->snapshot) + 1) < 0;
        if (!passed || !rg_snapshot_is_unused(box->snapshot)) {
            at = &box->next;
            continue;
        }
        *at = box->next;
        free_box(box);
    }
}

static void switched(struct rg_watch *watch, uint32_t events)
{
    struct rg_gateway_routes *r = RG_OWNER(watch, struct rg_gateway_routes, switched);
    struct rg_gateway *g = RG_OWNER(r, struct rg_gateway, routes);
    uint64_t times, generation = current_generation(g);
    (void)events;
    if (read(watch->fd, &times, sizeof(times)) < 0)
        return; /* somebody else's turn has read it */
    if (generation <= r->live || !rg_gateway_routes_are_live(g))
        return;
    r->live = generation;
    rg_gateway_retire_routes(g);
    rg_debug("routes live generation=%" PRIu64, generation);
    if (r->on_live)
        r->on_live(r->arg, generation);
}

/* ---- Start and end ---- */

int rg_gateway_init_routes(struct rg_gateway *g)
{
    struct rg_watch *watch = &g->routes.switched;
    watch->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    watch->ready = switched;
    return watch->fd < 0 ? -errno : rg_loop_watch(&g->loop, watch, EPOLLIN);
}

void rg_gateway_fini_routes(struct rg_gateway *g)
{
    struct rg_gateway_routes *r = &g->routes;
    if (r->switched.fd >= 0) {
        rg_loop_unwatch(&g->loop, &r->switched);
        close(r->switched.fd);
        r->switched.fd = -1;
    }
    while (r->retired) {
        struct rg_routes_box *box = r->retired;
        r->retired = box->next;
        free_box(box);
    }
    if (r->current)
        free_box(r->current);
    r->current = NULL;
}

/* ---- What the admin endpoint shows ---- */

static void write_member(FILE *out, const char *name, struct rg_str value)
{
    fprintf(out, "\"%s\":", name);
    rg_json_utf8(out, value);
}

static void write_target(const struct rg_target *t, FILE *out)
{
    bool path = t->host.ptr[0] == '/', brackets = memchr(t->host.ptr, ':', t->host.len) != NULL;
    char url[320];
    if (path)
        snprintf(url, sizeof(url), "unix:%.*s", (int)t->host.len, t->host.ptr);
    else
        snprintf(url, sizeof(url), "%s://%s%.*s%s:%u", t->tls ? "https" : "http", brackets ? "[" : "", (int)t->host.len,
                 t->host.ptr, brackets ? "]" : "", t->port);
    fputs("{", out);
    write_member(out, "url", rg_str_of(url));
    fprintf(out, ",\"weight\":%" PRIu32 "}", t->weight);
}

static void write_upstreams(const struct rg_unit *unit, FILE *out)
{
    const struct rg_unit_upstream *up = NULL;
    size_t n = rg_unit_upstreams(unit, &up);
    for (size_t i = 0; i < n; i++) {
        fputs(i == 0 ? "{" : ",{", out);
        write_member(out, "name", up[i].name);
        fputs(",", out);
        write_member(out, "base_path", up[i].base_path);
        fputs(",\"targets\":[", out);
        for (size_t t = 0; t < up[i].n_targets; t++) {
            fputs(t == 0 ? "" : ",", out);
            write_target(&up[i].targets[t], out);
        }
        fputs("]}", out);
    }
}

static struct rg_str way_of(const struct rg_route *r)
{
    return r->kind == RG_ROUTE_UPSTREAM ? r->upstream->name
           : r->kind == RG_ROUTE_NONE   ? RG_STR("none")
                                        : RG_STR("replica");
}

static void write_unit_routes(const struct rg_unit *unit, FILE *out)
{
    const struct rg_route *routes = NULL;
    size_t n = rg_unit_routes(unit, &routes);
    for (size_t i = 0; i < n; i++) {
        char match[1024];
        rg_route_describe(&routes[i], match, sizeof(match));
        fputs(i == 0 ? "{" : ",{", out);
        write_member(out, "name", routes[i].name);
        fputs(",", out);
        write_member(out, "match", rg_str_of(match));
        fputs(",", out);
        write_member(out, "upstream", way_of(&routes[i]));
        fputs("}", out);
    }
}

static void write_unit(const struct rg_unit *unit, FILE *out)
{
    fputs("{", out);
    write_member(out, "kind", rg_unit_kind(unit));
    fputs(",", out);
    write_member(out, "handle", rg_unit_handle(unit));
    fputs(",", out);
    write_member(out, "version", rg_unit_version(unit));
    fprintf(out, ",\"requests\":%" PRIu64 ",\"upstreams\":[", rg_unit_requests(unit));
    write_upstreams(unit, out);
    fputs("],\"routes\":[", out);
    write_unit_routes(unit, out);
    fputs("]}", out);
}

void rg_gateway_write_routes(const struct rg_gateway *g, FILE *out)
{
    const struct rg_snapshot *s = rg_gateway_current_routes(g);
    struct rg_unit *const *units = NULL;
    size_t n = s ? rg_snapshot_units(s, &units) : 0;
    fprintf(out, "{\"generation\":%" PRIu64 ",\"live\":%s,\"retiring\":%u,\"units\":[", current_generation(g),
            rg_gateway_routes_are_live(g) ? "true" : "false", rg_gateway_retired_routes(g));
    for (size_t i = 0; i < n; i++) {
        fputs(i == 0 ? "" : ",", out);
        write_unit(units[i], out);
    }
    fputs("]}", out);
}
