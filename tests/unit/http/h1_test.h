/* What the tests of datapath/http share. Include after cmocka.h. */
#ifndef RG_TESTS_UNIT_HTTP_H1_TEST_H
#define RG_TESTS_UNIT_HTTP_H1_TEST_H

#include "tests/conformance/h1_driver.h"

static inline void assert_str(struct rg_str s, const char *expected)
{
    char text[512];
    assert_true(s.len < sizeof(text));
    memcpy(text, s.len ? s.ptr : "", s.len);
    text[s.len] = '\0';
    assert_string_equal(text, expected);
}

static inline void assert_reason(enum rg_reason reason, enum rg_reason expected)
{
    assert_str(rg_reason_info(reason)->name, rg_reason_info(expected)->name.ptr);
}

#endif
