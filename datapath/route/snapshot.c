/*
 * See snapshot.h: how the index is built, who conflicts with whom, and the end of a snapshot. Everything is made anew,
 * for it costs less than 1 us a route; units are not copied.
 */
#include "datapath/route/snapshot.h"

#include <errno.h>
#include <stdlib.h>

#include "datapath/base/assert.h"
#include "datapath/route/snapshot_parts.h"

/* ---- Nodes ---- */

static uint32_t add_node(struct rg_snapshot *s, uint32_t parent, struct rg_str text)
{
    uint32_t id = s->n_nodes++;
    s->nodes[id] = (struct rg_route_node){.parent = parent, .text = text.ptr, .text_len = (uint32_t)text.len};
    if (text.len > 0 && text.len <= RG_ROUTE_TEXT_NEAR)
        memcpy(s->nodes[id].near, text.ptr, text.len);
    return id;
}

static void put_slot(struct rg_snapshot *s, struct rg_route_slot slot)
{
    uint32_t i = slot.hash & s->mask;
    while (s->slots[i].node != RG_ROUTE_NODE_NONE)
        i = (i + 1) & s->mask;
    s->slots[i] = slot;
}

static uint32_t spelled_child(struct rg_snapshot *s, uint32_t parent, uint32_t hash, struct rg_str text)
{
    uint32_t found = rg_route_child(s, parent, hash, text);
    if (found != RG_ROUTE_NODE_NONE)
        return found;
    uint32_t id = add_node(s, parent, text);
    put_slot(s, (struct rg_route_slot){rg_route_mix(parent, hash), id});
    s->nodes[parent].has_children = true;
    return id;
}

static uint32_t param_child(struct rg_snapshot *s, uint32_t parent)
{
    if (s->nodes[parent].param == RG_ROUTE_NODE_NONE) {
        uint32_t id = add_node(s, parent, RG_STR_NONE);
        s->nodes[parent].param = id;
    }
    return s->nodes[parent].param;
}

static uint32_t root_of(struct rg_snapshot *s, const struct rg_route_match *m)
{
    switch ((enum rg_route_host)m->host_kind) {
    case RG_ROUTE_HOST_EXACT:
        s->n_hosts++;
        return spelled_child(s, RG_ROUTE_NODE_HOSTS, m->host_hash, m->host);
    case RG_ROUTE_HOST_WILDCARD:
        s->n_wildcards++;
        if (m->host.len > s->wildcard_max)
            s->wildcard_max = (uint32_t)m->host.len;
        return spelled_child(s, RG_ROUTE_NODE_WILDCARDS, m->host_hash, m->host);
    case RG_ROUTE_HOST_ANY:
        break;
    }
    return RG_ROUTE_NODE_ANY;
}

static void add_route(struct rg_snapshot *s, const struct rg_route *route)
{
    const struct rg_route_match *m = route->match;
    uint32_t node = root_of(s, m);
    for (size_t i = 0; i < m->n_segments; i++) {
        const struct rg_route_segment *segment = &m->segments[i];
        node = segment->is_param ? param_child(s, node) : spelled_child(s, node, segment->hash, segment->text);
    }
    s->entries[s->n_entries] = (struct rg_route_entry){.route = route,
                                                       .list = node * 2 + m->rest,
                                                       .order = s->n_entries,
                                                       .hash = rg_route_hash(m->method) ^ m->headers_hash,
                                                       .method_id = m->method_id,
                                                       .n_headers = (uint8_t)m->n_headers,
                                                       .any_method = m->method.len == 0};
    s->n_entries++;
}

/* ---- Order ---- */

static int compare_entries(const void *a, const void *b)
{
    const struct rg_route_entry *x = a, *y = b;
    if (x->list != y->list)
        return x->list < y->list ? -1 : 1;
    if (x->any_method != y->any_method)
        return x->any_method ? 1 : -1;
    if (x->n_headers != y->n_headers)
        return x->n_headers > y->n_headers ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

static void make_lists(struct rg_snapshot *s)
{
    qsort(s->entries, s->n_entries, sizeof *s->entries, compare_entries);
    for (uint32_t i = 0; i < s->n_entries; i++) {
        struct rg_route_node *node = &s->nodes[s->entries[i].list / 2];
        struct rg_route_list *list = s->entries[i].list % 2 ? &node->rest : &node->full;
        if (list->n++ == 0)
            list->first = i;
    }
}

/* ---- Conflicts ---- */

static bool same_headers(const struct rg_route_match *a, const struct rg_route_match *b)
{
    if (a->n_headers != b->n_headers || a->headers_hash != b->headers_hash)
        return false;
    for (size_t i = 0; i < a->n_headers; i++) {
        const struct rg_route_header *x = &a->headers[i], *y = &b->headers[i];
        if (x->match != y->match || !rg_str_eq(x->name, y->name) || !rg_str_eq(x->value, y->value))
            return false;
    }
    return true;
}

static bool match_the_same(const struct rg_route_entry *a, const struct rg_route_entry *b)
{
    return a->list == b->list && a->hash == b->hash && rg_str_eq(a->route->match->method, b->route->match->method) &&
           same_headers(a->route->match, b->route->match);
}

/* seen: a table of as many slots as that of the nodes, which holds one more than the number of an entry. */
static bool find_conflict(const struct rg_snapshot *s, uint32_t *seen, struct rg_route_conflict *conflict)
{
    for (uint32_t e = 0; e < s->n_entries; e++) {
        uint32_t i = rg_route_mix(s->entries[e].list, s->entries[e].hash) & s->mask;
        while (seen[i] && !match_the_same(&s->entries[seen[i] - 1], &s->entries[e]))
            i = (i + 1) & s->mask;
        if (!seen[i]) {
            seen[i] = e + 1;
            continue;
        }
        const struct rg_route *first = s->entries[seen[i] - 1].route;
        if (first->unit == s->entries[e].route->unit)
            continue; /* of its own unit, the first declared counts */
        *conflict = (struct rg_route_conflict){.route = s->entries[e].route, .with = first};
        return true;
    }
    return false;
}

/* ---- Life ---- */

/* Nodes and entries that these units can need at most. */
static void measure(struct rg_unit *const *units, size_t n, size_t *nodes, size_t *entries)
{
    *nodes = RG_ROUTE_NODE_FIRST;
    *entries = 0;
    for (size_t i = 0; i < n; i++) {
        *entries += units[i]->n_routes;
        *nodes += units[i]->n_nodes;
    }
}

static bool allocate(struct rg_snapshot *s, size_t nodes, size_t entries, size_t units)
{
    size_t slots = 8;
    while (slots < nodes * 2)
        slots *= 2;
    s->mask = (uint32_t)slots - 1;
    s->nodes = aligned_alloc(64, nodes * sizeof *s->nodes);
    s->slots = calloc(slots, sizeof *s->slots);
    s->entries = malloc((entries + 1) * sizeof *s->entries);
    s->units = malloc((units + 1) * sizeof *s->units);
    s->rows = aligned_alloc(64, s->workers * sizeof *s->rows);
    return s->nodes && s->slots && s->entries && s->units && s->rows;
}

/* Most routes share nodes: the fewer slots there are, the more of them are in a cache. Without memory all stay. */
static void shrink_slots(struct rg_snapshot *s)
{
    struct rg_route_slot *large = s->slots;
    uint32_t n = 8, large_mask = s->mask;
    while (n < s->n_nodes * 2)
        n *= 2;
    struct rg_route_slot *slots = n <= large_mask ? calloc(n, sizeof *slots) : NULL;
    if (!slots)
        return;
    s->slots = slots;
    s->mask = n - 1;
    for (uint32_t i = 0; i <= large_mask; i++)
        if (large[i].node != RG_ROUTE_NODE_NONE)
            put_slot(s, large[i]);
    free(large);
}

static void build(struct rg_snapshot *s, struct rg_unit *const *units, size_t n_units)
{
    for (unsigned i = 0; i < RG_ROUTE_NODE_FIRST; i++)
        add_node(s, RG_ROUTE_NODE_NONE, RG_STR_NONE);
    for (size_t i = 0; i < n_units; i++) {
        s->units[s->n_units++] = rg_unit_ref(units[i]);
        for (size_t r = 0; r < units[i]->n_routes; r++)
            add_route(s, &units[i]->routes[r]);
    }
}

int rg_snapshot_create(struct rg_snapshot **ret, struct rg_unit *const *units, size_t n_units, uint64_t generation,
                       uint16_t workers, struct rg_route_conflict *conflict)
{
    size_t nodes, entries;
    RG_ASSERT(workers > 0 && generation > 0);
    struct rg_snapshot *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->generation = generation;
    s->workers = workers;
    measure(units, n_units, &nodes, &entries);
    int r = -ENOMEM;
    if (nodes > UINT32_MAX / 8 || entries > UINT32_MAX / 8 || !allocate(s, nodes, entries, n_units))
        goto fail;
    memset(s->rows, 0, workers * sizeof *s->rows);
    build(s, units, n_units);
    uint32_t *seen = calloc(s->mask + (size_t)1, sizeof *seen);
    if (!seen)
        goto fail;
    bool in_conflict = find_conflict(s, seen, conflict);
    free(seen);
    r = -EEXIST;
    if (in_conflict)
        goto fail;
    shrink_slots(s);
    make_lists(s);
    *ret = s;
    return 0;

fail:
    rg_snapshot_destroy(s);
    return r;
}

void rg_snapshot_destroy(struct rg_snapshot *s)
{
    if (!s)
        return;
    RG_ASSERT(!s->rows || rg_snapshot_is_unused(s));
    for (size_t i = 0; i < s->n_units; i++)
        rg_unit_unref(s->units[i]);
    free(s->nodes);
    free(s->slots);
    free(s->entries);
    free(s->units);
    free(s->rows);
    free(s);
}

uint64_t rg_snapshot_generation(const struct rg_snapshot *snapshot)
{
    return snapshot->generation;
}

size_t rg_snapshot_units(const struct rg_snapshot *snapshot, struct rg_unit *const **ret)
{
    *ret = snapshot->units;
    return snapshot->n_units;
}

size_t rg_snapshot_routes(const struct rg_snapshot *snapshot)
{
    return snapshot->n_entries;
}

/* ---- Pins ---- */

/* A load and a store: nobody else writes this row. The release makes what the exchange read end before the control
 * thread sees the pin gone. */
void rg_snapshot_pin(struct rg_snapshot *snapshot, uint16_t worker, const struct rg_route *route)
{
    uint64_t *pins = &snapshot->rows[worker].pins, *requests = &route->unit->counts->rows[worker].requests;
    __atomic_store_n(pins, *pins + 1, __ATOMIC_RELAXED);
    __atomic_store_n(requests, *requests + 1, __ATOMIC_RELAXED);
}

void rg_snapshot_unpin(struct rg_snapshot *snapshot, uint16_t worker)
{
    uint64_t *pins = &snapshot->rows[worker].pins;
    RG_ASSERT(*pins > 0);
    __atomic_store_n(pins, *pins - 1, __ATOMIC_RELEASE);
}

uint64_t rg_snapshot_pins(const struct rg_snapshot *snapshot)
{
    uint64_t sum = 0;
    for (uint16_t i = 0; i < snapshot->workers; i++)
        sum += __atomic_load_n(&snapshot->rows[i].pins, __ATOMIC_ACQUIRE);
    return sum;
}

bool rg_snapshot_is_unused(const struct rg_snapshot *snapshot)
{
    return rg_snapshot_pins(snapshot) == 0;
}
