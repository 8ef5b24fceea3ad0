/* What may become of a deployment: the table of states and triggers, and what lets a transition through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "control/platform/state.h"

/* What has to come of each pair, in the order of the enums, with the circumstances that let it through:
 * N DEPLOYING, D DEPLOYED, U UNDEPLOYING, u UNDEPLOYED, F FAILED; "-" nothing, "x" refused or discarded. */
static const char *const wanted[RG_STATUSES] = {
    /* DEPLOY, RESTORE, UNDEPLOY, GATEWAY_DELETED, ACK_DEPLOYED, ACK_UNDEPLOYED, ACK_FAILED, TIMEOUT */
    [RG_STATUS_NONE] = "NNx-xxx-",        [RG_STATUS_DEPLOYING] = "NxUUDxFF",  [RG_STATUS_DEPLOYED] = "NxUU-xF-",
    [RG_STATUS_UNDEPLOYING] = "NNx-xuFF", [RG_STATUS_UNDEPLOYED] = "NNx-x-F-", [RG_STATUS_FAILED] = "NNUUDuF-",
};

static char letter_of(struct rg_decision decision)
{
    static const char letters[RG_STATUSES] = {'?', 'N', 'D', 'U', 'u', 'F'};
    if (decision.verdict == RG_VERDICT_MOVE)
        return letters[decision.next];
    return decision.verdict == RG_VERDICT_SAME || decision.verdict == RG_VERDICT_WAIT ? '-' : 'x';
}

static void test_every_pair(void **state)
{
    (void)state;
    for (int status = 0; status < RG_STATUSES; status++) {
        for (int trigger = 0; trigger < RG_TRIGGERS; trigger++) {
            struct rg_circumstances c = {.none_failed = true, .desires_deployed = trigger != RG_TRIGGER_ACK_UNDEPLOYED};
            struct rg_decision decision = rg_state_decide((enum rg_status)status, (enum rg_trigger)trigger, &c);
            if (letter_of(decision) != wanted[status][trigger])
                fail_msg("%s x %s: got %c, wanted %c", rg_status_name((enum rg_status)status),
                         rg_trigger_name((enum rg_trigger)trigger), letter_of(decision), wanted[status][trigger]);
        }
    }
}

static void test_guards(void **state)
{
    (void)state;
    struct rg_circumstances c = {.others_missing = true, .desires_deployed = true};
    assert_int_equal(rg_state_decide(RG_STATUS_DEPLOYING, RG_TRIGGER_ACK_DEPLOYED, &c).verdict, RG_VERDICT_WAIT);
    c = (struct rg_circumstances){.desires_deployed = true};
    assert_int_equal(rg_state_decide(RG_STATUS_FAILED, RG_TRIGGER_ACK_DEPLOYED, &c).verdict, RG_VERDICT_SAME);
    c = (struct rg_circumstances){.other_deployment = true};
    assert_int_equal(rg_state_decide(RG_STATUS_DEPLOYED, RG_TRIGGER_RESTORE, &c).next, RG_STATUS_DEPLOYING);
    assert_int_equal(rg_state_decide(RG_STATUS_DEPLOYED, RG_TRIGGER_UNDEPLOY, &c).verdict, RG_VERDICT_NOT_ACTIVE);
    c = (struct rg_circumstances){.lenient = true, .desires_deployed = false};
    assert_int_equal(rg_state_decide(RG_STATUS_UNDEPLOYING, RG_TRIGGER_TIMEOUT, &c).next, RG_STATUS_UNDEPLOYED);
    c.desires_deployed = true;
    assert_int_equal(rg_state_decide(RG_STATUS_DEPLOYING, RG_TRIGGER_TIMEOUT, &c).next, RG_STATUS_DEPLOYED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_pair),
        cmocka_unit_test(test_guards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
