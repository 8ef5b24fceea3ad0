/* control/common/cpus.c: quotas of both kinds of control groups, in trees like those of machines and of containers. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "control/common/cpus.h"
#include "tests/unit/scratch.h"

#define V2 "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n"
#define V1                                                                        \
    "proc /proc proc rw 0 0\ncgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0\n" \
    "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\n"

static char root[64];

static int setup(void **state)
{
    (void)state;
    scratch_create(root, sizeof(root));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return scratch_remove(root);
}

static void put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof(full), "%s%s", root, path);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(full, 0700);
        *slash = '/';
    }
    FILE *out = fopen(full, "we");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

static void test_without_groups_there_is_none(void **state)
{
    (void)state;
    assert_int_equal(rg_cpus_quota(root), 0);
    put("/proc/self/cgroup", "0::/\n");
    assert_int_equal(rg_cpus_quota(root), 0);
    put("/proc/self/mounts", "proc /proc proc rw 0 0\n");
    assert_int_equal(rg_cpus_quota(root), 0);
    put("/proc/self/mounts", V2);
    assert_int_equal(rg_cpus_quota(root), 0);
}

static void test_rounded_up(void **state)
{
    static const struct {
        const char *text;
        unsigned cpus;
    } rows[] = {{"max 100000\n", 0},
                {"100000 100000\n", 1},
                {"100001 100000\n", 2},
                {"50000 100000\n", 1},
                {"1000 100000\n", 1},
                {"400000 100000\n", 4},
                {"150000 50000\n", 3},
                {"0 0\n", 0},
                {"100000\n", 0},
                {"nonsense\n", 0},
                {"", 0},
                {"-1 100000\n", 0},
                {"max\n", 0}};
    (void)state;
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mounts", V2);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        put("/sys/fs/cgroup/cpu.max", rows[i].text);
        assert_int_equal(rg_cpus_quota(root), rows[i].cpus);
    }
}

static void test_the_least_of_all_groups_above(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "1:name=systemd:/x\n0::/a.slice/b.service\n");
    put("/proc/self/mounts", V2);
    put("/sys/fs/cgroup/a.slice/b.service/cpu.max", "300000 100000\n");
    assert_int_equal(rg_cpus_quota(root), 3);
    put("/sys/fs/cgroup/a.slice/cpu.max", "200000 100000\n");
    assert_int_equal(rg_cpus_quota(root), 2);
    put("/sys/fs/cgroup/a.slice/cpu.max", "max 100000\n");
    assert_int_equal(rg_cpus_quota(root), 3);
    put("/sys/fs/cgroup/a.slice/other.service/cpu.max", "100000 100000\n");
    assert_int_equal(rg_cpus_quota(root), 3);
}

static void test_the_older_kind(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "9:cpuset:/c\n4:cpuacct,cpu:/docker/1f\n0::/\n");
    put("/proc/self/mounts", V1);
    put("/sys/fs/cgroup/cpuset/c/cpu.cfs_quota_us", "100000\n");
    put("/sys/fs/cgroup/cpuset/c/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/docker/1f/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/docker/1f/cpu.cfs_quota_us", "-1\n");
    assert_int_equal(rg_cpus_quota(root), 0);
    put("/sys/fs/cgroup/cpu,cpuacct/docker/1f/cpu.cfs_quota_us", "250000\n");
    assert_int_equal(rg_cpus_quota(root), 3);
}

/* Only its own part is mounted, at the top; the path is the machine's. */
static void test_in_a_container_without_a_name_space_of_groups(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "4:cpu:/docker/1f\n0::/docker/1f\n");
    put("/proc/self/mounts", V1 V2);
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "200000\n");
    assert_int_equal(rg_cpus_quota(root), 2);
    put("/sys/fs/cgroup/cpu.max", "100000 100000\n");
    assert_int_equal(rg_cpus_quota(root), 1);
}

/* Whatever its quota, which is rounded up. */
static void test_where_this_process_may_run(void **state)
{
    cpu_set_t all, one;
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
    assert_in_range(rg_cpus_usable(), 1, CPU_COUNT(&all));
    size_t cpu = 0;
    while (!CPU_ISSET(cpu, &all))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    assert_int_equal(rg_cpus_usable(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_without_groups_there_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rounded_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_least_of_all_groups_above, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_older_kind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_in_a_container_without_a_name_space_of_groups, setup, teardown),
        cmocka_unit_test(test_where_this_process_may_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
