/* Addresses whose owner is just dying: a start waits for them, for a second at most, and only where that can help. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "listen_fixture.h"

static int start[2]; /* a pipe: children begin to count when they can read from it */

static uint64_t ms_since(const struct timespec *from)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)((now.tv_sec - from->tv_sec) * 1000 + (now.tv_nsec - from->tv_nsec) / 1000000);
}

static int setup(void **state)
{
    assert_int_equal(pipe(start), 0);
    return fixture_setup(state);
}

static int teardown(void **state)
{
    close(start[0]);
    close(start[1]);
    return fixture_teardown(state);
}

/* The last descriptor of a listening socket, held by a child for so long, from open_takes on. */
static pid_t hold(int fd, unsigned ms)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char byte;
        if (read(start[0], &byte, 1) != 1)
            _exit(1);
        usleep(ms * 1000);
        _exit(0);
    }
    close(fd);
    return child;
}

static int occupy(const char *text, struct rg_address *ret)
{
    socklen_t len = sizeof(ret->in6);
    parse(text, ret);
    int fd = socket(ret->sa.sa_family, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, &ret->sa, ret->len), 0);
    assert_int_equal(listen(fd, 1), 0);
    if (ret->sa.sa_family != AF_UNIX)
        assert_int_equal(getsockname(fd, &ret->sa, &len), 0);
    rg_address_format(ret, ret->text, sizeof(ret->text));
    return fd;
}

/* Opens the set and says how long that took. */
static uint64_t open_takes(int expected)
{
    struct timespec begin;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    assert_int_equal(write(start[1], "go", 2), 2); /* a byte for each child that there may be */
    assert_int_equal(rg_listen_open(&set, &settings, false, why, sizeof(why)), expected);
    return ms_since(&begin);
}

static void a_port_that_comes_free_is_waited_for(void **state)
{
    (void)state;
    int fd = occupy("127.0.0.1:0", &settings.listeners[settings.n_listeners++].address);
    pid_t child = hold(fd, 200);
    uint64_t took = open_takes(0);
    assert_in_range(took, 200, 1500);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void all_listeners_together_wait_for_a_second(void **state)
{
    (void)state;
    pid_t children[2];
    int first = occupy("127.0.0.1:0", &settings.listeners[settings.n_listeners++].address);
    int second = occupy("127.0.0.1:0", &settings.listeners[settings.n_listeners++].address);
    children[0] = hold(first, 700);
    children[1] = hold(second, 3000);
    assert_in_range(open_takes(-EADDRINUSE), 950, 1690); /* a second each would be 700 and 1000 */
    assert_non_null(strstr(why, "listeners[1].address: "));
    for (int i = 0; i < 2; i++) {
        kill(children[i], SIGKILL);
        assert_int_equal(waitpid(children[i], NULL, 0), children[i]);
    }
}

static void a_socket_file_whose_owner_ends_is_waited_for(void **state)
{
    (void)state;
    add_unix("a");
    struct rg_address a;
    pid_t child = hold(occupy(settings.listeners[0].address.text, &a), 200);
    assert_in_range(open_takes(0), 200, 1500);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* One that does not accept has one connection of ours in its queue, not one for each look at it. */
static void a_live_socket_is_not_flooded(void **state)
{
    (void)state;
    add_unix("a");
    struct rg_address a;
    int other = occupy(settings.listeners[0].address.text, &a);
    assert_in_range(open_takes(-EADDRINUSE), 950, 2500);
    assert_non_null(strstr(why, "`ss -lxp`"));
    assert_int_equal(fcntl(other, F_SETFL, O_NONBLOCK), 0);
    int served = accept(other, NULL, NULL);
    assert_true(served >= 0);
    assert_int_equal(accept(other, NULL, NULL), -1);
    close(served);
    close(other);
}

static void a_full_queue_is_a_live_socket(void **state)
{
    (void)state;
    add_unix("a");
    struct rg_address a;
    int other = occupy(settings.listeners[0].address.text, &a), clients[2];
    for (int i = 0; i < 2; i++) /* a backlog of 1 takes two */
        clients[i] = connect_to(&a);
    assert_in_range(open_takes(-EADDRINUSE), 950, 2500);
    for (int i = 0; i < 2; i++)
        close(clients[i]);
    close(other);
}

/* What stands in the way is ours: nothing is waited for. */
static void listeners_that_overlap_are_told_at_once(void **state)
{
    (void)state;
    char wanted[256];
    int fd = occupy("127.0.0.1:0", &settings.listeners[1].address);
    uint16_t port = port_of(fd);
    close(fd);
    snprintf(wanted, sizeof(wanted), "[::]:%u", port);
    add(wanted);
    snprintf(wanted, sizeof(wanted), "127.0.0.1:%u", port);
    add(wanted);
    assert_in_range(open_takes(-EADDRINUSE), 0, 500);
    snprintf(wanted, sizeof(wanted),
             "listeners[1].address: can't bind 127.0.0.1:%u: the listener [::]:%u takes it already; leave one of the "
             "two out",
             port, port);
    assert_string_equal(why, wanted);
}

#define WAIT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WAIT_TEST(a_port_that_comes_free_is_waited_for),
        WAIT_TEST(all_listeners_together_wait_for_a_second),
        WAIT_TEST(a_socket_file_whose_owner_ends_is_waited_for),
        WAIT_TEST(a_live_socket_is_not_flooded),
        WAIT_TEST(a_full_queue_is_a_live_socket),
        WAIT_TEST(listeners_that_overlap_are_told_at_once),
    };
    return cmocka_run_group_tests_name("listen_wait", tests, NULL, NULL);
}
