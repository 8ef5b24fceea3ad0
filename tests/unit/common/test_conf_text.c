/* control/common: quantities, near names, and how text of a file stands in messages. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "control/common/conf.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define REFUSED  UINT64_MAX

static void whole_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t value;
    } rows[] = {
        {"0", 0},
        {"1", 1},
        {"18446744073709551614", 18446744073709551614u},
        {"", REFUSED},
        {"00", REFUSED},
        {"01", REFUSED},
        {"-1", REFUSED},
        {"+1", REFUSED},
        {"1 ", REFUSED},
        {"0x5", REFUSED},
        {"1e3", REFUSED},
        {"1_000", REFUSED},
        {"18446744073709551616", REFUSED},
        {"99999999999999999999999", REFUSED},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t v = REFUSED;
        assert_int_equal(rg_conf_parse_uint(rg_str_of(rows[i].text), &v), rows[i].value != REFUSED);
        assert_int_equal(v, rows[i].value);
    }
}

struct quantity {
    const char *text;
    uint64_t value;
    const char *hint, *canonical; /* canonical: how it is written where it is shown; NULL: it is refused */
};

static void check_quantity(const struct quantity *q, bool (*parse)(struct rg_str, uint64_t *),
                           void (*hint)(struct rg_str, char *, size_t), void (*format)(uint64_t, char *, size_t))
{
    uint64_t v = REFUSED;
    char text[64];
    print_message("%s\n", q->text);
    assert_int_equal(parse(rg_str_of(q->text), &v), q->value != REFUSED);
    assert_int_equal(v, q->value);
    hint(rg_str_of(q->text), text, sizeof(text));
    assert_string_equal(text, q->hint);
    if (q->canonical) {
        format(v, text, sizeof(text));
        assert_string_equal(text, q->canonical);
    }
}

static void durations(void **state)
{
    (void)state;
    static const struct quantity rows[] = {
        {"10s", 10000, "10s", "10s"},
        {"500ms", 500, "500ms", "500ms"},
        {"2m", 120000, "2m", "2m"},
        {"1h", 3600000, "1h", "1h"},
        {"60s", 60000, "60s", "1m"},
        {"0s", 0, "0s", "0s"},
        {"1500ms", 1500, "1500ms", "1500ms"},
        {"90s", 90000, "90s", "90s"},
        {"10", REFUSED, "10s", NULL},
        {"10 s", REFUSED, "10s", NULL},
        {"10sec", REFUSED, "10s", NULL},
        {"5 minutes", REFUSED, "5m", NULL},
        {"2M", REFUSED, "2m", NULL},
        {"2H", REFUSED, "2h", NULL},
        {"1hour", REFUSED, "1h", NULL},
        {"1.5s", REFUSED, "", NULL},
        {"-1s", REFUSED, "", NULL},
        {"s", REFUSED, "", NULL},
        {"1d", REFUSED, "", NULL},
        {"", REFUSED, "", NULL},
        {"1s1s", REFUSED, "", NULL},
        {"01s", REFUSED, "", NULL},
        {"5124095576030432h", REFUSED, "", NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check_quantity(&rows[i], rg_conf_parse_duration, rg_conf_hint_duration, rg_conf_format_duration);
}

static void sizes(void **state)
{
    (void)state;
    static const struct quantity rows[] = {
        {"32KiB", 32768, "32KiB", "32KiB"},
        {"64MiB", 64u << 20, "64MiB", "64MiB"},
        {"1GiB", 1u << 30, "1GiB", "1GiB"},
        {"2TiB", 2ull << 40, "2TiB", "2TiB"},
        {"500", 500, "500", "500"},
        {"500B", 500, "500B", "500"},
        {"1024", 1024, "1024", "1KiB"},
        {"1536", 1536, "1536", "1536"},
        {"0", 0, "0", "0"},
        {"32K", REFUSED, "32KiB", NULL},
        {"32k", REFUSED, "32KiB", NULL},
        {"32KB", REFUSED, "32KiB", NULL},
        {"32 KiB", REFUSED, "32KiB", NULL},
        {"32kib", REFUSED, "32KiB", NULL},
        {"1mb", REFUSED, "1MiB", NULL},
        {"1G", REFUSED, "1GiB", NULL},
        {"5 bytes", REFUSED, "5B", NULL},
        {"1.5MiB", REFUSED, "", NULL},
        {"-1", REFUSED, "", NULL},
        {"KiB", REFUSED, "", NULL},
        {"16777216TiB", REFUSED, "", NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check_quantity(&rows[i], rg_conf_parse_size, rg_conf_hint_size, rg_conf_format_size);
}

static void distances(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        unsigned distance;
        bool near;
    } rows[] = {
        {"limits", "limits", 0, true},  {"limts", "limits", 1, true},
        {"limist", "limits", 1, true},  {"LIMITS", "limits", 0, true},
        {"adress", "address", 1, true}, {"worker", "workers", 1, true},
        {"of", "off", 1, true},         {"on", "off", 2, false},
        {"cat", "dog", 3, false},       {"", "off", 3, false},
        {"x", "y", 1, false},           {"timeout", "timeouts", 1, true},
        {"tls", "log", 3, false},       {"listen", "listeners", 3, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        unsigned d = 0;
        print_message("%s %s\n", rows[i].a, rows[i].b);
        assert_int_equal(rg_conf_distance(rg_str_of(rows[i].a), rg_str_of(rows[i].b)), rows[i].distance);
        assert_int_equal(rg_conf_distance(rg_str_of(rows[i].b), rg_str_of(rows[i].a)), rows[i].distance);
        assert_int_equal(rg_conf_is_near(rg_str_of(rows[i].a), rg_str_of(rows[i].b), &d), rows[i].near);
    }
    char longer[400];
    unsigned d;
    memset(longer, 'x', sizeof(longer));
    assert_false(rg_conf_is_near((struct rg_str){longer, sizeof(longer)}, (struct rg_str){longer, 399}, &d));
}

static void quoting(void **state)
{
    (void)state;
    char buf[RG_CONF_TEXT_MAX], text[100];
    static const struct {
        struct rg_str text;
        const char *quoted;
    } rows[] = {
        {{"abc", 3}, "\"abc\""},
        {{"12", 2}, "12"},
        {{"-1.5", 4}, "-1.5"},
        {{"1.2.3", 5}, "\"1.2.3\""},
        {{"-", 1}, "\"-\""},
        {{"", 0}, "\"\""},
        {{"a\"b\\", 4}, "\"a\\\"b\\\\\""},
        {{"a\nb\tc", 5}, "\"a\\nb\\tc\""},
        {{"a\0b\x1b", 4}, "\"a\\x00b\\x1b\""},
        {{"\xc3\xa9", 2}, "\"\xc3\xa9\""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        rg_conf_quote(rows[i].text, buf, sizeof(buf));
        assert_string_equal(buf, rows[i].quoted);
    }
    memset(text, 'x', sizeof(text));
    rg_conf_quote((struct rg_str){text, 60}, buf, sizeof(buf));
    assert_int_equal(strlen(buf), 62);
    rg_conf_quote((struct rg_str){text, 61}, buf, sizeof(buf));
    assert_int_equal(strlen(buf), 65);
    assert_string_equal(buf + 61, "...\"");
    memcpy(text + 59, "\xe2\x82\xac", 3); /* a character across the cut is left out whole */
    rg_conf_quote((struct rg_str){text, 100}, buf, sizeof(buf));
    assert_string_equal(buf + 60, "...\"");
}

static void errors_are_bounded_and_sorted(void **state)
{
    (void)state;
    struct rg_conf_errors errors;
    char *text = NULL;
    size_t len = 0;
    rg_conf_errors_init(&errors);
    rg_conf_errors_add(&errors, (struct rg_conf_mark){0, 0}, "--flag", "1", "2", NULL);
    rg_conf_errors_add(&errors, (struct rg_conf_mark){2, 1}, "c", "1", "2", "");
    rg_conf_errors_add(&errors, (struct rg_conf_mark){1, 9}, "b", "1", "2", "remedy");
    rg_conf_errors_add(&errors, (struct rg_conf_mark){1, 2}, "a", "1", "2", NULL);
    rg_conf_errors_add(&errors, (struct rg_conf_mark){1, 2}, "a2", "1", "2", NULL);
    FILE *out = open_memstream(&text, &len);
    rg_conf_errors_print(&errors, "f", out);
    fclose(out);
    assert_string_equal(text, "f:1:2: a: got 1, wanted 2\n"
                              "f:1:2: a2: got 1, wanted 2\n"
                              "f:1:9: b: got 1, wanted 2; remedy\n"
                              "f:2:1: c: got 1, wanted 2\n"
                              "--flag: got 1, wanted 2\n");
    free(text);
    for (unsigned i = 0; i < 200; i++)
        rg_conf_errors_add(&errors, (struct rg_conf_mark){3, 1}, "", "1", "2", NULL);
    assert_int_equal(errors.count, RG_CONF_ERRORS_MAX);
    assert_int_equal(errors.more, 105);
    out = open_memstream(&text, &len);
    rg_conf_errors_print(&errors, "f", out);
    fclose(out);
    assert_non_null(strstr(text, "f: and 105 more errors\n"));
    free(text);
    rg_conf_errors_fini(&errors);
    assert_false(rg_conf_errors_any(&errors));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers), cmocka_unit_test(durations), cmocka_unit_test(sizes),
        cmocka_unit_test(distances),     cmocka_unit_test(quoting),   cmocka_unit_test(errors_are_bounded_and_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
