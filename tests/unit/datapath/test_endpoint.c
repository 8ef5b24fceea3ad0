/* Endpoints without workers: what makes two of them one, what is refused, addresses as they come and go, and health. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "datapath/endpoint.h"
#include "datapath/worker.h"

/* Workers that look when the test says so. */
struct rg_worker {
    uint64_t told, seen;
    bool ended;
};

void rg_worker_look_at_endpoints(struct rg_worker *w, uint64_t epoch)
{
    w->told = epoch;
}

uint64_t rg_worker_endpoints_epoch(const struct rg_worker *w)
{
    return w->seen;
}

bool rg_worker_has_ended(const struct rg_worker *w)
{
    return w->ended;
}

static struct rg_endpoints *table;
static struct rg_worker workers[2];

static int set_up(void **state)
{
    (void)state;
    memset(workers, 0, sizeof workers);
    if (rg_endpoints_create(&table, 2) < 0)
        return -1;
    for (uint16_t i = 0; i < 2; i++)
        rg_endpoints_set_worker(table, i, &workers[i]);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rg_endpoints_destroy(table); /* asserts that nobody is left */
    return 0;
}

static struct rg_endpoint *get(struct rg_endpoint_spec spec)
{
    struct rg_endpoint *e = NULL;
    struct rg_fault fault = {0};
    int r = rg_endpoint_get(table, &spec, &e, &fault);
    if (r < 0)
        fail_msg("%s: %s", fault.field, fault.text);
    return e;
}

static struct rg_endpoint *named(const char *host, uint16_t port)
{
    return get((struct rg_endpoint_spec){.host = rg_str_of(host), .port = port});
}

static union rg_ip ip(const char *text)
{
    union rg_ip ret;
    memset(&ret, 0, sizeof ret);
    ret.in.sin_family = AF_INET;
    if (inet_pton(AF_INET, text, &ret.in.sin_addr) == 1)
        return ret;
    ret.in6.sin6_family = AF_INET6;
    assert_int_equal(inet_pton(AF_INET6, text, &ret.in6.sin6_addr), 1);
    return ret;
}

/* ---- one or two ---- */

static void the_same_place_is_one_endpoint(void **state)
{
    (void)state;
    struct rg_endpoint *a = named("Origin.Example", 80), *b = named("origin.example", 80);
    struct rg_endpoint *other_port = named("origin.example", 81);
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, other_port);
    assert_int_equal(rg_endpoints_count(table), 2);
    assert_string_equal(a->host.ptr, "origin.example");
    assert_string_equal(a->authority.ptr, "origin.example");
    assert_string_equal(other_port->authority.ptr, "origin.example:81");
    rg_endpoint_put(a);
    rg_endpoints_tick(table, 0);
    assert_int_equal(rg_endpoints_count(table), 2); /* b is the same */
    rg_endpoint_put(b);
    rg_endpoint_put(other_port);
    rg_endpoints_tick(table, 0);
    assert_int_equal(rg_endpoints_count(table), 0);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void tls_settings_make_another_one(void **state)
{
    (void)state;
    struct rg_endpoint_spec spec = {.host = RG_STR("o.example"), .port = 443, .tls = true};
    struct rg_endpoint *plain = named("o.example", 443), *tls = get(spec);
    spec.server_name = RG_STR("other.example");
    struct rg_endpoint *renamed = get(spec);
    assert_ptr_not_equal(plain, tls);
    assert_ptr_not_equal(tls, renamed);
    assert_null(plain->tls);
    assert_non_null(tls->tls);
    assert_string_equal(tls->authority.ptr, "o.example");
    assert_string_equal(tls->text.ptr, "https://o.example:443");
    rg_endpoint_put(plain);
    rg_endpoint_put(tls);
    rg_endpoint_put(renamed);
}

static void addresses_and_paths_need_no_resolver(void **state)
{
    (void)state;
    struct rg_endpoint *v4 = named("127.0.0.1", 80), *v6 = named("::1", 8080), *path = named("/run/x.sock", 0);
    assert_false(v4->is_name || v6->is_name || path->is_name);
    assert_int_equal(v4->addresses->n, 1);
    assert_int_equal(ntohs(v4->addresses->list[0].ip.in.sin_port), 80);
    assert_int_equal(v6->addresses->list[0].ip.sa.sa_family, AF_INET6);
    assert_string_equal(v6->authority.ptr, "[::1]:8080");
    assert_int_equal(path->address.sa.sa_family, AF_UNIX);
    assert_string_equal(path->text.ptr, "unix:/run/x.sock");
    assert_int_equal(rg_endpoint_state(v4), RG_ENDPOINT_RESOLVED);
    assert_int_equal(rg_endpoint_state(path), RG_ENDPOINT_RESOLVED);
    rg_endpoint_put(v4);
    rg_endpoint_put(v6);
    rg_endpoint_put(path);
}

/* ---- what is refused ---- */

static void what_can_not_be_is_refused_by_field(void **state)
{
    (void)state;
    static const struct {
        struct rg_endpoint_spec spec;
        const char *field, *text;
    } cases[] = {
        {{.host = {"", 0}, .port = 80}, "host", "neither a host name nor an address"},
        {{.host = {"a b", 3}, .port = 80}, "host", "\"a b\" is neither"},
        {{.host = {"a..b", 4}, .port = 80}, "host", "neither"},
        {{.host = {"1.2.3.256", 9}, .port = 80}, "host", "neither"},
        {{.host = {"a.example", 9}, .port = 0}, "port", "from 1 to 65535"},
        {{.host = {"169.254.169.254", 15}, .port = 80}, "host", "link-local"},
        {{.host = {"fe80::1", 7}, .port = 80}, "host", "link-local"},
        {{.host = {"::ffff:169.254.169.254", 22}, .port = 80}, "host", "link-local"},
        {{.host = {"0.0.0.0", 7}, .port = 80}, "host", "unspecified"},
        {{.host = {"/run/x", 6}, .tls = true}, "server_name", "UNIX socket"},
        {{.host = {"a", 1}, .port = 1, .tls = true, .server_name = {"x y", 3}}, "server_name", "\"x y\""},
        {{.host = {"a", 1}, .port = 1, .tls = true, .cert_file = {"/x", 2}}, "key_file", "needs both"},
        {{.host = {"a", 1}, .port = 1, .tls = true, .ca_file = {"/no/such", 8}}, "ca_file", "No such file"},
        {{.host = {"a", 1}, .port = 1, .tls = true, .verify = true, .ca_file = {"/dev/null", 9}},
         "ca_file",
         "no certificates"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rg_endpoint *e = NULL;
        struct rg_fault fault = {0};
        assert_int_equal(rg_endpoint_get(table, &cases[i].spec, &e, &fault), -EINVAL);
        assert_null(e);
        assert_string_equal(fault.field, cases[i].field);
        if (!strstr(fault.text, cases[i].text))
            fail_msg("case %zu: \"%s\" has no \"%s\"", i, fault.text, cases[i].text);
    }
    assert_int_equal(rg_endpoints_count(table), 0);
}

static void a_file_that_has_changed_makes_another_one(void **state)
{
    (void)state;
    char path[] = "/tmp/rg-endpoint-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct rg_endpoint_spec spec = {
        .host = RG_STR("o.example"), .port = 443, .tls = true, .ca_file = rg_str_of(path)}; /* verify off: not read */
    struct rg_endpoint *before = get(spec), *same = get(spec);
    write_file(path, "something else");
    struct rg_endpoint *after = get(spec);
    unlink(path);
    assert_ptr_equal(before, same);
    assert_ptr_not_equal(before, after);
    rg_endpoint_put(before);
    rg_endpoint_put(same);
    rg_endpoint_put(after);
}

/* ---- addresses ---- */

static void addresses_come_change_and_stay(void **state)
{
    (void)state;
    struct rg_endpoint *e = named("o.example", 80);
    union rg_ip first[] = {ip("192.0.2.1"), ip("192.0.2.2")}, second[] = {ip("2001:db8::1")};
    assert_true(e->is_name);
    assert_int_equal(rg_endpoint_state(e), RG_ENDPOINT_RESOLVING);
    assert_int_equal(rg_endpoint_publish(e, NULL, 0), 0);
    assert_int_equal(rg_endpoint_state(e), RG_ENDPOINT_UNRESOLVED);
    assert_int_equal(workers[0].told, 1); /* those that wait are told at once */
    assert_int_equal(rg_endpoint_publish(e, first, 2), 0);
    assert_int_equal(rg_endpoint_state(e), RG_ENDPOINT_RESOLVED);
    const struct rg_addresses *published = e->addresses;
    assert_int_equal(published->n, 2);
    assert_int_equal(rg_endpoint_publish(e, first, 2), 0);
    assert_ptr_equal(e->addresses, published); /* nothing new: nobody is woken */
    assert_int_equal(workers[1].told, 2);
    assert_int_equal(rg_endpoint_publish(e, NULL, 0), 0);
    assert_ptr_equal(e->addresses, published); /* the last good ones stay */
    assert_int_equal(rg_endpoint_state(e), RG_ENDPOINT_RESOLVED);
    assert_int_equal(rg_endpoint_publish(e, second, 1), 0);
    assert_int_equal(e->addresses->n, 1);
    rg_endpoints_tick(table, 0);
    assert_int_equal(published->n, 2); /* under a sanitizer: not freed while a worker may read it */
    workers[0].seen = workers[0].told;
    rg_endpoints_tick(table, 0);
    assert_int_equal(published->n, 2);
    workers[1].ended = true; /* reads nothing any more */
    rg_endpoints_tick(table, 0);
    rg_endpoint_put(e);
}

static void no_name_leads_to_link_local_addresses(void **state)
{
    (void)state;
    union rg_ip list[] = {ip("169.254.169.254"), ip("192.0.2.1"), ip("fe80::1"),       ip("::"),
                          ip("224.0.0.1"),       ip("::1"),       ip("fd00:ec2::254"), ip("100.100.100.200"),
                          ip("192.0.0.192")};
    assert_int_equal(rg_endpoint_allowed(list, 9), 2);
    union rg_ip expected[] = {ip("192.0.2.1"), ip("::1")};
    assert_memory_equal(list, expected, sizeof expected);
}

/* ---- lifetimes ---- */

static void it_waits_for_the_last_worker(void **state)
{
    (void)state;
    struct rg_endpoint *e = named("127.0.0.1", 80);
    e->users = 2;
    rg_endpoint_put(e);
    assert_false(rg_endpoint_is_wanted(e));
    assert_int_equal(workers[0].told, 1);
    rg_endpoints_tick(table, 0);
    assert_int_equal(rg_endpoints_count(table), 1);
    assert_ptr_equal(named("127.0.0.1", 80), e); /* a successor finds it, with its connections */
    assert_true(rg_endpoint_is_wanted(e));
    rg_endpoint_put(e);
    e->users = 0;
    rg_endpoints_tick(table, 0);
    assert_int_equal(rg_endpoints_count(table), 0);
}

struct heard {
    unsigned added, removed;
};

static void note_added(void *arg, struct rg_endpoint *e)
{
    (void)e;
    ((struct heard *)arg)->added++;
}

static void note_removed(void *arg, struct rg_endpoint *e)
{
    (void)e;
    ((struct heard *)arg)->removed++;
}

static void the_resolver_hears_of_names_alone(void **state)
{
    (void)state;
    struct heard heard = {0};
    const struct rg_endpoints_resolver hooks = {note_added, note_removed, &heard};
    struct rg_endpoint *early = named("early.example", 80), *address = named("127.0.0.1", 80);
    rg_endpoints_set_resolver(table, &hooks);
    assert_int_equal(heard.added, 1);
    struct rg_endpoint *late = named("late.example", 80), *again = named("late.example", 80);
    assert_int_equal(heard.added, 2);
    rg_endpoint_put(late);
    assert_int_equal(heard.removed, 0);
    rg_endpoint_put(again);
    assert_int_equal(heard.removed, 1);
    assert_ptr_equal(named("late.example", 80), late); /* wanted again before it was freed */
    assert_int_equal(heard.added, 3);
    rg_endpoint_put(late);
    rg_endpoint_put(early);
    rg_endpoint_put(address);
    assert_int_equal(heard.removed, 3);
}

/* ---- health ---- */

static void a_failing_one_is_tried_by_one_at_a_time(void **state)
{
    (void)state;
    struct rg_endpoint *e = named("127.0.0.1", 80);
    uint64_t now = 1000000, waits[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000};
    assert_false(rg_endpoint_is_down(e, now));
    rg_endpoint_failed(e, now);
    rg_endpoint_failed(e, now); /* together with the first */
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        assert_true(rg_endpoint_is_down(e, now + waits[i] - 1));
        now += waits[i];
        assert_false(rg_endpoint_is_down(e, now)); /* one tries */
        assert_true(rg_endpoint_is_down(e, now));  /* others do not */
        rg_endpoint_failed(e, now + 10);
    }
    rg_endpoint_connected(e);
    assert_false(rg_endpoint_is_down(e, now));
    rg_endpoint_failed(e, now);
    assert_true(rg_endpoint_is_down(e, now + 999));
    assert_false(rg_endpoint_is_down(e, now + 1000)); /* from the beginning again */
    rg_endpoint_put(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_same_place_is_one_endpoint, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tls_settings_make_another_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(addresses_and_paths_need_no_resolver, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_can_not_be_is_refused_by_field, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_has_changed_makes_another_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(addresses_come_change_and_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_name_leads_to_link_local_addresses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_waits_for_the_last_worker, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_resolver_hears_of_names_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failing_one_is_tried_by_one_at_a_time, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
