/* What the files of a connection to the replica share: h2c_session.c (life), h2c_frames.c (what comes in), h2c_stream.c
 * (a stream as server). Thread: the worker's. */
#ifndef RG_H2C_PARTS_H
#define RG_H2C_PARTS_H

#include <nghttp2/nghttp2.h>

#include "datapath/core.h"
#include "datapath/exchange.h"
#include "datapath/h2/h2_bytes.h"
#include "datapath/h2/h2c.h"

enum rg_h2c_note { RG_H2C_NOTE_DATA = 1, RG_H2C_NOTE_SENT = 2, RG_H2C_NOTE_GONE = 4 };

/* h2c_frames.c. NULL: no memory. */
nghttp2_session_callbacks *rg_h2c_callbacks_create(void);

/* h2c_stream.c */
void rg_h2c_stream_touch(struct rg_h2c_stream *s, enum rg_h2c_note note);
/* It breaks for this reason, unless it has broken before. */
void rg_h2c_stream_break(struct rg_h2c_stream *s, enum rg_reason reason);
int rg_h2c_stream_send(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t length,
                       nghttp2_data_source *source, void *arg);

/* h2c_session.c */
void rg_h2c_mark(struct rg_h2c *h2c); /* it may have something to send */

#endif
