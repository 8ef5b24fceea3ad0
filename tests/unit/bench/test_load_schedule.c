/* The load generator's schedule against a plain list of times, and the arithmetic of its pace. */
#include "bench/load/pace.h"
#include "bench/load/schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { N = 300 };

static uint64_t earliest(const uint64_t *times)
{
    uint64_t best = RG_SCHEDULE_NEVER;
    for (unsigned i = 0; i < N; i++)
        best = times[i] < best ? times[i] : best;
    return best;
}

static void test_against_a_list(void **state)
{
    (void)state;
    struct rg_schedule s;
    static uint64_t times[N];
    uint64_t seed = 1;
    assert_int_equal(rg_schedule_init(&s, N), 0);
    assert_true(rg_schedule_next(&s) == RG_SCHEDULE_NEVER);
    for (unsigned i = 0; i < N; i++)
        times[i] = RG_SCHEDULE_NEVER;
    for (unsigned step = 0; step < 50000; step++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint32_t who = (uint32_t)(seed >> 33) % N;
        unsigned what = (unsigned)(seed >> 24) % 8;
        if (what < 5) {
            times[who] = (seed >> 40) % 1000;
            rg_schedule_set(&s, who, times[who]);
        } else if (what < 6) {
            times[who] = RG_SCHEDULE_NEVER;
            rg_schedule_clear(&s, who);
        } else if (s.count) {
            times[s.heap[0].who] = RG_SCHEDULE_NEVER;
            rg_schedule_pop(&s);
        }
        assert_true(rg_schedule_next(&s) == earliest(times));
        if (s.count)
            assert_true(times[s.heap[0].who] == s.heap[0].at);
    }
    rg_schedule_fini(&s);
}

static void test_intervals_add_up_to_the_rate(void **state)
{
    (void)state;
    struct rg_load_options o = {.active = 50, .rate = 12345};
    for (int skewed = 0; skewed < 2; skewed++) {
        double sum = 0, heavy = 0;
        for (unsigned i = 0; i < o.active; i++) {
            bool is_heavy = i % 10 == 3 && skewed; /* which ones does not matter */
            double rate = 1e9 / (double)rg_pace_interval(&o, is_heavy);
            sum += rate;
            heavy += is_heavy ? rate : 0;
        }
        assert_true(fabs(sum - o.rate) < 0.01);
        assert_true(fabs(heavy - o.rate * o.skew_share) < 0.01);
        o.skew_connections = 5;
        o.skew_share = 0.9;
    }
}

static void test_phases_are_spread(void **state)
{
    (void)state;
    unsigned quarters[4] = {0}, same = 0;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t phase = rg_pace_phase(1, i, 4000);
        assert_true(phase < 4000);
        assert_true(phase == rg_pace_phase(1, i, 4000));
        same += phase == rg_pace_phase(2, i, 4000);
        quarters[phase / 1000]++;
    }
    assert_in_range(same, 0, 5);
    for (unsigned i = 0; i < 4; i++)
        assert_in_range(quarters[i], 200, 300);
    assert_true(rg_pace_phase(1, 3, 0) == 0);
}

static void test_the_heavy_ones_are_any_and_as_many_as_wanted(void **state)
{
    (void)state;
    enum { MEMBERS = 16, WANTED = 4, SEEDS = 4000 };
    unsigned times[MEMBERS] = {0};
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        struct rg_choice c, again;
        unsigned chosen = 0;
        rg_choice_init(&c, seed, seed % 2, MEMBERS, WANTED);
        rg_choice_init(&again, seed, seed % 2, MEMBERS, WANTED);
        for (unsigned i = 0; i < MEMBERS; i++) {
            bool heavy = rg_choice_next(&c);
            assert_true(heavy == rg_choice_next(&again));
            times[i] += heavy;
            chosen += heavy;
        }
        assert_int_equal(chosen, WANTED);
        assert_false(rg_choice_next(&c));
    }
    /* 1000 expected; six standard deviations are 164. */
    for (unsigned i = 0; i < MEMBERS; i++)
        assert_in_range(times[i], 836, 1164);
}

static void test_credit_keeps_the_shares(void **state)
{
    (void)state;
    struct rg_credit c;
    unsigned light = 0;
    rg_credit_init(&c, 0.8);
    assert_false(rg_credit_spend(&c));
    for (unsigned heavy = 0; heavy < 8000; heavy++) {
        rg_credit_earn(&c);
        light += rg_credit_spend(&c);
    }
    assert_in_range(light, 1998, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_a_list),
        cmocka_unit_test(test_intervals_add_up_to_the_rate),
        cmocka_unit_test(test_phases_are_spread),
        cmocka_unit_test(test_the_heavy_ones_are_any_and_as_many_as_wanted),
        cmocka_unit_test(test_credit_keeps_the_shares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
