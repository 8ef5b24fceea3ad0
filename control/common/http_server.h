/*
 * An HTTP/1.1 server on the control loop: connections, heads, bodies, time limits, writing. What is answered is up to
 * one function of its owner, which answers at once, later, piece by piece (Server-Sent Events), or by becoming a
 * WebSocket. Heads and framing are read by datapath/http, as strictly as on the datapath.
 *
 * Ownership: the listening descriptor and all connections are the server's. A call (one request that waits for its
 * answer) is the handler's until it has answered; it outlives its connection when the client leaves, and then its
 * answer goes nowhere. Thread: the loop's. A slow or silent client holds one of a limited number of connections until
 * its time is up, never the loop.
 */
#ifndef RG_COMMON_HTTP_SERVER_H
#define RG_COMMON_HTTP_SERVER_H

#include <sys/types.h>

#include "control/common/loop.h"
#include "control/common/ws.h"
#include "datapath/base/list.h"
#include "datapath/http/h1_framing.h"

#define RG_HTTP_FIELDS_MAX RG_H1_FIELDS_MAX

struct rg_http_server;
struct rg_http_call;

/* A whole request. Valid until its call was answered. */
struct rg_http_request {
    const struct rg_h1_request *head; /* the method is GET where a client asked HEAD */
    struct rg_str path;               /* as received */
    struct rg_str query;              /* with its '?', or empty */
    struct rg_str host;               /* of Host or the target, with its port */
    struct rg_str body;
    struct rg_str client; /* its address as text; of a trusted peer, what that says; "" when it is not known */
    bool https;           /* the client speaks TLS, says a trusted peer */
    bool websocket;       /* asks for one, well-formed: rg_http_upgrade may be called */
};

struct rg_http_header {
    const char *name;
    const char *value; /* must not have CR, LF or NUL: else the answer becomes a 500 */
};

struct rg_http_reply {
    uint16_t status;
    const char *content_type; /* NULL: application/json */
    struct rg_str body;       /* copied */
    const struct rg_http_header *headers;
    size_t n_headers;
};

struct rg_http_options {
    unsigned connections; /* at most; 0: RG_HTTP_CONNECTIONS */
    uint32_t head_bytes;  /* 0: RG_HTTP_HEAD_BYTES */
    size_t body_bytes;    /* 0: RG_HTTP_BODY_BYTES */
    uint32_t timeout_ms;  /* for a request to come, idle or not, and for an answer to be read; 0: RG_HTTP_TIMEOUT_MS */
    size_t stream_bytes;  /* that may wait for a reader of a stream; 0: RG_HTTP_STREAM_BYTES */
    bool patient;         /* a body has the time again with each piece: for peers that limit slow clients themselves */
    bool same_process;    /* UNIX sockets: clients of this very process only (SO_PEERCRED) */
    bool trusts_forwarding; /* X-Forwarded-For and -Proto are believed: the peer is a gateway of ours */
};

#define RG_HTTP_CONNECTIONS  32u
#define RG_HTTP_HEAD_BYTES   16384u
#define RG_HTTP_BODY_BYTES   65536u
#define RG_HTTP_TIMEOUT_MS   10000u
#define RG_HTTP_STREAM_BYTES 262144u

struct rg_http_server {
    struct rg_loop *loop;
    struct rg_http_options options;
    struct rg_watch listener; /* fd -1: none */
    struct rg_alarm retry;    /* accepting again after a failure */
    struct rg_list connections;
    unsigned n_connections;
    uint64_t *requests,
        *refused; /* counters: requests that reached the handler, connections turned away; may be NULL */
    void *owner;
    /* Takes the call over: answers it now or later, exactly once. */
    void (*handle)(struct rg_http_server *s, struct rg_http_call *call, const struct rg_http_request *req);
    /* A descriptor, or -1 with errno; EMFILE closes the oldest idle connection. NULL: accept4. */
    int (*accept)(struct rg_http_server *s);
};

/* options may be NULL. */
void rg_http_server_init(struct rg_http_server *s, struct rg_loop *loop, const struct rg_http_options *options);

/* Takes over a listening descriptor, non-blocking, and answers from now on. Negative errno (the descriptor is the
 * caller's then). */
int rg_http_server_start(struct rg_http_server *s, int listen_fd);

/* No new connections, none kept; true while answers are still on their way to clients, or calls unanswered. Ends
 * streams and closes WebSockets with RG_WS_GOING_AWAY when first called. */
bool rg_http_server_finish(struct rg_http_server *s);

/* Connections whose descriptor is `fd` or higher. */
uint32_t rg_http_connections_from(const struct rg_http_server *s, int fd);

/* Closes everything; one that was never started is fine. Calls that are open are gone: their answers go nowhere, and
 * the handler still has to give them. */
void rg_http_server_fini(struct rg_http_server *s);

/* ---- Calls ---- */

/* What the handler keeps for a call. `gone` (may be NULL) is called once if the client leaves before the call has
 * ended; the call stays the handler's, which may end it right there. */
void rg_http_call_keep(struct rg_http_call *call, void *owner, void (*gone)(struct rg_http_call *call, void *owner));
const struct rg_http_request *rg_http_call_request(const struct rg_http_call *call);
bool rg_http_call_is_gone(const struct rg_http_call *call);

/* Answers and frees the call. */
void rg_http_reply(struct rg_http_call *call, const struct rg_http_reply *reply);

/* Begins an answer of unknown length. The call stays; it ends with rg_http_stream_end. The body of the reply, if any,
 * is its first piece. To HEAD only the head is sent: that is the whole answer, and nobody reads any more. */
void rg_http_stream_begin(struct rg_http_call *call, const struct rg_http_reply *reply);
/* false: nobody reads it any more, or too slowly (the connection is broken off): end the stream. */
bool rg_http_stream_write(struct rg_http_call *call, struct rg_str piece);
/* Frees the call. */
void rg_http_stream_end(struct rg_http_call *call);

/*
 * Becomes a WebSocket: answers 101, frees the call. The connection carries it; nothing is delivered before a later
 * turn. NULL: the client has gone, or there is no memory (then it was told 500); the call is freed all the same. Only
 * for requests that ask for one (req->websocket).
 */
struct rg_ws *rg_http_upgrade(struct rg_http_call *call, const struct rg_ws_limits *limits,
                              const struct rg_ws_handler *handler, void *owner);

/* ---- Reading a request. Pure. ---- */

struct rg_str rg_http_field(const struct rg_http_request *req, enum rg_field_id id); /* the first, or an empty view */
struct rg_str rg_http_named_field(const struct rg_http_request *req, const char *name); /* one without an id */

struct rg_str rg_http_query(const struct rg_http_request *req); /* without its question mark */
/* A parameter of such a query ("a=1&b=2"), or of a request's, without decoding. false: absent. */
bool rg_http_query_value(struct rg_str query, const char *name, struct rg_str *ret);
bool rg_http_parameter(const struct rg_http_request *req, const char *name, struct rg_str *ret);

/* Percent-decoding of a segment or a parameter ("+" is a blank where plus_is_blank). The length, or -1: malformed, NUL,
 * or more than cap. */
ssize_t rg_http_decode(struct rg_str text, bool plus_is_blank, char *out, size_t cap);

#endif
