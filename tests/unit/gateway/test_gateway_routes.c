/* gateway_routes.h: publishing, who is late, when it is told that routes are live, retiring, and what is shown. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway_fixture.h"
#include "tests/unit/route/route_fixture.h"

static uint64_t told; /* the generation that on_live told last */
static unsigned times_told;

static void on_live(void *arg, uint64_t generation)
{
    assert_ptr_equal(arg, &told);
    told = generation;
    times_told++;
}

static void start(void)
{
    start_gateway();
    gateway.phase = RG_PHASE_SERVING;
    gateway.routes.on_live = on_live;
    gateway.routes.arg = &told;
    told = 0;
    times_told = 0;
}

/* Of one unit with this route. */
static uint64_t publish(const char *handle, const char *route)
{
    struct rg_route_conflict conflict;
    uint64_t generation = 0;
    struct rg_unit *unit = fixture_unit(handle, (const char *const[]){route, NULL});
    assert_int_equal(rg_gateway_publish_routes(&gateway, &unit, 1, &generation, &conflict), 0);
    rg_unit_unref(unit);
    return generation;
}

static void every_worker_gets_what_is_published(void **state)
{
    (void)state;
    start();
    assert_null(rg_gateway_current_routes(&gateway));
    assert_true(rg_gateway_routes_are_live(&gateway));
    uint64_t generation = publish("u", "GET - =/a");
    assert_int_equal(generation, 1);
    assert_ptr_equal(fake(0)->routes, rg_gateway_current_routes(&gateway));
    assert_ptr_equal(fake(1)->routes, rg_gateway_current_routes(&gateway));
    assert_int_equal(times_told, 0);
    assert_int_equal(rg_loop_turn(&gateway.loop), 0);
    assert_int_equal(told, 1);
    assert_int_equal(times_told, 1);
    assert_int_equal(publish("u", "GET - =/b"), 2);
}

static void live_means_all_workers(void **state)
{
    (void)state;
    start();
    fake_worker_rules.keep_routes = true;
    publish("u", "GET - =/a");
    assert_int_equal(rg_gateway_late_worker(&gateway, 1), 0);
    fake_worker_switch_routes(gateway.workers[0].worker);
    assert_int_equal(rg_loop_turn(&gateway.loop), 0);
    assert_int_equal(rg_gateway_late_worker(&gateway, 1), 1);
    assert_false(rg_gateway_routes_are_live(&gateway));
    assert_int_equal(times_told, 0);
    fake_worker_switch_routes(gateway.workers[1].worker);
    assert_int_equal(rg_loop_turn(&gateway.loop), 0);
    assert_int_equal(rg_gateway_late_worker(&gateway, 1), -1);
    assert_int_equal(told, 1);
}

static void a_worker_that_has_ended_is_not_late(void **state)
{
    (void)state;
    start();
    fake_worker_rules.keep_routes = true;
    publish("u", "GET - =/a");
    fake(0)->ended = true;
    fake_worker_switch_routes(gateway.workers[1].worker);
    assert_int_equal(rg_loop_turn(&gateway.loop), 0);
    assert_int_equal(told, 1);
}

static void old_routes_go_with_their_last_reader(void **state)
{
    (void)state;
    start();
    fake_worker_rules.keep_routes = true;
    publish("u", "GET - =/a");
    fake_worker_switch_routes(gateway.workers[0].worker);
    fake_worker_switch_routes(gateway.workers[1].worker);
    struct rg_snapshot *old = fake(0)->routes;
    rg_snapshot_pin(old, 0, fixture_lookup(old, "GET - /a"));
    publish("u", "GET - =/b");
    rg_gateway_retire_routes(&gateway);
    assert_int_equal(rg_gateway_retired_routes(&gateway), 1); /* no worker has switched */
    fake_worker_switch_routes(gateway.workers[0].worker);
    fake_worker_switch_routes(gateway.workers[1].worker);
    rg_gateway_retire_routes(&gateway);
    assert_int_equal(rg_gateway_retired_routes(&gateway), 1); /* an exchange holds it */
    assert_non_null(fixture_lookup(old, "GET - /a"));
    rg_snapshot_unpin(old, 0);
    rg_gateway_retire_routes(&gateway);
    assert_int_equal(rg_gateway_retired_routes(&gateway), 0);
}

static void routes_that_nobody_took_go_too(void **state)
{
    (void)state;
    start();
    fake_worker_rules.keep_routes = true;
    for (unsigned i = 0; i < 3; i++)
        publish("u", "GET - =/a");
    assert_int_equal(rg_gateway_retired_routes(&gateway), 2);
    fake_worker_switch_routes(gateway.workers[0].worker);
    fake_worker_switch_routes(gateway.workers[1].worker);
    assert_int_equal(rg_loop_turn(&gateway.loop), 0);
    assert_int_equal(told, 3);
    assert_int_equal(times_told, 1);
    assert_int_equal(rg_gateway_retired_routes(&gateway), 0);
}

static void a_conflict_changes_nothing(void **state)
{
    (void)state;
    start();
    publish("u", "GET - =/a");
    struct rg_unit *units[] = {fixture_unit("first", (const char *const[]){"GET - =/a", NULL}),
                               fixture_unit("second", (const char *const[]){"GET - /a", NULL})};
    struct rg_route_conflict conflict;
    uint64_t generation = 0;
    assert_int_equal(rg_gateway_publish_routes(&gateway, units, 2, &generation, &conflict), -EEXIST);
    assert_ptr_equal(conflict.route->unit, units[1]);
    assert_int_equal(rg_snapshot_generation(rg_gateway_current_routes(&gateway)), 1);
    assert_int_equal(rg_gateway_retired_routes(&gateway), 0);
    rg_unit_unref(units[0]);
    rg_unit_unref(units[1]);
}

static void workers_begin_with_the_routes_that_there_are(void **state)
{
    (void)state;
    static struct rg_settings settings;
    assert_int_equal(rg_options_load(&fixture_flags, &settings, stderr), 0);
    assert_int_equal(rg_gateway_init(&gateway, &fixture_flags, &settings, NULL), 0);
    publish("u", "GET - =/a");
    publish("u", "GET - =/b");
    rg_gateway_retire_routes(&gateway);
    assert_int_equal(rg_gateway_retired_routes(&gateway), 0);
    assert_int_equal(rg_gateway_open_listeners(&gateway), 0);
    assert_int_equal(rg_gateway_start_workers(&gateway), 0);
    assert_ptr_equal(fake(1)->routes, rg_gateway_current_routes(&gateway));
    assert_true(rg_gateway_routes_are_live(&gateway));
}

static void routes_are_shown(void **state)
{
    (void)state;
    start();
    publish("orders \"v1\"", "GET api.example.com /items/{id} x-tier=gold");
    struct rg_snapshot *s = fake(0)->routes;
    const struct rg_route *route = fixture_lookup(s, "GET api.example.com /items/7 x-tier=gold");
    rg_snapshot_pin(s, 1, route);
    rg_snapshot_unpin(s, 1);
    assert_int_equal(ask(RG_METHOD_GET, "/config", "", ""), 200);
    assert_non_null(strstr(text, ",\"routes\":{\"generation\":1,\"live\":true,\"retiring\":0,\"units\":["
                                 "{\"kind\":\"RestApi\",\"handle\":\"orders \\\"v1\\\"\",\"version\":\"v1.0\","
                                 "\"requests\":1,\"upstreams\":[],\"routes\":[{"));
    assert_non_null(strstr(text, "\"match\":\"GET api.example.com/items/{id} (x-tier: gold)\",\"upstream\":\"none\"}"));
    assert_int_equal(ask(RG_METHOD_GET, "/workers", "", ""), 200);
    assert_non_null(strstr(text, "{\"worker\":1,\"generation\":1,\"routes_generation\":1,"));
    assert_int_equal(ask(RG_METHOD_GET, "/metrics", "", ""), 200);
    assert_non_null(strstr(text, "\nringgate_routes_generation 1\n"));
    assert_non_null(strstr(text, "\nringgate_routes 1\n"));
    assert_non_null(strstr(text, "\nringgate_route_snapshots 1\n"));
    assert_non_null(strstr(text, "\nringgate_unit_requests_total{kind=\"RestApi\",unit=\"orders \\\"v1\\\"\"} 1\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_worker_gets_what_is_published),
        TEST(live_means_all_workers),
        TEST(a_worker_that_has_ended_is_not_late),
        TEST(old_routes_go_with_their_last_reader),
        TEST(routes_that_nobody_took_go_too),
        TEST(a_conflict_changes_nothing),
        TEST(workers_begin_with_the_routes_that_there_are),
        TEST(routes_are_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
