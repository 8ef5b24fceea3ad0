/*
 * A worker of ringgate-floor: a ring, a listening socket, and pairs of a client and its connection to the replica.
 *
 * Completions only note what happened; step() then decides about the pair. Bytes are sent from the block that they were
 * received in, in order, with one send at a time for each direction. A pair ends when both sides have, or at the first
 * error; its slot and descriptors are given back when the kernel has nothing more of it.
 *
 * Thread: the worker's, but for create and destroy.
 */
#include "bench/floor/floor.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <unistd.h>

#include <liburing.h>

#define SUBMISSIONS 1024u
#define COMPLETIONS 8192u
#define BATCH       256u
#define BLOCKS      512u /* of all pairs together: what the kernel may receive into */
#define BLOCK_BYTES 8192u
#define BLOCK_GROUP 0
#define QUEUED_MAX  8u /* blocks that wait for one side: beyond it the other side is not received from */
#define PAIRS_MAX   32768u
#define NONE        UINT16_MAX

enum op { OP_ACCEPT, OP_WAKE, OP_PAUSE, OP_CLOSE, OP_CONNECT, OP_RECV, OP_SEND, OP_SHUTDOWN, OP_CANCEL };

/* One end of a pair, with what waits to be sent to it. */
struct side {
    int fd;
    bool receiving, cancelled; /* a multishot receive is armed; it was asked to end */
    bool sending, eof, shut;   /* shut: we have ended our direction */
    bool starved;              /* waits for a block to receive into */
    uint16_t first, last, n_queued;
    uint32_t sent; /* bytes of the first block */
    TAILQ_ENTRY(side) link;
    struct msghdr message;
    struct iovec iov[QUEUED_MAX];
};

struct pair {
    struct side sides[2]; /* the client, the replica */
    uint32_t index;
    uint32_t in_flight; /* operations that will complete yet */
    uint32_t next_free;
    bool connected, ending, cancelled;
};

struct rg_floor_worker {
    struct io_uring ring;
    struct io_uring_buf_ring *blocks;
    char *memory; /* of the blocks */
    struct {
        uint32_t len;
        uint16_t next;
    } block[BLOCKS];
    int given; /* blocks put back that the kernel has not been told of */
    TAILQ_HEAD(, side) starved;
    struct pair *pairs;
    uint32_t n_pairs, free_pair;
    int listener, wake;
    const struct rg_floor_address *replica;
    const char *congestion;
    bool stop;
};

/* ---- Submitting ---- */

static struct io_uring_sqe *get_sqe(struct rg_floor_worker *w)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&w->ring);
    while (!sqe) {
        io_uring_submit(&w->ring);
        sqe = io_uring_get_sqe(&w->ring);
    }
    return sqe;
}

static void tag(struct io_uring_sqe *sqe, enum op op, uint32_t index, unsigned side)
{
    io_uring_sqe_set_data64(sqe, (uint64_t)op << 56 | (uint64_t)side << 32 | index);
}

/* An operation of a pair. */
static void launch(struct io_uring_sqe *sqe, enum op op, struct pair *p, const struct side *s)
{
    tag(sqe, op, p->index, (unsigned)(s - p->sides));
    p->in_flight++;
}

static void arm_accept(struct rg_floor_worker *w)
{
    struct io_uring_sqe *sqe = get_sqe(w);
    io_uring_prep_multishot_accept(sqe, w->listener, NULL, NULL, SOCK_CLOEXEC);
    tag(sqe, OP_ACCEPT, 0, 0);
}

static void arm_wake(struct rg_floor_worker *w)
{
    struct io_uring_sqe *sqe = get_sqe(w);
    io_uring_prep_poll_add(sqe, w->wake, POLLIN);
    tag(sqe, OP_WAKE, 0, 0);
}

/* Out of descriptors: trying again at once would not end. */
static void pause_accept(struct rg_floor_worker *w)
{
    static struct __kernel_timespec pause = {.tv_nsec = 50 * 1000 * 1000};
    struct io_uring_sqe *sqe = get_sqe(w);
    io_uring_prep_timeout(sqe, &pause, 0, 0);
    tag(sqe, OP_PAUSE, 0, 0);
}

static void close_later(struct rg_floor_worker *w, int fd)
{
    struct io_uring_sqe *sqe = get_sqe(w);
    io_uring_prep_close(sqe, fd);
    tag(sqe, OP_CLOSE, 0, 0);
}

static void receive(struct rg_floor_worker *w, struct pair *p, struct side *s)
{
    struct io_uring_sqe *sqe = get_sqe(w);
    io_uring_prep_recv_multishot(sqe, s->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BLOCK_GROUP;
    launch(sqe, OP_RECV, p, s);
    s->receiving = true;
    s->cancelled = false;
}

static void cancel_fd(struct rg_floor_worker *w, struct pair *p, struct side *s)
{
    struct io_uring_sqe *sqe = get_sqe(w);
    io_uring_prep_cancel_fd(sqe, s->fd, IORING_ASYNC_CANCEL_ALL);
    launch(sqe, OP_CANCEL, p, s);
}

/* The receive alone: a send to the same descriptor goes on. */
static void cancel_receive(struct rg_floor_worker *w, struct pair *p, struct side *s)
{
    struct io_uring_sqe *sqe = get_sqe(w);
    uint64_t receive_tag = (uint64_t)OP_RECV << 56 | (uint64_t)(s - p->sides) << 32 | p->index;
    io_uring_prep_cancel64(sqe, receive_tag, 0);
    launch(sqe, OP_CANCEL, p, s);
    s->cancelled = true;
}

static char *block_at(const struct rg_floor_worker *w, uint16_t id)
{
    return w->memory + (size_t)id * BLOCK_BYTES;
}

/* What waits for this side, from where the last send has stopped. */
static void send_queued(struct rg_floor_worker *w, struct pair *p, struct side *s)
{
    struct io_uring_sqe *sqe = get_sqe(w);
    uint16_t id = s->first;
    uint32_t skip = s->sent;
    unsigned n = 0;
    for (; id != NONE && n < QUEUED_MAX; id = w->block[id].next, skip = 0)
        s->iov[n++] = (struct iovec){block_at(w, id) + skip, w->block[id].len - skip};
    if (n == 1) {
        io_uring_prep_send(sqe, s->fd, s->iov[0].iov_base, s->iov[0].iov_len, MSG_NOSIGNAL);
    } else {
        s->message = (struct msghdr){.msg_iov = s->iov, .msg_iovlen = n};
        io_uring_prep_sendmsg(sqe, s->fd, &s->message, MSG_NOSIGNAL);
    }
    launch(sqe, OP_SEND, p, s);
    s->sending = true;
}

static void shut_write(struct rg_floor_worker *w, struct pair *p, struct side *s)
{
    struct io_uring_sqe *sqe = get_sqe(w);
    io_uring_prep_shutdown(sqe, s->fd, SHUT_WR);
    launch(sqe, OP_SHUTDOWN, p, s);
    s->shut = true;
}

/* ---- Blocks ---- */

static void put_block(struct rg_floor_worker *w, uint16_t id)
{
    io_uring_buf_ring_add(w->blocks, block_at(w, id), BLOCK_BYTES, id, io_uring_buf_ring_mask(BLOCKS), w->given++);
}

static void enqueue(struct rg_floor_worker *w, struct side *to, uint16_t id, uint32_t len)
{
    w->block[id].len = len;
    w->block[id].next = NONE;
    if (to->n_queued++ == 0)
        to->first = id;
    else
        w->block[to->last].next = id;
    to->last = id;
}

static void dequeue(struct rg_floor_worker *w, struct side *s)
{
    uint16_t id = s->first;
    s->first = w->block[id].next;
    s->n_queued--;
    s->sent = 0;
    put_block(w, id);
}

static void take_sent(struct rg_floor_worker *w, struct side *s, uint32_t n)
{
    while (n > 0) {
        uint32_t left = w->block[s->first].len - s->sent;
        if (n < left) {
            s->sent += n;
            return;
        }
        n -= left;
        dequeue(w, s);
    }
}

/* ---- Pairs ---- */

static struct pair *pair_get(struct rg_floor_worker *w)
{
    uint32_t index = w->free_pair;
    if (index != UINT32_MAX)
        w->free_pair = w->pairs[index].next_free;
    else if (w->n_pairs < PAIRS_MAX)
        index = w->n_pairs++;
    else
        return NULL;
    struct pair *p = &w->pairs[index];
    *p = (struct pair){.index = index};
    for (int i = 0; i < 2; i++)
        p->sides[i].first = p->sides[i].last = NONE;
    return p;
}

static struct side *other(struct pair *p, const struct side *s)
{
    return &p->sides[s == p->sides];
}

static void remove_starved(struct rg_floor_worker *w, struct side *s)
{
    if (s->starved)
        TAILQ_REMOVE(&w->starved, s, link);
    s->starved = false;
}

/* Ask, then join, then free: the last completion finds nothing in flight. */
static void end_step(struct rg_floor_worker *w, struct pair *p)
{
    for (int i = 0; i < 2 && p->in_flight > 0 && !p->cancelled; i++)
        cancel_fd(w, p, &p->sides[i]);
    p->cancelled = true;
    if (p->in_flight > 0)
        return;
    for (int i = 0; i < 2; i++) {
        struct side *s = &p->sides[i];
        while (s->n_queued > 0)
            dequeue(w, s);
        remove_starved(w, s);
        close_later(w, s->fd);
    }
    p->next_free = w->free_pair;
    w->free_pair = p->index;
}

/* The direction to s: what was received from the other side goes out, and its end after it. */
static void step_to(struct rg_floor_worker *w, struct pair *p, struct side *s)
{
    struct side *from = other(p, s);
    if (s->n_queued > 0 && !s->sending && p->connected)
        send_queued(w, p, s);
    if (from->eof && s->n_queued == 0 && !s->shut && p->connected)
        shut_write(w, p, s);
    bool may_receive = p->connected || from == &p->sides[0];
    bool wanted = may_receive && !from->eof && s->n_queued < QUEUED_MAX;
    if (wanted && !from->receiving && !from->starved)
        receive(w, p, from);
    else if (!wanted && from->receiving && !from->cancelled)
        cancel_receive(w, p, from);
}

static void step(struct rg_floor_worker *w, struct pair *p)
{
    const struct side *a = &p->sides[0], *b = &p->sides[1];
    if (a->eof && b->eof && a->n_queued == 0 && b->n_queued == 0)
        p->ending = true;
    if (p->ending) {
        end_step(w, p);
        return;
    }
    step_to(w, p, &p->sides[0]);
    step_to(w, p, &p->sides[1]);
}

/* ---- Completions ---- */

static void accepted(struct rg_floor_worker *w, int fd)
{
    struct pair *p = pair_get(w);
    int up = p ? rg_floor_socket(w->replica->any.sa_family, w->congestion) : -EMFILE;
    if (up < 0) {
        close_later(w, fd);
        if (p) {
            p->next_free = w->free_pair;
            w->free_pair = p->index;
        }
        return;
    }
    p->sides[0].fd = fd;
    p->sides[1].fd = up;
    struct io_uring_sqe *sqe = get_sqe(w);
    io_uring_prep_connect(sqe, up, &w->replica->any, w->replica->len);
    launch(sqe, OP_CONNECT, p, &p->sides[1]);
    receive(w, p, &p->sides[0]);
}

static void on_accept(struct rg_floor_worker *w, const struct io_uring_cqe *c)
{
    if (c->res >= 0)
        accepted(w, c->res);
    if (c->flags & IORING_CQE_F_MORE)
        return;
    if (c->res == -EMFILE || c->res == -ENFILE || c->res == -ENOMEM || c->res == -ENOBUFS)
        pause_accept(w);
    else
        arm_accept(w);
}

static void on_recv(struct rg_floor_worker *w, struct pair *p, struct side *s, const struct io_uring_cqe *c)
{
    if (!(c->flags & IORING_CQE_F_MORE))
        s->receiving = false;
    if (c->flags & IORING_CQE_F_BUFFER) {
        uint16_t id = (uint16_t)(c->flags >> IORING_CQE_BUFFER_SHIFT);
        if (c->res > 0)
            enqueue(w, other(p, s), id, (uint32_t)c->res);
        else
            put_block(w, id);
    }
    if (c->res == 0)
        s->eof = true;
    else if (c->res == -ENOBUFS) {
        TAILQ_INSERT_TAIL(&w->starved, s, link);
        s->starved = true;
    } else if (c->res < 0 && c->res != -ECANCELED)
        p->ending = true;
}

static void on_send(struct rg_floor_worker *w, struct pair *p, struct side *s, const struct io_uring_cqe *c)
{
    s->sending = false;
    if (c->res > 0)
        take_sent(w, s, (uint32_t)c->res);
    else
        p->ending = true;
}

static void on_pair(struct rg_floor_worker *w, enum op op, const struct io_uring_cqe *c)
{
    struct pair *p = &w->pairs[(uint32_t)c->user_data];
    struct side *s = &p->sides[c->user_data >> 32 & 1];
    if (!(c->flags & IORING_CQE_F_MORE))
        p->in_flight--;
    switch (op) {
    case OP_RECV:
        on_recv(w, p, s, c);
        break;
    case OP_SEND:
        on_send(w, p, s, c);
        break;
    case OP_CONNECT:
        p->connected = c->res == 0;
        p->ending |= !p->connected;
        break;
    default: /* a shutdown or cancel that found nothing to do has done its work */
        break;
    }
    step(w, p);
}

static void on_completion(struct rg_floor_worker *w, const struct io_uring_cqe *c)
{
    enum op op = (enum op)(c->user_data >> 56);
    switch (op) {
    case OP_ACCEPT:
        on_accept(w, c);
        break;
    case OP_PAUSE:
        arm_accept(w);
        break;
    case OP_WAKE:
        w->stop = true;
        break;
    case OP_CLOSE:
        break;
    default:
        on_pair(w, op, c);
        break;
    }
}

/* ---- The loop ---- */

static struct pair *pair_of(struct rg_floor_worker *w, struct side *s)
{
    return &w->pairs[(size_t)((char *)s - (char *)w->pairs) / sizeof(struct pair)];
}

/* Blocks are back: as many receives as there are blocks, so that the rest waits instead of failing again. */
static void give_blocks(struct rg_floor_worker *w)
{
    int n = w->given;
    if (n == 0)
        return;
    io_uring_buf_ring_advance(w->blocks, n);
    w->given = 0;
    struct side *s;
    while (n-- > 0 && (s = TAILQ_FIRST(&w->starved))) {
        remove_starved(w, s);
        step(w, pair_of(w, s));
    }
}

static int turn(struct rg_floor_worker *w)
{
    struct io_uring_cqe *cqes[BATCH];
    int err = io_uring_submit_and_wait(&w->ring, 1);
    if (err < 0 && err != -EINTR && err != -EBUSY && err != -EAGAIN)
        return err;
    unsigned n = io_uring_peek_batch_cqe(&w->ring, cqes, BATCH);
    for (unsigned i = 0; i < n; i++)
        on_completion(w, cqes[i]);
    io_uring_cq_advance(&w->ring, n);
    give_blocks(w);
    return 0;
}

int rg_floor_run(struct rg_floor_worker *w)
{
    int err = io_uring_enable_rings(&w->ring); /* from here on the ring is this thread's */
    if (err < 0)
        return err;
    io_uring_register_ring_fd(&w->ring); /* saves a look-up per enter; fine without */
    arm_accept(w);
    arm_wake(w);
    while (!w->stop && err == 0)
        err = turn(w);
    return err;
}

/* ---- Create and destroy ---- */

static int provide_blocks(struct rg_floor_worker *w)
{
    int err = 0;
    w->memory = mmap(NULL, BLOCKS * BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (w->memory == MAP_FAILED)
        return -errno;
    w->blocks = io_uring_setup_buf_ring(&w->ring, BLOCKS, BLOCK_GROUP, 0, &err);
    if (!w->blocks) {
        munmap(w->memory, BLOCKS * BLOCK_BYTES);
        return err;
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        put_block(w, (uint16_t)i);
    io_uring_buf_ring_advance(w->blocks, w->given);
    w->given = 0;
    return 0;
}

int rg_floor_create(struct rg_floor_worker **ret, int listener, int wake, const struct rg_floor_address *replica,
                    const char *congestion)
{
    /* Disabled until its thread has it: the thread that enables a ring is its single issuer. */
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                              IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED,
                                     .cq_entries = COMPLETIONS};
    int err = -ENOMEM;
    struct rg_floor_worker *w = calloc(1, sizeof *w);
    if (!w)
        return err;
    w->wake = wake;
    w->replica = replica;
    w->congestion = congestion;
    w->free_pair = UINT32_MAX;
    TAILQ_INIT(&w->starved);
    /* Address space only: pages come when pairs are used. */
    w->pairs = mmap(NULL, PAIRS_MAX * sizeof *w->pairs, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (w->pairs == MAP_FAILED)
        goto no_pairs;
    err = io_uring_queue_init_params(SUBMISSIONS, &w->ring, &params);
    if (err < 0)
        goto no_ring;
    err = provide_blocks(w);
    if (err < 0)
        goto no_blocks;
    w->listener = listener;
    *ret = w;
    return 0;

no_blocks:
    io_uring_queue_exit(&w->ring);
no_ring:
    munmap(w->pairs, PAIRS_MAX * sizeof *w->pairs);
no_pairs:
    free(w);
    return err;
}

void rg_floor_destroy(struct rg_floor_worker *w)
{
    if (!w)
        return;
    close(w->listener); /* connections that are open go with the process */
    io_uring_free_buf_ring(&w->ring, w->blocks, BLOCKS, BLOCK_GROUP);
    io_uring_queue_exit(&w->ring);
    munmap(w->memory, BLOCKS * BLOCK_BYTES);
    munmap(w->pairs, PAIRS_MAX * sizeof *w->pairs);
    free(w);
}
