/* sys.h in the simulated world. */
#include <errno.h>
#include <string.h>

#include "datapath/sys.h"
#include "tests/sim/sim_world.h"

uint64_t rg_sys_now_ns(void)
{
    return sim_now_ns();
}

uint64_t rg_sys_unix_us(void)
{
    return 1700000000000000ull + sim_now_ns() / 1000;
}

int rg_sys_socket(const struct sockaddr *to)
{
    if (to->sa_family == AF_INET6 && sim.script.no_ipv6 == EAFNOSUPPORT)
        return -EAFNOSUPPORT;
    return sim_open_upstream();
}

void rg_sys_accepted(int fd, bool tune, struct rg_peer_text *peer, uint16_t *port, struct in6_addr *addr)
{
    (void)tune;
    *peer = (struct rg_peer_text){.ip = "192.0.2.1", .ip_len = 9};
    *port = (uint16_t)fd;
    memset(addr, 0, sizeof *addr);
}

void rg_sys_acknowledge_late(int listener)
{
    (void)listener;
}

void rg_sys_acknowledge(int fd)
{
    (void)fd;
}

bool rg_sys_may_pace(int fd)
{
    (void)fd;
    return false;
}

uint16_t rg_sys_local_port(int fd)
{
    (void)fd;
    return 80;
}

bool rg_sys_mark_for_sockmap(int marks, int fd)
{
    (void)marks;
    (void)fd;
    return false;
}

int64_t rg_sys_unsent(int fd)
{
    (void)fd;
    return 0;
}

/* Of a replica: nothing that it was not asked for. */
bool rg_sys_has_bytes(int fd)
{
    const struct sim_fd *f = sim_fd_of(fd);
    return f->kind == FD_CLIENT && f->len > 0;
}

bool rg_sys_is_quiet(int fd)
{
    (void)fd;
    return true;
}

void rg_sys_reset_on_close(int fd)
{
    (void)fd;
}

int rg_sys_pipe(int *ret_out, int *ret_in, uint32_t *ret_capacity, uint32_t least)
{
    *ret_in = *ret_out = sim_open_pipe();
    *ret_capacity = least;
    return 0;
}

int64_t rg_sys_splice(int from, int to, uint64_t n)
{
    return sim_splice(from, to, n);
}

void rg_sys_connected(int fd)
{
    (void)fd;
}

int rg_sys_renumber(int fd)
{
    return sim_renumber(fd);
}

bool rg_sys_has_waiting(int fd)
{
    return sim_has_waiting(fd);
}

void rg_sys_close(int fd)
{
    sim_close(fd);
}

int rg_sys_accept(int listener)
{
    (void)listener; /* only the ring brings clients */
    return -EAGAIN;
}

bool rg_sys_shares_port(int fd)
{
    (void)fd;
    return true;
}

bool rg_sys_refuse_handshakes(int fd)
{
    (void)fd;
    return true;
}
