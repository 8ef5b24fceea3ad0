/* Instants of RFC 3339: what is one, and that two spellings of one are equal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "control/common/instant.h"

static void reads_what_platforms_write(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T01:00:00+01:00", 0},
        {"2026-08-22T09:15:04Z", 1787390104000000000},
        {"2026-08-22T09:15:04.1Z", 1787390104100000000},
        {"2026-08-22T09:15:04.100Z", 1787390104100000000},
        {"2026-08-22T09:15:04.127000000Z", 1787390104127000000},
        {"2026-08-22T09:15:04.1270000009Z", 1787390104127000000},
        {"2026-08-22T11:15:04.127+02:00", 1787390104127000000},
        {"2026-08-22T05:45:04.127-03:30", 1787390104127000000},
        {"2026-08-22 09:15:04z", 1787390104000000000},
        {"2024-02-29T23:59:59Z", 1709251199000000000},
        {"2016-12-31T23:59:60Z", 1483228800000000000},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t ns = -1;
        print_message("%s\n", rows[i].text);
        assert_true(rg_instant_parse(rg_str_of(rows[i].text), &ns));
        assert_int_equal(ns, rows[i].ns);
    }
}

static void refuses_what_is_none(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "now",
        "2026-08-22",
        "2026-08-22T09:15:04",
        "2026-08-22T09:15Z",
        "2026-8-22T09:15:04Z",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-08-22T24:00:00Z",
        "2026-08-22T09:60:00Z",
        "2026-08-22T09:15:61Z",
        "2026-08-22T09:15:04.Z",
        "2026-08-22T09:15:04.1",
        "2026-08-22T09:15:04Z ",
        " 2026-08-22T09:15:04Z",
        "2026-08-22T09:15:04+2",
        "2026-08-22T09:15:04+0200",
        "2026-08-22T09:15:04+24:00",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "9999-01-01T00:00:00Z",
        "+026-08-22T09:15:04Z",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t ns = -1;
        print_message("%s\n", rows[i]);
        assert_false(rg_instant_parse(rg_str_of(rows[i]), &ns));
        assert_int_equal(ns, -1);
    }
}

static void writes_without_trailing_zeros(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *text;
    } rows[] = {
        {1787390104000000000, "2026-08-22T09:15:04Z"},
        {1787390104100000000, "2026-08-22T09:15:04.1Z"},
        {1787390104120000000, "2026-08-22T09:15:04.12Z"},
        {1787390104007999999, "2026-08-22T09:15:04.007Z"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[RG_INSTANT_TEXT_MAX];
        rg_instant_format(rows[i].ns, text);
        assert_string_equal(text, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_platforms_write),
        cmocka_unit_test(refuses_what_is_none),
        cmocka_unit_test(writes_without_trailing_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
