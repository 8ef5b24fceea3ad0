/*
 * Views: a pointer and a length into memory that somebody else owns. Never NUL-terminated, never freed.
 * Thread: any. A view is valid as long as the buffer it points into.
 */
#ifndef RG_BASE_STR_H
#define RG_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rg_str {
    const char *ptr;
    size_t len;
};

#define RG_STR(lit) ((struct rg_str){(lit), sizeof(lit) - 1})
#define RG_STR_NONE ((struct rg_str){NULL, 0})

static inline struct rg_str rg_str_of(const char *z)
{
    return (struct rg_str){z, strlen(z)};
}

static inline bool rg_str_eq(struct rg_str a, struct rg_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ASCII only, as RFC 9110 compares field names and tokens. */
static inline char rg_lower(char c)
{
    return (char)((unsigned)(unsigned char)c - 'A' < 26u ? c | 0x20 : c);
}

static inline bool rg_str_eq_nocase(struct rg_str a, struct rg_str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (rg_lower(a.ptr[i]) != rg_lower(b.ptr[i]))
            return false;
    return true;
}

#endif
