/*
 * Runs the vectors of the given files: definitions of artifacts beside the routes that they become, or beside what is
 * wrong with them (the form is in artifact/README.md).
 *
 *     artifact_vectors FILE...           compares
 *     artifact_vectors --show FILE...    prints what comes out, in the form of a vector
 */
#include <stdio.h>
#include <stdlib.h>

#include "control/artifact/compile_parts.h"

#define SECTIONS_MAX 12

struct text {
    char *ptr;
    size_t len;
};

struct section {
    char head[200]; /* after "--- " */
    struct text body;
};

struct vector {
    char name[200];
    int line;
    struct section sections[SECTIONS_MAX];
    unsigned n;
};

struct world { /* what a vector's artifact may ask for */
    struct rg_artifact *others[SECTIONS_MAX];
    unsigned n_others;
    const struct section *outside; /* "secrets and environment" */
};

static int failures;

static void text_add(struct text *t, const char *p, size_t n)
{
    t->ptr = realloc(t->ptr, t->len + n + 1);
    if (!t->ptr)
        abort();
    memcpy(t->ptr + t->len, p, n);
    t->len += n;
    t->ptr[t->len] = '\0';
}

/* ---- Reading ---- */

static const struct section *section_of(const struct vector *v, const char *head)
{
    for (unsigned i = 0; i < v->n; i++)
        if (strcmp(v->sections[i].head, head) == 0)
            return &v->sections[i];
    return NULL;
}

/* "RestApi NAME": the body is the spec of one. Anything else is a whole document. */
static struct text document_of(const struct section *s)
{
    struct text t = {0};
    char kind[80], name[80], head[400];
    if (sscanf(s->head, "%79s %79s", kind, name) != 2) {
        text_add(&t, s->body.ptr, s->body.len);
        return t;
    }
    int n =
        snprintf(head, sizeof(head),
                 "apiVersion: gateway.api-platform.wso2.com/v1\nkind: %s\nmetadata: {name: %s}\nspec:\n", kind, name);
    text_add(&t, head, (size_t)n);
    for (const char *p = s->body.ptr, *end = p + s->body.len; p < end;) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        text_add(&t, "  ", 2);
        text_add(&t, p, (size_t)(lf - p) + 1);
        p = lf + 1;
    }
    return t;
}

static bool is_expectation(const struct section *s)
{
    return strcmp(s->head, "routes") == 0 || strcmp(s->head, "problems") == 0;
}

static bool is_outside(const struct section *s)
{
    return strcmp(s->head, "secrets and environment") == 0;
}

/* ---- What comes out ---- */

static void dump_upstream(const struct rg_upstream_spec *u, FILE *out)
{
    fprintf(out, "upstream %.*s", (int)u->name.len, u->name.ptr);
    if (u->base_path.len > 0)
        fprintf(out, " base %.*s", (int)u->base_path.len, u->base_path.ptr);
    if (u->connect_ms > 0)
        fprintf(out, " connect %ums", u->connect_ms);
    fputc('\n', out);
    for (size_t i = 0; i < u->n_targets; i++) {
        const struct rg_target_spec *t = &u->targets[i];
        fprintf(out, "  %s %.*s port %u weight %u\n", t->tls ? "https" : "http", (int)t->host.len, t->host.ptr, t->port,
                t->weight);
    }
}

static void dump_policy(const struct rg_lower_policy *p, FILE *out)
{
    char *params = p->params ? json_dumps(p->params, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) : NULL;
    fprintf(out, "  %.*s %.*s%s%s", (int)p->name.len, p->name.ptr, (int)p->version.len, p->version.ptr,
            p->version.len > 0 ? " " : "", params ? params : "{}");
    if (p->condition.len > 0)
        fprintf(out, " if %.*s", (int)p->condition.len, p->condition.ptr);
    fprintf(out, " (%s)\n", p->path);
    free(params);
}

static void dump_route(const struct rg_lower *l, size_t i, FILE *out)
{
    static const char *const how[] = {"exact", "prefix", "template"};
    const struct rg_route_spec *r = &l->routes[i];
    const struct rg_lower_route *part = &l->route_parts[i];
    fprintf(out, "%.*s %.*s%.*s %s", r->method.len > 0 ? (int)r->method.len : 1,
            r->method.len > 0 ? r->method.ptr : "*", r->host.len > 0 ? (int)r->host.len : 1,
            r->host.len > 0 ? r->host.ptr : "*", (int)r->path.len, r->path.ptr, how[r->path_match]);
    for (size_t j = 0; j < r->n_headers; j++)
        fprintf(out, " [%.*s%s%.*s]", (int)r->headers[j].name.len, r->headers[j].name.ptr,
                r->headers[j].match == RG_HEADER_REGEX ? "~" : "=", (int)r->headers[j].value.len,
                r->headers[j].value.ptr);
    if (r->upstream == RG_UPSTREAM_NONE)
        fputs(" -> none", out);
    else
        fprintf(out, " -> %.*s, without %u", (int)l->upstreams[r->upstream].name.len,
                l->upstreams[r->upstream].name.ptr, r->context_bytes);
    if (r->keep_host)
        fputs(", host kept", out);
    if (r->response_head_ms > 0)
        fprintf(out, ", response %ums", r->response_head_ms);
    if (r->body_idle_ms > 0)
        fprintf(out, ", idle %ums", r->body_idle_ms);
    fputc('\n', out);
    for (size_t j = 0; j < part->n_policies; j++)
        dump_policy(part->policies[j], out);
}

static bool find_outside(const struct world *w, struct rg_str name, struct rg_str *ret)
{
    const char *p = w->outside ? w->outside->body.ptr : "";
    for (; *p; p = strchr(p, '\n') + 1) {
        const char *equals = strchr(p, '='), *lf = strchr(p, '\n');
        if ((size_t)(equals - p) == name.len && memcmp(p, name.ptr, name.len) == 0) {
            *ret = (struct rg_str){equals + 1, (size_t)(lf - equals) - 1};
            return true;
        }
    }
    return false;
}

static bool outside(void *owner, struct rg_str name, struct rg_str *ret)
{
    return find_outside(owner, name, ret);
}

static const struct rg_artifact *find_other(void *owner, enum rg_kind kind, struct rg_str handle)
{
    const struct world *w = owner;
    for (unsigned i = 0; i < w->n_others; i++) {
        const struct rg_artifact_info *info = rg_artifact_info(w->others[i]);
        if (info->kind == kind && rg_str_eq(info->handle, handle))
            return w->others[i];
    }
    return NULL;
}

static void lower_and_dump(const struct rg_artifact *artifact, struct world *w, struct rg_problems *why, FILE *out)
{
    const struct rg_compile_context context = {.find = find_other, .secret = outside, .env = outside, .owner = w};
    struct rg_compile c;
    rg_compile_init(&c, &context);
    if (rg_compile_lower(&c, artifact) == 0) {
        for (size_t i = 0; i < c.lower.n_upstreams; i++)
            dump_upstream(&c.lower.upstreams[i], out);
        for (size_t i = 0; i < c.lower.n_routes; i++)
            dump_route(&c.lower, i, out);
    }
    rg_compile_show(&c, why);
    rg_compile_fini(&c);
}

static struct rg_artifact *decode(const struct section *s, struct rg_problems *why)
{
    struct rg_artifact *artifact = NULL;
    struct text document = document_of(s);
    rg_artifact_decode(document.ptr, document.len, &artifact, why);
    free(document.ptr);
    return artifact;
}

/* The last definition is the one that is compiled; those before it are there already. Returns "routes" or "problems".
 */
static const char *run(const struct vector *v, struct text *ret)
{
    struct world w = {0};
    struct rg_problems why;
    struct rg_artifact *artifact = NULL;
    FILE *out = open_memstream(&ret->ptr, &ret->len);
    if (!out)
        abort();
    rg_problems_init(&why);
    for (unsigned i = 0; i < v->n; i++) {
        if (is_outside(&v->sections[i]))
            w.outside = &v->sections[i];
        if (is_outside(&v->sections[i]) || is_expectation(&v->sections[i]))
            continue;
        if (artifact)
            w.others[w.n_others++] = artifact;
        artifact = decode(&v->sections[i], &why);
    }
    if (artifact)
        lower_and_dump(artifact, &w, &why, out);
    bool failed = rg_problems_any(&why);
    if (failed) {
        rg_problems_write(&why, "\n", out);
        fputc('\n', out);
    }
    fclose(out);
    rg_problems_fini(&why);
    rg_artifact_destroy(artifact);
    while (w.n_others > 0)
        rg_artifact_destroy(w.others[--w.n_others]);
    return failed ? "problems" : "routes";
}

static void compare(const char *file, const struct vector *v)
{
    struct text got = {0};
    const char *kind = run(v, &got);
    const struct section *wanted = section_of(v, kind);
    if (!wanted || strcmp(wanted->body.ptr ? wanted->body.ptr : "", got.ptr) != 0) {
        failures++;
        printf("%s:%d: %s: %s, got:\n%s", file, v->line, v->name, wanted ? kind : "other kind of result", got.ptr);
    }
    free(got.ptr);
}

static void show(const struct vector *v)
{
    struct text got = {0};
    const char *kind = run(v, &got);
    printf("== %s\n", v->name);
    for (unsigned i = 0; i < v->n; i++)
        if (!is_expectation(&v->sections[i]))
            printf("--- %s\n%s", v->sections[i].head, v->sections[i].body.ptr);
    printf("--- %s\n%s\n", kind, got.ptr);
    free(got.ptr);
}

static void finish(const char *file, struct vector *v, bool shows, unsigned *n)
{
    if (v->line == 0)
        return;
    for (unsigned i = 0; i < v->n; i++) { /* the empty line before the next vector belongs to none */
        struct text *body = &v->sections[i].body;
        while (body->len > 0 && body->ptr[body->len - 1] == '\n' &&
               (body->len == 1 || body->ptr[body->len - 2] == '\n'))
            body->ptr[--body->len] = '\0';
    }
    if (shows)
        show(v);
    else
        compare(file, v);
    for (unsigned i = 0; i < v->n; i++)
        free(v->sections[i].body.ptr);
    *v = (struct vector){0};
    ++*n;
}

static void begin_section(const char *file, int line, struct vector *v, const char *head)
{
    if (v->n == SECTIONS_MAX || v->line == 0) {
        fprintf(stderr, "%s:%d: a section too many\n", file, line);
        exit(2);
    }
    struct section *s = &v->sections[v->n++];
    snprintf(s->head, sizeof(s->head), "%.*s", (int)strcspn(head, "\n"), head);
    text_add(&s->body, "", 0);
}

static unsigned run_file(const char *file, bool shows)
{
    static struct vector v;
    char *line = NULL;
    size_t room = 0;
    unsigned n = 0;
    int number = 0;
    FILE *in = fopen(file, "r");
    if (!in) {
        perror(file);
        exit(2);
    }
    for (ssize_t len; (len = getline(&line, &room, in)) >= 0;) {
        number++;
        if (strncmp(line, "== ", 3) == 0) {
            finish(file, &v, shows, &n);
            v.line = number;
            snprintf(v.name, sizeof(v.name), "%.*s", (int)strcspn(line + 3, "\n"), line + 3);
        } else if (strncmp(line, "--- ", 4) == 0) {
            begin_section(file, number, &v, line + 4);
        } else if (v.n > 0) {
            text_add(&v.sections[v.n - 1].body, line, (size_t)len);
        } else if (shows) {
            fputs(line, stdout);
        }
    }
    finish(file, &v, shows, &n);
    free(line);
    fclose(in);
    return n;
}

int main(int argc, char **argv)
{
    bool shows = argc > 1 && strcmp(argv[1], "--show") == 0;
    unsigned n = 0;
    for (int i = 1 + shows; i < argc; i++)
        n += run_file(argv[i], shows);
    if (!shows)
        printf("%u vectors, %d failed\n", n, failures);
    return failures > 0 || n == 0;
}
