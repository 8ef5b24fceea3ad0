#include "tests/unit/route/route_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LINES_MAX 32

static struct rg_str or_any(const char *word)
{
    return strcmp(word, "-") == 0 ? RG_STR_NONE : rg_str_of(word);
}

static void parse_path(struct rg_route_spec *spec, const char *word)
{
    spec->path_match = *word == '=' ? RG_PATH_EXACT : *word == '^' ? RG_PATH_PREFIX : RG_PATH_TEMPLATE;
    spec->path = rg_str_of(spec->path_match == RG_PATH_TEMPLATE ? word : word + 1);
}

static bool parse_header(struct rg_header_spec *h, char *word)
{
    char *sign = strpbrk(word, "=~");
    if (!sign)
        return false;
    h->match = *sign == '~' ? RG_HEADER_REGEX : RG_HEADER_EXACT;
    *sign = '\0';
    h->name = rg_str_of(word);
    h->value = rg_str_of(sign + 1);
    return true;
}

void fixture_parse(struct fixture_route *ret, const char *line)
{
    char *words[12] = {NULL}, *save = NULL;
    size_t n = 0;
    memset(ret, 0, sizeof *ret);
    assert_true(strlen(line) < sizeof ret->text);
    strcpy(ret->text, line);
    for (char *w = strtok_r(ret->text, " ", &save); w && n < 12; w = strtok_r(NULL, " ", &save))
        words[n++] = w;
    assert_true(n >= 3);
    ret->spec = (struct rg_route_spec){.name = rg_str_of(line),
                                       .method = or_any(words[0]),
                                       .host = or_any(words[1]),
                                       .headers = ret->headers,
                                       .n_headers = n - 3,
                                       .upstream = RG_UPSTREAM_NONE};
    parse_path(&ret->spec, words[2]);
    for (size_t i = 3; i < n; i++)
        assert_true(parse_header(&ret->headers[i - 3], words[i]));
}

struct rg_unit *fixture_unit(const char *handle, const char *const *lines)
{
    static struct fixture_route routes[LINES_MAX];
    static struct rg_route_spec specs[LINES_MAX];
    const struct rg_unit_place place = {.workers = FIXTURE_WORKERS};
    struct rg_unit_spec spec = {
        .kind = RG_STR("RestApi"), .handle = rg_str_of(handle), .version = RG_STR("v1.0"), .routes = specs};
    struct rg_unit_fault fault;
    struct rg_unit *unit = NULL;
    for (; lines[spec.n_routes]; spec.n_routes++) {
        assert_true(spec.n_routes < LINES_MAX);
        fixture_parse(&routes[spec.n_routes], lines[spec.n_routes]);
        specs[spec.n_routes] = routes[spec.n_routes].spec;
    }
    if (rg_unit_create(&unit, &spec, &place, &fault) != 0)
        fail_msg("route %zu, %s: %s", fault.route, fault.field, fault.text);
    return unit;
}

struct rg_unit_fault fixture_fault(const struct rg_route_spec *route)
{
    const struct rg_unit_place place = {.workers = FIXTURE_WORKERS};
    const struct rg_unit_spec spec = {.handle = RG_STR("faulty"), .routes = route, .n_routes = 1};
    struct rg_unit_fault fault;
    struct rg_unit *unit = NULL;
    int r = rg_unit_create(&unit, &spec, &place, &fault);
    if (r == 0)
        fail_msg("a unit of \"%.*s\" can be made", (int)route->path.len, route->path.ptr);
    assert_null(unit);
    return fault;
}

struct rg_snapshot *fixture_snapshot(struct rg_unit **units, size_t n)
{
    static uint64_t generation;
    struct rg_route_conflict conflict;
    struct rg_snapshot *s = NULL;
    if (rg_snapshot_create(&s, units, n, ++generation, FIXTURE_WORKERS, &conflict) != 0)
        fail_msg("\"%s\" and \"%s\" conflict", conflict.route->name.ptr, conflict.with->name.ptr);
    for (size_t i = 0; i < n; i++)
        rg_unit_unref(units[i]);
    return s;
}

struct rg_snapshot *fixture_snapshot_of(const char *const *lines)
{
    struct rg_unit *unit = fixture_unit("only", lines);
    return fixture_snapshot(&unit, 1);
}

static uint8_t method_id(const char *method)
{
    static const char *const known[RG_METHOD_COUNT] = {
#define RG_METHOD(id, name, safe) [RG_METHOD_##id] = name,
#include "datapath/http/methods.def"
#undef RG_METHOD
    };
    for (uint8_t i = 1; i < RG_METHOD_COUNT; i++)
        if (strcmp(known[i], method) == 0)
            return i;
    return RG_METHOD_OTHER;
}

const struct rg_route *fixture_lookup(const struct rg_snapshot *s, const char *request)
{
    struct fixture_route r;
    struct rg_field fields[8] = {0};
    char line[512];
    /* The path of a request is written as it is; the parser of routes takes it for a template. */
    snprintf(line, sizeof line, "%s", request);
    fixture_parse(&r, line);
    for (size_t i = 0; i < r.spec.n_headers; i++) {
        struct rg_str name = r.headers[i].name, value = r.headers[i].value;
        fields[i] = (struct rg_field){.name = name.ptr,
                                      .name_len = (uint16_t)name.len,
                                      .value = value.ptr,
                                      .value_len = (uint32_t)value.len,
                                      .id = (uint8_t)rg_field_lookup(name.ptr, name.len)};
    }
    struct rg_route_query q = {.host = r.spec.host,
                               .method = r.spec.method,
                               .method_id = method_id(r.spec.method.ptr),
                               .path = r.spec.path,
                               .fields = fields,
                               .n_fields = r.spec.n_headers};
    return rg_snapshot_lookup(s, &q);
}
