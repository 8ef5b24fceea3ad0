/*
 * Which worker the CPU of the client's SYN is worth: mode `near` of the steering program. The test's only thread is the
 * client, and over loopback its SYN comes on the CPU on which it runs, so it says which by its affinity.
 */
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>

#include "tests/bpf/steer_site.h"

static struct site site;
static unsigned cpus[2]; /* two that this process may use, the first and the second of them */

static int teardown(void **state)
{
    (void)state;
    site_close(&site);
    return 0;
}

static void use_cpus(const unsigned *cpu, unsigned n)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    for (unsigned i = 0; i < n; i++)
        CPU_SET(cpu[i], &set);
    assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
}

static void connect_from(unsigned nth)
{
    use_cpus(&cpus[nth], 1);
}

/* The program is loaded by a process that may use both CPUs. */
static void open_near(unsigned workers, unsigned sockets)
{
    use_cpus(cpus, 2);
    site_open(&site, RG_STEER_MODE_NEAR, workers, sockets, AF_INET);
}

static void serve_all_to(uint32_t worker, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(site_serve_one(&site), worker);
}

static void each_cpu_has_its_worker(void **state)
{
    (void)state;
    open_near(2, 2);
    for (unsigned turn = 0; turn < 3; turn++)
        for (unsigned nth = 0; nth < 2; nth++) {
            connect_from(nth);
            serve_all_to(nth, 5);
        }
    SITE_EXPECT(&site, [RG_STEER_NEAR] = 30);
}

/* Eight more, and an eighth of what the other has. */
static void load_outweighs_it(void **state)
{
    (void)state;
    open_near(2, 2);
    connect_from(0);
    site_row(&site, 0)->open = 188;
    site_row(&site, 1)->open = 160;
    serve_all_to(0, 1);
    site_row(&site, 0)->open = 189;
    serve_all_to(1, 1);
    site_row(&site, 0)->open = 0;
    serve_all_to(0, 1);
    SITE_EXPECT(&site, [RG_STEER_NEAR] = 2, [RG_STEER_LOAD] = 1);
}

/* However unevenly the CPUs call, no worker ends up with much more than another. */
static void one_busy_cpu_does_not_fill_its_worker(void **state)
{
    unsigned n[4] = {0};

    (void)state;
    open_near(4, 4);
    connect_from(1);
    for (unsigned i = 0; i < 200; i++) {
        uint32_t worker = site_serve_one(&site);

        n[worker]++;
        site_row(&site, worker)->open++;
    }
    assert_in_range(n[1], 55, 65); /* 48 beside 54 when an eighth and eight more are on it */
    for (unsigned i = 0; i < 4; i++)
        assert_in_range(n[i], 38, 65);
}

static void a_near_worker_that_is_not_well_is_passed_over(void **state)
{
    (void)state;
    open_near(2, 2);
    connect_from(0);
    site_set_turn(&site, 0, 300 * MS);
    serve_all_to(1, 5);
    site_set_turn(&site, 0, 20 * MS); /* slow, not hung */
    serve_all_to(1, 5);
    site_set_turn(&site, 0, 0);
    site_row(&site, 0)->retired = 1;
    serve_all_to(1, 5);
    site_row(&site, 0)->retired = 0;
    serve_all_to(0, 5);
    SITE_EXPECT(&site, [RG_STEER_AVOIDED] = 15, [RG_STEER_NEAR] = 5);
}

/* Of many workers the near one is seldom a candidate by the hash, so it is looked at by itself. */
static void a_near_worker_that_hangs_is_passed_over_among_many(void **state)
{
    (void)state;
    open_near(16, 16);
    connect_from(1);
    site_set_turn(&site, 1, 300 * MS);
    for (unsigned i = 0; i < 100; i++)
        assert_int_not_equal(site_serve_one(&site), 1);
}

static void a_near_worker_without_a_socket_leaves_it_to_the_others(void **state)
{
    (void)state;
    open_near(2, 1);
    connect_from(1);
    serve_all_to(0, 10);
    SITE_EXPECT(&site, [RG_STEER_SCANNED] = 10);
}

/* CPUs beyond this process's are not those of its workers, and a client there is served all the same. */
static void cpus_of_others_are_dealt_out_too(void **state)
{
    (void)state;
    use_cpus(&cpus[1], 1);
    site_open(&site, RG_STEER_MODE_NEAR, 2, 2, AF_INET);
    serve_all_to(0, 5); /* its only CPU is the first worker's */
    connect_from(0);
    for (unsigned i = 0; i < 5; i++)
        site_serve_one(&site);
    SITE_EXPECT(&site, [RG_STEER_NEAR] = 10);
}

static bool find_cpus(void)
{
    cpu_set_t usable;
    unsigned n = 0;

    if (sched_getaffinity(0, sizeof(usable), &usable) != 0)
        return false;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE && n < 2; cpu++)
        if (CPU_ISSET(cpu, &usable))
            cpus[n++] = cpu;
    return n == 2;
}

int main(void)
{
#define CASE(f) cmocka_unit_test_teardown(f, teardown)
    const struct CMUnitTest tests[] = {
        CASE(each_cpu_has_its_worker),
        CASE(load_outweighs_it),
        CASE(one_busy_cpu_does_not_fill_its_worker),
        CASE(a_near_worker_that_is_not_well_is_passed_over),
        CASE(a_near_worker_that_hangs_is_passed_over_among_many),
        CASE(a_near_worker_without_a_socket_leaves_it_to_the_others),
        CASE(cpus_of_others_are_dealt_out_too),
    };
#undef CASE
    if (!find_cpus()) {
        printf("SKIP: one CPU is all that this process may use\n");
        return 77;
    }
    int status = site_enter_namespace();

    return status ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
