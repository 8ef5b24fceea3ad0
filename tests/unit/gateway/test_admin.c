/* The admin endpoint as a server: parsing, pipelining, slow and hostile clients. One thread: clients act between turns.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/gateway/admin.h"

static struct rg_loop loop;
static struct rg_admin admin;
static uint64_t requests, refused;
static size_t big; /* bytes of a large answer */
static char seen[4096];

static void answer(struct rg_admin *a, const struct rg_http_request *req, struct rg_admin_answer *ret)
{
    assert_ptr_equal(a, &admin);
    snprintf(seen, sizeof(seen), "%.*s %.*s%.*s [%.*s]", (int)req->head->method.len, req->head->method.ptr,
             (int)req->path.len, req->path.ptr, (int)req->query.len, req->query.len ? req->query.ptr : "",
             (int)req->body.len, req->body.len ? req->body.ptr : "");
    if (rg_str_eq(req->path, RG_STR("/big"))) {
        for (size_t i = 0; i < big; i++)
            fputc('x', ret->body);
    } else if (rg_str_eq(req->path, RG_STR("/teapot"))) {
        ret->status = 405;
        ret->allow = "BREW";
    } else {
        fprintf(ret->body, "{\"saw\":\"%s\"}", seen);
    }
}

static int setup(void **state)
{
    (void)state;
    struct rg_address a = {.in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, .text = "test"};
    char why[256];
    a.len = sizeof(a.in);
    requests = refused = 0;
    seen[0] = '\0';
    assert_int_equal(rg_loop_init(&loop), 0);
    rg_admin_init(&admin, &loop);
    assert_int_equal(rg_admin_open(&admin, &a, why, sizeof(why)), 0);
    admin.answer = answer;
    admin.requests = &requests;
    admin.refused = &refused;
    assert_int_equal(rg_admin_start(&admin), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_admin_fini(&admin);
    assert_int_equal(admin.http.n_connections, 0);
    assert_null(loop.alarms); /* nothing is left behind */
    rg_loop_fini(&loop);
    return 0;
}

static void nothing(struct rg_alarm *a)
{
    (void)a;
}

static void turn_for(uint64_t ms)
{
    struct rg_alarm end = {.due = nothing};
    rg_loop_set_alarm(&loop, &end, ms);
    while (end.set)
        assert_int_equal(rg_loop_turn(&loop), 0);
}

static int connect_client(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    assert_true(fd >= 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    assert_true(connect(fd, &admin.address.sa, admin.address.len) == 0 || errno == EINPROGRESS);
    turn_for(1);
    return fd;
}

static void say(int fd, const char *bytes, size_t len)
{
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
}

static char reply[1 << 16];

/* What comes until nothing more does. Returns whether the server closed. */
static bool listen_for(int fd)
{
    size_t n = 0;
    bool closed = false;
    for (int idle = 0; idle < 3 && !closed;) {
        turn_for(2);
        ssize_t r = recv(fd, reply + n, sizeof(reply) - 1 - n, 0);
        closed = r == 0 || (r < 0 && errno != EAGAIN);
        idle = r > 0 ? 0 : idle + 1;
        n += r > 0 ? (size_t)r : 0;
    }
    reply[n] = '\0';
    return closed;
}

static bool ask(const char *bytes, size_t len)
{
    int fd = connect_client();
    say(fd, bytes, len);
    bool closed = listen_for(fd);
    close(fd);
    turn_for(2);
    return closed;
}

#define ASK(literal) ask((literal), sizeof(literal) - 1)

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static unsigned count_of(const char *what)
{
    unsigned n = 0;
    for (const char *at = reply; (at = strstr(at, what)) != NULL; at++)
        n++;
    return n;
}

static void a_request_is_answered_and_kept_open(void **state)
{
    (void)state;
    assert_false(ASK("GET /live?x=1&yy=22 HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_true(starts(reply, "HTTP/1.1 200 OK\r\nDate: "));
    assert_non_null(strstr(reply, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(reply, "\r\nContent-Length: 32\r\n"));
    assert_null(strstr(reply, "Connection:"));
    assert_non_null(strstr(reply, "\r\n\r\n{\"saw\":\"GET /live?x=1&yy=22 []\"}"));
    assert_int_equal(requests, 1);
}

static void head_has_the_length_and_no_body(void **state)
{
    (void)state;
    ASK("HEAD /live HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_string_equal(seen, "GET /live []");
    assert_non_null(strstr(reply, "\r\nContent-Length: 22\r\n"));
    assert_string_equal(reply + strlen(reply) - 4, "\r\n\r\n");
}

static void answers_choose_status_and_allow(void **state)
{
    (void)state;
    ASK("GET /teapot HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_true(starts(reply, "HTTP/1.1 405 Method Not Allowed\r\n"));
    assert_non_null(strstr(reply, "\r\nAllow: BREW\r\n"));
}

static void connections_close_as_asked(void **state)
{
    (void)state;
    assert_true(ASK("GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
    assert_non_null(strstr(reply, "\r\nConnection: close\r\n"));
    assert_true(ASK("GET /live HTTP/1.0\r\n\r\n"));
    assert_non_null(strstr(reply, "\"saw\""));
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    char text[4096] = "";
    for (int i = 0; i < 20; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text),
                 "PUT /n%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n%02d", i, i);
    ask(text, strlen(text));
    assert_int_equal(requests, 20);
    char *at = reply;
    for (int i = 0; i < 20; i++) {
        char wanted[64];
        snprintf(wanted, sizeof(wanted), "PUT /n%d [%02d]", i, i);
        at = strstr(at, wanted);
        assert_non_null(at);
    }
}

static void every_split_is_the_same_request(void **state)
{
    (void)state;
    static const char text[] = "PUT /log-level HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "3;x=y\r\nwar\r\n1\r\nn\r\n0\r\nT: x\r\n\r\n";
    for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
        int fd = connect_client();
        say(fd, text, cut);
        turn_for(0);
        say(fd, text + cut, sizeof(text) - 1 - cut);
        assert_false(listen_for(fd));
        close(fd);
        turn_for(1);
        assert_string_equal(seen, "PUT /log-level [warn]");
        seen[0] = '\0';
    }
}

static void a_client_that_waits_gets_its_leave(void **state)
{
    (void)state;
    int fd = connect_client();
    static const char head[] =
        "PUT /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    say(fd, head, sizeof(head) - 1);
    listen_for(fd);
    assert_string_equal(reply, "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "in", 2);
    turn_for(2);
    say(fd, "fo", 2);
    listen_for(fd);
    assert_true(starts(reply, "HTTP/1.1 200 OK\r\n"));
    assert_string_equal(seen, "PUT /x [info]");
    close(fd);
    turn_for(2);
}

static void hostile_requests_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *status;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", "400"},
        {"GET / HTTP/1.1\nHost: localhost\n\n", "400"},
        {"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", "505"},
        {"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400"},
        {"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n", "413"},
        {"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", "400"},
        {"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "501"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(ask(cases[i].text, strlen(cases[i].text)));
        char wanted[32];
        snprintf(wanted, sizeof(wanted), "HTTP/1.1 %s ", cases[i].status);
        if (!starts(reply, wanted) || count_of("HTTP/1.1 ") != 1 || !strstr(reply, "\r\nConnection: close\r\n"))
            fail_msg("case %zu: %s", i, reply);
    }
    assert_int_equal(requests, 0);
    assert_true(ASK("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")); /* TLS: a close */
    assert_string_equal(reply, "");
}

static void what_is_too_long_is_refused(void **state)
{
    (void)state;
    static char text[100000];
    int n = snprintf(text, sizeof(text), "GET /");
    memset(text + n, 'a', sizeof(text) - (size_t)n);
    int fd = connect_client();
    send(fd, text, sizeof(text), MSG_NOSIGNAL);
    assert_true(listen_for(fd));
    assert_true(starts(reply, "HTTP/1.1 414 ") || starts(reply, "HTTP/1.1 431 "));
    close(fd);
    /* a chunked body announces no length: it ends when the buffer is full */
    n = snprintf(text, sizeof(text),
                 "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n");
    memset(text + n, 'a', sizeof(text) - (size_t)n);
    fd = connect_client();
    send(fd, text, sizeof(text), MSG_NOSIGNAL);
    assert_true(listen_for(fd));
    assert_true(starts(reply, "HTTP/1.1 413 "));
    close(fd);
    turn_for(2);
}

/* An answer larger than all socket buffers: the loop goes on, the rest follows as the client reads. */
static void a_slow_reader_gets_it_all_and_blocks_nobody(void **state)
{
    (void)state;
    big = 20 << 20;
    int slow = connect_client();
    static const char text[] = "GET /big HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    say(slow, text, sizeof(text) - 1);
    turn_for(20);
    assert_true(rg_admin_finish(&admin) == true); /* still writing; takes no new connections */
    size_t total = 0;
    for (;;) {
        turn_for(0);
        ssize_t r = recv(slow, reply, sizeof(reply), 0);
        if (r < 0 && errno == EAGAIN)
            continue;
        assert_true(r >= 0);
        if (r == 0)
            break;
        total += (size_t)r;
    }
    assert_true(total > big && total < big + 1000);
    assert_false(rg_admin_finish(&admin));
    close(slow);
    turn_for(2);
}

static void others_are_served_beside_a_slow_one(void **state)
{
    (void)state;
    big = 20 << 20;
    int slow = connect_client();
    static const char text[] = "GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n";
    say(slow, text, sizeof(text) - 1);
    turn_for(5);
    ASK("GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_non_null(strstr(reply, "\"saw\""));
    close(slow); /* gone in the middle: its slot is free again */
    turn_for(5);
    assert_int_equal(admin.http.n_connections, 0);
}

static void connections_are_limited(void **state)
{
    (void)state;
    int fds[RG_ADMIN_CONNECTIONS], extra;
    for (unsigned i = 0; i < RG_ADMIN_CONNECTIONS; i++)
        fds[i] = connect_client();
    turn_for(5);
    assert_int_equal(admin.http.n_connections, RG_ADMIN_CONNECTIONS);
    extra = connect_client();
    assert_true(listen_for(extra));
    assert_int_equal(refused, 1);
    close(extra);
    close(fds[5]);
    turn_for(5);
    ASK("GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n"); /* its place is taken again */
    assert_non_null(strstr(reply, "\"saw\""));
    for (unsigned i = 0; i < RG_ADMIN_CONNECTIONS; i++)
        if (i != 5)
            close(fds[i]);
    turn_for(5);
    assert_int_equal(admin.http.n_connections, 0);
}

/* All phases have a time; it is the same alarm, so the test makes it due instead of waiting ten seconds. */
static void silence_ends_a_connection(void **state)
{
    (void)state;
    int fd = connect_client();
    turn_for(2);
    say(fd, "GET /l", 6);
    turn_for(2);
    assert_int_equal(admin.http.n_connections, 1);
    uint64_t at = loop.alarms->at_ms;
    assert_true(at > rg_now_ms() + RG_ADMIN_TIMEOUT_MS / 2 && at <= rg_now_ms() + RG_ADMIN_TIMEOUT_MS);
    turn_for(20);
    say(fd, "i", 1);
    turn_for(2);
    assert_int_equal(loop.alarms->at_ms, at); /* a drip gets no more time */
    loop.alarms->at_ms = rg_now_ms();
    turn_for(2);
    assert_int_equal(admin.http.n_connections, 0);
    assert_true(listen_for(fd));
    close(fd);
}

/* Without descriptors the loop must not spin on a connection that it can't accept. */
static void short_of_descriptors_it_waits_and_recovers(void **state)
{
    (void)state;
    struct rlimit old, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    none = (struct rlimit){.rlim_cur = (rlim_t)fd, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(connect(fd, &admin.address.sa, admin.address.len), 0);
    unsigned turns = 0;
    struct rg_alarm end = {.due = nothing};
    rg_loop_set_alarm(&loop, &end, 250);
    for (; end.set; turns++)
        rg_loop_turn(&loop);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_true(turns < 20);
    say(fd, "GET /live HTTP/1.0\r\n\r\n", 22);
    ssize_t got = -1;
    for (int waited = 0; waited < 5000 && got < 0; waited += 50) {
        turn_for(50);
        got = recv(fd, reply, sizeof(reply), MSG_DONTWAIT);
    }
    assert_true(got > 0);
    close(fd);
    turn_for(2);
}

/* A page may let its own name lead here; it can't make a browser say an address. */
static void names_of_web_pages_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        bool foreign;
    } hosts[] = {
        {"localhost", false},
        {"LocalHost:9901", false},
        {"127.0.0.1", false},
        {"127.0.0.1:80", false},
        {"[::1]:9901", false},
        {"[fe80::1]", false},
        {"192.168.7.9:1", false},
        {"", false},
        {"evil.example", true},
        {"evil.example:9901", true},
        {"localhost.evil.example", true},
        {"127.0.0.1.nip.io", true},
        {"0x7f.1", true},
        {"[evil", true},
        {"127.1", true},
        {"a-name-that-is-longer-than-any-address-may-be-in-text.example", true},
    };
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
        if (rg_admin_is_foreign_host(rg_str_of(hosts[i].host)) != hosts[i].foreign)
            fail_msg("%s", hosts[i].host);
    assert_false(ASK("GET /live HTTP/1.1\r\nHost: evil.example:80\r\n\r\n"));
    assert_true(starts(reply, "HTTP/1.1 421 Misdirected Request\r\n"));
    assert_non_null(strstr(reply, "got Host evil.example:80, wanted an IP address or localhost"));
    assert_string_equal(seen, "");
}

static void unix_sockets_are_removed_at_the_end(void **state)
{
    (void)state;
    struct rg_admin a;
    struct rg_address at = {.un.sun_family = AF_UNIX};
    char why[256];
    snprintf(at.un.sun_path, sizeof(at.un.sun_path), "/tmp/rg-admin-%d", (int)getpid());
    snprintf(at.text, sizeof(at.text), "unix:%s", at.un.sun_path);
    at.len = sizeof(at.un);
    rg_admin_init(&a, &loop);
    assert_int_equal(rg_admin_open(&a, &at, why, sizeof(why)), 0);
    struct rg_admin second;
    rg_admin_init(&second, &loop);
    assert_int_equal(rg_admin_open(&second, &at, why, sizeof(why)), -EADDRINUSE);
    assert_non_null(strstr(why, at.text));
    rg_admin_fini(&second);
    assert_int_equal(access(at.un.sun_path, F_OK), 0);
    rg_admin_fini(&a);
    assert_int_equal(access(at.un.sun_path, F_OK), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_answered_and_kept_open),
        TEST(head_has_the_length_and_no_body),
        TEST(answers_choose_status_and_allow),
        TEST(connections_close_as_asked),
        TEST(pipelined_requests_are_answered_in_order),
        TEST(every_split_is_the_same_request),
        TEST(a_client_that_waits_gets_its_leave),
        TEST(hostile_requests_are_refused),
        TEST(what_is_too_long_is_refused),
        TEST(a_slow_reader_gets_it_all_and_blocks_nobody),
        TEST(others_are_served_beside_a_slow_one),
        TEST(connections_are_limited),
        TEST(silence_ends_a_connection),
        TEST(short_of_descriptors_it_waits_and_recovers),
        TEST(names_of_web_pages_are_refused),
        TEST(unix_sockets_are_removed_at_the_end),
    };
    return cmocka_run_group_tests_name("admin", tests, NULL, NULL);
}
