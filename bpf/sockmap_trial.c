/*
 * Does this kernel do what sockmap promises? Stable kernels are known that lose wake-ups, tell a reader that no bytes
 * wait for it (FIONREAD, which servers rely on), lose what was sent before a FIN, or queue without a limit. Each trial
 * plays one of these on a connection of its own and says what went wrong.
 *
 * An edge-triggered epoll stands for all that sleep: it reports only what the kernel woke it for, and io_uring waits on
 * the same queue.
 */
#include "bpf/sockmap_trial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS      1000
#define ROUNDS       64
#define QUEUE_BYTES  (64 << 10) /* asked for, of each TCP queue */
#define PIECE        4096u
#define FLOOD_MAX    (8u << 20) /* more than that may not be taken from a sender whose reader does not read */
#define RATHER_SMALL 512u       /* of a message that is redirected for certain */

struct pair {
    struct rg_sockmap *map;
    int gateway, replica; /* the connected sockets; -1: closed */
    int epoll;
    char *why;
    size_t why_len;
};

static int fail(struct pair *p, const char *what)
{
    snprintf(p->why, p->why_len, "%s", what);
    return -EPROTO;
}

static int fail_errno(struct pair *p, const char *what)
{
    int err = errno ? -errno : -EIO;

    snprintf(p->why, p->why_len, "%s: %s", what, strerror(-err));
    return err;
}

/* ---- a connection ---- */

static void set_queue(int fd)
{
    int bytes = QUEUE_BYTES, yes = 1;

    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
}

static int watch(const struct pair *p, int fd)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.fd = fd};

    return epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &e);
}

static int connect_pair(struct pair *p, int listener)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(to);

    set_queue(listener); /* inherited */
    if (bind(listener, (struct sockaddr *)&to, sizeof(to)) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&to, &len) != 0)
        return fail_errno(p, "can't listen on 127.0.0.1");
    p->gateway = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p->gateway < 0)
        return fail_errno(p, "no socket");
    set_queue(p->gateway);
    if (rg_sockmap_mark(p->map, p->gateway) != 0)
        return fail_errno(p, "marking a socket failed");
    if (connect(p->gateway, (struct sockaddr *)&to, sizeof(to)) != 0)
        return fail_errno(p, "can't connect to 127.0.0.1");
    p->replica = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (p->replica < 0 || watch(p, p->gateway) != 0 || watch(p, p->replica) != 0)
        return fail_errno(p, "no connection");
    return 0;
}

static int open_pair(struct pair *p)
{
    uint64_t before = rg_sockmap_get(p->map, RG_SOCKMAP_CONNECTIONS);
    int listener, err;

    p->gateway = p->replica = -1;
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    err = p->epoll < 0 || listener < 0 ? fail_errno(p, "no socket") : connect_pair(p, listener);
    if (listener >= 0)
        close(listener);
    if (!err && rg_sockmap_get(p->map, RG_SOCKMAP_CONNECTIONS) == before)
        err = fail(p, "a connection of the gateway's own did not enter the map; its cgroup may be outside the cgroup2 "
                      "file system that is mounted");
    return err;
}

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void close_pair(struct pair *p)
{
    close_end(&p->gateway);
    close_end(&p->replica);
    close_end(&p->epoll);
}

static bool wakes(const struct pair *p, int fd)
{
    struct epoll_event e;

    while (epoll_wait(p->epoll, &e, 1, WAIT_MS) == 1)
        if (e.data.fd == fd)
            return true;
    return false;
}

/* ---- trials ---- */

static int pass_message(struct pair *p, int from, int to)
{
    static const char text[] = "which way did this take?";
    char got[sizeof(text)];
    int waiting = 0;

    if (send(from, text, sizeof(text), MSG_NOSIGNAL) != (ssize_t)sizeof(text))
        return fail_errno(p, "sending failed");
    if (!wakes(p, to))
        return fail(p, "this kernel does not wake a reader");
    if (ioctl(to, FIONREAD, &waiting) != 0 || waiting != (int)sizeof(text))
        return fail(p, "this kernel does not tell a reader how many bytes wait (FIONREAD)");
    if (recv(to, got, 1, MSG_PEEK | MSG_DONTWAIT) != 1)
        return fail(p, "this kernel does not show the bytes that wait (MSG_PEEK)");
    memset(got, 0, sizeof(got));
    if (recv(to, got, sizeof(got), MSG_DONTWAIT) != (ssize_t)sizeof(text) || memcmp(got, text, sizeof(text)) != 0)
        return fail(p, "this kernel delivers something else than was sent");
    if (recv(to, got, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN)
        return fail(p, "this kernel delivers more than was sent");
    return 0;
}

static int try_messages(struct pair *p)
{
    uint64_t before = rg_sockmap_get(p->map, RG_SOCKMAP_REDIRECTED);

    for (unsigned i = 0; i < ROUNDS; i++) {
        int err = pass_message(p, p->gateway, p->replica);

        if (!err)
            err = pass_message(p, p->replica, p->gateway);
        if (err)
            return err;
    }
    if (rg_sockmap_get(p->map, RG_SOCKMAP_REDIRECTED) - before != 2ull * ROUNDS)
        return fail(p, "this kernel does not redirect");
    return 0;
}

/* Some bytes, then the end: both have to arrive, in this order. */
static int take_rest(struct pair *p, int fd, size_t want)
{
    char got[RATHER_SMALL];
    size_t sum = 0;

    for (;;) {
        ssize_t n = recv(fd, got, sizeof(got), MSG_DONTWAIT);

        if (n == 0)
            break;
        if (n > 0)
            sum += (size_t)n;
        else if (errno != EAGAIN)
            return fail_errno(p, "this kernel breaks a connection that ends in order");
        else if (!wakes(p, fd))
            return fail(p, "this kernel does not wake a reader for the end of a connection");
    }
    return sum == want ? 0 : fail(p, "this kernel loses what was sent before the end of a connection");
}

static int try_end(struct pair *p)
{
    char text[RATHER_SMALL] = {0};

    if (send(p->replica, text, sizeof(text), MSG_NOSIGNAL) != (ssize_t)sizeof(text))
        return fail_errno(p, "sending failed");
    close_end(&p->replica);
    return take_rest(p, p->gateway, sizeof(text));
}

/* One side ends, the other still has something to say. */
static int try_half_close(struct pair *p)
{
    char text[RATHER_SMALL] = {0};

    if (send(p->gateway, text, sizeof(text), MSG_NOSIGNAL) != (ssize_t)sizeof(text) ||
        shutdown(p->gateway, SHUT_WR) != 0)
        return fail_errno(p, "sending failed");
    int err = take_rest(p, p->replica, sizeof(text));
    if (err)
        return err;
    if (send(p->replica, text, sizeof(text), MSG_NOSIGNAL) != (ssize_t)sizeof(text))
        return fail_errno(p, "sending after the other side's end failed");
    close_end(&p->replica);
    return take_rest(p, p->gateway, sizeof(text));
}

/* What was sent is numbered, so that a byte out of place shows. */
static void fill(unsigned char *piece, uint64_t at)
{
    for (unsigned i = 0; i < PIECE; i++)
        piece[i] = (unsigned char)((at + i) * 131 >> 3);
}

static uint64_t send_until_full(int from)
{
    unsigned char piece[PIECE];
    uint64_t sent = 0;

    while (sent < FLOOD_MAX) {
        fill(piece, sent);
        ssize_t n = send(from, piece, sizeof(piece), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n <= 0)
            break;
        sent += (uint64_t)n;
    }
    return sent;
}

static int take_flood(struct pair *p, int to, uint64_t sent)
{
    unsigned char piece[PIECE], want[PIECE];
    uint64_t got = 0;

    while (got < sent) {
        ssize_t n = recv(to, piece, sizeof(piece), MSG_DONTWAIT);

        if (n < 0 && errno == EAGAIN && wakes(p, to))
            continue;
        if (n <= 0)
            return fail(p, "this kernel loses bytes of a reader that was slow");
        fill(want, got);
        if (memcmp(piece, want, (size_t)n) != 0)
            return fail(p, "this kernel changes the order of bytes when a connection leaves the map");
        got += (uint64_t)n;
    }
    return 0;
}

/* The reader sleeps: the sender must be stopped. Then it reads, and everything is there in its order. */
static int flood(struct pair *p, int from, int to)
{
    uint64_t sent = send_until_full(from);

    if (sent >= FLOOD_MAX)
        return fail(p, "this kernel does not stop a sender whose reader does not read");
    if (sent == 0)
        return fail_errno(p, "sending failed");
    return take_flood(p, to, sent);
}

static int try_floods(struct pair *p)
{
    int err = flood(p, p->replica, p->gateway);

    return err ? err : flood(p, p->gateway, p->replica);
}

int rg_sockmap_trial(struct rg_sockmap *s, char *why, size_t why_len)
{
    int (*const trials[])(struct pair *) = {try_messages, try_end, try_half_close, try_floods};

    for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
        struct pair p = {.map = s, .why = why, .why_len = why_len};
        int err = open_pair(&p);

        if (!err)
            err = trials[i](&p);
        close_pair(&p);
        if (err)
            return err;
    }
    return 0;
}
