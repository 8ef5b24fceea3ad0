/* control/cli/body.c: whether a file differs from what the platform has. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "control/cli/body.h"

static bool same(const char *body, const char *existing)
{
    json_t *a = json_loads(body, 0, NULL), *b = json_loads(existing, 0, NULL);
    assert_true(a && b);
    bool result = rg_body_is_same(a, b);
    json_decref(a);
    json_decref(b);
    return result;
}

static void the_same(void **state)
{
    (void)state;
    assert_true(same("{\"a\":1}", "{\"a\":1}"));
    assert_true(same("{\"a\":1,\"b\":[{\"c\":\"d\"}]}", "{\"b\":[{\"c\":\"d\"}],\"a\":1}"));
    assert_true(same("{\"a\":1}", "{\"a\":1,\"createdAt\":\"x\",\"updatedAt\":\"y\",\"uuid\":\"z\"}"));
    assert_true(same("{\"a\":1}", "{\"a\":1,\"policies\":[],\"text\":\"\",\"on\":false,\"n\":null,\"o\":{}}"));
    assert_true(same("{\"a\":1,\"policies\":[]}", "{\"a\":1}"));
    assert_true(same("{\"a\":[{\"b\":1,\"c\":[]}]}", "{\"a\":[{\"b\":1}]}"));
}

static void different(void **state)
{
    (void)state;
    assert_false(same("{\"a\":1}", "{\"a\":2}"));
    assert_false(same("{\"a\":1,\"b\":2}", "{\"a\":1}"));
    assert_false(same("{\"a\":1}", "{\"a\":1,\"b\":2}")); /* the file takes it away */
    assert_false(same("{\"a\":[1,2]}", "{\"a\":[2,1]}"));
    assert_false(same("{\"a\":[1]}", "{\"a\":[1,2]}"));
    assert_false(same("{\"a\":\"1\"}", "{\"a\":1}"));
    assert_false(same("{\"a\":{\"createdAt\":\"x\"}}", "{\"a\":{}}"));
    assert_false(same("{\"a\":{}}", "{\"a\":{\"createdAt\":\"x\"}}")); /* the platform adds at the top alone */
    assert_false(same("{\"version\":\"v1.0\"}", "{\"version\":\"v1.1\"}"));
    assert_false(same("{\"a\":true}", "{\"a\":false}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same),
        cmocka_unit_test(different),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
