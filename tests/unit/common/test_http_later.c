/*
 * The control side's HTTP server: answers that come later, in pieces and as WebSockets; clients that leave, read slowly
 * or say nothing.
 */
#include "http_server_fixture.h"

#include <unistd.h>

/* ---- Later ---- */

static void an_answer_may_come_later(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    int fd = dial();
    say(fd, "HEAD /later HTTP/1.1\r\n" HOST "\r\nGET /x HTTP/1.1\r\n" HOST "\r\n");
    assert_false(hear(fd));
    assert_int_equal(reply_len, 0); /* the second one waits for the first */
    assert_int_equal(requests, 1);
    shutdown(fd, SHUT_WR); /* that does not mean that it left */
    turn_for(5);
    assert_int_equal(gone, 0);
    rg_http_reply(kept, &(struct rg_http_reply){.status = 201, .body = RG_STR("0123456789")});
    hear(fd);
    assert_true(starts("HTTP/1.1 201 Created\r\n"));
    assert_non_null(strstr(reply, "Content-Length: 10\r\n"));
    assert_null(strstr(reply, "0123456789"));
    assert_non_null(strstr(reply, "GET /x [0]"));
    close(fd);
    stop();
}

static void who_left_gets_no_answer(void **state)
{
    (void)state;
    start(AF_UNIX, NULL);
    int fd = dial();
    say(fd, "POST /later HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx");
    turn_for(2);
    assert_non_null(kept);
    close(fd);
    turn_for(2);
    assert_int_equal(gone, 1);
    assert_int_equal(server.n_connections, 0);
    assert_true(rg_str_eq(rg_http_call_request(kept)->body, RG_STR("x"))); /* still the handler's */
    rg_http_reply(kept, &(struct rg_http_reply){.status = 200});
    fd = dial();
    say(fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    turn_for(2);
    rg_http_server_fini(&server); /* calls outlive the server too */
    assert_int_equal(gone, 2);
    rg_http_reply(kept, &(struct rg_http_reply){.status = 200});
    close(fd);
    rg_loop_fini(&loop);
}

/* ---- Streams ---- */

static void streams_go_on_piece_by_piece(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    int fd = dial();
    say(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    hear(fd);
    assert_true(starts("HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(reply, "Transfer-Encoding: chunked\r\n"));
    assert_string_equal(body(), "2\r\n:\n\r\n");
    assert_true(rg_http_stream_write(kept, RG_STR("data: hello\n\n")));
    assert_true(rg_http_stream_write(kept, RG_STR("")));
    hear(fd);
    assert_string_equal(reply, "d\r\ndata: hello\n\n\r\n");
    rg_http_stream_end(kept);
    say(fd, "GET /x HTTP/1.1\r\n" HOST "\r\n"); /* the connection goes on */
    hear(fd);
    assert_true(starts("0\r\n\r\nHTTP/1.1 200 OK\r\n"));
    close(fd);
    fd = dial();
    say(fd, "GET /stream HTTP/1.0\r\n\r\n");
    hear(fd);
    assert_string_equal(body(), ":\n");
    rg_http_stream_end(kept);
    assert_true(hear(fd));
    close(fd);
    stop();
}

/* Whoever asks for the head has a whole answer with it, and asks for the next thing on the same connection. */
static void the_head_of_a_stream_is_all_of_an_answer(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    int fd = dial();
    say(fd, "HEAD /stream HTTP/1.1\r\n" HOST "\r\n");
    hear(fd);
    assert_true(starts("HTTP/1.1 200 OK\r\n"));
    assert_string_equal(body(), "");
    say(fd, "GET /x HTTP/1.1\r\n" HOST "\r\n");
    hear(fd);
    assert_true(starts("HTTP/1.1 200 OK\r\n"));
    assert_true(rg_http_call_is_gone(kept));
    assert_false(rg_http_stream_write(kept, RG_STR("x"))); /* not into the middle of something else */
    rg_http_stream_end(kept);
    hear(fd);
    assert_int_equal(reply_len, 0);
    close(fd);
    turn_for(5);
    assert_int_equal(gone, 0);
    stop();
}

static void readers_that_leave_are_noticed(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    int fd = dial();
    say(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    hear(fd);
    close(fd);
    turn_for(5);
    assert_int_equal(gone, 1);
    assert_null(kept); /* it ended the stream in the callback */
    assert_int_equal(server.n_connections, 0);
    stop();
}

static void a_slow_reader_of_a_stream_is_left(void **state)
{
    (void)state;
    static char piece[65536];
    start(AF_INET, &(struct rg_http_options){.stream_bytes = 100000});
    int fd = dial();
    say(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    turn_for(2);
    memset(piece, 'p', sizeof(piece));
    unsigned pieces = 0;
    while (rg_http_stream_write(kept, (struct rg_str){piece, sizeof(piece)}) && pieces++ < 10000)
        turn_for(0);
    assert_true(pieces > 0 && pieces < 10000);
    assert_true(rg_http_call_is_gone(kept));
    assert_int_equal(gone, 0); /* it was told by the false */
    assert_false(rg_http_stream_write(kept, RG_STR("x")));
    rg_http_stream_end(kept);
    turn_for(2);
    assert_int_equal(server.n_connections, 0);
    close(fd);
    stop();
}

static void a_reader_that_stalls_has_its_time(void **state)
{
    (void)state;
    static char piece[65536];
    start(AF_INET, &(struct rg_http_options){.stream_bytes = 1 << 26});
    int fd = dial();
    say(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    turn_for(2);
    assert_null(loop.alarms); /* nothing waits, so no time runs */
    for (int i = 0; i < 200; i++)
        assert_true(rg_http_stream_write(kept, (struct rg_str){piece, sizeof(piece)}));
    turn_for(20);
    assert_non_null(loop.alarms);
    loop.alarms->at_ms = rg_now_ms();
    turn_for(2);
    assert_int_equal(gone, 1);
    assert_int_equal(server.n_connections, 0);
    close(fd);
    stop();
}

/* ---- WebSockets ---- */

static void a_request_becomes_a_websocket(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    int fd = dial();
    say(fd, UPGRADE "\x81\x82" KEY "ih"); /* "hi" comes right behind it */
    assert_false(hear(fd));
    assert_true(starts("HTTP/1.1 101 Switching Protocols\r\n"));
    assert_non_null(strstr(reply, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert_string_equal(body(), "\x81\x02hi");
    assert_true(rg_ws_send_text(ws, RG_STR("pushed")));
    assert_false(hear(fd));
    assert_string_equal(reply, "\x81\x06pushed");
    say(fd, "\x81\x85" KEY "bmnrd"); /* "close" */
    assert_false(hear(fd));
    assert_memory_equal(reply,
                        "\x88\x0a\x03\xe8"
                        "as asked",
                        reply_len);
    say(fd, "\x88\x82" KEY "\x02\xe9");
    assert_true(hear(fd));
    assert_string_equal(ws_events, "text(hi) text(close) ended(1000 as asked) ");
    close(fd);
    turn_for(5);
    assert_int_equal(server.n_connections, 0);
    stop();
}

static void a_websocket_ends_with_its_connection(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    int fd = dial();
    say(fd, UPGRADE);
    hear(fd);
    close(fd);
    turn_for(5);
    assert_string_equal(ws_events, "ended(1006 ) ");
    assert_null(ws);
    fd = dial();
    say(fd, UPGRADE "\x01\x01x");
    assert_true(hear(fd));
    assert_non_null(strstr(ws_events, "ended(1002 an unmasked frame from a client) "));
    close(fd);
    stop();
}

static void a_websocket_that_does_not_answer_close_has_its_time(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    int fd = dial();
    say(fd, UPGRADE);
    hear(fd);
    assert_null(loop.alarms);
    rg_ws_close(ws, RG_WS_GOING_AWAY, RG_STR_NONE);
    turn_for(5);
    assert_non_null(loop.alarms);
    assert_true(loop.alarms->at_ms <= rg_now_ms() + 5000);
    loop.alarms->at_ms = rg_now_ms();
    turn_for(2);
    assert_string_equal(ws_events, "ended(1001 ) ");
    assert_int_equal(server.n_connections, 0);
    close(fd);
    stop();
}

static void a_websocket_that_is_paused_is_not_read(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    int fd = dial();
    say(fd, UPGRADE);
    hear(fd);
    rg_ws_pause(ws, true);
    say(fd, "\x81\x82" KEY "ih"); /* "hi" */
    turn_for(20);
    assert_string_equal(ws_events, "");
    assert_true(rg_ws_send_text(ws, RG_STR("pushed"))); /* the other direction goes on */
    assert_false(hear(fd));
    assert_string_equal(reply, "\x81\x06pushed");
    rg_ws_pause(ws, false);
    turn_for(5);
    assert_string_equal(ws_events, "text(hi) ");
    /* An end of ours is answered all the same; one of the peer's is noticed when it is read from again. */
    rg_ws_pause(ws, true);
    rg_ws_close(ws, RG_WS_GOING_AWAY, RG_STR_NONE);
    say(fd, "\x88\x82" KEY "\x02\xe8");
    assert_true(hear(fd));
    assert_string_equal(ws_events, "text(hi) ended(1001 ) ");
    close(fd);
    turn_for(5);
    fd = dial();
    say(fd, UPGRADE);
    hear(fd);
    rg_ws_pause(ws, true);
    close(fd);
    turn_for(5);
    rg_ws_pause(ws, false);
    turn_for(5);
    assert_non_null(strstr(ws_events, "ended(1006 ) "));
    assert_int_equal(server.n_connections, 0);
    stop();
}

/* Its end can't be unwatched, and a local socket still has what came before it. */
static void a_paused_peer_that_hangs_up_is_not_read_either(void **state)
{
    (void)state;
    start(AF_UNIX, NULL);
    int fd = dial();
    say(fd, UPGRADE);
    hear(fd);
    rg_ws_pause(ws, true);
    say(fd, "\x81\x82" KEY "ih"); /* "hi" */
    close(fd);
    turn_for(20);
    assert_string_equal(ws_events, "");
    rg_ws_pause(ws, false);
    turn_for(5);
    assert_string_equal(ws_events, "text(hi) ended(1006 ) ");
    assert_int_equal(server.n_connections, 0);
    stop();
}

/* While more is to be written than the peer takes. */
static void a_websocket_that_is_closed_and_not_read_has_its_time(void **state)
{
    (void)state;
    char text[60000];
    start(AF_UNIX, NULL);
    int fd = dial();
    say(fd, UPGRADE);
    hear(fd);
    memset(text, 'x', sizeof(text));
    for (unsigned i = 0; i < 20 && rg_ws_output(ws).len == 0; i++) {
        assert_true(rg_ws_send_text(ws, (struct rg_str){text, sizeof(text)}));
        turn_for(2);
    }
    assert_true(rg_ws_output(ws).len > 0);
    assert_null(loop.alarms);
    rg_ws_close(ws, RG_WS_NORMAL, RG_STR_NONE);
    turn_for(2);
    assert_non_null(loop.alarms);
    assert_true(loop.alarms->at_ms <= rg_now_ms() + 5000);
    loop.alarms->at_ms = rg_now_ms();
    turn_for(2);
    assert_string_equal(ws_events, "ended(1000 ) ");
    assert_int_equal(server.n_connections, 0);
    close(fd);
    stop();
}

static void only_requests_for_it_become_one(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    static const char *const others[] = {
        "GET /ws HTTP/1.1\r\n" HOST "\r\n",
        "GET /ws HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        "GET /ws HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: short\r\n\r\n",
        "HEAD /ws HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        int fd = dial();
        say(fd, others[i]);
        hear(fd);
        assert_true(starts("HTTP/1.1 200 "));
        close(fd);
        turn_for(2);
    }
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_may_come_later),
        cmocka_unit_test(who_left_gets_no_answer),
        cmocka_unit_test(streams_go_on_piece_by_piece),
        cmocka_unit_test(the_head_of_a_stream_is_all_of_an_answer),
        cmocka_unit_test(readers_that_leave_are_noticed),
        cmocka_unit_test(a_slow_reader_of_a_stream_is_left),
        cmocka_unit_test(a_reader_that_stalls_has_its_time),
        cmocka_unit_test(a_request_becomes_a_websocket),
        cmocka_unit_test(a_websocket_ends_with_its_connection),
        cmocka_unit_test(a_websocket_that_does_not_answer_close_has_its_time),
        cmocka_unit_test(a_websocket_that_is_paused_is_not_read),
        cmocka_unit_test(a_paused_peer_that_hangs_up_is_not_read_either),
        cmocka_unit_test(a_websocket_that_is_closed_and_not_read_has_its_time),
        cmocka_unit_test(only_requests_for_it_become_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
