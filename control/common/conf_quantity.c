/*
 * Why: numbers with units. One spelling of each is accepted; the others that people write are recognised only to say
 * what they should have been. Thread: any (pure functions).
 */
#include "control/common/conf.h"

#include "datapath/base/ascii.h"

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit durations[] = {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}};
static const struct unit sizes[] = {
    {"", 1}, {"B", 1}, {"KiB", 1ull << 10}, {"MiB", 1ull << 20}, {"GiB", 1ull << 30}, {"TiB", 1ull << 40}};

struct slip { /* a unit that people write, and the one they mean */
    const char *other, *ours;
};

static const struct slip duration_slips[] = {
    {"", "s"},    {"sec", "s"},  {"secs", "s"},   {"second", "s"},  {"seconds", "s"}, {"msec", "ms"}, {"millis", "ms"},
    {"min", "m"}, {"mins", "m"}, {"minute", "m"}, {"minutes", "m"}, {"hr", "h"},      {"hour", "h"},  {"hours", "h"},
};
static const struct slip size_slips[] = {
    {"k", "KiB"},  {"kb", "KiB"}, {"m", "MiB"},  {"mb", "MiB"}, {"g", "GiB"},
    {"gb", "GiB"}, {"t", "TiB"},  {"tb", "TiB"}, {"byte", "B"}, {"bytes", "B"},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static size_t digits_of(struct rg_str text)
{
    size_t n = 0;
    while (n < text.len && rg_is_digit(text.ptr[n]))
        n++;
    return n;
}

bool rg_conf_parse_uint(struct rg_str text, uint64_t *ret)
{
    uint64_t v = 0;
    if (text.len == 0 || digits_of(text) != text.len || (text.len > 1 && text.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(text.ptr[i] - '0'), &v))
            return false;
    *ret = v;
    return true;
}

static bool parse_with_unit(struct rg_str text, const struct unit *units, size_t count, uint64_t *ret)
{
    size_t n = digits_of(text);
    struct rg_str unit = {text.ptr + n, text.len - n};
    uint64_t v;
    if (!rg_conf_parse_uint((struct rg_str){text.ptr, n}, &v))
        return false;
    for (size_t i = 0; i < count; i++)
        if (rg_str_eq(unit, rg_str_of(units[i].name)) && v <= UINT64_MAX / units[i].factor) {
            *ret = v * units[i].factor;
            return true;
        }
    return false;
}

bool rg_conf_parse_duration(struct rg_str text, uint64_t *ret_ms)
{
    return parse_with_unit(text, durations, COUNT(durations), ret_ms);
}

bool rg_conf_parse_size(struct rg_str text, uint64_t *ret)
{
    return parse_with_unit(text, sizes, COUNT(sizes), ret);
}

/* In the largest unit that keeps the value whole; of two equal units the first. */
static void format_with_unit(uint64_t v, const struct unit *units, size_t count, char *buf, size_t len)
{
    size_t i = count - 1;
    while (i > 0 && (v == 0 || v % units[i].factor != 0 || units[i - 1].factor == units[i].factor))
        i--;
    snprintf(buf, len, "%llu%s", (unsigned long long)(v / units[i].factor), units[i].name);
}

void rg_conf_format_duration(uint64_t ms, char *buf, size_t len)
{
    if (ms == 0)
        snprintf(buf, len, "0s");
    else
        format_with_unit(ms, durations, COUNT(durations), buf, len);
}

void rg_conf_format_size(uint64_t bytes, char *buf, size_t len)
{
    format_with_unit(bytes, sizes, COUNT(sizes), buf, len);
}

/* "10 sec" to "10" and "sec". False: not a number with something behind it. */
static bool split(struct rg_str text, struct rg_str *number, struct rg_str *unit)
{
    size_t n = digits_of(text);
    size_t from = n;
    while (from < text.len && text.ptr[from] == ' ')
        from++;
    *number = (struct rg_str){text.ptr, n};
    *unit = (struct rg_str){text.ptr + from, text.len - from};
    return n > 0 && n <= 19;
}

/* A correction must itself be good: no leading zero, no overflow. */
static void correct(struct rg_str text, const struct unit *units, size_t n_units, const struct slip *slips,
                    size_t n_slips, char *hint, size_t len)
{
    struct rg_str number, unit;
    const char *ours = NULL;
    uint64_t ignored;
    *hint = '\0';
    if (!split(text, &number, &unit))
        return;
    for (size_t i = 0; i < n_units; i++)
        if (rg_str_eq_nocase(unit, rg_str_of(units[i].name)))
            ours = units[i].name;
    for (size_t i = 0; i < n_slips; i++)
        if (rg_str_eq_nocase(unit, rg_str_of(slips[i].other)))
            ours = slips[i].ours;
    if (!ours)
        return;
    snprintf(hint, len, "%.*s%s", (int)number.len, number.ptr, ours);
    if (!parse_with_unit(rg_str_of(hint), units, n_units, &ignored))
        *hint = '\0';
}

void rg_conf_hint_duration(struct rg_str text, char *hint, size_t len)
{
    correct(text, durations, COUNT(durations), duration_slips, COUNT(duration_slips), hint, len);
}

void rg_conf_hint_size(struct rg_str text, char *hint, size_t len)
{
    correct(text, sizes, COUNT(sizes), size_slips, COUNT(size_slips), hint, len);
}
