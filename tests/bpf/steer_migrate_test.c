/* What happens to the queue of a listener that is shut down, and to new connections after it. */
#include "tests/bpf/steer_site.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUE 100

static struct site site;

static int teardown(void **state)
{
    (void)state;
    site_close(&site);
    return 0;
}

/* The kernel migrates by itself only with this switch on; here the program does, whatever it says. */
static void require_migrate_req_off(void)
{
    char value = '?';
    int fd = open("/proc/sys/net/ipv4/tcp_migrate_req", O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(read(fd, &value, 1), 1);
    close(fd);
    assert_int_equal(value, '0');
}

/* Connects QUEUE clients, each with a byte sent, that wait at worker 0. It is made to look as if it accepted. */
static void queue_at_worker_0(void)
{
    for (unsigned i = 1; i < site.workers; i++)
        site_row(&site, i)->retired = 1;
    for (unsigned i = 0; i < QUEUE; i++) {
        unsigned char mark = (unsigned char)i;

        site_connect(&site);
        site_row(&site, 0)->accepted++;
        assert_int_equal(write(site.client[i], &mark, 1), 1);
    }
    for (unsigned i = 1; i < site.workers; i++)
        site_row(&site, i)->retired = 0;
    assert_int_equal(site_row(&site, 0)->assigned, QUEUE);
    site_await(&site, 0, QUEUE);
}

static void abandon_worker_0(void)
{
    uint64_t ignored[RG_STEER_VERDICT_COUNT];

    site_read_verdicts(&site, ignored);
    site_row(&site, 0)->retired = 1;
    assert_int_equal(shutdown(site.listener[0], SHUT_RD), 0);
}

/* Every client's byte arrives, each once. */
static void check_bytes_of_served(void)
{
    bool seen[QUEUE] = {false};

    assert_int_equal(site.n_served, QUEUE);
    for (unsigned i = 0; i < QUEUE; i++) {
        unsigned char mark = 0;

        assert_int_equal(read(site.served[i], &mark, 1), 1);
        assert_in_range(mark, 0, QUEUE - 1);
        assert_false(seen[mark]);
        seen[mark] = true;
    }
}

static void the_queue_moves_to_the_other_worker(void **state)
{
    (void)state;
    require_migrate_req_off();
    site_open(&site, RG_STEER_MODE_LOAD, 2, 2, AF_INET);
    queue_at_worker_0();
    abandon_worker_0();
    assert_int_equal(site_accept_all_of(&site, 1), QUEUE);
    check_bytes_of_served();
    assert_int_equal(site_row(&site, 1)->assigned, QUEUE);
    SITE_EXPECT(&site, [RG_STEER_MIGRATED] = QUEUE);
}

static void the_queue_moves_in_hash_mode_and_over_ipv6(void **state)
{
    (void)state;
    require_migrate_req_off();
    site_open(&site, RG_STEER_MODE_HASH, 2, 2, AF_INET6);
    queue_at_worker_0();
    abandon_worker_0();
    assert_int_equal(site_accept_all_of(&site, 1), QUEUE);
    check_bytes_of_served();
    SITE_EXPECT(&site, [RG_STEER_MIGRATED] = QUEUE);
}

static void the_queue_is_shared_among_the_fit(void **state)
{
    unsigned n[4];

    (void)state;
    site_open(&site, RG_STEER_MODE_LOAD, 4, 4, AF_INET);
    queue_at_worker_0();
    site_set_turn(&site, 2, 300 * MS);
    abandon_worker_0();
    for (unsigned i = 1; i < 4; i++)
        n[i] = site_accept_all_of(&site, i);
    assert_int_equal(n[2], 0);
    assert_in_range(n[1], 40, 60);
    assert_int_equal(n[1] + n[3], QUEUE);
    SITE_EXPECT(&site, [RG_STEER_MIGRATED] = QUEUE);
}

static void without_a_fit_worker_the_kernel_moves_it(void **state)
{
    (void)state;
    site_open(&site, RG_STEER_MODE_LOAD, 2, 2, AF_INET);
    queue_at_worker_0();
    site_set_turn(&site, 1, 300 * MS);
    abandon_worker_0();
    assert_int_equal(site_accept_all_of(&site, 1), QUEUE);
    check_bytes_of_served();
    assert_int_equal(site_row(&site, 1)->assigned, 0);
    SITE_EXPECT(&site, [RG_STEER_NONE_FIT] = QUEUE);
}

/* Closing does the same as shutting down. */
static void a_closed_listener_s_queue_moves(void **state)
{
    uint64_t ignored[RG_STEER_VERDICT_COUNT];

    (void)state;
    site_open(&site, RG_STEER_MODE_LOAD, 2, 2, AF_INET);
    queue_at_worker_0();
    site_read_verdicts(&site, ignored);
    close(site.listener[0]);
    site.listener[0] = open("/dev/null", O_RDONLY | O_CLOEXEC); /* keeps the place, for teardown */
    assert_int_equal(site_accept_all_of(&site, 1), QUEUE);
    SITE_EXPECT(&site, [RG_STEER_MIGRATED] = QUEUE);
}

/* A worker that died without a word: its row looks idle, its socket is gone. Nothing may be refused. */
static void new_connections_pass_over_an_empty_place(void **state)
{
    uint64_t n[RG_STEER_VERDICT_COUNT];

    (void)state;
    site_open(&site, RG_STEER_MODE_LOAD, 2, 2, AF_INET);
    assert_int_equal(shutdown(site.listener[0], SHUT_RD), 0);
    site_row(&site, 1)->open = 1000;
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(site_connect(&site), 1);
        site_await(&site, 1, 1);
        assert_int_equal(site_accept_all_of(&site, 1), 1);
    }
    site_read_verdicts(&site, n);
    assert_int_equal(n[RG_STEER_SCANNED], 40);
    assert_int_equal(n[RG_STEER_LOAD] + n[RG_STEER_ERROR] + n[RG_STEER_NONE_FIT], 0);
}

/* Its listening socket is there again: it gets what comes, as the other one is full. */
static void expect_worker_0_to_be_back(void)
{
    assert_int_equal(rg_steer_add(site.steer, 0, 0, site.listener[0]), 0);
    site_row(&site, 0)->retired = 0;
    site_row(&site, 1)->open = 1000;
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(site_serve_one(&site), 0);
    SITE_EXPECT(&site, [RG_STEER_LOAD] = 40);
}

static void a_new_socket_takes_the_place(void **state)
{
    (void)state;
    site_open(&site, RG_STEER_MODE_LOAD, 2, 2, AF_INET);
    abandon_worker_0();
    close(site.listener[0]);
    site.listener[0] = site_listen(AF_INET, &site.port);
    expect_worker_0_to_be_back();
}

/* As a worker does that hung, was passed over and moves again: the same socket listens once more. */
static void a_socket_that_listens_again_takes_its_place(void **state)
{
    (void)state;
    site_open(&site, RG_STEER_MODE_LOAD, 2, 2, AF_INET);
    queue_at_worker_0();
    abandon_worker_0();
    assert_int_equal(site_accept_all_of(&site, 1), QUEUE);
    SITE_EXPECT(&site, [RG_STEER_MIGRATED] = QUEUE);

    assert_int_equal(listen(site.listener[0], SITE_CLIENTS_MAX), 0);
    expect_worker_0_to_be_back();
}

/* The last socket goes and a new one comes: a new group for the kernel, which must get the program, too. */
static void a_group_made_again_is_steered(void **state)
{
    (void)state;
    site_open(&site, RG_STEER_MODE_LOAD, 1, 1, AF_INET);
    close(site.listener[0]);
    site.listener[0] = site_listen(AF_INET, &site.port);
    assert_int_equal(rg_steer_add(site.steer, 0, 0, site.listener[0]), 0);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(site_serve_one(&site), 0);
    SITE_EXPECT(&site, [RG_STEER_LOAD] = 10);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_teardown(f, teardown)
    const struct CMUnitTest tests[] = {
        CASE(the_queue_moves_to_the_other_worker), CASE(the_queue_moves_in_hash_mode_and_over_ipv6),
        CASE(the_queue_is_shared_among_the_fit),   CASE(without_a_fit_worker_the_kernel_moves_it),
        CASE(a_closed_listener_s_queue_moves),     CASE(new_connections_pass_over_an_empty_place),
        CASE(a_new_socket_takes_the_place),        CASE(a_socket_that_listens_again_takes_its_place),
        CASE(a_group_made_again_is_steered),
    };
#undef CASE
    int status = site_enter_namespace();

    return status ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
