/* See h2_head.h. Text is written behind what is there, so a field costs one copy; only cookies may move others. */
#include "datapath/http/h2_head.h"

#include "datapath/http/h1_authority.h"
#include "datapath/http/h1_chars.h"
#include "datapath/http/h1_framing.h"
#include "datapath/http/h1_write.h"

#define REQUEST_LINE_REST " HTTP/1.1\r\n"

void rg_h2_head_init(struct rg_h2_head *h, char *buf, uint32_t cap)
{
    *h = (struct rg_h2_head){.buf = buf, .cap = cap};
}

static bool has_room(const struct rg_h2_head *h, size_t n)
{
    return n <= h->cap - h->len;
}

static void put(struct rg_h2_head *h, const char *p, size_t n)
{
    if (n > 0)
        memcpy(h->buf + h->len, p, n);
    h->len += (uint32_t)n;
}

static void refuse(struct rg_h2_head *h, enum rg_reason reason)
{
    if (h->reason == RG_REASON_NONE)
        h->reason = (uint8_t)reason;
}

/* ---- what may stand where ---- */

/* The library has looked already; these two are what keeps one field from becoming two lines. */
static bool is_value(struct rg_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!rg_char_is(s.ptr[i], RG_CHAR_VALUE))
            return false;
    return s.len == 0 || (s.ptr[0] != ' ' && s.ptr[0] != '\t' && s.ptr[s.len - 1] != ' ' && s.ptr[s.len - 1] != '\t');
}

static bool is_name(struct rg_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!rg_char_is(s.ptr[i], RG_CHAR_TOKEN) || (s.ptr[i] >= 'A' && s.ptr[i] <= 'Z'))
            return false;
    return s.len > 0 && s.len <= UINT16_MAX;
}

/* Nothing that would end a word of the request line. */
static bool is_word(struct rg_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] <= ' ' || s.ptr[i] == 0x7f)
            return false;
    return s.len > 0;
}

/* RFC 9113 8.2.2: these speak of a connection that is none here, or of framing that HTTP/2 has of its own. */
static bool is_connection_specific(enum rg_field_id id)
{
    return id == RG_FIELD_CONNECTION || id == RG_FIELD_KEEP_ALIVE || id == RG_FIELD_PROXY_CONNECTION ||
           id == RG_FIELD_TRANSFER_ENCODING || id == RG_FIELD_UPGRADE;
}

/* ---- pseudo fields ---- */

/* Kept in front of the text until the request line can be written. */
static enum rg_h2_head_result keep(struct rg_h2_head *h, struct rg_str value, uint32_t *at, uint32_t *len)
{
    if (*len > 0)
        return RG_H2_HEAD_MALFORMED;
    if (!has_room(h, value.len))
        return RG_H2_HEAD_FULL;
    *at = h->len;
    *len = (uint32_t)value.len;
    put(h, value.ptr, value.len);
    return RG_H2_HEAD_OK;
}

static enum rg_h2_head_result add_authority(struct rg_h2_head *h, struct rg_str value)
{
    if (h->has_authority)
        return RG_H2_HEAD_MALFORMED;
    enum rg_h2_head_result r = keep(h, value, &h->host, &h->host_len);
    h->has_authority = r == RG_H2_HEAD_OK;
    if (value.len == 0 || !is_word(value))
        refuse(h, RG_REASON_BAD_HOST);
    return r;
}

static enum rg_h2_head_result add_scheme(struct rg_h2_head *h, struct rg_str value)
{
    if (h->has_scheme)
        return RG_H2_HEAD_MALFORMED;
    h->has_scheme = true;
    if (!rg_str_eq_nocase(value, RG_STR("http")) && !rg_str_eq_nocase(value, RG_STR("https")))
        refuse(h, RG_REASON_BAD_TARGET);
    return RG_H2_HEAD_OK;
}

static enum rg_h2_head_result add_protocol(struct rg_h2_head *h, struct rg_str value)
{
    if (h->has_protocol)
        return RG_H2_HEAD_MALFORMED;
    h->has_protocol = true;
    h->websocket = rg_str_eq_nocase(value, RG_STR("websocket"));
    if (!h->websocket)
        refuse(h, RG_REASON_PROTOCOL_REFUSED);
    return RG_H2_HEAD_OK;
}

static enum rg_h2_head_result add_pseudo(struct rg_h2_head *h, struct rg_str name, struct rg_str value)
{
    if (h->begun)
        return RG_H2_HEAD_MALFORMED;
    if (rg_str_eq(name, RG_STR(":method")))
        return rg_str_is(value, RG_CHAR_TOKEN) ? keep(h, value, &h->method, &h->method_len) : RG_H2_HEAD_MALFORMED;
    if (rg_str_eq(name, RG_STR(":path")))
        return is_word(value) ? keep(h, value, &h->path, &h->path_len) : RG_H2_HEAD_MALFORMED;
    if (rg_str_eq(name, RG_STR(":authority")))
        return add_authority(h, value);
    if (rg_str_eq(name, RG_STR(":protocol")))
        return add_protocol(h, value);
    return rg_str_eq(name, RG_STR(":scheme")) ? add_scheme(h, value) : RG_H2_HEAD_MALFORMED;
}

/* ---- the text ---- */

static bool is_connect(const struct rg_h2_head *h)
{
    return h->method_len == 7 && memcmp(h->buf + h->method, "CONNECT", 7) == 0;
}

/* RFC 9113 8.3.1, 8.5; RFC 8441 4 */
static bool has_needed(const struct rg_h2_head *h)
{
    if (h->method_len == 0)
        return false;
    if (h->has_protocol)
        return is_connect(h) && h->path_len > 0 && h->has_scheme && h->host_len > 0;
    if (is_connect(h))
        return h->path_len == 0 && !h->has_scheme && h->host_len > 0;
    return h->path_len > 0 && h->has_scheme;
}

/* An extended CONNECT is to HTTP/2 what a GET with Upgrade is to HTTP/1. */
static void put_method(struct rg_h2_head *h)
{
    if (h->has_protocol)
        put(h, "GET", 3);
    else
        put(h, h->buf + h->method, h->method_len);
}

/* Request line and Host. Other forms of the target than "/..." and "*" are not for HTTP/2. */
static enum rg_h2_head_result begin_text(struct rg_h2_head *h)
{
    bool connect = is_connect(h) && !h->has_protocol;
    uint32_t target = connect ? h->host : h->path, target_len = connect ? h->host_len : h->path_len;
    if (!has_needed(h))
        return RG_H2_HEAD_MALFORMED;
    if (!has_room(h, (size_t)h->method_len + target_len + h->host_len + sizeof(REQUEST_LINE_REST "host: \r\n")))
        return RG_H2_HEAD_FULL;
    h->begun = true;
    h->start = h->len;
    if (!connect && h->buf[h->path] != '/' && !(h->path_len == 1 && h->buf[h->path] == '*'))
        refuse(h, RG_REASON_BAD_TARGET);
    put_method(h);
    put(h, " ", 1);
    put(h, h->buf + target, target_len);
    put(h, REQUEST_LINE_REST, sizeof(REQUEST_LINE_REST) - 1);
    if (h->host_len > 0) {
        put(h, "host: ", 6);
        put(h, h->buf + h->host, h->host_len);
        put(h, "\r\n", 2);
    }
    return RG_H2_HEAD_OK;
}

/* Beside :authority it must say the same; without, it takes its place. */
static bool takes_place_of_authority(struct rg_h2_head *h, struct rg_str value)
{
    struct rg_authority a, b;
    bool again = h->has_host;
    h->has_host = true;
    if (again)
        refuse(h, RG_REASON_BAD_HOST);
    if (!h->has_authority)
        return !again;
    struct rg_str authority = {h->buf + h->host, h->host_len};
    if (!rg_authority_parse(authority, &a) || !rg_authority_parse(value, &b) || !rg_authority_same(&a, &b, 80))
        refuse(h, RG_REASON_BAD_HOST);
    return false;
}

static enum rg_h2_head_result put_line(struct rg_h2_head *h, struct rg_str name, struct rg_str value)
{
    if (!has_room(h, name.len + value.len + 4))
        return RG_H2_HEAD_FULL;
    put(h, name.ptr, name.len);
    put(h, ": ", 2);
    put(h, value.ptr, value.len);
    put(h, "\r\n", 2);
    return RG_H2_HEAD_OK;
}

/* RFC 9113 8.2.3: HTTP/1 knows one Cookie field, so crumbs are joined where the first one stands. */
static enum rg_h2_head_result put_cookie(struct rg_h2_head *h, struct rg_str name, struct rg_str value)
{
    if (h->cookie_end == 0) {
        enum rg_h2_head_result r = put_line(h, name, value);
        if (r == RG_H2_HEAD_OK)
            h->cookie_end = h->len - 2;
        return r;
    }
    size_t n = value.len + 2;
    if (!has_room(h, n))
        return RG_H2_HEAD_FULL;
    char *at = h->buf + h->cookie_end;
    memmove(at + n, at, h->len - h->cookie_end);
    memcpy(at, "; ", 2);
    if (value.len > 0)
        memcpy(at + 2, value.ptr, value.len);
    h->cookie_end += (uint32_t)n;
    h->len += (uint32_t)n;
    return RG_H2_HEAD_OK;
}

static enum rg_h2_head_result add_regular(struct rg_h2_head *h, struct rg_str name, struct rg_str value)
{
    enum rg_field_id id = rg_field_lookup(name.ptr, name.len);
    if (!is_name(name) || !is_value(value) || is_connection_specific(id))
        return RG_H2_HEAD_MALFORMED;
    if (id == RG_FIELD_TE) {
        h->te_trailers = rg_str_eq_nocase(value, RG_STR("trailers"));
        return h->te_trailers ? RG_H2_HEAD_OK : RG_H2_HEAD_MALFORMED;
    }
    if (id == RG_FIELD_COOKIE)
        return put_cookie(h, name, value);
    if (id == RG_FIELD_HOST && !takes_place_of_authority(h, value))
        return RG_H2_HEAD_OK;
    return put_line(h, name, value);
}

/* Once it is over a limit the rest is decoded, for the sake of the connection's HPACK state, and thrown away. */
static bool is_over(struct rg_h2_head *h, struct rg_str name, struct rg_str value, const struct rg_h1_limits *limits)
{
    bool pseudo = name.len > 0 && name.ptr[0] == ':';
    uint64_t bytes = (uint64_t)h->bytes + name.len + value.len + 4;
    h->bytes = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
    if (!pseudo && h->fields < UINT16_MAX)
        h->fields++;
    if (rg_str_eq(name, RG_STR(":path")) && value.len > limits->target_bytes)
        refuse(h, RG_REASON_TARGET_TOO_LONG);
    else if (h->bytes > limits->head_bytes)
        refuse(h, RG_REASON_HEAD_TOO_LARGE);
    else if (h->fields > limits->fields)
        refuse(h, RG_REASON_TOO_MANY_FIELDS);
    else if (!pseudo && name.len + value.len > limits->field_bytes)
        refuse(h, RG_REASON_FIELD_TOO_LARGE);
    return h->reason == RG_REASON_TARGET_TOO_LONG || h->reason == RG_REASON_HEAD_TOO_LARGE ||
           h->reason == RG_REASON_TOO_MANY_FIELDS || h->reason == RG_REASON_FIELD_TOO_LARGE;
}

enum rg_h2_head_result rg_h2_head_add(struct rg_h2_head *h, struct rg_str name, struct rg_str value,
                                      const struct rg_h1_limits *limits)
{
    struct rg_h2_head before = *h;
    enum rg_h2_head_result r = RG_H2_HEAD_OK;
    if (is_over(h, name, value, limits))
        return RG_H2_HEAD_OK;
    if (name.len > 0 && name.ptr[0] == ':')
        r = add_pseudo(h, name, value);
    else if (!h->begun)
        r = begin_text(h);
    if (r == RG_H2_HEAD_OK && (name.len == 0 || name.ptr[0] != ':'))
        r = add_regular(h, name, value);
    if (r == RG_H2_HEAD_FULL)
        *h = before;
    return r;
}

enum rg_h2_head_result rg_h2_head_end(struct rg_h2_head *h)
{
    if (!h->begun && h->reason == RG_REASON_NONE) {
        enum rg_h2_head_result r = begin_text(h);
        if (r != RG_H2_HEAD_OK)
            return r;
    }
    if (!has_room(h, 2))
        return RG_H2_HEAD_FULL;
    put(h, "\r\n", 2);
    return RG_H2_HEAD_OK;
}

/* ---- responses ---- */

/* Three digits (RFC 9113 8.3.2); 101 is not for HTTP/2 (8.6). */
static enum rg_h2_head_result begin_response(struct rg_h2_head *h, struct rg_str name, struct rg_str value)
{
    uint16_t status = 0;
    if (h->begun || !rg_str_eq(name, RG_STR(":status")) || value.len != 3)
        return RG_H2_HEAD_MALFORMED;
    for (size_t i = 0; i < 3; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return RG_H2_HEAD_MALFORMED;
        status = (uint16_t)(status * 10 + (value.ptr[i] - '0'));
    }
    if (status < 100 || status == 101)
        return RG_H2_HEAD_MALFORMED;
    struct rg_str phrase = rg_status_phrase(status); /* HTTP/2 has none */
    if (!has_room(h, sizeof("HTTP/1.1 200 \r\n") + phrase.len))
        return RG_H2_HEAD_FULL;
    put(h, "HTTP/1.1 ", 9);
    put(h, value.ptr, 3);
    put(h, " ", 1);
    put(h, phrase.ptr, phrase.len);
    put(h, "\r\n", 2);
    h->status = status;
    h->begun = true;
    return RG_H2_HEAD_OK;
}

static enum rg_h2_head_result add_response_line(struct rg_h2_head *h, struct rg_str name, struct rg_str value)
{
    enum rg_field_id id = rg_field_lookup(name.ptr, name.len);
    if (!h->begun || !is_name(name) || !is_value(value) || is_connection_specific(id))
        return RG_H2_HEAD_MALFORMED;
    enum rg_h2_head_result r = put_line(h, name, value);
    if (r == RG_H2_HEAD_OK && id == RG_FIELD_CONTENT_LENGTH)
        h->has_length = true;
    return r;
}

enum rg_h2_head_result rg_h2_head_add_response(struct rg_h2_head *h, struct rg_str name, struct rg_str value,
                                               const struct rg_h1_limits *limits)
{
    uint64_t bytes = (uint64_t)h->bytes + name.len + value.len + 4;
    bool pseudo = name.len > 0 && name.ptr[0] == ':';
    uint16_t fields = (uint16_t)(h->fields + (h->fields < UINT16_MAX));
    enum rg_h2_head_result r = RG_H2_HEAD_OK;
    if (bytes > limits->head_bytes || fields > limits->fields + 1u || name.len + value.len > limits->field_bytes)
        refuse(h, RG_REASON_REPLICA_HEAD_TOO_LARGE);
    if (h->reason == RG_REASON_NONE)
        r = pseudo ? begin_response(h, name, value) : add_response_line(h, name, value);
    if (r != RG_H2_HEAD_FULL) {
        h->bytes = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
        h->fields = fields;
    }
    return r;
}

enum rg_h2_head_result rg_h2_head_end_response(struct rg_h2_head *h, bool no_body)
{
    static const char length[] = "content-length: 0\r\n";
    bool says_length = no_body && !h->has_length && h->status >= 200 && h->status != 204 && h->status != 304;
    if (!h->begun && h->reason == RG_REASON_NONE)
        return RG_H2_HEAD_MALFORMED;
    if (!has_room(h, sizeof length + 2))
        return RG_H2_HEAD_FULL;
    if (says_length)
        put(h, length, sizeof length - 1);
    put(h, "\r\n", 2);
    return RG_H2_HEAD_OK;
}

/* ---- trailers ---- */

bool rg_h2_trailer_add(struct rg_h2_head *h, struct rg_str name, struct rg_str value)
{
    struct rg_field f = {.name = name.ptr, .name_len = (uint16_t)name.len};
    if (!is_name(name) || !is_value(value))
        return false;
    h->bytes += (uint32_t)(name.len + value.len + 4);
    if (h->bytes > RG_TRAILER_MAX)
        return false;
    f.id = (uint8_t)rg_field_lookup(name.ptr, name.len);
    return rg_field_is_forbidden_in_trailer(&f) || put_line(h, name, value) == RG_H2_HEAD_OK;
}
