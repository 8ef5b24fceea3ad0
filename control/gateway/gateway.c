/* See gateway.h: from options to serving, step by step as main calls them, and the end in reverse. */
#include "control/gateway/gateway.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "control/common/descriptors.h"
#include "datapath/base/log.h"

#define LAST_ANSWERS_MS 500

/* ---- Before any thread ---- */

static void block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL); /* threads inherit the mask: only the signal descriptor gets them */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file at its limit is an error of write(), not the end of service */
}

static int init_parts(struct rg_gateway *g)
{
    int r = rg_loop_init(&g->loop);
    if (r == 0)
        r = rg_gateway_init_endpoints(g);
    if (r == 0)
        r = rg_gateway_init_routes(g);
    if (r == 0)
        r = rg_prober_init(&g->prober, &g->loop, &g->replica);
    if (r == 0)
        r = rg_access_writer_init(&g->access, &g->metrics.values[RG_CM_ACCESS_WRITE_FAILURES]);
    if (r == 0 && rg_notify_init(&g->notify) < 0)
        rg_warn("NOTIFY_SOCKET or WATCHDOG_USEC is malformed, the service manager is not told anything");
    return r;
}

int rg_gateway_init(struct rg_gateway *g, const struct rg_flags *flags, const struct rg_settings *settings,
                    const struct rg_gateway_program *program)
{
    *g = (struct rg_gateway){.flags = flags,
                             .program = program,
                             .loop.epoll_fd = -1,
                             .signals.fd = -1,
                             .routes.switched.fd = -1,
                             .notify.fd = -1,
                             .access.fd = -1};
    g->unready_said = UINT_MAX;
    g->has_file = rg_options_has_file(flags);
    rg_admin_init(&g->admin, &g->loop);
    rg_gateway_init_alarms(g);
    rg_log_set_level((enum rg_log_level)settings->log_level);
    block_signals();

    struct utsname uts = {0};
    uname(&uts);
    rg_info("%s %s starting pid=%d kernel=%s", program ? program->name : "ringgate", RG_VERSION, (int)getpid(),
            uts.release);
    rg_descriptors_init();
    rg_gateway_check_descriptors(settings);

    g->current = calloc(1, sizeof(*g->current));
    if (!g->current)
        return -ENOMEM;
    g->current->settings = *settings;
    g->current->settings.generation = 1;
    g->current->settings.descriptors = rg_descriptors_of_datapath();
    g->n_workers = settings->workers;
    g->metrics.values[RG_CM_CONFIG_RELOAD_OK] = 1;
    return init_parts(g);
}

/* ---- Listeners ---- */

static int open_admin(struct rg_gateway *g)
{
    const struct rg_settings *s = rg_gateway_settings(g);
    char why[RG_LISTEN_ERROR_MAX];
    if (!s->admin_enabled)
        return 0;
    int r = rg_admin_open(&g->admin, &s->admin, why, sizeof(why));
    if (r < 0)
        rg_error("%s: %s; give another address with --admin ADDR, or --admin off",
                 rg_options_by_flag(g->flags, g->flags->admin != NULL) ? "--admin" : "admin.address", why);
    return r;
}

int rg_gateway_open_listeners(struct rg_gateway *g)
{
    char why[RG_LISTEN_ERROR_MAX];
    bool by_flag = rg_options_by_flag(g->flags, g->flags->listen.n > 0);
    int r = rg_listen_open(&g->listen, rg_gateway_settings(g), by_flag, why, sizeof(why));
    if (r < 0) {
        rg_error("%s", why);
        return r;
    }
    for (uint16_t i = 0; i < g->listen.n; i++)
        rg_info("listening address=%s", g->listen.sockets[i].address.text);
    return open_admin(g);
}

/* ---- Steering ---- */

/* A program stays attached to its group after the loader is gone: take it off, or it would choose from an empty array.
 */
static void detach_steering(const struct rg_gateway *g)
{
    int unused = 0;
    for (uint16_t i = 0; i < g->listen.n; i++)
        if (g->listen.sockets[i].steerable)
            setsockopt(g->listen.sockets[i].fds[0], SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &unused, sizeof(unused));
}

static int steer_all(struct rg_gateway *g)
{
    for (uint16_t i = 0; i < g->listen.n; i++) {
        const struct rg_listen_socket *l = &g->listen.sockets[i];
        for (uint16_t w = 0; l->steerable && w < g->n_workers; w++) {
            int r = rg_steer_add(g->steer, l->group, w, l->fds[w]);
            if (r < 0)
                return r;
            g->steered_fds[i][w] = l->fds[w];
        }
    }
    return 0;
}

static const struct {
    enum rg_steer_mode mode;
    const char *name;
} steering_modes[] = {
    [RG_STEERING_HASH] = {RG_STEER_MODE_HASH, "hash"},
    [RG_STEERING_LOAD] = {RG_STEER_MODE_LOAD, "load"},
    [RG_STEERING_NEAR] = {RG_STEER_MODE_NEAR, "near"},
};

void rg_gateway_load_steering(struct rg_gateway *g)
{
    const struct rg_settings *s = rg_gateway_settings(g);
    char why[512] = "";
    if (s->steering == RG_STEERING_OFF || g->listen.groups == 0) {
        rg_info("steering is off, the kernel's hash chooses the worker of a connection");
        return;
    }
    int r =
        rg_steer_create(&g->steer, steering_modes[s->steering].mode, g->n_workers, g->listen.groups, why, sizeof(why));
    if (r < 0) {
        rg_warn("steering is not available, the kernel's hash chooses the worker of a connection: %s",
                why[0] ? why : strerror(-r));
        return;
    }
    r = steer_all(g);
    if (r < 0) {
        rg_warn("steering could not be attached, the kernel's hash chooses the worker of a connection error=\"%s\"",
                strerror(-r));
        detach_steering(g);
        rg_steer_destroy(g->steer);
        g->steer = NULL;
        return;
    }
    g->metrics.values[RG_CM_STEERING_ACTIVE] = 1;
    rg_info("steering is on mode=%s listeners=%u", steering_modes[s->steering].name, g->listen.groups);
}

/* ---- Workers ---- */

static int create_worker(struct rg_gateway *g, uint16_t id)
{
    const struct rg_settings *s = rg_gateway_settings(g);
    struct rg_gateway_worker *w = &g->workers[id];
    w->access = rg_access_ring_create(s->access_ring_bytes);
    if (!w->access)
        return -ENOMEM;
    rg_access_writer_add_ring(&g->access, w->access);
    struct rg_worker_init init = {
        .id = id,
        .settings = s,
        .replica = &g->replica,
        .steer = g->steer ? rg_steer_row(g->steer, id) : &w->own_row,
        .access = w->access,
        .routes = g->routes.current ? g->routes.current->snapshot : NULL,
        .switched_fd = g->routes.switched.fd,
    };
    init.n_listen_fds = rg_listen_of_worker(&g->listen, id, init.listen_fds);
    init.borrowed_fds = rg_listen_borrowed(&g->listen, id);
    int r = rg_worker_create(&w->worker, &init);
    if (r < 0)
        return r;
    rg_listen_give(&g->listen, id);
    rg_endpoints_set_worker(g->endpoints, id, w->worker);
    return 0;
}

int rg_gateway_start_workers(struct rg_gateway *g)
{
    const struct rg_settings *s = rg_gateway_settings(g);
    size_t bytes = g->n_workers * sizeof(*g->workers);
    g->workers = aligned_alloc(RG_GATEWAY_ALIGN, bytes);
    if (!g->workers)
        return -ENOMEM;
    memset(g->workers, 0, bytes);
    for (uint16_t i = 0; i < g->n_workers; i++) {
        int r = create_worker(g, i);
        if (r < 0) {
            rg_error("can't create a worker worker=%u error=\"%s\"", i, strerror(-r));
            return r;
        }
    }
    rg_access_writer_configure(&g->access, s);
    for (uint16_t i = 0; i < g->n_workers; i++) {
        int r = rg_worker_start(g->workers[i].worker);
        if (r < 0) {
            rg_error("can't start a worker's thread worker=%u error=\"%s\"", i, strerror(-r));
            return r;
        }
    }
    g->metrics.values[RG_CM_WORKERS] = g->n_workers;
    rg_info("workers started workers=%u replica=%s", g->n_workers, s->replica.text);
    return 0;
}

/* ---- Serving ---- */

static int start_services(struct rg_gateway *g)
{
    int r = rg_gateway_watch_signals(g);
    if (r < 0)
        return r;
    g->prober.ok = &g->metrics.values[RG_CM_PROBES_OK];
    g->prober.failed = &g->metrics.values[RG_CM_PROBES_FAILED];
    rg_prober_configure(&g->prober, rg_gateway_settings(g));
    g->admin.answer = rg_gateway_answer;
    g->admin.requests = &g->metrics.values[RG_CM_ADMIN_REQUESTS];
    g->admin.refused = &g->metrics.values[RG_CM_ADMIN_REFUSED];
    r = rg_admin_start(&g->admin);
    if (r < 0)
        return r;
    if (g->admin.is_open)
        rg_info("admin endpoint address=%s", g->admin.address.text);
    return 0;
}

int rg_gateway_serve(struct rg_gateway *g)
{
    int r = start_services(g);
    if (r < 0) {
        rg_error("can't start the control loop error=\"%s\"", strerror(-r));
        return RG_EXIT_FAILED;
    }
    g->phase = RG_PHASE_SERVING;
    rg_notify_ready(&g->notify);
    rg_gateway_send_status(g);
    rg_info("started");
    rg_gateway_start_agent(g);
    while (r == 0 && !rg_gateway_has_ended(g)) {
        r = rg_loop_turn(&g->loop);
        rg_gateway_note_readiness(g);
    }
    if (r == 0)
        rg_gateway_report_end(g);
    /* The answer to POST /drain, and what a scrape waits for, go out before the end. */
    for (uint64_t end = rg_now_ms() + LAST_ANSWERS_MS; r == 0 && rg_admin_finish(&g->admin) && rg_now_ms() < end;)
        r = rg_loop_turn(&g->loop);
    if (r < 0) {
        rg_error("the control loop failed error=\"%s\"", strerror(-r));
        return RG_EXIT_FAILED;
    }
    return g->status;
}

/* ---- The end ---- */

static void end_workers(struct rg_gateway *g)
{
    for (uint16_t i = 0; g->workers && i < g->n_workers; i++)
        if (g->workers[i].worker)
            rg_worker_stop(g->workers[i].worker, true);
    for (uint16_t i = 0; g->workers && i < g->n_workers; i++) {
        rg_worker_destroy(g->workers[i].worker);
        rg_endpoints_set_worker(g->endpoints, i, NULL);
    }
    rg_access_writer_flush(&g->access);
    for (uint16_t i = 0; g->workers && i < g->n_workers; i++)
        if (g->workers[i].access)
            rg_access_ring_destroy(g->workers[i].access);
}

static void free_settings(struct rg_gateway *g)
{
    rg_gateway_free_settings(g->current);
    while (g->retired) {
        struct rg_settings_box *next = g->retired->next;
        rg_gateway_free_settings(g->retired);
        g->retired = next;
    }
}

void rg_gateway_fini(struct rg_gateway *g)
{
    bool served = g->phase != RG_PHASE_STARTING;
    g->routes.on_live = NULL;
    rg_agent_destroy(g->agent);
    rg_admin_fini(&g->admin);
    rg_prober_fini(&g->prober);
    end_workers(g);
    rg_gateway_fini_routes(g);
    rg_gateway_fini_endpoints(g);
    rg_listen_unlink(&g->listen);
    rg_listen_close(&g->listen);
    rg_steer_destroy(g->steer);
    rg_sockmap_destroy(g->sockmap);
    rg_access_writer_fini(&g->access);
    rg_notify_fini(&g->notify);
    if (g->signals.fd >= 0)
        close(g->signals.fd);
    rg_loop_fini(&g->loop);
    free_settings(g);
    rg_tls_keys_wipe(&g->tls.keys);
    free(g->workers);
    if (served)
        rg_info("ended status=%d", g->status);
}
