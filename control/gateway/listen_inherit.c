/* See listen_inherit.h. */
#include "control/gateway/listen_inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/common/address.h"
#include "control/gateway/listen.h"
#include "datapath/base/log.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

static bool number_of(const char *name, long *ret)
{
    const char *text = getenv(name);
    if (!text || text[0] < '0' || text[0] > '9')
        return false;
    char *end;
    errno = 0;
    *ret = strtol(text, &end, 10);
    return errno == 0 && *end == '\0';
}

static bool is_stream_socket(int fd)
{
    int type;
    socklen_t len = sizeof(type);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

/* How many descriptors were passed to this process. */
static long passed(void)
{
    long pid, n;
    return number_of("LISTEN_PID", &pid) && number_of("LISTEN_FDS", &n) && pid == (long)getpid() ? n : 0;
}

static bool is_v6_only(int fd)
{
    int value = 0;
    socklen_t len = sizeof(value);
    return getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, &len) == 0 && value != 0;
}

uint16_t rg_inherit_v6_only(struct rg_address *ret, uint16_t max)
{
    long n = passed();
    uint16_t found = 0;
    for (int fd = FIRST_FD; fd < FIRST_FD + n && fd < FIRST_FD + RG_INHERIT_MAX && found < max; fd++) {
        struct rg_address bound = {.len = sizeof(bound.un), .v6_only = true};
        if (is_stream_socket(fd) && getsockname(fd, &bound.sa, &bound.len) == 0 && bound.sa.sa_family == AF_INET6 &&
            IN6_IS_ADDR_UNSPECIFIED(&bound.in6.sin6_addr) && is_v6_only(fd))
            ret[found++] = bound;
    }
    return found;
}

void rg_inherit_collect(struct rg_inherited *ret)
{
    long n = passed();
    ret->n = 0;
    ret->names[0] = '\0';
    if (n == 0)
        return;
    const char *names = getenv("LISTEN_FDNAMES");
    if (names)
        snprintf(ret->names, sizeof(ret->names), "%s", names);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    for (int fd = FIRST_FD; fd < FIRST_FD + n && ret->n < RG_INHERIT_MAX; fd++) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        if (is_stream_socket(fd)) {
            int flags = fcntl(fd, F_GETFL);
            if (flags >= 0)
                fcntl(fd, F_SETFL, flags | O_NONBLOCK);
        }
        ret->fds[ret->n++] = fd;
    }
}

uint16_t rg_inherit_match(struct rg_inherited *in, const struct rg_address *address, int *ret, uint16_t max)
{
    uint16_t found = 0;
    for (uint16_t i = 0; i < in->n && found < max; i++) {
        struct rg_address bound = {.len = sizeof(bound.un)};
        if (in->fds[i] < 0 || !is_stream_socket(in->fds[i]) || getsockname(in->fds[i], &bound.sa, &bound.len) < 0)
            continue;
        if (!rg_address_equal(&bound, address))
            continue;
        ret[found++] = in->fds[i];
        in->fds[i] = -1;
    }
    return found;
}

/* The i-th of the names, which are separated by colons; empty when there are fewer. */
static struct rg_str name_of(const struct rg_inherited *in, uint16_t i)
{
    const char *at = in->names;
    for (; i > 0; i--) {
        at += strcspn(at, ":");
        if (*at == '\0')
            return RG_STR_NONE;
        at++;
    }
    return (struct rg_str){at, strcspn(at, ":")};
}

void rg_inherit_close_rest(struct rg_inherited *in)
{
    for (uint16_t i = 0; i < in->n; i++) {
        if (in->fds[i] < 0)
            continue;
        struct rg_address bound = {.len = sizeof(bound.un)};
        if (getsockname(in->fds[i], &bound.sa, &bound.len) == 0)
            rg_address_format(&bound, bound.text, sizeof(bound.text));
        struct rg_str name = name_of(in, i);
        rg_warn("inherited descriptor matches no listener, closed fd=%d name=%.*s address=%s", in->fds[i],
                (int)name.len, name.len ? name.ptr : "", bound.text);
        close(in->fds[i]);
        in->fds[i] = -1;
    }
}

bool rg_inherit_shares_port(int fd)
{
    int value = 0;
    socklen_t len = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, &len) == 0 && value != 0;
}
