/*
 * The loader of the sockmap programs (sockmap.bpf.c): opens them from the skeleton, attaches `redirect` to the map of
 * sockets and `enter` to the root of the cgroup tree. Errors are returned, never logged.
 *
 * Owner and thread: the control thread. A link is what holds `enter`, so that it ends with the process however that
 * ends; `redirect` is held by its map.
 */
#include "bpf/sockmap_loader.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/explain.h"
#include "bpf/sockmap_trial.h"

#include "sockmap.skel.h"

struct rg_sockmap {
    struct sockmap_bpf *skel;
    unsigned cpus;
    uint64_t *per_cpu;                       /* room for one read of a count */
    uint64_t before[RG_SOCKMAP_COUNT_COUNT]; /* what the self-test did */
};

/* ---- the root of the cgroup tree ----------------------------------------------------------------------------------
 */

static int open_cgroup_root(char *why, size_t why_len)
{
    struct mntent entry;
    char text[4096];
    int fd = -ENOENT;
    FILE *mounts = setmntent("/proc/self/mounts", "re");

    while (mounts && fd == -ENOENT && getmntent_r(mounts, &entry, text, sizeof(text))) {
        if (strcmp(entry.mnt_type, "cgroup2") != 0)
            continue;
        fd = open(entry.mnt_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) {
            fd = -errno;
            snprintf(why, why_len, "opening %s failed: %s", entry.mnt_dir, strerror(-fd));
        }
    }
    if (mounts)
        endmntent(mounts);
    if (fd == -ENOENT)
        snprintf(why, why_len, "no cgroup2 file system is mounted (mount -t cgroup2 none /sys/fs/cgroup/unified)");
    return fd;
}

/* ---- loading ------------------------------------------------------------------------------------------------------
 */

static int check_rights(char *why, size_t why_len)
{
    if (rg_bpf_has_capability(CAP_SYS_ADMIN) || rg_bpf_has_capability(CAP_NET_ADMIN))
        return 0;
    snprintf(why, why_len,
             "its programs need CAP_NET_ADMIN and CAP_BPF; run as root, or grant them (systemd: "
             "AmbientCapabilities=CAP_BPF CAP_NET_ADMIN)");
    return -EPERM;
}

static int open_and_load(struct sockmap_bpf **ret, char *verifier_log)
{
    LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_buf = verifier_log,
                .kernel_log_size = RG_BPF_VERIFIER_LOG_BYTES);
    struct sockmap_bpf *skel = sockmap_bpf__open_opts(&opts);
    int err;

    if (!skel)
        return -errno;
    err = sockmap_bpf__load(skel);
    if (err) {
        sockmap_bpf__destroy(skel);
        return err;
    }
    *ret = skel;
    return 0;
}

static int load(struct rg_sockmap *s, char *why, size_t why_len)
{
    struct rg_bpf_load load;
    int err = rg_bpf_load_begin(&load, why, why_len);

    if (err)
        return err;
    err = open_and_load(&s->skel, load.verifier_log);
    return rg_bpf_load_end(&load, err, why, why_len);
}

/* The map first: a socket takes the program over that its map has when it enters. */
static int attach(struct rg_sockmap *s, char *why, size_t why_len)
{
    struct sockmap_bpf *skel = s->skel;
    int cgroup, err = 0;

    if (bpf_prog_attach(bpf_program__fd(skel->progs.redirect), bpf_map__fd(skel->maps.sockets), BPF_SK_MSG_VERDICT,
                        0) != 0) {
        err = -errno;
        snprintf(why, why_len, "attaching a program to the map of sockets failed: %s", strerror(-err));
        return err;
    }
    cgroup = open_cgroup_root(why, why_len);
    if (cgroup < 0)
        return cgroup;
    skel->links.enter = bpf_program__attach_cgroup(skel->progs.enter, cgroup);
    if (!skel->links.enter) {
        err = -errno;
        snprintf(why, why_len, "attaching a program to the root of the cgroup tree failed: %s", strerror(-err));
    }
    close(cgroup);
    return err;
}

static int prepare_counts(struct rg_sockmap *s, char *why, size_t why_len)
{
    int cpus = libbpf_num_possible_cpus();

    if (cpus > 0)
        s->per_cpu = calloc((size_t)cpus, sizeof(*s->per_cpu));
    if (!s->per_cpu) {
        snprintf(why, why_len, "out of memory");
        return -ENOMEM;
    }
    s->cpus = (unsigned)cpus;
    return 0;
}

int rg_sockmap_create(struct rg_sockmap **ret, char *why, size_t why_len)
{
    struct rg_sockmap *s;
    int err = check_rights(why, why_len);

    if (err)
        return err;
    s = calloc(1, sizeof(*s));
    if (!s) {
        snprintf(why, why_len, "out of memory");
        return -ENOMEM;
    }
    err = load(s, why, why_len);
    if (err)
        goto fail;
    err = attach(s, why, why_len);
    if (err)
        goto fail;
    err = prepare_counts(s, why, why_len);
    if (err)
        goto fail;
    *ret = s;
    return 0;

fail:
    rg_sockmap_destroy(s);
    return err;
}

void rg_sockmap_destroy(struct rg_sockmap *s)
{
    if (!s)
        return;
    if (s->skel)
        sockmap_bpf__destroy(s->skel);
    free(s->per_cpu);
    free(s);
}

int rg_sockmap_try(struct rg_sockmap *s, char *why, size_t why_len)
{
    int err = rg_sockmap_trial(s, why, why_len);

    for (unsigned i = 0; i < RG_SOCKMAP_COUNT_COUNT; i++)
        s->before[i] += rg_sockmap_get(s, (enum rg_sockmap_count)i);
    return err;
}

/* ---- sockets and counts -------------------------------------------------------------------------------------------
 */

int rg_sockmap_marks_fd(const struct rg_sockmap *s)
{
    return bpf_map__fd(s->skel->maps.ends);
}

int rg_sockmap_mark(const struct rg_sockmap *s, int fd)
{
    struct rg_sockmap_end end = {.side = RG_SOCKMAP_GATEWAY};

    return bpf_map_update_elem(rg_sockmap_marks_fd(s), &fd, &end, BPF_NOEXIST) == 0 ? 0 : -errno;
}

uint64_t rg_sockmap_get(const struct rg_sockmap *s, enum rg_sockmap_count what)
{
    uint32_t key = (uint32_t)what;
    uint64_t sum = 0;

    if (bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.counts), &key, s->per_cpu) != 0)
        return 0;
    for (unsigned cpu = 0; cpu < s->cpus; cpu++)
        sum += s->per_cpu[cpu];
    return sum - s->before[what];
}
