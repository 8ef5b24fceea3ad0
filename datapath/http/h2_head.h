/*
 * Heads of HTTP/2 (RFC 9113 section 8), requests and responses, brought into the form of HTTP/1: fields come one by one
 * as HPACK decodes them, and become the text of a head that the parser of HTTP/1 reads like any other. So target,
 * authority and fields pass the same checks, and what follows never sees two kinds of requests.
 *
 * Nothing gets into the text that would read as two lines, or as another field than the one that was sent. What a block
 * may bring (size and number of fields) is limited while it is being decoded.
 * Pure: writes into the caller's buffer. Thread: any.
 */
#ifndef RG_HTTP_H2_HEAD_H
#define RG_HTTP_H2_HEAD_H

#include "datapath/http/h1_parse.h"

struct rg_h2_head {
    char *buf; /* the caller's */
    uint32_t cap, len;
    uint32_t start; /* where the text begins; before it stand the pseudo fields */
    uint32_t method, method_len, path, path_len, host, host_len; /* offsets into buf; a length of 0: not sent */
    uint32_t cookie_end; /* offset of the CR LF of the Cookie line; 0: none yet */
    uint32_t bytes;      /* sent so far, those not kept too */
    uint16_t fields;     /* likewise; without pseudo fields */
    uint8_t reason;      /* enum rg_reason: why it will be refused */
    bool has_scheme, has_authority, has_host;
    bool begun; /* the first line is written */
    bool te_trailers;
    bool has_protocol, websocket; /* an extended CONNECT (RFC 8441); ... for that protocol: the text is that of a GET */
    uint16_t status;              /* of a response */
    bool has_length;              /* of a response: Content-Length */
};

enum rg_h2_head_result {
    RG_H2_HEAD_OK,
    RG_H2_HEAD_FULL,     /* a larger buffer is needed; nothing was lost: move the bytes, call again */
    RG_H2_HEAD_MALFORMED /* RFC 9113 8.1.1: a stream error */
};

void rg_h2_head_init(struct rg_h2_head *h, char *buf, uint32_t cap);
enum rg_h2_head_result rg_h2_head_add(struct rg_h2_head *h, struct rg_str name, struct rg_str value,
                                      const struct rg_h1_limits *limits);
/* The block is complete: ends the text, which is buf[start..len). reason tells whether it is to be refused. */
enum rg_h2_head_result rg_h2_head_end(struct rg_h2_head *h);

/* Many times over the limits: not a request that is too large but an attack on the decoder. */
static inline bool rg_h2_head_is_bomb(const struct rg_h2_head *h, const struct rg_h1_limits *limits)
{
    return h->bytes / 4 > limits->head_bytes || h->fields / 4u > limits->fields;
}

/*
 * The same for the head of a response (the replica's): the text is that of a response of HTTP/1.1, from buf[0] on.
 * What is over a limit is REPLICA_HEAD_TOO_LARGE in `reason`, and thrown away.
 */
enum rg_h2_head_result rg_h2_head_add_response(struct rg_h2_head *h, struct rg_str name, struct rg_str value,
                                               const struct rg_h1_limits *limits);
/* no_body: the stream ends with this head. A length of 0 is then said where HTTP/1 would look for one. */
enum rg_h2_head_result rg_h2_head_end_response(struct rg_h2_head *h, bool no_body);

/*
 * A field of a trailer section as a line behind what `h` holds. One that must not stand in a trailer (RFC 9110 6.5.1)
 * is left out, but counts. false: it is malformed, or the section longer than RG_TRAILER_MAX or the room.
 */
bool rg_h2_trailer_add(struct rg_h2_head *h, struct rg_str name, struct rg_str value);

#endif
