/* The ring between a worker and the control thread: nothing torn, nothing reordered, nothing lost but what was refused.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "datapath/access_log.h"

#define RING_LEN   (128 * 1024)
#define STRING_MAX 4096
#define STREAMED   200000

static struct rg_access_ring *ring;
static char letters[STRING_MAX * 2];

static int setup(void **state)
{
    (void)state;
    ring = rg_access_ring_create(1); /* rounded up to RING_LEN */
    for (size_t i = 0; i < sizeof(letters); i++)
        letters[i] = (char)('a' + i % 26);
    return ring != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    rg_access_ring_destroy(ring);
    return 0;
}

static struct rg_access_record record_of(uint64_t n, size_t target_len)
{
    return (struct rg_access_record){.unix_us = n,
                                     .status = (uint16_t)(n % 600),
                                     .method = RG_STR("GET"),
                                     .target = {letters + n % 26, target_len},
                                     .request_id = {letters, n % 37}};
}

static void assert_record(const struct rg_access_record *r, uint64_t n, size_t target_len)
{
    assert_int_equal(r->unix_us, n);
    assert_int_equal(r->status, n % 600);
    assert_true(rg_str_eq(r->method, RG_STR("GET")));
    assert_true(rg_str_eq(r->target, (struct rg_str){letters + n % 26, target_len}));
    assert_true(rg_str_eq(r->request_id, (struct rg_str){letters, n % 37}));
    assert_int_equal(r->peer.len + r->host.len + r->traceparent.len, 0);
}

static void every_member_arrives(void **state)
{
    (void)state;
    struct rg_access_record in = {.unix_us = 1,
                                  .duration_us = 2,
                                  .replica_us = 3,
                                  .connect_us = 4,
                                  .bytes_in = 5,
                                  .bytes_out = UINT64_MAX,
                                  .status = 599,
                                  .worker = 63,
                                  .peer_port = 65535,
                                  .reason = RG_REASON_BAD_HOST,
                                  .minor = 1,
                                  .reused = true,
                                  .tls = true,
                                  .complete = true,
                                  .retried = true,
                                  .peer = RG_STR("2001:db8::1"),
                                  .method = RG_STR("GET"),
                                  .target = RG_STR("/a?b"),
                                  .host = RG_STR("example.com"),
                                  .user_agent = RG_STR("curl"),
                                  .referer = RG_STR("r"),
                                  .request_id = RG_STR("id"),
                                  .traceparent = RG_STR("00-"),
                                  .unit = RG_STR("u"),
                                  .route = RG_STR("GET /"),
                                  .upstream = RG_STR("http://o:80")};
    struct rg_access_record out;
    assert_true(rg_access_ring_put(ring, &in));
    assert_true(rg_access_ring_take(ring, &out));
    assert_int_equal(out.unix_us, 1);
    assert_int_equal(out.duration_us, 2);
    assert_int_equal(out.replica_us, 3);
    assert_int_equal(out.connect_us, 4);
    assert_int_equal(out.bytes_in, 5);
    assert_true(out.bytes_out == UINT64_MAX);
    assert_int_equal(out.status, 599);
    assert_int_equal(out.worker, 63);
    assert_int_equal(out.peer_port, 65535);
    assert_int_equal(out.reason, RG_REASON_BAD_HOST);
    assert_int_equal(out.minor, 1);
    assert_true(out.reused && out.tls && out.complete && out.retried);
    assert_true(rg_str_eq(out.peer, in.peer));
    assert_true(rg_str_eq(out.method, in.method));
    assert_true(rg_str_eq(out.target, in.target));
    assert_true(rg_str_eq(out.host, in.host));
    assert_true(rg_str_eq(out.user_agent, in.user_agent));
    assert_true(rg_str_eq(out.referer, in.referer));
    assert_true(rg_str_eq(out.request_id, in.request_id));
    assert_true(rg_str_eq(out.traceparent, in.traceparent));
    assert_true(rg_str_eq(out.unit, in.unit));
    assert_true(rg_str_eq(out.route, in.route));
    assert_true(rg_str_eq(out.upstream, in.upstream));
}

static void empty_until_put_and_after_take(void **state)
{
    (void)state;
    struct rg_access_record in = record_of(1, 5), out;
    assert_false(rg_access_ring_take(ring, &out));
    rg_access_ring_next(ring); /* nothing held: nothing happens */
    assert_true(rg_access_ring_put(ring, &in));
    assert_true(rg_access_ring_take(ring, &out));
    assert_false(rg_access_ring_take(ring, &out));
    rg_access_ring_next(ring);
    assert_false(rg_access_ring_take(ring, &out));
    assert_true(rg_access_ring_put(ring, &in));
    assert_true(rg_access_ring_take(ring, &out));
    assert_record(&out, 1, 5);
}

static void long_strings_are_cut(void **state)
{
    (void)state;
    struct rg_access_record in = {.target = {letters, STRING_MAX + 1}, .host = {letters, STRING_MAX}}, out;
    assert_true(rg_access_ring_put(ring, &in));
    assert_true(rg_access_ring_take(ring, &out));
    assert_true(rg_str_eq(out.target, (struct rg_str){letters, STRING_MAX}));
    assert_true(rg_str_eq(out.host, (struct rg_str){letters, STRING_MAX}));
}

static void the_largest_record_fits_anywhere_in_an_empty_ring(void **state)
{
    (void)state;
    struct rg_str longest = {letters, STRING_MAX};
    struct rg_access_record large = {.peer = longest,
                                     .method = longest,
                                     .target = longest,
                                     .host = longest,
                                     .user_agent = longest,
                                     .referer = longest,
                                     .request_id = longest,
                                     .traceparent = longest};
    struct rg_access_record small = {.status = 200}, out;
    for (unsigned i = 0; i < 3 * RING_LEN / 88; i++) { /* moves the head a little further each time */
        assert_true(rg_access_ring_put(ring, &small));
        assert_true(rg_access_ring_take(ring, &out));
        assert_true(rg_access_ring_put(ring, &large));
        assert_true(rg_access_ring_take(ring, &out));
        assert_true(rg_str_eq(out.traceparent, longest));
        rg_access_ring_next(ring);
    }
}

static void a_full_ring_refuses_and_loses_nothing_else(void **state)
{
    (void)state;
    struct rg_access_record out;
    uint64_t put = 0, taken = 0;
    for (unsigned round = 0; round < 50; round++) {
        for (struct rg_access_record in = record_of(put, put % 3000); rg_access_ring_put(ring, &in);
             in = record_of(put, put % 3000))
            put++;
        assert_true(put - taken >= 20); /* of 128 KiB */
        for (unsigned i = 0; i < 15; i++, taken++) {
            assert_true(rg_access_ring_take(ring, &out));
            assert_record(&out, taken, taken % 3000);
            rg_access_ring_next(ring);
        }
    }
    for (; rg_access_ring_take(ring, &out); taken++)
        assert_record(&out, taken, taken % 3000);
    assert_int_equal(taken, put);
}

/* A record that is held is not overwritten, however much the worker puts. */
static void a_held_record_stays(void **state)
{
    (void)state;
    struct rg_access_record in = record_of(7, 100), out;
    assert_true(rg_access_ring_put(ring, &in));
    assert_true(rg_access_ring_take(ring, &out));
    in = record_of(8, 4000);
    while (rg_access_ring_put(ring, &in))
        ;
    assert_record(&out, 7, 100);
}

static void sizes_are_rounded_up(void **state)
{
    (void)state;
    struct rg_access_ring *larger = rg_access_ring_create(RING_LEN + 1);
    struct rg_access_record in = record_of(1, 4000);
    unsigned small_count = 0, large_count = 0;
    assert_non_null(larger);
    while (rg_access_ring_put(ring, &in))
        small_count++;
    while (rg_access_ring_put(larger, &in))
        large_count++;
    assert_true(small_count >= RING_LEN / 4200);
    assert_true(large_count >= 2 * small_count);
    rg_access_ring_destroy(larger);
    rg_access_ring_destroy(NULL);
}

static void *produce(void *arg)
{
    (void)arg;
    for (uint64_t n = 0; n < STREAMED; n++) {
        struct rg_access_record in = record_of(n, n * 7919 % 700);
        while (!rg_access_ring_put(ring, &in))
            sched_yield();
    }
    return NULL;
}

static void two_threads(void **state)
{
    (void)state;
    pthread_t producer;
    struct rg_access_record out;
    assert_int_equal(pthread_create(&producer, NULL, produce, NULL), 0);
    for (uint64_t n = 0; n < STREAMED; n++) {
        while (!rg_access_ring_take(ring, &out))
            sched_yield();
        assert_record(&out, n, n * 7919 % 700);
        if (n % 2 == 0) /* take alone gives the room back, too */
            rg_access_ring_next(ring);
    }
    pthread_join(producer, NULL);
    assert_false(rg_access_ring_take(ring, &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_member_arrives, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_until_put_and_after_take, setup, teardown),
        cmocka_unit_test_setup_teardown(long_strings_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(the_largest_record_fits_anywhere_in_an_empty_ring, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_ring_refuses_and_loses_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(a_held_record_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(sizes_are_rounded_up, setup, teardown),
        cmocka_unit_test_setup_teardown(two_threads, setup, teardown),
    };
    return cmocka_run_group_tests_name("access_ring", tests, NULL, NULL);
}
