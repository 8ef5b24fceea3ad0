/*
 * ringgate-floor: bytes from clients to a replica and back by io_uring, and nothing else. What a gateway costs above it
 * is the price of HTTP. It is not a proxy to be used: no limits, no time-outs, no health, no log, no fairness; a
 * replica's answer is whatever the replica sends. It has the gateway's sockets, ring and threads, so that the two are
 * compared by what they do in between. A client has a connection to the replica of its own, or, when the length of the
 * responses is known, one from a pool for each request.
 *
 * main (floor.c) owns everything; a worker belongs to its thread from rg_floor_run's start to its end.
 */
#ifndef RG_BENCH_FLOOR_H
#define RG_BENCH_FLOOR_H

#include "bench/common/start.h"

/* A socket with the options of the gateway's; congestion NULL: the system's. Negative errno. */
int rg_floor_socket(sa_family_t family, const char *congestion);
/* One of a group that shares the port. Negative errno. */
int rg_floor_listen(const struct rg_bench_address *at, const char *congestion);

struct rg_floor_worker;

/* Constant while workers live. */
struct rg_floor_settings {
    const struct rg_bench_address *replica;
    const char *congestion;  /* NULL: the system's */
    uint64_t response_bytes; /* of every response, head and body; 0: unknown, a client keeps its connection */
};

/* Takes the listening socket; wake is an eventfd that ends the worker, and stays the caller's. Negative errno. */
int rg_floor_create(struct rg_floor_worker **ret, int listener, int wake, const struct rg_floor_settings *settings);
/* Relays until wake is written to. Thread: the worker's. 0 or a negative errno. */
int rg_floor_run(struct rg_floor_worker *w);
void rg_floor_destroy(struct rg_floor_worker *w); /* after the thread has ended; takes NULL */

#endif
