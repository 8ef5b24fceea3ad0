/* The prober against scripted replicas, and the judgement of answers. One thread: the replica is served between turns.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/gateway/health.h"

#define INTERVAL_MS 150
#define TIMEOUT_MS  80   /* of the tests that wait for it */
#define PATIENCE_MS 5000 /* for all that is to happen, on a machine that may be busy */

#define HEALTHY_MAP "\xa1\x75replica_health_status\x67healthy"
#define SICK_MAP    "\xa1\x75replica_health_status\x78\x1bwaiting_for_certified_state"

static struct rg_loop loop;
static struct rg_replica replica;
static struct rg_prober prober;
static uint64_t ok, failed;
static int server = -1;
static struct rg_settings settings;
static char request[2048];

static void open_server(void)
{
    socklen_t len = sizeof(settings.replica.in);
    int one = 1;
    server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(server >= 0);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    settings.replica.in.sin_family = AF_INET;
    settings.replica.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    settings.replica.len = sizeof(settings.replica.in);
    assert_int_equal(bind(server, &settings.replica.sa, settings.replica.len), 0);
    assert_int_equal(listen(server, 8), 0);
    getsockname(server, &settings.replica.sa, &len);
    snprintf(settings.replica.text, sizeof(settings.replica.text), "127.0.0.1:%u", ntohs(settings.replica.in.sin_port));
}

static int setup(void **state)
{
    (void)state;
    memset(&replica, 0, sizeof(replica));
    memset(&settings, 0, sizeof(settings));
    ok = failed = 0;
    settings.health = (struct rg_health_settings){.path = "/api/v2/status",
                                                  .interval_ms = INTERVAL_MS,
                                                  .timeout_ms = PATIENCE_MS,
                                                  .expect = RG_EXPECT_AUTO,
                                                  .rise = 1,
                                                  .fall = 2,
                                                  .enabled = true};
    open_server();
    assert_int_equal(rg_loop_init(&loop), 0);
    assert_int_equal(rg_prober_init(&prober, &loop, &replica), 0);
    prober.ok = &ok;
    prober.failed = &failed;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_prober_fini(&prober);
    rg_loop_fini(&loop);
    if (server >= 0)
        close(server);
    server = -1;
    return 0;
}

static void turn(void)
{
    /* A short alarm of our own would do as well; the prober always has one set while it is on. */
    assert_int_equal(rg_loop_turn(&loop), 0);
}

static void nothing(struct rg_alarm *a)
{
    (void)a;
}

/* Turns the loop for at most ms. */
static void turn_for(uint64_t ms)
{
    struct rg_alarm end = {.due = nothing};
    rg_loop_set_alarm(&loop, &end, ms);
    while (end.set)
        turn();
}

/* Accepts the next probe and reads its request; the connection is the caller's. */
static int accept_probe(void)
{
    int fd = -1;
    uint64_t end = rg_now_ms() + PATIENCE_MS;
    while ((fd = accept(server, NULL, NULL)) < 0 && rg_now_ms() < end)
        turn_for(1);
    assert_true(fd >= 0);
    size_t n = 0;
    for (request[0] = '\0'; !strstr(request, "\r\n\r\n") && rg_now_ms() < end;) {
        ssize_t r = recv(fd, request + n, sizeof(request) - 1 - n, MSG_DONTWAIT);
        n += r > 0 ? (size_t)r : 0;
        request[n] = '\0';
        turn_for(1);
    }
    return fd;
}

static void finish_probe(void)
{
    uint64_t before = ok + failed, end = rg_now_ms() + PATIENCE_MS;
    while (ok + failed == before && rg_now_ms() < end)
        turn_for(1);
    assert_int_equal(ok + failed, before + 1);
}

static void turn_until(const uint64_t *counter, uint64_t least)
{
    for (uint64_t end = rg_now_ms() + PATIENCE_MS; *counter < least && rg_now_ms() < end;)
        turn_for(1);
    assert_true(*counter >= least);
}

/* Answers the next probe with these bytes, in pieces of so many, and closes. The probe may end before the last piece.
 */
static void answer_bytes(const char *bytes, size_t len, size_t piece)
{
    int fd = accept_probe();
    uint64_t before = ok + failed;
    for (size_t at = 0; at < len && ok + failed == before; at += piece) {
        size_t n = len - at < piece ? len - at : piece;
        assert_int_equal(send(fd, bytes + at, n, MSG_NOSIGNAL), n);
        if (at + n < len)
            turn_for(0);
    }
    close(fd);
    while (ok + failed == before)
        turn_for(1);
}

#define ANSWER(literal) answer_bytes((literal), sizeof(literal) - 1, sizeof(literal))

static enum rg_replica_state state_is(void)
{
    return (enum rg_replica_state)replica.state;
}

static void the_first_probe_decides_at_once(void **state)
{
    (void)state;
    settings.health.interval_ms = 60000;
    rg_prober_configure(&prober, &settings);
    assert_int_equal(state_is(), RG_REPLICA_UNKNOWN);
    ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_int_equal(state_is(), RG_REPLICA_HEALTHY);
    char line[256];
    snprintf(line, sizeof(line), "GET /api/v2/status HTTP/1.1\r\nHost: %s\r\n", settings.replica.text);
    assert_int_equal(strncmp(request, line, strlen(line)), 0);
    assert_non_null(strstr(request, "\r\nConnection: close\r\n"));
    assert_int_equal(ok, 1);
    assert_int_equal(failed, 0);
}

static void a_refused_connect_is_down_at_once_when_nothing_is_known(void **state)
{
    (void)state;
    close(server);
    server = -1;
    rg_prober_configure(&prober, &settings);
    finish_probe();
    assert_int_equal(state_is(), RG_REPLICA_DOWN);
    assert_string_equal(prober.why, "can't connect: Connection refused");
}

static void fall_and_rise_are_counted(void **state)
{
    (void)state;
    settings.health.fall = 3;
    settings.health.rise = 2;
    rg_prober_configure(&prober, &settings);
    ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    ANSWER("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
    ANSWER("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
    ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); /* in a row */
    ANSWER("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
    ANSWER("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(state_is(), RG_REPLICA_HEALTHY);
    ANSWER("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(state_is(), RG_REPLICA_DOWN);
    assert_string_equal(prober.why, "status is 500, wanted 100 to 499");
    ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(state_is(), RG_REPLICA_DOWN);
    ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(state_is(), RG_REPLICA_HEALTHY);
    assert_int_equal(ok, 4);
    assert_int_equal(failed, 5);
    assert_int_equal(replica.generation, 3);
}

static void it_is_back_within_an_interval(void **state)
{
    (void)state;
    rg_prober_configure(&prober, &settings);
    ANSWER("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(state_is(), RG_REPLICA_DOWN);
    uint64_t since = rg_now_ms();
    ANSWER("HTTP/1.1 204 No Content\r\n\r\n");
    assert_int_equal(state_is(), RG_REPLICA_HEALTHY);
    assert_true(rg_now_ms() - since < INTERVAL_MS + PATIENCE_MS);
}

static void the_interval_is_kept(void **state)
{
    (void)state;
    uint64_t first = rg_now_ms();
    rg_prober_configure(&prober, &settings);
    ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_true(rg_now_ms() - first >= INTERVAL_MS);
}

static void a_silent_replica_times_out(void **state)
{
    (void)state;
    uint64_t since = rg_now_ms();
    settings.health.timeout_ms = TIMEOUT_MS;
    rg_prober_configure(&prober, &settings);
    int fd = accept_probe();
    finish_probe();
    assert_true(rg_now_ms() - since >= TIMEOUT_MS);
    assert_int_equal(state_is(), RG_REPLICA_DOWN);
    assert_string_equal(prober.why, "no answer within 80 ms, still awaiting the answer");
    char waste[16];
    assert_int_equal(recv(fd, waste, sizeof(waste), 0), 0); /* the probe was given up */
    close(fd);
}

/* A drip of bytes does not stretch the time. */
static void a_dripping_replica_times_out(void **state)
{
    (void)state;
    settings.health.timeout_ms = TIMEOUT_MS;
    rg_prober_configure(&prober, &settings);
    int fd = accept_probe();
    static const char drip[] = "HTTP/1.1 200 OK\r\nX-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    for (size_t i = 0; i < sizeof(drip) - 1 && failed == 0; i++) {
        send(fd, drip + i, 1, MSG_NOSIGNAL);
        turn_for(5);
    }
    assert_int_equal(failed, 1); /* before the drip's end, which takes five times as long */
    close(fd);
}

static void every_framing_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        bool healthy;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Type: application/cbor\r\nContent-Length: 31\r\n\r\n" HEALTHY_MAP, true},
        {"HTTP/1.1 200 OK\r\nContent-Type: application/cbor\r\nTransfer-Encoding: chunked\r\n\r\n"
         "8\r\n\xa1\x75replic\r\n16\r\na_health_status\x67healthy\r\n0\r\n\r\n",
         false},
        {"HTTP/1.1 200 OK\r\nContent-Type: application/cbor\r\n\r\n" HEALTHY_MAP, true}, /* until the end */
        {"HTTP/1.0 200 OK\r\nContent-Type: application/cbor\r\n\r\n" SICK_MAP, false},
        {"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", false},
        {"SSH-2.0-OpenSSH_9.2\r\n", false},
        {"HTTP/1.1 200 OK\r\nContent-Len", false},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", false},
        {"", false},
    };
    settings.health.fall = 1;
    settings.health.timeout_ms = 1000;
    settings.health.interval_ms = 1;
    rg_prober_configure(&prober, &settings);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char answer[512];
        size_t len = strlen(cases[i].answer);
        memcpy(answer, cases[i].answer, len + 1);
        for (size_t piece = 1; piece <= len + 1; piece += len > 0 ? len : 1) {
            answer_bytes(answer, len, piece);
            if ((state_is() == RG_REPLICA_HEALTHY) != cases[i].healthy)
                fail_msg("case %zu, pieces of %zu: %s", i, piece, prober.why);
        }
    }
    static const char chunked[] =
        "HTTP/1.1 200 OK\r\nContent-Type: application/cbor\r\nTransfer-Encoding: chunked\r\n\r\n"
        "8\r\n\xa1\x75replic\r\n17;x=y\r\na_health_status\x67healthy\r\n0\r\nT: x\r\n\r\n";
    for (size_t piece = 1; piece < sizeof(chunked); piece++) {
        answer_bytes(chunked, sizeof(chunked) - 1, piece);
        if (state_is() != RG_REPLICA_HEALTHY)
            fail_msg("chunked, pieces of %zu: %s", piece, prober.why);
    }
}

static void long_answers_are_given_up(void **state)
{
    (void)state;
    settings.health.fall = 1;
    settings.health.timeout_ms = 2000;
    rg_prober_configure(&prober, &settings);
    ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n");
    assert_string_equal(prober.why, "the answer is longer than 64 KiB");
    static char body[200000];
    memset(body, 'x', sizeof(body));
    int n = snprintf(body, sizeof(body), "HTTP/1.0 200 OK\r\n\r\n");
    body[n] = 'x';
    answer_bytes(body, sizeof(body), 8192);
    assert_string_equal(prober.why, "the answer is longer than 64 KiB");
    memset(body, 'x', sizeof(body));
    memcpy(body, "HTTP/1.1 200 OK\r\nX: ", 20);
    answer_bytes(body, 100000, 8192);
    assert_string_equal(prober.why, "The service sent a response head that is too large.");
    assert_int_equal(failed, 3);
}

static void what_workers_find_is_noticed(void **state)
{
    (void)state;
    rg_prober_configure(&prober, &settings);
    ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    rg_prober_tick(&prober);
    assert_false(rg_replica_connect_failed(&replica, 2, ECONNREFUSED));
    assert_true(rg_replica_connect_failed(&replica, 2, ECONNREFUSED));
    rg_prober_tick(&prober);
    assert_string_equal(prober.why, "2 connects in a row failed: Connection refused");
    assert_int_equal(state_is(), RG_REPLICA_DOWN);
    ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(state_is(), RG_REPLICA_HEALTHY);
    assert_int_equal(replica.connect_failures, 0);
}

static void without_a_path_connects_decide(void **state)
{
    (void)state;
    settings.health.enabled = false;
    rg_prober_configure(&prober, &settings);
    assert_int_equal(state_is(), RG_REPLICA_HEALTHY);
    turn_for(INTERVAL_MS * 2);
    assert_int_equal(ok + failed, 0); /* nobody asks */
    assert_int_equal(accept(server, NULL, NULL), -1);
    assert_true(rg_replica_connect_failed(&replica, 1, ECONNREFUSED));
    close(server);
    server = -1;
    rg_prober_tick(&prober);
    turn_until(&failed, 2); /* tried at the interval */
    assert_int_equal(state_is(), RG_REPLICA_DOWN);
    /* the same address again */
    int one = 1;
    server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    assert_int_equal(bind(server, &settings.replica.sa, settings.replica.len), 0);
    assert_int_equal(listen(server, 8), 0);
    turn_until(&ok, 1);
    assert_int_equal(state_is(), RG_REPLICA_HEALTHY);
    uint64_t probes = ok;
    turn_for(INTERVAL_MS * 3);
    assert_int_equal(ok, probes);
}

/* It says nothing of the replica that we have no descriptor. */
static void without_a_descriptor_nothing_is_found_out(void **state)
{
    (void)state;
    struct rlimit old, none;
    settings.health.interval_ms = 10;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    rg_prober_configure(&prober, &settings);
    turn_for(60);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_true(prober.skipping);
    assert_int_equal(ok + failed, 0);
    assert_int_equal(state_is(), RG_REPLICA_UNKNOWN);
    ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_false(prober.skipping);
    assert_int_equal(state_is(), RG_REPLICA_HEALTHY);
}

static void new_settings_are_probed_at_once(void **state)
{
    (void)state;
    settings.health.interval_ms = 60000;
    rg_prober_configure(&prober, &settings);
    ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    rg_prober_configure(&prober, &settings); /* the same: no probe */
    turn_for(30);
    assert_int_equal(accept(server, NULL, NULL), -1);
    snprintf(settings.health.path, sizeof(settings.health.path), "/other");
    rg_prober_configure(&prober, &settings);
    ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(strncmp(request, "GET /other ", 11), 0);
    /* a change while a probe is under way: that one counts for nothing */
    snprintf(settings.health.path, sizeof(settings.health.path), "/third");
    rg_prober_configure(&prober, &settings);
    int stale = accept_probe();
    snprintf(settings.health.path, sizeof(settings.health.path), "/fourth");
    rg_prober_configure(&prober, &settings);
    ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(strncmp(request, "GET /fourth ", 12), 0);
    assert_int_equal(ok, 3);
    assert_int_equal(failed, 0);
    close(stale);
}

static void unix_sockets_are_probed(void **state)
{
    (void)state;
    close(server);
    memset(&settings.replica, 0, sizeof(settings.replica));
    settings.replica.un.sun_family = AF_UNIX;
    snprintf(settings.replica.un.sun_path, sizeof(settings.replica.un.sun_path), "/tmp/rg-health-%d", (int)getpid());
    settings.replica.len = sizeof(settings.replica.un);
    server = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(server, &settings.replica.sa, settings.replica.len), 0);
    assert_int_equal(listen(server, 8), 0);
    rg_prober_configure(&prober, &settings);
    ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    unlink(settings.replica.un.sun_path);
    assert_int_equal(state_is(), RG_REPLICA_HEALTHY);
    assert_non_null(strstr(request, "\r\nHost: localhost\r\n"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_probe_decides_at_once),
        TEST(a_refused_connect_is_down_at_once_when_nothing_is_known),
        TEST(fall_and_rise_are_counted),
        TEST(it_is_back_within_an_interval),
        TEST(the_interval_is_kept),
        TEST(a_silent_replica_times_out),
        TEST(a_dripping_replica_times_out),
        TEST(every_framing_is_read),
        TEST(long_answers_are_given_up),
        TEST(what_workers_find_is_noticed),
        TEST(without_a_path_connects_decide),
        TEST(without_a_descriptor_nothing_is_found_out),
        TEST(new_settings_are_probed_at_once),
        TEST(unix_sockets_are_probed),
    };
    return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
