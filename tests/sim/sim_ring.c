/*
 * ring.h in the simulated world (sim.h). What it asserts is what the kernel would punish late or never: a descriptor
 * closed while an operation waits on it, two operations of a kind on one slot, a completion for a freed owner, a slot
 * freed twice.
 */
#include "datapath/ring.h"

#include <errno.h>
#include <stdlib.h>

#include "datapath/base/metric.h"
#include "tests/sim/sim_world.h"

#define STEPS_MAX 4000

struct rg_ring {
    struct rg_bufs *bufs;
    struct rg_metrics *metrics;
    struct rg_completion ready;
    bool has_ready;
};

/* ---- slots ---- */

struct rg_slot rg_ring_slot_get(struct rg_ring *ring, enum rg_slot_kind kind, void *owner)
{
    (void)ring;
    RG_ASSERT(sim.n_slots < SIM_SLOTS_MAX);
    sim.slots[sim.n_slots] = (struct sim_slot){owner, kind, 7};
    return (struct rg_slot){sim.n_slots++, 7};
}

void rg_ring_slot_put(struct rg_ring *ring, struct rg_slot slot)
{
    (void)ring;
    RG_ASSERT(sim.slots[slot.index].owner);
    for (unsigned i = 0; i < SIM_OPS_MAX; i++)
        RG_ASSERT(!sim.ops[i].used || sim.ops[i].slot.index != slot.index);
    sim.slots[slot.index].owner = NULL;
}

/* ---- operations ---- */

static struct sim_op *submit(struct rg_slot slot, enum rg_op op, int fd, enum sim_how how)
{
    RG_ASSERT(sim.slots[slot.index].owner);
    struct sim_op *at = NULL;
    for (unsigned i = 0; i < SIM_OPS_MAX; i++) {
        RG_ASSERT(!(sim.ops[i].used && sim.ops[i].slot.index == slot.index && sim.ops[i].op == op));
        if (!sim.ops[i].used && !at)
            at = &sim.ops[i];
    }
    RG_ASSERT(at);
    *at = (struct sim_op){.used = true, .slot = slot, .op = op, .how = how, .fd = fd, .no_block = !sim_has_block()};
    if (fd >= SIM_FIRST_FD)
        RG_ASSERT(sim_fd_of(fd)->kind != FD_CLOSED && sim_fd_of(fd)->kind != FD_UNUSED);
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
    struct sim_op *op = submit(slot, RG_OP_RECV, fd, INTO);
    op->to = to;
    op->len = len;
}

/* A head is sent in one piece. */
static void note_key(struct sim_fd *f, struct rg_str head)
{
    static const char name[] = "\r\nSec-WebSocket-Key: ";
    const char *at = memmem(head.ptr, head.len, name, sizeof name - 1);
    if (at && head.ptr + head.len - at >= (ptrdiff_t)(sizeof name - 1 + RG_WS_KEY_LEN))
        memcpy(f->key, at + sizeof name - 1, RG_WS_KEY_LEN);
}

void rg_ring_send(struct rg_ring *ring, struct rg_slot slot, int fd, const struct iovec *iov, unsigned n, bool last)
{
    (void)ring;
    struct sim_op *op = submit(slot, RG_OP_SEND, fd, PLAIN);
    if (fd >= SIM_FIRST_FD)
        sim_fd_of(fd)->held = last;
    for (unsigned i = 0; i < n; i++)
        op->len += (uint32_t)iov[i].iov_len;
    if (fd >= SIM_FIRST_FD && sim_fd_of(fd)->kind == FD_UPSTREAM)
        note_key(sim_fd_of(fd), (struct rg_str){iov[0].iov_base, iov[0].iov_len});
}

void rg_ring_connect(struct rg_ring *ring, struct rg_slot slot, int fd, const struct sockaddr *sa, socklen_t len)
{
    (void)ring;
    (void)len;
    submit(slot, RG_OP_CONNECT, fd, PLAIN)->refused = sim.script.no_ipv6 != 0 && sa->sa_family == AF_INET6;
}

void rg_ring_shutdown(struct rg_ring *ring, struct rg_slot slot, int fd, int how)
{
    (void)ring;
    (void)how;
    sim_fd_of(fd)->held = false;
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
    for (unsigned i = 0; i < SIM_OPS_MAX; i++)
        if (sim.ops[i].used && sim.ops[i].slot.index == slot.index && sim.ops[i].op == op)
            sim.ops[i].cancelled = true;
    submit(slot, RG_OP_CANCEL, 0, PLAIN);
}

void rg_ring_close(struct rg_ring *ring, struct rg_slot slot, int fd)
{
    (void)ring;
    for (unsigned i = 0; i < SIM_OPS_MAX; i++)
        RG_ASSERT(!sim.ops[i].used || sim.ops[i].fd != fd); /* joined */
    /* With bytes that nobody has read it would be a RST, and what is kept back would be lost. */
    if (fd >= SIM_FIRST_FD && !sim.stop_posted)
        RG_ASSERT(!sim_fd_of(fd)->held || sim_fd_of(fd)->len == 0);
    submit(slot, RG_OP_CLOSE, fd, PLAIN);
}

void rg_ring_read_event(struct rg_ring *ring, struct rg_slot slot, int fd, uint64_t *to)
{
    (void)ring;
    (void)to;
    submit(slot, RG_OP_WAKE, fd, PLAIN);
}

/* ---- a step of the world ---- */

static void take_data(struct sim_op *op, struct sim_fd *f, int32_t n, struct rg_completion *done, struct rg_bufs *bufs)
{
    if (op->how == INTO) {
        uint32_t len = (uint32_t)n < op->len ? (uint32_t)n : op->len;
        memcpy(op->to, f->data, len);
        done->res = (int32_t)len;
    } else {
        done->buf = rg_buf_get_spare(bufs);
        RG_ASSERT(done->buf && sim_has_block());
        if (sim.script.blocks > 0)
            sim.blocks--;
        memcpy(done->buf->data, f->data, (size_t)n);
        done->buf->len = (uint32_t)n;
    }
    f->data += done->res;
    f->len -= (uint32_t)done->res;
}

/* What the script says, with what follows from the key. */
static const char *answer_of(struct sim_fd *f)
{
    _Static_assert(sizeof SIM_ACCEPT == RG_WS_ACCEPT_LEN + 1, "stands for text of the same length");
    char accept[RG_WS_ACCEPT_LEN + 1];
    const char *at = f->key[0] != '\0' ? strstr(sim.script.replica, SIM_ACCEPT) : NULL;
    if (!at)
        return sim.script.replica;
    RG_ASSERT(strlen(sim.script.replica) < sizeof f->answer);
    RG_ASSERT(rg_ws_accept_of((struct rg_str){f->key, RG_WS_KEY_LEN}, accept));
    memcpy(f->answer, sim.script.replica, strlen(sim.script.replica) + 1);
    memcpy(f->answer + (at - sim.script.replica), accept, RG_WS_ACCEPT_LEN);
    return f->answer;
}

static void sent(struct sim_op *op, int32_t n)
{
    struct sim_fd *f = sim_fd_of(op->fd);
    bool answers = !sim.script.h2c || f->got == 0;
    if (f->kind == FD_UPSTREAM && (uint32_t)n == op->len && answers) {
        f->left = ++sim.result.requests_at_replica == sim.script.leaves_at;
        f->data = f->left ? "" : answer_of(f);
        f->len = f->left || sim.script.replica_len == 0 ? (uint32_t)strlen(f->data) : sim.script.replica_len;
    }
    *(f->kind == FD_UPSTREAM ? &sim.result.bytes_at_replica : &sim.result.bytes_at_clients) += (uint32_t)n;
    if (f->kind == FD_CLIENT && f->got == 0 && n > 0)
        sim.result.responses_at_clients++;
    f->got += (uint32_t)n;
}

static void perform(struct rg_ring *ring, const struct sim_option *what)
{
    struct sim_op *op = &sim.ops[what->op];
    struct sim_slot *slot = &sim.slots[op->slot.index];
    RG_ASSERT(slot->owner);
    struct rg_completion *done = &ring->ready;
    *done = (struct rg_completion){
        .owner = slot->owner, .kind = slot->kind, .op = op->op, .res = what->res, .more = !what->last};
    if (op->op == RG_OP_ACCEPT && what->res > 0) {
        done->res =
            sim_fd_open_from(sim.script.freed_late ? SIM_FDS_MAX / 2 : 1, FD_CLIENT, sim.script.client,
                             sim.script.client_len ? sim.script.client_len : (uint32_t)strlen(sim.script.client));
        sim.clients_left--;
        sim.result.accepted++;
    } else if (op->op == RG_OP_RECV && what->res > 0) {
        take_data(op, sim_fd_of(op->fd), what->res, done, ring->bufs);
    } else if (op->op == RG_OP_RECV && what->res == -ENOBUFS) {
        sim.result.empty_handed++;
    } else if (op->op == RG_OP_SEND && what->res > 0) {
        sent(op, what->res);
    } else if ((op->op == RG_OP_SEND || op->op == RG_OP_RECV) && op->fd >= SIM_FIRST_FD && what->res < 0) {
        if (what->res != -ECANCELED)
            sim_fd_of(op->fd)->held = false; /* broken: nobody waits for it any more */
    } else if (op->op == RG_OP_WAKE) {
        sim.wake_due = false;
    } else if (op->op == RG_OP_CLOSE) {
        sim_fd_of(op->fd)->kind = FD_CLOSED;
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
    rg_worker_stop(sim.worker, !sim.script.takes_leave);
}

/* What is kept back for the end of a connection would never arrive. */
static void assert_nothing_is_held(void)
{
    for (int i = 0; i < SIM_FDS_MAX; i++)
        RG_ASSERT(sim.fds[i].kind == FD_CLOSED || !sim.fds[i].held);
}

/* Clients that nobody listens to: fine while one is answered, not when nothing is left to happen. */
static unsigned count_unheard(void)
{
    unsigned n = 0;
    for (int i = 0; i < SIM_FDS_MAX; i++)
        n += sim.fds[i].kind == FD_CLIENT;
    for (unsigned i = 0; i < SIM_OPS_MAX; i++)
        n -= sim.ops[i].used && sim.ops[i].op == RG_OP_RECV && sim_fd_of(sim.ops[i].fd)->kind == FD_CLIENT;
    return n;
}

void rg_ring_enter(struct rg_ring *ring, uint64_t timeout_ms)
{
    struct sim_options o;
    RG_ASSERT(++sim.result.steps < STEPS_MAX); /* a turn that leads nowhere, again and again */
    sim.now_ns += 1000000;
    bool choosing = sim_is_choosing();
    if (choosing && sim.script.stop_at_choices)
        stop_worker();
    if (sim.script.before_step)
        sim.script.before_step(sim.worker, sim.result.steps);
    if (sim.result.steps == sim.script.drain_at)
        rg_worker_drain(sim.worker);
    sim_all_options(&o, choosing);
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
        assert_nothing_is_held();
        if (!sim.stop_posted)
            sim.result.unheard = count_unheard();
        stop_worker();
        sim.now_ns += 100000000000ull;
        return;
    }
    const struct sim_option *what = &o.list[choosing ? sim_choose(o.n) : 0];
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
    sim.result.tunnels_left = rg_metric_get(ring->metrics, RG_M_TUNNELS_LEFT);
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
    return sim.script.blocks > 0 ? sim.blocks : SIM_OPS_MAX;
}

bool rg_ring_at_limit(const struct rg_ring *ring)
{
    (void)ring;
    return sim.blocks < sim.script.blocks;
}
