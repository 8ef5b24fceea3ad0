/*
 * A worker of ringgate-floor: a ring, a listening socket, and pairs of a client and its connection to the replica.
 *
 * Completions only note what happened; step() then decides about the pair. Bytes are sent from the block that they were
 * received in, in order, with one send at a time for each direction. A pair ends when both sides have, or at the first
 * error; its slot and descriptors are given back when the kernel has nothing more of it.
 *
 * Thread: the worker's, but for create and destroy.
 */
#include "bench/floor/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- What waits to be sent ---- */

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
    rg_relay_put_block(w, id);
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
        rg_relay_cancel_all(w, p, &p->sides[i]);
    p->cancelled = true;
    if (p->in_flight > 0)
        return;
    for (int i = 0; i < 2; i++) {
        struct side *s = &p->sides[i];
        while (s->n_queued > 0)
            dequeue(w, s);
        remove_starved(w, s);
        rg_relay_close(w, s->fd);
    }
    p->next_free = w->free_pair;
    w->free_pair = p->index;
}

/* The direction to s: what was received from the other side goes out, and its end after it. */
static void step_to(struct rg_floor_worker *w, struct pair *p, struct side *s)
{
    struct side *from = other(p, s);
    if (s->n_queued > 0 && !s->sending && p->connected)
        rg_relay_send(w, p, s);
    if (from->eof && s->n_queued == 0 && !s->shut && p->connected)
        rg_relay_shut_write(w, p, s);
    bool may_receive = p->connected || from == &p->sides[0];
    bool wanted = may_receive && !from->eof && s->n_queued < QUEUED_MAX;
    if (wanted && !from->receiving && !from->starved)
        rg_relay_receive(w, p, from);
    else if (!wanted && from->receiving && !from->cancelled)
        rg_relay_cancel_receive(w, p, from);
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
        rg_relay_close(w, fd);
        if (p) {
            p->next_free = w->free_pair;
            w->free_pair = p->index;
        }
        return;
    }
    p->sides[0].fd = fd;
    p->sides[1].fd = up;
    rg_relay_connect(w, p);
    rg_relay_receive(w, p, &p->sides[0]);
}

static void on_accept(struct rg_floor_worker *w, const struct io_uring_cqe *c)
{
    if (c->res >= 0)
        accepted(w, c->res);
    if (c->flags & IORING_CQE_F_MORE)
        return;
    if (c->res == -EMFILE || c->res == -ENFILE || c->res == -ENOMEM || c->res == -ENOBUFS)
        rg_relay_pause(w);
    else
        rg_relay_accept(w);
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
            rg_relay_put_block(w, id);
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
        rg_relay_accept(w);
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
    rg_relay_accept(w);
    rg_relay_wait_for_wake(w);
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
        rg_relay_put_block(w, (uint16_t)i);
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
