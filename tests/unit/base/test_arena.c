/* arena.h: pieces don't overlap, are zeroed and aligned, whatever their sizes; everything is given back at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "datapath/base/arena.h"

static void pieces_are_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    enum { N = 2000 };
    static unsigned char *pieces[N];
    struct rg_arena a;
    rg_arena_init(&a);
    for (size_t i = 0; i < N; i++) {
        pieces[i] = rg_arena_alloc(&a, i % 700);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        for (size_t k = 0; k < i % 700; k++)
            assert_int_equal(pieces[i][k], 0);
        memset(pieces[i], (int)(i & 0xff), i % 700);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < i % 700; k++)
            assert_int_equal(pieces[i][k], i & 0xff);
    rg_arena_fini(&a);
    assert_int_equal(a.bytes, 0);
    rg_arena_fini(&a);
}

static void what_is_larger_than_a_block_gets_one_of_its_own(void **state)
{
    (void)state;
    struct rg_arena a;
    rg_arena_init(&a);
    char *large = rg_arena_alloc(&a, 3u << 20), *small = rg_arena_alloc(&a, 8);
    assert_true(large && small);
    memset(large, 1, 3u << 20);
    assert_int_equal(*small, 0);
    rg_arena_fini(&a);
}

static void sizes_that_overflow_are_refused(void **state)
{
    (void)state;
    struct rg_arena a;
    rg_arena_init(&a);
    assert_null(rg_arena_array(&a, SIZE_MAX / 4, 8));
    assert_null(rg_arena_alloc(&a, SIZE_MAX));
    assert_non_null(rg_arena_array(&a, 0, 8));
    rg_arena_fini(&a);
}

static void copies_end_in_nul(void **state)
{
    (void)state;
    struct rg_arena a;
    struct rg_str s = RG_STR_NONE;
    rg_arena_init(&a);
    assert_true(rg_arena_copy(&a, RG_STR("copied"), &s));
    assert_string_equal(s.ptr, "copied");
    assert_int_equal(s.len, 6);
    assert_true(rg_arena_copy(&a, RG_STR_NONE, &s));
    assert_int_equal(s.len, 0);
    assert_string_equal(s.ptr, "");
    rg_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_zeroed_aligned_and_apart),
        cmocka_unit_test(what_is_larger_than_a_block_gets_one_of_its_own),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(copies_end_in_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
