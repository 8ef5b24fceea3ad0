/* timer.h, beside a model that is a plain list of deadlines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "datapath/base/timer.h"

struct entry {
    struct rg_timer timer;
    uint64_t due_ms;
    unsigned fired;
};

struct world {
    struct rg_wheel wheel;
    uint64_t now_ms;
    bool restart;
};

static void fired(struct rg_timer *timer, void *arg)
{
    struct world *w = arg;
    struct entry *e = RG_CONTAINER(timer, struct entry, timer);
    assert_false(rg_timer_is_running(timer));
    if (w->now_ms < e->due_ms) { /* parked at the horizon: the owner looks again */
        rg_timer_start(&w->wheel, timer, e->due_ms);
        return;
    }
    e->fired++;
    if (w->restart)
        rg_timer_start(&w->wheel, timer, e->due_ms = w->now_ms + 1);
}

static void advance(struct world *w, uint64_t ms)
{
    w->now_ms += ms;
    rg_wheel_run(&w->wheel, w->now_ms, fired, w);
}

static void fires_at_or_after_and_within_a_tick(void **state)
{
    (void)state;
    struct world w = {.now_ms = 123456789};
    rg_wheel_init(&w.wheel, w.now_ms);
    struct entry entries[200];
    srand(7);
    for (unsigned i = 0; i < 200; i++) {
        rg_timer_init(&entries[i].timer);
        entries[i].fired = 0;
        entries[i].due_ms = w.now_ms + (uint64_t)(rand() % 100000); /* well beyond the horizon, too */
        rg_timer_start(&w.wheel, &entries[i].timer, entries[i].due_ms);
    }
    for (unsigned step = 0; step < 110000 / 4; step++) {
        advance(&w, 4);
        for (unsigned i = 0; i < 200; i++) {
            if (entries[i].fired)
                assert_true(entries[i].due_ms <= w.now_ms);
            else
                assert_true(w.now_ms < entries[i].due_ms + 2 * RG_WHEEL_TICK_MS);
        }
    }
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(entries[i].fired, 1);
    assert_int_equal(rg_wheel_next(&w.wheel, w.now_ms), UINT64_MAX);
}

static void next_names_the_first(void **state)
{
    (void)state;
    struct world w = {.now_ms = 5000};
    struct entry a = {.due_ms = 5000 + 900}, b = {.due_ms = 5000 + 300};
    rg_wheel_init(&w.wheel, w.now_ms);
    assert_int_equal(rg_wheel_next(&w.wheel, w.now_ms), UINT64_MAX);
    rg_timer_init(&a.timer);
    rg_timer_init(&b.timer);
    rg_timer_start(&w.wheel, &a.timer, a.due_ms);
    rg_timer_start(&w.wheel, &b.timer, b.due_ms);
    uint64_t next = rg_wheel_next(&w.wheel, w.now_ms);
    assert_in_range(next, 300, 300 + RG_WHEEL_TICK_MS);
    rg_timer_stop(&b.timer);
    next = rg_wheel_next(&w.wheel, w.now_ms);
    /* The slot of a stopped timer may still be looked at once: early, never late. */
    assert_true(next <= 900 + RG_WHEEL_TICK_MS);
    advance(&w, 500);
    assert_int_equal(b.fired, 0);
    next = rg_wheel_next(&w.wheel, w.now_ms);
    assert_in_range(next, 400, 400 + RG_WHEEL_TICK_MS);
    rg_timer_stop(&a.timer);
}

static void a_long_sleep_fires_all_once(void **state)
{
    (void)state;
    struct world w = {.now_ms = 1};
    struct entry e[50] = {0};
    rg_wheel_init(&w.wheel, w.now_ms);
    for (unsigned i = 0; i < 50; i++) {
        rg_timer_init(&e[i].timer);
        rg_timer_start(&w.wheel, &e[i].timer, e[i].due_ms = 100 * i);
    }
    advance(&w, 3600 * 1000);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(e[i].fired, 1);
}

static void a_timer_restarted_while_it_fires_is_not_run_twice(void **state)
{
    (void)state;
    struct world w = {.now_ms = 1000, .restart = true};
    struct entry e = {.due_ms = 1010};
    rg_wheel_init(&w.wheel, w.now_ms);
    rg_timer_init(&e.timer);
    rg_timer_start(&w.wheel, &e.timer, e.due_ms);
    advance(&w, 100);
    assert_int_equal(e.fired, 1);
    assert_true(rg_timer_is_running(&e.timer));
    rg_timer_stop(&e.timer);
    rg_timer_stop(&e.timer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fires_at_or_after_and_within_a_tick),
        cmocka_unit_test(next_names_the_first),
        cmocka_unit_test(a_long_sleep_fires_all_once),
        cmocka_unit_test(a_timer_restarted_while_it_fires_is_not_run_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
