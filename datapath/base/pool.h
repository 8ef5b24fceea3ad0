/*
 * Pool: objects of one size in chunks of mapped memory. The most recently returned object is handed out first (its
 * cache lines are warm); what was not needed for a while goes back to the kernel (rg_pool_trim), so memory follows the
 * load down as well as up.
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
    uint64_t bytes;            /* mapped now */
    uint64_t used;             /* objects handed out now */
    uint64_t peak_used;        /* most handed out at once since the last rg_pool_trim */
    uint64_t peak_used_before; /* the same for the time between the last two */
    uint32_t per_chunk;
    uint32_t n_empty; /* chunks without an object in use */
};

void rg_pool_init(struct rg_pool *pool, size_t object, size_t chunk_bytes, uint64_t max_bytes);
void rg_pool_fini(struct rg_pool *pool); /* every object must have come back */

/* Content undefined. NULL: at max_bytes, or the kernel has no memory. */
void *rg_pool_get(struct rg_pool *pool);
void rg_pool_put(struct rg_pool *pool, void *object);
/* Called each second: gives back empty chunks beyond what was needed in the last two, some at a time. */
void rg_pool_trim(struct rg_pool *pool);
/* Gives back one empty chunk, needed lately or not. false: there is none. */
bool rg_pool_unmap_one(struct rg_pool *pool);
/* The next rg_pool_get needs no memory from the kernel. */
static inline bool rg_pool_has_free(const struct rg_pool *pool)
{
    return !rg_list_empty(&pool->partial);
}

#endif
