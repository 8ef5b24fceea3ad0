/* The reserve of descriptors: always a little under the hard limit, but for the moments in which it is lifted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "control/common/descriptors.h"

#define LEAVE 100 /* the hard limit of the tests; it can't be raised again */

static int setup(void **state)
{
    (void)state;
    return setrlimit(RLIMIT_NOFILE, &(struct rlimit){32, LEAVE});
}

static rlim_t soft(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(limit.rlim_max, LEAVE);
    return limit.rlim_cur;
}

/* Opens until nothing is left. Returns how many it were. */
static unsigned open_all(int fds[LEAVE])
{
    unsigned n = 0;
    while (n < LEAVE && (fds[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        n++;
    assert_int_equal(errno, EMFILE);
    return n;
}

static void before_init_nothing_is_moved(void **state)
{
    (void)state;
    rg_descriptors_lift();
    assert_int_equal(soft(), 32);
    rg_descriptors_lower();
    assert_int_equal(soft(), 32);
    assert_int_equal(rg_descriptors_limit(), 32);
    assert_int_equal(rg_descriptors_of_datapath(), 32);
}

static void the_limit_is_raised_but_for_the_reserve(void **state)
{
    (void)state;
    rg_descriptors_init();
    assert_int_equal(soft(), LEAVE - LEAVE / 16);
    assert_int_equal(rg_descriptors_limit(), LEAVE);
    assert_int_equal(rg_descriptors_of_datapath(), LEAVE - LEAVE / 16);
}

static void what_is_kept_can_be_used_while_it_is_lifted(void **state)
{
    (void)state;
    int fds[LEAVE], more[LEAVE];
    unsigned n = open_all(fds);
    assert_true(n > 50 && fds[n - 1] == LEAVE - LEAVE / 16 - 1);
    errno = EPERM;
    rg_descriptors_lift();
    assert_int_equal(errno, EPERM);
    unsigned reserve = open_all(more);
    assert_int_equal(reserve, LEAVE / 16);
    errno = EPERM;
    rg_descriptors_lower();
    assert_int_equal(errno, EPERM);
    close(more[0]);
    assert_int_equal(open("/dev/null", O_RDONLY), -1); /* what comes back to the reserve stays in it */
    while (reserve-- > 1)
        close(more[reserve]);
    while (n-- > 0)
        close(fds[n]);
}

/* Raised from outside while it runs, as prlimit does: taken over with the next reload. Only downwards can be tested. */
static void a_new_hard_limit_is_followed(void **state)
{
    (void)state;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){50, 64}), 0);
    assert_int_equal(rg_descriptors_of_datapath(), 60); /* never less than four */
    assert_int_equal(rg_descriptors_limit(), 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_init_nothing_is_moved),
        cmocka_unit_test(the_limit_is_raised_but_for_the_reserve),
        cmocka_unit_test(what_is_kept_can_be_used_while_it_is_lifted),
        cmocka_unit_test(a_new_hard_limit_is_followed),
    };
    return cmocka_run_group_tests_name("descriptors", tests, setup, NULL);
}
