/*
 * The index against a matcher that knows none: random routes, random requests, and for each the best of all routes that
 * match, by comparing them two by two. The order of preference is written here a second time, from snapshot.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/route/route_fixture.h"

#define ROUTES_MAX 24
#define PARTS_MAX  8

static uint32_t seed;

static unsigned below(unsigned n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 10) % n;
}

#define ONE_OF(list) ((list)[below(sizeof(list) / sizeof *(list))])

static const char *const hosts[] = {"-", "-", "a.b", "b", "c.a.b", "[::1]"};
static const char *const route_hosts[] = {"-", "-", "-", "a.b", "*.b", "*.a.b", "b", "[::1]"};
static const char *const methods[] = {"GET", "GET", "POST", "HEAD", "PURGE", "OPTIONS"};
static const char *const segments[] = {"x", "y", "z"};
static const char *const values[] = {"1", "2", "12"};

/* ---- Made up ---- */

static void add_segments(char *out, bool params, bool may_be_empty)
{
    size_t n = strlen(out);
    for (unsigned i = below(4); i > 0; i--) {
        if (params && below(3) == 0)
            n += (size_t)sprintf(out + n, "/{p%u}", i);
        else
            n += (size_t)sprintf(out + n, "/%.1s", may_be_empty && below(6) == 0 ? "" : ONE_OF(segments));
    }
}

static void make_route(char *out)
{
    char path[64] = "";
    unsigned kind = below(3);
    add_segments(path, kind == 2, true);
    if (path[0] == '\0')
        strcpy(path, "/");
    if (kind == 2 && below(3) == 0)
        strcat(path, path[1] ? "/*" : "*");
    size_t n = (size_t)sprintf(out, "%s %s %s%s", below(3) ? ONE_OF(methods) : "-", ONE_OF(route_hosts),
                               kind == 0   ? "="
                               : kind == 1 ? "^"
                                           : "",
                               path);
    if (below(4) == 0)
        n += (size_t)sprintf(out + n, " h%s%s", below(2) ? "=" : "~", ONE_OF(values));
    if (below(8) == 0)
        sprintf(out + n, " accept~%s.*", ONE_OF(values));
}

static void make_request(char *out)
{
    char path[64] = "";
    add_segments(path, false, true);
    size_t n = (size_t)sprintf(out, "%s %s %s", ONE_OF(methods), ONE_OF(hosts), path[0] ? path : "/");
    if (below(2))
        n += (size_t)sprintf(out + n, " h=%s", ONE_OF(values));
    if (below(2))
        sprintf(out + n, " Accept=%s", ONE_OF(values));
}

/* ---- The matcher without an index ---- */

struct naive {
    char text[128];
    const char *method, *host, *path;
    char kind; /* '=', '^' or '/': the first of the path's word */
    const char *headers[2];
    const char *parts[PARTS_MAX]; /* of the path */
    size_t n_parts;
    bool rest;
    char path_text[128];
};

static void split(struct naive *r, const char *line)
{
    char *save = NULL, *word;
    memset(r, 0, sizeof *r);
    strcpy(r->text, line);
    r->method = strtok_r(r->text, " ", &save);
    r->host = strtok_r(NULL, " ", &save);
    r->path = strtok_r(NULL, " ", &save);
    for (size_t i = 0; (word = strtok_r(NULL, " ", &save)) != NULL; i++)
        r->headers[i] = word;
    r->kind = r->path[0];
    strcpy(r->path_text, r->kind == '/' ? r->path : r->path + 1);
    for (char *p = r->path_text; p; p = strchr(p, '/')) {
        *p++ = '\0';
        r->parts[r->n_parts++] = p;
    }
    const char *last = r->parts[r->n_parts - 1];
    r->rest = r->kind == '^' || (r->kind == '/' && strcmp(last, "*") == 0);
    if (r->rest && (last[0] == '\0' || strcmp(last, "*") == 0))
        r->n_parts--;
}

static bool is_param(const struct naive *r, size_t i)
{
    return r->kind == '/' && r->parts[i][0] == '{';
}

static bool host_matches(const struct naive *r, const char *host)
{
    size_t n = strlen(host), suffix = strlen(r->host) - 1;
    if (strcmp(r->host, "-") == 0)
        return true;
    if (r->host[0] == '*')
        return n > suffix && strcmp(host + n - suffix, r->host + 1) == 0;
    return strcmp(host, r->host) == 0;
}

static bool path_matches(const struct naive *r, const struct naive *q)
{
    if (q->n_parts < r->n_parts || (q->n_parts > r->n_parts && !r->rest))
        return false;
    for (size_t i = 0; i < r->n_parts; i++)
        if (is_param(r, i) ? q->parts[i][0] == '\0' : strcmp(r->parts[i], q->parts[i]) != 0)
            return false;
    return true;
}

static bool method_matches(const struct naive *r, const char *method)
{
    return strcmp(r->method, "-") == 0 || strcmp(r->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(r->method, "GET") == 0);
}

/* "h=1": equal, "h~1": equal, for there is no operator in it; "accept~1.*": begins with it. */
static bool header_matches(const char *wanted, const struct naive *q)
{
    size_t name = strcspn(wanted, "=~");
    for (size_t i = 0; i < 2 && q->headers[i]; i++) {
        const char *value = q->headers[i] + name + 1;
        if (strncasecmp(q->headers[i], wanted, name) != 0 || q->headers[i][name] != '=')
            continue;
        if (strstr(wanted, ".*") ? value[0] && strncmp(value, wanted + name + 1, strlen(wanted + name + 1) - 2) == 0
                                 : strcmp(value, wanted + name + 1) == 0)
            return true;
    }
    return false;
}

static bool matches(const struct naive *r, const struct naive *q)
{
    return host_matches(r, q->host) && path_matches(r, q) && method_matches(r, q->method) &&
           (!r->headers[0] || header_matches(r->headers[0], q)) && (!r->headers[1] || header_matches(r->headers[1], q));
}

static int host_rank(const struct naive *r)
{
    return r->host[0] == '-' ? 0 : r->host[0] == '*' ? (int)strlen(r->host) : 1000;
}

/* From the left, what is spelled out before what is a parameter. */
static int compare_parts(const struct naive *a, const struct naive *b)
{
    for (size_t i = 0; i < a->n_parts && i < b->n_parts; i++)
        if (is_param(a, i) != is_param(b, i))
            return is_param(a, i) ? -1 : 1;
    return 0;
}

static int method_rank(const struct naive *r, const struct naive *q)
{
    return strcmp(r->method, "-") == 0 ? 0 : strcmp(r->method, q->method) == 0 ? 2 : 1;
}

static int header_count(const struct naive *r)
{
    return (r->headers[0] != NULL) + (r->headers[1] != NULL);
}

/* Which is to be preferred, where both match; the first declared when this is 0. */
static int compare(const struct naive *a, const struct naive *b, const struct naive *q)
{
    int order = host_rank(a) - host_rank(b);
    if (order == 0)
        order = b->rest - a->rest;
    if (order == 0)
        order = (int)a->n_parts - (int)b->n_parts;
    if (order == 0)
        order = compare_parts(a, b);
    if (order == 0)
        order = method_rank(a, q) - method_rank(b, q);
    return order ? order : header_count(a) - header_count(b);
}

/* Of a request: slashes behind slashes. A slash at the end stays. */
static void drop_empty_parts(struct naive *q)
{
    size_t n = 0;
    for (size_t i = 0; i < q->n_parts; i++)
        if (q->parts[i][0] != '\0' || i + 1 == q->n_parts)
            q->parts[n++] = q->parts[i];
    q->n_parts = n;
}

static const char *best_of(const char lines[][128], size_t n, const char *request)
{
    struct naive q, r, best = {0};
    const char *found = NULL;
    split(&q, request);
    drop_empty_parts(&q);
    for (size_t i = 0; i < n; i++) {
        split(&r, lines[i]);
        if (!matches(&r, &q) || (found && compare(&r, &best, &q) <= 0))
            continue;
        split(&best, lines[i]);
        found = lines[i];
    }
    return found;
}

/* ---- The comparison ---- */

static void the_index_finds_the_best(void **state)
{
    (void)state;
    unsigned found = 0, none = 0;
    for (uint32_t round = 0; round < 600; round++) {
        char lines[ROUTES_MAX][128];
        const char *pointers[ROUTES_MAX + 1] = {NULL};
        size_t n = 1 + (seed = round * 2654435761u, below(ROUTES_MAX));
        for (size_t i = 0; i < n; i++) {
            make_route(lines[i]);
            pointers[i] = lines[i];
        }
        struct rg_snapshot *s = fixture_snapshot_of(pointers);
        for (unsigned k = 0; k < 60; k++) {
            char request[128];
            make_request(request);
            const char *wanted = best_of(lines, n, request);
            const struct rg_route *route = fixture_lookup(s, request);
            const char *got = route ? route->name.ptr : NULL;
            if ((wanted == NULL) != (got == NULL) || (wanted && strcmp(wanted, got) != 0))
                fail_msg("round %u, %s: took %s, wanted %s", round, request, got ? got : "none",
                         wanted ? wanted : "none");
            found += wanted != NULL;
            none += wanted == NULL;
        }
        rg_snapshot_destroy(s);
    }
    assert_true(found > 5000 && none > 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_index_finds_the_best)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
