/*
 * HTTP/1 message framing (RFC 9112 sections 6, 7, 9): how long a body is, whether the connection persists, what the
 * Connection, Expect and Upgrade fields ask for. Chosen once from the head; later code does not ask again.
 *
 * Pure, thread: any. Differences that request smugglers live on are refused here.
 */
#ifndef RG_HTTP_H1_FRAMING_H
#define RG_HTTP_H1_FRAMING_H

#include "datapath/http/h1_parse.h"

enum rg_body_kind {
    RG_BODY_NONE,
    RG_BODY_LENGTH,
    RG_BODY_CHUNKED,
    RG_BODY_EOF /* until the sender's end: of the connection (responses), of the stream (requests of HTTP/2) */
};

#define RG_LISTED_MAX 16 /* names in a Connection field that are not known fields; more are refused */

struct rg_framing {
    uint64_t length; /* RG_BODY_LENGTH */
    uint8_t kind;    /* enum rg_body_kind */
    bool persistent; /* the peer allows another message on this connection */
    bool expect_continue;
    bool websocket;        /* a well-formed request (or 101 response) to upgrade to "websocket"; of HTTP/2: RFC 8441 */
    bool has_length_field; /* a Content-Length stands in the head, value in length; kind is NONE if that is 0 (or HEAD,
                              304) */
    bool te_trailers;      /* requests: the client takes trailers, and the replica is told */
    bool ends_here;        /* requests: OPTIONS or TRACE with "Max-Forwards: 0", not to be forwarded (RFC 9110 7.6.2) */
    bool binds_connection; /* requests: their credentials may become those of the connection to the replica */
    uint8_t n_listed;
    struct rg_str listed[RG_LISTED_MAX]; /* unknown field names that Connection lists: hop-by-hop, to be removed */
    uint64_t listed_ids;                 /* bit i: Connection lists the known field i */
    struct rg_str host; /* requests: authority that counts (absolute form wins), as received; may be empty */
};

struct rg_framing_options {
    uint64_t body_bytes; /* largest announced request body; 0: no limit */
};

/* RG_REASON_NONE, or why the request is refused. The fields still stand in the buffer, with their line ends. */
enum rg_reason rg_h1_frame_request(const struct rg_h1_request *req, const struct rg_framing_options *opt,
                                   struct rg_framing *ret);

/*
 * request_method and upgrade_asked are those of the request that this answers. A 101 that was not asked for, or whose
 * Upgrade differs, is RG_REASON_REPLICA_UNASKED_UPGRADE; ambiguous framing is RG_REASON_REPLICA_FRAMING.
 */
enum rg_reason rg_h1_frame_response(const struct rg_h1_response *res, enum rg_method request_method, bool upgrade_asked,
                                    struct rg_framing *ret);

/* ---- The chunked coding (RFC 9112 7.1), resumable ---- */

#define RG_CHUNK_OVERHEAD_MAX 4096 /* bytes of extensions in one body */
#define RG_TRAILER_MAX        8192 /* bytes of a trailer section, with the last chunk before it */

enum rg_chunked_mode {
    RG_CHUNKED_DATA,   /* spans are body bytes only */
    RG_CHUNKED_FORWARD /* spans are a canonical chunked coding: the input without extensions and forbidden trailers */
};

enum rg_chunked_event {
    RG_CHUNKED_MORE,         /* all input is used and more is needed; span may still hold bytes to pass on */
    RG_CHUNKED_SPAN,         /* span holds bytes to pass on; call again with the rest */
    RG_CHUNKED_NEED_TRAILER, /* in any mode: give RG_TRAILER_MAX bytes, then call with the rest */
    RG_CHUNKED_END,          /* the body is complete; span holds its last bytes (FORWARD), used says where it ended */
    RG_CHUNKED_BAD           /* malformed; reason says why */
};

struct rg_chunked {
    uint64_t left;         /* data bytes left in the current chunk */
    uint64_t body_bytes;   /* data bytes seen so far */
    char *trailer_space;   /* the caller's, RG_TRAILER_MAX bytes, only when asked for */
    uint16_t trailer_len;  /* bytes in trailer_space */
    uint16_t trailer_line; /* where its current line starts */
    uint16_t trailer_seen; /* bytes of the trailer section so far, dropped ones too */
    uint16_t overhead;
    uint8_t mode;
    uint8_t state;
    uint8_t digits;
    uint8_t reason; /* enum rg_reason after RG_CHUNKED_BAD */
};

void rg_chunked_init(struct rg_chunked *c, enum rg_chunked_mode mode);

/* The caller says of a name what the table of known fields says of it. */
bool rg_field_is_forbidden_in_trailer(const struct rg_field *f);

/*
 * Takes input, says how much of it was used and which bytes to pass on. The span points into the input, into
 * trailer_space or to constant data, and is valid until any of them changes. Bytes after the end are not used.
 */
enum rg_chunked_event rg_chunked_step(struct rg_chunked *c, const char *in, size_t len, size_t *used,
                                      struct rg_str *span);

#endif
