/*
 * What comes in from a replica: the callbacks of nghttp2. Fields are gathered into the text of a head, which becomes
 * input of its stream like the body after it; of all that concerns an exchange a note is taken (h2c_stream.c), for the
 * library must not be called from here again. What is malformed (RFC 9113 8.1.1) breaks its stream only.
 * See h2c_parts.h.
 */
#include "datapath/h2/h2c_parts.h"

/* ---- fields ---- */

static void drop_head(struct rg_h2c *h2c)
{
    rg_buf_unref(h2c->head_buf);
    h2c->head_buf = NULL;
}

static struct rg_h2c_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct rg_h2c *h2c = arg;
    struct rg_h2c_stream *s = stream_of(session, frame->hd.stream_id);
    drop_head(h2c);
    h2c->head_stream = frame->hd.stream_id;
    h2c->head_reason = RG_REASON_NONE;
    /* The library calls all but the first head of a stream by one name; a final one has been if this is a trailer. */
    h2c->head_is_trailer = s && s->heads == UINT16_MAX;
    h2c->head_buf = s ? rg_buf_get_small_for_new(&h2c->w->bufs) : NULL;
    if (h2c->head_buf)
        rg_h2_head_init(&h2c->head, h2c->head_buf->data, h2c->head_buf->cap);
    else if (s)
        h2c->head_reason = RG_REASON_OUT_OF_BUFFERS;
    return 0;
}

static enum rg_reason add_field(struct rg_h2c *h2c, struct rg_str name, struct rg_str value)
{
    enum rg_h2_head_result r = rg_h2_head_add_response(&h2c->head, name, value, &h2c->w->limits);
    if (r == RG_H2_HEAD_FULL && rg_h2_grow_head(&h2c->w->bufs, &h2c->head_buf, &h2c->head))
        r = rg_h2_head_add_response(&h2c->head, name, value, &h2c->w->limits);
    if (r == RG_H2_HEAD_MALFORMED)
        return RG_REASON_REPLICA_MALFORMED;
    return r == RG_H2_HEAD_FULL ? RG_REASON_OUT_OF_BUFFERS : (enum rg_reason)h2c->head.reason;
}

static enum rg_reason add_trailer(struct rg_h2c *h2c, struct rg_str name, struct rg_str value)
{
    return rg_h2_trailer_add(&h2c->head, name, value) ? RG_REASON_NONE : RG_REASON_REPLICA_MALFORMED;
}

/* Whatever was wrong first; the rest is decoded for the sake of the connection's HPACK state. */
static int refuse(struct rg_h2c *h2c, int32_t id, enum rg_reason reason)
{
    struct rg_h2c_stream *s = stream_of(h2c->session, id);
    h2c->head_reason = (uint8_t)reason;
    drop_head(h2c);
    if (s)
        rg_h2c_stream_break(s, reason);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    struct rg_h2c *h2c = arg;
    (void)session;
    (void)flags;
    if (!h2c->head_buf)
        return 0;
    struct rg_str n = rg_h2_str(name, name_len), v = rg_h2_str(value, value_len);
    enum rg_reason reason = h2c->head_is_trailer ? add_trailer(h2c, n, v) : add_field(h2c, n, v);
    return reason == RG_REASON_NONE ? 0 : refuse(h2c, frame->hd.stream_id, reason);
}

/* Names and values that HTTP/2 has no room for: the library would leave them out. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                             const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    (void)session;
    (void)name;
    (void)name_len;
    (void)value;
    (void)value_len;
    (void)flags;
    return refuse(arg, frame->hd.stream_id, RG_REASON_REPLICA_MALFORMED);
}

/* ---- heads ---- */

static bool asked_for_head(const struct rg_h2c_stream *s)
{
    return s->server.exchange && s->server.exchange->method == RG_METHOD_HEAD;
}

/* More interim responses than the exchange will take need not be kept. */
static bool is_one_too_many(const struct rg_h2c *h2c, struct rg_h2c_stream *s)
{
    if (h2c->head.status >= 200)
        s->heads = UINT16_MAX;
    else
        s->heads++;
    return s->heads != UINT16_MAX && s->heads > h2c->w->settings->interim_responses + 1u;
}

static void head_complete(struct rg_h2c *h2c, struct rg_h2c_stream *s, bool ends)
{
    bool no_body = ends && !asked_for_head(s);
    enum rg_h2_head_result r = rg_h2_head_end_response(&h2c->head, no_body);
    if (r == RG_H2_HEAD_FULL && rg_h2_grow_head(&h2c->w->bufs, &h2c->head_buf, &h2c->head))
        r = rg_h2_head_end_response(&h2c->head, no_body);
    if (r != RG_H2_HEAD_OK) {
        refuse(h2c, s->id, r == RG_H2_HEAD_FULL ? RG_REASON_OUT_OF_BUFFERS : RG_REASON_REPLICA_MALFORMED);
        return;
    }
    if (is_one_too_many(h2c, s)) {
        refuse(h2c, s->id, RG_REASON_REPLICA_TOO_MANY_INTERIM);
        return;
    }
    struct rg_buf *b = h2c->head_buf;
    h2c->head_buf = NULL;
    b->len = h2c->head.len;
    rg_input_push(&s->in, b);
    rg_h2c_stream_touch(s, RG_H2C_NOTE_DATA);
}

static void trailer_complete(struct rg_h2c *h2c, struct rg_h2c_stream *s)
{
    if (h2c->head.len > 0 && !s->trailers) {
        s->trailers = h2c->head_buf;
        s->trailers->len = h2c->head.len;
        h2c->head_buf = NULL;
    }
    drop_head(h2c);
}

static void block_complete(struct rg_h2c *h2c, struct rg_h2c_stream *s, bool ends)
{
    if (!s || s->broken)
        drop_head(h2c);
    else if (!h2c->head_buf)
        rg_h2c_stream_break(s, h2c->head_reason ? (enum rg_reason)h2c->head_reason : RG_REASON_OUT_OF_BUFFERS);
    else if (h2c->head_is_trailer)
        trailer_complete(h2c, s);
    else
        head_complete(h2c, s, ends);
}

/* ---- frames ---- */

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct rg_h2c *h2c = arg;
    struct rg_h2c_stream *s = stream_of(session, frame->hd.stream_id);
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        block_complete(h2c, s, ends);
        break;
    case NGHTTP2_DATA:
        break;
    case NGHTTP2_SETTINGS:
        h2c->ready |= !(frame->hd.flags & NGHTTP2_FLAG_ACK);
        return 0;
    case NGHTTP2_GOAWAY:
        h2c->going = true;
        rg_metric_add(h2c->w->metrics, RG_M_REPLICA_GOAWAYS, 1);
        return 0;
    default:
        return 0;
    }
    if (s && ends && !s->broken) {
        s->eof = true;
        rg_h2c_stream_touch(s, RG_H2C_NOTE_DATA);
    }
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                         void *arg)
{
    struct rg_h2c *h2c = arg;
    struct rg_h2c_stream *s = stream_of(session, id);
    (void)flags;
    nghttp2_session_consume_connection(session, len);
    if (!s || s->broken) {
        nghttp2_session_consume_stream(session, id, len);
        return 0;
    }
    s->owed += (uint32_t)len;
    if (rg_h2_take(&h2c->w->bufs, &s->in, (const char *)data, (uint32_t)len))
        rg_h2c_stream_touch(s, RG_H2C_NOTE_DATA);
    else
        rg_h2c_stream_break(s, RG_REASON_OUT_OF_BUFFERS);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *arg)
{
    struct rg_h2c *h2c = arg;
    struct rg_h2c_stream *s = stream_of(session, id);
    if (h2c->head_stream == id)
        drop_head(h2c);
    if (!s)
        return 0;
    s->closed = true;
    s->unprocessed |= error_code == NGHTTP2_REFUSED_STREAM;
    if (s->eof)
        return 0;
    rg_metric_add(h2c->w->metrics, RG_M_REPLICA_RESETS, 1);
    rg_h2c_stream_break(s, s->unprocessed ? RG_REASON_REPLICA_REFUSED : RG_REASON_REPLICA_CLOSED);
    return 0;
}

/* ---- what the library sends ---- */

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct rg_h2c *h2c = arg;
    struct rg_h2c_stream *s = stream_of(session, frame->hd.stream_id);
    switch (frame->hd.type) {
    case NGHTTP2_DATA:
    case NGHTTP2_HEADERS:
        if (s && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
            s->end_sent = true;
            rg_h2c_stream_touch(s, RG_H2C_NOTE_SENT);
        }
        break;
    case NGHTTP2_RST_STREAM: /* of our own accord a stream is reset after its exchange has let it go */
        if (s)
            rg_h2c_stream_break(s, RG_REASON_REPLICA_MALFORMED);
        break;
    case NGHTTP2_GOAWAY: /* nor do we send this but for what the replica did */
        h2c->faulty = h2c->faulty || frame->goaway.error_code != NGHTTP2_NO_ERROR;
        h2c->going = true;
        break;
    default:
        break;
    }
    return 0;
}

/* A request that waited in the library while the replica went away. */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error, void *arg)
{
    struct rg_h2c_stream *s = stream_of(session, frame->hd.stream_id);
    (void)arg;
    (void)error;
    if (!s || frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    s->unprocessed = true;
    rg_h2c_stream_break(s, RG_REASON_REPLICA_REFUSED);
    return 0;
}

nghttp2_session_callbacks *rg_h2c_callbacks_create(void)
{
    nghttp2_session_callbacks *c;
    if (nghttp2_session_callbacks_new(&c) != 0)
        return NULL;
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(c, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(c, on_frame_not_send);
    nghttp2_session_callbacks_set_send_data_callback(c, rg_h2c_stream_send);
    return c;
}
