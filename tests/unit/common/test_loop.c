/* The control loop: alarms in their order, whatever was set and cleared meanwhile; watches that go in the same turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "control/common/loop.h"

#define N 2000

static struct rg_loop loop;
static struct rg_alarm alarms[N];
static unsigned fired[N], n_fired; /* indexes in the order in which they were due */

static void due(struct rg_alarm *a)
{
    assert_false(a->set);
    fired[n_fired++] = (unsigned)(a - alarms);
}

static int setup(void **state)
{
    (void)state;
    for (unsigned i = 0; i < N; i++)
        alarms[i] = (struct rg_alarm){.due = due};
    n_fired = 0;
    return rg_loop_init(&loop);
}

static int teardown(void **state)
{
    (void)state;
    assert_null(loop.alarms);
    rg_loop_fini(&loop);
    return 0;
}

static void turn_until_all_were_due(void)
{
    while (loop.alarms)
        assert_int_equal(rg_loop_turn(&loop), 0);
}

static void alarms_are_due_in_their_order(void **state)
{
    (void)state;
    static const uint64_t delays[] = {50, 10, 30, 10, 90, 20};
    static const unsigned order[] = {1, 3, 5, 2, 0, 4};
    uint64_t begin = rg_now_ms();
    for (unsigned i = 0; i < 6; i++)
        rg_loop_set_alarm(&loop, &alarms[i], delays[i]);
    if (rg_now_ms() > begin + 5)
        skip(); /* this machine had something else to do in between */
    turn_until_all_were_due();
    assert_true(rg_now_ms() >= begin + 90);
    assert_int_equal(n_fired, 6);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(fired[i], order[i]);
}

/* What an alarm has been set to stays readable after it: the order can be checked against it. */
static void thousands_are_set_moved_and_cleared(void **state)
{
    (void)state;
    unsigned n_set = 0;
    srand(7);
    for (unsigned step = 0; step < 20000; step++) {
        struct rg_alarm *a = &alarms[(unsigned)rand() % N];
        bool clears = rand() % 4 == 0;
        if (clears)
            rg_loop_clear_alarm(&loop, a);
        else
            rg_loop_set_alarm(&loop, a, (unsigned)rand() % 50);
        assert_int_equal(a->set, !clears);
    }
    for (unsigned i = 0; i < N; i++)
        n_set += alarms[i].set;
    turn_until_all_were_due();
    assert_int_equal(n_fired, n_set);
    for (unsigned k = 1; k < n_fired; k++) {
        const struct rg_alarm *a = &alarms[fired[k - 1]], *b = &alarms[fired[k]];
        assert_true(a->at_ms < b->at_ms || (a->at_ms == b->at_ms && a->order < b->order));
    }
}

static unsigned again;

static void due_again(struct rg_alarm *a)
{
    again++;
    rg_loop_set_alarm(&loop, a, 0);
}

static void an_alarm_without_delay_does_not_hold_up_the_loop(void **state)
{
    (void)state;
    struct rg_alarm busy = {.due = due_again};
    again = 0;
    rg_loop_set_alarm(&loop, &busy, 0);
    rg_loop_turn(&loop);
    assert_int_equal(again, RG_LOOP_BATCH);
    rg_loop_clear_alarm(&loop, &busy);
    rg_loop_clear_alarm(&loop, &busy);
}

static struct rg_watch ends[2];
static unsigned readiness;

/* Whichever comes first takes the other out. */
static void ready(struct rg_watch *w, uint32_t events)
{
    (void)events;
    readiness++;
    rg_loop_unwatch(&loop, &ends[w == &ends[0]]);
}

static void a_watch_that_goes_is_not_called_in_the_same_turn(void **state)
{
    (void)state;
    int a[2], b[2];
    assert_int_equal(pipe(a) + pipe(b), 0);
    ends[0] = (struct rg_watch){a[0], ready};
    ends[1] = (struct rg_watch){b[0], ready};
    readiness = 0;
    assert_int_equal(rg_loop_watch(&loop, &ends[0], EPOLLIN) + rg_loop_watch(&loop, &ends[1], EPOLLIN), 0);
    assert_int_equal(write(a[1], "x", 1) + write(b[1], "x", 1), 2);
    rg_loop_turn(&loop);
    assert_int_equal(readiness, 1);
    rg_loop_unwatch(&loop, &ends[0]);
    rg_loop_unwatch(&loop, &ends[1]);
    for (int i = 0; i < 2; i++) {
        close(a[i]);
        close(b[i]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(alarms_are_due_in_their_order),
        TEST(thousands_are_set_moved_and_cleared),
        TEST(an_alarm_without_delay_does_not_hold_up_the_loop),
        TEST(a_watch_that_goes_is_not_called_in_the_same_turn),
    };
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
