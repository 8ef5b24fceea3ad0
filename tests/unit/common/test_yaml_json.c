/* YAML from a network to JSON values: the core schema, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "control/common/json.h"
#include "control/common/yaml_json.h"

static char *said;

static int teardown(void **state)
{
    (void)state;
    free(said);
    said = NULL;
    return 0;
}

static int load(struct rg_str text, struct rg_yaml_json *ret)
{
    struct rg_problems problems;
    size_t len;
    rg_problems_init(&problems);
    int r = rg_yaml_json(text, 1 << 20, ret, &problems);
    free(said);
    FILE *out = open_memstream(&said, &len);
    rg_problems_write(&problems, "\n", out);
    fclose(out);
    rg_problems_fini(&problems);
    assert_int_equal(r == 0, *said == '\0');
    return r;
}

static void good(const char *text, const char *json)
{
    struct rg_yaml_json doc;
    if (load(rg_str_of(text), &doc) < 0)
        fail_msg("%s: %s", text, said);
    char *got = json_dumps(doc.value, JSON_COMPACT | JSON_ENCODE_ANY);
    assert_string_equal(got, json);
    free(got);
    rg_yaml_json_fini(&doc);
}

static void bad(const char *text, const char *wanted)
{
    struct rg_yaml_json doc;
    assert_int_equal(load(rg_str_of(text), &doc), -EINVAL);
    assert_string_equal(said, wanted);
}

static void scalars_follow_the_core_schema(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "null"},
        {"~", "null"},
        {"null", "null"},
        {"Null", "null"},
        {"NULL", "null"},
        {"nULL", "\"nULL\""},
        {"true", "true"},
        {"True", "true"},
        {"FALSE", "false"},
        {"tRUE", "\"tRUE\""},
        {"yes", "\"yes\""},
        {"no", "\"no\""},
        {"on", "\"on\""},
        {"off", "\"off\""},
        {"y", "\"y\""},
        {"0", "0"},
        {"-12", "-12"},
        {"+12", "12"},
        {"007", "7"},
        {"0x1F", "31"},
        {"0o17", "15"},
        {"0b1", "\"0b1\""},
        {"0x", "\"0x\""},
        {"1_000", "\"1_000\""},
        {"12:30:45", "\"12:30:45\""},
        {"1.5", "1.5"},
        {"-.5", "-0.5"},
        {"5.", "5.0"},
        {"1e3", "1000.0"},
        {"1e", "\"1e\""},
        {".", "\".\""},
        {"-", "[null]"},
        {"+", "\"+\""},
        {"1.2.3", "\"1.2.3\""},
        {"v1.0", "\"v1.0\""},
        {"2026-08-22", "\"2026-08-22\""},
        {"9223372036854775807", "9223372036854775807"},
        {"9223372036854775808", "9.2233720368547758e18"},
        {"'12'", "\"12\""},
        {"\"true\"", "\"true\""},
        {"|\n  a\n  b\n", "\"a\\nb\\n\""},
        {"\"\\u00e9 \\U0001F600\"", "\"é 😀\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        good(cases[i][0], cases[i][1]);
}

static void keys_are_strings_in_their_order(void **state)
{
    (void)state;
    good("z: 1\na: {true: 2, 1.0: 3, '': 4}\n", "{\"z\":1,\"a\":{\"true\":2,\"1.0\":3,\"\":4}}");
    good("- - a\n  - []\n- {}\n", "[[\"a\",[]],{}]");
    good("%YAML 1.2\n---\na: 1\n...\n", "{\"a\":1}");
    good("{\"a\": [1, \"x\\n\", null, {\"b\": false}]}", "{\"a\":[1,\"x\\n\",null,{\"b\":false}]}");
    good("# nothing\n", "null");
}

static void how_a_number_was_written_is_kept(void **state)
{
    (void)state;
    struct rg_yaml_json doc;
    struct rg_str text;
    assert_int_equal(load(RG_STR("[1.10, 12, 007, '1.10']"), &doc), 0);
    assert_true(rg_yaml_written(doc.written, json_array_get(doc.value, 0), &text));
    assert_true(rg_str_eq(text, RG_STR("1.10")));
    assert_false(rg_yaml_written(doc.written, json_array_get(doc.value, 1), &text));
    assert_true(rg_yaml_written(doc.written, json_array_get(doc.value, 2), &text));
    assert_true(rg_str_eq(text, RG_STR("007")));
    assert_false(rg_yaml_written(doc.written, json_array_get(doc.value, 3), &text));
    assert_false(rg_yaml_written(NULL, doc.value, &text));
    rg_yaml_json_fini(&doc);
}

static void aliases_stand_for_their_values(void **state)
{
    (void)state;
    good("a: &x [1, &y {b: 2}]\nc: *x\nd: *y\n", "{\"a\":[1,{\"b\":2}],\"c\":[1,{\"b\":2}],\"d\":{\"b\":2}}");
    good("- &a 1\n- &a 2\n- *a\n", "[1,2,2]");
    good("&k key: *k\n", "{\"key\":\"key\"}");
    bad("a: *x\n", "line 1, column 4: a: got the alias \"x\", wanted one whose anchor is complete before it");
    bad("a: &x [*x]\n", "line 1, column 8: a[0]: got the alias \"x\", wanted one whose anchor is complete before it");
    bad("a: &x 1\n*x : 2\n", "line 2, column 1: got as a key the alias \"x\", wanted a plain key");
}

/* Each level has the one before it ten times: a billion values in 300 bytes. */
static void bombs_are_refused(void **state)
{
    (void)state;
    char text[4096] = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 9; i++) {
        size_t n = strlen(text);
        n += (size_t)snprintf(text + n, sizeof(text) - n, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "*a%d%s", i - 1, j < 9 ? ", " : "]\n");
    }
    bad(text, "line 6, column 10: a5[0]: got more than 200000 keys and values, wanted a smaller document");

    /* depth by aliases */
    size_t n = (size_t)snprintf(text, sizeof(text), "- &a0 []\n");
    for (int i = 1; i < 70; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "- &a%d [*a%d]\n", i, i - 1);
    bad(text, "line 64, column 9: [63][0]: got more than 64 levels of nesting, wanted a flatter document");
}

static char *repeat(const char *head, const char *piece, size_t n, const char *tail)
{
    size_t len;
    char *text = NULL;
    FILE *out = open_memstream(&text, &len);
    fputs(head, out);
    for (size_t i = 0; i < n; i++)
        fputs(piece, out);
    fputs(tail, out);
    fclose(out);
    return text;
}

static void sizes_are_limited(void **state)
{
    (void)state;
    struct rg_yaml_json doc;
    char *open = repeat("", "[", 64, ""), *deep = repeat(open, "]", 64, "");
    good(deep, deep);
    free(open);
    free(deep);
    deep = repeat("", "[", 65, "");
    assert_int_equal(load(rg_str_of(deep), &doc), -EINVAL);
    assert_non_null(strstr(said, "got more than 64 levels of nesting, wanted a flatter document"));
    free(deep);
    char *wide = repeat("[", "1,", 199999, "]");
    assert_int_equal(load(rg_str_of(wide), &doc), 0);
    rg_yaml_json_fini(&doc);
    free(wide);
    wide = repeat("[", "1,", 200000, "]");
    assert_int_equal(load(rg_str_of(wide), &doc), -EINVAL);
    assert_non_null(strstr(said, "got more than 200000 keys and values, wanted a smaller document"));
    free(wide);
    char *large = repeat("a: ", "xxxxxxxxxxxxxxxx", 65536, "");
    bad(large, "line 1, column 1: document: got more than 1MiB, wanted at most 1MiB");
    free(large);
    char *anchors = repeat("", "- &aNN x\n", 257, "");
    for (int i = 0; i < 257; i++)
        anchors[i * 9 + 4] = (char)('A' + i / 26 % 26), anchors[i * 9 + 5] = (char)('a' + i % 26);
    assert_int_equal(load(rg_str_of(anchors), &doc), -EINVAL);
    assert_non_null(strstr(said, "got more than 256 anchors, wanted fewer; write the values out"));
    free(anchors);
}

static void what_surprises_is_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"a: 1\nb: 2\na: 3\n", "line 3, column 1: got the key twice: \"a\", wanted it once"},
        {"x:\n  - {a: 1, a: 2}\n", "line 2, column 12: x[0]: got the key twice: \"a\", wanted it once"},
        {"a: !!binary aGk=\n",
         "line 1, column 4: a: got the tag \"tag:yaml.org,2002:binary\", wanted the value without a tag"},
        {"a: !mine {}\n", "line 1, column 4: a: got the tag \"!mine\", wanted the value without a tag"},
        {"--- 1\n--- 2\n", "line 2, column 1: got a second document, wanted one document; remove the line ---"},
        {"a: &x {b: 1}\nc: {<<: *x}\n",
         "line 2, column 5: c: got a merge key (<<), wanted the keys themselves; write them out"},
        {"{[a]: 1}", "line 1, column 2: got an object or a list as a key, wanted a plain key"},
        {"a: .inf\n", "line 1, column 4: a: got the number \".inf\", wanted a finite number, or a string in quotes"},
        {"a: -.INF\nb: .nan\n",
         "line 1, column 4: a: got the number \"-.INF\", wanted a finite number, or a string in quotes\n"
         "line 2, column 4: b: got the number \".nan\", wanted a finite number, or a string in quotes"},
        {"a: 1e999\n", "line 1, column 4: a: got the number \"1e999\", wanted one that a double can hold"},
        {"a: \"x\\0y\"\n", "line 1, column 4: a: got a NUL character, wanted text without one"},
        {"a:\n\t- 1\n", "line 2, column 1: a: got a tab, wanted spaces for indentation"},
        {"a: \"\xff\"\n", "line 1, column 5: document: got a byte that is not UTF-8 (0xff), wanted text in UTF-8"},
        {"a: \"\xed\xa0\x80\"\n",
         "line 1, column 5: document: got a byte that is not UTF-8 (0xed), wanted text in UTF-8"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        bad(cases[i][0], cases[i][1]);
    bad("a: [1\nb: 2\n",
        "line 2, column 2: a[1]: got malformed YAML (did not find expected ',' or ']' while parsing a flow "
        "sequence), wanted well-formed YAML; see the line itself and the one before it: indentation, "
        "quotes, colons");
}

static void json_is_read_strictly(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{\"a\": 1, \"a\": 2}", "line 1, column 12: duplicate object key near '\"a\"'"},
        {"{\"a\": \"\\u0000\"}", "line 1, column 14: \\u0000 is not allowed without JSON_ALLOW_NUL near '\"\\u0000\"'"},
        {"", "line 1, column 0: '[' or '{' expected near end of file"},
        {"[1", "line 1, column 2: ']' expected near end of file"},
        {"{} {}", "line 1, column 4: end of file expected near '{'"},
    };
    char why[256];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_null(rg_json_parse(rg_str_of(cases[i][0]), why, sizeof(why)));
        if (i != 2) /* its words differ between versions */
            assert_string_equal(why, cases[i][1]);
    }
    assert_null(rg_json_parse(RG_STR("\"\xff\""), why, sizeof(why)));
    char *deep = repeat("", "[", 64, "");
    char *closed = repeat(deep, "]", 64, "");
    json_t *value = rg_json_parse(rg_str_of(closed), why, sizeof(why));
    assert_non_null(value);
    json_decref(value);
    char *deeper = repeat("[", closed, 1, "]");
    assert_null(rg_json_parse(rg_str_of(deeper), why, sizeof(why)));
    assert_string_equal(why, "more than 64 levels of objects and lists");
    free(deep);
    free(closed);
    free(deeper);
    char *brackets = repeat("\"\\\"", "[", 100, "\"");
    value = rg_json_parse(rg_str_of(brackets), why, sizeof(why));
    assert_true(json_is_string(value) && json_string_length(value) == 101);
    json_decref(value);
    free(brackets);
}

static void strings_are_json_in_ascii(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    rg_json_string(out, (struct rg_str){"a\"\\\n\x7f\xff\0z", 8});
    rg_json_string(out, RG_STR_NONE);
    fclose(out);
    assert_string_equal(text, "\"a\\\"\\\\\\u000a\\u007f\\ufffd\\u0000z\"\"\"");
    free(text);
}

static void strings_of_json_keep_their_utf8(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    rg_json_utf8(out, (struct rg_str){"a\"\\\n\x7f\xc3\xa9\xff\0\xf0\x9f", 11});
    fclose(out);
    assert_string_equal(text, "\"a\\\"\\\\\\u000a\\u007f\xc3\xa9\\ufffd\\u0000\\ufffd\\ufffd\"");
    free(text);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(scalars_follow_the_core_schema),
        TEST(keys_are_strings_in_their_order),
        TEST(how_a_number_was_written_is_kept),
        TEST(aliases_stand_for_their_values),
        TEST(bombs_are_refused),
        TEST(sizes_are_limited),
        TEST(what_surprises_is_refused),
        TEST(json_is_read_strictly),
        TEST(strings_are_json_in_ascii),
        TEST(strings_of_json_keep_their_utf8),
    };
    return cmocka_run_group_tests_name("yaml_json", tests, NULL, NULL);
}
