/* unit.h: what a unit takes out of its specification, what it refuses and how that is said, its references. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "datapath/endpoint.h"
#include "datapath/policy/chain.h"
#include "tests/unit/route/route_fixture.h"

/* ---- What is refused ---- */

static void what_is_wrong_with_a_route_is_said_with_its_field(void **state)
{
    (void)state;
    static const struct {
        const char *line, *field, *text;
    } rows[] = {
        {"GET - =a", "path", "\"a\", wanted a path in normal form, beginning with a slash"},
        {"GET - =/a/../b", "path", "\"/a/../b\", wanted a path in normal form, beginning with a slash"},
        {"GET - =/a?b", "path", "\"/a?b\", wanted a path in normal form, beginning with a slash"},
        {"GET - =/%41", "path", "\"/%41\", wanted a path in normal form, beginning with a slash"},
        {"GET - =/a/{x}", "path", "\"{x}\": only a template has parameters; put /* at its end for what is below it"},
        {"GET - ^/{x}", "path", "\"{x}\": only a template has parameters; put /* at its end for what is below it"},
        {"GET - /a/v{x}", "path", "\"v{x}\": a parameter takes a whole segment: /{name}/"},
        {"GET - /a/{}", "path", "\"{}\": a parameter takes a whole segment: /{name}/"},
        {"GET - /a/{x}{y}", "path", "\"{x}{y}\": a parameter takes a whole segment: /{name}/"},
        {"GET - /a/*/b", "path", "\"/a/*/b\": a * may only be the last segment"},
        {"GET a.b:80 =/", "host",
         "\"a.b:80\", wanted a host name without a port, \"*.\" and a name, or nothing for any"},
        {"GET *.*.b =/", "host", "\"*.*.b\", wanted a host name without a port, \"*.\" and a name, or nothing for any"},
        {"GET a..b =/", "host", "\"a..b\", wanted a host name without a port, \"*.\" and a name, or nothing for any"},
        {"G@T - =/", "method", "\"G@T\", wanted a method such as GET, or nothing for any"},
        {"CONNECT - =/", "method", "CONNECT can't be routed: it makes tunnels to anywhere"},
        {"GET - =/ x@y=1", "headers[0].name", "\"x@y\" is no name of a header"},
        {"GET - =/ a=b x~(y", "headers[1].value",
         "the regular expression \"(y\" is not supported: at 1: a ) is missing for this ("},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture_route r;
        fixture_parse(&r, rows[i].line);
        struct rg_unit_fault fault = fixture_fault(&r.spec);
        assert_int_equal(fault.route, 0);
        assert_string_equal(fault.field, rows[i].field);
        assert_string_equal(fault.text, rows[i].text);
    }
}

static void paths_have_a_largest_depth(void **state)
{
    (void)state;
    struct fixture_route r;
    char line[512] = "GET - =";
    for (unsigned i = 0; i <= RG_ROUTE_SEGMENTS_MAX; i++)
        strcat(line, "/a");
    fixture_parse(&r, line);
    struct rg_unit_fault fault = fixture_fault(&r.spec);
    assert_string_equal(fault.text, "65 segments, at most 64 are allowed");
    r.spec.path.len -= 2;
    const struct rg_unit_place place = {.workers = 1};
    const struct rg_unit_spec spec = {.handle = RG_STR("deep"), .routes = &r.spec, .n_routes = 1};
    struct rg_unit *unit = NULL;
    assert_int_equal(rg_unit_create(&unit, &spec, &place, &fault), 0);
    rg_unit_unref(unit);
}

static void the_context_ends_where_a_segment_does(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        uint32_t bytes;
        bool good;
    } rows[] = {
        {"/shop/{x}", 0, true},  {"/shop/{x}", 5, true},   {"/shop/{x}", 3, false}, {"/shop/{x}", 9, false},
        {"/shop/{x}", 1, false}, {"/shop/{x}", 10, false}, {"/shop/*", 5, true},    {"/shop/*", 7, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct rg_route_spec route = {.path = rg_str_of(rows[i].path),
                                            .path_match = RG_PATH_TEMPLATE,
                                            .context_bytes = rows[i].bytes,
                                            .upstream = RG_UPSTREAM_NONE};
        if (!rows[i].good) {
            struct rg_unit_fault fault = fixture_fault(&route);
            assert_string_equal(fault.field, "context_bytes");
            continue;
        }
        const struct rg_unit_place place = {.workers = 1};
        const struct rg_unit_spec spec = {.handle = RG_STR("u"), .routes = &route, .n_routes = 1};
        struct rg_unit_fault fault;
        struct rg_unit *unit = NULL;
        assert_int_equal(rg_unit_create(&unit, &spec, &place, &fault), 0);
        rg_unit_unref(unit);
    }
}

static void an_upstream_that_is_not_there_is_refused(void **state)
{
    (void)state;
    const struct rg_route_spec route = {.path = RG_STR("/"), .upstream = 1};
    struct rg_unit_fault fault = fixture_fault(&route);
    assert_string_equal(fault.field, "upstream");
    assert_string_equal(fault.text, "there is no upstream 1, the unit has 0");
}

static void what_is_wrong_with_an_upstream_is_said_with_its_field(void **state)
{
    (void)state;
    const struct rg_target_spec good = {.host = RG_STR("a"), .port = 80, .weight = 1};
    const struct rg_target_spec no_port = {.host = RG_STR("a"), .weight = 1};
    const struct rg_target_spec no_host = {.port = 80, .weight = 1};
    const struct rg_target_spec no_weight = {.host = RG_STR("a"), .port = 80};
    const struct {
        struct rg_upstream_spec spec;
        const char *field, *text;
    } rows[] = {
        {{.n_targets = 0}, "upstreams[0].targets", "0 targets, wanted 1 to 256"},
        {{.targets = &no_port, .n_targets = 1}, "upstreams[0].targets[0]", "the target a needs a port from 1 to 65535"},
        {{.targets = &no_host, .n_targets = 1},
         "upstreams[0].targets[0]",
         "a target needs a host: a name of at most 255 bytes, an address, or the path of a UNIX socket"},
        {{.targets = &no_weight, .n_targets = 1},
         "upstreams[0].targets",
         "every target has the weight 0, so that none would get a request"},
        {{.targets = &good, .n_targets = 1, .base_path = RG_STR("/x/")},
         "upstreams[0].base_path",
         "\"/x/\", wanted a path in normal form without a slash at its end, or nothing"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct rg_unit_place place = {.workers = 1};
        const struct rg_unit_spec spec = {.handle = RG_STR("u"), .upstreams = &rows[i].spec, .n_upstreams = 1};
        struct rg_unit_fault fault;
        struct rg_unit *unit = NULL;
        assert_true(rg_unit_create(&unit, &spec, &place, &fault) < 0);
        assert_int_equal(fault.route, SIZE_MAX);
        assert_string_equal(fault.field, rows[i].field);
        assert_string_equal(fault.text, rows[i].text);
    }
}

/* ---- Upstreams ---- */

static int create_with_upstream(struct rg_endpoints *endpoints, const struct rg_upstream_spec *upstream,
                                struct rg_unit **ret, struct rg_unit_fault *fault)
{
    const struct rg_route_spec route = {
        .path = RG_STR("/a"), .upstream = 0, .response_head_ms = 300, .keep_host = true};
    const struct rg_unit_spec spec = {
        .handle = RG_STR("u"), .upstreams = upstream, .n_upstreams = 1, .routes = &route, .n_routes = 1};
    const struct rg_unit_place place = {.workers = 1, .endpoints = endpoints};
    return rg_unit_create(ret, &spec, &place, fault);
}

static void a_route_knows_where_its_upstream_is(void **state)
{
    (void)state;
    const struct rg_target_spec target = {.host = RG_STR("127.0.0.1"), .port = 9000, .weight = 1};
    const struct rg_upstream_spec upstream = {.name = RG_STR("main"),
                                              .targets = &target,
                                              .n_targets = 1,
                                              .base_path = RG_STR("/base"),
                                              .connect_ms = 200,
                                              .response_head_ms = 900};
    struct rg_endpoints *endpoints = NULL;
    struct rg_unit_fault fault;
    struct rg_unit *unit = NULL;
    const struct rg_route *route = NULL;
    assert_int_equal(rg_endpoints_create(&endpoints, 1), 0);
    assert_int_equal(create_with_upstream(endpoints, &upstream, &unit, &fault), 0);
    rg_unit_routes(unit, &route);
    assert_int_equal(route->kind, RG_ROUTE_UPSTREAM);
    assert_string_equal(route->upstream->name.ptr, "main");
    assert_string_equal(route->upstream->base_path.ptr, "/base");
    assert_non_null(route->upstream->ways);
    assert_true(route->keep_host);
    assert_int_equal(route->connect_ms, 200);
    assert_int_equal(route->response_head_ms, 300); /* its own before the upstream's */
    assert_int_equal(route->check_ms, 200);
    assert_int_equal(rg_endpoints_count(endpoints), 1);
    rg_unit_unref(unit);
    rg_endpoints_destroy(endpoints);
}

static void what_no_endpoint_can_be_made_of_is_refused(void **state)
{
    (void)state;
    const struct rg_target_spec target = {.host = RG_STR("not a name"), .port = 9000, .weight = 1};
    const struct rg_target_spec secure = {.host = RG_STR("127.0.0.1"), .port = 9000, .weight = 1, .tls = true};
    const struct rg_upstream_spec wrong_host = {.targets = &target, .n_targets = 1};
    const struct rg_upstream_spec no_file = {
        .targets = &secure, .n_targets = 1, .verify = true, .ca_file = RG_STR("/nowhere/ca.pem")};
    struct rg_endpoints *endpoints = NULL;
    struct rg_unit_fault fault;
    struct rg_unit *unit = NULL;
    assert_int_equal(rg_endpoints_create(&endpoints, 1), 0);
    assert_true(create_with_upstream(endpoints, &wrong_host, &unit, &fault) < 0);
    assert_string_equal(fault.field, "upstreams[0].targets[0].host");
    assert_true(create_with_upstream(endpoints, &no_file, &unit, &fault) < 0);
    assert_string_equal(fault.field, "upstreams[0].ca_file");
    assert_non_null(strstr(fault.text, "/nowhere/ca.pem"));
    assert_true(create_with_upstream(NULL, &wrong_host, &unit, &fault) < 0);
    assert_string_equal(fault.field, "upstreams[0].targets");
    assert_null(unit);
    rg_endpoints_destroy(endpoints);
}

/* ---- What is in it ---- */

static void a_unit_owns_copies(void **state)
{
    (void)state;
    char line[] = "GET Api.Example.COM. /Items/{id} X-Tier=gold";
    struct fixture_route r;
    fixture_parse(&r, line);
    r.spec.name = RG_STR_NONE;
    r.spec.response_head_ms = 700;
    const struct rg_unit_place place = {.workers = 1};
    const struct rg_unit_spec spec = {.kind = RG_STR("RestApi"),
                                      .handle = RG_STR("orders"),
                                      .version = RG_STR("v2"),
                                      .routes = &r.spec,
                                      .n_routes = 1};
    struct rg_unit_fault fault;
    struct rg_unit *unit = NULL;
    assert_int_equal(rg_unit_create(&unit, &spec, &place, &fault), 0);
    memset(&r, 'x', sizeof r);
    const struct rg_route *routes = NULL;
    assert_int_equal(rg_unit_routes(unit, &routes), 1);
    assert_string_equal(routes[0].name.ptr, "GET api.example.com/Items/{id} (x-tier: gold)");
    assert_int_equal(routes[0].kind, RG_ROUTE_NONE);
    assert_int_equal(routes[0].response_head_ms, 700);
    assert_string_equal(rg_unit_handle(unit).ptr, "orders");
    assert_string_equal(rg_unit_kind(unit).ptr, "RestApi");
    assert_string_equal(rg_unit_version(unit).ptr, "v2");
    rg_unit_unref(unit);
}

/* The sanitizer sees whether a chain is freed once. */
static void chains_are_taken_over_by_a_unit_that_can_be_made(void **state)
{
    (void)state;
    struct rg_route_spec routes[] = {{.path = RG_STR("/a"), .upstream = RG_UPSTREAM_NONE},
                                     {.path = RG_STR("b"), .upstream = RG_UPSTREAM_NONE}};
    const struct rg_unit_place place = {.workers = 1};
    const struct rg_unit_spec spec = {.handle = RG_STR("u"), .routes = routes, .n_routes = 2};
    struct rg_unit_fault fault;
    struct rg_unit *unit = NULL;
    const struct rg_route *made = NULL;
    routes[0].policies = rg_policy_chain_create();
    routes[1].policies = rg_policy_chain_create();
    assert_true(rg_unit_create(&unit, &spec, &place, &fault) < 0);
    assert_int_equal(fault.route, 1);
    routes[1].path = RG_STR("/b");
    assert_int_equal(rg_unit_create(&unit, &spec, &place, &fault), 0);
    rg_unit_routes(unit, &made);
    assert_ptr_equal(made[1].policies, routes[1].policies);
    rg_unit_unref(unit);
}

static void a_description_is_cut_to_size(void **state)
{
    (void)state;
    struct rg_unit *unit = fixture_unit("u", (const char *const[]){"- - ^/a/b c~d", NULL});
    const struct rg_route *routes = NULL;
    char text[12], whole[64];
    rg_unit_routes(unit, &routes);
    rg_route_describe(&routes[0], whole, sizeof whole);
    assert_string_equal(whole, "ANY /a/b (c ~ d)");
    rg_route_describe(&routes[0], text, sizeof text);
    assert_int_equal(strlen(text), sizeof text - 1);
    assert_memory_equal(text, whole, sizeof text - 1);
    rg_unit_unref(unit);
}

static void a_successor_goes_on_counting(void **state)
{
    (void)state;
    struct rg_unit *first = fixture_unit("u", (const char *const[]){"GET - =/a", NULL});
    struct rg_unit *second = fixture_unit("u", (const char *const[]){"GET - =/b", NULL});
    const struct rg_route *route = NULL;
    rg_unit_ref(first);
    rg_unit_ref(second);
    struct rg_snapshot *old = fixture_snapshot(&first, 1);
    rg_unit_routes(first, &route);
    rg_snapshot_pin(old, 0, route);
    rg_unit_succeed(second, first);
    struct rg_snapshot *new = fixture_snapshot(&second, 1);
    rg_unit_routes(second, &route);
    rg_snapshot_pin(new, 1, route);
    assert_int_equal(rg_unit_requests(second), 2);
    rg_snapshot_unpin(old, 0);
    rg_snapshot_destroy(old);
    rg_unit_unref(first);
    assert_int_equal(rg_unit_requests(second), 2);
    rg_snapshot_unpin(new, 1);
    rg_snapshot_destroy(new);
    rg_unit_unref(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_with_a_route_is_said_with_its_field),
        cmocka_unit_test(paths_have_a_largest_depth),
        cmocka_unit_test(the_context_ends_where_a_segment_does),
        cmocka_unit_test(an_upstream_that_is_not_there_is_refused),
        cmocka_unit_test(what_is_wrong_with_an_upstream_is_said_with_its_field),
        cmocka_unit_test(a_route_knows_where_its_upstream_is),
        cmocka_unit_test(what_no_endpoint_can_be_made_of_is_refused),
        cmocka_unit_test(a_unit_owns_copies),
        cmocka_unit_test(chains_are_taken_over_by_a_unit_that_can_be_made),
        cmocka_unit_test(a_description_is_cut_to_size),
        cmocka_unit_test(a_successor_goes_on_counting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
