/*
 * Large bodies without a copy: the pages that the kernel received go to the other socket by way of a pipe, and never
 * through the gateway's memory. Measured: docs/adr/0008.
 *
 * It is a detour of the relay step. It begins where a body of known length has much left and neither side holds bytes
 * of it, and ends when the body is complete, or the receiver turns out to be slow (few pipes, so none waits for such a
 * peer), or either side breaks; what is left then goes the usual way. One fill a readiness event, and the pipe is
 * emptied before it is filled again, so a fill never waits: bytes are known to be there, and room for them is.
 *
 * Not from a mapped connection (`replica.sockmap`): splice takes what came over TCP and knows of nothing else, so that
 * it would pass by what was redirected before.
 *
 * Lifetime: the pipe is the exchange's from begin to end. Polls in flight belong to the sockets, which join them.
 * See exchange_parts.h.
 */
#include <errno.h>

#include "datapath/core.h"
#include "datapath/exchange_parts.h"

/* Bytes of TLS have to be looked at. */
static bool is_sound(const struct rg_socket *s)
{
    return !s->tls && s->state == RG_SOCKET_OPEN && !s->broken && !s->eof && !s->unsendable;
}

bool rg_exchange_is_for_pipe(const struct rg_worker *w, const struct rg_pump *p)
{
    uint64_t least = w->settings->splice_bytes;
    return least > 0 && p->kind == RG_BODY_LENGTH && p->left >= least;
}

bool rg_exchange_begin_splice(struct rg_worker *w, struct rg_exchange *x, struct rg_pump *p, struct rg_socket *from,
                              struct rg_socket *to)
{
    if (!rg_exchange_is_for_pipe(w, p) || x->splice.pump || x->splice.unfit || to->slow ||
        rg_server_conn(x->up)->mapped || !is_sound(from) || !is_sound(to))
        return false;
    if (from->in.bytes > 0 || rg_socket_has_output(to) || rg_socket_in_flight(from, RG_OP_RECV) ||
        rg_socket_in_flight(to, RG_OP_SEND))
        return false;
    if (!rg_pipes_take(w, &x->splice.pipe))
        return false;
    x->splice.pump = p;
    x->splice.from = from;
    x->splice.to = to;
    if (!rg_socket_in_flight(from, RG_OP_POLL_IN)) /* one of an earlier splice may not be back yet */
        rg_socket_poll_in(w, from);
    return true;
}

void rg_exchange_end_splice(struct rg_worker *w, struct rg_exchange *x)
{
    struct rg_splice *s = &x->splice;
    if (!s->pump)
        return;
    rg_pipes_give(w, &s->pipe, s->to->piped == 0);
    s->to->piped = 0;
    s->pump = NULL;
}

static void count_moved(struct rg_worker *w, const struct rg_exchange *x, uint64_t n)
{
    bool up = x->splice.to != rg_client_sock(x->client);
    rg_metric_add(w->metrics, up ? x->upstream->metrics->sent : RG_M_BYTES_TO_CLIENTS, n);
    rg_metric_add(w->metrics, RG_M_BYTES_SPLICED, n);
}

/*
 * From the sender into the pipe, which is empty. false: it can't go on this way.
 *
 * Ready, but nothing to be had: urgent data (MSG_OOB) lies there, before which a splice stops every time. A receive
 * steps over it.
 */
static bool fill(struct rg_worker *w, struct rg_exchange *x)
{
    struct rg_splice *s = &x->splice;
    uint64_t most = s->pump->left < s->pipe.capacity ? s->pump->left : s->pipe.capacity;
    int64_t n = rg_sys_splice(s->from->fd, s->pipe.in, most);
    if (n == -EINTR)
        return true;
    if (n == -EAGAIN) {
        s->unfit = true;
        return false;
    }
    if (n == 0) {
        s->from->eof = true;
        return false;
    }
    if (n < 0) {
        s->from->broken = true;
        s->from->error = (int)-n;
        return false;
    }
    bool down = s->from != rg_client_sock(x->client);
    rg_metric_add(w->metrics, down ? x->upstream->metrics->received : RG_M_BYTES_FROM_CLIENTS, (uint64_t)n);
    s->to->piped = (uint32_t)n;
    s->to->sent_ms = w->now_ms;
    s->pump->left -= (uint64_t)n;
    s->pump->bytes += (uint64_t)n;
    return true;
}

/* From the pipe to the receiver. false: it takes no more. */
static bool empty(struct rg_worker *w, struct rg_exchange *x)
{
    struct rg_splice *s = &x->splice;
    while (s->to->piped > 0) {
        int64_t n = rg_sys_splice(s->pipe.out, s->to->fd, s->to->piped);
        if (n == -EAGAIN || n == -EINTR)
            return true;
        if (n <= 0) {
            s->to->unsendable = true;
            s->to->error = n < 0 ? (int)-n : EPIPE;
            return false;
        }
        s->to->piped -= (uint32_t)n;
        s->to->sent_ms = w->now_ms;
        count_moved(w, x, (uint64_t)n);
    }
    return true;
}

bool rg_exchange_run_splice(struct rg_worker *w, struct rg_exchange *x)
{
    struct rg_splice *s = &x->splice;
    if (!s->pump || rg_socket_in_flight(s->from, RG_OP_POLL_IN) || rg_socket_in_flight(s->to, RG_OP_POLL_OUT))
        return true;
    bool goes_on = (s->to->piped > 0 || fill(w, x)) && empty(w, x);
    if (!goes_on) {
        struct rg_socket *client = rg_client_sock(x->client);
        rg_exchange_end_splice(w, x);
        if (!client->broken && !client->unsendable)
            return true; /* the relay knows what the end of a side means */
        rg_exchange_fail(w, x, RG_REASON_CLIENT_GONE);
        return false;
    }
    if (s->to->piped > 0) {
        rg_socket_poll_out(w, s->to);
    } else if (s->pump->left == 0) {
        s->pump->done = true;
        rg_exchange_end_splice(w, x);
    } else if (s->to->slow) {
        rg_exchange_end_splice(w, x);
    } else {
        rg_socket_poll_in(w, s->from);
    }
    return true;
}
