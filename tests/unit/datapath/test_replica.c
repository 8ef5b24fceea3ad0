/* The replica's shared state: who may change it, and that each change is reported once. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "datapath/replica.h"

#define THREADS  4
#define FAILURES 20000

static void starts_unknown_and_is_tried(void **state)
{
    (void)state;
    struct rg_replica r = {0};
    assert_int_equal(r.state, RG_REPLICA_UNKNOWN);
    assert_false(rg_replica_is_down(&r));
}

static void the_prober_sets_it(void **state)
{
    (void)state;
    struct rg_replica r = {0};
    assert_true(rg_replica_set(&r, RG_REPLICA_HEALTHY));
    assert_false(rg_replica_set(&r, RG_REPLICA_HEALTHY));
    assert_int_equal(r.generation, 1);
    assert_true(rg_replica_set(&r, RG_REPLICA_DOWN));
    assert_true(rg_replica_is_down(&r));
    assert_int_equal(r.generation, 2);
}

static void failures_in_a_row_take_it_down(void **state)
{
    (void)state;
    struct rg_replica r = {.state = RG_REPLICA_HEALTHY};
    assert_false(rg_replica_connect_failed(&r, 3, ECONNREFUSED));
    assert_false(rg_replica_connect_failed(&r, 3, ECONNREFUSED));
    rg_replica_connected(&r);
    assert_false(rg_replica_connect_failed(&r, 3, ECONNREFUSED));
    assert_false(rg_replica_connect_failed(&r, 3, ECONNREFUSED));
    assert_false(rg_replica_is_down(&r));
    assert_true(rg_replica_connect_failed(&r, 3, ECONNREFUSED));
    assert_true(rg_replica_is_down(&r));
    assert_false(rg_replica_connect_failed(&r, 3, ECONNREFUSED)); /* it is down already */
    assert_int_equal(r.generation, 1);
}

static void only_a_probe_brings_it_back(void **state)
{
    (void)state;
    struct rg_replica r = {.state = RG_REPLICA_HEALTHY};
    assert_true(rg_replica_connect_failed(&r, 1, ECONNREFUSED));
    rg_replica_connected(&r);
    assert_true(rg_replica_is_down(&r));
    assert_true(rg_replica_set(&r, RG_REPLICA_HEALTHY));
    assert_false(rg_replica_is_down(&r));
}

static void old_failures_do_not_count_after_a_probe(void **state)
{
    (void)state;
    struct rg_replica r = {.state = RG_REPLICA_HEALTHY};
    assert_false(rg_replica_connect_failed(&r, 2, ECONNREFUSED));
    assert_false(rg_replica_set(&r, RG_REPLICA_HEALTHY));
    assert_false(rg_replica_connect_failed(&r, 2, ECONNREFUSED));
    assert_true(rg_replica_connect_failed(&r, 2, ECONNREFUSED));
}

static void zero_turns_passive_health_off(void **state)
{
    (void)state;
    struct rg_replica r = {.state = RG_REPLICA_HEALTHY};
    for (int i = 0; i < 10; i++)
        assert_false(rg_replica_connect_failed(&r, 0, ECONNREFUSED));
    assert_false(rg_replica_is_down(&r));
}

static struct rg_replica shared;
static unsigned changes; /* atomic */

static void *fail_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < FAILURES; i++) {
        if (rg_replica_connect_failed(&shared, 2, ECONNREFUSED))
            __atomic_add_fetch(&changes, 1, __ATOMIC_RELAXED);
        if (i % 16 == 0)
            rg_replica_connected(&shared);
    }
    return NULL;
}

static void each_change_is_reported_once(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fail_many, NULL), 0);
    for (int i = 0; i < FAILURES; i++)
        if (rg_replica_set(&shared, RG_REPLICA_HEALTHY))
            __atomic_add_fetch(&changes, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(changes > 0);
    assert_int_equal(changes, shared.generation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_unknown_and_is_tried),
        cmocka_unit_test(the_prober_sets_it),
        cmocka_unit_test(failures_in_a_row_take_it_down),
        cmocka_unit_test(only_a_probe_brings_it_back),
        cmocka_unit_test(old_failures_do_not_count_after_a_probe),
        cmocka_unit_test(zero_turns_passive_health_off),
        cmocka_unit_test(each_change_is_reported_once),
    };
    return cmocka_run_group_tests_name("replica", tests, NULL, NULL);
}
