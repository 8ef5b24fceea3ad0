/* See listen.h: addresses, one socket, then a listener with a socket for each worker. */
#include "control/gateway/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "control/common/address.h"
#include "control/common/loop.h"
#include "control/gateway/listen_inherit.h"
#include "datapath/base/log.h"

#define SINGLE_BACKLOG 64

/*
 * A process that was killed keeps its listening sockets for some milliseconds after it is gone: io_uring is torn down
 * by the kernel in its own time. A successor that is started at once waits for that, WAIT_MS for all of its listeners
 * together; what is still in use then belongs to another program.
 */
#define WAIT_MS 1000
#define STEP_MS 20

struct patience {
    uint64_t until_ms; /* 0: don't wait */
    bool said;
};

/* ---- Addresses ---- */

void rg_address_format(const struct rg_address *a, char *out, size_t len)
{
    char host[INET6_ADDRSTRLEN] = "";
    switch (a->sa.sa_family) {
    case AF_INET:
        inet_ntop(AF_INET, &a->in.sin_addr, host, sizeof(host));
        snprintf(out, len, "%s:%u", host, ntohs(a->in.sin_port));
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &a->in6.sin6_addr, host, sizeof(host));
        snprintf(out, len, "[%s]:%u", host, ntohs(a->in6.sin6_port));
        break;
    case AF_UNIX:
        snprintf(out, len, "unix:%.*s", (int)sizeof(a->un.sun_path), a->un.sun_path);
        break;
    default:
        snprintf(out, len, "%s", a->text);
    }
}

static bool is_unix(const struct rg_address *a)
{
    return a->sa.sa_family == AF_UNIX;
}

/* The address that the kernel gave, for a configured port of 0; the text follows it. */
static void learn_address(int fd, struct rg_address *a)
{
    if (is_unix(a))
        return;
    socklen_t len = sizeof(a->in6);
    if (getsockname(fd, &a->sa, &len) == 0)
        a->len = len;
    rg_address_format(a, a->text, sizeof(a->text));
}

/* ---- One socket ---- */

static const char *remedy(int error, const struct rg_address *a)
{
    switch (error) {
    case EACCES:
    case EPERM:
        return is_unix(a) ? "the directory must be writable by this user"
                          : "ports below 1024 need root or CAP_NET_BIND_SERVICE";
    case EADDRINUSE:
        return is_unix(a) ? "another program listens there; `ss -lxp` shows which"
                          : "another program listens there; `ss -ltnp` shows which";
    case EADDRNOTAVAIL:
        return "this machine has no such address; `ip address` shows those it has";
    case EAFNOSUPPORT:
        return "this kernel has no IPv6; use an IPv4 address such as 0.0.0.0:80";
    case ENOENT:
        return "the directory does not exist";
    case ENOTSOCK:
        return "a file that is not a socket stands there; move it away";
    case EMFILE:
    case ENFILE:
        return "raise the limit of open files";
    default:
        return NULL;
    }
}

static int fail(int error, const char *what, const struct rg_address *a, char *why, size_t why_len)
{
    const char *advice = remedy(error, a);
    snprintf(why, why_len, "can't %s %s: %s%s%s", what, a->text, strerror(error), advice ? "; " : "",
             advice ? advice : "");
    return -error;
}

/* How long an address in use may be waited for; said when that begins. */
static int wait_left(struct patience *p, const struct rg_address *a)
{
    uint64_t now = rg_now_ms();
    if (now >= p->until_ms)
        return 0;
    if (!p->said)
        rg_info("address in use, waiting for a process that may be ending address=%s at_most_ms=%u", a->text, WAIT_MS);
    p->said = true;
    return (int)(p->until_ms - now);
}

static bool wait_a_step(struct patience *p, const struct rg_address *a)
{
    int left = wait_left(p, a);
    if (left > 0)
        poll(NULL, 0, left < STEP_MS ? left : STEP_MS);
    return left > 0;
}

static void set_option(int fd, int level, int option, int value)
{
    setsockopt(fd, level, option, &value, sizeof(value));
}

/*
 * A receiver opens its window again when about a segment of it is free. With loopback's segments of 64 KiB a client
 * that reads 1 KiB/s would take nothing for a minute at a time, and look stalled (timeouts.body_idle). Large sends are
 * still handed down in 64 KiB units.
 */
#define SEGMENT_MAX 16384

/* What the kernel takes for a client beyond what the client's window allows. More would only wait there, and cost
 * memory. */
#define UNSENT_MAX (256 * 1024)

/*
 * Accepted sockets inherit both. Loopback has no queue worth pacing for: a congestion control that paces (BBR is the
 * default of some kernels) only adds timers there, as of Linux 6.18.
 */
static void tune_tcp(int fd, const struct rg_address *a)
{
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, IPPROTO_TCP, TCP_MAXSEG, SEGMENT_MAX);
    set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_MAX);
    if (!rg_address_is_loopback(a))
        return;
    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) < 0)
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
}

static int bind_socket(const struct rg_address *a, bool reuseport, char *why, size_t why_len)
{
    int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error;
    if (fd < 0)
        return fail(errno, "open a socket for", a, why, why_len);
    if (!is_unix(a)) {
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        if (a->sa.sa_family == AF_INET6) /* [::] takes IPv4 too, unless an inherited socket beside it doesn't */
            set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, a->v6_only);
        if (reuseport)
            set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
        tune_tcp(fd, a);
    }
    if (bind(fd, &a->sa, a->len) < 0) {
        error = errno;
        close(fd);
        return fail(error, "bind", a, why, why_len);
    }
    return fd;
}

static int open_socket(const struct rg_address *a, bool reuseport, uint32_t backlog, char *why, size_t why_len)
{
    int fd = bind_socket(a, reuseport, why, why_len), error;
    if (fd < 0 || listen(fd, (int)backlog) == 0)
        return fd;
    error = errno;
    close(fd);
    return fail(error, "listen on", a, why, why_len);
}

/*
 * Connects to a socket file: 0 or a negative errno. A connection that succeeded is kept until the other side ends it or
 * the time is over. One that is dying ends it with its socket, and the queue of one that lives gets a single connection
 * from us.
 */
static int knock(const struct rg_address *a, struct patience *p)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int r = connect(fd, &a->sa, a->len) < 0 ? -errno : 0;
    struct pollfd hang_up = {.fd = fd};
    if (r == 0)
        poll(&hang_up, 1, wait_left(p, a));
    close(fd);
    return r;
}

/* A socket file that nobody listens on is left from a process that was killed; one that answers is in use. */
static int clear_stale_file(const struct rg_address *a, struct patience *p, char *why, size_t why_len)
{
    struct stat st;
    int r;
    if (a->un.sun_path[0] == '\0' || lstat(a->un.sun_path, &st) < 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return fail(ENOTSOCK, "bind", a, why, why_len);
    do
        r = knock(a, p);
    while ((r == 0 || r == -EAGAIN) && wait_a_step(p, a)); /* EAGAIN: its queue is full */
    if (r == 0 || r == -EAGAIN || r == -EPROTOTYPE)
        return fail(EADDRINUSE, "bind", a, why, why_len);
    if (r != -ECONNREFUSED && r != -ENOENT)
        return fail(-r, "bind", a, why, why_len);
    if (unlink(a->un.sun_path) < 0 && errno != ENOENT)
        return fail(errno, "remove the stale socket", a, why, why_len);
    return 0;
}

int rg_listen_single(const struct rg_address *address, char *why, size_t why_len)
{
    struct patience none = {0};
    int r = is_unix(address) ? clear_stale_file(address, &none, why, why_len) : 0;
    return r < 0 ? r : open_socket(address, false, SINGLE_BACKLOG, why, why_len);
}

/* ---- A listener: a socket for each worker ---- */

static void remember_file(struct rg_listen_socket *l)
{
    struct stat st;
    if (l->address.un.sun_path[0] != '\0' && lstat(l->address.un.sun_path, &st) == 0) {
        l->owns_file = true;
        l->dev = st.st_dev;
        l->ino = st.st_ino;
    }
}

/* UNIX sockets, and inherited ones that no other can be bound beside, have one queue: all workers accept from it. */
static int share_first(struct rg_listen_socket *l, uint16_t workers, char *why, size_t why_len)
{
    for (uint16_t w = 1; w < workers; w++) {
        if (l->fds[w] >= 0)
            continue;
        l->fds[w] = fcntl(l->fds[0], F_DUPFD_CLOEXEC, 3);
        if (l->fds[w] < 0)
            return fail(errno, "share", &l->address, why, why_len);
    }
    if (l->inherited)
        l->borrowed = UINT64_MAX;
    return 0;
}

static int open_unix(struct rg_listen_socket *l, const struct rg_settings *s, struct patience *p, char *why,
                     size_t why_len)
{
    int r = clear_stale_file(&l->address, p, why, why_len);
    if (r < 0)
        return r;
    l->fds[0] = open_socket(&l->address, false, s->backlog, why, why_len);
    if (l->fds[0] < 0)
        return l->fds[0];
    remember_file(l);
    return share_first(l, s->workers, why, why_len);
}

/* A machine without IPv6 has no [::]; the default address then means all IPv4 addresses. */
static bool fall_back_to_ipv4(struct rg_address *a)
{
    if (a->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr))
        return false;
    in_port_t port = a->in6.sin6_port;
    memset(&a->in6, 0, sizeof(a->in6));
    a->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
    a->len = sizeof(a->in);
    rg_address_format(a, a->text, sizeof(a->text));
    return true;
}

/*
 * Sockets of a reuseport group may be bound by any process of the same user: a gateway started twice by mistake would
 * take half of the connections without a word. A socket outside of the group finds out. Handing over without a gap goes
 * by inherited sockets.
 */
static int check_unused(const struct rg_listen_socket *l, struct patience *p, char *why, size_t why_len)
{
    int fd;
    do
        fd = bind_socket(&l->address, false, why, why_len);
    while (fd == -EADDRINUSE && wait_a_step(p, &l->address));
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

/* Only the user who has bound the first socket of a group may bind others, and a low port takes a right that the
 * service manager had. */
static bool may_not_join(int error)
{
    return error == -EADDRINUSE || error == -EACCES || error == -EPERM;
}

static int open_rest_of_group(struct rg_listen_socket *l, const struct rg_settings *s, char *why, size_t why_len)
{
    for (uint16_t w = 0; w < s->workers; w++) {
        if (l->fds[w] >= 0)
            continue;
        int fd = open_socket(&l->address, true, s->backlog, why, why_len);
        if (l->inherited && may_not_join(fd)) {
            rg_warn("no socket can be bound beside the inherited ones, workers share them, without steering "
                    "address=%s error=\"%s\"; give one to each worker (systemd: ListenStream= as often)",
                    l->address.text, strerror(-fd));
            return share_first(l, s->workers, why, why_len);
        }
        if (fd < 0)
            return fd;
        l->fds[w] = fd;
        learn_address(fd, &l->address);
    }
    l->steerable = true;
    return 0;
}

static int open_tcp(struct rg_listen_socket *l, const struct rg_settings *s, struct patience *p, char *why,
                    size_t why_len)
{
    if (l->inherited && !rg_inherit_shares_port(l->fds[0]))
        return share_first(l, s->workers, why, why_len);
    int r = l->inherited ? 0 : check_unused(l, p, why, why_len);
    if (r == -EAFNOSUPPORT && fall_back_to_ipv4(&l->address)) {
        rg_warn("no IPv6 on this machine, listening on IPv4 only address=%s", l->address.text);
        r = check_unused(l, p, why, why_len);
    }
    return r < 0 ? r : open_rest_of_group(l, s, why, why_len);
}

static int open_listener(struct rg_listen_socket *l, const struct rg_settings *s, struct patience *p, char *why,
                         size_t why_len)
{
    if (!is_unix(&l->address))
        return open_tcp(l, s, p, why, why_len);
    return l->inherited ? share_first(l, s->workers, why, why_len) : open_unix(l, s, p, why, why_len);
}

/* Two of our own that can't both be bound, like [::]:80 and 127.0.0.1:80. Of inherited ones somebody else has made
 * sure. */
static int check_earlier(const struct rg_listen_set *set, uint16_t i, char *why, size_t why_len)
{
    const struct rg_listen_socket *l = &set->sockets[i];
    for (uint16_t j = 0; j < i && !l->inherited; j++) {
        const struct rg_listen_socket *earlier = &set->sockets[j];
        if (earlier->inherited || !rg_address_overlaps(&l->address, &earlier->address))
            continue;
        snprintf(why, why_len, "can't bind %s: the listener %s takes it already; leave one of the two out",
                 l->address.text, earlier->address.text);
        return -EADDRINUSE;
    }
    return 0;
}

static void take_inherited(struct rg_listen_set *set, uint32_t backlog)
{
    struct rg_inherited in;
    rg_inherit_collect(&in);
    for (uint16_t i = 0; i < set->n; i++) {
        struct rg_listen_socket *l = &set->sockets[i];
        uint16_t n = rg_inherit_match(&in, &l->address, l->fds, set->workers);
        l->inherited = n > 0;
        for (uint16_t w = 0; w < n; w++) {
            l->borrowed |= 1ull << w;
            if (!is_unix(&l->address))
                tune_tcp(l->fds[w], &l->address);
            listen(l->fds[w], (int)backlog); /* systemd has done it; a simpler manager may have left it to us */
        }
        if (n > 0)
            rg_info("listening socket inherited address=%s sockets=%u", l->address.text, n);
    }
    rg_inherit_close_rest(&in);
}

/* Puts the name of the option, or of the flag that stood for it, before the cause. */
static int prefix_error(bool by_flag, uint16_t i, int r, char *why, size_t why_len)
{
    char cause[RG_LISTEN_ERROR_MAX];
    snprintf(cause, sizeof(cause), "%s", why);
    if (by_flag)
        snprintf(why, why_len, "--listen: %s", cause);
    else
        snprintf(why, why_len, "listeners[%u].address: %s", i, cause);
    return r;
}

int rg_listen_open(struct rg_listen_set *set, const struct rg_settings *s, bool by_flag, char *why, size_t why_len)
{
    struct patience patience = {.until_ms = rg_now_ms() + WAIT_MS};
    *set = (struct rg_listen_set){.n = s->n_listeners, .workers = s->workers};
    for (uint16_t i = 0; i < set->n; i++) {
        set->sockets[i].address = s->listeners[i].address;
        for (unsigned w = 0; w < RG_WORKERS_MAX; w++)
            set->sockets[i].fds[w] = -1;
    }
    take_inherited(set, s->backlog);
    for (uint16_t i = 0; i < set->n; i++) {
        int r = check_earlier(set, i, why, why_len);
        if (r == 0)
            r = open_listener(&set->sockets[i], s, &patience, why, why_len);
        if (r < 0) {
            rg_listen_unlink(set);
            rg_listen_close(set);
            return prefix_error(by_flag, i, r, why, why_len);
        }
        if (set->sockets[i].steerable)
            set->sockets[i].group = set->groups++;
    }
    return 0;
}

uint16_t rg_listen_of_worker(const struct rg_listen_set *set, uint16_t worker, int ret[RG_LISTENERS_MAX])
{
    for (uint16_t i = 0; i < set->n; i++)
        ret[i] = set->sockets[i].fds[worker];
    return set->n;
}

uint32_t rg_listen_borrowed(const struct rg_listen_set *set, uint16_t worker)
{
    uint32_t ret = 0;
    for (uint16_t i = 0; i < set->n; i++)
        if (set->sockets[i].borrowed >> worker & 1)
            ret |= 1u << i;
    return ret;
}

void rg_listen_give(struct rg_listen_set *set, uint16_t worker)
{
    for (uint16_t i = 0; i < set->n; i++)
        set->sockets[i].fds[worker] = -1;
}

void rg_listen_unlink(struct rg_listen_set *set)
{
    for (uint16_t i = 0; i < set->n; i++) {
        struct rg_listen_socket *l = &set->sockets[i];
        struct stat st;
        if (!l->owns_file)
            continue;
        l->owns_file = false;
        /* A process started beside this one may have put its own socket there. */
        if (lstat(l->address.un.sun_path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
            unlink(l->address.un.sun_path);
    }
}

void rg_listen_close(struct rg_listen_set *set)
{
    for (uint16_t i = 0; i < set->n; i++) {
        for (uint16_t w = 0; w < set->workers; w++) {
            if (set->sockets[i].fds[w] >= 0)
                close(set->sockets[i].fds[w]);
            set->sockets[i].fds[w] = -1;
        }
    }
    set->n = 0;
}
