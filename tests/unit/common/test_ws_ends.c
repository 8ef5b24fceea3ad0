/* WebSocket connections, both roles: limits, the end from our side, and callbacks that bring it about. */
#include "ws_fixture.h"

static void messages_are_limited(void **state)
{
    (void)state;
    static const struct rg_ws_limits limits = {.message_bytes = 10};
    char output[512];
    begin(RG_WS_SERVER, &limits, &all);
    put_frame(FIN | 1, true, P("0123456789"));
    put_frame(1, true, P("01234"));
    put_frame(FIN | 9, true, P("0123456789abcdef")); /* control frames have a limit of their own */
    put_frame(FIN, true, P("56789"));
    deliver();
    assert_string_equal(events, "text(0123456789) ping(0123456789abcdef) text(0123456789) ");
    put_frame(1, true, P("01234"));
    put_frame(FIN, true, P("567890"));
    deliver();
    read_output(RG_WS_SERVER, output, sizeof(output));
    assert_non_null(strstr(output, "8(1009 the message is too large) "));
    end();
    begin(RG_WS_SERVER, &limits, &text_only);
    put_frame(FIN | 2, true, P("x"));
    deliver();
    assert_string_equal(events, "ended(1003 only text is understood here) ");
    end();
}

static void large_messages_come_and_go_whole(void **state)
{
    (void)state;
    static char text[200000];
    memset(text, 'x', sizeof(text));
    struct rg_ws *other = rg_ws_create(RG_WS_CLIENT, NULL, &all, NULL);
    assert_true(rg_ws_send_text(other, (struct rg_str){text, sizeof(text)}));
    begin(RG_WS_SERVER, NULL, &all);
    struct rg_str out = rg_ws_output(other);
    assert_int_equal(out.len, sizeof(text) + 14);
    size_t half = by_the_byte ? 1000 : out.len / 2;
    rg_ws_receive(ws, out.ptr, half);
    rg_ws_receive(ws, out.ptr + half, out.len - half);
    assert_memory_equal(events, "text(xxxx", 9);
    rg_ws_sent(other, out.len);
    assert_int_equal(rg_ws_output(other).len, 0);
    rg_ws_on_wake(other, NULL, NULL);
    rg_ws_disown(other);
    rg_ws_destroy(other);
    end();
}

static void a_peer_that_does_not_read_is_left(void **state)
{
    (void)state;
    static const struct rg_ws_limits limits = {.output_bytes = 100};
    char output[512];
    begin(RG_WS_SERVER, &limits, &all);
    assert_true(rg_ws_send_text(ws, RG_STR("0123456789012345678901234567890123456789")));
    assert_int_equal(wakes, 1);
    assert_true(rg_ws_send_text(ws, RG_STR("01234567890123456789")));
    assert_int_equal(wakes, 1); /* it is awake */
    assert_int_equal(rg_ws_output_bytes(ws), 64);
    assert_false(rg_ws_send_text(ws, RG_STR("0123456789012345678901234567890123456789")));
    assert_true(rg_ws_is_over(ws));
    assert_int_equal(wakes, 2);
    assert_string_equal(events, ""); /* not from within a function of who speaks */
    assert_false(rg_ws_send_text(ws, RG_STR("x")));
    read_output(RG_WS_SERVER, output, sizeof(output));
    assert_non_null(strstr(output, ") 8(1008 the peer does not read) "));
    end();
    assert_string_equal(events, "ended(1008 the peer does not read) ");
    begin(RG_WS_SERVER, &limits, &all);
    for (int i = 0; i < 20; i++)
        put_frame(FIN | 9, true, P("0123456789"));
    deliver();
    assert_non_null(strstr(events, "ended(1008 pings whose pongs are not read) "));
    assert_true(rg_ws_output_bytes(ws) < 200);
    end();
}

static void we_close_and_wait_for_the_peer(void **state)
{
    (void)state;
    char output[512];
    begin(RG_WS_CLIENT, NULL, &all);
    assert_true(rg_ws_send_text(ws, RG_STR("last words")));
    rg_ws_close(ws, RG_WS_GOING_AWAY, RG_STR("bye"));
    rg_ws_close(ws, RG_WS_INTERNAL, RG_STR("again")); /* the first counts */
    assert_false(rg_ws_send_text(ws, RG_STR("x")));
    assert_false(rg_ws_send_ping(ws, RG_STR("x")));
    assert_true(rg_ws_is_closing(ws) && !rg_ws_is_over(ws));
    read_output(RG_WS_CLIENT, output, sizeof(output));
    assert_string_equal(output, "1(last words) 8(1001 bye) ");
    put_frame(FIN | 1, false, P("late"));
    put_frame(FIN | 9, false, P("ping"));
    deliver();
    assert_string_equal(events, "");
    assert_int_equal(rg_ws_output_bytes(ws), 0); /* no pong after a Close */
    put_frame(FIN | 8, false,
              P("\x03\xe9"
                "bye"));
    deliver();
    assert_string_equal(events, "ended(1001 bye) ");
    assert_true(rg_ws_is_over(ws) && !rg_ws_is_closing(ws));
    assert_int_equal(rg_ws_output_bytes(ws), 0);
    end();
    assert_string_equal(events, "ended(1001 bye) "); /* once */
}

static void a_lost_connection_is_told_once(void **state)
{
    (void)state;
    begin(RG_WS_SERVER, NULL, &all);
    end();
    assert_string_equal(events, "ended(1006 ) ");
    begin(RG_WS_SERVER, NULL, &all);
    rg_ws_close(ws, RG_WS_NORMAL, RG_STR_NONE);
    end();
    assert_string_equal(events, "ended(1000 ) ");
}

static void nobody_is_told_after_letting_go(void **state)
{
    (void)state;
    char output[512];
    begin(RG_WS_SERVER, NULL, &all);
    rg_ws_disown(ws);
    read_output(RG_WS_SERVER, output, sizeof(output));
    assert_string_equal(output, "8(1001 ) ");
    put_frame(FIN | 1, true, P("x"));
    put_frame(FIN | 8, true, P("\x03\xe8"));
    deliver();
    assert_true(rg_ws_is_over(ws));
    end();
    assert_string_equal(events, "");
}

static void long_reasons_are_cut_between_characters(void **state)
{
    (void)state;
    char output[512], reason[256] = "", wanted[256] = "8(1000 ";
    for (int i = 0; i < 50; i++)
        strcat(reason, "\xe2\x82\xac"); /* 3 bytes each: 41 of them fit into 123 */
    memcpy(wanted + 7, reason, 123);
    strcpy(wanted + 130, ") ");
    begin(RG_WS_SERVER, NULL, &all);
    rg_ws_close(ws, RG_WS_NORMAL, rg_str_of(reason));
    read_output(RG_WS_SERVER, output, sizeof(output));
    assert_string_equal(output, wanted);
    end();
}

static void close_now(void)
{
    rg_ws_close(ws, RG_WS_NORMAL, RG_STR("enough"));
}

static void destroy_now(void)
{
    rg_ws_destroy(ws);
    rg_ws_destroy(ws);
    assert_false(rg_ws_send_text(ws, RG_STR("x")));
}

static void callbacks_may_end_it(void **state)
{
    (void)state;
    begin(RG_WS_SERVER, NULL, &all);
    during_text = close_now;
    put_frame(FIN | 1, true, P("a"));
    put_frame(FIN | 1, true, P("b"));
    deliver();
    assert_string_equal(events, "text(a) ");
    assert_true(rg_ws_is_closing(ws));
    end();
    begin(RG_WS_SERVER, NULL, &all);
    during_text = destroy_now;
    put_frame(1, true, P("a"));
    put_frame(FIN, true, P("a"));
    put_frame(FIN | 1, true, P("b"));
    bool bytes = by_the_byte;
    by_the_byte = false;
    deliver(); /* frees it */
    by_the_byte = bytes;
    assert_string_equal(events, "text(aa) ended(1006 ) ");
    ws = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_limited),
        cmocka_unit_test(large_messages_come_and_go_whole),
        cmocka_unit_test(a_peer_that_does_not_read_is_left),
        cmocka_unit_test(we_close_and_wait_for_the_peer),
        cmocka_unit_test(a_lost_connection_is_told_once),
        cmocka_unit_test(nobody_is_told_after_letting_go),
        cmocka_unit_test(long_reasons_are_cut_between_characters),
        cmocka_unit_test(callbacks_may_end_it),
    };
    return run_both_ways("ws ends", tests, sizeof(tests) / sizeof(tests[0]));
}
