/*
 * Pipes for bodies that go from socket to socket without a copy. A worker has few: they are for what is large and fast,
 * and whoever finds none copies.
 *
 * Owner: the worker keeps the empty ones; one that is in use belongs to its exchange. Thread: the worker's.
 */
#ifndef RG_PIPES_H
#define RG_PIPES_H

#include <stdbool.h>
#include <stdint.h>

struct rg_worker;

#define RG_PIPES_MAX                                                                                \
    32u /* per worker, used and kept: two descriptors each, and up to 512 KiB of the kernel's pages \
         */

struct rg_pipe {
    int in, out; /* written to, read from */
    uint32_t capacity;
};

struct rg_pipes {
    struct rg_pipe kept[RG_PIPES_MAX];
    uint32_t n_kept, n_used;
};

/* false: all are in use, or descriptors are short. */
bool rg_pipes_take(struct rg_worker *w, struct rg_pipe *ret);
/* empty: nothing is left in it, so that another exchange may have it. */
void rg_pipes_give(struct rg_worker *w, const struct rg_pipe *pipe, bool empty);
void rg_pipes_close_kept(struct rg_worker *w);

#endif
