/* What all who read or write JSON share. Thread: any (no state). */
#ifndef RG_COMMON_JSON_H
#define RG_COMMON_JSON_H

#include <jansson.h>
#include <stdio.h>

#include "datapath/base/str.h"

#define RG_JSON_DEPTH_MAX 64

/*
 * A JSON text from somebody else: one value of at most RG_JSON_DEPTH_MAX levels in well-formed UTF-8, no key twice, no
 * NUL in a string. NULL: refused, and `why` says where and what.
 */
json_t *rg_json_parse(struct rg_str text, char *why, size_t why_len);

/* A value of text that may be no UTF-8, such as what somebody sent, perhaps cut within a character: "?" stands for such
 * bytes. NULL: no memory. */
json_t *rg_json_text(struct rg_str text);

/* A string as JSON, with its quotes. Bytes that are not printable ASCII are escaped or replaced. */
void rg_json_string(FILE *out, struct rg_str s);

/* The same for text whose UTF-8 is to stay as it is. Bytes that are not UTF-8 are replaced. */
void rg_json_utf8(FILE *out, struct rg_str s);

#endif
