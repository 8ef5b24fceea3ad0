/* bench/common/start: what its programs take as a number and as an address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

#include "bench/common/start.h"

static void whole_numbers_within_their_range(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "-1", "+1", " 1", "1 ", "1k", "0x1", "1.0", "4", "101", "18446744073709551616"};
    uint64_t n = 7;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(rg_bench_take_count("--n", bad[i], 5, 100, &n), RG_EXIT_USAGE);
        assert_int_equal(n, 7);
    }
    assert_int_equal(rg_bench_take_count("--n", "5", 5, 100, &n), RG_GO_ON);
    assert_int_equal(n, 5);
    assert_int_equal(rg_bench_take_count("--n", "18446744073709551615", 0, UINT64_MAX, &n), RG_GO_ON);
    assert_true(n == UINT64_MAX);
    unsigned u = 3;
    assert_int_equal(rg_bench_take_unsigned("--u", "0", 1, 64, &u), RG_EXIT_USAGE);
    assert_int_equal(u, 3);
    assert_int_equal(rg_bench_take_unsigned("--u", "64", 1, 64, &u), RG_GO_ON);
    assert_int_equal(u, 64);
}

static const struct {
    const char *text;
    unsigned least;
    sa_family_t family; /* AF_UNSPEC: refused */
    const char *host;   /* or the path */
    uint16_t port;
} addresses[] = {
    {"80", 1, AF_INET, "127.0.0.1", 80},
    {"0", 0, AF_INET, "127.0.0.1", 0},
    {"0", 1, AF_UNSPEC, NULL, 0},
    {"10.1.2.3:65535", 1, AF_INET, "10.1.2.3", 65535},
    {"[::1]:8080", 1, AF_INET6, "::1", 8080},
    {"[::]:0", 0, AF_INET6, "::", 0},
    {"unix:/a/b", 1, AF_UNIX, "/a/b", 0},
    {"unix:", 1, AF_UNSPEC, NULL, 0},
    {"", 0, AF_UNSPEC, NULL, 0},
    {"127.0.0.1", 0, AF_UNSPEC, NULL, 0},
    {"127.0.0.1:", 0, AF_UNSPEC, NULL, 0},
    {"127.0.0.1:65536", 1, AF_UNSPEC, NULL, 0},
    {"127.0.0.1:8 0", 1, AF_UNSPEC, NULL, 0},
    {"::1:80", 1, AF_UNSPEC, NULL, 0},
    {"[127.0.0.1]:80", 1, AF_UNSPEC, NULL, 0},
    {"[::1:80", 1, AF_UNSPEC, NULL, 0},
    {"localhost:80", 1, AF_UNSPEC, NULL, 0},
    {":80", 1, AF_UNSPEC, NULL, 0},
    {"[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa]:80", 1, AF_UNSPEC, NULL, 0},
};

static void addresses_are_numbers_with_a_port(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        struct rg_bench_address a;
        char host[INET6_ADDRSTRLEN];
        print_message("%s\n", addresses[i].text);
        assert_int_equal(rg_bench_address_parse(addresses[i].text, addresses[i].least, &a),
                         addresses[i].family != AF_UNSPEC);
        if (addresses[i].family == AF_UNSPEC)
            continue;
        assert_int_equal(a.any.sa_family, addresses[i].family);
        if (addresses[i].family == AF_UNIX) {
            assert_string_equal(a.un.sun_path, addresses[i].host);
            continue;
        }
        bool is_v6 = addresses[i].family == AF_INET6;
        const void *ip = is_v6 ? (const void *)&a.in6.sin6_addr : (const void *)&a.in.sin_addr;
        assert_string_equal(inet_ntop(addresses[i].family, ip, host, sizeof host), addresses[i].host);
        assert_int_equal(ntohs(is_v6 ? a.in6.sin6_port : a.in.sin_port), addresses[i].port);
        assert_int_equal(a.len, is_v6 ? sizeof a.in6 : sizeof a.in);
    }
}

static void socket_paths_fit_with_their_end(void **state)
{
    (void)state;
    char text[128] = "unix:/";
    struct rg_bench_address a;
    memset(text + 6, 'x', 106);
    assert_true(rg_bench_address_parse(text, 1, &a));
    text[112] = 'x';
    assert_false(rg_bench_address_parse(text, 1, &a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers_within_their_range),
        cmocka_unit_test(addresses_are_numbers_with_a_port),
        cmocka_unit_test(socket_paths_fit_with_their_end),
    };
    return cmocka_run_group_tests_name("bench_start", tests, NULL, NULL);
}
