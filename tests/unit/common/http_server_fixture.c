/* See http_server_fixture.h. */
#include "http_server_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/un.h>

struct rg_loop loop;
struct rg_http_server server;
uint64_t requests, refused;
struct rg_http_call *kept;
unsigned gone;
static char seen[4096];
struct rg_ws *ws;
char ws_events[1024];
struct sockaddr_storage at;
socklen_t at_len;

/* ---- The handler ---- */

static void note_gone(struct rg_http_call *call, void *owner)
{
    assert_ptr_equal(call, kept);
    assert_ptr_equal(owner, &gone);
    assert_true(rg_http_call_is_gone(call));
    gone++;
}

static void end_when_gone(struct rg_http_call *call, void *owner)
{
    note_gone(call, owner);
    rg_http_stream_end(call);
    kept = NULL;
}

static void say_back(struct rg_http_call *call, const struct rg_http_request *req)
{
    static const struct rg_http_header headers[] = {{"X-One", "1"}, {"Cache-Control", "max-age=5"}};
    snprintf(seen, sizeof(seen), "%.*s %.*s%.*s [%zu] from %.*s%s host %.*s", (int)req->head->method.len,
             req->head->method.ptr, (int)req->path.len, req->path.ptr, (int)req->query.len,
             req->query.len ? req->query.ptr : "", req->body.len, (int)req->client.len,
             req->client.len ? req->client.ptr : "", req->https ? " over https" : "", (int)req->host.len,
             req->host.len ? req->host.ptr : "");
    rg_http_reply(
        call,
        &(struct rg_http_reply){
            .status = 200, .content_type = "text/plain", .body = rg_str_of(seen), .headers = headers, .n_headers = 2});
}

static void note_ws(const char *what, struct rg_str text)
{
    size_t n = strlen(ws_events);
    snprintf(ws_events + n, sizeof(ws_events) - n, "%s(%.*s) ", what, (int)text.len, text.len ? text.ptr : "");
}

static void ws_text(void *owner, struct rg_ws *w, struct rg_str message)
{
    assert_ptr_equal(owner, &ws);
    note_ws("text", message);
    if (rg_str_eq(message, RG_STR("close")))
        rg_ws_close(w, RG_WS_NORMAL, RG_STR("as asked"));
    else
        rg_ws_send_text(w, message);
}

static void ws_ended(void *owner, struct rg_ws *w, uint16_t code, struct rg_str reason)
{
    char text[128];
    (void)owner, (void)w;
    snprintf(text, sizeof(text), "%u %.*s", code, (int)reason.len, reason.len ? reason.ptr : "");
    note_ws("ended", rg_str_of(text));
    ws = NULL;
}

static const struct rg_ws_handler ws_handler = {.text = ws_text, .ended = ws_ended};

static void handle(struct rg_http_server *s, struct rg_http_call *call, const struct rg_http_request *req)
{
    assert_ptr_equal(s, &server);
    assert_ptr_equal(req, rg_http_call_request(call));
    if (rg_str_eq(req->path, RG_STR("/later"))) {
        kept = call;
        rg_http_call_keep(call, &gone, note_gone);
    } else if (rg_str_eq(req->path, RG_STR("/stream"))) {
        kept = call;
        rg_http_call_keep(call, &gone, end_when_gone);
        rg_http_stream_begin(
            call, &(struct rg_http_reply){.status = 200, .content_type = "text/event-stream", .body = RG_STR(":\n")});
    } else if (rg_str_eq(req->path, RG_STR("/ws")) && req->websocket) {
        ws = rg_http_upgrade(call, NULL, &ws_handler, &ws);
        assert_non_null(ws);
    } else if (rg_str_eq(req->path, RG_STR("/empty"))) {
        rg_http_reply(call, &(struct rg_http_reply){.status = 204, .body = RG_STR("not sent")});
    } else if (rg_str_eq(req->path, RG_STR("/split"))) {
        static const struct rg_http_header bad = {"Location", "/x\r\nSet-Cookie: a=b"};
        rg_http_reply(call, &(struct rg_http_reply){.status = 302, .headers = &bad, .n_headers = 1});
    } else {
        say_back(call, req);
    }
}

/* ---- The stage ---- */

void start(int family, const struct rg_http_options *options)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un un = {.sun_family = AF_UNIX}; /* abstract, by the kernel's choice */
    requests = refused = 0;
    gone = 0;
    kept = NULL;
    ws = NULL;
    seen[0] = ws_events[0] = '\0';
    assert_int_equal(rg_loop_init(&loop), 0);
    if (family == AF_INET)
        assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    else
        assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(sa_family_t)), 0);
    at_len = sizeof(at);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &at_len), 0);
    assert_int_equal(listen(fd, 16), 0);
    rg_http_server_init(&server, &loop, options);
    server.handle = handle;
    server.requests = &requests;
    server.refused = &refused;
    assert_int_equal(rg_http_server_start(&server, fd), 0);
}

void stop(void)
{
    rg_http_server_fini(&server);
    assert_int_equal(server.n_connections, 0);
    assert_null(loop.alarms);
    rg_loop_fini(&loop);
}

static void nothing(struct rg_alarm *a)
{
    (void)a;
}

void turn_for(uint64_t ms)
{
    struct rg_alarm end = {.due = nothing};
    rg_loop_set_alarm(&loop, &end, ms);
    while (end.set)
        assert_int_equal(rg_loop_turn(&loop), 0);
}

int dial(void)
{
    int fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    assert_true(connect(fd, (struct sockaddr *)&at, at_len) == 0 || errno == EINPROGRESS);
    turn_for(1);
    return fd;
}

void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

char reply[REPLY_MAX];
size_t reply_len;

bool hear(int fd)
{
    bool closed = false;
    reply_len = 0;
    for (int idle = 0; idle < 3 && !closed;) {
        turn_for(2);
        ssize_t r = recv(fd, reply + reply_len, sizeof(reply) - 1 - reply_len, 0);
        closed = r == 0 || (r < 0 && errno != EAGAIN);
        idle = r > 0 ? 0 : idle + 1;
        reply_len += r > 0 ? (size_t)r : 0;
    }
    reply[reply_len] = '\0';
    return closed;
}

bool starts(const char *with)
{
    return strncmp(reply, with, strlen(with)) == 0;
}

const char *body(void)
{
    const char *end = strstr(reply, "\r\n\r\n");
    return end ? end + 4 : "no head";
}
