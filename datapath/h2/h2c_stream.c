/* A stream of HTTP/2 as the server of an exchange: see h2c.h. */
#include "datapath/h2/h2c_parts.h"
#include "datapath/http/h2_write.h"

struct rg_h2c_stream *rg_h2c_open(struct rg_worker *w, struct rg_h2c *h2c, struct rg_exchange *x)
{
    struct rg_h2c_stream *s = rg_pool_get(&w->h2.replica_streams);
    if (!s)
        return NULL;
    *s = (struct rg_h2c_stream){.h2c = h2c, .sent_ms = w->now_ms, .kept = h2c->used};
    s->server = (struct rg_server){.exchange = x, .in = &s->in, .out = &s->out, .kind = RG_SERVER_H2};
    rg_list_init(&s->touched);
    rg_list_append(&h2c->streams, &s->all);
    h2c->n_streams++;
    h2c->used = true;
    rg_metric_add(w->metrics, RG_M_REPLICA_STREAMS, 1);
    rg_metric_add(w->metrics, RG_M_REPLICA_STREAMS_OPEN, 1);
    return s;
}

void rg_h2c_stream_touch(struct rg_h2c_stream *s, enum rg_h2c_note note)
{
    s->notes |= (uint8_t)note;
    if (rg_list_empty(&s->touched))
        rg_list_append(&s->h2c->touched, &s->touched);
}

void rg_h2c_stream_break(struct rg_h2c_stream *s, enum rg_reason reason)
{
    if (!s->broken)
        s->reason = (uint8_t)reason;
    s->broken = true;
    rg_h2c_stream_touch(s, RG_H2C_NOTE_GONE);
}

struct rg_upstream_conn *rg_h2c_stream_conn(const struct rg_h2c_stream *s)
{
    return s->h2c->conn;
}

/* ---- what comes in ---- */

void rg_h2c_stream_receive(struct rg_h2c_stream *s)
{
    if (s->owed <= s->in.bytes || s->closed)
        return;
    nghttp2_session_consume_stream(s->h2c->session, s->id, s->owed - s->in.bytes);
    s->owed = s->in.bytes;
    rg_h2c_mark(s->h2c);
}

/* ---- what goes out ---- */

bool rg_h2c_stream_is_slow(const struct rg_h2c_stream *s)
{
    if (s->h2c->conn->sock.slow || s->closed)
        return true;
    return rg_h2_window_is_narrow(s->h2c->session, s->id);
}

void rg_h2c_stream_send_later(struct rg_worker *w, struct rg_h2c_stream *s)
{
    if (s->deferred && !s->closed) {
        s->deferred = false;
        s->sent_ms = w->now_ms;
        nghttp2_session_resume_data(s->h2c->session, s->id);
    }
    rg_h2c_mark(s->h2c);
}

/* The library asks for the next DATA: how much, and is it the last? The bytes themselves stay where they are. */
static ssize_t read_piece(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length, uint32_t *flags,
                          nghttp2_data_source *source, void *arg)
{
    (void)buf;
    (void)source;
    (void)arg;
    struct rg_h2c_stream *s = nghttp2_session_get_stream_user_data(session, id);
    if (!s || !s->server.exchange)
        return NGHTTP2_ERR_DEFERRED;
    const struct rg_pump *request = &s->server.exchange->request;
    if (s->out.bytes == 0 && !request->done) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    return rg_h2_next_data(session, id, &s->out, length, request->done ? request : NULL, flags);
}

int rg_h2c_stream_send(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t length,
                       nghttp2_data_source *source, void *arg)
{
    (void)source;
    struct rg_h2c *h2c = arg;
    struct rg_output *out = &h2c->conn->sock.out;
    struct rg_h2c_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    RG_ASSERT(s && frame->data.padlen == 0);
    if (!rg_h2_put_data(&h2c->w->bufs, out, &s->out, head, (uint32_t)length))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    s->sent_ms = h2c->w->now_ms;
    rg_h2c_stream_touch(s, RG_H2C_NOTE_SENT);
    return rg_h2_has_room(out) ? 0 : NGHTTP2_ERR_PAUSE; /* the library would go on with the next frame */
}

/* ---- requests ---- */

/* The limits of what was written here: as much as there is room for. */
static const struct rg_h1_limits no_limits = {.head_bytes = RG_BUF_BULK,
                                              .field_bytes = RG_BUF_BULK,
                                              .target_bytes = RG_BUF_BULK,
                                              .fields = RG_H1_FIELDS_MAX,
                                              .allow_underscore = true};

/* A body gets its frames here: what comes in goes on without the framing of HTTP/1. */
static void unframe(struct rg_pump *request)
{
    if (request->kind == RG_BODY_CHUNKED)
        request->chunked.mode = RG_CHUNKED_DATA;
    request->add_chunks = false;
}

static enum rg_reason submit(struct rg_h2c_stream *s, const struct rg_h2_fields *f, bool has_body)
{
    nghttp2_data_provider body = {.read_callback = read_piece};
    int32_t id = nghttp2_submit_request(s->h2c->session, NULL, f->nv, f->n, has_body ? &body : NULL, s);
    if (id < 0) { /* stream numbers run out after 2^30 requests: others take their place on another connection */
        s->h2c->going = true;
        s->closed = true;
        return RG_REASON_OVERLOADED;
    }
    s->id = id;
    rg_h2c_mark(s->h2c);
    return RG_REASON_NONE;
}

enum rg_reason rg_h2c_stream_begin(struct rg_worker *w, struct rg_h2c_stream *s)
{
    static _Thread_local struct rg_h2_fields fields;
    struct rg_exchange *x = s->server.exchange;
    struct rg_h1_request req;
    struct rg_h1_resume resume = {0};
    enum rg_reason reason = RG_REASON_NONE;
    uint32_t head_len = x->head->len - x->body_in_head;
    int32_t n = rg_h1_parse_request(&resume, x->head->data, head_len, &no_limits, w->fields, &req, &reason);
    if (n != (int32_t)head_len) {
        s->closed = true;
        return reason != RG_REASON_NONE ? reason : RG_REASON_BAD_REQUEST_LINE;
    }
    if (!x->request.done)
        unframe(&x->request);
    if (x->body_in_head > 0)
        rg_output_push(&s->out, x->head, head_len, x->body_in_head);
    rg_h2_write_request(&fields, &req);
    return submit(s, &fields, !x->request.done || x->body_in_head > 0);
}

/* ---- the end ---- */

static uint32_t error_code(const struct rg_h2c_stream *s)
{
    return s->reason == RG_REASON_REPLICA_MALFORMED ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_CANCEL;
}

void rg_h2c_close(struct rg_worker *w, struct rg_h2c_stream *s)
{
    struct rg_h2c *h2c = s->h2c;
    if (!s->closed && !h2c->over) {
        nghttp2_session_set_stream_user_data(h2c->session, s->id, NULL);
        if (!s->eof || !s->end_sent)
            nghttp2_submit_rst_stream(h2c->session, NGHTTP2_FLAG_NONE, s->id, error_code(s));
        rg_h2c_mark(h2c);
    }
    rg_list_remove(&s->all);
    rg_list_remove(&s->touched);
    rg_input_clear(&s->in);
    rg_output_clear(&s->out);
    rg_buf_unref(s->trailers);
    rg_pool_put(&w->h2.replica_streams, s);
    h2c->n_streams--;
    rg_metric_sub(w->metrics, RG_M_REPLICA_STREAMS_OPEN, 1);
}
