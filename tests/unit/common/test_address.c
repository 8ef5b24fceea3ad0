/* control/common/address.c: every form, and the words for those that are refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>

#include "control/common/address.h"

struct good {
    enum rg_address_use use;
    const char *text, *canonical;
    int family;
};

static const struct good goods[] = {
    {RG_ADDRESS_LISTEN, "80", "[::]:80", AF_INET6},
    {RG_ADDRESS_LISTEN, "65535", "[::]:65535", AF_INET6},
    {RG_ADDRESS_LOCAL, "9901", "127.0.0.1:9901", AF_INET},
    {RG_ADDRESS_REPLICA, "8080", "127.0.0.1:8080", AF_INET},
    {RG_ADDRESS_LISTEN, "127.0.0.1:80", "127.0.0.1:80", AF_INET},
    {RG_ADDRESS_LISTEN, "0.0.0.0:1", "0.0.0.0:1", AF_INET},
    {RG_ADDRESS_LISTEN, "localhost:80", "127.0.0.1:80", AF_INET},
    {RG_ADDRESS_LISTEN, "LocalHost:80", "127.0.0.1:80", AF_INET},
    {RG_ADDRESS_LISTEN, "[::]:80", "[::]:80", AF_INET6},
    {RG_ADDRESS_LISTEN, "[0:0:0:0:0:0:0:1]:80", "[::1]:80", AF_INET6},
    {RG_ADDRESS_LISTEN, "[fe80::1%lo]:80", "[fe80::1%lo]:80", AF_INET6},
    {RG_ADDRESS_LISTEN, "unix:/run/x.sock", "unix:/run/x.sock", AF_UNIX},
    {RG_ADDRESS_REPLICA, "unix:/run/x.sock", "unix:/run/x.sock", AF_UNIX},
    {RG_ADDRESS_REPLICA, "http://127.0.0.1:8080", "127.0.0.1:8080", AF_INET},
    {RG_ADDRESS_REPLICA, "HTTP://127.0.0.1:8080/", "127.0.0.1:8080", AF_INET},
    {RG_ADDRESS_REPLICA, "http://127.0.0.1", "127.0.0.1:80", AF_INET},
    {RG_ADDRESS_REPLICA, "http://localhost", "127.0.0.1:80", AF_INET},
    {RG_ADDRESS_REPLICA, "http://[::1]", "[::1]:80", AF_INET6},
    {RG_ADDRESS_REPLICA, "http://[::1]:8", "[::1]:8", AF_INET6},
};

static void every_form_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
        struct rg_address a;
        struct rg_address_error why;
        print_message("%s\n", goods[i].text);
        assert_true(rg_address_parse(rg_str_of(goods[i].text), goods[i].use, &a, &why));
        assert_string_equal(a.text, goods[i].canonical);
        assert_int_equal(a.sa.sa_family, goods[i].family);
        struct rg_address again;
        assert_true(rg_address_parse(rg_str_of(a.text), goods[i].use, &again, &why));
        assert_true(rg_address_equal(&a, &again));
    }
}

static void socket_addresses_are_right(void **state)
{
    (void)state;
    struct rg_address a;
    struct rg_address_error why;
    assert_true(rg_address_parse(RG_STR("10.1.2.3:4660"), RG_ADDRESS_LISTEN, &a, &why));
    assert_int_equal(a.in.sin_port, htons(0x1234));
    assert_int_equal(ntohl(a.in.sin_addr.s_addr), 0x0a010203);
    assert_int_equal(a.len, sizeof(struct sockaddr_in));
    assert_true(rg_address_parse(RG_STR("[2001:db8::5]:4660"), RG_ADDRESS_LISTEN, &a, &why));
    assert_int_equal(a.in6.sin6_port, htons(0x1234));
    assert_int_equal(a.in6.sin6_addr.s6_addr[0], 0x20);
    assert_int_equal(a.in6.sin6_addr.s6_addr[15], 5);
    assert_int_equal(a.len, sizeof(struct sockaddr_in6));
    assert_true(rg_address_parse(RG_STR("unix:/a"), RG_ADDRESS_LISTEN, &a, &why));
    assert_string_equal(a.un.sun_path, "/a");
    assert_int_equal(a.len, offsetof(struct sockaddr_un, sun_path) + 3);
}

#define FORMS   "an address like 80, 127.0.0.1:80, [::]:80 or unix:/path"
#define RFORMS  "an address like 8080, 127.0.0.1:8080, [::1]:8080, http://127.0.0.1:8080 or unix:/path"
#define PORT    "a port from 1 to 65535"
#define NAMES   "a numeric address or localhost; host names are not supported by this version"
#define IPV4    "an IPv4 address: four numbers from 0 to 255, without leading zeros"
#define NOT_YET "http://ADDR or h2c://ADDR; this version does not speak TLS to the replica yet"

static const struct {
    enum rg_address_use use;
    const char *text, *wanted, *hint;
} bads[] = {
    {RG_ADDRESS_LISTEN, "", FORMS, ""},
    {RG_ADDRESS_LISTEN, "0", PORT, ""},
    {RG_ADDRESS_LISTEN, "080", PORT, ""},
    {RG_ADDRESS_LISTEN, "65536", PORT, ""},
    {RG_ADDRESS_LISTEN, "99999999999999999999", PORT, ""},
    {RG_ADDRESS_LISTEN, ":80", FORMS, "[::]:80"},
    {RG_ADDRESS_LISTEN, "*:80", FORMS, "[::]:80"},
    {RG_ADDRESS_LOCAL, "*:80", FORMS, "127.0.0.1:80"},
    {RG_ADDRESS_LISTEN, "*:x", FORMS, ""},
    {RG_ADDRESS_LISTEN, "127.0.0.1", "an address with a port", "127.0.0.1:80"},
    {RG_ADDRESS_LISTEN, "[::1]", "an address with a port", "[::1]:80"},
    {RG_ADDRESS_LISTEN, "127.0.0.1:", PORT, ""},
    {RG_ADDRESS_LISTEN, "127.0.0.1:+80", PORT, ""},
    {RG_ADDRESS_LISTEN, "127.0.0.1:80 ", PORT, ""},
    {RG_ADDRESS_LISTEN, "127.0.0.1:123456", PORT, ""},
    {RG_ADDRESS_LOCAL, "127.0.0.1", "an address with a port", "127.0.0.1:9901"},
    {RG_ADDRESS_LOCAL, "[::1]", "an address with a port", "[::1]:9901"},
    {RG_ADDRESS_REPLICA, "localhost", "an address with a port", "localhost:8080"},
    {RG_ADDRESS_LISTEN, "127.0.1:80", IPV4, ""},
    {RG_ADDRESS_LISTEN, "256.0.0.1:80", IPV4, ""},
    {RG_ADDRESS_REPLICA, "300.1.1.1:80", IPV4, ""},
    {RG_ADDRESS_REPLICA, "http://10.1.1.01", IPV4, ""},
    {RG_ADDRESS_REPLICA, "10.example:80", NAMES, ""},
    {RG_ADDRESS_LISTEN, "example.org:80", NAMES, ""},
    {RG_ADDRESS_LISTEN, "::1:80", "IPv6 addresses in brackets, like [::1]:80", "[::1]:80"},
    {RG_ADDRESS_LISTEN, "[::1]80", PORT " after the brackets", ""},
    {RG_ADDRESS_LISTEN, "[::1]:0", PORT " after the brackets", ""},
    {RG_ADDRESS_LISTEN, "[::1", "an IPv6 address in brackets and a port, like [::1]:80", ""},
    {RG_ADDRESS_LISTEN, "[]:80", "an IPv6 address in brackets and a port, like [::1]:80", ""},
    {RG_ADDRESS_LISTEN, "[127.0.0.1]:80", "an IPv6 address in the brackets", ""},
    {RG_ADDRESS_LISTEN, "[fe80::1%nope0]:80", "the name of a network interface after %", ""},
    {RG_ADDRESS_LISTEN, "unix:", "an absolute path after unix:", ""},
    {RG_ADDRESS_LISTEN, "unix:x.sock", "an absolute path after unix:", ""},
    {RG_ADDRESS_LISTEN, "unix:///run/x", FORMS, "unix:/run/x"},
    {RG_ADDRESS_LISTEN, "/run/x", FORMS, "unix:/run/x"},
    {RG_ADDRESS_LISTEN, "http://127.0.0.1:80", FORMS, ""},
    {RG_ADDRESS_REPLICA, "h2c://127.0.0.1:80/api", "h2c:// and an address, without a path", ""},
    {RG_ADDRESS_REPLICA, "https://127.0.0.1:80", NOT_YET, ""},
    {RG_ADDRESS_REPLICA, "ftp://127.0.0.1:80", RFORMS, ""},
    {RG_ADDRESS_REPLICA, "http://127.0.0.1:80/api", "http:// and an address, without a path", ""},
    {RG_ADDRESS_REPLICA, "http://", "http:// and an address, without a path", ""},
    {RG_ADDRESS_REPLICA, "http:///", "http:// and an address, without a path", ""},
    {RG_ADDRESS_REPLICA, "http://example.org", NAMES, ""},
};

static void what_is_refused_says_why(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
        struct rg_address a;
        struct rg_address_error why;
        memset(&a, 0x5a, sizeof(a));
        print_message("%s\n", bads[i].text);
        assert_false(rg_address_parse(rg_str_of(bads[i].text), bads[i].use, &a, &why));
        assert_string_equal(why.wanted, bads[i].wanted);
        assert_string_equal(why.hint, bads[i].hint);
        assert_int_equal(a.text[0], 0x5a); /* untouched */
    }
}

static const struct {
    const char *listening, *other;
    bool overlaps, reaches;
} pairs[] = {
    {"127.0.0.1:80", "127.0.0.1:80", true, true},
    {"127.0.0.1:80", "127.0.0.1:81", false, false},
    {"127.0.0.1:80", "127.0.0.2:80", false, false},
    {"[::]:80", "127.0.0.1:80", true, true},
    {"[::]:80", "127.9.9.9:80", true, true},
    {"[::]:80", "[::1]:80", true, true},
    {"[::]:80", "[::ffff:127.0.0.1]:80", true, true},
    {"127.0.0.1:80", "[::ffff:127.0.0.1]:80", true, true},
    {"[::]:80", "0.0.0.0:80", true, true},
    {"[::]:80", "[::]:80", true, true},
    {"[::]:80", "198.51.100.77:80", true, false}, /* another machine's */
    {"10.0.0.1:80", "10.0.0.1:80", true, true},
    {"0.0.0.0:80", "127.0.0.1:80", true, true},
    {"0.0.0.0:80", "[::1]:80", false, false},
    {"0.0.0.0:80", "[::]:80", true, false}, /* [::] is [::1] for a connect */
    {"127.0.0.1:80", "0.0.0.0:80", true, true},
    {"127.0.0.2:80", "0.0.0.0:80", true, false},
    {"[::1]:80", "[::]:80", true, true},
    {"[fe80::1%lo]:80", "[fe80::1%lo]:80", true, true},
    {"[fe80::1%lo]:80", "[fe80::1]:80", false, false},
    {"unix:/a", "unix:/a", true, true},
    {"unix:/a", "unix:/b", false, false},
    {"unix:/a", "127.0.0.1:80", false, false},
};

static void addresses_that_meet(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct rg_address a, b;
        struct rg_address_error why;
        print_message("%s %s\n", pairs[i].listening, pairs[i].other);
        assert_true(rg_address_parse(rg_str_of(pairs[i].listening), RG_ADDRESS_LISTEN, &a, &why));
        assert_true(rg_address_parse(rg_str_of(pairs[i].other), RG_ADDRESS_LISTEN, &b, &why));
        assert_int_equal(rg_address_overlaps(&a, &b), pairs[i].overlaps);
        assert_int_equal(rg_address_overlaps(&b, &a), pairs[i].overlaps);
        assert_int_equal(rg_address_reaches(&a, &b), pairs[i].reaches);
    }
}

/* The first address of this machine that is not its loopback. */
static bool own_address(char text[INET_ADDRSTRLEN])
{
    struct ifaddrs *all, *i;
    assert_int_equal(getifaddrs(&all), 0);
    for (i = all; i; i = i->ifa_next)
        if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET && !(i->ifa_flags & IFF_LOOPBACK))
            break;
    bool found = i != NULL;
    if (found)
        inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr, text, INET_ADDRSTRLEN);
    freeifaddrs(all);
    return found;
}

static void an_own_address_is_reached(void **state)
{
    (void)state;
    char own[INET_ADDRSTRLEN], text[64];
    struct rg_address any, any4, elsewhere, target;
    struct rg_address_error why;
    if (!own_address(own))
        skip();
    print_message("%s\n", own);
    snprintf(text, sizeof(text), "%s:80", own);
    assert_true(rg_address_parse(rg_str_of(text), RG_ADDRESS_REPLICA, &target, &why));
    assert_true(rg_address_parse(RG_STR("[::]:80"), RG_ADDRESS_LISTEN, &any, &why));
    assert_true(rg_address_parse(RG_STR("0.0.0.0:80"), RG_ADDRESS_LISTEN, &any4, &why));
    assert_true(rg_address_parse(RG_STR("[::]:81"), RG_ADDRESS_LISTEN, &elsewhere, &why));
    assert_true(rg_address_reaches(&any, &target));
    assert_true(rg_address_reaches(&any4, &target));
    assert_false(rg_address_reaches(&elsewhere, &target));
    any.v6_only = true;
    assert_false(rg_address_reaches(&any, &target));
}

/* An inherited socket of [::] may be of IPv6 alone; what its port means to IPv4 is somebody else's then. */
static void ipv6_alone_leaves_ipv4_to_others(void **state)
{
    (void)state;
    static const struct {
        const char *other;
        bool meets;
    } rows[] = {{"127.0.0.1:80", false}, {"0.0.0.0:80", false}, {"[::ffff:127.0.0.1]:80", false},
                {"[::1]:80", true},      {"[::]:80", true},     {"[::1]:81", false}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rg_address any, other;
        struct rg_address_error why;
        print_message("%s\n", rows[i].other);
        assert_true(rg_address_parse(RG_STR("[::]:80"), RG_ADDRESS_LISTEN, &any, &why));
        assert_false(any.v6_only);
        any.v6_only = true;
        assert_true(rg_address_parse(rg_str_of(rows[i].other), RG_ADDRESS_LISTEN, &other, &why));
        assert_int_equal(rg_address_overlaps(&any, &other), rows[i].meets);
        assert_int_equal(rg_address_overlaps(&other, &any), rows[i].meets);
        assert_int_equal(rg_address_reaches(&any, &other), rows[i].meets);
    }
}

static void socket_paths_end_at_107_bytes(void **state)
{
    (void)state;
    char text[128] = "unix:/";
    struct rg_address a;
    struct rg_address_error why;
    memset(text + 6, 'x', 106);
    assert_true(rg_address_parse((struct rg_str){text, 5 + 107}, RG_ADDRESS_LISTEN, &a, &why));
    assert_int_equal(strlen(a.un.sun_path), 107);
    assert_int_equal(strlen(a.text), 112);
    memset(text + 6, 'x', 107);
    assert_false(rg_address_parse((struct rg_str){text, 5 + 108}, RG_ADDRESS_LISTEN, &a, &why));
    assert_string_equal(why.wanted, "a socket path of at most 107 bytes");
}

static void nul_bytes_do_not_end_a_host(void **state)
{
    (void)state;
    struct rg_address a;
    struct rg_address_error why;
    struct rg_prefix p;
    assert_false(rg_address_parse(RG_STR("127.0.0.1\0:80"), RG_ADDRESS_LISTEN, &a, &why));
    assert_false(rg_address_parse(RG_STR("unix:/a\0b"), RG_ADDRESS_LISTEN, &a, &why));
    assert_false(rg_prefix_parse(RG_STR("10.0.0.0\0/8"), &p, &why));
}

static void addresses_compare_by_what_they_mean(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool equal;
    } rows[] = {
        {"80", "[::]:80", true},
        {"localhost:80", "127.0.0.1:80", true},
        {"[::0:1]:80", "[::1]:80", true},
        {"80", "81", false},
        {"127.0.0.1:80", "[::1]:80", false},
        {"127.0.0.1:80", "127.0.0.2:80", false},
        {"unix:/a", "unix:/a", true},
        {"unix:/a", "unix:/b", false},
        {"[fe80::1%lo]:80", "[fe80::1]:80", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rg_address a, b;
        struct rg_address_error why;
        assert_true(rg_address_parse(rg_str_of(rows[i].a), RG_ADDRESS_LISTEN, &a, &why));
        assert_true(rg_address_parse(rg_str_of(rows[i].b), RG_ADDRESS_LISTEN, &b, &why));
        assert_int_equal(rg_address_equal(&a, &b), rows[i].equal);
    }
}

static void prefixes_are_read_and_written(void **state)
{
    (void)state;
    static const struct {
        const char *text, *canonical;
        unsigned bits;
    } rows[] = {
        {"10.0.0.0/8", "10.0.0.0/8", 104},
        {"10.1.2.3", "10.1.2.3/32", 128},
        {"0.0.0.0/0", "0.0.0.0/0", 96},
        {"192.168.128.0/17", "192.168.128.0/17", 113},
        {"::/0", "::/0", 0},
        {"fd00::/8", "fd00::/8", 8},
        {"::1", "::1/128", 128},
        {"2001:db8::/33", "2001:db8::/33", 33},
        {"127.0.0.1/32", "127.0.0.1/32", 128},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rg_prefix p;
        struct rg_address_error why;
        char text[64];
        print_message("%s\n", rows[i].text);
        assert_true(rg_prefix_parse(rg_str_of(rows[i].text), &p, &why));
        assert_int_equal(p.bits, rows[i].bits);
        rg_prefix_format(&p, text, sizeof(text));
        assert_string_equal(text, rows[i].canonical);
    }
}

static void bad_prefixes_say_why(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wanted, *hint;
    } rows[] = {
        {"", "an address or a prefix like 10.0.0.0/8 or fd00::/8", ""},
        {"10.0.0/8", "an address or a prefix like 10.0.0.0/8 or fd00::/8", ""},
        {"lan", "an address or a prefix like 10.0.0.0/8 or fd00::/8", ""},
        {"10.0.0.0/33", "a prefix length from 0 to 32", ""},
        {"10.0.0.0/", "a prefix length from 0 to 32", ""},
        {"10.0.0.0/08", "a prefix length from 0 to 32", ""},
        {"10.0.0.0/-1", "a prefix length from 0 to 32", ""},
        {"::/129", "a prefix length from 0 to 128", ""},
        {"10.1.2.3/8", "a prefix whose bits beyond its length are zero", "10.0.0.0/8"},
        {"10.0.0.255/25", "a prefix whose bits beyond its length are zero", "10.0.0.128/25"},
        {"2001:db8::1/32", "a prefix whose bits beyond its length are zero", "2001:db8::/32"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rg_prefix p;
        struct rg_address_error why;
        print_message("%s\n", rows[i].text);
        assert_false(rg_prefix_parse(rg_str_of(rows[i].text), &p, &why));
        assert_string_equal(why.wanted, rows[i].wanted);
        assert_string_equal(why.hint, rows[i].hint);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_is_read),
        cmocka_unit_test(socket_addresses_are_right),
        cmocka_unit_test(what_is_refused_says_why),
        cmocka_unit_test(addresses_that_meet),
        cmocka_unit_test(an_own_address_is_reached),
        cmocka_unit_test(ipv6_alone_leaves_ipv4_to_others),
        cmocka_unit_test(socket_paths_end_at_107_bytes),
        cmocka_unit_test(nul_bytes_do_not_end_a_host),
        cmocka_unit_test(addresses_compare_by_what_they_mean),
        cmocka_unit_test(prefixes_are_read_and_written),
        cmocka_unit_test(bad_prefixes_say_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
