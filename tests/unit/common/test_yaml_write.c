/* control/common/yaml_write.c: what is written is what is read again, also by readers of YAML 1.1. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "control/common/yaml_write.h"

static void becomes(const char *json, const char *yaml)
{
    json_error_t error;
    char *text;
    size_t len;
    json_t *value = json_loads(json, JSON_DECODE_ANY, &error);
    assert_non_null(value);
    assert_int_equal(rg_yaml_write(value, &text, &len), 0);
    assert_string_equal(text, yaml);
    assert_int_equal(len, strlen(yaml));
    free(text);
    json_decref(value);
}

static void structures(void **state)
{
    (void)state;
    becomes("{\"b\":1,\"a\":{\"list\":[\"x\",{\"k\":2.5,\"l\":null}],\"empty\":[],\"none\":{}}}",
            "b: 1\na:\n  list:\n  - x\n  - k: 2.5\n    l: null\n  empty: []\n  none: {}\n");
    becomes("[true,false,-3]", "- true\n- false\n- -3\n");
    becomes("{}", "{}\n");
}

static void strings_stay_strings(void **state)
{
    (void)state;
    becomes("[\"v1.0\",\"/hello\",\"a b\",\"_gateway_default_\"]", "- v1.0\n- /hello\n- a b\n- _gateway_default_\n");
    becomes("[\"1\",\"1.0\",\"-\",\"\",\"~\",\"2026-11-21\",\".inf\",\"0x1f\",\"<<\",\"=\"]",
            "- \"1\"\n- \"1.0\"\n- \"-\"\n- \"\"\n- \"~\"\n- \"2026-11-21\"\n- \".inf\"\n- \"0x1f\"\n- \"<<\"\n"
            "- \"=\"\n");
    becomes("[\"true\",\"No\",\"on\",\"NULL\",\"y\"]", "- \"true\"\n- \"No\"\n- \"on\"\n- \"NULL\"\n- \"y\"\n");
    becomes("{\"on\":\"a: b\",\"1\":\"c #d\"}", "\"on\": 'a: b'\n\"1\": 'c #d'\n");
    becomes("[\"one\\ntwo\\n\",\"tab\\tbell\\u0007\",\"h\\u00e9\"]",
            "- |\n  one\n  two\n- \"tab\\tbell\\a\"\n- h\xc3\xa9\n");
    becomes("[\"&a\",\"*a\",\"!t\",\"{{ secret \\\"h\\\" }}\"]",
            "- \"&a\"\n- \"*a\"\n- \"!t\"\n- \"{{ secret \\\"h\\\" }}\"\n");
}

static void depth_is_bounded(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len;
    json_t *value = json_array();
    for (int i = 0; i < 1000; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, value);
        value = outer;
    }
    assert_true(rg_yaml_write(value, &text, &len) < 0);
    assert_null(text);
    json_decref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structures),
        cmocka_unit_test(strings_stay_strings),
        cmocka_unit_test(depth_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
