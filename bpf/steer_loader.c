/*
 * The loader of the steering program (steer.bpf.c): opens it from the skeleton, sets its constants, loads one instance
 * per listener, and puts the listening sockets into place. Errors are returned, never logged; the text in `why` is for
 * the operator who reads that steering is off.
 *
 * Owner and thread: the control thread. libbpf's own messages are a setting of the whole process; they are taken over
 * while the program is loaded and given back afterwards.
 */
#include "bpf/steer_loader.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "steer.skel.h"

_Static_assert(sizeof(struct rg_steer_worker) == 128, "a row is a pair of cache lines");
_Static_assert(offsetof(struct rg_steer_worker, assigned) == 64, "worker and program write different lines");

#define ROWS_BYTES         (RG_STEER_WORKERS_MAX * sizeof(struct rg_steer_worker))
#define VERIFIER_LOG_BYTES (64u << 10)
#define TAKEOVER_TRIES     50 /* times 2 ms: how long the kernel may take to free a dead process's maps */

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

/* ---- what to tell the operator --------------------------------------------------------------------------------------
 */

static _Thread_local char first_warning[256]; /* of libbpf during a load; those that follow only say that it failed */

static int keep_warning(enum libbpf_print_level level, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

static int keep_warning(enum libbpf_print_level level, const char *format, va_list args)
{
    if (level == LIBBPF_WARN && first_warning[0] == '\0')
        return vsnprintf(first_warning, sizeof(first_warning), format, args);
    return 0;
}

static bool has_capability(unsigned cap)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    if (syscall(SYS_capget, &header, data) != 0)
        return false;
    return (data[cap / 32].effective >> (cap % 32)) & 1;
}

static bool read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = -1;

    if (fd >= 0) {
        n = read(fd, text, size - 1);
        close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    return n >= 0;
}

static const char *why_no_permission(void)
{
    char text[128];

    if (!has_capability(CAP_BPF) && !has_capability(CAP_SYS_ADMIN))
        return "loading BPF programs needs CAP_BPF; run as root, or grant it (systemd: AmbientCapabilities=CAP_BPF)";
    if (read_text("/sys/kernel/security/lockdown", text, sizeof(text)) && !strstr(text, "[none]"))
        return "CAP_BPF is held, but the kernel is locked down (/sys/kernel/security/lockdown)";
    if (read_text("/proc/self/uid_map", text, sizeof(text)) && !strstr(text, "4294967295")) /* maps all only there */
        return "CAP_BPF is held only inside a user namespace; the kernel wants it in the initial one";
    return "CAP_BPF is held, but a security module or a seccomp filter forbids bpf()";
}

/* The verifier's reason is the last line that is not its statistics. */
static void copy_verifier_reason(char *line, size_t size, const char *log)
{
    const char *end = log + strlen(log);

    line[0] = '\0';
    while (end > log) {
        const char *start;

        while (end > log && end[-1] == '\n')
            end--;
        for (start = end; start > log && start[-1] != '\n';)
            start--;
        if (end > start && strncmp(start, "processed ", 10) != 0) {
            snprintf(line, size, "%.*s", (int)(end - start), start);
            return;
        }
        end = start;
    }
}

static void copy_warning(char *line, size_t size)
{
    static const char prefix[] = "libbpf: ";
    const char *text = first_warning;

    if (strncmp(text, prefix, sizeof(prefix) - 1) == 0)
        text += sizeof(prefix) - 1;
    snprintf(line, size, "%.*s", (int)strcspn(text, "\n"), text);
}

static void explain_load(int err, const char *verifier_log, char *why, size_t why_len)
{
    char detail[200];

    switch (-err) {
    case EPERM:
        snprintf(why, why_len, "%s", why_no_permission());
        return;
    case ENOSYS:
        snprintf(why, why_len, "the kernel has no bpf() (CONFIG_BPF_SYSCALL), or a seccomp filter hides it");
        return;
    case ENOMEM:
        snprintf(why, why_len, "out of memory for BPF maps or program");
        return;
    default:
        break;
    }
    copy_verifier_reason(detail, sizeof(detail), verifier_log);
    if (detail[0]) {
        snprintf(why, why_len, "the kernel's verifier refused the program (%s): %s; %s", strerror(-err), detail,
                 has_capability(CAP_PERFMON) || has_capability(CAP_SYS_ADMIN)
                     ? "Linux 6.1 or newer is wanted"
                     : "Linux 6.1 or newer is wanted, and with CAP_PERFMON it is less strict");
        return;
    }
    copy_warning(detail, sizeof(detail));
    snprintf(why, why_len, "loading the program failed (%s)%s%s", strerror(-err), detail[0] ? ": " : "", detail);
}

/* ---- loading --------------------------------------------------------------------------------------------------------
 */

static int share_maps(struct steer_bpf *to, const struct steer_bpf *from)
{
    int err = bpf_map__reuse_fd(to->maps.rows, bpf_map__fd(from->maps.rows));

    return err ? err : bpf_map__reuse_fd(to->maps.verdicts, bpf_map__fd(from->maps.verdicts));
}

static int load_group(struct rg_steer *s, unsigned group, enum rg_steer_mode mode, char *verifier_log)
{
    LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_buf = verifier_log, .kernel_log_size = VERIFIER_LOG_BYTES);
    struct steer_bpf *skel = steer_bpf__open_opts(&opts);
    int err;

    if (!skel)
        return -errno;
    skel->rodata->rg_workers = s->workers;
    skel->rodata->rg_by_load = mode == RG_STEER_MODE_LOAD;
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
    char *verifier_log = calloc(1, VERIFIER_LOG_BYTES);
    libbpf_print_fn_t print;
    int err = 0;

    if (!verifier_log) {
        snprintf(why, why_len, "out of memory");
        return -ENOMEM;
    }
    first_warning[0] = '\0';
    print = libbpf_set_print(keep_warning);
    for (unsigned g = 0; g < s->groups && !err; g++)
        err = load_group(s, g, mode, verifier_log);
    libbpf_set_print(print);
    if (err)
        explain_load(err, verifier_log, why, why_len);
    free(verifier_log);
    return err;
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
