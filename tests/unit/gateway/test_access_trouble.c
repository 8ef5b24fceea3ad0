/* What is wrong with the path of an access log, by the eyes of the user that has to write there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/gateway/access_trouble.h"
#include "tests/unit/scratch.h"

#define NOBODY 65534

static char dir[64], path[128], remedy[RG_ACCESS_REMEDY_MAX];

static int setup(void **state)
{
    (void)state;
    scratch_create(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/access.log", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return scratch_remove(dir);
}

static void touch(const char *name, mode_t mode)
{
    int fd = open(name, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void a_file_and_a_place_for_one_are_good(void **state)
{
    (void)state;
    assert_int_equal(rg_access_check(path), 0);
    assert_int_equal(access(path, F_OK), -1);
    touch(path, 0600);
    assert_int_equal(rg_access_check(path), 0);
    assert_int_equal(rg_access_check("-"), 0);
    assert_int_equal(rg_access_check("/dev/null"), 0);
}

static void what_is_missing_is_told(void **state)
{
    (void)state;
    char deep[192], below[192];
    snprintf(deep, sizeof deep, "%s/a/b/access.log", dir);
    assert_int_equal(rg_access_check(deep), -ENOENT);
    rg_access_remedy(deep, ENOENT, remedy);
    assert_non_null(strstr(remedy, "create the directory "));
    assert_non_null(strstr(remedy, "/a/b,"));
    assert_int_equal(symlink("nowhere/x", path), 0);
    rg_access_remedy(path, ENOENT, remedy);
    assert_non_null(strstr(remedy, "link to nowhere"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rg_access_check(dir), -EISDIR);
    touch(path, 0600);
    snprintf(below, sizeof below, "%s/x", path);
    assert_int_equal(rg_access_check(below), -ENOTDIR);
}

static void rights_are_those_of_the_user(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip(); /* only root can become somebody else */
    assert_int_equal(chmod(dir, 0755), 0);
    assert_int_equal(seteuid(NOBODY), 0);
    int no_file = rg_access_check(path);
    rg_access_remedy(path, EACCES, remedy);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(no_file, -EACCES);
    assert_non_null(strstr(remedy, "user with the id 65534"));
    assert_non_null(strstr(remedy, dir));
    assert_null(strstr(remedy, "access.log,"));

    touch(path, 0644);
    assert_int_equal(seteuid(NOBODY), 0);
    int foreign_file = rg_access_check(path);
    rg_access_remedy(path, EACCES, remedy);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(foreign_file, -EACCES);
    assert_non_null(strstr(remedy, "access.log,"));

    assert_int_equal(chmod(path, 0666), 0);
    assert_int_equal(seteuid(NOBODY), 0);
    int shared_file = rg_access_check(path);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(shared_file, 0);
}

static void every_error_has_a_remedy(void **state)
{
    (void)state;
    for (int error = 1; error < 140; error++)
        assert_true(strlen(rg_access_remedy(path, error, remedy)) > 10);
    assert_non_null(strstr(rg_access_remedy(path, ENOSPC, remedy), "free space"));
    assert_non_null(strstr(rg_access_remedy(path, EROFS, remedy), "read-only"));
    assert_non_null(strstr(rg_access_remedy("/x.log", ENOENT, remedy), "link to nowhere")); /* "/" is there */
}

static void a_long_path_fits(void **state)
{
    (void)state;
    char long_path[256];
    memset(long_path, 'x', sizeof long_path);
    long_path[0] = long_path[200] = '/';
    long_path[255] = '\0';
    for (int error = 1; error < 140; error++)
        assert_true(strlen(rg_access_remedy(long_path, error, remedy)) < RG_ACCESS_REMEDY_MAX - 1);
    assert_true(rg_access_check(long_path) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_and_a_place_for_one_are_good, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_missing_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(rights_are_those_of_the_user, setup, teardown),
        cmocka_unit_test_setup_teardown(every_error_has_a_remedy, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_path_fits, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
