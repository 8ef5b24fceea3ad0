/* How targets are chosen: by weight, by load, and past those that can't be used. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "datapath/core.h"
#include "datapath/exchange.h"
#include "datapath/targets.h"
#include "datapath/upstream_endpoint.h"

#define EXCHANGES 2000

static struct rg_worker w;
static struct rg_endpoints *table;
static struct rg_exchange exchanges[EXCHANGES];

static int set_up(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    memset(exchanges, 0, sizeof exchanges);
    w.now_ms = 1000000;
    rg_list_init(&w.upstreams);
    rg_list_init(&w.upstreams_in_need);
    rg_pool_init(&w.endpoint_upstreams, sizeof(struct rg_upstream), 256u * 1024, 1u << 30);
    rg_upstream_init(&w, &w.replica_upstream);
    rg_rand_seed(&w.rand);
    for (size_t i = 0; i < EXCHANGES; i++)
        exchanges[i].upstream = &w.replica_upstream;
    return rg_endpoints_create(&table, 1);
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < EXCHANGES; i++)
        rg_exchange_leave_upstream(&exchanges[i]);
    rg_upstream_free_all(&w);
    rg_pool_fini(&w.endpoint_upstreams);
    rg_endpoints_destroy(table);
    return 0;
}

/* Ports tell them apart. */
static struct rg_targets *make(const uint32_t *weights, size_t n, const char *host_of_last)
{
    struct rg_target_spec targets[8];
    struct rg_targets *t = NULL;
    struct rg_targets_fault fault;
    for (size_t i = 0; i < n; i++)
        targets[i] =
            (struct rg_target_spec){.host = RG_STR("127.0.0.1"), .port = (uint16_t)(1000 + i), .weight = weights[i]};
    if (host_of_last)
        targets[n - 1].host = rg_str_of(host_of_last);
    const struct rg_upstream_spec spec = {.name = RG_STR("main"), .targets = targets, .n_targets = n};
    assert_int_equal(rg_targets_create(&t, table, &spec, &fault), 0);
    return t;
}

/* Where one more exchange goes, by its place among the targets. */
static unsigned lead(size_t at, const struct rg_targets *t)
{
    assert_true(rg_targets_lead(&w, &exchanges[at], t));
    return exchanges[at].upstream->endpoint->port - 1000u;
}

static void draws_follow_the_weights(void **state)
{
    (void)state;
    struct rg_targets *t = make((uint32_t[]){6, 3, 0, 1}, 4, NULL);
    unsigned counts[4] = {0};
    assert_int_equal(t->n, 3);
    for (size_t i = 0; i < EXCHANGES; i++) { /* one after the other: no load */
        counts[lead(0, t)]++;
        rg_exchange_leave_upstream(&exchanges[0]);
        exchanges[0].upstream = &w.replica_upstream;
    }
    assert_in_range(counts[0], EXCHANGES * 52 / 100, EXCHANGES * 68 / 100);
    assert_in_range(counts[1], EXCHANGES * 23 / 100, EXCHANGES * 37 / 100);
    assert_int_equal(counts[2], 0);
    assert_in_range(counts[3], EXCHANGES * 6 / 100, EXCHANGES * 14 / 100);
    rg_targets_destroy(t);
}

static void load_evens_out_by_weight(void **state)
{
    (void)state;
    struct rg_targets *t = make((uint32_t[]){1, 1, 2}, 3, NULL);
    unsigned counts[3] = {0};
    for (size_t i = 0; i < EXCHANGES; i++) /* all at once */
        counts[lead(i, t)]++;
    /* Drawn by weight alone, they would be some 20 apart. */
    assert_in_range(counts[0], EXCHANGES / 4 - 12, EXCHANGES / 4 + 12);
    assert_in_range(counts[1], EXCHANGES / 4 - 12, EXCHANGES / 4 + 12);
    assert_in_range(counts[2], EXCHANGES / 2 - 20, EXCHANGES / 2 + 20);
    rg_targets_destroy(t);
}

/* An exchange with a connection to the first address there. */
static struct rg_exchange connecting(struct rg_endpoint *e, struct rg_upstream_conn *uc)
{
    *uc = (struct rg_upstream_conn){.peer = e->addresses->list[0].ip};
    return (struct rg_exchange){.upstream = rg_upstream_to(&w, e), .up = &uc->server};
}

static void connect_fails(struct rg_endpoint *e)
{
    struct rg_upstream_conn uc;
    struct rg_exchange x = connecting(e, &uc);
    rg_upstream_connect_failed(&w, &x, ECONNREFUSED);
}

/* A machine in the own network that is off is unreachable after 3 s, in which nobody answers for it. */
static void what_takes_its_time_is_no_refusal(void **state)
{
    (void)state;
    struct rg_targets *t = make((uint32_t[]){1}, 1, NULL);
    struct rg_upstream_conn uc;
    struct rg_exchange x = connecting(t->items[0].endpoint, &uc);
    uc.connect_us = w.now_us;
    w.now_us += 200000;
    rg_upstream_connect_failed(&w, &x, EHOSTUNREACH);
    assert_int_equal(x.slow_tries, 0);
    w.now_us += 2900000;
    rg_upstream_connect_failed(&w, &x, EHOSTUNREACH);
    assert_int_equal(x.slow_tries, 1);
    rg_targets_destroy(t);
}

static void connects(struct rg_endpoint *e)
{
    struct rg_upstream_conn uc;
    struct rg_exchange x = connecting(e, &uc);
    rg_upstream_connected(&w, &x);
}

static void one_that_fails_is_left_alone_and_tried_once(void **state)
{
    (void)state;
    struct rg_targets *t = make((uint32_t[]){1000, 1}, 2, NULL);
    unsigned counts[2] = {0};
    connect_fails(t->items[0].endpoint);
    for (size_t i = 0; i < 100; i++)
        counts[lead(i, t)]++;
    assert_int_equal(counts[0], 0);
    w.now_ms += 1000;
    for (size_t i = 100; i < 200; i++)
        counts[lead(i, t)]++;
    assert_int_equal(counts[0], 1);
    connects(t->items[0].endpoint);
    for (size_t i = 200; i < 300; i++)
        counts[lead(i, t)]++;
    assert_true(counts[0] > 50);
    connect_fails(t->items[0].endpoint); /* and again, after a time */
    counts[0] = 0;
    for (size_t i = 300; i < EXCHANGES; i++)
        counts[lead(i, t)]++;
    assert_int_equal(counts[0], 0);
    rg_targets_destroy(t);
}

static void when_all_fail_they_are_tried(void **state)
{
    (void)state;
    struct rg_targets *t = make((uint32_t[]){1, 1, 1}, 3, "name.example");
    unsigned counts[3] = {0};
    for (size_t i = 0; i < 50; i++)
        counts[lead(i, t)]++;
    assert_int_equal(counts[2], 0); /* it has no address yet */
    connect_fails(t->items[0].endpoint);
    connect_fails(t->items[1].endpoint);
    for (size_t i = 50; i < 150; i++)
        counts[lead(i, t)]++;
    assert_int_equal(counts[2], 0);
    assert_true(counts[0] > 20 && counts[1] > 20);
    rg_targets_destroy(t);
}

static void a_single_one_is_always_it(void **state)
{
    (void)state;
    struct rg_targets *t = make((uint32_t[]){5}, 1, NULL), *none = make((uint32_t[]){0}, 1, NULL);
    connect_fails(t->items[0].endpoint);
    assert_int_equal(lead(0, t), 0);
    assert_false(rg_targets_lead(&w, &exchanges[1], none));
    assert_ptr_equal(exchanges[1].upstream, &w.replica_upstream);
    rg_targets_destroy(t);
    rg_targets_destroy(none);
}

/* The head that was written for one target, made fit for another. */
static void the_host_of_a_head_is_replaced(void **state)
{
    (void)state;
    static const char *const hosts[] = {"b", "a-much-longer-name.example:8443", "a.example:80"};
    char head[200] = "POST / HTTP/1.1\r\nHost: a.example:80\r\nX: Host: y\r\n\r\nbody\r\nHost: z\r\n";
    const char *const rest = "\r\nX: Host: y\r\n\r\nbody\r\nHost: z\r\n";
    uint32_t len = (uint32_t)strlen(head);
    for (size_t i = 0; i < 3; i++) {
        char want[200];
        snprintf(want, sizeof want, "POST / HTTP/1.1\r\nHost: %s%s", hosts[i], rest);
        assert_true(rg_h1_replace_host(head, sizeof head, &len, rg_str_of(hosts[i])));
        assert_int_equal(len, strlen(want));
        assert_memory_equal(head, want, len);
    }
    assert_true(rg_h1_replace_host(head, len, &len, RG_STR("b.example:80"))); /* it just fits */
    assert_false(rg_h1_replace_host(head, len, &len, RG_STR("bb.example:80")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(draws_follow_the_weights, set_up, tear_down),
        cmocka_unit_test_setup_teardown(load_evens_out_by_weight, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_takes_its_time_is_no_refusal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_fails_is_left_alone_and_tried_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(when_all_fail_they_are_tried, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_single_one_is_always_it, set_up, tear_down),
        cmocka_unit_test(the_host_of_a_head_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
