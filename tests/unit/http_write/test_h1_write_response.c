/* Response heads for the client, byte for byte: the replica's rewritten, and the gateway's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "heads.h"

#define NOW  "Sat, 21 Nov 2026 05:29:55 GMT"
#define THEN "Fri, 20 Nov 2026 01:02:03 GMT"

static struct rg_framing framing;
static struct rg_response_options options;
static struct head head;
static char out[8192];

static int setup(void **state)
{
    (void)state;
    framing = (struct rg_framing){.kind = RG_BODY_LENGTH, .has_length_field = true, .length = 5};
    options = (struct rg_response_options){.keep_alive = true};
    return 0;
}

static void check(const char *in, const char *want)
{
    struct rg_h1_response res = response_of(&head, in);
    int32_t n = rg_h1_write_response(out, sizeof(out), &res, &framing, &options, RG_STR(NOW));
    assert_text(out, n, want);
}

static void plain_response(void **state)
{
    (void)state;
    check("HTTP/1.1 200 Fine, thanks\r\nServer: nginx\r\nDate: " THEN "\r\nContent-Length: 5\r\nETag: x\r\n\r\n",
          "HTTP/1.1 200 Fine, thanks\r\nServer: nginx\r\nDate: " THEN "\r\nETag: x\r\nContent-Length: 5\r\n"
          "Via: 1.1 ringgate\r\n\r\n");
}

static void version_and_missing_date(void **state)
{
    (void)state;
    check("HTTP/1.0 599 \r\nContent-Length: 5\r\nA: 1\r\n\r\n",
          "HTTP/1.1 599 \r\nA: 1\r\nContent-Length: 5\r\nDate: " NOW "\r\nVia: 1.0 ringgate\r\n\r\n");
}

static void hop_by_hop_fields_go(void **state)
{
    (void)state;
    framing.n_listed = 1;
    framing.listed[0] = RG_STR("X-Hop");
    framing.listed_ids = 1ull << RG_FIELD_DATE;
    check("HTTP/1.1 200 OK\r\nConnection: x-hop, date, keep-alive\r\nA: 1\r\nKeep-Alive: timeout=5\r\nX-HOP: 1\r\n"
          "Date: " THEN "\r\nTrailer: x\r\nUpgrade: h2c\r\nx-ringgate-b: stays\r\nContent-Length: 5\r\n\r\n",
          "HTTP/1.1 200 OK\r\nA: 1\r\nTrailer: x\r\nx-ringgate-b: stays\r\nContent-Length: 5\r\nDate: " NOW
          "\r\nVia: 1.1 ringgate\r\n\r\n");
}

static void connection_as_the_client_needs_it(void **state)
{
    (void)state;
    const char *in = "HTTP/1.1 200 OK\r\nDate: " THEN "\r\nConnection: close\r\nContent-Length: 5\r\n\r\n";
#define WANT(connection) \
    "HTTP/1.1 200 OK\r\nDate: " THEN "\r\nContent-Length: 5\r\n" connection "Via: 1.1 ringgate\r\n\r\n"
    check(in, WANT(""));
    options.client_http10 = true;
    check(in, WANT("Connection: keep-alive\r\n"));
    options.keep_alive = false;
    check(in, WANT("Connection: close\r\n"));
    options.client_http10 = false;
    check(in, WANT("Connection: close\r\n"));
#undef WANT
}

static void chunked_and_eof(void **state)
{
    (void)state;
    framing = (struct rg_framing){.kind = RG_BODY_CHUNKED};
    options.chunked = true;
    const char *in = "HTTP/1.1 200 OK\r\nDate: " THEN "\r\nTransfer-Encoding: chunked\r\n\r\n";
    const char *chunked =
        "HTTP/1.1 200 OK\r\nDate: " THEN "\r\nTransfer-Encoding: chunked\r\nVia: 1.1 ringgate\r\n\r\n";
    check(in, chunked);

    options.client_http10 = true; /* never, whatever the caller says */
    options.keep_alive = false;
    check(in, "HTTP/1.1 200 OK\r\nDate: " THEN "\r\nConnection: close\r\nVia: 1.1 ringgate\r\n\r\n");

    options = (struct rg_response_options){.keep_alive = true, .eof_to_chunked = true};
    framing.kind = RG_BODY_EOF;
    check("HTTP/1.1 200 OK\r\nDate: " THEN "\r\n\r\n", chunked);

    options = (struct rg_response_options){.keep_alive = false};
    check("HTTP/1.1 200 OK\r\nDate: " THEN "\r\n\r\n",
          "HTTP/1.1 200 OK\r\nDate: " THEN "\r\nConnection: close\r\nVia: 1.1 ringgate\r\n\r\n");
}

static void responses_without_a_body(void **state)
{
    (void)state;
    framing.kind = RG_BODY_NONE; /* to HEAD, or 304: the length that a GET would have */
    framing.length = 1234;
    check("HTTP/1.1 304 Not Modified\r\nDate: " THEN "\r\nContent-Length: 1234\r\n\r\n",
          "HTTP/1.1 304 Not Modified\r\nDate: " THEN "\r\nContent-Length: 1234\r\nVia: 1.1 ringgate\r\n\r\n");
    options.chunked = true; /* must not leak into a 204 */
    check("HTTP/1.1 204 No Content\r\nDate: " THEN "\r\nContent-Length: 1234\r\n\r\n",
          "HTTP/1.1 204 No Content\r\nDate: " THEN "\r\nVia: 1.1 ringgate\r\n\r\n");
}

static void interim_responses(void **state)
{
    (void)state;
    framing = (struct rg_framing){.kind = RG_BODY_NONE};
    options = (struct rg_response_options){.keep_alive = false, .request_id = RG_STR("id-1")};
    check("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nTransfer-Encoding: chunked\r\n\r\n",
          "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nVia: 1.1 ringgate\r\n\r\n");
    check("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\nVia: 1.1 ringgate\r\n\r\n");
}

static void switching_protocols(void **state)
{
    (void)state;
    framing = (struct rg_framing){.websocket = true, .listed_ids = 1ull << RG_FIELD_UPGRADE};
    options.request_id = RG_STR("id-1");
    check("HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
          "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n"
          "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nConnection: upgrade\r\n"
          "Via: 1.1 ringgate\r\nX-Request-Id: id-1\r\n\r\n");
}

static void request_id_is_ours_when_given(void **state)
{
    (void)state;
    const char *in = "HTTP/1.1 200 OK\r\nX-Request-ID: replica\r\nDate: " THEN "\r\nVia: 1.1 app\r\n\r\n";
    check(in, "HTTP/1.1 200 OK\r\nX-Request-ID: replica\r\nDate: " THEN
              "\r\nContent-Length: 5\r\nVia: 1.1 app, 1.1 ringgate\r\n\r\n");
    options.request_id = RG_STR("id-1");
    check(in, "HTTP/1.1 200 OK\r\nDate: " THEN
              "\r\nContent-Length: 5\r\nVia: 1.1 app, 1.1 ringgate\r\nX-Request-Id: id-1\r\n\r\n");
}

/* ---- The gateway's own ---- */

static void check_own(const struct rg_own_response *r, const char *want)
{
    int32_t n = rg_h1_write_own_response(out, sizeof(out), r, RG_STR(NOW));
    assert_text(out, n, want);
}

static void own_refusal(void **state)
{
    (void)state;
    struct rg_own_response r = {.status = 503,
                                .content_type = RG_STR("application/json"),
                                .body = RG_STR("{}\n"),
                                .retry_after = 1,
                                .request_id = RG_STR("id-1")};
#define HEAD                                                                                                       \
    "HTTP/1.1 503 Service Unavailable\r\nDate: " NOW "\r\nContent-Type: application/json\r\nContent-Length: 3\r\n" \
    "Cache-Control: no-store\r\nRetry-After: 1\r\n"
    check_own(&r, HEAD "Connection: close\r\nX-Request-Id: id-1\r\n\r\n{}\n");
    r.head_only = true;
    check_own(&r, HEAD "Connection: close\r\nX-Request-Id: id-1\r\n\r\n");
    r.keep_alive = true;
    check_own(&r, HEAD "X-Request-Id: id-1\r\n\r\n");
    r.client_http10 = true;
    check_own(&r, HEAD "Connection: keep-alive\r\nX-Request-Id: id-1\r\n\r\n");
#undef HEAD
}

static void own_without_body(void **state)
{
    (void)state;
    check_own(&(struct rg_own_response){.status = 204, .keep_alive = true},
              "HTTP/1.1 204 No Content\r\nDate: " NOW "\r\nCache-Control: no-store\r\n\r\n");
    check_own(&(struct rg_own_response){.status = 503, .keep_alive = true},
              "HTTP/1.1 503 Service Unavailable\r\nDate: " NOW
              "\r\nContent-Length: 0\r\nCache-Control: no-store\r\n\r\n");
    check_own(&(struct rg_own_response){.status = 100}, "HTTP/1.1 100 Continue\r\n\r\n");
    check_own(&(struct rg_own_response){.status = 599, .keep_alive = true},
              "HTTP/1.1 599 \r\nDate: " NOW "\r\nContent-Length: 0\r\nCache-Control: no-store\r\n\r\n");
}

static void refusal_body(void **state)
{
    (void)state;
    int32_t n = rg_h1_write_refusal_body(out, sizeof(out), RG_REASON_REPLICA_DOWN, RG_STR("id-1"));
    assert_text(
        out, n,
        "{\"status\":503,\"reason\":\"replica-down\",\"message\":\"The service is not available at the moment.\","
        "\"request_id\":\"id-1\"}\n");
    n = rg_h1_write_refusal_body(out, sizeof(out), RG_REASON_BAD_METHOD, RG_STR("a\"\\\x01\n"));
    assert_text(
        out, n,
        "{\"status\":400,\"reason\":\"bad-method\",\"message\":\"The method is not a token, is too long, or is a "
        "standard method in the wrong case.\",\"request_id\":\"a\\\"\\\\\\u0001\\u000a\"}\n");
    n = rg_h1_write_refusal_body(out, sizeof(out), RG_REASON_NO_HOST, RG_STR_NONE);
    assert_text(out, n, "{\"status\":400,\"reason\":\"no-host\",\"message\":\"The request has no Host field.\"}\n");
    assert_int_equal(rg_h1_write_refusal_body(out, (size_t)n - 1, RG_REASON_NO_HOST, RG_STR_NONE), -1);
    assert_int_equal(rg_h1_write_refusal_body(out, (size_t)n, RG_REASON_NO_HOST, RG_STR_NONE), n);
}

/* Whatever refuses a request has a status that clients can read. */
static void every_refusal_has_a_phrase(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RG_REASON_COUNT; i++) {
        uint16_t status = rg_reason_info((enum rg_reason)i)->status;
        if (status != 0)
            assert_true(rg_status_phrase(status).len > 0);
    }
    assert_true(rg_str_eq(rg_status_phrase(200), RG_STR("OK")));
    assert_int_equal(rg_status_phrase(104).len, 0);
    assert_int_equal(rg_status_phrase(600).len, 0);
    assert_int_equal(rg_status_phrase(65535).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(plain_response, setup),
        cmocka_unit_test_setup(version_and_missing_date, setup),
        cmocka_unit_test_setup(hop_by_hop_fields_go, setup),
        cmocka_unit_test_setup(connection_as_the_client_needs_it, setup),
        cmocka_unit_test_setup(chunked_and_eof, setup),
        cmocka_unit_test_setup(responses_without_a_body, setup),
        cmocka_unit_test_setup(interim_responses, setup),
        cmocka_unit_test_setup(switching_protocols, setup),
        cmocka_unit_test_setup(request_id_is_ours_when_given, setup),
        cmocka_unit_test_setup(own_refusal, setup),
        cmocka_unit_test_setup(own_without_body, setup),
        cmocka_unit_test_setup(refusal_body, setup),
        cmocka_unit_test_setup(every_refusal_has_a_phrase, setup),
    };
    return cmocka_run_group_tests_name("h1_write_response", tests, NULL, NULL);
}
