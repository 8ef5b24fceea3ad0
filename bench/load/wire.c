/* Receiving, sockets, sending: in the order of wire.h. Thread: that of the worker. */
#include "bench/load/wire.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/load/worker.h"

enum {
    SMALL_REQUEST = 16 * 1024, /* sent in one piece; its success needs no completion */
    ONE_SEGMENT = 1200,        /* goes out at once as the first data of a connection, whatever the path */
    SEND_PIECE = 256 * 1024,
    SLOW_WINDOW = 64 * 1024,
    SLOW_READS = 20, /* per second of a slow reader */
};

static const struct rg_load_options *options_of(const struct rg_worker *w)
{
    return w->run->options;
}

static uint64_t user_data(const struct rg_worker *w, const struct rg_client *c, enum rg_operation op)
{
    return (uint64_t)rg_worker_index(w, c) << 32 | (uint64_t)c->generation << 8 | op;
}

/* ---- the socket ---- */

/* A system call less where nothing could be held back: one segment, and the only one of its connection. */
static bool needs_nodelay(const struct rg_worker *w)
{
    const struct rg_load_options *o = options_of(w);
    return o->address.any.sa_family != AF_UNIX &&
           !(o->per_connection && !o->tls && w->run->request.length <= ONE_SEGMENT);
}

static int make_socket(const struct rg_worker *w)
{
    static const int one = 1, window = SLOW_WINDOW;
    const struct rg_load_options *o = options_of(w);
    int fd = socket(o->address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (needs_nodelay(w))
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (o->read_rate)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
    if (o->congestion)
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, o->congestion, (socklen_t)strlen(o->congestion));
    return fd;
}

int rg_wire_connect(struct rg_worker *w, struct rg_client *c)
{
    const struct rg_load_options *o = options_of(w);
    int fd = make_socket(w);
    if (fd < 0)
        return fd;
    c->fd = fd;
    struct io_uring_sqe *sqe = rg_worker_sqe(w);
    io_uring_prep_connect(sqe, fd, &o->address.any, o->address.len);
    io_uring_sqe_set_data64(sqe, user_data(w, c, RG_OPERATION_CONNECT));
    return 0;
}

void rg_wire_close(struct rg_worker *w, struct rg_client *c, bool shut_down)
{
    if (c->fd >= 0) {
        if (shut_down || c->receiving || (c->tls && c->tls->sending))
            shutdown(c->fd, SHUT_RDWR);
        struct io_uring_sqe *sqe = rg_worker_sqe(w);
        io_uring_prep_close(sqe, c->fd);
        io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
        io_uring_sqe_set_data64(sqe, RG_OPERATION_NONE);
    }
    if (c->tls)
        rg_tls_end(c->tls);
    c->fd = -1;
    c->receiving = false;
}

/* ---- receive ---- */

static uint64_t slow_read(const struct rg_load_options *o)
{
    uint64_t piece = o->read_rate / SLOW_READS;
    return piece < 1 ? 1 : piece < RG_BLOCK_SIZE ? piece : RG_BLOCK_SIZE;
}

/*
 * Multishot while answers are small: nothing has to be asked for again. A large body is read with MSG_TRUNC, which for
 * TCP drops the bytes without copying them; never beyond the body, so that the next head is seen.
 */
void rg_wire_receive(struct rg_worker *w, struct rg_client *c)
{
    uint64_t slow = options_of(w)->read_rate;
    uint64_t rest = c->bulk && c->state == RG_CLIENT_BUSY ? rg_reader_discardable(&c->reader) : 0;
    if (c->receiving)
        return;
    if (slow && c->state == RG_CLIENT_BUSY && c->read_at > w->now) {
        rg_schedule_set(&w->schedule, rg_worker_index(w, c), c->read_at);
        return;
    }
    struct io_uring_sqe *sqe = rg_worker_sqe(w);
    c->receiving = true;
    if (rest) {
        io_uring_prep_recv(sqe, c->fd, w->discard, rest < RG_DISCARD_SIZE ? rest : RG_DISCARD_SIZE, MSG_TRUNC);
        io_uring_sqe_set_data64(sqe, user_data(w, c, RG_OPERATION_DISCARD));
        return;
    }
    if (slow || c->bulk)
        io_uring_prep_recv(sqe, c->fd, NULL, slow ? slow_read(options_of(w)) : RG_BLOCK_SIZE, 0);
    else
        io_uring_prep_recv_multishot(sqe, c->fd, NULL, 0, 0);
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = RG_BLOCK_GROUP;
    io_uring_sqe_set_data64(sqe, user_data(w, c, RG_OPERATION_RECEIVE));
}

/* The multishot receive comes to its end, with a completion of its own, which begins the other kind. */
void rg_wire_discard(struct rg_worker *w, struct rg_client *c)
{
    c->bulk = true;
    if (!c->receiving)
        return;
    struct io_uring_sqe *sqe = rg_worker_sqe(w);
    io_uring_prep_cancel64(sqe, user_data(w, c, RG_OPERATION_RECEIVE), 0);
    io_uring_sqe_set_data64(sqe, RG_OPERATION_NONE);
}

/* ---- send ---- */

static void send_clear(struct rg_worker *w, struct rg_client *c)
{
    const struct rg_request *r = c->request;
    size_t rest = r->length - c->sent, piece = rest < SEND_PIECE ? rest : SEND_PIECE;
    struct io_uring_sqe *sqe = rg_worker_sqe(w);
    io_uring_prep_send(sqe, c->fd, r->bytes + c->sent, piece, MSG_NOSIGNAL | MSG_WAITALL);
    io_uring_sqe_set_data64(sqe, user_data(w, c, RG_OPERATION_SEND));
    if (r->length > SMALL_REQUEST)
        return;
    /* The answer proves that it was sent; a completion less wakes the thread once less. */
    io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
    c->sent = r->length;
    w->tally.bytes_out += r->length;
}

/* At most one record at a time: the next is made when this one is sent. */
static void encrypt_request(struct rg_worker *w, struct rg_client *c)
{
    const struct rg_request *r = c->request;
    size_t taken = rg_tls_write(c->tls, r->bytes + c->sent, r->length - c->sent);
    c->sent += taken;
    w->tally.bytes_out += taken;
    rg_wire_send_records(w, c, r->length <= SMALL_REQUEST && c->sent == r->length);
}

void rg_wire_send(struct rg_worker *w, struct rg_client *c)
{
    if (c->tls)
        encrypt_request(w, c);
    else
        send_clear(w, c);
}

void rg_wire_send_records(struct rg_worker *w, struct rg_client *c, bool answered)
{
    struct rg_tls *t = c->tls;
    size_t rest = t->out_length - t->out_sent;
    if (t->sending || rest == 0)
        return;
    struct io_uring_sqe *sqe = rg_worker_sqe(w);
    io_uring_prep_send(sqe, c->fd, t->out + t->out_sent, rest, MSG_NOSIGNAL | MSG_WAITALL);
    io_uring_sqe_set_data64(sqe, user_data(w, c, RG_OPERATION_SEND));
    t->sending = !answered;
    if (!answered)
        return;
    io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
    t->out_sent = t->out_length;
}

static void records_sent(struct rg_worker *w, struct rg_client *c, size_t n)
{
    struct rg_tls *t = c->tls;
    t->sending = false;
    t->out_sent += n;
    if (c->state == RG_CLIENT_BUSY && t->out_sent == t->out_length && c->sent < c->request->length)
        encrypt_request(w, c);
    else
        rg_wire_send_records(w, c, false);
}

void rg_wire_sent(struct rg_worker *w, struct rg_client *c, size_t n)
{
    c->progress = w->now;
    if (c->tls)
        return records_sent(w, c, n);
    if (c->sent == c->request->length)
        return;
    c->sent += n;
    w->tally.bytes_out += n;
    if (c->sent < c->request->length)
        send_clear(w, c);
}
