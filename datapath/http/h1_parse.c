/*
 * HTTP/1 heads: start lines, and when a head is worth parsing. See h1_parse.h for the contract.
 *
 * Every step reads left to right and judges a byte by what stands before it only. So a prefix of the input is either
 * refused for the same reason as the whole or needs more bytes, however the network cuts it.
 */
#include "datapath/http/h1_authority.h"
#include "datapath/http/h1_fields.h"
#include "datapath/http/h1_scan.h"

#define EMPTY_LINES_MAX 2
#define METHOD_MAX      32

/* ---- When to parse ---- */

/* A line end among the bytes from "from" on that ends the head, or that is malformed (a bare LF). */
static bool has_end(const char *buf, size_t from, size_t len)
{
    const char *p = buf + from, *end = buf + len;
    while ((p = memchr(p, '\n', (size_t)(end - p)))) {
        if (p == buf || p[-1] != '\r' || (p - buf >= 2 && p[-2] == '\n'))
            return true;
        p++;
    }
    return false;
}

/*
 * The first bytes are always parsed, so that what can't be HTTP is refused at once. Later a parse must promise
 * something: the end, or twice the bytes of last time, which keeps the sum of all parses linear.
 */
static bool is_worth_parsing(struct rg_h1_resume *resume, const char *buf, size_t len, size_t head_max)
{
    if (resume->parsed == 0 || len / 2 >= resume->parsed || len >= head_max)
        return true;
    size_t from = resume->seen;
    resume->seen = (uint32_t)len;
    return has_end(buf, from, len);
}

static size_t head_max(const struct rg_h1_limits *limits)
{
    return limits->head_bytes < INT32_MAX ? limits->head_bytes : INT32_MAX;
}

/* How a parse that returned why ends: see rg_h1_parse_request. p: after the head when it is complete. */
static int32_t finish(struct rg_h1_resume *resume, const char *buf, const char *p, size_t len,
                      const struct rg_h1_limits *limits, enum rg_reason why, enum rg_reason *reason)
{
    if (RG_LIKELY(why == RG_REASON_NONE)) {
        *resume = (struct rg_h1_resume){0};
        return (int32_t)(p - buf);
    }
    if (why != RG_H1_NEED_MORE) {
        *reason = why;
        return -1;
    }
    if (len >= head_max(limits)) {
        *reason = RG_REASON_HEAD_TOO_LARGE;
        return -1;
    }
    resume->seen = resume->parsed = (uint32_t)len;
    return 0;
}

/* ---- The method ---- */

/* Names as words of eight bytes, zero at the end; no known method is longer. */
static const char method_names[RG_METHOD_COUNT][8] = {
#define RG_METHOD(id, name, safe) [RG_METHOD_##id] = name,
#include "datapath/http/methods.def"
#undef RG_METHOD
};

static uint64_t word_of(const char *eight)
{
    uint64_t w;
    memcpy(&w, eight, sizeof(w));
    return w;
}

/* Which method a token is. BAD_METHOD: a known one in the wrong case, which some origin might take for the known one.
 */
static enum rg_reason lookup_method(const char *token, size_t len, uint8_t *ret)
{
    const uint64_t to_lower = UINT64_C(0x2020202020202020);
    char padded[8] = {0};
    *ret = RG_METHOD_OTHER;
    if (len > sizeof(padded))
        return RG_REASON_NONE;
    memcpy(padded, token, len);
    uint64_t w = word_of(padded);
    for (unsigned i = 1; i < RG_METHOD_COUNT; i++) {
        uint64_t known = word_of(method_names[i]);
        if (w == known) {
            *ret = (uint8_t)i;
            return RG_REASON_NONE;
        }
        if ((w | to_lower) == (known | to_lower))
            return RG_REASON_BAD_METHOD;
    }
    return RG_REASON_NONE;
}

/* What begins with a byte that no method begins with. */
static RG_COLD enum rg_reason bad_first_byte(const char *p, const char *end)
{
    unsigned char c = (unsigned char)*p;
    if (c == 0x16) { /* a TLS record of type handshake; its version follows */
        if (end - p < 2)
            return RG_H1_NEED_MORE;
        return p[1] == 0x03 ? RG_REASON_TLS_ON_CLEAR : RG_REASON_NOT_HTTP;
    }
    if (c == '\n' || c == '\r')
        return RG_REASON_BAD_LINE_END;
    if (c < ' ' || c >= 0x7f)
        return RG_REASON_NOT_HTTP;
    return c == ' ' ? RG_REASON_BAD_REQUEST_LINE : RG_REASON_BAD_METHOD;
}

static RG_COLD enum rg_reason bad_method(const char *method, const char *p)
{
    if (p - method > METHOD_MAX)
        return RG_REASON_BAD_METHOD;
    if (*p == '\n')
        return RG_REASON_BAD_LINE_END;
    return *p == '\r' ? RG_REASON_BAD_REQUEST_LINE : RG_REASON_BAD_METHOD;
}

/* The method and the space after it. */
static enum rg_reason parse_method(const char **p, const char *end, struct rg_h1_request *ret)
{
    const char *method = *p;
    if (RG_LIKELY(end - method >= 4 && memcmp(method, "GET ", 4) == 0)) {
        ret->method = (struct rg_str){method, 3};
        ret->method_id = RG_METHOD_GET;
        *p = method + 4;
        return RG_REASON_NONE;
    }
    if (end == method)
        return RG_H1_NEED_MORE;
    if (!rg_char_is(*method, RG_CHAR_TOKEN))
        return bad_first_byte(method, end);
    const char *stop = end - method > METHOD_MAX + 1 ? method + METHOD_MAX + 1 : end;
    const char *q = rg_scan_class(method, stop, RG_CHAR_TOKEN);
    size_t len = (size_t)(q - method);
    if (len >= 4 && memcmp(method, "SSH-", 4) == 0)
        return RG_REASON_NOT_HTTP;
    if (q == end)
        return len > METHOD_MAX ? RG_REASON_BAD_METHOD : RG_H1_NEED_MORE;
    if (*q != ' ' || len > METHOD_MAX)
        return bad_method(method, q);
    ret->method = (struct rg_str){method, len};
    *p = q + 1;
    return lookup_method(method, len, &ret->method_id);
}

/* ---- The target ---- */

/* Where a part of a target ends, and what was seen on the way. */
struct target_scan {
    const char *end; /* of the input, or one byte beyond the longest target */
    bool has_escape;
    bool has_slash_dot;
};

/* Two hexadecimal digits after the '%' at p. */
static enum rg_reason parse_escape(const char *p, const struct target_scan *s)
{
    for (int i = 1; i <= 2; i++) {
        if (p + i >= s->end)
            return RG_H1_NEED_MORE;
        if (!rg_char_is(p[i], RG_CHAR_HEX))
            return RG_REASON_BAD_ESCAPE;
    }
    return RG_REASON_NONE;
}

/* From the first byte of a path to the '?' or the byte that can't belong to it. */
static enum rg_reason scan_path(const char **p, struct target_scan *s)
{
    const char *q = *p;
    for (;; q++) {
        q = rg_scan_class(q, s->end, RG_CHAR_PATH);
        if (q == s->end)
            return RG_H1_NEED_MORE;
        if (*q == '%') {
            enum rg_reason why = parse_escape(q, s);
            if (why != RG_REASON_NONE)
                return why;
            s->has_escape = true;
        } else if (*q == '.') {
            s->has_slash_dot |= q[-1] == '/'; /* at the start of a target, the space before it */
        } else {
            break;
        }
    }
    *p = q;
    return RG_REASON_NONE;
}

static enum rg_reason scan_query(const char **p, struct target_scan *s)
{
    const char *q = *p;
    for (;; q++) {
        q = rg_scan_class(q, s->end, RG_CHAR_QUERY);
        if (q == s->end)
            return RG_H1_NEED_MORE;
        if (*q != '%')
            break;
        enum rg_reason why = parse_escape(q, s);
        if (why != RG_REASON_NONE)
            return why;
    }
    *p = q;
    return RG_REASON_NONE;
}

/* Why the target does not end at the byte where its scan stopped. */
static RG_COLD enum rg_reason bad_target_end(char c)
{
    if (c == '\n')
        return RG_REASON_BAD_LINE_END;
    return c == '\r' ? RG_REASON_BAD_REQUEST_LINE : RG_REASON_BAD_TARGET;
}

static size_t scheme_len(struct rg_str target)
{
    if (target.len >= 7 && rg_str_eq_nocase((struct rg_str){target.ptr, 7}, RG_STR("http://")))
        return 7;
    if (target.len >= 8 && rg_str_eq_nocase((struct rg_str){target.ptr, 8}, RG_STR("https://")))
        return 8;
    return 0;
}

/* The parts of "http://host/path?query", whose bytes were checked already. */
static RG_COLD enum rg_reason split_absolute(struct rg_h1_request *ret)
{
    struct rg_authority unused;
    const char *p = ret->target.ptr + scheme_len(ret->target), *end = ret->target.ptr + ret->target.len;
    const char *host = p;
    if (p == ret->target.ptr)
        return RG_REASON_BAD_TARGET;
    while (p < end && *p != '/' && *p != '?')
        p++;
    ret->authority = (struct rg_str){host, (size_t)(p - host)};
    if (!rg_authority_parse(ret->authority, &unused))
        return RG_REASON_BAD_TARGET;
    const char *path = p;
    while (p < end && *p != '?')
        p++;
    ret->path = p > path ? (struct rg_str){path, (size_t)(p - path)} : RG_STR("/");
    ret->query = (struct rg_str){p, (size_t)(end - p)};
    ret->target_form = RG_TARGET_ABSOLUTE;
    return RG_REASON_NONE;
}

static RG_COLD enum rg_reason split_authority(struct rg_h1_request *ret)
{
    struct rg_authority authority;
    if (!rg_authority_parse(ret->target, &authority) || authority.port < 0)
        return RG_REASON_BAD_TARGET;
    ret->authority = ret->target;
    ret->target_form = RG_TARGET_AUTHORITY;
    return RG_REASON_NONE;
}

/* Which form a target other than "/..." has. Called when the whole request line was read. */
static RG_COLD enum rg_reason split_rare_target(struct rg_h1_request *ret)
{
    if (ret->method_id == RG_METHOD_CONNECT)
        return split_authority(ret);
    if (*ret->target.ptr != '*')
        return split_absolute(ret);
    if (ret->target.len > 1 || ret->method_id != RG_METHOD_OPTIONS)
        return RG_REASON_BAD_TARGET;
    ret->path = ret->target;
    ret->target_form = RG_TARGET_ASTERISK;
    return RG_REASON_NONE;
}

static bool may_begin_target(char c, const struct rg_h1_request *ret)
{
    return c == '/' || c == '*' || (c | 0x20) == 'h' || ret->method_id == RG_METHOD_CONNECT;
}

/* The target and the space after it. */
static enum rg_reason parse_target(const char **p, const char *end, const struct rg_h1_limits *limits,
                                   struct rg_h1_request *ret)
{
    const char *target = *p, *q = target;
    size_t room = (size_t)(end - target);
    bool is_cut = room > limits->target_bytes;
    struct target_scan s = {.end = is_cut ? target + limits->target_bytes + 1 : end};

    if (q == end)
        return RG_H1_NEED_MORE;
    if (RG_UNLIKELY(!may_begin_target(*q, ret)))
        return *q == ' ' ? RG_REASON_BAD_REQUEST_LINE : bad_target_end(*q);
    enum rg_reason why = scan_path(&q, &s);
    const char *query = q;
    if (why == RG_REASON_NONE && *q == '?')
        why = scan_query(&q, &s);
    if (RG_UNLIKELY(why != RG_REASON_NONE))
        return why == RG_H1_NEED_MORE && is_cut ? RG_REASON_TARGET_TOO_LONG : why;
    if (RG_UNLIKELY(*q != ' '))
        return bad_target_end(*q);
    ret->target = (struct rg_str){target, (size_t)(q - target)};
    ret->path = (struct rg_str){target, (size_t)(query - target)};
    ret->query = (struct rg_str){query, (size_t)(q - query)};
    ret->authority = RG_STR_NONE;
    ret->target_form = RG_TARGET_ORIGIN;
    ret->path_is_plain = !s.has_escape && !s.has_slash_dot;
    *p = q + 1;
    return RG_REASON_NONE;
}

/* ---- The version ---- */

/* "HTTP/D.D" without what follows. Any other byte is BAD_VERSION. */
static enum rg_reason parse_version(const char **p, const char *end, uint8_t *major, uint8_t *minor)
{
    static const char form[] = "HTTP/0.0";
    const char *q = *p;
    for (unsigned i = 0; i < sizeof(form) - 1; i++, q++) {
        if (q == end)
            return RG_H1_NEED_MORE;
        if (form[i] == '0' ? !rg_char_is(*q, RG_CHAR_DIGIT) : *q != form[i])
            return *q == '\n' ? RG_REASON_BAD_LINE_END : RG_REASON_BAD_VERSION;
    }
    *major = (uint8_t)(q[-3] - '0');
    *minor = q[-1] == '0' ? 0 : 1;
    *p = q;
    return RG_REASON_NONE;
}

/* The rest of a request line, for all but the plain "HTTP/1.1" with its line end. */
static enum rg_reason parse_request_version_slow(const char **p, const char *end, struct rg_h1_request *ret)
{
    uint8_t major = 0;
    if (*p < end && (**p | 0x20) != 'h') /* most likely a space in the target */
        return **p == '\n' ? RG_REASON_BAD_LINE_END : RG_REASON_BAD_REQUEST_LINE;
    enum rg_reason why = parse_version(p, end, &major, &ret->minor);
    if (why != RG_REASON_NONE)
        return why;
    if (*p < end && **p != '\r' && **p != '\n')
        return RG_REASON_BAD_VERSION;
    why = rg_h1_parse_line_end(p, end);
    return why == RG_REASON_NONE && major != 1 ? RG_REASON_VERSION_NOT_SUPPORTED : why;
}

static enum rg_reason parse_request_version(const char **p, const char *end, struct rg_h1_request *ret)
{
    if (RG_LIKELY(end - *p >= 10 && memcmp(*p, "HTTP/1.1\r\n", 10) == 0)) {
        ret->minor = 1;
        *p += 10;
        return RG_REASON_NONE;
    }
    return parse_request_version_slow(p, end, ret);
}

/* ---- Requests ---- */

static enum rg_reason skip_empty_lines(const char **p, const char *end)
{
    for (int n = 0; *p < end && **p == '\r'; n++) {
        if (n == EMPTY_LINES_MAX)
            return RG_REASON_BAD_REQUEST_LINE;
        enum rg_reason why = rg_h1_parse_line_end(p, end);
        if (why != RG_REASON_NONE)
            return why;
    }
    return RG_REASON_NONE;
}

static enum rg_reason parse_request_line(const char **p, const char *end, const struct rg_h1_limits *limits,
                                         struct rg_h1_request *ret)
{
    enum rg_reason why = skip_empty_lines(p, end);
    if (RG_LIKELY(why == RG_REASON_NONE))
        why = parse_method(p, end, ret);
    if (RG_LIKELY(why == RG_REASON_NONE))
        why = parse_target(p, end, limits, ret);
    if (RG_LIKELY(why == RG_REASON_NONE))
        why = parse_request_version(p, end, ret);
    if (RG_UNLIKELY(why != RG_REASON_NONE))
        return why;
    bool is_rare = *ret->target.ptr != '/' || ret->method_id == RG_METHOD_CONNECT;
    return RG_UNLIKELY(is_rare) ? split_rare_target(ret) : RG_REASON_NONE;
}

int32_t rg_h1_parse_request(struct rg_h1_resume *resume, const char *buf, size_t len, const struct rg_h1_limits *limits,
                            struct rg_field *fields, struct rg_h1_request *ret, enum rg_reason *reason)
{
    size_t max = head_max(limits);
    if (!is_worth_parsing(resume, buf, len, max))
        return 0;
    const char *p = buf, *end = buf + (len < max ? len : max);
    ret->is_h2 = ret->ends = ret->te_trailers = ret->websocket = false;
    ret->n_added = 0;
    enum rg_reason why = parse_request_line(&p, end, limits, ret);
    ret->fields = fields;
    if (RG_LIKELY(why == RG_REASON_NONE))
        why = rg_h1_parse_fields(buf, &p, end, limits, limits->allow_underscore, fields, &ret->n_fields);
    return finish(resume, buf, p, len, limits, why, reason);
}

/* ---- Responses ---- */

static enum rg_reason parse_response_version(const char **p, const char *end, struct rg_h1_response *ret)
{
    uint8_t major = 1;
    if (RG_LIKELY(end - *p >= 8 && memcmp(*p, "HTTP/1.1", 8) == 0)) {
        ret->minor = 1;
        *p += 8;
        return RG_REASON_NONE;
    }
    enum rg_reason why = parse_version(p, end, &major, &ret->minor);
    return why == RG_REASON_NONE && major != 1 ? RG_REASON_REPLICA_MALFORMED : why;
}

/* " NNN": three digits, the first not 0, then a space or the line's end. */
static enum rg_reason parse_status(const char **p, const char *end, struct rg_h1_response *ret)
{
    const char *q = *p;
    unsigned status = 0;
    for (int i = 0; i < 5; i++, q++) {
        if (q == end)
            return RG_H1_NEED_MORE;
        if (i == 0 ? *q != ' ' : i == 4 ? *q != ' ' && *q != '\r' : !rg_char_is(*q, RG_CHAR_DIGIT))
            return RG_REASON_REPLICA_MALFORMED;
        if (i >= 1 && i <= 3)
            status = status * 10 + (unsigned)(*q - '0');
        if (i == 1 && status == 0)
            return RG_REASON_REPLICA_MALFORMED;
    }
    ret->status = (uint16_t)status;
    *p = q - 1;
    return RG_REASON_NONE;
}

/* " phrase" or nothing, then CR LF. */
static enum rg_reason parse_phrase(const char *buf, const char **p, const char *end, const struct rg_h1_limits *limits,
                                   struct rg_h1_response *ret)
{
    const char *phrase = *p + (**p == ' ');
    const char *stop = rg_scan_value(buf, phrase, end);
    if ((size_t)(stop - *p) > limits->field_bytes)
        return RG_REASON_REPLICA_HEAD_TOO_LARGE;
    ret->reason_phrase = (struct rg_str){phrase, (size_t)(stop - phrase)};
    *p = stop;
    return rg_h1_parse_line_end(p, end);
}

static enum rg_reason parse_status_line(const char *buf, const char **p, const char *end,
                                        const struct rg_h1_limits *limits, struct rg_h1_response *ret)
{
    enum rg_reason why = parse_response_version(p, end, ret);
    if (why == RG_REASON_NONE)
        why = parse_status(p, end, ret);
    if (why == RG_REASON_NONE)
        why = parse_phrase(buf, p, end, limits, ret);
    return why;
}

/* What went wrong, in the words for the replica's messages. */
static enum rg_reason as_replica_reason(enum rg_reason why)
{
    switch (why) {
    case RG_REASON_NONE:
    case RG_H1_NEED_MORE:
        return why;
    case RG_REASON_HEAD_TOO_LARGE:
    case RG_REASON_TOO_MANY_FIELDS:
    case RG_REASON_FIELD_TOO_LARGE:
    case RG_REASON_REPLICA_HEAD_TOO_LARGE:
        return RG_REASON_REPLICA_HEAD_TOO_LARGE;
    default:
        return RG_REASON_REPLICA_MALFORMED;
    }
}

int32_t rg_h1_parse_response(struct rg_h1_resume *resume, const char *buf, size_t len,
                             const struct rg_h1_limits *limits, struct rg_field *fields, struct rg_h1_response *ret,
                             enum rg_reason *reason)
{
    size_t max = head_max(limits);
    if (!is_worth_parsing(resume, buf, len, max))
        return 0;
    const char *p = buf, *end = buf + (len < max ? len : max);
    enum rg_reason why = parse_status_line(buf, &p, end, limits, ret);
    ret->fields = fields;
    ret->n_added = 0;
    if (RG_LIKELY(why == RG_REASON_NONE))
        why = rg_h1_parse_fields(buf, &p, end, limits, true, fields, &ret->n_fields);
    int32_t n = finish(resume, buf, p, len, limits, as_replica_reason(why), reason);
    if (n < 0)
        *reason = as_replica_reason(*reason);
    return n;
}
