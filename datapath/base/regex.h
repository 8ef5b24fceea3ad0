/*
 * Regular expressions over whole values, with a cost that nobody can blow up: linear in the value, without memory of
 * its own, a lock, or backtracking. The C library's takes both while it matches.
 *
 * Syntax as in RE2, as far as it means anything without captures: . [a-z] [^...] [[:alpha:]] \d \w \s ( ) (?: ) | * + ?
 * {n,m}, (?i) in front; ^ and $ are allowed around an alternative and mean nothing, for a value matches whole or not.
 * Bytes are bytes: a class of characters beyond ASCII is refused. No back-references, no look-around.
 *
 * Owner: the arena it was compiled into; immutable. Thread: any.
 */
#ifndef RG_BASE_REGEX_H
#define RG_BASE_REGEX_H

#include "datapath/base/arena.h"

#define RG_REGEX_POSITIONS_MAX 256  /* characters and classes of a pattern, repetitions written out */
#define RG_REGEX_VALUE_MAX     4096 /* longer values match nothing */

struct rg_regex;

/* -EINVAL with a sentence in why ("at 5: there is nothing to repeat"), or -ENOMEM. */
int rg_regex_compile(struct rg_arena *arena, struct rg_str pattern, const struct rg_regex **ret, char *why,
                     size_t why_size);
bool rg_regex_matches(const struct rg_regex *re, struct rg_str value);

#endif
