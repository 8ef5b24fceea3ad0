/* See proxy_header.h; https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, sections 2.1 and 2.2. */
#include "datapath/http/proxy_header.h"

#include <arpa/inet.h>

static const char signature1[] = "PROXY ";
static const char signature2[] = "\r\n\r\n\0\r\nQUIT\n";

#define SIGNATURE1_LEN (sizeof signature1 - 1)
#define SIGNATURE2_LEN (sizeof signature2 - 1)
#define FIXED_LEN      16u /* of version 2: signature, command, family, length */

/* ABSENT, UNSURE, or MORE when the whole signature is there. */
static enum rg_proxy_verdict match(const char *bytes, size_t len, const char *signature, size_t signature_len)
{
    if (memcmp(bytes, signature, len < signature_len ? len : signature_len) != 0)
        return RG_PROXY_ABSENT;
    return len < signature_len ? RG_PROXY_UNSURE : RG_PROXY_MORE;
}

/* ---- version 1: one line of text ---- */

/* Of what is left of the line, what stands before the next space; a space must follow unless it is the last word. */
static bool next_word(struct rg_str *line, bool is_last, struct rg_str *ret)
{
    size_t n = 0;
    while (n < line->len && line->ptr[n] != ' ')
        n++;
    if (n == 0 || is_last != (n == line->len))
        return false;
    *ret = (struct rg_str){line->ptr, n};
    *line = (struct rg_str){line->ptr + n + !is_last, line->len - n - !is_last};
    return true;
}

static bool parse_port(struct rg_str word, uint16_t *ret)
{
    unsigned port = 0;
    if (word.len > 5 || (word.len > 1 && word.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] < '0' || word.ptr[i] > '9')
            return false;
        port = port * 10 + (unsigned)(word.ptr[i] - '0');
    }
    *ret = (uint16_t)port;
    return port <= UINT16_MAX;
}

static void map_ipv4(struct in6_addr *ret, const void *four_bytes)
{
    *ret = (struct in6_addr){0};
    ret->s6_addr[10] = ret->s6_addr[11] = 0xff;
    memcpy(&ret->s6_addr[12], four_bytes, 4);
}

static bool parse_ip(struct rg_str word, bool is_ipv6, struct in6_addr *ret)
{
    char text[INET6_ADDRSTRLEN];
    struct in_addr ipv4;
    if (word.len >= sizeof text)
        return false;
    memcpy(text, word.ptr, word.len);
    text[word.len] = '\0';
    if (strlen(text) != word.len)
        return false;
    if (is_ipv6)
        return !strchr(text, '.') && inet_pton(AF_INET6, text, ret) == 1;
    if (inet_pton(AF_INET, text, &ipv4) != 1)
        return false;
    map_ipv4(ret, &ipv4);
    return true;
}

/* "TCP4 192.0.2.1 192.0.2.2 1234 80", or "UNKNOWN" and whatever the proxy says beside. */
static bool parse_line(struct rg_str line, struct rg_proxy_header *ret)
{
    static const struct rg_str unknown = {"UNKNOWN", 7};
    struct rg_str protocol, source, destination, source_port, destination_port;
    struct in6_addr ignored;
    if (rg_str_eq(line, unknown) || (line.len > unknown.len && memcmp(line.ptr, "UNKNOWN ", unknown.len + 1) == 0))
        return true;
    if (!next_word(&line, false, &protocol) || !next_word(&line, false, &source) ||
        !next_word(&line, false, &destination) || !next_word(&line, false, &source_port) ||
        !next_word(&line, true, &destination_port))
        return false;
    bool is_ipv6 = rg_str_eq(protocol, RG_STR("TCP6"));
    if (!is_ipv6 && !rg_str_eq(protocol, RG_STR("TCP4")))
        return false;
    ret->family = RG_PROXY_INET;
    return parse_ip(source, is_ipv6, &ret->source) && parse_ip(destination, is_ipv6, &ignored) &&
           parse_port(source_port, &ret->source_port) && parse_port(destination_port, &ret->destination_port);
}

static enum rg_proxy_verdict parse_v1(const char *bytes, size_t len, struct rg_proxy_header *ret)
{
    size_t most = len < RG_PROXY_V1_MAX ? len : RG_PROXY_V1_MAX, n = SIGNATURE1_LEN;
    struct rg_proxy_header h = {.version = 1};
    while (n < most && bytes[n] >= ' ' && bytes[n] <= '~')
        n++;
    if (n == most || (n + 1 == most && bytes[n] == '\r'))
        return most == RG_PROXY_V1_MAX ? RG_PROXY_BAD : RG_PROXY_MORE;
    if (bytes[n] != '\r' || bytes[n + 1] != '\n')
        return RG_PROXY_BAD;
    if (!parse_line((struct rg_str){bytes + SIGNATURE1_LEN, n - SIGNATURE1_LEN}, &h))
        return RG_PROXY_BAD;
    h.length = (uint32_t)n + 2;
    *ret = h;
    return RG_PROXY_TAKEN;
}

/* ---- version 2: binary ---- */

enum { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21 };
enum { FAMILY_UNSPEC, FAMILY_INET, FAMILY_INET6, FAMILY_UNIX, FAMILY_COUNT };
enum { TRANSPORT_UNSPEC, TRANSPORT_STREAM, TRANSPORT_DGRAM };
enum { TLV_CRC32C = 0x03, TLV_SSL = 0x20 };

static const uint8_t address_len[FAMILY_COUNT] = {0, 12, 36, 216};

static uint16_t big16(const char *p)
{
    return (uint16_t)((uint8_t)p[0] << 8 | (uint8_t)p[1]);
}

uint32_t rg_crc32c(uint32_t crc, const char *bytes, size_t len)
{
    /* By half bytes: once a connection, and not for all of them. */
    static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
                                       0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                       0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= (uint8_t)bytes[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

/* Over the whole header, in which the checksum itself counts as zeros. */
static bool checksum_is_right(const char *header, uint32_t len, uint32_t at)
{
    uint32_t wanted = (uint32_t)big16(header + at) << 16 | big16(header + at + 2);
    uint32_t crc = rg_crc32c(0, header, at);
    crc = rg_crc32c(crc, "\0\0\0", 4);
    return rg_crc32c(crc, header + at + 4, len - at - 4) == wanted;
}

/* The extensions fill the rest of the header exactly. Of all but two the values are not looked at. */
static bool parse_extensions(const char *header, uint32_t len, uint32_t at, struct rg_proxy_header *h)
{
    bool has_checksum = false;
    while (at < len) {
        if (len - at < 3)
            return false;
        uint8_t type = (uint8_t)header[at];
        uint32_t n = big16(header + at + 1);
        at += 3;
        if (n > len - at)
            return false;
        if (type == TLV_CRC32C) {
            if (n != 4 || has_checksum || !checksum_is_right(header, len, at))
                return false;
            has_checksum = true;
        } else if (type == TLV_SSL) {
            if (n < 5)
                return false;
            h->tls = header[at] & 1;
        }
        at += n;
    }
    return true;
}

static void parse_addresses(const char *p, uint8_t family, struct rg_proxy_header *h)
{
    h->family = family == FAMILY_UNIX ? RG_PROXY_UNIX : RG_PROXY_INET;
    if (family == FAMILY_INET) {
        map_ipv4(&h->source, p);
        h->source_port = big16(p + 8);
        h->destination_port = big16(p + 10);
    } else if (family == FAMILY_INET6) {
        memcpy(&h->source, p, 16);
        h->source_port = big16(p + 32);
        h->destination_port = big16(p + 34);
    }
}

/* What names the client follows the first 16 bytes. Of a family that the proxy can't name, nobody knows where it ends.
 */
static bool parse_client(const char *header, uint32_t len, struct rg_proxy_header *h)
{
    uint8_t family = (uint8_t)header[13] >> 4, transport = header[13] & 15;
    if (family == FAMILY_UNSPEC && transport == TRANSPORT_UNSPEC)
        return true;
    if (family == FAMILY_UNSPEC || family >= FAMILY_COUNT || transport == TRANSPORT_UNSPEC ||
        transport > TRANSPORT_DGRAM)
        return false;
    uint32_t end = FIXED_LEN + address_len[family];
    if (len < end)
        return false;
    parse_addresses(header + FIXED_LEN, family, h);
    return parse_extensions(header, len, end, h);
}

static enum rg_proxy_verdict parse_v2(const char *bytes, size_t len, struct rg_proxy_header *ret)
{
    struct rg_proxy_header h = {.version = 2};
    if (len < FIXED_LEN)
        return RG_PROXY_MORE;
    uint8_t command = (uint8_t)bytes[12];
    h.length = FIXED_LEN + big16(bytes + 14);
    if ((command != COMMAND_LOCAL && command != COMMAND_PROXY) || h.length > RG_PROXY_V2_MAX)
        return RG_PROXY_BAD;
    if (len < h.length)
        return RG_PROXY_MORE;
    if (command == COMMAND_PROXY && !parse_client(bytes, h.length, &h))
        return RG_PROXY_BAD;
    *ret = h;
    return RG_PROXY_TAKEN;
}

enum rg_proxy_verdict rg_proxy_parse(const char *bytes, size_t len, struct rg_proxy_header *ret)
{
    enum rg_proxy_verdict v1 = match(bytes, len, signature1, SIGNATURE1_LEN);
    enum rg_proxy_verdict v2 = match(bytes, len, signature2, SIGNATURE2_LEN);
    if (v1 == RG_PROXY_MORE)
        return parse_v1(bytes, len, ret);
    if (v2 == RG_PROXY_MORE)
        return parse_v2(bytes, len, ret);
    return v1 == RG_PROXY_UNSURE || v2 == RG_PROXY_UNSURE ? RG_PROXY_UNSURE : RG_PROXY_ABSENT;
}
