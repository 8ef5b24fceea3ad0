/* What ws.c (output and the end) and ws_input.c share. See ws.h for owner and thread. */
#ifndef RG_COMMON_WS_PARTS_H
#define RG_COMMON_WS_PARTS_H

#include <wslay/wslay.h>

#include "control/common/outbuf.h"
#include "control/common/ws.h"

#define RG_WS_FRAME_HEAD_MAX 14                      /* bytes before the payload, masking key included */
#define RG_WS_REASON_MAX     (RG_WS_CONTROL_MAX - 2) /* the code takes two */

struct rg_ws_message {
    uint8_t opcode; /* 0: none is being put together */
    char *bytes;
    size_t len, cap;
};

struct rg_ws {
    enum rg_ws_role role;
    struct rg_ws_limits limits;
    const struct rg_ws_handler *handler; /* NULL: nobody listens any more */
    void *owner;
    void (*wake)(void *carrier);
    void *carrier;
    wslay_frame_context_ptr frames;

    struct rg_str input;          /* what is being received now */
    struct rg_ws_message message; /* fragments so far */
    bool in_frame;                /* of the present frame more payload is to come */
    uint8_t opcode;               /* of the present frame */
    bool is_last;                 /* ... it ends its message */
    uint64_t left;                /* ... payload bytes */
    uint8_t control_len;          /* ... payload so far, of a control frame */
    char control[RG_WS_CONTROL_MAX];

    struct rg_outbuf output;

    bool paused;
    bool said_close, got_close, failed; /* failed: nothing more is read */
    bool ended;                         /* the handler was told */
    uint16_t code;                      /* with which we closed */
    uint8_t reason_len;
    char reason[RG_WS_REASON_MAX];

    unsigned busy; /* calls on the stack that need the object after a callback */
    bool doomed;   /* destroyed meanwhile */
};

/* ---- ws.c ---- */

/* Around what calls back: between the two, a destroyed object stays. */
void rg_ws_enter(struct rg_ws *ws);
void rg_ws_leave(struct rg_ws *ws);

bool rg_ws_is_listening(const struct rg_ws *ws); /* there is somebody to be called */

/* One whole frame at the end of the output. false: no memory, or no randomness. */
bool rg_ws_write_frame(struct rg_ws *ws, uint8_t opcode, struct rg_str payload);

/* The peer broke a rule, or we can't go on: says so, reads nothing more, and tells the handler. */
void rg_ws_fail(struct rg_ws *ws, uint16_t code, const char *why);
void rg_ws_take_close(struct rg_ws *ws, struct rg_str payload);

/* ---- ws_input.c ---- */

ssize_t rg_ws_take_input(uint8_t *buf, size_t len, int flags, void *arg); /* for wslay; arg: a struct rg_ws */

#endif
