/*
 * A worker's own listening socket: multishot accept, which pauses and resumes by itself when descriptors run short.
 * Lifetime: embedded in the worker; ended by rg_listener_close, at once or at the end of a drain.
 * Thread: the worker's.
 */
#ifndef RG_LISTENER_H
#define RG_LISTENER_H

#include "datapath/base/timer.h"
#include "datapath/ring.h"

struct rg_worker;

enum rg_listener_state { RG_LISTENER_OPEN, RG_LISTENER_REFUSING, RG_LISTENER_CLOSING, RG_LISTENER_CLOSED };

struct rg_listener {
    struct rg_slot slot;
    struct rg_timer timer; /* accept again after a failure; close after the last handshake */
    int fd;
    uint16_t port; /* 0: UNIX socket */
    uint8_t index;
    uint8_t state;
    uint16_t inflight;
    bool short_of_fds; /* the last accept failed for want of descriptors or memory: connections wait in the queue */
    bool accepts;      /* while REFUSING: an accept has looked at the queue since the drain began */
    bool pause;        /* the accept that is being cancelled found no descriptor: no other at once */
    bool paces;        /* so do those that it accepts, unless told otherwise */
    bool borrowed;     /* others hold the socket too: it goes on without us */
};

void rg_listener_init(struct rg_worker *w, struct rg_listener *l, int fd, unsigned index);
void rg_listener_complete(struct rg_worker *w, struct rg_listener *l, const struct rg_completion *c);
void rg_listener_timer(struct rg_worker *w, struct rg_listener *l);
/* Takes no new handshakes, serves those that have begun, then closes. */
void rg_listener_drain(struct rg_worker *w, struct rg_listener *l);
void rg_listener_close(struct rg_worker *w, struct rg_listener *l);

#endif
