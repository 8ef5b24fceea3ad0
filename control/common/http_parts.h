/*
 * The parts of the HTTP server (http_server.h): a connection, the call it may have, and what they ask of each other.
 * Private to control/common/http_*.c. Thread: the loop's.
 */
#ifndef RG_COMMON_HTTP_PARTS_H
#define RG_COMMON_HTTP_PARTS_H

#include "control/common/http_server.h"
#include "control/common/outbuf.h"
#include "datapath/http/h1_write.h"

enum rg_http_phase {
    RG_HTTP_READING,   /* a request is awaited or incomplete */
    RG_HTTP_WAITING,   /* a whole request is the handler's; nothing is read */
    RG_HTTP_STREAMING, /* the handler answers piece by piece */
    RG_HTTP_WRITING,   /* the rest of an answer goes out */
    RG_HTTP_WEBSOCKET,
    RG_HTTP_LINGERING /* the last answer is out, what still comes in is thrown away */
};

/*
 * Made when its head is complete; until its body is, the connection's alone, then the handler's as well. Whichever of
 * the two ends first clears the other's pointer; the handler's end frees it.
 */
struct rg_http_call {
    struct rg_http_connection *connection; /* NULL: gone */
    struct rg_http_request req;
    struct rg_h1_request head;
    struct rg_framing framing;
    struct rg_field *fields;
    char *text; /* the head, which the views of req point into */
    char *body;
    size_t body_len, body_cap;
    struct rg_chunked chunked;
    char *trailers;
    struct rg_peer_text client;
    bool head_only;
    bool said_continue;
    bool chunks; /* of a stream: in the chunked coding, else the connection's end ends it */
    void *owner;
    void (*gone)(struct rg_http_call *call, void *owner);
};

struct rg_http_connection {
    struct rg_list link;
    struct rg_http_server *server;
    struct rg_watch socket;
    uint32_t events; /* watched */
    struct rg_alarm timeout;
    enum rg_http_phase phase;
    bool keep_alive;
    bool broken;               /* to be destroyed in its next turn: the kernel was told */
    struct rg_http_call *call; /* READING (its body comes), WAITING, STREAMING */
    struct rg_ws *ws;          /* WEBSOCKET */
    char *input;               /* of options.head_bytes; NULL while nothing has come */
    size_t input_len;
    struct rg_h1_resume resume;
    struct rg_outbuf output;
};

/* ---- http_connection.c ---- */

int rg_http_connection_create(struct rg_http_server *s, int fd);
void rg_http_connection_destroy(struct rg_http_connection *c); /* tells the handler of its call, or its WebSocket */

/* The output holds (the rest of) an answer: it is sent, then the connection goes on or ends. */
void rg_http_connection_write(struct rg_http_connection *c);
/* The output has more of a stream. */
void rg_http_connection_stream(struct rg_http_connection *c);
/* The output holds the head of a 101. */
void rg_http_connection_upgrade(struct rg_http_connection *c, struct rg_ws *ws);
/* Gives up on the peer; nothing is called back. */
void rg_http_connection_break(struct rg_http_connection *c);

/* ---- http_request.c ---- */

enum rg_http_outcome {
    RG_HTTP_INCOMPLETE,
    RG_HTTP_COMPLETE, /* c->call is a whole request */
    RG_HTTP_REFUSED,  /* the output holds the refusal */
    RG_HTTP_CLOSE     /* not HTTP: nothing to be said */
};

/* Uses up what it can of the connection's input. */
enum rg_http_outcome rg_http_read(struct rg_http_connection *c);

/* ---- http_call.c ---- */

void rg_http_call_free(struct rg_http_call *call);
void rg_http_call_lose(struct rg_http_call *call); /* its connection is gone: tells the handler */

/* An answer of ours into the output, after which the connection ends. */
void rg_http_refuse(struct rg_http_connection *c, enum rg_reason reason);

#endif
