/*
 * Writer and parser together: whatever the parser accepts, valid or mutated at random, is written as a head that the
 * same strict parser accepts again, with the same body, host and status. A difference would be a smuggler's way in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "heads.h"

#define ROUNDS   100000
#define HEAD_MAX 4096

static const struct rg_h1_limits limits = {
    .head_bytes = 32768, .field_bytes = 16384, .target_bytes = 8192, .fields = 100, .allow_underscore = true};
static const struct rg_framing_options framing_options = {0};

static const char *const requests[] = {
    "GET /a/%2e%2e/b?c=%20d HTTP/1.1\r\nHost: example.com\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: [::1]:8080\r\nContent-Length: 15\r\nExpect: 100-continue\r\nX-A: 1\r\n\r\n",
    "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\nTE: trailers\r\nConnection: TE, x-a\r\n"
    "X-A: 1\r\n\r\n",
    "GET http://example.com:80?x HTTP/1.1\r\nHost: example.com:80\r\nConnection: keep-alive, close\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: h\r\nMax-Forwards: 7\r\n\r\n",
    "HEAD / HTTP/1.0\r\nVia: 1.0 p\r\nVia: 1.1 q\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n",
    "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "DELETE /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nForwarded: for=1.2.3.4\r\nX-Forwarded-For: 1.2.3.4\r\n"
    "X-Real-IP: 1.2.3.4\r\nx-ringgate-a: 1\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
    "tracestate: a=b\r\nX-Request-Id: abc\r\nCookie: a=b; c=d\r\n\r\n",
};

static const char *const responses[] = {
    "HTTP/1.1 200 OK\r\nServer: x\r\nDate: Fri, 20 Nov 2026 01:02:03 GMT\r\nContent-Length: 15\r\nETag: \"a\"\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive, x-a\r\nX-A: 1\r\nTrailer: b\r\n\r\n",
    "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nVia: 1.0 p\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nKeep-Alive: timeout=5\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nX-Request-Id: abc\r\nConnection: close\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct rg_rand rnd = {{1, 2, 3, 4}};

static unsigned pick(unsigned n)
{
    return (unsigned)(rg_rand_next(&rnd) % n);
}

/* Up to two small changes: a byte of those that parsers trip over, a byte removed, a piece doubled. */
static size_t mutate(char *text, size_t len)
{
    static const char bytes[] = "\r\n\t :,;/?%*\"\\_-.09azAZ#@[]\x7f\x80\xff";
    for (unsigned n = pick(3); n > 0; n--) {
        size_t at = pick((unsigned)len);
        size_t piece = 1 + pick(12);
        switch (pick(3)) {
        case 0:
            text[at] = bytes[pick(sizeof(bytes))];
            break;
        case 1:
            memmove(text + at, text + at + 1, len - at - 1);
            len--;
            break;
        default:
            piece = piece < len - at ? piece : len - at;
            memmove(text + at + piece, text + at, len - at);
            len += piece;
        }
    }
    return len;
}

static size_t mutated(char *text, const char *from)
{
    size_t len = strlen(from);
    memcpy(text, from, len);
    return mutate(text, len);
}

struct parsed_request {
    struct rg_field fields[RG_H1_FIELDS_MAX];
    struct rg_h1_request req;
    struct rg_framing framing;
};

/* Whether the head is whole and accepted, by syntax and by framing. */
static bool accept_request(struct parsed_request *p, const char *text, size_t len)
{
    struct rg_h1_resume resume = {0};
    enum rg_reason reason;
    return rg_h1_parse_request(&resume, text, len, &limits, p->fields, &p->req, &reason) > 0 &&
           rg_h1_frame_request(&p->req, &framing_options, &p->framing) == RG_REASON_NONE;
}

static int32_t forward_request(const struct parsed_request *p, bool trusted, char *out)
{
    static char path[HEAD_MAX];
    struct rg_peer_text peer = {.ip = "192.0.2.7", .ip_len = 9, .trusted = trusted};
    struct rg_forward f = {
        .peer = &peer, .scheme = RG_STR("http"), .listener_port = 80, .replica_host = RG_STR("replica.local")};
    if (p->req.target_form != RG_TARGET_ASTERISK) {
        int32_t n = rg_h1_normalize_path(p->req.path, path);
        assert_true(n > 0); /* the parser has checked the escapes */
        f.path = (struct rg_str){path, (size_t)n};
    }
    rg_forward_ids(&f, &p->req, &rnd, 1);
    int32_t n = rg_h1_write_request(out, 2 * HEAD_MAX, &p->req, &p->framing, &f);
    assert_true(n > 0);
    return n;
}

static bool same_body(const struct rg_framing *a, const struct rg_framing *b)
{
    return a->kind == b->kind && (a->kind != RG_BODY_LENGTH || a->length == b->length);
}

static void check_request(const struct parsed_request *in, bool trusted)
{
    static struct parsed_request out;
    static char text[2 * HEAD_MAX];
    int32_t n = forward_request(in, trusted, text);
    if (!accept_request(&out, text, (size_t)n))
        fail_msg("written but not accepted:\n%.*s", n, text);
    struct rg_str host = in->framing.host.len != 0 ? in->framing.host : RG_STR("replica.local");
    assert_true(same_body(&in->framing, &out.framing));
    assert_true(rg_str_eq(out.framing.host, host));
    assert_true(rg_str_eq(out.req.method, in->req.method));
    assert_int_equal(out.framing.websocket, in->framing.websocket);
    assert_int_equal(out.framing.expect_continue, in->framing.expect_continue);
    assert_true(out.framing.persistent);
    assert_int_equal(out.framing.n_listed, 0);
    assert_int_equal(out.req.minor, 1);
}

static void requests_are_accepted_again(void **state)
{
    (void)state;
    static struct parsed_request in;
    static char text[HEAD_MAX];
    unsigned accepted = 0, refused = 0;
    for (unsigned i = 0; i < COUNT(requests); i++) {
        assert_true(accept_request(&in, requests[i], strlen(requests[i])));
        check_request(&in, false);
        check_request(&in, true);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t len = mutated(text, requests[pick(COUNT(requests))]);
        if (accept_request(&in, text, len)) {
            accepted++;
            check_request(&in, round % 2 == 0);
        } else {
            refused++;
        }
    }
    assert_true(accepted > ROUNDS / 10);
    assert_true(refused > ROUNDS / 10);
}

struct parsed_response {
    struct rg_field fields[RG_H1_FIELDS_MAX];
    struct rg_h1_response res;
    struct rg_framing framing;
};

static bool accept_response(struct parsed_response *p, const char *text, size_t len, enum rg_method method)
{
    struct rg_h1_resume resume = {0};
    enum rg_reason reason;
    return rg_h1_parse_response(&resume, text, len, &limits, p->fields, &p->res, &reason) > 0 &&
           rg_h1_frame_response(&p->res, method, false, &p->framing) == RG_REASON_NONE;
}

static void check_response(const struct parsed_response *in, enum rg_method method)
{
    static struct parsed_response out;
    static char text[2 * HEAD_MAX];
    struct rg_response_options options = {.keep_alive = true,
                                          .chunked = in->framing.kind == RG_BODY_CHUNKED,
                                          .eof_to_chunked = in->framing.kind == RG_BODY_EOF,
                                          .request_id = RG_STR("id-1")};
    int32_t n = rg_h1_write_response(text, sizeof(text), &in->res, &in->framing, &options,
                                     RG_STR("Sat, 21 Nov 2026 05:29:55 GMT"));
    assert_true(n > 0);
    if (!accept_response(&out, text, (size_t)n, method))
        fail_msg("written but not accepted:\n%.*s", n, text);
    struct rg_framing want = in->framing;
    if (want.kind == RG_BODY_EOF)
        want.kind = RG_BODY_CHUNKED;
    assert_true(same_body(&want, &out.framing));
    assert_int_equal(out.res.status, in->res.status);
    assert_true(rg_str_eq(out.res.reason_phrase, in->res.reason_phrase));
    assert_true(out.framing.persistent);
    assert_int_equal(out.framing.n_listed, 0);
}

static void responses_are_accepted_again(void **state)
{
    (void)state;
    static struct parsed_response in;
    static char text[HEAD_MAX];
    unsigned accepted = 0, refused = 0;
    for (unsigned i = 0; i < COUNT(responses); i++) {
        assert_true(accept_response(&in, responses[i], strlen(responses[i]), RG_METHOD_GET));
        check_response(&in, RG_METHOD_GET);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        enum rg_method method = round % 3 == 0 ? RG_METHOD_HEAD : RG_METHOD_GET;
        size_t len = mutated(text, responses[pick(COUNT(responses))]);
        if (accept_response(&in, text, len, method)) {
            accepted++;
            check_response(&in, method);
        } else {
            refused++;
        }
    }
    assert_true(accepted > ROUNDS / 10);
    assert_true(refused > ROUNDS / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_accepted_again),
        cmocka_unit_test(responses_are_accepted_again),
    };
    return cmocka_run_group_tests_name("h1_write_roundtrip", tests, NULL, NULL);
}
