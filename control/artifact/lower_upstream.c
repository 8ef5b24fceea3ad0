/*
 * Why: URLs and upstreamDefinitions as upstreams. See lower_parts.h. Thread: any one at a time.
 *
 * Targets that nobody proxies to on purpose are refused: metadata services of clouds answer whoever asks from inside
 * with credentials. Names are judged as they are written here, and by what they resolve to where they are resolved.
 */
#include <arpa/inet.h>

#include "control/artifact/lower_parts.h"
#include "control/common/address.h"
#include "datapath/endpoint.h"
#include "datapath/http/h1_authority.h"
#include "datapath/http/h1_parse.h"

#define URL_BYTES_MAX 2048

struct url {
    struct rg_str host; /* without brackets */
    uint16_t port;
    bool tls;
    struct rg_str path; /* "" for "/", without a slash at the end */
};

/* ---- URLs ---- */

static bool take(struct rg_str *text, const char *front)
{
    size_t n = strlen(front);
    if (text->len < n || !rg_str_eq_nocase((struct rg_str){text->ptr, n}, (struct rg_str){front, n}))
        return false;
    *text = (struct rg_str){text->ptr + n, text->len - n};
    return true;
}

static bool has_any(struct rg_str text, const char *bytes)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= 0x20 || text.ptr[i] == 0x7f || strchr(bytes, text.ptr[i]))
            return true;
    return false;
}

static const char with_user[] = "a URL without user and password";

/* NULL: it is one; else what was wanted. */
static const char *parse_url(struct rg_str text, struct url *ret)
{
    static const char *const wanted = "a URL such as http://10.0.0.5:8080 or https://api.example.com/base";
    struct rg_authority authority;
    if (take(&text, "https://"))
        ret->tls = true;
    else if (!take(&text, "http://"))
        return wanted;
    if (text.len > URL_BYTES_MAX)
        return "a URL of at most 2048 bytes";
    if (has_any(text, "?#"))
        return "a URL without query and fragment";
    const char *slash = memchr(text.ptr, '/', text.len);
    struct rg_str host = {text.ptr, slash ? (size_t)(slash - text.ptr) : text.len};
    if (memchr(host.ptr, '@', host.len))
        return with_user;
    if (!rg_authority_parse(host, &authority) || authority.port == 0)
        return wanted;
    ret->path = (struct rg_str){text.ptr + host.len, text.len - host.len};
    ret->port = (uint16_t)(authority.port > 0 ? authority.port : ret->tls ? 443 : 80);
    ret->host = authority.host;
    if (ret->host.ptr[0] == '[')
        ret->host = (struct rg_str){ret->host.ptr + 1, ret->host.len - 2};
    return NULL;
}

/* Of an upstream: put before what is left of a request's path. */
static bool check_base_path(struct rg_lower *l, struct rg_str *base, const char *path)
{
    char normal[URL_BYTES_MAX];
    const struct rg_str given = *base;
    if (base->len > 0 && base->ptr[base->len - 1] == '/')
        base->len--;
    if (base->len == 0)
        return true;
    int32_t n = given.len <= sizeof(normal) && given.ptr[0] == '/' ? rg_h1_normalize_path(given, normal) : -1;
    if (n >= 0 && rg_str_eq((struct rg_str){normal, (size_t)n}, given) && !has_any(given, "?#{}*\"<>\\^`|") &&
        !memmem(given.ptr, given.len, "//", 2))
        return true;
    rg_lower_refuse_text(l, path, given, "a path in normal form that begins with a slash, without parameters", NULL);
    return false;
}

/* ---- Where nothing may lead ---- */

static bool is_metadata_name(struct rg_str host)
{
    static const struct rg_str names[] = {{"metadata", 8},
                                          {"metadata.google.internal", 24},
                                          {"instance-data", 13},
                                          {"instance-data.ec2.internal", 26},
                                          {"metadata.azure.internal", 23}};
    if (host.len > 0 && host.ptr[host.len - 1] == '.')
        host.len--;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (rg_str_eq_nocase(host, names[i]))
            return true;
    return false;
}

static bool is_metadata(struct rg_str host)
{
    char z[INET6_ADDRSTRLEN];
    union rg_ip ip = {0};
    if (is_metadata_name(host))
        return true;
    if (host.len >= sizeof(z))
        return false;
    memcpy(z, host.ptr, host.len);
    z[host.len] = '\0';
    /* inet_aton: resolvers understand 0xa9fea9fe and 2852039166 as well */
    if (inet_aton(z, &ip.in.sin_addr))
        ip.sa.sa_family = AF_INET;
    else if (inet_pton(AF_INET6, z, &ip.in6.sin6_addr) == 1)
        ip.sa.sa_family = AF_INET6;
    else
        return false;
    return rg_endpoint_allowed(&ip, 1) == 0;
}

/* As an address of ours is written. false: it is a name. */
static bool address_of(const struct url *url, struct rg_address *ret)
{
    struct rg_address_error ignored;
    char host[INET6_ADDRSTRLEN], text[RG_ADDRESS_TEXT_MAX];
    struct in_addr v4;
    if (url->host.len >= sizeof(host))
        return false;
    memcpy(host, url->host.ptr, url->host.len);
    host[url->host.len] = '\0';
    if (inet_aton(host, &v4))
        inet_ntop(AF_INET, &v4, host, sizeof(host));
    snprintf(text, sizeof(text), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, url->port);
    return rg_address_parse(rg_str_of(text), RG_ADDRESS_REPLICA, ret, &ignored);
}

static bool is_forbidden(const struct rg_lower *l, const struct url *url)
{
    struct rg_address target;
    if (l->n_forbidden == 0 || !address_of(url, &target))
        return false;
    for (size_t i = 0; i < l->n_forbidden; i++)
        if (rg_address_reaches(l->forbidden[i], &target))
            return true;
    return false;
}

static bool read_target(struct rg_lower *l, struct rg_str text, const char *path, struct url *ret)
{
    *ret = (struct url){0};
    const char *wanted = parse_url(text, ret);
    if (wanted == with_user) {
        rg_lower_refuse(l, path, "a URL with a user in it", wanted, "set credentials by `auth`");
        return false;
    }
    if (wanted) {
        rg_lower_refuse_text(l, path, text, wanted, NULL);
        return false;
    }
    if (is_metadata(ret->host)) {
        rg_lower_refuse_text(l, path, text, "an upstream that is no link-local address or metadata service",
                             "such services give away the machine's credentials");
        return false;
    }
    if (is_forbidden(l, ret)) {
        rg_lower_refuse_text(l, path, text, "an upstream that is not the gateway's own admin endpoint", NULL);
        return false;
    }
    return check_base_path(l, &ret->path, path);
}

/* ---- Upstreams ---- */

static uint32_t find_upstream(const struct rg_lower *l, const char *path)
{
    for (size_t i = 0; i < l->n_upstreams; i++)
        if (strcmp(l->upstream_paths[i], path) == 0)
            return (uint32_t)i;
    return RG_UPSTREAM_NONE;
}

static struct rg_upstream_spec *new_upstream(struct rg_lower *l, const char *path, struct rg_str name, size_t targets)
{
    if (l->n_upstreams == l->room_upstreams) {
        size_t room = l->room_upstreams * 2 + 4;
        struct rg_upstream_spec *more = rg_lower_alloc(l, room, sizeof(*more));
        const char **paths = rg_lower_alloc(l, room, sizeof(*paths));
        if (!more || !paths)
            return NULL;
        if (l->n_upstreams > 0) {
            memcpy(more, l->upstreams, l->n_upstreams * sizeof(*more));
            memcpy(paths, l->upstream_paths, l->n_upstreams * sizeof(*paths));
        }
        l->upstreams = more;
        l->upstream_paths = paths;
        l->room_upstreams = room;
    }
    struct rg_target_spec *list = rg_lower_alloc(l, targets, sizeof(*list));
    if (!list)
        return NULL;
    l->upstream_paths[l->n_upstreams] = path;
    struct rg_upstream_spec *u = &l->upstreams[l->n_upstreams++];
    *u = (struct rg_upstream_spec){.name = name, .targets = list, .verify = true};
    return u;
}

static void set_target(const struct rg_upstream_spec *u, size_t i, const struct url *url, uint32_t weight)
{
    struct rg_target_spec *t = (struct rg_target_spec *)(uintptr_t)&u->targets[i];
    *t = (struct rg_target_spec){.host = url->host, .port = url->port, .tls = url->tls, .weight = weight};
}

static uint32_t from_url(struct rg_lower *l, struct rg_str text, const char *name, const char *path)
{
    struct url url;
    if (!read_target(l, text, path, &url))
        return RG_UPSTREAM_NONE;
    struct rg_upstream_spec *u = new_upstream(l, path, rg_str_of(name), 1);
    if (!u)
        return RG_UPSTREAM_NONE;
    u->base_path = url.path;
    u->n_targets = 1;
    set_target(u, 0, &url, 1);
    return (uint32_t)(l->n_upstreams - 1);
}

/* The base path stands in the definition or, the same for all, in the URLs. */
static bool agree_on_base(struct rg_lower *l, const struct rg_spec_definition *d, const struct url *url,
                          struct rg_str *base, const char *path)
{
    if (!base->ptr)
        *base = url->path;
    if (rg_str_eq(url->path, *base) || (d->base_path.len > 0 && url->path.len == 0))
        return true;
    rg_lower_refuse_text(l, path, url->path, "the same base path for all upstreams of a definition",
                         "put it into basePath");
    return false;
}

static uint32_t from_definition(struct rg_lower *l, const struct rg_spec_definition *d, const char *path)
{
    const struct rg_spec_target *targets = d->targets.items;
    struct rg_str base = d->base_path.len > 0 ? d->base_path : RG_STR_NONE; /* NONE: the first URL says */
    int64_t weights = 0;
    bool good = check_base_path(l, &base, rg_lower_text(l, "%s.basePath", path));
    struct rg_upstream_spec *u = new_upstream(l, path, d->name, d->targets.n);
    if (!u)
        return RG_UPSTREAM_NONE;
    for (size_t i = 0; i < d->targets.n; i++) {
        const char *url_path = rg_lower_text(l, "%s.upstreams[%zu].url", path, i);
        struct url url;
        if (!read_target(l, targets[i].url, url_path, &url) || !agree_on_base(l, d, &url, &base, url_path)) {
            good = false;
            continue;
        }
        set_target(u, i, &url, (uint32_t)targets[i].weight);
        weights += targets[i].weight;
    }
    if (good && weights == 0)
        rg_lower_refuse(l, rg_lower_text(l, "%s.upstreams", path), "weights of 0 alone", "one that is greater", NULL);
    u->n_targets = d->targets.n;
    u->base_path = base;
    u->connect_ms = (uint32_t)(d->connect_us / 1000);
    return (uint32_t)(l->n_upstreams - 1);
}

static uint32_t from_ref(struct rg_lower *l, const struct rg_lower_source *source, struct rg_str ref,
                         const struct rg_param_list *definitions, const char *path)
{
    const struct rg_spec_definition *d = definitions ? definitions->items : NULL;
    for (size_t i = 0; definitions && i < definitions->n; i++) {
        if (!rg_str_eq(d[i].name, ref))
            continue;
        const char *at = rg_lower_text(l, "%s.upstreamDefinitions[%zu]", source->path, i);
        uint32_t known = find_upstream(l, at);
        return known != RG_UPSTREAM_NONE ? known : from_definition(l, &d[i], at);
    }
    rg_lower_refuse_text(l, path, ref, "the name of one of upstreamDefinitions",
                         definitions && definitions->n > 0 ? NULL : "there are none; use `url`");
    return RG_UPSTREAM_NONE;
}

uint32_t rg_lower_upstream(struct rg_lower *l, const struct rg_lower_source *source,
                           const struct rg_spec_upstream *upstream, const struct rg_param_list *definitions,
                           const char *name, const char *path)
{
    bool has_url = upstream->url.len > 0, has_ref = upstream->ref.len > 0;
    if (has_url == has_ref) {
        rg_lower_refuse(l, path, has_url ? "both `url` and `ref`" : "neither `url` nor `ref`", "one of them", NULL);
        return RG_UPSTREAM_NONE;
    }
    if (has_url)
        return from_url(l, upstream->url, name, rg_lower_text(l, "%s.url", path));
    return from_ref(l, source, upstream->ref, definitions, rg_lower_text(l, "%s.ref", path));
}
