/* See instant.h. */
#include "control/common/instant.h"

#include <stdio.h>
#include <time.h>

#define NS_A_SECOND 1000000000ll
#define YEAR_MAX    2200 /* well within 64 bits of nanoseconds */

struct cursor {
    const char *at, *end;
};

/* Exactly `digits` of them. -1: they are not there. */
static int take_number(struct cursor *c, unsigned digits)
{
    int n = 0;
    if ((size_t)(c->end - c->at) < digits)
        return -1;
    for (unsigned i = 0; i < digits; i++, c->at++) {
        if (*c->at < '0' || *c->at > '9')
            return -1;
        n = n * 10 + (*c->at - '0');
    }
    return n;
}

static bool take_char(struct cursor *c, char wanted)
{
    if (c->at == c->end || rg_lower(*c->at) != rg_lower(wanted))
        return false;
    c->at++;
    return true;
}

static bool take_date(struct cursor *c, struct tm *ret)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = take_number(c, 4);
    int month = take_char(c, '-') ? take_number(c, 2) : -1;
    int day = take_char(c, '-') ? take_number(c, 2) : -1;
    if (year < 1970 || year >= YEAR_MAX || month < 1 || month > 12 || day < 1)
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day > days[month - 1] + (leap && month == 2))
        return false;
    ret->tm_year = year - 1900;
    ret->tm_mon = month - 1;
    ret->tm_mday = day;
    return true;
}

static bool take_time(struct cursor *c, struct tm *ret)
{
    ret->tm_hour = take_number(c, 2);
    ret->tm_min = take_char(c, ':') ? take_number(c, 2) : -1;
    ret->tm_sec = take_char(c, ':') ? take_number(c, 2) : -1;
    return ret->tm_hour >= 0 && ret->tm_hour < 24 && ret->tm_min >= 0 && ret->tm_min < 60 && ret->tm_sec >= 0 &&
           ret->tm_sec <= 60; /* a leap second counts as the one that follows */
}

static bool take_fraction(struct cursor *c, int64_t *ret_ns)
{
    int64_t ns = 0, place = NS_A_SECOND / 10;
    *ret_ns = 0;
    if (c->at == c->end || *c->at != '.')
        return true;
    const char *first = ++c->at;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++, place /= 10)
        ns += (*c->at - '0') * place;
    *ret_ns = ns;
    return c->at > first;
}

static bool take_offset(struct cursor *c, int64_t *ret_s)
{
    *ret_s = 0;
    if (take_char(c, 'Z'))
        return true;
    bool east = take_char(c, '+');
    if (!east && !take_char(c, '-'))
        return false;
    int hours = take_number(c, 2);
    int minutes = take_char(c, ':') ? take_number(c, 2) : -1;
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
        return false;
    *ret_s = (east ? 60 : -60) * (hours * 60 + minutes);
    return true;
}

bool rg_instant_parse(struct rg_str text, int64_t *ret_ns)
{
    struct cursor c = {text.ptr, text.ptr + text.len};
    struct tm tm = {0};
    int64_t fraction, offset;
    bool separated = take_date(&c, &tm) && (take_char(&c, 'T') || take_char(&c, ' '));
    if (!separated || !take_time(&c, &tm) || !take_fraction(&c, &fraction) || !take_offset(&c, &offset) ||
        c.at != c.end)
        return false;
    int64_t seconds = (int64_t)timegm(&tm) - offset;
    if (seconds < 0) /* an hour of 1970 that was still 1969 in UTC */
        return false;
    *ret_ns = seconds * NS_A_SECOND + fraction;
    return true;
}

void rg_instant_format(int64_t ns, char ret[RG_INSTANT_TEXT_MAX])
{
    time_t seconds = (time_t)(ns / NS_A_SECOND);
    unsigned ms = (unsigned)(ns % NS_A_SECOND / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t len = strftime(ret, RG_INSTANT_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    if (ms != 0) {
        len += (size_t)snprintf(ret + len, RG_INSTANT_TEXT_MAX - len, ".%03u", ms);
        while (ret[len - 1] == '0')
            len--;
    }
    snprintf(ret + len, RG_INSTANT_TEXT_MAX - len, "Z");
}
