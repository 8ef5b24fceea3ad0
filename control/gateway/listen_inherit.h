/*
 * Listening sockets from a service manager: LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES (systemd's socket activation).
 * Thread: the control thread, once at start.
 */
#ifndef RG_GATEWAY_LISTEN_INHERIT_H
#define RG_GATEWAY_LISTEN_INHERIT_H

#include "datapath/settings.h"

#define RG_INHERIT_MAX (RG_LISTENERS_MAX * RG_WORKERS_MAX)

struct rg_inherited {
    uint16_t n;
    int fds[RG_INHERIT_MAX]; /* -1: matched */
    char names[4096];        /* LISTEN_FDNAMES, for messages */
};

/* The addresses of those inherited sockets of [::] that take no IPv4, at most max. Changes nothing, so that flags and
 * file can be checked first. */
uint16_t rg_inherit_v6_only(struct rg_address *ret, uint16_t max);

/* Takes the descriptors that were passed to this process, sets them close-on-exec and non-blocking, and clears the
 * variables. */
void rg_inherit_collect(struct rg_inherited *ret);

/* Moves the sockets bound to address into ret, at most max. Returns how many. */
uint16_t rg_inherit_match(struct rg_inherited *in, const struct rg_address *address, int *ret, uint16_t max);

/* Closes those that no listener asked for, with a warning each. */
void rg_inherit_close_rest(struct rg_inherited *in);

bool rg_inherit_shares_port(int fd); /* SO_REUSEPORT is set: more sockets may be bound beside it */

#endif
