/*
 * How many blocks the kernel is given to receive into. It goes round all it has, so more than needed cost cache misses,
 * and blocks that it has come back by traffic only; with fewer than needed, receives come back empty-handed. So the
 * number follows the load up at once and down in two seconds, within a share of the memory.
 *
 * Pure arithmetic. Lifetime: embedded in the ring. Thread: the worker's.
 */
#ifndef RG_PROVIDE_H
#define RG_PROVIDE_H

#include <stdint.h>

#define RG_PROVIDED_MAX 1024u /* most blocks that the kernel may fill before the next turn; a power of two */

struct rg_provide {
    unsigned wanted;             /* blocks that the kernel should have */
    unsigned most_taken, before; /* in one turn since the last tick, and between the two before */
};

/* The most that may be provided: an eighth of the memory, and no fewer than it takes to get on. */
unsigned rg_provide_most(uint64_t buffer_limit);
void rg_provide_init(struct rg_provide *p, unsigned most);
/* End of a turn in which the kernel took so many blocks and so many receives wait for one. */
void rg_provide_follow(struct rg_provide *p, unsigned taken, unsigned in_line, unsigned most);
/* Each second. */
void rg_provide_tick(struct rg_provide *p, unsigned most);

#endif
