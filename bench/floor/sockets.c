/* Sockets of ringgate-floor. Thread: main, and workers. */
#include "bench/floor/floor.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

enum { BACKLOG = 4096, SEGMENT_MAX = 16384, UNSENT_MAX = 256 * 1024 };

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

/* Accepted sockets inherit the options; those of the gateway's listeners are in control/gateway/listen.c. */
int rg_floor_listen(const struct rg_bench_address *at, const char *congestion)
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
