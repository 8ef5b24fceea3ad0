/*
 * Memory for nghttp2: one allocator for each worker, made of pools of a few sizes, so that the library's many small
 * objects cost no lock and no system call, and what they take is known.
 *
 * Every session asks for one block of 16 KiB in which it puts frames together, and needs it only within a call that
 * sends. The calls of a worker come one after the other, so that all sessions get the same block. The table of streams
 * is a page, nearly always empty while a session is idle, and then it goes back to the kernel. Together that is two
 * thirds of what an idle session would hold.
 * Lifetime: embedded in the worker; every session ends before it. Thread: the worker's.
 */
#ifndef RG_H2_MEM_H
#define RG_H2_MEM_H

#include <nghttp2/nghttp2.h>

#include "datapath/base/pool.h"

#define RG_H2_MEM_CLASSES 9

struct rg_h2_mem {
    nghttp2_mem mem; /* for nghttp2_session_server_new3 */
    struct rg_pool pools[RG_H2_MEM_CLASSES];
    struct rg_pool pages; /* blocks of up to a page, too large for the classes */
    uint64_t large_bytes; /* larger ones */
    void *table;          /* the page that the last session made has got */
    void *frame;          /* the block that all sessions put their frames together in */
    bool creating;        /* within the call that makes a session */
};

void rg_h2_mem_init(struct rg_h2_mem *m);
void rg_h2_mem_fini(struct rg_h2_mem *m);
void rg_h2_mem_trim(struct rg_h2_mem *m); /* each second */
/* A page that holds nothing but zeros needs no memory until it is written to again. false: there is something in it. */
bool rg_h2_mem_give_page(void *page);
uint64_t rg_h2_mem_bytes(const struct rg_h2_mem *m);

#endif
