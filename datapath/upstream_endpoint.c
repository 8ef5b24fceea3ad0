/* See upstream_endpoint.h. */
#include "datapath/upstream_endpoint.h"

#include <errno.h>

#include "datapath/core.h"
#include "datapath/exchange.h"
#include "datapath/socket_tls.h"

#define REFUSAL_US 1000000u /* who refuses does so within a way there and back */

static struct rg_upstream *upstream_of(struct rg_list *i)
{
    return RG_CONTAINER(i, struct rg_upstream, of_worker);
}

/* ---- from first use to the end ---- */

struct rg_upstream *rg_upstream_to(struct rg_worker *w, struct rg_endpoint *e)
{
    struct rg_upstream *u = e->of_worker[w->id];
    if (RG_LIKELY(u != NULL))
        return u;
    u = rg_pool_get(&w->endpoint_upstreams);
    if (!u)
        return NULL;
    rg_upstream_init(w, u);
    u->endpoint = e;
    u->address = e->address;
    u->metrics = &rg_upstream_metrics_of_endpoints;
    __atomic_add_fetch(&e->users, 1, __ATOMIC_RELAXED);
    e->of_worker[w->id] = u;
    return u;
}

static void free_upstream(struct rg_worker *w, struct rg_upstream *u)
{
    struct rg_endpoint *e = u->endpoint;
    RG_ASSERT(u->open == 0 && u->exchanges == 0 && rg_list_empty(&u->waiting));
    rg_list_remove(&u->of_worker);
    rg_list_remove(&u->in_need);
    rg_tls_memory_forget(&u->tls);
    e->of_worker[w->id] = NULL;
    rg_pool_put(&w->endpoint_upstreams, u);
    __atomic_sub_fetch(&e->users, 1, __ATOMIC_RELEASE); /* may be freed from here on */
}

void rg_upstream_sweep(struct rg_worker *w)
{
    struct rg_list *i = w->upstreams.next;
    while (i != &w->upstreams) {
        struct rg_upstream *u = upstream_of(i);
        i = i->next;
        if (u->endpoint && u->open == 0 && u->exchanges == 0 && !rg_endpoint_is_wanted(u->endpoint))
            free_upstream(w, u);
    }
}

void rg_upstream_free_all(struct rg_worker *w)
{
    struct rg_list *i = w->upstreams.next;
    while (i != &w->upstreams) {
        struct rg_upstream *u = upstream_of(i);
        i = i->next;
        if (u->endpoint)
            free_upstream(w, u);
    }
}

/* ---- addresses ---- */

static struct rg_addresses *addresses_of(const struct rg_upstream *u)
{
    return __atomic_load_n(&u->endpoint->addresses, __ATOMIC_ACQUIRE);
}

const union rg_ip *rg_upstream_address(struct rg_worker *w, const struct rg_exchange *x)
{
    struct rg_upstream *u = x->upstream;
    struct rg_addresses *a = addresses_of(u);
    return a ? rg_addresses_next(a, &x->tried, u->address_turn++, w->now_ms) : NULL;
}

bool rg_upstream_has_untried(const struct rg_worker *w, const struct rg_exchange *x, bool usable)
{
    const struct rg_addresses *a = x->upstream->endpoint ? addresses_of(x->upstream) : NULL;
    return a && rg_addresses_any_left(a, &x->tried, usable, w->now_ms);
}

bool rg_upstream_skip_address(struct rg_worker *w, struct rg_exchange *x, const union rg_ip *ip)
{
    struct rg_addresses *a = x->upstream->endpoint ? addresses_of(x->upstream) : NULL;
    if (!a)
        return false;
    rg_addresses_failed(a, &x->tried, ip, w->now_ms);
    return rg_addresses_any_left(a, &x->tried, false, w->now_ms);
}

/* What runs goes on: a name that has other addresses now says nothing about the connections that there are. */
static void close_elsewhere(struct rg_worker *w, struct rg_upstream *u)
{
    const struct rg_addresses *a = addresses_of(u);
    struct rg_list *head = &u->idle[false], *i = head->next;
    while (a && i != head) {
        struct rg_upstream_conn *uc = RG_CONTAINER(i, struct rg_upstream_conn, idle);
        i = i->next;
        if (!rg_addresses_has(a, &uc->peer))
            rg_upstream_end(w, uc);
    }
}

/* Serving those that wait may make new upstreams, at the end of the list; none is freed. */
void rg_upstream_look_at_endpoints(struct rg_worker *w)
{
    for (struct rg_list *i = w->upstreams.next; i != &w->upstreams; i = i->next) {
        struct rg_upstream *u = upstream_of(i);
        if (!u->endpoint)
            continue;
        if (!rg_endpoint_is_wanted(u->endpoint))
            rg_upstream_close_idle(w, u);
        else if (u->endpoint->is_name)
            close_elsewhere(w, u);
        rg_upstream_serve_all_waiting(w, u);
    }
    rg_upstream_sweep(w);
}

/* ---- health ---- */

void rg_upstream_connected(struct rg_worker *w, struct rg_exchange *x)
{
    struct rg_upstream *u = x->upstream;
    if (RG_LIKELY(!u->endpoint)) {
        rg_replica_connected(w->replica);
        return;
    }
    rg_endpoint_connected(u->endpoint);
    struct rg_addresses *a = addresses_of(u);
    if (a)
        rg_addresses_connected(a, &x->tried, &rg_server_conn(x->up)->peer, w->now_ms);
}

/* Anything else may have taken the whole of `timeouts.connect`, or a handshake. Who is off in a network of our own is
 * unreachable only when nobody has answered for it for some seconds: that is no refusal, either. */
static bool is_refusal(int error, uint64_t took_us)
{
    static const int refusals[] = {ECONNREFUSED, ENETUNREACH, EHOSTUNREACH, ENETDOWN, EADDRNOTAVAIL,
                                   ENOENT,       EACCES,      EPERM,        EINVAL};
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (error == refusals[i])
            return took_us < REFUSAL_US;
    return false;
}

void rg_upstream_connect_failed(struct rg_worker *w, struct rg_exchange *x, int error)
{
    struct rg_upstream *u = x->upstream;
    if (!u->endpoint) {
        rg_replica_connect_failed(w->replica, w->settings->health.fall, error);
        return;
    }
    struct rg_addresses *a = x->up ? addresses_of(u) : NULL; /* else it waited in line until time was up */
    if (!x->up || !is_refusal(error, w->now_us - rg_server_conn(x->up)->connect_us))
        x->slow_tries++;
    if (a)
        rg_addresses_failed(a, &x->tried, &rg_server_conn(x->up)->peer, w->now_ms);
    if (!a || rg_addresses_all_down(a, w->now_ms))
        rg_endpoint_failed(u->endpoint, w->now_ms);
}

/* ---- TLS ---- */

bool rg_upstream_begin_tls(struct rg_worker *w, struct rg_upstream_conn *uc)
{
    struct rg_upstream *u = uc->upstream;
    if (u->address.sa.sa_family == AF_UNIX)
        rg_sys_connected(uc->sock.fd);
    if (rg_socket_tls_connect(w, &uc->sock, u->endpoint->tls, &u->tls))
        return true;
    uc->sock.broken = true;
    uc->sock.error = ENOMEM;
    return false;
}

void rg_upstream_tls_done(struct rg_worker *w, struct rg_upstream_conn *uc)
{
    bool resumed = rg_tls_resumed(uc->sock.tls);
    uc->secure = true;
    rg_metric_add(w->metrics, resumed ? RG_M_UPSTREAM_TLS_RESUMED : RG_M_UPSTREAM_TLS_FULL, 1);
}

/* After the handshake too: of TLS 1.3, a server says only then what it thinks of our certificate. */
void rg_upstream_tls_failed(struct rg_worker *w, struct rg_upstream_conn *uc)
{
    const struct rg_tls *t = uc->sock.tls;
    if (!t || t->failure == RG_TLS_FAIL_NONE)
        return;
    bool certificate = t->failure == RG_TLS_FAIL_CERTIFICATE;
    rg_metric_add(w->metrics, certificate ? RG_M_UPSTREAM_TLS_FAILED_CERTIFICATE : RG_M_UPSTREAM_TLS_FAILED_OTHER, 1);
    rg_endpoint_tls_failed(uc->upstream->endpoint, t->cause);
}
