/*
 * Small pure functions on text: views, query strings, percent and base64 coding, SHA-1, FNV-1a, JSON strings and the
 * pattern of /bytes. No state, any thread.
 */
#include "bench/origin/codec.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool rg_view_is(struct rg_view v, const char *text)
{
    return v.n == strlen(text) && memcmp(v.p, text, v.n) == 0;
}

bool rg_view_is_nocase(struct rg_view v, const char *text)
{
    return v.n == strlen(text) && strncasecmp(v.p, text, v.n) == 0;
}

static struct rg_view trim(struct rg_view v)
{
    while (v.n > 0 && (v.p[0] == ' ' || v.p[0] == '\t'))
        v.p++, v.n--;
    while (v.n > 0 && (v.p[v.n - 1] == ' ' || v.p[v.n - 1] == '\t'))
        v.n--;
    return v;
}

bool rg_view_has_token(struct rg_view list, const char *token)
{
    while (list.n > 0) {
        const char *comma = memchr(list.p, ',', list.n);
        size_t n = comma ? (size_t)(comma - list.p) : list.n;
        if (rg_view_is_nocase(trim((struct rg_view){list.p, n}), token))
            return true;
        if (!comma)
            break;
        list.p += n + 1;
        list.n -= n + 1;
    }
    return false;
}

bool rg_view_number(struct rg_view v, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;
    if (v.n == 0 || v.n > 19)
        return false;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] < '0' || v.p[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(v.p[i] - '0');
    }
    if (value > max)
        return false;
    *ret = value;
    return true;
}

bool rg_query_get(struct rg_view query, const char *name, struct rg_view *ret)
{
    size_t name_n = strlen(name);
    while (query.n > 0) {
        const char *amp = memchr(query.p, '&', query.n);
        size_t n = amp ? (size_t)(amp - query.p) : query.n;
        if (n >= name_n && memcmp(query.p, name, name_n) == 0 && (n == name_n || query.p[name_n] == '=')) {
            size_t skip = n == name_n ? n : name_n + 1;
            *ret = (struct rg_view){query.p + skip, n - skip};
            return true;
        }
        if (!amp)
            break;
        query.p += n + 1;
        query.n -= n + 1;
    }
    return false;
}

uint64_t rg_query_number(struct rg_view query, const char *name, uint64_t fallback)
{
    struct rg_view v;
    uint64_t value;
    if (!rg_query_get(query, name, &v) || !rg_view_number(v, INT64_MAX, &value))
        return fallback;
    return value;
}

bool rg_query_pair(struct rg_view query, const char *name, uint64_t *ret_bytes, uint64_t *ret_ms)
{
    struct rg_view v;
    if (!rg_query_get(query, name, &v))
        return false;
    const char *slash = memchr(v.p, '/', v.n);
    if (!slash)
        return false;
    size_t n = (size_t)(slash - v.p);
    uint64_t bytes, ms;
    if (!rg_view_number((struct rg_view){v.p, n}, UINT32_MAX, &bytes) || bytes == 0)
        return false;
    if (!rg_view_number((struct rg_view){slash + 1, v.n - n - 1}, UINT32_MAX, &ms))
        return false;
    *ret_bytes = bytes;
    *ret_ms = ms;
    return true;
}

static int hex_value(char ch)
{
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    if (ch >= 'a' && ch <= 'f')
        return ch - 'a' + 10;
    if (ch >= 'A' && ch <= 'F')
        return ch - 'A' + 10;
    return -1;
}

char *rg_percent_decode(struct rg_view v, size_t *ret_n)
{
    char *out = malloc(v.n + 1);
    size_t n = 0;
    if (!out)
        return NULL;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] != '%') {
            out[n++] = v.p[i];
            continue;
        }
        int high = i + 2 < v.n ? hex_value(v.p[i + 1]) : -1;
        int low = i + 2 < v.n ? hex_value(v.p[i + 2]) : -1;
        if (high < 0 || low < 0) {
            free(out);
            return NULL;
        }
        out[n++] = (char)(high * 16 + low);
        i += 2;
    }
    out[n] = '\0';
    *ret_n = n;
    return out;
}

static int base64_value(char ch)
{
    if (ch >= 'A' && ch <= 'Z')
        return ch - 'A';
    if (ch >= 'a' && ch <= 'z')
        return ch - 'a' + 26;
    if (ch >= '0' && ch <= '9')
        return ch - '0' + 52;
    if (ch == '+' || ch == '-')
        return 62;
    if (ch == '/' || ch == '_')
        return 63;
    return -1;
}

char *rg_base64_decode(struct rg_view v, size_t *ret_n)
{
    char *out = malloc(v.n / 4 * 3 + 4);
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t n = 0;
    if (!out)
        return NULL;
    while (v.n > 0 && v.p[v.n - 1] == '=')
        v.n--;
    for (size_t i = 0; i < v.n; i++) {
        int value = base64_value(v.p[i]);
        if (value < 0) {
            free(out);
            return NULL;
        }
        bits = bits << 6 | (uint32_t)value;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            out[n++] = (char)(bits >> n_bits & 0xff);
        }
    }
    *ret_n = n;
    return out;
}

void rg_base64_encode(const uint8_t *in, size_t n, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t bits = (uint32_t)in[i] << 16;
        bits |= left > 1 ? (uint32_t)in[i + 1] << 8 : 0;
        bits |= left > 2 ? (uint32_t)in[i + 2] : 0;
        *out++ = digits[bits >> 18];
        *out++ = digits[bits >> 12 & 63];
        *out++ = left > 1 ? digits[bits >> 6 & 63] : '=';
        *out++ = left > 2 ? digits[bits & 63] : '=';
    }
    *out = '\0';
}

static uint32_t rotate_left(uint32_t v, unsigned by)
{
    return v << by | v >> (32 - by);
}

static void sha1_block(uint32_t state[5], const uint8_t block[64])
{
    uint32_t w[80];
    for (unsigned i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 |
               block[4 * i + 3];
    for (unsigned i = 16; i < 80; i++)
        w[i] = rotate_left(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);

    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (unsigned i = 0; i < 80; i++) {
        uint32_t f, k;
        if (i < 20)
            f = (b & c) | (~b & d), k = 0x5a827999;
        else if (i < 40)
            f = b ^ c ^ d, k = 0x6ed9eba1;
        else if (i < 60)
            f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
        else
            f = b ^ c ^ d, k = 0xca62c1d6;
        uint32_t next = rotate_left(a, 5) + f + e + k + w[i];
        e = d, d = c, c = rotate_left(b, 30), b = a, a = next;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

void rg_sha1(const void *data, size_t n, uint8_t ret[20])
{
    uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    uint8_t blocks[128] = {0};
    size_t total = n + 9 <= 64 ? 64 : 128;
    memcpy(blocks, data, n);
    blocks[n] = 0x80;
    blocks[total - 2] = (uint8_t)(n * 8 >> 8);
    blocks[total - 1] = (uint8_t)(n * 8);
    for (size_t i = 0; i < total; i += 64)
        sha1_block(state, blocks + i);
    for (unsigned i = 0; i < 20; i++)
        ret[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
}

void rg_json_string(FILE *out, struct rg_view v)
{
    putc('"', out);
    for (size_t i = 0; i < v.n; i++) {
        unsigned char ch = (unsigned char)v.p[i];
        if (ch == '"' || ch == '\\')
            fprintf(out, "\\%c", ch);
        else if (ch < 0x20 || ch >= 0x7f)
            fprintf(out, "\\u%04x", ch);
        else
            putc(ch, out);
    }
    putc('"', out);
}

uint64_t rg_fnv1a(uint64_t hash, const void *data, size_t n)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static const char HEX[] = "0123456789abcdef";

/* The cell at a multiple of 16: twelve digits that change every 4 KiB, two that count, a zero and a line feed. */
static void pattern_high(char out[12], uint64_t offset)
{
    for (unsigned i = 0; i < 12; i++)
        out[i] = HEX[offset >> (56 - 4 * i) & 15]; /* digits 0 to 11 of 15 */
}

static void pattern_cell(char out[16], const char high[12], uint64_t offset)
{
    memcpy(out, high, 12);
    out[12] = HEX[offset >> 8 & 15];
    out[13] = HEX[offset >> 4 & 15];
    out[14] = '0';
    out[15] = '\n';
}

void rg_pattern_fill(char *out, size_t n, uint64_t offset)
{
    char high[12], cell[16];
    pattern_high(high, offset);
    while (n > 0) {
        size_t skip = offset & 15;
        uint64_t at = offset - skip;
        if ((at & 0xfff) == 0)
            pattern_high(high, at);
        if (skip == 0 && n >= 16) {
            pattern_cell(out, high, at);
            out += 16, offset += 16, n -= 16;
            continue;
        }
        size_t part = 16 - skip < n ? 16 - skip : n;
        pattern_cell(cell, high, at);
        memcpy(out, cell + skip, part);
        out += part, offset += part, n -= part;
    }
}

bool rg_pattern_check(const char *data, size_t n, uint64_t offset)
{
    char want[4096];
    while (n > 0) {
        size_t part = n < sizeof(want) ? n : sizeof(want);
        rg_pattern_fill(want, part, offset);
        if (memcmp(data, want, part) != 0)
            return false;
        data += part, offset += part, n -= part;
    }
    return true;
}
