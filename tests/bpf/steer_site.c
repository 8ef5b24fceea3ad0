#include "tests/bpf/steer_site.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SKIP           77
#define ACCEPT_WAIT_MS 5000

static int bring_loopback_up(void)
{
    struct ifreq request = {.ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;

    memcpy(request.ifr_name, "lo", sizeof("lo"));
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) != 0)
        err = -errno;
    if (fd >= 0)
        close(fd);
    return err;
}

int site_enter_namespace(void)
{
    struct rg_steer *steer;
    char why[256];
    int err;

    if (unshare(CLONE_NEWNET) != 0) {
        printf("skipped: no right to make a network namespace (%s); run as root\n", strerror(errno));
        return SKIP;
    }
    err = bring_loopback_up();
    if (err) {
        printf("skipped: loopback can't be brought up: %s\n", strerror(-err));
        return SKIP;
    }
    err = rg_steer_create(&steer, RG_STEER_MODE_LOAD, 1, 1, why, sizeof(why));
    if (err == -EPERM || err == -ENOSYS) {
        printf("skipped: %s\n", why);
        return SKIP;
    }
    if (err) { /* rights are there, so this is a failure, not a reason to skip */
        printf("loading failed: %s\n", why);
        return 1;
    }
    rg_steer_destroy(steer);
    return 0;
}

static socklen_t address_of(struct sockaddr_storage *ret, int family, uint16_t port, bool any)
{
    memset(ret, 0, sizeof(*ret));
    if (family == AF_INET6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        in6->sin6_addr = any ? in6addr_any : in6addr_loopback;
        return sizeof(*in6);
    }
    struct sockaddr_in *in = (struct sockaddr_in *)ret;

    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    in->sin_addr.s_addr = htonl(any ? INADDR_ANY : INADDR_LOOPBACK);
    return sizeof(*in);
}

int site_listen(int family, uint16_t *port)
{
    static uint16_t last_port =
        8000; /* all are free in here; one that the kernel picks is lost when the socket is shut down */
    struct sockaddr_storage address;
    socklen_t len;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, off = 0;

    if (*port == 0)
        *port = ++last_port;
    len = address_of(&address, family, *port, true);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
    if (family == AF_INET6)
        assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, SITE_CLIENTS_MAX), 0);
    return fd;
}

void site_open(struct site *s, enum rg_steer_mode mode, unsigned workers, unsigned sockets, int family)
{
    char why[256] = "";

    *s = (struct site){.workers = workers, .sockets = sockets, .family = family};
    if (rg_steer_create(&s->steer, mode, workers, 1, why, sizeof(why)) != 0)
        fail_msg("create: %s", why);
    for (unsigned i = 0; i < sockets; i++) {
        s->listener[i] = site_listen(family, &s->port);
        assert_int_equal(rg_steer_add(s->steer, 0, i, s->listener[i]), 0);
    }
}

static void close_with_reset(int fd)
{
    const struct linger now = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd);
}

void site_drop_connections(struct site *s)
{
    while (s->n_clients > 0)
        close_with_reset(s->client[--s->n_clients]);
    while (s->n_served > 0)
        close(s->served[--s->n_served]);
}

void site_close(struct site *s)
{
    site_drop_connections(s);
    for (unsigned i = 0; i < s->sockets; i++)
        close(s->listener[i]);
    rg_steer_destroy(s->steer);
}

uint64_t site_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct rg_steer_worker *site_row(struct site *s, unsigned worker)
{
    struct rg_steer_worker *row = rg_steer_row(s->steer, worker);

    assert_non_null(row);
    return row;
}

void site_set_turn(struct site *s, unsigned worker, uint64_t age_ns)
{
    __atomic_store_n(&site_row(s, worker)->busy_since, age_ns ? site_now() - age_ns : 0, __ATOMIC_RELAXED);
}

static uint64_t assigned(struct site *s, unsigned worker)
{
    return __atomic_load_n(&site_row(s, worker)->assigned, __ATOMIC_RELAXED);
}

static int connect_client(int family, uint16_t from_port, uint16_t port)
{
    struct sockaddr_storage address;
    socklen_t len;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    assert_true(fd >= 0);
    if (from_port) {
        len = address_of(&address, family, from_port, false);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    }
    len = address_of(&address, family, port, false);
    if (connect(fd, (struct sockaddr *)&address, len) != 0)
        fail_msg("connect: %s", strerror(errno));
    return fd;
}

uint32_t site_connect_to(struct site *s, int family, uint16_t from_port)
{
    uint64_t before[RG_STEER_WORKERS_MAX];
    uint32_t chosen = SITE_NOBODY;

    assert_true(s->n_clients < SITE_CLIENTS_MAX);
    for (unsigned i = 0; i < s->workers; i++)
        before[i] = assigned(s, i);
    s->client[s->n_clients++] = connect_client(family, from_port, s->port);
    for (unsigned i = 0; i < s->workers; i++) {
        if (assigned(s, i) == before[i])
            continue;
        assert_int_equal(assigned(s, i), before[i] + 1);
        assert_int_equal(chosen, SITE_NOBODY);
        chosen = i;
    }
    return chosen;
}

uint32_t site_connect(struct site *s)
{
    return site_connect_to(s, s->family, 0);
}

static bool accept_from(struct site *s, unsigned worker)
{
    struct rg_steer_worker *row = site_row(s, worker);
    int fd = accept4(s->listener[worker], NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0) {
        assert_true(errno == EAGAIN || errno == EINVAL); /* EINVAL: it was shut down */
        return false;
    }
    assert_true(s->n_served < SITE_CLIENTS_MAX);
    s->served[s->n_served++] = fd;
    __atomic_store_n(&row->accepted, row->accepted + 1, __ATOMIC_RELAXED);
    return true;
}

uint32_t site_accept(struct site *s)
{
    struct pollfd wait[RG_STEER_WORKERS_MAX];

    for (unsigned i = 0; i < s->sockets; i++)
        wait[i] = (struct pollfd){.fd = s->listener[i], .events = POLLIN};
    if (poll(wait, s->sockets, ACCEPT_WAIT_MS) <= 0)
        fail_msg("no connection arrived");
    for (unsigned i = 0; i < s->sockets; i++)
        if ((wait[i].revents & POLLIN) && accept_from(s, i))
            return i;
    fail_msg("no listener had the connection");
    return SITE_NOBODY;
}

unsigned site_accept_all_of(struct site *s, unsigned worker)
{
    unsigned n = 0;

    while (accept_from(s, worker))
        n++;
    return n;
}

uint32_t site_serve_one(struct site *s)
{
    uint32_t chosen = site_connect(s), worker = site_accept(s);

    assert_int_equal(worker, chosen);
    return worker;
}

void site_read_verdicts(struct site *s, uint64_t ret[RG_STEER_VERDICT_COUNT])
{
    for (unsigned v = 0; v < RG_STEER_VERDICT_COUNT; v++) {
        uint64_t now = rg_steer_verdict_count(s->steer, (enum rg_steer_verdict)v);

        ret[v] = now - s->seen[v];
        s->seen[v] = now;
    }
}

/* A connection is in the queue a moment after its client sees it established: the last ACK takes a softirq of its own.
 */
void site_await(struct site *s, unsigned worker, unsigned n)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    for (unsigned i = 0; i < ACCEPT_WAIT_MS; i++) {
        assert_int_equal(getsockopt(s->listener[worker], IPPROTO_TCP, TCP_INFO, &info, &len), 0);
        if (info.tcpi_unacked == n) /* of a listener: the length of its queue */
            return;
        nanosleep(&pause, NULL);
    }
    fail_msg("%u connections wait, not %u", info.tcpi_unacked, n);
}

void site_expect(struct site *s, const uint64_t want[RG_STEER_VERDICT_COUNT])
{
    static const char *const names[] = {
#define NAME(id, name, help) name,
        RG_STEER_VERDICTS(NAME)
#undef NAME
    };
    uint64_t got[RG_STEER_VERDICT_COUNT];

    site_read_verdicts(s, got);
    for (unsigned v = 0; v < RG_STEER_VERDICT_COUNT; v++)
        if (got[v] != want[v])
            fail_msg("verdict %s: %llu, wanted %llu", names[v], (unsigned long long)got[v],
                     (unsigned long long)want[v]);
}
