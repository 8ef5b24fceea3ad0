#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "datapath/http/h1_authority.h"
#include "tests/unit/http/h1_test.h"

static bool parse(const char *text, struct rg_authority *ret)
{
    size_t len = strlen(text);
    return rg_authority_parse((struct rg_str){h1_guard(0, text, len, false), len}, ret);
}

static void assert_authority(const char *text, const char *host, int32_t port)
{
    struct rg_authority a;
    assert_true(parse(text, &a));
    assert_str(a.host, host);
    assert_int_equal(a.port, port);
}

static void good_ones(void **state)
{
    (void)state;
    assert_authority("a", "a", -1);
    assert_authority("example.com", "example.com", -1);
    assert_authority("example.com.", "example.com.", -1);
    assert_authority("example.com:", "example.com", -1);
    assert_authority("example.com:0", "example.com", 0);
    assert_authority("example.com:65535", "example.com", 65535);
    assert_authority("example.com:00080", "example.com", 80);
    assert_authority("my_service-1~x:1", "my_service-1~x", 1);
    assert_authority("192.0.2.1:8080", "192.0.2.1", 8080);
    assert_authority("[::]", "[::]", -1);
    assert_authority("[2001:DB8::1]:443", "[2001:DB8::1]", 443);
    assert_authority("[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]", -1);
    assert_authority("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]",
                     "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]", -1);
}

static void bad_ones(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        ":80",
        ".",
        ".a",
        "a..b",
        "a:b",
        "a:80:80",
        "a:65536",
        "a:000080",
        "a:+80",
        "a: 80",
        "a b",
        " a",
        "a ",
        "user@a",
        "user:pw@a",
        "a/b",
        "a?b",
        "a#b",
        "a,b",
        "a;b",
        "a%41",
        "a\\b",
        "\xc3\xa4",
        "[",
        "[]",
        "[:]",
        "[::1",
        "::1",
        "[::1]a",
        "[::1]:a",
        "[::1]:65536",
        "[1::2::3]",
        "[12345::]",
        "[g::]",
        "[::1%1]",
        "[v1.a]",
        "[1:2:3:4:5:6:7]",
        "[1:2:3:4:5:6:7:8:9]",
        "[::1]]",
        "[fffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]",
    };
    struct rg_authority a;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        if (parse(bad[i], &a))
            printf("accepted: %s\n", bad[i]);
        assert_false(parse(bad[i], &a));
    }
    assert_false(rg_authority_parse((struct rg_str){"a\0b", 3}, &a));
    assert_false(rg_authority_parse((struct rg_str){"[::1\0]", 6}, &a));
}

static void names_have_a_bound(void **state)
{
    (void)state;
    char name[257];
    struct rg_authority a;
    memset(name, 'a', sizeof(name));
    assert_true(rg_authority_parse((struct rg_str){name, 255}, &a));
    assert_false(rg_authority_parse((struct rg_str){name, 256}, &a));
}

static bool same(const char *x, const char *y, int32_t default_port)
{
    struct rg_authority a, b;
    assert_true(rg_authority_parse(rg_str_of(x), &a) && rg_authority_parse(rg_str_of(y), &b));
    assert_int_equal(rg_authority_same(&a, &b, default_port), rg_authority_same(&b, &a, default_port));
    return rg_authority_same(&a, &b, default_port);
}

static void comparing(void **state)
{
    (void)state;
    assert_true(same("a.example", "A.EXAMPLE", 80));
    assert_true(same("a", "a:80", 80));
    assert_true(same("a:", "a:80", 80));
    assert_true(same("a:080", "a:80", 80));
    assert_true(same("[::A]:1", "[::a]:1", 80));
    assert_false(same("a", "a:443", 80));
    assert_true(same("a", "a:443", 443));
    assert_false(same("a", "b", 80));
    assert_false(same("a", "a.", 80));
    assert_false(same("a:1", "a:2", 80));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ones),
        cmocka_unit_test(bad_ones),
        cmocka_unit_test(names_have_a_bound),
        cmocka_unit_test(comparing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
