/*
 * A WebSocket connection (RFC 6455) between its bytes and its messages, for either role. wslay reads and writes the
 * frames; what a peer may send, and when, is decided here. No I/O: whoever carries the bytes (the HTTP server, libcurl,
 * a fuzzer) puts in what it received and takes out what is to be sent.
 *
 * Owner: the carrier creates and destroys it. Who speaks on it (the `owner` of the handler) may do so until `ended` was
 * called, or until it has let go of it (rg_ws_disown). Everything may be called from within a callback.
 * Thread: that of the carrier.
 */
#ifndef RG_COMMON_WS_H
#define RG_COMMON_WS_H

#include "datapath/http/ws_key.h"

enum rg_ws_role { RG_WS_CLIENT, RG_WS_SERVER };

enum rg_ws_code { /* RFC 6455 7.4.1 */
                  RG_WS_NORMAL = 1000,
                  RG_WS_GOING_AWAY = 1001,
                  RG_WS_PROTOCOL_ERROR = 1002,
                  RG_WS_UNSUPPORTED = 1003,
                  RG_WS_NO_STATUS = 1005, /* the peer gave none; never sent */
                  RG_WS_LOST = 1006,      /* the connection ended without a Close; never sent */
                  RG_WS_BAD_DATA = 1007,
                  RG_WS_POLICY = 1008,
                  RG_WS_TOO_BIG = 1009,
                  RG_WS_INTERNAL = 1011
};

#define RG_WS_MESSAGE_MAX 1048576u /* the limits where none are given */
#define RG_WS_OUTPUT_MAX  4194304u
#define RG_WS_CONTROL_MAX 125u /* bytes of a ping; of the reason of a close: two fewer */

struct rg_ws_limits {
    size_t message_bytes; /* of a message that comes in, fragments together; 0: RG_WS_MESSAGE_MAX */
    size_t output_bytes;  /* that wait for a peer who does not read; 0: RG_WS_OUTPUT_MAX */
};

struct rg_ws;

/* Views are valid during the call. Every function but `text` may be NULL. */
struct rg_ws_handler {
    void (*text)(void *owner, struct rg_ws *ws, struct rg_str message);
    void (*binary)(void *owner, struct rg_ws *ws, struct rg_str message); /* NULL: ends the connection with 1003 */
    void (*ping)(void *owner, struct rg_ws *ws, struct rg_str payload);   /* the pong is already on its way */
    void (*pong)(void *owner, struct rg_ws *ws, struct rg_str payload);
    /*
     * Once, the last of all calls: nothing more will come in, nothing more can be sent. The code is the peer's when it
     * was the first to close, ours when we were (what was wrong, or what rg_ws_close said), RG_WS_LOST when the
     * connection ended without a word. Never called from within the functions of who speaks.
     */
    void (*ended)(void *owner, struct rg_ws *ws, uint16_t code, struct rg_str reason);
};

/* NULL: no memory. The handler must outlive the connection. */
struct rg_ws *rg_ws_create(enum rg_ws_role role, const struct rg_ws_limits *limits, const struct rg_ws_handler *handler,
                           void *owner);

/* ---- For who speaks ---- */

/* false: not sent, because the connection is ending, or is given up now as the peer does not read (1008). */
bool rg_ws_send_text(struct rg_ws *ws, struct rg_str message); /* UTF-8 is up to the caller */
bool rg_ws_send_ping(struct rg_ws *ws, struct rg_str payload);

/* Begins the close handshake: what was sent before still goes out first. `reason` is cut to what fits. */
void rg_ws_close(struct rg_ws *ws, uint16_t code, struct rg_str reason);

/* No callback from now on. The connection closes, with RG_WS_GOING_AWAY when nobody has said otherwise. */
void rg_ws_disown(struct rg_ws *ws);

size_t rg_ws_output_bytes(const struct rg_ws *ws); /* that wait to be sent */

/* The peer is not read from until this is taken back; what has been read already still comes. For a carrier that can.
 */
void rg_ws_pause(struct rg_ws *ws, bool paused);

/* ---- For who carries ---- */

/* Calls back for what the bytes complete. Bytes after the end of the conversation are ignored. */
void rg_ws_receive(struct rg_ws *ws, const char *bytes, size_t len);

struct rg_str rg_ws_output(const struct rg_ws *ws); /* to be sent; empty: nothing. Valid until any other call */
void rg_ws_sent(struct rg_ws *ws, size_t n);

/* Calls `wake_carrier` whenever there is something to be sent after there was nothing, we have said Close, the
 * conversation is over, or it is paused or goes on: from within any function above. */
void rg_ws_on_wake(struct rg_ws *ws, void (*wake_carrier)(void *carrier), void *carrier);

/* Both sides have said Close, or the peer must be left after an error: once the output is sent, the carrier ends the
 * connection (a server at once, a client gives the server a moment to do it). */
bool rg_ws_is_over(const struct rg_ws *ws);

/* Nothing more is to be received now. */
bool rg_ws_is_paused(const struct rg_ws *ws);

/* We have said Close and wait for the peer's: not for ever, says the carrier's clock. */
bool rg_ws_is_closing(const struct rg_ws *ws);

/* The connection is gone, or is given up: `ended` is called unless it was. Within a callback: at its end. NULL is fine.
 */
void rg_ws_destroy(struct rg_ws *ws);

/* ---- The handshake (RFC 6455 section 4), as texts ---- */

void rg_ws_new_key(char ret[RG_WS_KEY_LEN + 1]); /* random */

/*
 * The client's request. `fields`: further field lines, each with its CR LF, or "". The length, or -1 when it does not
 * fit.
 */
int rg_ws_write_request(char *out, size_t cap, const char *host, const char *target, const char *key,
                        const char *fields);

struct rg_ws_answer {
    uint16_t status;           /* 0: no HTTP response */
    bool accepted;             /* 101, and everything is as it must be */
    struct rg_str retry_after; /* views into the input */
    const char *wrong;         /* not accepted: what was wrong with a 101, or with the response; a constant */
};

/*
 * The server's answer. The length of its head when that is complete (what follows is the body, or frames), 0: more
 * bytes are needed, -1: it is none (ret->wrong says why).
 */
int32_t rg_ws_read_answer(const char *bytes, size_t len, const char *key, struct rg_ws_answer *ret);

#endif
