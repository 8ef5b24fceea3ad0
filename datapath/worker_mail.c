/*
 * What other threads tell a worker: settings, routes, endpoints, drain and stop. They write to the mailbox and wake it;
 * it looks between two turns. See worker.h; this side of it: worker_parts.h.
 */
#include <sys/resource.h>
#include <unistd.h>

#include "datapath/conn.h"
#include "datapath/core.h"
#include "datapath/route/snapshot.h"
#include "datapath/upstream_endpoint.h"
#include "datapath/worker_parts.h"

#define FD_RESERVE 64 /* descriptors that are not for clients: log, admin, rings, listeners */

/* ---- settings ---- */

static uint32_t smallest(const uint32_t *values, unsigned n)
{
    uint32_t least = RG_WORKER_TICK_MS;
    for (unsigned i = 0; i < n; i++)
        if (values[i] < least)
            least = values[i];
    return least > 0 ? least : 1;
}

uint32_t rg_worker_clients_of(uint64_t descriptors)
{
    uint64_t n = descriptors > 2 * FD_RESERVE ? descriptors - FD_RESERVE : descriptors / 2;
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* limits.connections, or what the descriptors allow: each client may need another one for the replica. */
static uint32_t client_limit(const struct rg_settings *s)
{
    struct rlimit nofile = {1024, 1024};
    getrlimit(RLIMIT_NOFILE, &nofile);
    uint32_t most = rg_worker_clients_of(s->descriptors ? s->descriptors : nofile.rlim_cur);
    return s->connections > 0 && s->connections < most ? s->connections : most;
}

void rg_worker_apply_settings(struct rg_worker *w, const struct rg_settings *s)
{
    w->settings = s;
    rg_tls_env_use(&w->tls, s->tls);
    w->limits = (struct rg_h1_limits){.head_bytes = s->head_bytes,
                                      .field_bytes = s->field_bytes,
                                      .target_bytes = s->target_bytes,
                                      .fields = s->headers,
                                      .allow_underscore = s->allow_underscore};
    const uint32_t limits[] = {s->connect_ms, s->response_head_ms, s->body_idle_ms, s->tunnel_idle_ms, 500};
    w->exchange_check_ms = smallest(limits, sizeof limits / sizeof *limits);
    w->max_clients = client_limit(s);
    rg_bufs_set_limit(&w->bufs, s->buffer_bytes);
    const struct rg_address *a = &s->replica;
    w->replica_host = a->sa.sa_family == AF_UNIX ? RG_STR("localhost") : rg_str_of(a->text);
    rg_upstream_configure(w, &w->replica_upstream);
    __atomic_store_n(&w->generation, s->generation, __ATOMIC_RELEASE);
}

/* ---- the worker's side ---- */

static void begin_drain(struct rg_worker *w)
{
    if (w->draining)
        return;
    w->draining = true;
    w->drain_since_ms = w->now_ms;
    __atomic_store_n(&w->steer->retired, 1, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < w->n_listeners; i++)
        rg_listener_drain(w, &w->listeners[i]);
    rg_conn_drain(w);
}

static void begin_stop(struct rg_worker *w, bool at_once)
{
    w->draining = w->stopping = true;
    __atomic_store_n(&w->steer->retired, 1, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < w->n_listeners; i++)
        rg_listener_close(w, &w->listeners[i]);
    rg_conn_break_all(w, at_once);
}

#ifdef RG_DEBUG_SWITCHES
static void stall(struct rg_worker *w)
{
    uint32_t ms = __atomic_exchange_n(&w->stall_ms, 0, __ATOMIC_RELAXED);
    usleep(ms * 1000);
}
#endif

static void take_settings(struct rg_worker *w)
{
    rg_worker_apply_settings(w, __atomic_load_n(&w->next_settings, __ATOMIC_ACQUIRE));
    rg_upstream_serve_everybody(w); /* replica.connections may have grown */
}

void rg_worker_use_routes(struct rg_worker *w, struct rg_snapshot *routes)
{
    w->routes = routes;
    __atomic_store_n(&w->routes_generation, routes ? rg_snapshot_generation(routes) : 0, __ATOMIC_RELEASE);
}

static void take_routes(struct rg_worker *w)
{
    uint64_t one = 1;
    rg_worker_use_routes(w, __atomic_load_n(&w->next_routes, __ATOMIC_ACQUIRE));
    if (w->switched_fd > 0) {
        ssize_t n = write(w->switched_fd, &one, sizeof one);
        (void)n; /* a full counter wakes just as well */
    }
}

/* Nothing keeps a pointer to what an endpoint has published beyond the turn in which it was read. */
static void look_at_endpoints(struct rg_worker *w)
{
    uint64_t epoch = __atomic_load_n(&w->next_endpoints_epoch, __ATOMIC_ACQUIRE);
    rg_upstream_look_at_endpoints(w);
    __atomic_store_n(&w->endpoints_epoch, epoch, __ATOMIC_RELEASE);
}

void rg_worker_read_mail(struct rg_worker *w)
{
    uint32_t mail = __atomic_exchange_n(&w->mail, 0, __ATOMIC_ACQUIRE);
    if (mail & RG_MAIL_SETTINGS)
        take_settings(w);
    if (mail & RG_MAIL_ROUTES)
        take_routes(w);
    if (mail & RG_MAIL_ENDPOINTS)
        look_at_endpoints(w);
    if (mail & RG_MAIL_DRAIN)
        begin_drain(w);
    if (mail & (RG_MAIL_STOP | RG_MAIL_STOP_AT_ONCE))
        begin_stop(w, mail & RG_MAIL_STOP_AT_ONCE);
#ifdef RG_DEBUG_SWITCHES
    if (mail & RG_MAIL_STALL)
        stall(w);
#endif
}

/* ---- the other threads' side ---- */

static void post(struct rg_worker *w, enum rg_mail what)
{
    uint64_t one = 1;
    __atomic_or_fetch(&w->mail, (uint32_t)what, __ATOMIC_RELEASE);
    ssize_t n = write(w->mail_fd, &one, sizeof one);
    (void)n; /* a full counter wakes just as well */
}

void rg_worker_publish(struct rg_worker *w, const struct rg_settings *settings)
{
    __atomic_store_n(&w->next_settings, settings, __ATOMIC_RELEASE);
    post(w, RG_MAIL_SETTINGS);
}

uint64_t rg_worker_generation(const struct rg_worker *w)
{
    return __atomic_load_n(&w->generation, __ATOMIC_ACQUIRE);
}

void rg_worker_publish_routes(struct rg_worker *w, struct rg_snapshot *snapshot)
{
    __atomic_store_n(&w->next_routes, snapshot, __ATOMIC_RELEASE);
    post(w, RG_MAIL_ROUTES);
}

uint64_t rg_worker_routes_generation(const struct rg_worker *w)
{
    return __atomic_load_n(&w->routes_generation, __ATOMIC_ACQUIRE);
}

void rg_worker_look_at_endpoints(struct rg_worker *w, uint64_t epoch)
{
    __atomic_store_n(&w->next_endpoints_epoch, epoch, __ATOMIC_RELEASE);
    post(w, RG_MAIL_ENDPOINTS);
}

uint64_t rg_worker_endpoints_epoch(const struct rg_worker *w)
{
    return __atomic_load_n(&w->endpoints_epoch, __ATOMIC_ACQUIRE);
}

void rg_worker_drain(struct rg_worker *w)
{
    post(w, RG_MAIL_DRAIN);
}

void rg_worker_stop(struct rg_worker *w, bool at_once)
{
    post(w, at_once ? RG_MAIL_STOP_AT_ONCE : RG_MAIL_STOP);
}

void rg_worker_stall(struct rg_worker *w, uint32_t ms)
{
    __atomic_store_n(&w->stall_ms, ms, __ATOMIC_RELAXED);
    post(w, RG_MAIL_STALL);
}
