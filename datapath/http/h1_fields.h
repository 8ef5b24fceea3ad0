/*
 * The field section of a head (RFC 9112 section 5), the same for requests and responses. Private to datapath/http.
 * Pure, thread: any. Reads left to right, so that a prefix of the input never gets another verdict than the whole.
 */
#ifndef RG_HTTP_H1_FIELDS_H
#define RG_HTTP_H1_FIELDS_H

#include "datapath/http/h1_parse.h"

/* Instead of a reason: no error in the bytes so far, but they are not all. */
#define RG_H1_NEED_MORE RG_REASON_COUNT

/*
 * Parses from *p (the first byte after the start line; buf is where the head begins) to the empty line. When all is
 * there: RG_REASON_NONE, *p stands after the empty line.
 */
enum rg_reason rg_h1_parse_fields(const char *buf, const char **p, const char *end, const struct rg_h1_limits *limits,
                                  bool allow_underscore, struct rg_field *fields, uint16_t *n_fields);

/* CR LF at p. NONE: p moves over it. A lone CR or anything else is BAD_LINE_END. */
static inline enum rg_reason rg_h1_parse_line_end(const char **p, const char *end)
{
    if (end - *p < 2)
        return *p == end || **p == '\r' ? RG_H1_NEED_MORE : RG_REASON_BAD_LINE_END;
    if ((*p)[0] != '\r' || (*p)[1] != '\n')
        return RG_REASON_BAD_LINE_END;
    *p += 2;
    return RG_REASON_NONE;
}

#endif
