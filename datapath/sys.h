/*
 * The system calls that the datapath makes beside the ring: all short, none waits. Apart so that tests without a kernel
 * behind them can put others in their place. Thread: the worker's.
 */
#ifndef RG_SYS_H
#define RG_SYS_H

#include "datapath/http/h1_write.h"
#include "datapath/settings.h"

uint64_t rg_sys_now_ns(void);  /* CLOCK_MONOTONIC */
uint64_t rg_sys_unix_us(void); /* wall clock */

/* A socket for the address's family, tuned for a leg to it. Negative errno. */
int rg_sys_socket(const struct sockaddr *to);
/* Once it is connected: nothing that is called on it waits any more (operations of the ring do all the same). */
void rg_sys_connected(int fd);
/* Of a listening socket: a request is acknowledged with its response. What is accepted inherits that; listen() ends it.
 */
void rg_sys_acknowledge_late(int listener);
/* ... and where more has to come before there can be a response: what has come, at once. */
void rg_sys_acknowledge(int fd);
bool rg_sys_may_pace(int fd); /* its congestion control is one that loopback is better off without */
/* Address text and port of the peer; tuning that depends on where it is (loopback), if asked for. UNIX peers have
 * neither. */
void rg_sys_accepted(int fd, bool tune, struct rg_peer_text *peer, uint16_t *port, struct in6_addr *addr);
uint16_t rg_sys_local_port(int fd); /* 0: not TCP */
/* One that waits in the queue of a listening socket, which must not block. Negative errno: -EAGAIN when there is none.
 */
int rg_sys_accept(int listener);

/* Lets a socket that is not connected yet into the sockmap. false: not this one. */
bool rg_sys_mark_for_sockmap(int marks, int fd);

/* Bytes that the peer's kernel has not acknowledged; -1: unknown. */
int64_t rg_sys_unsent(int fd);
/* Something can be read that is not the end. */
bool rg_sys_has_bytes(int fd);
/* An idle connection that has something to read (an end, or bytes nobody asked for) is not fit for reuse. */
bool rg_sys_is_quiet(int fd);
/* The close that follows breaks the connection (RST), so that the peer can't take what it has for the whole. */
void rg_sys_reset_on_close(int fd);
/* New handshakes are not answered any more; those that have begun still complete. false: can't be done for this socket.
 */
bool rg_sys_refuse_handshakes(int fd);

/* A pipe that holds at least least bytes of pages: *ret_in is written to, *ret_out read from. Negative errno. */
int rg_sys_pipe(int *ret_out, int *ret_in, uint32_t *ret_capacity, uint32_t least);
/* Moves at most n bytes between a pipe and a socket, in either direction, without waiting. Negative errno; 0: the end.
 */
int64_t rg_sys_splice(int from, int to, uint64_t n);

/* The same socket under the lowest number that is free; fd itself when none is. */
int rg_sys_renumber(int fd);
bool rg_sys_has_waiting(int fd); /* of a listening socket: a client is in its queue */
void rg_sys_close(int fd);       /* of a connection that no ring has seen */
bool rg_sys_shares_port(int fd); /* SO_REUSEPORT: one of a group, with a queue of its own */

#endif
