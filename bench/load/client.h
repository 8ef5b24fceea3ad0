/*
 * A connection and the request on it. Completions and due times come in, client.c decides what is next.
 *
 *   CLOSED -> QUEUED -> CONNECTING -> IDLE -> BUSY -> IDLE ...      kept connection
 *                         HANDSHAKE                                 in between, with TLS
 *                         BUSY                                      then, before it is a WebSocket
 *                                       WAITING                     skewed load: no credit yet
 *                                     BUSY -> DRAINING -> CLOSED    last response: the server closes first
 *
 * Any error: counted, closed, opened again after a pause. Thread: that of the worker.
 */
#ifndef RG_LOAD_CLIENT_H
#define RG_LOAD_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/load/reader.h"
#include "bench/load/tls.h"

struct rg_request;
struct rg_worker;

enum rg_client_state {
    RG_CLIENT_CLOSED, /* without a descriptor; what comes next is in the schedule, if anything */
    RG_CLIENT_QUEUED,
    RG_CLIENT_CONNECTING,
    RG_CLIENT_HANDSHAKE, /* with TLS */
    RG_CLIENT_IDLE,
    RG_CLIENT_WAITING,
    RG_CLIENT_BUSY,
    RG_CLIENT_DRAINING,
};

struct rg_client {
    int fd;
    uint32_t generation; /* of the descriptor, 24 bits */
    uint8_t state;       /* enum rg_client_state */
    bool active, heavy;
    bool tried, paused;  /* its first connect has ended; it waits after an error */
    bool asked, served;  /* a request has begun; this connection has answered one */
    bool receiving;      /* an operation is in flight */
    bool bulk;           /* bodies are large: they are discarded without being looked at */
    bool in_light_queue; /* see rg_worker.light */
    int write_error;     /* sending failed; what was received says whether that matters */
    uint64_t start;      /* what latency counts from */
    uint64_t progress;   /* when a byte last moved */
    uint64_t due;        /* start of the next request */
    uint64_t interval;   /* open loop */
    uint64_t connect_start;
    uint64_t read_at;                 /* slow reader: not before */
    const struct rg_request *request; /* the next one, or the one under way */
    size_t sent;                      /* of the request; with TLS what is in records */
    struct rg_tls *tls;               /* NULL: in the clear */
    struct rg_reader reader;
};

enum rg_operation {
    RG_OPERATION_NONE, /* nobody waits for it */
    RG_OPERATION_CONNECT,
    RG_OPERATION_SEND,
    RG_OPERATION_RECEIVE,
    RG_OPERATION_DISCARD,
};

struct rg_completion {
    enum rg_operation operation;
    int result;
    bool more;        /* the operation goes on */
    const char *data; /* RECEIVE */
};

void rg_client_init(struct rg_worker *w, struct rg_client *c, unsigned number, bool heavy);
void rg_client_open(struct rg_worker *w, struct rg_client *c);
/* Connects what waits for it, as many at a time as the worker may. */
void rg_client_connect_next(struct rg_worker *w);
/* The load begins. */
void rg_client_begin(struct rg_worker *w, struct rg_client *c);
void rg_client_complete(struct rg_worker *w, struct rg_client *c, const struct rg_completion *done);
/* What the schedule had for it is due. */
void rg_client_due(struct rg_worker *w, struct rg_client *c);
/* Now and then: has it waited too long? */
void rg_client_check(struct rg_worker *w, struct rg_client *c);

#endif
