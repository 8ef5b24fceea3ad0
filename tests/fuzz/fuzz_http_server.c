/*
 * Any bytes from a client of the control side's HTTP server, answered at once, later, in pieces, or by a WebSocket. The
 * handler must see the same requests, and the same messages, whether the bytes come at once or in pieces; what the
 * client gets is HTTP; nothing is left behind when it leaves. The client sits at the other end of a pair of sockets.
 */
#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/common/http_server.h"
#include "datapath/base/assert.h"
#include "datapath/base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TURNS      8 /* of the loop: in fewer, HEAD_BYTES each, the next request of a test is taken, or none is there */
#define HEAD_BYTES 2048
#define BODY_BYTES 1000

static struct rg_loop loop;
static struct rg_http_server server;
static int other_end; /* to be accepted; -1: none */
static struct rg_http_call *later, *stream;
static uint64_t hash; /* of all that the handler saw */
static uint64_t seen; /* pieces of it */
static unsigned websockets;

static void note(struct rg_str bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ (unsigned char)bytes.ptr[i]) * 1099511628211u;
    hash = (hash ^ 0x100) * 1099511628211u;
    seen++;
}

static void ws_text(void *owner, struct rg_ws *ws, struct rg_str message)
{
    RG_ASSERT(owner == &websockets);
    note(message);
    rg_ws_send_text(ws, message);
}

static void ws_ended(void *owner, struct rg_ws *ws, uint16_t code, struct rg_str reason)
{
    (void)owner, (void)ws, (void)code, (void)reason;
    RG_ASSERT(websockets-- > 0);
}

static const struct rg_ws_handler ws_handler = {.text = ws_text, .ended = ws_ended};

static void gone(struct rg_http_call *call, void *owner)
{
    RG_ASSERT(owner == &hash && rg_http_call_is_gone(call));
}

/* To HEAD the head is all: nobody reads on. */
static void begin_stream(struct rg_http_call *call, struct rg_str first_piece)
{
    rg_http_call_keep(call, &hash, gone);
    rg_http_stream_begin(call, &(struct rg_http_reply){.status = 200, .body = first_piece});
    if (rg_http_call_is_gone(call))
        rg_http_stream_end(call);
    else
        stream = call;
}

static void handle(struct rg_http_server *s, struct rg_http_call *call, const struct rg_http_request *req)
{
    RG_ASSERT(s == &server && req->body.len <= BODY_BYTES && !later && !stream);
    note(req->head->method);
    note(req->path);
    note(req->query);
    note(req->host);
    note(req->body);
    if (rg_str_eq(req->path, RG_STR("/later"))) {
        later = call;
        rg_http_call_keep(call, &hash, gone);
    } else if (rg_str_eq(req->path, RG_STR("/stream"))) {
        begin_stream(call, req->body);
    } else if (req->websocket) {
        websockets++;
        RG_ASSERT(rg_http_upgrade(call, &(struct rg_ws_limits){.message_bytes = 500}, &ws_handler, &websockets));
    } else {
        rg_http_reply(call, &(struct rg_http_reply){.status = req->body.len ? 201 : 204, .body = req->body});
    }
}

static int take_other_end(struct rg_http_server *s)
{
    int fd = other_end;
    (void)s;
    other_end = -1;
    errno = EAGAIN;
    return fd;
}

static void nothing(struct rg_alarm *a)
{
    (void)a;
}

static void turn(void)
{
    struct rg_alarm now = {.due = nothing};
    for (int i = 0; i < TURNS; i++) {
        rg_loop_set_alarm(&loop, &now, 0);
        RG_ASSERT(rg_loop_turn(&loop) == 0);
        rg_loop_clear_alarm(&loop, &now);
    }
}

static bool answer_later(void)
{
    struct rg_http_call *l = later, *s = stream;
    later = stream = NULL;
    if (l)
        rg_http_reply(l, &(struct rg_http_reply){.status = 200, .body = RG_STR("{}")});
    if (s) {
        rg_http_stream_write(s, RG_STR("piece"));
        rg_http_stream_end(s);
    }
    return l || s;
}

/* What a client gets begins like an answer, or is nothing. */
static void drain(int fd, bool *began)
{
    char bytes[4096];
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
        RG_ASSERT(*began || (n >= 9 && memcmp(bytes, "HTTP/1.1 ", 9) == 0));
        *began = true;
    }
}

/* A client that pipelines gets one answer a turn: many requests take many turns. */
static void settle(int fd, bool *began)
{
    uint64_t before;
    bool answered;
    do {
        before = seen;
        turn();
        answered = answer_later();
        drain(fd, began);
    } while (answered || seen != before);
}

static uint64_t serve(const uint8_t *data, size_t size, bool in_pieces)
{
    int pair[2];
    bool began = false;
    RG_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    RG_ASSERT(rg_loop_init(&loop) == 0);
    other_end = pair[1];
    hash = 14695981039346656037u;
    rg_http_server_init(&server, &loop, &(struct rg_http_options){.head_bytes = HEAD_BYTES, .body_bytes = BODY_BYTES});
    server.handle = handle;
    server.accept = take_other_end;
    RG_ASSERT(rg_http_server_start(&server, eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC)) == 0);
    settle(pair[0], &began);
    for (size_t at = 0; at < size;) {
        size_t n = in_pieces ? 1 + at % 64 : size;
        n = n < size - at ? n : size - at;
        ssize_t sent = send(pair[0], data + at, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN)
            break;
        at += sent > 0 ? (size_t)sent : 0;
        settle(pair[0], &began);
    }
    close(pair[0]);
    turn();
    rg_http_server_fini(&server);
    answer_later();
    RG_ASSERT(server.n_connections == 0 && websockets == 0 && !loop.alarms);
    rg_loop_fini(&loop);
    return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rg_log_set_level(RG_LOG_ERROR);
    RG_ASSERT(serve(data, size, false) == serve(data, size, true));
    return 0;
}
