/*
 * The gateway's life with workers and steering played by fakes: start, reload, supervision, signals, drain, the answers
 * of the admin endpoint.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/agent/gateway.h"
#include "datapath/base/log.h"
#include "fake_steer.h"
#include "fake_worker.h"

static char dir[64], config[96];
static struct rg_flags flags;
static struct rg_gateway gateway;
static char *text;

static void write_config(const char *more)
{
    FILE *f = fopen(config, "w");
    assert_non_null(f);
    fprintf(f, "workers: 2\nlisteners: [{address: \"127.0.0.1:%d\"}, {address: \"unix:%s/l.sock\"}]\n",
            20000 + (int)getpid() % 20000, dir);
    fprintf(f, "admin: {address: \"unix:%s/admin.sock\"}\n%s", dir, more);
    fclose(f);
}

#define REPLICA "replica: {address: \"unix:/nowhere/replica.sock\", health: {path: \"off\"}}\n"

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/rg-gateway-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(config, sizeof(config), "%s/ringgate.yaml", dir);
    flags = (struct rg_flags){.config_path = config, .config_given = true};
    fake_worker_rules = (struct fake_worker_rules){0};
    fake_steer = (struct fake_steer){0};
    write_config(REPLICA);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[96];
    rg_gateway_fini(&gateway);
    assert_int_equal(fake_worker_rules.alive, 0);
    assert_int_equal(fake_steer.alive, 0);
    free(text);
    text = NULL;
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command);
}

/* As main does it, up to the control loop. */
static void start(void)
{
    static struct rg_settings settings;
    assert_int_equal(rg_options_load(&flags, &settings, stderr), 0);
    assert_int_equal(rg_gateway_init(&gateway, &flags, &settings), 0);
    assert_int_equal(rg_gateway_open_listeners(&gateway), 0);
    rg_gateway_load_steering(&gateway);
    assert_int_equal(rg_gateway_start_workers(&gateway), 0);
}

static struct fake_worker *fake(uint16_t id)
{
    return fake_worker_of(gateway.workers[id].worker);
}

static FILE *report_file;

static FILE *report(void)
{
    static size_t len;
    free(text);
    text = NULL;
    report_file = open_memstream(&text, &len);
    assert_non_null(report_file);
    return report_file;
}

static int reload(void)
{
    int r = rg_gateway_reload(&gateway, report());
    fclose(report_file);
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
    start();
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
    start();
    assert_null(gateway.steer);
    assert_int_equal(gateway.metrics.values[RG_CM_STEERING_ACTIVE], 0);
    assert_ptr_equal(fake(1)->init.steer, &gateway.workers[1].own_row);
    assert_int_equal((uintptr_t)fake(1)->init.steer % RG_GATEWAY_ALIGN, 0);
}

static void steering_that_cant_be_attached_is_taken_back(void **state)
{
    (void)state;
    fake_steer.add_error = -EINVAL;
    start();
    assert_null(gateway.steer);
    assert_int_equal(fake_steer.alive, 0);
    assert_int_equal(gateway.metrics.values[RG_CM_STEERING_ACTIVE], 0);
}

static void a_failed_worker_fails_the_start(void **state)
{
    (void)state;
    static struct rg_settings settings;
    fake_worker_rules.create_error = -ENOMEM;
    assert_int_equal(rg_options_load(&flags, &settings, stderr), 0);
    assert_int_equal(rg_gateway_init(&gateway, &flags, &settings), 0);
    assert_int_equal(rg_gateway_open_listeners(&gateway), 0);
    rg_gateway_load_steering(&gateway);
    assert_int_equal(rg_gateway_start_workers(&gateway), -ENOMEM);
    /* teardown: nothing leaks from half a start */
}

/* ---- Reload ---- */

static void new_settings_are_published_and_old_ones_freed(void **state)
{
    (void)state;
    start();
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
    start();
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
    start();
    gateway.phase = RG_PHASE_SERVING;
    FILE *f = fopen(config, "a");
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
    start();
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

/* ---- Supervision ---- */

#define SECOND 1000000000ull

static void a_hung_worker_loses_its_listeners_once(void **state)
{
    (void)state;
    start();
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
    start();
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
    start();
    char path[128];
    snprintf(path, sizeof(path), "%s/l.sock", dir);
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
    start();
    uint64_t begin = rg_now_ms();
    assert_int_equal(serve((void (*const[])(void)){raise_term, check_draining, raise_term, NULL}), 0);
    assert_true(fake(0)->stopped && fake(1)->stopped);
    assert_true(rg_now_ms() - begin < 1000);
}

static void the_drain_has_a_deadline(void **state)
{
    (void)state;
    fake_worker_rules.keep_running = true;
    write_config(REPLICA "timeouts: {drain: 60ms}\n");
    start();
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
    start();
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
    start();
    assert_int_equal(serve((void (*const[])(void)){end_first_worker, NULL}), RG_EXIT_FAILED);
    assert_true(fake(1)->draining);
}

/* ---- Answers ---- */

static uint16_t ask(enum rg_method method, const char *path, const char *query, const char *body)
{
    static const char *const names[] = {
        [RG_METHOD_GET] = "GET", [RG_METHOD_POST] = "POST", [RG_METHOD_PUT] = "PUT", [RG_METHOD_DELETE] = "DELETE"};
    struct rg_h1_request head = {.method_id = (uint8_t)method, .method = rg_str_of(names[method])};
    struct rg_admin_request req = {&head, rg_str_of(path), rg_str_of(query), rg_str_of(body)};
    struct rg_admin_answer answer = {.status = 200, .content_type = "application/json", .body = report()};
    rg_gateway_answer(&gateway.admin, &req, &answer);
    fclose(answer.body);
    if (answer.status == 405)
        assert_non_null(answer.allow);
    return answer.status;
}

static void readiness_has_reasons(void **state)
{
    (void)state;
    write_config("replica: {address: \"unix:/nowhere/replica.sock\"}\n");
    start();
    gateway.phase = RG_PHASE_SERVING;
    assert_int_equal(ask(RG_METHOD_GET, "/ready", "", ""), 503);
    assert_non_null(strstr(text, "{\"ready\":false,\"reasons\":[\"replica-unknown\"]"));
    rg_replica_set(&gateway.replica, RG_REPLICA_HEALTHY);
    assert_int_equal(ask(RG_METHOD_GET, "/ready", "", ""), 200);
    assert_string_equal(text, "{\"ready\":true,\"reasons\":[],\"replica\":\"healthy\",\"detail\":\"\","
                              "\"draining\":false,\"generation\":1}\n");
    rg_replica_set(&gateway.replica, RG_REPLICA_DOWN);
    fake(1)->generation = 0;
    rg_gateway_begin_drain(&gateway, "test");
    fake(1)->ended = false;
    assert_int_equal(ask(RG_METHOD_GET, "/ready", "", ""), 503);
    assert_non_null(strstr(text, "[\"replica-down\",\"draining\",\"settings-not-loaded\"]"));
    assert_int_equal(ask(RG_METHOD_GET, "/live", "", ""), 200);
    fake(1)->ended = true;
}

static void metrics_show_the_gateway(void **state)
{
    (void)state;
    start();
    gateway.phase = RG_PHASE_SERVING;
    rg_metric_add(&fake(0)->metrics, RG_M_TUNNELS, 2);
    rg_metric_add(&fake(1)->metrics, RG_M_TUNNELS, 3);
    assert_int_equal(ask(RG_METHOD_GET, "/metrics", "", ""), 200);
    assert_non_null(strstr(text, "\nringgate_tunnels_total 5\n"));
    assert_non_null(strstr(text, "\nringgate_workers 2\n"));
    assert_non_null(strstr(text, "\nringgate_steering_active 1\n"));
    assert_non_null(strstr(text, "\nringgate_steering_verdicts_total{verdict=\"load\"} 100\n"));
    assert_non_null(strstr(text, "\nringgate_steering_verdicts_total{verdict=\"error\"} 106\n"));
    assert_non_null(strstr(text, "\nringgate_draining 0\n"));
}

static void workers_are_shown_one_by_one(void **state)
{
    (void)state;
    start();
    gateway.phase = RG_PHASE_SERVING;
    fake_steer.rows[1].open = 7;
    fake_steer.rows[1].assigned = 9;
    rg_metric_add(&fake(1)->metrics, RG_M_REQUESTS_2XX, 4);
    assert_int_equal(ask(RG_METHOD_GET, "/workers", "", ""), 200);
    const char *second = strstr(text, "{\"worker\":1,");
    assert_non_null(second);
    assert_non_null(strstr(second, "\"open\":7,\"accepted\":0,\"assigned\":9"));
    assert_non_null(strstr(second, "\"requests_total{code=\\\"2xx\\\"}\":4"));
    assert_null(strstr(text, "{\"worker\":2,"));
}

static void orders_are_followed(void **state)
{
    (void)state;
    start();
    gateway.phase = RG_PHASE_SERVING;
    assert_int_equal(ask(RG_METHOD_POST, "/reload", "", ""), 200);
    write_config("");
    assert_int_equal(ask(RG_METHOD_POST, "/reload", "", ""), 422);
    assert_int_equal(ask(RG_METHOD_PUT, "/log-level", "", "debug\n"), 200);
    assert_int_equal(rg_log_get_level(), RG_LOG_DEBUG);
    assert_int_equal(ask(RG_METHOD_PUT, "/log-level", "", "chatty"), 422);
    assert_int_equal(ask(RG_METHOD_PUT, "/log-level", "", ""), 422);
    assert_int_equal(ask(RG_METHOD_GET, "/log-level", "", ""), 200);
    assert_string_equal(text, "{\"level\":\"debug\"}\n");
    assert_int_equal(ask(RG_METHOD_PUT, "/log-level", "", "info"), 200);
    assert_int_equal(ask(RG_METHOD_GET, "/config", "", ""), 200);
    assert_non_null(strstr(text, "\"workers\":2"));
    assert_int_equal(ask(RG_METHOD_POST, "/drain", "", ""), 202);
    assert_true(fake(0)->draining);
    assert_int_equal(ask(RG_METHOD_POST, "/reload", "", ""), 409);
}

static void what_does_not_exist_is_refused(void **state)
{
    (void)state;
    start();
    gateway.phase = RG_PHASE_SERVING;
    assert_int_equal(ask(RG_METHOD_GET, "/", "", ""), 404);
    assert_int_equal(ask(RG_METHOD_GET, "/live/", "", ""), 404);
    assert_int_equal(ask(RG_METHOD_GET, "/drain", "", ""), 405);
    assert_int_equal(ask(RG_METHOD_DELETE, "/metrics", "", ""), 405);
    assert_int_equal(ask(RG_METHOD_POST, "/log-level", "", "info"), 405);
    assert_false(fake(0)->draining);
}

static void orders_of_web_pages_are_refused(void **state)
{
    (void)state;
    start();
    gateway.phase = RG_PHASE_SERVING;
    struct rg_field origin = {"Origin", "http://evil.example", 19, 6, RG_FIELD_ORIGIN};
    struct rg_h1_request head = {
        .method_id = RG_METHOD_POST, .method = RG_STR("POST"), .fields = &origin, .n_fields = 1};
    struct rg_admin_request req = {&head, RG_STR("/drain"), RG_STR_NONE, RG_STR_NONE};
    struct rg_admin_answer answer = {.status = 200, .body = report()};
    rg_gateway_answer(&gateway.admin, &req, &answer);
    fclose(answer.body);
    assert_int_equal(answer.status, 403);
    assert_false(fake(0)->draining);
}

static void the_stall_switch_is_for_debug_builds(void **state)
{
    (void)state;
    start();
    gateway.phase = RG_PHASE_SERVING;
#ifdef RG_DEBUG_SWITCHES
    assert_int_equal(ask(RG_METHOD_POST, "/debug/stall", "?worker=1&ms=250", ""), 200);
    assert_int_equal(fake(1)->stalled_ms, 250);
    assert_int_equal(fake(0)->stalled_ms, 0);
    assert_int_equal(ask(RG_METHOD_POST, "/debug/stall", "?worker=2&ms=250", ""), 422);
    assert_int_equal(ask(RG_METHOD_POST, "/debug/stall", "?worker=0", ""), 422);
    assert_int_equal(ask(RG_METHOD_POST, "/debug/stall", "?worker=0&ms=99999999999", ""), 422);
#else
    assert_int_equal(ask(RG_METHOD_POST, "/debug/stall", "?worker=1&ms=250", ""), 404);
#endif
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
        TEST(a_hung_worker_loses_its_listeners_once),
        TEST(without_steering_listeners_stay),
        TEST(a_signal_drains_and_ends),
        TEST(a_second_signal_does_not_wait),
        TEST(the_drain_has_a_deadline),
        TEST(signals_reload_and_reopen),
        TEST(a_worker_that_ends_by_itself_ends_the_gateway),
        TEST(readiness_has_reasons),
        TEST(metrics_show_the_gateway),
        TEST(workers_are_shown_one_by_one),
        TEST(orders_are_followed),
        TEST(what_does_not_exist_is_refused),
        TEST(orders_of_web_pages_are_refused),
        TEST(the_stall_switch_is_for_debug_builds),
    };
    return cmocka_run_group_tests_name("gateway", tests, NULL, NULL);
}
