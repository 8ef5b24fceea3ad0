/* The prober against scripted replicas, and the judgement of answers. One thread: the replica is served between turns.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/agent/health.h"

#define INTERVAL_MS 60
#define TIMEOUT_MS  80

/* ---- Judging ---- */

#define HEALTHY_MAP "\xa1\x75replica_health_status\x67healthy"
#define SICK_MAP    "\xa1\x75replica_health_status\x78\x1bwaiting_for_certified_state"
#define TAG         "\xd9\xd9\xf7"

static char why[RG_HEALTH_WHY_MAX];

static bool judge(enum rg_health_expect expect, uint16_t status, const char *type, struct rg_str body)
{
    struct rg_health_settings s = {.expect = (uint8_t)expect, .status_min = 200, .status_max = 399};
    struct rg_health_answer a = {status, rg_str_of(type), body};
    memset(why, 'x', sizeof(why));
    bool healthy = rg_health_judge(&s, &a, why, sizeof(why));
    assert_true(healthy == (why[0] == '\0')); /* a reason exactly when there is one */
    return healthy;
}

#define CBOR(literal) RG_STR(literal)

static void ranges_look_at_the_status_only(void **state)
{
    (void)state;
    assert_true(judge(RG_EXPECT_RANGE, 200, "", RG_STR_NONE));
    assert_true(judge(RG_EXPECT_RANGE, 399, "application/cbor", CBOR(SICK_MAP)));
    assert_false(judge(RG_EXPECT_RANGE, 199, "", RG_STR_NONE));
    assert_false(judge(RG_EXPECT_RANGE, 400, "", RG_STR_NONE));
    assert_string_equal(why, "status is 400, wanted 200 to 399");
}

static void ic_status_wants_the_word(void **state)
{
    (void)state;
    assert_true(judge(RG_EXPECT_IC_STATUS, 200, "application/cbor", CBOR(HEALTHY_MAP)));
    assert_true(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR(TAG HEALTHY_MAP)));
    assert_false(judge(RG_EXPECT_IC_STATUS, 500, "application/cbor", CBOR(HEALTHY_MAP)));
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "application/cbor", CBOR(SICK_MAP)));
    assert_string_equal(why, "replica_health_status is 'waiting_for_certified_state', wanted 'healthy'");
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "text/html", RG_STR("<h1>It works!</h1>")));
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "application/cbor", RG_STR_NONE));
}

static void auto_believes_cbor_and_takes_any_other_answer(void **state)
{
    (void)state;
    assert_true(judge(RG_EXPECT_AUTO, 200, "text/html", RG_STR("hello")));
    assert_true(judge(RG_EXPECT_AUTO, 404, "", RG_STR_NONE));
    assert_false(judge(RG_EXPECT_AUTO, 500, "", RG_STR_NONE));
    assert_false(judge(RG_EXPECT_AUTO, 503, "application/cbor", CBOR(HEALTHY_MAP)));
    assert_true(judge(RG_EXPECT_AUTO, 200, "application/cbor", CBOR(HEALTHY_MAP)));
    assert_true(judge(RG_EXPECT_AUTO, 200, "Application/CBOR; charset=x", CBOR(TAG HEALTHY_MAP)));
    assert_false(judge(RG_EXPECT_AUTO, 200, "application/cbor", CBOR(SICK_MAP)));
    assert_false(judge(RG_EXPECT_AUTO, 200, "", CBOR(TAG SICK_MAP)));             /* by its tag */
    assert_false(judge(RG_EXPECT_AUTO, 200, "application/cbor", RG_STR("<h1>"))); /* says CBOR and is not */
    assert_true(judge(RG_EXPECT_AUTO, 200, "application/cbor-seq", RG_STR("x"))); /* another type */
}

static void other_keys_and_kinds_do_not_matter(void **state)
{
    (void)state;
    /* {"ic_api_version": "0.18.0", "root_key": h'0102', _ "x": [1, -2, 1.5, true, null], status} */
    assert_true(judge(RG_EXPECT_IC_STATUS, 200, "",
                      CBOR(TAG "\xbf\x6eic_api_version\x66"
                               "0.18.0\x68root_key\x42\x01\x02\x61x\x85\x01\x21\xf9\x3e\x00\xf5\xf6"
                               "\x75replica_health_status\x67healthy\xff")));
    /* the key as bytes, not text; the value as a number; the key twice; inside another map; an array */
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\xa1\x55replica_health_status\x67healthy")));
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\xa1\x75replica_health_status\x01")));
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "",
                       CBOR("\xa2\x75replica_health_status\x67healthy\x75replica_health_status\x67healthy")));
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\xa1\x61x" HEALTHY_MAP)));
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\x81" HEALTHY_MAP)));
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\xd9\xd9\xf6" HEALTHY_MAP))); /* another tag */
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\xa1\x75replica_health_status\x67Healthy")));
}

static void hostile_cbor_is_refused_before_it_is_decoded(void **state)
{
    (void)state;
    static char deep[60000], wide[60000];
    memset(deep, '\x81', sizeof(deep)); /* arrays in arrays */
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", (struct rg_str){deep, sizeof(deep)}));
    memset(deep, '\xd8', sizeof(deep)); /* tags on tags */
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", (struct rg_str){deep, sizeof(deep)}));
    memset(wide, 0, sizeof(wide)); /* an array of very many */
    memcpy(wide, "\x9f", 1);
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", (struct rg_str){wide, sizeof(wide)}));
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\x9b\xff\xff\xff\xff\xff\xff\xff\xff"))); /* 2^64-1 items */
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\x5b\x7f\xff\xff\xff\xff\xff\xff\xff"))); /* bytes */
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\xbb\x80\x00\x00\x00\x00\x00\x00\x01"))); /* map, doubled */
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR(HEALTHY_MAP "\x00")));                     /* trailing */
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\xff")));
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\x1f")));
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\xbf\x01\xff"))); /* a key without a value */
}

/* Every cut and every changed byte: no verdict of healthy but for the whole word, and nothing for the sanitizer. */
static void mutations_never_look_healthy_by_accident(void **state)
{
    (void)state;
    static const char good[] = TAG "\xa2\x61x\x82\x01\x62yz\x75replica_health_status\x67healthy";
    char *copy = malloc(sizeof(good) - 1);
    assert_non_null(copy);
    for (size_t len = 0; len < sizeof(good) - 1; len++) {
        char *cut = malloc(len + 1);
        assert_non_null(cut);
        memcpy(cut, good, len);
        assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", (struct rg_str){cut, len}));
        free(cut);
    }
    for (size_t i = sizeof(good) - 1 - 30; i < sizeof(good) - 1; i++) {
        for (unsigned c = 0; c < 256; c++) {
            memcpy(copy, good, sizeof(good) - 1);
            copy[i] = (char)c;
            bool same = copy[i] == good[i];
            assert_int_equal(judge(RG_EXPECT_IC_STATUS, 200, "", (struct rg_str){copy, sizeof(good) - 1}), same);
        }
    }
    free(copy);
}

/* ---- Probing ---- */

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
                                                  .timeout_ms = TIMEOUT_MS,
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
    uint64_t end = rg_now_ms() + 2000;
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
    uint64_t before = ok + failed, end = rg_now_ms() + 2000;
    while (ok + failed == before && rg_now_ms() < end)
        turn_for(1);
    assert_int_equal(ok + failed, before + 1);
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
    uint64_t start = rg_now_ms();
    rg_prober_configure(&prober, &settings);
    assert_int_equal(state_is(), RG_REPLICA_UNKNOWN);
    ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_int_equal(state_is(), RG_REPLICA_HEALTHY);
    assert_true(rg_now_ms() - start < INTERVAL_MS);
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
    assert_true(rg_now_ms() - since < INTERVAL_MS + 40);
}

static void the_interval_is_kept(void **state)
{
    (void)state;
    rg_prober_configure(&prober, &settings);
    ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    uint64_t first = rg_now_ms();
    ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_true(rg_now_ms() - first >= INTERVAL_MS - 15);
}

static void a_silent_replica_times_out(void **state)
{
    (void)state;
    rg_prober_configure(&prober, &settings);
    int fd = accept_probe();
    uint64_t since = rg_now_ms();
    finish_probe();
    uint64_t took = rg_now_ms() - since;
    assert_true(took >= TIMEOUT_MS - 30 && took < TIMEOUT_MS + 500);
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
    rg_prober_configure(&prober, &settings);
    int fd = accept_probe();
    uint64_t since = rg_now_ms();
    static const char drip[] = "HTTP/1.1 200 OK\r\nX-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    for (size_t i = 0; i < sizeof(drip) - 1 && failed == 0; i++) {
        send(fd, drip + i, 1, MSG_NOSIGNAL);
        turn_for(5);
    }
    assert_int_equal(failed, 1);
    assert_true(rg_now_ms() - since < TIMEOUT_MS + 200);
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
    assert_false(rg_replica_connect_failed(&replica, 2));
    assert_true(rg_replica_connect_failed(&replica, 2));
    rg_prober_tick(&prober);
    assert_string_equal(prober.why, "2 connects in a row failed");
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
    assert_true(rg_replica_connect_failed(&replica, 1));
    close(server);
    server = -1;
    rg_prober_tick(&prober);
    turn_for(INTERVAL_MS * 3);
    assert_true(failed >= 2); /* tried at the interval */
    assert_int_equal(state_is(), RG_REPLICA_DOWN);
    /* the same address again */
    int one = 1;
    server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    assert_int_equal(bind(server, &settings.replica.sa, settings.replica.len), 0);
    assert_int_equal(listen(server, 8), 0);
    turn_for(INTERVAL_MS * 2);
    assert_int_equal(state_is(), RG_REPLICA_HEALTHY);
    uint64_t probes = ok;
    turn_for(INTERVAL_MS * 3);
    assert_int_equal(ok, probes);
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
        cmocka_unit_test(ranges_look_at_the_status_only),
        cmocka_unit_test(ic_status_wants_the_word),
        cmocka_unit_test(auto_believes_cbor_and_takes_any_other_answer),
        cmocka_unit_test(other_keys_and_kinds_do_not_matter),
        cmocka_unit_test(hostile_cbor_is_refused_before_it_is_decoded),
        cmocka_unit_test(mutations_never_look_healthy_by_accident),
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
        TEST(new_settings_are_probed_at_once),
        TEST(unix_sockets_are_probed),
    };
    return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
