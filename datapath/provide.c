/* See provide.h. */
#include "datapath/provide.h"

#include "datapath/base/buf.h"

#define LEAST 64u /* blocks, however little happens */
#define FLOOR 32u /* blocks, however little memory there is */
#define SHARE 8u  /* the part of the memory that may lie with the kernel: 1/8 */

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned rg_provide_most(uint64_t buffer_limit)
{
    uint64_t share = buffer_limit / SHARE / RG_BUF_SMALL;
    return share < FLOOR ? FLOOR : share < RG_PROVIDED_MAX ? (unsigned)share : RG_PROVIDED_MAX;
}

/* Twice what a turn took: one that took all would have taken more. */
static unsigned enough_for(unsigned taken)
{
    return taken < RG_PROVIDED_MAX / 2 ? 2 * taken : RG_PROVIDED_MAX;
}

void rg_provide_init(struct rg_provide *p, unsigned most)
{
    *p = (struct rg_provide){.wanted = smaller(LEAST, most)};
}

void rg_provide_follow(struct rg_provide *p, unsigned taken, unsigned in_line, unsigned most)
{
    unsigned need = enough_for(taken);
    if (taken > p->most_taken)
        p->most_taken = taken;
    if (in_line > need)
        need = in_line;
    if (need > p->wanted)
        p->wanted = need;
    p->wanted = smaller(p->wanted, most);
}

void rg_provide_tick(struct rg_provide *p, unsigned most)
{
    unsigned need = enough_for(p->most_taken > p->before ? p->most_taken : p->before);
    p->wanted = smaller(need > LEAST ? need : LEAST, most);
    p->before = p->most_taken;
    p->most_taken = 0;
}
