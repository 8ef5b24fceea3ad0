/* Decoding by tables of parameters: what is filled in, and every kind of mistake with its path and remedy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "control/common/json.h"
#include "control/common/params.h"
#include "control/common/yaml_json.h"

struct limit {
    int64_t requests;
    uint64_t duration;
};

struct inner {
    bool deep;
    struct rg_str text;
};

struct sample {
    struct rg_str name, version, extra;
    bool on, has_count;
    int64_t count;
    uint64_t wait;
    int32_t mode;
    struct inner inner;
    struct rg_param_list limits, words, matrix;
};

static const char *const modes[] = {"deny_all", "allow_all", "ask", NULL};

static const struct rg_param limit_fields[] = {
    {.name = "requests",
     .type = RG_PARAM_INT,
     .offset = offsetof(struct limit, requests),
     .required = true,
     .min = 1,
     .max = 1000},
    {.name = "duration",
     .type = RG_PARAM_DURATION,
     .offset = offsetof(struct limit, duration),
     .required = true,
     .min = 1000,
     .max = 3600000000},
    {.name = NULL},
};

static const struct rg_param inner_fields[] = {
    {.name = "deep", .type = RG_PARAM_BOOL, .offset = offsetof(struct inner, deep), .initial = "true"},
    {.name = "text", .type = RG_PARAM_STRING, .offset = offsetof(struct inner, text), .required = true},
    {.name = NULL},
};

static const struct rg_param word = {.name = "", .type = RG_PARAM_STRING, .not_empty = true};
static const struct rg_param number = {.name = "", .type = RG_PARAM_INT};
static const struct rg_param row_of_matrix = {
    .name = "", .type = RG_PARAM_LIST, .item = &number, .size = sizeof(int64_t), .max = 3};

static const struct rg_param fields[] = {
    {.name = "name",
     .type = RG_PARAM_STRING,
     .offset = offsetof(struct sample, name),
     .required = true,
     .not_empty = true},
    {.name = "version", .type = RG_PARAM_STRING, .offset = offsetof(struct sample, version), .scalar = true},
    {.name = "extra", .type = RG_PARAM_ANY, .offset = offsetof(struct sample, extra)},
    {.name = "on", .type = RG_PARAM_BOOL, .offset = offsetof(struct sample, on)},
    {.name = "count",
     .type = RG_PARAM_INT,
     .offset = offsetof(struct sample, count),
     .initial = "7",
     .min = -5,
     .present = offsetof(struct sample, has_count) + 1},
    {.name = "wait", .type = RG_PARAM_DURATION, .offset = offsetof(struct sample, wait), .initial = "\"1s\""},
    {.name = "mode",
     .type = RG_PARAM_ENUM,
     .offset = offsetof(struct sample, mode),
     .words = modes,
     .initial = "\"ask\""},
    {.name = "inner", .type = RG_PARAM_OBJECT, .offset = offsetof(struct sample, inner), .fields = inner_fields},
    {.name = "limits",
     .type = RG_PARAM_LIST,
     .offset = offsetof(struct sample, limits),
     .fields = limit_fields,
     .size = sizeof(struct limit),
     .not_empty = true,
     .max = 3},
    {.name = "words",
     .type = RG_PARAM_LIST,
     .offset = offsetof(struct sample, words),
     .item = &word,
     .size = sizeof(struct rg_str),
     .initial = "[\"a\", \"b\"]"},
    {.name = "matrix",
     .type = RG_PARAM_LIST,
     .offset = offsetof(struct sample, matrix),
     .item = &row_of_matrix,
     .size = sizeof(struct rg_param_list)},
    {.name = NULL},
};

static struct rg_arena arena;
static char *said;

static int setup(void **state)
{
    (void)state;
    rg_arena_init(&arena);
    said = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_arena_fini(&arena);
    free(said);
    return 0;
}

/* Decodes a text in YAML; what was wrong with it is in `said`, a line each. */
static int decode(const char *yaml, bool tolerant, struct sample *ret)
{
    struct rg_problems problems;
    struct rg_yaml_json doc = {0};
    size_t len;
    rg_problems_init(&problems);
    assert_int_equal(rg_yaml_json(rg_str_of(yaml), 1 << 20, &doc, &problems), 0);
    struct rg_params_source source = {doc.value, "params", doc.written, tolerant};
    *ret = (struct sample){.mode = -1};
    int r = rg_params_decode(fields, &source, &arena, ret, &problems);
    free(said);
    FILE *out = open_memstream(&said, &len);
    rg_problems_write(&problems, "\n", out);
    fclose(out);
    assert_int_equal(r, rg_problems_any(&problems) ? -EINVAL : 0);
    rg_problems_fini(&problems);
    rg_yaml_json_fini(&doc);
    return r;
}

static void assert_text(struct rg_str got, const char *wanted)
{
    assert_int_equal(got.len, strlen(wanted));
    assert_memory_equal(got.ptr, wanted, got.len);
}

static void everything_is_filled_in(void **state)
{
    (void)state;
    struct sample s;
    assert_int_equal(decode("name: n\nversion: 1.10\nextra: {a: [1, 2.5, null]}\non: true\ncount: -5\nwait: 1m30s\n"
                            "mode: allow_all\ninner: {deep: false, text: t}\n"
                            "limits: [{requests: 1, duration: 1h}, {requests: 1000.0, duration: 1.5ms}]\n"
                            "words: [x]\nmatrix: [[1, 2], []]\n",
                            false, &s),
                     0);
    assert_text(s.name, "n");
    assert_text(s.version, "1.10");
    assert_text(s.extra, "{\"a\":[1,2.5,null]}");
    assert_true(s.on && s.has_count && s.count == -5 && s.wait == 90000000 && s.mode == 1);
    assert_false(s.inner.deep);
    assert_text(s.inner.text, "t");
    const struct limit *l = s.limits.items;
    assert_true(s.limits.n == 2 && l[0].requests == 1 && l[0].duration == 3600000000u);
    assert_true(l[1].requests == 1000 && l[1].duration == 1500);
    assert_true(s.words.n == 1 && s.matrix.n == 2);
    const struct rg_param_list *m = s.matrix.items;
    assert_true(m[0].n == 2 && ((int64_t *)m[0].items)[1] == 2 && m[1].n == 0 && m[1].items == NULL);
}

static void what_is_left_out_has_its_initial_value(void **state)
{
    (void)state;
    struct sample s;
    assert_int_equal(decode("{name: n}", false, &s), 0);
    assert_true(s.version.len == 0 && s.extra.len == 0 && !s.on && !s.has_count);
    assert_true(s.count == 7 && s.wait == 1000000 && s.mode == 2);
    assert_true(s.inner.deep && s.inner.text.len == 0); /* nothing is required of what is not there */
    assert_true(s.limits.n == 0 && s.limits.items == NULL && s.words.n == 2);
    assert_text(((struct rg_str *)s.words.items)[1], "b");
}

static void scalars_are_taken_as_they_are_written(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"1.10", "1.10"},
                                           {"1.0", "1.0"},
                                           {"0x1f", "0x1f"},
                                           {"007", "007"},
                                           {"1e3", "1e3"},
                                           {"12", "12"},
                                           {"-3", "-3"},
                                           {"true", "true"},
                                           {"True", "true"},
                                           {"'1.50'", "1.50"},
                                           {"99999999999999999999", "99999999999999999999"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sample s;
        char text[128];
        snprintf(text, sizeof(text), "name: n\nversion: %s\n", cases[i][0]);
        assert_int_equal(decode(text, false, &s), 0);
        assert_text(s.version, cases[i][1]);
    }
}

static void numbers_of_json_are_written_in_the_shortest_way(void **state)
{
    (void)state;
    struct sample s = {0};
    struct rg_problems problems;
    char why[128];
    rg_problems_init(&problems);
    json_t *value = rg_json_parse(RG_STR("{\"name\":\"n\",\"version\":0.1}"), why, sizeof(why));
    struct rg_params_source source = {.value = value};
    assert_int_equal(rg_params_decode(fields, &source, &arena, &s, &problems), 0);
    assert_text(s.version, "0.1");
    json_decref(value);
}

static void every_mistake_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        {"{}", "params.name: got nothing, wanted a string that is not empty"},
        {"[]", "params: got a list of 0, wanted an object"},
        {"text", "params: got \"text\", wanted an object"},
        {"{name: ''}", "params.name: got \"\", wanted a string that is not empty"},
        {"{name: 1.50}", "params.name: got 1.50, wanted a string that is not empty; did you mean \"1.50\", in quotes?"},
        {"{name: null}", "params.name: got null, wanted a string that is not empty"},
        {"{name: {}}", "params.name: got an object, wanted a string that is not empty"},
        {"{name: n, version: []}", "params.version: got a list of 0, wanted a string"},
        {"{name: n, on: 'true'}", "params.on: got \"true\", wanted true or false; did you mean true without quotes?"},
        {"{name: n, on: yes}", "params.on: got \"yes\", wanted true or false"},
        {"{name: n, count: -6}", "params.count: got -6, wanted a whole number of at least -5"},
        {"{name: n, count: 1.5}", "params.count: got 1.5, wanted a whole number of at least -5"},
        {"{name: n, count: '3'}",
         "params.count: got \"3\", wanted a whole number of at least -5; did you mean 3 without quotes?"},
        {"{name: n, wait: 10 sec}",
         "params.wait: got \"10 sec\", wanted a duration of at least 0s, like 10s; did you mean 10s?"},
        {"{name: n, wait: 10}", "params.wait: got 10, wanted a duration of at least 0s, like 10s; did you mean 10s?"},
        {"{name: n, wait: -1s}", "params.wait: got \"-1s\", wanted a duration of at least 0s, like 10s"},
        {"{name: n, mode: allow-all}",
         "params.mode: got \"allow-all\", wanted deny_all, allow_all or ask; did you mean allow_all?"},
        {"{name: n, mode: 1}", "params.mode: got 1, wanted deny_all, allow_all or ask"},
        {"{name: n, inner: {}}", "params.inner.text: got nothing, wanted a string"},
        {"{name: n, inner: 3}", "params.inner: got 3, wanted an object"},
        {"{name: n, limits: []}", "params.limits: got a list of 0, wanted a list of at least 1 and at most 3"},
        {"{name: n, limits: [1, 2, 3, 4]}",
         "params.limits: got a list of 4, wanted a list of at least 1 and at most 3"},
        {"{name: n, limits: [{requests: 0, duration: 2h}, x]}",
         "params.limits[0].requests: got 0, wanted a whole number from 1 to 1000\n"
         "params.limits[0].duration: got \"2h\", wanted a duration from 1ms to 1h, like 10s\n"
         "params.limits[1]: got \"x\", wanted an object"},
        {"{name: n, words: [a, '']}", "params.words[1]: got \"\", wanted a string that is not empty"},
        {"{name: n, matrix: [[1], [x]]}", "params.matrix[1][0]: got \"x\", wanted a whole number of at least 0"},
        {"{name: n, matrix: [[1, 2, 3, 4]]}", "params.matrix[0]: got a list of 4, wanted a list of at most 3"},
        {"{name: n, inner: {text: t, dep: 1}}",
         "params.inner.dep: got an unknown key, wanted one of deep, text; did you mean deep?"},
        {"{name: n, Mode: ask}",
         "params.Mode: got an unknown key, wanted one of name, version, extra, on, count, wait, "
         "mode, inner, limits, words, matrix; did you mean mode?"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sample s;
        assert_int_equal(decode(cases[i].text, false, &s), -EINVAL);
        assert_string_equal(said, cases[i].wanted);
    }
}

static void the_tolerant_take_what_others_write(void **state)
{
    (void)state;
    struct sample s;
    assert_int_equal(
        decode("{NAME: n, name2: x, Mode: deny_all, count: null, inner: null, limits: ~, deep: {er: 1}}", true, &s), 0);
    assert_text(s.name, "n");
    assert_true(s.mode == 0 && s.count == 7 && !s.has_count && s.inner.deep && s.limits.n == 0);
    assert_int_equal(decode("{name: exact, NAME: other}", true, &s), 0);
    assert_text(s.name, "exact");
    assert_int_equal(decode("{name: null}", true, &s), -EINVAL); /* absent, and required */
    assert_int_equal(decode("{name: n, count: x}", true, &s), -EINVAL);
    assert_int_equal(decode("", true, &s), -EINVAL);
    assert_string_equal(said, "params.name: got nothing, wanted a string that is not empty");
}

static void problems_have_a_path_and_are_counted(void **state)
{
    (void)state;
    struct rg_problems problems;
    struct rg_str path, text;
    rg_problems_init(&problems);
    assert_false(rg_problems_any(&problems));
    rg_problems_add(&problems, "a[1].b", "x", "y", "z");
    rg_problems_add(&problems, "", "x", "y", NULL);
    assert_true(rg_problems_get(&problems, 0, &path, &text));
    assert_text(path, "a[1].b");
    assert_text(text, "got x, wanted y; z");
    assert_true(rg_problems_get(&problems, 1, &path, &text));
    assert_text(path, "");
    assert_text(text, "got x, wanted y");
    assert_false(rg_problems_get(&problems, 2, &path, &text));
    for (int i = 0; i < 200; i++)
        rg_problems_add(&problems, "p", "x", "y", NULL);
    size_t len;
    FILE *out = open_memstream(&said, &len);
    rg_problems_write(&problems, "; ", out);
    fclose(out);
    assert_non_null(strstr(said, "a[1].b: got x, wanted y; z; got x, wanted y; p: got x, wanted y; p: "));
    assert_non_null(strstr(said, "; and 102 more"));
    rg_problems_fini(&problems);
}

static void durations_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } cases[] = {
        {"0", 0},
        {"0s", 0},
        {"500ms", 500000},
        {"1m30s", 90000000},
        {"1.5h", 5400000000},
        {"7us", 7},
        {"7\xc2\xb5s", 7},
        {"1h1m1s1ms1us", 3661001001},
        {"0.25s", 250000},
        {"", -1},
        {"1", -1},
        {"s", -1},
        {"1 s", -1},
        {"-1s", -1},
        {"1.s", -1},
        {".5s", -1},
        {"1e3s", -1},
        {"1d", -1},
        {"1s ", -1},
        {"1..5s", -1},
        {"1.5.5s", -1},
        {"99999999999999999999s", -1},
        {"9999999999999999s", -1},
        {"999999999999h", -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t us = 0;
        bool good = rg_params_parse_duration(rg_str_of(cases[i].text), &us);
        if (good != (cases[i].us >= 0) || (good && us != (uint64_t)cases[i].us))
            fail_msg("\"%s\": %d %llu", cases[i].text, good, (unsigned long long)us);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everything_is_filled_in),
        TEST(what_is_left_out_has_its_initial_value),
        TEST(scalars_are_taken_as_they_are_written),
        TEST(numbers_of_json_are_written_in_the_shortest_way),
        TEST(every_mistake_is_named),
        TEST(the_tolerant_take_what_others_write),
        TEST(problems_have_a_path_and_are_counted),
        TEST(durations_are_read),
    };
    return cmocka_run_group_tests_name("params", tests, NULL, NULL);
}
