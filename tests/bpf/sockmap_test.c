/*
 * The sockmap programs against real connections, in a network namespace of their own: which connections enter, which
 * messages are redirected, and that a reader gets every byte in its order whichever way it came.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bpf/steer_site.h"

#include "bpf/sockmap_loader.h"

struct counts {
    uint64_t connections, redirected, tcp;
};

static struct rg_sockmap *map;

static int setup(void **state)
{
    char why[512] = "";
    int err = rg_sockmap_create(&map, why, sizeof(why));

    (void)state;
    if (err)
        printf("create: %s\n", why);
    return err;
}

static int teardown(void **state)
{
    (void)state;
    rg_sockmap_destroy(map);
    map = NULL;
    return 0;
}

static void expect(struct counts want)
{
    assert_int_equal(rg_sockmap_get(map, RG_SOCKMAP_CONNECTIONS), want.connections);
    assert_int_equal(rg_sockmap_get(map, RG_SOCKMAP_REDIRECTED), want.redirected);
    assert_int_equal(rg_sockmap_get(map, RG_SOCKMAP_BY_TCP), want.tcp);
}

/* ends[0] connects, marked or not; listen_family AF_INET6 with family AF_INET: a listener for both. */
static void open_pair(int ends[2], int family, int listen_family, int marked)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(listen_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(six);

    six.sin6_addr = in6addr_any;
    assert_true(listener >= 0);
    if (listen_family == AF_INET6)
        assert_int_equal(bind(listener, (struct sockaddr *)&six, sizeof(six)), 0);
    else
        assert_int_equal(bind(listener, (struct sockaddr *)&four, sizeof(four)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&six, &len), 0);
    four.sin_port = six.sin6_port; /* at the same place in both */
    six.sin6_addr = in6addr_loopback;
    ends[0] = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(ends[0] >= 0);
    if (marked)
        assert_int_equal(rg_sockmap_mark(map, ends[0]), 0);
    if (family == AF_INET)
        assert_int_equal(connect(ends[0], (struct sockaddr *)&four, sizeof(four)), 0);
    else
        assert_int_equal(connect(ends[0], (struct sockaddr *)&six, sizeof(six)), 0);
    ends[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(ends[1] >= 0);
    close(listener);
}

static void close_pair(const int ends[2])
{
    close(ends[0]);
    close(ends[1]);
}

static void say(int fd, const void *bytes, size_t len)
{
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
}

static void hear(int fd, const void *bytes, size_t len)
{
    static char got[1 << 20];

    assert_true(len <= sizeof(got));
    assert_int_equal(recv(fd, got, len, MSG_WAITALL), len);
    assert_memory_equal(got, bytes, len);
}

static void the_self_test_passes_and_is_not_counted(void **state)
{
    char why[512] = "";
    int err = rg_sockmap_try(map, why, sizeof(why));

    (void)state;
    if (err)
        printf("try: %s\n", why);
    assert_int_equal(err, 0);
    expect((struct counts){0});
}

static void only_marked_connections_enter(void **state)
{
    int ends[2];

    (void)state;
    open_pair(ends, AF_INET, AF_INET, 0);
    say(ends[0], "question", 8);
    hear(ends[1], "question", 8);
    say(ends[1], "answer", 6);
    hear(ends[0], "answer", 6);
    close_pair(ends);
    expect((struct counts){0});
}

static void both_families_enter(void **state)
{
    static const int families[][2] = {{AF_INET, AF_INET}, {AF_INET, AF_INET6}, {AF_INET6, AF_INET6}};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        int ends[2];

        open_pair(ends, families[i][0], families[i][1], 1);
        say(ends[0], "question", 8);
        hear(ends[1], "question", 8);
        say(ends[1], "answer", 6);
        hear(ends[0], "answer", 6);
        close_pair(ends);
        expect((struct counts){.connections = i + 1, .redirected = 2 * (i + 1)});
    }
}

static void a_large_answer_goes_by_tcp_and_what_follows_it(void **state)
{
    static char large[200000];
    int ends[2];

    (void)state;
    memset(large, 'x', sizeof(large));
    open_pair(ends, AF_INET, AF_INET, 1);
    say(ends[0], "question", 8);
    hear(ends[1], "question", 8);
    say(ends[1], "head", 4);
    expect((struct counts){1, 2, 0});
    say(ends[1], large, sizeof(large)); /* in pieces, which the kernel chooses */
    uint64_t pieces = rg_sockmap_get(map, RG_SOCKMAP_BY_TCP);
    assert_true(pieces > 0);
    say(ends[1], "tail", 4);
    expect((struct counts){1, 2, pieces + 1});
    hear(ends[0], "head", 4);
    hear(ends[0], large, sizeof(large));
    hear(ends[0], "tail", 4);
    /* The next request shows that all of it was read. */
    say(ends[0], "question", 8);
    hear(ends[1], "question", 8);
    say(ends[1], "answer", 6);
    hear(ends[0], "answer", 6);
    expect((struct counts){1, 4, pieces + 1});
    close_pair(ends);
}

static void a_large_request_takes_the_connection_out(void **state)
{
    static char large[RG_SOCKMAP_MESSAGE_MAX + 1];
    int ends[2];

    (void)state;
    open_pair(ends, AF_INET, AF_INET, 1);
    say(ends[0], large, sizeof(large));
    hear(ends[1], large, sizeof(large));
    say(ends[1], "answer", 6);
    hear(ends[0], "answer", 6);
    say(ends[0], "question", 8);
    hear(ends[1], "question", 8);
    assert_int_equal(rg_sockmap_get(map, RG_SOCKMAP_REDIRECTED), 0);
    close_pair(ends);
}

static void what_may_wait_unread_is_limited(void **state)
{
    const unsigned most = RG_SOCKMAP_AHEAD_MAX / (RG_SOCKMAP_MESSAGE_BYTES + 4);
    char text[8];
    int ends[2];

    (void)state;
    open_pair(ends, AF_INET, AF_INET, 1);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "%04u", i);
        say(ends[1], text, 4);
    }
    expect((struct counts){1, most, 1000 - most});
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "%04u", i);
        hear(ends[0], text, 4);
    }
    close_pair(ends);
}

static void after_the_first_end_nothing_is_redirected(void **state)
{
    int ends[2];
    char byte;

    (void)state;
    open_pair(ends, AF_INET, AF_INET, 1);
    say(ends[0], "question", 8);
    shutdown(ends[0], SHUT_WR);
    hear(ends[1], "question", 8);
    assert_int_equal(recv(ends[1], &byte, 1, 0), 0);
    say(ends[1], "answer", 6);
    close(ends[1]); /* the kernel forgets redirected bytes when the connection has ended on both sides */
    usleep(20000);
    hear(ends[0], "answer", 6);
    assert_int_equal(recv(ends[0], &byte, 1, 0), 0);
    expect((struct counts){1, 1, 1});
    close(ends[0]);
}

static void connections_outlive_the_loader(void **state)
{
    int ends[2];

    (void)state;
    open_pair(ends, AF_INET, AF_INET, 1);
    say(ends[0], "question", 8);
    rg_sockmap_destroy(map);
    map = NULL;
    hear(ends[1], "question", 8);
    say(ends[1], "answer", 6);
    hear(ends[0], "answer", 6);
    close_pair(ends);
}

static void two_maps_know_nothing_of_each_other(void **state)
{
    struct rg_sockmap *other;
    char why[512] = "";
    int ends[2];

    (void)state;
    assert_int_equal(rg_sockmap_create(&other, why, sizeof(why)), 0);
    open_pair(ends, AF_INET, AF_INET, 1);
    say(ends[0], "question", 8);
    hear(ends[1], "question", 8);
    close_pair(ends);
    expect((struct counts){1, 1, 0});
    assert_int_equal(rg_sockmap_get(other, RG_SOCKMAP_CONNECTIONS), 0);
    rg_sockmap_destroy(other);
}

/* 77: this machine can't have it, and the reason is printed. Whatever else goes wrong is a failure. */
static int check_place(void)
{
    struct rg_sockmap *s;
    char why[512] = "";
    int status = site_enter_namespace();
    int err = status ? 0 : rg_sockmap_create(&s, why, sizeof(why));

    if (err == -EPERM || err == -ENOENT) {
        printf("skipped: %s\n", why);
        return 77;
    }
    if (!status && !err)
        rg_sockmap_destroy(s);
    return status;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_self_test_passes_and_is_not_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(only_marked_connections_enter, setup, teardown),
        cmocka_unit_test_setup_teardown(both_families_enter, setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_answer_goes_by_tcp_and_what_follows_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_request_takes_the_connection_out, setup, teardown),
        cmocka_unit_test_setup_teardown(what_may_wait_unread_is_limited, setup, teardown),
        cmocka_unit_test_setup_teardown(after_the_first_end_nothing_is_redirected, setup, teardown),
        cmocka_unit_test_setup_teardown(connections_outlive_the_loader, setup, teardown),
        cmocka_unit_test_setup_teardown(two_maps_know_nothing_of_each_other, setup, teardown),
    };
    int status = check_place();

    return status ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
