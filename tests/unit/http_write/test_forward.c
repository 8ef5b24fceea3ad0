/* Identities of requests: whose are believed, and what ours look like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "heads.h"

#define TRACE_ID "0af7651916cd43dd8448eb211c80319c"
#define PARENT   "b7ad6b7169203331"

static struct rg_peer_text peer;
static struct rg_forward forward;
static struct rg_rand rnd;
static struct head head;

static int setup(void **state)
{
    (void)state;
    peer = (struct rg_peer_text){.ip = "192.0.2.7", .ip_len = 9};
    forward = (struct rg_forward){.peer = &peer};
    rg_rand_seed(&rnd);
    return 0;
}

static void ids_of(const char *fields)
{
    char text[1024];
    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s\r\n", fields);
    struct rg_h1_request req = request_of(&head, text);
    rg_forward_ids(&forward, &req, &rnd, 0x0123456789abULL);
}

static bool is_uuidv7(void)
{
    const char *id = forward.request_id;
    if (forward.request_id_len != RG_REQUEST_ID_LEN || memcmp(id, "01234567-89ab-7", 15) != 0)
        return false;
    for (unsigned i = 0; i < RG_REQUEST_ID_LEN; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? id[i] != '-' : strchr("0123456789abcdef", id[i]) == NULL)
            return false;
    }
    return strchr("89ab", id[19]) != NULL;
}

static void generator_follows_the_published_algorithm(void **state)
{
    (void)state;
    struct rg_rand r = {{1, 2, 3, 4}}; /* first outputs of xoshiro256** from this state */
    assert_true(rg_rand_next(&r) == 11520);
    assert_true(rg_rand_next(&r) == 0);
    assert_true(rg_rand_next(&r) == 1509978240);
    assert_true(rg_rand_next(&r) == 1215971899390074240);
}

static void seeds_differ(void **state)
{
    (void)state;
    struct rg_rand a, b;
    rg_rand_seed(&a);
    rg_rand_seed(&b);
    assert_memory_not_equal(&a, &b, sizeof(a));
}

static void request_id_is_a_uuidv7(void **state)
{
    (void)state;
    char first[RG_REQUEST_ID_LEN];
    ids_of("");
    assert_true(is_uuidv7());
    memcpy(first, forward.request_id, sizeof(first));
    ids_of("");
    assert_true(is_uuidv7());
    assert_memory_not_equal(first, forward.request_id, sizeof(first));
}

/* Every one of the 74 random bits takes both values: none is a constant by a wrong shift. */
static void request_id_uses_all_its_bits(void **state)
{
    (void)state;
    unsigned ones[RG_REQUEST_ID_LEN] = {0}, zeros[RG_REQUEST_ID_LEN] = {0};
    for (int n = 0; n < 2000; n++) {
        ids_of("");
        for (unsigned i = 15; i < RG_REQUEST_ID_LEN; i++) {
            char c = forward.request_id[i];
            unsigned v = (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
            ones[i] |= v;
            zeros[i] |= ~v & 15;
        }
    }
    for (unsigned i = 15; i < RG_REQUEST_ID_LEN; i++) {
        if (i == 18 || i == 23)
            continue;
        assert_int_equal(ones[i], i == 19 ? 11 : 15); /* 8 to b: the variant */
        assert_int_equal(zeros[i], i == 19 ? 7 : 15);
    }
}

static void only_a_trusted_peer_names_a_request(void **state)
{
    (void)state;
    ids_of("X-Request-Id: abc-123\r\n");
    assert_true(is_uuidv7());
    peer.trusted = true;
    ids_of("X-Request-Id: abc-123_.~+/=:@\r\n");
    assert_text(forward.request_id, forward.request_id_len, "abc-123_.~+/=:@");
}

static void bad_request_ids_are_replaced(void **state)
{
    (void)state;
    peer.trusted = true;
    ids_of("X-Request-Id:\r\n");
    assert_true(is_uuidv7());
    ids_of("X-Request-Id: a b\r\n");
    assert_true(is_uuidv7());
    ids_of("X-Request-Id: a\"b\r\n");
    assert_true(is_uuidv7());
    ids_of("X-Request-Id: a\xc3\xa4\r\n");
    assert_true(is_uuidv7());
    ids_of("X-Request-Id: a\r\nx-request-id: a\r\n");
    assert_true(is_uuidv7());
}

static void request_id_length(void **state)
{
    (void)state;
    char field[200];
    peer.trusted = true;
    int n = snprintf(field, sizeof(field), "X-Request-Id: %0128d\r\n", 7);
    assert_int_equal(n, 14 + 128 + 2);
    ids_of(field);
    assert_int_equal(forward.request_id_len, 128);
    snprintf(field, sizeof(field), "X-Request-Id: %0129d\r\n", 7);
    ids_of(field);
    assert_true(is_uuidv7());
}

static bool has_trace_shape(void)
{
    const char *t = forward.traceparent;
    for (unsigned i = 0; i < RG_TRACEPARENT_LEN; i++) {
        bool dash = i == 2 || i == 35 || i == 52;
        if (dash ? t[i] != '-' : strchr("0123456789abcdef", t[i]) == NULL)
            return false;
    }
    return memcmp(t, "00", 2) == 0;
}

static void traceparent_is_passed_on_with_our_parent_id(void **state)
{
    (void)state;
    ids_of("traceparent: 00-" TRACE_ID "-" PARENT "-a3\r\n");
    assert_false(forward.traceparent_is_new);
    assert_true(has_trace_shape());
    assert_memory_equal(forward.traceparent, "00-" TRACE_ID "-", 36);
    assert_memory_not_equal(forward.traceparent + 36, PARENT, 16);
    assert_memory_equal(forward.traceparent + 52, "-a3", 3);
}

static void bad_traceparents_start_a_new_trace(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "traceparent:\r\n",
        "traceparent: 01-" TRACE_ID "-" PARENT "-01\r\n",
        "traceparent: ff-" TRACE_ID "-" PARENT "-01\r\n",
        "traceparent: 00-" TRACE_ID "-" PARENT "-01-extra\r\n",
        "traceparent: 00-" TRACE_ID "-" PARENT "-0\r\n",
        "traceparent: 00-0AF7651916CD43DD8448EB211C80319C-" PARENT "-01\r\n",
        "traceparent: 00-00000000000000000000000000000000-" PARENT "-01\r\n",
        "traceparent: 00-" TRACE_ID "-0000000000000000-01\r\n",
        "traceparent: 00-" TRACE_ID "-" PARENT "-0g\r\n",
        "traceparent: 00-" TRACE_ID "_" PARENT "-01\r\n",
        "traceparent: 00-" TRACE_ID "-" PARENT "_01\r\n",
        "traceparent: 00-" TRACE_ID "-" PARENT "-01\r\ntraceparent: 00-" TRACE_ID "-" PARENT "-01\r\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ids_of(bad[i]);
        assert_true(forward.traceparent_is_new);
        assert_true(has_trace_shape());
        assert_memory_not_equal(forward.traceparent + 3, TRACE_ID, 32);
        assert_memory_equal(forward.traceparent + 52, "-01", 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(generator_follows_the_published_algorithm, setup),
        cmocka_unit_test_setup(seeds_differ, setup),
        cmocka_unit_test_setup(request_id_is_a_uuidv7, setup),
        cmocka_unit_test_setup(request_id_uses_all_its_bits, setup),
        cmocka_unit_test_setup(only_a_trusted_peer_names_a_request, setup),
        cmocka_unit_test_setup(bad_request_ids_are_replaced, setup),
        cmocka_unit_test_setup(request_id_length, setup),
        cmocka_unit_test_setup(traceparent_is_passed_on_with_our_parent_id, setup),
        cmocka_unit_test_setup(bad_traceparents_start_a_new_trace, setup),
    };
    return cmocka_run_group_tests_name("forward", tests, NULL, NULL);
}
