/*
 * What sessions of HTTP/2 do with bytes, towards clients and replicas alike: DATA that came in becomes input of a
 * stream, output of a stream becomes DATA of the socket; heads grow with what comes. Thread: the worker's.
 */
#ifndef RG_H2_BYTES_H
#define RG_H2_BYTES_H

#include <nghttp2/nghttp2.h>

#include "datapath/http/h2_head.h"
#include "datapath/pump.h"

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

/* How much of the output goes into the next frame: one segment, so that header and piece need two of the socket's. */
static inline size_t rg_h2_next_piece(const struct rg_output *out, size_t most)
{
    size_t n = out->count > 0 ? out->segments[out->first].len : 0;
    return n < most ? n : most;
}

/* Bytes that are not the block's alone: a copy lets received blocks go, whatever else they hold. false: no memory. */
bool rg_h2_take(struct rg_bufs *bufs, struct rg_input *in, const char *data, uint32_t n);
/* A frame of DATA: its header, and n bytes from the front of `from`. false: no memory. */
bool rg_h2_put_data(struct rg_bufs *bufs, struct rg_output *to, struct rg_output *from, const uint8_t *head,
                    uint32_t n);
/* The block was too small for the head: its bytes move to the largest there is. false: it was that, or no memory. */
bool rg_h2_grow_head(struct rg_bufs *bufs, struct rg_buf **block, struct rg_h2_head *head);
/* The peer takes so little that what it gets should be received in small blocks. */
bool rg_h2_window_is_narrow(nghttp2_session *session, int32_t stream);

#endif
