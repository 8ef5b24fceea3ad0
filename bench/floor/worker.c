/* The loop of a worker of ringgate-floor, and its begin and end. Thread: the worker's, but for create and destroy. */
#include "bench/floor/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void on_accept(struct rg_floor_worker *w, const struct io_uring_cqe *c)
{
    if (c->res >= 0)
        rg_relay_accepted(w, c->res);
    if (c->flags & IORING_CQE_F_MORE)
        return;
    if (c->res == -EMFILE || c->res == -ENFILE || c->res == -ENOMEM || c->res == -ENOBUFS)
        rg_relay_pause(w);
    else
        rg_relay_accept(w);
}

static void on_completion(struct rg_floor_worker *w, const struct io_uring_cqe *c)
{
    switch ((enum op)(c->user_data >> 56)) {
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
        rg_relay_complete(w, c);
        break;
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
    /* Who is given a large block may put small ones back, and the other way round. */
    while (w->small.given > 0 || w->large.given > 0) {
        rg_blocks_give(w, &w->small);
        rg_blocks_give(w, &w->large);
    }
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

int rg_floor_create(struct rg_floor_worker **ret, int listener, int wake, const struct rg_floor_settings *settings)
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
    w->settings = settings;
    w->free_side = UINT32_MAX;
    TAILQ_INIT(&w->pool);
    /* Address space only: pages come when connections are there. */
    w->sides = mmap(NULL, SIDES_MAX * sizeof *w->sides, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (w->sides == MAP_FAILED)
        goto no_sides;
    err = io_uring_queue_init_params(SUBMISSIONS, &w->ring, &params);
    if (err < 0)
        goto no_ring;
    err = rg_blocks_init(w);
    if (err < 0)
        goto no_blocks;
    w->listener = listener;
    *ret = w;
    return 0;

no_blocks:
    io_uring_queue_exit(&w->ring);
no_ring:
    munmap(w->sides, SIDES_MAX * sizeof *w->sides);
no_sides:
    free(w);
    return err;
}

void rg_floor_destroy(struct rg_floor_worker *w)
{
    if (!w)
        return;
    close(w->listener); /* connections that are open go with the process */
    rg_blocks_fini(w);
    io_uring_queue_exit(&w->ring);
    munmap(w->sides, SIDES_MAX * sizeof *w->sides);
    free(w);
}
