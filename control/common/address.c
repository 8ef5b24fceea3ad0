/* Why: one reading of addresses for files and flags. See address.h for the forms and the thread. */
#include "control/common/address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>

#include "datapath/base/ascii.h"

#define LISTEN_WANTED  "an address like 80, 127.0.0.1:80, [::]:80 or unix:/path"
#define REPLICA_WANTED "an address like 8080, 127.0.0.1:8080, [::1]:8080, http://127.0.0.1:8080 or unix:/path"
#define NAMES_WANTED   "a numeric address or localhost; host names are not supported by this version"
#define IPV4_WANTED    "an IPv4 address: four numbers from 0 to 255, without leading zeros"

const char *rg_address_wanted(enum rg_address_use use)
{
    return use == RG_ADDRESS_REPLICA ? REPLICA_WANTED : LISTEN_WANTED;
}

static bool fail(struct rg_address_error *why, const char *wanted)
{
    why->wanted = wanted;
    return false;
}

static bool starts_with(struct rg_str text, const char *prefix)
{
    size_t n = strlen(prefix);
    return text.len >= n && rg_str_eq_nocase((struct rg_str){text.ptr, n}, (struct rg_str){prefix, n});
}

static struct rg_str after(struct rg_str text, size_t n)
{
    return (struct rg_str){text.ptr + n, text.len - n};
}

static bool is_digits(struct rg_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!rg_is_digit(text.ptr[i]))
            return false;
    return text.len > 0;
}

static bool parse_port(struct rg_str text, uint16_t *ret, struct rg_address_error *why)
{
    unsigned v = 0;
    if (!is_digits(text) || text.len > 5 || text.ptr[0] == '0')
        return fail(why, "a port from 1 to 65535");
    for (size_t i = 0; i < text.len; i++)
        v = v * 10 + (unsigned)(text.ptr[i] - '0');
    if (v > 65535)
        return fail(why, "a port from 1 to 65535");
    *ret = (uint16_t)v;
    return true;
}

/* The port that an address without one surely means, for a hint. */
static unsigned usual_port(enum rg_address_use use)
{
    return use == RG_ADDRESS_LISTEN ? 80 : use == RG_ADDRESS_LOCAL ? 9901 : 8080;
}

/* A C string of a view that is short enough to be a host. */
static bool copy_host(struct rg_str host, char buf[INET6_ADDRSTRLEN + IF_NAMESIZE])
{
    if (host.len == 0 || host.len >= INET6_ADDRSTRLEN + IF_NAMESIZE || memchr(host.ptr, '\0', host.len))
        return false;
    memcpy(buf, host.ptr, host.len);
    buf[host.len] = '\0';
    return true;
}

static void make_ipv4(struct rg_address *a, struct in_addr ip, uint16_t port)
{
    char text[INET_ADDRSTRLEN];
    a->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = ip};
    a->len = sizeof(a->in);
    inet_ntop(AF_INET, &ip, text, sizeof(text));
    snprintf(a->text, sizeof(a->text), "%s:%u", text, port);
}

static void make_ipv6(struct rg_address *a, const struct in6_addr *ip, const char *zone, uint16_t port)
{
    char text[INET6_ADDRSTRLEN];
    a->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = *ip};
    a->in6.sin6_scope_id = zone ? if_nametoindex(zone) : 0;
    a->len = sizeof(a->in6);
    inet_ntop(AF_INET6, ip, text, sizeof(text));
    snprintf(a->text, sizeof(a->text), "[%s%s%s]:%u", text, zone ? "%" : "", zone ? zone : "", port);
}

static bool parse_unix(struct rg_str path, struct rg_address *a, struct rg_address_error *why)
{
    if (path.len < 2 || path.ptr[0] != '/' || memchr(path.ptr, '\0', path.len))
        return fail(why, "an absolute path after unix:");
    if (path.len >= sizeof(a->un.sun_path))
        return fail(why, "a socket path of at most 107 bytes");
    a->un.sun_family = AF_UNIX;
    memcpy(a->un.sun_path, path.ptr, path.len);
    a->un.sun_path[path.len] = '\0';
    a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
    snprintf(a->text, sizeof(a->text), "unix:%s", a->un.sun_path);
    return true;
}

/* "[host]:port"; default_port 0: the port must be there. */
static bool parse_bracketed(struct rg_str text, enum rg_address_use use, uint16_t default_port, struct rg_address *a,
                            struct rg_address_error *why)
{
    char host[INET6_ADDRSTRLEN + IF_NAMESIZE];
    const char *end = memchr(text.ptr, ']', text.len);
    struct in6_addr ip;
    uint16_t port = default_port;
    if (!end || !copy_host((struct rg_str){text.ptr + 1, (size_t)(end - text.ptr) - 1}, host))
        return fail(why, "an IPv6 address in brackets and a port, like [::1]:80");
    struct rg_str rest = after(text, (size_t)(end + 1 - text.ptr));
    char *zone = strchr(host, '%');
    if (zone)
        *zone++ = '\0';
    if (inet_pton(AF_INET6, host, &ip) != 1)
        return fail(why, "an IPv6 address in the brackets");
    if (zone && if_nametoindex(zone) == 0)
        return fail(why, "the name of a network interface after %");
    if (rest.len == 0 && default_port == 0) {
        snprintf(why->hint, sizeof(why->hint), "%.*s:%u", (int)text.len, text.ptr, usual_port(use));
        return fail(why, "an address with a port");
    }
    if (rest.len > 0 && (rest.ptr[0] != ':' || !parse_port(after(rest, 1), &port, why)))
        return fail(why, "a port from 1 to 65535 after the brackets");
    make_ipv6(a, &ip, zone, port);
    return true;
}

static size_t count_of(struct rg_str text, char c)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == c;
    return n;
}

/* Digits and dots: meant as an IPv4 address, not as a name. */
static bool looks_like_ipv4(struct rg_str name)
{
    bool dots = false;
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] != '.' && (name.ptr[i] < '0' || name.ptr[i] > '9'))
            return false;
        dots |= name.ptr[i] == '.';
    }
    return dots;
}

/* What has no brackets: an IPv4 address or localhost and a port; names come with a version that resolves them. */
static bool parse_host_port(struct rg_str text, enum rg_address_use use, uint16_t default_port, struct rg_address *a,
                            struct rg_address_error *why)
{
    char host[INET6_ADDRSTRLEN + IF_NAMESIZE];
    const char *colon = memrchr(text.ptr, ':', text.len);
    struct rg_str name = colon ? (struct rg_str){text.ptr, (size_t)(colon - text.ptr)} : text;
    uint16_t port = default_port;
    struct in_addr ip = {.s_addr = htonl(INADDR_LOOPBACK)};
    if (count_of(text, ':') > 1) {
        snprintf(why->hint, sizeof(why->hint), "[%.*s]%s", (int)(name.len < 60 ? name.len : 60), name.ptr,
                 name.len < 60 ? colon : "");
        return fail(why, "IPv6 addresses in brackets, like [::1]:80");
    }
    bool is_localhost = rg_str_eq_nocase(name, RG_STR("localhost"));
    if (!is_localhost && (!copy_host(name, host) || inet_pton(AF_INET, host, &ip) != 1))
        return fail(why, looks_like_ipv4(name) ? IPV4_WANTED : NAMES_WANTED);
    if (!colon && default_port == 0) {
        snprintf(why->hint, sizeof(why->hint), "%.*s:%u", (int)name.len, name.ptr, usual_port(use));
        return fail(why, "an address with a port");
    }
    if (colon && !parse_port(after(text, name.len + 1), &port, why))
        return false;
    make_ipv4(a, ip, port);
    return true;
}

/* A port alone, or "*:port" and ":port", which others accept and we only understand. */
static bool parse_port_only(struct rg_str text, enum rg_address_use use, struct rg_address *a,
                            struct rg_address_error *why)
{
    uint16_t port;
    if (!parse_port(text, &port, why))
        return false;
    if (use == RG_ADDRESS_LISTEN)
        make_ipv6(a, &in6addr_any, NULL, port);
    else
        make_ipv4(a, (struct in_addr){.s_addr = htonl(INADDR_LOOPBACK)}, port);
    return true;
}

static bool hint_wildcard(struct rg_str text, enum rg_address_use use, struct rg_address_error *why)
{
    struct rg_address scratch;
    struct rg_address_error ignored;
    struct rg_str port = after(text, starts_with(text, "*:") ? 2 : 1);
    if (parse_port_only(port, use, &scratch, &ignored))
        snprintf(why->hint, sizeof(why->hint), "%s", scratch.text);
    return fail(why, rg_address_wanted(use));
}

static bool has_scheme(struct rg_str text)
{
    return memmem(text.ptr, text.len, "://", 3) != NULL;
}

/* http://ADDR or h2c://ADDR, with a port of 80 when it has none; a path would mean something else to everybody, so it
 * is refused. */
static bool parse_url(struct rg_str text, struct rg_address *a, struct rg_address_error *why)
{
    bool h2c = starts_with(text, "h2c://");
    if (starts_with(text, "https://"))
        return fail(why, "http://ADDR or h2c://ADDR; this version does not speak TLS to the replica yet");
    if (!h2c && !starts_with(text, "http://"))
        return fail(why, REPLICA_WANTED);
    struct rg_str rest = after(text, h2c ? strlen("h2c://") : strlen("http://"));
    if (rest.len > 0 && rest.ptr[rest.len - 1] == '/')
        rest.len--;
    if (rest.len == 0 || memchr(rest.ptr, '/', rest.len))
        return fail(why, h2c ? "h2c:// and an address, without a path" : "http:// and an address, without a path");
    bool ok = rest.ptr[0] == '[' ? parse_bracketed(rest, RG_ADDRESS_REPLICA, 80, a, why)
                                 : parse_host_port(rest, RG_ADDRESS_REPLICA, 80, a, why);
    a->h2c = ok && h2c;
    return ok;
}

static bool parse_form(struct rg_str text, enum rg_address_use use, struct rg_address *a, struct rg_address_error *why)
{
    if (starts_with(text, "unix:") && !starts_with(text, "unix://"))
        return parse_unix(after(text, strlen("unix:")), a, why);
    if (starts_with(text, "unix://")) {
        snprintf(why->hint, sizeof(why->hint), "unix:%.*s", (int)(text.len - 7 < 107 ? text.len - 7 : 107),
                 text.ptr + 7);
        return fail(why, rg_address_wanted(use));
    }
    if (has_scheme(text))
        return use == RG_ADDRESS_REPLICA ? parse_url(text, a, why) : fail(why, rg_address_wanted(use));
    if (is_digits(text))
        return parse_port_only(text, use, a, why);
    if (starts_with(text, "*:") || starts_with(text, ":")) {
        if (count_of(text, ':') == 1)
            return hint_wildcard(text, use, why);
    }
    if (text.len > 0 && text.ptr[0] == '/') {
        snprintf(why->hint, sizeof(why->hint), "unix:%.*s", (int)(text.len < 107 ? text.len : 107), text.ptr);
        return fail(why, rg_address_wanted(use));
    }
    if (text.len > 0 && text.ptr[0] == '[')
        return parse_bracketed(text, use, 0, a, why);
    return parse_host_port(text, use, 0, a, why);
}

bool rg_address_parse(struct rg_str text, enum rg_address_use use, struct rg_address *ret, struct rg_address_error *why)
{
    struct rg_address a;
    memset(&a, 0, sizeof(a));
    *why = (struct rg_address_error){.wanted = rg_address_wanted(use)};
    if (text.len == 0 || !parse_form(text, use, &a, why))
        return false;
    *ret = a;
    return true;
}

bool rg_address_equal(const struct rg_address *a, const struct rg_address *b)
{
    if (a->sa.sa_family != b->sa.sa_family)
        return false;
    if (a->sa.sa_family == AF_INET)
        return a->in.sin_port == b->in.sin_port && a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
    if (a->sa.sa_family == AF_INET6)
        return a->in6.sin6_port == b->in6.sin6_port && a->in6.sin6_scope_id == b->in6.sin6_scope_id &&
               memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr)) == 0;
    if (a->sa.sa_family == AF_UNIX)
        return strcmp(a->un.sun_path, b->un.sun_path) == 0;
    return a->len == b->len;
}

/* An IP address in the form of IPv6, as a socket of [::] sees it. */
struct endpoint {
    struct in6_addr ip;
    uint32_t zone;
    in_port_t port;
    bool is_ip, v6_only;
};

static struct endpoint endpoint_of(const struct rg_address *a)
{
    struct endpoint e = {.is_ip = a->sa.sa_family == AF_INET || a->sa.sa_family == AF_INET6};
    if (a->sa.sa_family == AF_INET6) {
        e.ip = a->in6.sin6_addr;
        e.zone = a->in6.sin6_scope_id;
        e.port = a->in6.sin6_port;
        e.v6_only = a->v6_only;
    } else if (e.is_ip) {
        e.ip.s6_addr[10] = e.ip.s6_addr[11] = 0xff;
        memcpy(&e.ip.s6_addr[12], &a->in.sin_addr, sizeof(a->in.sin_addr));
        e.port = a->in.sin_port;
    }
    return e;
}

static bool is_v4(const struct endpoint *e)
{
    return IN6_IS_ADDR_V4MAPPED(&e->ip);
}

static bool is_any(const struct endpoint *e)
{
    static const uint8_t none[4];
    return IN6_IS_ADDR_UNSPECIFIED(&e->ip) || (is_v4(e) && memcmp(&e->ip.s6_addr[12], none, 4) == 0);
}

static bool is_loopback(const struct endpoint *e)
{
    return IN6_IS_ADDR_LOOPBACK(&e->ip) || (is_v4(e) && e->ip.s6_addr[12] == 127);
}

/* An address of one of this machine's interfaces. When they can't be listed nothing is known, and nothing refused. */
static bool is_own(const struct endpoint *e)
{
    struct ifaddrs *all, *i;
    if (getifaddrs(&all) < 0)
        return false;
    for (i = all; i; i = i->ifa_next) {
        struct rg_address a = {0};
        struct endpoint own;
        if (!i->ifa_addr || (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
            continue;
        memcpy(&a.sa, i->ifa_addr, i->ifa_addr->sa_family == AF_INET ? sizeof(a.in) : sizeof(a.in6));
        own = endpoint_of(&a);
        if (own.zone == e->zone && memcmp(&own.ip, &e->ip, sizeof(own.ip)) == 0)
            break;
    }
    freeifaddrs(all);
    return i != NULL;
}

/* A socket bound to a takes what comes for b. [::] takes IPv4 too, unless it was made without that. */
static bool covers(const struct endpoint *a, const struct endpoint *b)
{
    if (a->port != b->port)
        return false;
    if (is_any(a))
        return is_v4(a) == is_v4(b) || !(is_v4(a) || a->v6_only);
    return a->zone == b->zone && memcmp(&a->ip, &b->ip, sizeof(a->ip)) == 0;
}

bool rg_address_is_loopback(const struct rg_address *a)
{
    struct endpoint e = endpoint_of(a);
    return e.is_ip && is_loopback(&e);
}

bool rg_address_overlaps(const struct rg_address *a, const struct rg_address *b)
{
    struct endpoint x = endpoint_of(a), y = endpoint_of(b);
    if (!x.is_ip || !y.is_ip)
        return rg_address_equal(a, b);
    return covers(&x, &y) || covers(&y, &x);
}

bool rg_address_reaches(const struct rg_address *listening, const struct rg_address *target)
{
    struct endpoint at = endpoint_of(listening), to = endpoint_of(target);
    if (!at.is_ip || !to.is_ip)
        return rg_address_equal(listening, target);
    if (is_any(&to)) { /* connects to loopback, on Linux */
        const struct in_addr v4_loopback = {.s_addr = htonl(INADDR_LOOPBACK)};
        if (is_v4(&to))
            memcpy(&to.ip.s6_addr[12], &v4_loopback, sizeof(v4_loopback));
        else
            to.ip = in6addr_loopback;
    }
    return covers(&at, &to) && (!is_any(&at) || is_loopback(&to) || is_own(&to));
}

/* --- prefixes --- */

const char *rg_prefix_wanted(void)
{
    return "an address or a prefix like 10.0.0.0/8 or fd00::/8";
}

static void clear_host_bits(struct in6_addr *addr, unsigned bits)
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned keep = bits >= 8 * (i + 1) ? 8 : bits <= 8 * i ? 0 : bits - 8 * i;
        addr->s6_addr[i] &= (uint8_t)(0xff00u >> keep);
    }
}

static bool parse_ip(const char *text, struct in6_addr *ret, unsigned *ret_family_bits)
{
    struct in_addr v4;
    if (inet_pton(AF_INET, text, &v4) == 1) {
        memset(ret, 0, sizeof(*ret));
        ret->s6_addr[10] = ret->s6_addr[11] = 0xff;
        memcpy(&ret->s6_addr[12], &v4, sizeof(v4));
        *ret_family_bits = 32;
        return true;
    }
    *ret_family_bits = 128;
    return inet_pton(AF_INET6, text, ret) == 1;
}

static bool parse_bits(struct rg_str text, unsigned max, unsigned *ret)
{
    unsigned v = 0;
    if (!is_digits(text) || text.len > 3 || (text.len > 1 && text.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++)
        v = v * 10 + (unsigned)(text.ptr[i] - '0');
    *ret = v;
    return v <= max;
}

bool rg_prefix_parse(struct rg_str text, struct rg_prefix *ret, struct rg_address_error *why)
{
    char host[INET6_ADDRSTRLEN + IF_NAMESIZE];
    const char *slash = text.len > 0 ? memchr(text.ptr, '/', text.len) : NULL;
    struct rg_str name = slash ? (struct rg_str){text.ptr, (size_t)(slash - text.ptr)} : text;
    struct rg_prefix p;
    unsigned family_bits, bits;
    memset(&p, 0, sizeof(p));
    *why = (struct rg_address_error){.wanted = rg_prefix_wanted()};
    if (!copy_host(name, host) || !parse_ip(host, &p.addr, &family_bits))
        return false;
    bits = family_bits;
    if (slash && !parse_bits(after(text, name.len + 1), family_bits, &bits))
        return fail(why, family_bits == 32 ? "a prefix length from 0 to 32" : "a prefix length from 0 to 128");
    struct in6_addr given = p.addr;
    p.bits = (uint8_t)(bits + 128 - family_bits);
    clear_host_bits(&p.addr, p.bits);
    if (memcmp(&given, &p.addr, sizeof(given)) != 0) {
        rg_prefix_format(&p, why->hint, sizeof(why->hint));
        return fail(why, "a prefix whose bits beyond its length are zero");
    }
    *ret = p;
    return true;
}

bool rg_prefix_equal(const struct rg_prefix *a, const struct rg_prefix *b)
{
    return a->bits == b->bits && memcmp(&a->addr, &b->addr, sizeof(a->addr)) == 0;
}

void rg_prefix_format(const struct rg_prefix *prefix, char *buf, size_t len)
{
    char text[INET6_ADDRSTRLEN];
    if (IN6_IS_ADDR_V4MAPPED(&prefix->addr) && prefix->bits >= 96) {
        inet_ntop(AF_INET, &prefix->addr.s6_addr[12], text, sizeof(text));
        snprintf(buf, len, "%s/%u", text, prefix->bits - 96u);
    } else {
        inet_ntop(AF_INET6, &prefix->addr, text, sizeof(text));
        snprintf(buf, len, "%s/%u", text, prefix->bits);
    }
}
