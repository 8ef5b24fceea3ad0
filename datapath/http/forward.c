/*
 * Who asks: the text of a client's address. And the identity of a request: x-request-id (UUIDv7, RFC 9562) and
 * traceparent (W3C Trace Context, level 1), taken from the request where it may be believed, else made. Hot: no
 * allocation, no system call but when a worker seeds.
 *
 * Thread: any; a struct rg_rand belongs to one worker.
 */
#include "datapath/http/h1_write.h"

#include <arpa/inet.h>
#include <endian.h>
#include <sys/random.h>
#include <time.h>

#include "datapath/base/assert.h"

void rg_peer_text_set(struct rg_peer_text *peer, const struct in6_addr *addr)
{
    peer->is_ipv6 = !IN6_IS_ADDR_V4MAPPED(addr);
    if (peer->is_ipv6)
        inet_ntop(AF_INET6, addr, peer->ip, sizeof peer->ip);
    else
        inet_ntop(AF_INET, &addr->s6_addr[12], peer->ip, sizeof peer->ip);
    peer->ip_len = (uint8_t)strlen(peer->ip);
}

/* ---- Random numbers: xoshiro256** ---- */

static uint64_t rotate_left(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

/* One step of splitmix64: spreads few unequal bits over all. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

RG_COLD static void seed_from_clock(struct rg_rand *r)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t x = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    x ^= (uint64_t)(uintptr_t)r << 16; /* differs between workers that start in the same tick */
    for (unsigned i = 0; i < 4; i++)
        r->s[i] = x = mix(x);
}

void rg_rand_seed(struct rg_rand *r)
{
    /* 32 bytes come whole or not at all; early in boot the pool may not be ready, and a start must not wait for it. */
    if (getrandom(r->s, sizeof(r->s), GRND_NONBLOCK) != (ssize_t)sizeof(r->s))
        seed_from_clock(r);
    if ((r->s[0] | r->s[1] | r->s[2] | r->s[3]) == 0) /* the one state that never leaves zero */
        r->s[0] = 1;
}

uint64_t rg_rand_next(struct rg_rand *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/* ---- Hexadecimal ---- */

/* All eight digits of x, most significant first, as they stand in memory. */
static inline uint64_t hex_of(uint32_t x)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t nibbles = x;
    nibbles = (nibbles | nibbles << 16) & UINT64_C(0x0000ffff0000ffff);
    nibbles = (nibbles | nibbles << 8) & UINT64_C(0x00ff00ff00ff00ff);
    nibbles = (nibbles | nibbles << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    uint64_t is_letter = (nibbles + 6 * each) >> 4 & each;
    return htobe64(nibbles + '0' * each + is_letter * ('a' - '0' - 10));
}

static inline void put_hex32(char *out, uint32_t x)
{
    uint64_t digits = hex_of(x);
    memcpy(out, &digits, 8);
}

static inline void put_hex64(char *out, uint64_t x)
{
    put_hex32(out, (uint32_t)(x >> 32));
    put_hex32(out + 8, (uint32_t)x);
}

/* Four digits here, four digits there. */
static inline void put_hex16s(char *high, char *low, uint64_t x)
{
    char digits[8];
    put_hex32(digits, (uint32_t)x);
    memcpy(high, digits, 4);
    memcpy(low, digits + 4, 4);
}

static bool is_lower_hex(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
            return false;
    return true;
}

static bool is_all_zero(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] != '0')
            return false;
    return true;
}

/* ---- x-request-id ---- */

/* Letters, digits and what URIs and Base64 put between them: safe in a field, in JSON and in a shell's quotes. */
static bool is_request_id(struct rg_str id)
{
    if (id.len == 0 || id.len > RG_REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        bool alnum = (c >= '0' && c <= '9') || (rg_lower(c) >= 'a' && rg_lower(c) <= 'z');
        if (!alnum && (c == '\0' || strchr("-._~+/=:@", c) == NULL))
            return false;
    }
    return true;
}

static void make_uuidv7(char out[RG_REQUEST_ID_LEN], struct rg_rand *rand, uint64_t unix_ms)
{
    uint64_t a = rg_rand_next(rand);
    uint64_t b = rg_rand_next(rand);
    memcpy(out, "00000000-0000-0000-0000-000000000000", RG_REQUEST_ID_LEN);
    put_hex32(out, (uint32_t)(unix_ms >> 16));
    /* Version and variant; the high bits of the generator are its best. */
    put_hex16s(out + 9, out + 14, unix_ms << 16 | 0x7000 | a >> 52);
    put_hex16s(out + 19, out + 24, (0x8000 | b >> 50) << 16 | (b >> 32 & 0xffff));
    put_hex32(out + 28, (uint32_t)b);
}

uint8_t rg_forward_new_id(char out[RG_REQUEST_ID_LEN], struct rg_rand *rand, uint64_t unix_ms)
{
    make_uuidv7(out, rand, unix_ms);
    return RG_REQUEST_ID_LEN;
}

static void set_request_id(struct rg_forward *f, const struct rg_field *given, struct rg_rand *rand, uint64_t unix_ms)
{
    if (given != NULL && f->peer->trusted && is_request_id(rg_field_value(given))) {
        memcpy(f->request_id, given->value, given->value_len);
        f->request_id_len = (uint8_t)given->value_len;
        return;
    }
    f->request_id_len = rg_forward_new_id(f->request_id, rand, unix_ms);
}

/* ---- traceparent: 00-TRACE_ID-PARENT_ID-FLAGS ---- */

#define TRACE_ID_AT   3
#define TRACE_ID_LEN  32
#define PARENT_ID_AT  36
#define PARENT_ID_LEN 16
#define FLAGS_AT      53

static bool is_traceparent(struct rg_str t)
{
    return t.len == RG_TRACEPARENT_LEN && memcmp(t.ptr, "00-", 3) == 0 && t.ptr[PARENT_ID_AT - 1] == '-' &&
           t.ptr[FLAGS_AT - 1] == '-' && is_lower_hex(t.ptr + TRACE_ID_AT, TRACE_ID_LEN) &&
           is_lower_hex(t.ptr + PARENT_ID_AT, PARENT_ID_LEN) && is_lower_hex(t.ptr + FLAGS_AT, 2) &&
           !is_all_zero(t.ptr + TRACE_ID_AT, TRACE_ID_LEN) && !is_all_zero(t.ptr + PARENT_ID_AT, PARENT_ID_LEN);
}

static uint64_t nonzero(struct rg_rand *rand)
{
    uint64_t x;
    do
        x = rg_rand_next(rand);
    while (x == 0);
    return x;
}

static void set_traceparent(struct rg_forward *f, const struct rg_field *given, struct rg_rand *rand)
{
    char *out = f->traceparent;
    f->traceparent_is_new = given == NULL || !is_traceparent(rg_field_value(given));
    if (f->traceparent_is_new) {
        /* Sampled: our access record is the trace's first, and a replica's tracer follows its parent's decision. */
        memcpy(out, "00-", 3);
        put_hex64(out + TRACE_ID_AT, nonzero(rand));
        put_hex64(out + TRACE_ID_AT + 16, rg_rand_next(rand));
        memcpy(out + FLAGS_AT - 1, "-01", 3);
    } else {
        memcpy(out, given->value, RG_TRACEPARENT_LEN);
    }
    out[PARENT_ID_AT - 1] = '-';
    put_hex64(out + PARENT_ID_AT, nonzero(rand));
}

/* The only field with this id, NULL if there is none or several: then no one knows which one counts. */
struct only {
    const struct rg_field *field;
    unsigned count;
};

static const struct rg_field *only_one(struct only o)
{
    return o.count == 1 ? o.field : NULL;
}

void rg_forward_ids(struct rg_forward *f, const struct rg_h1_request *req, struct rg_rand *rand, uint64_t unix_ms)
{
    struct only request_id = {NULL, 0}, traceparent = {NULL, 0};
    for (unsigned i = 0; i < req->n_fields; i++) {
        const struct rg_field *field = &req->fields[i];
        if (field->id == RG_FIELD_X_REQUEST_ID)
            request_id = (struct only){field, request_id.count + 1};
        else if (field->id == RG_FIELD_TRACEPARENT)
            traceparent = (struct only){field, traceparent.count + 1};
    }
    set_request_id(f, only_one(request_id), rand, unix_ms);
    set_traceparent(f, only_one(traceparent), rand);
}
