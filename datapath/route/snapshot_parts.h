/*
 * The index of a snapshot: what snapshot.c builds and lookup.c reads. Nothing outside datapath/route includes this.
 *
 * A tree of nodes per host. A node stands for the segments that lead to it; its children by segments that are spelled
 * out are found in one hash table for all nodes, and so are the roots of hosts. A node has two lists of entries:
 * routes that end there, and routes that go on to any rest. In a list, the more specific comes first.
 *
 * Thread: the control thread builds and destroys it; any worker reads it.
 */
#ifndef RG_ROUTE_SNAPSHOT_PARTS_H
#define RG_ROUTE_SNAPSHOT_PARTS_H

#include "datapath/route/snapshot.h"
#include "datapath/route/unit_parts.h"

enum { /* nodes that are always there */
       RG_ROUTE_NODE_NONE,
       RG_ROUTE_NODE_HOSTS,     /* parent of the roots of hosts that are spelled out */
       RG_ROUTE_NODE_WILDCARDS, /* of those below "*." */
       RG_ROUTE_NODE_ANY,       /* root of what holds for any host */
       RG_ROUTE_NODE_FIRST      /* of those that routes add */
};

struct rg_route_list {
    uint32_t first, n; /* entries */
};

#define RG_ROUTE_TEXT_NEAR 16

struct rg_route_node { /* a cache line: most texts are compared without leaving it */
    struct rg_route_list full, rest;
    uint32_t param;  /* child by a parameter; NONE: there is none */
    uint32_t parent; /* with the text, which child this is */
    uint32_t text_len;
    bool has_children;             /* that are spelled out */
    char near[RG_ROUTE_TEXT_NEAR]; /* the text, when it is as short as that */
    const char *text;              /* in the memory of a unit */
} __attribute__((aligned(64)));

struct rg_route_slot {
    uint32_t hash; /* of the text and the parent */
    uint32_t node; /* NONE: free */
};

struct rg_route_entry {
    const struct rg_route *route;
    uint32_t list, order; /* while it is built */
    uint32_t hash;        /* of what it matches besides its place, while it is built */
    uint8_t method_id;
    uint8_t n_headers;
    bool any_method;
};

struct rg_snapshot_row { /* of a worker: it alone writes */
    uint64_t pins __attribute__((aligned(64)));
};

struct rg_snapshot {
    struct rg_route_node *nodes;
    struct rg_route_slot *slots;
    struct rg_route_entry *entries;
    uint32_t n_nodes, mask; /* of slots */
    uint32_t n_entries;
    uint32_t n_hosts, n_wildcards;
    uint32_t wildcard_max; /* bytes of the longest one */
    uint16_t workers;
    uint64_t generation;
    struct rg_unit **units;
    size_t n_units;
    struct rg_snapshot_row *rows;
};

static inline uint32_t rg_route_mix(uint32_t parent, uint32_t hash)
{
    uint32_t h = hash ^ parent * 0x9e3779b1u;
    h ^= h >> 15;
    h *= 0x85ebca6bu;
    return h ^ h >> 13;
}

static inline bool rg_route_node_is(const struct rg_route_node *n, uint32_t parent, struct rg_str text)
{
    const char *own = text.len <= RG_ROUTE_TEXT_NEAR ? n->near : n->text;
    return n->parent == parent && n->text_len == text.len && memcmp(own, text.ptr, text.len) == 0;
}

/* The child of this node by this text, or NONE. */
static inline uint32_t rg_route_child(const struct rg_snapshot *s, uint32_t parent, uint32_t hash, struct rg_str text)
{
    uint32_t mixed = rg_route_mix(parent, hash);
    for (uint32_t i = mixed & s->mask; s->slots[i].node != RG_ROUTE_NODE_NONE; i = (i + 1) & s->mask) {
        if (s->slots[i].hash == mixed && rg_route_node_is(&s->nodes[s->slots[i].node], parent, text))
            return s->slots[i].node;
    }
    return RG_ROUTE_NODE_NONE;
}

#endif
