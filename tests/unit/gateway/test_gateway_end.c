/* Signals, the drain, and every way to the end, in the real control loop. Workers and steering are played by fakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "gateway_fixture.h"

/* Steps are done from inside the control loop, one after the other. */
static void (*const *steps)(void);

static void next_step(struct rg_alarm *a)
{
    if (!*steps)
        return;
    (*steps++)();
    rg_loop_set_alarm(&gateway.loop, a, 5);
}

static struct rg_alarm stepper = {.due = next_step};

static int serve(void (*const *list)(void))
{
    steps = list;
    rg_loop_set_alarm(&gateway.loop, &stepper, 0);
    int status = rg_gateway_serve(&gateway);
    rg_loop_clear_alarm(&gateway.loop, &stepper);
    return status;
}

static void raise_term(void)
{
    raise(SIGTERM);
}

static void a_signal_drains_and_ends(void **state)
{
    (void)state;
    start_gateway();
    char path[128];
    snprintf(path, sizeof(path), "%s/l.sock", fixture_dir);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(serve((void (*const[])(void)){raise_term, NULL}), 0);
    assert_true(fake(0)->draining && fake(1)->draining);
    assert_false(fake(0)->stopped);
    assert_int_equal(access(path, F_OK), -1); /* its socket file is gone */
}

static void check_draining(void)
{
    assert_int_equal(gateway.phase, RG_PHASE_DRAINING);
    assert_true(fake(0)->draining);
    assert_false(fake(0)->stopped);
    assert_true(reload() == -EBUSY);
}

static void a_second_signal_does_not_wait(void **state)
{
    (void)state;
    fake_worker_rules.keep_running = true;
    start_gateway();
    uint64_t begin = rg_now_ms();
    assert_int_equal(serve((void (*const[])(void)){raise_term, check_draining, raise_term, NULL}), 0);
    assert_true(fake(0)->stopped && fake(1)->stopped);
    assert_true(rg_now_ms() - begin < 1000);
}

static uint64_t give_up_ms;

static void second_term(void)
{
    rg_metric_set(&fake(0)->metrics, RG_M_CONNECTIONS_OPEN, 7);
    raise(SIGTERM);
}

static void third_term(void)
{
    assert_int_equal(gateway.phase, RG_PHASE_STOPPING);
    give_up_ms = gateway.deadline.at_ms;
    rg_metric_set(&fake(0)->metrics, RG_M_CONNECTIONS_OPEN, 2);
    raise(SIGTERM);
}

static void check_third(void)
{
    assert_int_equal(gateway.deadline.at_ms, give_up_ms);
    fake(0)->ended = fake(1)->ended = true;
}

/* It gives hung workers no more time, and what is told at the end stays what the second one cut. */
static void a_third_signal_changes_nothing(void **state)
{
    (void)state;
    fake_worker_rules.keep_running = fake_worker_rules.hang = true;
    start_gateway();
    assert_int_equal(serve((void (*const[])(void)){raise_term, second_term, third_term, check_third, NULL}), 0);
    assert_int_equal(gateway.drain.connections_cut, 7);
}

static void the_drain_has_a_deadline(void **state)
{
    (void)state;
    fake_worker_rules.keep_running = true;
    write_config(REPLICA "timeouts: {drain: 60ms}\n");
    start_gateway();
    uint64_t begin = rg_now_ms();
    assert_int_equal(serve((void (*const[])(void)){raise_term, NULL}), 0);
    assert_true(rg_now_ms() - begin >= 55);
    assert_true(fake(0)->stopped);
}

static void raise_hup(void)
{
    write_config(REPLICA "limits: {headers: 33}\n");
    raise(SIGHUP);
}

static void check_reloaded(void)
{
    assert_int_equal(fake(0)->published->headers, 33);
    raise(SIGUSR1);
    raise(SIGUSR2); /* said to be unsupported, and nothing else */
}

static void signals_reload_and_reopen(void **state)
{
    (void)state;
    start_gateway();
    assert_int_equal(serve((void (*const[])(void)){raise_hup, check_reloaded, raise_term, NULL}), 0);
    assert_int_equal(rg_gateway_settings(&gateway)->generation, 2);
}

static void end_first_worker(void)
{
    fake(0)->ended = true;
}

static void a_worker_that_ends_by_itself_ends_the_gateway(void **state)
{
    (void)state;
    start_gateway();
    assert_int_equal(serve((void (*const[])(void)){end_first_worker, NULL}), RG_EXIT_FAILED);
    assert_true(fake(1)->draining);
}

static void an_only_worker_that_ends_by_itself_is_a_failure(void **state)
{
    (void)state;
    fixture_flags.workers = "1";
    start_gateway();
    assert_int_equal(gateway.n_workers, 1);
    assert_int_equal(serve((void (*const[])(void)){end_first_worker, NULL}), RG_EXIT_FAILED);
    assert_int_equal(gateway.phase, RG_PHASE_SERVING); /* there was nobody to drain */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_signal_drains_and_ends),
        TEST(a_second_signal_does_not_wait),
        TEST(a_third_signal_changes_nothing),
        TEST(the_drain_has_a_deadline),
        TEST(signals_reload_and_reopen),
        TEST(a_worker_that_ends_by_itself_ends_the_gateway),
        TEST(an_only_worker_that_ends_by_itself_is_a_failure),
    };
    return cmocka_run_group_tests_name("gateway_end", tests, NULL, NULL);
}
