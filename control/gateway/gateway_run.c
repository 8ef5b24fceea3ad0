/* The control loop: signals, ticks, the drain. Thread: the control thread. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "control/common/descriptors.h"
#include "control/gateway/gateway.h"
#include "datapath/base/log.h"
#include "datapath/sys.h"

#define TICK_MS       100  /* supervision, health as workers see it, retired settings and routes */
#define DRAIN_TICK_MS 10   /* so that a drained gateway exits at once */
#define STOP_MS       3000 /* for workers to end after they were told to break off: tunnels take up to 1.5 s */

/* ---- Drain and stop ---- */

bool rg_gateway_has_ended(const struct rg_gateway *g)
{
    for (uint16_t i = 0; i < g->n_workers; i++)
        if (!rg_worker_has_ended(g->workers[i].worker))
            return false;
    return true;
}

uint64_t rg_gateway_sum(const struct rg_gateway *g, enum rg_metric id)
{
    uint64_t sum = 0;
    for (uint16_t i = 0; i < g->n_workers; i++)
        sum += rg_metric_get(rg_worker_metrics(g->workers[i].worker), id);
    return sum;
}

static uint64_t requests_cut(const struct rg_gateway *g)
{
    uint64_t sum = 0;
    for (uint16_t i = 0; i < g->n_workers; i++)
        sum += __atomic_load_n(&rg_worker_metrics(g->workers[i].worker)->refused[RG_REASON_DRAIN_DEADLINE],
                               __ATOMIC_RELAXED);
    return sum;
}

static void report_drained(const struct rg_gateway *g)
{
    rg_info("drained took_ms=%" PRIu64 " connections_cut=%" PRIu64 " requests_cut=%" PRIu64 " tunnels_left=%" PRIu64,
            rg_now_ms() - g->drain.since_ms, g->drain.connections_cut, requests_cut(g),
            rg_gateway_sum(g, RG_M_TUNNELS_LEFT));
}

static void stop(struct rg_gateway *g, bool at_once)
{
    g->phase = RG_PHASE_STOPPING;
    g->drain.connections_cut = rg_gateway_sum(g, RG_M_CONNECTIONS_OPEN);
    for (uint16_t i = 0; i < g->n_workers; i++)
        rg_worker_stop(g->workers[i].worker, at_once);
    rg_loop_set_alarm(&g->loop, &g->deadline, STOP_MS);
}

/* A worker that hangs can't be joined; what it holds goes with the process. */
static void give_up(struct rg_gateway *g)
{
    for (uint16_t i = 0; i < g->n_workers; i++)
        if (!rg_worker_has_ended(g->workers[i].worker))
            rg_error("a worker does not end, leaving it behind worker=%u", i);
    rg_access_writer_flush(&g->access);
    rg_listen_unlink(&g->listen);
    _exit(RG_EXIT_FAILED);
}

static void deadline_due(struct rg_alarm *a)
{
    struct rg_gateway *g = RG_OWNER(a, struct rg_gateway, deadline);
    if (g->phase == RG_PHASE_STOPPING)
        give_up(g);
    rg_warn("the drain took too long, closing what is left timeout_ms=%u connections=%" PRIu64 " requests=%" PRIu64,
            rg_gateway_settings(g)->drain_ms, rg_gateway_sum(g, RG_M_CONNECTIONS_OPEN),
            rg_gateway_sum(g, RG_M_EXCHANGES_OPEN));
    stop(g, false);
}

void rg_gateway_begin_drain(struct rg_gateway *g, const char *cause)
{
    if (g->phase >= RG_PHASE_DRAINING)
        return;
    g->phase = RG_PHASE_DRAINING;
    g->drain.since_ms = rg_now_ms();
    rg_info("draining cause=%s timeout_ms=%u connections=%" PRIu64 " requests=%" PRIu64, cause,
            rg_gateway_settings(g)->drain_ms, rg_gateway_sum(g, RG_M_CONNECTIONS_OPEN),
            rg_gateway_sum(g, RG_M_EXCHANGES_OPEN));
    rg_notify_stopping(&g->notify);
    rg_notify_send(&g->notify, "STATUS=Draining");
    rg_listen_unlink(&g->listen);
    if (g->agent)
        rg_agent_drain(g->agent);
    for (uint16_t i = 0; i < g->n_workers; i++)
        rg_worker_drain(g->workers[i].worker);
    if (g->program)
        g->program->draining(g->program->owner);
    rg_loop_set_alarm(&g->loop, &g->deadline, rg_gateway_settings(g)->drain_ms);
    rg_loop_set_alarm(&g->loop, &g->tick, DRAIN_TICK_MS);
}

static void end_asked(struct rg_gateway *g, const char *cause)
{
    if (g->phase < RG_PHASE_DRAINING) {
        rg_gateway_begin_drain(g, cause);
    } else if (g->phase < RG_PHASE_STOPPING) {
        rg_info("second signal, exiting at once connections=%" PRIu64 " requests=%" PRIu64,
                rg_gateway_sum(g, RG_M_CONNECTIONS_OPEN), rg_gateway_sum(g, RG_M_EXCHANGES_OPEN));
        stop(g, true);
    }
}

/* ---- Ticks ---- */

/* A worker ends only when it is told to. One that ended by itself lost its ring: the whole process starts afresh. */
static bool report_lost(struct rg_gateway *g)
{
    bool any = false;
    for (uint16_t i = 0; i < g->n_workers; i++) {
        if (!rg_worker_has_ended(g->workers[i].worker))
            continue;
        rg_error("a worker ended unexpectedly worker=%u", i);
        g->status = RG_EXIT_FAILED;
        any = true;
    }
    return any;
}

/* With the last one the loop ends: there is nobody left to drain. */
static void check_ended(struct rg_gateway *g)
{
    if (g->phase == RG_PHASE_SERVING && !rg_gateway_has_ended(g) && report_lost(g))
        rg_gateway_begin_drain(g, "worker-ended");
}

void rg_gateway_report_end(struct rg_gateway *g)
{
    if (g->phase == RG_PHASE_SERVING)
        report_lost(g);
    else
        report_drained(g);
}

static void tick_due(struct rg_alarm *a)
{
    struct rg_gateway *g = RG_OWNER(a, struct rg_gateway, tick);
    rg_gateway_supervise(g, rg_sys_now_ns());
    rg_gateway_retire_settings(g);
    rg_gateway_retire_routes(g);
    if (g->agent)
        rg_agent_tick(g->agent);
    rg_gateway_tick_endpoints(g);
    rg_gateway_tick_tls(g);
    check_ended(g);
    rg_gateway_note_shortages(g);
    rg_loop_set_alarm(&g->loop, &g->tick, g->phase >= RG_PHASE_DRAINING ? DRAIN_TICK_MS : TICK_MS);
}

static void access_due(struct rg_alarm *a)
{
    struct rg_gateway *g = RG_OWNER(a, struct rg_gateway, access_tick);
    rg_access_writer_tick(&g->access);
    rg_loop_set_alarm(&g->loop, &g->access_tick, g->access.on ? RG_ACCESS_TICK_MS : TICK_MS * 10);
}

/* A gateway of which every worker hangs keeps silent, so that the service manager restarts it. */
static void watchdog_due(struct rg_alarm *a)
{
    struct rg_gateway *g = RG_OWNER(a, struct rg_gateway, watchdog);
    if (!rg_gateway_is_hung(g))
        rg_notify_watchdog(&g->notify);
    rg_loop_set_alarm(&g->loop, &g->watchdog, g->notify.watchdog_ms / 2);
}

void rg_gateway_init_alarms(struct rg_gateway *g)
{
    g->tick.due = tick_due;
    g->access_tick.due = access_due;
    g->watchdog.due = watchdog_due;
    g->deadline.due = deadline_due;
}

static void start_ticks(struct rg_gateway *g)
{
    rg_loop_set_alarm(&g->loop, &g->tick, TICK_MS);
    rg_loop_set_alarm(&g->loop, &g->access_tick, RG_ACCESS_TICK_MS);
    if (g->notify.watchdog_ms)
        rg_loop_set_alarm(&g->loop, &g->watchdog, 0);
}

/* ---- Signals ---- */

static void reload(struct rg_gateway *g)
{
    /* The log says it all; only the admin endpoint wants the report. */
    FILE *nowhere = rg_descriptors_fopen("/dev/null", "we");
    if (!nowhere) {
        rg_error("can't reload error=\"%s\"", strerror(errno));
        return;
    }
    rg_gateway_reload(g, nowhere);
    fclose(nowhere);
}

static void reopen_access_log(struct rg_gateway *g)
{
    if (!g->access.on) {
        rg_warn("SIGUSR1: the access log is off, there is nothing to open again; access_log.path turns it on");
    } else if (g->access.is_stdout) {
        rg_info("SIGUSR1: the access log goes to standard output, there is nothing to open again");
    } else {
        rg_info("SIGUSR1: opening the access log again path=%s", g->access.path);
        rg_access_writer_reopen(&g->access);
    }
}

static void handle_signal(struct rg_gateway *g, uint32_t number)
{
    switch (number) {
    case SIGTERM:
        end_asked(g, "SIGTERM");
        break;
    case SIGINT:
        end_asked(g, "SIGINT");
        break;
    case SIGHUP:
        reload(g);
        break;
    case SIGUSR1:
        reopen_access_log(g);
        break;
    case SIGUSR2:
        rg_warn("replacing the binary in place (SIGUSR2) is not supported by this version");
        break;
    default:
        break;
    }
}

static void signals_ready(struct rg_watch *watch, uint32_t events)
{
    (void)events;
    struct rg_gateway *g = RG_OWNER(watch, struct rg_gateway, signals);
    struct signalfd_siginfo info;
    while (read(watch->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        handle_signal(g, info.ssi_signo);
}

int rg_gateway_watch_signals(struct rg_gateway *g)
{
    sigset_t set;
    sigprocmask(SIG_BLOCK, NULL, &set); /* those that rg_gateway_init blocked */
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    g->signals = (struct rg_watch){.fd = fd, .ready = signals_ready};
    start_ticks(g);
    return rg_loop_watch(&g->loop, &g->signals, EPOLLIN);
}
