/*
 * A pump moves one body from where it is received to where it is sent, with as much framing work as the two sides need
 * and no copy of large pieces. It is driven by its exchange: run after bytes came in, and after bytes went out.
 *
 * Lifetime: embedded in the exchange. Thread: the worker's. No I/O.
 */
#ifndef RG_PUMP_H
#define RG_PUMP_H

#include "datapath/base/buf.h"
#include "datapath/http/h1_framing.h"
#include "datapath/http/ws_frames.h"

#define RG_PUMP_HIGH 131072u /* bytes waiting to be sent at which a pump stops taking more */
#define RG_PUMP_LOW  65536u  /* ... at or below which receiving goes on */

struct rg_pump {
    union {
        struct rg_chunked chunked;
        struct rg_ws_frames frames; /* raw */
    };
    struct rg_buf *trailer; /* space for a trailer section; held from the last chunk to the end. Of a body that gets its
                               chunks here: the lines that end it, if it has any */
    uint64_t left;          /* RG_BODY_LENGTH: bytes still to come; raw: most that are taken yet */
    uint64_t bytes;         /* body bytes so far, without framing */
    uint64_t max_bytes;     /* 0: no limit */
    uint8_t kind;           /* enum rg_body_kind of what comes in */
    uint8_t reason;         /* enum rg_reason after RG_PUMP_BAD */
    bool add_chunks;        /* what comes in without framing goes out in the chunked coding */
    bool raw;               /* a tunnel: bytes without end */
    bool done;              /* the whole body, and its end, is in the output */
};

enum rg_pump_result {
    RG_PUMP_OK,    /* all input is used, or the body is complete */
    RG_PUMP_FULL,  /* output must be sent first; input is left */
    RG_PUMP_BAD,   /* malformed or over a limit */
    RG_PUMP_NO_BUF /* no memory for what must be written */
};

void rg_pump_init(struct rg_pump *p, const struct rg_framing *framing, enum rg_chunked_mode mode);
void rg_pump_fini(struct rg_pump *p);
enum rg_pump_result rg_pump_run(struct rg_pump *p, struct rg_input *in, struct rg_output *out, struct rg_bufs *bufs);
/* Of a tunnel that speaks WebSocket. */
void rg_pump_init_raw(struct rg_pump *p);
/* The sender has ended its side. RG_PUMP_BAD: in the middle of the body. */
enum rg_pump_result rg_pump_eof(struct rg_pump *p, struct rg_output *out, struct rg_bufs *bufs);

#endif
