/*
 * A WebSocket connection in either role, beside a peer whose frames are written byte by byte: delivered whole and in
 * single bytes, with everything noted that its handler is told.
 */
#ifndef RG_TEST_WS_FIXTURE_H
#define RG_TEST_WS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "control/common/ws.h"

#define FIN        0x80
#define P(literal) (literal), sizeof(literal) - 1

extern struct rg_ws *ws;
extern char events[8192]; /* what the handler was told: "text(...) " and so on */
extern unsigned wakes;
extern void (*during_text)(void);
extern bool by_the_byte; /* how deliver does it */
extern const struct rg_ws_handler all, text_only;

void begin(enum rg_ws_role role, const struct rg_ws_limits *limits, const struct rg_ws_handler *handler);
void end(void);

/* What the peer sends: bytes, or a frame in the shortest form of its length; then all of it arrives. */
void put(const void *bytes, size_t n);
void put_frame(unsigned first, bool masked, const char *payload, size_t len);
void deliver(void);

/* The output as text: opcode and payload of each frame, "1(hello) 8(1000 bye) "; checks its masking. */
void read_output(enum rg_ws_role role, char *ret, size_t cap);

/* All tests twice: delivered whole, and in single bytes. */
int run_both_ways(const char *name, const struct CMUnitTest *tests, size_t n);

#endif
