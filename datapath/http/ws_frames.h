/*
 * Where WebSocket frames begin and end in bytes that pass by (RFC 6455 5.2), so that a tunnel can be left between two
 * of them. Nothing is judged: what the peers say to each other is their business.
 *
 * Pure, and cheap: the head of a frame is looked at, its payload is skipped. Thread: any; one direction each.
 */
#ifndef RG_HTTP_WS_FRAMES_H
#define RG_HTTP_WS_FRAMES_H

#include "datapath/base/str.h"

#define RG_WS_HEAD_MAX 10u /* without the masking key, which counts as payload here */

struct rg_ws_frames {
    uint64_t left; /* bytes of the present frame that are still to come, its head being complete */
    uint8_t have;  /* bytes of a head that isn't */
    bool closed;   /* a Close frame has begun: its sender says nothing after it */
    uint8_t head[RG_WS_HEAD_MAX];
};

void rg_ws_frames_pass(struct rg_ws_frames *f, const char *bytes, size_t len);

/* What has passed by ends in the middle of a frame. */
static inline bool rg_ws_frames_are_cut(const struct rg_ws_frames *f)
{
    return f->have > 0 || f->left > 0;
}

/* In the middle of a head nobody knows where the frame ends. */
static inline bool rg_ws_frames_knows_end(const struct rg_ws_frames *f)
{
    return f->have == 0;
}

#endif
