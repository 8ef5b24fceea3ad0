/* See h2_bytes.h. */
#include "datapath/h2/h2_bytes.h"

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
