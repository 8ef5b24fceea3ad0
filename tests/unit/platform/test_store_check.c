/* What the check of gateways says of an artifact, and when it is asked. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/common/problems.h"
#include "store_fixture.h"

static int check(const char *yaml, size_t len, struct rg_problems *problems, void *arg)
{
    (void)arg;
    if (!memmem(yaml, len, "/forbidden", 10))
        return 0;
    rg_problems_add(problems, "spec.operations[0].path", "\"/forbidden\"", "another path", NULL);
    return -EINVAL;
}

static void test_check(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    f->config.check = check;
    fixture_open(f);
    free(make_gateway(f, "edge-1"));
    make_api(f, "hello");
    assert_int_equal(call(f, "POST", API "/rest-apis",
                          "{\"displayName\":\"x\",\"context\":\"/x\",\"version\":\"v1.0\",\"upstream\":{\"main\":"
                          "{\"url\":\"http://a\"}},\"operations\":[{\"method\":\"GET\",\"path\":\"/forbidden\"}]}"),
                     400);
    assert_string_equal(got(f, "errors.0.field"), "spec.operations[0].path");
    assert_int_equal(call(f, "POST", API "/rest-apis/hello/deployments",
                          "{\"gatewayId\":\"edge-1\",\"metadata\":{\"endpointUrl\":\"http://a/forbidden\"}}"),
                     400);
    assert_string_equal(got(f, "code"), "REST_API_DEPLOYMENT_VALIDATION_FAILED");
    assert_int_equal(call(f, "GET", API "/rest-apis/x", NULL), 404);
}

static int count_checks(const char *yaml, size_t len, struct rg_problems *problems, void *arg)
{
    ++*(unsigned *)arg;
    return check(yaml, len, problems, NULL);
}

/* A document that has passed passes; one that has not is looked at each time, and so is a changed one. */
static void test_checked_once(void **state)
{
    static const char bad[] = "{\"gatewayId\":\"edge-1\",\"metadata\":{\"endpointUrl\":\"http://a/forbidden\"}}";
    struct fixture *f = *state;
    unsigned checks = 0;
    fixture_close(f);
    f->config.check = count_checks;
    f->config.check_arg = &checks;
    fixture_open(f);
    free(make_gateway(f, "edge-1"));
    make_api(f, "hello");
    free(deploy(f, "hello", "edge-1"));
    free(deploy(f, "hello", "edge-1"));
    assert_int_equal(checks, 1);
    make_api(f, "bye");
    free(deploy(f, "bye", "edge-1"));
    assert_int_equal(checks, 2);
    assert_int_equal(call(f, "POST", API "/rest-apis/hello/deployments",
                          "{\"gatewayId\":\"edge-1\",\"metadata\":{\"endpointUrl\":\"http://elsewhere\"}}"),
                     201);
    assert_int_equal(checks, 3);
    for (unsigned i = 1; i <= 2; i++) {
        assert_int_equal(call(f, "POST", API "/rest-apis/hello/deployments", bad), 400);
        assert_int_equal(checks, 3 + i);
    }
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(test_check),
        WITH_STORE(test_checked_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
