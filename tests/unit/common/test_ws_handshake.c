/* The handshake of a WebSocket: keys, what a client writes, and what it takes for an answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "control/common/ws.h"

static void keys_are_answered_as_the_rfc_says(void **state)
{
    (void)state;
    char accept[RG_WS_ACCEPT_LEN + 1], key[RG_WS_KEY_LEN + 1], other[RG_WS_KEY_LEN + 1];
    rg_ws_accept_of(RG_STR("dGhlIHNhbXBsZSBub25jZQ=="), accept); /* 1.3 */
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    rg_ws_new_key(key);
    rg_ws_new_key(other);
    assert_int_equal(strlen(key), RG_WS_KEY_LEN);
    assert_string_equal(key + 22, "==");
    assert_string_not_equal(key, other);
}

static void requests_are_written(void **state)
{
    (void)state;
    char text[512];
    int n = rg_ws_write_request(text, sizeof(text), "h:1", "/x?y", "dGhlIHNhbXBsZSBub25jZQ==", "api-key: k\r\n");
    assert_int_equal(n, strlen(text));
    assert_string_equal(text, "GET /x?y HTTP/1.1\r\nHost: h:1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                              "api-key: k\r\n\r\n");
    assert_int_equal(rg_ws_write_request(text, (size_t)n, "h:1", "/x?y", "dGhlIHNhbXBsZSBub25jZQ==", "api-key: k\r\n"),
                     -1);
}

#define SWITCH "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

static void answers_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wrong; /* wrong NULL: accepted */
        unsigned status;
    } answers[] = {
        {SWITCH ACCEPT "\r\n", NULL, 101},
        {"HTTP/1.1 103 Early Hints\r\n\r\n" SWITCH ACCEPT "\r\n", NULL, 101},
        {SWITCH "\r\n", "the server's Sec-WebSocket-Accept does not match the key", 101},
        {SWITCH ACCEPT ACCEPT "\r\n", "the server's Sec-WebSocket-Accept does not match the key", 101},
        {SWITCH "Sec-WebSocket-Accept: x3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
         "the server's Sec-WebSocket-Accept does not match the key", 101},
        {"HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n" ACCEPT "\r\n",
         "the server switches to another protocol than was asked for", 101},
        {"HTTP/1.1 101 X\r\nUpgrade: websocket\r\n" ACCEPT "\r\n",
         "the server switches to another protocol than was asked for", 101},
        {SWITCH ACCEPT "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
         "the server uses an extension that was not asked for", 101},
        {SWITCH ACCEPT "Sec-WebSocket-Protocol: x\r\n\r\n", "the server uses a subprotocol that was not asked for",
         101},
        {"HTTP/1.1 200 OK\r\n" ACCEPT "\r\n", "the server does not switch to a WebSocket", 200},
        {"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n", "the server does not switch to a WebSocket", 401},
        {"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n\r\n", "the server does not switch to a WebSocket", 429},
    };
    struct rg_ws_answer answer;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        char text[1024];
        int n = snprintf(text, sizeof(text), "%sBODY", answers[i].text);
        for (int cut = 0; cut < n - 4; cut++)
            if (rg_ws_read_answer(text, (size_t)cut, "dGhlIHNhbXBsZSBub25jZQ==", &answer) != 0)
                fail_msg("answer %zu cut at %d", i, cut);
        assert_int_equal(rg_ws_read_answer(text, (size_t)n, "dGhlIHNhbXBsZSBub25jZQ==", &answer), n - 4);
        assert_int_equal(answer.status, answers[i].status);
        assert_int_equal(answer.accepted, answers[i].wrong == NULL);
        if (answers[i].wrong)
            assert_string_equal(answer.wrong, answers[i].wrong);
        if (answers[i].status == 429)
            assert_true(rg_str_eq(answer.retry_after, RG_STR("7")));
    }
    assert_int_equal(rg_ws_read_answer("SSH-2.0-x\r\n", 11, "dGhlIHNhbXBsZSBub25jZQ==", &answer), -1);
    assert_string_equal(answer.wrong, "the server's answer is not HTTP");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_answered_as_the_rfc_says),
        cmocka_unit_test(requests_are_written),
        cmocka_unit_test(answers_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
