/*
 * What goes into the next snapshot of routes: what is live, and what is ready. All that is ready at once goes into one.
 * While workers switch to a snapshot the next one waits, so that a burst of deployments becomes a few snapshots; a
 * worker that takes too long holds up no other deployment.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "control/agent/agent_parts.h"
#include "datapath/base/log.h"

/* ---- What depends on what changes ---- */

static void drop_rebuilt(struct rg_entry *e)
{
    rg_unit_unref(e->rebuilt);
    e->rebuilt = NULL;
    e->is_rebuilt = false;
}

static void drop_all_rebuilt(struct rg_agent *a)
{
    if (!a->has_rebuilt)
        return;
    a->has_rebuilt = false;
    for (struct rg_list *at = a->entries.next; at != &a->entries; at = at->next)
        drop_rebuilt(RG_CONTAINER(at, struct rg_entry, link));
}

static bool depends_on(const struct rg_artifact *artifact, const struct rg_artifact *changed)
{
    if (!changed)
        return false;
    const struct rg_artifact_info *info = rg_artifact_info(changed);
    return rg_artifact_depends(artifact, info->kind, info->handle);
}

/* 0, or negative after `why`: what depends on the order's artifact can't do with it. */
static int rebuild_one(struct rg_agent *a, struct rg_order *o, struct rg_entry *e, const struct rg_artifact *artifact)
{
    struct rg_problems problems;
    char why[RG_AGENT_FAILURE_MAX];
    drop_rebuilt(e);
    rg_problems_init(&problems);
    int r = rg_agent_compile(a, e, artifact, &e->rebuilt, &problems);
    rg_problems_line(&problems, why, sizeof(why));
    rg_problems_fini(&problems);
    e->is_rebuilt = a->has_rebuilt = true;
    if (r == 0)
        return 0;
    if (!o->deploy) { /* what it needs goes: so do its routes, until that is back */
        rg_warn("control: an artifact has lost what it needs, and its routes kind=%s name=%s artifact=%s reason=\"%s\"",
                rg_kind_info(e->kind)->name, rg_or_dash(e->handle), e->id, why);
        return 0;
    }
    struct rg_str handle = rg_artifact_info(artifact)->handle;
    rg_order_fail(o, "the %s \"%.*s\", which is live, can't be served with it: %s", rg_kind_info(e->kind)->name,
                  (int)handle.len, handle.ptr, why);
    return r;
}

static int rebuild_dependants(struct rg_agent *a, struct rg_order *o)
{
    for (struct rg_list *at = a->entries.next; at != &a->entries; at = at->next) {
        struct rg_entry *e = RG_CONTAINER(at, struct rg_entry, link);
        const struct rg_version *v = rg_entry_next_version(e);
        if (e == o->entry || !v || !v->artifact)
            continue;
        if (!depends_on(v->artifact, o->version.artifact) && !depends_on(v->artifact, o->entry->live.artifact))
            continue;
        int r = rebuild_one(a, o, e, v->artifact);
        if (r < 0)
            return r;
    }
    return 0;
}

/* false: an order has failed, look again. */
static bool rebuild(struct rg_agent *a)
{
    drop_all_rebuilt(a);
    for (struct rg_list *at = a->orders.next; at != &a->orders; at = at->next) {
        struct rg_order *o = RG_CONTAINER(at, struct rg_order, link);
        if (o->state == RG_ORDER_READY && o->entry->kind == RG_KIND_LLM_PROVIDER && rebuild_dependants(a, o) < 0)
            return false;
    }
    return true;
}

/* ---- A snapshot ---- */

static struct rg_unit *next_unit(const struct rg_entry *e)
{
    const struct rg_version *v = rg_entry_next_version(e);
    if (!v)
        return NULL;
    return e->is_rebuilt ? e->rebuilt : v->unit;
}

static size_t add_unit(const struct rg_entry *e, struct rg_unit **units)
{
    struct rg_unit *unit = next_unit(e);
    if (!unit)
        return 0;
    if (e->live.unit && unit != e->live.unit)
        rg_unit_succeed(unit, e->live.unit);
    *units = unit;
    return 1;
}

static bool goes_live(const struct rg_order *o)
{
    return o->state == RG_ORDER_READY && o->entry->order == o;
}

/* What is live first: of two that want the same requests, the one that comes later is in the wrong. */
static size_t collect(const struct rg_agent *a, struct rg_unit **units)
{
    size_t n = 0;
    for (const struct rg_list *at = a->entries.next; at != &a->entries; at = at->next) {
        const struct rg_entry *e = RG_CONTAINER(at, struct rg_entry, link);
        if (!e->order || !goes_live(e->order))
            n += add_unit(e, units + n);
    }
    for (const struct rg_list *at = a->orders.next; at != &a->orders; at = at->next) {
        const struct rg_order *o = RG_CONTAINER(at, struct rg_order, link);
        if (goes_live(o))
            n += add_unit(o->entry, units + n);
    }
    return n;
}

static struct rg_order *order_of(const struct rg_agent *a, const struct rg_unit *unit)
{
    for (struct rg_list *at = a->orders.next; at != &a->orders; at = at->next) {
        struct rg_order *o = RG_CONTAINER(at, struct rg_order, link);
        if (o->state == RG_ORDER_READY && next_unit(o->entry) == unit)
            return o;
    }
    return NULL;
}

static void fail_conflict(struct rg_order *o, const struct rg_route_conflict *conflict)
{
    char route[256], with[256];
    struct rg_str kind = rg_unit_kind(conflict->with->unit), handle = rg_unit_handle(conflict->with->unit);
    rg_route_describe(conflict->route, route, sizeof(route));
    rg_route_describe(conflict->with, with, sizeof(with));
    rg_order_fail_at(o, "spec.context",
                     "its route %s matches the same requests as %s of %.*s \"%.*s\"; give one of them another "
                     "context, host or path, or undeploy the other first",
                     route, with, (int)kind.len, kind.ptr, (int)handle.len, handle.ptr);
}

/* Of orders that can't be, one fails each time, and the rest is tried again: -EAGAIN then. */
static int try_publish(struct rg_agent *a)
{
    struct rg_route_conflict conflict = {0};
    struct rg_unit **units = malloc((a->n_entries + 1) * sizeof(struct rg_unit *));
    if (!units)
        return -ENOMEM;
    int r = rebuild(a) ? 0 : -EAGAIN;
    if (r == 0)
        r = a->outlet.publish(a->outlet.owner, units, collect(a, units), &a->generation, &conflict);
    free(units);
    if (r != -EEXIST)
        return r;
    struct rg_order *o = order_of(a, conflict.route->unit);
    if (o)
        fail_conflict(o, &conflict);
    return o ? -EAGAIN : -EEXIST;
}

/* ---- Taking over ---- */

static void go_live(struct rg_agent *a, struct rg_order *o)
{
    struct rg_entry *e = o->entry;
    rg_version_fini(&e->live);
    e->live = o->version;
    o->version.text = NULL;
    o->version.artifact = NULL;
    o->version.unit = NULL;
    if (e->kind == RG_KIND_REST_API) /* nothing is compiled against it */
        rg_version_drop_artifact(&e->live);
    e->is_known = true;
    e->is_acked = false;
    e->is_unsaved = true;
    e->order = NULL;
    o->generation = a->generation;
    rg_order_news(o, RG_NEWS_PUBLISHED);
}

static void take_over_rebuilt(struct rg_agent *a)
{
    for (struct rg_list *at = a->entries.next; a->has_rebuilt && at != &a->entries; at = at->next) {
        struct rg_entry *e = RG_CONTAINER(at, struct rg_entry, link);
        if (!e->is_rebuilt)
            continue;
        rg_unit_unref(e->live.unit);
        e->live.unit = e->rebuilt;
        e->rebuilt = NULL;
        e->is_rebuilt = false;
    }
    a->has_rebuilt = false;
}

static void take_over(struct rg_agent *a)
{
    a->published_ms = rg_now_ms();
    a->is_changed = false;
    for (struct rg_list *at = a->orders.next; at != &a->orders; at = at->next) {
        struct rg_order *o = RG_CONTAINER(at, struct rg_order, link);
        if (o->state == RG_ORDER_READY)
            go_live(a, o);
    }
    take_over_rebuilt(a);
}

static bool is_due(const struct rg_agent *a)
{
    for (const struct rg_list *at = a->orders.next; at != &a->orders; at = at->next)
        if (RG_CONTAINER(at, struct rg_order, link)->state == RG_ORDER_READY)
            return true;
    return a->is_changed;
}

static void publish(struct rg_agent *a)
{
    int r = -EAGAIN;
    while (r == -EAGAIN && is_due(a))
        r = try_publish(a);
    if (r == 0) {
        take_over(a);
        a->is_switching = true;
        a->is_late = false;
        return;
    }
    drop_all_rebuilt(a);
    if (r == -EAGAIN)
        return; /* nothing is left of what was due */
    rg_error("control: routes can't be published, trying again error=\"%s\"", strerror(-r));
    rg_loop_set_alarm(a->loop, &a->publish_due, 1000);
}

static void publish_due(struct rg_alarm *alarm)
{
    struct rg_agent *a = RG_OWNER(alarm, struct rg_agent, publish_due);
    if (is_due(a) && (!a->is_switching || a->is_late))
        publish(a);
}

void rg_agent_publish_soon(struct rg_agent *a)
{
    if (!a->publish_due.set)
        rg_loop_set_alarm(a->loop, &a->publish_due, 0);
}

static bool leave_out(struct rg_agent *a, const struct rg_route_conflict *conflict)
{
    for (struct rg_list *at = a->entries.next; at != &a->entries; at = at->next) {
        struct rg_entry *e = RG_CONTAINER(at, struct rg_entry, link);
        if (e->live.unit != conflict->route->unit)
            continue;
        char route[256];
        rg_route_describe(conflict->route, route, sizeof(route));
        rg_error("state: leaving out an artifact whose route another one has, too kind=%s artifact=%s route=\"%s\"",
                 rg_kind_info(e->kind)->name, e->id, route);
        rg_unit_unref(e->live.unit);
        e->live.unit = NULL;
        return true;
    }
    return false;
}

/* What was loaded was live once, all together; it is taken one by one only if that can't be any more. */
int rg_agent_publish_first(struct rg_agent *a)
{
    int r = -EAGAIN;
    while (r == -EAGAIN) {
        struct rg_route_conflict conflict = {0};
        struct rg_unit **units = malloc((a->n_entries + 1) * sizeof(struct rg_unit *));
        if (!units)
            return -ENOMEM;
        r = a->outlet.publish(a->outlet.owner, units, collect(a, units), &a->generation, &conflict);
        free(units);
        if (r == -EEXIST && leave_out(a, &conflict))
            r = -EAGAIN;
    }
    return r;
}

/* ---- Workers ---- */

static void tell_switched(struct rg_agent *a)
{
    for (struct rg_list *at = a->orders.next, *next; at != &a->orders; at = next) {
        struct rg_order *o = RG_CONTAINER(at, struct rg_order, link);
        next = at->next;
        bool waits = o->state == RG_ORDER_SWITCHING || o->state == RG_ORDER_LATE;
        if (waits && a->outlet.late_worker(a->outlet.owner, o->generation) < 0)
            rg_order_news(o, RG_NEWS_SWITCHED);
    }
    rg_persist_switched(a);
}

static void tell_late(struct rg_agent *a, int32_t worker)
{
    rg_error("control: a worker has not switched to new routes worker=%" PRId32 " generation=%" PRIu64, worker,
             a->generation);
    for (struct rg_list *at = a->orders.next, *next; at != &a->orders; at = next) {
        struct rg_order *o = RG_CONTAINER(at, struct rg_order, link);
        next = at->next;
        if (o->state != RG_ORDER_SWITCHING)
            continue;
        snprintf(o->failure, sizeof(o->failure),
                 "worker %" PRId32 " has not switched to it within %" PRIu32 " ms; the other workers serve it, and a "
                 "success follows when all do",
                 worker, a->overdue_ms);
        rg_order_news(o, RG_NEWS_OVERDUE);
    }
}

void rg_agent_look_at_workers(struct rg_agent *a)
{
    int32_t late = a->outlet.late_worker(a->outlet.owner, a->generation);
    tell_switched(a);
    if (a->is_switching && late < 0) {
        a->is_switching = a->is_late = false;
        rg_agent_publish_soon(a); /* what came meanwhile */
    } else if (a->is_switching && !a->is_late && rg_now_ms() - a->published_ms > a->overdue_ms) {
        a->is_late = true;
        tell_late(a, late);
        rg_agent_publish_soon(a);
    }
}

/* ---- Begin and end ---- */

void rg_publish_init(struct rg_agent *a)
{
    a->publish_due.due = publish_due;
}

void rg_publish_fini(struct rg_agent *a)
{
    rg_loop_clear_alarm(a->loop, &a->publish_due);
    drop_all_rebuilt(a);
}
