/* Rate limits: GCRA by the clock, exact between threads, with more keys than counters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "datapath/base/hash.h"
#include "datapath/policy/limit.h"

static const struct rg_hash_secret secret = {{UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)}};

static _Thread_local uint64_t now_us;

static uint64_t clock_us(void)
{
    return now_us;
}

static struct rg_limit_result take_at(const struct rg_limit *l, struct rg_limit_table *t, uint64_t key, uint64_t at_us,
                                      bool charge)
{
    now_us = at_us;
    return rg_limit_take(l, t, key, clock_us, charge);
}

/* Whatever the limit, in any window of its length no more than limit + burst pass, and burst pass at once. */
static void gcra(void **state)
{
    (void)state;
    static const struct {
        uint64_t limit, window_us, burst;
    } rows[] = {{1, 1000000, 0},  {10, 1000000, 0},      {7, 1000000, 0},      {1000, 60000000, 0},
                {3, 10000000, 1}, {1000000, 1000000, 5}, {999983, 1000003, 0}, {5, 86400000000, 2}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rg_limit l;
        struct rg_limit_table *t = rg_limit_table_create(8);
        uint64_t burst = rows[i].burst > 0 ? rows[i].burst : rows[i].limit, now = 123456789, passed = 0;
        assert_true(rg_limit_set(&l, RG_LIMIT_GCRA, rows[i].limit, rows[i].window_us, rows[i].burst));
        struct rg_limit_result r;
        while ((r = take_at(&l, t, 42, now, true)).allowed) {
            passed++;
            assert_int_equal(r.remaining, burst - passed);
        }
        assert_int_equal(passed, burst);
        assert_true(r.retry_after_us > 0);
        /* Exactly then, not a microsecond before. */
        assert_false(take_at(&l, t, 42, now + r.retry_after_us - 1, true).allowed);
        assert_true(take_at(&l, t, 42, now + r.retry_after_us, true).allowed);
        /* Asking costs nothing. */
        now += 10 * rows[i].window_us;
        for (int k = 0; k < 3; k++)
            assert_int_equal(take_at(&l, t, 42, now, false).remaining, burst - 1);
        rg_limit_table_destroy(t);
    }
}

/* Over a long time the rate is the limit's, without drift: one try each 100 us for 20 windows. */
static void long_run(void **state)
{
    (void)state;
    struct rg_limit l;
    struct rg_limit_table *t = rg_limit_table_create(1);
    uint64_t passed = 0;
    assert_true(rg_limit_set(&l, RG_LIMIT_GCRA, 7, 100000, 0));
    for (uint64_t now = 0; now < 2000000; now += 100)
        passed += take_at(&l, t, 1, 1000000 + now, true).allowed;
    assert_int_equal(passed, 7 + 20 * 7 - 1);
    rg_limit_table_destroy(t);
}

static void fixed_window(void **state)
{
    (void)state;
    struct rg_limit l;
    struct rg_limit_table *t = rg_limit_table_create(1);
    assert_true(rg_limit_set(&l, RG_LIMIT_FIXED_WINDOW, 2, 1000000, 0));
    assert_true(take_at(&l, t, 1, 5400000, true).allowed);
    assert_true(take_at(&l, t, 1, 5400001, true).allowed);
    struct rg_limit_result r = take_at(&l, t, 1, 5900000, true);
    assert_false(r.allowed);
    assert_int_equal(r.retry_after_us, 100000);
    assert_true(take_at(&l, t, 1, 6000000, true).allowed);
    rg_limit_table_destroy(t);
}

/* More keys than counters: who comes new takes over the smallest charge, never a larger allowance. */
static void crowded(void **state)
{
    (void)state;
    struct rg_limit l;
    struct rg_limit_table *t = rg_limit_table_create(8);
    unsigned passed = 0;
    assert_true(rg_limit_set(&l, RG_LIMIT_GCRA, 10, 1000000, 0));
    for (uint64_t key = 1; key <= 1000; key++)
        passed += take_at(&l, t, key << 32, 5000000, true).allowed;
    assert_int_equal(passed, 8 * 10);
    /* All is over: each is served again. */
    assert_true(take_at(&l, t, UINT64_C(7) << 32, 7000000, true).allowed);
    rg_limit_table_destroy(t);
}

struct crowd {
    struct rg_limit limit;
    struct rg_limit_table *table;
    uint64_t passed[4][64];
};

struct member {
    struct crowd *crowd;
    unsigned number;
};

static void *ask(void *p)
{
    const struct member *m = p;
    for (unsigned round = 0; round < 400; round++)
        for (unsigned key = 0; key < 64; key++) {
            uint64_t hashed = rg_hash(&secret, key, RG_STR("key"));
            m->crowd->passed[m->number][key] +=
                take_at(&m->crowd->limit, m->crowd->table, hashed, 9000000, true).allowed;
        }
    return NULL;
}

/* Four threads at once on 64 keys, in the same microsecond: each key gets its allowance, not one more or less. */
static void threads(void **state)
{
    (void)state;
    struct crowd crowd = {.table = rg_limit_table_create(4096)};
    struct member members[4];
    pthread_t ids[4];
    assert_true(rg_limit_set(&crowd.limit, RG_LIMIT_GCRA, 100, 1000000, 0));
    for (unsigned i = 0; i < 4; i++) {
        members[i] = (struct member){&crowd, i};
        assert_int_equal(pthread_create(&ids[i], NULL, ask, &members[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++)
        pthread_join(ids[i], NULL);
    for (unsigned key = 0; key < 64; key++) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < 4; i++)
            sum += crowd.passed[i][key];
        assert_int_equal(sum, 100);
    }
    rg_limit_table_destroy(crowd.table);
}

/* Two workers: when the first has looked at the clock, the second, later, takes a request. */
static struct {
    const struct rg_limit *limit;
    struct rg_limit_table *table;
    uint64_t now_us;
    struct rg_limit_result second;
    bool was_here;
} two;

static uint64_t second_us(void)
{
    return two.now_us;
}

static uint64_t first_us(void)
{
    uint64_t seen_us = two.now_us;
    if (!two.was_here) {
        two.was_here = true;
        two.now_us += 7;
        two.second = rg_limit_take(two.limit, two.table, 42, second_us, true);
    }
    return seen_us;
}

static struct rg_limit_result both_take(const struct rg_limit *l, struct rg_limit_table *t, uint64_t at_us)
{
    two.limit = l;
    two.table = t;
    two.now_us = at_us;
    two.was_here = false;
    return rg_limit_take(l, t, 42, first_us, true);
}

/* Neither is told of less than is left, and neither is refused the last request that the limit allows. */
static void two_workers(void **state)
{
    (void)state;
    static const enum rg_limit_algorithm algorithms[] = {RG_LIMIT_GCRA, RG_LIMIT_FIXED_WINDOW};
    for (size_t i = 0; i < 2; i++) {
        struct rg_limit l;
        struct rg_limit_table *t = rg_limit_table_create(8);
        uint64_t window_us = UINT64_C(3600000000), at_us = 10 * window_us - 3; /* the second one's is in the next */
        assert_true(rg_limit_set(&l, algorithms[i], 4, window_us, 0));
        for (uint64_t left = 4; left > 0; left -= 2) {
            struct rg_limit_result first = both_take(&l, t, at_us);
            assert_true(two.second.allowed);
            assert_int_equal(two.second.remaining, left - 1);
            assert_true(first.allowed);
            assert_int_equal(first.remaining, left - 2);
            at_us = two.now_us;
        }
        assert_false(both_take(&l, t, at_us).allowed);
        assert_false(two.second.allowed);
        rg_limit_table_destroy(t);
    }
}

static void impossible(void **state)
{
    (void)state;
    struct rg_limit l;
    assert_false(rg_limit_set(&l, RG_LIMIT_GCRA, 0, 1, 0));
    assert_false(rg_limit_set(&l, RG_LIMIT_GCRA, 1, 0, 0));
    assert_false(rg_limit_set(&l, RG_LIMIT_GCRA, 1, UINT64_C(1) << 40, UINT64_C(1) << 40));
    assert_false(rg_limit_set(&l, RG_LIMIT_FIXED_WINDOW, 1, 999999, 0));
    rg_limit_table_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gcra),       cmocka_unit_test(long_run), cmocka_unit_test(fixed_window),
        cmocka_unit_test(crowded),    cmocka_unit_test(threads),  cmocka_unit_test(two_workers),
        cmocka_unit_test(impossible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
