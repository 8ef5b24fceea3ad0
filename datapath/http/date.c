/*
 * Dates as HTTP writes them (IMF-fixdate, RFC 9110 5.6.7) and as logs do (RFC 3339), without locale and time zone:
 * strftime depends on the one, gmtime takes a lock for the other. Pure, thread: any.
 */
#include "datapath/http/h1_write.h"

#define SECONDS_PER_DAY 86400
#define YEAR_0          (-62167219200) /* the format holds four digits: earlier and later times are clamped */
#define YEAR_9999_END   253402300799

struct civil {
    unsigned year, month /* 1 to 12 */, day /* 1 to 31 */;
};

/*
 * Years are counted from March, so that the leap day is the last of its year; eras of 400 years have 146097 days.
 * days: since 0000-03-01, shifted by the caller so that it is never negative.
 */
static struct civil civil_of_days(uint32_t days)
{
    uint32_t era = days / 146097;
    uint32_t day_of_era = days % 146097;
    uint32_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t month = (5 * day_of_year + 2) / 153; /* 0 is March */
    uint32_t day = day_of_year - (153 * month + 2) / 5 + 1;
    uint32_t year = year_of_era + era * 400 + (month >= 10 ? 1 : 0);
    return (struct civil){.year = year, .month = month >= 10 ? month - 9 : month + 3, .day = day};
}

/* A point in time in UTC. */
struct moment {
    struct civil date;
    unsigned second;  /* of the day */
    unsigned weekday; /* 0: Thursday, which 1970-01-01 was */
};

static struct moment moment_of(int64_t unix_seconds)
{
    int64_t t = unix_seconds < YEAR_0 ? YEAR_0 : unix_seconds > YEAR_9999_END ? YEAR_9999_END : unix_seconds;
    int64_t days = t / SECONDS_PER_DAY;
    unsigned second = (unsigned)((t % SECONDS_PER_DAY + SECONDS_PER_DAY) % SECONDS_PER_DAY);
    if (t % SECONDS_PER_DAY < 0)
        days--;
    /* 719468 days from 0000-03-01 to 1970-01-01; one more era keeps January and February of the year 0 positive. */
    struct civil date = civil_of_days((uint32_t)(days + 719468 + 146097));
    date.year -= 400;
    return (struct moment){.date = date, .second = second, .weekday = (unsigned)(((days % 7) + 7) % 7)};
}

static void two_digits(char *out, unsigned n)
{
    out[0] = (char)('0' + n / 10);
    out[1] = (char)('0' + n % 10);
}

static void four_digits(char *out, unsigned n)
{
    two_digits(out, n / 100);
    two_digits(out + 2, n % 100);
}

static void time_of_day(char *out, unsigned second)
{
    two_digits(out, second / 3600);
    two_digits(out + 3, second / 60 % 60);
    two_digits(out + 6, second % 60);
}

void rg_http_date(char out[RG_DATE_LEN], int64_t unix_seconds)
{
    static const char weekdays[7][3] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    static const char months[12][3] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct moment m = moment_of(unix_seconds);

    memcpy(out, "Thu, 01 Jan 1970 00:00:00 GMT", RG_DATE_LEN);
    memcpy(out, weekdays[m.weekday], 3);
    two_digits(out + 5, m.date.day);
    memcpy(out + 8, months[m.date.month - 1], 3);
    four_digits(out + 12, m.date.year);
    time_of_day(out + 17, m.second);
}

void rg_timestamp(char out[RG_TIMESTAMP_LEN], uint64_t unix_us)
{
    struct moment m = moment_of((int64_t)(unix_us / 1000000));
    unsigned us = (unsigned)(unix_us % 1000000);

    memcpy(out, "1970-01-01T00:00:00.000000Z", RG_TIMESTAMP_LEN);
    four_digits(out, m.date.year);
    two_digits(out + 5, m.date.month);
    two_digits(out + 8, m.date.day);
    time_of_day(out + 11, m.second);
    two_digits(out + 20, us / 10000);
    two_digits(out + 22, us / 100 % 100);
    two_digits(out + 24, us % 100);
}
