/* The simulated world's descriptors, choices and pipes. Which file has what: sim_world.h. */
#include "tests/sim/sim_world.h"

#include <errno.h>
#include <stdlib.h>

struct sim_world sim;

/* ---- the world from outside ---- */

void sim_begin(const struct sim_script *script, struct sim_choices *choices)
{
    memset(&sim, 0, sizeof sim);
    sim.script = *script;
    sim.choices = choices;
    sim.clients_left = script->clients;
    sim.blocks = script->blocks;
    sim.now_ns = 1000000000000ull;
    sim.fds[0].kind = FD_LISTENER;
}

void sim_set_worker(struct rg_worker *w)
{
    sim.worker = w;
}

struct sim_result sim_result(void)
{
    return sim.result;
}

bool sim_next_run(struct sim_choices *c)
{
    while (c->n > 0) {
        if (++c->taken[c->n - 1] < c->options[c->n - 1])
            return true;
        c->taken[--c->n] = 0;
    }
    return false;
}

void sim_end(void)
{
    for (unsigned i = 0; i < SIM_OPS_MAX; i++)
        RG_ASSERT(!sim.ops[i].used || sim.ops[i].op == RG_OP_WAKE);
    for (unsigned i = 0; i < SIM_FDS_MAX; i++)
        RG_ASSERT(sim.fds[i].kind == FD_UNUSED || sim.fds[i].kind == FD_CLOSED);
    for (unsigned i = 0; i < sim.n_slots; i++)
        RG_ASSERT(!sim.slots[i].owner || sim.slots[i].kind == RG_SLOT_MAILBOX);
}

uint64_t sim_now_ns(void)
{
    return sim.now_ns;
}

struct sim_fd *sim_fd_of(int fd)
{
    RG_ASSERT(fd >= SIM_FIRST_FD && fd < SIM_FIRST_FD + SIM_FDS_MAX);
    return &sim.fds[fd - SIM_FIRST_FD];
}

int sim_fd_open_from(int first, enum sim_fd_kind kind, const char *data, uint32_t len)
{
    for (int i = first; i < SIM_FDS_MAX; i++) {
        if (sim.fds[i].kind == FD_UNUSED) {
            sim.fds[i] = (struct sim_fd){.kind = kind, .data = data, .len = len};
            return SIM_FIRST_FD + i;
        }
    }
    abort();
}

static int fd_open(enum sim_fd_kind kind, const char *data, uint32_t len)
{
    return sim_fd_open_from(1, kind, data, len);
}

static bool has_socket(void)
{
    unsigned most = sim.script.sockets, open = 0;
    for (unsigned i = 0; i < SIM_FDS_MAX; i++)
        open += sim.fds[i].kind == FD_UPSTREAM;
    if (sim.script.leaves_at > 0 && sim.result.requests_at_replica >= sim.script.leaves_at)
        most--;
    return sim.naps >= sim.script.no_sockets && (sim.script.sockets == 0 || open < most);
}

int sim_open_upstream(void)
{
    return has_socket() ? fd_open(FD_UPSTREAM, "", 0) : -EMFILE;
}

int sim_renumber(int fd)
{
    int copy = fd_open(sim_fd_of(fd)->kind, sim_fd_of(fd)->data, sim_fd_of(fd)->len);
    sim_close(fd);
    return copy;
}

bool sim_has_waiting(int fd)
{
    return sim_fd_of(fd)->kind == FD_LISTENER && sim.clients_left > 0;
}

/* One descriptor stands for both ends. */
int sim_open_pipe(void)
{
    return fd_open(FD_PIPE, "", 0);
}

void sim_close(int fd)
{
    for (unsigned i = 0; i < SIM_OPS_MAX; i++)
        RG_ASSERT(!sim.ops[i].used || sim.ops[i].fd != fd);
    sim_fd_of(fd)->kind = sim_fd_of(fd)->kind == FD_PIPE ? FD_HALF_PIPE : FD_CLOSED;
}

bool sim_has_block(void)
{
    return sim.script.blocks == 0 || sim.blocks > 0;
}

bool sim_replica_ends(const struct sim_fd *f)
{
    return f->kind == FD_UPSTREAM && (f->left || (sim.script.replica_closes && f->got > 0));
}

/* ---- choices ---- */

bool sim_is_choosing(void)
{
    return sim.result.steps > sim.script.prefix && sim.chosen < sim.script.depth;
}

unsigned sim_choose(unsigned n)
{
    unsigned at = sim.chosen++;
    struct sim_choices *c = sim.choices;
    c->options[at] = n;
    if (at >= c->n) {
        /* Beyond what the odometer says: the first option, to be turned by later runs. */
        c->n = at + 1;
        c->taken[at] = 0;
    }
    RG_ASSERT(c->taken[at] < n); /* the same choices must lead to the same place */
    return c->taken[at];
}

/* ---- splice: a system call that may end in one way or another ---- */

static int64_t splice_in(struct sim_fd *from, struct sim_fd *pipe, uint64_t n)
{
    uint64_t there = from->len;
    if (there > n)
        there = n;
    int64_t usual = there > 0 ? (int64_t)there : sim_replica_ends(from) ? 0 : -EAGAIN;
    const int64_t outcomes[] = {usual, -EAGAIN, -ECONNRESET, 0, 1};
    int64_t r = sim_is_choosing() ? outcomes[sim_choose(there > 1 ? 5 : there > 0 ? 3 : 4)] : usual;
    if (r > 0) {
        from->data += r;
        from->len -= (uint32_t)r;
        pipe->got += (uint32_t)r;
    }
    return r;
}

static int64_t splice_out(struct sim_fd *pipe, struct sim_fd *to, uint64_t n)
{
    RG_ASSERT(n > 0 && n <= pipe->got);
    const int64_t outcomes[] = {(int64_t)n, -EAGAIN, -EPIPE, 1};
    int64_t r = sim_is_choosing() ? outcomes[sim_choose(n > 1 ? 4 : 3)] : (int64_t)n;
    if (r > 0) {
        pipe->got -= (uint32_t)r;
        to->got += (uint32_t)r;
        sim.result.spliced += (uint64_t)r;
    }
    return r;
}

int64_t sim_splice(int from, int to, uint64_t n)
{
    struct sim_fd *f = sim_fd_of(from), *t = sim_fd_of(to);
    RG_ASSERT(f->kind != FD_CLOSED && t->kind != FD_CLOSED);
    if (t->kind == FD_PIPE)
        return splice_in(f, t, n);
    RG_ASSERT(f->kind == FD_PIPE);
    return splice_out(f, t, n);
}
