/* IMF-fixdate and RFC 3339, compared with the C library over the whole range that four-digit years have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "heads.h"

#define YEAR_0        (-62167219200)
#define YEAR_9999_END 253402300799

static void check(int64_t t)
{
    char got[RG_DATE_LEN], want[64];
    time_t seconds = (time_t)t;
    struct tm tm;
    assert_non_null(gmtime_r(&seconds, &tm));
    size_t n = strftime(want, sizeof(want), "%a, %d %b ", &tm);
    n += (size_t)snprintf(want + n, sizeof(want) - n, "%04d", tm.tm_year + 1900); /* %Y does not pad */
    strftime(want + n, sizeof(want) - n, " %H:%M:%S GMT", &tm);
    rg_http_date(got, t);
    assert_text(got, RG_DATE_LEN, want);
    if (t < 0)
        return;
    char stamp[RG_TIMESTAMP_LEN];
    unsigned us = (unsigned)(t * 7919 % 1000000);
    n = strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(want + n, sizeof(want) - n, ".%06uZ", us);
    rg_timestamp(stamp, (uint64_t)t * 1000000 + us);
    assert_text(stamp, RG_TIMESTAMP_LEN, want);
}

static void known_dates(void **state)
{
    (void)state;
    char got[RG_DATE_LEN];
    rg_http_date(got, 784111777); /* the example of RFC 9110 5.6.7 */
    assert_text(got, RG_DATE_LEN, "Sun, 06 Nov 1994 08:49:37 GMT");
    rg_http_date(got, 0);
    assert_text(got, RG_DATE_LEN, "Thu, 01 Jan 1970 00:00:00 GMT");
    rg_http_date(got, 951782400);
    assert_text(got, RG_DATE_LEN, "Tue, 29 Feb 2000 00:00:00 GMT");
    char stamp[RG_TIMESTAMP_LEN];
    rg_timestamp(stamp, 951782400000007);
    assert_text(stamp, RG_TIMESTAMP_LEN, "2000-02-29T00:00:00.000007Z");
}

static void every_day_agrees_with_the_library(void **state)
{
    (void)state;
    for (int64_t t = YEAR_0; t <= YEAR_9999_END; t += 86400 * 13)
        check(t + 86399);
    for (int64_t t = 1700000000; t < 1700000000 + 86400LL * 4000; t += 86400 - 1)
        check(t);
    check(-1);
    check(YEAR_0);
    check(YEAR_9999_END);
}

static void out_of_range_is_clamped(void **state)
{
    (void)state;
    char got[RG_DATE_LEN];
    rg_http_date(got, INT64_MAX);
    assert_text(got, RG_DATE_LEN, "Fri, 31 Dec 9999 23:59:59 GMT");
    rg_http_date(got, INT64_MIN);
    assert_text(got, RG_DATE_LEN, "Sat, 01 Jan 0000 00:00:00 GMT");
    char stamp[RG_TIMESTAMP_LEN];
    rg_timestamp(stamp, UINT64_MAX);
    assert_text(stamp, 19, "9999-12-31T23:59:59");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_dates),
        cmocka_unit_test(every_day_agrees_with_the_library),
        cmocka_unit_test(out_of_range_is_clamped),
    };
    return cmocka_run_group_tests_name("date", tests, NULL, NULL);
}
