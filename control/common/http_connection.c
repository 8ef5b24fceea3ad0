/*
 * Why: a connection's life: it reads a request, waits for the handler, writes the answer, and starts again, or ends. No
 * peer gets more of the loop than one buffer a turn, and none more time than its phase has. See http_server.h.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/common/http_parts.h"

#define LINGER_MS 1000  /* after the last answer: time for the client to read it before the connection is reset */
#define CLOSE_MS  5000  /* a WebSocket's closing handshake */
#define READ_MAX  16384 /* bytes from a WebSocket in one turn */

/* ---- Begin and end ---- */

static void connection_ready(struct rg_watch *watch, uint32_t events);

static void timed_out(struct rg_alarm *alarm)
{
    rg_http_connection_destroy(RG_OWNER(alarm, struct rg_http_connection, timeout));
}

int rg_http_connection_create(struct rg_http_server *s, int fd)
{
    struct rg_http_connection *c = calloc(1, sizeof(*c));
    int one = 1;
    if (!c)
        return -ENOMEM;
    c->server = s;
    c->socket = (struct rg_watch){.fd = fd, .ready = connection_ready};
    c->events = EPOLLIN;
    c->timeout.due = timed_out;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* of a UNIX socket: an error that says so */
    int r = rg_loop_watch(s->loop, &c->socket, c->events);
    if (r < 0) {
        free(c);
        return r;
    }
    rg_list_append(&s->connections, &c->link);
    s->n_connections++;
    rg_loop_set_alarm(s->loop, &c->timeout, s->options.timeout_ms);
    return 0;
}

void rg_http_connection_destroy(struct rg_http_connection *c)
{
    struct rg_http_server *s = c->server;
    struct rg_http_call *call = c->call;
    struct rg_ws *ws = c->ws;
    bool is_handlers = c->phase != RG_HTTP_READING;
    rg_loop_clear_alarm(s->loop, &c->timeout);
    rg_loop_unwatch(s->loop, &c->socket);
    close(c->socket.fd);
    rg_list_remove(&c->link);
    s->n_connections--;
    free(c->input);
    rg_outbuf_fini(&c->output);
    free(c);
    rg_ws_destroy(ws);
    if (call && is_handlers)
        rg_http_call_lose(call);
    else
        rg_http_call_free(call);
}

void rg_http_connection_break(struct rg_http_connection *c)
{
    c->call = NULL;
    c->broken = true;
    shutdown(c->socket.fd, SHUT_RDWR); /* hangs up: the next turn destroys it */
}

/* ---- Phases ---- */

static void watch_for(struct rg_http_connection *c, uint32_t events)
{
    if (events == c->events)
        return;
    c->events = events;
    rg_loop_rewatch(c->server->loop, &c->socket, events);
}

/* The time of a phase runs from its start: a peer that moves a byte now and then does not get more of it. */
static void enter(struct rg_http_connection *c, enum rg_http_phase phase, uint32_t events, uint64_t timeout_ms)
{
    c->phase = phase;
    watch_for(c, events);
    if (timeout_ms > 0)
        rg_loop_set_alarm(c->server->loop, &c->timeout, timeout_ms);
    else
        rg_loop_clear_alarm(c->server->loop, &c->timeout);
}

void rg_http_connection_write(struct rg_http_connection *c)
{
    c->call = NULL;
    enter(c, RG_HTTP_WRITING, EPOLLOUT, c->server->options.timeout_ms);
}

/* A reader of a stream has the time of a phase for what waits, and more of it with each bit of progress. */
void rg_http_connection_stream(struct rg_http_connection *c)
{
    bool waits = rg_outbuf_pending(&c->output).len > 0;
    c->phase = RG_HTTP_STREAMING;
    watch_for(c, EPOLLRDHUP | (waits ? EPOLLOUT : 0u));
    if (!waits)
        rg_loop_clear_alarm(c->server->loop, &c->timeout);
    else if (!c->timeout.set)
        rg_loop_set_alarm(c->server->loop, &c->timeout, c->server->options.timeout_ms);
}

static void linger(struct rg_http_connection *c)
{
    shutdown(c->socket.fd, SHUT_WR);
    enter(c, RG_HTTP_LINGERING, EPOLLIN, LINGER_MS);
}

/* ---- Reading ---- */

/* Who asks for nothing holds no buffer. */
static void drop_input(struct rg_http_connection *c)
{
    if (c->input_len > 0)
        return;
    free(c->input);
    c->input = NULL;
}

/* Takes the next request out of the input; one answer a turn at most to a client that pipelines. false: it ended. */
static bool advance(struct rg_http_connection *c)
{
    struct rg_http_server *s = c->server;
    switch (rg_http_read(c)) {
    case RG_HTTP_INCOMPLETE:
        if (c->phase != RG_HTTP_READING)
            enter(c, RG_HTTP_READING, EPOLLIN, s->options.timeout_ms);
        drop_input(c);
        return true;
    case RG_HTTP_COMPLETE:
        drop_input(c);
        enter(c, RG_HTTP_WAITING, 0, 0);
        if (s->requests)
            ++*s->requests;
        s->handle(s, c->call, &c->call->req);
        return true;
    case RG_HTTP_REFUSED:
        rg_http_call_free(c->call);
        rg_http_connection_write(c);
        return true;
    case RG_HTTP_CLOSE:
        break;
    }
    rg_http_connection_destroy(c);
    return false;
}

/* What recv gave is no bytes. false: nothing yet. */
static bool has_ended(ssize_t n)
{
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static bool read_more(struct rg_http_connection *c)
{
    size_t cap = c->server->options.head_bytes;
    if (!c->input)
        c->input = malloc(cap);
    ssize_t n = c->input ? recv(c->socket.fd, c->input + c->input_len, cap - c->input_len, MSG_DONTWAIT) : 0;
    if (has_ended(n)) {
        rg_http_connection_destroy(c);
        return false;
    }
    if (n < 0)
        return true;
    c->input_len += (size_t)n;
    if (c->server->options.patient && c->call)
        rg_loop_set_alarm(c->server->loop, &c->timeout, c->server->options.timeout_ms);
    return advance(c);
}

static void throw_away(struct rg_http_connection *c)
{
    char waste[4096];
    if (has_ended(recv(c->socket.fd, waste, sizeof(waste), MSG_DONTWAIT)))
        rg_http_connection_destroy(c);
}

/* ---- Writing ---- */

/* As much as the socket takes. false: it is broken. */
static bool send_pending(struct rg_http_connection *c, struct rg_str bytes, size_t *ret_sent)
{
    *ret_sent = 0;
    while (*ret_sent < bytes.len) {
        ssize_t n = send(c->socket.fd, bytes.ptr + *ret_sent, bytes.len - *ret_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        *ret_sent += (size_t)n;
    }
    return true;
}

static bool send_output(struct rg_http_connection *c, bool *ret_progress)
{
    size_t sent;
    bool is_whole = send_pending(c, rg_outbuf_pending(&c->output), &sent);
    *ret_progress = sent > 0;
    if (sent > 0)
        rg_outbuf_sent(&c->output, sent);
    return is_whole;
}

static void write_more(struct rg_http_connection *c)
{
    bool progress;
    if (!send_output(c, &progress))
        rg_http_connection_destroy(c);
    else if (rg_outbuf_pending(&c->output).len > 0)
        return;
    else if (c->keep_alive)
        advance(c);
    else
        linger(c);
}

static void stream_more(struct rg_http_connection *c, uint32_t events)
{
    bool progress = false;
    if ((events & EPOLLRDHUP) || !send_output(c, &progress)) {
        rg_http_connection_destroy(c);
        return;
    }
    if (progress)
        rg_loop_clear_alarm(c->server->loop, &c->timeout); /* set again for what is left */
    rg_http_connection_stream(c);
}

/* ---- WebSockets ---- */

static void ws_watch(struct rg_http_connection *c)
{
    bool over = rg_ws_is_over(c->ws);
    bool writes = over || c->input_len > 0 || rg_outbuf_pending(&c->output).len > 0 || rg_ws_output(c->ws).len > 0;
    uint32_t reads = over ? 0u : rg_ws_is_paused(c->ws) ? EPOLLET : EPOLLIN; /* its end is told once, and again later */
    watch_for(c, reads | (writes ? EPOLLOUT : 0u));
    if ((over || rg_ws_is_closing(c->ws)) && !c->timeout.set)
        rg_loop_set_alarm(c->server->loop, &c->timeout, CLOSE_MS);
}

static void ws_woken(void *carrier)
{
    ws_watch(carrier);
}

void rg_http_connection_upgrade(struct rg_http_connection *c, struct rg_ws *ws)
{
    c->call = NULL;
    c->ws = ws;
    enter(c, RG_HTTP_WEBSOCKET, EPOLLIN | EPOLLOUT, 0);
    rg_ws_on_wake(ws, ws_woken, c);
}

/* false: the connection is broken. */
static bool ws_receive(struct rg_http_connection *c, uint32_t events)
{
    char bytes[READ_MAX];
    if (c->input_len > 0) { /* came right behind the request */
        size_t n = c->input_len;
        char *input = c->input;
        c->input = NULL;
        c->input_len = 0;
        rg_ws_receive(c->ws, input, n);
        free(input);
        return true;
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || rg_ws_is_paused(c->ws))
        return true;
    ssize_t n = recv(c->socket.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n > 0)
        rg_ws_receive(c->ws, bytes, (size_t)n);
    return !has_ended(n);
}

static bool ws_send(struct rg_http_connection *c)
{
    bool progress;
    size_t sent;
    if (!send_output(c, &progress))
        return false;
    if (rg_outbuf_pending(&c->output).len > 0)
        return true;
    bool is_whole = send_pending(c, rg_ws_output(c->ws), &sent);
    if (sent > 0)
        rg_ws_sent(c->ws, sent);
    return is_whole;
}

static void ws_ready(struct rg_http_connection *c, uint32_t events)
{
    if (!ws_receive(c, events) || !ws_send(c)) {
        rg_http_connection_destroy(c);
        return;
    }
    if (!rg_ws_is_over(c->ws) || rg_ws_output(c->ws).len > 0) {
        ws_watch(c);
        return;
    }
    struct rg_ws *ws = c->ws;
    c->ws = NULL;
    linger(c);
    rg_ws_destroy(ws);
}

/* ---- Readiness ---- */

static void connection_ready(struct rg_watch *watch, uint32_t events)
{
    struct rg_http_connection *c = RG_OWNER(watch, struct rg_http_connection, socket);
    if (c->broken) {
        rg_http_connection_destroy(c);
        return;
    }
    switch (c->phase) {
    case RG_HTTP_READING:
        if (read_more(c) && c->phase == RG_HTTP_WRITING)
            write_more(c);
        break;
    case RG_HTTP_WAITING: /* nothing is watched: it hung up */
        rg_http_connection_destroy(c);
        break;
    case RG_HTTP_STREAMING:
        stream_more(c, events);
        break;
    case RG_HTTP_WRITING:
        write_more(c);
        break;
    case RG_HTTP_WEBSOCKET:
        ws_ready(c, events);
        break;
    case RG_HTTP_LINGERING:
        throw_away(c);
        break;
    }
}
