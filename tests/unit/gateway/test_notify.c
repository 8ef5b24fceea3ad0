/* The service manager's protocol against a socket of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control/gateway/notify.h"

static int manager = -1;
static char path[108];

static void listen_at(const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    memcpy(a.sun_path, name, len);
    if (name[0] == '@')
        a.sun_path[0] = '\0';
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_true(manager >= 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (name[0] == '@' ? 0 : 1));
    assert_int_equal(bind(manager, (struct sockaddr *)&a, size), 0);
    setenv("NOTIFY_SOCKET", name, 1);
}

static const char *heard(void)
{
    static char text[1024];
    ssize_t n = recv(manager, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static int setup(void **state)
{
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    snprintf(path, sizeof(path), "/tmp/rg-notify-%d", (int)getpid());
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (manager >= 0)
        close(manager);
    manager = -1;
    unlink(path);
    return 0;
}

static void nobody_to_tell(void **state)
{
    (void)state;
    struct rg_notify n;
    assert_int_equal(rg_notify_init(&n), 0);
    assert_int_equal(n.fd, -1);
    assert_int_equal(rg_notify_ready(&n), 0);
    rg_notify_fini(&n);
}

static void says_its_states_on_a_path(void **state)
{
    (void)state;
    struct rg_notify n;
    listen_at(path);
    assert_int_equal(rg_notify_init(&n), 0);
    assert_int_equal(rg_notify_ready(&n), 0);
    assert_string_equal(heard(), "READY=1");
    assert_int_equal(rg_notify_stopping(&n), 0);
    assert_string_equal(heard(), "STOPPING=1");
    assert_int_equal(rg_notify_watchdog(&n), 0);
    assert_string_equal(heard(), "WATCHDOG=1");
    assert_int_equal(rg_notify_send(&n, "STATUS=%s %d", "workers", 2), 0);
    assert_string_equal(heard(), "STATUS=workers 2");
    rg_notify_fini(&n);
}

static void reloading_carries_the_monotonic_time(void **state)
{
    (void)state;
    struct rg_notify n;
    struct timespec before, after;
    static const char start[] = "RELOADING=1\nMONOTONIC_USEC=";
    listen_at(path);
    assert_int_equal(rg_notify_init(&n), 0);
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_int_equal(rg_notify_reloading(&n), 0);
    clock_gettime(CLOCK_MONOTONIC, &after);
    const char *message = heard();
    char *end;
    assert_int_equal(strncmp(message, start, strlen(start)), 0);
    unsigned long long us = strtoull(message + strlen(start), &end, 10);
    assert_string_equal(end, "");
    assert_true(us >= (unsigned long long)before.tv_sec * 1000000 + (unsigned long long)before.tv_nsec / 1000);
    assert_true(us <= (unsigned long long)after.tv_sec * 1000000 + (unsigned long long)after.tv_nsec / 1000);
    rg_notify_fini(&n);
}

static void speaks_to_abstract_sockets(void **state)
{
    (void)state;
    struct rg_notify n;
    char name[64];
    snprintf(name, sizeof(name), "@rg-notify-%d", (int)getpid());
    listen_at(name);
    assert_int_equal(rg_notify_init(&n), 0);
    assert_int_equal(rg_notify_ready(&n), 0);
    assert_string_equal(heard(), "READY=1");
    rg_notify_fini(&n);
}

static void a_deaf_manager_is_an_error_not_a_wait(void **state)
{
    (void)state;
    struct rg_notify n;
    listen_at(path);
    assert_int_equal(rg_notify_init(&n), 0);
    int r = 0;
    for (int i = 0; i < 100000 && r == 0; i++) /* until its queue is full */
        r = rg_notify_ready(&n);
    assert_int_equal(r, -EAGAIN);
    close(manager);
    manager = -1;
    assert_int_equal(rg_notify_ready(&n), -ECONNREFUSED);
    rg_notify_fini(&n);
}

static void malformed_sockets_are_refused(void **state)
{
    (void)state;
    struct rg_notify n;
    char longer[300];
    static const char *const bad[] = {"", "relative/path", "@", "/"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        setenv("NOTIFY_SOCKET", bad[i], 1);
        assert_int_equal(rg_notify_init(&n), -EINVAL);
        assert_int_equal(n.fd, -1);
        assert_int_equal(rg_notify_ready(&n), 0); /* silent */
    }
    memset(longer, 'a', sizeof(longer));
    longer[0] = '/';
    longer[sizeof(longer) - 1] = '\0';
    setenv("NOTIFY_SOCKET", longer, 1);
    assert_int_equal(rg_notify_init(&n), -ENAMETOOLONG);
}

static void the_watchdog_is_read(void **state)
{
    (void)state;
    struct rg_notify n;
    char pid[32];
    listen_at(path);
    setenv("WATCHDOG_USEC", "30000000", 1);
    assert_int_equal(rg_notify_init(&n), 0);
    assert_int_equal(n.watchdog_ms, 30000);
    rg_notify_fini(&n);

    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    assert_int_equal(rg_notify_init(&n), 0);
    assert_int_equal(n.watchdog_ms, 30000);
    rg_notify_fini(&n);

    setenv("WATCHDOG_PID", "1", 1); /* another process's */
    assert_int_equal(rg_notify_init(&n), 0);
    assert_int_equal(n.watchdog_ms, 0);
    rg_notify_fini(&n);

    static const char *const bad[] = {"", "0", "-5", "10s", "99999999999999999999999"};
    unsetenv("WATCHDOG_PID");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        setenv("WATCHDOG_USEC", bad[i], 1);
        assert_int_equal(rg_notify_init(&n), -EINVAL);
        assert_int_equal(n.watchdog_ms, 0);
        assert_int_equal(rg_notify_ready(&n), 0); /* the states are still told */
        rg_notify_fini(&n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nobody_to_tell, setup, teardown),
        cmocka_unit_test_setup_teardown(says_its_states_on_a_path, setup, teardown),
        cmocka_unit_test_setup_teardown(reloading_carries_the_monotonic_time, setup, teardown),
        cmocka_unit_test_setup_teardown(speaks_to_abstract_sockets, setup, teardown),
        cmocka_unit_test_setup_teardown(a_deaf_manager_is_an_error_not_a_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(malformed_sockets_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(the_watchdog_is_read, setup, teardown),
    };
    return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
