/*
 * The bytes of a connection on their way: its socket, and what is asked of the ring for it, in the clear or as TLS
 * records. It decides nothing; client.c does. Thread: that of the worker.
 */
#ifndef RG_LOAD_WIRE_H
#define RG_LOAD_WIRE_H

#include <stdbool.h>
#include <stddef.h>

struct rg_client;
struct rg_worker;

int rg_wire_connect(struct rg_worker *w, struct rg_client *c); /* negative errno */
/*
 * Shutting down comes first where the kernel may still work on the descriptor: its operations hold the socket open
 * when the descriptor is closed.
 */
void rg_wire_close(struct rg_worker *w, struct rg_client *c, bool shut_down);

void rg_wire_receive(struct rg_worker *w, struct rg_client *c); /* unless it does already */
void rg_wire_discard(struct rg_worker *w, struct rg_client *c); /* a large body follows: it need not be looked at */

/* The next piece of the request. */
void rg_wire_send(struct rg_worker *w, struct rg_client *c);
/* What TLS has to say by itself; answered: the server says something in return, which proves that it was sent. */
void rg_wire_send_records(struct rg_worker *w, struct rg_client *c, bool answered);
/* A send is done: goes on with what is left. */
void rg_wire_sent(struct rg_worker *w, struct rg_client *c, size_t n);

#endif
