/*
 * ring.h in the simulated world (sim.h). What it asserts is what the kernel would punish late or never: a descriptor
 * closed while an operation waits on it, two operations of a kind on one slot, a completion for a freed owner, a slot
 * freed twice.
 */
#include "datapath/ring.h"

#include <errno.h>
#include <stdlib.h>

#include "datapath/base/metric.h"
#include "tests/sim/sim.h"

#define OPS_MAX   256
#define FDS_MAX   256
#define SLOTS_MAX 256
#define OPTIONS   64
#define STEPS_MAX 4000
#define HALVED    64 /* with script.in_halves: more than this comes in two parts */

enum how { PLAIN, MULTI, PROVIDED, INTO };
enum fd_kind { FD_UNUSED, FD_LISTENER, FD_CLIENT, FD_UPSTREAM, FD_PIPE, FD_HALF_PIPE, FD_CLOSED };

struct op {
    bool used, cancelled;
    bool no_block; /* there was none when it was submitted */
    struct rg_slot slot;
    enum rg_op op;
    enum how how;
    int fd;
    char *to;
    uint32_t len;
};

struct fd {
    enum fd_kind kind;
    const char *data; /* what the peer has sent and we have not received */
    bool ended;       /* EOF was delivered */
    uint32_t got;     /* bytes the peer took; of a pipe: bytes in it */
};

struct slot {
    void *owner;
    enum rg_slot_kind kind;
    uint32_t generation;
};

/* One thing that can happen next. */
struct option {
    int op; /* index; -1: time passes */
    int32_t res;
    bool last; /* no more from a multishot */
};

struct rg_ring {
    struct rg_bufs *bufs;
    struct rg_metrics *metrics;
    struct rg_completion ready;
    bool has_ready;
};

static struct {
    struct sim_script script;
    struct sim_choices *choices;
    struct rg_worker *worker;
    struct sim_result result;
    struct op ops[OPS_MAX];
    struct fd fds[FDS_MAX];
    struct slot slots[SLOTS_MAX];
    unsigned n_slots, chosen;
    uint64_t now_ns;
    unsigned clients_left, jumps, naps;
    unsigned blocks; /* provided and not taken; with script.blocks */
    bool stop_posted, wake_due;
} sim;

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
    for (unsigned i = 0; i < OPS_MAX; i++)
        RG_ASSERT(!sim.ops[i].used || sim.ops[i].op == RG_OP_WAKE);
    for (unsigned i = 0; i < FDS_MAX; i++)
        RG_ASSERT(sim.fds[i].kind == FD_UNUSED || sim.fds[i].kind == FD_CLOSED);
    for (unsigned i = 0; i < sim.n_slots; i++)
        RG_ASSERT(!sim.slots[i].owner || sim.slots[i].kind == RG_SLOT_MAILBOX);
}

uint64_t sim_now_ns(void)
{
    return sim.now_ns;
}

static struct fd *fd_of(int fd)
{
    RG_ASSERT(fd >= SIM_FIRST_FD && fd < SIM_FIRST_FD + FDS_MAX);
    return &sim.fds[fd - SIM_FIRST_FD];
}

static int fd_open_from(int first, enum fd_kind kind, const char *data)
{
    for (int i = first; i < FDS_MAX; i++) {
        if (sim.fds[i].kind == FD_UNUSED) {
            sim.fds[i] = (struct fd){.kind = kind, .data = data};
            return SIM_FIRST_FD + i;
        }
    }
    abort();
}

static int fd_open(enum fd_kind kind, const char *data)
{
    return fd_open_from(1, kind, data);
}

int sim_open_upstream(void)
{
    return sim.naps < sim.script.no_sockets ? -EMFILE : fd_open(FD_UPSTREAM, "");
}

int sim_renumber(int fd)
{
    int copy = fd_open(fd_of(fd)->kind, fd_of(fd)->data);
    sim_close(fd);
    return copy;
}

bool sim_has_waiting(int fd)
{
    return fd_of(fd)->kind == FD_LISTENER && sim.clients_left > 0;
}

/* One descriptor stands for both ends. */
int sim_open_pipe(void)
{
    return fd_open(FD_PIPE, "");
}

void sim_close(int fd)
{
    for (unsigned i = 0; i < OPS_MAX; i++)
        RG_ASSERT(!sim.ops[i].used || sim.ops[i].fd != fd);
    fd_of(fd)->kind = fd_of(fd)->kind == FD_PIPE ? FD_HALF_PIPE : FD_CLOSED;
}

/* ---- slots ---- */

struct rg_slot rg_ring_slot_get(struct rg_ring *ring, enum rg_slot_kind kind, void *owner)
{
    (void)ring;
    RG_ASSERT(sim.n_slots < SLOTS_MAX);
    sim.slots[sim.n_slots] = (struct slot){owner, kind, 7};
    return (struct rg_slot){sim.n_slots++, 7};
}

void rg_ring_slot_put(struct rg_ring *ring, struct rg_slot slot)
{
    (void)ring;
    RG_ASSERT(sim.slots[slot.index].owner);
    for (unsigned i = 0; i < OPS_MAX; i++)
        RG_ASSERT(!sim.ops[i].used || sim.ops[i].slot.index != slot.index);
    sim.slots[slot.index].owner = NULL;
}

/* ---- operations ---- */

static bool has_block(void)
{
    return sim.script.blocks == 0 || sim.blocks > 0;
}

static struct op *submit(struct rg_slot slot, enum rg_op op, int fd, enum how how)
{
    RG_ASSERT(sim.slots[slot.index].owner);
    struct op *at = NULL;
    for (unsigned i = 0; i < OPS_MAX; i++) {
        RG_ASSERT(!(sim.ops[i].used && sim.ops[i].slot.index == slot.index && sim.ops[i].op == op));
        if (!sim.ops[i].used && !at)
            at = &sim.ops[i];
    }
    RG_ASSERT(at);
    *at = (struct op){.used = true, .slot = slot, .op = op, .how = how, .fd = fd, .no_block = !has_block()};
    if (fd >= SIM_FIRST_FD)
        RG_ASSERT(fd_of(fd)->kind != FD_CLOSED && fd_of(fd)->kind != FD_UNUSED);
    return at;
}

void rg_ring_accept(struct rg_ring *ring, struct rg_slot slot, int fd)
{
    (void)ring;
    submit(slot, RG_OP_ACCEPT, fd, MULTI);
}

void rg_ring_recv_multi(struct rg_ring *ring, struct rg_slot slot, int fd)
{
    (void)ring;
    submit(slot, RG_OP_RECV, fd, MULTI);
}

void rg_ring_recv_once(struct rg_ring *ring, struct rg_slot slot, int fd, bool expect_wait)
{
    (void)ring;
    (void)expect_wait;
    submit(slot, RG_OP_RECV, fd, PROVIDED);
}

void rg_ring_recv_into(struct rg_ring *ring, struct rg_slot slot, int fd, void *to, uint32_t len)
{
    (void)ring;
    struct op *op = submit(slot, RG_OP_RECV, fd, INTO);
    op->to = to;
    op->len = len;
}

void rg_ring_send(struct rg_ring *ring, struct rg_slot slot, int fd, const struct iovec *iov, unsigned n)
{
    (void)ring;
    struct op *op = submit(slot, RG_OP_SEND, fd, PLAIN);
    for (unsigned i = 0; i < n; i++)
        op->len += (uint32_t)iov[i].iov_len;
}

void rg_ring_connect(struct rg_ring *ring, struct rg_slot slot, int fd, const struct sockaddr *sa, socklen_t len)
{
    (void)ring;
    (void)sa;
    (void)len;
    submit(slot, RG_OP_CONNECT, fd, PLAIN);
}

void rg_ring_shutdown(struct rg_ring *ring, struct rg_slot slot, int fd, int how)
{
    (void)ring;
    (void)how;
    submit(slot, RG_OP_SHUTDOWN, fd, PLAIN);
}

void rg_ring_poll(struct rg_ring *ring, struct rg_slot slot, int fd, enum rg_op op)
{
    (void)ring;
    submit(slot, op, fd, PLAIN);
}

void rg_ring_cancel(struct rg_ring *ring, struct rg_slot slot, enum rg_op op)
{
    (void)ring;
    for (unsigned i = 0; i < OPS_MAX; i++)
        if (sim.ops[i].used && sim.ops[i].slot.index == slot.index && sim.ops[i].op == op)
            sim.ops[i].cancelled = true;
    submit(slot, RG_OP_CANCEL, 0, PLAIN);
}

void rg_ring_close(struct rg_ring *ring, struct rg_slot slot, int fd)
{
    (void)ring;
    for (unsigned i = 0; i < OPS_MAX; i++)
        RG_ASSERT(!sim.ops[i].used || sim.ops[i].fd != fd); /* joined */
    submit(slot, RG_OP_CLOSE, fd, PLAIN);
}

void rg_ring_read_event(struct rg_ring *ring, struct rg_slot slot, int fd, uint64_t *to)
{
    (void)ring;
    (void)to;
    submit(slot, RG_OP_WAKE, fd, PLAIN);
}

/* ---- what can happen next ---- */

struct options {
    struct option list[OPTIONS];
    unsigned n;
};

static void may(struct options *o, unsigned op, int32_t res, bool last)
{
    if (o->n < OPTIONS)
        o->list[o->n++] = (struct option){(int)op, res, last};
}

static bool replica_ends(const struct fd *f)
{
    return f->kind == FD_UPSTREAM && sim.script.replica_closes && f->got > 0;
}

/* The usual outcome stands first. */
static void recv_options(struct options *o, unsigned i)
{
    const struct op *op = &sim.ops[i];
    const struct fd *f = fd_of(op->fd);
    bool one = op->how != MULTI;
    int32_t n = (int32_t)strlen(f->data);
    bool half_first = sim.script.in_halves && n > HALVED && !op->cancelled;
    bool cancel_first = sim.script.in_halves && op->cancelled;
    /* The kernel looks for a block when it gets the receive, and when bytes come. */
    if (op->how != INTO && (op->no_block || (n > 0 && !has_block()))) {
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
    if (n == 0 && replica_ends(f))
        may(o, i, 0, true);
}

/* Faults of the peers: only where choices are taken. */
static void recv_faults(struct options *o, unsigned i)
{
    const struct fd *f = fd_of(sim.ops[i].fd);
    if (f->data[0] == '\0')
        may(o, i, 0, true);
    may(o, i, -ECONNRESET, true);
    if (sim.ops[i].how != INTO && sim.script.blocks == 0)
        may(o, i, -ENOBUFS, true);
}

static void options_of(struct options *o, unsigned i, bool faults)
{
    const struct op *op = &sim.ops[i];
    switch (op->op) {
    case RG_OP_ACCEPT:
        if (sim.clients_left > 0)
            may(o, i, SIM_FIRST_FD, false);
        if (op->cancelled)
            may(o, i, -ECANCELED, true);
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
        may(o, i, 0, true);
        if (faults)
            may(o, i, -ECONNREFUSED, true);
        if (op->cancelled)
            may(o, i, -ECANCELED, true);
        break;
    case RG_OP_POLL_IN:
        if (fd_of(op->fd)->data[0] || replica_ends(fd_of(op->fd)) || faults)
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

static bool comes_last(const struct op *op)
{
    return sim.script.one_by_one && op->op == RG_OP_ACCEPT;
}

static void all_options(struct options *o, bool faults)
{
    o->n = 0;
    for (unsigned i = 0; i < OPS_MAX; i++)
        if (sim.ops[i].used && !comes_last(&sim.ops[i]))
            options_of(o, i, faults);
    for (unsigned i = 0; i < OPS_MAX; i++)
        if (sim.ops[i].used && comes_last(&sim.ops[i]))
            options_of(o, i, faults);
    if (faults && sim.jumps < 1)
        may(o, (unsigned)-1, 0, false);
}

static unsigned choose(unsigned n)
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

static bool is_choosing(void)
{
    return sim.result.steps > sim.script.prefix && sim.chosen < sim.script.depth;
}

static int64_t splice_in(struct fd *from, struct fd *pipe, uint64_t n)
{
    uint64_t there = strlen(from->data);
    if (there > n)
        there = n;
    int64_t usual = there > 0 ? (int64_t)there : replica_ends(from) ? 0 : -EAGAIN;
    const int64_t outcomes[] = {usual, -EAGAIN, -ECONNRESET, 0, 1};
    int64_t r = is_choosing() ? outcomes[choose(there > 1 ? 5 : there > 0 ? 3 : 4)] : usual;
    if (r > 0) {
        from->data += r;
        pipe->got += (uint32_t)r;
    }
    return r;
}

static int64_t splice_out(struct fd *pipe, struct fd *to, uint64_t n)
{
    RG_ASSERT(n > 0 && n <= pipe->got);
    const int64_t outcomes[] = {(int64_t)n, -EAGAIN, -EPIPE, 1};
    int64_t r = is_choosing() ? outcomes[choose(n > 1 ? 4 : 3)] : (int64_t)n;
    if (r > 0) {
        pipe->got -= (uint32_t)r;
        to->got += (uint32_t)r;
        sim.result.spliced += (uint64_t)r;
    }
    return r;
}

int64_t sim_splice(int from, int to, uint64_t n)
{
    struct fd *f = fd_of(from), *t = fd_of(to);
    RG_ASSERT(f->kind != FD_CLOSED && t->kind != FD_CLOSED);
    if (t->kind == FD_PIPE)
        return splice_in(f, t, n);
    RG_ASSERT(f->kind == FD_PIPE);
    return splice_out(f, t, n);
}

/* ---- a step of the world ---- */

static void take_data(struct op *op, struct fd *f, int32_t n, struct rg_completion *done, struct rg_bufs *bufs)
{
    if (op->how == INTO) {
        uint32_t len = (uint32_t)n < op->len ? (uint32_t)n : op->len;
        memcpy(op->to, f->data, len);
        done->res = (int32_t)len;
    } else {
        done->buf = rg_buf_get_spare(bufs);
        RG_ASSERT(done->buf && has_block());
        if (sim.script.blocks > 0)
            sim.blocks--;
        memcpy(done->buf->data, f->data, (size_t)n);
        done->buf->len = (uint32_t)n;
    }
    f->data += done->res;
}

static void sent(struct op *op, int32_t n)
{
    struct fd *f = fd_of(op->fd);
    if (f->kind == FD_UPSTREAM && (uint32_t)n == op->len) {
        f->data = sim.script.replica;
        sim.result.requests_at_replica++;
    }
    if (f->kind == FD_CLIENT && f->got == 0 && n > 0)
        sim.result.responses_at_clients++;
    f->got += (uint32_t)n;
}

static void perform(struct rg_ring *ring, const struct option *what)
{
    struct op *op = &sim.ops[what->op];
    struct slot *slot = &sim.slots[op->slot.index];
    RG_ASSERT(slot->owner);
    struct rg_completion *done = &ring->ready;
    *done = (struct rg_completion){
        .owner = slot->owner, .kind = slot->kind, .op = op->op, .res = what->res, .more = !what->last};
    if (op->op == RG_OP_ACCEPT && what->res > 0) {
        done->res = fd_open_from(sim.script.freed_late ? FDS_MAX / 2 : 1, FD_CLIENT, sim.script.client);
        sim.clients_left--;
        sim.result.accepted++;
    } else if (op->op == RG_OP_RECV && what->res > 0) {
        take_data(op, fd_of(op->fd), what->res, done, ring->bufs);
    } else if (op->op == RG_OP_RECV && what->res == -ENOBUFS) {
        sim.result.empty_handed++;
    } else if (op->op == RG_OP_SEND && what->res > 0) {
        sent(op, what->res);
    } else if (op->op == RG_OP_WAKE) {
        sim.wake_due = false;
    } else if (op->op == RG_OP_CLOSE) {
        fd_of(op->fd)->kind = FD_CLOSED;
    }
    if (what->last)
        op->used = false;
    ring->has_ready = true;
}

static void stop_worker(void)
{
    if (sim.stop_posted)
        return;
    sim.stop_posted = sim.wake_due = true;
    rg_worker_stop(sim.worker);
}

/* Clients that nobody listens to: fine while one is answered, not when nothing is left to happen. */
static unsigned count_unheard(void)
{
    unsigned n = 0;
    for (int i = 0; i < FDS_MAX; i++)
        n += sim.fds[i].kind == FD_CLIENT;
    for (unsigned i = 0; i < OPS_MAX; i++)
        n -= sim.ops[i].used && sim.ops[i].op == RG_OP_RECV && fd_of(sim.ops[i].fd)->kind == FD_CLIENT;
    return n;
}

void rg_ring_enter(struct rg_ring *ring, uint64_t timeout_ms)
{
    struct options o;
    RG_ASSERT(++sim.result.steps < STEPS_MAX); /* a turn that leads nowhere, again and again */
    sim.now_ns += 1000000;
    bool choosing = is_choosing();
    if (choosing && sim.script.stop_at_choices)
        stop_worker();
    all_options(&o, choosing);
    if (o.n == 0 && timeout_ms == 0)
        return;
    if (o.n == 0 && sim.naps < sim.script.naps && timeout_ms != UINT64_MAX) {
        sim.naps++;
        sim.now_ns += timeout_ms * 1000000;
        return;
    }
    if (o.n == 0) {
        /* Nothing is left to happen by itself: the run is over. */
        sim.result.ran_out = sim.result.ran_out || sim.chosen == 0;
        if (!sim.stop_posted)
            sim.result.unheard = count_unheard();
        stop_worker();
        sim.now_ns += 100000000000ull;
        return;
    }
    const struct option *what = &o.list[choosing ? choose(o.n) : 0];
    if (what->op < 0) {
        sim.jumps++;
        sim.now_ns += 80000000000ull;
        return;
    }
    perform(ring, what);
}

bool rg_ring_next(struct rg_ring *ring, struct rg_completion *ret)
{
    if (!ring->has_ready)
        return false;
    ring->has_ready = false;
    *ret = ring->ready;
    return true;
}

int rg_ring_create(struct rg_ring **ret, struct rg_bufs *bufs, struct rg_metrics *metrics)
{
    struct rg_ring *ring = calloc(1, sizeof *ring);
    RG_ASSERT(ring);
    ring->bufs = bufs;
    ring->metrics = metrics;
    *ret = ring;
    return 0;
}

void rg_ring_destroy(struct rg_ring *ring)
{
    sim.result.shed_heads = __atomic_load_n(&ring->metrics->refused[RG_REASON_OUT_OF_BUFFERS], __ATOMIC_RELAXED);
    free(ring);
}

/* Blocks that are elsewhere, in heads and bodies, can't be provided. */
void rg_ring_provide(struct rg_ring *ring, unsigned in_line)
{
    (void)in_line;
    while (ring->bufs->small.used + sim.blocks < sim.script.blocks)
        sim.blocks++;
}

void rg_ring_tick(struct rg_ring *ring)
{
    (void)ring;
}

unsigned rg_ring_blocks(const struct rg_ring *ring)
{
    (void)ring;
    return sim.script.blocks > 0 ? sim.blocks : OPS_MAX;
}

bool rg_ring_at_limit(const struct rg_ring *ring)
{
    (void)ring;
    return sim.blocks < sim.script.blocks;
}
