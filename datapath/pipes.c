/* See pipes.h. */
#include "datapath/pipes.h"

#include "datapath/core.h"

#define CAPACITY_LEAST 65536u /* a pipe that holds less brings less than it costs */

static void close_pipe(const struct rg_pipe *p)
{
    rg_sys_close(p->in);
    rg_sys_close(p->out);
}

static bool open_pipe(struct rg_worker *w, struct rg_pipe *p)
{
    if (rg_sys_pipe(&p->out, &p->in, &p->capacity, CAPACITY_LEAST) < 0)
        return false;
    if (rg_worker_may_hold(w, p->in) && rg_worker_may_hold(w, p->out))
        return true;
    close_pipe(p);
    return false;
}

bool rg_pipes_take(struct rg_worker *w, struct rg_pipe *ret)
{
    struct rg_pipes *pipes = &w->pipes;
    if (pipes->n_used == RG_PIPES_MAX)
        return false;
    if (pipes->n_kept > 0)
        *ret = pipes->kept[--pipes->n_kept];
    else if (!open_pipe(w, ret))
        return false;
    pipes->n_used++;
    return true;
}

void rg_pipes_give(struct rg_worker *w, const struct rg_pipe *pipe, bool empty)
{
    struct rg_pipes *pipes = &w->pipes;
    RG_ASSERT(pipes->n_used > 0);
    pipes->n_used--;
    if (empty)
        pipes->kept[pipes->n_kept++] = *pipe;
    else
        close_pipe(pipe);
}

void rg_pipes_close_kept(struct rg_worker *w)
{
    while (w->pipes.n_kept > 0)
        close_pipe(&w->pipes.kept[--w->pipes.n_kept]);
}
