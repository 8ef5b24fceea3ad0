/*
 * Routes that are replaced while exchanges run: for each step at which new ones are published, and every order of the
 * next events. An exchange keeps to the routes that it found its own in, and those are destroyed as soon as no exchange
 * holds them, as the control thread does it: whoever read them later would be caught by the sanitizer.
 */
#include "tests/sim/sim_routes.h"

#define GET "GET /shop/a HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define UPGRADE                                                                         \
    "GET /shop/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
#define SWITCHING "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

static struct sim_routes routes;

/* What happened in a run. */
static struct {
    unsigned by_old, by_new, refused;
    bool overtaken; /* an exchange by the new ones ended before one by the old ones */
} run;

static unsigned overtaken; /* runs */

static struct rg_snapshot *snapshot_of(const char *handle, uint64_t generation, uint32_t upstream)
{
    const struct rg_route_spec route = {.name = RG_STR("all of the shop"),
                                        .path = RG_STR("/shop"),
                                        .path_match = RG_PATH_PREFIX,
                                        .upstream = upstream,
                                        .context_bytes = 5};
    return sim_routes_of(handle, generation, &route);
}

/* By the old routes the replica answers, by the new ones nobody does. */
static void on_record(const struct rg_access_record *r)
{
    bool is_old = rg_str_eq(r->unit, RG_STR("old"));
    RG_ASSERT(is_old || rg_str_eq(r->unit, RG_STR("new")));
    RG_ASSERT(rg_str_eq(r->route, RG_STR("all of the shop")));
    RG_ASSERT(r->status == 404 ? !is_old && r->reason == RG_REASON_NO_ROUTE : true);
    RG_ASSERT(r->status == 200 || r->status == 101 ? is_old : true);
    run.overtaken |= is_old && run.by_new > 0;
    run.by_old += is_old;
    run.by_new += !is_old;
    run.refused += r->status == 404;
}

static struct sim_result play(const struct sim_script *script, struct sim_choices *choices)
{
    struct sim_script s = *script;
    memset(&run, 0, sizeof run);
    routes.old = snapshot_of("old", 1, RG_UPSTREAM_REPLICA);
    routes.next = snapshot_of("new", 2, RG_UPSTREAM_NONE);
    s.on_record = on_record;
    struct sim_result r = sim_routes_play(&routes, &s, choices);
    RG_ASSERT(!run.overtaken || script->clients > 1); /* never back to the old ones */
    overtaken += run.overtaken;
    return r;
}

/* ---- Tests ---- */

static void an_exchange_keeps_its_routes(void **state)
{
    (void)state;
    const struct sim_script script = {.client = GET GET, .replica = OK, .clients = 1, .prefix = 1000};
    unsigned both_old = 0, one_each = 0, both_new = 0, held = 0, retired = 0;
    for (routes.publish_at = 1; routes.publish_at < 30; routes.publish_at++) {
        struct sim_choices choices = {0};
        struct sim_result r = play(&script, &choices);
        assert_int_equal(run.by_old + run.by_new, 2);
        assert_int_equal(run.refused, run.by_new);
        assert_int_equal(r.requests_at_replica, run.by_old);
        both_old += run.by_old == 2;
        one_each += run.by_old == 1;
        both_new += run.by_new == 2;
        held += routes.was_held;
        retired += routes.was_retired;
    }
    assert_true(both_old > 0 && one_each > 0 && both_new > 0);
    assert_true(held > 0 && retired > 0);
}

static void a_tunnel_lets_go_of_its_routes(void **state)
{
    (void)state;
    const struct sim_script script = {.client = UPGRADE, .replica = SWITCHING, .clients = 1, .prefix = 1000, .naps = 3};
    unsigned in_tunnel = 0;
    for (routes.publish_at = 1; routes.publish_at < 30; routes.publish_at++) {
        struct sim_choices choices = {0};
        play(&script, &choices);
        assert_int_equal(run.by_old + run.by_new, 1);
        in_tunnel += run.by_old == 1 && routes.was_retired;
    }
    assert_true(in_tunnel > 0);
}

static void in_every_order_of(struct sim_script script, unsigned depth)
{
    unsigned runs = 0;
    for (routes.publish_at = 1; routes.publish_at < 20; routes.publish_at++)
        runs += sim_play_all(script, depth, play);
    script.stop_at_choices = true;
    for (routes.publish_at = 1; routes.publish_at < 20; routes.publish_at += 4)
        runs += sim_play_all(script, depth, play);
    print_message("%u runs\n", runs);
    assert_true(runs > 100);
}

static void in_every_order(void **state)
{
    (void)state;
    in_every_order_of((struct sim_script){.client = GET GET, .replica = OK, .clients = 1}, 1);
    in_every_order_of((struct sim_script){.client = UPGRADE, .replica = SWITCHING, .clients = 1}, 1);
    overtaken = 0;
    in_every_order_of((struct sim_script){.client = GET, .replica = OK, .clients = 2}, 1);
    assert_true(overtaken > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exchange_keeps_its_routes),
        cmocka_unit_test(a_tunnel_lets_go_of_its_routes),
        cmocka_unit_test(in_every_order),
    };
    cmocka_set_test_filter(getenv("RG_SIM_TEST")); /* a pattern; by default all of them */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
