/* A request head: bytes in, views out. Pure. Thread: any. */
#ifndef RG_ORIGIN_REQUEST_H
#define RG_ORIGIN_REQUEST_H

#include "bench/origin/codec.h"

enum {
    RG_HEAD_MAX = 64 * 1024, /* a longer request head is malformed */
    RG_FIELDS_MAX = 512,     /* fields in it */
};

struct rg_field {
    struct rg_view name, value;
};

enum rg_framing { RG_FRAMING_NONE, RG_FRAMING_LENGTH, RG_FRAMING_CHUNKED };

struct rg_request {
    struct rg_view line, method, target, path, query; /* query without its question mark */
    unsigned minor;                                   /* of HTTP/1.x */
    unsigned n_fields;
    enum rg_framing framing;
    uint64_t length; /* RG_FRAMING_LENGTH */
    bool is_head, keep_alive, expect_continue, has_query;
    struct rg_field fields[RG_FIELDS_MAX];
};

enum rg_parse { RG_PARSE_OK, RG_PARSE_MORE, RG_PARSE_BAD };

/* OK: *ret is filled and *ret_used says how long the head is. BAD: *ret_why is a static text. */
enum rg_parse rg_request_parse(const char *data, size_t n, struct rg_request *ret, size_t *ret_used,
                               const char **ret_why);
bool rg_request_field(const struct rg_request *req, const char *name, struct rg_view *ret);
bool rg_field_line_parse(struct rg_view line, struct rg_field *ret); /* without its CRLF */

#endif
