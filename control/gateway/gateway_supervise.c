/*
 * Workers that hang. A worker publishes when its turn of the loop began; one whose turn lasts longer than a second is
 * reported, and where others run, its listeners are shut down so that waiting connections move to them. What it serves
 * itself is left to it: it may come back. Thread: the control thread.
 */
#include <inttypes.h>
#include <sys/socket.h>

#include "control/gateway/gateway.h"
#include "datapath/base/log.h"

#define STALL_NS 1000000000u

static uint64_t busy_since(const struct rg_gateway_worker *w)
{
    return __atomic_load_n(&rg_worker_steer(w->worker)->busy_since, __ATOMIC_RELAXED);
}

static bool hangs(uint64_t since, uint64_t now_ns)
{
    return since && now_ns > since && now_ns - since > STALL_NS;
}

/*
 * After a pause of the whole process or machine all workers seem to hang. Without a listener that is left, clients
 * would be refused, and those that wait reset.
 */
static bool others_take_its_queue(const struct rg_gateway *g, uint16_t id, uint64_t now_ns)
{
    if (!g->steer || g->phase != RG_PHASE_SERVING)
        return false;
    for (uint16_t i = 0; i < g->n_workers; i++) {
        const struct rg_gateway_worker *w = &g->workers[i];
        if (i != id && !w->abandoned && !rg_worker_has_ended(w->worker) && !hangs(busy_since(w), now_ns))
            return true;
    }
    return false;
}

static void report_stall(struct rg_gateway *g, uint16_t id, uint64_t busy_ns)
{
    g->metrics.values[RG_CM_WORKER_STALLS]++;
    rg_error("a worker hangs worker=%u busy_ms=%" PRIu64, id, busy_ns / 1000000);
}

static void abandon(struct rg_gateway *g, uint16_t id)
{
    g->workers[id].abandoned = true;
    rg_worker_abandon_listeners(g->workers[id].worker);
    rg_warn("the listeners of a worker that hangs are shut down, their queues move to the other workers worker=%u", id);
}

static bool is_listening(int fd)
{
    int value = 0;
    socklen_t len = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len) == 0 && value != 0;
}

/* Back in listen, the sockets are new to the kernel's group: the program must be told of them again. */
static void steer_again(struct rg_gateway *g, uint16_t id)
{
    for (uint16_t i = 0; i < g->listen.n; i++) {
        const struct rg_listen_socket *l = &g->listen.sockets[i];
        if (l->steerable && !is_listening(g->steered_fds[i][id]))
            return; /* the worker has not got round to it */
    }
    for (uint16_t i = 0; i < g->listen.n; i++) {
        const struct rg_listen_socket *l = &g->listen.sockets[i];
        int r = l->steerable ? rg_steer_add(g->steer, l->group, id, g->steered_fds[i][id]) : 0;
        if (r < 0)
            rg_error("can't steer to a worker again worker=%u address=%s error=\"%s\"", id, l->address.text,
                     strerror(-r));
    }
    g->workers[id].abandoned = false;
    rg_info("a worker takes new connections again worker=%u", id);
}

static void supervise_worker(struct rg_gateway *g, uint16_t id, uint64_t now_ns)
{
    struct rg_gateway_worker *w = &g->workers[id];
    uint64_t since = busy_since(w);
    if (w->stalled_turn && since != w->stalled_turn) {
        w->stalled_turn = 0;
        rg_info("a worker moves again worker=%u", id);
    }
    if (!w->stalled_turn && hangs(since, now_ns)) {
        w->stalled_turn = since;
        report_stall(g, id, now_ns - since);
    }
    if (w->stalled_turn && !w->abandoned && others_take_its_queue(g, id, now_ns))
        abandon(g, id);
    if (w->abandoned && !w->stalled_turn && g->phase == RG_PHASE_SERVING)
        steer_again(g, id);
}

void rg_gateway_supervise(struct rg_gateway *g, uint64_t now_ns)
{
    for (uint16_t i = 0; i < g->n_workers; i++)
        if (!rg_worker_has_ended(g->workers[i].worker))
            supervise_worker(g, i, now_ns);
}

bool rg_gateway_is_hung(const struct rg_gateway *g)
{
    for (uint16_t i = 0; i < g->n_workers; i++)
        if (!g->workers[i].stalled_turn)
            return false;
    return g->n_workers > 0;
}
