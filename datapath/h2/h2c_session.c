/* The life of a connection to the replica that speaks HTTP/2, and the two places that call the library: feed and flush.
 * See h2c.h. */
#include <errno.h>

#include "datapath/h2/h2c_parts.h"
#include "datapath/upstream_h2c.h"

#define SILENT_MS 5000 /* with streams open: then it is asked whether it is there */

/* ---- begin ---- */

static bool say_hello(struct rg_h2c *h2c)
{
    const struct rg_settings *s = h2c->w->settings;
    nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, RG_H2_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, s->head_bytes},
    };
    return nghttp2_submit_settings(h2c->session, NGHTTP2_FLAG_NONE, entries, sizeof entries / sizeof *entries) == 0 &&
           nghttp2_session_set_local_window_size(h2c->session, NGHTTP2_FLAG_NONE, 0, RG_H2_CONNECTION_WINDOW) == 0;
}

static bool make_session(struct rg_worker *w, struct rg_h2c *h2c)
{
    const uint8_t *magic;
    w->h2.mem.creating = true;
    int err =
        nghttp2_session_client_new3(&h2c->session, w->h2.replica_callbacks, h2c, w->h2.replica_option, &w->h2.mem.mem);
    w->h2.mem.creating = false;
    if (err != 0)
        return false;
    /* It lies in the block that all sessions put their frames together in: it has to be taken before another one does.
     */
    ssize_t n = nghttp2_session_mem_send(h2c->session, &magic);
    return n > 0 && rg_output_copy(&h2c->conn->sock.out, &w->bufs, (const char *)magic, (uint32_t)n);
}

bool rg_h2c_create(struct rg_worker *w, struct rg_upstream_conn *uc)
{
    struct rg_h2c *h2c = rg_pool_get(&w->h2.replica_sessions);
    if (!h2c)
        return false;
    *h2c = (struct rg_h2c){.w = w, .conn = uc, .received_ms = w->now_ms};
    rg_list_init(&h2c->all);
    rg_list_init(&h2c->dirty);
    rg_list_init(&h2c->streams);
    rg_list_init(&h2c->touched);
    uc->h2c = h2c;
    if (make_session(w, h2c) && say_hello(h2c)) {
        rg_h2c_mark(h2c);
        return true;
    }
    rg_h2c_destroy(w, h2c);
    uc->h2c = NULL;
    rg_output_clear(&uc->sock.out);
    return false;
}

void rg_h2c_mark(struct rg_h2c *h2c)
{
    if (!h2c->over && rg_list_empty(&h2c->dirty))
        rg_list_append(&h2c->w->h2.replica_dirty, &h2c->dirty);
}

/* ---- notes ---- */

static void deliver_one(struct rg_worker *w, struct rg_h2c_stream *s)
{
    struct rg_exchange *x = s->server.exchange;
    uint8_t notes = s->notes;
    s->notes = 0;
    if (!x)
        return;
    if (notes & RG_H2C_NOTE_GONE)
        rg_exchange_up_event(w, x, RG_SOCKET_ERROR);
    else
        rg_exchange_up_event(w, x, notes & RG_H2C_NOTE_DATA ? RG_SOCKET_DATA : RG_SOCKET_SENT);
}

/* The exchange that is told may end, and with it others: only the first of the line is sure to be there. */
static void deliver(struct rg_worker *w, struct rg_h2c *h2c)
{
    while (!rg_list_empty(&h2c->touched)) {
        struct rg_h2c_stream *s = RG_CONTAINER(h2c->touched.next, struct rg_h2c_stream, touched);
        rg_list_remove(&s->touched);
        deliver_one(w, s);
    }
}

/* ---- the end ---- */

void rg_h2c_cut_all(struct rg_worker *w, struct rg_h2c *h2c)
{
    enum rg_reason reason = h2c->faulty ? RG_REASON_REPLICA_MALFORMED : RG_REASON_REPLICA_CLOSED;
    rg_list_remove(&h2c->dirty);
    for (struct rg_list *i = h2c->streams.next; i != &h2c->streams; i = i->next) {
        struct rg_h2c_stream *s = RG_CONTAINER(i, struct rg_h2c_stream, all);
        if (!s->eof)
            rg_h2c_stream_break(s, reason);
        s->closed = true;
    }
    deliver(w, h2c);
}

void rg_h2c_destroy(struct rg_worker *w, struct rg_h2c *h2c)
{
    RG_ASSERT(h2c->n_streams == 0);
    rg_list_remove(&h2c->dirty);
    rg_list_remove(&h2c->all);
    nghttp2_session_del(h2c->session);
    rg_buf_unref(h2c->head_buf);
    rg_pool_put(&w->h2.replica_sessions, h2c);
}

/* ---- out ---- */

static void flush(struct rg_worker *w, struct rg_h2c *h2c)
{
    struct rg_output *out = &h2c->conn->sock.out;
    bool filled = rg_h2_fill(&w->bufs, h2c->session, out);
    if (out->bytes > 0)
        rg_socket_send_later(w, &h2c->conn->sock);
    deliver(w, h2c);
    if (h2c->over)
        return;
    if (!filled)
        rg_upstream_session_lost(w, h2c, ENOMEM);
    else if (h2c->faulty)
        rg_upstream_session_lost(w, h2c, 0);
}

/* ---- in ---- */

/* Answers that the replica does not take must not pile up: then nothing more is read. */
static void want(struct rg_worker *w, struct rg_h2c *h2c)
{
    struct rg_socket *s = &h2c->conn->sock;
    rg_socket_want(w, s, s->out.bytes >= RG_PUMP_HIGH ? RG_RECV_NONE : RG_RECV_MULTI);
}

/* false: the replica has broken the protocol. */
static bool take_input(struct rg_h2c *h2c)
{
    struct rg_input *in = &h2c->conn->sock.in;
    while (in->bytes > 0 && !h2c->faulty) {
        struct rg_str front = rg_input_front(in);
        ssize_t n = nghttp2_session_mem_recv(h2c->session, (const uint8_t *)front.ptr, front.len);
        if (n < 0)
            return false;
        rg_input_use(in, (uint32_t)n);
    }
    return !h2c->faulty;
}

static void feed(struct rg_worker *w, struct rg_h2c *h2c)
{
    bool was_ready = h2c->ready;
    if (h2c->conn->sock.in.bytes > 0) {
        h2c->received_ms = w->now_ms;
        h2c->ping_ms = 0;
    }
    h2c->faulty |= !take_input(h2c);
    deliver(w, h2c);
    if (!h2c->ready && !h2c->over)
        flush(w, h2c); /* the library may have seen that this is not HTTP/2; the end could come before the turn's */
    if (h2c->over)
        return;
    if (!nghttp2_session_want_read(h2c->session) && !nghttp2_session_want_write(h2c->session))
        h2c->faulty |= !h2c->going;
    if (h2c->faulty) {
        rg_upstream_session_lost(w, h2c, 0);
        return;
    }
    rg_h2c_mark(h2c);
    want(w, h2c);
    rg_upstream_session_changed(w, h2c, h2c->ready && !was_ready);
}

void rg_h2c_event(struct rg_worker *w, struct rg_h2c *h2c, enum rg_socket_event event)
{
    if (h2c->over)
        return;
    switch (event) {
    case RG_SOCKET_CONNECTED:
        rg_upstream_session_connected(w, h2c);
        rg_h2c_mark(h2c);
        want(w, h2c);
        break;
    case RG_SOCKET_DATA:
        feed(w, h2c);
        break;
    case RG_SOCKET_SENT:
        rg_h2c_mark(h2c);
        want(w, h2c);
        break;
    case RG_SOCKET_EOF:
    case RG_SOCKET_ERROR:
    case RG_SOCKET_UNSENDABLE:
        rg_upstream_session_lost(w, h2c, h2c->conn->sock.error);
        break;
    default:
        break;
    }
}

/* ---- the turn's end ---- */

void rg_h2c_flush_all(struct rg_worker *w)
{
    while (!rg_list_empty(&w->h2.replica_dirty)) {
        struct rg_h2c *h2c = RG_CONTAINER(w->h2.replica_dirty.next, struct rg_h2c, dirty);
        rg_list_remove(&h2c->dirty);
        flush(w, h2c);
    }
}

/* ---- room and time ---- */

bool rg_h2c_has_room(const struct rg_worker *w, const struct rg_h2c *h2c)
{
    uint32_t most = nghttp2_session_get_remote_settings(h2c->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    bool silent = h2c->ping_ms > 0 && w->now_ms - h2c->ping_ms >= w->settings->connect_ms;
    return h2c->ready && !h2c->going && !h2c->faulty && !silent && h2c->n_streams < most &&
           h2c->n_streams < RG_H2C_STREAMS;
}

bool rg_h2c_is_alive(struct rg_worker *w, struct rg_h2c *h2c)
{
    if (!h2c->ready || h2c->n_streams == 0)
        return true;
    if (h2c->ping_ms > 0)
        return w->now_ms - h2c->ping_ms < w->settings->response_head_ms;
    if (w->now_ms - h2c->received_ms >= SILENT_MS) {
        h2c->ping_ms = w->now_ms;
        nghttp2_submit_ping(h2c->session, NGHTTP2_FLAG_NONE, NULL);
        rg_h2c_mark(h2c);
    }
    return true;
}
