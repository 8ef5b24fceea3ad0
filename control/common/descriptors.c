/* See descriptors.h. */
#include "control/common/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

#include "datapath/base/log.h"

#define RESERVE_SHARE 16

static bool has_reserve; /* the soft limit was lowered */

static rlim_t reserve_of(rlim_t all)
{
    rlim_t share = all / RESERVE_SHARE;
    if (share > RG_DESCRIPTORS_RESERVE)
        return RG_DESCRIPTORS_RESERVE;
    return share < RG_DESCRIPTORS_LEAST ? RG_DESCRIPTORS_LEAST : share;
}

static uint32_t saturate(rlim_t n)
{
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static bool set_soft(rlim_t (*wanted)(const struct rlimit *))
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return false;
    limit.rlim_cur = wanted(&limit);
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static rlim_t all_of(const struct rlimit *limit)
{
    return limit->rlim_max;
}

static rlim_t all_but_reserve(const struct rlimit *limit)
{
    rlim_t reserve = reserve_of(limit->rlim_max);
    return limit->rlim_max > reserve ? limit->rlim_max - reserve : limit->rlim_max;
}

void rg_descriptors_init(void)
{
    has_reserve = set_soft(all_but_reserve);
    if (!has_reserve)
        rg_warn(
            "can't raise the limit of open files to its hard limit, none are kept for the admin endpoint error=\"%s\"",
            strerror(errno));
}

uint32_t rg_descriptors_limit(void)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    return saturate(has_reserve ? limit.rlim_max : limit.rlim_cur);
}

uint32_t rg_descriptors_of_datapath(void)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    return saturate(has_reserve ? all_but_reserve(&limit) : limit.rlim_cur);
}

static void move(rlim_t (*wanted)(const struct rlimit *))
{
    int before = errno;
    if (has_reserve)
        set_soft(wanted);
    errno = before;
}

void rg_descriptors_lift(void)
{
    move(all_of);
}

void rg_descriptors_lower(void)
{
    move(all_but_reserve);
}

int rg_descriptors_open(int dir, const char *path, int flags, mode_t mode)
{
    int fd = openat(dir, path, flags, mode);
    if (fd >= 0 || errno != EMFILE)
        return fd;
    rg_descriptors_lift();
    fd = openat(dir, path, flags, mode);
    rg_descriptors_lower();
    return fd;
}

FILE *rg_descriptors_fopen(const char *path, const char *mode)
{
    FILE *f = fopen(path, mode);
    if (f || errno != EMFILE)
        return f;
    rg_descriptors_lift();
    f = fopen(path, mode);
    rg_descriptors_lower();
    return f;
}
