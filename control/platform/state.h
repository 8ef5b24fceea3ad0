/*
 * The life of a deployment on a gateway, as one table: status and trigger lead to what comes next. Nothing here knows
 * the database; transitions.c does what the table says.
 *
 *   deploy, restore -> DEPLOYING -> (acknowledged) DEPLOYED    any failure or no answer in time -> FAILED
 *   undeploy -> UNDEPLOYING -> (acknowledged) UNDEPLOYED       the same
 *
 * Thread: any (pure).
 */
#ifndef RG_PLATFORM_STATE_H
#define RG_PLATFORM_STATE_H

#include "datapath/base/str.h"

enum rg_status {
    RG_STATUS_NONE, /* there is no deployment of the artifact on the gateway */
    RG_STATUS_DEPLOYING,
    RG_STATUS_DEPLOYED,
    RG_STATUS_UNDEPLOYING,
    RG_STATUS_UNDEPLOYED,
    RG_STATUS_FAILED,
    RG_STATUSES
};

enum rg_trigger {
    RG_TRIGGER_DEPLOY,
    RG_TRIGGER_RESTORE,
    RG_TRIGGER_UNDEPLOY,
    RG_TRIGGER_GATEWAY_DELETED,
    RG_TRIGGER_ACK_DEPLOYED,   /* success of `deploy`, of the operation that the status is about */
    RG_TRIGGER_ACK_UNDEPLOYED, /* success of `undeploy`, the same */
    RG_TRIGGER_ACK_FAILED,
    RG_TRIGGER_TIMEOUT,
    RG_TRIGGERS
};

enum rg_verdict {
    RG_VERDICT_MOVE,       /* to the next status; the history gets a line */
    RG_VERDICT_WAIT,       /* noted; other instances have not answered yet */
    RG_VERDICT_SAME,       /* known already: nothing to do */
    RG_VERDICT_DISCARD,    /* does not belong to this operation */
    RG_VERDICT_NOT_ACTIVE, /* 409 DEPLOYMENT_NOT_ACTIVE */
    RG_VERDICT_CONFLICT    /* 409 DEPLOYMENT_RESTORE_CONFLICT */
};

/* What a decision hangs on beside the status. */
struct rg_circumstances {
    bool other_deployment; /* the trigger is about another deployment than the status */
    bool none_failed;      /* FAILED for the time alone, or all instances that had failed have succeeded since */
    bool desires_deployed; /* else undeployed */
    bool others_missing;   /* connected instances that have not acknowledged */
    bool lenient;
};

struct rg_decision {
    enum rg_verdict verdict;
    enum rg_status next;
};

struct rg_decision rg_state_decide(enum rg_status status, enum rg_trigger trigger,
                                   const struct rg_circumstances *circumstances);

const char *rg_status_name(enum rg_status status);
bool rg_status_parse(struct rg_str name, enum rg_status *ret); /* not NONE */
const char *rg_trigger_name(enum rg_trigger trigger);          /* in the history */

#endif
