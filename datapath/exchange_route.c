/*
 * The route of an exchange: found and pinned when it begins, followed on its way to the upstream, let go of when it
 * ends or a tunnel begins. See exchange_parts.h.
 */
#include "datapath/core.h"
#include "datapath/exchange_parts.h"
#include "datapath/targets.h"

#define NAME_SHOWN_MAX 512u /* bytes of a route's or a unit's name in the record of a tunnel */

/* ---- Found ---- */

void rg_exchange_find_route(struct rg_worker *w, struct rg_exchange *x, const struct rg_h1_request *req,
                            struct rg_str host, struct rg_str path)
{
    const struct rg_route_query q = {.host = host,
                                     .method = req->method,
                                     .method_id = req->method_id,
                                     .path = path,
                                     .fields = req->fields,
                                     .n_fields = req->n_fields};
    const struct rg_route *route = rg_snapshot_lookup(w->routes, &q);
    if (!route)
        return;
    rg_snapshot_pin(w->routes, w->id, route);
    x->snapshot = w->routes;
    x->route = route;
    if (!x->logged)
        return;
    x->log_route = route->name;
    x->log_unit = rg_unit_handle(route->unit);
}

/* ---- Followed ---- */

/* The context gives way to the base path. What matched has the context in front, and a slash or nothing behind it. */
static enum rg_reason replace_context(const struct rg_route *route, struct rg_str *path)
{
    static _Thread_local char rewritten[RG_BUF_BULK];
    struct rg_str base = route->upstream ? route->upstream->base_path : RG_STR_NONE;
    if (route->context_bytes == 0 && base.len == 0)
        return RG_REASON_NONE;
    RG_ASSERT(route->context_bytes <= path->len);
    struct rg_str rest = {path->ptr + route->context_bytes, path->len - route->context_bytes};
    if (base.len == 0 && rest.len == 0)
        rest = RG_STR("/");
    if (base.len + rest.len > sizeof rewritten)
        return RG_REASON_TARGET_TOO_LONG;
    if (base.len > 0)
        memcpy(rewritten, base.ptr, base.len);
    if (rest.len > 0)
        memcpy(rewritten + base.len, rest.ptr, rest.len);
    *path = (struct rg_str){rewritten, base.len + rest.len};
    return RG_REASON_NONE;
}

static bool lead_to_upstream(struct rg_worker *w, struct rg_exchange *x, struct rg_forward *f)
{
    if (!rg_targets_lead(w, x, x->route->upstream->ways))
        return false;
    x->own_host = !x->route->keep_host && f->host.len == 0; /* a policy may have set it */
    if (x->own_host)
        f->host = rg_upstream_authority(w, x->upstream);
    return true;
}

enum rg_reason rg_exchange_follow_route(struct rg_worker *w, struct rg_exchange *x, struct rg_forward *f)
{
    const struct rg_route *route = x->route;
    if (route->kind == RG_ROUTE_NONE)
        return RG_REASON_NO_ROUTE;
    if (route->kind == RG_ROUTE_UPSTREAM && !lead_to_upstream(w, x, f))
        return RG_REASON_OVERLOADED;
    return replace_context(route, &f->path);
}

void rg_exchange_answer_no_route(struct rg_worker *w, struct rg_exchange *x)
{
    x->reason = RG_REASON_NO_ROUTE;
    rg_metric_refused(w->metrics, RG_REASON_NO_ROUTE);
    rg_exchange_answer(w, x, 404, RG_STR("application/json"), RG_STR("{\"error\":\"Not Found\"}\n"));
}

/* ---- Let go of ---- */

void rg_exchange_leave_route(struct rg_worker *w, struct rg_exchange *x)
{
    rg_snapshot_unpin(x->snapshot, w->id);
    x->snapshot = NULL;
    x->route = NULL;
    x->targets = NULL;
    x->policed = false;
    rg_buf_unref(x->policy_buf);
    x->policy_buf = NULL;
    x->log_route = x->log_unit = RG_STR_NONE;
}

static struct rg_str copy_name(struct rg_buf *b, struct rg_str name)
{
    size_t n = name.len < NAME_SHOWN_MAX ? name.len : NAME_SHOWN_MAX;
    struct rg_str copy = {b->data + b->len, n};
    memcpy(b->data + b->len, name.ptr, n);
    b->len += (uint32_t)n;
    return copy;
}

/* Tunnels live for hours: they must not hold what was replaced. Without memory the record goes without the names. */
void rg_exchange_outlive_route(struct rg_worker *w, struct rg_exchange *x)
{
    _Static_assert(RG_BUF_SMALL_CAP >= 2 * NAME_SHOWN_MAX, "both names fit");
    struct rg_str route = x->log_route, unit = x->log_unit;
    if (x->logged)
        x->names_buf = rg_buf_get_small(&w->bufs);
    if (x->names_buf) {
        x->names_buf->len = 0;
        route = copy_name(x->names_buf, route);
        unit = copy_name(x->names_buf, unit);
    }
    rg_exchange_leave_route(w, x);
    if (x->names_buf) {
        x->log_route = route;
        x->log_unit = unit;
    }
}
