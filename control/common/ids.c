/* See ids.h. */
#include "control/common/ids.h"

#include <openssl/sha.h>
#include <sys/random.h>
#include <time.h>

#include "datapath/base/assert.h"

#define UUID_BYTES  16
#define TOKEN_BYTES 32

static const char hex[] = "0123456789abcdef";

void rg_random(void *out, size_t len)
{
    for (char *p = out; len > 0;) {
        ssize_t n = getrandom(p, len, 0);
        RG_ASSERT(n > 0);
        p += n;
        len -= (size_t)n;
    }
}

static void put_hex(char *out, const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = hex[bytes[i] >> 4];
        out[2 * i + 1] = hex[bytes[i] & 15];
    }
}

/* ---- UUID, version 7: 48 bits of milliseconds, then what tells those of the same one apart ---- */

static void uuid_text(char out[RG_UUID_LEN + 1], unsigned char bytes[UUID_BYTES], int64_t unix_ms)
{
    for (int i = 0; i < 6; i++)
        bytes[i] = (unsigned char)((uint64_t)unix_ms >> (40 - 8 * i));
    bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x70);
    bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
    static const unsigned char from[] = {0, 4, 6, 8, 10, UUID_BYTES};
    char *p = out;
    for (int i = 0; i < 5; i++) {
        size_t n = (size_t)(from[i + 1] - from[i]);
        put_hex(p, bytes + from[i], n);
        p += 2 * n;
        *p++ = i < 4 ? '-' : '\0';
    }
}

void rg_uuid_make(char out[RG_UUID_LEN + 1], int64_t unix_ms)
{
    unsigned char bytes[UUID_BYTES];
    rg_random(bytes, sizeof(bytes));
    uuid_text(out, bytes, unix_ms);
}

void rg_uuid_derive(char out[RG_UUID_LEN + 1], int64_t unix_ms, struct rg_str name)
{
    unsigned char digest[SHA256_DIGEST_LENGTH], bytes[UUID_BYTES];
    SHA256((const unsigned char *)name.ptr, name.len, digest);
    memcpy(bytes + 6, digest, 10);
    uuid_text(out, bytes, unix_ms);
}

/* ---- Tokens and hashes ---- */

static const char base64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void rg_token_make(char out[RG_TOKEN_LEN + 1])
{
    unsigned char bytes[TOKEN_BYTES];
    rg_random(bytes, sizeof(bytes));
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t used = 0;
    for (size_t i = 0; i < RG_TOKEN_LEN; i++) {
        if (n_bits < 6) {
            bits = bits << 8 | (used < TOKEN_BYTES ? bytes[used] : 0u);
            used++;
            n_bits += 8;
        }
        n_bits -= 6;
        out[i] = base64url[bits >> n_bits & 63];
    }
    out[RG_TOKEN_LEN] = '\0';
    explicit_bzero(bytes, sizeof(bytes));
}

bool rg_token_is_valid(struct rg_str text)
{
    if (text.len != RG_TOKEN_LEN)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '\0' || !strchr(base64url, text.ptr[i]))
            return false;
    return true;
}

void rg_sha256_hex(char out[RG_SHA256_LEN + 1], struct rg_str text)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)text.ptr, text.len, digest);
    put_hex(out, digest, sizeof(digest));
    out[RG_SHA256_LEN] = '\0';
}

int64_t rg_wall_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
