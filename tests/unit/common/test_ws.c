/*
 * WebSocket connections, both roles: every rule of RFC 6455 that a peer can break, the close handshake, limits. What
 * the peer sends is written here byte by byte, and every case is delivered whole and in single bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "control/common/ws.h"

static struct rg_ws *ws;
static char events[8192]; /* what the handler was told: "text(...) " and so on */
static unsigned wakes;
static void (*during_text)(void);

static void note(const char *what, struct rg_str bytes)
{
    size_t n = strlen(events);
    snprintf(events + n, sizeof(events) - n, "%s(%.*s) ", what, (int)bytes.len, bytes.len ? bytes.ptr : "");
}

static void on_text(void *owner, struct rg_ws *w, struct rg_str message)
{
    assert_ptr_equal(owner, &ws);
    assert_ptr_equal(w, ws);
    note("text", message);
    if (during_text)
        during_text();
}

static void on_binary(void *owner, struct rg_ws *w, struct rg_str message)
{
    (void)owner, (void)w;
    note("binary", message);
}

static void on_ping(void *owner, struct rg_ws *w, struct rg_str payload)
{
    (void)owner, (void)w;
    note("ping", payload);
}

static void on_pong(void *owner, struct rg_ws *w, struct rg_str payload)
{
    (void)owner, (void)w;
    note("pong", payload);
}

static void on_ended(void *owner, struct rg_ws *w, uint16_t code, struct rg_str reason)
{
    char text[256];
    assert_ptr_equal(owner, &ws);
    (void)w;
    snprintf(text, sizeof(text), "%u %.*s", code, (int)reason.len, reason.len ? reason.ptr : "");
    note("ended", rg_str_of(text));
}

static const struct rg_ws_handler all = {on_text, on_binary, on_ping, on_pong, on_ended};
static const struct rg_ws_handler text_only = {.text = on_text, .ended = on_ended};

static void woken(void *carrier)
{
    assert_ptr_equal(carrier, &wakes);
    wakes++;
}

static void begin(enum rg_ws_role role, const struct rg_ws_limits *limits, const struct rg_ws_handler *handler)
{
    events[0] = '\0';
    wakes = 0;
    during_text = NULL;
    ws = rg_ws_create(role, limits, handler, &ws);
    assert_non_null(ws);
    rg_ws_on_wake(ws, woken, &wakes);
}

static void end(void)
{
    rg_ws_destroy(ws);
    ws = NULL;
}

/* ---- What a peer sends ---- */

static char sent[1 << 20];
static size_t sent_len;

static void put(const void *bytes, size_t n)
{
    assert_true(sent_len + n <= sizeof(sent));
    if (n > 0)
        memcpy(sent + sent_len, bytes, n);
    sent_len += n;
}

#define FIN  0x80
#define MASK 0x80

/* A frame in the shortest form of its length. */
static void put_frame(unsigned first, bool masked, const char *payload, size_t len)
{
    static const unsigned char key[4] = {0x12, 0x34, 0x56, 0x78};
    unsigned char head[4] = {(unsigned char)first, (unsigned char)(len < 126 ? len : 126)};
    head[2] = (unsigned char)(len >> 8);
    head[3] = (unsigned char)len;
    assert_true(len < 65536);
    head[1] = (unsigned char)(head[1] | (masked ? MASK : 0));
    put(head, len < 126 ? 2 : 4);
    if (masked)
        put(key, 4);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)((unsigned char)payload[i] ^ (masked ? key[i % 4] : 0));
        put(&c, 1);
    }
}

struct frame {
    unsigned first;
    const char *payload;
    size_t len;
};

static bool by_the_byte;

static void deliver(void)
{
    for (size_t i = 0; i < sent_len; i += by_the_byte ? 1 : sent_len) {
        char *copy = malloc(by_the_byte ? 1 : sent_len); /* exact, so that a read beyond is seen */
        memcpy(copy, sent + i, by_the_byte ? 1 : sent_len);
        rg_ws_receive(ws, copy, by_the_byte ? 1 : sent_len);
        free(copy);
    }
    sent_len = 0;
}

/* ---- What we answer ---- */

/* The output as text: opcode and payload of each frame, "1(hello) 8(1000 bye) "; checks its masking. */
static void read_output(enum rg_ws_role role, char *ret, size_t cap)
{
    struct rg_str out = rg_ws_output(ws);
    size_t at = 0, n = 0;
    *ret = '\0';
    while (at < out.len) {
        const unsigned char *p = (const unsigned char *)out.ptr + at;
        size_t len = p[1] & 0x7f, head = 2;
        assert_true(p[0] & FIN);
        if (len == 126) {
            len = (size_t)p[2] << 8 | p[3];
            head = 4;
        } else if (len == 127) {
            len = (size_t)p[7] << 16 | (size_t)p[8] << 8 | p[9];
            head = 10;
        }
        bool masked = p[1] & MASK;
        assert_int_equal(masked, role == RG_WS_CLIENT);
        const unsigned char *key = p + head;
        head += masked ? 4 : 0;
        n += (size_t)snprintf(ret + n, cap - n, "%u(", p[0] & 0x0f);
        for (size_t i = 0; i < len && n + 16 < cap; i++) {
            unsigned char c = (unsigned char)(p[head + i] ^ (masked ? key[i % 4] : 0));
            if ((p[0] & 0x0f) == 8 && i == 0)
                n += (size_t)snprintf(ret + n, cap - n, "%u ",
                                      c << 8 | (unsigned char)(p[head + 1] ^ (masked ? key[1] : 0)));
            else if ((p[0] & 0x0f) != 8 || i > 1)
                ret[n++] = (char)c;
        }
        n += (size_t)snprintf(ret + n, cap - n, ") ");
        at += head + len;
    }
    rg_ws_sent(ws, out.len);
}

/* ---- Cases ---- */

#define P(literal) (literal), sizeof(literal) - 1
#define LONG126                                                       \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static const struct {
    const char *name;
    struct frame frames[6];
    const char *events, *output; /* output: without it for the server's or client's name of a masking error */
    bool over;
} cases[] = {
    {"a text", {{FIN | 1, P("hello")}}, "text(hello) ", "", false},
    {"an empty text", {{FIN | 1, P("")}}, "text() ", "", false},
    {"a text of 126 bytes", {{FIN | 1, P(LONG126)}}, "text(" LONG126 ") ", "", false},
    {"a binary message", {{FIN | 2, P("\1\2x")}}, "binary(\1\2x) ", "", false},
    {"fragments", {{1, P("he")}, {0, P("")}, {0, P("l")}, {FIN, P("lo")}}, "text(hello) ", "", false},
    {"fragments that end empty", {{1, P("hi")}, {FIN, P("")}}, "text(hi) ", "", false},
    {"fragments that begin empty", {{1, P("")}, {FIN, P("hi")}}, "text(hi) ", "", false},
    {"a character over two fragments", {{1, P("\xc3")}, {FIN, P("\xa9")}}, "text(\xc3\xa9) ", "", false},
    {"control frames between fragments",
     {{1, P("a")}, {FIN | 9, P("p")}, {0, P("b")}, {FIN | 10, P("q")}, {FIN, P("c")}},
     "ping(p) pong(q) text(abc) ",
     "10(p) ",
     false},
    {"an empty ping", {{FIN | 9, P("")}}, "ping() ", "10() ", false},
    {"a ping of 125 bytes",
     {{FIN | 9, LONG126, 125}},
     "ping("
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
     "bbbbbbbbbbbbbb) ",
     "10("
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
     "bbbbbbbbbbbbbb) ",
     false},
    {"a pong that nobody asked for", {{FIN | 10, P("x")}}, "pong(x) ", "", false},

    {"a close",
     {{FIN | 8, P("\x03\xe8"
                  "bye")}},
     "ended(1000 bye) ",
     "8(1000 ) ",
     true},
    {"a close without a code", {{FIN | 8, P("")}}, "ended(1005 ) ", "8() ", true},
    {"a close of an application", {{FIN | 8, P("\x0f\xa1")}}, "ended(4001 ) ", "8(4001 ) ", true},
    {"what comes after a close",
     {{FIN | 8, P("\x03\xe8")}, {FIN | 1, P("x")}, {FIN | 9, P("y")}},
     "ended(1000 ) ",
     "8(1000 ) ",
     true},
    {"a close between fragments", {{1, P("a")}, {FIN | 8, P("\x03\xe9")}}, "ended(1001 ) ", "8(1001 ) ", true},
    {"half a code",
     {{FIN | 8, P("\x03")}},
     "ended(1002 a Close with half a status code) ",
     "8(1002 a Close with half a status code) ",
     true},
#define BAD_CODE "a Close with a status code that must not be sent"
    {"code 0", {{FIN | 8, P("\0\0")}}, "ended(1002 " BAD_CODE ") ", "8(1002 " BAD_CODE ") ", true},
    {"code 999", {{FIN | 8, P("\x03\xe7")}}, "ended(1002 " BAD_CODE ") ", "8(1002 " BAD_CODE ") ", true},
    {"code 1004", {{FIN | 8, P("\x03\xec")}}, "ended(1002 " BAD_CODE ") ", "8(1002 " BAD_CODE ") ", true},
    {"code 1005", {{FIN | 8, P("\x03\xed")}}, "ended(1002 " BAD_CODE ") ", "8(1002 " BAD_CODE ") ", true},
    {"code 1006", {{FIN | 8, P("\x03\xee")}}, "ended(1002 " BAD_CODE ") ", "8(1002 " BAD_CODE ") ", true},
    {"code 1015", {{FIN | 8, P("\x03\xf7")}}, "ended(1002 " BAD_CODE ") ", "8(1002 " BAD_CODE ") ", true},
    {"code 2999", {{FIN | 8, P("\x0b\xb7")}}, "ended(1002 " BAD_CODE ") ", "8(1002 " BAD_CODE ") ", true},
    {"code 5000", {{FIN | 8, P("\x13\x88")}}, "ended(1002 " BAD_CODE ") ", "8(1002 " BAD_CODE ") ", true},
    {"a reason that is not UTF-8",
     {{FIN | 8, P("\x03\xe8\xff")}},
     "ended(1007 a Close with a reason that is not UTF-8) ",
     "8(1007 a Close with a reason that is not UTF-8) ",
     true},

#define BROKEN(code, why) "ended(" code " " why ") ", "8(" code " " why ") ", true
    {"reserved bit 1", {{FIN | 0x40 | 1, P("x")}}, BROKEN("1002", "a reserved bit without an extension")},
    {"reserved bit 2", {{FIN | 0x20 | 1, P("x")}}, BROKEN("1002", "a reserved bit without an extension")},
    {"reserved bit 3", {{FIN | 0x10 | 1, P("x")}}, BROKEN("1002", "a reserved bit without an extension")},
    {"a reserved bit of a ping", {{FIN | 0x40 | 9, P("x")}}, BROKEN("1002", "a reserved bit without an extension")},
    {"opcode 3", {{FIN | 3, P("x")}}, BROKEN("1002", "a reserved opcode")},
    {"opcode 7", {{FIN | 7, P("")}}, BROKEN("1002", "a reserved opcode")},
    {"opcode 11", {{FIN | 11, P("x")}}, BROKEN("1002", "a reserved opcode")},
    {"opcode 15", {{FIN | 15, P("")}}, BROKEN("1002", "a reserved opcode")},
    {"a continuation at first", {{FIN, P("x")}}, BROKEN("1002", "a continuation of nothing")},
    {"a continuation after a message",
     {{FIN | 1, P("x")}, {0, P("y")}},
     "text(x) ended(1002 a continuation of nothing) ",
     "8(1002 a continuation of nothing) ",
     true},
    {"a text between fragments", {{1, P("x")}, {FIN | 1, P("y")}}, BROKEN("1002", "a new message within another")},
    {"a binary message between fragments", {{1, P("x")}, {2, P("y")}}, BROKEN("1002", "a new message within another")},
    {"text that is not UTF-8", {{FIN | 1, P("a\xff")}}, BROKEN("1007", "a text that is not UTF-8")},
    {"text that ends in half a character", {{FIN | 1, P("\xe2\x82")}}, BROKEN("1007", "a text that is not UTF-8")},
    {"an overlong form", {{FIN | 1, P("\xc0\xaf")}}, BROKEN("1007", "a text that is not UTF-8")},
    {"a surrogate", {{1, P("\xed\xa0")}, {FIN, P("\x80")}}, BROKEN("1007", "a text that is not UTF-8")},
    {"beyond Unicode", {{FIN | 1, P("\xf4\x90\x80\x80")}}, BROKEN("1007", "a text that is not UTF-8")},
    {"binary bytes need not be UTF-8", {{FIN | 2, P("\xff")}}, "binary(\xff) ", "", false},
};

static void run_cases(enum rg_ws_role role)
{
    char output[4096];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin(role, NULL, &all);
        for (size_t j = 0; j < 6 && cases[i].frames[j].payload; j++)
            put_frame(cases[i].frames[j].first, role == RG_WS_SERVER, cases[i].frames[j].payload,
                      cases[i].frames[j].len);
        deliver();
        read_output(role, output, sizeof(output));
        if (strcmp(events, cases[i].events) != 0 || strcmp(output, cases[i].output) != 0 ||
            rg_ws_is_over(ws) != cases[i].over)
            fail_msg("%s: events %s, output %s, over %d", cases[i].name, events, output, rg_ws_is_over(ws));
        assert_int_equal(wakes > 0, *output != '\0');
        end();
    }
}

static void every_rule_is_kept_by_a_server(void **state)
{
    (void)state;
    run_cases(RG_WS_SERVER);
}

static void every_rule_is_kept_by_a_client(void **state)
{
    (void)state;
    run_cases(RG_WS_CLIENT);
}

/* What put_frame can't say. */
static void frames_with_wrong_heads_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum rg_ws_role role;
        const char *bytes;
        size_t len;
        const char *output;
    } raw[] = {
        {"unmasked from a client", RG_WS_SERVER, P("\x81\x01x"), "8(1002 an unmasked frame from a client) "},
        {"unmasked close from a client", RG_WS_SERVER, P("\x88\x02\x03\xe8"),
         "8(1002 an unmasked frame from a client) "},
        {"masked from a server", RG_WS_CLIENT, P("\x81\x81\1\2\3\4x"), "8(1002 a masked frame from a server) "},
        {"a ping in fragments", RG_WS_CLIENT, P("\x09\x01x"), "8(1002 a malformed frame) "},
        {"a ping of 126 bytes", RG_WS_CLIENT, P("\x89\x7e\x00\x7e" LONG126), "8(1002 a malformed frame) "},
        {"a close of 126 bytes", RG_WS_CLIENT, P("\x88\x7e\x00\x7e" LONG126), "8(1002 a malformed frame) "},
        {"a long form of 5", RG_WS_CLIENT, P("\x81\x7e\x00\x05hello"), "8(1002 a malformed frame) "},
        {"a longer form of 5", RG_WS_CLIENT, P("\x81\x7f\0\0\0\0\0\0\0\x05hello"), "8(1002 a malformed frame) "},
        {"a length of 64 bits", RG_WS_CLIENT, P("\x81\x7f\x80\0\0\0\0\0\0\0x"), "8(1002 a malformed frame) "},
        {"a length of 2^62", RG_WS_CLIENT, P("\x81\x7f\x40\0\0\0\0\0\0\0x"), "8(1009 the message is too large) "},
    };
    char output[4096];
    for (size_t i = 0; i < sizeof(raw) / sizeof(raw[0]); i++) {
        begin(raw[i].role, NULL, &all);
        put(raw[i].bytes, raw[i].len);
        deliver();
        read_output(raw[i].role, output, sizeof(output));
        if (strcmp(output, raw[i].output) != 0 || !rg_ws_is_over(ws))
            fail_msg("%s: %s", raw[i].name, output);
        end();
    }
}

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
    rg_ws_lost(ws);
    assert_string_equal(events, "ended(1008 the peer does not read) ");
    end();
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
    rg_ws_lost(ws);
    assert_string_equal(events, "ended(1006 ) ");
    assert_false(rg_ws_send_text(ws, RG_STR("x")));
    end();
    assert_string_equal(events, "ended(1006 ) ");
    begin(RG_WS_SERVER, NULL, &all);
    end(); /* never told before */
    assert_string_equal(events, "ended(1006 ) ");
    begin(RG_WS_SERVER, NULL, &all);
    rg_ws_close(ws, RG_WS_NORMAL, RG_STR_NONE);
    rg_ws_lost(ws);
    assert_string_equal(events, "ended(1000 ) ");
    end();
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

static void lose_now(void)
{
    rg_ws_lost(ws);
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
    during_text = lose_now;
    put_frame(FIN | 1, true, P("a"));
    put_frame(FIN | 1, true, P("b"));
    deliver();
    assert_string_equal(events, "text(a) ended(1006 ) ");
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

static int bytewise(void **state)
{
    (void)state;
    by_the_byte = true;
    return 0;
}

static int whole(void **state)
{
    (void)state;
    by_the_byte = false;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_is_kept_by_a_server),
        cmocka_unit_test(every_rule_is_kept_by_a_client),
        cmocka_unit_test(frames_with_wrong_heads_are_refused),
        cmocka_unit_test(messages_are_limited),
        cmocka_unit_test(large_messages_come_and_go_whole),
        cmocka_unit_test(a_peer_that_does_not_read_is_left),
        cmocka_unit_test(we_close_and_wait_for_the_peer),
        cmocka_unit_test(a_lost_connection_is_told_once),
        cmocka_unit_test(nobody_is_told_after_letting_go),
        cmocka_unit_test(long_reasons_are_cut_between_characters),
        cmocka_unit_test(callbacks_may_end_it),
    };
    int failed = cmocka_run_group_tests_name("ws in whole pieces", tests, whole, NULL);
    return failed + cmocka_run_group_tests_name("ws byte by byte", tests, bytewise, NULL);
}
