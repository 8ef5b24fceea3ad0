/* The loader: what it refuses and in which words, several groups, and what is left when a process goes. */
#include "tests/bpf/steer_site.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of a million that are allowed. Linux 6.18 takes 4,700 instructions at most, Linux 6.1 some 54,000, of 64 workers. */
#define VERIFIED_MAX 100000u

static struct site site;

static struct rg_steer *create(unsigned workers, unsigned groups)
{
    struct rg_steer *steer = NULL;
    char why[256] = "";

    if (rg_steer_create(&steer, RG_STEER_MODE_LOAD, workers, groups, why, sizeof(why)) != 0)
        fail_msg("create: %s", why);
    return steer;
}

/* ---- refusals -------------------------------------------------------------------------------------------------------
 */

static void counts_out_of_range_are_refused(void **state)
{
    static const struct {
        unsigned workers, groups;
    } bad[] = {{0, 1}, {1, 0}, {RG_STEER_WORKERS_MAX + 1, 1}, {1, RG_STEER_GROUPS_MAX + 1}};
    struct rg_steer *const untouched = (struct rg_steer *)&bad, *steer = untouched;
    char why[256];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        why[0] = '\0';
        assert_int_equal(rg_steer_create(&steer, RG_STEER_MODE_LOAD, bad[i].workers, bad[i].groups, why, sizeof(why)),
                         -EINVAL);
        assert_non_null(strstr(why, "1 to 64"));
        assert_ptr_equal(steer, untouched);
    }
    assert_int_equal(rg_steer_create(&steer, RG_STEER_MODE_LOAD, 0, 1, NULL, 0), -EINVAL);
    rg_steer_destroy(NULL);
}

static int bind_any(int fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    return bind(fd, (struct sockaddr *)&address, sizeof(address));
}

static void add_and_close(struct rg_steer *steer, int fd, int want)
{
    assert_true(fd >= 0);
    assert_int_equal(rg_steer_add(steer, 0, 0, fd), want);
    close(fd);
}

static void sockets_that_cannot_be_steered_are_refused(void **state)
{
    struct rg_steer *steer = create(2, 2);
    uint16_t port = 0;
    int fd, on = 1;

    (void)state;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&(struct sockaddr){.sa_family = AF_UNIX}, sizeof(sa_family_t)), 0);
    assert_int_equal(listen(fd, 8), 0);
    add_and_close(steer, fd, -EOPNOTSUPP);

    add_and_close(steer, socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), -EOPNOTSUPP);

    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* no SO_REUSEPORT */
    assert_int_equal(bind_any(fd), 0);
    assert_int_equal(listen(fd, 8), 0);
    add_and_close(steer, fd, -EINVAL);

    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* not listening */
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
    assert_int_equal(bind_any(fd), 0);
    add_and_close(steer, fd, -EINVAL);

    assert_int_equal(rg_steer_add(steer, 0, 0, -1), -EBADF);
    fd = site_listen(AF_INET, &port);
    assert_int_equal(rg_steer_add(steer, 2, 0, fd), -EINVAL);
    assert_int_equal(rg_steer_add(steer, 0, 2, fd), -EINVAL);
    add_and_close(steer, fd, 0); /* after all of that */
    rg_steer_destroy(steer);
}

static unsigned count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* Every way to run out of descriptors on the way: an error in words, nothing left behind. */
static void running_out_of_descriptors_leaves_nothing(void **state)
{
    struct rlimit old, limit;
    unsigned before = count_descriptors(), failures = 0;
    int err = -1;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    limit = old;
    for (limit.rlim_cur = 3; err != 0 && limit.rlim_cur < 256; limit.rlim_cur++) {
        struct rg_steer *steer = NULL;
        char why[256] = "";

        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        err = rg_steer_create(&steer, RG_STEER_MODE_LOAD, 2, 3, why, sizeof(why));
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        if (err) {
            assert_null(steer);
            assert_true(err < 0);
            assert_true(why[0] != '\0' && !strchr(why, '\n'));
            failures++;
        } else {
            rg_steer_destroy(steer);
        }
        assert_int_equal(count_descriptors(), before);
    }
    assert_int_equal(err, 0);
    assert_true(failures > 5);
}

/* ---- rights: each case in a child, which keeps what it is given and reports by its exit status ----------------------
 */

static void keep_capabilities(uint64_t keep)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{(uint32_t)keep, (uint32_t)keep, 0},
                                             {(uint32_t)(keep >> 32), (uint32_t)(keep >> 32), 0}};

    if (syscall(SYS_capset, &header, data) != 0)
        _exit(90);
}

static int in_child(int (*f)(int fd), int fd)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(f(fd));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* 0 when create was refused with EPERM and said that. */
static int refused_with(const char *words)
{
    struct rg_steer *steer = NULL;
    char why[256] = "";
    int err = rg_steer_create(&steer, RG_STEER_MODE_LOAD, 2, 1, why, sizeof(why));

    if (err == -EPERM && !steer && strstr(why, words))
        return 0;
    fprintf(stderr, "create: %d, why: %s\n", err, why);
    return 1;
}

static int child_without_rights(int fd)
{
    (void)fd;
    keep_capabilities(0);
    return refused_with("needs CAP_BPF");
}

static int child_in_user_namespace(int fd)
{
    (void)fd;
    if (unshare(CLONE_NEWUSER) != 0)
        return 77;
    if (access("/proc/self/uid_map", R_OK) != 0)
        return 91;
    return refused_with("user namespace");
}

/* No other right is needed than the one the message names. */
static int child_with_cap_bpf_only(int fd)
{
    struct rg_steer *steer = NULL;
    char why[256] = "";
    int err;

    keep_capabilities(1ull << CAP_BPF);
    err = rg_steer_create(&steer, RG_STEER_MODE_NEAR, 2, 2, why, sizeof(why));
    if (!err)
        err = rg_steer_add(steer, 0, 0, fd);
    if (err)
        fprintf(stderr, "with CAP_BPF only: %d, why: %s\n", err, why);
    rg_steer_destroy(steer);
    return err != 0;
}

/* What the verifier processed for the program behind a descriptor; 0: it is none. */
static unsigned long verified_instructions(const char *fd)
{
    static const char key[] = "verified_insns:";
    char path[64], text[1024];
    const char *at;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/self/fdinfo/%.20s", fd);
    f = fopen(path, "re");
    if (!f)
        return 0;
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    fclose(f);
    at = strstr(text, key);
    return at ? strtoul(at + sizeof(key) - 1, NULL, 10) : 0;
}

/* 0: each of so many programs took the verifier some instructions, and few. */
static int check_verified(unsigned programs)
{
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *e;
    unsigned n = 0;

    if (!dir)
        return 92;
    while ((e = readdir(dir))) {
        unsigned long instructions = verified_instructions(e->d_name);

        n += instructions > 0;
        if (instructions > VERIFIED_MAX) {
            fprintf(stderr, "the verifier processed %lu instructions, more than %u\n", instructions, VERIFIED_MAX);
            n = UINT_MAX / 2;
        }
    }
    closedir(dir);
    return n == programs ? 0 : 1;
}

/* With the rights that a service has. Without CAP_PERFMON the verifier follows mispredicted branches as well. */
static int child_counts_what_is_verified(int mode)
{
    struct rg_steer *steer = NULL;
    char why[256] = "";
    int err;

    keep_capabilities(1ull << CAP_BPF | 1ull << CAP_NET_ADMIN);
    if (rg_steer_create(&steer, (enum rg_steer_mode)mode, RG_STEER_WORKERS_MAX, 2, why, sizeof(why)) != 0) {
        fprintf(stderr, "create: %s\n", why);
        return 2;
    }
    err = check_verified(2);
    rg_steer_destroy(steer);
    return err;
}

static void without_cap_bpf_it_says_so(void **state)
{
    (void)state;
    assert_int_equal(in_child(child_without_rights, -1), 0);
}

static void in_a_user_namespace_it_says_so(void **state)
{
    int status = in_child(child_in_user_namespace, -1);

    (void)state;
    if (status == 77)
        skip(); /* the system forbids user namespaces */
    assert_int_equal(status, 0);
}

static void cap_bpf_is_enough(void **state)
{
    uint16_t port = 0;
    int fd = site_listen(AF_INET, &port);

    (void)state;
    assert_int_equal(in_child(child_with_cap_bpf_only, fd), 0);
    close(fd);
}

/* A program that grows from path to path takes seconds to load, for each listener, long before the kernel refuses it.
 */
static void programs_take_the_verifier_little(void **state)
{
    (void)state;
    for (int mode = RG_STEER_MODE_HASH; mode <= RG_STEER_MODE_NEAR; mode++)
        assert_int_equal(in_child(child_counts_what_is_verified, mode), 0);
}

/* ---- groups and lifetimes -------------------------------------------------------------------------------------------
 */

static void groups_share_rows_and_counters(void **state)
{
    struct site other;

    (void)state;
    site = (struct site){.steer = create(2, 2), .workers = 2, .sockets = 2, .family = AF_INET};
    other = site;
    for (unsigned i = 0; i < 2; i++) {
        site.listener[i] = site_listen(AF_INET, &site.port);
        other.listener[i] = site_listen(AF_INET, &other.port);
        assert_int_equal(rg_steer_add(site.steer, 0, i, site.listener[i]), 0);
        assert_int_equal(rg_steer_add(site.steer, 1, i, other.listener[i]), 0);
    }
    for (unsigned i = 0; i < 40; i++) {
        unsigned lighter = i % 2;

        site_row(&site, lighter)->open = 0;
        site_row(&site, !lighter)->open = 1000;
        assert_int_equal(site_serve_one(&site), lighter);
        assert_int_equal(site_serve_one(&other), lighter);
    }
    assert_int_equal(site_row(&site, 0)->assigned + site_row(&site, 1)->assigned, 80);
    SITE_EXPECT(&site, [RG_STEER_LOAD] = 80);

    site_drop_connections(&other);
    close(other.listener[0]);
    close(other.listener[1]);
    site_close(&site);
}

static void two_steerings_know_nothing_of_each_other(void **state)
{
    struct site other;

    (void)state;
    site_open(&site, RG_STEER_MODE_LOAD, 2, 2, AF_INET);
    site_open(&other, RG_STEER_MODE_HASH, 1, 1, AF_INET);
    site_row(&site, 0)->open = 1000;
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(site_serve_one(&site), 1);
        assert_int_equal(site_serve_one(&other), 0);
    }
    SITE_EXPECT(&site, [RG_STEER_LOAD] = 10);
    SITE_EXPECT(&other, [RG_STEER_HASH] = 10);
    site_close(&other);
    site_close(&site);
}

/* The sockets outlive the loader when another process holds them, too; they go on, by the kernel's hash. */
static void sockets_go_on_after_destroy(void **state)
{
    unsigned n[2] = {0};

    (void)state;
    site_open(&site, RG_STEER_MODE_LOAD, 2, 2, AF_INET);
    site_row(&site, 0)->open = 1000;
    rg_steer_destroy(site.steer);
    site.steer = create(2, 1); /* rows for the accepting side; its group stays empty */
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(site_connect(&site), SITE_NOBODY);
        n[site_accept(&site)]++;
    }
    assert_true(n[0] > 0 && n[1] > 0);
    SITE_EXPECT(&site, 0);

    for (unsigned i = 0; i < 2; i++) /* and can be steered again */
        assert_int_equal(rg_steer_add(site.steer, 0, i, site.listener[i]), 0);
    site_row(&site, 0)->open = 1000;
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(site_serve_one(&site), 1);
    SITE_EXPECT(&site, [RG_STEER_LOAD] = 40);
    site_close(&site);
}

static int child_steers_and_dies(int fd)
{
    struct rg_steer *steer;

    if (rg_steer_create(&steer, RG_STEER_MODE_LOAD, 1, 1, NULL, 0) != 0)
        return 1;
    return rg_steer_add(steer, 0, 0, fd) != 0; /* no destroy: as after a crash, with the sockets kept by a supervisor */
}

static void takes_over_from_a_process_that_died(void **state)
{
    uint16_t port = 0;
    int fd = site_listen(AF_INET, &port);

    (void)state;
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(in_child(child_steers_and_dies, fd), 0);
    site = (struct site){.steer = create(1, 1), .workers = 1, .sockets = 1, .family = AF_INET, .port = port};
    site.listener[0] = fd;
    assert_int_equal(rg_steer_add(site.steer, 0, 0, fd), 0);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(site_serve_one(&site), 0);
    SITE_EXPECT(&site, [RG_STEER_LOAD] = 10);
    site_close(&site);
}

static void a_socket_steered_elsewhere_is_busy(void **state)
{
    struct rg_steer *first = create(1, 1), *second = create(1, 1);
    uint16_t port = 0;
    int fd = site_listen(AF_INET, &port);

    (void)state;
    assert_int_equal(rg_steer_add(first, 0, 0, fd), 0);
    assert_int_equal(rg_steer_add(second, 0, 0, fd), -EBUSY);
    rg_steer_destroy(first);
    assert_int_equal(rg_steer_add(second, 0, 0, fd), 0);
    rg_steer_destroy(second);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_out_of_range_are_refused),
        cmocka_unit_test(sockets_that_cannot_be_steered_are_refused),
        cmocka_unit_test(running_out_of_descriptors_leaves_nothing),
        cmocka_unit_test(without_cap_bpf_it_says_so),
        cmocka_unit_test(in_a_user_namespace_it_says_so),
        cmocka_unit_test(cap_bpf_is_enough),
        cmocka_unit_test(programs_take_the_verifier_little),
        cmocka_unit_test(groups_share_rows_and_counters),
        cmocka_unit_test(two_steerings_know_nothing_of_each_other),
        cmocka_unit_test(sockets_go_on_after_destroy),
        cmocka_unit_test(takes_over_from_a_process_that_died),
        cmocka_unit_test(a_socket_steered_elsewhere_is_busy),
    };
    int status = site_enter_namespace();

    return status ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
