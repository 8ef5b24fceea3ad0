/*
 * What is forwarded: the head of a message rewritten for the next hop (RFC 9110 section 7.6, RFC 7239, W3C Trace
 * Context).
 *
 * Pure: writes into the caller's buffer. Runs of fields that stay are copied with one memcpy. Thread: any.
 * Returns the bytes written, or -1 when cap is too small (the caller retries with a larger buffer; nothing was lost).
 */
#ifndef RG_HTTP_H1_WRITE_H
#define RG_HTTP_H1_WRITE_H

#include <netinet/in.h>

#include "datapath/http/h1_framing.h"

#define RG_REQUEST_ID_LEN  36  /* UUIDv7, RFC 9562 */
#define RG_REQUEST_ID_MAX  128 /* a trusted peer's own, at most */
#define RG_TRACEPARENT_LEN 55

/* Text that is the same for all requests of a client connection; made once when it is accepted. */
struct rg_peer_text {
    char ip[46]; /* without brackets */
    uint8_t ip_len;
    bool is_ipv6;
    bool trusted; /* its forwarding fields are kept and extended */
};

/* Text and kind of an address; IPv4 as ::ffff:a.b.c.d. `trusted` stays. */
void rg_peer_text_set(struct rg_peer_text *peer, const struct in6_addr *addr);

struct rg_forward {
    const struct rg_peer_text *peer;
    struct rg_str subject;       /* of the client's certificate, verified by us; empty: none */
    struct rg_str scheme;        /* "http" or "https": what the client used */
    uint16_t listener_port;      /* of X-Forwarded-Port; 0: a UNIX socket, none sent */
    struct rg_str path;          /* normal form */
    struct rg_str host;          /* Host for the upstream instead of the client's; empty: the client's */
    struct rg_str replica_host;  /* Host for the replica when the request has none (HTTP/1.0) */
    struct rg_str websocket_key; /* Sec-WebSocket-Key of the gateway's own; empty: the client's */
    /* Filled by rg_forward_ids: */
    char request_id[RG_REQUEST_ID_MAX];
    uint8_t request_id_len;
    char traceparent[RG_TRACEPARENT_LEN]; /* passed on (with the parent id replaced by ours) or made */
    bool traceparent_is_new;
};

/* 128 bits of per-worker pseudo-random state (xoshiro or like), seeded from getrandom; not for secrets. */
struct rg_rand {
    uint64_t s[4];
};
void rg_rand_seed(struct rg_rand *r);
uint64_t rg_rand_next(struct rg_rand *r);

/* Takes or makes x-request-id and traceparent. unix_ms: wall clock, for the UUIDv7. */
void rg_forward_ids(struct rg_forward *f, const struct rg_h1_request *req, struct rg_rand *rand, uint64_t unix_ms);

/* A request id for a message that has no readable fields. Returns its length. */
uint8_t rg_forward_new_id(char out[RG_REQUEST_ID_LEN], struct rg_rand *rand, uint64_t unix_ms);

/*
 * Request head for the replica: origin-form (or "*"), HTTP/1.1, Host, fields without hop-by-hop and forged ones,
 * framing exactly as decided (Content-Length kept, or Transfer-Encoding: chunked), X-Forwarded-*, Forwarded, Via,
 * x-request-id, traceparent; Upgrade and Connection only for a websocket; Expect only when expect_continue.
 * Names that differ from a guarded one in punctuation only (Content_Length) go. Max-Forwards of OPTIONS and TRACE is
 * counted down; a request that must not go further (rg_framing.ends_here) is not for this function.
 */
int32_t rg_h1_write_request(char *out, size_t cap, const struct rg_h1_request *req, const struct rg_framing *framing,
                            const struct rg_forward *f);
/* Puts another Host into such a head, behind which a body may follow. false: it does not fit into cap bytes. */
bool rg_h1_replace_host(char *head, uint32_t cap, uint32_t *len, struct rg_str host);

struct rg_response_options {
    bool client_http10;  /* the client speaks HTTP/1.0: no chunked, explicit keep-alive */
    bool keep_alive;     /* the client connection stays open after this response */
    bool chunked;        /* the body goes to the client in the chunked coding */
    bool eof_to_chunked; /* chunked although the replica ended it by closing: remove nothing, add Transfer-Encoding */
    struct rg_str request_id; /* x-request-id of the response; empty: none */
};

/* Response head (final or interim) for the client. Status line is rewritten as HTTP/1.1; Via is added; Date is added
 * when missing (final only). */
int32_t rg_h1_write_response(char *out, size_t cap, const struct rg_h1_response *res, const struct rg_framing *framing,
                             const struct rg_response_options *opt, struct rg_str date);

struct rg_own_response {
    uint16_t status;
    struct rg_str content_type; /* empty: no body */
    struct rg_str body;
    bool head_only; /* answer to HEAD: fields without body */
    bool keep_alive;
    bool client_http10;
    uint16_t retry_after;   /* seconds; 0: none */
    struct rg_str location; /* empty: none */
    struct rg_str request_id;
    const struct rg_field
        *fields; /* lines of the gateway's own; these come before the ones that follow from the rest */
    uint16_t n_fields;
    bool may_store; /* else Cache-Control: no-store */
};

/* One of its lines is this field. */
static inline bool rg_h1_own_has(const struct rg_own_response *r, enum rg_field_id id)
{
    for (unsigned i = 0; i < r->n_fields; i++)
        if (r->fields[i].id == id)
            return true;
    return false;
}

/* A complete response that the gateway itself makes (refusals, health). */
int32_t rg_h1_write_own_response(char *out, size_t cap, const struct rg_own_response *r, struct rg_str date);

/* The body of a refusal: one line of JSON with status, reason and text. */
int32_t rg_h1_write_refusal_body(char *out, size_t cap, enum rg_reason reason, struct rg_str request_id);

struct rg_str rg_status_phrase(uint16_t status);

#define RG_DATE_LEN 29 /* IMF-fixdate, RFC 9110 5.6.7 */
void rg_http_date(char out[RG_DATE_LEN], int64_t unix_seconds);

#define RG_TIMESTAMP_LEN 27 /* RFC 3339 in UTC with microseconds, as logs write it */
void rg_timestamp(char out[RG_TIMESTAMP_LEN], uint64_t unix_us);

#endif
