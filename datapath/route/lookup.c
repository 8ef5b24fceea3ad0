/*
 * Which route a request takes: see snapshot.h for the order, snapshot_parts.h for the index. Hot: once per request
 * where there are routes. Nothing is allocated; the depth is that of the declared paths, RG_ROUTE_SEGMENTS_MAX at most.
 */
#include "datapath/base/assert.h"
#include "datapath/route/snapshot_parts.h"

struct search {
    const struct rg_snapshot *s;
    const struct rg_route_query *q;
    const char *end;             /* of the path */
    const struct rg_route *best; /* so far, of those that leave a rest */
    unsigned best_depth;         /* one more than its segments; 0: none */
    bool skipped;                /* slashes behind slashes */
};

/* ---- One route ---- */

static bool has_value(const struct rg_route_header *h, const struct rg_field *f)
{
    struct rg_str value = rg_field_value(f);
    return h->match == RG_HEADER_EXACT ? rg_str_eq(value, h->value) : rg_regex_matches(h->regex, value);
}

static bool is_named(const struct rg_route_header *h, const struct rg_field *f)
{
    return h->id == f->id && (h->id != RG_FIELD_OTHER || rg_str_eq_nocase(rg_field_name(f), h->name));
}

/* One of the lines of this name has the value. */
static bool has_header(const struct rg_route_query *q, const struct rg_route_header *h)
{
    for (size_t i = 0; i < q->n_fields; i++)
        if (is_named(h, &q->fields[i]) && has_value(h, &q->fields[i]))
            return true;
    return false;
}

static RG_COLD bool has_headers_slow(const struct rg_route_query *q, const struct rg_route_match *m)
{
    for (size_t i = 0; i < m->n_headers; i++)
        if (!has_header(q, &m->headers[i]))
            return false;
    return true;
}

static bool has_method(const struct rg_route_entry *e, uint8_t id, struct rg_str method)
{
    if (RG_LIKELY(e->method_id != RG_METHOD_OTHER))
        return e->method_id == id;
    return e->any_method || (id == RG_METHOD_OTHER && rg_str_eq(e->route->match->method, method));
}

static const struct rg_route *first_match(const struct search *f, const struct rg_route_list *list, uint8_t method_id,
                                          bool named_only)
{
    for (uint32_t i = list->first; i < list->first + list->n; i++) {
        const struct rg_route_entry *e = &f->s->entries[i];
        if (!has_method(e, method_id, f->q->method) || (named_only && e->any_method))
            continue;
        if (e->n_headers == 0 || has_headers_slow(f->q, e->route->match))
            return e->route;
    }
    return NULL;
}

static const struct rg_route *match_list(const struct search *f, const struct rg_route_list *list)
{
    if (list->n == 0)
        return NULL;
    if (RG_LIKELY(f->q->method_id != RG_METHOD_HEAD))
        return first_match(f, list, f->q->method_id, false);
    const struct rg_route *head = first_match(f, list, RG_METHOD_HEAD, true);
    return head ? head : first_match(f, list, RG_METHOD_GET, false);
}

/* ---- The path ---- */

static void note_rest(struct search *f, const struct rg_route_node *node, unsigned depth)
{
    if (node->rest.n == 0 || depth + 1 <= f->best_depth)
        return;
    const struct rg_route *route = match_list(f, &node->rest);
    if (route) {
        f->best = route;
        f->best_depth = depth + 1;
    }
}

/* Several slashes in a row separate as one does: many upstreams read them so, and a route that guards /a must not be
 * passed by with //a. The upstream gets them as they came. Returns the last of them. */
static RG_COLD const char *skip_slashes_slow(struct search *f, const char *p)
{
    while (p + 1 < f->end && p[1] == '/')
        p++;
    f->skipped = true;
    return p;
}

/* p: at the slash before the next segment, or at the end. Returns a route that takes all of the path. */
static const struct rg_route *descend(struct search *f, uint32_t id, const char *p, unsigned depth)
{
    const struct rg_route_node *node = &f->s->nodes[id];
    const struct rg_route *found = NULL;
    if (p == f->end) {
        found = match_list(f, &node->full);
    } else if (node->has_children || node->param) {
        if (RG_UNLIKELY(p + 1 < f->end && p[1] == '/'))
            p = skip_slashes_slow(f, p);
        const char *from = ++p;
        uint32_t hash = RG_ROUTE_HASH_INIT;
        for (; p < f->end && *p != '/'; p++)
            hash = rg_route_hash_byte(hash, *p);
        struct rg_str text = {from, (size_t)(p - from)};
        uint32_t child = node->has_children ? rg_route_child(f->s, id, hash, text) : RG_ROUTE_NODE_NONE;
        if (child)
            found = descend(f, child, p, depth + 1);
        if (!found && node->param && text.len > 0)
            found = descend(f, node->param, p, depth + 1);
    }
    if (!found)
        note_rest(f, node, depth);
    return found;
}

/* The context is cut off by its length: a path that spells it with more slashes is not below it. */
static RG_COLD bool has_context_slow(const struct rg_route *route, struct rg_str path)
{
    size_t n = route->context_bytes + (size_t)1;
    return !memmem(path.ptr, n < path.len ? n : path.len, "//", 2);
}

static const struct rg_route *search_path(const struct rg_snapshot *s, const struct rg_route_query *q, uint32_t root)
{
    struct search f = {.s = s, .q = q, .end = q->path.ptr + q->path.len};
    const struct rg_route *found = descend(&f, root, q->path.ptr, 0);
    if (!found)
        found = f.best;
    if (RG_UNLIKELY(f.skipped) && found && found->context_bytes > 0 && !has_context_slow(found, q->path))
        return NULL;
    return found;
}

/* ---- The host ---- */

static const struct rg_route *search_wildcards(const struct rg_snapshot *s, const struct rg_route_query *q,
                                               struct rg_str host)
{
    for (size_t i = 1; i + 1 < host.len; i++) {
        struct rg_str below = {host.ptr + i + 1, host.len - i - 1};
        if (host.ptr[i] != '.' || below.len > s->wildcard_max)
            continue;
        uint32_t root = rg_route_child(s, RG_ROUTE_NODE_WILDCARDS, rg_route_hash(below), below);
        const struct rg_route *found = root ? search_path(s, q, root) : NULL;
        if (found)
            return found;
    }
    return NULL;
}

static const struct rg_route *search_hosts(const struct rg_snapshot *s, const struct rg_route_query *q)
{
    char name[RG_HOST_MAX];
    uint32_t hash;
    struct rg_str host = {name, rg_route_host_of(q->host, name, &hash)};
    if (host.len == 0)
        return NULL;
    uint32_t root = rg_route_child(s, RG_ROUTE_NODE_HOSTS, hash, host);
    const struct rg_route *found = root ? search_path(s, q, root) : NULL;
    if (!found && s->n_wildcards > 0)
        found = search_wildcards(s, q, host);
    return found;
}

const struct rg_route *rg_snapshot_lookup(const struct rg_snapshot *snapshot, const struct rg_route_query *query)
{
    const struct rg_route *found = NULL;
    if (query->path.len == 0 || query->path.ptr[0] != '/') /* of "*", the server as a whole is asked */
        return NULL;
    if (snapshot->n_hosts > 0 || snapshot->n_wildcards > 0)
        found = search_hosts(snapshot, query);
    return found ? found : search_path(snapshot, query, RG_ROUTE_NODE_ANY);
}

size_t rg_route_prefix_bytes(const struct rg_route *route, struct rg_str path)
{
    size_t n = 0;
    if (!route->match->rest)
        return path.len;
    for (size_t segments = 0; n < path.len; n++) {
        bool separates = path.ptr[n] == '/' && (n == 0 || path.ptr[n - 1] != '/');
        if (separates && segments++ == route->match->n_segments)
            break;
    }
    return n;
}
