/*
 * What is counted. Each worker has its own tally and starts it anew when the measurement begins; main adds them up when
 * the threads have ended.
 */
#ifndef RG_LOAD_TALLY_H
#define RG_LOAD_TALLY_H

#include <stdint.h>

#include "bench/load/histogram.h"

enum rg_error {
    RG_ERROR_CONNECT,
    RG_ERROR_READ,
    RG_ERROR_WRITE,
    RG_ERROR_STATUS,
    RG_ERROR_TIMEOUT,
    RG_ERROR_PROTOCOL,
    RG_ERROR_COUNT
};

/* What the first handshake agreed on. */
struct rg_tls_names {
    const char *version, *cipher; /* static text; NULL: there was none yet */
    char group[32];
};

struct rg_tally {
    uint64_t requests; /* answered with 2xx or 3xx */
    uint64_t bytes_in, bytes_out;
    uint64_t errors[RG_ERROR_COUNT];
    const char *first[RG_ERROR_COUNT]; /* what the first of each was: static text */
    uint64_t behind_requests;
    uint64_t reconnects; /* the server closed a connection between two requests */
    uint64_t enters;     /* io_uring_enter */
    uint64_t warmup_requests;
    uint64_t unfinished;                 /* on their way at the end */
    uint64_t unsent;                     /* open loop: due at the end, their connection still busy */
    uint64_t backlog_begin, backlog_end; /* due and not answered at these moments */
    uint64_t begin, end;                 /* of the measurement, CLOCK_MONOTONIC ns */
    uint64_t cpu_user, cpu_system;
    struct rg_histogram latency, connect;
    struct rg_histogram full, resumed; /* TLS handshakes, from the open connection on */
    struct rg_tls_names tls;
    struct rg_histogram behind; /* open loop: how late a request of a free connection was sent */
};

const char *rg_error_name(enum rg_error e);
uint64_t rg_tally_errors(const struct rg_tally *t);
void rg_tally_note(struct rg_tally *t, enum rg_error e, const char *what);
/* The measurement begins. Connects that failed before it stay: they are missing in it. */
void rg_tally_restart(struct rg_tally *t);
void rg_tally_merge(struct rg_tally *into, const struct rg_tally *from);

#endif
