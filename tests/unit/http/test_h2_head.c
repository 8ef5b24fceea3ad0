/* Heads of HTTP/2 as the text of HTTP/1: an extended CONNECT (RFC 8441) becomes a GET, and only for WebSocket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "datapath/http/h1_framing.h"
#include "datapath/http/h2_head.h"

static const struct rg_h1_limits limits = {
    .head_bytes = 8192, .field_bytes = 8192, .target_bytes = 8192, .fields = RG_H1_FIELDS_MAX};

static char buf[4096];
static struct rg_h2_head head;

/* Pairs of name and value, to the first NULL. The worst of what was said of them. */
static enum rg_h2_head_result read_head(const char *const *pairs)
{
    rg_h2_head_init(&head, buf, sizeof buf);
    for (; *pairs; pairs += 2) {
        struct rg_str name = {pairs[0], strlen(pairs[0])}, value = {pairs[1], strlen(pairs[1])};
        if (rg_h2_head_add(&head, name, value, &limits) != RG_H2_HEAD_OK)
            return RG_H2_HEAD_MALFORMED;
    }
    return rg_h2_head_end(&head);
}

#define READ(...) read_head((const char *const[]){__VA_ARGS__, NULL})
#define CONNECT   ":method", "CONNECT", ":scheme", "https", ":path", "/chat?x=1", ":authority", "h"
#define PROTOCOL  ":protocol", "websocket"
#define VERSION   "sec-websocket-version", "13"

static void assert_text(const char *wanted)
{
    assert_int_equal(head.reason, RG_REASON_NONE);
    assert_int_equal(head.len - head.start, strlen(wanted));
    assert_memory_equal(buf + head.start, wanted, strlen(wanted));
}

static enum rg_reason frame(bool ends, struct rg_framing *ret)
{
    static struct rg_field fields[RG_H1_FIELDS_MAX];
    struct rg_h1_resume resume = {0};
    struct rg_h1_request req;
    enum rg_reason reason = RG_REASON_NONE;
    const struct rg_framing_options opt = {0};
    uint32_t len = head.len - head.start;
    assert_int_equal(rg_h1_parse_request(&resume, buf + head.start, len, &limits, fields, &req, &reason), len);
    assert_false(req.websocket); /* only who made the text says so */
    req.is_h2 = true;
    req.ends = ends;
    req.websocket = head.websocket;
    return rg_h1_frame_request(&req, &opt, ret);
}

static void a_websocket_becomes_a_get(void **state)
{
    (void)state;
    struct rg_framing framing;
    assert_int_equal(READ(PROTOCOL, CONNECT, VERSION), RG_H2_HEAD_OK);
    assert_true(head.websocket);
    assert_text("GET /chat?x=1 HTTP/1.1\r\nhost: h\r\nsec-websocket-version: 13\r\n\r\n");
    for (int ends = 0; ends < 2; ends++) {
        assert_int_equal(frame(ends, &framing), RG_REASON_NONE);
        assert_true(framing.websocket);
        assert_int_equal(framing.kind, RG_BODY_NONE);
    }
    assert_int_equal(READ(CONNECT, ":protocol", "WebSocket"), RG_H2_HEAD_OK);
    assert_true(head.websocket);
}

static void without_protocol_nothing_changes(void **state)
{
    (void)state;
    struct rg_framing framing;
    assert_int_equal(READ(":method", "CONNECT", ":authority", "h:80"), RG_H2_HEAD_OK);
    assert_false(head.websocket);
    assert_text("CONNECT h:80 HTTP/1.1\r\nhost: h:80\r\n\r\n");
    assert_int_equal(frame(false, &framing), RG_REASON_CONNECT_REFUSED);
    assert_int_equal(READ(":method", "GET", ":scheme", "http", ":path", "/", ":authority", "h", VERSION),
                     RG_H2_HEAD_OK);
    assert_int_equal(frame(false, &framing), RG_REASON_NONE);
    assert_false(framing.websocket);
    assert_int_equal(framing.kind, RG_BODY_EOF);
}

static void other_protocols_are_refused(void **state)
{
    (void)state;
    static const char *const others[] = {"connect-udp", "websockets", "webtransport", "h2c", "GET"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(READ(":protocol", others[i], CONNECT, VERSION), RG_H2_HEAD_OK);
        assert_int_equal(head.reason, RG_REASON_PROTOCOL_REFUSED);
        assert_false(head.websocket);
    }
}

static void malformed(void **state)
{
    (void)state;
    assert_int_equal(READ(PROTOCOL, PROTOCOL, CONNECT), RG_H2_HEAD_MALFORMED);
    assert_int_equal(READ(CONNECT, VERSION, PROTOCOL), RG_H2_HEAD_MALFORMED); /* behind a regular field */
    assert_int_equal(READ(PROTOCOL, ":method", "GET", ":scheme", "http", ":path", "/", ":authority", "h"),
                     RG_H2_HEAD_MALFORMED);
    assert_int_equal(READ(PROTOCOL, ":method", "CONNECT", ":path", "/", ":authority", "h"), RG_H2_HEAD_MALFORMED);
    assert_int_equal(READ(PROTOCOL, ":method", "CONNECT", ":scheme", "http", ":authority", "h"), RG_H2_HEAD_MALFORMED);
    assert_int_equal(READ(PROTOCOL, ":method", "CONNECT", ":scheme", "http", ":path", "/"), RG_H2_HEAD_MALFORMED);
    assert_int_equal(READ(CONNECT), RG_H2_HEAD_MALFORMED); /* a plain one has no path */
}

static void what_a_websocket_needs(void **state)
{
    (void)state;
    struct rg_framing framing;
    READ(PROTOCOL, CONNECT);
    assert_int_equal(frame(false, &framing), RG_REASON_BAD_WEBSOCKET);
    READ(PROTOCOL, CONNECT, "sec-websocket-version", "8");
    assert_int_equal(frame(false, &framing), RG_REASON_BAD_WEBSOCKET);
    READ(PROTOCOL, CONNECT, VERSION, VERSION);
    assert_int_equal(frame(false, &framing), RG_REASON_BAD_WEBSOCKET);
    READ(PROTOCOL, CONNECT, VERSION, "content-length", "3");
    assert_int_equal(frame(false, &framing), RG_REASON_BODY_WITH_UPGRADE);
    assert_false(framing.websocket);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_websocket_becomes_a_get),
                                       cmocka_unit_test(without_protocol_nothing_changes),
                                       cmocka_unit_test(other_protocols_are_refused), cmocka_unit_test(malformed),
                                       cmocka_unit_test(what_a_websocket_needs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
