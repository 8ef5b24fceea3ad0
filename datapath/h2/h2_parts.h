/* What the files of datapath/h2 share: h2_session.c (life), h2_frames.c (what comes in), h2_stream.c (a stream as
 * client), h2_limits.c (what a client may cost). Thread: the worker's. */
#ifndef RG_H2_PARTS_H
#define RG_H2_PARTS_H

#include <nghttp2/nghttp2.h>

#include "datapath/core.h"
#include "datapath/exchange.h"
#include "datapath/h2/h2.h"
#include "datapath/h2/h2_bytes.h"
#include "datapath/http/h2_head.h"

#define RG_H2_UNREAD_MAX 16
#define RG_H2_UNREAD_MS  1000

enum rg_h2_note { RG_H2_NOTE_DATA = 1, RG_H2_NOTE_SENT = 2, RG_H2_NOTE_GONE = 4, RG_H2_NOTE_NO_MEMORY = 8 };

/* What a client costs without getting anything done: h2_limits.c. */
struct rg_h2_budget {
    uint64_t second;   /* the one that resets are counted in */
    int32_t resets;    /* ... beyond streams that were finished */
    uint64_t since_ms; /* when control frames were last forgiven */
    uint32_t control;  /* control frames that may still come */
};

struct rg_h2 {
    struct rg_worker *w;
    struct rg_conn *conn;
    nghttp2_session *session;
    struct rg_list dirty; /* w->h2.dirty while it may have something to send */
    struct rg_list streams, touched;
    struct rg_buf *head_buf; /* of the block of fields that is coming in, one at a time (RFC 9113 4.3) */
    struct rg_h2_head head;
    uint64_t head_us; /* when it began; 0: none is coming */
    struct rg_h2_budget budget;
    uint64_t begun_ms, drain_ms, ending_ms; /* 0: not yet */
    uint32_t n_streams;
    int32_t head_stream;
    uint16_t generation; /* counts streams that ended, so that a walk over them knows */
    bool head_malformed, head_no_memory, head_is_trailer;
    bool settings_seen, settings_acked;
    bool has_reset;      /* a stream was reset, by either side: frames for closed streams may be on their way */
    int32_t last_stream; /* the highest that the client has begun */
    bool table_given;    /* the kernel has the page of the streams' table back */
    void *table;         /* that page; NULL: the library's table is not a page */
    uint8_t n_unread;
    struct {
        int32_t id;
        uint64_t since_ms;
    } unread[RG_H2_UNREAD_MAX]; /* streams whose exchange is over and whose request is not, the oldest first */
    bool going;                 /* no stream is begun any more */
    bool unanswered;            /* something small has come since the last turn, which no stream answers by itself */
};

/* h2_frames.c. NULL: no memory. */
nghttp2_session_callbacks *rg_h2_callbacks_create(void);

/* h2_stream.c */
struct rg_h2_stream *rg_h2_stream_create(struct rg_h2 *h2, int32_t id);
void rg_h2_stream_touch(struct rg_h2_stream *s, enum rg_h2_note note);
void rg_h2_reset_unread(struct rg_h2 *h2); /* those that have had their time */
/* The library is about to send a HEADERS frame: 0, or NGHTTP2_ERR_CANCEL for one that was taken back. */
int rg_h2_stream_head_leaves(struct rg_h2_stream *s);
int rg_h2_stream_send(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t length,
                      nghttp2_data_source *source, void *arg);

/* h2_session.c */
void rg_h2_mark(struct rg_h2 *h2); /* it may have something to send */
/* The connection ends with GOAWAY; what is open is cut when that was sent. */
void rg_h2_terminate(struct rg_h2 *h2, uint32_t error_code, enum rg_reason reason);
void rg_h2_goaway_sent(struct rg_h2 *h2, uint32_t error_code);

/* h2_limits.c */
void rg_h2_budget_init(struct rg_h2 *h2);
void rg_h2_count_reset(struct rg_h2 *h2);    /* by the client, or by us for what it did */
void rg_h2_count_finished(struct rg_h2 *h2); /* a stream, completely */
void rg_h2_count_control(struct rg_h2 *h2);  /* a frame that moves nothing */
/* all: of data to the client, that no window kept back any of it. Small messages earn as much as large ones. */
void rg_h2_count_work(struct rg_h2 *h2, uint32_t bytes, bool all);

#endif
