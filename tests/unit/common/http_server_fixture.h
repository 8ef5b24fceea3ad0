/*
 * The control side's HTTP server with a handler that answers at once, later, in pieces, or as a WebSocket, by the path;
 * and clients for it. One thread: clients act between turns.
 */
#ifndef RG_TEST_HTTP_SERVER_FIXTURE_H
#define RG_TEST_HTTP_SERVER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <sys/socket.h>

#include "control/common/http_server.h"

#define HOST "Host: a:7\r\n"
#define UPGRADE                                                                                              \
    "GET /ws HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
#define KEY "\x01\x01\x01\x01" /* of a client's frames */

extern struct rg_loop loop;
extern struct rg_http_server server;
extern uint64_t requests, refused;
extern struct rg_http_call *kept; /* what the handler has not answered yet */
extern unsigned gone;             /* clients of it */
extern struct rg_ws *ws;
extern char ws_events[1024];
extern struct sockaddr_storage at; /* where it listens */
extern socklen_t at_len;

void start(int family, const struct rg_http_options *options);
void stop(void);
void turn_for(uint64_t ms);

int dial(void);
void say(int fd, const char *text);
#define REPLY_MAX (1 << 18)
extern char reply[REPLY_MAX];
extern size_t reply_len;
/* What comes until nothing more does, in `reply`. Returns whether the server closed. */
bool hear(int fd);
bool starts(const char *with); /* of the reply */
const char *body(void);

#endif
