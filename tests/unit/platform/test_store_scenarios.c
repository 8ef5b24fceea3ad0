/* The life of deployments: everything that can happen to one, by calls and frames alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_fixture.h"

static char *deploy_live(struct fixture *f, const struct stage *s, struct operation *ret)
{
    char *deployment = deploy(f, "hello", "edge-1");
    answer(f, s, ret, true);
    return deployment;
}

static void assert_live(struct fixture *f, const char *deployment, bool wanted)
{
    status_of(f, "hello", deployment);
    assert_int_equal(json_is_true(json_object_get(f->body, "live")), wanted);
}

/* 1 and 2: there and back. */
static void test_deploy_and_undeploy(void **state)
{
    struct fixture *f = *state;
    struct stage s;
    struct operation op;
    set_up(f, &s);
    char *d = deploy(f, "hello", "edge-1");
    assert_string_equal(got(f, "status"), "DEPLOYING");
    assert_string_equal(got(f, "statusDesired"), "DEPLOYED");
    char path[128];
    snprintf(path, sizeof(path), "/api/v0.9/rest-apis/hello/deployments/%s", d);
    assert_string_equal(f->location, path);
    last_operation(f, &op);
    assert_string_equal(op.type, "api.deployed");
    assert_string_equal(op.deployment, d);
    assert_string_equal(op.performed_at, "2026-08-23T09:15:04.127Z");
    ack(f, &s.session, &op, true);
    assert_status(f, d, "DEPLOYED");
    assert_string_equal(got(f, "acks.0.status"), "success");

    assert_int_equal(callf(f, "POST", NULL, "%s/undeploy?gatewayId=edge-1", path), 200);
    assert_string_equal(got(f, "status"), "UNDEPLOYING");
    last_operation(f, &op);
    assert_string_equal(op.type, "api.undeployed");
    assert_string_equal(op.performed_at, "2026-08-23T09:15:04.128Z"); /* the clock stood still: it grows all the same */
    ack(f, &s.session, &op, true);
    assert_status(f, d, "UNDEPLOYED");
    assert_int_equal(callf(f, "POST", NULL, "%s/undeploy?gatewayId=edge-1", path), 409);
    assert_string_equal(got(f, "code"), "DEPLOYMENT_NOT_ACTIVE");

    assert_int_equal(callf(f, "GET", NULL, "%s/events", path), 200);
    static const char *const events[] = {"DEPLOY", "ACK_DEPLOYED", "UNDEPLOY", "ACK_UNDEPLOYED"};
    assert_int_equal(json_array_size(json_object_get(f->body, "list")), 4);
    for (size_t i = 0; i < 4; i++) {
        char at[64];
        snprintf(at, sizeof(at), "list.%zu.event", i);
        assert_string_equal(got(f, at), events[i]);
    }
    assert_string_equal(got(f, "list.0.actor"), "admin");
    assert_string_equal(got(f, "list.1.instance"), s.session.instance);
    assert_string_equal(got(f, "list.0.correlationId"), "0199c1d2-7a10-7c55-8f21-0d9d8f3c2b11");
    free(d);
    free(s.token);
}

static uint64_t sweep(struct fixture *f)
{
    uint64_t next;
    assert_int_equal(rg_store_sweep(f->store, &f->effects, &next), 0);
    return next;
}

/* 3: nobody answers; and then somebody does. */
static void test_timeout_and_late_success(void **state)
{
    struct fixture *f = *state;
    struct stage s;
    struct operation op;
    set_up(f, &s);
    assert_true(sweep(f) == UINT64_MAX);
    char *d = deploy(f, "hello", "edge-1");
    last_operation(f, &op);
    assert_true(count_effects(f, RG_EFFECT_WAKE_SWEEPER) == 1);
    assert_int_equal(sweep(f), 300000);
    f->now_ms += 299999;
    assert_int_equal(sweep(f), 1);
    assert_status(f, d, "DEPLOYING");
    f->now_ms += 1;
    assert_true(sweep(f) == UINT64_MAX);
    assert_status(f, d, "FAILED");
    assert_string_equal(got(f, "statusReason"), "DEPLOYMENT_TIMEOUT");
    assert_non_null(strstr(got(f, "statusMessage"), "300 s"));
    ack(f, &s.session, &op, true);
    assert_status(f, d, "DEPLOYED");
    assert_null(json_object_get(f->body, "statusReason"));
    ack(f, &s.session, &op, false); /* and a failure wins still */
    assert_status(f, d, "FAILED");
    assert_string_equal(got(f, "statusReason"), "GATEWAY_PROCESSING_ERROR");
    free(d);
    free(s.token);
}

/* The wall clock is set while something waits: that makes it neither fail early nor wait for years. */
static void test_timeout_with_a_wrong_clock(void **state)
{
    static const int64_t year_ms = INT64_C(365) * 24 * 3600 * 1000;
    struct fixture *f = *state;
    struct stage s;
    set_up(f, &s);
    for (int i = 0; i < 4; i++) {
        int64_t by_ms = i % 2 ? -10 * year_ms : 10 * year_ms;
        char *d = deploy(f, "hello", "edge-1");
        f->set_ms += by_ms;
        f->now_ms += 299999;
        assert_int_equal(sweep(f), 1);
        assert_status(f, d, "DEPLOYING");
        f->now_ms += 1;
        assert_true(sweep(f) == UINT64_MAX);
        assert_status(f, d, "FAILED");
        free(d);
    }
    assert_int_equal(call(f, "GET", "/api/v0.9/audit?limit=1", NULL), 200); /* none of it is a year old */
    assert_string_equal(got(f, "list.0.action"), "DEPLOY");
    assert_true(json_integer_value(json_object_get(json_object_get(f->body, "pagination"), "total")) > 4);
    free(s.token);
}

/* Which deployments are kept is a matter of their order, not of the clock: the last ones, to go back to. */
static void test_kept_with_a_wrong_clock(void **state)
{
    struct fixture *f = *state;
    struct stage s;
    char *all[5];
    fixture_close(f);
    f->config.max_per_gateway = 2;
    fixture_open(f);
    set_up(f, &s);
    f->set_ms = INT64_C(5) * 365 * 24 * 3600 * 1000;
    for (int i = 0; i < 5; i++) {
        struct operation op;
        if (i == 2)
            f->set_ms = 0; /* it was wrong */
        f->now_ms += 1000;
        all[i] = deploy(f, "hello", "edge-1");
        answer(f, &s, &op, true);
    }
    assert_int_equal(callf(f, "GET", NULL, "/api/v0.9/rest-apis/hello/deployments"), 200);
    assert_int_equal(json_array_size(json_object_get(f->body, "list")), 3); /* what was live then is kept besides */
    for (int i = 0; i < 3; i++) {
        char at[32];
        snprintf(at, sizeof(at), "list.%d.deploymentId", i);
        assert_string_equal(got(f, at), all[4 - i]);
    }
    for (int i = 0; i < 5; i++)
        free(all[i]);
    free(s.token);
}

static void test_lenient_timeout(void **state)
{
    struct fixture *f = *state;
    struct stage s;
    fixture_close(f);
    f->config.timeout_mode = RG_TIMEOUT_LENIENT;
    f->config.timeout_ms = 1000;
    fixture_open(f);
    set_up(f, &s);
    char *d = deploy(f, "hello", "edge-1");
    f->now_ms += 1000;
    sweep(f);
    assert_status(f, d, "DEPLOYED");
    assert_int_equal(callf(f, "POST", NULL, "/api/v0.9/rest-apis/hello/deployments/%s/undeploy", d), 200);
    f->now_ms += 2000;
    sweep(f);
    assert_status(f, d, "UNDEPLOYED");
    free(d);
    free(s.token);
}

/* 4: the reason is kept with the field; a failed one can be undeployed, and an older one restored. */
static void test_failure_and_restore(void **state)
{
    struct fixture *f = *state;
    struct stage s;
    struct operation op;
    set_up(f, &s);
    char *d1 = deploy_live(f, &s, &op);
    f->now_ms += 1000;
    char *d2 = deploy(f, "hello", "edge-1");
    last_operation(f, &op);
    assert_status(f, d1, "ARCHIVED");
    ack(f, &s.session, &op, false);
    assert_status(f, d2, "FAILED");
    assert_string_equal(got(f, "statusReason"), "GATEWAY_PROCESSING_ERROR");
    assert_string_equal(got(f, "statusErrors.0.field"), "spec.policies[0].name");
    assert_string_equal(got(f, "statusErrors.1.message"), "and more");
    assert_string_equal(got(f, "acks.0.errors.0.message"), "got \"nope\"");
    assert_non_null(strstr(got(f, "statusMessage"), "nope"));

    assert_int_equal(callf(f, "DELETE", NULL, "/api/v0.9/rest-apis/hello/deployments/%s", d2), 409);
    assert_string_equal(got(f, "code"), "DEPLOYMENT_ACTIVE");
    assert_int_equal(callf(f, "POST", NULL, "/api/v0.9/rest-apis/hello/deployments/%s/restore", d1), 200);
    last_operation(f, &op);
    assert_string_equal(op.deployment, d1);
    assert_int_equal(callf(f, "POST", NULL, "/api/v0.9/rest-apis/hello/deployments/%s/restore", d1), 409);
    assert_string_equal(got(f, "code"), "DEPLOYMENT_RESTORE_CONFLICT");
    ack(f, &s.session, &op, true);
    assert_status(f, d1, "DEPLOYED");
    assert_status(f, d2, "ARCHIVED");
    assert_int_equal(callf(f, "POST", NULL, "/api/v0.9/rest-apis/hello/deployments/%s/undeploy", d2), 409);
    assert_int_equal(callf(f, "DELETE", NULL, "/api/v0.9/rest-apis/hello/deployments/%s", d2), 204);
    assert_int_equal(callf(f, "GET", NULL, "/api/v0.9/rest-apis/hello/deployments/%s", d2), 404);
    free(d1);
    free(d2);
    free(s.token);
}

/* What answers requests is the last that was acknowledged, whatever became of those after it, until it is gone. */
static void test_live(void **state)
{
    struct fixture *f = *state;
    struct stage s;
    struct operation op;
    set_up(f, &s);
    char *d1 = deploy(f, "hello", "edge-1");
    assert_live(f, d1, false);
    answer(f, &s, &op, true);
    assert_live(f, d1, true);
    f->now_ms += 1000;
    char *d2 = deploy(f, "hello", "edge-1");
    assert_live(f, d1, true); /* the other one is on its way */
    answer(f, &s, &op, false);
    assert_live(f, d1, true);
    assert_live(f, d2, false);
    assert_status(f, d1, "ARCHIVED");
    assert_int_equal(callf(f, "GET", NULL, "/api/v0.9/rest-apis/hello/deployments"), 200);
    assert_true(json_is_false(json_object_get(json_array_get(json_object_get(f->body, "list"), 0), "live")));
    assert_true(json_is_true(json_object_get(json_array_get(json_object_get(f->body, "list"), 1), "live")));
    assert_int_equal(callf(f, "DELETE", NULL, "/api/v0.9/rest-apis/hello/deployments/%s", d1), 409);
    assert_string_equal(got(f, "code"), "DEPLOYMENT_ACTIVE");
    for (int i = 0; i < 30; i++) { /* and it is kept, however many have failed since */
        f->now_ms += 1000;
        free(deploy(f, "hello", "edge-1"));
        answer(f, &s, &op, false);
    }
    assert_live(f, d1, true);
    assert_int_equal(callf(f, "POST", NULL, "/api/v0.9/rest-apis/hello/deployments/%s/restore", d1), 200);
    answer(f, &s, &op, true);
    assert_live(f, d1, true);
    assert_int_equal(callf(f, "POST", NULL, "/api/v0.9/rest-apis/hello/deployments/%s/undeploy", d1), 200);
    assert_live(f, d1, true);
    answer(f, &s, &op, true);
    assert_live(f, d1, false);
    assert_int_equal(callf(f, "DELETE", NULL, "/api/v0.9/rest-apis/hello/deployments/%s", d1), 204);
    free(d1);
    free(d2);
    free(s.token);
}

static void test_undeploy_of_failed(void **state)
{
    struct fixture *f = *state;
    struct stage s;
    struct operation op;
    set_up(f, &s);
    char *d = deploy(f, "hello", "edge-1");
    answer(f, &s, &op, false);
    assert_int_equal(callf(f, "POST", NULL, "/api/v0.9/rest-apis/hello/deployments/%s/undeploy", d), 200);
    answer(f, &s, &op, true);
    assert_status(f, d, "UNDEPLOYED");
    free(d);
    free(s.token);
}

/* Deleting a gateway: it is told, and goes when it has nothing left. */
static void test_gateway_deleted(void **state)
{
    struct fixture *f = *state;
    struct stage s;
    struct operation op;
    set_up(f, &s);
    char *d = deploy_live(f, &s, &op);
    fixture_forget(f);
    assert_int_equal(call(f, "DELETE", "/api/v0.9/gateways/edge-1", NULL), 204);
    last_operation(f, &op);
    assert_string_equal(op.type, "api.undeployed");
    assert_int_equal(count_effects(f, RG_EFFECT_CLOSE_GATEWAY), 0);
    assert_int_equal(call(f, "GET", "/api/v0.9/gateways/edge-1", NULL), 404);
    f->api_key = s.token; /* its token still works, to see what is to be done */
    assert_int_equal(call(f, "GET", "/api/internal/v1/deployments", NULL), 200);
    assert_string_equal(got(f, "deployments.0.state"), "UNDEPLOYED");
    ack(f, &s.session, &op, true);
    assert_int_equal(count_effects(f, RG_EFFECT_CLOSE_GATEWAY), 1);
    assert_int_equal(call(f, "GET", "/api/internal/v1/deployments", NULL), 401);
    free(make_gateway(f, "edge-1")); /* the name is free */
    free(d);
    free(s.token);
}

static void test_gateway_deleted_for_good(void **state)
{
    struct fixture *f = *state;
    struct stage s;
    set_up(f, &s);
    free(deploy(f, "hello", "edge-1"));
    assert_int_equal(call(f, "DELETE", "/api/v0.9/gateways/edge-1", NULL), 204);
    f->api_key = s.token;
    f->now_ms += 6 * 24 * 3600 * 1000ll;
    sweep(f);
    assert_int_equal(call(f, "GET", "/api/internal/v1/deployments", NULL), 200);
    f->now_ms += 2 * 24 * 3600 * 1000ll;
    sweep(f);
    assert_int_equal(call(f, "GET", "/api/internal/v1/deployments", NULL), 401);
    free(s.token);
}

static void test_retention(void **state)
{
    struct fixture *f = *state;
    struct stage s;
    set_up(f, &s);
    char *first = deploy(f, "hello", "edge-1"), *last = NULL;
    for (int i = 0; i < 30; i++) {
        free(last);
        last = deploy(f, "hello", "edge-1");
    }
    assert_int_equal(call(f, "GET", "/api/v0.9/rest-apis/hello/deployments?limit=100", NULL), 200);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(f->body, "pagination"), "total")), 20);
    assert_string_equal(got(f, "list.0.deploymentId"), last);
    assert_int_equal(callf(f, "GET", NULL, "/api/v0.9/rest-apis/hello/deployments/%s", first), 404);
    free(first);
    free(last);
    free(s.token);
}

/* 1,000 in a burst: each has an operation of its own, in order. */
static void test_burst(void **state)
{
    struct fixture *f = *state;
    struct stage s;
    struct operation op;
    char before[64] = "";
    set_up(f, &s);
    for (int i = 0; i < 1000; i++) {
        fixture_forget(f);
        free(deploy(f, "hello", "edge-1"));
        last_operation(f, &op);
        assert_true(strcmp(before, op.performed_at) != 0);
        snprintf(before, sizeof(before), "%s", op.performed_at);
    }
    ack(f, &s.session, &op, true);
    assert_string_equal(status_of(f, "hello", op.deployment), "DEPLOYED");
    assert_int_equal(rg_store_count(f->store, RG_STORE_DEPLOYMENTS), 1000);
    free(s.token);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(test_deploy_and_undeploy),
        WITH_STORE(test_timeout_and_late_success),
        WITH_STORE(test_timeout_with_a_wrong_clock),
        WITH_STORE(test_kept_with_a_wrong_clock),
        WITH_STORE(test_lenient_timeout),
        WITH_STORE(test_failure_and_restore),
        WITH_STORE(test_undeploy_of_failed),
        WITH_STORE(test_gateway_deleted),
        WITH_STORE(test_gateway_deleted_for_good),
        WITH_STORE(test_retention),
        WITH_STORE(test_burst),
        WITH_STORE(test_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
