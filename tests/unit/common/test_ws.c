/* WebSocket connections, both roles: every rule of RFC 6455 that a peer can break. */
#include "ws_fixture.h"

struct frame {
    unsigned first;
    const char *payload;
    size_t len;
};

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_is_kept_by_a_server),
        cmocka_unit_test(every_rule_is_kept_by_a_client),
        cmocka_unit_test(frames_with_wrong_heads_are_refused),
    };
    return run_both_ways("ws", tests, sizeof(tests) / sizeof(tests[0]));
}
