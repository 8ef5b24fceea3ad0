/* Letters, digits and blanks as protocols and our own syntaxes mean them, whatever the locale. Thread: any (pure). */
#ifndef RG_BASE_ASCII_H
#define RG_BASE_ASCII_H

#include "datapath/base/str.h"

static inline bool rg_is_digit(char c)
{
    return (unsigned)c - '0' < 10u;
}

static inline bool rg_is_letter(char c)
{
    return (unsigned)rg_lower(c) - 'a' < 26u;
}

static inline bool rg_is_alnum(char c)
{
    return rg_is_letter(c) || rg_is_digit(c);
}

/* Without the blanks and tabs at both ends. */
static inline struct rg_str rg_str_trim(struct rg_str s)
{
    for (; s.len > 0 && (*s.ptr == ' ' || *s.ptr == '\t'); s.len--)
        s.ptr++;
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

#endif
