/* See control_url.h. */
#include "control/options/control_url.h"

#include "datapath/base/ascii.h"

static bool take_scheme(struct rg_str *rest, bool *ret_tls)
{
    static const struct {
        const char *name;
        bool tls;
    } schemes[] = {{"wss://", true}, {"https://", true}, {"ws://", false}, {"http://", false}};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = strlen(schemes[i].name);
        if (rest->len < len || !rg_str_eq_nocase((struct rg_str){rest->ptr, len}, rg_str_of(schemes[i].name)))
            continue;
        *ret_tls = schemes[i].tls;
        rest->ptr += len;
        rest->len -= len;
        return true;
    }
    return false;
}

static bool is_port(struct rg_str digits)
{
    unsigned n = 0;
    if (digits.len == 0 || digits.len > 5)
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return false;
        n = n * 10 + (unsigned)(digits.ptr[i] - '0');
    }
    return n >= 1 && n <= 65535;
}

static bool is_one_of(char c, const char *others)
{
    return rg_is_alnum(c) || (c != '\0' && strchr(others, c));
}

static bool is_made_of(struct rg_str s, const char *others)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_one_of(s.ptr[i], others))
            return false;
    return true;
}

/* The name without the port. */
static bool take_host(struct rg_str host, struct rg_str *ret_name)
{
    const char *colon = host.len && host.ptr[0] == '[' ? memchr(host.ptr, ']', host.len) : host.ptr;
    if (!colon || host.len == 0)
        return false;
    colon = memchr(colon, ':', host.len - (size_t)(colon - host.ptr));
    struct rg_str name = {host.ptr, colon ? (size_t)(colon - host.ptr) : host.len};
    if (colon && !is_port((struct rg_str){colon + 1, host.len - name.len - 1}))
        return false;
    *ret_name = name;
    if (name.len > 2 && name.ptr[0] == '[')
        return name.ptr[name.len - 1] == ']' && is_made_of((struct rg_str){name.ptr + 1, name.len - 2}, ":.");
    return name.len > 0 && name.len <= 253 && is_made_of(name, "-._");
}

static bool is_number(struct rg_str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] != '.' && !rg_is_digit(name.ptr[i]))
            return false;
    return true;
}

static bool is_loopback(struct rg_str name)
{
    return rg_str_eq_nocase(name, RG_STR("localhost")) || rg_str_eq(name, RG_STR("[::1]")) ||
           (name.len > 4 && memcmp(name.ptr, "127.", 4) == 0 && is_number(name));
}

bool rg_control_url_parse(struct rg_str text, struct rg_control_url *ret)
{
    struct rg_control_url url;
    struct rg_str rest = text, name;
    if (!take_scheme(&rest, &url.tls))
        return false;
    const char *slash = rest.len ? memchr(rest.ptr, '/', rest.len) : NULL;
    url.host = (struct rg_str){rest.ptr, slash ? (size_t)(slash - rest.ptr) : rest.len};
    url.path = (struct rg_str){rest.ptr + url.host.len, rest.len - url.host.len};
    while (url.path.len > 0 && url.path.ptr[url.path.len - 1] == '/')
        url.path.len--;
    if (!take_host(url.host, &name) || !is_made_of(url.path, "/-._~"))
        return false;
    url.loopback = is_loopback(name);
    *ret = url;
    return true;
}
