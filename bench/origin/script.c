/*
 * From a request to its handler: the table of paths, and what every request goes through first.
 * Thread: the client's.
 */
#include "bench/origin/origin.h"

#include <string.h>

static enum rg_step handle_root(struct rg_client *c)
{
    return rg_send_short(c, 200,
                         "ringgate-origin: a scripted HTTP/1.1 server; ringgate-origin --help lists its paths\n");
}

static enum rg_step handle_unknown(struct rg_client *c)
{
    if (rg_view_is(c->task.req.method, "OPTIONS") && rg_view_is(c->task.req.target, "*"))
        return rg_send_short(c, 200, "");
    return rg_send_short(c, 404, "no such path; ringgate-origin --help lists them\n");
}

/* In the order of frequency; the last one takes everything. */
static const struct rg_route ROUTES[] = {
    {.prefix = "/bytes/", .handler = rg_bytes_handle},
    {.prefix = "/api/v2/status", .handler = rg_status_handle, .exact = true},
    {.prefix = "/echo", .handler = rg_echo_handle},
    {.prefix = "/sink", .handler = rg_sink_handle},
    {.prefix = "/inspect", .handler = rg_inspect_handle},
    {.prefix = "/raw", .handler = rg_raw_handle, .exact = true},
    {.prefix = "/ws", .handler = rg_ws_handle, .exact = true},
    {.prefix = "/http10", .handler = rg_http10_handle},
    {.prefix = "/stats", .handler = rg_stats_handle, .exact = true, .control = true},
    {.prefix = "/control/health", .handler = rg_control_handle, .exact = true, .control = true},
    {.prefix = "/", .handler = handle_root, .exact = true},
    {.prefix = "", .handler = handle_unknown},
};

enum { ROUTES_COUNT = sizeof(ROUTES) / sizeof(ROUTES[0]) };
_Static_assert(sizeof(ROUTES) / sizeof(ROUTES[0]) <= RG_ROUTES_MAX, "tallies are kept per route");

unsigned rg_route_count(void)
{
    return ROUTES_COUNT;
}

const struct rg_route *rg_route_at(unsigned i)
{
    return &ROUTES[i];
}

unsigned rg_route_index(const struct rg_route *route)
{
    return (unsigned)(route - ROUTES);
}

const struct rg_route *rg_route_find(struct rg_view path)
{
    for (unsigned i = 0; i < ROUTES_COUNT; i++) {
        size_t n = strlen(ROUTES[i].prefix);
        if (path.n >= n && memcmp(path.p, ROUTES[i].prefix, n) == 0 && (!ROUTES[i].exact || path.n == n))
            return &ROUTES[i];
    }
    return &ROUTES[ROUTES_COUNT - 1];
}

/* Expect: 100-continue is answered when the body is wanted; these options change that. */
static bool refuses_expectation(struct rg_client *c, unsigned *ret_status)
{
    const struct rg_request *req = &c->task.req;
    if (!c->task.owes_continue)
        return false;
    if (rg_query_number(req->query, "no100", 0))
        c->task.owes_continue = false; /* waits for the body without a word */
    uint64_t status = rg_query_number(req->query, "noexpect", 0);
    *ret_status = status >= 200 && status <= 999 ? (unsigned)status : 417;
    return status != 0;
}

enum rg_step rg_script_begin(struct rg_client *c)
{
    struct rg_task *t = &c->task;
    const struct rg_server *s = c->thread->server;
    unsigned status;

    t->route = rg_route_find(t->req.path);
    t->step = t->route->handler;
    t->keep = t->req.keep_alive;
    if (s->max_requests && c->nth >= s->max_requests && !s->silent_close)
        t->keep = false;
    rg_tally_request(c);
    if (s->health == RG_DOWN && !t->route->control)
        return RG_STEP_CLOSE;
    if (refuses_expectation(c, &status)) {
        t->keep = t->owes_continue = false; /* nobody knows whether the body will come */
        return rg_send_short(c, status, "the body is not wanted\n");
    }
    return t->step(c);
}
