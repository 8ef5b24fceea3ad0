/* See sys.h. */
#include "datapath/sys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bpf/sockmap.h"

#define PIPE_BYTES (512 * 1024) /* measured: docs/adr/0008; more brings nothing */

/*
 * ThreadSanitizer does not see the descriptors that the ring opens and closes. It would hold one for the property of
 * the thread that it saw use that number before. So it does not see those that are opened and closed here, either:
 * system calls pass it by. The suppression is for the other calls on them; it needs the names of functions, which can't
 * be found out when descriptors have run out. Nothing else that is shared is touched here, nor by the functions that
 * read files (rg_file_*, of the control thread), whose descriptors have numbers that a worker's connections had before.
 */
#ifdef __SANITIZE_THREAD__
#include <sys/syscall.h>
#define socket(domain, type, protocol)   ((int)syscall(SYS_socket, domain, type, protocol))
#define accept4(fd, address, len, flags) ((int)syscall(SYS_accept4, fd, address, len, flags))
#define pipe2(fds, flags)                ((int)syscall(SYS_pipe2, fds, flags))
#define close                            close_unseen
static int close_unseen(int fd)
{
    return (int)syscall(SYS_close, fd);
}

const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:^rg_sys_\nrace:^rg_file_";
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "print_suppressions=0";
}
#endif

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

uint64_t rg_sys_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t rg_sys_unix_us(void)
{
    return clock_ns(CLOCK_REALTIME) / 1000;
}

static bool is_loopback4(uint32_t addr_be)
{
    return ntohl(addr_be) >> 24 == 127;
}

static bool is_loopback6(const struct in6_addr *a)
{
    if (IN6_IS_ADDR_V4MAPPED(a))
        return a->s6_addr[12] == 127;
    return IN6_IS_ADDR_LOOPBACK(a);
}

static bool is_loopback(const struct sockaddr *sa)
{
    return sa->sa_family == AF_INET ? is_loopback4(((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr)
                                    : is_loopback6(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr);
}

/* Loopback needs no pacing and no estimate of a path: BBR, where it is the default, costs timers and throughput there.
 */
static void tune_loopback(int fd)
{
    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) != 0)
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
}

static void set_int(int fd, int level, int option, int value)
{
    setsockopt(fd, level, option, &value, sizeof value);
}

int rg_sys_socket(const struct sockaddr *to)
{
    /* The connect of a UNIX socket that does not wait fails when the peer's queue is full. */
    int no_wait = to->sa_family == AF_UNIX ? 0 : SOCK_NONBLOCK;
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | no_wait, 0);
    if (fd < 0)
        return -errno;
    if (to->sa_family == AF_UNIX)
        return fd;
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (is_loopback(to))
        tune_loopback(fd);
    return fd;
}

void rg_sys_connected(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && !(flags & O_NONBLOCK))
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/*
 * The kernel acknowledges the first segment of a connection at once, by a segment of its own, unless it takes the
 * connection for one where question and answer alternate. That is what it finds out after the first response anyway.
 */
void rg_sys_acknowledge_late(int listener)
{
    set_int(listener, IPPROTO_TCP, TCP_QUICKACK, 0);
}

/*
 * An even number asks for what waits to be acknowledged and leaves the rest as it was: what comes next may be answered,
 * and needs no segment of its own. When nothing waits, it was acknowledged already.
 */
void rg_sys_acknowledge(int fd)
{
    set_int(fd, IPPROTO_TCP, TCP_QUICKACK, 2);
}

bool rg_sys_may_pace(int fd)
{
    char name[16] = "";
    socklen_t len = sizeof name - 1;
    if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) != 0)
        return false;
    return strcmp(name, "cubic") != 0 && strcmp(name, "reno") != 0;
}

void rg_sys_accepted(int fd, bool tune, struct rg_peer_text *peer, uint16_t *port, struct in6_addr *addr)
{
    struct rg_address a = {.len = sizeof a.in6};
    *peer = (struct rg_peer_text){0}; /* a UNIX socket has no address */
    *port = 0;
    memset(addr, 0, sizeof *addr);
    if (getpeername(fd, &a.sa, &a.len) != 0)
        return;
    if (a.sa.sa_family == AF_INET) {
        *port = ntohs(a.in.sin_port);
        addr->s6_addr[10] = addr->s6_addr[11] = 0xff;
        memcpy(&addr->s6_addr[12], &a.in.sin_addr, 4);
    } else if (a.sa.sa_family == AF_INET6) {
        *addr = a.in6.sin6_addr;
        *port = ntohs(a.in6.sin6_port);
    } else {
        return;
    }
    rg_peer_text_set(peer, addr);
    if (tune && is_loopback6(addr))
        tune_loopback(fd);
}

uint16_t rg_sys_local_port(int fd)
{
    struct rg_address a = {.len = sizeof a.in6};
    if (getsockname(fd, &a.sa, &a.len) != 0)
        return 0;
    if (a.sa.sa_family == AF_INET)
        return ntohs(a.in.sin_port);
    return a.sa.sa_family == AF_INET6 ? ntohs(a.in6.sin6_port) : 0;
}

bool rg_sys_mark_for_sockmap(int marks, int fd)
{
    struct rg_sockmap_end end = {.side = RG_SOCKMAP_GATEWAY};
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.map_fd = (uint32_t)marks;
    attr.key = (uintptr_t)&fd;
    attr.value = (uintptr_t)&end;
    attr.flags = BPF_NOEXIST;
    return syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attr, sizeof attr) == 0;
}

int64_t rg_sys_unsent(int fd)
{
    int n = 0;
    return ioctl(fd, SIOCOUTQ, &n) == 0 ? n : -1;
}

bool rg_sys_has_bytes(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

bool rg_sys_is_quiet(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

void rg_sys_reset_on_close(int fd)
{
    struct linger l = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
}

int rg_sys_pipe(int *ret_out, int *ret_in, uint32_t *ret_capacity, uint32_t least)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return -errno;
    int capacity = fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES);
    if (capacity < 0) /* a user without rights has a limit for all pipes together: fs.pipe-user-pages-soft */
        capacity = fcntl(ends[1], F_GETPIPE_SZ);
    if (capacity < (int)least) {
        close(ends[0]);
        close(ends[1]);
        return -EPERM;
    }
    *ret_out = ends[0];
    *ret_in = ends[1];
    *ret_capacity = (uint32_t)capacity;
    return 0;
}

int64_t rg_sys_splice(int from, int to, uint64_t n)
{
    ssize_t r = splice(from, NULL, to, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    return r < 0 ? -errno : r;
}

int rg_sys_renumber(int fd)
{
    int lower = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (lower < 0)
        return fd;
    close(fd);
    return lower;
}

bool rg_sys_has_waiting(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) > 0 && (p.revents & POLLIN);
}

void rg_sys_close(int fd)
{
    close(fd);
}

int rg_sys_accept(int listener)
{
    int fd;
    do
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    return fd < 0 ? -errno : fd;
}

bool rg_sys_shares_port(int fd)
{
    int value = 0;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, &len) == 0 && value != 0;
}

bool rg_sys_refuse_handshakes(int fd)
{
    int domain = 0;
    socklen_t len = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) != 0 || domain == AF_UNIX)
        return false;
    /* Byte 13 of the TCP header holds the flags; a segment with SYN alone opens a connection. */
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),          BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
    };
    struct sock_fprog prog = {.len = sizeof code / sizeof *code, .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof prog) == 0;
}
