/*
 * Listening sockets: TCP ones per thread (SO_REUSEPORT when there are several), UNIX ones shared by all threads.
 * Thread: main, before the threads start and after they have ended.
 */
#include "bench/origin/origin.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096, HOST_SIZE = 256 };

static int open_unix(const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct stat st;
    size_t n = strlen(path);

    if (n == 0 || n >= sizeof(un.sun_path))
        return -ENAMETOOLONG;
    memcpy(un.sun_path, path, n + 1);
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path); /* left by an origin that was killed */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0 || listen(fd, BACKLOG) < 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    return fd;
}

/*
 * Accepted sockets inherit these. The system's congestion control may be BBR, which paces what it sends even on
 * loopback and so measures itself; a kernel without cubic keeps its own.
 */
static void set_tcp_options(int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
}

static int open_tcp(const struct addrinfo *ai, bool shared)
{
    int one = 1;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (shared)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    set_tcp_options(fd);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    return fd;
}

static uint16_t bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } a = {0};
    socklen_t n = sizeof(a);
    if (getsockname(fd, &a.any, &n) < 0)
        return 0;
    return ntohs(a.any.sa_family == AF_INET6 ? a.in6.sin6_port : a.in.sin_port);
}

static const char LOOPBACK[] = "127.0.0.1"; /* of a port alone */

/* PORT, HOST:PORT or [HOST]:PORT. */
static bool split_address(const char *address, char host[HOST_SIZE], const char **ret_port)
{
    const char *colon = strrchr(address, ':');
    if (!colon) {
        memcpy(host, LOOPBACK, sizeof(LOOPBACK));
        *ret_port = address;
        return true;
    }
    size_t n = (size_t)(colon - address);
    if (n >= 2 && address[0] == '[' && address[n - 1] == ']')
        address++, n -= 2;
    if (n >= HOST_SIZE)
        return false;
    memcpy(host, address, n);
    host[n] = '\0';
    *ret_port = colon + 1;
    return true;
}

static int open_tcp_all(struct rg_server *s, unsigned n, const char *address, uint16_t *ret_port)
{
    char host[HOST_SIZE], port[8];
    const char *port_text;
    struct addrinfo *ai, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};

    if (!split_address(address, host, &port_text))
        return -EINVAL;
    snprintf(port, sizeof(port), "%s", port_text);
    int err = 0;
    for (unsigned i = 0; i < s->n_threads && err == 0; i++) {
        if (getaddrinfo(host[0] ? host : NULL, port, &hints, &ai) != 0)
            return -EINVAL;
        int fd = open_tcp(ai, s->n_threads > 1);
        freeaddrinfo(ai);
        if (fd < 0)
            return fd;
        s->threads[i].listeners[n] = (struct rg_source){RG_SOURCE_LISTENER, fd};
        *ret_port = bound_port(fd);
        snprintf(port, sizeof(port), "%u", *ret_port); /* the others join the port that 0 became */
    }
    return err;
}

static int open_unix_all(struct rg_server *s, unsigned n, const char *path)
{
    int fd = open_unix(path);
    if (fd < 0)
        return fd;
    for (unsigned i = 0; i < s->n_threads; i++) {
        int mine = i == 0 ? fd : dup(fd);
        if (mine < 0)
            return -errno;
        s->threads[i].listeners[n] = (struct rg_source){RG_SOURCE_LISTENER, mine};
    }
    return 0;
}

int rg_listen_open(struct rg_server *s, unsigned n, FILE *port_file)
{
    const char *address = s->listen[n];
    bool is_unix = strncmp(address, "unix:", 5) == 0;
    uint16_t port = 0;
    int err = is_unix ? open_unix_all(s, n, address + 5) : open_tcp_all(s, n, address, &port);
    if (err < 0) {
        fprintf(stderr, "ringgate-origin: cannot listen on %s: %s\n", address, strerror(-err));
        return err;
    }
    if (is_unix) {
        if (!s->quiet)
            printf("listening on %s\n", address);
        return 0;
    }
    if (!s->quiet) {
        const char *colon = strrchr(address, ':');
        int host_n = colon ? (int)(colon - address) : 0;
        printf("listening on http://%.*s:%u\n", host_n ? host_n : (int)sizeof(LOOPBACK) - 1,
               host_n ? address : LOOPBACK, port);
    }
    if (port_file)
        fprintf(port_file, "%u\n", port);
    return 0;
}

void rg_listen_close(struct rg_server *s)
{
    for (unsigned n = 0; n < s->n_listen; n++) {
        for (unsigned i = 0; i < s->n_threads; i++)
            if (s->threads[i].listeners[n].fd >= 0)
                close(s->threads[i].listeners[n].fd);
        if (strncmp(s->listen[n], "unix:", 5) == 0 && s->threads[0].listeners[n].fd >= 0)
            unlink(s->listen[n] + 5);
    }
}
