/*
 * The life of a connection, in the order it happens: open, begin a request, receive, finish, go on; and how it fails.
 * Thread: that of the worker.
 */
#include "bench/load/client.h"

#include <errno.h>
#include <string.h>

#include "bench/load/worker.h"

enum {
    BULK = 64 * 1024, /* from this rest of a body on it is discarded in the kernel */
    PAUSE_MS = 10,    /* after an error */
    DRAIN_MS = 1000,  /* for a server to close a connection it said it would */
    LATE_MS = 1,      /* a request this late counts as behind */
};

#define NS_PER_MS UINT64_C(1000000)

static void fail(struct rg_worker *w, struct rg_client *c, enum rg_error kind, const char *what);

static const struct rg_load_options *options_of(const struct rg_worker *w)
{
    return w->run->options;
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

/* ---- open and close ---- */

static void start_connect(struct rg_worker *w, struct rg_client *c)
{
    c->state = RG_CLIENT_CONNECTING;
    c->connect_start = c->progress = w->now;
    c->served = false;
    c->write_error = 0;
    c->request = options_of(w)->websocket ? &w->run->upgrade : &w->run->request;
    w->connecting++;
    int rc = rg_wire_connect(w, c);
    if (rc < 0)
        fail(w, c, RG_ERROR_CONNECT, strerrordesc_np(-rc));
}

void rg_client_open(struct rg_worker *w, struct rg_client *c)
{
    c->state = RG_CLIENT_QUEUED;
    rg_queue_push(&w->to_open, rg_worker_index(w, c));
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

static bool is_opening(const struct rg_client *c)
{
    return c->state == RG_CLIENT_CONNECTING || c->state == RG_CLIENT_HANDSHAKE;
}

static void hang_up(struct rg_worker *w, struct rg_client *c)
{
    if (is_opening(c))
        end_connect(w, c);
    rg_schedule_clear(&w->schedule, rg_worker_index(w, c));
    rg_wire_close(w, c, is_opening(c) || c->state == RG_CLIENT_BUSY);
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
        rg_schedule_set(&w->schedule, rg_worker_index(w, c), w->now + PAUSE_MS * NS_PER_MS);
}

static void fail(struct rg_worker *w, struct rg_client *c, enum rg_error kind, const char *what)
{
    if (w->phase != RG_PHASE_FINISH)
        rg_tally_note(&w->tally, kind, what);
    end_request(w, c);
    reopen_after_pause(w, c);
}

/* ---- begin a request ---- */

static void send_request(struct rg_worker *w, struct rg_client *c)
{
    if (c->request->is_message)
        rg_reader_begin_message(&c->reader);
    else if (c->request->is_upgrade)
        rg_reader_begin_upgrade(&c->reader);
    else
        rg_reader_begin(&c->reader, c->request->is_head);
    c->state = RG_CLIENT_BUSY;
    c->sent = 0;
    c->progress = w->now;
    rg_wire_send(w, c);
    rg_wire_receive(w, c);
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
        rg_queue_push(&w->light, rg_worker_index(w, c));
    c->in_light_queue = true;
}

/* The connection is free: begin its next request now, or when it is due. */
static void begin_or_wait(struct rg_worker *w, struct rg_client *c)
{
    const struct rg_load_options *o = options_of(w);
    if (!c->active || !rg_worker_is_running(w))
        return;
    if (c->due > w->now)
        return rg_schedule_set(&w->schedule, rg_worker_index(w, c), c->due);
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

/* A WebSocket from here on, if the server wants to. */
static void upgraded(struct rg_worker *w, struct rg_client *c)
{
    if (c->reader.status != 101)
        return fail(w, c, RG_ERROR_STATUS, "no WebSocket");
    c->request = &w->run->request;
    c->served = true;
    c->state = RG_CLIENT_IDLE;
    rg_wire_receive(w, c);
    begin_or_wait(w, c);
}

static void finish(struct rg_worker *w, struct rg_client *c, bool ended)
{
    bool keep =
        c->reader.keep && !ended && !options_of(w)->per_connection && !c->write_error && c->sent == c->request->length;
    if (c->request->is_upgrade)
        return upgraded(w, c);
    count_answer(w, c);
    end_request(w, c);
    c->served = true;
    c->state = keep ? RG_CLIENT_IDLE : RG_CLIENT_DRAINING;
    if (ended)
        return server_closed(w, c);
    rg_wire_receive(w, c);
    if (keep)
        begin_or_wait(w, c);
}

/* ---- completions ---- */

/* The connection is open, for HTTP. */
static void opened(struct rg_worker *w, struct rg_client *c)
{
    end_connect(w, c);
    atomic_fetch_add_explicit(&w->run->connected, 1, memory_order_relaxed);
    c->state = RG_CLIENT_IDLE;
    if (c->asked || c->request->is_upgrade)
        return send_request(w, c);
    rg_wire_receive(w, c);
    begin_or_wait(w, c);
}

static void begin_handshake(struct rg_worker *w, struct rg_client *c)
{
    c->state = RG_CLIENT_HANDSHAKE;
    c->progress = c->tls->start = w->now;
    if (rg_tls_begin(c->tls, &w->tls) < 0)
        return fail(w, c, RG_ERROR_CONNECT, "no memory for TLS");
    if (rg_tls_handshake(c->tls) == RG_TLS_FAILED)
        return fail(w, c, RG_ERROR_CONNECT, rg_tls_why());
    rg_wire_send_records(w, c, true);
    rg_wire_receive(w, c);
}

static void on_connect(struct rg_worker *w, struct rg_client *c, int result)
{
    if (result < 0)
        return fail(w, c, RG_ERROR_CONNECT, strerrordesc_np(-result));
    if (w->phase != RG_PHASE_FINISH)
        rg_histogram_add(&w->tally.connect, w->now - c->connect_start);
    if (c->tls)
        begin_handshake(w, c);
    else
        opened(w, c);
}

static void on_sent(struct rg_worker *w, struct rg_client *c, int result)
{
    if (c->state != RG_CLIENT_BUSY && !c->tls)
        return;
    if (result < 0) {
        /* The server may have answered and closed without reading all: receiving tells. */
        c->write_error = -result;
        return;
    }
    rg_wire_sent(w, c, (size_t)result);
}

static void on_end(struct rg_worker *w, struct rg_client *c, int result)
{
    if (c->state == RG_CLIENT_HANDSHAKE)
        return fail(w, c, RG_ERROR_CONNECT, result < 0 ? strerrordesc_np(-result) : "closed within the handshake");
    if (c->state != RG_CLIENT_BUSY)
        return server_closed(w, c);
    bool complete = result == 0 && (!c->tls || c->tls->closed); /* without close_notify something may be missing */
    if (complete && rg_reader_end(&c->reader) == RG_READER_DONE)
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
    if (!c->bulk && !c->tls && !options_of(w)->read_rate && rg_reader_discardable(&c->reader) >= BULK)
        rg_wire_discard(w, c);
    rg_wire_receive(w, c);
}

static void on_data(struct rg_worker *w, struct rg_client *c, const char *data, size_t n)
{
    size_t used;
    w->tally.bytes_in += n;
    if (c->state != RG_CLIENT_BUSY)
        return fail(w, c, RG_ERROR_PROTOCOL, "bytes after the response");
    enum rg_reader_step step = rg_reader_feed(&c->reader, data, n, &used);
    if (used < n && step != RG_READER_BAD)
        return fail(w, c, RG_ERROR_PROTOCOL, "bytes after the response");
    on_step(w, c, step);
}

/* True when the handshake is over. */
static bool go_on_with_handshake(struct rg_worker *w, struct rg_client *c)
{
    enum rg_tls_step step = rg_tls_handshake(c->tls);
    if (step == RG_TLS_FAILED) {
        fail(w, c, RG_ERROR_CONNECT, rg_tls_why());
        return false;
    }
    if (step == RG_TLS_DONE) {
        if (w->phase != RG_PHASE_FINISH)
            rg_tls_count(c->tls, &w->tally, w->now);
        opened(w, c); /* a request goes with the end of the handshake */
    }
    rg_wire_send_records(w, c, false);
    rg_wire_receive(w, c);
    return step == RG_TLS_DONE;
}

/* What a record brings may end the connection, and another one may begin in its place. */
static void on_records(struct rg_worker *w, struct rg_client *c, const char *data, size_t n)
{
    uint32_t generation = c->generation;
    enum rg_tls_step step;
    rg_tls_give(c->tls, data, n);
    if (c->state == RG_CLIENT_HANDSHAKE && !go_on_with_handshake(w, c))
        return;
    while ((step = rg_tls_read(c->tls, w->plain, RG_TLS_RECORD, &n)) == RG_TLS_DONE) {
        on_data(w, c, w->plain, n);
        if (c->generation != generation)
            return;
    }
    if (step == RG_TLS_FAILED)
        return fail(w, c, RG_ERROR_PROTOCOL, rg_tls_why());
    rg_wire_send_records(w, c, false);
    rg_wire_receive(w, c);
}

static void on_received(struct rg_worker *w, struct rg_client *c, const struct rg_completion *done)
{
    uint64_t slow = options_of(w)->read_rate;
    c->receiving = done->more;
    if (done->result == -ENOBUFS || done->result == -ECANCELED)
        return rg_wire_receive(w, c); /* blocks are back by the time it is submitted */
    if (done->result <= 0)
        return on_end(w, c, done->result);
    size_t n = (size_t)done->result;
    c->progress = w->now;
    if (slow)
        c->read_at = (c->read_at > w->now ? c->read_at : w->now) + n * UINT64_C(1000000000) / slow;
    if (done->operation == RG_OPERATION_DISCARD) {
        w->tally.bytes_in += n;
        on_step(w, c, rg_reader_skip(&c->reader, n));
    } else if (c->tls) {
        on_records(w, c, done->data, n);
    } else {
        on_data(w, c, done->data, n);
    }
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
        return rg_wire_receive(w, c);
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
    if (is_opening(c) && idle > options_of(w)->timeout_ns)
        fail(w, c, RG_ERROR_CONNECT, strerrordesc_np(ETIMEDOUT));
    else if (c->state == RG_CLIENT_BUSY && idle > options_of(w)->timeout_ns)
        fail(w, c, RG_ERROR_TIMEOUT, c->reader.begun ? "a response stopped" : "no response");
    else if (c->state == RG_CLIENT_DRAINING && idle > DRAIN_MS * NS_PER_MS)
        server_closed(w, c);
}
