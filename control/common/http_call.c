/*
 * Why: answers: at once, later, piece by piece, or by becoming a WebSocket. A call whose client has left takes its
 * answer all the same, so that handlers need not ask. See http_server.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "control/common/http_parts.h"
#include "datapath/base/assert.h"
#include "datapath/base/log.h"
#include "datapath/http/h1_chars.h"

void rg_http_call_free(struct rg_http_call *call)
{
    if (!call)
        return;
    free(call->fields);
    free(call->text);
    free(call->body);
    free(call->trailers);
    free(call);
}

void rg_http_call_lose(struct rg_http_call *call)
{
    call->connection = NULL;
    if (call->gone)
        call->gone(call, call->owner);
}

void rg_http_call_keep(struct rg_http_call *call, void *owner, void (*gone)(struct rg_http_call *call, void *owner))
{
    call->owner = owner;
    call->gone = gone;
}

const struct rg_http_request *rg_http_call_request(const struct rg_http_call *call)
{
    return &call->req;
}

bool rg_http_call_is_gone(const struct rg_http_call *call)
{
    return call->connection == NULL;
}

/* ---- Heads ---- */

/* How the body of an answer ends. */
enum ending {
    BY_LENGTH,
    BY_CHUNKS,
    BY_CLOSE,
    NO_BODY /* 101, 204, 304 */
};

static bool is_token(const char *name)
{
    return rg_str_is(rg_str_of(name), RG_CHAR_TOKEN);
}

static bool is_field_text(const char *value)
{
    return *value == '\0' || rg_str_is(rg_str_of(value), RG_CHAR_VALUE);
}

static bool are_good(const struct rg_http_reply *reply)
{
    for (size_t i = 0; i < reply->n_headers; i++)
        if (!is_token(reply->headers[i].name) || !is_field_text(reply->headers[i].value))
            return false;
    return reply->status >= 200 && reply->status <= 999 && (!reply->content_type || is_field_text(reply->content_type));
}

static bool names(const struct rg_http_reply *reply, const char *name)
{
    for (size_t i = 0; i < reply->n_headers; i++)
        if (rg_str_eq_nocase(rg_str_of(reply->headers[i].name), rg_str_of(name)))
            return true;
    return false;
}

/* Answers of a control plane are of the moment, and say what they are. */
static void write_fields(FILE *out, const struct rg_http_reply *reply, enum ending ending)
{
    char date[RG_DATE_LEN];
    rg_http_date(date, (int64_t)time(NULL));
    fprintf(out, "Date: %.*s\r\n", RG_DATE_LEN, date);
    if (ending != NO_BODY)
        fprintf(out, "Content-Type: %s\r\n", reply->content_type ? reply->content_type : "application/json");
    if (ending == BY_LENGTH)
        fprintf(out, "Content-Length: %zu\r\n", reply->body.len);
    else if (ending == BY_CHUNKS)
        fputs("Transfer-Encoding: chunked\r\n", out);
    if (!names(reply, "cache-control"))
        fputs("Cache-Control: no-store\r\n", out);
    if (!names(reply, "x-content-type-options"))
        fputs("X-Content-Type-Options: nosniff\r\n", out);
    for (size_t i = 0; i < reply->n_headers; i++)
        fprintf(out, "%s: %s\r\n", reply->headers[i].name, reply->headers[i].value);
}

/* A whole head at the end of the output. false: no memory. */
static bool put_head(struct rg_http_connection *c, const struct rg_http_reply *reply, enum ending ending, bool is_old)
{
    char *text = NULL;
    size_t len = 0;
    struct rg_str phrase = rg_status_phrase(reply->status);
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return false;
    fprintf(out, "HTTP/1.1 %u %.*s\r\n", reply->status, (int)phrase.len, phrase.len ? phrase.ptr : "");
    write_fields(out, reply, ending);
    if (!c->keep_alive)
        fputs("Connection: close\r\n", out);
    else if (is_old)
        fputs("Connection: keep-alive\r\n", out);
    fputs("\r\n", out);
    bool ok = fclose(out) == 0 && rg_outbuf_append(&c->output, (struct rg_str){text, len});
    free(text);
    return ok;
}

/* false: no memory; the output is as it was. */
static bool put_answer(struct rg_http_connection *c, const struct rg_http_reply *reply, bool head_only, bool is_old)
{
    enum ending ending = reply->status == 204 || reply->status == 304 ? NO_BODY : BY_LENGTH;
    struct rg_str body = head_only || ending == NO_BODY ? RG_STR_NONE : reply->body;
    size_t before = c->output.len;
    if (put_head(c, reply, ending, is_old) && rg_outbuf_append(&c->output, body))
        return true;
    c->output.len = before;
    return false;
}

/* ---- Refusals ---- */

static void refuse_with(struct rg_http_connection *c, uint16_t status, const char *reason, const char *text)
{
    char body[512];
    int n =
        snprintf(body, sizeof(body), "{\"status\":%u,\"reason\":\"%s\",\"message\":\"%s\"}\n", status, reason, text);
    c->keep_alive = false;
    put_answer(c, &(struct rg_http_reply){.status = status, .body = {body, (size_t)n}}, false, false);
}

void rg_http_refuse(struct rg_http_connection *c, enum rg_reason reason)
{
    const struct rg_reason_info *info = rg_reason_info(reason);
    refuse_with(c, info->status, info->name.ptr, info->text.ptr);
}

/* ---- Whole answers ---- */

static bool speaks_http10(const struct rg_http_call *call)
{
    return call->head.minor == 0;
}

static void answer(struct rg_http_call *call, const struct rg_http_reply *reply)
{
    struct rg_http_connection *c = call->connection;
    if (!are_good(reply)) {
        rg_error("an answer with a malformed status or field was replaced path=%.*s status=%u", (int)call->req.path.len,
                 call->req.path.ptr, reply->status);
        refuse_with(c, 500, "internal-error", "The answer could not be made.");
    } else if (!put_answer(c, reply, call->head_only, speaks_http10(call))) {
        refuse_with(c, 500, "no-memory", "The answer could not be made.");
    }
    rg_http_connection_write(c);
}

void rg_http_reply(struct rg_http_call *call, const struct rg_http_reply *reply)
{
    if (call->connection)
        answer(call, reply);
    rg_http_call_free(call);
}

/* ---- Streams ---- */

/* One chunk, or the last one of length 0. */
static bool put_chunk(struct rg_http_connection *c, struct rg_str piece)
{
    char head[24];
    int n = snprintf(head, sizeof(head), "%zx\r\n", piece.len);
    return rg_outbuf_reserve(&c->output, (size_t)n + piece.len + 2) &&
           rg_outbuf_append(&c->output, (struct rg_str){head, (size_t)n}) && rg_outbuf_append(&c->output, piece) &&
           rg_outbuf_append(&c->output, RG_STR("\r\n"));
}

static void lose_reader(struct rg_http_call *call)
{
    rg_http_connection_break(call->connection);
    call->connection = NULL;
}

void rg_http_stream_begin(struct rg_http_call *call, const struct rg_http_reply *reply)
{
    struct rg_http_connection *c = call->connection;
    if (!c)
        return;
    call->chunks = !speaks_http10(call);
    c->keep_alive = c->keep_alive && call->chunks;
    if (!are_good(reply) || !put_head(c, reply, call->chunks ? BY_CHUNKS : BY_CLOSE, false)) {
        rg_error("a stream could not begin path=%.*s", (int)call->req.path.len, call->req.path.ptr);
        lose_reader(call);
        return;
    }
    if (call->head_only) { /* that was all of it: the client's next request may come, and nobody reads a stream */
        rg_http_connection_write(c);
        call->connection = NULL;
        return;
    }
    rg_http_connection_stream(c);
    if (reply->body.len > 0)
        rg_http_stream_write(call, reply->body);
}

bool rg_http_stream_write(struct rg_http_call *call, struct rg_str piece)
{
    struct rg_http_connection *c = call->connection;
    if (!c)
        return false;
    if (piece.len == 0)
        return true;
    bool fits = rg_outbuf_pending(&c->output).len + piece.len <= c->server->options.stream_bytes;
    if (!fits || !(call->chunks ? put_chunk(c, piece) : rg_outbuf_append(&c->output, piece))) {
        lose_reader(call);
        return false;
    }
    rg_http_connection_stream(c);
    return true;
}

void rg_http_stream_end(struct rg_http_call *call)
{
    struct rg_http_connection *c = call->connection;
    if (c && call->chunks && !put_chunk(c, RG_STR_NONE))
        lose_reader(call);
    else if (c)
        rg_http_connection_write(c);
    rg_http_call_free(call);
}

/* ---- WebSockets ---- */

static bool put_switch(struct rg_http_connection *c, struct rg_str key)
{
    char accept[RG_WS_ACCEPT_LEN + 1], text[256];
    RG_ASSERT(rg_ws_accept_of(key, accept));
    int n = snprintf(text, sizeof(text),
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Accept: %s\r\n\r\n",
                     accept);
    return rg_outbuf_append(&c->output, (struct rg_str){text, (size_t)n});
}

struct rg_ws *rg_http_upgrade(struct rg_http_call *call, const struct rg_ws_limits *limits,
                              const struct rg_ws_handler *handler, void *owner)
{
    struct rg_http_connection *c = call->connection;
    struct rg_ws *ws = c ? rg_ws_create(RG_WS_SERVER, limits, handler, owner) : NULL;
    if (ws && put_switch(c, rg_http_field(&call->req, RG_FIELD_SEC_WEBSOCKET_KEY))) {
        rg_http_connection_upgrade(c, ws);
        rg_http_call_free(call);
        return ws;
    }
    if (ws) { /* the handler has not seen it: nobody is told of its end */
        rg_ws_disown(ws);
        rg_ws_destroy(ws);
    }
    if (c) {
        refuse_with(c, 500, "no-memory", "The answer could not be made.");
        rg_http_connection_write(c);
    }
    rg_http_call_free(call);
    return NULL;
}
