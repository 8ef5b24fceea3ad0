/*
 * Access records: one per exchange, from a worker to the control thread through a bounded single-producer,
 * single-consumer byte ring. The worker copies raw values; formatting and writing happen on the control thread.
 * A full ring loses the record and counts it.
 */
#ifndef RG_ACCESS_LOG_H
#define RG_ACCESS_LOG_H

#include "datapath/base/reasons.h"

struct rg_access_record {
    uint64_t unix_us;     /* wall clock when the request's first byte came */
    uint64_t duration_us; /* to the last byte of the response */
    uint64_t replica_us;  /* to the first byte of the replica's response; 0: none */
    uint64_t connect_us;  /* new connection to the replica; 0: reused or none */
    uint64_t bytes_in;    /* request body, without framing */
    uint64_t bytes_out;   /* response body, without framing */
    uint16_t status;      /* 0: the connection ended without a response */
    uint16_t worker;
    uint16_t peer_port;
    uint8_t reason; /* enum rg_reason */
    uint8_t minor;  /* HTTP/1.minor of the client */
    bool http2;     /* ... or HTTP/2.0 */
    bool reused;    /* kept connection to the replica */
    bool tls;
    bool complete; /* the response reached the client whole */
    bool retried;
    struct rg_str peer; /* address text */
    struct rg_str method;
    struct rg_str target; /* as received */
    struct rg_str host;
    struct rg_str user_agent;
    struct rg_str referer;
    struct rg_str request_id;
    struct rg_str traceparent;
    struct rg_str upstream;                          /* of the route; empty: none */
    struct rg_str unit, route;                       /* that the request took; empty: none */
    struct rg_str policy;                            /* that answered; empty: none */
    struct rg_str tls_version, tls_cipher, tls_name; /* empty: in the clear; tls_name: what the client asked for */
};

struct rg_access_ring;

/* bytes: rounded up to a power of two, at least 128 KiB (twice the largest record). NULL: no memory. */
struct rg_access_ring *rg_access_ring_create(size_t bytes);
void rg_access_ring_destroy(struct rg_access_ring *ring);

/* Worker only. false: no room, nothing written. Strings longer than 4 KiB are cut. */
bool rg_access_ring_put(struct rg_access_ring *ring, const struct rg_access_record *record);

/*
 * Control thread only. false: empty. The strings of the record point into the ring and are valid until
 * rg_access_ring_next or rg_access_ring_take is called; both give the record's room back to the worker (next without a
 * taken record does nothing).
 */
bool rg_access_ring_take(struct rg_access_ring *ring, struct rg_access_record *ret);
void rg_access_ring_next(struct rg_access_ring *ring);

#endif
