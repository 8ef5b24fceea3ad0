/* What a route matches, copied and checked: see unit_parts.h. */
#include <errno.h>
#include <stdlib.h>

#include "datapath/http/h1_authority.h"
#include "datapath/http/h1_chars.h"
#include "datapath/route/unit_parts.h"

#define METHOD_MAX 32 /* as the parser takes them */

static bool copy_lower(struct rg_arena *arena, struct rg_str s, struct rg_str *ret)
{
    char *p = rg_arena_alloc(arena, s.len + 1);
    if (!p)
        return false;
    for (size_t i = 0; i < s.len; i++)
        p[i] = rg_lower(s.ptr[i]);
    *ret = (struct rg_str){p, s.len};
    return true;
}

/* ---- Host ---- */

size_t rg_route_host_of(struct rg_str host, char out[RG_HOST_MAX], uint32_t *ret_hash)
{
    uint32_t hash = RG_ROUTE_HASH_INIT;
    struct rg_str name = rg_host_without_port(host);
    if (name.len > 1 && name.ptr[name.len - 1] == '.')
        name.len--;
    if (name.len > RG_HOST_MAX)
        return 0;
    for (size_t i = 0; i < name.len; i++) {
        out[i] = rg_lower(name.ptr[i]);
        hash = rg_route_hash_byte(hash, out[i]);
    }
    *ret_hash = hash;
    return name.len;
}

static int copy_host(struct rg_unit *u, struct rg_str host, struct rg_route_match *m, struct rg_unit_fault *fault)
{
    char normal[RG_HOST_MAX];
    struct rg_authority authority;
    bool wildcard = host.len > 2 && host.ptr[0] == '*' && host.ptr[1] == '.';
    struct rg_str name = wildcard ? (struct rg_str){host.ptr + 2, host.len - 2} : host;
    if (host.len == 0)
        return 0;
    bool valid = rg_authority_parse(name, &authority) && authority.host.len == name.len;
    size_t len = valid ? rg_route_host_of(name, normal, &m->host_hash) : 0;
    if (len == 0 || (wildcard && name.ptr[0] == '['))
        return rg_unit_refuse(fault, "host",
                              "\"%.*s\", wanted a host name without a port, \"*.\" and a name, or nothing for any",
                              (int)host.len, host.ptr);
    m->host_kind = wildcard ? RG_ROUTE_HOST_WILDCARD : RG_ROUTE_HOST_EXACT;
    return rg_arena_copy(&u->arena, (struct rg_str){normal, len}, &m->host) ? 0 : -ENOMEM;
}

/* ---- Method ---- */

static uint8_t method_id(struct rg_str method)
{
    static const struct {
        uint8_t id;
        const char *name;
    } known[] = {
#define RG_METHOD(id, name, safe) {RG_METHOD_##id, name},
#include "datapath/http/methods.def"
#undef RG_METHOD
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (rg_str_eq(method, rg_str_of(known[i].name)))
            return known[i].id;
    return RG_METHOD_OTHER;
}

static int copy_method(struct rg_unit *u, struct rg_str method, struct rg_route_match *m, struct rg_unit_fault *fault)
{
    if (method.len > METHOD_MAX || (method.len > 0 && !rg_str_is(method, RG_CHAR_TOKEN)))
        return rg_unit_refuse(fault, "method", "\"%.*s\", wanted a method such as GET, or nothing for any",
                              (int)method.len, method.ptr);
    m->method_id = method_id(method);
    if (m->method_id == RG_METHOD_CONNECT)
        return rg_unit_refuse(fault, "method", "CONNECT can't be routed: it makes tunnels to anywhere");
    return rg_arena_copy(&u->arena, method, &m->method) ? 0 : -ENOMEM;
}

/* ---- Path ---- */

static size_t count_segments(struct rg_str path)
{
    size_t n = 0;
    for (size_t i = 0; i < path.len; i++)
        n += path.ptr[i] == '/';
    return n;
}

/* A whole segment {name}. false with a fault: braces elsewhere. */
static int read_segment(struct rg_str text, bool template, struct rg_route_segment *ret, struct rg_unit_fault *fault)
{
    const char *open = text.len > 0 ? memchr(text.ptr, '{', text.len) : NULL;
    const char *close = text.len > 0 ? memchr(text.ptr, '}', text.len) : NULL;
    *ret = (struct rg_route_segment){.text = text, .hash = rg_route_hash(text)};
    if (!open && !close)
        return 0;
    if (!template)
        return rg_unit_refuse(fault, "path",
                              "\"%.*s\": only a template has parameters; put /* at its end for what "
                              "is below it",
                              (int)text.len, text.ptr);
    if (open != text.ptr || close != text.ptr + text.len - 1 || text.len < 3 || memchr(text.ptr + 1, '{', text.len - 1))
        return rg_unit_refuse(fault, "path", "\"%.*s\": a parameter takes a whole segment: /{name}/", (int)text.len,
                              text.ptr);
    ret->is_param = true;
    ret->text = (struct rg_str){text.ptr + 1, text.len - 2};
    return 0;
}

static int split_path(struct rg_unit *u, struct rg_route_match *m, bool template, struct rg_unit_fault *fault)
{
    struct rg_str path = m->path;
    size_t n = count_segments(path);
    if (n > RG_ROUTE_SEGMENTS_MAX)
        return rg_unit_refuse(fault, "path", "%zu segments, at most %d are allowed", n, RG_ROUTE_SEGMENTS_MAX);
    struct rg_route_segment *segments = rg_arena_array(&u->arena, n, sizeof *segments);
    if (!segments)
        return -ENOMEM;
    const char *p = path.ptr, *end = path.ptr + path.len;
    for (size_t i = 0; i < n; i++) {
        const char *from = p + 1, *to = memchr(from, '/', (size_t)(end - from));
        p = to ? to : end;
        int r = read_segment((struct rg_str){from, (size_t)(p - from)}, template, &segments[i], fault);
        if (r < 0)
            return r;
    }
    m->segments = segments;
    m->n_segments = n;
    return 0;
}

static bool is_segment(const struct rg_route_segment *s, struct rg_str text)
{
    return !s->is_param && rg_str_eq(s->text, text);
}

static int copy_path(struct rg_unit *u, const struct rg_route_spec *spec, struct rg_route_match *m,
                     struct rg_unit_fault *fault)
{
    bool template = spec->path_match == RG_PATH_TEMPLATE;
    if (!rg_unit_path_is_normal(spec->path))
        return rg_unit_refuse(fault, "path", "\"%.*s\", wanted a path in normal form, beginning with a slash",
                              (int)(spec->path.len < 100 ? spec->path.len : 100), spec->path.len ? spec->path.ptr : "");
    if (!rg_arena_copy(&u->arena, spec->path, &m->path))
        return -ENOMEM;
    int r = split_path(u, m, template, fault);
    if (r < 0)
        return r;
    const struct rg_route_segment *last = &m->segments[m->n_segments - 1];
    m->rest = spec->path_match == RG_PATH_PREFIX || (template && is_segment(last, RG_STR("*")));
    if (m->rest && (template || is_segment(last, RG_STR("")))) /* "/a/" and "/a" are one prefix */
        m->n_segments--;
    for (size_t i = 0; template && i < m->n_segments; i++)
        if (is_segment(&m->segments[i], RG_STR("*")))
            return rg_unit_refuse(fault, "path", "\"%.*s\": a * may only be the last segment", (int)m->path.len,
                                  m->path.ptr);
    return 0;
}

/* ---- Headers ---- */

static int compare_text(struct rg_str a, struct rg_str b)
{
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_headers(const void *a, const void *b)
{
    const struct rg_route_header *x = a, *y = b;
    int order = compare_text(x->name, y->name);
    if (order == 0)
        order = (int)x->match - (int)y->match;
    return order ? order : compare_text(x->value, y->value);
}

static int copy_header(struct rg_unit *u, const struct rg_header_spec *spec, size_t i, struct rg_route_header *ret,
                       struct rg_unit_fault *fault)
{
    char field[32], why[160];
    if (!rg_str_is(spec->name, RG_CHAR_TOKEN)) {
        snprintf(field, sizeof field, "headers[%u].name", (unsigned)i);
        return rg_unit_refuse(fault, field, "\"%.*s\" is no name of a header", (int)spec->name.len,
                              spec->name.len ? spec->name.ptr : "");
    }
    ret->match = (uint8_t)spec->match;
    ret->id = (uint8_t)rg_field_lookup(spec->name.ptr, spec->name.len);
    if (!copy_lower(&u->arena, spec->name, &ret->name) || !rg_arena_copy(&u->arena, spec->value, &ret->value))
        return -ENOMEM;
    if (spec->match == RG_HEADER_EXACT)
        return 0;
    int r = rg_regex_compile(&u->arena, spec->value, &ret->regex, why, sizeof why);
    if (r == -EINVAL) {
        snprintf(field, sizeof field, "headers[%u].value", (unsigned)i);
        return rg_unit_refuse(fault, field, "the regular expression \"%.*s\" is not supported: %s",
                              (int)(spec->value.len < 80 ? spec->value.len : 80), spec->value.ptr, why);
    }
    return r;
}

static uint32_t hash_headers(const struct rg_route_match *m)
{
    uint32_t hash = RG_ROUTE_HASH_INIT;
    for (size_t i = 0; i < m->n_headers; i++) {
        hash = (hash ^ rg_route_hash(m->headers[i].name)) * 16777619u;
        hash = (hash ^ rg_route_hash(m->headers[i].value)) * 16777619u + m->headers[i].match;
    }
    return hash;
}

static int copy_headers(struct rg_unit *u, const struct rg_route_spec *spec, struct rg_route_match *m,
                        struct rg_unit_fault *fault)
{
    if (spec->n_headers > RG_ROUTE_HEADERS_MAX)
        return rg_unit_refuse(fault, "headers", "%zu headers, at most %d are allowed", spec->n_headers,
                              RG_ROUTE_HEADERS_MAX);
    struct rg_route_header *headers = rg_arena_array(&u->arena, spec->n_headers, sizeof *headers);
    if (!headers)
        return -ENOMEM;
    for (size_t i = 0; i < spec->n_headers; i++) {
        int r = copy_header(u, &spec->headers[i], i, &headers[i], fault);
        if (r < 0)
            return r;
    }
    if (spec->n_headers > 1)
        qsort(headers, spec->n_headers, sizeof *headers, compare_headers);
    m->headers = headers;
    m->n_headers = spec->n_headers;
    m->headers_hash = hash_headers(m);
    return 0;
}

int rg_unit_copy_match(struct rg_unit *u, const struct rg_route_spec *spec, const struct rg_route_match **ret,
                       struct rg_unit_fault *fault)
{
    struct rg_route_match *m = rg_arena_alloc(&u->arena, sizeof *m);
    if (!m)
        return -ENOMEM;
    int r = copy_host(u, spec->host, m, fault);
    if (r == 0)
        r = copy_method(u, spec->method, m, fault);
    if (r == 0)
        r = copy_path(u, spec, m, fault);
    if (r == 0)
        r = copy_headers(u, spec, m, fault);
    *ret = m;
    return r;
}
