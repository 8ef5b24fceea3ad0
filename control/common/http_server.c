/*
 * Why: the control side's own HTTP server: who may connect, how many at once, and the end. What a connection does is in
 * http_connection.c, what is read of a request in http_request.c, how it is answered in http_call.c. See http_server.h.
 */
#include "control/common/http_server.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/common/http_parts.h"

#define RETRY_MS   100 /* after an accept that failed */
#define ACCEPT_MAX 16  /* new connections in one turn */

/* ---- Accepting ---- */

/* Connections that ask for nothing don't use up what others need. false: there is none. */
static bool shed_idle(struct rg_http_server *s)
{
    struct rg_http_connection *oldest = NULL;
    for (struct rg_list *l = s->connections.next; l != &s->connections; l = l->next) {
        struct rg_http_connection *c = RG_CONTAINER(l, struct rg_http_connection, link);
        bool is_idle = c->phase == RG_HTTP_READING && c->input_len == 0 && !c->call;
        if (is_idle && (!oldest || c->timeout.at_ms < oldest->timeout.at_ms))
            oldest = c;
    }
    if (oldest)
        rg_http_connection_destroy(oldest);
    return oldest != NULL;
}

/* By the kernel's word, which no client can forge. TCP has none to give: the option does not count there. */
static bool may_enter(const struct rg_http_server *s, int fd)
{
    struct ucred peer = {0};
    socklen_t len = sizeof(peer);
    int domain = AF_UNSPEC;
    socklen_t domain_len = sizeof(domain);
    if (!s->options.same_process)
        return true;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_len) < 0 || domain != AF_UNIX)
        return domain != AF_UNSPEC;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid == getpid();
}

static int accept_one(struct rg_http_server *s)
{
    return s->accept ? s->accept(s) : accept4(s->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

/* accept takes a descriptor first and looks afterwards whether anybody is there: EMFILE alone does not say so. */
static bool somebody_waits(const struct rg_http_server *s)
{
    struct pollfd p = {.fd = s->listener.fd, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

/* false: no more for this turn. */
static bool take_one(struct rg_http_server *s)
{
    int fd = accept_one(s);
    if (fd < 0 && errno == EMFILE) {
        if (!somebody_waits(s) || shed_idle(s))
            return false; /* the next turn takes its place */
        errno = EMFILE;
    }
    if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        /* Short of descriptors or memory: the connection keeps waiting, and would wake the loop without end. */
        rg_loop_unwatch(s->loop, &s->listener);
        rg_loop_set_alarm(s->loop, &s->retry, RETRY_MS);
    }
    if (fd < 0)
        return false;
    if (s->n_connections < s->options.connections && may_enter(s, fd) && rg_http_connection_create(s, fd) == 0)
        return true;
    if (s->refused)
        ++*s->refused;
    close(fd);
    return true;
}

static void listener_ready(struct rg_watch *watch, uint32_t events)
{
    struct rg_http_server *s = RG_OWNER(watch, struct rg_http_server, listener);
    (void)events;
    for (unsigned i = 0; i < ACCEPT_MAX && take_one(s); i++) {
    }
}

static void retry_due(struct rg_alarm *alarm)
{
    struct rg_http_server *s = RG_OWNER(alarm, struct rg_http_server, retry);
    if (rg_loop_watch(s->loop, &s->listener, EPOLLIN) < 0)
        rg_loop_set_alarm(s->loop, &s->retry, RETRY_MS);
}

/* ---- Start and end ---- */

void rg_http_server_init(struct rg_http_server *s, struct rg_loop *loop, const struct rg_http_options *options)
{
    *s = (struct rg_http_server){.loop = loop,
                                 .options = options ? *options : (struct rg_http_options){0},
                                 .listener = {.fd = -1, .ready = listener_ready},
                                 .retry.due = retry_due};
    struct rg_http_options *o = &s->options;
    o->connections = o->connections ? o->connections : RG_HTTP_CONNECTIONS;
    o->head_bytes = o->head_bytes ? o->head_bytes : RG_HTTP_HEAD_BYTES;
    o->body_bytes = o->body_bytes ? o->body_bytes : RG_HTTP_BODY_BYTES;
    o->timeout_ms = o->timeout_ms ? o->timeout_ms : RG_HTTP_TIMEOUT_MS;
    o->stream_bytes = o->stream_bytes ? o->stream_bytes : RG_HTTP_STREAM_BYTES;
    rg_list_init(&s->connections);
}

int rg_http_server_start(struct rg_http_server *s, int listen_fd)
{
    s->listener.fd = listen_fd;
    int r = rg_loop_watch(s->loop, &s->listener, EPOLLIN);
    if (r < 0)
        s->listener.fd = -1;
    return r;
}

static void close_listener(struct rg_http_server *s)
{
    if (s->listener.fd < 0)
        return;
    rg_loop_clear_alarm(s->loop, &s->retry);
    rg_loop_unwatch(s->loop, &s->listener);
    close(s->listener.fd);
    s->listener.fd = -1;
}

/* Its reader gets a well-formed end; its handler hears that nobody reads any more. */
static void end_stream(struct rg_http_connection *c)
{
    struct rg_http_call *call = c->call;
    if (call->chunks && !call->head_only)
        rg_outbuf_append(&c->output, RG_STR("0\r\n\r\n"));
    c->keep_alive = false;
    rg_http_connection_write(c);
    rg_http_call_lose(call);
}

/* What goes on without end is told to end. Destroys no connection. */
static void begin_to_finish(struct rg_http_connection *c)
{
    c->keep_alive = false;
    if (c->phase == RG_HTTP_WEBSOCKET)
        rg_ws_close(c->ws, RG_WS_GOING_AWAY, RG_STR("the server ends"));
    else if (c->phase == RG_HTTP_STREAMING && c->call)
        end_stream(c);
}

bool rg_http_server_finish(struct rg_http_server *s)
{
    bool busy = false;
    close_listener(s);
    for (struct rg_list *l = s->connections.next; l != &s->connections; l = l->next) {
        struct rg_http_connection *c = RG_CONTAINER(l, struct rg_http_connection, link);
        begin_to_finish(c);
        busy = busy || c->phase == RG_HTTP_WAITING || c->phase == RG_HTTP_WRITING || c->phase == RG_HTTP_WEBSOCKET;
    }
    return busy;
}

uint32_t rg_http_connections_from(const struct rg_http_server *s, int fd)
{
    uint32_t n = 0;
    for (const struct rg_list *l = s->connections.next; l != &s->connections; l = l->next)
        n += RG_CONTAINER(l, const struct rg_http_connection, link)->socket.fd >= fd;
    return n;
}

void rg_http_server_fini(struct rg_http_server *s)
{
    while (!rg_list_empty(&s->connections))
        rg_http_connection_destroy(RG_CONTAINER(s->connections.next, struct rg_http_connection, link));
    close_listener(s);
}
