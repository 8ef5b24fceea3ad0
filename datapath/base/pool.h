/*
 * Pool: objects of one size in chunks of mapped memory. The most recently returned object is handed out first (its
 * cache lines are warm); a chunk that became empty goes back to the kernel, so memory follows the load down as well as
 * up.
 *
 * Thread: the owner's only. Bounded by max_bytes; get returns NULL there, which callers must expect.
 */
#ifndef RG_BASE_POOL_H
#define RG_BASE_POOL_H

#include <stdint.h>

#include "datapath/base/list.h"

struct rg_pool {
    struct rg_list partial; /* chunks with at least one free object */
    size_t object;          /* bytes */
    size_t chunk_bytes;     /* power of two; chunks are aligned to it */
    uint64_t max_bytes;
    uint64_t bytes; /* mapped now */
    uint64_t used;  /* objects handed out now */
    uint32_t per_chunk;
    uint32_t empty_chunks; /* kept in reserve, at most one */
};

void rg_pool_init(struct rg_pool *pool, size_t object, size_t chunk_bytes, uint64_t max_bytes);
void rg_pool_fini(struct rg_pool *pool); /* every object must have come back */

/* Content undefined. NULL: at max_bytes, or the kernel has no memory. */
void *rg_pool_get(struct rg_pool *pool);
void rg_pool_put(struct rg_pool *pool, void *object);

#endif
