/*
 * What the command line asks for, checked: everything else trusts it. Read before any thread starts, constant after.
 */
#ifndef RG_LOAD_OPTIONS_H
#define RG_LOAD_OPTIONS_H

#include "bench/common/start.h"

enum {
    RG_LOAD_HEADERS_MAX = 32,
    RG_LOAD_CONNECTIONS_MAX = 1000 * 1000,
    RG_LOAD_THREADS_MAX = 64,
    RG_LOAD_MESSAGE_MAX = 65535,
    RG_LOAD_BODY_MAX = 1 << 28, /* a request is kept in memory, once for all connections */
};

struct rg_load_options {
    const char *target; /* as given */
    struct rg_bench_address address;
    const char *path, *method, *host, *congestion;
    const char *headers[RG_LOAD_HEADERS_MAX];
    unsigned n_headers;
    unsigned connections, active, threads;
    unsigned skew_connections; /* so many of the active ones, chosen by the seed, */
    double skew_share;         /* do this part of the requests; 0: no skew */
    uint64_t seed;             /* of the schedule's phases and of that choice */
    double rate;               /* requests per second of all; 0: closed loop */
    uint64_t duration_ns, warmup_ns, timeout_ns, think_ns;
    uint64_t body_bytes;
    uint64_t message_bytes; /* with websocket */
    uint64_t read_rate;     /* bytes per second of a connection; 0: as fast as they come */
    bool has_body, chunked_upload, per_connection, websocket, quiet;
    bool tls, tls_resume;
    int tls_version;              /* as OpenSSL numbers them */
    const char *tls_cipher, *sni; /* NULL: OpenSSL's choice; no name is sent */
    const char *hgrm, *json;
};

/* RG_GO_ON, or the exit status, with the reason on standard error. */
int rg_load_options_parse(struct rg_load_options *o, int argc, char **argv);

#endif
