/* Which addresses a prefix holds: whole bytes, parts of one, IPv4 beside IPv6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>

#include "datapath/settings.h"

static struct rg_prefix prefix(const char *text, unsigned bits)
{
    struct rg_prefix p = {.bits = (uint8_t)bits};
    assert_int_equal(inet_pton(AF_INET6, text, &p.addr), 1);
    return p;
}

static bool holds(const struct rg_prefix *p, unsigned n, const char *text)
{
    struct in6_addr a;
    assert_int_equal(inet_pton(AF_INET6, text, &a), 1);
    return rg_prefixes_hold(p, n, &a);
}

static void one_prefix(void **state)
{
    (void)state;
    struct rg_prefix ten = prefix("::ffff:10.0.0.0", 96 + 8), odd = prefix("::ffff:192.0.2.64", 96 + 26);
    struct rg_prefix host = prefix("2001:db8::7", 128), all = prefix("::", 0);
    assert_true(holds(&ten, 1, "::ffff:10.0.0.0"));
    assert_true(holds(&ten, 1, "::ffff:10.255.255.255"));
    assert_false(holds(&ten, 1, "::ffff:11.0.0.0"));
    assert_false(holds(&ten, 1, "::10.0.0.1"));
    assert_true(holds(&odd, 1, "::ffff:192.0.2.64"));
    assert_true(holds(&odd, 1, "::ffff:192.0.2.127"));
    assert_false(holds(&odd, 1, "::ffff:192.0.2.63"));
    assert_false(holds(&odd, 1, "::ffff:192.0.2.128"));
    assert_true(holds(&host, 1, "2001:db8::7"));
    assert_false(holds(&host, 1, "2001:db8::6"));
    assert_true(holds(&all, 1, "::ffff:192.0.2.1"));
    assert_true(holds(&all, 1, "2001:db8::7"));
}

static void any_of_several(void **state)
{
    (void)state;
    const struct rg_prefix p[] = {prefix("::ffff:10.0.0.0", 104), prefix("fd00::", 8)};
    assert_true(holds(p, 2, "fdff::1"));
    assert_false(holds(p, 1, "fdff::1"));
    assert_false(holds(p, 0, "::ffff:10.0.0.1"));
    assert_false(holds(p, 2, "fe00::1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_prefix), cmocka_unit_test(any_of_several)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
