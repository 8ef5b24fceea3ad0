/* What a specification of an endpoint means: checks, key, texts. See endpoint_parts.h. Thread: the control thread. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "datapath/base/ascii.h"
#include "datapath/endpoint_parts.h"
#include "datapath/tls/client.h"

#define NAME_MAX_BYTES  253
#define LABEL_MAX_BYTES 63

static bool is_path(struct rg_str host)
{
    return host.len > 0 && host.ptr[0] == '/';
}

static bool is_name_byte(char c)
{
    return rg_is_alnum(c) || c == '-' || c == '_';
}

/* Letters, digits, hyphens and underscores in labels; one dot may stand at the end. Not digits alone in the last one:
 * that would be an address. */
static bool is_name(struct rg_str host)
{
    size_t label = 0, digits = 0;
    if (host.len > 0 && host.ptr[host.len - 1] == '.')
        host.len--;
    if (host.len == 0 || host.len > NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        if (host.ptr[i] == '.') {
            if (label == 0)
                return false;
            label = digits = 0;
            continue;
        }
        if (!is_name_byte(host.ptr[i]) || ++label > LABEL_MAX_BYTES)
            return false;
        digits += rg_is_digit(host.ptr[i]);
    }
    return label > 0 && digits < label;
}

/* n 0: it is no address. */
static unsigned parse_address(struct rg_str host, uint16_t port, union rg_ip *ret)
{
    char text[INET6_ADDRSTRLEN];
    if (host.len >= sizeof text)
        return 0;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, text, &ret->in.sin_addr) == 1) {
        ret->in.sin_family = AF_INET;
        ret->in.sin_port = htons(port);
        return 1;
    }
    if (inet_pton(AF_INET6, text, &ret->in6.sin6_addr) == 1) {
        ret->in6.sin6_family = AF_INET6;
        ret->in6.sin6_port = htons(port);
        return 1;
    }
    return 0;
}

static bool is_refused4(uint32_t a) /* host order */
{
    bool metadata = a >> 16 == 0xa9fe || a == 0x646464c8 || a == 0xc00000c0; /* 169.254/16 and what two clouds use */
    return metadata || a >> 24 == 0 || a >> 28 >= 0xe /* multicast, reserved, broadcast */;
}

static bool is_refused6(const struct in6_addr *a)
{
    static const struct in6_addr ec2 = {{{0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54}}};
    if (IN6_IS_ADDR_V4MAPPED(a) || IN6_IS_ADDR_V4COMPAT(a)) {
        uint32_t v4;
        memcpy(&v4, &a->s6_addr[12], 4);
        return is_refused4(ntohl(v4));
    }
    return IN6_IS_ADDR_UNSPECIFIED(a) || IN6_IS_ADDR_LINKLOCAL(a) || IN6_IS_ADDR_MULTICAST(a) ||
           memcmp(a, &ec2, sizeof ec2) == 0;
}

static bool is_refused(const union rg_ip *ip)
{
    return ip->sa.sa_family == AF_INET ? is_refused4(ntohl(ip->in.sin_addr.s_addr)) : is_refused6(&ip->in6.sin6_addr);
}

unsigned rg_endpoint_allowed(union rg_ip *list, unsigned n)
{
    unsigned stay = 0;
    for (unsigned i = 0; i < n; i++)
        if (!is_refused(&list[i]))
            list[stay++] = list[i];
    return stay;
}

int rg_endpoint_check(const struct rg_endpoint_spec *s, struct rg_fault *fault)
{
    union rg_ip ip = {0};
    int shown = rg_fault_shown(s->host);
    if (is_path(s->host)) {
        if (s->host.len >= sizeof((struct sockaddr_un *)0)->sun_path || memchr(s->host.ptr, '\0', s->host.len))
            return rg_fault(fault, "host", "the path \"%.*s\" is too long for a UNIX socket", shown, s->host.ptr);
        if (s->tls && s->server_name.len == 0)
            return rg_fault(fault, "server_name", "TLS over a UNIX socket needs the name that the certificate is for");
    } else if (!is_name(s->host) && parse_address(s->host, s->port, &ip) == 0) {
        return rg_fault(fault, "host", "\"%.*s\" is neither a host name nor an address", shown,
                        s->host.ptr ? s->host.ptr : "");
    } else if (!is_name(s->host) && is_refused(&ip)) {
        return rg_fault(fault, "host",
                        "\"%.*s\" is an address that upstreams must not have: link-local, multicast or unspecified",
                        shown, s->host.ptr);
    } else if (s->port == 0) {
        return rg_fault(fault, "port", "the port has to be from 1 to 65535");
    }
    if (s->server_name.len > 0 && !is_name(s->server_name) && parse_address(s->server_name, 0, &ip) == 0)
        return rg_fault(fault, "server_name", "\"%.*s\" is neither a host name nor an address",
                        rg_fault_shown(s->server_name), s->server_name.ptr);
    if ((s->cert_file.len > 0) != (s->key_file.len > 0))
        return rg_fault(fault, s->cert_file.len > 0 ? "key_file" : "cert_file",
                        "the certificate of a client needs both, its file and that of its key");
    return 0;
}

/* ---- the key ---- */

/* A file that has changed makes another endpoint: whoever deploys again gets what it holds now. */
static int print_file(FILE *out, const char *field, struct rg_str path, struct rg_fault *fault)
{
    char name[4096];
    struct stat st;
    if (path.len == 0)
        return 0;
    if (path.len >= sizeof name)
        return rg_fault(fault, field, "the name of the file is too long");
    memcpy(name, path.ptr, path.len);
    name[path.len] = '\0';
    if (stat(name, &st) != 0)
        return rg_fault(fault, field, "can't read \"%.150s\": %s", name, strerror(errno));
    fprintf(out, " %s=%s:%lu:%lu:%ld.%09ld:%ld", field, name, (unsigned long)st.st_dev, (unsigned long)st.st_ino,
            (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (long)st.st_size);
    return 0;
}

static void print_lower(FILE *out, struct rg_str s)
{
    for (size_t i = 0; i < s.len; i++)
        fputc(rg_lower(s.ptr[i]), out);
}

static int print_key(FILE *out, const struct rg_endpoint_spec *s, struct rg_fault *fault)
{
    fputs(s->tls ? "https://" : "http://", out);
    if (is_path(s->host))
        fprintf(out, "%.*s", (int)s->host.len, s->host.ptr);
    else
        print_lower(out, s->host);
    fprintf(out, " %u", s->port);
    if (!s->tls)
        return 0;
    fprintf(out, " verify=%d name=", s->verify);
    print_lower(out, s->server_name);
    bool by_system = s->verify && s->ca_file.len == 0;
    struct rg_str ca = by_system ? rg_str_of(rg_tls_client_system_file()) : s->ca_file;
    int err = print_file(out, "ca_file", ca, fault);
    if (err == 0)
        err = print_file(out, "cert_file", s->cert_file, fault);
    return err == 0 ? print_file(out, "key_file", s->key_file, fault) : err;
}

int rg_endpoint_key(const struct rg_endpoint_spec *s, char **ret, struct rg_fault *fault)
{
    char *key = NULL;
    size_t len;
    FILE *out = open_memstream(&key, &len);
    if (!out)
        return -ENOMEM;
    int err = print_key(out, s, fault);
    if (fclose(out) != 0 && err == 0)
        err = -ENOMEM;
    if (err < 0)
        free(key);
    else
        *ret = key;
    return err;
}

/* ---- what is in it ---- */

static bool __attribute__((format(printf, 2, 3))) print(struct rg_str *ret, const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0)
        return false;
    *ret = (struct rg_str){text, (size_t)n};
    return true;
}

static bool fill_texts(struct rg_endpoint *e, const struct rg_endpoint_spec *s)
{
    const char *scheme = s->tls ? "https" : "http";
    int len = (int)s->host.len;
    if (!print(&e->host, "%.*s", len, s->host.ptr))
        return false;
    if (is_path(s->host))
        return print(&e->authority, "localhost") && print(&e->text, "unix:%s", e->host.ptr);
    char *lower = (char *)(uintptr_t)e->host.ptr;
    for (size_t i = 0; i < e->host.len; i++)
        lower[i] = rg_lower(lower[i]);
    bool brackets = memchr(e->host.ptr, ':', e->host.len) != NULL;
    const char *open = brackets ? "[" : "", *close = brackets ? "]" : "";
    bool usual = s->port == (s->tls ? 443 : 80);
    bool ok = usual ? print(&e->authority, "%s%s%s", open, e->host.ptr, close)
                    : print(&e->authority, "%s%s%s:%u", open, e->host.ptr, close, s->port);
    return ok && print(&e->text, "%s://%s%s%s:%u", scheme, open, e->host.ptr, close, s->port);
}

static void fill_path(struct rg_endpoint *e)
{
    e->address.un.sun_family = AF_UNIX;
    memcpy(e->address.un.sun_path, e->host.ptr, e->host.len + 1);
    e->address.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + e->host.len + 1);
    e->state = RG_ENDPOINT_RESOLVED;
}

static int fill_where(struct rg_endpoint *e)
{
    union rg_ip ip;
    if (is_path(e->host)) {
        fill_path(e);
        return 0;
    }
    e->is_name = parse_address(e->host, e->port, &ip) == 0;
    if (e->is_name)
        return 0;
    e->addresses = rg_addresses_create(&ip, 1, NULL);
    if (!e->addresses)
        return -ENOMEM;
    e->state = RG_ENDPOINT_RESOLVED;
    return 0;
}

static int fill_tls(struct rg_endpoint *e, const struct rg_endpoint_spec *s, struct rg_fault *fault)
{
    struct rg_str name = s->server_name.len > 0 ? s->server_name : e->host;
    if (name.ptr[name.len - 1] == '.')
        name.len--;
    struct rg_tls_client_source source = {.server_name = name,
                                          .verify = s->verify,
                                          .ca_file = s->ca_file,
                                          .cert_file = s->cert_file,
                                          .key_file = s->key_file};
    return rg_tls_client_create(&e->tls, &source, fault);
}

int rg_endpoint_fill(struct rg_endpoint *e, const struct rg_endpoint_spec *s, struct rg_fault *fault)
{
    e->port = s->port;
    if (!fill_texts(e, s))
        return -ENOMEM;
    int err = fill_where(e);
    return err == 0 && s->tls ? fill_tls(e, s, fault) : err;
}
