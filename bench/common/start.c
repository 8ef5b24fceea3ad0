/* See start.h. */
#include "bench/common/start.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* ---- values of flags ---- */

int rg_bench_wrong(const char *flag, const char *value, const char *wanted)
{
    fprintf(stderr, "%s: %s: got '%s', wanted %s; --help says more\n", program_invocation_short_name, flag,
            value ? value : "", wanted);
    return RG_EXIT_USAGE;
}

static bool parse_count(const char *text, uint64_t *ret)
{
    char *end;
    errno = 0;
    *ret = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
}

int rg_bench_take_count(const char *flag, const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
    char wanted[96];
    uint64_t n;
    if (parse_count(text, &n) && n >= min && n <= max) {
        *ret = n;
        return RG_GO_ON;
    }
    snprintf(wanted, sizeof wanted, "a whole number from %" PRIu64 " to %" PRIu64, min, max);
    return rg_bench_wrong(flag, text, wanted);
}

int rg_bench_take_unsigned(const char *flag, const char *text, unsigned min, unsigned max, unsigned *ret)
{
    uint64_t n = *ret;
    int rc = rg_bench_take_count(flag, text, min, max, &n);
    *ret = (unsigned)n;
    return rc;
}

/* ---- addresses ---- */

static bool parse_port(const char *text, unsigned least, in_port_t *ret)
{
    uint64_t port;
    if (!parse_count(text, &port) || port < least || port > UINT16_MAX)
        return false;
    *ret = htons((uint16_t)port);
    return true;
}

static bool parse_unix(const char *path, struct rg_bench_address *ret)
{
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof ret->un.sun_path)
        return false;
    ret->un.sun_family = AF_UNIX;
    memcpy(ret->un.sun_path, path, n + 1);
    ret->len = sizeof ret->un;
    return true;
}

static bool parse_ipv6(const char *host, const char *port, unsigned least, struct rg_bench_address *ret)
{
    ret->in6.sin6_family = AF_INET6;
    ret->len = sizeof ret->in6;
    return inet_pton(AF_INET6, host, &ret->in6.sin6_addr) == 1 && parse_port(port, least, &ret->in6.sin6_port);
}

static bool parse_ipv4(const char *host, const char *port, unsigned least, struct rg_bench_address *ret)
{
    ret->in.sin_family = AF_INET;
    ret->len = sizeof ret->in;
    return inet_pton(AF_INET, host, &ret->in.sin_addr) == 1 && parse_port(port, least, &ret->in.sin_port);
}

bool rg_bench_address_parse(const char *text, unsigned least, struct rg_bench_address *ret)
{
    char host[INET6_ADDRSTRLEN] = "127.0.0.1";
    const char *colon = strrchr(text, ':');
    memset(ret, 0, sizeof *ret);
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, ret);
    if (!colon)
        return parse_ipv4(host, text, least, ret);
    size_t n = (size_t)(colon - text);
    bool bracketed = n >= 2 && text[0] == '[' && text[n - 1] == ']';
    if (bracketed) {
        text++;
        n -= 2;
    }
    if (n >= sizeof host)
        return false;
    memcpy(host, text, n);
    host[n] = '\0';
    return bracketed ? parse_ipv6(host, colon + 1, least, ret) : parse_ipv4(host, colon + 1, least, ret);
}

/* ---- signals and descriptors ---- */

void rg_bench_block_signals(const int *signals, sigset_t *ret)
{
    sigemptyset(ret);
    for (; *signals; signals++)
        sigaddset(ret, *signals);
    pthread_sigmask(SIG_BLOCK, ret, NULL);
    signal(SIGPIPE, SIG_IGN);
}

void rg_bench_raise_descriptors(uint64_t wanted)
{
    struct rlimit limit, more = {wanted, wanted};
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_max >= wanted || setrlimit(RLIMIT_NOFILE, &more) < 0)
        setrlimit(RLIMIT_NOFILE, &limit);
}
