/*
 * A stream socket with its kernel operations: what a client connection and a connection to the replica have in common.
 *
 * Lifetime: embedded in its owner. At most one operation of each kind is in flight, each a bit in `inflight`.
 * Ending it is ask (rg_socket_close: cancel), join (every completion is back), close, and only then RG_SOCKET_CLOSED;
 * the owner frees itself in the function that sees this.
 * Thread: the worker's.
 */
#ifndef RG_SOCKET_H
#define RG_SOCKET_H

#include "datapath/ring.h"

struct rg_tls;
struct rg_worker;

enum rg_recv_mode {
    RG_RECV_NONE,
    RG_RECV_MULTI, /* goes on by itself; for peers between messages */
    RG_RECV_ONCE,  /* one provided block; nothing is held while waiting */
    RG_RECV_BULK   /* a large block of our own, for bodies that flow */
};

enum rg_socket_state { RG_SOCKET_OPEN, RG_SOCKET_CLOSING, RG_SOCKET_CLOSED };

enum rg_socket_event {
    RG_SOCKET_NOTHING,
    RG_SOCKET_DATA,       /* bytes were added to `in` */
    RG_SOCKET_EOF,        /* the peer has ended its side; `eof` stays set */
    RG_SOCKET_ERROR,      /* the connection is broken; `broken` stays set */
    RG_SOCKET_SENT,       /* bytes of `out` were taken by the kernel */
    RG_SOCKET_UNSENDABLE, /* the peer takes no more; what it sent before may still be read; `unsendable` stays set */
    RG_SOCKET_CONNECTED,
    RG_SOCKET_SECURE, /* the TLS handshake is done; bytes may have been added to `in` */
    RG_SOCKET_SHUT,   /* our side was ended */
    RG_SOCKET_GONE    /* state is CLOSED now: free it */
};

struct rg_socket {
    struct rg_slot slot;
    int fd;
    uint16_t inflight;  /* bit per enum rg_op */
    uint16_t cancelled; /* closing: the same for those whose cancel was asked for */
    uint8_t state;
    uint8_t armed;       /* enum rg_recv_mode of the receive in flight */
    uint8_t wanted;      /* enum rg_recv_mode: what the owner asked for last */
    bool recv_cancelled; /* the cancel of the receive in flight was asked for */
    bool eof, broken, unsendable;
    bool slow;              /* the peer takes output slowly: it gets small pieces, so that it holds little memory */
    bool fast;              /* the last receive filled its block: more is likely there */
    bool connected;         /* output may be sent */
    bool urgent;            /* others wait for what it receives: goes first, by the reserve, when buffers run short */
    bool shut;              /* the end of our side was asked for */
    bool last;              /* nothing follows the output but the end of the connection */
    bool truncated;         /* of a TLS peer that ended its side without saying so: what it sent may not be whole */
    int error;              /* errno of what broke it */
    uint64_t sent_ms;       /* when output was last taken, or first queued */
    struct rg_buf *bulk;    /* of the receive in flight */
    struct rg_list dirty;   /* in worker->dirty while output waits for the end of the turn */
    struct rg_list starved; /* in worker->starved while it waits for a buffer */
    struct rg_input in;
    struct rg_output out;
    uint32_t piped;     /* bytes of a body that wait in a pipe to be sent (exchange_splice.c), `out` being empty */
    uint32_t sealed;    /* bytes of TLS records that wait to be sent; what they hold is in `out` no longer */
    struct rg_tls *tls; /* NULL: in the clear. See socket_tls.h */
};

static inline bool rg_socket_has_output(const struct rg_socket *s)
{
    return (s->out.bytes | s->piped | s->sealed) > 0;
}

static inline bool rg_socket_in_flight(const struct rg_socket *s, enum rg_op op)
{
    return s->inflight & (1u << op);
}

/* Takes over fd. false: no slot (fd is still the caller's). */
bool rg_socket_init(struct rg_worker *w, struct rg_socket *s, int fd, enum rg_slot_kind kind, void *owner);

/* What should be received from now on; arms, changes or cancels the receive in flight as needed. */
void rg_socket_want(struct rg_worker *w, struct rg_socket *s, enum rg_recv_mode mode);
void rg_socket_connect(struct rg_worker *w, struct rg_socket *s, const struct sockaddr *sa, socklen_t len);
/*
 * A receive that brought more is no piece that the peer holds the next one back for: the kernel acknowledges by itself
 * what fills segments.
 */
#define RG_SOCKET_PIECE 16384u
/* What was received has no answer yet, and nothing that is about to be sent tells the peer that it has come. */
void rg_socket_acknowledge(const struct rg_socket *s);
/* Output was added: it is sent once, at the end of the turn. */
void rg_socket_send_later(struct rg_worker *w, struct rg_socket *s);
/*
 * What is in `out` is the last of this connection, which is closed as soon as it was taken. The kernel keeps its last
 * segment back for the end of the connection, which travels with it. Nothing more is received.
 */
void rg_socket_send_last(struct rg_worker *w, struct rg_socket *s);
/* Instead of a receive or a send, of which none may be in flight: RG_SOCKET_DATA or RG_SOCKET_SENT tells that the
 * socket is ready, or broken. */
void rg_socket_poll_in(struct rg_worker *w, struct rg_socket *s);
void rg_socket_poll_out(struct rg_worker *w, struct rg_socket *s);
void rg_socket_shut_write(struct rg_worker *w, struct rg_socket *s);
/* Ask. May be called more than once. reset: the peer sees a broken connection. */
void rg_socket_close(struct rg_worker *w, struct rg_socket *s, bool reset);

/* Delivers a completion: clears the bit, stores the result, says what happened. */
enum rg_socket_event rg_socket_complete(struct rg_worker *w, struct rg_socket *s, const struct rg_completion *c);

/* End of turn: sends what was queued; arms receives that had found no buffer, as many as there are blocks. */
void rg_socket_flush_all(struct rg_worker *w);
/* Some are in line still, and blocks may be left: those that were armed need not have used them. */
bool rg_socket_line_moves(const struct rg_worker *w);
/* It waits for a block no longer; what is wanted of it is as before. */
void rg_socket_leave_line(struct rg_worker *w, struct rg_socket *s);

#endif
