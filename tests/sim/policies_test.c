/*
 * Policies on a route while its routes are replaced, in every order of events: an exchange that met them when its
 * request came meets the same ones with its response, and views that they kept into the request's head are good until
 * then. Requests that a policy answers stand in a pipeline with others.
 */
#include "datapath/policy/digest.h"
#include "tests/sim/sim_routes.h"
#include "tests/unit/policy/policy_fixture.h"

#define HEAD(more) "Host: h\r\nOrigin: https://a.example\r\n" more "\r\n"
#define GOOD       "GET /shop/a HTTP/1.1\r\n" HEAD("X-Key: k\r\n")
#define BAD        "GET /shop/a HTTP/1.1\r\n" HEAD("")
#define POST       "POST /shop/a HTTP/1.1\r\n" HEAD("Content-Length: 5\r\n") "hello"
#define UPGRADE                                                                                           \
    "GET /shop/ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" HEAD("X-Key: k\r\n")
#define SWITCHING "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
#define OK        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

static struct sim_routes routes;

static struct {
    unsigned passed, refused, not_found;
} run;

/* Old: with policies, to the replica. New: a route to nowhere. */
static struct rg_snapshot *snapshot_of(uint64_t generation, struct rg_policy_chain *chain)
{
    const struct rg_route_spec route = {.name = RG_STR("shop"),
                                        .path = RG_STR("/shop"),
                                        .path_match = RG_PATH_PREFIX,
                                        .upstream = chain ? RG_UPSTREAM_REPLICA : RG_UPSTREAM_NONE,
                                        .policies = chain};
    return sim_routes_of("shop", generation, &route);
}

static struct rg_snapshot *with_policies(void)
{
    struct play p;
    struct rg_key key = {.name = RG_STR("k")};
    play_init(&p);
    RG_ASSERT(rg_digest(RG_STR("k"), key.hash) && rg_key_set_replace(p.keys, &key, 1) == 0);
    play_with(&p, "cors", "{'allowedOrigins':['https://*.example'],'allowCredentials':true}", "");
    play_with(&p, "set-headers", "{'response':{'headers':[{'name':'x-front','value':'1'}]}}",
              "response.ResponseStatus < 400 || request.Method == 'POST'");
    play_with(&p, "api-key-auth", "{'key':'x-key','in':'header'}", "");
    play_with(&p, "basic-ratelimit", "{'limits':[{'requests':100,'duration':'1h'}]}", "");
    rg_key_set_unref(p.keys);
    return snapshot_of(1, p.chain); /* takes the chain over */
}

static void on_record(const struct rg_access_record *r)
{
    bool by_policy = r->reason == RG_REASON_POLICY;
    RG_ASSERT(rg_str_eq(r->policy, by_policy ? RG_STR("api-key-auth") : RG_STR("")));
    RG_ASSERT(by_policy == (r->status == 401));
    run.passed += r->status == 200 || r->status == 101;
    run.refused += r->status == 401;
    run.not_found += r->status == 404;
}

static struct sim_result play(const struct sim_script *script, struct sim_choices *choices)
{
    struct sim_script s = *script;
    memset(&run, 0, sizeof run);
    routes.old = with_policies();
    routes.next = snapshot_of(2, NULL);
    s.on_record = on_record;
    return sim_routes_play(&routes, &s, choices);
}

/* The usual order of events: each request meets one set of routes, whenever these change. */
static void answers_and_passes(void **state)
{
    (void)state;
    const struct sim_script script = {.client = GOOD BAD GOOD POST, .replica = OK, .clients = 1, .prefix = 1000};
    unsigned all_old = 0, mixed = 0;
    for (routes.publish_at = 1; routes.publish_at < 60; routes.publish_at++) {
        struct sim_choices choices = {0};
        struct sim_result r = play(&script, &choices);
        assert_int_equal(run.passed + run.refused + run.not_found, 4);
        assert_int_equal(r.requests_at_replica, run.passed);
        all_old += run.passed == 2 && run.refused == 2;
        mixed += run.not_found > 0 && run.not_found < 4;
    }
    assert_true(all_old > 0 && mixed > 0);
}

/* What policies kept goes with the routes, when the tunnel begins. */
static void a_tunnel(void **state)
{
    (void)state;
    const struct sim_script script = {.client = UPGRADE, .replica = SWITCHING, .clients = 1, .prefix = 1000, .naps = 3};
    unsigned passed = 0;
    for (routes.publish_at = 1; routes.publish_at < 30; routes.publish_at++) {
        struct sim_choices choices = {0};
        play(&script, &choices);
        assert_int_equal(run.passed + run.not_found, 1);
        passed += run.passed;
    }
    assert_true(passed > 0);
}

static void in_every_order(void **state)
{
    (void)state;
    unsigned runs = 0;
    struct sim_script script = {.client = GOOD BAD GOOD, .replica = OK, .clients = 1};
    for (routes.publish_at = 1; routes.publish_at < 24; routes.publish_at += 2)
        runs += sim_play_all(script, 1, play);
    script.in_halves = true;
    for (routes.publish_at = 1; routes.publish_at < 24; routes.publish_at += 4)
        runs += sim_play_all(script, 1, play);
    script.stop_at_choices = true;
    for (routes.publish_at = 1; routes.publish_at < 24; routes.publish_at += 4)
        runs += sim_play_all(script, 1, play);
    print_message("%u runs\n", runs);
    assert_true(runs > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_and_passes),
        cmocka_unit_test(a_tunnel),
        cmocka_unit_test(in_every_order),
    };
    cmocka_set_test_filter(getenv("RG_SIM_TEST")); /* a pattern; by default all of them */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
