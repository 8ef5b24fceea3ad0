/* What the admin endpoint says of the gateway, and which orders it follows. Workers and steering are fakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "datapath/base/log.h"
#include "gateway_fixture.h"

static void readiness_has_reasons(void **state)
{
    (void)state;
    write_config("replica: {address: \"unix:/nowhere/replica.sock\"}\n");
    start_gateway();
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
    start_gateway();
    gateway.phase = RG_PHASE_SERVING;
    rg_metric_add(&fake(0)->metrics, RG_M_TUNNELS, 2);
    rg_metric_add(&fake(1)->metrics, RG_M_TUNNELS, 3);
    assert_int_equal(ask(RG_METHOD_GET, "/metrics", "", ""), 200);
    assert_non_null(strstr(text, "\nringgate_tunnels_total 5\n"));
    assert_non_null(strstr(text, "\nringgate_workers 2\n"));
    assert_non_null(strstr(text, "\nringgate_steering_active 1\n"));
    assert_non_null(strstr(text, "\nringgate_steering_verdicts_total{verdict=\"load\"} 101\n"));
    assert_non_null(strstr(text, "\nringgate_steering_verdicts_total{verdict=\"error\"} 107\n"));
    assert_non_null(strstr(text, "\nringgate_draining 0\n"));
}

static void workers_are_shown_one_by_one(void **state)
{
    (void)state;
    start_gateway();
    gateway.phase = RG_PHASE_SERVING;
    fake_steer.rows[1].open = 7;
    fake_steer.rows[1].requests = 3;
    fake_steer.rows[1].assigned = 9;
    rg_metric_add(&fake(1)->metrics, RG_M_REQUESTS_2XX, 4);
    assert_int_equal(ask(RG_METHOD_GET, "/workers", "", ""), 200);
    const char *second = strstr(text, "{\"worker\":1,");
    assert_non_null(second);
    assert_non_null(strstr(second, "\"open\":7,\"requests\":3,\"accepted\":0,\"assigned\":9"));
    assert_non_null(strstr(second, "\"requests_total{code=\\\"2xx\\\"}\":4"));
    assert_null(strstr(text, "{\"worker\":2,"));
}

static void orders_are_followed(void **state)
{
    (void)state;
    start_gateway();
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
    start_gateway();
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
    start_gateway();
    gateway.phase = RG_PHASE_SERVING;
    struct rg_field origin = {
        .name = "Origin", .value = "http://evil.example", .value_len = 19, .name_len = 6, .id = RG_FIELD_ORIGIN};
    struct rg_h1_request head = {
        .method_id = RG_METHOD_POST, .method = RG_STR("POST"), .fields = &origin, .n_fields = 1};
    struct rg_http_request req = {.head = &head, .path = RG_STR("/drain")};
    struct rg_admin_answer answer = {.status = 200, .body = report()};
    rg_gateway_answer(&gateway.admin, &req, &answer);
    fclose(answer.body);
    assert_int_equal(answer.status, 403);
    assert_false(fake(0)->draining);
}

static void the_stall_switch_is_for_debug_builds(void **state)
{
    (void)state;
    start_gateway();
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(readiness_has_reasons),
        TEST(metrics_show_the_gateway),
        TEST(workers_are_shown_one_by_one),
        TEST(orders_are_followed),
        TEST(what_does_not_exist_is_refused),
        TEST(orders_of_web_pages_are_refused),
        TEST(the_stall_switch_is_for_debug_builds),
    };
    return cmocka_run_group_tests_name("gateway_answers", tests, NULL, NULL);
}
