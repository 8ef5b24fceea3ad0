/* What the vectors in tests/conformance/h1 don't show: rules over all fields, and what is left as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/http/h1_test.h"

static struct h1_run run;

static enum rg_reason frame(const char *text)
{
    run.limits = H1_DEFAULT_LIMITS;
    h1_run_whole(&run, text, strlen(text));
    assert_int_not_equal(run.state, H1_HEAD_MORE);
    return run.state == H1_REFUSED ? run.reason : RG_REASON_NONE;
}

/* Each known field in Connection: refused if it must reach the origin, else noted as hop-by-hop. */
static void connection_may_name_hop_by_hop_fields_only(void **state)
{
    (void)state;
    for (unsigned i = 1; i < RG_FIELD_COUNT; i++) {
        enum rg_field_id id = (enum rg_field_id)i;
        char text[256];
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: x\r\nConnection: a, %s\r\n\r\n",
                 rg_field_id_name(id).ptr);
        enum rg_reason reason = frame(text);
        if (rg_field_flags(id) & RG_FIELD_IS_END) {
            assert_reason(reason, RG_REASON_BAD_CONNECTION_OPTION);
            continue;
        }
        assert_reason(reason, RG_REASON_NONE);
        assert_true(run.framing.listed_ids == UINT64_C(1) << i);
        assert_int_equal(run.framing.n_listed, 1);
    }
}

static void framing_fields_are_end_to_end(void **state)
{
    (void)state;
    static const enum rg_field_id ids[] = {RG_FIELD_HOST, RG_FIELD_CONTENT_LENGTH, RG_FIELD_TRANSFER_ENCODING,
                                           RG_FIELD_AUTHORIZATION, RG_FIELD_COOKIE};
    for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++)
        assert_true(rg_field_flags(ids[i]) & RG_FIELD_IS_END);
}

/* A result of another message is not left in the struct. */
static void all_is_reset(void **state)
{
    (void)state;
    assert_reason(frame("POST / HTTP/1.1\r\nHost: x\r\nConnection: close, foo, te\r\nContent-Length: 5\r\nExpect: "
                        "100-continue\r\n\r\n"
                        "hello"),
                  RG_REASON_NONE);
    assert_true(run.framing.expect_continue && !run.framing.persistent && run.framing.n_listed == 1);
    assert_reason(frame("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), RG_REASON_NONE);
    assert_false(run.framing.expect_continue || run.framing.has_length_field || run.framing.websocket);
    assert_true(run.framing.persistent);
    assert_int_equal(run.framing.kind, RG_BODY_NONE);
    assert_int_equal(run.framing.length, 0);
    assert_int_equal(run.framing.n_listed, 0);
    assert_int_equal(run.framing.host.len, 0);
}

/* Coded bodies stay between the client and us; that it takes trailers does not. */
static void te_passes_as_trailers(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        bool told;
    } cases[] = {
        {"TE: trailers\r\nConnection: TE\r\n", true},
        {"te: gzip;q=0.5 ,Trailers\r\nConnection: close, te\r\n", true},
        {"TE: deflate\r\nTE: trailers\r\nConnection: TE\r\n", true},
        {"TE: trailers\r\n", false},
        {"TE: deflate\r\nConnection: TE\r\n", false},
        {"TE: trailers2\r\nConnection: TE\r\n", false},
        {"Connection: TE\r\n", false},
        {"TE: trailers\r\nConnection: TE, upgrade\r\nUpgrade: x\r\n", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char text[256];
        for (int minor = 0; minor <= 1; minor++) {
            snprintf(text, sizeof(text), "GET / HTTP/1.%d\r\nHost: x\r\n%s\r\n", minor, cases[i].fields);
            assert_reason(frame(text), RG_REASON_NONE);
            assert_int_equal(run.framing.te_trailers, minor && cases[i].told);
        }
    }
}

static void credentials_of_a_connection(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        bool binds;
    } cases[] = {
        {"Authorization: NTLM TlRM\r\n", true},
        {"authorization: nEGOTIATE YII\r\n", true},
        {"Authorization: Negotiate\r\n", true},
        {"Proxy-Authorization: NTLM TlRM\r\n", true},
        {"Authorization: NTLM x\r\nAuthorization: Basic x\r\n", true},
        {"Authorization: Basic TlRMTQ==\r\n", false},
        {"Authorization: NTLMv2 x\r\n", false},
        {"Authorization: N\r\n", false},
        {"Authorization:\r\n", false},
        {"X-Authorization: NTLM x\r\n", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char text[256];
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", cases[i].fields);
        assert_reason(frame(text), RG_REASON_NONE);
        assert_int_equal(run.framing.binds_connection, cases[i].binds);
    }
}

/* Of two things that are wrong, the one that says most about the attack is counted. */
static void order_of_the_checks(void **state)
{
    (void)state;
    assert_reason(frame("POST / HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
                  RG_REASON_LENGTH_AND_CODING);
    assert_reason(frame("POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n"), RG_REASON_CODING_IN_HTTP10);
    assert_reason(frame("POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"), RG_REASON_NO_HOST);
    assert_reason(frame("POST / HTTP/1.1\r\nHost: x\r\nConnection: content-length\r\nContent-Length: x\r\n\r\n"),
                  RG_REASON_BAD_CONTENT_LENGTH);
}

static void the_body_limit(void **state)
{
    (void)state;
    run.framing_options.body_bytes = 4;
    assert_reason(frame("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"), RG_REASON_BODY_TOO_LARGE);
    assert_reason(frame("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"), RG_REASON_NONE);
    assert_reason(frame("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n"), RG_REASON_BAD_CONTENT_LENGTH);
    run.framing_options.body_bytes = 0;
}

static void the_last_hop(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        bool ends_here;
    } rows[] = {
        {"", false},
        {"Max-Forwards: 0\r\n", true},
        {"Max-Forwards:\t00 \r\n", true},
        {"Max-Forwards: 1\r\n", false},
        {"Max-Forwards: 01\r\n", false},
        {"Max-Forwards: 10\r\n", false},
        {"Max-Forwards: \r\n", false},
        {"Max-Forwards: -0\r\n", false},
        {"Max-Forwards: 5\r\nMax-Forwards: 0\r\n", true},
        {"Max-Forwards: 0\r\nMax-Forwards: 5\r\n", true},
    };
    static const char *const methods[] = {"OPTIONS", "TRACE", "GET", "POST"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        for (size_t m = 0; m < sizeof(methods) / sizeof(*methods); m++) {
            char text[128];
            snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: x\r\n%s\r\n", methods[m], rows[i].fields);
            assert_reason(frame(text), RG_REASON_NONE);
            assert_int_equal(run.framing.ends_here, rows[i].ends_here && m < 2);
        }
    }
}

/* The record of a refused CONNECT says where it wanted to go. */
static void connect_is_refused_with_its_host(void **state)
{
    (void)state;
    assert_reason(frame("CONNECT example.com:443 HTTP/1.1\r\nHost: other\r\n\r\n"), RG_REASON_CONNECT_REFUSED);
    assert_true(rg_str_eq(run.framing.host, RG_STR("example.com:443")));
}

/* A response has a body or not by method and status; its fields are checked either way. */
static void responses_by_method_and_status(void **state)
{
    (void)state;
    static const uint16_t statuses[] = {100, 103, 199, 200, 204, 206, 304, 404, 500, 999};
    for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++) {
        for (unsigned method = RG_METHOD_OTHER; method < RG_METHOD_CONNECT; method++) {
            char text[128];
            unsigned status = statuses[i];
            bool has_none = status < 200 || status == 204 || status == 304 || method == RG_METHOD_HEAD;
            run.is_response = true;
            run.request_method = (enum rg_method)method;
            snprintf(text, sizeof(text), "HTTP/1.1 %u X\r\nContent-Length: 3\r\n\r\nabc", status);
            assert_reason(frame(text), RG_REASON_NONE);
            assert_int_equal(run.framing.kind, has_none ? RG_BODY_NONE : RG_BODY_LENGTH);
            assert_int_equal(run.framing.has_length_field, status >= 200 && status != 204);
            assert_true(run.framing.persistent);
            snprintf(text, sizeof(text), "HTTP/1.1 %u X\r\n\r\nabc", status);
            assert_reason(frame(text), RG_REASON_NONE);
            assert_int_equal(run.framing.kind, has_none ? RG_BODY_NONE : RG_BODY_EOF);
            assert_int_equal(run.framing.persistent, has_none);
            snprintf(text, sizeof(text), "HTTP/1.1 %u X\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", status);
            assert_reason(frame(text), RG_REASON_REPLICA_FRAMING);
        }
    }
    run.is_response = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connection_may_name_hop_by_hop_fields_only),
        cmocka_unit_test(framing_fields_are_end_to_end),
        cmocka_unit_test(all_is_reset),
        cmocka_unit_test(te_passes_as_trailers),
        cmocka_unit_test(credentials_of_a_connection),
        cmocka_unit_test(order_of_the_checks),
        cmocka_unit_test(the_body_limit),
        cmocka_unit_test(the_last_hop),
        cmocka_unit_test(connect_is_refused_with_its_host),
        cmocka_unit_test(responses_by_method_and_status),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    h1_run_fini(&run);
    return failed;
}
