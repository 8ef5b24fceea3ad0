/* Acknowledgements, and the table by which orders come to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>

#include "control/agent/ack.h"
#include "control/agent/deployment.h"

/* ---- What an acknowledgement says ---- */

static json_t *payload_of(const struct rg_ack *ack)
{
    char *text = rg_ack_write(ack);
    assert_non_null(text);
    json_t *root = json_loads(text, 0, NULL);
    free(text);
    assert_string_equal(json_string_value(json_object_get(root, "type")), "deployment.ack");
    assert_int_equal(json_object_size(root), 2);
    json_t *payload = json_incref(json_object_get(root, "payload"));
    json_decref(root);
    return payload;
}

static const struct rg_ack plain = {.kind = RG_KIND_LLM_PROXY,
                                    .deploy = true,
                                    .artifact_id = "a-1",
                                    .deployment_id = "d-1",
                                    .performed_at = "2026-08-22T09:15:04.1Z"};

static void success_has_no_error(void **state)
{
    (void)state;
    struct rg_ack ack = plain;
    ack.error_message = "not shown";
    json_t *got = payload_of(&ack);
    json_t *wanted =
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "deploymentId", "d-1", "artifactId", "a-1", "resourceType", "llmproxy",
                  "action", "deploy", "status", "success", "performedAt", "2026-08-22T09:15:04.1Z");
    assert_true(json_equal(got, wanted));
    json_decref(got);
    json_decref(wanted);
}

static void failure_says_why(void **state)
{
    (void)state;
    struct rg_ack ack = plain;
    ack.deploy = false;
    ack.error_code = RG_ACK_ID_MISMATCH;
    ack.error_message = "caf\xc3\xa9 \xff\xed\xa0\x80 \"x\"\n";
    ack.errors = json_pack("[{s:s, s:s}]", "field", "spec.a", "message", "got 1");
    json_t *got = payload_of(&ack);
    assert_true(json_equal(json_object_get(got, "errors"), ack.errors));
    json_decref(ack.errors);
    assert_string_equal(json_string_value(json_object_get(got, "action")), "undeploy");
    assert_string_equal(json_string_value(json_object_get(got, "status")), "failed");
    assert_string_equal(json_string_value(json_object_get(got, "errorCode")), "DEPLOYMENT_ID_MISMATCH");
    assert_string_equal(json_string_value(json_object_get(got, "errorMessage")), "caf\xc3\xa9 ???? \"x\"\n");
    json_decref(got);
}

static void messages_are_cut_between_characters(void **state)
{
    (void)state;
    char message[RG_ACK_MESSAGE_MAX + 8];
    struct rg_ack ack = plain;
    memset(message, 'x', sizeof(message));
    memcpy(message + RG_ACK_MESSAGE_MAX - 1, "\xc3\xa9", 3);
    ack.error_code = RG_ACK_PROCESSING_ERROR;
    ack.error_message = message;
    json_t *got = payload_of(&ack);
    assert_int_equal(json_string_length(json_object_get(got, "errorMessage")), RG_ACK_MESSAGE_MAX - 1);
    json_decref(got);
}

/* ---- The table ---- */

/* Plays news, checks the way. Ends with RG_NEWS. */
static void plays(const enum rg_order_news *news, const enum rg_order_state *states, enum rg_order_act last)
{
    struct rg_order_step step = {RG_ORDER_QUEUED, RG_ACT_NOTHING};
    for (; *news != RG_NEWS; news++, states++) {
        step = rg_order_step(step.next, *news);
        assert_int_not_equal(step.act, RG_ACT_REFUSE);
        assert_int_equal(step.next, *states);
    }
    assert_int_equal(step.act, last);
}

static void the_ways_of_orders(void **state)
{
    (void)state;
    /* a deployment that goes well, with a definition that waited for another */
    plays((enum rg_order_news[]){RG_NEWS_TURN, RG_NEWS_FETCHED, RG_NEWS_FETCHED, RG_NEWS_COMPILED, RG_NEWS_PUBLISHED,
                                 RG_NEWS_SWITCHED, RG_NEWS_SAVED, RG_NEWS},
          (enum rg_order_state[]){RG_ORDER_FETCHING, RG_ORDER_HELD, RG_ORDER_HELD, RG_ORDER_READY, RG_ORDER_SWITCHING,
                                  RG_ORDER_SAVING, RG_ORDER_DONE},
          RG_ACT_ACK_SUCCESS);
    /* an undeployment */
    plays((enum rg_order_news[]){RG_NEWS_COMPILED, RG_NEWS_PUBLISHED, RG_NEWS_SWITCHED, RG_NEWS_SAVED, RG_NEWS},
          (enum rg_order_state[]){RG_ORDER_READY, RG_ORDER_SWITCHING, RG_ORDER_SAVING, RG_ORDER_DONE},
          RG_ACT_ACK_SUCCESS);
    /* out of a batch that failed, then alone */
    plays((enum rg_order_news[]){RG_NEWS_TURN, RG_NEWS_AGAIN, RG_NEWS_TURN, RG_NEWS_FAILED, RG_NEWS},
          (enum rg_order_state[]){RG_ORDER_FETCHING, RG_ORDER_QUEUED, RG_ORDER_FETCHING, RG_ORDER_DONE},
          RG_ACT_ACK_FAILURE);
    /* a late worker: the failure, and then the success that takes it back */
    plays((enum rg_order_news[]){RG_NEWS_TURN, RG_NEWS_FETCHED, RG_NEWS_COMPILED, RG_NEWS_PUBLISHED, RG_NEWS_OVERDUE,
                                 RG_NEWS},
          (enum rg_order_state[]){RG_ORDER_FETCHING, RG_ORDER_HELD, RG_ORDER_READY, RG_ORDER_SWITCHING, RG_ORDER_LATE},
          RG_ACT_ACK_FAILURE);
    plays((enum rg_order_news[]){RG_NEWS_COMPILED, RG_NEWS_PUBLISHED, RG_NEWS_OVERDUE, RG_NEWS_SWITCHED, RG_NEWS_SAVED,
                                 RG_NEWS},
          (enum rg_order_state[]){RG_ORDER_READY, RG_ORDER_SWITCHING, RG_ORDER_LATE, RG_ORDER_SAVING, RG_ORDER_DONE},
          RG_ACT_ACK_SUCCESS);
}

static void a_newer_order_drops_what_is_not_published(void **state)
{
    (void)state;
    for (unsigned s = RG_ORDER_QUEUED; s <= RG_ORDER_READY; s++) {
        struct rg_order_step step = rg_order_step((enum rg_order_state)s, RG_NEWS_NEWER);
        assert_int_equal(step.next, RG_ORDER_DONE);
        assert_int_equal(step.act, RG_ACT_DROP);
    }
    for (unsigned s = RG_ORDER_SWITCHING; s <= RG_ORDER_SAVING; s++) {
        struct rg_order_step step = rg_order_step((enum rg_order_state)s, RG_NEWS_NEWER);
        assert_int_equal(step.next, s);
        assert_int_equal(step.act, RG_ACT_NOTHING);
    }
}

/* Whatever else happens: success is said after saving alone, once, and nothing is said after the end. */
static void the_table_says_no_more_than_is_true(void **state)
{
    (void)state;
    for (unsigned s = 0; s < RG_ORDER_STATES; s++) {
        assert_non_null(rg_order_state_name((enum rg_order_state)s));
        for (unsigned n = 0; n < RG_NEWS; n++) {
            struct rg_order_step step = rg_order_step((enum rg_order_state)s, (enum rg_order_news)n);
            if (step.act == RG_ACT_ACK_SUCCESS)
                assert_true(s == RG_ORDER_SAVING && n == RG_NEWS_SAVED && step.next == RG_ORDER_DONE);
            if (s == RG_ORDER_DONE)
                assert_int_equal(step.act, RG_ACT_REFUSE);
            if (step.act == RG_ACT_SAVE)
                assert_int_equal(n, RG_NEWS_SWITCHED);
            if (step.next == RG_ORDER_DONE && step.act != RG_ACT_REFUSE)
                assert_true(step.act == RG_ACT_DROP || step.act == RG_ACT_ACK_SUCCESS ||
                            step.act == RG_ACT_ACK_FAILURE);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(success_has_no_error),
        cmocka_unit_test(failure_says_why),
        cmocka_unit_test(messages_are_cut_between_characters),
        cmocka_unit_test(the_ways_of_orders),
        cmocka_unit_test(a_newer_order_drops_what_is_not_published),
        cmocka_unit_test(the_table_says_no_more_than_is_true),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
