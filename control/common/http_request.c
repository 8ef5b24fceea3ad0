/*
 * Why: from bytes to a whole request: the head by the parser of the datapath, the body by its framing, both within the
 * server's limits. And what handlers read a request with. See http_server.h.
 */
#include <stdlib.h>
#include <sys/socket.h>

#include "control/common/http_parts.h"
#include "control/common/utf8.h"
#include "datapath/http/h1_chars.h"
#include "datapath/http/h1_write.h"

#define BODY_FIRST 4096 /* bytes of a body's buffer at first */

/* ---- The head ---- */

static void consume(struct rg_http_connection *c, size_t n)
{
    memmove(c->input, c->input + n, c->input_len - n);
    c->input_len -= n;
}

static struct rg_str before_comma(struct rg_str list)
{
    const char *comma = list.len ? memchr(list.ptr, ',', list.len) : NULL;
    return (struct rg_str){list.ptr, comma ? (size_t)(comma - list.ptr) : list.len};
}

/* Without what is behind the last comma, which `ret` gets without the blanks around it. */
static struct rg_str take_last(struct rg_str list, struct rg_str *ret)
{
    const char *comma = list.len ? memrchr(list.ptr, ',', list.len) : NULL;
    size_t ahead = comma ? (size_t)(comma - list.ptr) : 0, from = comma ? ahead + 1 : 0;
    while (from < list.len && list.ptr[from] == ' ')
        from++;
    while (list.len > from && list.ptr[list.len - 1] == ' ')
        list.len--;
    *ret = (struct rg_str){list.len ? list.ptr + from : list.ptr, list.len - from};
    return (struct rg_str){list.ptr, ahead};
}

/* The front adds who asked it to the list. Only of a proxy that it trusts does it keep one, whose last is the client of
 * that proxy; what stands further ahead, that client may have written itself. */
static struct rg_str forwarded_client(struct rg_str list)
{
    struct rg_str last, client;
    take_last(take_last(list, &last), &client);
    return client.len > 0 ? client : last;
}

static void believe_forwarding(struct rg_http_request *req)
{
    struct rg_str client = forwarded_client(rg_http_field(req, RG_FIELD_X_FORWARDED_FOR));
    if (client.len > 0)
        req->client = client;
    req->https = rg_str_eq_nocase(before_comma(rg_http_field(req, RG_FIELD_X_FORWARDED_PROTO)), RG_STR("https"));
}

/* Clients of a UNIX socket have no name. */
static void name_client(struct rg_http_call *call, int fd)
{
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } peer = {0};
    socklen_t len = sizeof(peer);
    struct in6_addr addr = {0};
    if (getpeername(fd, &peer.sa, &len) < 0 || (peer.sa.sa_family != AF_INET && peer.sa.sa_family != AF_INET6))
        return;
    if (peer.sa.sa_family == AF_INET6) {
        addr = peer.in6.sin6_addr;
    } else {
        addr.s6_addr[10] = addr.s6_addr[11] = 0xff;
        memcpy(addr.s6_addr + 12, &peer.in.sin_addr, 4);
    }
    rg_peer_text_set(&call->client, &addr);
    call->req.client = (struct rg_str){call->client.ip, call->client.ip_len};
}

/* The handler sees GET where a client asked HEAD. */
static void describe(struct rg_http_call *call, const struct rg_http_connection *c)
{
    struct rg_h1_request *head = &call->head;
    call->head_only = head->method_id == RG_METHOD_HEAD;
    if (call->head_only) {
        head->method_id = RG_METHOD_GET;
        head->method = RG_STR("GET");
    }
    call->req = (struct rg_http_request){.head = head,
                                         .path = head->path,
                                         .query = head->query,
                                         .host = call->framing.host,
                                         .websocket = call->framing.websocket && !call->head_only};
    name_client(call, c->socket.fd);
    if (c->server->options.trusts_forwarding)
        believe_forwarding(&call->req);
}

static struct rg_h1_limits limits_of(const struct rg_http_server *s, uint16_t fields)
{
    uint32_t bytes = s->options.head_bytes;
    return (struct rg_h1_limits){.head_bytes = bytes,
                                 .field_bytes = bytes / 2,
                                 .target_bytes = bytes / 4,
                                 .fields = fields,
                                 .allow_underscore = true};
}

static enum rg_http_outcome refuse(struct rg_http_connection *c, enum rg_reason reason)
{
    if (rg_reason_info(reason)->status == 0)
        return RG_HTTP_CLOSE;
    rg_http_refuse(c, reason);
    return RG_HTTP_REFUSED;
}

/* The head moves out of the input into memory of the call's own, and is read there once more: its views stay. */
static enum rg_http_outcome make_call(struct rg_http_connection *c, size_t head_len, uint16_t n_fields)
{
    struct rg_h1_limits limits = limits_of(c->server, n_fields);
    struct rg_h1_resume resume = {0, 0};
    struct rg_framing_options options = {.body_bytes = c->server->options.body_bytes};
    enum rg_reason reason = RG_REASON_NONE;
    struct rg_http_call *call = calloc(1, sizeof(*call));
    if (call) {
        call->text = malloc(head_len);
        call->fields = calloc(n_fields > 0 ? n_fields : 1u, sizeof(*call->fields));
    }
    if (!call || !call->text || !call->fields) {
        rg_http_call_free(call);
        return RG_HTTP_CLOSE;
    }
    memcpy(call->text, c->input, head_len);
    consume(c, head_len);
    rg_h1_parse_request(&resume, call->text, head_len, &limits, call->fields, &call->head, &reason);
    if (reason == RG_REASON_NONE)
        reason = rg_h1_frame_request(&call->head, &options, &call->framing);
    if (reason != RG_REASON_NONE) {
        rg_http_call_free(call);
        return refuse(c, reason);
    }
    c->keep_alive = call->framing.persistent && c->server->listener.fd >= 0;
    describe(call, c);
    rg_chunked_init(&call->chunked, RG_CHUNKED_DATA);
    call->connection = c;
    c->call = call;
    return RG_HTTP_COMPLETE;
}

static enum rg_http_outcome read_head(struct rg_http_connection *c)
{
    struct rg_h1_limits limits = limits_of(c->server, RG_HTTP_FIELDS_MAX);
    struct rg_field fields[RG_HTTP_FIELDS_MAX];
    struct rg_h1_request head;
    enum rg_reason reason = RG_REASON_NONE;
    if (c->input_len == 0)
        return RG_HTTP_INCOMPLETE;
    int32_t len = rg_h1_parse_request(&c->resume, c->input, c->input_len, &limits, fields, &head, &reason);
    if (len < 0)
        return refuse(c, reason);
    if (len == 0)
        return c->input_len < c->server->options.head_bytes ? RG_HTTP_INCOMPLETE : refuse(c, RG_REASON_HEAD_TOO_LARGE);
    c->resume = (struct rg_h1_resume){0, 0};
    return make_call(c, (size_t)len, head.n_fields);
}

/* ---- The body ---- */

static bool keep(struct rg_http_call *call, const char *bytes, size_t n)
{
    if (call->body_cap - call->body_len < n) {
        size_t cap = call->body_cap * 2 > call->body_len + n ? call->body_cap * 2 : call->body_len + n;
        cap = cap > BODY_FIRST ? cap : BODY_FIRST;
        char *grown = realloc(call->body, cap);
        if (!grown)
            return false;
        call->body = grown;
        call->body_cap = cap;
    }
    if (n > 0)
        memcpy(call->body + call->body_len, bytes, n);
    call->body_len += n;
    return true;
}

static enum rg_http_outcome read_length(struct rg_http_connection *c)
{
    struct rg_http_call *call = c->call;
    size_t left = (size_t)call->framing.length - call->body_len;
    size_t n = c->input_len < left ? c->input_len : left;
    if (!keep(call, c->input, n))
        return RG_HTTP_CLOSE;
    if (n > 0)
        consume(c, n);
    return n == left ? RG_HTTP_COMPLETE : RG_HTTP_INCOMPLETE;
}

static enum rg_http_outcome read_chunks(struct rg_http_connection *c)
{
    struct rg_http_call *call = c->call;
    for (;;) {
        size_t used = 0;
        struct rg_str span = RG_STR_NONE;
        enum rg_chunked_event event = rg_chunked_step(&call->chunked, c->input, c->input_len, &used, &span);
        if (event == RG_CHUNKED_BAD)
            return refuse(c, (enum rg_reason)call->chunked.reason);
        if (event == RG_CHUNKED_NEED_TRAILER) {
            if (!call->trailers && !(call->trailers = malloc(RG_TRAILER_MAX)))
                return RG_HTTP_CLOSE;
            call->chunked.trailer_space = call->trailers;
        }
        if (call->body_len + span.len > c->server->options.body_bytes)
            return refuse(c, RG_REASON_BODY_TOO_LARGE);
        if (!keep(call, span.ptr, span.len))
            return RG_HTTP_CLOSE;
        if (used > 0)
            consume(c, used);
        if (event == RG_CHUNKED_END)
            return RG_HTTP_COMPLETE;
        if (event == RG_CHUNKED_MORE)
            return RG_HTTP_INCOMPLETE;
    }
}

/* A client that waits for leave to send its body gets it at once, outside of the answer's bookkeeping: 25 bytes. */
static void say_continue(struct rg_http_connection *c)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct rg_http_call *call = c->call;
    if (!call->framing.expect_continue || call->said_continue || call->body_len > 0)
        return;
    call->said_continue = true;
    (void)!send(c->socket.fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

enum rg_http_outcome rg_http_read(struct rg_http_connection *c)
{
    enum rg_http_outcome outcome = c->call ? RG_HTTP_COMPLETE : read_head(c);
    if (outcome != RG_HTTP_COMPLETE)
        return outcome;
    struct rg_http_call *call = c->call;
    if (call->framing.kind == RG_BODY_LENGTH)
        outcome = read_length(c);
    else if (call->framing.kind == RG_BODY_CHUNKED)
        outcome = read_chunks(c);
    if (outcome == RG_HTTP_INCOMPLETE)
        say_continue(c);
    call->req.body = (struct rg_str){call->body, call->body_len};
    return outcome;
}

/* ---- What handlers read with ---- */

struct rg_str rg_http_field(const struct rg_http_request *req, enum rg_field_id id)
{
    for (uint16_t i = 0; i < req->head->n_fields; i++)
        if (req->head->fields[i].id == id)
            return rg_field_value(&req->head->fields[i]);
    return RG_STR_NONE;
}

struct rg_str rg_http_named_field(const struct rg_http_request *req, const char *name)
{
    for (uint16_t i = 0; i < req->head->n_fields; i++)
        if (rg_str_eq_nocase(rg_field_name(&req->head->fields[i]), rg_str_of(name)))
            return rg_field_value(&req->head->fields[i]);
    return RG_STR_NONE;
}

struct rg_str rg_http_query(const struct rg_http_request *req)
{
    struct rg_str query = req->query;
    return query.len > 0 ? (struct rg_str){query.ptr + 1, query.len - 1} : query;
}

bool rg_http_query_value(struct rg_str query, const char *name, struct rg_str *ret)
{
    size_t name_len = strlen(name);
    while (query.len > 0) {
        const char *end = memchr(query.ptr, '&', query.len);
        size_t len = end ? (size_t)(end - query.ptr) : query.len, step = end ? len + 1 : len;
        if (len > name_len && query.ptr[name_len] == '=' && memcmp(query.ptr, name, name_len) == 0) {
            *ret = (struct rg_str){query.ptr + name_len + 1, len - name_len - 1};
            return true;
        }
        query = (struct rg_str){query.ptr + step, query.len - step};
    }
    return false;
}

bool rg_http_parameter(const struct rg_http_request *req, const char *name, struct rg_str *ret)
{
    return rg_http_query_value(rg_http_query(req), name, ret);
}

ssize_t rg_http_decode(struct rg_str text, bool plus_is_blank, char *out, size_t cap)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            int high = text.len - i > 2 ? rg_hex_value(text.ptr[i + 1]) : -1;
            int low = text.len - i > 2 ? rg_hex_value(text.ptr[i + 2]) : -1;
            if (high < 0 || low < 0)
                return -1;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        if (len == cap || c == '\0')
            return -1;
        out[len++] = c;
    }
    return rg_utf8_is_valid((struct rg_str){out, len}) ? (ssize_t)len : -1;
}
