/*
 * What sessions of HTTP/2 do with bytes, towards clients and replicas alike: DATA that came in becomes input of a
 * stream, output of a stream becomes DATA of the socket; heads grow with what comes. Thread: the worker's.
 */
#ifndef RG_H2_BYTES_H
#define RG_H2_BYTES_H

#include <nghttp2/nghttp2.h>

#include "datapath/http/h2_head.h"
#include "datapath/pump.h"

#define RG_H2_STREAM_WINDOW     65535          /* bytes a peer may send ahead on a stream */
#define RG_H2_CONNECTION_WINDOW (1024u * 1024) /* ... and on all: a slow stream leaves room for others */

#define RG_H2_COPY_MAX 4096u /* smaller pieces are copied next to their frame header */

/* One frame needs two segments of the socket's output at most: its header, and a piece that is not copied. */
static inline bool rg_h2_has_room(const struct rg_output *out)
{
    return out->bytes < RG_PUMP_HIGH && out->count + 2u <= RG_OUT_SEGMENTS;
}

static inline struct rg_str rg_h2_str(const uint8_t *p, size_t n)
{
    return (struct rg_str){(const char *)p, n};
}

/* Bytes that are not the block's alone: a copy lets received blocks go, whatever else they hold. false: no memory. */
bool rg_h2_take(struct rg_bufs *bufs, struct rg_input *in, const char *data, uint32_t n);
/*
 * What the library is told when it asks for the next DATA of a stream: how much of its output, and whether that is the
 * last. The bytes themselves stay where they are (rg_h2_put_data). complete: the pump that has put all of the body into
 * the output, with the trailers that end it; NULL: more may come.
 */
ssize_t rg_h2_next_data(nghttp2_session *session, int32_t stream, const struct rg_output *out, size_t most,
                        const struct rg_pump *complete, uint32_t *flags);
/* A frame of DATA: its header, and n bytes from the front of `from`. false: no memory. */
bool rg_h2_put_data(struct rg_bufs *bufs, struct rg_output *to, struct rg_output *from, const uint8_t *head,
                    uint32_t n);
/*
 * The frames that the session has to send, as far as the socket's output has room. false: a part of a frame found no
 * memory, and as it can't be left out, the connection has to end.
 */
bool rg_h2_fill(struct rg_bufs *bufs, nghttp2_session *session, struct rg_output *out);
/* The block was too small for the head: its bytes move to the largest there is. false: it was that, or no memory. */
bool rg_h2_grow_head(struct rg_bufs *bufs, struct rg_buf **block, struct rg_h2_head *head);
/* The peer takes so little that what it gets should be received in small blocks. */
bool rg_h2_window_is_narrow(nghttp2_session *session, int32_t stream);

#endif
