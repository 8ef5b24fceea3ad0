/* Messages of the control plane: what becomes of each type, and what is refused with which reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "control/agent/event.h"

#define IDS "\"deploymentId\":\"d-1\",\"performedAt\":\"2026-08-22T09:15:04.1Z\""

static void types(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum rg_event_type type;
        enum rg_kind kind;
    } rows[] = {
        {"{\"type\":\"api.deployed\",\"payload\":{\"apiId\":\"a\"," IDS "}}", RG_EVENT_DEPLOYED, RG_KIND_REST_API},
        {"{\"type\":\"api.undeployed\",\"payload\":{\"apiId\":\"a\"," IDS "}}", RG_EVENT_UNDEPLOYED, RG_KIND_REST_API},
        {"{\"type\":\"api.deleted\",\"payload\":{\"apiId\":\"a\"}}", RG_EVENT_DELETED, RG_KIND_REST_API},
        {"{\"type\":\"llmprovider.deployed\",\"payload\":{\"providerId\":\"a\"," IDS "}}", RG_EVENT_DEPLOYED,
         RG_KIND_LLM_PROVIDER},
        {"{\"type\":\"llmproxy.undeployed\",\"payload\":{\"proxyId\":\"a\"," IDS "}}", RG_EVENT_UNDEPLOYED,
         RG_KIND_LLM_PROXY},
        {"{\"type\":\"mcpproxy.deployed\",\"payload\":{\"proxyId\":\"a\"," IDS "}}", RG_EVENT_DEPLOYED, RG_KIND_MCP},
        {"{\"type\":\"websub.deleted\",\"payload\":{\"apiId\":\"a\"}}", RG_EVENT_DELETED, RG_KIND_WEBSUB},
        {"{\"type\":\"webbroker.deployed\",\"payload\":{\"apiId\":\"a\"," IDS "}}", RG_EVENT_DEPLOYED,
         RG_KIND_WEBBROKER},
        {"{\"type\":\"apikey.created\",\"payload\":{\"apiId\":\"a\"}}", RG_EVENT_KEY_CREATED, 0},
        {"{\"type\":\"apikey.updated\",\"payload\":{\"apiId\":\"a\"}}", RG_EVENT_KEY_CREATED, 0},
        {"{\"type\":\"apikey.revoked\",\"payload\":{\"apiId\":\"a\"}}", RG_EVENT_KEY_REVOKED, 0},
        {"{\"type\":\"connection.ack\",\"gatewayId\":\"g\"}", RG_EVENT_CONNECTED, 0},
        {"{\"type\":\"error\",\"message\":\"too many\"}", RG_EVENT_REFUSED, 0},
        /* to be ignored, whatever else they have */
        {"{\"type\":\"subscription.created\",\"payload\":{\"apiId\":7}}", RG_EVENT_UNKNOWN, 0},
        {"{\"type\":\"websub.hmacsecret.created\",\"payload\":{}}", RG_EVENT_UNKNOWN, 0},
        {"{\"type\":\"api.deployedx\"}", RG_EVENT_UNKNOWN, 0},
        {"{\"type\":\"api\"}", RG_EVENT_UNKNOWN, 0},
        {"{\"type\":\"gateway.config.updated\"}", RG_EVENT_UNKNOWN, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rg_event e;
        char why[RG_EVENT_WHY_MAX];
        print_message("%s\n", rows[i].text);
        assert_int_equal(rg_event_parse(rg_str_of(rows[i].text), &e, why), 0);
        assert_int_equal(e.type, rows[i].type);
        assert_int_equal(e.kind, rows[i].kind);
        rg_event_fini(&e);
    }
}

static void members(void **state)
{
    (void)state;
    struct rg_event e;
    char why[RG_EVENT_WHY_MAX];
    struct rg_str text =
        RG_STR("{\"type\":\"api.deployed\",\"payload\":{\"apiId\":\"0199c1d2-7a10\",\"deploymentId\":\"D_1.x\","
               "\"performedAt\":\"2026-08-22T09:15:04.1Z\",\"extra\":[1]},\"timestamp\":7,"
               "\"correlationId\":\"c1f7\",\"userId\":null}");
    assert_int_equal(rg_event_parse(text, &e, why), 0);
    assert_string_equal(e.name, "api.deployed");
    assert_string_equal(e.artifact_id, "0199c1d2-7a10");
    assert_string_equal(e.deployment_id, "D_1.x");
    assert_string_equal(e.performed_at, "2026-08-22T09:15:04.1Z"); /* as it came */
    assert_int_equal(e.performed_ns, 1787390104100000000);
    assert_string_equal(e.correlation_id, "c1f7");
    rg_event_fini(&e);
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"", "line 1"},
        {"{\"type\":\"api.deployed\"", "line 1"},
        {"[]", "type: got no object"},
        {"{\"type\":7}", "type: got nothing or no text"},
        {"{\"payload\":{}}", "type: "},
        {"{\"type\":\"api.deployed\",\"type\":\"api.deleted\"}", "duplicate"},
        {"{\"type\":\"api.deployed\"}", "payload: got nothing"},
        {"{\"type\":\"api.deployed\",\"payload\":[]}", "payload: got something else"},
        {"{\"type\":\"api.deployed\",\"payload\":{" IDS "}}", "apiId: got nothing"},
        {"{\"type\":\"api.deployed\",\"payload\":{\"apiId\":\"\"," IDS "}}", "apiId: got something else"},
        {"{\"type\":\"api.deployed\",\"payload\":{\"apiId\":\"../x\"," IDS "}}", "apiId: "},
        {"{\"type\":\"api.deployed\",\"payload\":{\"apiId\":\".x\"," IDS "}}", "apiId: "},
        {"{\"type\":\"api.deployed\",\"payload\":{\"apiId\":\"a/b\"," IDS "}}", "apiId: "},
        {"{\"type\":\"api.deployed\",\"payload\":{\"apiId\":\"a\\u0000\"," IDS "}}", "NUL"},
        {"{\"type\":\"llmproxy.deployed\",\"payload\":{\"apiId\":\"a\"," IDS "}}", "proxyId: got nothing"},
        {"{\"type\":\"api.deployed\",\"payload\":{\"apiId\":\"a\",\"performedAt\":\"2026-08-22T09:15:04Z\"}}",
         "deploymentId: got nothing"},
        {"{\"type\":\"api.deployed\",\"payload\":{\"apiId\":\"a\",\"deploymentId\":\"d\"}}",
         "performedAt: got nothing"},
        {"{\"type\":\"api.deployed\",\"payload\":{\"apiId\":\"a\",\"deploymentId\":\"d\",\"performedAt\":\"now\"}}",
         "performedAt: got something else, wanted an instant"},
        {"{\"type\":\"apikey.created\",\"payload\":{}}", "apiId: got nothing"},
        {"{\"type\":\"connection.ack\"}", "gatewayId: got nothing"},
        {"{\"type\":\"connection.ack\",\"gatewayId\":\"a b\"}", "gatewayId: "},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rg_event e;
        char why[RG_EVENT_WHY_MAX];
        print_message("%s\n", rows[i].text);
        assert_int_equal(rg_event_parse(rg_str_of(rows[i].text), &e, why), -EINVAL);
        print_message("    %s\n", why);
        assert_non_null(strstr(why, rows[i].why));
    }
}

static void the_longest_identifier(void **state)
{
    (void)state;
    char id[RG_ID_MAX + 1];
    memset(id, 'a', sizeof(id));
    assert_true(rg_id_is_valid((struct rg_str){id, RG_ID_MAX}));
    assert_false(rg_id_is_valid((struct rg_str){id, RG_ID_MAX + 1}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types),
        cmocka_unit_test(members),
        cmocka_unit_test(refusals),
        cmocka_unit_test(the_longest_identifier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
