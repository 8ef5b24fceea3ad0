/*
 * What must hold for any head: one Host, one framing, nothing hop-by-hop, everything else in order, and no byte read or
 * written out of bounds. Heads are random but repeatable; input and output each end at an unreadable page.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "heads.h"

#define ROUNDS   20000
#define AREA_LEN 16384
#define NOW      "Sat, 21 Nov 2026 05:29:55 GMT"

static char *in_end, *out_end; /* the pages behind these can't be touched */
static struct rg_rand rnd;

static unsigned pick(unsigned n)
{
    return (unsigned)(rg_rand_next(&rnd) % n);
}

/* Repeatable. The generator's first numbers from a state of few bits hardly differ: they are thrown away. */
static void seed(unsigned round)
{
    rnd = (struct rg_rand){{round, 2, 3, 4}};
    for (unsigned i = 0; i < 20; i++)
        rg_rand_next(&rnd);
}

static char *guarded_area(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *area = mmap(NULL, AREA_LEN + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(area != MAP_FAILED);
    assert_int_equal(mprotect(area + AREA_LEN, page, PROT_NONE), 0);
    return area + AREA_LEN;
}

static int setup(void **state)
{
    (void)state;
    in_end = guarded_area();
    out_end = guarded_area();
    return 0;
}

/* ---- Random heads ---- */

static char text[AREA_LEN];
static size_t text_len;

static void append(const char *s)
{
    size_t n = strlen(s);
    assert_true(text_len + n < sizeof(text));
    memcpy(text + text_len, s, n);
    text_len += n;
}

static void append_in_random_case(const char *name)
{
    for (; *name != '\0'; name++) {
        char c = *name;
        if (c >= 'a' && c <= 'z' && pick(4) == 0)
            c = (char)(c - 32);
        text[text_len++] = c;
    }
}

static void append_field(const char *name, const char *value)
{
    static const char *const blanks[] = {"", " ", "\t", "  "};
    append_in_random_case(name);
    append(":");
    append(blanks[pick(4)]);
    append(value);
    append(blanks[pick(4)]);
    append("\r\n");
}

static void append_random_value(char *value, size_t cap)
{
    size_t n = pick(4) == 0 ? pick(60) : pick(12);
    size_t i = 0;
    for (; i < n && i + 1 < cap; i++)
        value[i] = (char)('!' + pick(94));
    value[i] = '\0';
}

static const char *const any_names[] = {
    "accept",
    "user-agent",
    "cookie",
    "authorization",
    "x",
    "x-app",
    "x-ringgate-key",
    "x-wso2-internal-user",
    "referer",
    "via",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-real-ip",
    "x-request-id",
    "traceparent",
    "tracestate",
    "te",
    "trailer",
    "keep-alive",
    "proxy-connection",
    "http2-settings",
    "upgrade",
    "max-forwards",
    "origin",
    "x-hop-a",
    "x-hop-b",
    "proxy-authorization",
    "date",
    "etag",
    "sec-websocket-key",
    "server",
    "proxy-authenticate",
};
#define N_NAMES (sizeof(any_names) / sizeof(any_names[0]))

struct random_message {
    struct rg_framing framing;
    bool lists_hops; /* Connection: x-hop-a, x-hop-b */
};

static void append_framing(struct random_message *m)
{
    struct rg_framing *f = &m->framing;
    char value[32];
    f->kind = (uint8_t)pick(3); /* none, length, chunked */
    if (f->kind == RG_BODY_CHUNKED) {
        append_field("transfer-encoding", "chunked");
    } else if (f->kind == RG_BODY_LENGTH || pick(3) == 0) {
        f->length = f->kind == RG_BODY_LENGTH ? rg_rand_next(&rnd) >> pick(64) : 0;
        f->has_length_field = true;
        snprintf(value, sizeof(value), "%llu", (unsigned long long)f->length);
        append_field("content-length", value);
    }
}

static void append_connection(struct random_message *m)
{
    m->lists_hops = true;
    m->framing.listed[0] = RG_STR("X-Hop-A");
    m->framing.listed[1] = RG_STR("x-hop-b");
    m->framing.n_listed = 2;
    append_field("connection", "X-Hop-A, x-hop-b");
}

static struct random_message random_fields(bool with_host)
{
    struct random_message m = {0};
    unsigned n = pick(12), framing_at = pick(n + 1), host_at = pick(n + 1), connection_at = pick(2 * n + 1);
    for (unsigned i = 0; i <= n; i++) {
        char value[64];
        if (i == framing_at)
            append_framing(&m);
        if (i == host_at && with_host)
            append_field("host", "example.com");
        if (i == connection_at)
            append_connection(&m);
        append_random_value(value, sizeof(value));
        append_field(any_names[pick(N_NAMES)], value);
    }
    append("\r\n");
    return m;
}

/* The text, so that the byte behind it can't be read. */
static struct rg_str guarded_text(void)
{
    memcpy(in_end - text_len, text, text_len);
    return (struct rg_str){in_end - text_len, text_len};
}

/* ---- What must hold ---- */

static bool name_is(const struct rg_field *f, const char *name)
{
    return rg_str_eq_nocase(rg_field_name(f), rg_str_of(name));
}

static bool name_is_one_of(const struct rg_field *f, const char *const *names)
{
    for (; *names != NULL; names++)
        if (name_is(f, *names))
            return true;
    return false;
}

static const char *const hop_names[] = {"connection",     "keep-alive", "proxy-connection", "te", "upgrade",
                                        "http2-settings", NULL};
static const char *const request_rewritten[] = {
    "host",         "content-length", "transfer-encoding", "via", "forwarded", "x-forwarded-for",
    "x-request-id", "traceparent",    "max-forwards",      NULL};
static const char *const response_rewritten[] = {"content-length", "transfer-encoding", "via", "x-request-id", NULL};
static const char *const claims[] = {"x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-real-ip", NULL};

static bool is_internal(const struct rg_field *f)
{
    return name_is(f, "x-ringgate-key") || name_is(f, "x-wso2-internal-user");
}

static bool is_listed(const struct rg_field *f, const struct random_message *m)
{
    return m->lists_hops && (name_is(f, "x-hop-a") || name_is(f, "x-hop-b"));
}

static void assert_no_hops(const struct head *h, const struct random_message *m)
{
    for (unsigned i = 0; i < h->n_fields; i++) {
        if (name_is_one_of(&h->fields[i], hop_names) || is_listed(&h->fields[i], m))
            fail_msg("%.*s was forwarded", h->fields[i].name_len, h->fields[i].name);
    }
}

static void assert_one_framing(const struct head *h, const struct rg_framing *f)
{
    struct rg_str length = RG_STR_NONE, coding = RG_STR_NONE;
    char want[32];
    snprintf(want, sizeof(want), "%llu", (unsigned long long)f->length);
    unsigned lengths = head_count(h, "content-length", &length);
    unsigned codings = head_count(h, "transfer-encoding", &coding);
    assert_int_equal(codings, f->kind == RG_BODY_CHUNKED);
    assert_int_equal(lengths, f->kind == RG_BODY_LENGTH || f->has_length_field);
    assert_true(codings == 0 || rg_str_eq(coding, RG_STR("chunked")));
    assert_true(lengths == 0 || rg_str_eq(length, rg_str_of(want)));
}

static bool same_field(const struct rg_field *a, const struct rg_field *b)
{
    return rg_str_eq(rg_field_name(a), rg_field_name(b)) && rg_str_eq(rg_field_value(a), rg_field_value(b));
}

/* goes: what this test believes to be removed or rewritten. All other fields come first in the output, in their order.
 */
static void assert_others_stay(const struct head *in, const struct head *out, unsigned out_from,
                               bool (*goes)(const struct rg_field *, const struct random_message *),
                               const struct random_message *m)
{
    unsigned at = out_from;
    for (unsigned i = 0; i < in->n_fields; i++) {
        if (goes(&in->fields[i], m))
            continue;
        assert_true(at < out->n_fields);
        if (!same_field(&in->fields[i], &out->fields[at]))
            fail_msg("%.*s was lost or moved", in->fields[i].name_len, in->fields[i].name);
        at++;
    }
}

static bool trusted;

static bool goes_from_request(const struct rg_field *f, const struct random_message *m)
{
    return name_is_one_of(f, hop_names) || name_is_one_of(f, request_rewritten) || is_listed(f, m) ||
           (!trusted && (is_internal(f) || name_is_one_of(f, claims))) || name_is(f, "tracestate") ||
           name_is(f, "sec-websocket-key");
}

static bool goes_from_response(const struct rg_field *f, const struct random_message *m)
{
    return name_is_one_of(f, hop_names) || name_is_one_of(f, response_rewritten) || is_listed(f, m);
}

typedef int32_t write_fn(char *out, size_t cap, const void *message);

/* Writes into exactly as much room as it needs, and into less, with a page behind the room that can't be touched. */
static struct rg_str write_bounded(write_fn *write_head, const void *message)
{
    int32_t n = write_head(out_end - AREA_LEN, AREA_LEN, message);
    assert_true(n > 0);
    for (unsigned i = 0; i < 4; i++) {
        size_t less = i == 0 ? (size_t)n - 1 : i == 1 ? 0 : pick((unsigned)n);
        assert_int_equal(write_head(out_end - less, less, message), -1);
    }
    assert_int_equal(write_head(out_end - n, (size_t)n, message), n);
    return (struct rg_str){out_end - n, (size_t)n};
}

struct request_case {
    struct rg_h1_request req;
    struct random_message m;
    struct rg_forward forward;
};

static int32_t write_request(char *out, size_t cap, const void *message)
{
    const struct request_case *c = message;
    return rg_h1_write_request(out, cap, &c->req, &c->m.framing, &c->forward);
}

static void check_request(const struct head *in, const struct request_case *c)
{
    static struct head h;
    struct rg_str value;
    head_split(&h, write_bounded(write_request, c));
    assert_true(rg_str_eq(h.start, RG_STR("OPTIONS /path?q HTTP/1.1")));
    assert_no_hops(&h, &c->m);
    assert_one_framing(&h, &c->m.framing);
    assert_int_equal(head_count(&h, "host", &value), 1);
    assert_true(rg_str_eq(value, RG_STR("example.com")));
    static const char *const once[] = {"via", "forwarded", "x-forwarded-for", "x-request-id", "traceparent", NULL};
    for (unsigned i = 0; once[i] != NULL; i++)
        assert_int_equal(head_count(&h, once[i], NULL), 1);
    for (unsigned i = 0; claims[i] != NULL; i++)
        assert_true(trusted ? head_count(&h, claims[i], NULL) >= 1 : head_count(&h, claims[i], NULL) == 1);
    head_count(&h, "x-forwarded-for", &value);
    assert_true(value.len >= 9 && memcmp(value.ptr + value.len - 9, "192.0.2.7", 9) == 0);
    assert_true(trusted || value.len == 9);
    assert_int_equal(head_count(&h, "max-forwards", NULL), head_count(in, "max-forwards", NULL));
    assert_others_stay(in, &h, 1, goes_from_request, &c->m); /* behind Host */
}

static void any_request(void **state)
{
    (void)state;
    static struct head in;
    unsigned most_fields = 0;
    struct rg_peer_text peer = {.ip = "192.0.2.7", .ip_len = 9};
    for (unsigned round = 1; round <= ROUNDS; round++) {
        seed(round);
        struct request_case c = {0};
        text_len = 0;
        append(pick(2) == 0 ? "OPTIONS /path?q HTTP/1.1\r\n" : "OPTIONS /path?q HTTP/1.0\r\n");
        c.m = random_fields(true);
        c.m.framing.host = RG_STR("example.com");
        head_split(&in, guarded_text());
        head_to_request(&in, &c.req);
        trusted = peer.trusted = pick(2) == 0;
        c.forward =
            (struct rg_forward){.peer = &peer, .scheme = RG_STR("http"), .listener_port = 80, .path = RG_STR("/path")};
        rg_forward_ids(&c.forward, &c.req, &rnd, round);
        assert_true(c.forward.traceparent_is_new); /* random values are no traceparent */
        check_request(&in, &c);
        most_fields = in.n_fields > most_fields ? in.n_fields : most_fields;
    }
    assert_true(most_fields > 10); /* the generator did generate */
}

struct response_case {
    struct rg_h1_response res;
    struct random_message m;
    struct rg_response_options options;
};

static int32_t write_response(char *out, size_t cap, const void *message)
{
    const struct response_case *c = message;
    return rg_h1_write_response(out, cap, &c->res, &c->m.framing, &c->options, RG_STR(NOW));
}

static void any_response(void **state)
{
    (void)state;
    static struct head in, h;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        seed(round + ROUNDS);
        struct response_case c = {.options = {.keep_alive = true, .request_id = RG_STR("id-1")}};
        text_len = 0;
        append("HTTP/1.1 200 OK\r\n");
        c.m = random_fields(false);
        c.options.chunked = c.m.framing.kind == RG_BODY_CHUNKED;
        head_split(&in, guarded_text());
        head_to_response(&in, &c.res);
        head_split(&h, write_bounded(write_response, &c));
        assert_true(rg_str_eq(h.start, RG_STR("HTTP/1.1 200 OK")));
        assert_no_hops(&h, &c.m);
        assert_one_framing(&h, &c.m.framing);
        assert_int_equal(head_count(&h, "via", NULL), 1);
        assert_int_equal(head_count(&h, "x-request-id", NULL), 1);
        assert_true(head_count(&h, "date", NULL) >= 1);
        assert_others_stay(&in, &h, 0, goes_from_response, &c.m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_request),
        cmocka_unit_test(any_response),
    };
    return cmocka_run_group_tests_name("h1_write_property", tests, setup, NULL);
}
