/* See log_format.h. */
#include "datapath/base/log_format.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "datapath/base/assert.h"
#include "datapath/base/str.h"

struct writer {
    char *out;
    size_t n, size; /* size includes the terminator */
    bool whole;
};

/* One conversion of a format. */
struct conversion {
    bool zeros;
    int width;
    int precision; /* -1: none */
    char length;   /* l, q (ll), z, j, or 0 */
    char kind;
};

static void put(struct writer *w, char c)
{
    if (w->n + 1 < w->size)
        w->out[w->n++] = c;
    else
        w->whole = false;
}

/* ---- Values ---- */

enum quoting { AS_IT_IS, WITHIN_QUOTES, IF_NEEDED };

static bool needs_quotes(struct rg_str value)
{
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.ptr[i] <= ' ' || value.ptr[i] == '"')
            return true;
    return false;
}

static void put_text(struct writer *w, struct rg_str value, enum quoting quoting)
{
    bool adds_quotes = quoting == IF_NEEDED && needs_quotes(value);
    bool escapes = quoting == WITHIN_QUOTES || adds_quotes;
    if (adds_quotes)
        put(w, '"');
    for (size_t i = 0; i < value.len; i++) {
        if (escapes && (value.ptr[i] == '"' || value.ptr[i] == '\\'))
            put(w, '\\');
        put(w, value.ptr[i]);
    }
    if (adds_quotes)
        put(w, '"');
}

/* By what stands around the conversion, from which `before` is the last byte. */
static enum quoting quoting_of(char before, char after)
{
    if (before == '"' && after == '"')
        return WITHIN_QUOTES;
    return before == '=' && (after == ' ' || after == '\0') ? IF_NEEDED : AS_IT_IS;
}

static struct rg_str text_of(const char *text, int precision)
{
    if (!text)
        text = "(null)";
    return (struct rg_str){text, precision < 0 ? strlen(text) : strnlen(text, (size_t)precision)};
}

/* ---- Conversions ---- */

static const char *number(const char *p, int *ret)
{
    for (*ret = 0; *p >= '0' && *p <= '9' && *ret < INT_MAX / 10; p++)
        *ret = *ret * 10 + (*p - '0');
    return p;
}

/* p: behind the %. Returns what is behind the conversion. */
static const char *parse(const char *p, struct conversion *ret, va_list *args)
{
    *ret = (struct conversion){.precision = -1, .zeros = *p == '0'};
    p = number(p, &ret->width);
    if (p[0] == '.' && p[1] == '*') {
        ret->precision = va_arg(*args, int);
        p += 2;
    } else if (*p == '.') {
        p = number(p + 1, &ret->precision);
    }
    if (p[0] == 'l' && p[1] == 'l') {
        ret->length = 'q';
        p += 2;
    } else if (*p == 'l' || *p == 'z' || *p == 'j') {
        ret->length = *p++;
    }
    ret->kind = *p;
    return *p ? p + 1 : p;
}

static intmax_t take_signed(char length, va_list *args)
{
    switch (length) {
    case 'l':
        return va_arg(*args, long);
    case 'q':
        return va_arg(*args, long long);
    case 'z':
        return va_arg(*args, ssize_t);
    case 'j':
        return va_arg(*args, intmax_t);
    default:
        return va_arg(*args, int);
    }
}

static uintmax_t take_unsigned(char length, va_list *args)
{
    switch (length) {
    case 'l':
        return va_arg(*args, unsigned long);
    case 'q':
        return va_arg(*args, unsigned long long);
    case 'z':
        return va_arg(*args, size_t);
    case 'j':
        return va_arg(*args, uintmax_t);
    default:
        return va_arg(*args, unsigned);
    }
}

static void put_number(struct writer *w, const struct conversion *c, va_list *args)
{
    char text[64];
    int width = c->width < 32 ? c->width : 32, n;
    if (c->kind == 'd')
        n = snprintf(text, sizeof(text), c->zeros ? "%0*jd" : "%*jd", width, take_signed(c->length, args));
    else if (c->kind == 'u')
        n = snprintf(text, sizeof(text), c->zeros ? "%0*ju" : "%*ju", width, take_unsigned(c->length, args));
    else
        n = snprintf(text, sizeof(text), c->zeros ? "%0*jx" : "%*jx", width, take_unsigned(c->length, args));
    put_text(w, (struct rg_str){text, (size_t)n}, AS_IT_IS);
}

static void convert(struct writer *w, const struct conversion *c, enum quoting quoting, va_list *args)
{
    switch (c->kind) {
    case '%':
        put(w, '%');
        break;
    case 'c':
        put(w, (char)va_arg(*args, int));
        break;
    case 's':
        put_text(w, text_of(va_arg(*args, const char *), c->precision), quoting);
        break;
    default:
        RG_ASSERT(c->kind == 'd' || c->kind == 'u' || c->kind == 'x');
        put_number(w, c, args);
    }
}

bool rg_log_format(char *out, size_t size, const char *format, va_list args)
{
    struct writer w = {.out = out, .size = size, .whole = true};
    struct conversion c;
    va_list rest;
    va_copy(rest, args);
    for (const char *p = format; *p;) {
        if (*p != '%') {
            put(&w, *p++);
            continue;
        }
        char before = p > format ? p[-1] : '\0';
        p = parse(p + 1, &c, &rest);
        convert(&w, &c, quoting_of(before, *p), &rest);
    }
    va_end(rest);
    out[w.n] = '\0';
    return w.whole;
}
