/* See listener.h. */
#include "datapath/listener.h"

#include <errno.h>
#include <unistd.h>

#include "datapath/conn.h"
#include "datapath/core.h"

#define RETRY_MS 20  /* after an accept that failed */
#define QUIET_MS 300 /* a drained listener closes when no handshake has completed for so long: a long round trip */
#define SHED     16  /* idle connections closed when descriptors run short */

static void accept_more(struct rg_worker *w, struct rg_listener *l)
{
    if (l->inflight & (1u << RG_OP_ACCEPT | 1u << RG_OP_CANCEL)) /* the cancel might hit the new one */
        return;
    l->inflight = (uint16_t)(l->inflight | 1u << RG_OP_ACCEPT);
    l->accepts = true;
    rg_ring_accept(w->ring, l->slot, l->fd);
}

void rg_listener_init(struct rg_worker *w, struct rg_listener *l, int fd, unsigned index)
{
    *l =
        (struct rg_listener){.fd = fd, .index = (uint8_t)index, .port = rg_sys_local_port(fd), .borrowed = l->borrowed};
    l->paces = rg_sys_may_pace(fd);
    rg_sys_acknowledge_late(fd);
    rg_timer_init(&l->timer);
    l->slot = rg_ring_slot_get(w->ring, RG_SLOT_LISTENER, l);
    accept_more(w, l);
}

/*
 * Of all that accept from a borrowed socket the kernel wakes one. When it has woken us and the cancel came first,
 * nobody else looks: those in the queue would wait until the next one connects. The backlog bounds how many they can
 * be; for later ones others are woken.
 */
static void take_queue(struct rg_worker *w, struct rg_listener *l)
{
    for (uint32_t n = 0; n <= w->settings->backlog; n++) {
        int fd = rg_sys_accept(l->fd);
        if (fd < 0)
            return;
        if (rg_worker_may_hold(w, fd))
            rg_conn_accept(w, fd, l);
        else
            rg_conn_turn_away(w, fd);
    }
}

static void close_when_joined(struct rg_worker *w, struct rg_listener *l)
{
    if (l->state != RG_LISTENER_CLOSING || l->inflight != 0)
        return;
    if (l->borrowed && !w->stopping) /* after a stop we could only break them */
        take_queue(w, l);
    l->inflight = (uint16_t)(1u << RG_OP_CLOSE);
    rg_ring_close(w->ring, l->slot, l->fd);
}

void rg_listener_close(struct rg_worker *w, struct rg_listener *l)
{
    if (l->state == RG_LISTENER_CLOSING || l->state == RG_LISTENER_CLOSED)
        return;
    l->state = RG_LISTENER_CLOSING;
    rg_timer_stop(&l->timer);
    if (l->inflight && !(l->inflight & 1u << RG_OP_CANCEL)) {
        l->inflight = (uint16_t)(l->inflight | 1u << RG_OP_CANCEL);
        rg_ring_cancel(w->ring, l->slot, RG_OP_ACCEPT);
    }
    close_when_joined(w, l);
}

/*
 * A close would reset the connections whose handshake is done and that nobody has accepted yet: requests lost. So new
 * handshakes are refused first, those under way are served, and the socket closes when it has been quiet. A borrowed
 * socket stays open with its queue, for whoever serves it next: nothing may be refused there, nothing is lost by
 * leaving.
 */
void rg_listener_drain(struct rg_worker *w, struct rg_listener *l)
{
    if (l->state != RG_LISTENER_OPEN)
        return;
    if (l->borrowed) {
        rg_listener_close(w, l);
        return;
    }
    rg_sys_refuse_handshakes(l->fd);
    l->state = RG_LISTENER_REFUSING;
    l->short_of_fds = false;
    /* An accept that is being cancelled may see nothing of what waits in the queue. */
    l->accepts = l->inflight == 1u << RG_OP_ACCEPT;
    accept_more(w, l);
    rg_timer_start(&w->wheel, &l->timer, w->now_ms + QUIET_MS);
}

void rg_listener_timer(struct rg_worker *w, struct rg_listener *l)
{
    if (l->state == RG_LISTENER_REFUSING && !l->short_of_fds && l->accepts) {
        rg_listener_close(w, l);
        return;
    }
    l->short_of_fds = false;
    accept_more(w, l);
    if (l->state == RG_LISTENER_REFUSING)
        rg_timer_start(&w->wheel, &l->timer, w->now_ms + QUIET_MS);
}

static bool is_shortage(int err)
{
    return err == EMFILE || err == ENFILE || err == ENOMEM || err == ENOBUFS;
}

/* Nobody has to wait when none has come: an accept is refused a descriptor before it looks. */
static RG_COLD void count_shortage(struct rg_worker *w, const struct rg_listener *l, int err)
{
    if ((err == EMFILE || err == ENFILE) && rg_sys_has_waiting(l->fd))
        rg_metric_add(w->metrics, RG_M_DESCRIPTORS_EXHAUSTED, 1);
}

static RG_COLD void accept_failed(struct rg_worker *w, struct rg_listener *l, int err)
{
    /* Shut down by the supervisor while this worker hung: its queue has moved to others, and now it takes part again.
     */
    if (err == EINVAL && l->state == RG_LISTENER_OPEN && listen(l->fd, (int)w->settings->backlog) == 0) {
        rg_sys_acknowledge_late(l->fd);
        accept_more(w, l);
        return;
    }
    rg_metric_add(w->metrics, RG_M_ACCEPT_FAILED, 1);
    l->short_of_fds = is_shortage(err);
    count_shortage(w, l, err);
    if (l->short_of_fds) {
        rg_upstream_close_all_idle(w); /* these cost nobody anything */
        rg_pipes_close_kept(w);
        for (unsigned i = 0; i < SHED && rg_conn_shed(w); i++)
            ;
    }
    if (l->state == RG_LISTENER_OPEN || l->short_of_fds)
        rg_timer_start(&w->wheel, &l->timer, w->now_ms + RETRY_MS);
}

static void serve(struct rg_worker *w, struct rg_listener *l, int fd)
{
    rg_conn_accept(w, fd, l);
    if (l->state == RG_LISTENER_REFUSING)
        rg_timer_start(&w->wheel, &l->timer, w->now_ms + QUIET_MS);
}

/*
 * An accept is bound by the limit that held when it was armed: this one was armed while the control thread had lifted
 * it, and took a number that is kept. A client without the lift would have waited in the queue: it is served on a lower
 * number when one has come free. The accept is armed again under the limit that is meant for us.
 */
static RG_COLD void give_back(struct rg_worker *w, struct rg_listener *l, const struct rg_completion *c)
{
    int fd = rg_sys_renumber(c->res);
    bool served = rg_worker_may_hold(w, fd);
    if (served) {
        serve(w, l, fd);
    } else {
        rg_metric_add(w->metrics, RG_M_DESCRIPTORS_EXHAUSTED, 1);
        rg_conn_turn_away(w, fd);
    }
    if (l->state == RG_LISTENER_CLOSING)
        return;
    if (!c->more && served) {
        accept_more(w, l);
    } else if (!c->more) {
        accept_failed(w, l, EMFILE);
    } else if (!(l->inflight & 1u << RG_OP_CANCEL)) {
        l->inflight = (uint16_t)(l->inflight | 1u << RG_OP_CANCEL);
        l->pause = !served;
        rg_ring_cancel(w->ring, l->slot, RG_OP_ACCEPT);
    } else {
        l->pause = l->pause || !served;
    }
}

/* give_back cancelled it. */
static void accept_cancelled(struct rg_worker *w, struct rg_listener *l)
{
    if (l->pause)
        accept_failed(w, l, EMFILE);
    else
        accept_more(w, l);
    l->pause = false;
}

static void complete_accept(struct rg_worker *w, struct rg_listener *l, const struct rg_completion *c)
{
    if (!c->more)
        l->inflight = (uint16_t)(l->inflight & ~(1u << RG_OP_ACCEPT));
    if (RG_UNLIKELY(c->res >= 0 && !rg_worker_may_hold(w, c->res))) {
        give_back(w, l, c);
    } else if (c->res >= 0) {
        serve(w, l, c->res);
        if (!c->more && l->state != RG_LISTENER_CLOSING)
            accept_more(w, l);
    } else if (c->res == -ECONNABORTED || c->res == -EINTR || c->res == -EAGAIN) {
        if (!c->more && l->state != RG_LISTENER_CLOSING)
            accept_more(w, l);
    } else if (l->state != RG_LISTENER_CLOSING) {
        if (c->res == -ECANCELED)
            accept_cancelled(w, l);
        else
            accept_failed(w, l, -c->res);
    }
}

void rg_listener_complete(struct rg_worker *w, struct rg_listener *l, const struct rg_completion *c)
{
    if (c->op == RG_OP_ACCEPT) {
        complete_accept(w, l, c);
    } else {
        l->inflight = (uint16_t)(l->inflight & ~(1u << c->op));
        /* In a drain the timer runs for another reason: it must not keep the last of the queue waiting. */
        bool waits = l->state == RG_LISTENER_REFUSING ? l->short_of_fds : rg_timer_is_running(&l->timer);
        if (c->op == RG_OP_CANCEL && l->state <= RG_LISTENER_REFUSING && !waits)
            accept_more(w, l);
        if (c->op == RG_OP_CLOSE) {
            l->state = RG_LISTENER_CLOSED;
            rg_ring_slot_put(w->ring, l->slot);
        }
    }
    close_when_joined(w, l);
}
