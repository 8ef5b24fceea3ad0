/* provide.h: the number of provided blocks follows the load up at once, down in two seconds, within its share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "datapath/base/buf.h"
#include "datapath/provide.h"

#define MOST RG_PROVIDED_MAX

static void an_eighth_of_the_memory_at_most(void **state)
{
    (void)state;
    assert_int_equal(rg_provide_most(1u << 20), 32); /* the share would be 16 */
    assert_int_equal(rg_provide_most(0), 32);
    assert_int_equal(rg_provide_most(4u << 20), 64);
    assert_int_equal(rg_provide_most(16u << 20), 256);
    assert_int_equal(rg_provide_most(64u << 20), 1024);
    assert_int_equal(rg_provide_most(1ull << 40), RG_PROVIDED_MAX);
    for (uint64_t limit = 4u << 20; limit <= 1u << 28; limit += 12345)
        assert_true(rg_provide_most(limit) * (uint64_t)RG_BUF_SMALL <= limit / 8);
}

static void it_begins_small(void **state)
{
    (void)state;
    struct rg_provide p;
    rg_provide_init(&p, MOST);
    assert_int_equal(p.wanted, 64);
    rg_provide_init(&p, 32);
    assert_int_equal(p.wanted, 32);
}

static void a_turn_gets_twice_what_the_last_took(void **state)
{
    (void)state;
    struct rg_provide p;
    rg_provide_init(&p, MOST);
    rg_provide_follow(&p, 32, 0, MOST);
    assert_int_equal(p.wanted, 64);
    rg_provide_follow(&p, 33, 0, MOST);
    assert_int_equal(p.wanted, 66);
    rg_provide_follow(&p, 0, 0, MOST);
    assert_int_equal(p.wanted, 66);
    rg_provide_follow(&p, MOST, 0, MOST);
    assert_int_equal(p.wanted, MOST);
    rg_provide_follow(&p, UINT32_MAX, 0, MOST);
    assert_int_equal(p.wanted, MOST);
}

static void those_in_line_count(void **state)
{
    (void)state;
    struct rg_provide p;
    rg_provide_init(&p, MOST);
    rg_provide_follow(&p, 10, 300, MOST);
    assert_int_equal(p.wanted, 300);
    rg_provide_follow(&p, 0, 10000, 256);
    assert_int_equal(p.wanted, 256);
    /* A line is no measure of what turns take: a second later the number is down again. */
    rg_provide_tick(&p, 256);
    assert_int_equal(p.wanted, 64);
}

static void it_comes_down_after_two_seconds(void **state)
{
    (void)state;
    struct rg_provide p;
    rg_provide_init(&p, MOST);
    rg_provide_follow(&p, 200, 0, MOST);
    rg_provide_tick(&p, MOST);
    assert_int_equal(p.wanted, 400);
    rg_provide_tick(&p, MOST);
    assert_int_equal(p.wanted, 400);
    rg_provide_tick(&p, MOST);
    assert_int_equal(p.wanted, 64);
    /* A smaller limit after a reload holds at once. */
    rg_provide_follow(&p, 200, 0, MOST);
    rg_provide_follow(&p, 0, 0, 100);
    assert_int_equal(p.wanted, 100);
    rg_provide_tick(&p, 100);
    assert_int_equal(p.wanted, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_eighth_of_the_memory_at_most),      cmocka_unit_test(it_begins_small),
        cmocka_unit_test(a_turn_gets_twice_what_the_last_took), cmocka_unit_test(those_in_line_count),
        cmocka_unit_test(it_comes_down_after_two_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
