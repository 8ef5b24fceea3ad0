/*
 * What can happen next in the simulated world: for every operation in flight, how a kernel could end it. The order
 * matters: the first of all is the usual way.
 */
#include "tests/sim/sim_world.h"

#include <errno.h>

#define HALVED 64 /* with script.in_halves: more than this comes in two parts */

static void may(struct sim_options *o, unsigned op, int32_t res, bool last)
{
    if (o->n < SIM_OPTIONS)
        o->list[o->n++] = (struct sim_option){(int)op, res, last};
}

/* The usual outcome stands first. */
static void recv_options(struct sim_options *o, unsigned i)
{
    const struct sim_op *op = &sim.ops[i];
    const struct sim_fd *f = sim_fd_of(op->fd);
    bool one = op->how != MULTI;
    int32_t n = (int32_t)(f->len < RG_BUF_SMALL_CAP ? f->len : RG_BUF_SMALL_CAP);
    if (f->kind == FD_CLIENT && sim.script.cut > 0 && f->data == sim.script.client)
        n = (int32_t)sim.script.cut;
    bool half_first = sim.script.in_halves && n > HALVED && !op->cancelled;
    bool cancel_first = sim.script.in_halves && op->cancelled;
    /* The kernel looks for a block when it gets the receive, and when bytes come. */
    if (op->how != INTO && (op->no_block || (n > 0 && !sim_has_block()))) {
        may(o, i, -ENOBUFS, true);
        n = 0;
    }
    if (cancel_first)
        may(o, i, -ECANCELED, true);
    if (half_first)
        may(o, i, n / 2, one);
    if (n > 0) {
        may(o, i, n, one || op->cancelled);
        if (n > 1 && !op->cancelled && !half_first)
            may(o, i, n / 2, one);
    }
    if (op->cancelled && !cancel_first)
        may(o, i, -ECANCELED, true);
    if (n == 0 && sim_replica_ends(f))
        may(o, i, 0, true);
}

/* Faults of the peers: only where choices are taken. */
static void recv_faults(struct sim_options *o, unsigned i)
{
    const struct sim_fd *f = sim_fd_of(sim.ops[i].fd);
    if (f->len == 0)
        may(o, i, 0, true);
    may(o, i, -ECONNRESET, true);
    if (sim.ops[i].how != INTO && sim.script.blocks == 0)
        may(o, i, -ENOBUFS, true);
}

static void options_of(struct sim_options *o, unsigned i, bool faults)
{
    const struct sim_op *op = &sim.ops[i];
    switch (op->op) {
    case RG_OP_ACCEPT:
        if (op->cancelled)
            may(o, i, -ECANCELED, true);
        if (sim.clients_left > 0)
            may(o, i, SIM_FIRST_FD, false);
        break;
    case RG_OP_RECV:
        recv_options(o, i);
        if (faults)
            recv_faults(o, i);
        break;
    case RG_OP_SEND:
        may(o, i, (int32_t)op->len, true);
        if (faults && op->len > 1)
            may(o, i, 1, true);
        if (faults)
            may(o, i, -EPIPE, true);
        if (op->cancelled)
            may(o, i, -ECANCELED, true);
        break;
    case RG_OP_CONNECT:
        if (!op->refused)
            may(o, i, 0, true);
        if (op->refused || (faults && !sim.script.no_ipv6))
            may(o, i, op->refused ? -sim.script.no_ipv6 : -ECONNREFUSED, true);
        if (op->cancelled)
            may(o, i, -ECANCELED, true);
        break;
    case RG_OP_POLL_IN:
        if (sim_fd_of(op->fd)->len > 0 || sim_replica_ends(sim_fd_of(op->fd)) || faults)
            may(o, i, 1, true);
        if (op->cancelled)
            may(o, i, -ECANCELED, true);
        break;
    case RG_OP_POLL_OUT:
        may(o, i, 4, true);
        if (op->cancelled)
            may(o, i, -ECANCELED, true);
        break;
    case RG_OP_WAKE:
        if (sim.wake_due)
            may(o, i, 8, true);
        break;
    default:
        may(o, i, 0, true);
        if (faults && op->op == RG_OP_CANCEL)
            may(o, i, -ENOENT, true);
        if (faults && op->op == RG_OP_CANCEL)
            may(o, i, -EALREADY, true);
    }
}

static bool comes_last(const struct sim_op *op)
{
    return sim.script.one_by_one && op->op == RG_OP_ACCEPT;
}

void sim_all_options(struct sim_options *o, bool faults)
{
    o->n = 0;
    for (unsigned i = 0; i < SIM_OPS_MAX; i++)
        if (sim.ops[i].used && !comes_last(&sim.ops[i]))
            options_of(o, i, faults);
    for (unsigned i = 0; i < SIM_OPS_MAX; i++)
        if (sim.ops[i].used && comes_last(&sim.ops[i]))
            options_of(o, i, faults);
    if (faults && sim.jumps < 1 && !sim.script.no_ipv6)
        may(o, (unsigned)-1, 0, false);
}
