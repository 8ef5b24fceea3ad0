/* See cpus.h. */
#include "control/common/cpus.h"

#include <limits.h>
#include <mntent.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/common/file.h"

#define TEXT_MAX 8192 /* of /proc/self/cgroup: a line for each hierarchy, of which there are 14 at most */

/* A short file of the kernel's as text. false: it is not there, or can't be read. */
static bool load_text(char *ret, size_t size, const char *root, const char *dir, const char *name)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof(path), "%s%s/%s", root, dir, name) >= sizeof(path))
        return false;
    ssize_t len = rg_file_load(path, RG_FILE_ANY, ret, size - 1);
    ret[len > 0 ? len : 0] = '\0';
    return len > 0;
}

static unsigned worth(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    long long cpus = quota / period + (quota % period != 0);
    return cpus < UINT_MAX ? (unsigned)cpus : UINT_MAX;
}

/* "150000 100000", or "max 100000", which reads as 0. */
static unsigned quota_v2(const char *root, const char *dir)
{
    char text[64], *period;
    if (!load_text(text, sizeof(text), root, dir, "cpu.max"))
        return 0;
    long long quota = strtoll(text, &period, 10);
    return worth(quota, strtoll(period, NULL, 10));
}

/* A quota of -1 is none. */
static unsigned quota_v1(const char *root, const char *dir)
{
    char quota[64], period[64];
    bool is_set = load_text(quota, sizeof(quota), root, dir, "cpu.cfs_quota_us") &&
                  load_text(period, sizeof(period), root, dir, "cpu.cfs_period_us");
    return is_set ? worth(strtoll(quota, NULL, 10), strtoll(period, NULL, 10)) : 0;
}

static bool has_cpu(const char *controllers, size_t len)
{
    for (size_t i = 0, n; i < len; i += n + 1) {
        n = strcspn(controllers + i, ",:");
        if (n == 3 && strncmp(controllers + i, "cpu", 3) == 0)
            return true;
    }
    return false;
}

/* The group of the process in a hierarchy, out of lines like "4:cpu,cpuacct:/a/b" and "0::/a/b": "" at the top. */
static void find_group(const char *lines, bool is_v2, char *ret, size_t size)
{
    ret[0] = '\0';
    for (const char *line = lines; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        const char *controllers = strchr(line, ':');
        const char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            return;
        size_t len = (size_t)(path - controllers - 1);
        if (is_v2 ? len > 0 : !has_cpu(controllers + 1, len))
            continue;
        int n = (int)strcspn(path + 1, "\n");
        snprintf(ret, size, "%.*s", n == 1 ? 0 : n, path + 1);
        return;
    }
}

static unsigned least(unsigned a, unsigned b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* From the group up to the top. Where only a part of the hierarchy is mounted, as in containers, the group's path may
 * lead to nothing, but its top is there. */
static unsigned quota_of(const char *root, const struct mntent *mount, const char *lines)
{
    char group[PATH_MAX / 2], dir[PATH_MAX];
    bool is_v2 = strcmp(mount->mnt_type, "cgroup2") == 0;
    unsigned quota = 0;
    find_group(lines, is_v2, group, sizeof(group));
    for (;;) {
        snprintf(dir, sizeof(dir), "%.2000s%s", mount->mnt_dir, group);
        quota = least(quota, is_v2 ? quota_v2(root, dir) : quota_v1(root, dir));
        char *slash = strrchr(group, '/');
        if (!slash)
            return quota;
        *slash = '\0';
    }
}

unsigned rg_cpus_quota(const char *root)
{
    char lines[TEXT_MAX], path[PATH_MAX];
    unsigned quota = 0;
    struct mntent *mount;
    if (!load_text(lines, sizeof(lines), root, "/proc/self", "cgroup"))
        return 0;
    snprintf(path, sizeof(path), "%s/proc/self/mounts", root);
    FILE *mounts = setmntent(path, "re");
    if (!mounts)
        return 0;
    while ((mount = getmntent(mounts)))
        if (strcmp(mount->mnt_type, "cgroup2") == 0 ||
            (strcmp(mount->mnt_type, "cgroup") == 0 && hasmntopt(mount, "cpu")))
            quota = least(quota, quota_of(root, mount, lines));
    endmntent(mounts);
    return quota;
}

unsigned rg_cpus_usable(void)
{
    cpu_set_t set;
    long n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
    return least(n < 1 ? 1 : (unsigned)n, rg_cpus_quota(""));
}
