/*
 * What waits for a worker: connections given to it and not accepted yet. It must be noticed when the queue of a worker
 * grows although its turns look fine, and forgotten when the handshakes were never finished.
 */
#include "tests/bpf/steer_site.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RETRY_MARGIN_NS (100 * MS)
#define ATTEMPTS        20

static struct site site;

static int teardown(void **state)
{
    (void)state;
    site_close(&site);
    return 0;
}

static void sleep_ns(uint64_t ns)
{
    const struct timespec t = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};

    nanosleep(&t, NULL);
}

static void serve_all_to(uint32_t worker, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(site_serve_one(&site), worker);
}

/*
 * Worker 0 serves and has many open, worker 1 accepts nothing and so looks empty. Leaves it with just too many waiting:
 * the load would still send it everything. False when that took so long that time, too, spoke against worker 1.
 */
static bool let_worker_1_fall_behind(void)
{
    uint64_t start = site_now();

    site_row(&site, 0)->open = 1000;
    for (unsigned i = 0; i <= RG_STEER_BEHIND; i++)
        assert_int_equal(site_connect(&site), 1);
    return site_now() - start < RG_STEER_HUNG_NS / 2;
}

static void open_with_worker_1_behind(void)
{
    for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
        site_open(&site, RG_STEER_MODE_LOAD, 2, 2, AF_INET);
        if (let_worker_1_fall_behind()) {
            SITE_EXPECT(&site, [RG_STEER_LOAD] = RG_STEER_BEHIND + 1);
            return;
        }
        site_close(&site);
    }
    fail_msg("the machine is too busy");
}

static void a_growing_queue_is_avoided(void **state)
{
    (void)state;
    open_with_worker_1_behind();
    serve_all_to(0, 50); /* at once, in comparison with a worker that moves */
    sleep_ns(RG_STEER_HUNG_NS + 50 * MS);
    serve_all_to(0, 50); /* and later as unfit */
    SITE_EXPECT(&site, [RG_STEER_AVOIDED] = 100);
    site_await(&site, 1, RG_STEER_BEHIND + 1);
    assert_int_equal(site_accept_all_of(&site, 1), RG_STEER_BEHIND + 1);
}

static void a_worker_that_moves_again_is_forgiven(void **state)
{
    (void)state;
    open_with_worker_1_behind();
    serve_all_to(0, 10);
    site_await(&site, 1, RG_STEER_BEHIND + 1);
    assert_int_equal(site_accept_all_of(&site, 1), RG_STEER_BEHIND + 1);
    serve_all_to(1, 10);
    SITE_EXPECT(&site, [RG_STEER_AVOIDED] = 10, [RG_STEER_LOAD] = 10);
}

static void one_that_does_not_move_is_tried_again(void **state)
{
    (void)state;
    open_with_worker_1_behind();
    sleep_ns(RG_STEER_RETRY_NS + RETRY_MARGIN_NS);
    assert_int_equal(site_connect(&site), 1);
    serve_all_to(0, 10); /* one, not a queue full */
    SITE_EXPECT(&site, [RG_STEER_LOAD] = 1, [RG_STEER_AVOIDED] = 10);
}

static void when_all_fall_behind_the_kernel_decides(void **state)
{
    (void)state;
    site_open(&site, RG_STEER_MODE_LOAD, 1, 1, AF_INET);
    for (unsigned i = 0; i <= RG_STEER_BEHIND; i++)
        assert_int_equal(site_connect(&site), 0);
    sleep_ns(RG_STEER_HUNG_NS + 50 * MS);
    assert_int_equal(site_connect(&site), SITE_NOBODY);
    SITE_EXPECT(&site, [RG_STEER_LOAD] = RG_STEER_BEHIND + 1, [RG_STEER_NONE_FIT] = 1);
    site_await(&site, 0, RG_STEER_BEHIND + 2);
    assert_int_equal(site_accept_all_of(&site, 0), RG_STEER_BEHIND + 2);
}

static void what_waits_is_part_of_the_load(void **state)
{
    (void)state;
    site_open(&site, RG_STEER_MODE_LOAD, 2, 2, AF_INET);
    site_row(&site, 0)->open = 3;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(site_connect(&site), 1);
    site_row(&site, 0)->open = 2;
    assert_int_equal(site_serve_one(&site), 0); /* 2 open against 3 waiting */
    SITE_EXPECT(&site, [RG_STEER_LOAD] = 4);
}

static void lost_handshakes_are_forgotten(void **state)
{
    (void)state;
    site_open(&site, RG_STEER_MODE_LOAD, 2, 2, AF_INET);
    site_row(&site, 0)->open = 3;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(site_connect(&site), 1); /* stand for SYNs without an ACK: `accepted` will not follow */
    site_row(&site, 0)->open = 2;
    sleep_ns(RG_STEER_RETRY_NS + RETRY_MARGIN_NS);
    assert_int_equal(site_connect(&site), 1);
    SITE_EXPECT(&site, [RG_STEER_LOAD] = 4);
}

/* The worker has begun to accept a burst: what it has not come to yet still counts. */
static void the_rest_of_a_burst_waits_on(void **state)
{
    (void)state;
    site_open(&site, RG_STEER_MODE_LOAD, 2, 2, AF_INET);
    site_row(&site, 0)->open = 100;
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(site_connect(&site), 1);
    site_row(&site, 1)->accepted += 3;
    site_row(&site, 1)->open += 3;
    site_row(&site, 0)->open = 9;
    assert_int_equal(site_serve_one(&site), 0); /* 9 against 3 open and 7 waiting */
    SITE_EXPECT(&site, [RG_STEER_LOAD] = 11);
}

/* A million half-open connections of a scan: when the worker accepts again, they are as if they had not been. */
static void lost_handshakes_leave_no_trace_under_traffic(void **state)
{
    (void)state;
    site_open(&site, RG_STEER_MODE_LOAD, 2, 2, AF_INET);
    site_row(&site, 0)->open = 10;
    site_row(&site, 1)->waiting_since = site_now();
    site_row(&site, 1)->assigned += 1000000;
    serve_all_to(0, 20);
    sleep_ns(RG_STEER_SETTLE_NS + 10 * MS);
    site_row(&site, 1)->accepted++;
    serve_all_to(1, 20);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(site_connect(&site), 1); /* what waits is counted from there */
    SITE_EXPECT(&site, [RG_STEER_AVOIDED] = 20, [RG_STEER_LOAD] = 25);
}

static uint16_t checksum(const void *data, size_t len, uint32_t sum)
{
    const uint8_t *p = data;

    for (size_t i = 0; i + 1 < len; i += 2)
        sum += (uint32_t)(p[i] << 8 | p[i + 1]);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

/* A segment that belongs to no connection. */
static void send_stray(int raw, bool ack, bool rst)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct tcphdr th = {.source = htons(4321), .dest = htons(site.port), .seq = htonl(7), .doff = 5};
    uint32_t pseudo_header = 2 * (0x7f00 + 1) + IPPROTO_TCP + sizeof(th);

    th.ack = ack;
    th.rst = rst;
    th.check = checksum(&th, sizeof(th), pseudo_header);
    assert_int_equal(sendto(raw, &th, sizeof(th), 0, (struct sockaddr *)&to, sizeof(to)), sizeof(th));
}

/* An ACK without a connection is answered by a reset: only then it is certain that it met the listener. */
static unsigned count_resets(int raw)
{
    uint8_t packet[1500];
    unsigned n = 0;
    ssize_t len;

    while ((len = recv(raw, packet, sizeof(packet), 0)) > 0) {
        const struct tcphdr *th = (const struct tcphdr *)(packet + (packet[0] & 15) * 4);

        n += th->rst && th->source == htons(site.port);
    }
    return n;
}

static void stray_segments_are_not_counted(void **state)
{
    const struct timeval wait = {.tv_usec = 300000};
    int raw = socket(AF_INET, SOCK_RAW, IPPROTO_TCP);

    (void)state;
    site_open(&site, RG_STEER_MODE_LOAD, 2, 2, AF_INET);
    assert_true(raw >= 0);
    assert_int_equal(setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)), 0);
    for (unsigned i = 0; i < 50; i++) {
        send_stray(raw, true, false);
        send_stray(raw, false, true);
        send_stray(raw, true, true);
    }
    assert_int_equal(count_resets(raw), 50);
    close(raw);
    assert_int_equal(site_row(&site, 0)->assigned + site_row(&site, 1)->assigned, 0);
    SITE_EXPECT(&site, 0);
}

static void set_syn_cookies(const char *value)
{
    int fd = open("/proc/sys/net/ipv4/tcp_syncookies", O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, value, strlen(value)), (ssize_t)strlen(value));
    close(fd);
}

/* With SYN cookies the ACK makes the connection, wherever it is steered then. */
static void syn_cookies_are_steered_and_counted_once(void **state)
{
    (void)state;
    set_syn_cookies("2"); /* always, in this namespace */
    site_open(&site, RG_STEER_MODE_LOAD, 2, 2, AF_INET);
    site_set_turn(&site, 0, 300 * MS);
    serve_all_to(1, 40);
    set_syn_cookies("1");
    assert_int_equal(site_row(&site, 1)->assigned, 40);
    SITE_EXPECT(&site, [RG_STEER_AVOIDED] = 40);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_teardown(f, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_growing_queue_is_avoided),
        CASE(a_worker_that_moves_again_is_forgiven),
        CASE(one_that_does_not_move_is_tried_again),
        CASE(when_all_fall_behind_the_kernel_decides),
        CASE(what_waits_is_part_of_the_load),
        CASE(lost_handshakes_are_forgotten),
        CASE(the_rest_of_a_burst_waits_on),
        CASE(lost_handshakes_leave_no_trace_under_traffic),
        CASE(stray_segments_are_not_counted),
        CASE(syn_cookies_are_steered_and_counted_once),
    };
#undef CASE
    int status = site_enter_namespace();

    return status ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
