/* Names of upstreams, against a name server of the test's own on the same loop. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/common/descriptors.h"
#include "control/gateway/resolve.h"

#define WAIT_MS 20000 /* most; a test that passes waits for what happens */

enum { ANSWER, NOTHING, NO_SUCH_NAME, SERVER_FAILURE, SILENCE };

/* What the server says to all questions. */
static struct {
    struct rg_watch watch;
    uint16_t port;
    int says;
    const char *addresses[4]; /* IPv4 */
    uint32_t ttl_s;
    unsigned questions; /* for addresses of IPv4 */
    char name[256];     /* of the last one */
} server;

static struct rg_loop loop;
static struct rg_endpoints *table;
static struct rg_resolver *resolver;

/* ---- the server ---- */

static size_t question_end(const uint8_t *q, size_t len)
{
    size_t at = 12, n = 0;
    while (at < len && q[at] != 0) {
        memcpy(server.name + n, q + at + 1, q[at]);
        n += q[at];
        server.name[n++] = '.';
        at += 1u + q[at];
    }
    server.name[n] = '\0';
    return at + 5;
}

static size_t put_address(uint8_t *to, const char *text)
{
    uint8_t record[16] = {0xc0, 12, 0, 1, 0, 1};
    uint32_t ttl = htonl(server.ttl_s);
    memcpy(record + 6, &ttl, 4);
    record[11] = 4;
    assert_int_equal(inet_pton(AF_INET, text, record + 12), 1);
    memcpy(to, record, sizeof record);
    return sizeof record;
}

static void answer(struct rg_watch *w, uint32_t events)
{
    (void)events;
    uint8_t m[1024];
    struct sockaddr_in from;
    socklen_t from_len = sizeof from;
    ssize_t n = recvfrom(w->fd, m, 512, MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);
    if (n < 17)
        return;
    size_t end = question_end(m, (size_t)n);
    bool of_v4 = m[end - 3] == 1;
    server.questions += of_v4;
    if (server.says == SILENCE)
        return;
    m[2] = 0x85; /* an answer, authoritative, recursion was wanted */
    m[3] = (uint8_t)(0x80 | (server.says == NO_SUCH_NAME ? 3 : server.says == SERVER_FAILURE ? 2 : 0));
    memset(m + 6, 0, 6);
    for (unsigned i = 0; server.says == ANSWER && of_v4 && i < 4 && server.addresses[i]; i++) {
        end += put_address(m + end, server.addresses[i]);
        m[7]++;
    }
    sendto(w->fd, m, end, 0, (struct sockaddr *)&from, from_len);
}

static int set_up(void **state)
{
    (void)state;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    char servers[64];
    memset(&server, 0, sizeof server);
    server.ttl_s = 300;
    server.addresses[0] = "192.0.2.1";
    server.watch = (struct rg_watch){.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), .ready = answer};
    if (rg_loop_init(&loop) < 0 || bind(server.watch.fd, (struct sockaddr *)&a, len) != 0 ||
        getsockname(server.watch.fd, (struct sockaddr *)&a, &len) != 0 ||
        rg_loop_watch(&loop, &server.watch, EPOLLIN) < 0 || rg_endpoints_create(&table, 0) < 0)
        return -1;
    snprintf(servers, sizeof servers, "127.0.0.1:%u", ntohs(a.sin_port));
    return rg_resolver_create(&resolver, &loop, table, servers);
}

static int tear_down(void **state)
{
    (void)state;
    rg_resolver_destroy(resolver);
    resolver = NULL;
    rg_endpoints_destroy(table);
    rg_loop_unwatch(&loop, &server.watch);
    close(server.watch.fd);
    rg_loop_fini(&loop);
    return 0;
}

static struct rg_endpoint *named(const char *host)
{
    struct rg_endpoint *e = NULL;
    struct rg_fault fault;
    struct rg_endpoint_spec spec = {.host = rg_str_of(host), .port = 8080};
    assert_int_equal(rg_endpoint_get(table, &spec, &e, &fault), 0);
    return e;
}

static void wake(struct rg_alarm *a)
{
    (void)a;
}

/* Turns the loop until the condition holds. */
#define WAIT_FOR(condition)                                        \
    do {                                                           \
        struct rg_alarm tick_ = {.due = wake};                     \
        uint64_t end_ms_ = rg_now_ms() + WAIT_MS;                  \
        while (!(condition)) {                                     \
            if (rg_now_ms() > end_ms_)                             \
                fail_msg("this never came about: %s", #condition); \
            rg_loop_set_alarm(&loop, &tick_, 20);                  \
            assert_int_equal(rg_loop_turn(&loop), 0);              \
        }                                                          \
        rg_loop_clear_alarm(&loop, &tick_);                        \
    } while (0)

static bool first_is(const struct rg_endpoint *e, const char *text)
{
    struct in_addr want;
    inet_pton(AF_INET, text, &want);
    return e->addresses && e->addresses->list[0].ip.in.sin_addr.s_addr == want.s_addr;
}

/* ---- the tests ---- */

static void a_name_gets_all_its_addresses(void **state)
{
    (void)state;
    server.addresses[1] = "192.0.2.2";
    server.addresses[2] = "169.254.169.254"; /* not for us */
    struct rg_endpoint *e = named("origin.example.");
    assert_int_equal(rg_endpoint_state(e), RG_ENDPOINT_RESOLVING);
    WAIT_FOR(rg_endpoint_state(e) == RG_ENDPOINT_RESOLVED);
    assert_int_equal(e->addresses->n, 2);
    assert_int_equal(ntohs(e->addresses->list[1].ip.in.sin_port), 8080);
    assert_string_equal(server.name, "origin.example.");
    rg_endpoint_put(e);
}

static void the_hosts_file_is_asked_first(void **state)
{
    (void)state;
    server.says = SILENCE;
    struct rg_endpoint *e = named("localhost");
    WAIT_FOR(rg_endpoint_state(e) == RG_ENDPOINT_RESOLVED);
    assert_int_equal(server.questions, 0);
    rg_endpoint_put(e);
}

static void an_answer_that_has_aged_is_asked_for_again(void **state)
{
    (void)state;
    server.ttl_s = 0; /* a second, that is */
    struct rg_endpoint *e = named("origin.example.");
    WAIT_FOR(first_is(e, "192.0.2.1"));
    uint64_t since_ms = rg_now_ms();
    server.addresses[0] = "192.0.2.9";
    WAIT_FOR(first_is(e, "192.0.2.9"));
    assert_true(rg_now_ms() - since_ms >= 900);
    server.says = SERVER_FAILURE; /* the last good one stays */
    unsigned before = server.questions;
    WAIT_FOR(server.questions > before);
    struct rg_endpoint *other = named("other.example.");
    WAIT_FOR(rg_endpoint_state(other) == RG_ENDPOINT_UNRESOLVED);
    assert_true(first_is(e, "192.0.2.9"));
    assert_int_equal(rg_endpoint_state(e), RG_ENDPOINT_RESOLVED);
    rg_endpoint_put(e);
    rg_endpoint_put(other);
}

static void a_dead_name_comes_to_life(void **state)
{
    (void)state;
    static const int causes[] = {NO_SUCH_NAME, NOTHING};
    for (unsigned i = 0; i < 2; i++) {
        server.says = causes[i];
        struct rg_endpoint *e = named("origin.example.");
        WAIT_FOR(rg_endpoint_state(e) == RG_ENDPOINT_UNRESOLVED);
        assert_null(e->addresses);
        server.says = ANSWER;
        WAIT_FOR(rg_endpoint_state(e) == RG_ENDPOINT_RESOLVED);
        rg_endpoint_put(e);
        rg_endpoints_tick(table, 0);
    }
}

static void only_addresses_that_are_not_for_upstreams_are_none(void **state)
{
    (void)state;
    server.addresses[0] = "169.254.169.254";
    struct rg_endpoint *e = named("rebinding.example.");
    WAIT_FOR(rg_endpoint_state(e) == RG_ENDPOINT_UNRESOLVED);
    assert_null(e->addresses);
    rg_endpoint_put(e);
}

/* That of a service of our own, say. */
static void what_is_forbidden_is_no_address(void **state)
{
    (void)state;
    struct rg_address own = {.len = sizeof own.in};
    own.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons(8080)};
    rg_resolver_forbid(resolver, &own);
    server.addresses[0] = "127.0.0.1";
    struct rg_endpoint *e = named("rebinding.example.");
    WAIT_FOR(rg_endpoint_state(e) == RG_ENDPOINT_UNRESOLVED);
    rg_endpoint_put(e);
    server.addresses[1] = "192.0.2.1";
    e = named("other.example.");
    WAIT_FOR(rg_endpoint_state(e) == RG_ENDPOINT_RESOLVED);
    assert_int_equal(e->addresses->n, 1);
    rg_endpoint_put(e);
}

static void who_leaves_while_it_is_asked_for_gets_no_answer(void **state)
{
    (void)state;
    server.says = SILENCE;
    struct rg_endpoint *gone = named("gone.example."), *back = named("back.example.");
    WAIT_FOR(server.questions >= 2);
    rg_endpoint_put(gone);
    rg_endpoint_put(back);
    assert_ptr_equal(named("back.example."), back); /* asked for anew, while the first question is still open */
    rg_endpoints_tick(table, 0);
    assert_int_equal(rg_endpoints_count(table), 1);
    server.says = ANSWER;
    WAIT_FOR(rg_endpoint_state(back) == RG_ENDPOINT_RESOLVED);
    server.says = SILENCE;
    struct rg_endpoint *open = named("open.example."); /* a question is open at the end */
    unsigned before = server.questions;
    WAIT_FOR(server.questions > before);
    rg_endpoint_put(back);
    rg_endpoint_put(open);
}

static void the_resolver_may_go_before_the_names(void **state)
{
    (void)state;
    server.says = SILENCE;
    struct rg_endpoint *e = named("origin.example.");
    WAIT_FOR(server.questions >= 1);
    rg_resolver_destroy(resolver);
    resolver = NULL;
    rg_endpoint_put(e);
}

static void many_names_wait_for_each_other(void **state)
{
    (void)state;
    struct rg_endpoint *all[300];
    for (unsigned i = 0; i < 300; i++) {
        char name[64];
        snprintf(name, sizeof name, "n%u.example.", i);
        all[i] = named(name);
    }
    for (unsigned i = 0; i < 300; i++)
        WAIT_FOR(rg_endpoint_state(all[i]) == RG_ENDPOINT_RESOLVED);
    assert_int_equal(server.questions, 300);
    for (unsigned i = 0; i < 300; i++)
        rg_endpoint_put(all[i]);
}

/* Clients hold all descriptors but the reserve. The last test: the limit can't be raised again. */
static void names_are_resolved_without_a_descriptor_left(void **state)
{
    (void)state;
    int fds[128];
    unsigned n = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){32, 128}), 0);
    rg_descriptors_init();
    while (n < 128 && (fds[n] = fcntl(server.watch.fd, F_DUPFD_CLOEXEC, 0)) >= 0)
        n++;
    assert_true(n > 0 && n < 128);
    struct rg_endpoint *e = named("late.test");
    WAIT_FOR(rg_endpoint_state(e) != RG_ENDPOINT_RESOLVING);
    assert_int_equal(rg_endpoint_state(e), RG_ENDPOINT_RESOLVED);
    rg_endpoint_put(e);
    while (n > 0)
        close(fds[--n]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_name_gets_all_its_addresses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_hosts_file_is_asked_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_that_has_aged_is_asked_for_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dead_name_comes_to_life, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_addresses_that_are_not_for_upstreams_are_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_forbidden_is_no_address, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_leaves_while_it_is_asked_for_gets_no_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_resolver_may_go_before_the_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_names_wait_for_each_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_are_resolved_without_a_descriptor_left, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
