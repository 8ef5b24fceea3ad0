/* Listening sockets: one per worker, inherited ones, UNIX socket files, and what is said when it fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "listen_fixture.h"

static int option_of(int fd, int level, int option)
{
    int value = 0;
    socklen_t len = sizeof(value);
    assert_int_equal(getsockopt(fd, level, option, &value, &len), 0);
    return value;
}

static void each_worker_has_a_socket_of_the_group(void **state)
{
    (void)state;
    char algorithm[16] = "";
    socklen_t len = sizeof(algorithm);
    add("127.0.0.1:0");
    assert_int_equal(rg_listen_open(&set, &settings, false, why, sizeof(why)), 0);
    const struct rg_listen_socket *l = &set.sockets[0];
    assert_int_equal(set.groups, 1);
    assert_true(l->steerable);
    for (int w = 0; w < 3; w++) {
        assert_int_equal(option_of(l->fds[w], SOL_SOCKET, SO_REUSEPORT), 1);
        assert_int_equal(option_of(l->fds[w], SOL_SOCKET, SO_ACCEPTCONN), 1);
        assert_int_equal(option_of(l->fds[w], IPPROTO_TCP, TCP_NODELAY), 1);
        assert_true(fcntl(l->fds[w], F_GETFD) & FD_CLOEXEC);
        assert_int_equal(port_of(l->fds[w]), port_of(l->fds[0])); /* a port of 0 is chosen once */
    }
    assert_int_equal(getsockopt(l->fds[0], IPPROTO_TCP, TCP_CONGESTION, algorithm, &len), 0);
    assert_true(strcmp(algorithm, "cubic") == 0 || strcmp(algorithm, "reno") == 0);
    char text[64];
    snprintf(text, sizeof(text), "127.0.0.1:%u", port_of(l->fds[0]));
    assert_string_equal(l->address.text, text);

    /* what is accepted inherits it */
    int client = connect_to(&l->address), served = -1;
    for (int w = 0; w < 3 && served < 0; w++)
        served = accept(l->fds[w], NULL, NULL);
    assert_true(served >= 0);
    assert_int_equal(option_of(served, IPPROTO_TCP, TCP_NODELAY), 1);
    close(client);
    close(served);
}

static void any_address_takes_both_families(void **state)
{
    (void)state;
    add("[::]:0");
    assert_int_equal(rg_listen_open(&set, &settings, false, why, sizeof(why)), 0);
    struct rg_address v4 = {.in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    v4.in.sin_port = htons(port_of(set.sockets[0].fds[0]));
    v4.len = sizeof(v4.in);
    int client = connect_to(&v4);
    assert_true(client >= 0);
    close(client);
}

static void sockets_are_handed_over(void **state)
{
    (void)state;
    int fds[RG_LISTENERS_MAX];
    add("127.0.0.1:0");
    add_unix("a");
    assert_int_equal(rg_listen_open(&set, &settings, false, why, sizeof(why)), 0);
    assert_int_equal(rg_listen_of_worker(&set, 1, fds), 2);
    assert_int_equal(fds[0], set.sockets[0].fds[1]);
    assert_int_equal(fds[1], set.sockets[1].fds[1]);
    rg_listen_give(&set, 1);
    rg_listen_close(&set);
    assert_true(fcntl(fds[0], F_GETFD) >= 0); /* the worker's now */
    assert_true(fcntl(fds[1], F_GETFD) >= 0);
    close(fds[0]);
    close(fds[1]);
}

static void a_taken_port_is_named_with_a_remedy(void **state)
{
    (void)state;
    int other = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char text[64], wanted[256];
    assert_int_equal(bind(other, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(other, 1), 0);
    snprintf(text, sizeof(text), "127.0.0.1:%u", port_of(other));
    add("127.0.0.1:0");
    add(text);
    assert_int_equal(rg_listen_open(&set, &settings, false, why, sizeof(why)), -EADDRINUSE);
    snprintf(wanted, sizeof(wanted), "listeners[1].address: can't bind %s: Address already in use; ", text);
    assert_int_equal(strncmp(why, wanted, strlen(wanted)), 0);
    assert_int_equal(set.n, 0); /* and nothing of the first stays open */
    close(other);
}

static void a_gateway_started_twice_is_told(void **state)
{
    (void)state;
    static struct rg_listen_set second;
    add("127.0.0.1:0");
    assert_int_equal(rg_listen_open(&set, &settings, false, why, sizeof(why)), 0);
    settings.listeners[0].address = set.sockets[0].address;
    assert_int_equal(rg_listen_open(&second, &settings, false, why, sizeof(why)), -EADDRINUSE);
    rg_listen_close(&set); /* and can start when the first has ended */
    assert_int_equal(rg_listen_open(&second, &settings, false, why, sizeof(why)), 0);
    rg_listen_close(&second);
}

static void a_foreign_address_is_an_error(void **state)
{
    (void)state;
    add("192.0.2.1:8080");
    assert_int_equal(rg_listen_open(&set, &settings, false, why, sizeof(why)), -EADDRNOTAVAIL);
    assert_non_null(strstr(why, "`ip address`"));
}

/* ---- UNIX sockets ---- */

static void unix_sockets_share_one_queue(void **state)
{
    (void)state;
    add_unix("a");
    assert_int_equal(rg_listen_open(&set, &settings, false, why, sizeof(why)), 0);
    assert_false(set.sockets[0].steerable);
    assert_int_equal(set.groups, 0);
    int client = connect_to(&set.sockets[0].address);
    assert_true(client >= 0);
    int served = accept(set.sockets[0].fds[2], NULL, NULL); /* any of them */
    assert_true(served >= 0);
    close(served);
    close(client);
    rg_listen_unlink(&set);
    assert_int_equal(access(settings.listeners[0].address.un.sun_path, F_OK), -1);
}

static void a_stale_file_is_replaced(void **state)
{
    (void)state;
    add_unix("a");
    struct rg_address *a = &settings.listeners[0].address;
    int killed = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(killed, &a->sa, a->len), 0);
    assert_int_equal(listen(killed, 1), 0);
    close(killed); /* its file stays */
    assert_int_equal(rg_listen_open(&set, &settings, false, why, sizeof(why)), 0);
}

static void a_live_socket_is_left_alone(void **state)
{
    (void)state;
    add_unix("a");
    struct rg_address *a = &settings.listeners[0].address;
    int other = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(other, &a->sa, a->len), 0);
    assert_int_equal(listen(other, 1), 0);
    assert_int_equal(rg_listen_open(&set, &settings, false, why, sizeof(why)), -EADDRINUSE);
    int client = connect_to(a);
    assert_true(client >= 0);
    close(client);
    close(other);
}

static void other_files_are_left_alone(void **state)
{
    (void)state;
    add_unix("a");
    int file = open(settings.listeners[0].address.un.sun_path, O_CREAT | O_WRONLY, 0600);
    close(file);
    assert_int_equal(rg_listen_open(&set, &settings, false, why, sizeof(why)), -ENOTSOCK);
    assert_int_equal(access(settings.listeners[0].address.un.sun_path, F_OK), 0);
    assert_non_null(strstr(why, "not a socket"));
}

static void a_missing_directory_is_named(void **state)
{
    (void)state;
    add_unix("no/such/a");
    assert_int_equal(rg_listen_open(&set, &settings, false, why, sizeof(why)), -ENOENT);
    assert_non_null(strstr(why, settings.listeners[0].address.text));
}

/* The file of a process that was started beside this one is not removed when this one ends. */
static void a_successors_file_stays(void **state)
{
    (void)state;
    add_unix("a");
    assert_int_equal(rg_listen_open(&set, &settings, false, why, sizeof(why)), 0);
    const struct rg_address *a = &settings.listeners[0].address;
    assert_int_equal(unlink(a->un.sun_path), 0);
    int next = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(next, &a->sa, a->len), 0);
    rg_listen_unlink(&set);
    assert_int_equal(access(a->un.sun_path, F_OK), 0);
    close(next);
}

static void a_flag_is_named(void **state)
{
    (void)state;
    add("192.0.2.1:8080");
    assert_int_equal(rg_listen_open(&set, &settings, true, why, sizeof(why)), -EADDRNOTAVAIL);
    assert_int_equal(strncmp(why, "--listen: can't bind 192.0.2.1:8080: ", 37), 0);
}

/* ---- Inherited ---- */

static int listening(const char *text, bool reuseport)
{
    struct rg_address a;
    int one = 1;
    parse(text, &a);
    int fd = socket(a.sa.sa_family, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    if (reuseport)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    assert_int_equal(bind(fd, &a.sa, a.len), 0);
    assert_int_equal(listen(fd, 5), 0);
    return fd;
}

/* Opens the set in a child that finds these sockets from descriptor 3 on, as a service manager passes them. */
static int open_with(const int *fds, int n, const char *pid, int (*check)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char number[16], own[32];
        int high[8];
        for (int i = 0; i < n; i++)
            high[i] = fcntl(fds[i], F_DUPFD, 100);
        for (int i = 0; i < n; i++)
            dup2(high[i], 3 + i);
        snprintf(number, sizeof(number), "%d", n);
        snprintf(own, sizeof(own), "%d", (int)getpid());
        setenv("LISTEN_FDS", number, 1);
        setenv("LISTEN_PID", pid ? pid : own, 1);
        setenv("LISTEN_FDNAMES", "web:other", 1);
        int r = rg_listen_open(&set, &settings, false, why, sizeof(why));
        _exit(r < 0 ? 100 : check());
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 101;
}

static int check_first_inherited(void)
{
    const struct rg_listen_socket *l = &set.sockets[0];
    return l->inherited && l->steerable && l->fds[0] == 3 && l->fds[1] > 3 && port_of(l->fds[1]) == port_of(3) &&
                   (fcntl(3, F_GETFD) & FD_CLOEXEC) && (fcntl(3, F_GETFL) & O_NONBLOCK) && !getenv("LISTEN_FDS") &&
                   option_of(3, IPPROTO_TCP, TCP_NODELAY)
               ? 0
               : 1;
}

static void an_inherited_socket_is_joined_by_more(void **state)
{
    (void)state;
    char text[64];
    int fd = listening("127.0.0.1:0", true);
    snprintf(text, sizeof(text), "127.0.0.1:%u", port_of(fd));
    add(text);
    assert_int_equal(open_with(&fd, 1, NULL, check_first_inherited), 0);
    close(fd);
}

static int check_shared(void)
{
    const struct rg_listen_socket *l = &set.sockets[0];
    return l->inherited && !l->steerable && l->fds[0] == 3 && port_of(l->fds[2]) == port_of(3) ? 0 : 1;
}

static void an_inherited_socket_without_reuseport_is_shared(void **state)
{
    (void)state;
    char text[64];
    int fd = listening("127.0.0.1:0", false);
    snprintf(text, sizeof(text), "127.0.0.1:%u", port_of(fd));
    add(text);
    assert_int_equal(open_with(&fd, 1, NULL, check_shared), 0);
    close(fd);
}

static int check_matched(void)
{
    /* listener 0 is the UNIX socket (descriptor 4), listener 1 the port (descriptor 3) */
    return set.sockets[0].fds[0] == 4 && set.sockets[1].fds[0] == 3 && !set.sockets[0].owns_file ? 0 : 1;
}

static void sockets_are_matched_by_address_not_by_order(void **state)
{
    (void)state;
    char text[64];
    int fds[2] = {listening("127.0.0.1:0", true), -1};
    add_unix("a");
    fds[1] = listening(settings.listeners[0].address.text, false);
    snprintf(text, sizeof(text), "127.0.0.1:%u", port_of(fds[0]));
    add(text);
    assert_int_equal(open_with(fds, 2, NULL, check_matched), 0);
    assert_int_equal(access(settings.listeners[0].address.un.sun_path, F_OK), 0); /* the manager's file */
    close(fds[0]);
    close(fds[1]);
}

static int check_unmatched(void)
{
    return !set.sockets[0].inherited && port_of(set.sockets[0].fds[0]) != 0 ? 0 : 1;
}

static void unmatched_sockets_are_closed(void **state)
{
    (void)state;
    int fd = listening("127.0.0.1:0", true);
    add("127.0.0.1:0");
    assert_int_equal(open_with(&fd, 1, NULL, check_unmatched), 0);
    close(fd);
}

static int check_not_touched(void)
{
    return !set.sockets[0].inherited && fcntl(3, F_GETFD) == 0 && getenv("LISTEN_FDS") ? 0 : 1;
}

static void sockets_for_another_process_are_not_touched(void **state)
{
    (void)state;
    int fd = listening("127.0.0.1:0", true);
    add("127.0.0.1:0");
    assert_int_equal(open_with(&fd, 1, "1", check_not_touched), 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_worker_has_a_socket_of_the_group),
        TEST(any_address_takes_both_families),
        TEST(sockets_are_handed_over),
        TEST(a_taken_port_is_named_with_a_remedy),
        TEST(a_gateway_started_twice_is_told),
        TEST(a_foreign_address_is_an_error),
        TEST(unix_sockets_share_one_queue),
        TEST(a_stale_file_is_replaced),
        TEST(a_live_socket_is_left_alone),
        TEST(other_files_are_left_alone),
        TEST(a_missing_directory_is_named),
        TEST(a_successors_file_stays),
        TEST(a_flag_is_named),
        TEST(an_inherited_socket_is_joined_by_more),
        TEST(an_inherited_socket_without_reuseport_is_shared),
        TEST(sockets_are_matched_by_address_not_by_order),
        TEST(unmatched_sockets_are_closed),
        TEST(sockets_for_another_process_are_not_touched),
    };
    return cmocka_run_group_tests_name("listen", tests, NULL, NULL);
}
