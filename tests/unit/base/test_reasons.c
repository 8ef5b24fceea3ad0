/* The table of reasons: each row can be a metric's label, a log value and, with a status, a response. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "datapath/base/reasons.h"

static const struct rg_reason_info *row(unsigned i)
{
    return rg_reason_info((enum rg_reason)i);
}

static void names_are_labels(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RG_REASON_COUNT; i++) {
        struct rg_str name = row(i)->name;
        assert_true(name.len > 0);
        for (size_t k = 0; k < name.len; k++)
            assert_non_null(strchr("abcdefghijklmnopqrstuvwxyz0123456789-", name.ptr[k]));
    }
}

static void names_are_unique(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RG_REASON_COUNT; i++)
        for (unsigned k = i + 1; k < RG_REASON_COUNT; k++)
            assert_false(rg_str_eq(row(i)->name, row(k)->name));
}

static void a_response_has_a_text(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RG_REASON_COUNT; i++) {
        uint16_t status = row(i)->status;
        assert_true(status == 0 || (status >= 400 && status <= 599));
        assert_true(row(i)->text.len > 0 || status == 0);
    }
}

static void rows_are_found_by_id(void **state)
{
    (void)state;
    assert_int_equal(RG_REASON_NONE, 0);
    assert_true(rg_str_eq(row(RG_REASON_NONE)->name, RG_STR("none")));
    assert_true(rg_str_eq(row(RG_REASON_REPLICA_DOWN)->name, RG_STR("replica-down")));
    assert_int_equal(row(RG_REASON_REPLICA_DOWN)->status, 503);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_labels),
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(a_response_has_a_text),
        cmocka_unit_test(rows_are_found_by_id),
    };
    return cmocka_run_group_tests_name("reasons", tests, NULL, NULL);
}
