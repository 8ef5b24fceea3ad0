/* Why: hosts, contexts, paths and methods as definitions write them. See lower_parts.h. Thread: any one at a time. */
#include "control/artifact/lower_parts.h"
#include "datapath/base/ascii.h"
#include "datapath/http/h1_parse.h"

#define PATH_BYTES_MAX 2048
#define HOST_BYTES_MAX 253
#define LABEL_MAX      63
#define HOSTS_MAX      100

/* ---- Paths ---- */

/* What may stand in a path as it is (RFC 3986 3.3), and '%' of an escape. */
static bool is_path_byte(char c)
{
    return rg_is_alnum(c) || (c && strchr("-._~!$&'()*+,;=:@/%", c));
}

/* Braces are not checked here; the rest must be what requests are compared with. */
static bool is_normal_form(struct rg_lower *l, struct rg_str text, const char *path)
{
    char normal[PATH_BYTES_MAX], remedy[PATH_BYTES_MAX + 32];
    if (text.len == 0 || text.ptr[0] != '/') {
        rg_lower_refuse_text(l, path, text, "a path that begins with a slash", NULL);
        return false;
    }
    if (text.len > sizeof(normal)) {
        rg_lower_refuse(l, path, "more than 2048 bytes", "a shorter path", NULL);
        return false;
    }
    int32_t n = rg_h1_normalize_path(text, normal);
    if (n < 0) {
        rg_lower_refuse_text(l, path, text, "a path whose escapes are % and two hexadecimal digits", NULL);
        return false;
    }
    if (!rg_str_eq((struct rg_str){normal, (size_t)n}, text)) {
        snprintf(remedy, sizeof(remedy), "did you mean \"%.*s\"?", (int)n, normal);
        rg_lower_refuse_text(l, path, text, "a path in normal form: without dot segments and needless escapes", remedy);
        return false;
    }
    if (memmem(text.ptr, text.len, "//", 2)) {
        rg_lower_refuse_text(l, path, text, "a path without empty segments", NULL);
        return false;
    }
    return true;
}

static bool is_parameter(struct rg_str segment)
{
    if (segment.len < 3 || segment.ptr[0] != '{' || segment.ptr[segment.len - 1] != '}')
        return false;
    for (size_t i = 1; i + 1 < segment.len; i++)
        if (!rg_is_alnum(segment.ptr[i]) && segment.ptr[i] != '_' && segment.ptr[i] != '-' && segment.ptr[i] != '.')
            return false;
    return true;
}

static bool is_literal(struct rg_str segment)
{
    for (size_t i = 0; i < segment.len; i++)
        if (!is_path_byte(segment.ptr[i]) || segment.ptr[i] == '*')
            return false;
    return true;
}

bool rg_lower_operation_path(struct rg_lower *l, struct rg_str text, bool prefix, const char *path,
                             enum rg_path_match *ret)
{
    if (!is_normal_form(l, text, path))
        return false;
    *ret = prefix ? RG_PATH_PREFIX : RG_PATH_EXACT;
    struct rg_segments segments = rg_segments_of(text);
    struct rg_str segment;
    for (bool is_rest = rg_segments_is_rest(&segments); rg_segments_next(&segments, &segment);
         is_rest = rg_segments_is_rest(&segments)) {
        if (is_literal(segment))
            continue;
        if (!is_rest && !is_parameter(segment)) {
            rg_lower_refuse_text(l, path, text, "segments of plain text, {name} for a whole one, or * as the last",
                                 "escape other bytes as % and two hexadecimal digits");
            return false;
        }
        if (prefix) {
            rg_lower_refuse_text(l, path, text, "plain text: a PathPrefix has no parameters", "use type: Exact");
            return false;
        }
        *ret = RG_PATH_TEMPLATE;
    }
    return true;
}

struct rg_str rg_lower_join(struct rg_lower *l, struct rg_str a, struct rg_str b)
{
    char *out = rg_lower_alloc(l, a.len + b.len + 1, 1);
    if (!out)
        return RG_STR("/");
    if (a.len > 0)
        memcpy(out, a.ptr, a.len);
    if (b.len > 0)
        memcpy(out + a.len, b.ptr, b.len);
    return (struct rg_str){out, a.len + b.len};
}

/* Every "$version" in it gives way to the version. */
static struct rg_str with_version(struct rg_lower *l, struct rg_str text, struct rg_str version)
{
    const struct rg_str mark = RG_STR("$version");
    const char *at = memmem(text.ptr, text.len, mark.ptr, mark.len);
    if (!at)
        return text;
    struct rg_str before = {text.ptr, (size_t)(at - text.ptr)};
    struct rg_str after = {at + mark.len, text.len - before.len - mark.len};
    return rg_lower_join(l, rg_lower_join(l, before, version), with_version(l, after, version));
}

struct rg_str rg_lower_context(struct rg_lower *l, struct rg_str text, struct rg_str version, const char *path)
{
    struct rg_str context = with_version(l, text, version);
    if (!is_normal_form(l, context, path))
        return RG_STR("");
    if (context.len == 1)
        return RG_STR("");
    if (context.ptr[context.len - 1] == '/') {
        rg_lower_refuse_text(l, path, context, "a context without a slash at its end",
                             rg_lower_text(l, "did you mean \"%.*s\"?", (int)context.len - 1, context.ptr));
        return RG_STR("");
    }
    if (!is_literal(context))
        rg_lower_refuse_text(l, path, text, "a path of plain text, and $version", NULL);
    return context;
}

/* ---- Methods ---- */

bool rg_lower_method(struct rg_lower *l, struct rg_str text, bool star, const char *path, struct rg_str *ret)
{
    static const struct rg_str known[] = {{"GET", 3},   {"HEAD", 4},   {"POST", 4},   {"PUT", 3},
                                          {"PATCH", 5}, {"DELETE", 6}, {"OPTIONS", 7}};
    const char *remedy = NULL;
    *ret = RG_STR("");
    if (star && rg_str_eq(text, RG_STR("*")))
        return true;
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (rg_str_eq(text, known[i])) {
            *ret = known[i];
            return true;
        }
        if (rg_str_eq_nocase(text, known[i]))
            remedy = rg_lower_text(l, "did you mean %s?", known[i].ptr);
    }
    rg_lower_refuse_text(l, path, text,
                         star ? "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS or * for any"
                              : "GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS",
                         remedy);
    return false;
}

/* ---- Hosts ---- */

static bool is_label(struct rg_str label)
{
    if (label.len == 0 || label.len > LABEL_MAX || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!rg_is_alnum(label.ptr[i]) && label.ptr[i] != '-' && label.ptr[i] != '_')
            return false;
    return true;
}

/* A name, an IPv4 address, or "*." and a name. */
static bool is_host(struct rg_str host)
{
    if (host.len > 2 && host.ptr[0] == '*' && host.ptr[1] == '.')
        host = (struct rg_str){host.ptr + 2, host.len - 2};
    if (host.len == 0 || host.len > HOST_BYTES_MAX)
        return false;
    while (host.len > 0) {
        const char *dot = memchr(host.ptr, '.', host.len);
        size_t n = dot ? (size_t)(dot - host.ptr) : host.len;
        if (!is_label((struct rg_str){host.ptr, n}) || (dot && n + 1 == host.len))
            return false;
        host = (struct rg_str){host.ptr + n + (dot != NULL), host.len - n - (dot != NULL)};
    }
    return true;
}

static struct rg_str in_lower_case(struct rg_lower *l, struct rg_str host)
{
    char *out = rg_lower_alloc(l, host.len, 1);
    for (size_t i = 0; out && i < host.len; i++)
        out[i] = rg_lower(host.ptr[i]);
    return out ? (struct rg_str){out, host.len} : RG_STR("");
}

static bool has_host(const struct rg_str *hosts, size_t n, struct rg_str host)
{
    for (size_t i = 0; i < n; i++)
        if (rg_str_eq(hosts[i], host))
            return true;
    return false;
}

/* "": of any host. */
static bool read_host(struct rg_lower *l, struct rg_str text, const char *path, struct rg_str *ret)
{
    *ret = RG_STR("");
    if (rg_str_eq(text, RG_STR("_gateway_default_")) || rg_str_eq(text, RG_STR("*")))
        return true;
    if (!is_host(text)) {
        rg_lower_refuse_text(l, path, text, "a host such as api.example.com or *.example.com, without a port",
                             "separate several by ';'");
        return false;
    }
    *ret = in_lower_case(l, text);
    return true;
}

struct rg_str *rg_lower_hosts(struct rg_lower *l, struct rg_str text, const char *path, size_t *ret_n)
{
    size_t most = 1, n = 0;
    for (size_t i = 0; i < text.len; i++)
        most += text.ptr[i] == ';';
    if (most > HOSTS_MAX) {
        rg_lower_refuse(l, path, "too many hosts", "at most 100", NULL);
        return NULL;
    }
    struct rg_str *hosts = rg_lower_alloc(l, most, sizeof(*hosts));
    if (!hosts)
        return NULL;
    *ret_n = 1;
    hosts[0] = RG_STR("");
    if (text.len == 0)
        return hosts;
    for (struct rg_str rest = text; rest.len > 0;) {
        const char *end = memchr(rest.ptr, ';', rest.len);
        size_t len = end ? (size_t)(end - rest.ptr) : rest.len;
        struct rg_str host;
        if (!read_host(l, rg_str_trim((struct rg_str){rest.ptr, len}), path, &host))
            return NULL;
        if (!has_host(hosts, n, host))
            hosts[n++] = host;
        rest = (struct rg_str){rest.ptr + len + (end != NULL), rest.len - len - (end != NULL)};
    }
    *ret_n = n;
    return hosts;
}
