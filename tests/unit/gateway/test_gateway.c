/* The gateway's life with workers and steering played by fakes: start, what is told, supervision. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <sys/socket.h>

#include "gateway_fixture.h"

/* ---- Start ---- */

static void workers_get_what_they_need(void **state)
{
    (void)state;
    start_gateway();
    assert_int_equal(gateway.n_workers, 2);
    for (uint16_t i = 0; i < 2; i++) {
        assert_true(fake(i)->started);
        assert_int_equal(fake(i)->init.id, i);
        assert_int_equal(fake(i)->init.n_listen_fds, 2);
        assert_ptr_equal(fake(i)->init.replica, &gateway.replica);
        assert_ptr_equal(fake(i)->init.steer, &fake_steer.rows[i]);
        assert_non_null(fake(i)->init.access);
        assert_int_equal(fake(i)->init.settings->generation, 1);
    }
    assert_int_equal(fake_steer.added, 2); /* the port's sockets; a UNIX socket has one queue */
    assert_int_equal(gateway.metrics.values[RG_CM_STEERING_ACTIVE], 1);
}

static void without_rights_the_kernels_hash_decides(void **state)
{
    (void)state;
    fake_steer.create_error = -EPERM;
    start_gateway();
    assert_null(gateway.steer);
    assert_int_equal(gateway.metrics.values[RG_CM_STEERING_ACTIVE], 0);
    assert_ptr_equal(fake(1)->init.steer, &gateway.workers[1].own_row);
    assert_int_equal((uintptr_t)fake(1)->init.steer % RG_GATEWAY_ALIGN, 0);
}

static void steering_that_cant_be_attached_is_taken_back(void **state)
{
    (void)state;
    fake_steer.add_error = -EINVAL;
    start_gateway();
    assert_null(gateway.steer);
    assert_int_equal(fake_steer.alive, 0);
    assert_int_equal(gateway.metrics.values[RG_CM_STEERING_ACTIVE], 0);
}

static void a_failed_worker_fails_the_start(void **state)
{
    (void)state;
    static struct rg_settings settings;
    fake_worker_rules.create_error = -ENOMEM;
    assert_int_equal(rg_options_load(&fixture_flags, &settings, stderr), 0);
    assert_int_equal(rg_gateway_init(&gateway, &fixture_flags, &settings, NULL), 0);
    assert_int_equal(rg_gateway_open_listeners(&gateway), 0);
    rg_gateway_load_steering(&gateway);
    assert_int_equal(rg_gateway_start_workers(&gateway), -ENOMEM);
    /* teardown: nothing leaks from half a start */
}

/* ---- What is told ---- */

static void readiness_is_told_when_it_changes(void **state)
{
    (void)state;
    start_gateway();
    gateway.phase = RG_PHASE_SERVING;
    rg_gateway_note_readiness(&gateway);
    assert_int_equal(gateway.unready_said, UINT_MAX); /* nobody has looked at the replica yet */
    rg_replica_set(&gateway.replica, RG_REPLICA_DOWN);
    rg_gateway_note_readiness(&gateway);
    assert_int_equal(gateway.unready_said, RG_UNREADY_REPLICA_DOWN);
    rg_replica_set(&gateway.replica, RG_REPLICA_HEALTHY);
    rg_gateway_note_readiness(&gateway);
    assert_int_equal(gateway.unready_said, 0);
    gateway.phase = RG_PHASE_DRAINING;
    rg_gateway_note_readiness(&gateway);
    assert_int_equal(gateway.unready_said, RG_UNREADY_DRAINING);
}

static void only_a_worker_that_keeps_old_settings_for_long_is_told(void **state)
{
    (void)state;
    start_gateway();
    gateway.phase = RG_PHASE_SERVING;
    rg_replica_set(&gateway.replica, RG_REPLICA_HEALTHY);
    rg_gateway_note_readiness(&gateway);
    fake_worker_rules.keep_generation = true;
    assert_int_equal(reload(), 0);
    assert_int_equal(rg_gateway_unready(&gateway), RG_UNREADY_SETTINGS);
    rg_gateway_note_readiness(&gateway);
    assert_int_equal(gateway.unready_said, 0);
    gateway.settled_ms -= 1500;
    rg_gateway_note_readiness(&gateway);
    assert_int_equal(gateway.unready_said, RG_UNREADY_SETTINGS);
    fake(0)->generation = fake(1)->generation = 2;
    rg_gateway_note_readiness(&gateway);
    assert_int_equal(gateway.unready_said, 0);
}

static void shortages_are_told_at_once_and_then_summed_up(void **state)
{
    (void)state;
    start_gateway();
    rg_gateway_note_shortages(&gateway);
    assert_int_equal(gateway.descriptors.said_ms, 0);
    rg_metric_add(&fake(0)->metrics, RG_M_DESCRIPTORS_EXHAUSTED, 3);
    rg_gateway_note_shortages(&gateway);
    uint64_t said = gateway.descriptors.said_ms;
    assert_true(said > 0);
    assert_int_equal(gateway.descriptors.times, 0);
    rg_metric_add(&fake(1)->metrics, RG_M_DESCRIPTORS_EXHAUSTED, 2);
    rg_gateway_note_shortages(&gateway);
    rg_metric_refused(&fake(1)->metrics, RG_REASON_OUT_OF_DESCRIPTORS);
    rg_gateway_note_shortages(&gateway);
    assert_int_equal(gateway.descriptors.said_ms, said);
    assert_int_equal(gateway.descriptors.times, 3);
    gateway.descriptors.said_ms -= 61000;
    rg_gateway_note_shortages(&gateway);
    assert_int_equal(gateway.descriptors.times, 0);
    assert_int_equal(gateway.buffers.said_ms, 0);
    /* A receive that waits is nothing to tell of while there is memory to be had, whatever is mapped. */
    rg_metric_set(&fake(0)->metrics, RG_M_BUFFER_BYTES, rg_gateway_settings(&gateway)->buffer_bytes);
    rg_metric_add(&fake(0)->metrics, RG_M_BUFFERS_EXHAUSTED, 5);
    rg_gateway_note_shortages(&gateway);
    assert_int_equal(gateway.buffers.said_ms, 0);
    rg_metric_set(&fake(0)->metrics, RG_M_BUFFER_BYTES, 0);
    rg_metric_add(&fake(0)->metrics, RG_M_BUFFERS_AT_LIMIT, 1);
    rg_gateway_note_shortages(&gateway);
    assert_true(gateway.buffers.said_ms > 0);
}

/* ---- Supervision ---- */

#define SECOND 1000000000ull

static void a_hung_worker_loses_its_listeners_once(void **state)
{
    (void)state;
    start_gateway();
    gateway.phase = RG_PHASE_SERVING;
    uint64_t now = 1000 * SECOND;
    fake_steer.rows[0].busy_since = now - SECOND / 2;
    rg_gateway_supervise(&gateway, now);
    assert_false(fake(0)->abandoned);
    rg_gateway_supervise(&gateway, now + SECOND);
    assert_true(fake(0)->abandoned);
    assert_false(fake(1)->abandoned);
    assert_int_equal(gateway.metrics.values[RG_CM_WORKER_STALLS], 1);
    fake(0)->abandoned = false;
    rg_gateway_supervise(&gateway, now + 5 * SECOND);
    assert_false(fake(0)->abandoned); /* not again for the same turn */
    assert_int_equal(gateway.metrics.values[RG_CM_WORKER_STALLS], 1);
    assert_false(rg_gateway_is_hung(&gateway));

    /* It moves, but is not back in listen: not steered to yet. */
    fake_steer.rows[0].busy_since = 0;
    unsigned added = fake_steer.added;
    rg_gateway_supervise(&gateway, now + 6 * SECOND);
    assert_int_equal(fake_steer.added, added);
    /* In listen again: the program is told. */
    assert_int_equal(listen(fake(0)->init.listen_fds[0], 16), 0);
    rg_gateway_supervise(&gateway, now + 7 * SECOND);
    assert_int_equal(fake_steer.added, added + 1);
    assert_int_equal(fake_steer.last_fd, fake(0)->init.listen_fds[0]);
    rg_gateway_supervise(&gateway, now + 8 * SECOND);
    assert_int_equal(fake_steer.added, added + 1);

    /* A second time counts again. */
    fake_steer.rows[0].busy_since = now + 8 * SECOND;
    rg_gateway_supervise(&gateway, now + 10 * SECOND);
    assert_true(fake(0)->abandoned);
    assert_int_equal(gateway.metrics.values[RG_CM_WORKER_STALLS], 2);
}

/* After a pause of the whole process everyone seems to hang. Somebody must be left who listens. */
static void workers_that_all_hang_keep_their_listeners(void **state)
{
    (void)state;
    start_gateway();
    gateway.phase = RG_PHASE_SERVING;
    uint64_t now = 1000 * SECOND;
    fake_steer.rows[0].busy_since = fake_steer.rows[1].busy_since = now - 2 * SECOND;
    rg_gateway_supervise(&gateway, now);
    assert_false(fake(0)->abandoned);
    assert_false(fake(1)->abandoned);
    assert_int_equal(gateway.metrics.values[RG_CM_WORKER_STALLS], 2);

    /* One of them comes back: it takes the other's queue. */
    fake_steer.rows[1].busy_since = 0;
    rg_gateway_supervise(&gateway, now + SECOND);
    assert_true(fake(0)->abandoned);
    assert_false(fake(1)->abandoned);

    /* It is the only one that listens, whatever it does. */
    fake_steer.rows[1].busy_since = now + SECOND;
    rg_gateway_supervise(&gateway, now + 3 * SECOND);
    assert_false(fake(1)->abandoned);
    assert_int_equal(gateway.metrics.values[RG_CM_WORKER_STALLS], 3);
}

static void without_steering_listeners_stay(void **state)
{
    (void)state;
    fake_steer.create_error = -EPERM;
    start_gateway();
    gateway.phase = RG_PHASE_SERVING;
    gateway.workers[0].own_row.busy_since = SECOND;
    gateway.workers[1].own_row.busy_since = SECOND;
    rg_gateway_supervise(&gateway, 3 * SECOND);
    assert_false(fake(0)->abandoned);
    assert_int_equal(gateway.metrics.values[RG_CM_WORKER_STALLS], 2);
    assert_true(rg_gateway_is_hung(&gateway)); /* every worker: the watchdog is not fed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(workers_get_what_they_need),
        TEST(without_rights_the_kernels_hash_decides),
        TEST(steering_that_cant_be_attached_is_taken_back),
        TEST(a_failed_worker_fails_the_start),
        TEST(readiness_is_told_when_it_changes),
        TEST(only_a_worker_that_keeps_old_settings_for_long_is_told),
        TEST(shortages_are_told_at_once_and_then_summed_up),
        TEST(a_hung_worker_loses_its_listeners_once),
        TEST(workers_that_all_hang_keep_their_listeners),
        TEST(without_steering_listeners_stay),
    };
    return cmocka_run_group_tests_name("gateway", tests, NULL, NULL);
}
