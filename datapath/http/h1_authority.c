/* Syntax of an authority: see h1_authority.h. */
#include <arpa/inet.h>

#include "datapath/http/h1_authority.h"
#include "datapath/http/h1_chars.h"

#define HOST_NAME_MAX_LEN 255

static bool ipv6_is_valid(const char *text, size_t len)
{
    char z[INET6_ADDRSTRLEN];
    struct in6_addr addr;
    if (len >= sizeof(z) || memchr(text, '\0', len))
        return false;
    memcpy(z, text, len);
    z[len] = '\0';
    return inet_pton(AF_INET6, z, &addr) == 1;
}

/* Length of "[...]" at the start, 0 if it is malformed. */
static size_t ipv6_len(struct rg_str text)
{
    const char *close = memchr(text.ptr, ']', text.len);
    if (!close)
        return 0;
    size_t inside = (size_t)(close - text.ptr) - 1;
    return ipv6_is_valid(text.ptr + 1, inside) ? inside + 2 : 0;
}

/* Length of a host name at the start, 0 if it is malformed: no empty label but the one after a final dot. */
static size_t name_len(struct rg_str text)
{
    size_t i = 0;
    char last = '.';
    for (; i < text.len && rg_char_is(text.ptr[i], RG_CHAR_UNRESERVED); i++) {
        if (text.ptr[i] == '.' && last == '.')
            return 0;
        last = text.ptr[i];
    }
    return i <= HOST_NAME_MAX_LEN ? i : 0;
}

/* An empty port is the default one (RFC 3986 3.2.3). */
static bool parse_port(struct rg_str text, int32_t *ret)
{
    if (text.len > 5)
        return false;
    int32_t port = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!rg_char_is(text.ptr[i], RG_CHAR_DIGIT))
            return false;
        port = port * 10 + (text.ptr[i] - '0');
    }
    *ret = text.len ? port : -1;
    return port <= UINT16_MAX;
}

bool rg_authority_parse(struct rg_str text, struct rg_authority *ret)
{
    if (text.len == 0)
        return false;
    size_t len = text.ptr[0] == '[' ? ipv6_len(text) : name_len(text);
    if (len == 0)
        return false;
    ret->host = (struct rg_str){text.ptr, len};
    ret->port = -1;
    if (len == text.len)
        return true;
    return text.ptr[len] == ':' && parse_port((struct rg_str){text.ptr + len + 1, text.len - len - 1}, &ret->port);
}

bool rg_authority_same(const struct rg_authority *a, const struct rg_authority *b, int32_t default_port)
{
    int32_t port_a = a->port < 0 ? default_port : a->port;
    int32_t port_b = b->port < 0 ? default_port : b->port;
    return port_a == port_b && rg_str_eq_nocase(a->host, b->host);
}
