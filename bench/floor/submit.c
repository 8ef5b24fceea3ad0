/* The operations of a worker: see relay.h. An operation is told by its tag, which names the side. */
#include "bench/floor/relay.h"

#include <poll.h>

static struct io_uring_sqe *get_sqe(struct rg_floor_worker *w)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&w->ring);
    while (!sqe) {
        io_uring_submit(&w->ring);
        sqe = io_uring_get_sqe(&w->ring);
    }
    return sqe;
}

static void tag(struct io_uring_sqe *sqe, enum op op, uint32_t index)
{
    io_uring_sqe_set_data64(sqe, (uint64_t)op << 56 | index);
}

/* An operation of a side. */
static void launch(struct io_uring_sqe *sqe, enum op op, struct side *s)
{
    tag(sqe, op, s->index);
    s->in_flight++;
}

void rg_relay_accept(struct rg_floor_worker *w)
{
    struct io_uring_sqe *sqe = get_sqe(w);
    io_uring_prep_multishot_accept(sqe, w->listener, NULL, NULL, SOCK_CLOEXEC);
    tag(sqe, OP_ACCEPT, 0);
}

void rg_relay_wait_for_wake(struct rg_floor_worker *w)
{
    struct io_uring_sqe *sqe = get_sqe(w);
    io_uring_prep_poll_add(sqe, w->wake, POLLIN);
    tag(sqe, OP_WAKE, 0);
}

/* Out of descriptors: trying again at once would not end. */
void rg_relay_pause(struct rg_floor_worker *w)
{
    static struct __kernel_timespec pause = {.tv_nsec = 50 * 1000 * 1000};
    struct io_uring_sqe *sqe = get_sqe(w);
    io_uring_prep_timeout(sqe, &pause, 0, 0);
    tag(sqe, OP_PAUSE, 0);
}

void rg_relay_close(struct rg_floor_worker *w, int fd)
{
    struct io_uring_sqe *sqe = get_sqe(w);
    io_uring_prep_close(sqe, fd);
    tag(sqe, OP_CLOSE, 0);
}

void rg_relay_connect(struct rg_floor_worker *w, struct side *s)
{
    const struct rg_bench_address *replica = w->settings->replica;
    struct io_uring_sqe *sqe = get_sqe(w);
    io_uring_prep_connect(sqe, s->fd, &replica->any, replica->len);
    launch(sqe, OP_CONNECT, s);
}

void rg_relay_receive(struct rg_floor_worker *w, struct side *s)
{
    struct io_uring_sqe *sqe = get_sqe(w);
    io_uring_prep_recv_multishot(sqe, s->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = s->large ? w->large.group : w->small.group;
    launch(sqe, OP_RECV, s);
    s->receiving = true;
    s->receives_large = s->large;
    s->receive_cancelled = false;
}

void rg_relay_cancel_all(struct rg_floor_worker *w, struct side *s)
{
    struct io_uring_sqe *sqe = get_sqe(w);
    io_uring_prep_cancel_fd(sqe, s->fd, IORING_ASYNC_CANCEL_ALL);
    launch(sqe, OP_CANCEL, s);
}

/* The receive alone: a send to the same descriptor goes on. */
void rg_relay_cancel_receive(struct rg_floor_worker *w, struct side *s)
{
    struct io_uring_sqe *sqe = get_sqe(w);
    io_uring_prep_cancel64(sqe, (uint64_t)OP_RECV << 56 | s->index, 0);
    launch(sqe, OP_CANCEL, s);
    s->receive_cancelled = true;
}

/* What waits for this side, from where the last send has stopped. */
void rg_relay_send(struct rg_floor_worker *w, struct side *s)
{
    struct io_uring_sqe *sqe = get_sqe(w);
    uint16_t id = s->first;
    uint32_t skip = s->sent;
    unsigned n = 0;
    for (; id != NONE && n < QUEUED_MAX; id = w->block[id].next, skip = 0)
        s->iov[n++] = (struct iovec){rg_block_at(w, id) + skip, w->block[id].len - skip};
    if (n == 1) {
        io_uring_prep_send(sqe, s->fd, s->iov[0].iov_base, s->iov[0].iov_len, MSG_NOSIGNAL);
    } else {
        s->message = (struct msghdr){.msg_iov = s->iov, .msg_iovlen = n};
        io_uring_prep_sendmsg(sqe, s->fd, &s->message, MSG_NOSIGNAL);
    }
    launch(sqe, OP_SEND, s);
    s->sending = true;
}

void rg_relay_shut_write(struct rg_floor_worker *w, struct side *s)
{
    struct io_uring_sqe *sqe = get_sqe(w);
    io_uring_prep_shutdown(sqe, s->fd, SHUT_WR);
    launch(sqe, OP_SHUTDOWN, s);
    s->shut = true;
}
