/*
 * Memory for nghttp2: one allocator for each worker, made of pools of a few sizes, so that the library's many small
 * objects cost no lock and no system call, and what they take is known.
 *
 * Every session asks for one block of 16 KiB in which it puts frames together, and needs it only within a call that
 * sends. The calls of a worker come one after the other, so that all sessions get the same block: what a session holds
 * while it is idle is a third.
 * Lifetime: embedded in the worker; every session ends before it. Thread: the worker's.
 */
#ifndef RG_H2_MEM_H
#define RG_H2_MEM_H

#include <nghttp2/nghttp2.h>

#include "datapath/base/pool.h"

#define RG_H2_MEM_CLASSES 10

struct rg_h2_mem {
    nghttp2_mem mem; /* for nghttp2_session_server_new3 */
    struct rg_pool pools[RG_H2_MEM_CLASSES];
    uint64_t large_bytes; /* blocks beyond the largest class */
    void *frame;          /* the block that all sessions put their frames together in */
    bool creating;        /* within the call that makes a session */
};

void rg_h2_mem_init(struct rg_h2_mem *m);
void rg_h2_mem_fini(struct rg_h2_mem *m);
void rg_h2_mem_trim(struct rg_h2_mem *m); /* each second */
uint64_t rg_h2_mem_bytes(const struct rg_h2_mem *m);

#endif
