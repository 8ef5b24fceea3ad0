/*
 * Listening sockets: TCP ones per thread (SO_REUSEPORT when there are several), UNIX ones shared by all threads.
 * Thread: main, before the threads start and after they have ended.
 */
#include "bench/origin/origin.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

/* The descriptor, or a negative errno: it is closed then. */
static int bind_and_listen(int fd, const struct rg_bench_address *at)
{
    if (bind(fd, &at->any, at->len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int err = -errno;
    close(fd);
    return err;
}

static int open_unix(const struct rg_bench_address *at)
{
    struct stat st;
    if (lstat(at->un.sun_path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(at->un.sun_path); /* left by an origin that was killed */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : bind_and_listen(fd, at);
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

static int open_tcp(const struct rg_bench_address *at, bool shared)
{
    int one = 1;
    int fd = socket(at->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (shared)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    set_tcp_options(fd);
    return bind_and_listen(fd, at);
}

static uint16_t port_of(const struct rg_bench_address *at)
{
    return ntohs(at->any.sa_family == AF_INET6 ? at->in6.sin6_port : at->in.sin_port);
}

/* The others join the port that 0 became. */
static int open_tcp_all(struct rg_server *s, unsigned n, struct rg_bench_address *at)
{
    for (unsigned i = 0; i < s->n_threads; i++) {
        int fd = open_tcp(at, s->n_threads > 1);
        if (fd < 0)
            return fd;
        s->threads[i].listeners[n] = (struct rg_source){RG_SOURCE_LISTENER, fd};
        socklen_t len = sizeof(at->in6);
        if (getsockname(fd, &at->any, &len) < 0)
            return -errno;
    }
    return 0;
}

static int open_unix_all(struct rg_server *s, unsigned n, const struct rg_bench_address *at)
{
    int fd = open_unix(at);
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

static void tell_tcp(const char *text, uint16_t port)
{
    const char *colon = strrchr(text, ':');
    printf("listening on http://%.*s:%u\n", colon ? (int)(colon - text) : -1, colon ? text : "127.0.0.1", port);
}

int rg_listen_open(struct rg_server *s, unsigned n, FILE *port_file)
{
    const char *text = s->listen[n].text;
    struct rg_bench_address *at = &s->listen[n].address;
    bool is_unix = at->any.sa_family == AF_UNIX;
    int err = is_unix ? open_unix_all(s, n, at) : open_tcp_all(s, n, at);
    if (err < 0) {
        fprintf(stderr, "ringgate-origin: cannot listen on %s: %s\n", text, strerror(-err));
        return err;
    }
    if (!s->quiet && is_unix)
        printf("listening on %s\n", text);
    else if (!s->quiet)
        tell_tcp(text, port_of(at));
    if (port_file && !is_unix)
        fprintf(port_file, "%u\n", port_of(at));
    return 0;
}

void rg_listen_close(struct rg_server *s)
{
    for (unsigned n = 0; n < s->n_listen; n++) {
        for (unsigned i = 0; i < s->n_threads; i++)
            if (s->threads[i].listeners[n].fd >= 0)
                close(s->threads[i].listeners[n].fd);
        const struct rg_bench_address *at = &s->listen[n].address;
        if (at->any.sa_family == AF_UNIX && s->threads[0].listeners[n].fd >= 0)
            unlink(at->un.sun_path);
    }
}
