/* See socket_tls.h. */
#include "datapath/socket_tls.h"

#include <errno.h>

#include "datapath/core.h"

bool rg_socket_tls_accept(struct rg_worker *w, struct rg_socket *s, unsigned listener)
{
    s->tls = rg_tls_accept(&w->tls, (uint8_t)listener, s);
    if (!s->tls)
        return false;
    s->tls->net = s->in;
    s->tls->fin = s->eof;
    s->in = (struct rg_input){0};
    return true;
}

/* Records that the session made by itself (a handshake, an alert) go out like any output. */
static void send_records(struct rg_worker *w, struct rg_socket *s)
{
    s->sealed = s->tls->wire.bytes;
    if (s->sealed > 0)
        rg_socket_send_later(w, s);
}

bool rg_socket_tls_connect(struct rg_worker *w, struct rg_socket *s, const struct rg_tls_client *c,
                           struct rg_tls_memory *memory)
{
    s->tls = rg_tls_connect(&w->tls, c, memory, s);
    if (!s->tls)
        return false;
    rg_socket_want(w, s, RG_RECV_ONCE);
    return rg_socket_tls_go_on(w, s) == RG_SOCKET_NOTHING;
}

static enum rg_socket_event ended(struct rg_socket *s)
{
    s->eof = true;
    return RG_SOCKET_EOF;
}

/* What it said is in the clear, and is served (refused, that is) like that. */
static enum rg_socket_event in_the_clear(struct rg_socket *s)
{
    struct rg_tls *t = s->tls;
    s->in = t->net;
    t->net = (struct rg_input){0};
    s->eof = t->fin;
    s->tls = NULL;
    rg_tls_destroy(t);
    return RG_SOCKET_DATA;
}

/*
 * Bytes that make no plaintext yet are nothing to the owner: what it wanted to receive is received. A flight of the
 * handshake may come in several pieces, and a record too.
 */
static enum rg_socket_event wait_for_more(struct rg_worker *w, struct rg_socket *s)
{
    if (s->tls->is_server && s->tls->net.bytes < RG_SOCKET_PIECE)
        rg_socket_acknowledge(s);
    if (!rg_socket_in_flight(s, RG_OP_RECV))
        rg_socket_want(w, s, (enum rg_recv_mode)s->wanted);
    return RG_SOCKET_NOTHING;
}

/*
 * A client whose first request came with the end of its handshake gets the tickets of its session with the answer: it
 * waits for that, not for them, and so they cost no send of their own.
 */
static bool answer_follows(const struct rg_socket *s, enum rg_tls_event event)
{
    return event == RG_TLS_SECURE && s->in.bytes > 0 && rg_tls_has_only_tickets(s->tls);
}

enum rg_socket_event rg_socket_tls_go_on(struct rg_worker *w, struct rg_socket *s)
{
    enum rg_tls_event event = rg_tls_run(s->tls, &s->in);
    if (event == RG_TLS_PLAINTEXT)
        return in_the_clear(s);
    if (!answer_follows(s, event))
        send_records(w, s);
    switch (event) {
    case RG_TLS_LATER:
        return RG_SOCKET_NOTHING;
    case RG_TLS_DATA:
        return RG_SOCKET_DATA;
    case RG_TLS_SECURE:
        return RG_SOCKET_SECURE;
    case RG_TLS_CUT:
        s->truncated = true;
        return ended(s);
    case RG_TLS_END:
        return ended(s);
    case RG_TLS_FAILED:
        s->broken = true;
        s->error = s->tls->failure == RG_TLS_FAIL_CLOSED ? ECONNRESET : EPROTO;
        return RG_SOCKET_ERROR;
    case RG_TLS_NOTHING:
    case RG_TLS_PLAINTEXT:
        break;
    }
    return wait_for_more(w, s);
}

enum rg_socket_event rg_socket_tls_received(struct rg_worker *w, struct rg_socket *s, struct rg_buf *b)
{
    struct rg_tls *t = s->tls;
    if (s->eof || s->broken) { /* a receive that went on by itself, after the peer had said that nothing comes */
        rg_buf_unref(b);
        return RG_SOCKET_NOTHING;
    }
    if (b)
        rg_input_push(&t->net, b);
    else
        t->fin = true;
    if (!rg_list_empty(&t->waiting)) /* it has its turn before */
        return RG_SOCKET_NOTHING;
    return rg_socket_tls_go_on(w, s);
}

void rg_socket_tls_leave_line(struct rg_socket *s)
{
    rg_list_remove(&s->tls->waiting);
}

struct rg_output *rg_socket_tls_seal(struct rg_socket *s)
{
    struct rg_tls *t = s->tls;
    if (!rg_tls_seal(t, &s->out)) {
        s->unsendable = true;
        rg_output_clear(&s->out);
        rg_tls_later(t); /* the owner is told */
    }
    s->sealed = t->wire.bytes;
    return &t->wire;
}

void rg_socket_tls_sent(struct rg_worker *w, struct rg_socket *s, uint32_t n)
{
    rg_output_sent(&s->tls->wire, n);
    s->sealed = s->tls->wire.bytes;
    if (s->sealed > 0 || s->out.bytes > 0)
        rg_socket_send_later(w, s);
}

bool rg_socket_tls_shut(struct rg_worker *w, struct rg_socket *s)
{
    if (s->unsendable || !rg_tls_note_end(s->tls))
        return false;
    send_records(w, s);
    return s->sealed > 0;
}

struct rg_output *rg_socket_tls_farewell(struct rg_socket *s)
{
    struct rg_tls *t = s->tls;
    bool transport_failed = s->unsendable || (s->broken && t->state != RG_TLS_BROKEN);
    if (transport_failed || s->out.bytes > 0 || rg_socket_in_flight(s, RG_OP_SEND))
        return NULL;
    /* With records unsent, the peer must not read that all has come. */
    if (t->wire.bytes == 0)
        rg_tls_note_end(t);
    return t->wire.bytes > 0 ? &t->wire : NULL;
}

struct rg_output *rg_socket_tls_last_words(struct rg_socket *s, uint32_t n)
{
    struct rg_tls *t = s->tls;
    rg_output_sent(&t->wire, n);
    return t->state == RG_TLS_BROKEN && s->broken && t->wire.bytes > 0 ? &t->wire : NULL;
}

void rg_socket_tls_fini(struct rg_socket *s)
{
    rg_tls_destroy(s->tls);
    s->tls = NULL;
    s->sealed = 0;
}
