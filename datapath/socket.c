/* See socket.h. */
#include "datapath/socket.h"

#include <errno.h>

#include "datapath/core.h"
#include "datapath/socket_tls.h"

#define BULK_FAST (RG_BUF_BULK / 4) /* a bulk receive that brings this much is followed by another */
#define SLOW_MS   200               /* a peer that takes nothing for so long is slow */

static void launch(struct rg_socket *s, enum rg_op op)
{
    RG_ASSERT(!rg_socket_in_flight(s, op));
    s->inflight = (uint16_t)(s->inflight | (1u << op));
}

bool rg_socket_init(struct rg_worker *w, struct rg_socket *s, int fd, enum rg_slot_kind kind, void *owner)
{
    *s = (struct rg_socket){.fd = fd};
    s->slot = rg_ring_slot_get(w->ring, kind, owner);
    rg_list_init(&s->dirty);
    rg_list_init(&s->starved);
    return s->slot.index != UINT32_MAX;
}

/*
 * A block for one receive of this socket alone. Clients that hold all provided ones are waiting for the replica: if its
 * bytes had to wait for theirs, neither would ever come.
 */
static struct rg_buf *own_block(struct rg_worker *w, const struct rg_socket *s, enum rg_recv_mode mode, unsigned blocks)
{
    struct rg_buf *b = mode == RG_RECV_BULK ? rg_buf_get_bulk(&w->bufs) : NULL;
    if (!b && s->urgent && blocks == 0)
        b = rg_buf_get_small_urgent(&w->bufs);
    return b;
}

static void join_line(struct rg_worker *w, struct rg_socket *s)
{
    w->n_starved++;
    if (s->urgent)
        rg_list_prepend(&w->starved, &s->starved);
    else
        rg_list_append(&w->starved, &s->starved);
}

void rg_socket_leave_line(struct rg_worker *w, struct rg_socket *s)
{
    if (rg_list_empty(&s->starved))
        return;
    rg_list_remove(&s->starved);
    w->n_starved--;
}

static void arm(struct rg_worker *w, struct rg_socket *s, enum rg_recv_mode mode)
{
    if (!s->bulk)
        s->bulk = own_block(w, s, mode, rg_ring_blocks(w->ring));
    if (s->bulk)
        mode = RG_RECV_BULK;
    else if (mode == RG_RECV_BULK)
        mode = RG_RECV_ONCE;
    launch(s, RG_OP_RECV);
    s->armed = (uint8_t)mode;
    s->recv_cancelled = false;
    rg_socket_leave_line(w, s);
    if (s->bulk)
        rg_ring_recv_into(w->ring, s->slot, s->fd, s->bulk->data, s->bulk->cap);
    else if (mode == RG_RECV_MULTI)
        rg_ring_recv_multi(w->ring, s->slot, s->fd);
    else
        rg_ring_recv_once(w->ring, s->slot, s->fd, !s->fast);
}

void rg_socket_want(struct rg_worker *w, struct rg_socket *s, enum rg_recv_mode mode)
{
    if (s->state != RG_SOCKET_OPEN || s->eof || s->broken)
        return;
    s->wanted = (uint8_t)mode;
    if (rg_socket_in_flight(s, RG_OP_RECV)) {
        /* A single receive is bounded and may finish; only one that goes on by itself has to be stopped. */
        bool must_stop = s->armed == RG_RECV_MULTI && (mode == RG_RECV_NONE || mode == RG_RECV_BULK);
        if (must_stop && !s->recv_cancelled && !rg_socket_in_flight(s, RG_OP_CANCEL)) {
            s->recv_cancelled = true;
            launch(s, RG_OP_CANCEL);
            rg_ring_cancel(w->ring, s->slot, RG_OP_RECV);
        }
        return;
    }
    if (mode != RG_RECV_NONE && rg_list_empty(&s->starved))
        arm(w, s, mode);
}

void rg_socket_connect(struct rg_worker *w, struct rg_socket *s, const struct sockaddr *sa, socklen_t len)
{
    launch(s, RG_OP_CONNECT);
    rg_ring_connect(w->ring, s->slot, s->fd, sa, len);
}

void rg_socket_send_later(struct rg_worker *w, struct rg_socket *s)
{
    if (!rg_list_empty(&s->dirty))
        return;
    if (!rg_socket_in_flight(s, RG_OP_SEND))
        s->sent_ms = w->now_ms;
    rg_list_append(&w->dirty, &s->dirty);
}

void rg_socket_acknowledge(const struct rg_socket *s)
{
    if (s->state == RG_SOCKET_OPEN && !s->broken && !rg_socket_has_output(s))
        rg_sys_acknowledge(s->fd);
}

void rg_socket_send_last(struct rg_worker *w, struct rg_socket *s)
{
    s->last = true;
    rg_socket_want(w, s, RG_RECV_NONE);
}

static void submit_send(struct rg_worker *w, struct rg_socket *s, const struct rg_output *out)
{
    struct iovec iov[RG_OUT_SEGMENTS];
    unsigned n = rg_output_iov(out, iov);
    launch(s, RG_OP_SEND);
    rg_ring_send(w->ring, s->slot, s->fd, iov, n, s->last);
}

static void send_now(struct rg_worker *w, struct rg_socket *s)
{
    if (s->state != RG_SOCKET_OPEN || s->broken || s->unsendable || !s->connected || rg_socket_in_flight(s, RG_OP_SEND))
        return;
    const struct rg_output *out = &s->out;
    if (RG_UNLIKELY(s->tls != NULL))
        out = rg_socket_tls_seal(s);
    if (out->bytes > 0)
        submit_send(w, s, out);
}

void rg_socket_poll_in(struct rg_worker *w, struct rg_socket *s)
{
    s->wanted = RG_RECV_NONE;
    rg_socket_leave_line(w, s);
    launch(s, RG_OP_POLL_IN);
    rg_ring_poll(w->ring, s->slot, s->fd, RG_OP_POLL_IN);
}

void rg_socket_poll_out(struct rg_worker *w, struct rg_socket *s)
{
    launch(s, RG_OP_POLL_OUT);
    rg_ring_poll(w->ring, s->slot, s->fd, RG_OP_POLL_OUT);
}

static void launch_shutdown(struct rg_worker *w, struct rg_socket *s)
{
    launch(s, RG_OP_SHUTDOWN);
    rg_ring_shutdown(w->ring, s->slot, s->fd, SHUT_WR);
}

void rg_socket_shut_write(struct rg_worker *w, struct rg_socket *s)
{
    if (s->state != RG_SOCKET_OPEN || s->broken || s->shut)
        return;
    s->shut = true;
    if (RG_UNLIKELY(s->tls != NULL) && rg_socket_tls_shut(w, s))
        return;
    launch_shutdown(w, s);
}

/* An operation that waits for the peer and was not asked to end yet; RG_OP_COUNT: none. */
static enum rg_op waits_for_peer(const struct rg_socket *s)
{
    static const enum rg_op ops[] = {RG_OP_RECV, RG_OP_SEND, RG_OP_CONNECT, RG_OP_POLL_IN, RG_OP_POLL_OUT};
    for (unsigned i = 0; i < sizeof ops / sizeof *ops; i++)
        if (rg_socket_in_flight(s, ops[i]) && !(s->cancelled & 1u << ops[i]))
            return ops[i];
    return RG_OP_COUNT;
}

/* One step further on the way from CLOSING to CLOSED: cancel what still waits, then close when nothing is in flight. */
static void close_step(struct rg_worker *w, struct rg_socket *s)
{
    if (s->state != RG_SOCKET_CLOSING)
        return;
    enum rg_op op = rg_socket_in_flight(s, RG_OP_CANCEL) ? RG_OP_COUNT : waits_for_peer(s);
    if (op != RG_OP_COUNT) {
        s->cancelled |= (uint16_t)(1u << op);
        launch(s, RG_OP_CANCEL);
        rg_ring_cancel(w->ring, s->slot, op);
    }
    if (s->inflight != 0)
        return;
    launch(s, RG_OP_CLOSE);
    rg_ring_close(w->ring, s->slot, s->fd);
}

/* It is sent at once or not at all: a peer that takes nothing keeps no socket, the cancel follows. */
static void say_farewell(struct rg_worker *w, struct rg_socket *s)
{
    const struct rg_output *words = rg_socket_tls_farewell(s);
    if (words)
        submit_send(w, s, words);
}

/* Whatever waited for the end of the turn is not wanted any more: the socket may be gone by then. */
static RG_COLD void end_tls(struct rg_worker *w, struct rg_socket *s, bool reset)
{
    if (!reset && !s->shut)
        say_farewell(w, s);
    rg_socket_tls_leave_line(s);
}

void rg_socket_close(struct rg_worker *w, struct rg_socket *s, bool reset)
{
    if (s->state != RG_SOCKET_OPEN)
        return;
    if (RG_UNLIKELY(s->tls != NULL))
        end_tls(w, s, reset);
    s->state = RG_SOCKET_CLOSING;
    if (s->recv_cancelled)
        s->cancelled |= 1u << RG_OP_RECV;
    rg_list_remove(&s->dirty);
    rg_socket_leave_line(w, s);
    if (reset)
        rg_sys_reset_on_close(s->fd);
    close_step(w, s);
}

/* Join is over: nothing of this socket is in the kernel any more. */
static void fini(struct rg_worker *w, struct rg_socket *s)
{
    RG_ASSERT(s->inflight == 0 && s->state == RG_SOCKET_CLOSING);
    s->state = RG_SOCKET_CLOSED;
    s->fd = -1;
    rg_input_clear(&s->in);
    rg_output_clear(&s->out);
    rg_buf_unref(s->bulk);
    s->bulk = NULL;
    s->piped = 0;
    if (RG_UNLIKELY(s->tls != NULL))
        rg_socket_tls_fini(s);
    rg_ring_slot_put(w->ring, s->slot);
}

static enum rg_socket_event broke(struct rg_socket *s, int err)
{
    s->broken = true;
    s->error = err;
    return RG_SOCKET_ERROR;
}

/* The block that the receive filled: a provided one, or our own. */
static struct rg_buf *received_block(struct rg_socket *s, const struct rg_completion *c)
{
    struct rg_buf *b = c->buf;
    if (s->armed == RG_RECV_BULK && !c->more) {
        b = s->bulk;
        s->bulk = NULL;
        if (c->res > 0) {
            b->len = (uint32_t)c->res;
        } else {
            rg_buf_unref(b);
            b = NULL;
        }
    }
    return b;
}

static enum rg_socket_event complete_recv(struct rg_worker *w, struct rg_socket *s, const struct rg_completion *c)
{
    struct rg_buf *b = received_block(s, c);
    if (!c->more) {
        s->inflight = (uint16_t)(s->inflight & ~(1u << RG_OP_RECV));
        s->fast = s->armed == RG_RECV_BULK ? c->res >= (int32_t)BULK_FAST : c->res == (int32_t)RG_BUF_SMALL_CAP;
        s->armed = RG_RECV_NONE;
    }
    if (s->state != RG_SOCKET_OPEN) {
        rg_buf_unref(b);
        return RG_SOCKET_NOTHING;
    }
    if (RG_UNLIKELY(s->tls != NULL) && c->res >= 0)
        return rg_socket_tls_received(w, s, b);
    if (c->res > 0) {
        rg_input_push(&s->in, b);
        return RG_SOCKET_DATA;
    }
    if (c->res == 0) {
        s->eof = true;
        return RG_SOCKET_EOF;
    }
    if (c->res == -ENOBUFS) {
        rg_metric_add(w->metrics, RG_M_BUFFERS_EXHAUSTED, 1);
        if (!c->more)
            join_line(w, s);
        return RG_SOCKET_NOTHING;
    }
    if (c->res == -ECANCELED || c->res == -EINTR || c->res == -EAGAIN)
        return RG_SOCKET_DATA; /* nothing new; the owner says what is wanted now */
    return broke(s, -c->res);
}

/* The end of our side, once it has been told, follows the records. */
static void sent_records(struct rg_worker *w, struct rg_socket *s, int32_t n)
{
    rg_socket_tls_sent(w, s, n > 0 ? (uint32_t)n : 0);
    if (s->shut && !rg_socket_has_output(s))
        launch_shutdown(w, s);
}

/* An alert that was behind the records of this send. */
static RG_COLD void send_last_words(struct rg_worker *w, struct rg_socket *s, int32_t n)
{
    const struct rg_output *words = n > 0 ? rg_socket_tls_last_words(s, (uint32_t)n) : NULL;
    if (!words)
        return;
    s->cancelled &= (uint16_t) ~(1u << RG_OP_SEND);
    submit_send(w, s, words);
}

static enum rg_socket_event complete_send(struct rg_worker *w, struct rg_socket *s, const struct rg_completion *c)
{
    if (s->state != RG_SOCKET_OPEN) {
        if (RG_UNLIKELY(s->tls != NULL))
            send_last_words(w, s, c->res);
        return RG_SOCKET_NOTHING;
    }
    if (c->res < 0 && c->res != -EINTR && c->res != -EAGAIN && c->res != -ECANCELED) {
        s->unsendable = true;
        s->error = -c->res;
        rg_output_clear(&s->out);
        return RG_SOCKET_UNSENDABLE;
    }
    s->slow = w->now_ms - s->sent_ms >= SLOW_MS;
    s->sent_ms = w->now_ms;
    if (RG_UNLIKELY(s->tls != NULL)) {
        sent_records(w, s, c->res);
        return RG_SOCKET_SENT;
    }
    if (c->res > 0)
        rg_output_sent(&s->out, (uint32_t)c->res);
    if (s->out.bytes > 0)
        rg_socket_send_later(w, s);
    return RG_SOCKET_SENT;
}

static enum rg_socket_event complete(struct rg_worker *w, struct rg_socket *s, const struct rg_completion *c)
{
    if (c->op == RG_OP_RECV)
        return complete_recv(w, s, c);
    s->inflight = (uint16_t)(s->inflight & ~(1u << c->op));
    switch (c->op) {
    case RG_OP_SEND:
        return complete_send(w, s, c);
    case RG_OP_CONNECT:
        if (s->state != RG_SOCKET_OPEN)
            return RG_SOCKET_NOTHING;
        if (c->res < 0)
            return broke(s, -c->res);
        s->connected = true;
        rg_socket_send_later(w, s);
        return RG_SOCKET_CONNECTED;
    case RG_OP_POLL_IN:
        return s->state == RG_SOCKET_OPEN ? RG_SOCKET_DATA : RG_SOCKET_NOTHING;
    case RG_OP_POLL_OUT:
        s->slow = w->now_ms - s->sent_ms >= SLOW_MS;
        return s->state == RG_SOCKET_OPEN ? RG_SOCKET_SENT : RG_SOCKET_NOTHING;
    case RG_OP_SHUTDOWN:
        return s->state == RG_SOCKET_OPEN ? RG_SOCKET_SHUT : RG_SOCKET_NOTHING;
    case RG_OP_CLOSE:
        fini(w, s);
        return RG_SOCKET_GONE;
    default:
        return RG_SOCKET_NOTHING;
    }
}

enum rg_socket_event rg_socket_complete(struct rg_worker *w, struct rg_socket *s, const struct rg_completion *c)
{
    RG_ASSERT(rg_socket_in_flight(s, c->op) && s->state != RG_SOCKET_CLOSED);
    enum rg_socket_event event = complete(w, s, c);
    if (event != RG_SOCKET_GONE)
        close_step(w, s);
    return event;
}

/* At most as many as there are blocks: more would come back empty-handed, and turn after turn the whole line with them.
 */
static void serve_line(struct rg_worker *w)
{
    unsigned blocks = rg_ring_blocks(w->ring);
    while (!rg_list_empty(&w->starved)) {
        struct rg_socket *s = RG_CONTAINER(w->starved.next, struct rg_socket, starved);
        enum rg_recv_mode wanted = rg_socket_in_flight(s, RG_OP_RECV) ? RG_RECV_NONE : (enum rg_recv_mode)s->wanted;
        if (wanted == RG_RECV_NONE) {
            rg_socket_leave_line(w, s);
            continue;
        }
        if (!s->bulk)
            s->bulk = own_block(w, s, wanted, blocks);
        if (!s->bulk && blocks == 0)
            break;
        if (!s->bulk)
            blocks--;
        arm(w, s, wanted);
    }
}

bool rg_socket_line_moves(const struct rg_worker *w)
{
    return !rg_list_empty(&w->starved) && rg_ring_blocks(w->ring) > 0;
}

void rg_socket_flush_all(struct rg_worker *w)
{
    while (!rg_list_empty(&w->dirty)) {
        struct rg_socket *s = RG_CONTAINER(w->dirty.next, struct rg_socket, dirty);
        rg_list_remove(&s->dirty);
        send_now(w, s);
    }
    serve_line(w);
}
