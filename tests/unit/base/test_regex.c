/*
 * regex.h: what matches, what is refused and how that is said, and the same verdicts as the C library's on random
 * patterns and values.
 */
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "datapath/base/regex.h"

static bool compile(struct rg_arena *a, const char *pattern, const struct rg_regex **ret, char why[128])
{
    rg_arena_init(a);
    return rg_regex_compile(a, rg_str_of(pattern), ret, why, 128) == 0;
}

static bool matches(const char *pattern, const char *value)
{
    struct rg_arena a;
    const struct rg_regex *re = NULL;
    char why[128] = "";
    if (!compile(&a, pattern, &re, why))
        fail_msg("%s: %s", pattern, why);
    bool r = rg_regex_matches(re, rg_str_of(value));
    rg_arena_fini(&a);
    return r;
}

static void values_match_whole(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *yes[4], *no[4];
    } rows[] = {
        {"gold|silver", {"gold", "silver"}, {"golden", "", "old", "goldsilver"}},
        {"", {""}, {"a"}},
        {"a*", {"", "a", "aaaa"}, {"b", "ab"}},
        {"(ab)+c?", {"ab", "ababc"}, {"", "abcab", "ac"}},
        {"v[0-9]+(\\.[0-9]+)?", {"v1", "v12.5"}, {"v", "v1.", "1"}},
        {"\\d{3}-\\w+", {"123-a_9"}, {"12-a", "1234-a", "123-"}},
        {"[^a-c]x", {"dx", "-x"}, {"ax", "x"}},
        {"[]a]+", {"]a]"}, {"b"}},
        {"[a-]+", {"a-a"}, {"b"}},
        {"[\\d.]+", {"1.2"}, {"a"}},
        {"[[:alpha:]_]+", {"aZ_"}, {"1"}},
        {"a{2,3}", {"aa", "aaa"}, {"a", "aaaa", ""}},
        {"a{2,}", {"aa", "aaaaaa"}, {"a"}},
        {"a{0,2}b{0}", {"", "a", "aa"}, {"b", "aaa"}},
        {"(a|b{2}){2}", {"aa", "abb", "bbbb"}, {"ab", "bb"}},
        {"^gold$|^silver$", {"gold", "silver"}, {"^gold"}},
        {"(?i)GoLd[a-c]", {"gOLDB"}, {"gol"}},
        {"(?:x|y)z", {"xz", "yz"}, {"z"}},
        {".*a.*?", {"a", "bab"}, {"", "b"}},
        {"\\S+\\s\\S+", {"a b"}, {"ab", "a b c"}},
        {"a\\|b\\*", {"a|b*"}, {"a", "b"}},
        {"\xc3\xa4+", {"\xc3\xa4"}, {"\xc3"}},
        {"()|a", {"", "a"}, {"b"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t k = 0; k < 4 && rows[i].yes[k]; k++)
            if (!matches(rows[i].pattern, rows[i].yes[k]))
                fail_msg("%s does not match \"%s\"", rows[i].pattern, rows[i].yes[k]);
        for (size_t k = 0; k < 4 && rows[i].no[k]; k++)
            if (matches(rows[i].pattern, rows[i].no[k]))
                fail_msg("%s matches \"%s\"", rows[i].pattern, rows[i].no[k]);
    }
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *why;
    } rows[] = {
        {"a(b", "at 2: a ) is missing for this ("},
        {"ab)", "at 3: there is no ( for this )"},
        {"a[b", "at 2: a ] is missing for this ["},
        {"*a", "at 1: there is nothing to repeat"},
        {"a**", "at 3: this repeats a repetition; put the first in ( )"},
        {"a{3,2}", "at 2: this interval goes backwards"},
        {"a{x}", "at 3: a number is missing here: {n}, {n,} or {n,m}"},
        {"a{1", "at 2: this is no interval: {n}, {n,} or {n,m}"},
        {"a{9999}", "at 3: this repeats too often"},
        {"(a)\\1", "at 5: back-references are not supported"},
        {"\\bword", "at 2: this escape is not supported; \\d, \\w, \\s and punctuation are"},
        {"a\\", "at 3: there is nothing behind the backslash"},
        {"(?=a)", "at 1: of the groups that begin with (? only (?: is supported, and (?i) at the very front"},
        {"a^b", "at 2: ^ and $ are for the ends of a value: the pattern matches it whole"},
        {"[z-a]", "at 2: this range of a class goes backwards"},
        {"[[:digits:]]", "at 2: there is no class of this name"},
        {"[\xc3\xa4]", "at 2: a class can't hold characters beyond ASCII"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rg_arena a;
        const struct rg_regex *re = NULL;
        char why[128] = "";
        assert_false(compile(&a, rows[i].pattern, &re, why));
        assert_string_equal(why, rows[i].why);
        assert_null(re);
        rg_arena_fini(&a);
    }
}

static void what_would_grow_without_bound_is_refused(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "(((((a{9}){9}){9}){9}){9}){9}",
        "((((((){200}){200}){200}){200}){200}){200}",
        "((((((((((((((((((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))))))))))))))))))",
        ".{257}",
    };
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        struct rg_arena a;
        const struct rg_regex *re = NULL;
        char why[128] = "";
        assert_false(compile(&a, patterns[i], &re, why));
        assert_null(re);
        rg_arena_fini(&a);
    }
    assert_true(matches("(a?){128}a{128}",
                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                        "a"));
}

static void values_that_are_too_long_match_nothing(void **state)
{
    (void)state;
    static char value[RG_REGEX_VALUE_MAX + 1];
    struct rg_arena a;
    const struct rg_regex *re = NULL;
    char why[128];
    memset(value, 'a', sizeof value);
    assert_true(compile(&a, "(a|a)*", &re, why));
    assert_true(rg_regex_matches(re, (struct rg_str){value, RG_REGEX_VALUE_MAX}));
    assert_false(rg_regex_matches(re, (struct rg_str){value, RG_REGEX_VALUE_MAX + 1}));
    rg_arena_fini(&a);
}

/* ---- Against the C library ---- */

static uint32_t seed = 20261121;

static unsigned below(unsigned n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static size_t make_pattern(char *out, unsigned depth)
{
    static const char *const leaves[] = {"a", "b", "c", ".", "[ab]", "[^a]", "ab", "[b-c]"};
    static const char *const repeats[] = {"", "", "", "*", "+", "?", "{2}", "{0,2}", "{1,}"};
    size_t n = 0;
    for (unsigned parts = 1 + below(3); parts > 0; parts--) {
        if (depth > 0 && below(3) == 0) {
            out[n++] = '(';
            n += make_pattern(out + n, depth - 1);
            if (below(2)) {
                out[n++] = '|';
                n += make_pattern(out + n, depth - 1);
            }
            out[n++] = ')';
        } else {
            n += (size_t)sprintf(out + n, "%s", leaves[below(8)]);
        }
        n += (size_t)sprintf(out + n, "%s", repeats[below(9)]);
    }
    return n;
}

static void the_c_library_agrees(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        char pattern[512], anchored[520], why[128];
        struct rg_arena a;
        const struct rg_regex *re = NULL;
        regex_t theirs;
        pattern[make_pattern(pattern, 2)] = '\0';
        snprintf(anchored, sizeof anchored, "^(%s)$", pattern);
        if (!compile(&a, pattern, &re, why))
            fail_msg("%s: %s", pattern, why);
        assert_int_equal(regcomp(&theirs, anchored, REG_EXTENDED | REG_NOSUB), 0);
        for (unsigned k = 0; k < 30; k++) {
            char value[8];
            size_t n = below(8);
            for (size_t c = 0; c < n; c++)
                value[c] = (char)('a' + below(4));
            value[n] = '\0';
            bool expected = regexec(&theirs, value, 0, NULL, 0) == 0;
            if (rg_regex_matches(re, rg_str_of(value)) != expected)
                fail_msg("%s on \"%s\": the C library says %d", pattern, value, expected);
        }
        regfree(&theirs);
        rg_arena_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_match_whole),
        cmocka_unit_test(what_is_wrong_is_said_with_its_place),
        cmocka_unit_test(what_would_grow_without_bound_is_refused),
        cmocka_unit_test(values_that_are_too_long_match_nothing),
        cmocka_unit_test(the_c_library_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
