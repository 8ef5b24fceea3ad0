/* See notify.h. */
#include "control/gateway/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_MAX 1024

static int parse_socket(const char *path, struct rg_notify *n)
{
    size_t len = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || len < 2)
        return -EINVAL;
    if (len >= sizeof(n->peer.sun_path))
        return -ENAMETOOLONG;
    n->peer.sun_family = AF_UNIX;
    memcpy(n->peer.sun_path, path, len);
    if (path[0] == '@') /* the abstract name space: a NUL instead of the '@', no terminator */
        n->peer.sun_path[0] = '\0';
    n->peer_len = (uint32_t)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] == '/' ? 1 : 0));
    return 0;
}

static bool parse_number(const char *text, uint64_t *ret)
{
    if (!text || text[0] < '0' || text[0] > '9')
        return false;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || *end)
        return false;
    *ret = value;
    return true;
}

static int parse_watchdog(struct rg_notify *n)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (!usec)
        return 0;
    uint64_t value, owner;
    if (!parse_number(usec, &value) || value == 0)
        return -EINVAL;
    if (pid && (!parse_number(pid, &owner) || owner != (uint64_t)getpid()))
        return 0; /* meant for another process */
    n->watchdog_ms = value < 1000 ? 1 : value / 1000;
    return 0;
}

int rg_notify_init(struct rg_notify *n)
{
    *n = (struct rg_notify){.fd = -1};
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path)
        return 0;
    int r = parse_socket(path, n);
    if (r < 0)
        return r;
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (n->fd < 0)
        return -errno;
    return parse_watchdog(n);
}

void rg_notify_fini(struct rg_notify *n)
{
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}

int rg_notify_send(const struct rg_notify *n, const char *format, ...)
{
    if (n->fd < 0)
        return 0;
    char text[MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof(text))
        return -EMSGSIZE;
    /* Never wait for the manager: a lost word is better than a control thread that hangs. */
    ssize_t sent =
        sendto(n->fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&n->peer, n->peer_len);
    return sent < 0 ? -errno : 0;
}

int rg_notify_ready(const struct rg_notify *n)
{
    return rg_notify_send(n, "READY=1");
}

int rg_notify_reloading(const struct rg_notify *n)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return rg_notify_send(n, "RELOADING=1\nMONOTONIC_USEC=%llu",
                          (unsigned long long)ts.tv_sec * 1000000u + (unsigned long long)ts.tv_nsec / 1000u);
}

int rg_notify_stopping(const struct rg_notify *n)
{
    return rg_notify_send(n, "STOPPING=1");
}

int rg_notify_watchdog(const struct rg_notify *n)
{
    return rg_notify_send(n, "WATCHDOG=1");
}
