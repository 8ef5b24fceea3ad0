/* See h2_bytes.h. */
#include "datapath/h2/h2_bytes.h"

#include "datapath/http/h2_write.h"

#define NARROW_WINDOW 16384 /* bytes that a peer lets us send */

bool rg_h2_take(struct rg_bufs *bufs, struct rg_input *in, const char *data, uint32_t n)
{
    while (n > 0) {
        struct rg_buf *b = n > RG_BUF_SMALL_CAP ? rg_buf_get_bulk(bufs) : NULL;
        if (!b)
            b = rg_buf_get_small_for_new(bufs);
        if (!b)
            return false;
        b->len = n < b->cap ? n : b->cap;
        memcpy(b->data, data, b->len);
        data += b->len;
        n -= b->len;
        rg_input_push(in, b);
    }
    return true;
}

/* Lines that end a body, whichever of the two its sender speaks. */
static struct rg_str trailers_of(const struct rg_pump *p)
{
    if (p->kind != RG_BODY_CHUNKED)
        return p->trailer ? (struct rg_str){p->trailer->data, p->trailer->len} : RG_STR_NONE;
    bool some = p->chunked.trailer_len > 2; /* the empty line that ends them is one, too */
    return some ? (struct rg_str){p->chunked.trailer_space, p->chunked.trailer_len} : RG_STR_NONE;
}

static bool submit_trailers(nghttp2_session *session, int32_t stream, struct rg_str lines)
{
    static _Thread_local struct rg_h2_fields fields;
    if (lines.len == 0)
        return false;
    rg_h2_write_trailers(&fields, lines);
    return fields.n > 0 && nghttp2_submit_trailer(session, stream, fields.nv, fields.n) == 0;
}

/* One segment at the most, so that header and piece need two of the socket's. */
ssize_t rg_h2_next_data(nghttp2_session *session, int32_t stream, const struct rg_output *out, size_t most,
                        const struct rg_pump *complete, uint32_t *flags)
{
    size_t n = out->count > 0 ? out->segments[out->first].len : 0;
    n = n < most ? n : most;
    *flags = NGHTTP2_DATA_FLAG_NO_COPY;
    if (complete && n == out->bytes) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (submit_trailers(session, stream, trailers_of(complete)))
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    }
    return (ssize_t)n;
}

bool rg_h2_put_data(struct rg_bufs *bufs, struct rg_output *to, struct rg_output *from, const uint8_t *head, uint32_t n)
{
    if (!rg_output_copy(to, bufs, (const char *)head, 9))
        return false;
    if (n == 0)
        return true;
    const struct rg_segment *piece = &from->segments[from->first];
    bool copied = n <= RG_H2_COPY_MAX && rg_output_copy(to, bufs, piece->buf->data + piece->off, n);
    if (!copied && !rg_output_push(to, piece->buf, piece->off, n))
        return false;
    rg_output_sent(from, n);
    return true;
}

bool rg_h2_fill(struct rg_bufs *bufs, nghttp2_session *session, struct rg_output *out)
{
    const uint8_t *data;
    ssize_t n = 0;
    while (rg_h2_has_room(out) && (n = nghttp2_session_mem_send(session, &data)) > 0)
        if (!rg_output_copy(out, bufs, (const char *)data, (uint32_t)n))
            return false;
    return n >= 0;
}

bool rg_h2_grow_head(struct rg_bufs *bufs, struct rg_buf **block, struct rg_h2_head *head)
{
    struct rg_buf *b = (*block)->cap < RG_BUF_BULK_CAP ? rg_buf_get_bulk(bufs) : NULL;
    if (!b)
        return false;
    memcpy(b->data, head->buf, head->len);
    rg_buf_unref(*block);
    *block = b;
    head->buf = b->data;
    head->cap = b->cap;
    return true;
}

bool rg_h2_window_is_narrow(nghttp2_session *session, int32_t stream)
{
    return nghttp2_session_get_stream_remote_window_size(session, stream) < NARROW_WINDOW ||
           nghttp2_session_get_remote_window_size(session) < NARROW_WINDOW;
}
