/* snapshot.h: which route a request takes, which units conflict, and what pins hold. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/route/route_fixture.h"

struct row {
    const char *request, *route; /* NULL: none */
};

static void check(const char *const *lines, const struct row *rows, size_t n)
{
    struct rg_snapshot *s = fixture_snapshot_of(lines);
    for (size_t i = 0; i < n; i++) {
        const struct rg_route *r = fixture_lookup(s, rows[i].request);
        const char *name = r ? r->name.ptr : "none";
        if (strcmp(name, rows[i].route ? rows[i].route : "none") != 0)
            fail_msg("%s took %s, wanted %s", rows[i].request, name, rows[i].route ? rows[i].route : "none");
    }
    rg_snapshot_destroy(s);
}

#define CHECK(lines, rows) check(lines, rows, sizeof(rows) / sizeof *(rows))

static void hosts_exact_before_wildcard_before_any(void **state)
{
    (void)state;
    static const char *const lines[] = {"- api.example.com ^/",
                                        "- *.example.com ^/",
                                        "- *.eu.example.com ^/",
                                        "- - ^/",
                                        "- api.example.com =/only-there",
                                        "- [::1] ^/",
                                        NULL};
    static const struct row rows[] = {
        {"GET api.example.com /", "- api.example.com ^/"},
        {"GET API.Example.com:8080 /", "- api.example.com ^/"},
        {"GET api.example.com. /", "- api.example.com ^/"},
        {"GET www.example.com /", "- *.example.com ^/"},
        {"GET a.b.example.com /", "- *.example.com ^/"},
        {"GET a.eu.example.com:443 /", "- *.eu.example.com ^/"},
        {"GET eu.example.com /", "- *.example.com ^/"},
        {"GET example.com /", "- - ^/"},
        {"GET wwwexample.com /", "- - ^/"},
        {"GET [::1]:80 /", "- [::1] ^/"},
        {"GET - /", "- - ^/"},
        {"GET .example.com /", "- - ^/"},
    };
    CHECK(lines, rows);
}

static void a_host_takes_only_what_its_routes_match(void **state)
{
    (void)state;
    static const char *const lines[] = {"GET api.example.com =/a", "GET *.example.com =/b", "GET - =/c", "POST - =/a",
                                        NULL};
    static const struct row rows[] = {
        {"GET api.example.com /a", "GET api.example.com =/a"},
        {"GET api.example.com /b", "GET *.example.com =/b"},
        {"GET api.example.com /c", "GET - =/c"},
        {"POST api.example.com /a", "POST - =/a"},
        {"GET api.example.com /d", NULL},
        {"PUT api.example.com /a", NULL},
    };
    CHECK(lines, rows);
}

static void paths_exact_before_template_before_longest_prefix(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "GET - =/items/new",       "GET - /items/{id}",        "GET - ^/items", "GET - ^/",
        "GET - /items/{id}/parts", "GET - /items/{id}/docs/*", "GET - =/a/",    "GET - ^/files/",
        "GET - /{x}/b/c",          "GET - /a/{x}/c",           "GET - ^/a/b",   NULL};
    static const struct row rows[] = {
        {"GET - /items/new", "GET - =/items/new"},
        {"GET - /items/7", "GET - /items/{id}"},
        {"GET - /items/", "GET - ^/items"}, /* a parameter is not empty */
        {"GET - /items", "GET - ^/items"},
        {"GET - /itemsX", "GET - ^/"},
        {"GET - /items/7/parts", "GET - /items/{id}/parts"},
        {"GET - /items/7/parts/", "GET - ^/items"},
        {"GET - /items/7/docs", "GET - /items/{id}/docs/*"},
        {"GET - /items/7/docs/a/b", "GET - /items/{id}/docs/*"},
        {"GET - /items/7/other", "GET - ^/items"},
        {"GET - /", "GET - ^/"},
        {"GET - /a/", "GET - =/a/"},
        {"GET - /a", "GET - ^/"},
        {"GET - /files", "GET - ^/files/"},
        {"GET - /files/x", "GET - ^/files/"},
        {"GET - /filesx", "GET - ^/"},
        {"GET - /a/b/c", "GET - /a/{x}/c"}, /* from the left */
        {"GET - /z/b/c", "GET - /{x}/b/c"},
        {"GET - /a/b/d", "GET - ^/a/b"},
        {"GET - *", NULL},
    };
    CHECK(lines, rows);
}

/* Upstreams that read several slashes as one must not be reached past the route that guards a path. */
static void slashes_in_a_row_separate_as_one(void **state)
{
    (void)state;
    static const char *const lines[] = {"GET - ^/",   "GET - /admin/*", "GET - =/a/b",
                                        "GET - =/c/", "GET - /i/{x}",   NULL};
    static const struct row rows[] = {
        {"GET - //admin/x", "GET - /admin/*"},
        {"GET - ///admin//", "GET - /admin/*"},
        {"GET - /a//b", "GET - =/a/b"},
        {"GET - /a//b//", "GET - ^/"},
        {"GET - /c//", "GET - =/c/"},
        {"GET - //", "GET - ^/"},
        {"GET - /i//", "GET - ^/"},
        {"GET - /i//7", "GET - /i/{x}"},
    };
    CHECK(lines, rows);
}

static void the_prefix_with_the_most_segments_wins(void **state)
{
    (void)state;
    static const char *const lines[] = {"GET - ^/a/b", "GET - /{x}/b/c/*", "GET - ^/a/b/c/d/e", NULL};
    static const struct row rows[] = {
        {"GET - /a/b/c/d", "GET - /{x}/b/c/*"},
        {"GET - /a/b/c/d/e/f", "GET - ^/a/b/c/d/e"},
        {"GET - /a/b/x", "GET - ^/a/b"},
    };
    CHECK(lines, rows);
}

static void methods_named_before_any(void **state)
{
    (void)state;
    static const char *const lines[] = {"- - =/a",   "POST - =/a", "PURGE - =/a", "GET - =/b", "HEAD - =/c",
                                        "GET - =/c", "- - ^/",     "GET - =/d",   NULL};
    static const struct row rows[] = {
        {"GET - /a", "- - =/a"},     {"POST - /a", "POST - =/a"},  {"PURGE - /a", "PURGE - =/a"},
        {"OPTIONS - /a", "- - =/a"}, {"PROPFIND - /a", "- - =/a"}, {"HEAD - /b", "GET - =/b"},
        {"HEAD - /c", "HEAD - =/c"}, {"GET - /c", "GET - =/c"},    {"OPTIONS - /d", "- - ^/"},
        {"HEAD - /e", "- - ^/"},
    };
    CHECK(lines, rows);
}

static void options_only_where_declared(void **state)
{
    (void)state;
    static const char *const lines[] = {"GET - =/a", NULL};
    static const struct row rows[] = {{"OPTIONS - /a", NULL}, {"HEAD - /a", "GET - =/a"}};
    CHECK(lines, rows);
}

static void headers_the_most_first_then_the_first_declared(void **state)
{
    (void)state;
    static const char *const lines[] = {"GET - =/a",
                                        "GET - =/a x-tier=gold",
                                        "GET - =/a x-tier~gold|silver",
                                        "GET - =/a x-tier=gold Accept~.*json.*",
                                        "GET - =/a x-tier~g.*",
                                        NULL};
    static const struct row rows[] = {
        {"GET - /a", "GET - =/a"},
        {"GET - /a X-Tier=gold", "GET - =/a x-tier=gold"},
        {"GET - /a x-tier=silver", "GET - =/a x-tier~gold|silver"},
        {"GET - /a x-tier=Gold", "GET - =/a"},
        {"GET - /a accept=application/json x-tier=gold", "GET - =/a x-tier=gold Accept~.*json.*"},
        {"GET - /a accept=text/html x-tier=gold", "GET - =/a x-tier=gold"},
        {"GET - /a x-tier=tin x-tier=gold", "GET - =/a x-tier=gold"}, /* one of its lines is enough */
        {"GET - /a x-tier=green", "GET - =/a x-tier~g.*"},
        {"GET - /a x-tie=gold", "GET - =/a"},
    };
    CHECK(lines, rows);
}

static void without_its_headers_a_more_general_route_is_found(void **state)
{
    (void)state;
    static const char *const lines[] = {"GET - =/a/b x=1", "GET - /a/{p} x=2", "GET - ^/a x=3", "GET - ^/", NULL};
    static const struct row rows[] = {
        {"GET - /a/b x=1", "GET - =/a/b x=1"},
        {"GET - /a/b x=2", "GET - /a/{p} x=2"},
        {"GET - /a/b x=3", "GET - ^/a x=3"},
        {"GET - /a/b x=4", "GET - ^/"},
    };
    CHECK(lines, rows);
}

static void of_the_same_in_one_unit_the_first_declared_counts(void **state)
{
    (void)state;
    const struct rg_route *routes = NULL;
    struct rg_unit *unit = fixture_unit("u", (const char *const[]){"GET - /a/{x}", "GET - /a/{y}", NULL});
    struct rg_snapshot *s = fixture_snapshot(&unit, 1);
    rg_unit_routes(unit, &routes);
    assert_ptr_equal(fixture_lookup(s, "GET - /a/1"), &routes[0]);
    rg_snapshot_destroy(s);
}

/* ---- Conflicts ---- */

static bool conflict(const char *first, const char *second)
{
    struct rg_unit *units[] = {fixture_unit("first", (const char *const[]){first, NULL}),
                               fixture_unit("second", (const char *const[]){second, NULL})};
    struct rg_route_conflict c = {NULL, NULL};
    struct rg_snapshot *s = NULL;
    int r = rg_snapshot_create(&s, units, 2, 1, FIXTURE_WORKERS, &c);
    assert_true(r == 0 || r == -EEXIST);
    if (r == -EEXIST) {
        assert_null(s);
        assert_string_equal(c.route->name.ptr, second);
        assert_string_equal(c.with->name.ptr, first);
        assert_string_equal(rg_unit_handle(c.route->unit).ptr, "second");
    }
    rg_snapshot_destroy(s);
    rg_unit_unref(units[0]);
    rg_unit_unref(units[1]);
    return r == -EEXIST;
}

static void units_that_match_the_same_conflict(void **state)
{
    (void)state;
    assert_true(conflict("GET - =/a", "GET - =/a"));
    assert_true(conflict("GET - =/a", "GET - /a"));
    assert_true(conflict("GET - /a/{x}", "GET - /a/{y}"));
    assert_true(conflict("GET - ^/a", "GET - ^/a/"));
    assert_true(conflict("GET - ^/a", "GET - /a/*"));
    assert_true(conflict("GET A.b =/a", "GET a.B. =/a"));
    assert_true(conflict("- *.b =/a", "- *.B =/a"));
    assert_true(conflict("GET - =/a x=1 y~2", "GET - =/a Y~2 X=1"));
    assert_true(conflict("PURGE - =/a", "PURGE - =/a"));
}

static void units_of_which_one_is_more_specific_do_not(void **state)
{
    (void)state;
    assert_false(conflict("GET - =/a", "POST - =/a"));
    assert_false(conflict("GET - =/a", "- - =/a"));
    assert_false(conflict("GET - =/a", "GET - ^/a"));
    assert_false(conflict("GET - =/a", "GET - =/a/"));
    assert_false(conflict("GET a.b =/a", "GET *.b =/a"));
    assert_false(conflict("GET a.b =/a", "GET - =/a"));
    assert_false(conflict("GET - =/a x=1", "GET - =/a x=2"));
    assert_false(conflict("GET - =/a x=1", "GET - =/a x~1"));
    assert_false(conflict("GET - =/a x=1", "GET - =/a"));
    assert_false(conflict("PURGE - =/a", "BAN - =/a"));
}

/* ---- Pins, references ---- */

static void pins_hold_a_snapshot_until_the_last_is_gone(void **state)
{
    (void)state;
    struct rg_snapshot *s = fixture_snapshot_of((const char *const[]){"GET - =/a", NULL});
    const struct rg_route *route = fixture_lookup(s, "GET - /a");
    assert_true(rg_snapshot_is_unused(s));
    rg_snapshot_pin(s, 0, route);
    rg_snapshot_pin(s, 1, route);
    rg_snapshot_pin(s, 1, route);
    assert_int_equal(rg_snapshot_pins(s), 3);
    rg_snapshot_unpin(s, 1);
    rg_snapshot_unpin(s, 0);
    assert_false(rg_snapshot_is_unused(s));
    rg_snapshot_unpin(s, 1);
    assert_true(rg_snapshot_is_unused(s));
    assert_int_equal(rg_unit_requests(route->unit), 3);
    rg_snapshot_destroy(s);
}

static void a_unit_lives_in_the_last_snapshot_that_holds_it(void **state)
{
    (void)state;
    struct rg_unit *kept = fixture_unit("kept", (const char *const[]){"GET - =/kept", NULL});
    struct rg_unit *replaced = fixture_unit("replaced", (const char *const[]){"GET - =/a", NULL});
    struct rg_unit *successor = fixture_unit("replaced", (const char *const[]){"GET - =/b", NULL});
    struct rg_unit *const *units = NULL;
    rg_unit_ref(kept);
    struct rg_snapshot *old = fixture_snapshot((struct rg_unit *[]){kept, replaced}, 2);
    struct rg_snapshot *new = fixture_snapshot((struct rg_unit *[]){kept, successor}, 2);
    assert_string_equal(fixture_lookup(old, "GET - /a")->name.ptr, "GET - =/a");
    rg_snapshot_destroy(old);
    assert_null(fixture_lookup(new, "GET - /a"));
    assert_ptr_equal(fixture_lookup(new, "GET - /kept")->unit, kept);
    assert_int_equal(rg_snapshot_units(new, &units), 2);
    assert_ptr_equal(units[1], successor);
    assert_int_equal(rg_snapshot_routes(new), 2);
    rg_snapshot_destroy(new);
}

static void a_snapshot_may_be_empty(void **state)
{
    (void)state;
    struct rg_snapshot *s = fixture_snapshot(NULL, 0);
    assert_null(fixture_lookup(s, "GET a /"));
    rg_snapshot_destroy(s);
    rg_snapshot_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_exact_before_wildcard_before_any),
        cmocka_unit_test(a_host_takes_only_what_its_routes_match),
        cmocka_unit_test(paths_exact_before_template_before_longest_prefix),
        cmocka_unit_test(slashes_in_a_row_separate_as_one),
        cmocka_unit_test(the_prefix_with_the_most_segments_wins),
        cmocka_unit_test(methods_named_before_any),
        cmocka_unit_test(options_only_where_declared),
        cmocka_unit_test(headers_the_most_first_then_the_first_declared),
        cmocka_unit_test(without_its_headers_a_more_general_route_is_found),
        cmocka_unit_test(of_the_same_in_one_unit_the_first_declared_counts),
        cmocka_unit_test(units_that_match_the_same_conflict),
        cmocka_unit_test(units_of_which_one_is_more_specific_do_not),
        cmocka_unit_test(pins_hold_a_snapshot_until_the_last_is_gone),
        cmocka_unit_test(a_unit_lives_in_the_last_snapshot_that_holds_it),
        cmocka_unit_test(a_snapshot_may_be_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
