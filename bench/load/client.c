/*
 * The life of a connection, in the order it happens: open, begin a request, receive, finish, go on; and how it fails.
 * Thread: that of the worker.
 */
#include "bench/load/client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/load/worker.h"

enum {
    SMALL_REQUEST = 16 * 1024, /* sent in one piece; its success needs no completion */
    ONE_SEGMENT = 1200,        /* goes out at once as the first data of a connection, whatever the path */
    SEND_PIECE = 256 * 1024,
    BULK = 64 * 1024, /* from this rest of a body on it is discarded in the kernel */
    SLOW_WINDOW = 64 * 1024,
    SLOW_READS = 20, /* per second of a slow reader */
    PAUSE_MS = 10,   /* after an error */
    DRAIN_MS = 1000, /* for a server to close a connection it said it would */
    LATE_MS = 1,     /* a request this late counts as behind */
};

#define NS_PER_MS UINT64_C(1000000)

static void fail(struct rg_worker *w, struct rg_client *c, enum rg_error kind, const char *what);

static const struct rg_load_options *options_of(const struct rg_worker *w)
{
    return w->run->options;
}

static uint32_t index_of(const struct rg_worker *w, const struct rg_client *c)
{
    return (uint32_t)(c - w->clients);
}

static uint64_t user_data(const struct rg_worker *w, const struct rg_client *c, enum rg_operation op)
{
    return (uint64_t)index_of(w, c) << 32 | (uint64_t)c->generation << 8 | op;
}

void rg_client_init(struct rg_worker *w, struct rg_client *c, unsigned number, bool heavy)
{
    const struct rg_load_options *o = options_of(w);
    c->fd = -1;
    c->active = number < o->active;
    c->heavy = heavy;
    if (c->active && o->rate > 0)
        c->interval = rg_pace_interval(o, heavy);
    /* Relative until the load begins. */
    c->due = rg_pace_phase(o->seed, number, o->rate > 0 ? c->interval : o->think_ns);
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
static void receive(struct rg_worker *w, struct rg_client *c)
{
    uint64_t slow = options_of(w)->read_rate;
    uint64_t rest = c->bulk && c->state == RG_CLIENT_BUSY ? rg_reader_discardable(&c->reader) : 0;
    if (c->receiving)
        return;
    if (slow && c->state == RG_CLIENT_BUSY && c->read_at > w->now) {
        rg_schedule_set(&w->schedule, index_of(w, c), c->read_at);
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
static void switch_to_bulk(struct rg_worker *w, struct rg_client *c)
{
    c->bulk = true;
    if (!c->receiving)
        return;
    struct io_uring_sqe *sqe = rg_worker_sqe(w);
    io_uring_prep_cancel64(sqe, user_data(w, c, RG_OPERATION_RECEIVE), 0);
    io_uring_sqe_set_data64(sqe, RG_OPERATION_NONE);
}

/* ---- open and close ---- */

/* A system call less where nothing could be held back: one segment, and the only one of its connection. */
static bool needs_nodelay(const struct rg_worker *w)
{
    const struct rg_load_options *o = options_of(w);
    return o->address.any.sa_family != AF_UNIX && !(o->per_connection && w->run->request.length <= ONE_SEGMENT);
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

static void start_connect(struct rg_worker *w, struct rg_client *c)
{
    const struct rg_load_options *o = options_of(w);
    c->state = RG_CLIENT_CONNECTING;
    c->connect_start = c->progress = w->now;
    c->served = false;
    c->write_error = 0;
    w->connecting++;
    int fd = make_socket(w);
    if (fd < 0)
        return fail(w, c, RG_ERROR_CONNECT, strerrordesc_np(-fd));
    c->fd = fd;
    struct io_uring_sqe *sqe = rg_worker_sqe(w);
    io_uring_prep_connect(sqe, fd, &o->address.any, o->address.len);
    io_uring_sqe_set_data64(sqe, user_data(w, c, RG_OPERATION_CONNECT));
}

void rg_client_open(struct rg_worker *w, struct rg_client *c)
{
    c->state = RG_CLIENT_QUEUED;
    rg_queue_push(&w->to_open, index_of(w, c));
    rg_client_connect_next(w);
}

void rg_client_connect_next(struct rg_worker *w)
{
    uint32_t next;
    while (w->connecting < w->connecting_max && rg_queue_pop(&w->to_open, &next))
        start_connect(w, &w->clients[next]);
}

static void end_connect(struct rg_worker *w, struct rg_client *c)
{
    w->connecting--;
    if (!c->tried)
        w->untried--;
    c->tried = true;
}

/*
 * Shutting down comes first where the kernel may still work on the descriptor: its operations hold the socket open
 * when the descriptor is closed.
 */
static void hang_up(struct rg_worker *w, struct rg_client *c)
{
    if (c->state == RG_CLIENT_CONNECTING)
        end_connect(w, c);
    rg_schedule_clear(&w->schedule, index_of(w, c));
    if (c->fd >= 0) {
        if (c->receiving || c->state == RG_CLIENT_CONNECTING || c->state == RG_CLIENT_BUSY)
            shutdown(c->fd, SHUT_RDWR);
        struct io_uring_sqe *sqe = rg_worker_sqe(w);
        io_uring_prep_close(sqe, c->fd);
        io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
        io_uring_sqe_set_data64(sqe, RG_OPERATION_NONE);
    }
    c->fd = -1;
    c->receiving = false;
    c->generation = (c->generation + 1) & 0xffffff;
    c->state = RG_CLIENT_CLOSED;
}

static void end_request(struct rg_worker *w, struct rg_client *c)
{
    if (c->asked)
        w->requests--;
    c->asked = false;
    if (!c->interval)
        c->due = w->now + options_of(w)->think_ns;
}

static void reopen_after_pause(struct rg_worker *w, struct rg_client *c)
{
    hang_up(w, c);
    c->paused = true;
    if (w->phase != RG_PHASE_FINISH)
        rg_schedule_set(&w->schedule, index_of(w, c), w->now + PAUSE_MS * NS_PER_MS);
}

static void fail(struct rg_worker *w, struct rg_client *c, enum rg_error kind, const char *what)
{
    if (w->phase != RG_PHASE_FINISH)
        rg_tally_note(&w->tally, kind, what);
    end_request(w, c);
    reopen_after_pause(w, c);
}

/* ---- begin a request ---- */

static void send_rest(struct rg_worker *w, struct rg_client *c)
{
    const struct rg_request *r = &w->run->request;
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

static void send_request(struct rg_worker *w, struct rg_client *c)
{
    rg_reader_begin(&c->reader, w->run->request.is_head);
    c->state = RG_CLIENT_BUSY;
    c->sent = 0;
    c->progress = w->now;
    send_rest(w, c);
    receive(w, c);
}

static void ask(struct rg_worker *w, struct rg_client *c)
{
    c->start = c->interval ? c->due : w->now;
    c->due += c->interval;
    c->asked = true;
    w->requests++;
    if (c->fd >= 0)
        send_request(w, c);
    else
        rg_client_open(w, c);
}

/* Connections that wait for credit, as far as it reaches. */
static void let_light_ask(struct rg_worker *w)
{
    uint32_t next;
    while (w->credit.saved >= 1 && rg_queue_pop(&w->light, &next)) {
        struct rg_client *c = &w->clients[next];
        c->in_light_queue = false;
        if (c->state != RG_CLIENT_WAITING)
            continue;
        rg_credit_spend(&w->credit);
        ask(w, c);
    }
}

static void wait_for_credit(struct rg_worker *w, struct rg_client *c)
{
    c->state = RG_CLIENT_WAITING;
    if (!c->in_light_queue)
        rg_queue_push(&w->light, index_of(w, c));
    c->in_light_queue = true;
}

/* The connection is free: begin its next request now, or when it is due. */
static void begin_or_wait(struct rg_worker *w, struct rg_client *c)
{
    const struct rg_load_options *o = options_of(w);
    if (!c->active || !rg_worker_is_running(w))
        return;
    if (c->due > w->now)
        return rg_schedule_set(&w->schedule, index_of(w, c), c->due);
    if (o->skew_share <= 0 || c->interval)
        return ask(w, c);
    if (!c->heavy)
        wait_for_credit(w, c);
    else {
        rg_credit_earn(&w->credit);
        ask(w, c);
    }
    let_light_ask(w);
}

void rg_client_begin(struct rg_worker *w, struct rg_client *c)
{
    c->due += w->run->begin;
    if (c->state == RG_CLIENT_IDLE || (c->state == RG_CLIENT_CLOSED && options_of(w)->per_connection))
        begin_or_wait(w, c);
}

/* ---- finish ---- */

/* A server that closes between two requests is within its rights; only a connection that never worked waits. */
static void server_closed(struct rg_worker *w, struct rg_client *c)
{
    bool expected = c->state == RG_CLIENT_DRAINING;
    if (!expected && rg_worker_is_running(w))
        w->tally.reconnects++;
    if (!c->served || w->phase == RG_PHASE_FINISH)
        return reopen_after_pause(w, c);
    hang_up(w, c);
    if (options_of(w)->per_connection)
        begin_or_wait(w, c);
    else
        rg_client_open(w, c);
}

static void count_answer(struct rg_worker *w, struct rg_client *c)
{
    if (w->phase == RG_PHASE_FINISH)
        return;
    if (c->reader.status >= 400) {
        rg_tally_note(&w->tally, RG_ERROR_STATUS, c->reader.status >= 500 ? "5xx" : "4xx");
        return;
    }
    w->tally.requests++;
    rg_histogram_add(&w->tally.latency, w->now > c->start ? w->now - c->start : 0);
}

static void finish(struct rg_worker *w, struct rg_client *c, bool ended)
{
    bool keep = c->reader.keep && !ended && !options_of(w)->per_connection && !c->write_error &&
                c->sent == w->run->request.length;
    count_answer(w, c);
    end_request(w, c);
    c->served = true;
    c->state = keep ? RG_CLIENT_IDLE : RG_CLIENT_DRAINING;
    if (ended)
        return server_closed(w, c);
    receive(w, c);
    if (keep)
        begin_or_wait(w, c);
}

/* ---- completions ---- */

static void on_connect(struct rg_worker *w, struct rg_client *c, int result)
{
    if (result < 0)
        return fail(w, c, RG_ERROR_CONNECT, strerrordesc_np(-result));
    end_connect(w, c);
    atomic_fetch_add_explicit(&w->run->connected, 1, memory_order_relaxed);
    if (w->phase != RG_PHASE_FINISH)
        rg_histogram_add(&w->tally.connect, w->now - c->connect_start);
    c->state = RG_CLIENT_IDLE;
    if (c->asked)
        return send_request(w, c);
    receive(w, c);
    begin_or_wait(w, c);
}

static void on_sent(struct rg_worker *w, struct rg_client *c, int result)
{
    if (c->state != RG_CLIENT_BUSY)
        return;
    if (result < 0) {
        /* The server may have answered and closed without reading all: receiving tells. */
        c->write_error = -result;
        return;
    }
    if (c->sent == w->run->request.length)
        return;
    c->sent += (size_t)result;
    c->progress = w->now;
    w->tally.bytes_out += (uint64_t)result;
    if (c->sent < w->run->request.length)
        send_rest(w, c);
}

static void on_end(struct rg_worker *w, struct rg_client *c, int result)
{
    if (c->state != RG_CLIENT_BUSY)
        return server_closed(w, c);
    if (result == 0 && rg_reader_end(&c->reader) == RG_READER_DONE)
        return finish(w, c, true);
    if (c->write_error)
        return fail(w, c, RG_ERROR_WRITE, strerrordesc_np(c->write_error));
    if (result < 0)
        return fail(w, c, RG_ERROR_READ, strerrordesc_np(-result));
    fail(w, c, RG_ERROR_READ, c->reader.begun ? "the server closed within a response" : "the server closed unasked");
}

static void on_step(struct rg_worker *w, struct rg_client *c, enum rg_reader_step step)
{
    if (step == RG_READER_BAD)
        return fail(w, c, RG_ERROR_PROTOCOL, c->reader.why);
    if (step == RG_READER_DONE)
        return finish(w, c, false);
    if (!c->bulk && !options_of(w)->read_rate && rg_reader_discardable(&c->reader) >= BULK)
        switch_to_bulk(w, c);
    receive(w, c);
}

static void on_data(struct rg_worker *w, struct rg_client *c, const char *data, size_t n)
{
    uint64_t slow = options_of(w)->read_rate;
    size_t used;
    w->tally.bytes_in += n;
    c->progress = w->now;
    if (slow)
        c->read_at = (c->read_at > w->now ? c->read_at : w->now) + n * UINT64_C(1000000000) / slow;
    if (c->state != RG_CLIENT_BUSY)
        return fail(w, c, RG_ERROR_PROTOCOL, "bytes after the response");
    enum rg_reader_step step = rg_reader_feed(&c->reader, data, n, &used);
    if (used < n && step != RG_READER_BAD)
        return fail(w, c, RG_ERROR_PROTOCOL, "bytes after the response");
    on_step(w, c, step);
}

static void on_received(struct rg_worker *w, struct rg_client *c, const struct rg_completion *done)
{
    c->receiving = done->more;
    if (done->result == -ENOBUFS || done->result == -ECANCELED)
        return receive(w, c); /* blocks are back by the time it is submitted */
    if (done->result <= 0)
        return on_end(w, c, done->result);
    if (done->operation == RG_OPERATION_RECEIVE)
        return on_data(w, c, done->data, (size_t)done->result);
    w->tally.bytes_in += (uint64_t)done->result;
    c->progress = w->now;
    on_step(w, c, rg_reader_skip(&c->reader, (uint64_t)done->result));
}

void rg_client_complete(struct rg_worker *w, struct rg_client *c, const struct rg_completion *done)
{
    switch (done->operation) {
    case RG_OPERATION_NONE:
        return;
    case RG_OPERATION_CONNECT:
        return on_connect(w, c, done->result);
    case RG_OPERATION_SEND:
        return on_sent(w, c, done->result);
    case RG_OPERATION_RECEIVE:
    case RG_OPERATION_DISCARD:
        return on_received(w, c, done);
    }
}

/* ---- time ---- */

static void note_behind(struct rg_worker *w, struct rg_client *c)
{
    if (!c->interval || c->paused)
        return;
    uint64_t behind = w->now - c->due;
    rg_histogram_add(&w->tally.behind, behind);
    w->tally.behind_requests += behind > LATE_MS * NS_PER_MS;
}

void rg_client_due(struct rg_worker *w, struct rg_client *c)
{
    bool per_connection = options_of(w)->per_connection;
    if (c->state == RG_CLIENT_BUSY)
        return receive(w, c);
    if (c->state != RG_CLIENT_IDLE && c->state != RG_CLIENT_CLOSED)
        return;
    if (rg_worker_is_running(w) && c->active && c->due <= w->now && (c->state == RG_CLIENT_IDLE || per_connection))
        note_behind(w, c);
    c->paused = false;
    if (c->state == RG_CLIENT_CLOSED && (!per_connection || !c->active))
        rg_client_open(w, c);
    else
        begin_or_wait(w, c);
}

void rg_client_check(struct rg_worker *w, struct rg_client *c)
{
    uint64_t idle = w->now > c->progress ? w->now - c->progress : 0;
    if (c->state == RG_CLIENT_CONNECTING && idle > options_of(w)->timeout_ns)
        fail(w, c, RG_ERROR_CONNECT, strerrordesc_np(ETIMEDOUT));
    else if (c->state == RG_CLIENT_BUSY && idle > options_of(w)->timeout_ns)
        fail(w, c, RG_ERROR_TIMEOUT, c->reader.begun ? "a response stopped" : "no response");
    else if (c->state == RG_CLIENT_DRAINING && idle > DRAIN_MS * NS_PER_MS)
        server_closed(w, c);
}
