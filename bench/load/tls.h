/*
 * TLS of a connection: bytes in, bytes out; it never touches a socket and knows no request. Every version and cipher is
 * a choice of the command line, so that all who are measured do the same work; the server's certificate is not
 * verified, since that is work of the generator alone.
 *
 * Records to be sent lie in memory of the connection's slot, which lives as long as the worker: a send that the kernel
 * has not finished when the connection is given up finds its socket shut down, not its memory gone.
 * Thread: that of the worker.
 */
#ifndef RG_LOAD_TLS_H
#define RG_LOAD_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/load/options.h"

struct rg_tally;

enum {
    RG_TLS_RECORD = 16 * 1024,            /* the most plaintext that one takes */
    RG_TLS_OUT = RG_TLS_RECORD + 4 * 1024 /* and what else may wait to be sent with it */
};

/* What a worker's connections have in common. */
struct rg_tls_context {
    SSL_CTX *ctx;
    BIO_METHOD *method;
    const struct rg_load_options *options;
};

struct rg_tls {
    SSL *ssl;             /* of the open connection, or NULL */
    SSL_SESSION *session; /* --tls-resume: the latest, for the next connection */
    const char *in;       /* received and not yet taken; valid during one call only */
    size_t in_left;
    char *out; /* RG_TLS_OUT bytes */
    size_t out_length, out_sent;
    bool sending;   /* the kernel works on out, and will say when it is done */
    bool closed;    /* close_notify has arrived: nothing is missing before it */
    uint64_t start; /* of the handshake */
};

enum rg_tls_step {
    RG_TLS_WANTS_MORE,
    RG_TLS_DONE,
    RG_TLS_FAILED,
};

int rg_tls_context_init(struct rg_tls_context *x, const struct rg_load_options *o); /* negative errno */
void rg_tls_context_fini(struct rg_tls_context *x);

int rg_tls_begin(struct rg_tls *t, const struct rg_tls_context *x); /* negative errno */
void rg_tls_end(struct rg_tls *t);                                  /* the session stays */
void rg_tls_fini(struct rg_tls *t);

/* Bytes of the server; what follows takes them. */
void rg_tls_give(struct rg_tls *t, const char *data, size_t n);
enum rg_tls_step rg_tls_handshake(struct rg_tls *t);
/* RG_TLS_DONE: *ret_n bytes of plaintext are in `to`. */
enum rg_tls_step rg_tls_read(struct rg_tls *t, char *to, size_t size, size_t *ret_n);
/* Makes at most one record of them, as far as there is room in out; returns how many of the bytes are in it. */
size_t rg_tls_write(struct rg_tls *t, const char *data, size_t n);
/* Why the last step failed: static text. */
const char *rg_tls_why(void);
/* A handshake is complete: counts it, with its latency. */
void rg_tls_count(const struct rg_tls *t, struct rg_tally *tally, uint64_t now);

#endif
