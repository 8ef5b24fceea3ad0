/* The link against a control plane of the same loop: when it is up, how it ends, how long it waits. Times are short
 * here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/agent/link.h"

#define PATIENCE_MS 10000

/* ---- The control plane ---- */

static struct plane {
    struct rg_loop *loop;
    struct rg_watch listener, client;
    const char *status; /* other than NULL: in the place of a WebSocket */
    bool greets;
    char head[8192];
    size_t head_len;
    struct rg_ws *ws;
    unsigned accepted, texts;
    char last_text[256], close_reason[64];
    uint16_t close_code;
} plane;

static void text_came(void *owner, struct rg_ws *ws, struct rg_str message)
{
    (void)owner;
    (void)ws;
    plane.texts++;
    snprintf(plane.last_text, sizeof(plane.last_text), "%.*s", (int)message.len, message.ptr);
}

static void has_ended(void *owner, struct rg_ws *ws, uint16_t code, struct rg_str reason)
{
    (void)owner;
    (void)ws;
    plane.close_code = code;
    snprintf(plane.close_reason, sizeof(plane.close_reason), "%.*s", (int)reason.len, reason.ptr);
}

static const struct rg_ws_handler server = {.text = text_came, .ended = has_ended};

static void send_bytes(const char *bytes, size_t len)
{
    assert_int_equal(send(plane.client.fd, bytes, len, MSG_NOSIGNAL), len);
}

static void flush(void)
{
    struct rg_str out;
    while (plane.ws && (out = rg_ws_output(plane.ws)).len > 0) {
        send_bytes(out.ptr, out.len);
        rg_ws_sent(plane.ws, out.len);
    }
}

static void hang_up(void)
{
    if (plane.client.fd < 0)
        return;
    rg_loop_unwatch(plane.loop, &plane.client);
    close(plane.client.fd);
    plane.client.fd = -1;
    rg_ws_destroy(plane.ws);
    plane.ws = NULL;
    plane.head_len = 0;
}

static void say(const char *text)
{
    assert_true(rg_ws_send_text(plane.ws, rg_str_of(text)));
    flush();
}

static void answer_request(void)
{
    char accept[RG_WS_ACCEPT_LEN + 1], answer[512];
    const char *key = strstr(plane.head, "Sec-WebSocket-Key: ");
    if (plane.status) {
        snprintf(answer, sizeof(answer), "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", plane.status);
        send_bytes(answer, strlen(answer));
        return;
    }
    assert_non_null(key);
    assert_non_null(strstr(plane.head, "GET /base/api/internal/v1/ws/gateways/connect HTTP/1.1\r\n"));
    assert_non_null(strstr(plane.head, "\r\napi-key: the-token\r\n"));
    rg_ws_accept_of((struct rg_str){key + 19, RG_WS_KEY_LEN}, accept);
    snprintf(answer, sizeof(answer),
             "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "
             "%s\r\n\r\n",
             accept);
    send_bytes(answer, strlen(answer));
    plane.ws = rg_ws_create(RG_WS_SERVER, NULL, &server, NULL);
    if (plane.greets)
        say("{\"type\":\"connection.ack\",\"gatewayId\":\"g-1\"}");
}

static void client_ready(struct rg_watch *watch, uint32_t events)
{
    char bytes[4096];
    (void)events;
    ssize_t n = recv(watch->fd, bytes, sizeof(bytes), 0);
    if (n <= 0) {
        hang_up();
        return;
    }
    if (plane.ws) {
        rg_ws_receive(plane.ws, bytes, (size_t)n);
        flush();
        return;
    }
    memcpy(plane.head + plane.head_len, bytes, (size_t)n);
    plane.head_len += (size_t)n;
    plane.head[plane.head_len] = '\0';
    if (strstr(plane.head, "\r\n\r\n"))
        answer_request();
}

static void accept_ready(struct rg_watch *watch, uint32_t events)
{
    (void)events;
    hang_up();
    plane.client = (struct rg_watch){.fd = accept(watch->fd, NULL, NULL), .ready = client_ready};
    assert_true(plane.client.fd >= 0);
    assert_int_equal(rg_loop_watch(plane.loop, &plane.client, EPOLLIN), 0);
    plane.accepted++;
}

/* ---- The gateway ---- */

static struct fixture {
    struct rg_loop loop;
    struct rg_control_settings settings;
    struct rg_remote remote;
    struct rg_transfers transfers;
    struct rg_link link;
    unsigned ups, downs, events;
    uint64_t connects, failed, refusals;
} f;

static void up(void *owner)
{
    (void)owner;
    f.ups++;
}

static void event_came(void *owner, struct rg_event *event)
{
    (void)owner;
    (void)event;
    f.events++;
}

static void down(void *owner)
{
    (void)owner;
    f.downs++;
}

static const struct rg_link_handler handler = {up, event_came, down};

static void write_token(const char *token)
{
    FILE *file = fopen(f.settings.token_file, "we");
    fputs(token, file);
    fclose(file);
}

static int setup(void **state)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    (void)state;
    memset(&f, 0, sizeof(f));
    plane = (struct plane){.loop = &f.loop, .client.fd = -1, .greets = true};
    plane.listener = (struct rg_watch){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .ready = accept_ready};
    if (bind(plane.listener.fd, (struct sockaddr *)&in, len) < 0 || listen(plane.listener.fd, 8) < 0 ||
        getsockname(plane.listener.fd, (struct sockaddr *)&in, &len) < 0 || rg_loop_init(&f.loop) < 0 ||
        rg_loop_watch(&f.loop, &plane.listener, EPOLLIN) < 0 || rg_transfers_init(&f.transfers, &f.loop) < 0)
        return -1;
    f.settings = (struct rg_control_settings){.reconnect_initial_ms = 20, .reconnect_max_ms = 80};
    snprintf(f.settings.url, sizeof(f.settings.url), "ws://127.0.0.1:%u/base/", ntohs(in.sin_port));
    snprintf(f.settings.token_file, sizeof(f.settings.token_file), "/tmp/rg-link-%d", (int)getpid());
    write_token("the-token\n");
    rg_remote_init(&f.remote, &f.settings);
    rg_link_init(&f.link, &f.loop, &f.remote, &f.transfers, &f.settings);
    f.link.handler = &handler;
    f.link.connects = &f.connects;
    f.link.failed = &f.failed;
    f.link.refusals = &f.refusals;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_link_fini(&f.link);
    hang_up();
    close(plane.listener.fd);
    rg_transfers_fini(&f.transfers);
    rg_remote_fini(&f.remote);
    rg_loop_fini(&f.loop);
    unlink(f.settings.token_file);
    return 0;
}

static void wakes(struct rg_alarm *a)
{
    (void)a;
}

#define UNTIL(condition)                                             \
    for (uint64_t end_ = rg_now_ms() + PATIENCE_MS; !(condition);) { \
        struct rg_alarm tick_ = {.due = wakes};                      \
        rg_loop_set_alarm(&f.loop, &tick_, 5);                       \
        assert_int_equal(rg_loop_turn(&f.loop), 0);                  \
        rg_loop_clear_alarm(&f.loop, &tick_);                        \
        assert_true(rg_now_ms() < end_);                             \
    }

static void connect_it(void)
{
    rg_link_start(&f.link);
    UNTIL(f.ups == 1);
}

/* ---- Tests ---- */

static void a_greeting_makes_a_connection(void **state)
{
    (void)state;
    connect_it();
    assert_string_equal(f.link.gateway_id, "g-1");
    assert_int_equal(f.link.state, RG_LINK_UP);
    assert_true(rg_link_send(&f.link, RG_STR("{\"x\":1}")));
    UNTIL(plane.texts == 1);
    assert_string_equal(plane.last_text, "{\"x\":1}");
    say("{\"type\":\"api.deleted\",\"payload\":{\"apiId\":\"a\"}}");
    say("no JSON");
    say("{\"type\":\"api.deleted\",\"payload\":{\"apiId\":\"b\"}}");
    UNTIL(f.events == 2);
    assert_int_equal(f.connects, 1);
}

static void a_lost_connection_is_made_again(void **state)
{
    (void)state;
    connect_it();
    hang_up();
    UNTIL(f.downs == 1);
    assert_false(rg_link_send(&f.link, RG_STR("{}")));
    UNTIL(f.ups == 2);
    assert_int_equal(f.failed, 0);
}

static void after_a_steady_connection_the_first_try_is_at_once(void **state)
{
    (void)state;
    connect_it();
    f.link.initial_ms = f.link.most_ms = 3600000;
    f.link.up_since_ms -= 20000; /* as if it had lasted so long */
    hang_up();
    UNTIL(f.ups == 2);
}

static void silence_ends_a_connection(void **state)
{
    (void)state;
    f.link.silence_ms = 60;
    connect_it();
    UNTIL(f.downs == 1);
    assert_non_null(strstr(f.link.why, "no ping came"));
    UNTIL(f.ups == 2);
}

static void pings_keep_a_connection(void **state)
{
    (void)state;
    f.link.silence_ms = 2000;
    connect_it();
    for (unsigned i = 0; i < 25; i++) {
        uint64_t until = rg_now_ms() + 100;
        assert_true(rg_ws_send_ping(plane.ws, RG_STR("p")));
        flush();
        UNTIL(rg_now_ms() >= until);
    }
    assert_int_equal(f.ups, 1);
    assert_int_equal(f.downs, 0);
}

static void without_a_greeting_there_is_none(void **state)
{
    (void)state;
    plane.greets = false;
    f.link.greeting_ms = 30;
    rg_link_start(&f.link);
    UNTIL(plane.accepted >= 3);
    assert_true(f.failed >= 2);
    assert_int_equal(f.ups, 0);
    plane.greets = true;
    UNTIL(f.ups == 1);
}

static void refusals_are_loud_and_not_the_end(void **state)
{
    (void)state;
    plane.status = "401 Unauthorized";
    rg_link_start(&f.link);
    UNTIL(f.refusals == 2);
    assert_non_null(strstr(f.link.why, "401"));
    assert_true(f.link.refused);
    plane.status = NULL;
    UNTIL(f.ups == 1);
    assert_false(f.link.refused);
}

static void a_token_is_read_at_every_try(void **state)
{
    (void)state;
    write_token("");
    rg_link_start(&f.link);
    UNTIL(f.failed >= 2);
    assert_int_equal(plane.accepted, 0);
    assert_non_null(strstr(f.link.why, "which is empty"));
    write_token("the-token");
    UNTIL(f.ups == 1);
}

static void the_platform_says_why_it_ends(void **state)
{
    (void)state;
    connect_it();
    say("{\"type\":\"error\",\"message\":\"maximum connection limit reached (1000)\"}");
    UNTIL(f.downs == 1);
    assert_string_equal(f.link.why, "maximum connection limit reached (1000)");
}

static void a_closing_frame_says_why(void **state)
{
    (void)state;
    connect_it();
    rg_ws_close(plane.ws, RG_WS_NORMAL, RG_STR("server shutdown"));
    flush();
    UNTIL(f.downs == 1);
    assert_string_equal(f.link.why, "the WebSocket was closed with 1000: server shutdown");
}

static void the_end_says_goodbye(void **state)
{
    (void)state;
    connect_it();
    rg_link_fini(&f.link);
    UNTIL(plane.close_code != 0);
    assert_int_equal(plane.close_code, RG_WS_GOING_AWAY);
    assert_int_equal(f.downs, 0); /* whoever ends it knows */
}

static void many_messages_at_once(void **state)
{
    (void)state;
    connect_it();
    for (unsigned i = 0; i < 3000; i++)
        assert_true(rg_ws_send_text(plane.ws, RG_STR("{\"type\":\"api.deleted\",\"payload\":{\"apiId\":\"a\"}}")));
    flush();
    UNTIL(f.events == 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_greeting_makes_a_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_connection_is_made_again, setup, teardown),
        cmocka_unit_test_setup_teardown(after_a_steady_connection_the_first_try_is_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(silence_ends_a_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(pings_keep_a_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_greeting_there_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(refusals_are_loud_and_not_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_token_is_read_at_every_try, setup, teardown),
        cmocka_unit_test_setup_teardown(the_platform_says_why_it_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(a_closing_frame_says_why, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_says_goodbye, setup, teardown),
        cmocka_unit_test_setup_teardown(many_messages_at_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
