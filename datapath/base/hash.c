/* See hash.h. */
#include "datapath/base/hash.h"

#include <endian.h>
#include <sys/random.h>

bool rg_hash_secret_make(struct rg_hash_secret *secret)
{
    return getrandom(secret, sizeof *secret, 0) == (ssize_t)sizeof *secret; /* so few bytes always come whole */
}

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t m)
{
    v[3] ^= m;
    sip_round(v);
    sip_round(v);
    v[0] ^= m;
}

uint64_t rg_hash(const struct rg_hash_secret *secret, uint64_t before, struct rg_str part)
{
    uint64_t k0 = secret->k[0] ^ before, k1 = secret->k[1], last = 0;
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
                     k1 ^ 0x7465646279746573};
    size_t i = 0;
    for (; i + 8 <= part.len; i += 8) {
        uint64_t m;
        memcpy(&m, part.ptr + i, 8);
        sip_word(v, le64toh(m));
    }
    if (i < part.len)
        memcpy(&last, part.ptr + i, part.len - i);
    sip_word(v, le64toh(last) | (uint64_t)part.len << 56);
    v[2] ^= 0xff;
    for (unsigned round = 0; round < 4; round++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
