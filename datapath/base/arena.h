/*
 * An arena: memory that is taken in pieces and given back at once. For values that are built once and then only read: a
 * unit, an artifact, the parameters of policies.
 *
 * Owner: whoever embeds it. Thread: one at a time; what is in it may be read by any.
 */
#ifndef RG_BASE_ARENA_H
#define RG_BASE_ARENA_H

#include "datapath/base/str.h"

struct rg_arena_block;

struct rg_arena {
    struct rg_arena_block *blocks; /* the one that is being filled first */
    size_t used, size;             /* of that one */
    size_t bytes;                  /* asked for, in all */
};

static inline void rg_arena_init(struct rg_arena *a)
{
    *a = (struct rg_arena){0};
}

void rg_arena_fini(struct rg_arena *a); /* an arena of zeros is fine; it is empty afterwards */

/* Zeroed, aligned for any type. NULL: no memory. Nothing but a pointer that is not NULL where bytes is 0. */
void *rg_arena_alloc(struct rg_arena *a, size_t bytes);
/* n of them; NULL where the product overflows, too. */
void *rg_arena_array(struct rg_arena *a, size_t n, size_t size);
/* A copy, with a NUL behind it. false: no memory. */
bool rg_arena_copy(struct rg_arena *a, struct rg_str s, struct rg_str *ret);

#endif
