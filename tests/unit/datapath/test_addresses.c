/* Which address of a name a connect goes to: families, those that failed, and what is forgotten when. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "datapath/addresses.h"

#define SIX_AND_FOUR "::1", "127.0.0.1"

static struct rg_addresses *a;
static uint64_t now;

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

static void set(const char *const *texts, unsigned n)
{
    union rg_ip list[RG_ADDRESSES_MAX];
    for (unsigned i = 0; i < n; i++)
        list[i] = ip(texts[i]);
    struct rg_addresses *before = a;
    a = rg_addresses_create(list, n, before);
    free(before);
    assert_non_null(a);
}
#define SET(...) set((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static int set_up(void **state)
{
    (void)state;
    now = 1000000;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(a);
    a = NULL;
    return 0;
}

static uint32_t turn;

/* The connects of one request, as it gives up or reaches one that listens: "::1 127.0.0.1". */
static const char *request(const char *const *listening, unsigned n)
{
    static char text[64 * RG_ADDRESSES_MAX];
    struct rg_addresses_tried tried = {0};
    size_t len = 0;
    for (bool more = true; more; more = rg_addresses_any_left(a, &tried, false, now)) {
        char shown[INET6_ADDRSTRLEN];
        const union rg_ip *at = rg_addresses_next(a, &tried, turn++, now);
        const void *bytes = at->sa.sa_family == AF_INET ? (const void *)&at->in.sin_addr : &at->in6.sin6_addr;
        inet_ntop(at->sa.sa_family, bytes, shown, sizeof shown);
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", len > 0 ? " " : "", shown);
        for (unsigned i = 0; i < n; i++)
            if (strcmp(shown, listening[i]) == 0) {
                rg_addresses_connected(a, &tried, at, now);
                return text;
            }
        rg_addresses_failed(a, &tried, at, now);
    }
    return text;
}
#define REQUEST(...) \
    request((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))
#define REQUEST_NONE() request(NULL, 0)

static void those_of_the_first_family_take_turns(void **state)
{
    (void)state;
    SET("2001:db8::1", "2001:db8::2", "192.0.2.1");
    turn = 0;
    for (unsigned i = 0; i < 3; i++) {
        assert_string_equal(REQUEST("2001:db8::1", "2001:db8::2", "192.0.2.1"), "2001:db8::1");
        assert_string_equal(REQUEST("2001:db8::1", "2001:db8::2", "192.0.2.1"), "2001:db8::2");
    }
}

static void a_dead_family_costs_the_first_request_one_connect(void **state)
{
    (void)state;
    SET(SIX_AND_FOUR);
    assert_string_equal(REQUEST("127.0.0.1"), "::1 127.0.0.1");
    for (now += 999; turn < 50;)
        assert_string_equal(REQUEST("127.0.0.1"), "127.0.0.1");
}

static void the_other_family_is_dead(void **state)
{
    (void)state;
    SET(SIX_AND_FOUR);
    for (turn = 0; turn < 20;)
        assert_string_equal(REQUEST("::1"), "::1");
}

/* Not one for each of its addresses. */
static void a_family_is_remembered_as_a_whole(void **state)
{
    (void)state;
    SET("2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1");
    turn = 0;
    assert_string_equal(REQUEST("192.0.2.1"), "2001:db8::1 192.0.2.1");
    for (unsigned i = 0; i < 10; i++)
        assert_string_equal(REQUEST("192.0.2.1"), "192.0.2.1");
}

static void families_alternate_until_all_were_tried(void **state)
{
    (void)state;
    SET("2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1", "192.0.2.2");
    turn = 0;
    const char *first = REQUEST_NONE();
    assert_int_equal(strncmp(first, "2001", 4), 0);
    unsigned seen = 0;
    static const char *const all[] = {"2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1", "192.0.2.2"};
    for (unsigned i = 0; i < 5; i++)
        seen += strstr(first, all[i]) != NULL;
    assert_int_equal(seen, 5);
    char copy[200], *rest = copy;
    snprintf(copy, sizeof copy, "%s", first);
    for (unsigned i = 0; i < 4; i++) /* six, four, six, four, and the last of six */
        assert_int_equal(strchr(strsep(&rest, " "), ':') != NULL, i % 2 == 0);
}

/* The verdict on both may be wrong by now. */
static void those_that_are_left_alone_are_tried_before_a_request_fails(void **state)
{
    (void)state;
    SET(SIX_AND_FOUR);
    REQUEST_NONE();
    assert_true(rg_addresses_all_down(a, now));
    const char *again = REQUEST("127.0.0.1");
    assert_true(strcmp(again, "::1 127.0.0.1") == 0 || strcmp(again, "127.0.0.1") == 0);
    assert_false(rg_addresses_all_down(a, now));
}

static void one_tries_when_the_time_has_come(void **state)
{
    (void)state;
    static const uint64_t waits[] = {1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000, 256000, 300000, 300000};
    SET(SIX_AND_FOUR);
    REQUEST("127.0.0.1");
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        now += waits[i] - 1;
        assert_string_equal(REQUEST("127.0.0.1"), "127.0.0.1");
        now += 1;
        assert_string_equal(REQUEST("127.0.0.1"), "::1 127.0.0.1");
        assert_string_equal(REQUEST("127.0.0.1"), "127.0.0.1");
    }
    now += 300000;
    assert_string_equal(REQUEST(SIX_AND_FOUR), "::1"); /* it is back, for all */
    assert_string_equal(REQUEST(SIX_AND_FOUR), "::1");
}

/* Two workers look at the same moment; the second finds the trial taken, and a good address. */
static void a_trial_is_for_one_alone(void **state)
{
    (void)state;
    struct rg_addresses_tried none = {0};
    SET(SIX_AND_FOUR);
    REQUEST("127.0.0.1");
    now += 1000;
    assert_int_equal(rg_addresses_next(a, &none, 0, now)->sa.sa_family, AF_INET6);
    assert_int_equal(rg_addresses_next(a, &none, 0, now)->sa.sa_family, AF_INET);
}

static void a_new_list_takes_over_what_is_known(void **state)
{
    (void)state;
    SET("2001:db8::1", "192.0.2.1");
    REQUEST("192.0.2.1");
    struct rg_addresses_tried tried = {0};
    union rg_ip failed = ip("192.0.2.1");
    SET("2001:db8::1", "192.0.2.2", "192.0.2.1"); /* name servers turn their lists around */
    assert_int_equal(REQUEST("192.0.2.1", "192.0.2.2")[0], '1');
    rg_addresses_failed(a, &tried, &failed, now);
    SET("192.0.2.3", "192.0.2.1", "192.0.2.2");
    assert_true(rg_addresses_any_left(a, &tried, true, now)); /* its marks were for the list before */
    for (unsigned i = 0; i < 10; i++)
        assert_string_not_equal(REQUEST("192.0.2.2", "192.0.2.3"), "192.0.2.1");
}

static void an_address_that_went_is_no_loss(void **state)
{
    (void)state;
    struct rg_addresses_tried tried = {0};
    union rg_ip gone = ip("192.0.2.77");
    SET("192.0.2.1", "192.0.2.2");
    rg_addresses_failed(a, &tried, &gone, now);
    rg_addresses_connected(a, &tried, &gone, now);
    assert_false(rg_addresses_has(a, &gone));
    assert_false(rg_addresses_all_down(a, now));
    assert_true(rg_addresses_any_left(a, &tried, true, now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(those_of_the_first_family_take_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dead_family_costs_the_first_request_one_connect, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_other_family_is_dead, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_family_is_remembered_as_a_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(families_alternate_until_all_were_tried, set_up, tear_down),
        cmocka_unit_test_setup_teardown(those_that_are_left_alone_are_tried_before_a_request_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_tries_when_the_time_has_come, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_trial_is_for_one_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_new_list_takes_over_what_is_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_address_that_went_is_no_loss, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
