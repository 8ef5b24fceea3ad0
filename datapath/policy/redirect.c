/* redirect: sends the client to another place. What the policy does not say stays as the client asked for it. */
#include <errno.h>

#include "datapath/http/h1_authority.h"
#include "datapath/policy/kinds.h"
#include "datapath/policy/path.h"

struct path {
    int32_t mode;
    struct rg_str value;
};
struct params {
    int64_t status, port;
    int32_t scheme;
    struct rg_str hostname;
    struct path path;
    bool has_path;
};

static const char *const schemes[] = {"", "http", "https", NULL};
/* In the order of enum rg_path_edit, twice. */
static const char *const modes[] = {"keep", "full", "prefix", "Keep", "ReplaceFullPath", "ReplacePrefixMatch", NULL};

static const struct rg_param path_params[] = {
    {.name = "mode",
     .type = RG_PARAM_ENUM,
     .offset = offsetof(struct path, mode),
     .required = true,
     .words = modes,
     .help = "`full` replaces all behind the API's context, `prefix` what the route's prefix matched, `keep` nothing."},
    {.name = "value", .type = RG_PARAM_STRING, .offset = offsetof(struct path, value), .help = "The new part."},
    {0}};

static const struct rg_param params_table[] = {
    {.name = "statusCode",
     .type = RG_PARAM_INT,
     .offset = offsetof(struct params, status),
     .initial = "302",
     .min = 301,
     .max = 308,
     .help = "301, 302, 303, 307 or 308."},
    {.name = "scheme",
     .type = RG_PARAM_ENUM,
     .offset = offsetof(struct params, scheme),
     .initial = "\"\"",
     .words = schemes,
     .help = "`http` or `https`; left out: the request's."},
    {.name = "hostname",
     .type = RG_PARAM_STRING,
     .offset = offsetof(struct params, hostname),
     .help = "A name or an address; left out: the request's."},
    {.name = "port",
     .type = RG_PARAM_INT,
     .offset = offsetof(struct params, port),
     .min = 0,
     .max = 65535,
     .help = "Left out: that of the request's Host, or none where scheme or hostname are given."},
    {.name = "path",
     .type = RG_PARAM_OBJECT,
     .offset = offsetof(struct params, path),
     .fields = path_params,
     .size = sizeof(struct path),
     .present = 1 + offsetof(struct params, has_path),
     .help = "The path; left out: the request's. The query stays."},
    {0}};

struct self {
    uint16_t status, port;
    struct rg_str scheme, hostname, path;
    enum rg_path_edit edit;
};

static int prepare(void *self, const void *params, struct rg_policy_making *m)
{
    struct self *s = self;
    const struct params *p = params;
    struct rg_authority authority;
    if (p->status != 301 && p->status != 302 && p->status != 303 && p->status != 307 && p->status != 308)
        return rg_policy_refuse(m, "statusCode", "got %d, wanted 301, 302, 303, 307 or 308", (int)p->status);
    if (p->hostname.len > 0 && (!rg_authority_parse(p->hostname, &authority) || authority.port >= 0))
        return rg_policy_refuse(m, "hostname", "'%.*s' is no host: wanted a name or an address, without a port",
                                (int)(p->hostname.len < 64 ? p->hostname.len : 64), p->hostname.ptr);
    if (p->scheme == 0 && p->hostname.len == 0 && p->port == 0 && !p->has_path)
        return rg_policy_refuse(m, "", "leads back to where the client is: wanted scheme, hostname, port or path");
    s->status = (uint16_t)p->status;
    s->port = (uint16_t)p->port;
    s->scheme = rg_str_of(schemes[p->scheme]);
    s->edit = p->has_path ? (enum rg_path_edit)(p->path.mode % 3) : RG_PATH_KEEP;
    int rc = s->edit == RG_PATH_KEEP ? 0 : rg_path_make(m, "path.value", s->edit, p->path.value, &s->path);
    return rc == 0 && !rg_arena_copy(m->arena, p->hostname, &s->hostname) ? -ENOMEM : rc;
}

static char *put(char *to, struct rg_str s)
{
    if (s.len > 0)
        memcpy(to, s.ptr, s.len);
    return to + s.len;
}

static char *put_port(char *to, unsigned port)
{
    char digits[8];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + port % 10);
        port /= 10;
    } while (port != 0);
    digits[--at] = ':';
    return put(to, (struct rg_str){digits + at, sizeof digits - at});
}

/* The port that the client named goes on only where it still can mean the same. */
static char *put_place(char *to, const struct self *s, const struct rg_policy_request *q)
{
    struct rg_authority asked = {.port = -1};
    bool is_known = rg_authority_parse(q->host, &asked);
    to = put(to, s->scheme.len > 0 ? s->scheme : q->scheme);
    to = put(to, RG_STR("://"));
    to = put(to, s->hostname.len > 0 || !is_known ? s->hostname : asked.host);
    if (s->port > 0)
        return put_port(to, s->port);
    bool same = s->scheme.len == 0 && s->hostname.len == 0;
    return same && asked.port >= 0 ? put_port(to, (unsigned)asked.port) : to;
}

static enum rg_policy_verdict request(void *self, struct rg_policy_request *q, union rg_policy_state *state)
{
    static const struct rg_policy_name location = RG_POLICY_NAME("Location", RG_FIELD_LOCATION);
    const struct self *s = self;
    struct rg_str path;
    struct rg_field line;
    (void)state;
    if (!rg_path_edit_of(q, s->edit, s->path, &path))
        return RG_POLICY_FULL;
    size_t most = 32 + s->hostname.len + q->host.len + path.len + q->query.len;
    char *out = rg_policy_scratch_room(&q->scratch, most), *to = out;
    if (!out)
        return RG_POLICY_FULL;
    if (s->hostname.len > 0 || q->host.len > 0)
        to = put_place(to, s, q);
    to = put(put(to, path), q->query);
    q->scratch.at = to;
    if (!rg_policy_line_write(&q->scratch, &location, (struct rg_str){out, (size_t)(to - out)}, &line))
        return RG_POLICY_FULL;
    rg_policy_add_field(&q->answer.head, &line);
    q->answer.status = s->status;
    q->answer.may_store = true;
    return RG_POLICY_ANSWER;
}

const struct rg_policy_kind rg_policy_redirect = {
    .name = "redirect",
    .version = "v0.9.1",
    .help = "Sends the client to another scheme, host or path.",
    .params = params_table,
    .params_size = sizeof(struct params),
    .size = sizeof(struct self),
    .prepare = prepare,
    .request = request,
};
