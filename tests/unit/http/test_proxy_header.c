/* The PROXY protocol's header: vectors of both versions, every split, every byte changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

#include "datapath/http/proxy_header.h"
#include "tests/conformance/h1_driver.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define TCP4      "\x21\x11"
#define TCP6      "\x21\x21"
#define LOCAL     "\x20\x00"
#define V4        "\xc0\x00\x02\x01\xc0\x00\x02\x02\x12\x34\x00\x50"
#define V6_FROM   "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
#define V6_TO     "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"
#define V6        V6_FROM V6_TO "\x12\x34\x01\xbb"

static enum rg_proxy_verdict parse(const char *bytes, size_t len, struct rg_proxy_header *ret)
{
    return rg_proxy_parse(h1_guard(0, bytes, len, false), len, ret);
}

/* What follows the header is not looked at, whatever it is. */
static void assert_taken(const char *bytes, size_t len, struct rg_proxy_header *h)
{
    static char with_more[RG_PROXY_V2_MAX + 8];
    struct rg_proxy_header again;
    memset(h, 0x5a, sizeof *h);
    assert_int_equal(parse(bytes, len, h), RG_PROXY_TAKEN);
    assert_int_equal(h->length, len);
    memcpy(with_more, bytes, len);
    memcpy(with_more + len, "\r\nGET /", 7);
    for (size_t more = 1; more <= 7; more++) {
        memset(&again, 0x5a, sizeof again);
        assert_int_equal(parse(with_more, len + more, &again), RG_PROXY_TAKEN);
        assert_memory_equal(&again, h, sizeof again);
    }
    /* Every beginning wants more, and says from where on it is a header. */
    size_t sure = h->version == 1 ? 6 : 12;
    for (size_t n = 0; n < len; n++)
        assert_int_equal(parse(bytes, n, &again), n < sure ? RG_PROXY_UNSURE : RG_PROXY_MORE);
}

static void assert_client(const struct rg_proxy_header *h, const char *ip, unsigned port, unsigned to)
{
    char text[INET6_ADDRSTRLEN];
    assert_int_equal(h->family, RG_PROXY_INET);
    assert_string_equal(inet_ntop(AF_INET6, &h->source, text, sizeof text), ip);
    assert_int_equal(h->source_port, port);
    assert_int_equal(h->destination_port, to);
}

#define TAKEN(lit, h)   assert_taken(lit, sizeof(lit) - 1, h)
#define VERDICT(lit, v) assert_int_equal(parse(lit, sizeof(lit) - 1, &(struct rg_proxy_header){0}), v)

/* ---- version 1 ---- */

static void lines(void **state)
{
    (void)state;
    struct rg_proxy_header h;
    TAKEN("PROXY TCP4 192.0.2.1 192.0.2.2 4660 80\r\n", &h);
    assert_int_equal(h.version, 1);
    assert_false(h.tls);
    assert_client(&h, "::ffff:192.0.2.1", 4660, 80);
    TAKEN("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", &h);
    assert_client(&h, "::ffff:255.255.255.255", 65535, 65535);
    TAKEN("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", &h);
    assert_client(&h, "::ffff:0.0.0.0", 0, 0);
    TAKEN("PROXY TCP6 2001:db8::1 2001:DB8::2 4660 443\r\n", &h);
    assert_client(&h, "2001:db8::1", 4660, 443);
    TAKEN("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
          &h);
    assert_client(&h, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, 65535);
}

static void unknown_lines(void **state)
{
    (void)state;
    struct rg_proxy_header h;
    TAKEN("PROXY UNKNOWN\r\n", &h);
    assert_int_equal(h.family, RG_PROXY_NONE);
    TAKEN("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", &h);
    assert_int_equal(h.family, RG_PROXY_NONE);
    /* The longest one of the specification: 107 bytes. */
    TAKEN(
        "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
        &h);
    assert_int_equal(h.length, RG_PROXY_V1_MAX);
}

static void lines_that_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 99999 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 4294967297 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 -1 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 0x1 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 1 \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 1 1\r\n",
        "PROXY TCP4 192.0.2.1  192.0.2.2 1 1\r\n",
        "PROXY  TCP4 192.0.2.1 192.0.2.2 1 1\r\n",
        "PROXY TCP4\t192.0.2.1 192.0.2.2 1 1\r\n",
        "PROXY TCP4 192.0.2.256 192.0.2.2 1 1\r\n",
        "PROXY TCP4 192.0.2 192.0.2.2 1 1\r\n",
        "PROXY TCP4 192.0.2.01 192.0.2.2 1 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2 1 1\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 1 1\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 1\r\n",
        "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 1\r\n",
        "PROXY TCP6 2001:db8::1%lo ::1 1 1\r\n",
        "PROXY TCP6 2001::db8::1 ::1 1 1\r\n",
        "PROXY TCP6 [::1] ::1 1 1\r\n",
        "PROXY TCP5 192.0.2.1 192.0.2.2 1 1\r\n",
        "PROXY tcp4 192.0.2.1 192.0.2.2 1 1\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 1\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 1\r1",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 1\x01\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 1\x80\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY unknown\r\n",
        "PROXY UNKNOWN\tx\r\n",
        "PROXY UNKNOWN\n",
        "PROXY \r\n",
        "PROXY  \r\n",
        "PROXY /x HTTP/1.1\r\n",
        ("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
         "655351\r\n"),
        "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 6553511",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct rg_proxy_header h;
        if (parse(bad[i], strlen(bad[i]), &h) != RG_PROXY_BAD)
            fail_msg("taken or waited for: %s", bad[i]);
    }
    VERDICT("PROXY TCP4 192.0.2.1\0 192.0.2.2 1 1\r\n", RG_PROXY_BAD);
}

static void a_line_without_end_is_refused_at_its_limit(void **state)
{
    (void)state;
    char line[RG_PROXY_V1_MAX + 1] = "PROXY UNKNOWN ";
    struct rg_proxy_header h;
    memset(line + strlen(line), 'x', sizeof line - strlen(line));
    assert_int_equal(parse(line, RG_PROXY_V1_MAX - 1, &h), RG_PROXY_MORE);
    assert_int_equal(parse(line, RG_PROXY_V1_MAX, &h), RG_PROXY_BAD);
    line[RG_PROXY_V1_MAX - 1] = '\r';
    assert_int_equal(parse(line, RG_PROXY_V1_MAX, &h), RG_PROXY_BAD);
}

/* ---- version 2 ---- */

static void named_clients(void **state)
{
    (void)state;
    struct rg_proxy_header h;
    TAKEN(SIGNATURE TCP4 "\0\x0c" V4, &h);
    assert_int_equal(h.version, 2);
    assert_client(&h, "::ffff:192.0.2.1", 0x1234, 80);
    TAKEN(SIGNATURE TCP6 "\0\x24" V6, &h);
    assert_client(&h, "2001:db8::1", 0x1234, 443);
    TAKEN(SIGNATURE "\x21\x12\0\x0c" V4, &h); /* over UDP */
    assert_client(&h, "::ffff:192.0.2.1", 0x1234, 80);
    TAKEN(SIGNATURE "\x21\x22\0\x24" V6, &h);
    assert_client(&h, "2001:db8::1", 0x1234, 443);
}

static void clients_without_address(void **state)
{
    (void)state;
    char unix_header[16 + 216] = SIGNATURE "\x21\x31\0\xd8/run/client.sock";
    struct rg_proxy_header h;
    assert_taken(unix_header, sizeof unix_header, &h);
    assert_int_equal(h.family, RG_PROXY_UNIX);
    TAKEN(SIGNATURE LOCAL "\0\0", &h);
    assert_int_equal(h.family, RG_PROXY_NONE);
    TAKEN(SIGNATURE "\x20\x11\0\x0c" V4, &h);
    assert_int_equal(h.family, RG_PROXY_NONE);
    assert_int_equal(h.source_port, 0);
    TAKEN(SIGNATURE "\x20\xff\0\x05wrong", &h); /* of a LOCAL header the rest means nothing */
    assert_int_equal(h.family, RG_PROXY_NONE);
    TAKEN(SIGNATURE "\x21\x00\0\x03\x01\x02\x03", &h);
    assert_int_equal(h.family, RG_PROXY_NONE);
}

static void headers_that_are_refused(void **state)
{
    (void)state;
    VERDICT(SIGNATURE "\x11\x11\0\x0c" V4, RG_PROXY_BAD); /* version 1 in the form of 2 */
    VERDICT(SIGNATURE "\x31\x11\0\x0c" V4, RG_PROXY_BAD);
    VERDICT(SIGNATURE "\x22\x11\0\x0c" V4, RG_PROXY_BAD); /* unknown commands */
    VERDICT(SIGNATURE "\x2f\x11\0\x0c" V4, RG_PROXY_BAD);
    VERDICT(SIGNATURE "\x21\x41\0\x0c" V4, RG_PROXY_BAD); /* unknown family, transport */
    VERDICT(SIGNATURE "\x21\x13\0\x0c" V4, RG_PROXY_BAD);
    VERDICT(SIGNATURE "\x21\x10\0\x0c" V4, RG_PROXY_BAD);
    VERDICT(SIGNATURE "\x21\x01\0\x0c" V4, RG_PROXY_BAD);
    VERDICT(SIGNATURE TCP4 "\0\x0b\xc0\0\x02\x01\xc0\0\x02\x02\x12\x34\0", RG_PROXY_BAD); /* too short for an address */
    VERDICT(SIGNATURE TCP4 "\0\0", RG_PROXY_BAD);
    VERDICT(SIGNATURE TCP6 "\0\x0c" V4, RG_PROXY_BAD);
    VERDICT(SIGNATURE "\x21\x31\0\x0c" V4, RG_PROXY_BAD);
}

static void long_headers(void **state)
{
    (void)state;
    static char header[RG_PROXY_V2_MAX + 1] = SIGNATURE TCP4 "\x0f\xf0" V4; /* 4080 bytes after the first 16 */
    struct rg_proxy_header h;
    size_t rest = 4080 - 12 - 3;
    header[28] = 0x04; /* filling */
    header[29] = (char)(rest >> 8);
    header[30] = (char)rest;
    assert_taken(header, RG_PROXY_V2_MAX, &h);
    header[15] = (char)0xf1; /* refused as soon as the length is there */
    assert_int_equal(parse(header, 15, &h), RG_PROXY_MORE);
    assert_int_equal(parse(header, 16, &h), RG_PROXY_BAD);
    header[12] = 0x20;
    assert_int_equal(parse(header, 16, &h), RG_PROXY_BAD);
}

static void extensions(void **state)
{
    (void)state;
    struct rg_proxy_header h;
    TAKEN(SIGNATURE TCP4 "\0\x0f" V4 "\x04\0\0", &h);
    TAKEN(SIGNATURE TCP4 "\0\x1d" V4 "\x01\0\x02h2\x02\0\x06x.test\xee\0\0", &h);
    assert_false(h.tls);
    TAKEN(SIGNATURE TCP4 "\0\x14" V4 "\x20\0\x05\x01\0\0\0\0", &h);
    assert_true(h.tls);
    TAKEN(SIGNATURE TCP4 "\0\x14" V4 "\x20\0\x05\x06\0\0\0\0", &h); /* a certificate alone is none */
    assert_false(h.tls);
    TAKEN(SIGNATURE TCP6 "\0\x2c" V6 "\x20\0\x05\x01\0\0\0\0", &h);
    assert_true(h.tls);
    VERDICT(SIGNATURE TCP4 "\0\x0d" V4 "\x04", RG_PROXY_BAD);
    VERDICT(SIGNATURE TCP4 "\0\x0e" V4 "\x04\0", RG_PROXY_BAD);
    VERDICT(SIGNATURE TCP4 "\0\x0f" V4 "\x04\0\x01", RG_PROXY_BAD);
    VERDICT(SIGNATURE TCP4 "\0\x10" V4 "\x04\xff\xff"
                           "x",
            RG_PROXY_BAD);
    VERDICT(SIGNATURE TCP4 "\0\x13" V4 "\x04\0\x02xy\x04\0", RG_PROXY_BAD);
    VERDICT(SIGNATURE TCP4 "\0\x13" V4 "\x20\0\x04\x01\0\0\0", RG_PROXY_BAD);
}

static void put_checksum(char *header, size_t len, size_t at)
{
    memset(header + at, 0, 4);
    uint32_t crc = rg_crc32c(0, header, len);
    for (int i = 0; i < 4; i++)
        header[at + (size_t)i] = (char)(crc >> (24 - 8 * i));
}

static void checksums(void **state)
{
    (void)state;
    char header[] = SIGNATURE TCP4 "\0\x16" V4 "\x03\0\x04????\x04\0\0";
    const size_t len = sizeof header - 1, at = 16 + 12 + 3;
    struct rg_proxy_header h, other;
    put_checksum(header, len, at);
    assert_taken(header, len, &h);
    for (size_t i = 16; i < len; i++) { /* no changed bit escapes it */
        for (int bit = 0; bit < 8; bit++) {
            header[i] = (char)(header[i] ^ 1 << bit);
            if (i != at - 3) /* that would be another extension */
                assert_int_equal(parse(header, len, &other), RG_PROXY_BAD);
            header[i] = (char)(header[i] ^ 1 << bit);
        }
    }
    char twice[] = SIGNATURE TCP4 "\0\x1a" V4 "\x03\0\x04????\x03\0\x04????";
    put_checksum(twice, sizeof twice - 1, at);
    assert_int_equal(parse(twice, sizeof twice - 1, &h), RG_PROXY_BAD);
    VERDICT(SIGNATURE TCP4 "\0\x12" V4 "\x03\0\x03"
                           "abc",
            RG_PROXY_BAD);
    VERDICT(SIGNATURE TCP4 "\0\x0f" V4 "\x03\0\0", RG_PROXY_BAD);
}

static void crc32c_vectors(void **state)
{
    (void)state;
    char bytes[32];
    assert_int_equal(rg_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(rg_crc32c(rg_crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
    memset(bytes, 0, sizeof bytes); /* RFC 3720 B.4 */
    assert_int_equal(rg_crc32c(0, bytes, sizeof bytes), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(rg_crc32c(0, bytes, sizeof bytes), 0x62a8ab43);
}

/* ---- neither ---- */

static void what_is_no_header(void **state)
{
    (void)state;
    static const char *const others[] = {"GET / HTTP/1.1\r\n",
                                         "POST /",
                                         "PROX/",
                                         "PROXy ",
                                         "PUT",
                                         "proxy ",
                                         "\r\nGET /",
                                         "\r\n\r\nGET /",
                                         "\n",
                                         "\x16\x03\x01\x02",
                                         "PRI * HTTP/2.0\r\n",
                                         "\r\n\r\n\r\n"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(parse(others[i], strlen(others[i]), &(struct rg_proxy_header){0}), RG_PROXY_ABSENT);
    VERDICT("", RG_PROXY_UNSURE);
    VERDICT("P", RG_PROXY_UNSURE);
    VERDICT("\r\n\r\n", RG_PROXY_UNSURE);
    VERDICT("\r\n\r\n\0\r\nQUIT\r", RG_PROXY_ABSENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(unknown_lines),
        cmocka_unit_test(lines_that_are_refused),
        cmocka_unit_test(a_line_without_end_is_refused_at_its_limit),
        cmocka_unit_test(named_clients),
        cmocka_unit_test(clients_without_address),
        cmocka_unit_test(headers_that_are_refused),
        cmocka_unit_test(long_headers),
        cmocka_unit_test(extensions),
        cmocka_unit_test(checksums),
        cmocka_unit_test(crc32c_vectors),
        cmocka_unit_test(what_is_no_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
