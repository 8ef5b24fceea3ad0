/* Which worker a new connection goes to, by the state that the workers publish. */
#include "tests/bpf/steer_site.h"

#include <sys/socket.h>

#define CONNECTIONS  40
#define ATTEMPTS_MAX 2000 /* at connections that depend on clock readings; then the machine is too busy to tell */

static struct site site;

static int teardown(void **state)
{
    (void)state;
    site_close(&site);
    return 0;
}

static void open_load(unsigned workers)
{
    site_open(&site, RG_STEER_MODE_LOAD, workers, workers, AF_INET);
}

/* All of them reach that worker. */
static void serve_all_to(uint32_t worker, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(site_serve_one(&site), worker);
}

static void rows_share_no_cache_line(void **state)
{
    (void)state;
    open_load(RG_STEER_WORKERS_MAX);
    assert_int_equal(sizeof(struct rg_steer_worker), 128);
    assert_int_equal(offsetof(struct rg_steer_worker, assigned), 64);
    for (unsigned i = 0; i < RG_STEER_WORKERS_MAX; i++) {
        assert_int_equal((uintptr_t)site_row(&site, i) % 128, 0);
        if (i > 0)
            assert_ptr_equal(site_row(&site, i), site_row(&site, i - 1) + 1);
    }
    assert_null(rg_steer_row(site.steer, RG_STEER_WORKERS_MAX));
    for (unsigned i = 0; i < CONNECTIONS; i++) /* the largest group works like a small one */
        site_serve_one(&site);
    SITE_EXPECT(&site, [RG_STEER_LOAD] = CONNECTIONS);
}

static void follows_open(void **state)
{
    (void)state;
    open_load(2);
    site_row(&site, 0)->open = 100;
    serve_all_to(1, CONNECTIONS);
    site_row(&site, 1)->open = 101;
    serve_all_to(0, CONNECTIONS);
    SITE_EXPECT(&site, [RG_STEER_LOAD] = 2 * CONNECTIONS);
}

/* Streams that last count like connections: the worker with fewer of both gets the next one. */
static void follows_requests(void **state)
{
    (void)state;
    open_load(2);
    site_row(&site, 0)->open = site_row(&site, 1)->open = 100;
    site_row(&site, 0)->requests = 90;
    serve_all_to(1, CONNECTIONS);
    site_row(&site, 1)->requests = 91;
    serve_all_to(0, CONNECTIONS);
    site_row(&site, 1)->open = 0; /* 91 against 190 */
    serve_all_to(1, CONNECTIONS);
    SITE_EXPECT(&site, [RG_STEER_LOAD] = 3 * CONNECTIONS);
}

static void balances_what_it_gives(void **state)
{
    unsigned n[4] = {0};

    (void)state;
    open_load(4);
    for (unsigned i = 0; i < 200; i++) {
        uint32_t worker = site_serve_one(&site);

        n[worker]++;
        site_row(&site, worker)->open++;
    }
    for (unsigned i = 0; i < 4; i++)
        assert_in_range(n[i], 44, 56); /* two choices keep the spread to a few; one random choice does not */
    SITE_EXPECT(&site, [RG_STEER_LOAD] = 200);
}

/* Were the second candidate always the next one, say, an eighth would see only the two heaviest; of all pairs it is 1
 * in 28. */
static void any_two_workers_are_compared(void **state)
{
    unsigned n[8] = {0};

    (void)state;
    open_load(8);
    for (unsigned i = 0; i < 8; i++)
        site_row(&site, i)->open = 100 * i;
    for (unsigned i = 0; i < 300; i++)
        n[site_serve_one(&site)]++;
    assert_int_equal(n[7], 0);
    assert_in_range(n[6], 0, 25); /* 10.7 expected, 3.2 standard deviation; 37.5 if pairs were neighbours */
    SITE_EXPECT(&site, [RG_STEER_LOAD] = 300);
}

static void avoids_a_hung_worker(void **state)
{
    (void)state;
    open_load(2);
    site_row(&site, 1)->open = 1000;
    site_set_turn(&site, 0, 300 * MS);
    serve_all_to(1, CONNECTIONS);
    SITE_EXPECT(&site, [RG_STEER_AVOIDED] = CONNECTIONS);

    site_set_turn(&site, 0, 0);
    serve_all_to(0, CONNECTIONS);
    SITE_EXPECT(&site, [RG_STEER_LOAD] = CONNECTIONS);
}

/*
 * Sets both turns and connects, until CONNECTIONS were made without the thread being set aside for longer than the case
 * can bear between a clock reading and the SYN. All of those went to `worker`, with `verdict`.
 */
static void serve_with_turns(uint64_t turn_0_ns, uint64_t turn_1_ns, uint64_t tolerance_ns, uint32_t worker,
                             enum rg_steer_verdict verdict)
{
    unsigned judged = 0;

    for (unsigned i = 0; i < ATTEMPTS_MAX && judged < CONNECTIONS; i++) {
        uint64_t start = site_now(), took, before = rg_steer_verdict_count(site.steer, verdict);
        uint32_t chosen;

        site_set_turn(&site, 0, turn_0_ns);
        site_set_turn(&site, 1, turn_1_ns);
        chosen = site_connect(&site);
        took = site_now() - start;
        assert_int_equal(site_accept(&site), chosen);
        site_drop_connections(&site);
        if (took > tolerance_ns)
            continue;
        assert_int_equal(chosen, worker);
        assert_int_equal(rg_steer_verdict_count(site.steer, verdict), before + 1);
        judged++;
    }
    if (judged < CONNECTIONS)
        fail_msg("the machine is too busy: %u connections were made in time", judged);
}

static void a_long_turn_loses_against_a_short_one(void **state)
{
    (void)state;
    open_load(2);
    site_row(&site, 1)->open = 1000;
    serve_with_turns(20 * MS, 0, 100 * MS, 1, RG_STEER_AVOIDED);
    serve_with_turns(6 * MS, 1 * MS, 3 * MS, 1, RG_STEER_AVOIDED);
}

static void a_short_turn_says_nothing(void **state)
{
    (void)state;
    open_load(2);
    site_row(&site, 1)->open = 1000;
    serve_with_turns(1 * MS, 0, 3 * MS, 0, RG_STEER_LOAD);
}

static void among_long_turns_load_decides(void **state)
{
    (void)state;
    open_load(2);
    site_row(&site, 1)->open = 1000;
    serve_with_turns(30 * MS, 20 * MS, 100 * MS, 0, RG_STEER_LOAD);
}

static void among_long_turns_a_much_longer_one_loses(void **state)
{
    (void)state;
    open_load(2);
    site_row(&site, 1)->open = 1000;
    serve_with_turns(150 * MS, 6 * MS, 30 * MS, 1, RG_STEER_AVOIDED);
}

static void a_turn_that_begins_later_is_new(void **state)
{
    (void)state;
    open_load(2);
    site_row(&site, 1)->open = 1000;
    site_row(&site, 0)->busy_since = site_now() + 60000 * MS;
    serve_all_to(0, CONNECTIONS);
    SITE_EXPECT(&site, [RG_STEER_LOAD] = CONNECTIONS);
}

static void a_retired_worker_gets_nothing(void **state)
{
    uint64_t n[RG_STEER_VERDICT_COUNT];

    (void)state;
    open_load(3);
    site_row(&site, 1)->retired = 1;
    site_row(&site, 0)->open = site_row(&site, 2)->open = 1000;
    for (unsigned i = 0; i < CONNECTIONS; i++)
        assert_int_not_equal(site_serve_one(&site), 1);
    site_read_verdicts(&site, n);
    assert_true(n[RG_STEER_AVOIDED] > 0); /* pairs with 1: two thirds */
    assert_int_equal(n[RG_STEER_AVOIDED] + n[RG_STEER_LOAD], CONNECTIONS);
}

static void scans_when_both_candidates_are_unfit(void **state)
{
    uint64_t n[RG_STEER_VERDICT_COUNT];

    (void)state;
    open_load(4);
    site_set_turn(&site, 0, 300 * MS);
    site_row(&site, 1)->retired = 1;
    site_set_turn(&site, 3, 300 * MS);
    serve_all_to(2, CONNECTIONS);
    site_read_verdicts(&site, n);
    assert_true(n[RG_STEER_SCANNED] > 0 && n[RG_STEER_AVOIDED] > 0); /* half of the pairs hold 2 */
    assert_int_equal(n[RG_STEER_SCANNED] + n[RG_STEER_AVOIDED], CONNECTIONS);
}

/* The search takes the least loaded, and leaves a slow worker for last. */
static void scan_prefers_light_and_awake(void **state)
{
    uint64_t n[RG_STEER_VERDICT_COUNT];

    (void)state;
    open_load(8);
    for (unsigned i = 0; i < 5; i++)
        site_row(&site, i)->retired = 1;
    site_row(&site, 6)->open = 10;
    site_row(&site, 7)->open = 20;
    for (unsigned i = 0; i < 4 * CONNECTIONS; i++) {
        uint64_t searched = rg_steer_verdict_count(site.steer, RG_STEER_SCANNED);
        uint32_t worker;

        site_set_turn(&site, 5, 20 * MS); /* the lightest by far, and slow or, if the thread was set aside, hung */
        worker = site_serve_one(&site);
        if (rg_steer_verdict_count(site.steer, RG_STEER_SCANNED) > searched)
            assert_int_equal(worker, 6);
    }
    site_read_verdicts(&site, n);
    assert_true(n[RG_STEER_SCANNED] > 0); /* 20 of 56 pairs */
    assert_int_equal(n[RG_STEER_NONE_FIT] + n[RG_STEER_ERROR] + n[RG_STEER_HASH] + n[RG_STEER_MIGRATED], 0);
}

static void without_a_fit_worker_the_kernel_decides(void **state)
{
    unsigned n[2] = {0};

    (void)state;
    open_load(2);
    site_set_turn(&site, 0, 300 * MS);
    site_row(&site, 1)->retired = 1;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        assert_int_equal(site_connect(&site), SITE_NOBODY);
        n[site_accept(&site)]++;
    }
    assert_true(n[0] > 0 && n[1] > 0);
    SITE_EXPECT(&site, [RG_STEER_NONE_FIT] = CONNECTIONS);
}

static void single_worker(void **state)
{
    (void)state;
    open_load(1);
    site_row(&site, 0)->open = 5000;
    serve_all_to(0, CONNECTIONS);
    SITE_EXPECT(&site, [RG_STEER_LOAD] = CONNECTIONS);

    site_set_turn(&site, 0, 300 * MS);
    assert_int_equal(site_connect(&site), SITE_NOBODY);
    assert_int_equal(site_accept(&site), 0);
    SITE_EXPECT(&site, [RG_STEER_NONE_FIT] = 1);
}

static void fewer_sockets_than_workers(void **state)
{
    uint64_t n[RG_STEER_VERDICT_COUNT];

    (void)state;
    site_open(&site, RG_STEER_MODE_LOAD, 4, 1, AF_INET);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        uint32_t chosen = site_connect(&site);

        assert_true(chosen == 0 || chosen == SITE_NOBODY);
        assert_int_equal(site_accept(&site), 0);
    }
    site_read_verdicts(&site, n);
    assert_true(n[RG_STEER_LOAD] > 0 && n[RG_STEER_SCANNED] > 0);
    assert_int_equal(n[RG_STEER_LOAD] + n[RG_STEER_SCANNED] + n[RG_STEER_ERROR], CONNECTIONS);
}

static void hash_mode_spreads_and_ignores_load(void **state)
{
    unsigned n[4] = {0};

    (void)state;
    site_open(&site, RG_STEER_MODE_HASH, 4, 4, AF_INET);
    site_row(&site, 0)->open = 1000000;
    site_set_turn(&site, 1, 300 * MS);
    for (unsigned i = 0; i < 200; i++)
        n[site_serve_one(&site)]++;
    for (unsigned i = 0; i < 4; i++)
        assert_in_range(n[i], 20, 80); /* 50 expected, 6.1 standard deviation */
    SITE_EXPECT(&site, [RG_STEER_HASH] = 200);
}

static void hash_mode_is_stable(void **state)
{
    (void)state;
    site_open(&site, RG_STEER_MODE_HASH, 4, 4, AF_INET);
    for (uint16_t port = 20000; port < 20010; port++) {
        uint32_t first = SITE_NOBODY;

        for (unsigned i = 0; i < 5; i++) {
            uint32_t worker = site_connect_to(&site, AF_INET, port);

            assert_int_equal(site_accept(&site), worker);
            assert_true(first == SITE_NOBODY || worker == first);
            first = worker;
            site_drop_connections(&site);
        }
    }
    SITE_EXPECT(&site, [RG_STEER_HASH] = 50);
}

static void hash_mode_passes_over_the_retired(void **state)
{
    uint64_t n[RG_STEER_VERDICT_COUNT];

    (void)state;
    site_open(&site, RG_STEER_MODE_HASH, 2, 2, AF_INET);
    site_row(&site, 0)->retired = 1;
    serve_all_to(1, CONNECTIONS);
    site_read_verdicts(&site, n);
    assert_true(n[RG_STEER_HASH] > 0 && n[RG_STEER_AVOIDED] > 0);
    assert_int_equal(n[RG_STEER_HASH] + n[RG_STEER_AVOIDED], CONNECTIONS);
}

static void hash_mode_with_fewer_sockets(void **state)
{
    uint64_t n[RG_STEER_VERDICT_COUNT];

    (void)state;
    site_open(&site, RG_STEER_MODE_HASH, 4, 1, AF_INET);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        site_connect(&site);
        assert_int_equal(site_accept(&site), 0);
    }
    site_read_verdicts(&site, n);
    assert_true(n[RG_STEER_HASH] > 0 && n[RG_STEER_ERROR] > 0);
    assert_int_equal(n[RG_STEER_HASH] + n[RG_STEER_ERROR], CONNECTIONS);
}

static void dual_stack_serves_both_families(void **state)
{
    (void)state;
    site_open(&site, RG_STEER_MODE_LOAD, 2, 2, AF_INET6);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        int family = i % 2 ? AF_INET : AF_INET6;
        uint32_t lighter = i / 2 % 2;

        site_row(&site, lighter)->open = 0;
        site_row(&site, !lighter)->open = 1000;
        assert_int_equal(site_connect_to(&site, family, 0), lighter);
        assert_int_equal(site_accept(&site), lighter);
    }
    SITE_EXPECT(&site, [RG_STEER_LOAD] = CONNECTIONS);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_teardown(f, teardown)
    const struct CMUnitTest tests[] = {
        CASE(rows_share_no_cache_line),
        CASE(follows_open),
        CASE(follows_requests),
        CASE(balances_what_it_gives),
        CASE(any_two_workers_are_compared),
        CASE(avoids_a_hung_worker),
        CASE(a_long_turn_loses_against_a_short_one),
        CASE(a_short_turn_says_nothing),
        CASE(among_long_turns_load_decides),
        CASE(among_long_turns_a_much_longer_one_loses),
        CASE(a_turn_that_begins_later_is_new),
        CASE(a_retired_worker_gets_nothing),
        CASE(scans_when_both_candidates_are_unfit),
        CASE(scan_prefers_light_and_awake),
        CASE(without_a_fit_worker_the_kernel_decides),
        CASE(single_worker),
        CASE(fewer_sockets_than_workers),
        CASE(hash_mode_spreads_and_ignores_load),
        CASE(hash_mode_is_stable),
        CASE(hash_mode_passes_over_the_retired),
        CASE(hash_mode_with_fewer_sockets),
        CASE(dual_stack_serves_both_families),
    };
#undef CASE
    int status = site_enter_namespace();

    return status ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
