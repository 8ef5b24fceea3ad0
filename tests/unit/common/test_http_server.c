/*
 * The control side's HTTP server: requests and answers, who may connect, its end; parameters of queries. What it has
 * from the datapath's parser, test_admin.c tries; test_http_later.c has answers that take their time.
 */
#include "http_server_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Requests ---- */

static void an_answer_has_its_fields(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    int fd = dial();
    say(fd, "GET /x?a=b HTTP/1.1\r\n" HOST "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n\r\n");
    assert_false(hear(fd));
    assert_true(starts("HTTP/1.1 200 OK\r\nDate: "));
    assert_non_null(strstr(reply, "\r\nContent-Type: text/plain\r\n"));
    assert_non_null(strstr(reply, "\r\nX-One: 1\r\n"));
    assert_non_null(strstr(reply, "\r\nCache-Control: max-age=5\r\n"));
    assert_null(strstr(reply, "no-store"));
    assert_non_null(strstr(reply, "\r\nX-Content-Type-Options: nosniff\r\n"));
    assert_string_equal(body(), "GET /x?a=b [0] from 127.0.0.1 host a:7"); /* forwarding is not believed */
    say(fd, "GET /empty HTTP/1.1\r\n" HOST "\r\n");
    assert_false(hear(fd));
    assert_true(starts("HTTP/1.1 204 No Content\r\n"));
    assert_null(strstr(reply, "Content-"
                              "Length"));
    assert_string_equal(body(), "");
    say(fd, "GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_false(hear(fd));
    assert_non_null(strstr(reply, "\r\nConnection: keep-alive\r\n"));
    say(fd, "GET /x HTTP/1.0\r\n\r\n");
    assert_true(hear(fd));
    assert_non_null(strstr(reply, "\r\nConnection: close\r\n"));
    close(fd);
    stop();
}

static void fields_can_not_be_split(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    int fd = dial();
    say(fd, "GET /split HTTP/1.1\r\n" HOST "\r\n");
    assert_true(hear(fd));
    assert_true(starts("HTTP/1.1 500 "));
    assert_null(strstr(reply, "Set-Cookie"));
    close(fd);
    stop();
}

static void a_trusted_peer_names_the_client(void **state)
{
    (void)state;
    start(AF_UNIX, &(struct rg_http_options){.trusts_forwarding = true});
    int fd = dial();
    say(fd, "GET / HTTP/1.1\r\n" HOST "X-Forwarded-For: 9.9.9.9, 1.1.1.1\r\nX-Forwarded-Proto: https\r\n\r\n");
    hear(fd);
    assert_string_equal(body(), "GET / [0] from 9.9.9.9 over https host a:7");
    say(fd, "GET / HTTP/1.1\r\n" HOST "X-Forwarded-For: 6.6.6.6, 7.7.7.7,9.9.9.9 , 1.1.1.1\r\n\r\n");
    hear(fd);
    assert_string_equal(body(), "GET / [0] from 9.9.9.9 host a:7"); /* what is before it its client may have forged */
    say(fd, "GET / HTTP/1.1\r\n" HOST "X-Forwarded-For: 9.9.9.9\r\n\r\n");
    hear(fd);
    assert_string_equal(body(), "GET / [0] from 9.9.9.9 host a:7");
    say(fd, "GET / HTTP/1.1\r\n" HOST "\r\n");
    hear(fd);
    assert_string_equal(body(), "GET / [0] from  host a:7");
    close(fd);
    stop();
}

static void bodies_are_collected_up_to_a_limit(void **state)
{
    (void)state;
    static char text[120000];
    start(AF_INET, &(struct rg_http_options){.body_bytes = 100000});
    memset(text, 'b', sizeof(text));
    int fd = dial();
    say(fd, "POST /x HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
    for (int i = 0; i < 10; i++) {
        assert_int_equal(send(fd, text, 10000, MSG_NOSIGNAL), 10000);
        turn_for(2);
    }
    hear(fd);
    assert_string_equal(body(), "POST /x [100000] from 127.0.0.1 host a:7");
    say(fd, "POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n186a0\r\n");
    for (int i = 0; i < 10; i++) {
        assert_int_equal(send(fd, text, 10000, MSG_NOSIGNAL), 10000);
        turn_for(2);
    }
    say(fd, "\r\n0\r\nTrailer: x\r\n\r\nGET /next HTTP/1.1\r\n" HOST "\r\n");
    hear(fd);
    assert_non_null(strstr(reply, "POST /x [100000] from"));
    assert_non_null(strstr(reply, "GET /next [0] from"));
    say(fd, "POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n186a1\r\n");
    for (int i = 0; i < 11; i++) {
        send(fd, text, 10000, MSG_NOSIGNAL);
        turn_for(2);
    }
    assert_true(hear(fd));
    assert_true(starts("HTTP/1.1 413 "));
    close(fd);
    fd = dial();
    say(fd, "POST /x HTTP/1.1\r\n" HOST "Content-Length: 100001\r\n\r\n");
    assert_true(hear(fd));
    assert_true(starts("HTTP/1.1 413 "));
    close(fd);
    stop();
}

/* A drip gets no more time, unless the peer sees to that itself. */
static void the_time_of_a_body(void **state)
{
    (void)state;
    for (int patient = 0; patient < 2; patient++) {
        start(AF_INET, &(struct rg_http_options){.patient = patient});
        int fd = dial();
        say(fd, "POST /x HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nb");
        turn_for(2);
        uint64_t due = loop.alarms->at_ms;
        turn_for(20);
        say(fd, "o");
        turn_for(2);
        assert_int_equal(loop.alarms->at_ms > due, patient);
        loop.alarms->at_ms = rg_now_ms();
        assert_true(hear(fd));
        assert_int_equal(reply_len, 0);
        assert_int_equal(requests, 0);
        close(fd);
        stop();
    }
}

static void as_many_fields_as_the_front_may_send(void **state)
{
    (void)state;
    static char text[32768] = "GET /many HTTP/1.1\r\n" HOST;
    start(AF_INET, NULL);
    for (int i = 0; i < RG_HTTP_FIELDS_MAX - 1; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "f%d: v\r\n", i);
    strcat(text, "\r\n");
    int fd = dial();
    say(fd, text);
    hear(fd);
    assert_string_equal(body(), "GET /many [0] from 127.0.0.1 host a:7");
    strcpy(text + strlen(text) - 2, "g: v\r\n\r\n");
    say(fd, text);
    assert_true(hear(fd));
    assert_true(starts("HTTP/1.1 431 "));
    close(fd);
    stop();
}

static void leave_to_send_is_given_once(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    int fd = dial();
    say(fd, "POST /x HTTP/1.1\r\n" HOST "Content-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    hear(fd);
    assert_string_equal(reply, "HTTP/1.1 100 Continue\r\n\r\n");
    for (const char *p = "body"; *p; p++) {
        assert_int_equal(send(fd, p, 1, MSG_NOSIGNAL), 1);
        turn_for(2);
    }
    hear(fd);
    assert_true(starts("HTTP/1.1 200 "));
    say(fd, "POST /x HTTP/1.1\r\n" HOST "Content-Length: 4\r\nExpect: 100-continue\r\n\r\nbody");
    hear(fd);
    assert_true(starts("HTTP/1.1 200 ")); /* it did not wait */
    close(fd);
    stop();
}

/* ---- Who may connect, and the end ---- */

static void strangers_are_turned_away(void **state)
{
    (void)state;
    start(AF_UNIX, &(struct rg_http_options){.same_process = true});
    int fd = dial();
    say(fd, "GET /x HTTP/1.1\r\n" HOST "\r\n");
    hear(fd);
    assert_true(starts("HTTP/1.1 200 "));
    close(fd);
    turn_for(2);
    pid_t child = fork(); /* another process of the same user */
    if (child == 0) {
        char byte;
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        bool turned_away = connect(fd, (struct sockaddr *)&at, at_len) == 0 && recv(fd, &byte, 1, 0) == 0;
        _exit(turned_away ? 0 : 1);
    }
    int status = -1;
    while (waitpid(child, &status, WNOHANG) == 0)
        turn_for(2);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(refused, 1);
    stop();
}

/* As with one descriptor left: the kernel says EMFILE before it sees that nobody waits. */
static int accept_but_one(struct rg_http_server *s)
{
    if (s->n_connections == 0)
        return accept4(s->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    errno = EMFILE;
    return -1;
}

static void who_came_last_is_not_shed_for_nobody(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    server.accept = accept_but_one;
    int first = dial();
    turn_for(20);
    say(first, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(first);
    assert_true(starts("HTTP/1.1 200"));
    int second = dial(); /* the first is idle now, and gives way */
    turn_for(20);
    say(second, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(second);
    assert_true(starts("HTTP/1.1 200"));
    close(first);
    close(second);
    stop();
}

static void the_end_is_orderly(void **state)
{
    (void)state;
    start(AF_INET, NULL);
    int waits = dial(), reads = dial(), idle = dial(), talks = dial();
    say(reads, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    hear(reads);
    struct rg_http_call *stream = kept;
    say(talks, UPGRADE);
    hear(talks);
    say(waits, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    turn_for(2);
    struct rg_http_call *later = kept;
    kept = stream;
    assert_true(rg_http_server_finish(&server));
    assert_null(kept); /* the stream was told */
    assert_true(hear(reads));
    assert_string_equal(reply, "0\r\n\r\n");
    hear(talks);
    assert_memory_equal(reply, "\x88\x11\x03\xe9the server ends", reply_len);
    say(talks, "\x88\x82" KEY "\x02\xe8");
    assert_true(hear(talks));
    assert_true(rg_http_server_finish(&server));
    rg_http_reply(later, &(struct rg_http_reply){.status = 200, .body = RG_STR("{}")});
    assert_true(hear(waits));
    assert_non_null(strstr(reply, "Connection: close\r\n"));
    turn_for(5);
    assert_false(rg_http_server_finish(&server)); /* the idle one holds nobody up */
    close(waits);
    close(reads);
    close(idle);
    close(talks);
    stop();
}

static void parameters_are_found(void **state)
{
    (void)state;
    struct rg_http_request req = {.query = RG_STR("?worker=1&ms=250&&empty=&x")};
    struct rg_str value;
    assert_true(rg_http_parameter(&req, "worker", &value) && rg_str_eq(value, RG_STR("1")));
    assert_true(rg_http_parameter(&req, "ms", &value) && rg_str_eq(value, RG_STR("250")));
    assert_true(rg_http_parameter(&req, "empty", &value) && value.len == 0);
    assert_false(rg_http_parameter(&req, "x", &value));
    assert_false(rg_http_parameter(&req, "m", &value));
    req.query = RG_STR_NONE;
    assert_false(rg_http_parameter(&req, "x", &value));
    req.query = RG_STR("?");
    assert_false(rg_http_parameter(&req, "x", &value));
}

static void texts_are_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *text, *decoded; /* NULL: malformed */
        bool plus;
    } texts[] = {
        {"a%20b+c", "a b+c", false}, {"a+b", "a b", true}, {"%C3%A9", "\xc3\xa9", false}, {"", "", false},
        {"%2F%2f", "//", false},     {"%", NULL, false},   {"%4", NULL, false},           {"%zz", NULL, false},
        {"%00", NULL, false},        {"%ff", NULL, false}, {"123456789", NULL, false},
    };
    char out[8];
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        ssize_t n = rg_http_decode(rg_str_of(texts[i].text), texts[i].plus, out, sizeof(out));
        assert_int_equal(n, texts[i].decoded ? (ssize_t)strlen(texts[i].decoded) : -1);
        if (n > 0)
            assert_memory_equal(out, texts[i].decoded, (size_t)n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_has_its_fields),
        cmocka_unit_test(fields_can_not_be_split),
        cmocka_unit_test(a_trusted_peer_names_the_client),
        cmocka_unit_test(bodies_are_collected_up_to_a_limit),
        cmocka_unit_test(the_time_of_a_body),
        cmocka_unit_test(as_many_fields_as_the_front_may_send),
        cmocka_unit_test(leave_to_send_is_given_once),
        cmocka_unit_test(strangers_are_turned_away),
        cmocka_unit_test(who_came_last_is_not_shed_for_nobody),
        cmocka_unit_test(the_end_is_orderly),
        cmocka_unit_test(parameters_are_found),
        cmocka_unit_test(texts_are_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
