/*
 * Which bytes may stand where in an HTTP/1 message (RFC 9110 5.5 and 5.6.2, RFC 3986 2), for all who read or write one.
 * Thread: any (constant data).
 */
#ifndef RG_HTTP_H1_CHARS_H
#define RG_HTTP_H1_CHARS_H

#include "datapath/base/str.h"

enum rg_char_class {
    RG_CHAR_TOKEN = 1,       /* tchar */
    RG_CHAR_VALUE = 2,       /* HTAB, SP, VCHAR, obs-text: what a field value may hold */
    RG_CHAR_PATH = 4,        /* may stand in a path and needs no further look: not '%', '.', '?' */
    RG_CHAR_QUERY = 8,       /* the same of a query: not '%' */
    RG_CHAR_UNRESERVED = 16, /* RFC 3986 2.3; also all that a host name may hold here */
    RG_CHAR_HEX = 32,
    RG_CHAR_DIGIT = 64,
};

extern const uint8_t rg_char_classes[256];

static inline bool rg_char_is(char c, unsigned classes)
{
    return rg_char_classes[(unsigned char)c] & classes;
}

/* A letter, a digit or '-': what nearly all field names are made of. */
static inline bool rg_char_is_plain_name(char c)
{
    return (unsigned)rg_lower(c) - 'a' < 26u || (unsigned)c - '0' < 10u || c == '-';
}

/* Value of a hexadecimal digit, -1 for any other byte. */
static inline int rg_hex_value(char c)
{
    if (!rg_char_is(c, RG_CHAR_HEX))
        return -1;
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

static inline bool rg_str_is(struct rg_str s, unsigned classes)
{
    for (size_t i = 0; i < s.len; i++)
        if (!rg_char_is(s.ptr[i], classes))
            return false;
    return s.len > 0;
}

#endif
