#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/http/h1_test.h"

static void assert_normal(const char *path, const char *expected)
{
    char out[256];
    size_t len = strlen(path);
    int32_t n = rg_h1_normalize_path((struct rg_str){h1_guard(0, path, len, false), len}, out);
    assert_true(n >= 0);
    assert_str((struct rg_str){out, (size_t)n}, expected);
}

static void dots(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"/", "/"},
        {"/a", "/a"},
        {"/a/", "/a/"},
        {"/.", "/"},
        {"/./", "/"},
        {"/..", "/"},
        {"/../", "/"},
        {"/../..", "/"},
        {"/../../a", "/a"},
        {"/a/.", "/a/"},
        {"/a/./b", "/a/b"},
        {"/a/..", "/"},
        {"/a/../b", "/b"},
        {"/a/b/..", "/a/"},
        {"/a/b/../", "/a/"},
        {"/a/b/../../c", "/c"},
        {"/a/b/../../../c", "/c"},
        {"/...", "/..."},
        {"/.a", "/.a"},
        {"/..a", "/..a"},
        {"/a.", "/a."},
        {"/a../b", "/a../b"},
        {"//", "//"},
        {"/a//b", "/a//b"},
        {"/a//../b", "/a/b"},
        {"//../a", "/a"},
        {"/a/..;/b", "/a/..;/b"},
        {"/;/../a", "/a"},
        {"/a/./", "/a/"},
        {"/./a", "/a"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_normal(cases[i][0], cases[i][1]);
}

static void escapes(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"/%41", "/A"},
        {"/%7e%2D%5f", "/~-_"},
        {"/%2f", "/%2F"},
        {"/%3b", "/%3B"},
        {"/%20", "/%20"},
        {"/%c3%a9", "/%C3%A9"},
        {"/%00", "/%00"},
        {"/%25", "/%25"},
        {"/%252e", "/%252e"},
        {"/%25%32%65", "/%252e"},
        {"/%2e", "/"},
        {"/%2e%2e", "/"},
        {"/a/%2e%2E/b", "/b"},
        {"/a/.%2e/b", "/b"},
        {"/a/%2e./b", "/b"},
        {"/a/%2e/b", "/a/b"},
        {"/a/..%2fb", "/a/..%2Fb"},
        {"/%2e%2e%2fa", "/..%2Fa"},
        {"/%5c", "/%5C"},
        {"/a/%2e%2e%3b/b", "/a/..%3B/b"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_normal(cases[i][0], cases[i][1]);
}

static void bad_escapes(void **state)
{
    (void)state;
    static const char *const bad[] = {"/%", "/%4", "/%zz", "/%4g", "/a/%", "/%%41"};
    char out[64];
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        size_t len = strlen(bad[i]);
        assert_int_equal(rg_h1_normalize_path((struct rg_str){h1_guard(0, bad[i], len, false), len}, out), -1);
    }
}

static void other_forms(void **state)
{
    (void)state;
    assert_normal("*", "*");
    assert_normal("", "");
}

/* Any path: not longer, starts with '/', has no dot segment, and is its own normal form. */
static void random_paths(void **state)
{
    (void)state;
    static const char *const parts[] = {"/", "/", ".", ".", "%2e", "%2E", "%2f", "a", "b", ";", "%41", "%c3", "//"};
    uint64_t seed = 42;
    for (int i = 0; i < 100000; i++) {
        char once[64], twice[64];
        struct h1_bytes path = {0};
        h1_bytes_print(&path, "/");
        for (size_t n = h1_random_below(&seed, 12); n > 0; n--)
            h1_bytes_print(&path, "%s", parts[h1_random_below(&seed, sizeof(parts) / sizeof(*parts))]);
        int32_t n = rg_h1_normalize_path((struct rg_str){path.ptr, path.len}, once);
        assert_true(n >= 1 && (size_t)n <= path.len && once[0] == '/');
        once[n] = '\0';
        assert_null(strstr(once, "/./"));
        assert_null(strstr(once, "/../"));
        assert_false(n >= 2 && strcmp(once + n - 2, "/.") == 0);
        assert_false(n >= 3 && strcmp(once + n - 3, "/..") == 0);
        assert_int_equal(rg_h1_normalize_path(rg_str_of(once), twice), n);
        assert_memory_equal(once, twice, (size_t)n);
        h1_bytes_fini(&path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dots),        cmocka_unit_test(escapes),      cmocka_unit_test(bad_escapes),
        cmocka_unit_test(other_forms), cmocka_unit_test(random_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
