/* ring_refused.h: each cause of a refused ring is told apart and comes with its remedy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "datapath/ring_refused.h"

static void says(int err, const char *release, int disabled, const char *wanted, const char *unwanted)
{
    struct rg_ring_system system = {.disabled = disabled, .memlock = 65536};
    char text[320];
    strcpy(system.release, release);
    rg_ring_refused_text(text, sizeof text, err, &system);
    if (!strstr(text, wanted) || (unwanted && strstr(text, unwanted)))
        fail_msg("errno %d on \"%s\", io_uring_disabled %d: %s", -err, release, disabled, text);
    assert_true(strlen(text) < sizeof text - 1); /* not cut */
}

static void a_setting_of_the_machine(void **state)
{
    (void)state;
    says(-EPERM, "6.12.1", 2, "kernel.io_uring_disabled is 2", "seccomp");
    says(-EPERM, "6.12.1", 1, "kernel.io_uring_group", "seccomp");
}

static void a_filter_of_a_container(void **state)
{
    (void)state;
    says(-EPERM, "6.12.1", 0, "seccomp", "sysctl");
    says(-EPERM, "6.1.0-9-amd64", -1, "seccomp", "sysctl"); /* the setting came with 6.6 */
    says(-EACCES, "6.12.1", 0, "io_uring_register", NULL);
    says(-ENOSYS, "6.12.1", 0, "seccomp", "too old");
}

static void an_old_kernel(void **state)
{
    (void)state;
    says(-ENOSYS, "4.19.0-26-amd64", -1, "Linux 4.19.0-26-amd64 is too old", "seccomp");
    says(-EINVAL, "5.10.0", -1, "too old", NULL);
    says(-EINVAL, "6.0.19", -1, "too old", NULL);
    says(-EINVAL, "6.1.0", -1, "lacks something", "too old");
    says(-EINVAL, "10.0", -1, "lacks something", "too old");
    says(-ENOSYS, "", -1, "unknown release", "too old");
    says(-ENOSYS, "strange", -1, "strange", "too old");
}

static void anything_else(void **state)
{
    (void)state;
    says(-ENOMEM, "6.12.1", 0, "may lock 64 KiB together; raise RLIMIT_MEMLOCK", NULL);
    says(-EMFILE, "6.12.1", 0, strerror(EMFILE), NULL);
}

static void memory_that_is_not_limited_by_locking(void **state)
{
    (void)state;
    const struct rg_ring_system system = {.disabled = 0, .memlock = UINT64_MAX};
    char text[320];
    rg_ring_refused_text(text, sizeof text, -ENOMEM, &system);
    assert_non_null(strstr(text, "memory limit of the process"));
    assert_null(strstr(text, "MEMLOCK"));
}

static void this_system_is_read(void **state)
{
    (void)state;
    struct rg_ring_system system;
    rg_ring_system_read(&system);
    assert_in_range(strlen(system.release), 3, sizeof system.release - 1);
    assert_in_range(system.disabled + 1, 0, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_setting_of_the_machine),
        cmocka_unit_test(a_filter_of_a_container),
        cmocka_unit_test(an_old_kernel),
        cmocka_unit_test(anything_else),
        cmocka_unit_test(memory_that_is_not_limited_by_locking),
        cmocka_unit_test(this_system_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
