/* control/cli/output.c: tables that line up, and nothing that a terminal would obey. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/cli/output.h"

static char *printed;
static size_t printed_len;

static FILE *begin(void)
{
    FILE *out = open_memstream(&printed, &printed_len);
    assert_non_null(out);
    return out;
}

static void ends_as(FILE *out, const char *text)
{
    fclose(out);
    assert_string_equal(printed, text);
    free(printed);
}

static const struct rg_output_column columns[] = {
    {"NAME", "name", RG_OUTPUT_PLAIN},
    {"STATUS", "state.status", RG_OUTPUT_STATUS},
    {"ON", "on", RG_OUTPUT_YES_NO},
    {"WHEN", "at", RG_OUTPUT_INSTANT},
};

static void print(const char *json, bool color, FILE *out)
{
    struct rg_output_style style = {.color = color};
    json_t *rows = json_loads(json, 0, NULL);
    assert_non_null(rows);
    rg_output_table(&style, columns, 4, rows, "Nothing.", out);
    json_decref(rows);
}

static void tables(void **state)
{
    (void)state;
    FILE *out = begin();
    print("[{\"name\":\"a\",\"state\":{\"status\":\"DEPLOYED\"},\"on\":true,\"at\":\"2026-08-22T09:15:04.1Z\"},"
          "{\"name\":\"h\u00e9llo\",\"state\":null,\"at\":\"soon\"},{\"name\":7,\"on\":\"yes\"}]",
          false, out);
    ends_as(out, "NAME   STATUS    ON   WHEN\n"
                 "a      DEPLOYED  yes  2026-08-22 09:15:04\n"
                 "h\u00e9llo  -         no   soon\n"
                 "7      -         no   -\n");
    out = begin();
    print("[]", false, out);
    ends_as(out, "Nothing.\n");
}

static void colours_only_where_asked_for(void **state)
{
    (void)state;
    FILE *out = begin();
    print("[{\"name\":\"FAILED\",\"state\":{\"status\":\"FAILED\"}}]", true, out);
    ends_as(out, "NAME    STATUS  ON  WHEN\nFAILED  \033[31mFAILED\033[0m  no  -\n");
    struct rg_output_style style;
    rg_output_style_init(&style, RG_OUTPUT_TABLE); /* a test's output is no terminal */
    assert_false(style.color && getenv("NO_COLOR"));
}

static void terminals_are_not_commanded(void **state)
{
    (void)state;
    FILE *out = begin();
    rg_output_text("a\033[2J\r\n\t\x7f\xc2\x9b"
                   "1m\u00e9",
                   100, out);
    ends_as(out, "a?[2J?????1m\u00e9");
    out = begin();
    rg_output_text("abcdef", 3, out);
    ends_as(out, "abc");
}

static void values(void **state)
{
    (void)state;
    json_t *value = json_loads("{\"b\":[1,\"two\"],\"a\":\"yes\"}", 0, NULL);
    FILE *out = begin();
    assert_true(rg_output_value(RG_OUTPUT_YAML, value, out));
    ends_as(out, "b:\n- 1\n- two\na: \"yes\"\n");
    out = begin();
    assert_true(rg_output_value(RG_OUTPUT_JSON, value, out));
    ends_as(out, "{\n  \"b\": [\n    1,\n    \"two\"\n  ],\n  \"a\": \"yes\"\n}\n");
    json_decref(value);
}

static void formats(void **state)
{
    (void)state;
    enum rg_output_format format;
    assert_true(rg_output_format_of(NULL, &format) && format == RG_OUTPUT_TABLE);
    assert_true(rg_output_format_of("json", &format) && format == RG_OUTPUT_JSON);
    assert_true(rg_output_format_of("yaml", &format) && format == RG_OUTPUT_YAML);
    assert_false(rg_output_format_of("JSON", &format));
    assert_false(rg_output_format_of("", &format));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables),
        cmocka_unit_test(colours_only_where_asked_for),
        cmocka_unit_test(terminals_are_not_commanded),
        cmocka_unit_test(values),
        cmocka_unit_test(formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
