/*
 * guard_routes [few|many]: what routes cost by their number. With a word, 10,000 lookups among 10 or 10,000 routes, for
 * callgrind to count (guard_routes.py). Without, times of lookups, and of making a snapshot of 10,000 routes in which
 * one unit is replaced: more than ten times what they take on a slow machine is an error. The same ten routes among
 * 10,000 are the index alone; all of them at random are the caches of the CPU as well. Thread: main.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "datapath/route/snapshot.h"

#define UNITS       1000 /* of many */
#define ROUTES      10   /* of a unit; "few" is one unit */
#define LOOKUPS     10000
#define BUILDS      5
#define SNAPSHOT_MS 20 /* to make a snapshot, in a build that is shipped; it takes about a fifth */
#define LOOKUP_NS   1000

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(NDEBUG)
#define SLOWER 10 /* so much are builds for tests */
#else
#define SLOWER 1
#endif

size_t rg_guard_lookups(const struct rg_snapshot *s, const struct rg_route_query *queries, size_t n);

/* What an API for some resources looks like; unit i has the context /apiNNNN and every tenth a host of its own. */
static const struct {
    const char *method, *path, *request;
    enum rg_path_match match;
} shapes[ROUTES] = {
    {"GET", "/v1/items", "/v1/items", RG_PATH_EXACT},
    {"POST", "/v1/items", "/v1/items", RG_PATH_EXACT},
    {"GET", "/v1/items/{id}", "/v1/items/4711", RG_PATH_TEMPLATE},
    {"PUT", "/v1/items/{id}", "/v1/items/4711", RG_PATH_TEMPLATE},
    {"DELETE", "/v1/items/{id}", "/v1/items/4711", RG_PATH_TEMPLATE},
    {"GET", "/v1/items/{id}/parts/{part}", "/v1/items/4711/parts/9", RG_PATH_TEMPLATE},
    {"GET", "/v1/search", "/v1/search", RG_PATH_EXACT},
    {"GET", "/static", "/static/css/site.css", RG_PATH_PREFIX},
    {"", "/hooks/*", "/hooks/a/b", RG_PATH_TEMPLATE},
    {"OPTIONS", "/v1/items", "/v1/items", RG_PATH_EXACT},
};

static const uint8_t ids[ROUTES] = {RG_METHOD_GET, RG_METHOD_POST, RG_METHOD_GET, RG_METHOD_PUT,   RG_METHOD_DELETE,
                                    RG_METHOD_GET, RG_METHOD_GET,  RG_METHOD_GET, RG_METHOD_PATCH, RG_METHOD_OPTIONS};

static char hosts[UNITS][32];
static char requests[UNITS][ROUTES][64];

static struct rg_unit *make_unit(unsigned number)
{
    static char paths[ROUTES][64];
    struct rg_route_spec routes[ROUTES] = {0};
    char handle[16];
    snprintf(handle, sizeof handle, "api-%u", number);
    snprintf(hosts[number], sizeof hosts[number], "%s%u.example.com", number % 10 ? "any" : "host", number);
    for (unsigned i = 0; i < ROUTES; i++) {
        snprintf(paths[i], sizeof paths[i], "/api%04u%s", number, shapes[i].path);
        snprintf(requests[number][i], sizeof requests[number][i], "/api%04u%s", number, shapes[i].request);
        routes[i] = (struct rg_route_spec){.name = rg_str_of(shapes[i].path),
                                           .host = number % 10 ? RG_STR_NONE : rg_str_of(hosts[number]),
                                           .method = rg_str_of(shapes[i].method),
                                           .path = rg_str_of(paths[i]),
                                           .path_match = shapes[i].match,
                                           .upstream = RG_UPSTREAM_REPLICA};
    }
    const struct rg_unit_spec spec = {.handle = rg_str_of(handle), .routes = routes, .n_routes = ROUTES};
    const struct rg_unit_place place = {.workers = 2};
    struct rg_unit_fault fault;
    struct rg_unit *unit = NULL;
    if (rg_unit_create(&unit, &spec, &place, &fault) != 0) {
        fprintf(stderr, "guard_routes: %s: %s\n", fault.field, fault.text);
        exit(1);
    }
    return unit;
}

static struct rg_snapshot *make_snapshot(struct rg_unit *const *units, size_t n)
{
    struct rg_route_conflict conflict;
    struct rg_snapshot *s = NULL;
    if (rg_snapshot_create(&s, units, n, 1, 2, &conflict) != 0) {
        fprintf(stderr, "guard_routes: no snapshot\n");
        exit(1);
    }
    return s;
}

/* Of all routes of n units, in an order that jumps. Each has memory of its own, so that few and many differ in the
 * index alone. */
static void make_queries(struct rg_route_query *ret, size_t n)
{
    static struct {
        char host[32], path[64];
    } texts[LOOKUPS];
    for (size_t i = 0; i < LOOKUPS; i++) {
        size_t unit = i * 7919 % n, route = i / 10 * 7 % ROUTES;
        memcpy(texts[i].host, hosts[unit], sizeof texts[i].host);
        memcpy(texts[i].path, requests[unit][route], sizeof texts[i].path);
        ret[i] = (struct rg_route_query){.host = rg_str_of(texts[i].host),
                                         .method = RG_STR("PATCH"),
                                         .method_id = ids[route],
                                         .path = rg_str_of(texts[i].path)};
    }
}

/* How many have found something: all have to. */
__attribute__((noinline)) size_t rg_guard_lookups(const struct rg_snapshot *s, const struct rg_route_query *queries,
                                                  size_t n)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += rg_snapshot_lookup(s, &queries[i]) != NULL;
    return found;
}

static uint64_t cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static bool within(const char *what, double value, double most, const char *unit)
{
    printf("%s: %.3g %s, at most %.3g\n", what, value, unit, most);
    return value <= most;
}

static double lookup_ns(const struct rg_snapshot *s, const struct rg_route_query *queries)
{
    uint64_t best = UINT64_MAX;
    for (unsigned i = 0; i < BUILDS; i++) {
        uint64_t from = cpu_ns();
        if (rg_guard_lookups(s, queries, LOOKUPS) != LOOKUPS)
            return 1e9;
        uint64_t took = cpu_ns() - from;
        best = took < best ? took : best;
    }
    return (double)best / LOOKUPS;
}

/* A unit replaced by another version of itself, as a deployment does it. */
static double replace_ms(struct rg_unit **units)
{
    uint64_t best = UINT64_MAX;
    for (unsigned i = 0; i < BUILDS; i++) {
        uint64_t from = cpu_ns();
        struct rg_unit *older = units[i];
        units[i] = make_unit(i);
        rg_unit_succeed(units[i], older);
        struct rg_snapshot *s = make_snapshot(units, UNITS);
        uint64_t took = cpu_ns() - from;
        best = took < best ? took : best;
        rg_unit_unref(older);
        rg_snapshot_destroy(s);
    }
    return (double)best / 1e6;
}

static int measure(struct rg_unit **units, const struct rg_snapshot *few, const struct rg_snapshot *many)
{
    static struct rg_route_query queries[LOOKUPS];
    make_queries(queries, 1);
    bool good = within("lookup among 10 routes", lookup_ns(few, queries), LOOKUP_NS * SLOWER, "ns");
    good &= within("lookup of the same ten among 10,000 routes", lookup_ns(many, queries), LOOKUP_NS * SLOWER, "ns");
    make_queries(queries, UNITS);
    good &= within("lookup at random among 10,000 routes", lookup_ns(many, queries), LOOKUP_NS * SLOWER, "ns");
    good &= within("a unit replaced among 10,000 routes", replace_ms(units), SNAPSHOT_MS * SLOWER, "ms");
    if (!good)
        fprintf(stderr, "guard_routes: something took too long, or was not found\n");
    return !good;
}

int main(int argc, char **argv)
{
    static struct rg_unit *units[UNITS];
    static struct rg_route_query queries[LOOKUPS];
    const char *which = argc > 1 ? argv[1] : "";
    size_t n = strcmp(which, "few") == 0 ? 1 : UNITS;
    for (unsigned i = 0; i < n; i++)
        units[i] = make_unit(i);
    struct rg_snapshot *few = make_snapshot(units, 1), *all = make_snapshot(units, n);
    int status = 0;
    if (argc > 1) {
        make_queries(queries, n);
        status = rg_guard_lookups(all, queries, LOOKUPS) == LOOKUPS ? 0 : 1;
    } else {
        status = measure(units, few, all);
    }
    rg_snapshot_destroy(few);
    rg_snapshot_destroy(all);
    for (unsigned i = 0; i < n; i++)
        rg_unit_unref(units[i]);
    return status;
}
