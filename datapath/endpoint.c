/*
 * See endpoint.h. The table, its keys, and addresses that are replaced while workers read them: an old list is freed
 * when every worker has read its mail since, as none keeps a pointer to one beyond its turn.
 */
#include "datapath/endpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "datapath/base/assert.h"
#include "datapath/base/log.h"
#include "datapath/endpoint_parts.h"
#include "datapath/tls/client.h"
#include "datapath/worker.h"

#define BUCKETS      1024u
#define SAY_EVERY_MS 10000 /* at most one line an endpoint about its TLS */

struct rg_endpoints {
    uint16_t n_workers;
    uint64_t epoch;
    size_t count, unwanted;
    struct rg_addresses *old;
    struct rg_endpoints_resolver resolver;
    bool has_resolver;
    struct rg_worker *workers[RG_WORKERS_MAX];
    struct rg_endpoint *buckets[BUCKETS];
};

static unsigned bucket_of(const char *key)
{
    uint64_t h = 14695981039346656037ull; /* FNV-1a */
    for (; *key; key++)
        h = (h ^ (unsigned char)*key) * 1099511628211ull;
    return (unsigned)((h ^ h >> 32) % BUCKETS);
}

/* ---- the table ---- */

int rg_endpoints_create(struct rg_endpoints **ret, uint16_t workers)
{
    RG_ASSERT(workers <= RG_WORKERS_MAX);
    struct rg_endpoints *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->n_workers = workers;
    *ret = t;
    return 0;
}

static void free_old(struct rg_endpoints *t, uint64_t epoch)
{
    struct rg_addresses **at = &t->old;
    while (*at) {
        struct rg_addresses *a = *at;
        if (a->epoch > epoch) {
            at = &a->older;
            continue;
        }
        *at = a->older;
        free(a);
    }
}

void rg_endpoints_destroy(struct rg_endpoints *t)
{
    if (!t)
        return;
    rg_endpoints_set_resolver(t, NULL);
    memset(t->workers, 0, sizeof t->workers);
    rg_endpoints_tick(t, 0);
    RG_ASSERT(t->count == 0);
    free(t);
}

/* All that was published before this epoch is no longer read by any worker. */
static uint64_t epoch_of_all(const struct rg_endpoints *t)
{
    uint64_t least = t->epoch;
    for (unsigned i = 0; i < t->n_workers; i++) {
        const struct rg_worker *w = t->workers[i];
        if (!w || rg_worker_has_ended(w))
            continue;
        uint64_t epoch = rg_worker_endpoints_epoch(w);
        if (epoch < least)
            least = epoch;
    }
    return least;
}

static void tell_workers(struct rg_endpoints *t)
{
    t->epoch++;
    for (unsigned i = 0; i < t->n_workers; i++)
        if (t->workers[i])
            rg_worker_look_at_endpoints(t->workers[i], t->epoch);
}

void rg_endpoints_set_worker(struct rg_endpoints *t, uint16_t id, struct rg_worker *w)
{
    t->workers[id] = w;
    if (w)
        rg_worker_look_at_endpoints(w, t->epoch);
}

void rg_endpoints_set_resolver(struct rg_endpoints *t, const struct rg_endpoints_resolver *r)
{
    t->has_resolver = r != NULL;
    t->resolver = r ? *r : (struct rg_endpoints_resolver){0};
    for (unsigned i = 0; r && i < BUCKETS; i++)
        for (struct rg_endpoint *e = t->buckets[i]; e; e = e->next)
            if (e->is_name && e->refs > 0)
                r->added(r->arg, e);
}

size_t rg_endpoints_count(const struct rg_endpoints *t)
{
    return t->count;
}

const struct rg_endpoint *rg_endpoints_next(const struct rg_endpoints *t, const struct rg_endpoint *after)
{
    const struct rg_endpoint *e = after ? after->next : NULL;
    for (unsigned i = after ? bucket_of(after->key) + 1 : 0; !e && i < BUCKETS; i++)
        e = t->buckets[i];
    return e;
}

/* ---- an endpoint ---- */

static void free_endpoint(struct rg_endpoint *e)
{
    rg_tls_client_destroy(e->tls);
    free(e->addresses);
    free((char *)(uintptr_t)e->host.ptr);
    free((char *)(uintptr_t)e->authority.ptr);
    free((char *)(uintptr_t)e->text.ptr);
    free(e->key);
    free(e);
}

static struct rg_endpoint *find(const struct rg_endpoints *t, const char *key)
{
    struct rg_endpoint *e = t->buckets[bucket_of(key)];
    while (e && strcmp(e->key, key) != 0)
        e = e->next;
    return e;
}

static void put_in_table(struct rg_endpoints *t, struct rg_endpoint *e)
{
    struct rg_endpoint **bucket = &t->buckets[bucket_of(e->key)];
    e->next = *bucket;
    *bucket = e;
    t->count++;
    t->unwanted++; /* until somebody takes it */
}

static void take(struct rg_endpoint *e)
{
    struct rg_endpoints *t = e->table;
    if (e->refs++ > 0)
        return;
    t->unwanted--;
    __atomic_store_n(&e->wanted, true, __ATOMIC_RELEASE);
    if (e->is_name && t->has_resolver)
        t->resolver.added(t->resolver.arg, e);
}

int rg_endpoint_get(struct rg_endpoints *t, const struct rg_endpoint_spec *spec, struct rg_endpoint **ret,
                    struct rg_fault *fault)
{
    char *key = NULL;
    int err = rg_endpoint_check(spec, fault);
    if (err == 0)
        err = rg_endpoint_key(spec, &key, fault);
    if (err < 0)
        return err;
    RG_ASSERT(key);
    struct rg_endpoint *e = find(t, key);
    if (e) {
        free(key);
    } else {
        e = calloc(1, sizeof *e + t->n_workers * sizeof e->of_worker[0]);
        if (!e) {
            free(key);
            return -ENOMEM;
        }
        e->table = t;
        e->key = key;
        err = rg_endpoint_fill(e, spec, fault);
        if (err < 0) {
            free_endpoint(e);
            return err;
        }
        put_in_table(t, e);
    }
    take(e);
    *ret = e;
    return 0;
}

void rg_endpoint_put(struct rg_endpoint *e)
{
    struct rg_endpoints *t = e->table;
    RG_ASSERT(e->refs > 0);
    if (--e->refs > 0)
        return;
    if (e->is_name && t->has_resolver)
        t->resolver.removed(t->resolver.arg, e);
    t->unwanted++;
    __atomic_store_n(&e->wanted, false, __ATOMIC_RELEASE);
    tell_workers(t);
}

/* ---- addresses ---- */

static void replace(struct rg_endpoint *e, struct rg_addresses *next)
{
    struct rg_endpoints *t = e->table;
    struct rg_addresses *old = e->addresses;
    __atomic_store_n(&e->addresses, next, __ATOMIC_RELEASE);
    if (!old)
        return;
    old->epoch = t->epoch + 1; /* the one that is told next */
    old->older = t->old;
    t->old = old;
}

int rg_endpoint_publish(struct rg_endpoint *e, const union rg_ip *list, unsigned n)
{
    bool was_waiting = e->state == RG_ENDPOINT_RESOLVING;
    if (n == 0 && e->addresses)
        return 0;
    if (n == 0) {
        __atomic_store_n(&e->state, RG_ENDPOINT_UNRESOLVED, __ATOMIC_RELEASE);
        if (was_waiting)
            tell_workers(e->table);
        return 0;
    }
    if (n > RG_ADDRESSES_MAX)
        n = RG_ADDRESSES_MAX;
    if (e->addresses && rg_addresses_are(e->addresses, list, n))
        return 0;
    struct rg_addresses *a = rg_addresses_create(list, n, e->addresses);
    if (!a)
        return -ENOMEM;
    replace(e, a);
    __atomic_store_n(&e->state, RG_ENDPOINT_RESOLVED, __ATOMIC_RELEASE);
    tell_workers(e->table);
    return 0;
}

/* ---- what workers have found out ---- */

static void say_tls(struct rg_endpoint *e, uint64_t now_ms)
{
    uint64_t n = __atomic_load_n(&e->tls_failures, __ATOMIC_ACQUIRE);
    if (n == e->tls_failures_said || (e->tls_said_ms && now_ms - e->tls_said_ms < SAY_EVERY_MS))
        return;
    const char *cause = __atomic_load_n(&e->tls_cause, __ATOMIC_RELAXED);
    rg_warn("the TLS handshake with an upstream failed upstream=%s cause=\"%s\" times=%" PRIu64, e->text.ptr,
            cause ? cause : "unknown", n - e->tls_failures_said);
    e->tls_failures_said = n;
    e->tls_said_ms = now_ms;
}

static bool is_unused(const struct rg_endpoint *e)
{
    return e->refs == 0 && __atomic_load_n(&e->users, __ATOMIC_ACQUIRE) == 0;
}

static void sweep(struct rg_endpoints *t)
{
    for (unsigned i = 0; i < BUCKETS; i++) {
        struct rg_endpoint **at = &t->buckets[i];
        while (*at) {
            struct rg_endpoint *e = *at;
            if (!is_unused(e)) {
                at = &e->next;
                continue;
            }
            *at = e->next;
            t->count--;
            t->unwanted--;
            free_endpoint(e);
        }
    }
}

void rg_endpoints_tick(struct rg_endpoints *t, uint64_t now_ms)
{
    for (unsigned i = 0; t->count > 0 && i < BUCKETS; i++)
        for (struct rg_endpoint *e = t->buckets[i]; e; e = e->next)
            if (e->tls)
                say_tls(e, now_ms);
    if (t->unwanted > 0)
        sweep(t);
    if (t->old)
        free_old(t, epoch_of_all(t));
}

/* ---- reach; workers ---- */

#define BACK_OFF_MAX_MS 30000u

bool rg_endpoint_is_down(struct rg_endpoint *e, uint64_t now_ms)
{
    return rg_reach_state(&e->reach, now_ms) != RG_REACH_UP && !rg_reach_claim(&e->reach, now_ms, BACK_OFF_MAX_MS);
}

void rg_endpoint_failed(struct rg_endpoint *e, uint64_t now_ms)
{
    rg_reach_failed(&e->reach, now_ms);
}

void rg_endpoint_connected(struct rg_endpoint *e)
{
    rg_reach_connected(&e->reach);
}

void rg_endpoint_tls_failed(struct rg_endpoint *e, const char *cause)
{
    __atomic_store_n(&e->tls_cause, cause, __ATOMIC_RELAXED);
    __atomic_add_fetch(&e->tls_failures, 1, __ATOMIC_RELEASE);
}
