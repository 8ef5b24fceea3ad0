/* The members that docs/METRICS.md names are those that access_json.c writes, in the same order. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "control/gateway/access_writer.h"

static const char *const names[] = {
#define RG_ACCESS_FIELD(name, type, missing, help) name,
#include "control/gateway/access_fields.def"
#undef RG_ACCESS_FIELD
};

/* Values without colons and quotes, so that every "name": in the line is a member. */
static void members_are_those_of_the_table(void **state)
{
    (void)state;
    struct rg_access_record r = {.status = 200, .minor = 1};
    struct rg_str *strings[] = {&r.peer,     &r.method,     &r.target,      &r.host,        &r.user_agent,
                                &r.referer,  &r.request_id, &r.traceparent, &r.tls_version, &r.tls_cipher,
                                &r.tls_name, &r.unit,       &r.route,       &r.policy,      &r.upstream};
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
        *strings[i] = RG_STR("x");
    char *line = malloc(RG_ACCESS_RECORD_MAX);
    assert_non_null(line);
    size_t len = rg_access_format(&r, line), at = 0, found = 0;
    while (at < len) {
        char *colon = memmem(line + at, len - at, "\":", 2);
        if (!colon)
            break;
        char *start = memrchr(line, '"', (size_t)(colon - line));
        assert_non_null(start);
        assert_true(found < sizeof(names) / sizeof(names[0]));
        assert_int_equal(strlen(names[found]), colon - start - 1);
        assert_memory_equal(start + 1, names[found], (size_t)(colon - start - 1));
        found++;
        at = (size_t)(colon - line) + 2;
    }
    assert_int_equal(found, sizeof(names) / sizeof(names[0]));
    free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(members_are_those_of_the_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
