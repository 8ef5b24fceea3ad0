/*
 * One connection: reading, the turn from request to request, writing, and its end. A client is run whenever something
 * may have changed (an event, its timer, its turn in the queue) and goes on until it has to wait.
 * Thread: the one that accepted it.
 */
#include "bench/origin/origin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

void rg_task_fini(struct rg_task *t)
{
    free(t->plan.head);
    free(t->plan.body);
    free(t->plan.trailers);
    free(t->up.data);
    t->plan.head = t->plan.body = t->plan.trailers = t->up.data = NULL;
}

/* ---- birth and death ---- */

static struct rg_client *client_get(struct rg_thread *t)
{
    struct rg_client *c = LIST_FIRST(&t->spare_clients);
    if (c) {
        LIST_REMOVE(c, all);
        return c;
    }
    return rg_timer_reserve(t) ? malloc(sizeof(*c)) : NULL;
}

/* Everything but the big arrays, which are never read before they are written. */
static void client_init(struct rg_client *c, struct rg_thread *t, int fd)
{
    memset(c, 0, offsetof(struct rg_client, task));
    memset(&c->task, 0, offsetof(struct rg_task, req));
    c->source = (struct rg_source){RG_SOURCE_CLIENT, fd};
    c->thread = t;
    c->id = atomic_fetch_add(&t->server->next_connection, 1);
    c->writable = true;
}

void rg_client_accept(struct rg_thread *t, int fd)
{
    struct rg_client *c = client_get(t);
    if (!c) {
        close(fd);
        return;
    }
    client_init(c, t, fd);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    LIST_INSERT_HEAD(&t->clients, c, all);
    t->n_clients++;
    rg_tally_add(t, &t->tally.accepted, 1);
    rg_tally_add(t, &t->tally.open, 1);
    if (epoll_ctl(t->epoll, EPOLL_CTL_ADD, fd, &ev) < 0) {
        rg_client_free(c);
        return;
    }
    if (t->server->idle_close_ms)
        rg_timer_set(c, t->now_ms + t->server->idle_close_ms);
}

void rg_client_free(struct rg_client *c)
{
    struct rg_thread *t = c->thread;
    if (c->state == RG_CLIENT_BUSY)
        rg_tally_finish(c, false);
    rg_task_fini(&c->task);
    rg_timer_clear(c);
    if (c->in_run)
        TAILQ_REMOVE(&t->run, c, run);
    close(c->source.fd);
    LIST_REMOVE(c, all);
    LIST_INSERT_HEAD(&t->spare_clients, c, all);
    t->n_clients--;
    rg_tally_add(t, &t->tally.open, -1);
}

/* ---- input and output ---- */

enum io { IO_MORE, IO_BLOCKED, IO_END, IO_ERROR };

static void want_out(struct rg_client *c, bool wanted)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (c->wants_out == wanted)
        return;
    if (wanted)
        ev.events |= EPOLLOUT;
    c->wants_out = wanted;
    epoll_ctl(c->thread->epoll, EPOLL_CTL_MOD, c->source.fd, &ev);
}

static enum io client_flush(struct rg_client *c)
{
    while (c->out_off < c->out_n) {
        if (!c->writable)
            return IO_BLOCKED;
        ssize_t n = send(c->source.fd, c->out + c->out_off, c->out_n - c->out_off, MSG_NOSIGNAL);
        if (n >= 0) {
            c->out_off += (size_t)n;
            continue;
        }
        if (errno == EAGAIN) {
            c->writable = false;
            want_out(c, true);
            return IO_BLOCKED;
        }
        if (errno != EINTR)
            return IO_ERROR;
    }
    c->out_off = c->out_n = 0;
    return IO_MORE;
}

/* Makes room behind what has not been read yet; the head of the request under way stays where its views point. */
static void compact(struct rg_client *c)
{
    size_t base = c->state == RG_CLIENT_BUSY ? c->task.body_base : 0;
    if (c->in_off == base)
        return;
    memmove(c->in + base, c->in + c->in_off, c->in_n - c->in_off);
    c->in_n = base + c->in_n - c->in_off;
    c->in_off = base;
}

static enum io client_receive(struct rg_client *c)
{
    if (c->in_off == c->in_n || c->in_n == RG_IN_SIZE)
        compact(c);
    size_t room = RG_IN_SIZE - c->in_n;
    if (c->state == RG_CLIENT_BUSY && c->task.slow_receive && c->task.up.slow < room)
        room = c->task.up.slow;
    if (room == 0)
        return IO_ERROR; /* the parser gives up on a head before this */
    if (!c->readable)
        return IO_BLOCKED;
    ssize_t n;
    do
        n = recv(c->source.fd, c->in + c->in_n, room, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        c->in_n += (size_t)n;
        /* A short read has drained the socket; what comes later makes a new event. A FIN may not. */
        if ((size_t)n < room && !c->peer_gone)
            c->readable = false;
        return IO_MORE;
    }
    if (n == 0)
        return IO_END;
    if (errno == EAGAIN)
        c->readable = false;
    return errno == EAGAIN ? IO_BLOCKED : IO_ERROR;
}

/* ---- the end of a connection ---- */

static void client_reset(struct rg_client *c)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(c->source.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    rg_client_free(c);
}

/* FIN now, then read until the peer has closed as well: closing with unread input would send RST and destroy output. */
static void client_linger(struct rg_client *c)
{
    c->state = RG_CLIENT_LINGER;
    shutdown(c->source.fd, SHUT_WR);
    rg_timer_set(c, c->thread->now_ms + RG_LINGER_MS);
}

static void run_linger(struct rg_client *c)
{
    enum io io = IO_MORE;
    for (unsigned i = 0; i < RG_TURN_SENDS && io == IO_MORE; i++) {
        c->in_off = c->in_n = 0;
        io = client_receive(c);
    }
    if (io == IO_END || io == IO_ERROR) {
        rg_client_free(c);
    } else if (io == IO_MORE && !c->in_run) {
        c->in_run = true;
        TAILQ_INSERT_TAIL(&c->thread->run, c, run);
    }
}

/* Everything queued is sent first, then the connection ends in the way that was asked for. */
static void run_closing(struct rg_client *c)
{
    enum io io = client_flush(c);
    if (io == IO_BLOCKED)
        return;
    if (io == IO_ERROR || c->abrupt) {
        rg_client_free(c);
    } else if (c->end == RG_THEN_RESET) {
        client_reset(c);
    } else {
        client_linger(c);
        run_linger(c);
    }
}

static void task_end(struct rg_client *c, bool complete)
{
    if (c->state != RG_CLIENT_BUSY)
        return;
    rg_tally_finish(c, complete);
    rg_task_fini(&c->task);
    c->state = RG_CLIENT_IDLE;
}

static void client_end(struct rg_client *c, enum rg_then how, bool abrupt)
{
    task_end(c, c->task.body_done);
    rg_timer_clear(c);
    c->state = RG_CLIENT_CLOSING;
    c->end = how;
    c->abrupt = abrupt;
    run_closing(c);
}

/* ---- the turn ---- */

static void answer_malformed(struct rg_client *c, const char *why)
{
    char text[256];
    int n = snprintf(text, sizeof(text),
                     "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
                     "Connection: close\r\n\r\n%s\n",
                     strlen(why) + 1, why);
    if (rg_out_room(c) >= (size_t)n)
        rg_out_add(c, text, (size_t)n);
}

/* A body needs room behind its head: the two move to the front of the buffer, where half of it is left at least. */
static bool move_to_front(struct rg_client *c)
{
    if (c->in_off == 0 || c->task.req.framing == RG_FRAMING_NONE)
        return false;
    compact(c);
    return true;
}

static enum rg_step begin_next(struct rg_client *c)
{
    const char *why = NULL;
    size_t used = 0;

    if (c->in_off == c->in_n)
        return RG_STEP_READ;
    enum rg_parse parse = rg_request_parse(c->in + c->in_off, c->in_n - c->in_off, &c->task.req, &used, &why);
    if (parse == RG_PARSE_OK && move_to_front(c))
        parse = rg_request_parse(c->in, c->in_n, &c->task.req, &used, &why);
    if (parse == RG_PARSE_MORE) {
        compact(c);
        return RG_STEP_READ;
    }
    if (parse == RG_PARSE_BAD) {
        rg_tally_malformed(c, (struct rg_view){c->in + c->in_off, c->in_n - c->in_off});
        answer_malformed(c, why);
        return RG_STEP_CLOSE;
    }
    c->in_off += used;
    c->nth++;
    memset(&c->task, 0, offsetof(struct rg_task, req));
    c->state = RG_CLIENT_BUSY;
    rg_body_start(c);
    return rg_script_begin(c);
}

/* The peer has closed its side. Returns false when the client is gone. */
static void handle_end_of_input(struct rg_client *c)
{
    struct rg_thread *t = c->thread;
    bool partial = c->state == RG_CLIENT_BUSY ? !c->task.body_done : c->in_off < c->in_n;
    if (partial)
        rg_tally_add(t, &t->tally.truncated, 1);
    if (c->state == RG_CLIENT_IDLE && c->out_off < c->out_n)
        client_end(c, RG_THEN_CLOSE, false); /* answers of pipelined requests are still due */
    else
        rg_client_free(c);
}

static bool handle_read(struct rg_client *c)
{
    enum io io = client_flush(c);
    if (io == IO_MORE)
        io = client_receive(c);
    if (io == IO_MORE)
        return true;
    if (io == IO_END)
        handle_end_of_input(c);
    else if (io == IO_ERROR)
        rg_client_free(c);
    return false;
}

static bool handle_write(struct rg_client *c)
{
    enum io io = client_flush(c);
    if (io == IO_ERROR) {
        rg_tally_add(c->thread, &c->thread->tally.aborted, 1);
        rg_client_free(c);
    }
    return io == IO_MORE;
}

static bool handle_wait(struct rg_client *c)
{
    enum io io = client_flush(c);
    if (io == IO_ERROR || c->peer_gone) {
        rg_tally_add(c->thread, &c->thread->tally.aborted, 1);
        rg_client_free(c);
    }
    return false;
}

static bool handle_done(struct rg_client *c)
{
    const struct rg_server *s = c->thread->server;
    bool last = s->max_requests && c->nth >= s->max_requests;
    if (!c->task.keep || last) {
        client_end(c, RG_THEN_CLOSE, last && s->silent_close);
        return false;
    }
    task_end(c, true);
    want_out(c, c->out_off < c->out_n && c->wants_out);
    rg_timer_clear(c);
    if (s->idle_close_ms)
        rg_timer_set(c, c->thread->now_ms + s->idle_close_ms);
    return true;
}

static bool handle_bad(struct rg_client *c)
{
    rg_tally_add(c->thread, &c->thread->tally.malformed, 1);
    if (!c->task.started)
        answer_malformed(c, "malformed body");
    client_end(c, RG_THEN_CLOSE, false);
    return false;
}

/* One step; true when there may be another at once. */
static bool client_step(struct rg_client *c)
{
    enum rg_step step = c->state == RG_CLIENT_IDLE ? begin_next(c) : c->task.step(c);
    switch (step) {
    case RG_STEP_NEXT:
        return true;
    case RG_STEP_READ:
        return handle_read(c);
    case RG_STEP_WRITE:
        return handle_write(c);
    case RG_STEP_WAIT:
        return handle_wait(c);
    case RG_STEP_DONE:
        return handle_done(c);
    case RG_STEP_CLOSE:
        client_end(c, RG_THEN_CLOSE, false);
        return false;
    case RG_STEP_RESET:
        client_end(c, RG_THEN_RESET, false);
        return false;
    case RG_STEP_BAD:
        return handle_bad(c);
    }
    return false;
}

void rg_client_run(struct rg_client *c)
{
    if (c->state == RG_CLIENT_LINGER) {
        run_linger(c);
        return;
    }
    if (c->state == RG_CLIENT_CLOSING) {
        run_closing(c);
        return;
    }
    for (unsigned i = 0; i < RG_TURN_SENDS * 16; i++)
        if (!client_step(c))
            return;
    if (!c->in_run) {
        c->in_run = true;
        TAILQ_INSERT_TAIL(&c->thread->run, c, run);
    }
}

void rg_client_timer(struct rg_client *c)
{
    switch (c->state) {
    case RG_CLIENT_BUSY:
        rg_client_run(c);
        break;
    case RG_CLIENT_IDLE:
        if (c->in_off < c->in_n)
            rg_tally_add(c->thread, &c->thread->tally.truncated, 1);
        rg_client_free(c);
        break;
    case RG_CLIENT_CLOSING:
    case RG_CLIENT_LINGER:
        rg_client_free(c);
        break;
    }
}
