/*
 * What regex_compile.c makes and regex.c runs: each character or class of a pattern is a position; a position has a set
 * of those that may follow it. Private to the two. Owner, thread: see regex.h.
 */
#ifndef RG_BASE_REGEX_PARTS_H
#define RG_BASE_REGEX_PARTS_H

#include "datapath/base/regex.h"

#define RG_REGEX_WORDS (RG_REGEX_POSITIONS_MAX / 64)

struct rg_regex_set {
    uint64_t w[RG_REGEX_WORDS];
};

struct rg_regex {
    uint32_t n;
    bool nullable; /* it matches the empty value */
    struct rg_regex_set first, last;
    struct rg_regex_set *follow;      /* of each position */
    struct rg_regex_set accepts[256]; /* positions that take the byte */
};

static inline void rg_regex_set_add(struct rg_regex_set *s, const struct rg_regex_set *more)
{
    for (unsigned i = 0; i < RG_REGEX_WORDS; i++)
        s->w[i] |= more->w[i];
}

#endif
