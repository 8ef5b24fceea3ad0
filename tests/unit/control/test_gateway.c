/* The gateway's life with workers and steering played by fakes: start, reload, supervision, signals, drain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway_fixture.h"

static int reload(void)
{
    FILE *out = report();
    int r = rg_gateway_reload(&gateway, out);
    fclose(out);
    return r;
}

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
    assert_int_equal(rg_gateway_init(&gateway, &fixture_flags, &settings), 0);
    assert_int_equal(rg_gateway_open_listeners(&gateway), 0);
    rg_gateway_load_steering(&gateway);
    assert_int_equal(rg_gateway_start_workers(&gateway), -ENOMEM);
    /* teardown: nothing leaks from half a start */
}

/* ---- Reload ---- */

static void new_settings_are_published_and_old_ones_freed(void **state)
{
    (void)state;
    start_gateway();
    gateway.phase = RG_PHASE_SERVING;
    fake_worker_rules.keep_generation = true;
    write_config(REPLICA "limits: {headers: 50}\n");
    assert_int_equal(reload(), 0);
    assert_int_equal(fake(0)->published->headers, 50);
    assert_int_equal(fake(1)->published->generation, 2);
    assert_string_equal(text, "{\"reloaded\":true,\"kept\":[],\"changed\":[{\"option\":\"limits.headers\","
                              "\"was\":\"100\",\"now\":\"50\"}],\"generation\":2}\n");
    assert_false(rg_gateway_settings_are_live(&gateway));
    rg_gateway_retire_settings(&gateway);
    assert_non_null(gateway.retired); /* still read */
    fake(0)->generation = 2;
    rg_gateway_retire_settings(&gateway);
    assert_non_null(gateway.retired);
    fake(1)->generation = 2;
    rg_gateway_retire_settings(&gateway);
    assert_null(gateway.retired);
    assert_true(rg_gateway_settings_are_live(&gateway));
}

static void reloads_that_overtake_each_other_keep_what_is_read(void **state)
{
    (void)state;
    start_gateway();
    gateway.phase = RG_PHASE_SERVING;
    fake_worker_rules.keep_generation = true;
    assert_int_equal(reload(), 0);
    assert_int_equal(reload(), 0);
    assert_int_equal(reload(), 0);
    fake(0)->generation = 4;
    fake(1)->generation = 3;
    rg_gateway_retire_settings(&gateway);
    assert_non_null(gateway.retired); /* 3 alone */
    assert_int_equal(gateway.retired->settings.generation, 3);
    assert_null(gateway.retired->next);
    fake(1)->ended = true; /* a worker that ended reads nothing */
    rg_gateway_retire_settings(&gateway);
    assert_null(gateway.retired);
}

static void what_is_fixed_is_kept_and_said(void **state)
{
    (void)state;
    start_gateway();
    gateway.phase = RG_PHASE_SERVING;
    FILE *f = fopen(fixture_config, "a");
    fputs("backlog: 77\nhealth_path: \"/up\"\n", f);
    fclose(f);
    assert_int_equal(reload(), 0);
    assert_non_null(strstr(text, "\"kept\":[{\"option\":\"backlog\",\"running\":\""));
    assert_non_null(strstr(text, "\"wanted\":\"77\"}]"));
    assert_non_null(strstr(text, "\"changed\":[{\"option\":\"health_path\",\"was\":\"/health\",\"now\":\"/up\"}]"));
    assert_int_not_equal(fake(0)->published->backlog, 77);
}

static void errors_change_nothing(void **state)
{
    (void)state;
    start_gateway();
    gateway.phase = RG_PHASE_SERVING;
    const struct rg_settings *before = fake(0)->published;
    write_config(REPLICA "bogus: 1\nlimits: {headers: 0}\n");
    assert_true(reload() < 0);
    assert_ptr_equal(fake(0)->published, before);
    assert_int_equal(rg_gateway_settings(&gateway)->generation, 1);
    assert_int_equal(gateway.metrics.values[RG_CM_CONFIG_RELOAD_OK], 0);
    assert_int_equal(gateway.metrics.values[RG_CM_CONFIG_RELOAD_FAILURES], 1);
    assert_int_equal(strncmp(text, "{\"reloaded\":false,\"errors\":[\"", 28), 0);
    assert_non_null(strstr(text, ": bogus: got "));
    assert_non_null(strstr(text, ": limits.headers: got "));
    write_config(REPLICA);
    assert_int_equal(reload(), 0);
    assert_int_equal(gateway.metrics.values[RG_CM_CONFIG_RELOAD_OK], 1);
    assert_int_equal(gateway.metrics.values[RG_CM_CONFIG_RELOAD_FAILURES], 1);
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

/* ---- Signals and the end ---- */

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

/* Started by flags alone: nothing to read, until there is a file. One that vanishes is not the defaults. */
static void a_reload_needs_a_file(void **state)
{
    (void)state;
    char admin[128], listener[128];
    snprintf(admin, sizeof(admin), "unix:%s/admin.sock", fixture_dir);
    snprintf(listener, sizeof(listener), "unix:%s/l.sock", fixture_dir);
    fixture_flags.config_given = false;
    fixture_flags.replica = "unix:/nowhere/replica.sock";
    fixture_flags.admin = admin;
    fixture_flags.workers = "2";
    fixture_flags.listen[0] = listener;
    fixture_flags.n_listen = 1;
    assert_int_equal(unlink(fixture_config), 0);
    start_gateway();
    gateway.phase = RG_PHASE_SERVING;
    FILE *out = report();
    assert_int_equal(rg_gateway_reload(&gateway, out), -ENOENT);
    fclose(out);
    assert_non_null(strstr(text, "{\"reloaded\":false,"));
    assert_non_null(strstr(text, "got no file, wanted one to read; the gateway was started by flags alone"));
    assert_int_equal(rg_gateway_settings(&gateway)->generation, 1);
    assert_int_equal(gateway.metrics.values[RG_CM_CONFIG_RELOAD_OK], 1);

    write_config(REPLICA);
    out = report();
    assert_int_equal(rg_gateway_reload(&gateway, out), 0);
    fclose(out);
    assert_int_equal(rg_gateway_settings(&gateway)->generation, 2);

    assert_int_equal(unlink(fixture_config), 0);
    out = report();
    assert_int_equal(rg_gateway_reload(&gateway, out), -ENOENT);
    fclose(out);
    assert_non_null(strstr(text, "wanted the one that the running settings are from"));
    assert_int_equal(rg_gateway_settings(&gateway)->generation, 2);
    assert_int_equal(gateway.metrics.values[RG_CM_CONFIG_RELOAD_OK], 0);
}

/* Listeners stay until a restart: a file whose own addresses are apart may still point back at the running ones. */
static void a_reload_can_not_make_a_loop(void **state)
{
    (void)state;
    start_gateway();
    gateway.phase = RG_PHASE_SERVING;
    const char *const ours[] = {"l.sock", "admin.sock"};
    for (int i = 0; i < 2; i++) {
        FILE *f = fopen(fixture_config, "w");
        assert_non_null(f);
        fprintf(f, "listeners: [{address: 'unix:/else'}]\nadmin: {address: 'off'}\nreplica: {address: 'unix:%s/%s'}\n",
                fixture_dir, ours[i]);
        fclose(f);
        FILE *out = report();
        assert_int_equal(rg_gateway_reload(&gateway, out), -EINVAL);
        fclose(out);
        assert_non_null(strstr(text, "replica.address: got"));
        assert_non_null(strstr(text, "until a restart"));
        assert_int_equal(rg_gateway_settings(&gateway)->generation, 1);
    }
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
        TEST(workers_get_what_they_need),
        TEST(without_rights_the_kernels_hash_decides),
        TEST(steering_that_cant_be_attached_is_taken_back),
        TEST(a_failed_worker_fails_the_start),
        TEST(new_settings_are_published_and_old_ones_freed),
        TEST(reloads_that_overtake_each_other_keep_what_is_read),
        TEST(what_is_fixed_is_kept_and_said),
        TEST(errors_change_nothing),
        TEST(readiness_is_told_when_it_changes),
        TEST(only_a_worker_that_keeps_old_settings_for_long_is_told),
        TEST(shortages_are_told_at_once_and_then_summed_up),
        TEST(a_hung_worker_loses_its_listeners_once),
        TEST(without_steering_listeners_stay),
        TEST(a_signal_drains_and_ends),
        TEST(a_second_signal_does_not_wait),
        TEST(a_third_signal_changes_nothing),
        TEST(the_drain_has_a_deadline),
        TEST(signals_reload_and_reopen),
        TEST(a_reload_needs_a_file),
        TEST(a_reload_can_not_make_a_loop),
        TEST(a_worker_that_ends_by_itself_ends_the_gateway),
        TEST(an_only_worker_that_ends_by_itself_is_a_failure),
    };
    return cmocka_run_group_tests_name("gateway", tests, NULL, NULL);
}
