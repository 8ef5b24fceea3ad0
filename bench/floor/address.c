/* Addresses and sockets of ringgate-floor. Thread: main; sockets are opened by workers, too. */
#include "bench/floor/floor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BACKLOG = 4096, HOST_SIZE = INET6_ADDRSTRLEN, SEGMENT_MAX = 16384, UNSENT_MAX = 256 * 1024 };

static bool parse_port(const char *text, in_port_t *ret)
{
    char *end;
    unsigned long port = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || port == 0 || port > UINT16_MAX)
        return false;
    *ret = htons((uint16_t)port);
    return true;
}

static bool parse_unix(const char *path, struct rg_floor_address *ret)
{
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof ret->un.sun_path)
        return false;
    ret->un.sun_family = AF_UNIX;
    memcpy(ret->un.sun_path, path, n + 1);
    ret->len = sizeof ret->un;
    return true;
}

static bool parse_ipv6(const char *host, const char *port, struct rg_floor_address *ret)
{
    ret->in6.sin6_family = AF_INET6;
    ret->len = sizeof ret->in6;
    return inet_pton(AF_INET6, host, &ret->in6.sin6_addr) == 1 && parse_port(port, &ret->in6.sin6_port);
}

static bool parse_ipv4(const char *host, const char *port, struct rg_floor_address *ret)
{
    ret->in.sin_family = AF_INET;
    ret->len = sizeof ret->in;
    return inet_pton(AF_INET, host, &ret->in.sin_addr) == 1 && parse_port(port, &ret->in.sin_port);
}

bool rg_floor_address_parse(const char *text, struct rg_floor_address *ret)
{
    char host[HOST_SIZE] = "127.0.0.1";
    const char *colon = strrchr(text, ':');
    memset(ret, 0, sizeof *ret);
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, ret);
    if (!colon)
        return parse_ipv4(host, text, ret);
    size_t n = (size_t)(colon - text);
    bool bracketed = n >= 2 && text[0] == '[' && text[n - 1] == ']';
    if (bracketed) {
        text++;
        n -= 2;
    }
    if (n >= sizeof host)
        return false;
    memcpy(host, text, n);
    host[n] = '\0';
    return bracketed ? parse_ipv6(host, colon + 1, ret) : parse_ipv4(host, colon + 1, ret);
}

static void set_int(int fd, int level, int option, int value)
{
    setsockopt(fd, level, option, &value, sizeof value);
}

int rg_floor_socket(sa_family_t family, const char *congestion)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (family == AF_UNIX)
        return fd;
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (congestion && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, (socklen_t)strlen(congestion)) < 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    return fd;
}

/* Accepted sockets inherit the options; those of the gateway's listeners are in control/agent/listen.c. */
int rg_floor_listen(const struct rg_floor_address *at, const char *congestion)
{
    int fd = rg_floor_socket(at->any.sa_family, congestion);
    if (fd < 0)
        return fd;
    set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    set_int(fd, IPPROTO_TCP, TCP_MAXSEG, SEGMENT_MAX);
    set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_MAX);
    if (bind(fd, &at->any, at->len) < 0 || listen(fd, BACKLOG) < 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    return fd;
}
