/*
 * The loader of the steering program (steer.bpf.c): opens it from the skeleton, sets its constants, loads one instance
 * per listener, and puts the listening sockets into place. Errors are returned, never logged; the text in `why` is for
 * the operator who reads that steering is off.
 *
 * Owner and thread: the control thread.
 */
#include "bpf/steer_loader.h"

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/explain.h"

#include "steer.skel.h"

_Static_assert(sizeof(struct rg_steer_worker) == 128, "a row is a pair of cache lines");
_Static_assert(offsetof(struct rg_steer_worker, assigned) == 64, "worker and program write different lines");

#define ROWS_BYTES     (RG_STEER_WORKERS_MAX * sizeof(struct rg_steer_worker))
#define TAKEOVER_TRIES 50 /* times 2 ms: how long the kernel may take to free a dead process's maps */

struct rg_steer {
    unsigned workers;
    unsigned groups;
    struct rg_steer_worker *rows; /* mapping of the shared map, ROWS_BYTES long */
    int verdicts_fd;              /* borrowed from group[0] */
    unsigned cpus;
    uint64_t *per_cpu;                            /* room for one read of a verdict */
    uint64_t filled[RG_STEER_GROUPS_MAX];         /* bit per worker: its slot was filled here */
    struct steer_bpf *group[RG_STEER_GROUPS_MAX]; /* one instance per listener; maps but `sockets` are group[0]'s */
};

/* ---- loading --------------------------------------------------------------------------------------------------------
 */

static int share_maps(struct steer_bpf *to, const struct steer_bpf *from)
{
    int err = bpf_map__reuse_fd(to->maps.rows, bpf_map__fd(from->maps.rows));

    return err ? err : bpf_map__reuse_fd(to->maps.verdicts, bpf_map__fd(from->maps.verdicts));
}

/*
 * Each worker gets its share of the CPUs that this process may use, in the order in which pinned workers do; of the
 * others, from which clients may call all the same, by number.
 */
static void deal_cpus(struct steer_bpf__rodata *rodata, unsigned workers)
{
    cpu_set_t usable;
    unsigned used = 0;

    if (sched_getaffinity(0, sizeof(usable), &usable) != 0)
        CPU_ZERO(&usable); /* more CPUs than fit */
    for (unsigned cpu = 0; cpu < RG_STEER_CPUS_MAX; cpu++)
        rodata->rg_worker_of_cpu[cpu] = (uint8_t)((CPU_ISSET(cpu, &usable) ? used++ : cpu) % workers);
}

static int load_group(struct rg_steer *s, unsigned group, enum rg_steer_mode mode, char *verifier_log)
{
    LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_buf = verifier_log,
                .kernel_log_size = RG_BPF_VERIFIER_LOG_BYTES);
    struct steer_bpf *skel = steer_bpf__open_opts(&opts);
    int err;

    if (!skel)
        return -errno;
    skel->rodata->rg_workers = s->workers;
    skel->rodata->rg_by_load = mode != RG_STEER_MODE_HASH;
    skel->rodata->rg_prefer_near = mode == RG_STEER_MODE_NEAR;
    deal_cpus(skel->rodata, s->workers);
    err = group > 0 ? share_maps(skel, s->group[0]) : 0;
    if (!err)
        err = steer_bpf__load(skel);
    if (err) {
        steer_bpf__destroy(skel);
        return err;
    }
    s->group[group] = skel;
    return 0;
}

static int load_groups(struct rg_steer *s, enum rg_steer_mode mode, char *why, size_t why_len)
{
    struct rg_bpf_load load;
    int err = rg_bpf_load_begin(&load, why, why_len);

    if (err)
        return err;
    for (unsigned g = 0; g < s->groups && !err; g++)
        err = load_group(s, g, mode, load.verifier_log);
    return rg_bpf_load_end(&load, err, why, why_len);
}

static int map_rows(struct rg_steer *s, char *why, size_t why_len)
{
    int fd = bpf_map__fd(s->group[0]->maps.rows);
    void *rows = mmap(NULL, ROWS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (rows == MAP_FAILED) {
        int err = -errno;

        snprintf(why, why_len, "mapping the workers' state failed: %s", strerror(-err));
        return err;
    }
    s->rows = rows;
    return 0;
}

static int prepare_verdicts(struct rg_steer *s, char *why, size_t why_len)
{
    int cpus = libbpf_num_possible_cpus();

    if (cpus < 0) {
        snprintf(why, why_len, "counting the CPUs failed: %s", strerror(-cpus));
        return cpus;
    }
    s->cpus = (unsigned)cpus;
    s->verdicts_fd = bpf_map__fd(s->group[0]->maps.verdicts);
    s->per_cpu = calloc(s->cpus, sizeof(*s->per_cpu));
    if (!s->per_cpu) {
        snprintf(why, why_len, "out of memory");
        return -ENOMEM;
    }
    return 0;
}

int rg_steer_create(struct rg_steer **ret, enum rg_steer_mode mode, unsigned workers, unsigned groups, char *why,
                    size_t why_len)
{
    char unwanted[1];
    struct rg_steer *s;
    int err;

    if (!why || why_len == 0) {
        why = unwanted;
        why_len = sizeof(unwanted);
    }
    if (workers == 0 || workers > RG_STEER_WORKERS_MAX || groups == 0 || groups > RG_STEER_GROUPS_MAX) {
        snprintf(why, why_len, "%u workers and %u TCP listeners; steering takes 1 to %u and 1 to %u", workers, groups,
                 RG_STEER_WORKERS_MAX, RG_STEER_GROUPS_MAX);
        return -EINVAL;
    }
    s = calloc(1, sizeof(*s));
    if (!s) {
        snprintf(why, why_len, "out of memory");
        return -ENOMEM;
    }
    s->workers = workers;
    s->groups = groups;

    err = load_groups(s, mode, why, why_len);
    if (err)
        goto fail;
    err = map_rows(s, why, why_len);
    if (err)
        goto fail;
    err = prepare_verdicts(s, why, why_len);
    if (err)
        goto fail;
    *ret = s;
    return 0;

fail:
    rg_steer_destroy(s);
    return err;
}

static void empty_group(const struct rg_steer *s, unsigned group)
{
    int fd = bpf_map__fd(s->group[group]->maps.sockets);

    for (uint32_t worker = 0; worker < s->workers; worker++)
        if (s->filled[group] & (1ull << worker))
            bpf_map_delete_elem(fd, &worker); /* gone already when the socket was shut down */
}

void rg_steer_destroy(struct rg_steer *s)
{
    if (!s)
        return;
    if (s->rows)
        munmap(s->rows, ROWS_BYTES);
    for (unsigned g = s->groups; g-- > 0;) { /* group[0] last: it owns the shared maps */
        if (!s->group[g])
            continue;
        empty_group(s, g);
        steer_bpf__destroy(s->group[g]);
    }
    free(s->per_cpu);
    free(s);
}

/* ---- sockets --------------------------------------------------------------------------------------------------------
 */

static int socket_option(int fd, int option, int *ret_value)
{
    socklen_t len = sizeof(*ret_value);

    return getsockopt(fd, SOL_SOCKET, option, ret_value, &len) == 0 ? 0 : -errno;
}

static int check_steerable(int fd)
{
    int domain, protocol, err;

    err = socket_option(fd, SO_DOMAIN, &domain);
    if (err)
        return err;
    if (domain != AF_INET && domain != AF_INET6)
        return -EOPNOTSUPP;
    err = socket_option(fd, SO_PROTOCOL, &protocol);
    if (err)
        return err;
    return protocol == IPPROTO_TCP ? 0 : -EOPNOTSUPP;
}

/*
 * A socket sits in one map at most. One that was inherited from a process that died is still in that process's map,
 * which goes away, a moment later, because the program that held it has just been replaced by ours.
 */
static int fill_slot(int map_fd, uint32_t worker, int fd)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    uint64_t value = (uint64_t)fd;
    int err;

    for (int i = 0; i < TAKEOVER_TRIES; i++) {
        err = bpf_map_update_elem(map_fd, &worker, &value, BPF_ANY);
        if (err != -EBUSY)
            return err;
        nanosleep(&pause, NULL);
    }
    return -EBUSY;
}

int rg_steer_add(struct rg_steer *s, unsigned group, unsigned worker, int fd)
{
    int prog_fd, err;

    if (group >= s->groups || worker >= s->workers)
        return -EINVAL;
    err = check_steerable(fd);
    if (err)
        return err;

    /* Each time, not only the first: the group is a new one when its sockets were closed and made again. */
    prog_fd = bpf_program__fd(s->group[group]->progs.steer);
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &prog_fd, sizeof(prog_fd)) != 0)
        return -errno;
    err = fill_slot(bpf_map__fd(s->group[group]->maps.sockets), worker, fd);
    if (err) {
        if (s->filled[group] == 0)
            setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &prog_fd, sizeof(prog_fd));
        return err;
    }
    s->filled[group] |= 1ull << worker;
    return 0;
}

struct rg_steer_worker *rg_steer_row(struct rg_steer *s, unsigned worker)
{
    return worker < s->workers ? &s->rows[worker] : NULL;
}

uint64_t rg_steer_verdict_count(const struct rg_steer *s, enum rg_steer_verdict v)
{
    uint32_t key = (uint32_t)v;
    uint64_t sum = 0;

    if (bpf_map_lookup_elem(s->verdicts_fd, &key, s->per_cpu) != 0)
        return 0;
    for (unsigned cpu = 0; cpu < s->cpus; cpu++)
        sum += s->per_cpu[cpu];
    return sum;
}
