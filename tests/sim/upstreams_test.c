/*
 * Upstreams that come and go while exchanges run: for each step at which the control thread acts, and every order of
 * the next events. What nobody leads to any more is freed while the worker runs, as soon as its last exchange and
 * connection have ended; addresses are replaced while connects to older ones are under way. Whoever read any of it
 * later would be caught by the sanitizer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "datapath/base/assert.h"
#include "datapath/endpoint.h"
#include "datapath/route/snapshot.h"
#include "tests/sim/sim.h"

#define GET  "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
#define OK   "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define UPGRADE                                                                   \
    "GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
#define SWITCHING "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

/* What the control thread does at the step `act_at`. */
enum act { NOTHING, RETIRE, RESOLVE, RESOLVE_NOT, MOVE, MOVE_AND_RETIRE };

static enum act act;
static unsigned act_at;

/* ---- the control thread ---- */

static struct rg_endpoints *table;
static struct rg_snapshot *old, *next; /* NULL: destroyed */
static struct rg_endpoint *endpoint;   /* the table's; looked at while it is wanted */

static struct {
    unsigned records, answered, unresolved;
    bool was_freed; /* the endpoint, while the worker ran */
} run;

static unsigned refused; /* requests for which no connect succeeded, in all runs */

static union rg_ip ip(const char *text)
{
    union rg_ip ret;
    memset(&ret, 0, sizeof ret);
    ret.in.sin_family = AF_INET;
    ret.in.sin_port = htons(80);
    RG_ASSERT(inet_pton(AF_INET, text, &ret.in.sin_addr) == 1);
    return ret;
}

static union rg_ip ip6(const char *text)
{
    union rg_ip ret;
    memset(&ret, 0, sizeof ret);
    ret.in6.sin6_family = AF_INET6;
    ret.in6.sin6_port = htons(80);
    RG_ASSERT(inet_pton(AF_INET6, text, &ret.in6.sin6_addr) == 1);
    return ret;
}

static void give_both_families(void)
{
    const union rg_ip list[] = {ip6("2001:db8::1"), ip("192.0.2.1")};
    RG_ASSERT(rg_endpoint_publish(endpoint, list, 2) == 0);
}

static void move_to(const char *first, const char *second)
{
    const union rg_ip list[] = {ip(first), ip(second)};
    RG_ASSERT(rg_endpoint_publish(endpoint, list, 2) == 0);
}

/* With the endpoint, whose name only this file resolves. */
static struct rg_snapshot *snapshot_to_endpoint(void)
{
    const struct rg_target_spec target = {.host = RG_STR("origin.example"), .port = 80, .weight = 1};
    const struct rg_upstream_spec upstream = {.name = RG_STR("main"), .targets = &target, .n_targets = 1};
    const struct rg_route_spec route = {
        .name = RG_STR("a"), .path = RG_STR("/a"), .path_match = RG_PATH_PREFIX, .upstream = 0};
    const struct rg_unit_spec spec = {
        .handle = RG_STR("old"), .upstreams = &upstream, .n_upstreams = 1, .routes = &route, .n_routes = 1};
    const struct rg_unit_place place = {.workers = 1, .endpoints = table};
    const struct rg_endpoint_spec known = {.host = target.host, .port = target.port};
    struct rg_route_conflict conflict;
    struct rg_unit_fault fault;
    struct rg_fault why;
    struct rg_unit *unit = NULL;
    struct rg_snapshot *s = NULL;
    RG_ASSERT(rg_unit_create(&unit, &spec, &place, &fault) == 0);
    RG_ASSERT(rg_snapshot_create(&s, &unit, 1, 1, 1, &conflict) == 0);
    rg_unit_unref(unit);
    RG_ASSERT(rg_endpoint_get(table, &known, &endpoint, &why) == 0);
    rg_endpoint_put(endpoint); /* the unit holds it */
    return s;
}

static struct rg_snapshot *snapshot_of_nothing(void)
{
    struct rg_route_conflict conflict;
    struct rg_snapshot *s = NULL;
    RG_ASSERT(rg_snapshot_create(&s, NULL, 0, 2, 1, &conflict) == 0);
    return s;
}

static void do_act(struct rg_worker *w)
{
    if (act == RESOLVE)
        move_to("192.0.2.1", "192.0.2.2");
    else if (act == RESOLVE_NOT)
        rg_endpoint_publish(endpoint, NULL, 0);
    else if (act == MOVE || act == MOVE_AND_RETIRE)
        move_to("192.0.2.3", "192.0.2.4");
    if (act == RETIRE || act == MOVE_AND_RETIRE)
        rg_worker_publish_routes(w, next);
}

static void before_step(struct rg_worker *w, unsigned step)
{
    if (step == 1)
        rg_endpoints_set_worker(table, 0, w);
    if (step == act_at)
        do_act(w);
    if (old && rg_worker_routes_generation(w) == rg_snapshot_generation(next) && rg_snapshot_is_unused(old)) {
        rg_snapshot_destroy(old);
        old = NULL;
    }
    rg_endpoints_tick(table, step);
    run.was_freed |= rg_endpoints_count(table) == 0;
}

static void on_record(const struct rg_access_record *r)
{
    run.records++;
    run.answered += r->status == 200 || r->status == 101;
    refused += r->reason == RG_REASON_UPSTREAM_CONNECT || r->reason == RG_REASON_OVERLOADED;
    run.unresolved += r->reason == RG_REASON_UPSTREAM_UNRESOLVED;
}

static struct sim_result play(const struct sim_script *script, struct sim_choices *choices)
{
    memset(&run, 0, sizeof run);
    RG_ASSERT(rg_endpoints_create(&table, 1) == 0);
    old = snapshot_to_endpoint();
    next = snapshot_of_nothing();
    if (act == NOTHING)
        give_both_families();
    else if (act != RESOLVE && act != RESOLVE_NOT)
        move_to("192.0.2.1", "192.0.2.2");
    struct sim_script s = *script;
    s.routes = old;
    s.before_step = before_step;
    s.on_record = on_record;
    struct sim_result r = sim_play(&s, choices);
    rg_endpoints_set_worker(table, 0, NULL);
    rg_snapshot_destroy(old);
    rg_snapshot_destroy(next);
    rg_endpoints_destroy(table); /* asserts that no worker holds an endpoint */
    return r;
}

/* ---- at each step ---- */

static void they_go_with_their_routes(void **state)
{
    (void)state;
    const struct sim_script script = {.client = GET GET, .replica = OK, .clients = 1, .prefix = 1000, .naps = 12};
    unsigned freed = 0;
    act = RETIRE;
    for (act_at = 1; act_at < 20; act_at++) {
        struct sim_choices choices = {0};
        play(&script, &choices);
        assert_int_equal(run.records, 2);
        assert_int_equal(run.answered, 2); /* by the replica, where the route had gone */
        freed += run.was_freed;
    }
    assert_int_equal(freed, 19);
}

static void requests_wait_for_the_first_address(void **state)
{
    (void)state;
    const struct sim_script script = {.client = GET, .replica = OK, .clients = 2, .prefix = 1000, .naps = 12};
    static const enum act acts[] = {RESOLVE, RESOLVE_NOT};
    for (unsigned i = 0; i < 2; i++) {
        act = acts[i];
        for (act_at = 1; act_at < 12; act_at++) {
            struct sim_choices choices = {0};
            play(&script, &choices);
            assert_int_equal(run.records, 2);
            assert_int_equal(run.answered, act == RESOLVE ? 2 : 0);
            assert_int_equal(run.unresolved, act == RESOLVE ? 0 : 2);
        }
    }
}

static void without_an_answer_they_are_told_in_time(void **state)
{
    (void)state;
    const struct sim_script script = {.client = GET, .replica = OK, .clients = 1, .prefix = 1000, .naps = 20};
    struct sim_choices choices = {0};
    act = RESOLVE;
    act_at = 0; /* never */
    play(&script, &choices);
    assert_int_equal(run.unresolved, 1);
}

static void other_addresses_end_what_is_kept(void **state)
{
    (void)state;
    const struct sim_script script = {.client = GET GET, .replica = OK, .clients = 1, .prefix = 1000, .naps = 2};
    act = MOVE;
    for (act_at = 1; act_at < 40; act_at++) {
        struct sim_choices choices = {0};
        play(&script, &choices);
        assert_int_equal(run.answered, 2);
    }
}

/* ---- in every order ---- */

static void in_every_order_of(struct sim_script script, enum act what)
{
    unsigned runs = 0;
    act = what;
    for (act_at = 1; act_at < 22; act_at++)
        runs += sim_play_all(script, 1, play);
    script.stop_at_choices = true;
    for (act_at = 1; act_at < 22; act_at += 3)
        runs += sim_play_all(script, 1, play);
    print_message("%u runs\n", runs);
    assert_true(runs > 100);
}

static void in_every_order(void **state)
{
    (void)state;
    in_every_order_of((struct sim_script){.client = GET GET, .replica = OK, .clients = 1}, RETIRE);
    in_every_order_of((struct sim_script){.client = POST, .replica = OK, .clients = 2}, MOVE_AND_RETIRE);
    in_every_order_of((struct sim_script){.client = GET GET, .replica = OK, .clients = 1}, MOVE);
    in_every_order_of((struct sim_script){.client = GET, .replica = OK, .clients = 2}, RESOLVE);
    in_every_order_of((struct sim_script){.client = UPGRADE, .replica = SWITCHING, .clients = 1}, RETIRE);
    in_every_order_of((struct sim_script){.client = GET, .replica = OK, .clients = 2, .naps = 4, .no_sockets = 2},
                      RETIRE);
}

/* Whatever others find out about the addresses between the connects of one request. Nobody listens there, or this
 * machine has no address of the family, or nothing of the family at all. */
static void a_dead_family_costs_no_request(void **state)
{
    (void)state;
    static const int errors[] = {ECONNREFUSED, EADDRNOTAVAIL, EAFNOSUPPORT};
    act = NOTHING;
    for (unsigned i = 0; i < sizeof errors / sizeof *errors; i++) {
        const struct sim_script script = {.client = GET, .replica = OK, .clients = 3, .no_ipv6 = errors[i]};
        refused = 0;
        unsigned runs = sim_play_all(script, 2, play);
        print_message("%u runs\n", runs);
        assert_true(runs > 100);
        assert_int_equal(refused, 0);
    }
}

/* Two choices in a row: a connect that fails, and what happens while the next one is under way. */
static void two_in_a_row(void **state)
{
    (void)state;
    unsigned runs = 0;
    act = RETIRE;
    for (act_at = 2; act_at < 12; act_at += 2)
        runs += sim_play_all((struct sim_script){.client = POST, .replica = OK, .clients = 1}, 2, play);
    print_message("%u runs\n", runs);
    assert_true(runs > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_go_with_their_routes),
        cmocka_unit_test(requests_wait_for_the_first_address),
        cmocka_unit_test(without_an_answer_they_are_told_in_time),
        cmocka_unit_test(other_addresses_end_what_is_kept),
        cmocka_unit_test(in_every_order),
        cmocka_unit_test(a_dead_family_costs_no_request),
        cmocka_unit_test(two_in_a_row),
    };
    cmocka_set_test_filter(getenv("RG_SIM_TEST")); /* a pattern; by default all of them */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
