/*
 * The request head for the replica. Every decision about a known field is a bit in the selection's drop set; what is
 * replaced or extended is written behind the lines that stayed. Hot: once per request. Pure, thread: any.
 */
#include "datapath/base/assert.h"
#include "datapath/http/h1_chars.h"
#include "datapath/http/h1_write_out.h"

#define WEBSOCKET_IDS                                                                    \
    (FIELD_BIT(RG_FIELD_SEC_WEBSOCKET_KEY) | FIELD_BIT(RG_FIELD_SEC_WEBSOCKET_VERSION) | \
     FIELD_BIT(RG_FIELD_SEC_WEBSOCKET_ACCEPT))

/* Always written anew, never copied. */
#define REWRITTEN_IDS                                                                                \
    (FIELD_BIT(RG_FIELD_HOST) | FIELD_BIT(RG_FIELD_CONTENT_LENGTH) | FIELD_BIT(RG_FIELD_EXPECT) |    \
     FIELD_BIT(RG_FIELD_VIA) | FIELD_BIT(RG_FIELD_X_FORWARDED_FOR) | FIELD_BIT(RG_FIELD_FORWARDED) | \
     FIELD_BIT(RG_FIELD_X_REQUEST_ID) | FIELD_BIT(RG_FIELD_TRACEPARENT))

/* Whether Max-Forwards means anything (RFC 9110 7.6.2). */
static bool counts_hops(const struct rg_h1_request *req)
{
    return req->method_id == RG_METHOD_OPTIONS || req->method_id == RG_METHOD_TRACE;
}

static uint64_t dropped_ids(const struct rg_h1_request *req, const struct rg_framing *framing,
                            const struct rg_forward *f)
{
    uint64_t ids = rg_h1_write_hop_ids | REWRITTEN_IDS | framing->listed_ids;
    if (!f->peer->trusted)
        ids |= rg_h1_write_forward_ids;
    if (f->traceparent_is_new) /* the state belongs to the trace that was not continued */
        ids |= FIELD_BIT(RG_FIELD_TRACESTATE);
    if (RG_UNLIKELY(f->subject.len != 0)) /* what we have verified counts, whoever else has */
        ids |= FIELD_BIT(RG_FIELD_X_CLIENT_CERT_SUBJECT);
    if (!framing->websocket)
        ids |= WEBSOCKET_IDS;
    else if (f->websocket_key.len != 0)
        ids |= FIELD_BIT(RG_FIELD_SEC_WEBSOCKET_KEY) | FIELD_BIT(RG_FIELD_SEC_WEBSOCKET_ACCEPT);
    if (RG_UNLIKELY(counts_hops(req)))
        ids |= FIELD_BIT(RG_FIELD_MAX_FORWARDS);
    return ids & ~FIELD_BIT(RG_FIELD_OTHER);
}

/* OPTIONS with an absolute form that has neither path nor query speaks of the server as a whole (RFC 9112 3.2.4). */
static bool is_asterisk(const struct rg_h1_request *req)
{
    return req->target_form == RG_TARGET_ASTERISK ||
           (req->target_form == RG_TARGET_ABSOLUTE && req->method_id == RG_METHOD_OPTIONS &&
            req->authority.ptr + req->authority.len == req->target.ptr + req->target.len);
}

static void write_request_line(struct out *o, const struct rg_h1_request *req, const struct rg_forward *f)
{
    out_str(o, req->method);
    if (RG_UNLIKELY(is_asterisk(req))) {
        out_lit(o, " * HTTP/1.1\r\n");
        return;
    }
    RG_ASSERT(f->path.len != 0 && f->path.ptr[0] == '/');
    out_char(o, ' ');
    out_str(o, f->path);
    out_str(o, req->query);
    out_lit(o, " HTTP/1.1\r\n");
}

static void write_framing(struct out *o, const struct rg_framing *framing, const struct rg_forward *f)
{
    if (framing->kind == RG_BODY_CHUNKED || framing->kind == RG_BODY_EOF)
        out_lit(o, "Transfer-Encoding: chunked\r\n");
    else if (framing->kind == RG_BODY_LENGTH || framing->has_length_field)
        out_field_uint(o, "Content-Length", framing->length);
    if (RG_UNLIKELY(framing->expect_continue))
        out_lit(o, "Expect: 100-continue\r\n");
    if (RG_UNLIKELY(framing->te_trailers))
        out_lit(o, "TE: trailers\r\nConnection: TE\r\n");
    if (RG_UNLIKELY(framing->websocket))
        out_lit(o, "Connection: upgrade\r\nUpgrade: websocket\r\n");
    if (RG_UNLIKELY(f->websocket_key.len != 0))
        out_field(o, "Sec-WebSocket-Key", f->websocket_key);
}

/* ---- Who asked: X-Forwarded-*, X-Real-IP, Forwarded ---- */

/* A value of Forwarded: a token as it is, else a quoted string. */
static void write_token_or_quoted(struct out *o, struct rg_str s)
{
    if (rg_str_is(s, RG_CHAR_TOKEN)) {
        out_str(o, s);
        return;
    }
    out_char(o, '"');
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '"' || s.ptr[i] == '\\')
            out_char(o, '\\');
        out_char(o, s.ptr[i]);
    }
    out_char(o, '"');
}

static struct rg_str peer_ip(const struct rg_forward *f)
{
    return (struct rg_str){f->peer->ip, f->peer->ip_len};
}

/* One element of RFC 7239: for=192.0.2.1;host=example.com;proto=http */
static void write_forwarded_element(struct out *o, struct rg_str host, const struct rg_forward *f)
{
    if (f->peer->ip_len == 0) { /* a UNIX socket has no address */
        out_lit(o, "for=unknown");
    } else if (f->peer->is_ipv6) {
        out_lit(o, "for=\"[");
        out_str(o, peer_ip(f));
        out_lit(o, "]\"");
    } else {
        out_lit(o, "for=");
        out_str(o, peer_ip(f));
    }
    if (host.len != 0) {
        out_lit(o, ";host=");
        write_token_or_quoted(o, host);
    }
    out_lit(o, ";proto=");
    out_str(o, f->scheme);
    out_lit(o, "\r\n");
}

/*
 * Lists get this hop appended; single values of a trusted peer stand, ours fill in what it did not say.
 * kept: known fields of the request whose values may be used.
 */
static void write_forwarding(struct out *o, const struct rg_h1_request *req, struct rg_str host,
                             const struct rg_forward *f, uint64_t kept)
{
    struct rg_str ip = peer_ip(f);
    bool has_list = (kept & FIELD_BIT(RG_FIELD_X_FORWARDED_FOR)) != 0;
    if (ip.len != 0) {
        out_lit(o, "X-Forwarded-For: ");
        if (RG_UNLIKELY(has_list))
            rg_h1_write_list(o, req->fields, req->n_fields, RG_FIELD_X_FORWARDED_FOR);
        out_str(o, ip);
        out_lit(o, "\r\n");
    }
    if (host.len != 0 && !(kept & FIELD_BIT(RG_FIELD_X_FORWARDED_HOST)))
        out_field(o, "X-Forwarded-Host", host);
    if (!(kept & FIELD_BIT(RG_FIELD_X_FORWARDED_PROTO)))
        out_field(o, "X-Forwarded-Proto", f->scheme);
    if (f->listener_port != 0 && !(kept & FIELD_BIT(RG_FIELD_X_FORWARDED_PORT)))
        out_field_uint(o, "X-Forwarded-Port", f->listener_port);
    if (ip.len != 0 && !(kept & FIELD_BIT(RG_FIELD_X_REAL_IP)))
        out_field(o, "X-Real-IP", ip);
    out_lit(o, "Forwarded: ");
    if (RG_UNLIKELY((kept & FIELD_BIT(RG_FIELD_FORWARDED)) != 0))
        rg_h1_write_list(o, req->fields, req->n_fields, RG_FIELD_FORWARDED);
    write_forwarded_element(o, host, f);
}

static void write_ids(struct out *o, const struct rg_forward *f)
{
    if (f->request_id_len != 0)
        out_field(o, "X-Request-Id", ((struct rg_str){f->request_id, f->request_id_len}));
    if (f->traceparent[0] != '\0')
        out_field(o, "traceparent", ((struct rg_str){f->traceparent, RG_TRACEPARENT_LEN}));
}

/* ---- Max-Forwards ---- */

#define HOPS_MAX UINT64_C(1000000000) /* RFC 9110 7.6.2: a recipient may have a largest value */

/* A count, at most HOPS_MAX; values that are none are no business of ours. */
static bool parse_hops(struct rg_str value, uint64_t *ret)
{
    uint64_t n = 0;
    if (value.len == 0)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(value.ptr[i] - '0');
        if (n > HOPS_MAX)
            n = HOPS_MAX;
    }
    *ret = n;
    return n > 0;
}

/* Counts one hop down; zero does not come here (rg_framing.ends_here). */
RG_COLD static void write_max_forwards_slow(struct out *o, const struct rg_h1_request *req)
{
    for (unsigned i = 0; i < req->n_fields; i++) {
        const struct rg_field *f = &req->fields[i];
        uint64_t hops;
        if (f->id != RG_FIELD_MAX_FORWARDS)
            continue;
        if (parse_hops(rg_field_value(f), &hops))
            out_field_uint(o, "Max-Forwards", hops - 1);
        else
            out_field(o, "Max-Forwards", rg_field_value(f));
    }
}

static struct rg_str next_host(const struct rg_framing *framing, const struct rg_forward *f)
{
    if (RG_UNLIKELY(f->host.len != 0))
        return f->host;
    return framing->host.len != 0 ? framing->host : f->replica_host;
}

int32_t rg_h1_write_request(char *out, size_t cap, const struct rg_h1_request *req, const struct rg_framing *framing,
                            const struct rg_forward *f)
{
    struct out o = out_init(out, cap);
    write_request_line(&o, req, f);
    out_field(&o, "Host", next_host(framing, f));

    struct selection s = {dropped_ids(req, framing, f), framing, !f->peer->trusted, true};
    unsigned received = (unsigned)req->n_fields - req->n_added;
    uint64_t present = rg_h1_write_fields(&o, req->fields, received, &s) & ~framing->listed_ids;
    if (RG_UNLIKELY(req->n_added != 0))
        rg_h1_write_added(&o, req->fields + received, req->n_added);

    write_framing(&o, framing, f);
    write_forwarding(&o, req, framing->host, f, f->peer->trusted ? present : 0);
    rg_h1_write_via(&o, req->fields, req->n_fields, (present & FIELD_BIT(RG_FIELD_VIA)) != 0,
                    req->is_h2 ? 2 : req->minor);
    write_ids(&o, f);
    if (RG_UNLIKELY(f->subject.len != 0))
        out_field(&o, "X-Client-Cert-Subject", f->subject);
    if (RG_UNLIKELY((present & s.drop_ids & FIELD_BIT(RG_FIELD_MAX_FORWARDS)) != 0))
        write_max_forwards_slow(&o, req);
    out_lit(&o, "\r\n");
    return out_len(&o);
}

bool rg_h1_replace_host(char *head, uint32_t cap, uint32_t *len, struct rg_str host)
{
    static const char name[] = "\r\nHost: "; /* the first field */
    const char *found = memmem(head, *len, name, sizeof name - 1);
    RG_ASSERT(found);
    uint32_t at = (uint32_t)(found - head) + (uint32_t)sizeof name - 1;
    const char *end = memchr(head + at, '\r', *len - at);
    RG_ASSERT(end);
    uint32_t rest = (uint32_t)(end - head);
    if (at + host.len + (*len - rest) > cap)
        return false;
    memmove(head + at + host.len, end, *len - rest);
    memcpy(head + at, host.ptr, host.len);
    *len = *len - rest + at + (uint32_t)host.len;
    return true;
}
