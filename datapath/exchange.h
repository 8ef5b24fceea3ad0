/*
 * An exchange: one request and its response. exchange.c tells its life, step by step.
 *
 * Lifetime: made when a request head is complete or refused, freed in one function when the last byte of the response
 * has been taken by the kernel, or the client is lost. It borrows its client for its whole life and its
 * side of the replica from acquire to release. Thread: the worker's.
 */
#ifndef RG_EXCHANGE_H
#define RG_EXCHANGE_H

#include "datapath/client.h"
#include "datapath/http/ws_key.h"
#include "datapath/pipes.h"
#include "datapath/policy/run.h"
#include "datapath/pump.h"
#include "datapath/route/snapshot.h"
#include "datapath/server.h"

enum rg_exchange_step {
    RG_STEP_CONNECT, /* has no connection to the replica yet */
    RG_STEP_RELAY,   /* bodies flow, the response head is awaited or passed on */
    RG_STEP_TUNNEL,  /* after 101 */
    RG_STEP_FLUSH    /* everything is in the output; what is left is to send it */
};

/* A body that goes through a pipe: exchange_splice.c. */
struct rg_splice {
    struct rg_pump *pump; /* NULL: none does */
    struct rg_socket *from, *to;
    struct rg_pipe pipe;
    bool unfit; /* the exchange takes no pipe any more */
};

struct rg_exchange {
    struct rg_client *client;
    struct rg_upstream *upstream;     /* where it goes; from the beginning to the end */
    const struct rg_targets *targets; /* where else it could go; NULL: nowhere */
    struct rg_addresses_tried tried;  /* of the endpoint of `upstream` */
    struct rg_snapshot *snapshot; /* pinned: in which its route was found; NULL: it took none, or has let go of it */
    const struct rg_route *route; /* in there; NULL likewise */
    struct rg_server *up;         /* the connection, or a stream on it; NULL: none */
    struct rg_list waiting;       /* upstream->waiting */
    uint8_t step;
    uint8_t method;            /* enum rg_method */
    uint8_t minor;             /* of the client */
    uint8_t reason;            /* enum rg_reason; NONE while all is well */
    uint8_t interims;          /* 1xx passed on */
    uint8_t tries;             /* connects that failed, and after which another place was tried */
    uint8_t slow_tries;        /* those of them that failed otherwise than by a refusal */
    uint16_t status;           /* of the final response; 0: none yet */
    bool keep;                 /* the client connection may go on afterwards */
    bool client_persistent;    /* the client would let it; `keep` may be false nonetheless */
    bool broken_off;           /* the client's message is not whole; its connection ends */
    bool reset;                /* ... and must not end in order, lest the message look whole */
    bool ends_with_connection; /* the response has no length of its own (HTTP/1.0 client) */
    bool expect_continue;      /* the client waits for a 100 before it sends its body */
    bool websocket;
    bool whole_in_head;         /* `head` holds the whole request, body included */
    bool retried;               /* sent again, on a new connection */
    bool responding;            /* a final response head is in the client's output */
    bool own_host;              /* the Host in `head` is that of the target, and changes with it */
    bool up_persistent;         /* the replica allows another request on the connection */
    bool binds_connection;      /* ... which it may take for this client's: nobody else gets it */
    bool logged;                /* an access record is wanted */
    bool policed;               /* its route has policies, and they have seen the request: `policies` */
    struct rg_h1_resume resume; /* of the response head */
    struct rg_pump request, response;
    struct rg_splice splice; /* of one of them */
    struct rg_buf *head;     /* what the replica gets: head, and the body if it was there and small; kept for a retry */
    uint64_t connect_us, connected_us, sent_us, first_byte_us, responding_us; /* 0: not yet */
    uint64_t client_in_ms, client_out_ms, up_ms;                              /* last progress */
    uint64_t leave_since_ms;                                                  /* a tunnel is told goodbye; 0: not yet */
    uint64_t half_closed_ms;             /* the client ended its side after a complete request; 0: it has not */
    uint32_t body_in_head;               /* body bytes in `head` */
    uint64_t request_done_ms;            /* when it was first seen that only the response is missing; 0: not yet */
    uint64_t checked_ms, client_wait_ms; /* for the least rate of a body */
    int64_t unsent, up_unsent; /* bytes that client and replica had not acknowledged when last looked at; -1: not yet */
    uint8_t request_id_len;
    /* of the access record; views into request_buf */
    struct rg_buf *request_buf;
    struct rg_str log_method, log_target, log_host, log_user_agent, log_referer;
    struct rg_str log_route, log_unit; /* views into the unit, of a tunnel into names_buf */
    struct rg_buf *names_buf;
    struct rg_buf *policy_buf; /* with the request's head, where policies look at it when they see the response */
    /* not cleared */
    char request_id[RG_REQUEST_ID_MAX];
    char traceparent[RG_TRACEPARENT_LEN];
    char websocket_key[RG_WS_KEY_LEN + 1]; /* of a WebSocket over HTTP/2: our own, for the replica */
    struct rg_policy_run policies;         /* while `policed` */
};

/* A complete head of head_len bytes stands at the front of the client's input. */
void rg_exchange_begin(struct rg_worker *w, struct rg_client *c, const struct rg_h1_request *req, uint32_t head_len);
/* A head that can't be served; method: if it got so far, for an answer to HEAD has no body. */
void rg_exchange_refuse(struct rg_worker *w, struct rg_client *c, enum rg_method method, enum rg_reason reason);

/* It does not go there any more: whoever chooses where others go counts one less. */
static inline void rg_exchange_leave_upstream(struct rg_exchange *x)
{
    if (RG_UNLIKELY(x->upstream->endpoint != NULL))
        x->upstream->exchanges--;
}

/* Something happened on the client's or the replica's side; the machine runs. */
void rg_exchange_client_event(struct rg_worker *w, struct rg_exchange *x, enum rg_socket_event event);
void rg_exchange_up_event(struct rg_worker *w, struct rg_exchange *x, enum rg_socket_event event);
/* Its request is to go to x->upstream: at first, elsewhere, again, or after a wait in line for a connection. */
void rg_exchange_connect(struct rg_worker *w, struct rg_exchange *x);
/* Looks at the time limits. */
void rg_exchange_check_time(struct rg_worker *w, struct rg_exchange *x);
/* The drain's deadline has come. A WebSocket tunnel is told, and ends soon; false: this one has to be broken off. After
 * it the exchange may be gone. */
bool rg_exchange_leave(struct rg_worker *w, struct rg_exchange *x);
/* Breaks it off (stop, drain deadline). */
void rg_exchange_break(struct rg_worker *w, struct rg_exchange *x, enum rg_reason reason);

#endif
