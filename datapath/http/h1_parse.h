/*
 * HTTP/1 message syntax (RFC 9112 sections 2 to 5): bytes in, views out, a verdict with a reason. Strict by default.
 *
 * Pure: no I/O, no allocation, no state but what the caller passes. Thread: any.
 * Ownership: the caller owns buffer and field array; results are views into the buffer and die with it.
 * What a message's body is (framing) is decided in h1_framing.h; what is forwarded, in h1_write.h.
 */
#ifndef RG_HTTP_H1_PARSE_H
#define RG_HTTP_H1_PARSE_H

#include "datapath/base/reasons.h"
#include "datapath/http/http.h"

#define RG_H1_FIELDS_MAX 256 /* the largest value limits.headers may take; field arrays are this long */

struct rg_h1_limits {
    uint32_t head_bytes;   /* whole head, start line to the empty line */
    uint32_t field_bytes;  /* one field line */
    uint32_t target_bytes; /* request target */
    uint16_t fields;       /* number of field lines, <= RG_H1_FIELDS_MAX */
    bool allow_underscore; /* else a name with '_' is refused (look-alikes of framing fields) */
};

/* Zero before the first byte of a message. Keeps a slow drip of bytes from costing quadratic time. */
struct rg_h1_resume {
    uint32_t seen;   /* bytes searched for the end of the head already */
    uint32_t parsed; /* length of the buffer when it was last parsed in full */
};

enum rg_target_form { RG_TARGET_ORIGIN, RG_TARGET_ABSOLUTE, RG_TARGET_AUTHORITY, RG_TARGET_ASTERISK };

struct rg_h1_request {
    struct rg_str method;
    struct rg_str target;    /* as received */
    struct rg_str authority; /* of an absolute or authority form, else empty */
    struct rg_str path;      /* of an origin or absolute form, as received, "/" if absent; "*" for the asterisk form */
    struct rg_str query;     /* with its '?', or empty */
    struct rg_field *fields; /* the caller's array */
    uint16_t n_fields;
    uint16_t n_added;    /* the last of them, put there by policies: written as they are. The parser clears it */
    uint8_t minor;       /* HTTP/1.minor: 0 or 1 (1.2 to 1.9 count as 1) */
    uint8_t method_id;   /* enum rg_method */
    uint8_t target_form; /* enum rg_target_form */
    bool path_is_plain;  /* no '%', no "/." : already in normal form */
    /* The parser clears these; who made the text of a request of HTTP/2 sets them (h2_head.h). */
    bool is_h2;
    bool ends;        /* ... and no body follows */
    bool te_trailers; /* ... with "te: trailers" */
    bool websocket;   /* ... an extended CONNECT (RFC 8441), whose text is that of a GET */
};

struct rg_h1_response {
    struct rg_str reason_phrase;
    struct rg_field *fields;
    uint16_t n_fields;
    uint16_t n_added; /* as in a request */
    uint16_t status;  /* 100 to 999 */
    uint8_t minor;    /* 2: who made the text of a response of HTTP/2 says so (h2_head.h) */
};

/*
 * Returns the length of the head (> 0) when it is complete, 0 when more bytes are needed, -1 when it is malformed or
 * over a limit (then *reason says why). The buffer may have moved between calls; bytes already passed must not change.
 * Up to two empty lines before a request are skipped and count into the length.
 */
int32_t rg_h1_parse_request(struct rg_h1_resume *resume, const char *buf, size_t len, const struct rg_h1_limits *limits,
                            struct rg_field *fields, struct rg_h1_request *ret, enum rg_reason *reason);

/*
 * The same for a response; reasons are RG_REASON_REPLICA_MALFORMED and RG_REASON_REPLICA_HEAD_TOO_LARGE. Underscores
 * are allowed.
 */
int32_t rg_h1_parse_response(struct rg_h1_resume *resume, const char *buf, size_t len,
                             const struct rg_h1_limits *limits, struct rg_field *fields, struct rg_h1_response *ret,
                             enum rg_reason *reason);

/*
 * The normal form of a path (RFC 3986 6.2.2): unreserved escapes decoded, escapes in upper case, dot segments resolved
 * (never above the root); "//", "%2f" and ";" stay. Returns the length written, at most path.len; -1 for a bad escape.
 */
int32_t rg_h1_normalize_path(struct rg_str path, char *out);

/* One field line of a trailer section, without its CR LF; underscores are allowed. false: malformed. */
bool rg_h1_parse_field_line(const char *line, size_t len, struct rg_field *ret);

#endif
