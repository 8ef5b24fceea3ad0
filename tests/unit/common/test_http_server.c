/*
 * The control side's HTTP server: answers at once, later, in pieces, and as WebSockets; clients that leave, read slowly
 * or send too much. One thread: clients act between turns. What it has from the datapath's parser, test_admin.c tries.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/common/http_server.h"

static struct rg_loop loop;
static struct rg_http_server server;
static uint64_t requests, refused;
static struct rg_http_call *kept; /* what the handler has not answered yet */
static unsigned gone;
static char seen[4096];
static struct rg_ws *ws;
static char ws_events[1024];
static struct sockaddr_storage at;
static socklen_t at_len;

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
             req->client.len ? req->client.ptr : "", req->https ? " by https" : "", (int)req->host.len,
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

static void start(int family, const struct rg_http_options *options)
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

static void stop(void)
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

static void turn_for(uint64_t ms)
{
    struct rg_alarm end = {.due = nothing};
    rg_loop_set_alarm(&loop, &end, ms);
    while (end.set)
        assert_int_equal(rg_loop_turn(&loop), 0);
}

static int dial(void)
{
    int fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    assert_true(connect(fd, (struct sockaddr *)&at, at_len) == 0 || errno == EINPROGRESS);
    turn_for(1);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static char reply[1 << 18];
static size_t reply_len;

/* What comes until nothing more does. Returns whether the server closed. */
static bool hear(int fd)
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

static bool starts(const char *with)
{
    return strncmp(reply, with, strlen(with)) == 0;
}

static const char *body(void)
{
    const char *end = strstr(reply, "\r\n\r\n");
    return end ? end + 4 : "no head";
}

#define HOST "Host: a:7\r\n"

/* ---- Requests ---- */

static void an_answer_has_its_fields(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    int fd = dial();
    say(fd, "GET /x?a=b HTTP/1.1\r\n" HOST "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n\r\n");
    assert_false(hear(fd));
    assert_true(starts("HTTP/1.1 200 OK\r\nDate: "));
    assert_non_null(strstr(reply, "\r\nContent-Type: text/plain\r\n"));
    assert_non_null(strstr(reply, "\r\nX-One: 1\r\n"));
    assert_non_null(strstr(reply, "\r\nCache-Control: max-age=5\r\n"));
    assert_null(strstr(reply, "no-store"));
    assert_non_null(strstr(reply, "\r\nX-Content-Type-Options: nosniff\r\n"));
    assert_string_equal(body(), "GET /x?a=b [0] from 127.0.0.1 host a:7"); /* forwarding is not believed */
    say(fd, "GET /empty HTTP/1.1\r\n" HOST "\r\n");
    assert_false(hear(fd));
    assert_true(starts("HTTP/1.1 204 No Content\r\n"));
    assert_null(strstr(reply, "Content-"
                              "Length"));
    assert_string_equal(body(), "");
    say(fd, "GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_false(hear(fd));
    assert_non_null(strstr(reply, "\r\nConnection: keep-alive\r\n"));
    say(fd, "GET /x HTTP/1.0\r\n\r\n");
    assert_true(hear(fd));
    assert_non_null(strstr(reply, "\r\nConnection: close\r\n"));
    close(fd);
    stop();
}

static void fields_can_not_be_split(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    int fd = dial();
    say(fd, "GET /split HTTP/1.1\r\n" HOST "\r\n");
    assert_true(hear(fd));
    assert_true(starts("HTTP/1.1 500 "));
    assert_null(strstr(reply, "Set-Cookie"));
    close(fd);
    stop();
}

static void a_trusted_peer_names_the_client(void **state)
{
    (void)state;
    start(AF_UNIX, &(struct rg_http_options){.trusts_forwarding = true});
    int fd = dial();
    say(fd, "GET / HTTP/1.1\r\n" HOST "X-Forwarded-For: 9.9.9.9, 1.1.1.1\r\nX-Forwarded-Proto: https\r\n\r\n");
    hear(fd);
    assert_string_equal(body(), "GET / [0] from 9.9.9.9 by https host a:7");
    say(fd, "GET / HTTP/1.1\r\n" HOST "\r\n");
    hear(fd);
    assert_string_equal(body(), "GET / [0] from  host a:7");
    close(fd);
    stop();
}

static void bodies_are_collected_up_to_a_limit(void **state)
{
    (void)state;
    static char text[120000];
    start(AF_INET, &(struct rg_http_options){.body_bytes = 100000});
    memset(text, 'b', sizeof(text));
    int fd = dial();
    say(fd, "POST /x HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
    for (int i = 0; i < 10; i++) {
        assert_int_equal(send(fd, text, 10000, MSG_NOSIGNAL), 10000);
        turn_for(2);
    }
    hear(fd);
    assert_string_equal(body(), "POST /x [100000] from 127.0.0.1 host a:7");
    say(fd, "POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n186a0\r\n");
    for (int i = 0; i < 10; i++) {
        assert_int_equal(send(fd, text, 10000, MSG_NOSIGNAL), 10000);
        turn_for(2);
    }
    say(fd, "\r\n0\r\nTrailer: x\r\n\r\nGET /next HTTP/1.1\r\n" HOST "\r\n");
    hear(fd);
    assert_non_null(strstr(reply, "POST /x [100000] from"));
    assert_non_null(strstr(reply, "GET /next [0] from"));
    say(fd, "POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n186a1\r\n");
    for (int i = 0; i < 11; i++) {
        send(fd, text, 10000, MSG_NOSIGNAL);
        turn_for(2);
    }
    assert_true(hear(fd));
    assert_true(starts("HTTP/1.1 413 "));
    close(fd);
    fd = dial();
    say(fd, "POST /x HTTP/1.1\r\n" HOST "Content-Length: 100001\r\n\r\n");
    assert_true(hear(fd));
    assert_true(starts("HTTP/1.1 413 "));
    close(fd);
    stop();
}

/* A drip gets no more time, unless the peer sees to that itself. */
static void the_time_of_a_body(void **state)
{
    (void)state;
    for (int patient = 0; patient < 2; patient++) {
        start(AF_INET, &(struct rg_http_options){.patient = patient});
        int fd = dial();
        say(fd, "POST /x HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nb");
        turn_for(2);
        uint64_t due = loop.alarms->at_ms;
        turn_for(20);
        say(fd, "o");
        turn_for(2);
        assert_int_equal(loop.alarms->at_ms > due, patient);
        loop.alarms->at_ms = rg_now_ms();
        assert_true(hear(fd));
        assert_int_equal(reply_len, 0);
        assert_int_equal(requests, 0);
        close(fd);
        stop();
    }
}

static void as_many_fields_as_the_front_may_send(void **state)
{
    (void)state;
    static char text[32768] = "GET /many HTTP/1.1\r\n" HOST;
    start(AF_INET, NULL);
    for (int i = 0; i < RG_HTTP_FIELDS_MAX - 1; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "f%d: v\r\n", i);
    strcat(text, "\r\n");
    int fd = dial();
    say(fd, text);
    hear(fd);
    assert_string_equal(body(), "GET /many [0] from 127.0.0.1 host a:7");
    strcpy(text + strlen(text) - 2, "g: v\r\n\r\n");
    say(fd, text);
    assert_true(hear(fd));
    assert_true(starts("HTTP/1.1 431 "));
    close(fd);
    stop();
}

static void leave_to_send_is_given_once(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    int fd = dial();
    say(fd, "POST /x HTTP/1.1\r\n" HOST "Content-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    hear(fd);
    assert_string_equal(reply, "HTTP/1.1 100 Continue\r\n\r\n");
    for (const char *p = "body"; *p; p++) {
        assert_int_equal(send(fd, p, 1, MSG_NOSIGNAL), 1);
        turn_for(2);
    }
    hear(fd);
    assert_true(starts("HTTP/1.1 200 "));
    say(fd, "POST /x HTTP/1.1\r\n" HOST "Content-Length: 4\r\nExpect: 100-continue\r\n\r\nbody");
    hear(fd);
    assert_true(starts("HTTP/1.1 200 ")); /* it did not wait */
    close(fd);
    stop();
}

/* ---- Later ---- */

static void an_answer_may_come_later(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    int fd = dial();
    say(fd, "HEAD /later HTTP/1.1\r\n" HOST "\r\nGET /x HTTP/1.1\r\n" HOST "\r\n");
    assert_false(hear(fd));
    assert_int_equal(reply_len, 0); /* the second one waits for the first */
    assert_int_equal(requests, 1);
    shutdown(fd, SHUT_WR); /* that does not mean that it left */
    turn_for(5);
    assert_int_equal(gone, 0);
    rg_http_reply(kept, &(struct rg_http_reply){.status = 201, .body = RG_STR("0123456789")});
    hear(fd);
    assert_true(starts("HTTP/1.1 201 Created\r\n"));
    assert_non_null(strstr(reply, "Content-Length: 10\r\n"));
    assert_null(strstr(reply, "0123456789"));
    assert_non_null(strstr(reply, "GET /x [0]"));
    close(fd);
    stop();
}

static void who_left_gets_no_answer(void **state)
{
    (void)state;
    start(AF_UNIX, NULL);
    int fd = dial();
    say(fd, "POST /later HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx");
    turn_for(2);
    assert_non_null(kept);
    close(fd);
    turn_for(2);
    assert_int_equal(gone, 1);
    assert_int_equal(server.n_connections, 0);
    assert_true(rg_str_eq(rg_http_call_request(kept)->body, RG_STR("x"))); /* still the handler's */
    rg_http_reply(kept, &(struct rg_http_reply){.status = 200});
    fd = dial();
    say(fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    turn_for(2);
    rg_http_server_fini(&server); /* calls outlive the server too */
    assert_int_equal(gone, 2);
    rg_http_reply(kept, &(struct rg_http_reply){.status = 200});
    close(fd);
    rg_loop_fini(&loop);
}

/* ---- Streams ---- */

static void streams_go_on_piece_by_piece(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    int fd = dial();
    say(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    hear(fd);
    assert_true(starts("HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(reply, "Transfer-Encoding: chunked\r\n"));
    assert_string_equal(body(), "2\r\n:\n\r\n");
    assert_true(rg_http_stream_write(kept, RG_STR("data: hello\n\n")));
    assert_true(rg_http_stream_write(kept, RG_STR("")));
    hear(fd);
    assert_string_equal(reply, "d\r\ndata: hello\n\n\r\n");
    rg_http_stream_end(kept);
    say(fd, "GET /x HTTP/1.1\r\n" HOST "\r\n"); /* the connection goes on */
    hear(fd);
    assert_true(starts("0\r\n\r\nHTTP/1.1 200 OK\r\n"));
    say(fd, "HEAD /stream HTTP/1.1\r\n" HOST "\r\n");
    hear(fd);
    assert_true(rg_http_stream_write(kept, RG_STR("x")));
    rg_http_stream_end(kept);
    hear(fd);
    assert_int_equal(reply_len, 0);
    close(fd);
    fd = dial();
    say(fd, "GET /stream HTTP/1.0\r\n\r\n");
    hear(fd);
    assert_string_equal(body(), ":\n");
    rg_http_stream_end(kept);
    assert_true(hear(fd));
    close(fd);
    stop();
}

static void readers_that_leave_are_noticed(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    int fd = dial();
    say(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    hear(fd);
    close(fd);
    turn_for(5);
    assert_int_equal(gone, 1);
    assert_null(kept); /* it ended the stream in the callback */
    assert_int_equal(server.n_connections, 0);
    stop();
}

static void a_slow_reader_of_a_stream_is_left(void **state)
{
    (void)state;
    static char piece[65536];
    start(AF_INET, &(struct rg_http_options){.stream_bytes = 100000});
    int fd = dial();
    say(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    turn_for(2);
    memset(piece, 'p', sizeof(piece));
    unsigned pieces = 0;
    while (rg_http_stream_write(kept, (struct rg_str){piece, sizeof(piece)}) && pieces++ < 10000)
        turn_for(0);
    assert_true(pieces > 0 && pieces < 10000);
    assert_true(rg_http_call_is_gone(kept));
    assert_int_equal(gone, 0); /* it was told by the false */
    assert_false(rg_http_stream_write(kept, RG_STR("x")));
    rg_http_stream_end(kept);
    turn_for(2);
    assert_int_equal(server.n_connections, 0);
    close(fd);
    stop();
}

static void a_reader_that_stalls_has_its_time(void **state)
{
    (void)state;
    static char piece[65536];
    start(AF_INET, &(struct rg_http_options){.stream_bytes = 1 << 26});
    int fd = dial();
    say(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    turn_for(2);
    assert_null(loop.alarms); /* nothing waits, so no time runs */
    for (int i = 0; i < 200; i++)
        assert_true(rg_http_stream_write(kept, (struct rg_str){piece, sizeof(piece)}));
    turn_for(20);
    assert_non_null(loop.alarms);
    loop.alarms->at_ms = rg_now_ms();
    turn_for(2);
    assert_int_equal(gone, 1);
    assert_int_equal(server.n_connections, 0);
    close(fd);
    stop();
}

/* ---- WebSockets ---- */

#define UPGRADE                                                                                              \
    "GET /ws HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
#define KEY "\x01\x01\x01\x01"

static void a_request_becomes_a_websocket(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    int fd = dial();
    say(fd, UPGRADE "\x81\x82" KEY "ih"); /* "hi" comes right behind it */
    assert_false(hear(fd));
    assert_true(starts("HTTP/1.1 101 Switching Protocols\r\n"));
    assert_non_null(strstr(reply, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert_string_equal(body(), "\x81\x02hi");
    assert_true(rg_ws_send_text(ws, RG_STR("pushed")));
    assert_false(hear(fd));
    assert_string_equal(reply, "\x81\x06pushed");
    say(fd, "\x81\x85" KEY "bmnrd"); /* "close" */
    assert_false(hear(fd));
    assert_memory_equal(reply,
                        "\x88\x0a\x03\xe8"
                        "as asked",
                        reply_len);
    say(fd, "\x88\x82" KEY "\x02\xe9");
    assert_true(hear(fd));
    assert_string_equal(ws_events, "text(hi) text(close) ended(1000 as asked) ");
    close(fd);
    turn_for(5);
    assert_int_equal(server.n_connections, 0);
    stop();
}

static void a_websocket_ends_with_its_connection(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    int fd = dial();
    say(fd, UPGRADE);
    hear(fd);
    close(fd);
    turn_for(5);
    assert_string_equal(ws_events, "ended(1006 ) ");
    assert_null(ws);
    fd = dial();
    say(fd, UPGRADE "\x01\x01x");
    assert_true(hear(fd));
    assert_non_null(strstr(ws_events, "ended(1002 an unmasked frame from a client) "));
    close(fd);
    stop();
}

static void a_websocket_that_does_not_answer_close_has_its_time(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    int fd = dial();
    say(fd, UPGRADE);
    hear(fd);
    assert_null(loop.alarms);
    rg_ws_close(ws, RG_WS_GOING_AWAY, RG_STR_NONE);
    turn_for(5);
    assert_non_null(loop.alarms);
    assert_true(loop.alarms->at_ms <= rg_now_ms() + 5000);
    loop.alarms->at_ms = rg_now_ms();
    turn_for(2);
    assert_string_equal(ws_events, "ended(1001 ) ");
    assert_int_equal(server.n_connections, 0);
    close(fd);
    stop();
}

static void only_requests_for_it_become_one(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    static const char *const others[] = {
        "GET /ws HTTP/1.1\r\n" HOST "\r\n",
        "GET /ws HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        "GET /ws HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: short\r\n\r\n",
        "HEAD /ws HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        int fd = dial();
        say(fd, others[i]);
        hear(fd);
        assert_true(starts("HTTP/1.1 200 "));
        close(fd);
        turn_for(2);
    }
    stop();
}

/* ---- Who may connect, and the end ---- */

static void strangers_are_turned_away(void **state)
{
    (void)state;
    start(AF_UNIX, &(struct rg_http_options){.same_process = true});
    int fd = dial();
    say(fd, "GET /x HTTP/1.1\r\n" HOST "\r\n");
    hear(fd);
    assert_true(starts("HTTP/1.1 200 "));
    close(fd);
    turn_for(2);
    pid_t child = fork(); /* another process of the same user */
    if (child == 0) {
        char byte;
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        bool turned_away = connect(fd, (struct sockaddr *)&at, at_len) == 0 && recv(fd, &byte, 1, 0) == 0;
        _exit(turned_away ? 0 : 1);
    }
    int status = -1;
    while (waitpid(child, &status, WNOHANG) == 0)
        turn_for(2);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(refused, 1);
    stop();
}

/* As with one descriptor left: the kernel says EMFILE before it sees that nobody waits. */
static int accept_but_one(struct rg_http_server *s)
{
    if (s->n_connections == 0)
        return accept4(s->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    errno = EMFILE;
    return -1;
}

static void who_came_last_is_not_shed_for_nobody(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    server.accept = accept_but_one;
    int first = dial();
    turn_for(20);
    say(first, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(first);
    assert_true(starts("HTTP/1.1 200"));
    int second = dial(); /* the first is idle now, and gives way */
    turn_for(20);
    say(second, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(second);
    assert_true(starts("HTTP/1.1 200"));
    close(first);
    close(second);
    stop();
}

static void the_end_is_orderly(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    int waits = dial(), reads = dial(), idle = dial(), talks = dial();
    say(reads, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    hear(reads);
    struct rg_http_call *stream = kept;
    say(talks, UPGRADE);
    hear(talks);
    say(waits, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    turn_for(2);
    struct rg_http_call *later = kept;
    kept = stream;
    assert_true(rg_http_server_finish(&server));
    assert_null(kept); /* the stream was told */
    assert_true(hear(reads));
    assert_string_equal(reply, "0\r\n\r\n");
    hear(talks);
    assert_memory_equal(reply, "\x88\x11\x03\xe9the server ends", reply_len);
    say(talks, "\x88\x82" KEY "\x02\xe8");
    assert_true(hear(talks));
    assert_true(rg_http_server_finish(&server));
    rg_http_reply(later, &(struct rg_http_reply){.status = 200, .body = RG_STR("{}")});
    assert_true(hear(waits));
    assert_non_null(strstr(reply, "Connection: close\r\n"));
    turn_for(5);
    assert_false(rg_http_server_finish(&server)); /* the idle one holds nobody up */
    close(waits);
    close(reads);
    close(idle);
    close(talks);
    stop();
}

static void parameters_are_found(void **state)
{
    (void)state;
    struct rg_http_request req = {.query = RG_STR("?worker=1&ms=250&&empty=&x")};
    struct rg_str value;
    assert_true(rg_http_parameter(&req, "worker", &value) && rg_str_eq(value, RG_STR("1")));
    assert_true(rg_http_parameter(&req, "ms", &value) && rg_str_eq(value, RG_STR("250")));
    assert_true(rg_http_parameter(&req, "empty", &value) && value.len == 0);
    assert_false(rg_http_parameter(&req, "x", &value));
    assert_false(rg_http_parameter(&req, "m", &value));
    req.query = RG_STR_NONE;
    assert_false(rg_http_parameter(&req, "x", &value));
    req.query = RG_STR("?");
    assert_false(rg_http_parameter(&req, "x", &value));
}

static void texts_are_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *text, *decoded; /* NULL: malformed */
        bool plus;
    } texts[] = {
        {"a%20b+c", "a b+c", false}, {"a+b", "a b", true}, {"%C3%A9", "\xc3\xa9", false}, {"", "", false},
        {"%2F%2f", "//", false},     {"%", NULL, false},   {"%4", NULL, false},           {"%zz", NULL, false},
        {"%00", NULL, false},        {"%ff", NULL, false}, {"123456789", NULL, false},
    };
    char out[8];
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        ssize_t n = rg_http_decode(rg_str_of(texts[i].text), texts[i].plus, out, sizeof(out));
        assert_int_equal(n, texts[i].decoded ? (ssize_t)strlen(texts[i].decoded) : -1);
        if (n > 0)
            assert_memory_equal(out, texts[i].decoded, (size_t)n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_has_its_fields),
        cmocka_unit_test(fields_can_not_be_split),
        cmocka_unit_test(a_trusted_peer_names_the_client),
        cmocka_unit_test(bodies_are_collected_up_to_a_limit),
        cmocka_unit_test(the_time_of_a_body),
        cmocka_unit_test(as_many_fields_as_the_front_may_send),
        cmocka_unit_test(leave_to_send_is_given_once),
        cmocka_unit_test(an_answer_may_come_later),
        cmocka_unit_test(who_left_gets_no_answer),
        cmocka_unit_test(streams_go_on_piece_by_piece),
        cmocka_unit_test(readers_that_leave_are_noticed),
        cmocka_unit_test(a_slow_reader_of_a_stream_is_left),
        cmocka_unit_test(a_reader_that_stalls_has_its_time),
        cmocka_unit_test(a_request_becomes_a_websocket),
        cmocka_unit_test(a_websocket_ends_with_its_connection),
        cmocka_unit_test(a_websocket_that_does_not_answer_close_has_its_time),
        cmocka_unit_test(only_requests_for_it_become_one),
        cmocka_unit_test(strangers_are_turned_away),
        cmocka_unit_test(who_came_last_is_not_shed_for_nobody),
        cmocka_unit_test(the_end_is_orderly),
        cmocka_unit_test(parameters_are_found),
        cmocka_unit_test(texts_are_decoded),
    };
    return cmocka_run_group_tests_name("http_server", tests, NULL, NULL);
}
