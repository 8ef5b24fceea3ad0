/* See explain.h. */
#include "bpf/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Thread_local char first_warning[256]; /* of libbpf during a load; those that follow only say that it failed */

static int keep_warning(enum libbpf_print_level level, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

static int keep_warning(enum libbpf_print_level level, const char *format, va_list args)
{
    if (level == LIBBPF_WARN && first_warning[0] == '\0')
        return vsnprintf(first_warning, sizeof(first_warning), format, args);
    return 0;
}

bool rg_bpf_has_capability(unsigned cap)
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

    if (!rg_bpf_has_capability(CAP_BPF) && !rg_bpf_has_capability(CAP_SYS_ADMIN))
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
                 rg_bpf_has_capability(CAP_PERFMON) || rg_bpf_has_capability(CAP_SYS_ADMIN)
                     ? "Linux 6.1 or newer is wanted"
                     : "Linux 6.1 or newer is wanted, and with CAP_PERFMON it is less strict");
        return;
    }
    copy_warning(detail, sizeof(detail));
    snprintf(why, why_len, "loading the program failed (%s)%s%s", strerror(-err), detail[0] ? ": " : "", detail);
}

int rg_bpf_load_begin(struct rg_bpf_load *l, char *why, size_t why_len)
{
    l->verifier_log = calloc(1, RG_BPF_VERIFIER_LOG_BYTES);
    if (!l->verifier_log) {
        snprintf(why, why_len, "out of memory");
        return -ENOMEM;
    }
    first_warning[0] = '\0';
    l->print = libbpf_set_print(keep_warning);
    return 0;
}

int rg_bpf_load_end(struct rg_bpf_load *l, int err, char *why, size_t why_len)
{
    libbpf_set_print(l->print);
    if (err)
        explain_load(err, l->verifier_log, why, why_len);
    free(l->verifier_log);
    l->verifier_log = NULL;
    return err;
}
