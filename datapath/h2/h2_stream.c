/* A stream of HTTP/2 as the client of an exchange: see h2.h. */
#include "datapath/client.h"
#include "datapath/h2/h2_parts.h"
#include "datapath/http/h2_write.h"

#define TABLE_DEFAULT 4096 /* of HPACK: RFC 9113 6.5.2 */

struct rg_h2_stream *rg_h2_stream_create(struct rg_h2 *h2, int32_t id)
{
    struct rg_conn *c = h2->conn;
    struct rg_h2_stream *s = rg_pool_get(&h2->w->h2.streams);
    if (!s)
        return NULL;
    *s = (struct rg_h2_stream){.h2 = h2, .id = id, .sent_ms = h2->w->now_ms};
    s->client = c->client; /* who it is */
    s->client.kind = RG_CLIENT_H2;
    s->client.exchange = NULL;
    s->client.in = &s->in;
    s->client.out = &s->out;
    s->client.head_us = h2->head_us;
    rg_list_init(&s->touched);
    rg_list_append(&h2->streams, &s->all);
    nghttp2_session_set_stream_user_data(h2->session, id, s);
    rg_metric_add(h2->w->metrics, RG_M_H2_STREAMS, 1);
    h2->table_given = false;
    if (h2->n_streams++ == 0)
        rg_conn_h2_busy(h2->w, c, true);
    return s;
}

void rg_h2_stream_touch(struct rg_h2_stream *s, enum rg_h2_note note)
{
    s->notes |= (uint8_t)note;
    if (rg_list_empty(&s->touched))
        rg_list_append(&s->h2->touched, &s->touched);
}

struct rg_conn *rg_h2_stream_conn(const struct rg_h2_stream *s)
{
    return s->h2->conn;
}

/* ---- what comes in ---- */

void rg_h2_stream_receive(struct rg_worker *w, struct rg_h2_stream *s)
{
    (void)w;
    if (s->owed <= s->in.bytes || s->closed)
        return;
    nghttp2_session_consume_stream(s->h2->session, s->id, s->owed - s->in.bytes);
    s->owed = s->in.bytes;
    rg_h2_mark(s->h2);
}

/* ---- what goes out ---- */

bool rg_h2_stream_is_slow(const struct rg_h2_stream *s)
{
    if (s->h2->conn->sock.slow || s->closed)
        return true;
    return rg_h2_window_is_narrow(s->h2->session, s->id);
}

void rg_h2_stream_send_later(struct rg_worker *w, struct rg_h2_stream *s)
{
    if (s->deferred && !s->closed) {
        s->deferred = false;
        s->sent_ms = w->now_ms;
        nghttp2_session_resume_data(s->h2->session, s->id);
    }
    rg_h2_mark(s->h2);
}

/* A response whose end is here, the rest being on its way: nothing can follow. */
static bool is_complete(const struct rg_h2_stream *s)
{
    const struct rg_exchange *x = s->client.exchange;
    return x && (x->step == RG_STEP_FLUSH || (x->step == RG_STEP_TUNNEL && x->response.done));
}

/* The library asks for the next DATA: how much, and is it the last? The bytes themselves stay where they are. */
static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length, uint32_t *flags,
                         nghttp2_data_source *source, void *arg)
{
    (void)buf;
    (void)source;
    (void)arg;
    struct rg_h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    if (!s)
        return NGHTTP2_ERR_DEFERRED;
    bool complete = is_complete(s);
    if (s->out.bytes == 0 && !complete) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    const struct rg_pump *last = complete ? &s->client.exchange->response : NULL;
    return rg_h2_next_data(session, id, &s->out, length, last, flags);
}

int rg_h2_stream_send(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t length,
                      nghttp2_data_source *source, void *arg)
{
    (void)source;
    struct rg_h2 *h2 = arg;
    struct rg_worker *w = h2->w;
    struct rg_output *out = &h2->conn->sock.out;
    struct rg_h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    RG_ASSERT(s && frame->data.padlen == 0);
    if (!rg_h2_put_data(&w->bufs, out, &s->out, head, (uint32_t)length))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (length > 0)
        rg_h2_count_work(h2, (uint32_t)length, s->out.bytes == 0);
    s->sent_ms = w->now_ms;
    rg_h2_stream_touch(s, RG_H2_NOTE_SENT);
    return rg_h2_has_room(out) ? 0 : NGHTTP2_ERR_PAUSE; /* the library would go on with the next frame */
}

/* ---- responses ---- */

static bool submit(struct rg_h2_stream *s, const struct rg_h2_fields *f, bool final, bool has_body)
{
    nghttp2_data_provider body = {.read_callback = read_body};
    int err;
    if (s->closed || s->gone)
        return false;
    if (final)
        err = nghttp2_submit_response(s->h2->session, s->id, f->nv, f->n, has_body ? &body : NULL);
    else
        err = nghttp2_submit_headers(s->h2->session, NGHTTP2_FLAG_NONE, s->id, NULL, f->nv, f->n, NULL);
    if (err != 0)
        return false;
    s->responded |= final;
    s->heads++;
    rg_h2_mark(s->h2);
    return true;
}

bool rg_h2_stream_respond(struct rg_worker *w, struct rg_h2_stream *s, const struct rg_h1_response *res,
                          const struct rg_framing *framing, const struct rg_response_options *opt)
{
    static _Thread_local struct rg_h2_fields fields;
    rg_h2_write_response(&fields, res, framing, opt, rg_worker_date(w));
    s->tunnel = res->status == 101;
    return submit(s, &fields, res->status >= 200 || s->tunnel, framing->kind != RG_BODY_NONE || s->tunnel);
}

bool rg_h2_stream_respond_own(struct rg_worker *w, struct rg_h2_stream *s, const struct rg_own_response *r)
{
    static _Thread_local struct rg_h2_fields fields;
    bool has_body = r->body.len > 0 && !r->head_only;
    rg_h2_write_own_response(&fields, r, rg_worker_date(w));
    if (has_body && !rg_output_copy(&s->out, &w->bufs, r->body.ptr, (uint32_t)r->body.len))
        return false;
    return submit(s, &fields, true, has_body);
}

/*
 * The library drops a head when it is asked for the last time whether to send it. By then it is encoded, which is
 * harmless as responses are not remembered; but a change of the table's size would be lost with it, and those who
 * have made theirs smaller wait for that.
 */
bool rg_h2_stream_take_back(struct rg_h2_stream *s)
{
    nghttp2_session *session = s->h2->session;
    bool harmless = nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_HEADER_TABLE_SIZE) >= TABLE_DEFAULT;
    if (s->heads == 0 || s->closed || !harmless)
        return false;
    s->void_heads = (uint8_t)(s->void_heads + s->heads);
    s->heads = 0;
    s->responded = s->deferred = false;
    rg_output_clear(&s->out);
    return true;
}

int rg_h2_stream_head_leaves(struct rg_h2_stream *s)
{
    if (s->void_heads > 0) {
        s->void_heads--;
        return NGHTTP2_ERR_CANCEL;
    }
    if (s->heads > 0) /* it is no trailer section */
        s->heads--;
    return 0;
}

/* ---- the end ---- */

static void reset_first_unread(struct rg_h2 *h2)
{
    int32_t id = h2->unread[0].id;
    if (nghttp2_session_get_stream_remote_close(h2->session, id) == 0) {
        nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
        rg_h2_mark(h2);
    }
    h2->n_unread--;
    memmove(h2->unread, h2->unread + 1, h2->n_unread * sizeof h2->unread[0]);
}

void rg_h2_reset_unread(struct rg_h2 *h2)
{
    while (h2->n_unread > 0 && h2->w->now_ms >= h2->unread[0].since_ms + RG_H2_UNREAD_MS)
        reset_first_unread(h2);
}

/*
 * RFC 9113 8.1: after a complete response a reset with NO_ERROR says that the rest of the request is not wanted. Many
 * clients take a reset that comes with the response for its failure (curl of 2023): the rest gets some time to come,
 * and is thrown away.
 */
static void leave_unread(struct rg_h2_stream *s)
{
    struct rg_h2 *h2 = s->h2;
    nghttp2_session_consume_stream(h2->session, s->id, s->owed);
    if (h2->n_unread == RG_H2_UNREAD_MAX)
        reset_first_unread(h2);
    h2->unread[h2->n_unread].id = s->id;
    h2->unread[h2->n_unread++].since_ms = h2->w->now_ms;
    rg_conn_check_within(h2->w, h2->conn, RG_H2_UNREAD_MS);
}

/* RFC 8441 5: CANCEL stands for the reset of a WebSocket's connection. */
static uint32_t error_code(const struct rg_h2_stream *s)
{
    if (s->end_sent)
        return NGHTTP2_NO_ERROR;
    return s->tunnel ? NGHTTP2_CANCEL : NGHTTP2_INTERNAL_ERROR;
}

void rg_h2_stream_ended(struct rg_worker *w, struct rg_h2_stream *s, enum rg_conn_after after)
{
    struct rg_h2 *h2 = s->h2;
    (void)after; /* is about connections that carry one exchange at a time */
    s->client.exchange = NULL;
    if (!s->closed) {
        nghttp2_session_set_stream_user_data(h2->session, s->id, NULL);
        if (!s->end_sent || (s->tunnel && !s->eof))
            nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, s->id, error_code(s));
        else if (!s->eof)
            leave_unread(s);
        rg_h2_mark(h2);
    }
    if (s->end_sent)
        rg_h2_count_finished(h2);
    rg_list_remove(&s->all);
    rg_list_remove(&s->touched);
    rg_input_clear(&s->in);
    rg_output_clear(&s->out);
    rg_buf_unref(s->trailers);
    rg_pool_put(&w->h2.streams, s);
    h2->generation++;
    if (--h2->n_streams == 0)
        rg_conn_h2_busy(w, h2->conn, false);
}
