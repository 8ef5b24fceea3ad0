/*
 * Every order of completions through the teardown of connections: for each point of an exchange's life, every sequence
 * of the next few events (data, part of it, end, reset, no buffer, send in part, broken pipe, refused connect,
 * time-out, stop, cancel before and after what it cancels), then the usual way to the end. The simulated ring asserts
 * that nothing is closed before it is joined; pools assert that everything came back; sanitizers watch the rest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/sim/sim.h"

static uint64_t spliced; /* bytes, in all runs so far */

static struct sim_result play(const struct sim_script *script, struct sim_choices *choices)
{
    struct sim_result r = sim_play(script, choices);
    spliced += r.spliced;
    return r;
}

#define GET        "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST       "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789"
#define CHUNKED    "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"
#define OK_LENGTH  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define OK_CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
#define OK_EOF     "HTTP/1.1 200 OK\r\n\r\nhello"
#define UPGRADE_HEAD                                                               \
    "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
#define SWITCHING_HEAD "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
#define UPGRADE        UPGRADE_HEAD "abc"
#define SWITCHING      SWITCHING_HEAD "xyz"

static void usual_way(void **state)
{
    (void)state;
    struct sim_choices choices = {0};
    struct sim_script script = {.client = GET GET, .replica = OK_LENGTH, .clients = 1, .prefix = 1000};
    struct sim_result r = play(&script, &choices);
    assert_int_equal(r.accepted, 1);
    assert_int_equal(r.requests_at_replica, 2);
    assert_int_equal(r.responses_at_clients, 1);
}

static void every_order_of(struct sim_script script, unsigned depth)
{
    unsigned runs = sim_play_every_order(script, depth, play);
    print_message("%u runs\n", runs);
    assert_true(runs > 100);
}

static void every_order(struct sim_script script)
{
    every_order_of(script, 3);
}

static void get_with_length(void **state)
{
    (void)state;
    every_order((struct sim_script){.client = GET, .replica = OK_LENGTH, .clients = 1});
}

/* The last of a response waits for the end of its connection. */
#define GET_LAST "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

static void last_request(void **state)
{
    (void)state;
    struct sim_script script = {.client = GET_LAST, .replica = OK_LENGTH, .clients = 1};
    every_order(script);
    script.client = GET_LAST "\r\n"; /* which comes when nothing is received any more, perhaps */
    script.cut = sizeof GET_LAST - 1;
    every_order_of(script, 2);
    script.cut = 0;
    script.client = GET_LAST GET; /* which is not served */
    script.replica = OK_CHUNKED;
    every_order_of(script, 2);
}

static void get_until_end(void **state)
{
    (void)state;
    every_order((struct sim_script){.client = GET, .replica = OK_EOF, .replica_closes = true, .clients = 1});
}

static void post_and_chunked_response(void **state)
{
    (void)state;
    every_order((struct sim_script){.client = POST, .replica = OK_CHUNKED, .clients = 1});
}

static void chunked_request(void **state)
{
    (void)state;
    every_order((struct sim_script){.client = CHUNKED, .replica = OK_LENGTH, .clients = 1});
}

static void tunnel(void **state)
{
    (void)state;
    every_order((struct sim_script){.client = UPGRADE, .replica = SWITCHING, .clients = 1});
}

/* The same with whole frames, and with one that has not ended: both sides are told, while the other end does anything.
 */
#define FRAME_UP   "\x81\x83kkkkabc"
#define FRAME_DOWN "\x81\x03xyz"

static void tunnel_that_is_left(void **state)
{
    (void)state;
    struct sim_script script = {
        .client = UPGRADE_HEAD, .replica = SWITCHING_HEAD FRAME_DOWN, .clients = 1, .takes_leave = true};
    struct sim_choices choices = {0};
    script.prefix = 1000;
    assert_int_equal(play(&script, &choices).tunnels_left, 1);
    every_order_of(script, 2);
    script.client = UPGRADE_HEAD FRAME_UP; /* to which the replica switches once more: bytes like any others */
    every_order_of(script, 2);
    script.client = UPGRADE_HEAD;
    script.replica = SWITCHING_HEAD FRAME_DOWN "\x81\x09xyz";
    every_order_of(script, 2);
}

static void behind_a_proxy(void **state)
{
    (void)state;
    struct sim_script script = {.client = "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" GET,
                                .replica = OK_LENGTH,
                                .clients = 1,
                                .in_halves = true,
                                .behind_proxy = true,
                                .prefix = 1000};
    struct sim_choices choices = {0};
    assert_int_equal(play(&script, &choices).requests_at_replica, 1);
    every_order_of(script, 2);
    script.client = GET;
    choices = (struct sim_choices){0};
    script.prefix = 1000;
    assert_int_equal(play(&script, &choices).requests_at_replica, 0);
    every_order_of(script, 2);
}

/* Half of each arrives at once, which is the head and a part of the body; the rest is large enough for a pipe. */
#define LONG_BODY "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
#define OK_LONG   "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" LONG_BODY
#define POST_LONG "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n" LONG_BODY

static void response_through_a_pipe(void **state)
{
    (void)state;
    struct sim_script script = {
        .client = GET GET, .replica = OK_LONG, .clients = 1, .in_halves = true, .splice_bytes = 1};
    struct sim_choices choices = {0};
    script.prefix = 1000;
    assert_true(play(&script, &choices).spliced >= 60);
    every_order(script);
    script.replica_closes = true;
    every_order(script);
}

static void request_through_a_pipe(void **state)
{
    (void)state;
    uint64_t before = spliced;
    every_order((struct sim_script){
        .client = POST_LONG GET, .replica = OK_LENGTH, .clients = 1, .in_halves = true, .splice_bytes = 1});
    assert_true(spliced > before);
}

static void refused(void **state)
{
    (void)state;
    every_order((struct sim_script){.client = "GET / HTTP/1.1\r\n\r\nrest", .replica = "", .clients = 1});
}

/* Numbers above settings.descriptors are not the worker's: the client is closed, and nothing of it stays. */
static void a_client_on_a_reserved_descriptor(void **state)
{
    (void)state;
    struct sim_script script = {
        .client = GET, .replica = OK_LENGTH, .clients = 1, .prefix = 1000, .descriptors = SIM_FIRST_FD + 1};
    struct sim_choices choices = {0};
    struct sim_result r = play(&script, &choices);
    assert_int_equal(r.accepted, 1);
    assert_int_equal(r.requests_at_replica, 0);
    every_order(script);
    script.clients = 3;
    every_order(script);
}

/* Without the lift it would have waited in the queue for a descriptor, and one has come free. */
static void a_client_on_a_reserved_descriptor_moves_to_a_lower_one(void **state)
{
    (void)state;
    struct sim_script script = {.client = GET,
                                .replica = OK_LENGTH,
                                .clients = 3,
                                .prefix = 1000,
                                .descriptors = SIM_FIRST_FD + 20,
                                .freed_late = true};
    struct sim_choices choices = {0};
    struct sim_result r = play(&script, &choices);
    assert_int_equal(r.accepted, 3);
    assert_int_equal(r.responses_at_clients, 3);
    script.clients = 1;
    every_order_of(script, 2);
}

/*
 * Whoever is in the queue when a drain begins is served, also when the accept was just being cancelled: it is armed
 * again at once, not when the listener next looks at the time.
 */
static void a_drain_finds_the_accept_being_cancelled(void **state)
{
    (void)state;
    struct sim_script script = {.client = GET,
                                .replica = OK_LENGTH,
                                .clients = 3,
                                .prefix = 1000,
                                .descriptors = SIM_FIRST_FD + 20,
                                .freed_late = true};
    for (script.drain_at = 1; script.drain_at < 40; script.drain_at++) {
        struct sim_choices choices = {0};
        struct sim_result r = play(&script, &choices);
        assert_int_equal(r.accepted, 3);
        assert_int_equal(r.responses_at_clients, 3);
    }
    script.clients = 2;
    for (script.drain_at = 1; script.drain_at < 12; script.drain_at++)
        sim_play_all(script, 1, play);
}

/* A request that must not use a kept connection again, for which no descriptor is left: the one kept longest gives its
 * own. */
static void a_kept_connection_gives_its_descriptor(void **state)
{
    (void)state;
    struct sim_script script = {
        .client = GET, .replica = OK_LENGTH, .clients = 3, .prefix = 1000, .sockets = 2, .leaves_at = 3};
    struct sim_choices choices = {0};
    struct sim_result r = play(&script, &choices);
    assert_int_equal(r.requests_at_replica, 4);
    assert_int_equal(r.responses_at_clients, 3);
    every_order_of(script, 1);
}

/* Descriptors that came free elsewhere serve all who wait for one at the next tick, not one a second. */
static void those_who_wait_for_a_descriptor_are_served_together(void **state)
{
    (void)state;
    struct sim_script script = {
        .client = GET, .replica = "", .clients = 5, .one_by_one = true, .prefix = 1000, .naps = 2, .no_sockets = 1};
    struct sim_choices choices = {0};
    struct sim_result r = play(&script, &choices);
    assert_int_equal(r.requests_at_replica, 5);
    script.no_sockets = 3; /* never */
    choices = (struct sim_choices){0};
    assert_int_equal(play(&script, &choices).requests_at_replica, 0);
    script.clients = 1;
    script.no_sockets = 1;
    every_order_of(script, 2);
}

/* Two blocks for forty: each waits for its turn, and the whole line does not ask again and again. */
static void receives_wait_in_line_for_blocks(void **state)
{
    (void)state;
    struct sim_script script = {.client = GET, .replica = OK_LENGTH, .clients = 40, .prefix = 1000, .blocks = 2};
    struct sim_choices choices = {0};
    struct sim_result r = play(&script, &choices);
    assert_int_equal(r.responses_at_clients, 40);
    assert_int_equal(r.shed_heads, 0);
    assert_int_equal(r.unheard, 0); /* nor is one forgotten in it */
    assert_in_range(r.empty_handed, 1, 4 * script.clients);
    script.clients = 2;
    script.blocks = 1;
    every_order_of(script, 2);
}

/* The first to come hold all blocks with heads that don't end: they make room for the others. */
static void heads_are_shed_for_those_in_line(void **state)
{
    (void)state;
    struct sim_script script = {.client = "GET /a", .replica = "", .clients = 6, .prefix = 1000, .blocks = 2};
    struct sim_choices choices = {0};
    struct sim_result r = play(&script, &choices);
    assert_int_equal(r.accepted, 6);
    assert_in_range(r.shed_heads, 4, 5);
    script.clients = 2;
    script.blocks = 1;
    every_order_of(script, 2);
}

static void a_replica_connection_on_a_reserved_descriptor(void **state)
{
    (void)state;
    struct sim_script script = {
        .client = GET, .replica = OK_LENGTH, .clients = 1, .prefix = 1000, .descriptors = SIM_FIRST_FD + 2};
    struct sim_choices choices = {0};
    struct sim_result r = play(&script, &choices);
    assert_int_equal(r.requests_at_replica, 0);
    every_order(script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usual_way),
        cmocka_unit_test(get_with_length),
        cmocka_unit_test(last_request),
        cmocka_unit_test(get_until_end),
        cmocka_unit_test(post_and_chunked_response),
        cmocka_unit_test(chunked_request),
        cmocka_unit_test(tunnel),
        cmocka_unit_test(tunnel_that_is_left),
        cmocka_unit_test(behind_a_proxy),
        cmocka_unit_test(response_through_a_pipe),
        cmocka_unit_test(request_through_a_pipe),
        cmocka_unit_test(refused),
        cmocka_unit_test(a_client_on_a_reserved_descriptor),
        cmocka_unit_test(a_client_on_a_reserved_descriptor_moves_to_a_lower_one),
        cmocka_unit_test(a_drain_finds_the_accept_being_cancelled),
        cmocka_unit_test(a_replica_connection_on_a_reserved_descriptor),
        cmocka_unit_test(a_kept_connection_gives_its_descriptor),
        cmocka_unit_test(those_who_wait_for_a_descriptor_are_served_together),
        cmocka_unit_test(receives_wait_in_line_for_blocks),
        cmocka_unit_test(heads_are_shed_for_those_in_line),
    };
    cmocka_set_test_filter(getenv("RG_SIM_TEST")); /* a pattern; by default all of them */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
