/*
 * See ring.h. liburing ≥ 2.9. Needs Linux 6.1, whose newest piece is asked for when the ring is made: deferred task
 * work. What newer kernels add must be probed.
 *
 * user_data: operation in the top 8 bits, 24 bits of generation, 32 bits of slot.
 */
#include "datapath/ring.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <liburing.h>

#include "datapath/base/log.h"
#include "datapath/base/metric.h"
#include "datapath/provide.h"
#include "datapath/ring_refused.h"

#define SUBMISSIONS     1024u
#define COMPLETIONS     8192u
#define PROVIDED        RG_PROVIDED_MAX
#define PROVIDED_GROUP  0
#define GENERATION_MASK 0xffffffu
#define SLOTS_MAX       (1u << 20)

struct slot {
    void *owner;
    uint32_t generation;
    uint32_t kind_or_next; /* kind while in use, else index of the next free slot */
};

struct rg_ring {
    struct io_uring uring;
    struct io_uring_buf_ring *provided;
    struct rg_buf *blocks[PROVIDED]; /* by buffer id; NULL: taken, to be replaced */
    uint16_t empty[PROVIDED];        /* ids without a block */
    unsigned n_empty;
    bool at_limit; /* the last rg_ring_provide got fewer blocks than it wanted */
    struct rg_provide provide;
    unsigned taken; /* blocks, in this turn */
    struct slot *slots;
    uint32_t n_slots, free_slot;
    struct rg_bufs *bufs;
    struct rg_metrics *metrics;
    unsigned cqe_seen, cqe_count;
    struct io_uring_cqe *cqes[256];
    struct msghdr messages[SUBMISSIONS]; /* stable until submitted */
    struct iovec iovs[SUBMISSIONS][RG_OUT_SEGMENTS];
    unsigned n_messages;
};

static uint64_t user_data(struct rg_slot slot, enum rg_op op)
{
    return (uint64_t)op << 56 | (uint64_t)(slot.generation & GENERATION_MASK) << 32 | slot.index;
}

static RG_COLD int refused(int err)
{
    struct rg_ring_system system;
    char text[320];
    rg_ring_system_read(&system);
    rg_ring_refused_text(text, sizeof text, err, &system);
    rg_error("%s", text);
    return err;
}

static int provide_setup(struct rg_ring *ring)
{
    int err = 0;
    ring->provided = io_uring_setup_buf_ring(&ring->uring, PROVIDED, PROVIDED_GROUP, 0, &err);
    if (!ring->provided)
        return err;
    rg_provide_init(&ring->provide, rg_provide_most(ring->bufs->limit));
    for (unsigned i = 0; i < PROVIDED; i++)
        ring->empty[ring->n_empty++] = (uint16_t)(PROVIDED - 1 - i);
    rg_ring_provide(ring, 0);
    return 0;
}

int rg_ring_create(struct rg_ring **ret, struct rg_bufs *bufs, struct rg_metrics *metrics)
{
    struct rg_ring *ring = calloc(1, sizeof *ring);
    if (!ring)
        return -ENOMEM;
    ring->bufs = bufs;
    ring->metrics = metrics;
    ring->free_slot = UINT32_MAX;
    /* Address space only: pages come when slots are used. */
    ring->slots = mmap(NULL, SLOTS_MAX * sizeof(struct slot), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ring->slots == MAP_FAILED) {
        free(ring);
        return -ENOMEM;
    }
    struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                         IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
                                .cq_entries = COMPLETIONS};
    int err = io_uring_queue_init_params(SUBMISSIONS, &ring->uring, &p);
    if (err < 0)
        goto no_ring;
    io_uring_register_ring_fd(&ring->uring); /* saves a descriptor look-up per enter; fine without */
    err = io_uring_get_events(&ring->uring); /* a filter may forbid to enter the ring that it let us make */
    if (err >= 0)
        err = provide_setup(ring);
    if (err < 0)
        goto no_buffers;
    *ret = ring;
    return 0;

no_buffers:
    io_uring_queue_exit(&ring->uring);
no_ring:
    munmap(ring->slots, SLOTS_MAX * sizeof(struct slot));
    free(ring);
    return refused(err);
}

void rg_ring_destroy(struct rg_ring *ring)
{
    if (!ring)
        return;
    io_uring_free_buf_ring(&ring->uring, ring->provided, PROVIDED, PROVIDED_GROUP);
    io_uring_queue_exit(&ring->uring);
    for (unsigned i = 0; i < PROVIDED; i++)
        rg_buf_unref(ring->blocks[i]);
    munmap(ring->slots, SLOTS_MAX * sizeof(struct slot));
    free(ring);
}

/* ---- slots ---- */

struct rg_slot rg_ring_slot_get(struct rg_ring *ring, enum rg_slot_kind kind, void *owner)
{
    uint32_t index = ring->free_slot;
    if (index != UINT32_MAX)
        ring->free_slot = ring->slots[index].kind_or_next;
    else if (ring->n_slots < SLOTS_MAX)
        index = ring->n_slots++;
    else
        return (struct rg_slot){UINT32_MAX, 0};
    struct slot *s = &ring->slots[index];
    s->owner = owner;
    s->kind_or_next = kind;
    return (struct rg_slot){index, s->generation};
}

void rg_ring_slot_put(struct rg_ring *ring, struct rg_slot slot)
{
    struct slot *s = &ring->slots[slot.index];
    RG_ASSERT(s->owner && s->generation == slot.generation);
    s->owner = NULL;
    s->generation = (s->generation + 1) & GENERATION_MASK;
    s->kind_or_next = ring->free_slot;
    ring->free_slot = slot.index;
}

/* ---- operations ---- */

static struct io_uring_sqe *get_sqe(struct rg_ring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    if (RG_UNLIKELY(!sqe)) {
        io_uring_submit(&ring->uring);
        rg_metric_add(ring->metrics, RG_M_RING_ENTERS, 1);
        ring->n_messages = 0;
        sqe = io_uring_get_sqe(&ring->uring);
        RG_ASSERT(sqe);
    }
    return sqe;
}

static void finish_sqe(struct io_uring_sqe *sqe, struct rg_slot slot, enum rg_op op)
{
    io_uring_sqe_set_data64(sqe, user_data(slot, op));
}

void rg_ring_accept(struct rg_ring *ring, struct rg_slot slot, int fd)
{
    struct io_uring_sqe *sqe = get_sqe(ring);
    /* The ring waits on a socket all the same; a splice (rg_sys_splice) must not. */
    io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    finish_sqe(sqe, slot, RG_OP_ACCEPT);
}

static void use_provided(struct io_uring_sqe *sqe)
{
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = PROVIDED_GROUP;
}

void rg_ring_recv_multi(struct rg_ring *ring, struct rg_slot slot, int fd)
{
    struct io_uring_sqe *sqe = get_sqe(ring);
    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    use_provided(sqe);
    finish_sqe(sqe, slot, RG_OP_RECV);
}

void rg_ring_recv_once(struct rg_ring *ring, struct rg_slot slot, int fd, bool expect_wait)
{
    struct io_uring_sqe *sqe = get_sqe(ring);
    io_uring_prep_recv(sqe, fd, NULL, 0, 0);
    use_provided(sqe);
    if (expect_wait)
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    finish_sqe(sqe, slot, RG_OP_RECV);
}

void rg_ring_recv_into(struct rg_ring *ring, struct rg_slot slot, int fd, void *to, uint32_t len)
{
    struct io_uring_sqe *sqe = get_sqe(ring);
    io_uring_prep_recv(sqe, fd, to, len, 0);
    finish_sqe(sqe, slot, RG_OP_RECV);
}

void rg_ring_send(struct rg_ring *ring, struct rg_slot slot, int fd, const struct iovec *iov, unsigned n, bool last)
{
    struct io_uring_sqe *sqe = get_sqe(ring);
    int flags = last ? MSG_NOSIGNAL | MSG_MORE : MSG_NOSIGNAL;
    if (n == 1) {
        io_uring_prep_send(sqe, fd, iov[0].iov_base, iov[0].iov_len, flags);
    } else {
        RG_ASSERT(n <= RG_OUT_SEGMENTS && ring->n_messages < SUBMISSIONS);
        struct iovec *copy = ring->iovs[ring->n_messages];
        struct msghdr *m = &ring->messages[ring->n_messages++];
        memcpy(copy, iov, n * sizeof *iov);
        *m = (struct msghdr){.msg_iov = copy, .msg_iovlen = n};
        io_uring_prep_sendmsg(sqe, fd, m, (unsigned)flags);
    }
    finish_sqe(sqe, slot, RG_OP_SEND);
}

void rg_ring_connect(struct rg_ring *ring, struct rg_slot slot, int fd, const struct sockaddr *sa, socklen_t len)
{
    struct io_uring_sqe *sqe = get_sqe(ring);
    io_uring_prep_connect(sqe, fd, sa, len);
    finish_sqe(sqe, slot, RG_OP_CONNECT);
}

void rg_ring_shutdown(struct rg_ring *ring, struct rg_slot slot, int fd, int how)
{
    struct io_uring_sqe *sqe = get_sqe(ring);
    io_uring_prep_shutdown(sqe, fd, how);
    finish_sqe(sqe, slot, RG_OP_SHUTDOWN);
}

void rg_ring_poll(struct rg_ring *ring, struct rg_slot slot, int fd, enum rg_op op)
{
    struct io_uring_sqe *sqe = get_sqe(ring);
    io_uring_prep_poll_add(sqe, fd, op == RG_OP_POLL_IN ? POLLIN : POLLOUT);
    finish_sqe(sqe, slot, op);
}

/* By name: the kernel looks one operation up. (By descriptor it would go through all that wait on the ring.) */
void rg_ring_cancel(struct rg_ring *ring, struct rg_slot slot, enum rg_op op)
{
    struct io_uring_sqe *sqe = get_sqe(ring);
    io_uring_prep_cancel64(sqe, user_data(slot, op), 0);
    finish_sqe(sqe, slot, RG_OP_CANCEL);
}

void rg_ring_close(struct rg_ring *ring, struct rg_slot slot, int fd)
{
    struct io_uring_sqe *sqe = get_sqe(ring);
    io_uring_prep_close(sqe, fd);
    finish_sqe(sqe, slot, RG_OP_CLOSE);
}

void rg_ring_read_event(struct rg_ring *ring, struct rg_slot slot, int fd, uint64_t *to)
{
    struct io_uring_sqe *sqe = get_sqe(ring);
    io_uring_prep_read(sqe, fd, to, sizeof *to, 0);
    finish_sqe(sqe, slot, RG_OP_WAKE);
}

/* ---- the turn ---- */

void rg_ring_enter(struct rg_ring *ring, uint64_t timeout_ms)
{
    struct io_uring_cqe *cqe = NULL;
    rg_metric_add(ring->metrics, RG_M_RING_ENTERS, 1);
    if (io_uring_cq_has_overflow(&ring->uring))
        rg_metric_add(ring->metrics, RG_M_RING_OVERFLOWS, 1);
    int err;
    if (timeout_ms == 0 || io_uring_cq_ready(&ring->uring) > 0) {
        err = io_uring_submit_and_get_events(&ring->uring);
    } else if (timeout_ms == UINT64_MAX) {
        err = io_uring_submit_and_wait(&ring->uring, 1);
    } else {
        struct __kernel_timespec ts = {.tv_sec = (long long)(timeout_ms / 1000),
                                       .tv_nsec = (long long)(timeout_ms % 1000) * 1000000};
        err = io_uring_submit_and_wait_timeout(&ring->uring, &cqe, 1, &ts, NULL);
    }
    /* -EBUSY: completions must be taken first, the next turn submits the rest. */
    RG_ASSERT(err >= 0 || err == -ETIME || err == -EINTR || err == -EBUSY || err == -EAGAIN);
    if (err >= 0 || err == -ETIME)
        ring->n_messages = 0;
}

static bool peek(struct rg_ring *ring)
{
    if (ring->cqe_seen < ring->cqe_count)
        return true;
    io_uring_cq_advance(&ring->uring, ring->cqe_count);
    ring->cqe_seen = 0;
    ring->cqe_count = io_uring_peek_batch_cqe(&ring->uring, ring->cqes, sizeof ring->cqes / sizeof *ring->cqes);
    rg_metric_add(ring->metrics, RG_M_RING_COMPLETIONS, ring->cqe_count);
    return ring->cqe_count > 0;
}

static struct rg_buf *take_block(struct rg_ring *ring, const struct io_uring_cqe *cqe)
{
    if (!(cqe->flags & IORING_CQE_F_BUFFER))
        return NULL;
    unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    RG_ASSERT(id < PROVIDED && ring->blocks[id]);
    struct rg_buf *b = ring->blocks[id];
    ring->blocks[id] = NULL;
    ring->taken++;
    ring->empty[ring->n_empty++] = (uint16_t)id;
    b->off = 0;
    b->len = cqe->res > 0 ? (uint32_t)cqe->res : 0;
    return b;
}

bool rg_ring_next(struct rg_ring *ring, struct rg_completion *ret)
{
    while (peek(ring)) {
        const struct io_uring_cqe *cqe = ring->cqes[ring->cqe_seen++];
        uint64_t id = cqe->user_data;
        const struct slot *s = &ring->slots[(uint32_t)id];
        struct rg_buf *buf = take_block(ring, cqe);
        if (RG_UNLIKELY(!s->owner || s->generation != (uint32_t)(id >> 32 & GENERATION_MASK))) {
            rg_buf_unref(buf);
            rg_metric_add(ring->metrics, RG_M_RING_STALE, 1);
            continue;
        }
        if (buf && buf->len == 0) {
            rg_buf_unref(buf);
            buf = NULL;
        }
        *ret = (struct rg_completion){.owner = s->owner,
                                      .kind = (enum rg_slot_kind)s->kind_or_next,
                                      .op = (enum rg_op)(id >> 56),
                                      .res = cqe->res,
                                      .more = cqe->flags & IORING_CQE_F_MORE,
                                      .buf = buf};
        return true;
    }
    return false;
}

void rg_ring_provide(struct rg_ring *ring, unsigned in_line)
{
    int mask = io_uring_buf_ring_mask(PROVIDED);
    int added = 0;

    ring->at_limit = false;
    if (ring->taken == 0 && in_line == 0 && rg_ring_blocks(ring) >= ring->provide.wanted)
        return;
    rg_provide_follow(&ring->provide, ring->taken, in_line, rg_provide_most(ring->bufs->limit));
    ring->taken = 0;
    while (rg_ring_blocks(ring) < ring->provide.wanted) {
        struct rg_buf *b = rg_buf_get_spare(ring->bufs);
        ring->at_limit = !b;
        if (!b)
            break;
        uint16_t id = ring->empty[--ring->n_empty];
        ring->blocks[id] = b;
        io_uring_buf_ring_add(ring->provided, b->data, b->cap, id, mask, added++);
    }
    io_uring_buf_ring_advance(ring->provided, added);
}

void rg_ring_tick(struct rg_ring *ring)
{
    rg_provide_tick(&ring->provide, rg_provide_most(ring->bufs->limit));
}

unsigned rg_ring_blocks(const struct rg_ring *ring)
{
    return PROVIDED - ring->n_empty;
}

bool rg_ring_at_limit(const struct rg_ring *ring)
{
    return ring->at_limit;
}
