/* control/agent/lower_pattern: sets of path patterns, compared with paths that are matched one by one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "control/artifact/lower_parts.h"

/* Patterns of up to three segments out of these, and every path that can tell them apart. */
static const char *const segments[] = {"a", "b", "{x}", "*"};
static const char *const words[] = {"", "a", "b", "c"};

#define TEXTS_MAX 128
#define TEXT_MAX  24

struct texts {
    char items[TEXTS_MAX][TEXT_MAX];
    size_t n;
};

static void add_texts(struct texts *t, const char *front, const char *const *parts, unsigned depth)
{
    for (unsigned i = 0; i < 4; i++) {
        char text[TEXT_MAX];
        int len = snprintf(text, sizeof(text), "%s/%s", front, parts[i]);
        assert_true(len < TEXT_MAX && t->n < TEXTS_MAX);
        memcpy(t->items[t->n++], text, sizeof(text));
        if (depth > 1 && parts[i][0] != '*')
            add_texts(t, text, parts, depth - 1);
    }
}

/* Written in another way than the code: from the end of the pattern, by cases. */
static bool matches(const char *pattern, const char *path)
{
    if (strcmp(pattern, "/*") == 0)
        return true;
    if (*pattern == '\0' || *path == '\0')
        return *pattern == *path;
    size_t p = strcspn(pattern + 1, "/"), q = strcspn(path + 1, "/");
    bool same = pattern[1] == '{' ? q > 0 : p == q && strncmp(pattern + 1, path + 1, p) == 0;
    return same && matches(pattern + 1 + p, path + 1 + q);
}

static bool covers(const char *a, const char *b)
{
    return rg_pattern_covers(rg_str_of(a), rg_str_of(b));
}

static void test_covers_means_that_all_paths_match(void **state)
{
    (void)state;
    static struct texts patterns, paths;
    patterns.n = paths.n = 0;
    add_texts(&patterns, "", segments, 2);
    add_texts(&paths, "", words, 3);
    for (size_t i = 0; i < patterns.n; i++) {
        for (size_t j = 0; j < patterns.n; j++) {
            bool all = true;
            for (size_t k = 0; k < paths.n; k++)
                all &= !matches(patterns.items[j], paths.items[k]) || matches(patterns.items[i], paths.items[k]);
            /* "c" is none of the words of patterns, so {x} is never exhausted by them */
            if (covers(patterns.items[i], patterns.items[j]) != all)
                fail_msg("%s covers %s: wanted %d", patterns.items[i], patterns.items[j], all);
        }
    }
}

/* The patterns that match a path: the one that all others of them cover has to be in the set. */
static void check_closest(const struct rg_patterns *set, const char *path)
{
    bool any = false, found = false;
    for (size_t i = 0; i < set->n; i++) {
        char z[64];
        snprintf(z, sizeof(z), "%.*s", (int)set->items[i].len, set->items[i].ptr);
        if (!matches(z, path))
            continue;
        any = true;
        bool closest = true;
        for (size_t j = 0; j < set->n; j++) {
            char other[64];
            snprintf(other, sizeof(other), "%.*s", (int)set->items[j].len, set->items[j].ptr);
            closest &= !matches(other, path) || rg_pattern_covers(set->items[j], set->items[i]);
        }
        found |= closest;
    }
    if (any && !found)
        fail_msg("no closest pattern for %s", path);
}

static void test_a_closed_set_has_a_closest_pattern_for_every_path(void **state)
{
    (void)state;
    static struct texts patterns, paths;
    patterns.n = paths.n = 0;
    add_texts(&patterns, "", segments, 2);
    add_texts(&paths, "", words, 3);
    srand(7);
    for (int round = 0; round < 200; round++) {
        struct rg_arena arena;
        static struct rg_patterns set;
        rg_arena_init(&arena);
        set.n = 0;
        for (int i = 0; i < 6; i++)
            assert_true(rg_patterns_add(&set, rg_str_of(patterns.items[(size_t)rand() % patterns.n])));
        assert_true(rg_patterns_close(&set, &arena));
        for (size_t k = 0; k < paths.n; k++)
            check_closest(&set, paths.items[k]);
        rg_arena_fini(&arena);
    }
}

static void test_names_of_parameters_do_not_count(void **state)
{
    (void)state;
    struct rg_patterns set = {.n = 0};
    assert_true(rg_patterns_add(&set, RG_STR("/a/{id}")));
    assert_true(rg_patterns_add(&set, RG_STR("/a/{name}")));
    assert_int_equal(set.n, 1);
}

static void test_too_many(void **state)
{
    (void)state;
    static char names[RG_LOWER_PATTERNS_MAX + 1][16];
    static struct rg_patterns set;
    for (size_t i = 0; i <= RG_LOWER_PATTERNS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "/%zu", i);
        assert_int_equal(rg_patterns_add(&set, rg_str_of(names[i])), i < RG_LOWER_PATTERNS_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_covers_means_that_all_paths_match),
        cmocka_unit_test(test_a_closed_set_has_a_closest_pattern_for_every_path),
        cmocka_unit_test(test_names_of_parameters_do_not_count),
        cmocka_unit_test(test_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
