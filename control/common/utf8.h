/* UTF-8 by RFC 3629, strictly: no overlong forms, no surrogates, nothing beyond U+10FFFF. Thread: any (pure). */
#ifndef RG_COMMON_UTF8_H
#define RG_COMMON_UTF8_H

#include "datapath/base/str.h"

/* Bytes of the well-formed sequence that the text begins with; 0: malformed, or cut off. len > 0. */
size_t rg_utf8_sequence(const char *text, size_t len);

bool rg_utf8_is_valid(struct rg_str text);

/* Copies at most `max` bytes, between two characters, with "?" in the place of what is none. Returns how many. */
size_t rg_utf8_copy(char *to, size_t max, struct rg_str from);

#endif
