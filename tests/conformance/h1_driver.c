/* See h1_driver.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/conformance/h1_driver.h"

void h1_check_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

/* ---- Bytes ---- */

void h1_bytes_add(struct h1_bytes *b, const char *ptr, size_t len)
{
    if (len == 0)
        return;
    if (b->cap - b->len < len) {
        b->cap = (b->len + len) * 2;
        b->ptr = realloc(b->ptr, b->cap);
        H1_CHECK(b->ptr);
    }
    memcpy(b->ptr + b->len, ptr, len);
    b->len += len;
}

void h1_bytes_print(struct h1_bytes *b, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    H1_CHECK(n >= 0 && (size_t)n < sizeof(text));
    h1_bytes_add(b, text, (size_t)n);
}

void h1_bytes_escape(struct h1_bytes *b, const char *ptr, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)ptr[i];
        switch (c) {
        case '\r':
            h1_bytes_add(b, "\\r", 2);
            break;
        case '\n':
            h1_bytes_add(b, "\\n", 2);
            break;
        case '\t':
            h1_bytes_add(b, "\\t", 2);
            break;
        case '\\':
            h1_bytes_add(b, "\\\\", 2);
            break;
        default:
            if (c < 0x20 || c >= 0x7f)
                h1_bytes_print(b, "\\x%02x", c);
            else
                h1_bytes_add(b, ptr + i, 1);
        }
    }
}

void h1_bytes_fini(struct h1_bytes *b)
{
    free(b->ptr);
    *b = (struct h1_bytes){0};
}

bool h1_bytes_eq(const struct h1_bytes *a, const struct h1_bytes *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->ptr, b->ptr, a->len) == 0);
}

/* ---- Memory between unreadable pages ---- */

const char *h1_guard(unsigned slot, const char *ptr, size_t len, bool before)
{
    static char *regions[4];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    H1_CHECK(slot < 4 && len <= H1_GUARD_MAX);
    if (!regions[slot]) {
        char *all = mmap(NULL, H1_GUARD_MAX + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        H1_CHECK(all != MAP_FAILED);
        regions[slot] = all + page;
        H1_CHECK(mprotect(regions[slot], H1_GUARD_MAX, PROT_READ | PROT_WRITE) == 0);
    }
    char *place = before ? regions[slot] : regions[slot] + H1_GUARD_MAX - len;
    if (len > 0)
        memcpy(place, ptr, len);
    return place;
}

struct h1_pieces h1_random_pieces(uint64_t *seed, size_t len, size_t *ends, size_t max)
{
    size_t n = 0, at = 0;
    while (n + 1 < max && at < len) {
        size_t step = h1_random_below(seed, 3) ? h1_random_below(seed, 8) : h1_random_below(seed, len + 1);
        at = at + step < len ? at + step : len;
        ends[n++] = at;
    }
    if (n == 0 || at < len)
        ends[n++] = len;
    return (struct h1_pieces){ends, n};
}

/* ---- The chunk decoder ---- */

struct dechunk {
    struct rg_chunked c;
    char *trailer;
    struct h1_bytes *out;
};

/* One piece. Returns the last event: MORE, END or BAD. */
static enum rg_chunked_event dechunk_piece(struct dechunk *d, const char *in, size_t len, size_t *used)
{
    size_t pos = 0;
    for (size_t steps = 0;; steps++) {
        size_t n = 0;
        struct rg_str span = RG_STR_NONE;
        enum rg_chunked_event event = rg_chunked_step(&d->c, in + pos, len - pos, &n, &span);
        H1_CHECK(n <= len - pos);
        H1_CHECK(steps <= 3 * len + 8);
        bool in_input = span.ptr >= in + pos && span.ptr + span.len <= in + pos + n;
        bool in_trailer = d->trailer && span.ptr >= d->trailer && span.ptr + span.len <= d->trailer + RG_TRAILER_MAX;
        bool is_last = span.len == 5 && memcmp(span.ptr, "0\r\n\r\n", 5) == 0;
        H1_CHECK(span.len == 0 || in_input || in_trailer || is_last);
        h1_bytes_add(d->out, span.ptr, span.len);
        pos += n;
        *used = pos;
        switch (event) {
        case RG_CHUNKED_NEED_TRAILER:
            H1_CHECK(!d->trailer && span.len == 0);
            d->trailer = malloc(RG_TRAILER_MAX);
            H1_CHECK(d->trailer);
            d->c.trailer_space = d->trailer;
            break;
        case RG_CHUNKED_SPAN:
            H1_CHECK(span.len > 0);
            break;
        case RG_CHUNKED_MORE:
            H1_CHECK(pos == len);
            return event;
        case RG_CHUNKED_END:
        case RG_CHUNKED_BAD:
            return event;
        }
    }
}

/* The pieces of in[from..], when pieces are those of the whole; at least one, which may be empty. */
static enum rg_chunked_event dechunk_from(enum rg_chunked_mode mode, const char *in, size_t from,
                                          struct h1_pieces pieces, bool before, struct h1_bytes *out, size_t *used,
                                          enum rg_reason *reason)
{
    struct dechunk d = {.out = out};
    enum rg_chunked_event event = RG_CHUNKED_MORE;
    size_t pos = from;
    rg_chunked_init(&d.c, mode);
    for (size_t i = 0; i < pieces.n && event == RG_CHUNKED_MORE; i++) {
        size_t n = 0;
        if (pieces.ends[i] < pos)
            continue;
        const char *piece = h1_guard(1, in + pos, pieces.ends[i] - pos, before);
        event = dechunk_piece(&d, piece, pieces.ends[i] - pos, &n);
        pos += n;
    }
    *used = pos - from;
    if (event == RG_CHUNKED_BAD) {
        *reason = (enum rg_reason)d.c.reason;
        H1_CHECK(*reason != RG_REASON_NONE);
    }
    free(d.trailer);
    return event;
}

enum rg_chunked_event h1_dechunk(enum rg_chunked_mode mode, const char *in, size_t len, struct h1_pieces pieces,
                                 struct h1_bytes *out, size_t *used, enum rg_reason *reason)
{
    H1_CHECK(pieces.n > 0 && pieces.ends[pieces.n - 1] == len);
    return dechunk_from(mode, in, 0, pieces, false, out, used, reason);
}

void h1_check_forward(const struct h1_bytes *forward, const struct h1_bytes *content)
{
    struct h1_bytes data = {0}, again = {0};
    size_t used = 0;
    enum rg_reason reason = RG_REASON_NONE;
    struct h1_pieces whole = {&forward->len, 1};
    H1_CHECK(h1_dechunk(RG_CHUNKED_DATA, forward->ptr, forward->len, whole, &data, &used, &reason) == RG_CHUNKED_END);
    H1_CHECK(used == forward->len && h1_bytes_eq(&data, content));
    H1_CHECK(h1_dechunk(RG_CHUNKED_FORWARD, forward->ptr, forward->len, whole, &again, &used, &reason) ==
             RG_CHUNKED_END);
    H1_CHECK(h1_bytes_eq(&again, forward));
    h1_bytes_fini(&data);
    h1_bytes_fini(&again);
}

/* ---- Whole messages ---- */

static int32_t parse_once(struct h1_run *r, struct rg_h1_resume *resume, const char *in, size_t len)
{
    r->buf = h1_guard(0, in, len, r->guard_before);
    if (r->is_response)
        return rg_h1_parse_response(resume, r->buf, len, &r->limits, r->fields, &r->res, &r->reason);
    return rg_h1_parse_request(resume, r->buf, len, &r->limits, r->fields, &r->req, &r->reason);
}

static int32_t parse_head(struct h1_run *r, const char *in, size_t len, struct h1_pieces pieces)
{
    struct rg_h1_resume resume = {0};
    int32_t n = 0;
    for (size_t i = 0; i < pieces.n && n == 0; i++)
        n = parse_once(r, &resume, in, pieces.ends[i]);
    if (n == 0 && pieces.n > 1) {
        resume = (struct rg_h1_resume){0};
        n = parse_once(r, &resume, in, len);
    }
    H1_CHECK(n >= -1 && n <= (int32_t)len);
    H1_CHECK(n <= 0 || (resume.seen == 0 && resume.parsed == 0));
    return n;
}

static void refuse(struct h1_run *r, enum rg_reason reason, bool in_body)
{
    H1_CHECK(reason > RG_REASON_NONE && reason < RG_REASON_COUNT);
    r->state = H1_REFUSED;
    r->reason = reason;
    r->in_body = in_body;
}

static void check_inside(const struct h1_run *r, struct rg_str s)
{
    H1_CHECK(s.len == 0 || (s.ptr >= r->buf && s.ptr + s.len <= r->buf + r->head_len));
}

static void check_views(const struct h1_run *r)
{
    unsigned n = r->is_response ? r->res.n_fields : r->req.n_fields;
    H1_CHECK(n <= r->limits.fields);
    for (unsigned i = 0; i < n; i++) {
        const struct rg_field *f = &r->fields[i];
        check_inside(r, rg_field_name(f));
        check_inside(r, rg_field_value(f));
        H1_CHECK(f->name_len > 0 && f->value > f->name);
        H1_CHECK(f->id == rg_field_lookup(f->name, f->name_len));
    }
    if (r->is_response) {
        check_inside(r, r->res.reason_phrase);
        H1_CHECK(r->res.status >= 100 && r->res.status <= 999 && r->res.minor <= 1);
        return;
    }
    check_inside(r, r->req.method);
    check_inside(r, r->req.target);
    check_inside(r, r->req.authority);
    check_inside(r, r->req.query);
    bool is_default = r->req.path.len == 1 && *r->req.path.ptr == '/';
    if (!is_default)
        check_inside(r, r->req.path);
    H1_CHECK(r->req.method.len > 0 && r->req.target.len > 0 && r->req.minor <= 1);
}

/* The normal form is no longer, and is its own normal form; a plain path is in normal form already. */
static void check_path(const struct h1_run *r)
{
    char once[8192], twice[8192];
    struct rg_str path = r->req.path;
    if (r->is_response || path.len > sizeof(once))
        return;
    int32_t n = rg_h1_normalize_path(path, once);
    H1_CHECK(n >= 0 && (size_t)n <= path.len);
    struct rg_str normal = {once, (size_t)n};
    H1_CHECK(rg_h1_normalize_path(normal, twice) == n && memcmp(once, twice, (size_t)n) == 0);
    H1_CHECK(!r->req.path_is_plain || rg_str_eq(normal, path));
    H1_CHECK(path.len == 0 || *path.ptr != '/' || (n > 0 && *once == '/'));
}

static void run_chunked(struct h1_run *r, const char *in, struct h1_pieces pieces)
{
    size_t used = 0, used_again = 0;
    enum rg_reason reason = RG_REASON_NONE, reason_again = RG_REASON_NONE;
    size_t from = (size_t)r->head_len;
    enum rg_chunked_event event =
        dechunk_from(RG_CHUNKED_DATA, in, from, pieces, r->guard_before, &r->content, &used, &reason);
    enum rg_chunked_event again =
        dechunk_from(RG_CHUNKED_FORWARD, in, from, pieces, r->guard_before, &r->forward, &used_again, &reason_again);
    H1_CHECK(event == again && reason == reason_again);
    if (event == RG_CHUNKED_BAD) {
        refuse(r, reason, true);
        return;
    }
    H1_CHECK(used == used_again);
    r->used += used;
    r->state = event == RG_CHUNKED_END ? H1_COMPLETE : H1_BODY_MORE;
    if (event == RG_CHUNKED_END)
        h1_check_forward(&r->forward, &r->content);
}

static void run_body(struct h1_run *r, const char *in, size_t len, struct h1_pieces pieces)
{
    size_t have = len - (size_t)r->head_len;
    const struct rg_framing *f = &r->framing;
    r->state = H1_COMPLETE;
    switch ((enum rg_body_kind)f->kind) {
    case RG_BODY_NONE:
        return;
    case RG_BODY_LENGTH:
        H1_CHECK(f->length > 0 && f->has_length_field);
        r->state = have >= f->length ? H1_COMPLETE : H1_BODY_MORE;
        have = have >= f->length ? (size_t)f->length : have;
        break;
    case RG_BODY_CHUNKED:
        run_chunked(r, in, pieces);
        return;
    case RG_BODY_EOF:
        H1_CHECK(r->is_response && !f->persistent);
        break;
    }
    h1_bytes_add(&r->content, in + r->head_len, have);
    r->used += have;
}

void h1_run(struct h1_run *r, const char *in, size_t len, struct h1_pieces pieces)
{
    H1_CHECK(pieces.n > 0 && pieces.ends[pieces.n - 1] == len);
    r->reason = RG_REASON_NONE;
    r->in_body = false;
    r->content.len = r->forward.len = r->used = 0;
    r->head_len = parse_head(r, in, len, pieces);
    r->state = H1_HEAD_MORE;
    if (r->head_len < 0)
        refuse(r, r->reason, false);
    if (r->head_len <= 0)
        return;
    r->used = (size_t)r->head_len;
    check_views(r);
    check_path(r);
    enum rg_reason why = r->is_response
                             ? rg_h1_frame_response(&r->res, r->request_method, r->upgrade_asked, &r->framing)
                             : rg_h1_frame_request(&r->req, &r->framing_options, &r->framing);
    if (why != RG_REASON_NONE)
        refuse(r, why, false);
    else
        run_body(r, in, len, pieces);
}

void h1_run_whole(struct h1_run *r, const char *in, size_t len)
{
    h1_run(r, in, len, (struct h1_pieces){&len, 1});
}

void h1_run_fini(struct h1_run *r)
{
    h1_bytes_fini(&r->content);
    h1_bytes_fini(&r->forward);
}

/* ---- Summary ---- */

static void line(struct h1_bytes *b, const char *key, struct rg_str value)
{
    h1_bytes_print(b, "%s: ", key);
    h1_bytes_escape(b, value.ptr, value.len);
    h1_bytes_add(b, "\n", 1);
}

static void summarize_start(const struct h1_run *r, struct h1_bytes *b)
{
    static const char *const forms[] = {"origin", "absolute", "authority", "asterisk"};
    if (r->is_response) {
        h1_bytes_print(b, "version: 1.%u\nstatus: %u\n", r->res.minor, r->res.status);
        line(b, "phrase", r->res.reason_phrase);
        return;
    }
    line(b, "method", r->req.method);
    h1_bytes_print(b, "known-method: %s\n", r->req.method_id == RG_METHOD_OTHER ? "no" : "yes");
    line(b, "target", r->req.target);
    h1_bytes_print(b, "form: %s\n", forms[r->req.target_form]);
    line(b, "authority", r->req.authority);
    line(b, "path", r->req.path);
    line(b, "query", r->req.query);
    h1_bytes_print(b, "plain: %s\n", r->req.path_is_plain ? "yes" : "no");
    h1_bytes_print(b, "version: 1.%u\n", r->req.minor);
    line(b, "host", r->framing.host);
}

static void summarize_fields(const struct h1_run *r, struct h1_bytes *b)
{
    unsigned n = r->is_response ? r->res.n_fields : r->req.n_fields;
    h1_bytes_print(b, "fields: ");
    for (unsigned i = 0; i < n; i++) {
        h1_bytes_print(b, "%s", i ? " | " : "");
        h1_bytes_escape(b, r->fields[i].name, r->fields[i].name_len);
        h1_bytes_add(b, "=", 1);
        h1_bytes_escape(b, r->fields[i].value, r->fields[i].value_len);
    }
    h1_bytes_add(b, "\n", 1);
}

static void summarize_framing(const struct rg_framing *f, struct h1_bytes *b)
{
    static const char *const kinds[] = {"none", "length", "chunked", "eof"};
    h1_bytes_print(b, "body: %s\n", kinds[f->kind]);
    if (f->has_length_field)
        h1_bytes_print(b, "length: %llu\n", (unsigned long long)f->length);
    h1_bytes_print(b, "persistent: %s\n", f->persistent ? "yes" : "no");
    h1_bytes_print(b, "expect-continue: %s\n", f->expect_continue ? "yes" : "no");
    h1_bytes_print(b, "websocket: %s\n", f->websocket ? "yes" : "no");
    h1_bytes_print(b, "listed: ");
    for (unsigned id = 1; id < RG_FIELD_COUNT; id++)
        if (f->listed_ids >> id & 1)
            h1_bytes_print(b, "%s ", rg_field_id_name((enum rg_field_id)id).ptr);
    for (unsigned i = 0; i < f->n_listed; i++) {
        h1_bytes_escape(b, f->listed[i].ptr, f->listed[i].len);
        h1_bytes_add(b, " ", 1);
    }
    if (b->ptr[b->len - 2] != ':')
        b->len--;
    h1_bytes_add(b, "\n", 1);
}

void h1_summary(const struct h1_run *r, struct h1_bytes *ret)
{
    static const char *const states[] = {"more", "body-more", "", "ok"};
    bool refused = r->state == H1_REFUSED;
    line(ret, "out", refused ? rg_reason_info(r->reason)->name : rg_str_of(states[r->state]));
    if (r->state == H1_HEAD_MORE || (refused && !r->in_body))
        return;
    summarize_start(r, ret);
    summarize_fields(r, ret);
    summarize_framing(&r->framing, ret);
    if (refused)
        return;
    line(ret, "content", (struct rg_str){r->content.ptr, r->content.len});
    if (r->framing.kind == RG_BODY_CHUNKED && r->state == H1_COMPLETE)
        line(ret, "forward", (struct rg_str){r->forward.ptr, r->forward.len});
    h1_bytes_print(ret, "used: %zu\n", r->used);
}
