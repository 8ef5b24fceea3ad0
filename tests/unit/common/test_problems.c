/* control/common/problems.c: problems as other programs get them, and as they come from them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "control/common/problems.h"

static const char *member(const json_t *list, size_t i, const char *name)
{
    return json_string_value(json_object_get(json_array_get(list, i), name));
}

static void go_there_and_back(void **state)
{
    (void)state;
    struct rg_problems there, back;
    struct rg_str path, text;
    rg_problems_init(&there);
    rg_problems_init(&back);
    rg_problems_add(&there, "spec.version", "one", "a version; spec.x: is none", "use v1.0");
    rg_problems_say(&there, RG_STR(""), RG_STR("caf\xe9"));
    json_t *list = rg_problems_json(&there);
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(member(list, 0, "field"), "spec.version");
    assert_string_equal(member(list, 0, "message"), "got one, wanted a version; spec.x: is none; use v1.0");
    assert_string_equal(member(list, 1, "field"), "");
    assert_string_equal(member(list, 1, "message"), "caf?");
    rg_problems_from_json(&back, list);
    assert_true(rg_problems_get(&back, 0, &path, &text));
    assert_true(rg_str_eq(path, RG_STR("spec.version")));
    assert_true(rg_str_eq(text, RG_STR("got one, wanted a version; spec.x: is none; use v1.0")));
    json_decref(list);
    rg_problems_fini(&there);
    rg_problems_fini(&back);
}

/* However long they are, and however many: what is left out is counted. */
static void are_bounded(void **state)
{
    (void)state;
    struct rg_problems all;
    static char path[4000], text[3000];
    rg_problems_init(&all);
    memset(path, 'p', sizeof(path) - 1);
    memset(text, 't', sizeof(text) - 1);
    for (int i = 0; i < RG_CONF_ERRORS_MAX + 7; i++)
        rg_problems_say(&all, rg_str_of(path), rg_str_of(text));
    json_t *list = rg_problems_json(&all);
    char *dumped = json_dumps(list, JSON_COMPACT);
    assert_in_range(strlen(dumped), RG_PROBLEMS_JSON_MAX / 2, RG_PROBLEMS_JSON_MAX + 1024);
    size_t n = json_array_size(list);
    assert_int_equal(strlen(member(list, 0, "field")), RG_PROBLEM_PATH_MAX - 1);
    char rest[32];
    snprintf(rest, sizeof(rest), "and %zu more", RG_CONF_ERRORS_MAX + 7 - (n - 1));
    assert_string_equal(member(list, n - 1, "message"), rest);
    free(dumped);
    json_decref(list);
    rg_problems_fini(&all);
}

static void what_is_no_problem_is_passed_over(void **state)
{
    (void)state;
    struct rg_problems all;
    struct rg_str path, text;
    json_t *list = json_pack("[s, n, {}, {s:i}, {s:s, s:[]}, [s], {s:i, s:s, s:s}]", "text", "message", 1, "field", "a",
                             "message", "x", "field", 7, "message", "good", "other", "b");
    assert_non_null(list);
    rg_problems_init(&all);
    rg_problems_from_json(&all, list);
    rg_problems_from_json(&all, NULL);
    assert_true(rg_problems_get(&all, 0, &path, &text));
    assert_true(path.len == 0 && rg_str_eq(text, RG_STR("good")));
    assert_false(rg_problems_get(&all, 1, &path, &text));
    rg_problems_fini(&all);
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(go_there_and_back),
        cmocka_unit_test(are_bounded),
        cmocka_unit_test(what_is_no_problem_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
