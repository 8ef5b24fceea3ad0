/* See ring_refused.h. */
#include "datapath/ring_refused.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#define ALLOW_CALLS "its profile must allow io_uring_setup, io_uring_enter and io_uring_register"

void rg_ring_system_read(struct rg_ring_system *ret)
{
    struct utsname uts;
    struct rlimit memlock;
    *ret = (struct rg_ring_system){.disabled = -1, .memlock = UINT64_MAX};
    if (getrlimit(RLIMIT_MEMLOCK, &memlock) == 0 && memlock.rlim_cur != RLIM_INFINITY)
        ret->memlock = memlock.rlim_cur;
    if (uname(&uts) == 0)
        snprintf(ret->release, sizeof ret->release, "%s", uts.release);
    FILE *f = fopen("/proc/sys/kernel/io_uring_disabled", "re");
    if (!f)
        return;
    char line[16];
    if (fgets(line, sizeof line, f) && line[0] >= '0' && line[0] <= '9')
        ret->disabled = (int)strtol(line, NULL, 10);
    fclose(f);
}

/* A release that can't be read counts as new: nobody is sent to upgrade for nothing. */
static bool is_too_old(const char *release)
{
    char *end;
    long major = strtol(release, &end, 10);
    if (end == release || *end != '.')
        return false;
    return major < 6 || (major == 6 && strtol(end + 1, NULL, 10) < 1);
}

static void forbidden_text(char *to, size_t size, int disabled)
{
    if (disabled == 2)
        snprintf(to, size,
                 "io_uring is switched off on this machine: kernel.io_uring_disabled is 2, wanted 0 "
                 "(sysctl -w kernel.io_uring_disabled=0)");
    else if (disabled == 1)
        snprintf(to, size,
                 "io_uring is kept to administrators on this machine: kernel.io_uring_disabled is 1, wanted 0; or put "
                 "this user into the group whose number is in kernel.io_uring_group");
    else
        snprintf(to, size,
                 "io_uring is not permitted here, most likely by the seccomp filter of a container: " ALLOW_CALLS);
}

static void no_memory_text(char *to, size_t size, uint64_t memlock)
{
    if (memlock == UINT64_MAX)
        snprintf(to, size, "no memory for an io_uring; raise the memory limit of the process or its control group");
    else
        snprintf(
            to, size,
            "no memory for an io_uring: each worker locks some 256 KiB, and without root all processes of a user "
            "may lock %llu KiB together; raise RLIMIT_MEMLOCK (systemd: LimitMEMLOCK=, Docker: --ulimit memlock=), "
            "or else the memory limit",
            (unsigned long long)(memlock / 1024));
}

void rg_ring_refused_text(char *to, size_t size, int err, const struct rg_ring_system *system)
{
    const char *release = system->release[0] ? system->release : "of unknown release";

    if ((err == -ENOSYS || err == -EINVAL) && is_too_old(system->release))
        snprintf(to, size, "Linux %s is too old: io_uring as of Linux 6.1 or newer is needed", release);
    else if (err == -EPERM || err == -EACCES)
        forbidden_text(to, size, system->disabled);
    else if (err == -ENOSYS)
        snprintf(to, size,
                 "io_uring is missing from this Linux %s: built without it, or hidden by the seccomp filter of a "
                 "container: " ALLOW_CALLS,
                 release);
    else if (err == -EINVAL)
        snprintf(to, size,
                 "the io_uring of this Linux %s lacks something that ringgate needs: task work deferred to one issuer, "
                 "or rings of provided buffers; Linux 6.1 or newer has them",
                 release);
    else if (err == -ENOMEM)
        no_memory_text(to, size, system->memlock);
    else
        snprintf(to, size, "can't set up io_uring: %s", strerror(-err));
}
