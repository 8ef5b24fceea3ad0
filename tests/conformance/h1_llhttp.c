/*
 * Comparison with llhttp, a parser that shares no code and no authors with ours: messages from a seeded generator, most
 * of them damaged. Whatever we accept, llhttp (strict) must accept too and see the same in it. The other way round we
 * may refuse more. Where llhttp is stricter or sees it differently, known_difference() says which input and why.
 *
 * Usage: h1_llhttp [messages [seed]]
 */
#include <stdio.h>
#include <stdlib.h>

#include <llhttp.h>

#include "tests/conformance/h1_driver.h"

/* ---- llhttp's view ---- */

struct other {
    struct h1_bytes method, target, phrase, fields, content;
    bool head_complete, complete;
    size_t used;
    unsigned major, minor, status;
    bool chunked;
    bool has_length;
    uint64_t length;
    bool in_trailer;
    bool keep_alive;
};

static struct other *other_of(llhttp_t *p)
{
    return p->data;
}

static int on_method(llhttp_t *p, const char *at, size_t len)
{
    h1_bytes_add(&other_of(p)->method, at, len);
    return 0;
}

static int on_url(llhttp_t *p, const char *at, size_t len)
{
    h1_bytes_add(&other_of(p)->target, at, len);
    return 0;
}

static int on_status(llhttp_t *p, const char *at, size_t len)
{
    h1_bytes_add(&other_of(p)->phrase, at, len);
    return 0;
}

static int on_field(llhttp_t *p, const char *at, size_t len)
{
    if (!other_of(p)->in_trailer)
        h1_bytes_add(&other_of(p)->fields, at, len);
    return 0;
}

static int on_field_complete(llhttp_t *p)
{
    if (!other_of(p)->in_trailer)
        h1_bytes_add(&other_of(p)->fields, "=", 1);
    return 0;
}

static int on_value_complete(llhttp_t *p)
{
    struct other *o = other_of(p);
    if (o->in_trailer)
        return 0;
    /* llhttp keeps white space at the end of a value. */
    while (o->fields.len > 0 && (o->fields.ptr[o->fields.len - 1] == ' ' || o->fields.ptr[o->fields.len - 1] == '\t'))
        o->fields.len--;
    h1_bytes_add(&o->fields, "\n", 1);
    return 0;
}

static int on_headers_complete(llhttp_t *p)
{
    struct other *o = other_of(p);
    o->head_complete = o->in_trailer = true;
    o->major = llhttp_get_http_major(p);
    o->minor = llhttp_get_http_minor(p);
    o->status = (unsigned)llhttp_get_status_code(p);
    o->chunked = p->flags & F_CHUNKED;
    o->has_length = p->flags & F_CONTENT_LENGTH;
    o->length = p->content_length;
    o->keep_alive = llhttp_should_keep_alive(p);
    return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t len)
{
    h1_bytes_add(&other_of(p)->content, at, len);
    return 0;
}

static int on_message_complete(llhttp_t *p)
{
    other_of(p)->complete = true;
    other_of(p)->keep_alive = llhttp_should_keep_alive(p); /* only now known for the answer to HEAD */
    return HPE_PAUSED;
}

/* The answer to HEAD has no body, which only the caller knows. */
static int on_headers_complete_of_head(llhttp_t *p)
{
    on_headers_complete(p);
    return 1;
}

static llhttp_errno_t run_other(struct other *o, bool is_response, bool to_head, const char *in, size_t len)
{
    llhttp_t parser;
    llhttp_settings_t settings;
    llhttp_settings_init(&settings);
    settings.on_method = on_method;
    settings.on_url = on_url;
    settings.on_status = on_status;
    settings.on_header_field = on_field;
    settings.on_header_value = on_field;
    settings.on_header_field_complete = on_field_complete;
    settings.on_header_value_complete = on_value_complete;
    settings.on_headers_complete = to_head ? on_headers_complete_of_head : on_headers_complete;
    settings.on_body = on_body;
    settings.on_message_complete = on_message_complete;
    llhttp_init(&parser, is_response ? HTTP_RESPONSE : HTTP_REQUEST, &settings);
    parser.data = o;
    llhttp_errno_t e = llhttp_execute(&parser, in, len);
    o->used = e == HPE_OK ? len : (size_t)(llhttp_get_error_pos(&parser) - in);
    return e == HPE_PAUSED || e == HPE_PAUSED_UPGRADE ? HPE_OK : e;
}

static void other_fini(struct other *o)
{
    h1_bytes_fini(&o->method);
    h1_bytes_fini(&o->target);
    h1_bytes_fini(&o->phrase);
    h1_bytes_fini(&o->fields);
    h1_bytes_fini(&o->content);
}

/* ---- The generator ---- */

#define PICK(seed, list) ((list)[h1_random_below(seed, sizeof(list) / sizeof(*(list)))])

static const char *const methods[] = {"GET",     "POST",  "PUT",   "HEAD",     "DELETE",
                                      "OPTIONS", "PATCH", "TRACE", "PROPFIND", "SEARCH"};
static const char *const targets[] = {"/",      "/a", "/a/b.c?d=e", "*", "/%41%2f", "http://x/", "http://x:80/y?z",
                                      "/a;b=c", "/?", "//"};
static const char *const versions[] = {"HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0",
                                       "HTTP/1.2", "HTTP/2.0", "http/1.1"};
static const char *const starts[] = {"HTTP/1.1 200 OK",       "HTTP/1.1 204 No Content", "HTTP/1.1 304 Not Modified",
                                     "HTTP/1.0 200 OK",       "HTTP/1.1 500 ",           "HTTP/1.1 404",
                                     "HTTP/1.1 100 Continue", "HTTP/1.1 999 x"};
static const char *const lines[] = {
    "Content-Length: 5",
    "Content-Length: 0",
    "Content-Length:5 ",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: Chunked",
    "Transfer-Encoding: gzip, chunked",
    "Connection: close",
    "Connection: keep-alive",
    "Connection: x, y",
    "Connection: upgrade",
    "Upgrade: websocket",
    "Upgrade: h2c",
    "Expect: 100-continue",
    "Accept: */*",
    "X: caf\xc3\xa9",
    "X-Empty:",
    "Y: \t a  b \t",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    "Trailer: X-Sum",
    "TE: trailers",
    "A-Rather-Long-Name-Of-A-Field-That-Nobody-Knows: with a rather long value, too, which has some more words",
};
static const char *const bodies[] = {
    "",
    "hello",
    "5\r\nhello\r\n0\r\n\r\n",
    "5;a=b\r\nhello\r\n0\r\n\r\n",
    "05\r\nhello\r\n000\r\n\r\n",
    "1\r\na\r\nA\r\n0123456789\r\n0\r\n\r\n",
    "5\r\nhello\r\n0\r\nX-Sum: 1\r\nHost: y\r\n\r\n",
    "0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "5;a=\"b;c\"\r\nhello\r\n0;d\r\n\r\n",
    "helloGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
};
static const char *const damages[] = {"\r",   "\n",   "\r\n", " ", "\t", ":", ",",  ";", "0",      "5",
                                      "\x7f", "\x01", "\x80", "x", "%",  "#", "\\", "_", "chunked"};

static void add_text(struct h1_bytes *b, const char *text)
{
    h1_bytes_add(b, text, strlen(text));
}

static void generate(uint64_t *seed, bool is_response, struct h1_bytes *b)
{
    if (is_response) {
        add_text(b, PICK(seed, starts));
    } else {
        add_text(b, PICK(seed, methods));
        add_text(b, " ");
        add_text(b, PICK(seed, targets));
        add_text(b, " ");
        add_text(b, PICK(seed, versions));
    }
    add_text(b, "\r\n");
    if (!is_response && h1_random_below(seed, 16))
        add_text(b, "Host: x\r\n");
    for (size_t n = h1_random_below(seed, 5); n > 0; n--) {
        add_text(b, PICK(seed, lines));
        add_text(b, "\r\n");
    }
    add_text(b, "\r\n");
    add_text(b, PICK(seed, bodies));
}

/* Inserts, replaces or removes bytes in some places. */
static void damage(uint64_t *seed, struct h1_bytes *b)
{
    for (size_t n = h1_random_below(seed, 4); n > 0 && b->len > 0; n--) {
        size_t at = h1_random_below(seed, b->len), cut = h1_random_below(seed, 3);
        const char *text = h1_random_below(seed, 4) ? PICK(seed, damages) : "";
        struct h1_bytes whole = {0};
        if (cut > b->len - at)
            cut = b->len - at;
        h1_bytes_add(&whole, b->ptr, at);
        add_text(&whole, text);
        if (h1_random_below(seed, 16) == 0)
            h1_bytes_add(&whole, "\0", 1);
        h1_bytes_add(&whole, b->ptr + at + cut, b->len - at - cut);
        h1_bytes_fini(b);
        *b = whole;
    }
}

/* ---- The comparison ---- */

#define KNOWN_MAX 16

static struct {
    unsigned accepted, refused, incomplete, differences;
    struct {
        const char *why;
        unsigned n;
    } known[KNOWN_MAX];
} counts;

static void count_known(const char *why)
{
    unsigned i = 0;
    while (counts.known[i].why && counts.known[i].why != why)
        H1_CHECK(++i < KNOWN_MAX);
    counts.known[i].why = why;
    counts.known[i].n++;
}

/* The body may have a chunk extension. */
static bool has_extension(const struct h1_run *r, const char *in, size_t len)
{
    return r->framing.kind == RG_BODY_CHUNKED && memchr(in + r->head_len, ';', len - (size_t)r->head_len);
}

static bool says_close(const struct h1_run *r)
{
    unsigned n = r->is_response ? r->res.n_fields : r->req.n_fields;
    for (unsigned i = 0; i < n; i++)
        if (r->fields[i].id == RG_FIELD_CONNECTION && rg_str_eq_nocase(rg_field_value(&r->fields[i]), RG_STR("close")))
            return true;
    return false;
}

/* A Connection field with a tab after its value. */
static bool has_tab_after_connection(const struct h1_run *r)
{
    unsigned n = r->is_response ? r->res.n_fields : r->req.n_fields;
    for (unsigned i = 0; i < n; i++) {
        const char *end = r->fields[i].value + r->fields[i].value_len;
        if (r->fields[i].id == RG_FIELD_CONNECTION && memchr(end, '\t', strcspn(end, "\r")))
            return true;
    }
    return false;
}

/* Where llhttp is known to see what we accept otherwise, and why that is no danger. NULL: not known. */
static const char *known_difference(const struct h1_run *r, const struct other *o, llhttp_errno_t e, const char *in,
                                    size_t len)
{
    uint8_t minor = r->is_response ? r->res.minor : r->req.minor;
    if (e == HPE_INVALID_METHOD && !r->is_response && r->req.method_id == RG_METHOD_OTHER)
        return "llhttp knows a fixed list of methods; RFC 9110 section 9.1 lets any token be one";
    if ((e == HPE_STRICT || e == HPE_INVALID_CHUNK_SIZE) && has_extension(r, in, len))
        return "llhttp wants well-formed chunk extensions; we take any text without controls, and never pass it on";
    if (e != HPE_OK && r->framing.kind == RG_BODY_CHUNKED && r->state == H1_BODY_MORE)
        return "llhttp judges a trailer byte by byte, we by line; nothing of it was passed on yet";
    if (e == HPE_OK && minor == 0 && o->keep_alive && !r->framing.persistent && says_close(r))
        return "llhttp lets keep-alive win over close in HTTP/1.0; we close";
    if (e == HPE_OK && o->keep_alive != r->framing.persistent && has_tab_after_connection(r))
        return "llhttp does not see an option before a tab, which RFC 9110 section 5.6.3 counts as white space";
    if (r->is_response && r->res.status < 200 && (o->has_length || o->chunked))
        return "llhttp reads a body after an interim response that announces one; RFC 9112 section 6.3 knows none";
    return NULL;
}

static void report(const char *what, const char *in, size_t len, const struct h1_run *r, const struct other *o,
                   llhttp_errno_t e)
{
    struct h1_bytes text = {0};
    const char *why = known_difference(r, o, e, in, len);
    if (why) {
        count_known(why);
        return;
    }
    counts.differences++;
    if (counts.differences <= 20) {
        h1_bytes_escape(&text, in, len);
        printf("%s (llhttp says %s)\n  %.*s\n", what, llhttp_errno_name(e), (int)text.len, text.ptr);
    }
    h1_bytes_fini(&text);
}

static bool same(const struct h1_bytes *theirs, struct rg_str ours)
{
    return theirs->len == ours.len && (ours.len == 0 || memcmp(theirs->ptr, ours.ptr, ours.len) == 0);
}

static bool same_fields(const struct h1_run *r, const struct other *o)
{
    struct h1_bytes ours = {0};
    unsigned n = r->is_response ? r->res.n_fields : r->req.n_fields;
    for (unsigned i = 0; i < n; i++) {
        h1_bytes_add(&ours, r->fields[i].name, r->fields[i].name_len);
        h1_bytes_add(&ours, "=", 1);
        h1_bytes_add(&ours, r->fields[i].value, r->fields[i].value_len);
        h1_bytes_add(&ours, "\n", 1);
    }
    bool result = h1_bytes_eq(&ours, &o->fields);
    h1_bytes_fini(&ours);
    return result;
}

static bool same_start(const struct h1_run *r, const struct other *o)
{
    if (r->is_response)
        return o->status == r->res.status && same(&o->phrase, r->res.reason_phrase);
    return same(&o->method, r->req.method) && same(&o->target, r->req.target);
}

/* What of the two views differs; NULL: nothing. */
static const char *difference(const struct h1_run *r, const struct other *o, llhttp_errno_t e)
{
    if (e != HPE_OK)
        return "llhttp refuses what we accept";
    if (!o->head_complete)
        return "llhttp sees no complete head";
    if (!same_start(r, o))
        return "the start lines differ";
    if (!same_fields(r, o))
        return "the fields differ";
    if (o->major != 1 || (o->minor >= 1) != (r->is_response ? r->res.minor : r->req.minor))
        return "the versions differ";
    bool until_end = r->framing.kind == RG_BODY_EOF;
    if (!until_end && o->complete != (r->state == H1_COMPLETE))
        return "only one sees a complete message";
    if (o->content.len != r->content.len || !h1_bytes_eq(&o->content, &r->content))
        return "the bodies differ";
    if (r->state == H1_COMPLETE && !until_end && o->used != r->used)
        return "the messages end at different bytes";
    if (r->state == H1_COMPLETE && o->keep_alive != r->framing.persistent)
        return "only one keeps the connection";
    return NULL;
}

/*
 * llhttp refuses minor versions above 1, which RFC 9112 section 2.3 wants to be read as the highest that one knows. It
 * gets them as 1.1, so that all the rest is compared.
 */
static void make_version_known(const struct h1_run *r, struct h1_bytes *copy)
{
    size_t at = r->is_response ? 7 : (size_t)(r->req.target.ptr + r->req.target.len - r->buf) + 8;
    if (copy->ptr[at] > '1')
        copy->ptr[at] = '1';
}

static void compare(struct h1_run *r, const char *in, size_t len)
{
    h1_run_whole(r, in, len);
    if (r->state == H1_REFUSED && !r->in_body) {
        counts.refused++;
        return;
    }
    if (r->state == H1_HEAD_MORE) {
        counts.incomplete++;
        return;
    }
    counts.accepted++;
    struct other o = {0};
    struct h1_bytes copy = {0};
    h1_bytes_add(&copy, in, len);
    make_version_known(r, &copy);
    llhttp_errno_t e = run_other(&o, r->is_response, r->request_method == RG_METHOD_HEAD, copy.ptr, len);
    h1_bytes_fini(&copy);
    if (r->state == H1_REFUSED) {
        /* A body that we refuse must not be one that llhttp reads differently: nothing to compare, we are stricter. */
        other_fini(&o);
        return;
    }
    const char *what = difference(r, &o, e);
    if (what)
        report(what, in, len, r, &o, e);
    other_fini(&o);
}

int main(int argc, char **argv)
{
    unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 200000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    static struct h1_run r;
    r.limits = H1_DEFAULT_LIMITS;
    for (unsigned long i = 0; i < n; i++) {
        struct h1_bytes b = {0};
        r.is_response = i & 1;
        r.request_method = r.is_response && h1_random_below(&seed, 8) == 0 ? RG_METHOD_HEAD : RG_METHOD_GET;
        r.upgrade_asked = true;
        generate(&seed, r.is_response, &b);
        damage(&seed, &b);
        if (b.len > 0)
            compare(&r, b.ptr, b.len);
        h1_bytes_fini(&b);
    }
    printf("%lu messages: %u accepted, %u refused, %u incomplete, %u differences\n", n, counts.accepted, counts.refused,
           counts.incomplete, counts.differences);
    for (unsigned i = 0; i < KNOWN_MAX && counts.known[i].why; i++)
        printf("known, %u times: %s\n", counts.known[i].n, counts.known[i].why);
    h1_run_fini(&r);
    /* Enough of each kind, or the test means nothing. */
    return counts.differences == 0 && counts.accepted > n / 10 && counts.refused > n / 10 ? 0 : 1;
}
