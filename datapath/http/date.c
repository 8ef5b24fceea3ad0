/*
 * IMF-fixdate (RFC 9110 5.6.7) without locale and time zone: strftime depends on the one, gmtime takes a lock for the
 * other. Pure, thread: any.
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

static void two_digits(char *out, unsigned n)
{
    out[0] = (char)('0' + n / 10);
    out[1] = (char)('0' + n % 10);
}

void rg_http_date(char out[RG_DATE_LEN], int64_t unix_seconds)
{
    static const char weekdays[7][3] = {"Thu", "Fri", "Sat", "Sun",
                                        "Mon", "Tue", "Wed"}; /* 1970-01-01 was a Thursday */
    static const char months[12][3] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int64_t t = unix_seconds < YEAR_0 ? YEAR_0 : unix_seconds > YEAR_9999_END ? YEAR_9999_END : unix_seconds;
    int64_t days = t / SECONDS_PER_DAY;
    unsigned second = (unsigned)((t % SECONDS_PER_DAY + SECONDS_PER_DAY) % SECONDS_PER_DAY);
    if (t % SECONDS_PER_DAY < 0)
        days--;
    /* 719468 days from 0000-03-01 to 1970-01-01; one more era keeps January and February of the year 0 positive. */
    struct civil date = civil_of_days((uint32_t)(days + 719468 + 146097));
    date.year -= 400;

    memcpy(out, "Thu, 01 Jan 1970 00:00:00 GMT", RG_DATE_LEN);
    memcpy(out, weekdays[((days % 7) + 7) % 7], 3);
    two_digits(out + 5, date.day);
    memcpy(out + 8, months[date.month - 1], 3);
    two_digits(out + 12, date.year / 100);
    two_digits(out + 14, date.year % 100);
    two_digits(out + 17, second / 3600);
    two_digits(out + 20, second / 60 % 60);
    two_digits(out + 23, second % 60);
}
