/* See query.h. */
#include "datapath/policy/query.h"

#include <errno.h>

#include "datapath/http/h1_chars.h"

bool rg_query_next(struct rg_str *at, struct rg_query_pair *ret)
{
    while (at->len > 0 && *at->ptr == '&')
        *at = (struct rg_str){at->ptr + 1, at->len - 1};
    if (at->len == 0)
        return false;
    const char *end = memchr(at->ptr, '&', at->len);
    size_t n = end ? (size_t)(end - at->ptr) : at->len;
    ret->whole = (struct rg_str){at->ptr, n};
    const char *equals = n > 0 ? memchr(at->ptr, '=', n) : NULL;
    ret->has_value = equals != NULL;
    ret->name = (struct rg_str){at->ptr, equals ? (size_t)(equals - at->ptr) : n};
    ret->value = equals ? (struct rg_str){equals + 1, n - ret->name.len - 1} : RG_STR_NONE;
    *at = (struct rg_str){at->ptr + n, at->len - n};
    return true;
}

/* The byte at s->ptr, and over it; -1: no valid encoding. */
static int decode(struct rg_str *s)
{
    char c = *s->ptr;
    size_t used = 1;
    if (c == '+') {
        c = ' ';
    } else if (c == '%') {
        int high = s->len >= 3 ? rg_hex_value(s->ptr[1]) : -1, low = s->len >= 3 ? rg_hex_value(s->ptr[2]) : -1;
        if (high < 0 || low < 0)
            return -1;
        c = (char)(high << 4 | low);
        used = 3;
    }
    *s = (struct rg_str){s->ptr + used, s->len - used};
    return (unsigned char)c;
}

bool rg_query_is(struct rg_str encoded, struct rg_str plain)
{
    size_t i = 0;
    while (encoded.len > 0 && i < plain.len)
        if (decode(&encoded) != (unsigned char)plain.ptr[i++])
            return false;
    return encoded.len == 0 && i == plain.len;
}

bool rg_query_decode(struct rg_str encoded, char room[RG_QUERY_VALUE_MAX], struct rg_str *ret)
{
    size_t n = 0;
    while (encoded.len > 0 && n < RG_QUERY_VALUE_MAX) {
        int c = decode(&encoded);
        if (c < 0)
            return false;
        room[n++] = (char)c;
    }
    *ret = (struct rg_str){room, n};
    return encoded.len == 0;
}

bool rg_query_only(struct rg_str query, struct rg_str name, char room[RG_QUERY_VALUE_MAX], struct rg_str *ret)
{
    struct rg_query_pair pair;
    struct rg_str value = RG_STR_NONE, at = rg_query_start(query);
    unsigned found = 0;
    while (rg_query_next(&at, &pair))
        if (rg_query_is(pair.name, name)) {
            value = pair.value;
            found++;
        }
    return found == 1 && rg_query_decode(value, room, ret);
}

bool rg_query_remove(struct rg_str *query, struct rg_str name, struct rg_policy_scratch *scratch)
{
    struct rg_query_pair pair;
    struct rg_str at = rg_query_start(*query);
    char *out = rg_policy_scratch_room(scratch, query->len + 1), *to = out;
    if (!out)
        return false;
    while (rg_query_next(&at, &pair)) {
        if (rg_query_is(pair.name, name))
            continue;
        *to = to == out ? '?' : '&';
        memcpy(to + 1, pair.whole.ptr, pair.whole.len);
        to += 1 + pair.whole.len;
    }
    *query = (struct rg_str){out, (size_t)(to - out)};
    scratch->at = to;
    return true;
}

int rg_query_encode(struct rg_arena *arena, struct rg_str plain, struct rg_str *ret)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = rg_arena_array(arena, plain.len + 1, 3);
    size_t n = 0;
    if (!out)
        return -ENOMEM;
    for (size_t i = 0; i < plain.len; i++) {
        unsigned char c = (unsigned char)plain.ptr[i];
        if (rg_char_is(plain.ptr[i], RG_CHAR_UNRESERVED)) {
            out[n++] = plain.ptr[i];
        } else {
            out[n++] = '%';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        }
    }
    *ret = (struct rg_str){out, n};
    return 0;
}
