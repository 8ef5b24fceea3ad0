/* The proof of a WebSocket handshake: RFC 6455's own example, and answers that prove nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "datapath/http/ws_key.h"

#define KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define FIELD  "Sec-WebSocket-Accept: "

static bool is_accepted(const char *lines)
{
    static const struct rg_h1_limits limits = {
        .head_bytes = 8192, .field_bytes = 8192, .target_bytes = 8192, .fields = RG_H1_FIELDS_MAX};
    static struct rg_field fields[RG_H1_FIELDS_MAX];
    struct rg_h1_resume resume = {0};
    struct rg_h1_response res;
    enum rg_reason reason = RG_REASON_NONE;
    char text[512];
    int n = snprintf(text, sizeof text, "HTTP/1.1 101 Switching Protocols\r\n%s\r\n", lines);
    assert_int_equal(rg_h1_parse_response(&resume, text, (size_t)n, &limits, fields, &res, &reason), n);
    return rg_ws_is_accepted(&res, RG_STR(KEY));
}

static void a_key_is_a_nonce_in_base64(void **state)
{
    (void)state;
    char key[RG_WS_KEY_LEN + 1];
    rg_ws_key_of((const uint8_t *)"the sample nonce", key);
    assert_string_equal(key, KEY);
}

static void what_follows_from_a_key(void **state)
{
    (void)state;
    char accept[RG_WS_ACCEPT_LEN + 1];
    assert_true(rg_ws_accept_of(RG_STR(KEY), accept));
    assert_string_equal(accept, ACCEPT);
}

static void one_right_answer(void **state)
{
    (void)state;
    assert_true(is_accepted("X: y\r\n" FIELD ACCEPT "\r\n"));
    assert_true(is_accepted("sec-websocket-accept:  " ACCEPT " \r\n"));
    assert_false(is_accepted("X: y\r\n"));
    assert_false(is_accepted(FIELD "\r\n"));
    assert_false(is_accepted(FIELD KEY "\r\n"));
    assert_false(is_accepted(FIELD ACCEPT "=\r\n"));
    assert_false(is_accepted(FIELD "S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert_false(is_accepted(FIELD ACCEPT "\r\n" FIELD ACCEPT "\r\n"));
    assert_false(is_accepted(FIELD ACCEPT ", " ACCEPT "\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_key_is_a_nonce_in_base64),
                                       cmocka_unit_test(what_follows_from_a_key), cmocka_unit_test(one_right_answer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
