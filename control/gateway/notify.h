/*
 * The service manager's protocol (sd_notify): short datagrams to the socket that NOTIFY_SOCKET names. Without one,
 * everything here does nothing. Thread: the control thread.
 */
#ifndef RG_GATEWAY_NOTIFY_H
#define RG_GATEWAY_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

struct rg_notify {
    int fd; /* -1: nobody to tell */
    struct sockaddr_un peer;
    uint32_t peer_len;
    uint64_t watchdog_ms; /* how often the manager wants to hear from us at the latest; 0: it doesn't */
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. A malformed one is an error (negative errno) and leaves it
 * silent. */
int rg_notify_init(struct rg_notify *n);
void rg_notify_fini(struct rg_notify *n);

/* Lines of NAME=value, separated by line feeds. Negative errno when the datagram could not be sent. */
int rg_notify_send(const struct rg_notify *n, const char *format, ...) __attribute__((format(printf, 2, 3)));

int rg_notify_ready(const struct rg_notify *n);
int rg_notify_reloading(
    const struct rg_notify *n); /* with MONOTONIC_USEC, as Type=notify-reload wants; end it by ready */
int rg_notify_stopping(const struct rg_notify *n);
int rg_notify_watchdog(const struct rg_notify *n);

#endif
