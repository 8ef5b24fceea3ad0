/*
 * Whether messages to the replica bypass TCP (`replica.sockmap`): asked for, of use for this replica, allowed, and
 * done well by this kernel. Whatever is missing, the gateway goes on over TCP and says why, once for each start or
 * reload.
 *
 * The programs are loaded when they are first asked for and stay until the end: connections that entered the map are
 * closed by the workers when the option or the replica changes. Thread: the control thread.
 */
#include <ifaddrs.h>

#include "control/gateway/gateway.h"
#include "datapath/base/log.h"

/* As IPv6. false: not TCP. */
static bool ip_of(const struct sockaddr *sa, struct in6_addr *ret)
{
    if (sa->sa_family == AF_INET6) {
        *ret = ((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
        return true;
    }
    if (sa->sa_family != AF_INET)
        return false;
    memset(ret, 0, sizeof(*ret));
    ret->s6_addr[10] = ret->s6_addr[11] = 0xff;
    memcpy(&ret->s6_addr[12], &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
    return true;
}

/* A connect to the address of no host reaches this one. */
static bool is_loopback(const struct in6_addr *ip)
{
    if (IN6_IS_ADDR_V4MAPPED(ip))
        return ip->s6_addr[12] == 127 || memcmp(&ip->s6_addr[12], "\0\0\0\0", 4) == 0;
    return IN6_IS_ADDR_LOOPBACK(ip) || IN6_IS_ADDR_UNSPECIFIED(ip);
}

static bool is_own(const struct in6_addr *ip)
{
    struct ifaddrs *list = NULL;
    struct in6_addr own;
    bool found = is_loopback(ip);
    if (found || getifaddrs(&list) != 0)
        return found;
    for (const struct ifaddrs *i = list; i && !found; i = i->ifa_next)
        found = i->ifa_addr && ip_of(i->ifa_addr, &own) && memcmp(&own, ip, sizeof(own)) == 0;
    freeifaddrs(list);
    return found;
}

/* The loader, once it has passed its self-test. NULL: `why` says what is missing. */
static struct rg_sockmap *load(struct rg_gateway *g, char *why, size_t why_len)
{
    struct rg_sockmap *s = NULL;
    char text[384] = "";
    int r = rg_sockmap_create(&s, text, sizeof(text));
    if (r < 0) {
        snprintf(why, why_len, "%s", text[0] ? text : strerror(-r));
        return NULL;
    }
    r = rg_sockmap_try(s, text, sizeof(text));
    if (r == 0)
        return s;
    g->metrics.values[RG_CM_SOCKMAP_UNFIT]++;
    rg_sockmap_destroy(s);
    snprintf(why, why_len, "the self-test failed: %s", text);
    return NULL;
}

void rg_gateway_settle_sockmap(struct rg_gateway *g, struct rg_settings *settings)
{
    struct in6_addr ip;
    char why[448] = "";
    settings->sockmap = false;
    if (settings->replica_sockmap == RG_SOCKMAP_OFF)
        return;
    if (!ip_of(&settings->replica.sa, &ip))
        snprintf(why, sizeof(why), "it is for TCP, and a UNIX socket has no use for it");
    else if (!is_own(&ip))
        snprintf(why, sizeof(why), "the replica's address is not one of this machine");
    else if (!g->sockmap)
        g->sockmap = load(g, why, sizeof(why));
    if (why[0]) {
        rg_warn("replica.sockmap is not available, messages go over TCP replica=%s: %s", settings->replica.text, why);
        return;
    }
    settings->sockmap = true;
    settings->sockmap_marks = rg_sockmap_marks_fd(g->sockmap);
    rg_info("replica.sockmap is on replica=%s", settings->replica.text);
}
