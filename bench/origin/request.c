/*
 * Parser of request heads: strict (RFC 9112), pure, not resumable (a head that is not complete is parsed again when
 * more has come). It refuses what a gateway must never let through, so that a test sees it as malformed.
 */
#include "bench/origin/request.h"

#include <string.h>

/* token characters, RFC 9110 5.6.2 */
static bool is_token_char(unsigned char ch)
{
    static const uint32_t map[8] = {0, 0x03ff6cfa, 0xc7fffffe, 0x57ffffff, 0, 0, 0, 0};
    return (map[ch >> 5] >> (ch & 31) & 1) != 0;
}

static bool is_token(struct rg_view v)
{
    for (size_t i = 0; i < v.n; i++)
        if (!is_token_char((unsigned char)v.p[i]))
            return false;
    return v.n > 0;
}

static bool is_field_value(struct rg_view v)
{
    for (size_t i = 0; i < v.n; i++) {
        unsigned char ch = (unsigned char)v.p[i];
        if ((ch < 0x20 && ch != '\t') || ch == 0x7f)
            return false;
    }
    return true;
}

static bool is_target(struct rg_view v)
{
    for (size_t i = 0; i < v.n; i++) {
        unsigned char ch = (unsigned char)v.p[i];
        if (ch <= 0x20 || ch >= 0x7f || ch == '#')
            return false;
    }
    return v.n > 0;
}

bool rg_field_line_parse(struct rg_view line, struct rg_field *ret)
{
    const char *colon = memchr(line.p, ':', line.n);
    if (!colon)
        return false;
    ret->name = (struct rg_view){line.p, (size_t)(colon - line.p)};
    struct rg_view v = {colon + 1, line.n - ret->name.n - 1};
    while (v.n > 0 && (v.p[0] == ' ' || v.p[0] == '\t'))
        v.p++, v.n--;
    while (v.n > 0 && (v.p[v.n - 1] == ' ' || v.p[v.n - 1] == '\t'))
        v.n--;
    ret->value = v;
    return is_token(ret->name) && is_field_value(v);
}

/* The next line without its CRLF. The caller knows that the data ends with CRLF. */
static bool next_line(const char **at, const char *end, struct rg_view *ret)
{
    const char *cr = memchr(*at, '\r', (size_t)(end - *at));
    if (!cr || cr + 1 >= end || cr[1] != '\n')
        return false;
    *ret = (struct rg_view){*at, (size_t)(cr - *at)};
    *at = cr + 2;
    return memchr(ret->p, '\n', ret->n) == NULL;
}

/* Path and query of the target; of an absolute-form target what follows its authority. */
static void split_target(struct rg_request *r)
{
    struct rg_view t = r->target;
    if (t.n > 7 && memcmp(t.p, "http://", 7) == 0) {
        const char *slash = memchr(t.p + 7, '/', t.n - 7);
        size_t skip = slash ? (size_t)(slash - t.p) : t.n;
        t = slash ? (struct rg_view){t.p + skip, t.n - skip} : RG_VIEW("/");
    }
    const char *mark = memchr(t.p, '?', t.n);
    r->has_query = mark != NULL;
    r->path = (struct rg_view){t.p, mark ? (size_t)(mark - t.p) : t.n};
    r->query = mark ? (struct rg_view){mark + 1, t.n - r->path.n - 1} : RG_VIEW("");
}

static const char *parse_line(struct rg_request *r)
{
    const char *first = memchr(r->line.p, ' ', r->line.n);
    if (!first)
        return "request line without blanks";
    r->method = (struct rg_view){r->line.p, (size_t)(first - r->line.p)};
    const char *second = memchr(first + 1, ' ', r->line.n - r->method.n - 1);
    if (!second)
        return "request line without a version";
    r->target = (struct rg_view){first + 1, (size_t)(second - first - 1)};
    struct rg_view version = {second + 1, r->line.n - r->method.n - r->target.n - 2};
    if (rg_view_is(version, "HTTP/1.1"))
        r->minor = 1;
    else if (rg_view_is(version, "HTTP/1.0"))
        r->minor = 0;
    else
        return "version is neither HTTP/1.1 nor HTTP/1.0";
    if (!is_token(r->method))
        return "method is not a token";
    if (!is_target(r->target))
        return "target is empty or has illegal bytes";
    r->is_head = rg_view_is(r->method, "HEAD");
    split_target(r);
    return NULL;
}

static const char *note_length(struct rg_request *r, struct rg_view value)
{
    if (r->framing != RG_FRAMING_NONE)
        return "Content-Length beside another framing field";
    if (!rg_view_number(value, INT64_MAX, &r->length))
        return "Content-Length is not a number";
    r->framing = RG_FRAMING_LENGTH;
    return NULL;
}

static const char *note_coding(struct rg_request *r, struct rg_view value)
{
    if (r->framing != RG_FRAMING_NONE)
        return "Transfer-Encoding beside another framing field";
    if (r->minor == 0)
        return "Transfer-Encoding in HTTP/1.0";
    if (!rg_view_is_nocase(value, "chunked"))
        return "Transfer-Encoding other than chunked";
    r->framing = RG_FRAMING_CHUNKED;
    return NULL;
}

/* What the server itself needs from a field. The lengths sort out nearly all without a comparison. */
static const char *note_field(struct rg_request *r, const struct rg_field *f, unsigned *n_hosts)
{
    switch (f->name.n) {
    case 4:
        *n_hosts += rg_view_is_nocase(f->name, "host");
        break;
    case 6:
        if (rg_view_is_nocase(f->name, "expect")) {
            if (!rg_view_is_nocase(f->value, "100-continue"))
                return "Expect other than 100-continue";
            r->expect_continue = r->minor == 1;
        }
        break;
    case 10:
        if (rg_view_is_nocase(f->name, "connection")) {
            if (rg_view_has_token(f->value, "close"))
                r->keep_alive = false;
            else if (r->minor == 0 && rg_view_has_token(f->value, "keep-alive"))
                r->keep_alive = true;
        }
        break;
    case 14:
        if (rg_view_is_nocase(f->name, "content-length"))
            return note_length(r, f->value);
        break;
    case 17:
        if (rg_view_is_nocase(f->name, "transfer-encoding"))
            return note_coding(r, f->value);
        break;
    default:
        break;
    }
    return NULL;
}

static const char *parse_head(const char *at, const char *end, struct rg_request *r)
{
    const char *why;
    unsigned n_hosts = 0;
    struct rg_view line;

    r->n_fields = 0;
    r->framing = RG_FRAMING_NONE;
    r->length = 0;
    r->expect_continue = false;
    if (!next_line(&at, end, &r->line))
        return "request line has a bare CR or LF";
    why = parse_line(r);
    if (why)
        return why;
    r->keep_alive = r->minor == 1;
    for (;;) {
        if (!next_line(&at, end, &line))
            return "field line has a bare CR or LF";
        if (line.n == 0)
            break;
        if (r->n_fields == RG_FIELDS_MAX)
            return "too many fields";
        struct rg_field *f = &r->fields[r->n_fields++];
        if (!rg_field_line_parse(line, f))
            return "malformed field line";
        why = note_field(r, f, &n_hosts);
        if (why)
            return why;
    }
    if (n_hosts > 1 || (n_hosts == 0 && r->minor == 1))
        return "Host missing or repeated";
    return NULL;
}

/* Before the head is complete: is it already plain that it never will be one? */
static const char *early_garbage(const char *data, size_t n)
{
    for (size_t i = 0; i < n && i < 32 && data[i] != ' '; i++)
        if (!is_token_char((unsigned char)data[i]))
            return "request line does not begin with a method";
    const char *lf = memchr(data, '\n', n);
    if (lf && (lf == data || lf[-1] != '\r'))
        return "request line has a bare LF";
    return NULL;
}

enum rg_parse rg_request_parse(const char *data, size_t n, struct rg_request *ret, size_t *ret_used,
                               const char **ret_why)
{
    const char *end = memmem(data, n < RG_HEAD_MAX ? n : RG_HEAD_MAX, "\r\n\r\n", 4);
    if (!end) {
        *ret_why = n >= RG_HEAD_MAX ? "head too long" : early_garbage(data, n);
        return *ret_why ? RG_PARSE_BAD : RG_PARSE_MORE;
    }
    *ret_used = (size_t)(end + 4 - data);
    *ret_why = parse_head(data, end + 4, ret);
    return *ret_why ? RG_PARSE_BAD : RG_PARSE_OK;
}

bool rg_request_field(const struct rg_request *req, const char *name, struct rg_view *ret)
{
    for (unsigned i = 0; i < req->n_fields; i++)
        if (rg_view_is_nocase(req->fields[i].name, name)) {
            *ret = req->fields[i].value;
            return true;
        }
    return false;
}
