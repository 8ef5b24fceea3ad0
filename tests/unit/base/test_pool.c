/* pool.h: the last object returned comes first, memory follows the load down, the limit holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "datapath/base/pool.h"

#define CHUNK 65536

static void hands_out_the_last_returned_first(void **state)
{
    (void)state;
    struct rg_pool pool;
    rg_pool_init(&pool, 100, CHUNK, UINT64_MAX);
    void *a = rg_pool_get(&pool), *b = rg_pool_get(&pool);
    assert_true(a && b && a != b);
    assert_int_equal((uintptr_t)a % 16, 0);
    rg_pool_put(&pool, a);
    assert_ptr_equal(rg_pool_get(&pool), a);
    rg_pool_put(&pool, a);
    rg_pool_put(&pool, b);
    rg_pool_fini(&pool);
}

static void objects_do_not_overlap(void **state)
{
    (void)state;
    struct rg_pool pool;
    enum { N = 3000 };
    static unsigned char *objects[N];
    rg_pool_init(&pool, 200, CHUNK, UINT64_MAX);
    for (unsigned i = 0; i < N; i++) {
        objects[i] = rg_pool_get(&pool);
        assert_non_null(objects[i]);
        memset(objects[i], (int)(i & 0xff), 200);
    }
    for (unsigned i = 0; i < N; i++)
        for (unsigned j = 0; j < 200; j++)
            assert_int_equal(objects[i][j], i & 0xff);
    for (unsigned i = 0; i < N; i++)
        rg_pool_put(&pool, objects[(i * 7) % N]);
    rg_pool_fini(&pool);
}

static void memory_follows_the_load_down(void **state)
{
    (void)state;
    struct rg_pool pool;
    enum { N = 1000 };
    void *objects[N];
    rg_pool_init(&pool, 8192, 512 * 1024, UINT64_MAX);
    for (unsigned i = 0; i < N; i++)
        objects[i] = rg_pool_get(&pool);
    uint64_t peak = pool.bytes;
    assert_true(peak >= N * 8192ull);
    for (unsigned i = 0; i < N; i++)
        rg_pool_put(&pool, objects[i]);
    rg_pool_trim(&pool);
    assert_int_equal(pool.bytes, peak); /* it was needed a moment ago */
    rg_pool_trim(&pool);
    assert_int_equal(pool.bytes, peak); /* and in the second before */
    uint64_t before;
    do { /* some at a time: a turn must not last */
        before = pool.bytes;
        rg_pool_trim(&pool);
        assert_in_range(before - pool.bytes, 1, 4u << 20);
    } while (pool.bytes > 0);
    assert_int_equal(before, peak % (4u << 20) ? peak % (4u << 20) : 4u << 20);
    rg_pool_fini(&pool);
    assert_int_equal(pool.bytes, 0);
}

static void an_empty_chunk_can_be_had_back(void **state)
{
    (void)state;
    struct rg_pool pool;
    rg_pool_init(&pool, 8192, CHUNK, UINT64_MAX);
    assert_false(rg_pool_unmap_one(&pool));
    void *objects[3 * 7];
    for (unsigned i = 0; i < 3 * pool.per_chunk; i++)
        objects[i] = rg_pool_get(&pool);
    assert_int_equal(pool.bytes, 3 * CHUNK);
    assert_false(rg_pool_unmap_one(&pool));
    for (unsigned i = 1; i < 3 * pool.per_chunk; i++)
        rg_pool_put(&pool, objects[i]);
    assert_int_equal(pool.n_empty, 2);
    assert_true(rg_pool_unmap_one(&pool));
    assert_true(rg_pool_unmap_one(&pool));
    assert_false(rg_pool_unmap_one(&pool)); /* one object is in use */
    assert_int_equal(pool.bytes, CHUNK);
    rg_pool_put(&pool, objects[0]);
    rg_pool_fini(&pool);
}

static void a_steady_swing_keeps_its_memory(void **state)
{
    (void)state;
    struct rg_pool pool;
    enum { N = 500 };
    void *objects[N];
    rg_pool_init(&pool, 8192, 512 * 1024, UINT64_MAX);
    uint64_t peak = 0;
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < N; i++)
            objects[i] = rg_pool_get(&pool);
        for (unsigned i = 0; i < N; i++)
            rg_pool_put(&pool, objects[i]);
        rg_pool_trim(&pool);
        peak = peak ? peak : pool.bytes;
        assert_int_equal(pool.bytes, peak);
    }
    /* What is in use stays, and so do chunks that hold a part of it. */
    void *one = rg_pool_get(&pool);
    for (unsigned i = 0; i < 3; i++)
        rg_pool_trim(&pool);
    assert_int_equal(pool.bytes, 512 * 1024);
    rg_pool_put(&pool, one);
    rg_pool_fini(&pool);
    assert_int_equal(pool.bytes, 0);
}

static void the_limit_holds_and_gives_way(void **state)
{
    (void)state;
    struct rg_pool pool;
    rg_pool_init(&pool, 8192, CHUNK, 2 * CHUNK);
    void *objects[64];
    unsigned n = 0;
    while (n < 64 && (objects[n] = rg_pool_get(&pool)))
        n++;
    assert_int_equal(n, 2 * pool.per_chunk);
    assert_null(rg_pool_get(&pool));
    rg_pool_put(&pool, objects[--n]);
    objects[n] = rg_pool_get(&pool);
    assert_non_null(objects[n++]);
    while (n > 0)
        rg_pool_put(&pool, objects[--n]);
    rg_pool_fini(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_out_the_last_returned_first), cmocka_unit_test(objects_do_not_overlap),
        cmocka_unit_test(memory_follows_the_load_down),      cmocka_unit_test(an_empty_chunk_can_be_had_back),
        cmocka_unit_test(a_steady_swing_keeps_its_memory),   cmocka_unit_test(the_limit_holds_and_gives_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
