#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <ctype.h>
#include <cmocka.h>

#include "datapath/http/h1_chars.h"
#include "datapath/http/h1_scan.h"
#include "tests/unit/http/h1_test.h"

static bool is_one_of(int c, const char *set)
{
    return c != 0 && strchr(set, c) != NULL;
}

static bool is_alnum(int c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Each class against its definition in the RFC, written another way. */
static void classes(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char b = (char)c;
        assert_int_equal(rg_char_is(b, RG_CHAR_TOKEN), is_alnum(c) || is_one_of(c, "!#$%&'*+-.^_`|~"));
        assert_int_equal(rg_char_is(b, RG_CHAR_VALUE), c == '\t' || c == ' ' || (c > 0x20 && c < 0x7f) || c > 0x7f);
        assert_int_equal(rg_char_is(b, RG_CHAR_UNRESERVED), is_alnum(c) || is_one_of(c, "-._~"));
        assert_int_equal(rg_char_is(b, RG_CHAR_HEX), is_one_of(c, "0123456789abcdefABCDEF"));
        assert_int_equal(rg_char_is(b, RG_CHAR_DIGIT), is_one_of(c, "0123456789"));
        bool target = is_alnum(c) || is_one_of(c, "-_~!$&'()*+,;=:@/[]^`{|}");
        assert_int_equal(rg_char_is(b, RG_CHAR_PATH), target);
        assert_int_equal(rg_char_is(b, RG_CHAR_QUERY), target || is_one_of(c, ".?\\"));
    }
}

static void hex_values(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        const char *digits = "0123456789abcdef";
        const char *at = c ? strchr(digits, tolower(c)) : NULL;
        assert_int_equal(rg_hex_value((char)c), c < 128 && at ? at - digits : -1);
    }
}

/* The fast scan stops where the table says, for every byte at every place, at either side of an unreadable page. */
static void scan_value_agrees_with_the_table(void **state)
{
    (void)state;
    char text[70];
    for (int before = 0; before <= 1; before++) {
        for (size_t len = 0; len <= sizeof(text); len++) {
            for (size_t at = 0; at < len; at++) {
                memset(text, 'v', sizeof(text));
                for (int c = 0; c<256; c += len> 40 ? 7 : 1) {
                    text[at] = (char)c;
                    const char *p = h1_guard(0, text, len, before), *end = p + len;
                    const char *stop = rg_char_is((char)c, RG_CHAR_VALUE) ? end : p + at;
                    assert_ptr_equal(rg_scan_value(p, p, end), stop);
                    if (at > 0)
                        assert_ptr_equal(rg_scan_value(p, p + at, end), stop);
                }
            }
        }
    }
}

/* The fast scan of a name finds it whole, or says that it can't. */
static void scan_name_agrees_with_the_table(void **state)
{
    (void)state;
    char text[64];
    for (size_t room = 1; room <= sizeof(text); room++) {
        for (size_t n = 0; n < room; n++) {
            for (size_t at = 0; at < n || at == 0; at++) {
                for (int c = 0; c < 256; c += room % 16 == 0 ? 1 : 11) {
                    memset(text, 'n', sizeof(text));
                    text[at] = (char)c;
                    text[n] = ':';
                    const char *p = h1_guard(0, text, room, false);
                    uint8_t id = 255;
                    size_t got = rg_scan_name(p, p + room, &id);
                    size_t token = (size_t)(rg_scan_class(p, p + room, RG_CHAR_TOKEN) - p);
                    if (got == 0)
                        continue;
                    assert_int_equal(got, token);
                    assert_int_equal(p[got], ':');
                    assert_null(memchr(p, '_', got));
                    assert_int_equal(id, rg_field_lookup(p, got));
                }
            }
        }
    }
}

#ifdef RG_SCAN_SSE2
static void scan_name_takes_plain_names(void **state)
{
    (void)state;
    static const char *const names[] = {
        "A", "Host", "content-LENGTH", "Sec-WebSocket-Key", "Sec-Websocket-Version", "X-123456789-123456789-12345678"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        char text[64];
        memset(text, ' ', sizeof(text));
        size_t len = strlen(names[i]);
        memcpy(text, names[i], len);
        text[len] = ':';
        uint8_t id = 255;
        assert_int_equal(rg_scan_name(text, text + sizeof(text), &id), len);
        assert_int_equal(id, rg_field_lookup(names[i], len));
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes),
        cmocka_unit_test(hex_values),
        cmocka_unit_test(scan_value_agrees_with_the_table),
        cmocka_unit_test(scan_name_agrees_with_the_table),
#ifdef RG_SCAN_SSE2
        cmocka_unit_test(scan_name_takes_plain_names),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
