/* See resolve.h. */
#include "control/gateway/resolve.h"

#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "control/common/address.h"
#include "control/common/descriptors.h"
#include "datapath/base/log.h"

#define TICK_MS      500
#define TTL_MIN_MS   1000u
#define TTL_MAX_MS   300000u
#define RETRY_MIN_MS 1000u
#define RETRY_MAX_MS 30000u
#define QUERIES_MAX  100u /* at once */
#define TIMEOUT_MS   2000 /* of the first try; c-ares doubles it */
#define TRIES        3
#define RESOLV_CONF  "/etc/resolv.conf"

/* From 1.31 on c-ares keeps answers itself, for up to an hour, and also those that say no. Here it is decided when a
   name is asked for again. */
#ifdef ARES_OPT_QUERY_CACHE
#define NO_CACHE ARES_OPT_QUERY_CACHE /* with qcache_max_ttl 0 */
#else
#define NO_CACHE 0
#endif
#define CHANNEL_OPTIONS (ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB | ARES_OPT_LOOKUPS | NO_CACHE)

/* One name that is asked for. */
struct name {
    struct rg_resolver *resolver;
    struct rg_endpoint *endpoint; /* NULL: gone while it was asked for */
    struct rg_list of_resolver;
    uint64_t due_ms;
    unsigned failures; /* in a row */
    bool asked;
};

/* One of c-ares's sockets. */
struct sock {
    struct rg_watch watch;
    struct rg_resolver *resolver;
    struct sock *next;
};

struct rg_resolver {
    struct rg_loop *loop;
    struct rg_endpoints *endpoints;
    char *servers;
    ares_channel channel;
    struct rg_address forbidden; /* len 0: none */
    struct timespec conf_changed;
    struct sock *socks;
    struct rg_list names;
    unsigned n_asked;
    struct rg_alarm tick, timeout;
};

/* ---- c-ares on the loop ---- */

static void set_timeout(struct rg_resolver *r)
{
    struct timeval tv;
    if (!ares_timeout(r->channel, NULL, &tv)) {
        rg_loop_clear_alarm(r->loop, &r->timeout);
        return;
    }
    rg_loop_set_alarm(r->loop, &r->timeout, (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 + 1);
}

/* It may open sockets, which clients must not keep it from. */
static void process(struct rg_resolver *r, ares_socket_t readable, ares_socket_t writable)
{
    rg_descriptors_lift();
    ares_process_fd(r->channel, readable, writable);
    rg_descriptors_lower();
    set_timeout(r);
}

static void timeout_due(struct rg_alarm *a)
{
    process(RG_OWNER(a, struct rg_resolver, timeout), ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/* c-ares may close this very socket in it, and free the watch. */
static void sock_ready(struct rg_watch *watch, uint32_t events)
{
    struct rg_resolver *r = RG_OWNER(watch, struct sock, watch)->resolver;
    int fd = watch->fd;
    bool in = events & (EPOLLIN | EPOLLERR | EPOLLHUP);
    process(r, in ? fd : ARES_SOCKET_BAD, events & EPOLLOUT ? fd : ARES_SOCKET_BAD);
}

static void forget_sock(struct rg_resolver *r, struct sock **at)
{
    struct sock *s = *at;
    *at = s->next;
    rg_loop_unwatch(r->loop, &s->watch);
    free(s);
}

static void add_sock(struct rg_resolver *r, int fd, uint32_t events)
{
    struct sock *s = calloc(1, sizeof *s);
    if (!s) /* the query times out */
        return;
    s->watch = (struct rg_watch){.fd = fd, .ready = sock_ready};
    s->resolver = r;
    if (rg_loop_watch(r->loop, &s->watch, events) < 0) {
        free(s);
        return;
    }
    s->next = r->socks;
    r->socks = s;
}

static void sock_changed(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct rg_resolver *r = arg;
    uint32_t events = (readable ? (uint32_t)EPOLLIN : 0) | (writable ? (uint32_t)EPOLLOUT : 0);
    struct sock **at = &r->socks;
    while (*at && (*at)->watch.fd != fd)
        at = &(*at)->next;
    if (*at && events == 0)
        forget_sock(r, at);
    else if (*at)
        rg_loop_rewatch(r->loop, &(*at)->watch, events);
    else if (events != 0)
        add_sock(r, fd, events);
}

static struct timespec conf_time(void)
{
    struct stat st;
    return stat(RESOLV_CONF, &st) == 0 ? st.st_mtim : (struct timespec){0};
}

static int open_channel(struct rg_resolver *r)
{
    struct ares_options options = {
        .timeout = TIMEOUT_MS, .tries = TRIES, .sock_state_cb = sock_changed, .sock_state_cb_data = r};
    char lookups[] = "fb"; /* the hosts file, then the servers */
    options.lookups = lookups;
    r->conf_changed = conf_time();
    int status = ares_init_options(&r->channel, &options, CHANNEL_OPTIONS);
    if (status != ARES_SUCCESS) {
        rg_error("can't ask for the addresses of names error=\"%s\"", ares_strerror(status));
        return status == ARES_ENOMEM ? -ENOMEM : -EIO;
    }
    if (r->servers && ares_set_servers_ports_csv(r->channel, r->servers) != ARES_SUCCESS) {
        ares_destroy(r->channel);
        return -EINVAL;
    }
    return 0;
}

/* Other servers from now on. Only when nobody waits for those that there are. */
static void look_at_conf(struct rg_resolver *r)
{
    struct timespec now = conf_time();
    if (r->servers || r->n_asked > 0 || memcmp(&now, &r->conf_changed, sizeof now) == 0)
        return;
    ares_channel old = r->channel;
    if (open_channel(r) == 0)
        ares_destroy(old);
    else
        r->channel = old;
}

/* ---- an answer ---- */

static uint64_t clamp(uint64_t ms, uint64_t least, uint64_t most)
{
    return ms < least ? least : ms > most ? most : ms;
}

static bool is_forbidden(const struct rg_resolver *r, const union rg_ip *ip)
{
    struct rg_address target = {.len = ip->sa.sa_family == AF_INET ? sizeof ip->in : sizeof ip->in6};
    memcpy(&target.sa, ip, target.len);
    return r->forbidden.len > 0 && rg_address_reaches(&r->forbidden, &target);
}

/* Those that a name may have. */
static unsigned keep_allowed(const struct rg_resolver *r, union rg_ip *list, unsigned n)
{
    unsigned allowed = rg_endpoint_allowed(list, n), kept = 0;
    for (unsigned i = 0; i < allowed; i++)
        if (!is_forbidden(r, &list[i]))
            list[kept++] = list[i];
    return kept;
}

static unsigned take_addresses(const struct ares_addrinfo *result, uint16_t port, union rg_ip *list)
{
    unsigned n = 0;
    for (const struct ares_addrinfo_node *i = result->nodes; i && n < RG_ADDRESSES_MAX; i = i->ai_next) {
        memset(&list[n], 0, sizeof list[n]);
        if (i->ai_family == AF_INET) {
            list[n].in.sin_family = AF_INET;
            list[n].in.sin_addr = ((const struct sockaddr_in *)(const void *)i->ai_addr)->sin_addr;
            list[n++].in.sin_port = htons(port);
        } else if (i->ai_family == AF_INET6) {
            list[n].in6.sin6_family = AF_INET6;
            list[n].in6.sin6_addr = ((const struct sockaddr_in6 *)(const void *)i->ai_addr)->sin6_addr;
            list[n++].in6.sin6_port = htons(port);
        }
    }
    return n;
}

/* The shortest of all that led there. */
static uint64_t ttl_ms(const struct ares_addrinfo *result)
{
    int64_t least_s = TTL_MAX_MS / 1000;
    for (const struct ares_addrinfo_node *i = result->nodes; i; i = i->ai_next)
        least_s = i->ai_ttl < least_s ? i->ai_ttl : least_s;
    for (const struct ares_addrinfo_cname *i = result->cnames; i; i = i->next)
        least_s = i->ttl < least_s ? i->ttl : least_s;
    return clamp(least_s > 0 ? (uint64_t)least_s * 1000 : 0, TTL_MIN_MS, TTL_MAX_MS);
}

static void note_failure(struct name *n, const char *cause)
{
    struct rg_endpoint *e = n->endpoint;
    if (n->failures == 0)
        rg_warn("the name of an upstream can't be resolved upstream=%s error=\"%s\"%s", e->text.ptr, cause,
                rg_endpoint_state(e) == RG_ENDPOINT_RESOLVED ? "; its last addresses are used on" : "");
    unsigned doublings = n->failures < 5 ? n->failures : 5;
    n->failures++;
    n->due_ms = rg_now_ms() + clamp((uint64_t)RETRY_MIN_MS << doublings, RETRY_MIN_MS, RETRY_MAX_MS);
    rg_endpoint_publish(e, NULL, 0);
}

static void note_addresses(struct name *n, const struct ares_addrinfo *result)
{
    union rg_ip list[RG_ADDRESSES_MAX];
    struct rg_endpoint *e = n->endpoint;
    unsigned found = keep_allowed(n->resolver, list, take_addresses(result, e->port, list));
    if (found == 0) {
        note_failure(n, result->nodes ? "it has only addresses that are not for upstreams" : "it has no address");
        return;
    }
    if (n->failures > 0)
        rg_info("the name of an upstream can be resolved again upstream=%s", e->text.ptr);
    n->failures = 0;
    n->due_ms = rg_now_ms() + ttl_ms(result);
    if (rg_endpoint_publish(e, list, found) < 0)
        n->due_ms = rg_now_ms() + RETRY_MIN_MS;
}

static void free_name(struct name *n)
{
    rg_list_remove(&n->of_resolver);
    free(n);
}

static void answered(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
    (void)timeouts;
    struct name *n = arg;
    struct rg_resolver *r = n->resolver;
    n->asked = false;
    if (r->n_asked-- == QUERIES_MAX) /* others may be waiting for their turn */
        rg_loop_set_alarm(r->loop, &r->tick, 0);
    if (!n->endpoint)
        free_name(n);
    else if (status == ARES_SUCCESS && result)
        note_addresses(n, result);
    else if (status != ARES_EDESTRUCTION)
        note_failure(n, ares_strerror(status));
    ares_freeaddrinfo(result);
}

/* ---- asking ---- */

/* May be answered at once. */
static void ask(struct name *n)
{
    struct rg_resolver *r = n->resolver;
    const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    n->asked = true;
    r->n_asked++;
    rg_descriptors_lift();
    ares_getaddrinfo(r->channel, n->endpoint->host.ptr, NULL, &hints, answered, n);
    rg_descriptors_lower();
}

static void tick_due(struct rg_alarm *a)
{
    struct rg_resolver *r = RG_OWNER(a, struct rg_resolver, tick);
    uint64_t now_ms = rg_now_ms();
    look_at_conf(r);
    struct rg_list *i = r->names.next;
    while (i != &r->names && r->n_asked < QUERIES_MAX) {
        struct name *n = RG_CONTAINER(i, struct name, of_resolver);
        i = i->next;
        if (n->endpoint && !n->asked && now_ms >= n->due_ms)
            ask(n);
    }
    set_timeout(r);
    if (!rg_list_empty(&r->names))
        rg_loop_set_alarm(r->loop, &r->tick, TICK_MS);
}

static void added(void *arg, struct rg_endpoint *e)
{
    struct rg_resolver *r = arg;
    struct name *n = calloc(1, sizeof *n);
    if (!n) {
        rg_endpoint_publish(e, NULL, 0);
        return;
    }
    n->resolver = r;
    n->endpoint = e;
    e->resolver = n;
    if (rg_list_empty(&r->names)) {
        look_at_conf(r);
        rg_loop_set_alarm(r->loop, &r->tick, TICK_MS);
    }
    rg_list_append(&r->names, &n->of_resolver);
    if (r->n_asked >= QUERIES_MAX)
        return; /* a tick asks */
    ask(n);
    set_timeout(r);
}

static void removed(void *arg, struct rg_endpoint *e)
{
    (void)arg;
    struct name *n = e->resolver;
    if (!n)
        return;
    e->resolver = NULL;
    n->endpoint = NULL;
    if (!n->asked)
        free_name(n);
}

/* ---- life ---- */

int rg_resolver_create(struct rg_resolver **ret, struct rg_loop *loop, struct rg_endpoints *endpoints,
                       const char *servers)
{
    struct rg_resolver *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    r->loop = loop;
    r->endpoints = endpoints;
    rg_list_init(&r->names);
    r->tick.due = tick_due;
    r->timeout.due = timeout_due;
    int err = -ENOMEM;
    if (servers && !(r->servers = strdup(servers)))
        goto failed;
    err = ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS ? open_channel(r) : -EIO;
    if (err < 0)
        goto failed;
    const struct rg_endpoints_resolver hooks = {.added = added, .removed = removed, .arg = r};
    rg_endpoints_set_resolver(endpoints, &hooks);
    *ret = r;
    return 0;

failed:
    free(r->servers);
    free(r);
    return err;
}

void rg_resolver_forbid(struct rg_resolver *r, const struct rg_address *listening)
{
    r->forbidden = *listening;
}

void rg_resolver_destroy(struct rg_resolver *r)
{
    if (!r)
        return;
    rg_endpoints_set_resolver(r->endpoints, NULL);
    struct rg_list *i;
    for (i = r->names.next; i != &r->names; i = i->next) {
        struct name *n = RG_CONTAINER(i, struct name, of_resolver);
        if (n->endpoint)
            n->endpoint->resolver = NULL;
        n->endpoint = NULL;
    }
    ares_destroy(r->channel); /* answers what is asked, which frees it */
    for (i = r->names.next; i != &r->names;) {
        struct name *n = RG_CONTAINER(i, struct name, of_resolver);
        i = i->next;
        free(n);
    }
    while (r->socks)
        forget_sock(r, &r->socks);
    rg_loop_clear_alarm(r->loop, &r->tick);
    rg_loop_clear_alarm(r->loop, &r->timeout);
    ares_library_cleanup();
    free(r->servers);
    free(r);
}
