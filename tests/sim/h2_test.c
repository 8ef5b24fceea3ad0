/*
 * HTTP/2 in the simulated world: the bytes of a client cut at every place lead to the same requests and responses, and
 * every order of completions through the teardown of a connection with streams in different states leaves nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sim/sim.h"

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW_UPDATE = 8 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

static char bytes[4096];
static uint32_t n_bytes;

static void add(const char *p, size_t n)
{
    assert_true(n_bytes + n <= sizeof bytes);
    memcpy(bytes + n_bytes, p, n);
    n_bytes += (uint32_t)n;
}

static void frame(unsigned type, unsigned flags, uint32_t stream, const char *payload, size_t n)
{
    const char head[9] = {(char)(n >> 16),      (char)(n >> 8),      (char)n,
                          (char)type,           (char)flags,         (char)(stream >> 24),
                          (char)(stream >> 16), (char)(stream >> 8), (char)stream};
    add(head, sizeof head);
    add(payload, n);
}

#define FRAME(type, flags, stream, literal) frame(type, flags, stream, literal, sizeof(literal) - 1)

static void hello(void)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    n_bytes = 0;
    add(preface, sizeof preface - 1);
    FRAME(SETTINGS, 0, 0, "");
    FRAME(SETTINGS, ACK, 0, "");
}

/* :method, :scheme http, :path /, :authority h; the last in HPACK's table from the first one on */
#define GET  "\x82\x86\x84\x41\x01h"
#define POST "\x83\x86\x84\x01\x01h"

#define OK      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define TRAILER "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\ngrpc-status: 0\r\n\r\n"

/* Streams of all kinds: answered, with a body and trailers, reset, never ended, malformed. */
static void all_kinds(void)
{
    hello();
    FRAME(HEADERS, END_HEADERS | END_STREAM, 1,
          GET "\x0f\x11\x03"
              "a=b");
    FRAME(HEADERS, END_HEADERS, 3, POST);
    FRAME(DATA, 0, 3, "body");
    FRAME(HEADERS, END_HEADERS | END_STREAM, 3, "\0\3x-t\1v");
    FRAME(HEADERS, END_HEADERS, 5, POST);
    FRAME(RST_STREAM, 0, 5, "\0\0\0\x08");
    FRAME(HEADERS, END_HEADERS | END_STREAM, 7, "\x82\x86\x84\0\1X\1v");
    FRAME(PING, 0, 0, "12345678");
    FRAME(WINDOW_UPDATE, 0, 0, "\0\0\0\x10");
    FRAME(HEADERS, END_HEADERS, 9, POST);
    FRAME(DATA, 0, 9, "never ended");
}

/* :method CONNECT, :protocol websocket, :scheme http, :path /, :authority h, sec-websocket-version 13 */
#define WEBSOCKET                                                                           \
    "\x02\7CONNECT\0\x09:protocol\x09websocket\x86\x84\x01\1h\0\x15sec-websocket-version\2" \
    "13"
#define SWITCHING                                                                       \
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" \
    "Sec-WebSocket-Accept: " SIM_ACCEPT "\r\n\r\n"
#define FRAME_UP   "\x81\x83kkkkabc"
#define FRAME_DOWN "\x81\x03xyz"

static struct sim_script script_of(const char *replica)
{
    return (struct sim_script){.client = bytes, .client_len = n_bytes, .replica = replica, .clients = 1, .http2 = true};
}

/* GETs, and the end that the client announces: all that comes is the same in whatever pieces it came. */
static void every_split(void **state)
{
    (void)state;
    struct sim_choices choices = {0};
    hello();
    FRAME(HEADERS, END_HEADERS | END_STREAM, 1, GET);
    FRAME(HEADERS, END_HEADERS | END_STREAM, 3, GET);
    FRAME(HEADERS, END_HEADERS | END_STREAM, 5, "\x82\x86\x84\xbe");
    FRAME(GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0");
    struct sim_script script = script_of(TRAILER);
    script.prefix = 100000;
    struct sim_result whole = sim_play(&script, &choices);
    assert_int_equal(whole.requests_at_replica, 3);
    assert_true(whole.bytes_at_clients > 3 * (9 + 9 + 5 + 9));
    for (script.cut = 1; script.cut < n_bytes; script.cut++) {
        struct sim_result r = sim_play(&script, &choices);
        assert_int_equal(r.requests_at_replica, whole.requests_at_replica);
        assert_int_equal(r.bytes_at_replica, whole.bytes_at_replica);
        /* Huffman's code makes a request id of more or fewer bytes. */
        assert_in_range(r.bytes_at_clients, whole.bytes_at_clients - 40, whole.bytes_at_clients + 40);
    }
}

static void every_split_of_all_kinds(void **state)
{
    (void)state;
    struct sim_choices choices = {0};
    all_kinds();
    struct sim_script script = script_of(OK);
    script.prefix = 100000;
    for (script.cut = 1; script.cut < n_bytes; script.cut++)
        assert_true(sim_play(&script, &choices).requests_at_replica >= 2);
}

static void every_order_of(struct sim_script script, unsigned depth)
{
    unsigned runs = sim_play_every_order(script, depth, sim_play);
    print_message("%u runs\n", runs);
    assert_true(runs > 100);
}

static void every_order(struct sim_script script)
{
    every_order_of(script, 2);
}

static void one_request(void **state)
{
    (void)state;
    hello();
    FRAME(HEADERS, END_HEADERS | END_STREAM, 1, GET);
    every_order(script_of(TRAILER));
}

static void streams_of_all_kinds(void **state)
{
    (void)state;
    all_kinds();
    struct sim_script script = script_of(OK);
    every_order(script);
    script.in_halves = true;
    script.replica = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nbroken off";
    script.replica_closes = true;
    every_order_of(script, 1);
}

static void protocol_error(void **state)
{
    (void)state;
    hello();
    FRAME(HEADERS, END_HEADERS | END_STREAM, 1, GET);
    FRAME(HEADERS, END_HEADERS, 3, POST);
    FRAME(DATA, 0, 0, "on no stream");
    every_order(script_of(OK));
}

static void tunnel(void **state)
{
    (void)state;
    hello();
    FRAME(HEADERS, END_HEADERS, 1, WEBSOCKET);
    FRAME(DATA, 0, 1, "early");
    FRAME(DATA, END_STREAM, 1, "and the end");
    FRAME(HEADERS, END_HEADERS | END_STREAM, 3, GET);
    struct sim_script script = script_of(SWITCHING "xyz");
    every_order_of(script, 1);
    script.replica_closes = true;
    every_order(script);
}

static void tunnel_that_is_reset(void **state)
{
    (void)state;
    hello();
    FRAME(HEADERS, END_HEADERS, 1, WEBSOCKET);
    FRAME(DATA, 0, 1, FRAME_UP);
    FRAME(HEADERS, END_HEADERS, 3, WEBSOCKET);
    FRAME(RST_STREAM, 0, 1, "\0\0\0\x08");
    struct sim_script script = script_of(SWITCHING FRAME_DOWN);
    every_order(script);
    script.in_halves = true;
    every_order_of(script, 1);
}

static void tunnel_that_is_refused(void **state)
{
    (void)state;
    hello();
    FRAME(HEADERS, END_HEADERS, 1, WEBSOCKET);
    FRAME(DATA, 0, 1, FRAME_UP);
    every_order_of(script_of(OK), 1); /* a success that is none */
    every_order_of(script_of("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"), 1);
    every_order_of(script_of("HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), 1);
}

/* Both sides of all tunnels are told, what else is open on the connection is broken off. */
static void tunnels_that_are_left(void **state)
{
    (void)state;
    struct sim_choices choices = {0};
    hello();
    FRAME(HEADERS, END_HEADERS, 1, WEBSOCKET);
    FRAME(HEADERS, END_HEADERS, 3, POST);
    FRAME(HEADERS, END_HEADERS, 5, WEBSOCKET);
    struct sim_script script = script_of(SWITCHING FRAME_DOWN);
    script.takes_leave = true;
    script.prefix = 100000;
    assert_int_equal(sim_play(&script, &choices).tunnels_left, 2);
    every_order_of(script, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split),           cmocka_unit_test(every_split_of_all_kinds),
        cmocka_unit_test(one_request),           cmocka_unit_test(streams_of_all_kinds),
        cmocka_unit_test(protocol_error),        cmocka_unit_test(tunnel),
        cmocka_unit_test(tunnel_that_is_reset),  cmocka_unit_test(tunnel_that_is_refused),
        cmocka_unit_test(tunnels_that_are_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
