/*
 * What comes in: the callbacks of nghttp2. Fields are gathered into a head, a complete head begins an exchange; of all
 * else that concerns an exchange a note is taken (h2_stream.c), for the library must not be called from here again.
 * See h2_parts.h.
 */
#include "datapath/h2/h2_parts.h"

/* ---- fields ---- */

static void drop_head(struct rg_h2 *h2)
{
    rg_buf_unref(h2->head_buf);
    h2->head_buf = NULL;
    h2->head_us = 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct rg_h2 *h2 = arg;
    (void)session;
    drop_head(h2);
    h2->head_us = h2->w->now_us;
    h2->head_stream = frame->hd.stream_id;
    h2->head_malformed = false;
    h2->head_is_trailer = frame->headers.cat != NGHTTP2_HCAT_REQUEST;
    h2->head_buf = rg_buf_get_small_for_new(&h2->w->bufs);
    h2->head_no_memory = !h2->head_buf;
    if (h2->head_buf)
        rg_h2_head_init(&h2->head, h2->head_buf->data, h2->head_buf->cap);
    return 0;
}

/* false: the field makes the message malformed. */
static bool add_field(struct rg_h2 *h2, struct rg_str name, struct rg_str value)
{
    enum rg_h2_head_result r = rg_h2_head_add(&h2->head, name, value, &h2->w->limits);
    if (r == RG_H2_HEAD_FULL && rg_h2_grow_head(&h2->w->bufs, &h2->head_buf, &h2->head))
        r = rg_h2_head_add(&h2->head, name, value, &h2->w->limits);
    if (r == RG_H2_HEAD_FULL)
        h2->head_no_memory = true;
    if (rg_h2_head_is_bomb(&h2->head, &h2->w->limits))
        rg_h2_terminate(h2, NGHTTP2_ENHANCE_YOUR_CALM, RG_REASON_H2_FLOOD);
    return r != RG_H2_HEAD_MALFORMED;
}

static int malformed(struct rg_h2 *h2, int32_t stream_id)
{
    h2->head_malformed = true;
    nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_PROTOCOL_ERROR);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    struct rg_h2 *h2 = arg;
    (void)session;
    (void)flags;
    if (h2->head_no_memory || h2->head_malformed || !h2->head_buf)
        return 0;
    struct rg_str n = rg_h2_str(name, name_len), v = rg_h2_str(value, value_len);
    bool good = h2->head_is_trailer ? rg_h2_trailer_add(&h2->head, n, v) : add_field(h2, n, v);
    return good ? 0 : malformed(h2, frame->hd.stream_id);
}

static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                             const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    (void)session;
    (void)name;
    (void)name_len;
    (void)value;
    (void)value_len;
    (void)flags;
    return malformed(arg, frame->hd.stream_id);
}

/* ---- requests ---- */

/* The text that stands for the head, as the first bytes of the stream's input. */
static void give_head(struct rg_h2 *h2, struct rg_h2_stream *s)
{
    struct rg_buf *b = h2->head_buf;
    b->off = h2->head.start;
    b->len = h2->head.len;
    h2->head_buf = NULL;
    rg_input_push(&s->in, b);
}

static enum rg_method method_of(struct rg_str text)
{
    return text.len > 5 && memcmp(text.ptr, "HEAD ", 5) == 0 ? RG_METHOD_HEAD : RG_METHOD_OTHER;
}

static void begin_exchange(struct rg_h2 *h2, struct rg_h2_stream *s)
{
    struct rg_worker *w = h2->w;
    struct rg_h1_request req;
    struct rg_h1_resume resume = {0};
    struct rg_str text = rg_input_front(&s->in);
    enum rg_reason reason = (enum rg_reason)h2->head.reason;
    if (reason == RG_REASON_NONE) {
        int32_t n = rg_h1_parse_request(&resume, text.ptr, text.len, &w->limits, w->fields, &req, &reason);
        /* A text that does not end where its parser ends would be two requests. */
        if (n >= 0 && (size_t)n != text.len)
            reason = RG_REASON_BAD_REQUEST_LINE;
    }
    if (reason != RG_REASON_NONE) {
        rg_exchange_refuse(w, &s->client, method_of(text), reason);
        return;
    }
    req.is_h2 = true;
    req.ends = s->eof;
    req.te_trailers = h2->head.te_trailers;
    req.websocket = h2->head.websocket;
    rg_exchange_begin(w, &s->client, &req, (uint32_t)text.len);
}

/* Nothing of it was looked at: the client may send it again. */
static void refuse_stream(struct rg_h2 *h2, int32_t id, enum rg_reason reason)
{
    rg_metric_refused(h2->w->metrics, reason);
    nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
    drop_head(h2);
}

static void head_complete(struct rg_h2 *h2, int32_t id, bool ends)
{
    enum rg_h2_head_result r = RG_H2_HEAD_OK;
    if (!h2->head_no_memory)
        r = rg_h2_head_end(&h2->head);
    if (r == RG_H2_HEAD_FULL)
        r = rg_h2_grow_head(&h2->w->bufs, &h2->head_buf, &h2->head) ? rg_h2_head_end(&h2->head) : r;
    if (r == RG_H2_HEAD_MALFORMED) {
        malformed(h2, id);
        drop_head(h2);
        return;
    }
    struct rg_h2_stream *s = NULL;
    if (!h2->head_no_memory && r == RG_H2_HEAD_OK && !h2->going)
        s = rg_h2_stream_create(h2, id);
    if (!s) {
        refuse_stream(h2, id, RG_REASON_OUT_OF_BUFFERS);
        return;
    }
    s->eof = ends;
    h2->unanswered = h2->unanswered && !ends;
    give_head(h2, s);
    h2->head_us = 0;
    begin_exchange(h2, s);
}

static void trailer_complete(struct rg_h2 *h2, struct rg_h2_stream *s)
{
    h2->head_us = 0;
    if (s && h2->head_buf && h2->head.len > 0) {
        s->trailers = h2->head_buf;
        s->trailers->len = h2->head.len;
        h2->head_buf = NULL;
    }
    drop_head(h2);
}

/* ---- frames ---- */

static bool is_unfinished(const struct rg_h2_stream *s)
{
    return s && !s->end_sent;
}

/* What the library lets pass, because it keeps no closed streams and no priorities (RFC 9113 5.1, 5.1.1, 6.3). */
static void judge_place(struct rg_h2 *h2, const nghttp2_frame_hd *hd)
{
    bool of_message = hd->type == NGHTTP2_HEADERS || hd->type == NGHTTP2_DATA;
    if (hd->type == NGHTTP2_PRIORITY && hd->stream_id == 0)
        rg_h2_terminate(h2, NGHTTP2_PROTOCOL_ERROR, RG_REASON_H2_PROTOCOL);
    if (hd->type == NGHTTP2_HEADERS && hd->stream_id > h2->last_stream)
        h2->last_stream = hd->stream_id;
    else if (of_message && hd->stream_id > 0 && hd->stream_id <= h2->last_stream && !h2->has_reset &&
             !nghttp2_session_find_stream(h2->session, hd->stream_id))
        rg_h2_terminate(h2, NGHTTP2_STREAM_CLOSED, RG_REASON_H2_PROTOCOL);
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
    (void)session;
    bool moves = hd->type == NGHTTP2_HEADERS || hd->type == NGHTTP2_RST_STREAM ||
                 (hd->type == NGHTTP2_DATA && (hd->length > 0 || (hd->flags & NGHTTP2_FLAG_END_STREAM)));
    if (!moves)
        rg_h2_count_control(arg);
    judge_place(arg, hd);
    return 0;
}

static void take_settings(struct rg_h2 *h2, bool ack)
{
    if (!ack)
        h2->settings_seen = true;
    else if (!h2->settings_acked)
        rg_conn_check_within(h2->w, h2->conn, h2->w->exchange_check_ms); /* it may be idle from here on */
    h2->settings_acked |= ack;
}

/* Counted when it began; nobody asks for what is in it. */
static int skip_extension(nghttp2_session *session, const nghttp2_frame_hd *hd, const uint8_t *data, size_t len,
                          void *arg)
{
    (void)session;
    (void)hd;
    (void)data;
    (void)len;
    (void)arg;
    return NGHTTP2_ERR_CANCEL;
}

static int unpack_extension(nghttp2_session *session, void **payload, const nghttp2_frame_hd *hd, void *arg)
{
    (void)session;
    (void)payload;
    (void)hd;
    (void)arg;
    return NGHTTP2_ERR_CANCEL;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct rg_h2 *h2 = arg;
    struct rg_h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
            if (!h2->head_malformed)
                head_complete(h2, frame->hd.stream_id, ends);
            return 0;
        }
        trailer_complete(h2, s);
        break;
    case NGHTTP2_DATA:
        if (!ends && frame->hd.length > 0 && frame->hd.length == frame->data.padlen) /* nothing but padding */
            rg_h2_count_control(h2);
        break;
    case NGHTTP2_SETTINGS:
        take_settings(h2, frame->hd.flags & NGHTTP2_FLAG_ACK);
        return 0;
    case NGHTTP2_RST_STREAM:
        h2->has_reset = true;
        if (is_unfinished(s))
            rg_h2_count_reset(h2);
        return 0;
    default:
        return 0;
    }
    if (s && ends) {
        s->eof = true;
        h2->unanswered = false;
        rg_h2_stream_touch(s, RG_H2_NOTE_DATA);
    }
    return 0;
}

/* What a WebSocket says before the replica has agreed to it waits: no more of it than the stream's window. */
static bool wants_body(const struct rg_h2_stream *s)
{
    const struct rg_exchange *x = s ? s->client.exchange : NULL;
    if (!x || x->step == RG_STEP_FLUSH)
        return false;
    return !x->request.done || (x->websocket && x->step != RG_STEP_TUNNEL);
}

/* The end of one direction of a WebSocket is not yet that of the stream. */
static bool is_over_in_order(const struct rg_h2_stream *s)
{
    return s->end_sent && (s->eof || !s->tunnel);
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                         void *arg)
{
    struct rg_h2 *h2 = arg;
    struct rg_h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    (void)flags;
    nghttp2_session_consume_connection(session, len);
    rg_h2_count_work(h2, (uint32_t)len, false);
    if (!wants_body(s)) {
        nghttp2_session_consume_stream(session, id, len);
        return 0;
    }
    s->owed += (uint32_t)len;
    if (s->responded) /* both sides talk: something goes back before long */
        h2->unanswered = false;
    bool taken = rg_h2_take(&h2->w->bufs, &s->in, (const char *)data, (uint32_t)len);
    rg_h2_stream_touch(s, taken ? RG_H2_NOTE_DATA : RG_H2_NOTE_NO_MEMORY);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *arg)
{
    struct rg_h2 *h2 = arg;
    struct rg_h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    (void)error_code;
    if (h2->head_us > 0 && h2->head_stream == id)
        drop_head(h2);
    if (!s)
        return 0;
    s->closed = true;
    rg_h2_stream_touch(s, is_over_in_order(s) ? RG_H2_NOTE_SENT : RG_H2_NOTE_GONE);
    return 0;
}

/* ---- what the library sends ---- */

/* We end streams with these; every other code is the answer to something that the client did. */
static bool is_clients_fault(uint32_t error_code)
{
    return error_code != NGHTTP2_NO_ERROR && error_code != NGHTTP2_INTERNAL_ERROR && error_code != NGHTTP2_CANCEL;
}

static int before_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)arg;
    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    struct rg_h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    return s ? rg_h2_stream_head_leaves(s) : 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct rg_h2 *h2 = arg;
    struct rg_h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    switch (frame->hd.type) {
    case NGHTTP2_DATA:
    case NGHTTP2_HEADERS:
        if (s && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
            s->end_sent = true;
            rg_h2_stream_touch(s, RG_H2_NOTE_SENT);
        }
        break;
    case NGHTTP2_RST_STREAM:
        h2->has_reset = true;
        if (is_clients_fault(frame->rst_stream.error_code))
            rg_h2_count_reset(h2);
        break;
    case NGHTTP2_GOAWAY:
        rg_h2_goaway_sent(h2, frame->goaway.error_code);
        break;
    default:
        break;
    }
    return 0;
}

nghttp2_session_callbacks *rg_h2_callbacks_create(void)
{
    nghttp2_session_callbacks *c;
    if (nghttp2_session_callbacks_new(&c) != 0)
        return NULL;
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(c, on_invalid_header);
    nghttp2_session_callbacks_set_on_begin_frame_callback(c, on_begin_frame);
    nghttp2_session_callbacks_set_on_extension_chunk_recv_callback(c, skip_extension);
    nghttp2_session_callbacks_set_unpack_extension_callback(c, unpack_extension);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    nghttp2_session_callbacks_set_before_frame_send_callback(c, before_frame_send);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_send);
    nghttp2_session_callbacks_set_send_data_callback(c, rg_h2_stream_send);
    return c;
}
