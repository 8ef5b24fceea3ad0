/* See hub.h: members, limits, and effects carried out. */
#include "control/platform/hub.h"

#include <errno.h>
#include <stdlib.h>

#include "datapath/base/assert.h"
#include "datapath/base/client.h"
#include "datapath/base/hash.h"

#define BUCKETS     4096 /* of members; a power of two */
#define CLIENTS     1024 /* whose connects are counted; the same */
#define CONNECTIONS 10000
#define STREAMS     100
#define CONNECTS    1000
#define MINUTE_MS   60000u

/* The connects of one client, or of several whose addresses have the same hash: a bucket that leaks evenly. */
struct client {
    uint64_t at_ms;
    uint64_t level; /* connects * MINUTE_MS */
};

struct rg_hub {
    struct rg_hash_secret secret; /* or clients could choose an address that uses up what another one may */
    struct rg_hub_limits limits;
    size_t connections, streams;
    struct rg_list members[BUCKETS];
    struct client clients[CLIENTS];
};

static struct rg_list *bucket_of(struct rg_hub *hub, const char *key)
{
    return &hub->members[rg_hash(&hub->secret, 0, rg_str_of(key)) & (BUCKETS - 1)];
}

int rg_hub_create(struct rg_hub **ret, const struct rg_hub_limits *limits)
{
    struct rg_hub *hub = calloc(1, sizeof(*hub));
    if (!hub || !rg_hash_secret_make(&hub->secret)) {
        free(hub);
        return -ENOMEM;
    }
    hub->limits.connections = limits && limits->connections ? limits->connections : CONNECTIONS;
    hub->limits.of_gateway = limits && limits->of_gateway ? limits->of_gateway : hub->limits.connections;
    hub->limits.streams = limits && limits->streams ? limits->streams : STREAMS;
    hub->limits.connects_per_minute = limits && limits->connects_per_minute ? limits->connects_per_minute : CONNECTS;
    for (unsigned i = 0; i < BUCKETS; i++)
        rg_list_init(&hub->members[i]);
    *ret = hub;
    return 0;
}

void rg_hub_destroy(struct rg_hub *hub)
{
    if (!hub)
        return;
    RG_ASSERT(hub->connections == 0 && hub->streams == 0);
    free(hub);
}

bool rg_hub_admits(struct rg_hub *hub, struct rg_str peer, uint64_t now_ms)
{
    struct in6_addr room;
    struct client *c = &hub->clients[rg_hash(&hub->secret, 0, rg_client_network(peer, &room)) & (CLIENTS - 1)];
    uint64_t limit = hub->limits.connects_per_minute;
    uint64_t leaked = (now_ms - c->at_ms) * limit;
    c->level = c->level > leaked ? c->level - leaked : 0;
    c->at_ms = now_ms;
    if (c->level + MINUTE_MS > limit * MINUTE_MS)
        return false;
    c->level += MINUTE_MS;
    return true;
}

static size_t *count_of(struct rg_hub *hub, const struct rg_hub_member *member)
{
    return member->stream ? &hub->streams : &hub->connections;
}

/* Of this one's gateway. */
static size_t instances_of(struct rg_hub *hub, const struct rg_hub_member *member)
{
    const struct rg_list *bucket = bucket_of(hub, member->key);
    size_t n = 0;
    for (const struct rg_list *at = bucket->next; at != bucket; at = at->next) {
        const struct rg_hub_member *m = RG_CONTAINER(at, struct rg_hub_member, link);
        n += !m->stream && strcmp(m->key, member->key) == 0;
    }
    return n;
}

enum rg_hub_verdict rg_hub_add(struct rg_hub *hub, struct rg_hub_member *member)
{
    size_t limit = member->stream ? hub->limits.streams : hub->limits.connections;
    rg_list_init(&member->link);
    if (*count_of(hub, member) >= limit)
        return RG_HUB_FULL;
    if (!member->stream && instances_of(hub, member) >= hub->limits.of_gateway)
        return RG_HUB_GATEWAY_FULL;
    rg_list_append(bucket_of(hub, member->key), &member->link);
    ++*count_of(hub, member);
    return RG_HUB_ADDED;
}

void rg_hub_remove(struct rg_hub *hub, struct rg_hub_member *member)
{
    if (!member->link.next || rg_list_empty(&member->link))
        return;
    rg_list_remove(&member->link);
    --*count_of(hub, member);
}

/* ---- Effects ---- */

static bool is_meant(const struct rg_hub_member *m, const struct rg_effect *e)
{
    if (e->kind == RG_EFFECT_CLOSE_TOKEN)
        return strcmp(m->token, e->target) == 0;
    return m->stream == (e->kind == RG_EFFECT_NOTICE) && strcmp(m->key, e->target) == 0;
}

/* A member may leave while it is spoken to; those that do not are moved to a list aside, and back. */
static void apply_to(struct rg_list *bucket, const struct rg_effect *e)
{
    struct rg_list todo;
    rg_list_init(&todo);
    while (!rg_list_empty(bucket)) {
        struct rg_list *link = bucket->next;
        rg_list_remove(link);
        rg_list_append(&todo, link);
    }
    while (!rg_list_empty(&todo)) {
        struct rg_list *link = todo.next;
        struct rg_hub_member *m = RG_CONTAINER(link, struct rg_hub_member, link);
        rg_list_remove(link);
        rg_list_append(bucket, link);
        if (!is_meant(m, e))
            continue;
        if (e->kind == RG_EFFECT_SEND || e->kind == RG_EFFECT_NOTICE)
            m->send(m, (struct rg_str){e->text, e->len});
        else
            m->close(m, e->len ? e->text : "The token was revoked.");
    }
}

bool rg_hub_apply(struct rg_hub *hub, const struct rg_effects *effects)
{
    bool wake = false;
    for (const struct rg_effect *e = effects->first; e; e = e->next) {
        if (e->kind == RG_EFFECT_WAKE_SWEEPER)
            wake = true;
        else if (e->kind == RG_EFFECT_CLOSE_TOKEN)
            for (unsigned i = 0; i < BUCKETS; i++)
                apply_to(&hub->members[i], e);
        else
            apply_to(bucket_of(hub, e->target), e);
    }
    return wake;
}

size_t rg_hub_connections(const struct rg_hub *hub)
{
    return hub->connections;
}

size_t rg_hub_streams(const struct rg_hub *hub)
{
    return hub->streams;
}
