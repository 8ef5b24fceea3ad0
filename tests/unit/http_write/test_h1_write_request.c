/* The request head for the replica, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "heads.h"

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

/* What every request of an untrusted IPv4 peer gets behind its own fields, when its host is example.com. */
#define FORWARDED_BY_US                                                                          \
    "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: example.com\r\nX-Forwarded-Proto: http\r\n" \
    "X-Forwarded-Port: 80\r\nX-Real-IP: 192.0.2.7\r\nForwarded: for=192.0.2.7;host=example.com;proto=http\r\n"
#define IDS   "X-Request-Id: id-1\r\ntraceparent: " TRACE "\r\n"
#define AFTER FORWARDED_BY_US "Via: 1.1 ringgate\r\n" IDS "\r\n"

static struct rg_peer_text peer;
static struct rg_forward forward;
static struct rg_framing framing;
static struct head head;
static char out[8192];

static void set_peer(const char *ip, bool is_ipv6, bool trusted)
{
    peer = (struct rg_peer_text){.is_ipv6 = is_ipv6, .trusted = trusted, .ip_len = (uint8_t)strlen(ip)};
    memcpy(peer.ip, ip, strlen(ip));
}

static int setup(void **state)
{
    (void)state;
    set_peer("192.0.2.7", false, false);
    framing = (struct rg_framing){.persistent = true, .host = RG_STR("example.com")};
    forward = (struct rg_forward){.peer = &peer,
                                  .scheme = RG_STR("http"),
                                  .listener_port = 80,
                                  .path = RG_STR("/"),
                                  .replica_host = RG_STR("replica.local"),
                                  .request_id = "id-1",
                                  .request_id_len = 4};
    memcpy(forward.traceparent, TRACE, RG_TRACEPARENT_LEN);
    return 0;
}

static void check(const char *in, const char *want)
{
    struct rg_h1_request req = request_of(&head, in);
    int32_t n = rg_h1_write_request(out, sizeof(out), &req, &framing, &forward);
    assert_text(out, n, want);
}

static void plain_get(void **state)
{
    (void)state;
    check("GET / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: curl/8\r\nAccept: */*\r\n" AFTER);
}

static void target_is_the_normal_path_and_the_query(void **state)
{
    (void)state;
    forward.path = RG_STR("/b");
    check("GET /a/%2e%2e/b?x=1&y=%41 HTTP/1.1\r\nHost: example.com\r\n\r\n",
          "GET /b?x=1&y=%41 HTTP/1.1\r\nHost: example.com\r\n" AFTER);
    check("GET http://example.com/b HTTP/1.1\r\nHost: example.com\r\n\r\n",
          "GET /b HTTP/1.1\r\nHost: example.com\r\n" AFTER);
}

static void asterisk_form(void **state)
{
    (void)state;
    check("OPTIONS * HTTP/1.1\r\nHost: example.com\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: example.com\r\n" AFTER);
    check("OPTIONS http://example.com HTTP/1.1\r\nHost: example.com\r\n\r\n",
          "OPTIONS * HTTP/1.1\r\nHost: example.com\r\n" AFTER);
    check("OPTIONS http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n",
          "OPTIONS / HTTP/1.1\r\nHost: example.com\r\n" AFTER);
    check("GET http://example.com HTTP/1.1\r\nHost: example.com\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: example.com\r\n" AFTER);
    check("OPTIONS http://example.com?q HTTP/1.1\r\nHost: example.com\r\n\r\n",
          "OPTIONS /?q HTTP/1.1\r\nHost: example.com\r\n" AFTER);
}

static void http10_without_host(void **state)
{
    (void)state;
    framing.host = RG_STR_NONE;
    check("GET / HTTP/1.0\r\nUser-Agent: x\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: replica.local\r\nUser-Agent: x\r\n"
          "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 80\r\nX-Real-IP: 192.0.2.7\r\n"
          "Forwarded: for=192.0.2.7;proto=http\r\nVia: 1.0 ringgate\r\n" IDS "\r\n");
}

static void hop_by_hop_fields_go(void **state)
{
    (void)state;
    framing.n_listed = 2;
    framing.listed[0] = RG_STR("X-Private");
    framing.listed[1] = RG_STR("close");
    framing.listed_ids = 1ull << RG_FIELD_REFERER | 1ull << RG_FIELD_VIA;
    check("GET / HTTP/1.1\r\nConnection: x-private, close, referer, via\r\nHost: example.com\r\nKeep-Alive: 5\r\n"
          "A: 1\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nB: 2\r\nTrailer: x\r\nUpgrade: h2c\r\n"
          "HTTP2-Settings: AAMAAABkAAQAAP__\r\nx-PRIVATE: 1\r\nReferer: r\r\nVia: 1.1 other\r\n"
          "Sec-WebSocket-Key: bad\r\nSec-WebSocket-Version: 13\r\nProxy-Authorization: Basic eA==\r\nC: 3\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: example.com\r\nA: 1\r\nB: 2\r\nTrailer: x\r\nProxy-Authorization: Basic eA==\r\n"
          "C: 3\r\n" AFTER);
}

static void framing_as_decided(void **state)
{
    (void)state;
    framing.kind = RG_BODY_LENGTH;
    framing.has_length_field = true;
    framing.length = 18446744073709551615u;
    check("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 18446744073709551615\r\nA: 1\r\n\r\n",
          "POST / HTTP/1.1\r\nHost: example.com\r\nA: 1\r\nContent-Length: 18446744073709551615\r\n" AFTER);
    framing.kind = RG_BODY_NONE;
    framing.length = 0;
    check("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\n\r\n",
          "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\n" AFTER);
    framing.has_length_field = false;
    framing.kind = RG_BODY_CHUNKED;
    framing.expect_continue = true;
    check("POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
          "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n" AFTER);
    framing.kind = RG_BODY_NONE;
    framing.expect_continue = false; /* as for HTTP/1.0 */
    check("POST / HTTP/1.1\r\nHost: example.com\r\nExpect: 100-continue\r\n\r\n",
          "POST / HTTP/1.1\r\nHost: example.com\r\n" AFTER);
}

static void websocket_asks_on(void **state)
{
    (void)state;
    framing.websocket = true;
    framing.listed_ids = 1ull << RG_FIELD_UPGRADE;
    check("GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n"
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: example.com\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
          "Sec-WebSocket-Version: 13\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" AFTER);
}

#define CLAIMS                                                                                                         \
    "X-Forwarded-For: 10.0.0.1\r\nX-FORWARDED-FOR: 10.0.0.2\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Proto: https\r\n" \
    "X-Forwarded-Port: 444\r\nX-Real-IP: 10.0.0.3\r\nForwarded: for=10.0.0.4\r\n"
#define INTERNAL "x-ringgate-admin: 1\r\nX-WSO2-Internal-User: root\r\nX-Ringgates: stays\r\n"

static void a_strangers_claims_are_replaced(void **state)
{
    (void)state;
    check("GET / HTTP/1.1\r\nHost: example.com\r\n" CLAIMS INTERNAL "X-Request-Id: theirs\r\ntraceparent: bad\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: example.com\r\nX-Ringgates: stays\r\n" AFTER);
}

static void a_trusted_peers_claims_are_extended(void **state)
{
    (void)state;
    set_peer("192.0.2.7", false, true);
    check("GET / HTTP/1.1\r\nHost: example.com\r\n" CLAIMS INTERNAL "\r\n",
          "GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Proto: https\r\n"
          "X-Forwarded-Port: 444\r\nX-Real-IP: 10.0.0.3\r\n" INTERNAL
          "X-Forwarded-For: 10.0.0.1, 10.0.0.2, 192.0.2.7\r\n"
          "Forwarded: for=10.0.0.4, for=192.0.2.7;host=example.com;proto=http\r\nVia: 1.1 ringgate\r\n" IDS "\r\n");
    check("GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For:\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: example.com\r\n" AFTER); /* says nothing: ours alone */
}

static void forwarded_quotes_what_is_no_token(void **state)
{
    (void)state;
    set_peer("2001:db8::1", true, false);
    framing.host = RG_STR("example.com:8443");
    forward.scheme = RG_STR("https");
    forward.listener_port = 8443;
    check("GET / HTTP/1.1\r\nHost: example.com:8443\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: example.com:8443\r\nX-Forwarded-For: 2001:db8::1\r\n"
          "X-Forwarded-Host: example.com:8443\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 8443\r\n"
          "X-Real-IP: 2001:db8::1\r\nForwarded: for=\"[2001:db8::1]\";host=\"example.com:8443\";proto=https\r\n"
          "Via: 1.1 ringgate\r\n" IDS "\r\n");
    set_peer("", false, false); /* a UNIX socket */
    forward.listener_port = 0;
    framing.host = RG_STR("a\"b\\c");
    check("GET / HTTP/1.1\r\nHost: x\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: a\"b\\c\r\nX-Forwarded-Host: a\"b\\c\r\nX-Forwarded-Proto: https\r\n"
          "Forwarded: for=unknown;host=\"a\\\"b\\\\c\";proto=https\r\nVia: 1.1 ringgate\r\n" IDS "\r\n");
}

static void via_is_extended(void **state)
{
    (void)state;
    check("GET / HTTP/1.1\r\nVia: 1.0 fred\r\nHost: example.com\r\nvia: 1.1 p.example.net\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: example.com\r\n" FORWARDED_BY_US
          "Via: 1.0 fred, 1.1 p.example.net, 1.1 ringgate\r\n" IDS "\r\n");
}

static void tracestate_lives_with_its_traceparent(void **state)
{
    (void)state;
    const char *in = "GET / HTTP/1.1\r\nHost: example.com\r\nTracestate: a=1\r\nA: 1\r\n\r\n";
    forward.traceparent_is_new = true;
    check(in, "GET / HTTP/1.1\r\nHost: example.com\r\nA: 1\r\n" AFTER);
    forward.traceparent_is_new = false;
    check(in, "GET / HTTP/1.1\r\nHost: example.com\r\nTracestate: a=1\r\nA: 1\r\n" AFTER);
}

static void max_forwards_counts_down_for_options_and_trace(void **state)
{
    (void)state;
#define WITH(method, hops) method " / HTTP/1.1\r\nHost: example.com\r\nMax-Forwards: " hops "\r\n\r\n"
#define WANT(method, hops)                                                                                          \
    method " / HTTP/1.1\r\nHost: example.com\r\n" FORWARDED_BY_US "Via: 1.1 ringgate\r\n" IDS "Max-Forwards: " hops \
           "\r\n\r\n"
    check(WITH("OPTIONS", "10"), WANT("OPTIONS", "9"));
    check(WITH("TRACE", "1"), WANT("TRACE", "0"));
    check(WITH("TRACE", "x"), WANT("TRACE", "x"));
    check(WITH("TRACE", "99999999999999999999"), WANT("TRACE", "999999999"));
    check(WITH("GET", "3"), "GET / HTTP/1.1\r\nHost: example.com\r\nMax-Forwards: 3\r\n" AFTER);
}

static void lines_are_copied_as_they_are(void **state)
{
    (void)state;
    check("GET / HTTP/1.1\r\nHost: example.com\r\nA:1\r\nB: \t 2 \t\r\nEmpty:\r\nBlank:  \t\r\nC: \xc3\xa4\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: example.com\r\nA:1\r\nB: \t 2 \t\r\nEmpty:\r\nBlank:  \t\r\nC: \xc3\xa4\r\n" AFTER);
}

/* With underscores allowed, a server that makes variables of fields must not take one for another. */
static void lookalikes_go(void **state)
{
    (void)state;
    const char *in =
        "GET / HTTP/1.1\r\nHost: example.com\r\nContent_Length: 5\r\nA_B: 1\r\nX_Forwarded_For: 1\r\n"
        "Content.Length: 5\r\nA.B: 1\r\nTransfer~Encoding: chunked\r\nX-Forwarded_For: 1\r\nX_Ringgate_A: 1\r\n"
        "X_Ringgate_A_name_that_is_longer_than_any_known_field: 1\r\nX_real_ip: 1\r\nUser_Agent: stays\r\n"
        "Content_Length_and_more_than_32_bytes_of_name: stays\r\n\r\n";
    const char *want = "GET / HTTP/1.1\r\nHost: example.com\r\nA_B: 1\r\nA.B: 1\r\nUser_Agent: stays\r\n"
                       "Content_Length_and_more_than_32_bytes_of_name: stays\r\n" AFTER;
    check(in, want);
    set_peer("192.0.2.7", false, true);
    check(in, want); /* whoever sends them */
}

/* A parser that leaves a line out (names with an underscore) must not bring it back through a run. */
static void lines_that_are_not_consecutive(void **state)
{
    (void)state;
    struct rg_h1_request req =
        request_of(&head, "GET / HTTP/1.1\r\nHost: example.com\r\nA: 1\r\nContent_Length: 5\r\nB: 2\r\nC_D: 1\r\n\r\n");
    head.fields[2] = head.fields[3];
    req.n_fields = 3;
    int32_t n = rg_h1_write_request(out, sizeof(out), &req, &framing, &forward);
    assert_text(out, n, "GET / HTTP/1.1\r\nHost: example.com\r\nA: 1\r\nB: 2\r\n" AFTER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(plain_get, setup),
        cmocka_unit_test_setup(target_is_the_normal_path_and_the_query, setup),
        cmocka_unit_test_setup(asterisk_form, setup),
        cmocka_unit_test_setup(http10_without_host, setup),
        cmocka_unit_test_setup(hop_by_hop_fields_go, setup),
        cmocka_unit_test_setup(framing_as_decided, setup),
        cmocka_unit_test_setup(websocket_asks_on, setup),
        cmocka_unit_test_setup(a_strangers_claims_are_replaced, setup),
        cmocka_unit_test_setup(a_trusted_peers_claims_are_extended, setup),
        cmocka_unit_test_setup(forwarded_quotes_what_is_no_token, setup),
        cmocka_unit_test_setup(via_is_extended, setup),
        cmocka_unit_test_setup(tracestate_lives_with_its_traceparent, setup),
        cmocka_unit_test_setup(max_forwards_counts_down_for_options_and_trace, setup),
        cmocka_unit_test_setup(lines_are_copied_as_they_are, setup),
        cmocka_unit_test_setup(lookalikes_go, setup),
        cmocka_unit_test_setup(lines_that_are_not_consecutive, setup),
    };
    return cmocka_run_group_tests_name("h1_write_request", tests, NULL, NULL);
}
