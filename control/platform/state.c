/* See state.h: the table first, then what reads it. */
#include "control/platform/state.h"

#include "datapath/base/assert.h"

/* What has to hold for a row's move; otherwise the row's other verdict is taken. */
enum guard {
    ALWAYS,
    OTHER,          /* about another deployment */
    SAME,           /* about this deployment */
    ALL_ANSWERED,   /* no connected instance is missing */
    LATE_DEPLOYED,  /* a success that comes after the time was up, or makes up for a failure, of a deploy */
    LATE_UNDEPLOYED /* the same, of an undeploy */
};

struct row {
    enum rg_status status;
    enum rg_trigger trigger;
    enum guard guard;
    enum rg_status next;
    enum rg_verdict otherwise;
};

#define ROW(status, trigger, guard, next, otherwise)                                              \
    {                                                                                             \
        RG_STATUS_##status, RG_TRIGGER_##trigger, guard, RG_STATUS_##next, RG_VERDICT_##otherwise \
    }

/* A pair that has no row does not move: see `unlisted`. */
static const struct row rows[] = {
    ROW(NONE, DEPLOY, ALWAYS, DEPLOYING, SAME),
    ROW(DEPLOYING, DEPLOY, ALWAYS, DEPLOYING, SAME),
    ROW(DEPLOYED, DEPLOY, ALWAYS, DEPLOYING, SAME),
    ROW(UNDEPLOYING, DEPLOY, ALWAYS, DEPLOYING, SAME),
    ROW(UNDEPLOYED, DEPLOY, ALWAYS, DEPLOYING, SAME),
    ROW(FAILED, DEPLOY, ALWAYS, DEPLOYING, SAME),

    ROW(NONE, RESTORE, ALWAYS, DEPLOYING, SAME),
    ROW(DEPLOYING, RESTORE, OTHER, DEPLOYING, CONFLICT),
    ROW(DEPLOYED, RESTORE, OTHER, DEPLOYING, CONFLICT),
    ROW(UNDEPLOYING, RESTORE, ALWAYS, DEPLOYING, SAME),
    ROW(UNDEPLOYED, RESTORE, ALWAYS, DEPLOYING, SAME),
    ROW(FAILED, RESTORE, ALWAYS, DEPLOYING, SAME),

    ROW(DEPLOYING, UNDEPLOY, SAME, UNDEPLOYING, NOT_ACTIVE),
    ROW(DEPLOYED, UNDEPLOY, SAME, UNDEPLOYING, NOT_ACTIVE),
    ROW(FAILED, UNDEPLOY, SAME, UNDEPLOYING, NOT_ACTIVE),

    ROW(DEPLOYING, GATEWAY_DELETED, ALWAYS, UNDEPLOYING, SAME),
    ROW(DEPLOYED, GATEWAY_DELETED, ALWAYS, UNDEPLOYING, SAME),
    ROW(FAILED, GATEWAY_DELETED, ALWAYS, UNDEPLOYING, SAME),

    ROW(DEPLOYING, ACK_DEPLOYED, ALL_ANSWERED, DEPLOYED, WAIT),
    ROW(FAILED, ACK_DEPLOYED, LATE_DEPLOYED, DEPLOYED, SAME),
    ROW(UNDEPLOYING, ACK_UNDEPLOYED, ALL_ANSWERED, UNDEPLOYED, WAIT),
    ROW(FAILED, ACK_UNDEPLOYED, LATE_UNDEPLOYED, UNDEPLOYED, SAME),

    ROW(DEPLOYING, ACK_FAILED, ALWAYS, FAILED, SAME),
    ROW(DEPLOYED, ACK_FAILED, ALWAYS, FAILED, SAME),
    ROW(UNDEPLOYING, ACK_FAILED, ALWAYS, FAILED, SAME),
    ROW(UNDEPLOYED, ACK_FAILED, ALWAYS, FAILED, SAME),
    ROW(FAILED, ACK_FAILED, ALWAYS, FAILED, SAME), /* the reason of the last one is shown, the history has all */

    ROW(DEPLOYING, TIMEOUT, ALWAYS, FAILED, SAME),
    ROW(UNDEPLOYING, TIMEOUT, ALWAYS, FAILED, SAME),
};

static bool holds(enum guard guard, const struct rg_circumstances *c)
{
    switch (guard) {
    case ALWAYS:
        return true;
    case OTHER:
        return c->other_deployment;
    case SAME:
        return !c->other_deployment;
    case ALL_ANSWERED:
        return !c->others_missing;
    case LATE_DEPLOYED:
        return c->none_failed && c->desires_deployed && !c->others_missing;
    case LATE_UNDEPLOYED:
        return c->none_failed && !c->desires_deployed && !c->others_missing;
    }
    return false;
}

static enum rg_verdict unlisted(enum rg_status status, enum rg_trigger trigger)
{
    switch (trigger) {
    case RG_TRIGGER_UNDEPLOY:
        return RG_VERDICT_NOT_ACTIVE;
    case RG_TRIGGER_ACK_DEPLOYED:
        return status == RG_STATUS_DEPLOYED ? RG_VERDICT_SAME : RG_VERDICT_DISCARD;
    case RG_TRIGGER_ACK_UNDEPLOYED:
        return status == RG_STATUS_UNDEPLOYED ? RG_VERDICT_SAME : RG_VERDICT_DISCARD;
    case RG_TRIGGER_ACK_FAILED:
        return RG_VERDICT_DISCARD;
    default:
        return RG_VERDICT_SAME;
    }
}

/* In lenient mode what nobody acknowledges is taken for done. */
static enum rg_status next_of(const struct row *row, const struct rg_circumstances *c)
{
    if (row->trigger == RG_TRIGGER_TIMEOUT && c->lenient)
        return c->desires_deployed ? RG_STATUS_DEPLOYED : RG_STATUS_UNDEPLOYED;
    return row->next;
}

struct rg_decision rg_state_decide(enum rg_status status, enum rg_trigger trigger,
                                   const struct rg_circumstances *circumstances)
{
    RG_ASSERT(status < RG_STATUSES && trigger < RG_TRIGGERS);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        if (row->status != status || row->trigger != trigger)
            continue;
        if (holds(row->guard, circumstances))
            return (struct rg_decision){RG_VERDICT_MOVE, next_of(row, circumstances)};
        return (struct rg_decision){row->otherwise, status};
    }
    return (struct rg_decision){unlisted(status, trigger), status};
}

/* ---- Names ---- */

static const char *const status_names[] = {"NONE", "DEPLOYING", "DEPLOYED", "UNDEPLOYING", "UNDEPLOYED", "FAILED"};
static const char *const trigger_names[] = {"DEPLOY",       "RESTORE",        "UNDEPLOY",   "GATEWAY_DELETED",
                                            "ACK_DEPLOYED", "ACK_UNDEPLOYED", "ACK_FAILED", "TIMEOUT"};
_Static_assert(sizeof(status_names) / sizeof(status_names[0]) == RG_STATUSES, "a name for each status");
_Static_assert(sizeof(trigger_names) / sizeof(trigger_names[0]) == RG_TRIGGERS, "a name for each trigger");

const char *rg_status_name(enum rg_status status)
{
    return status_names[status];
}

bool rg_status_parse(struct rg_str name, enum rg_status *ret)
{
    for (int i = RG_STATUS_NONE + 1; i < RG_STATUSES; i++) {
        if (rg_str_eq(name, rg_str_of(status_names[i]))) {
            *ret = (enum rg_status)i;
            return true;
        }
    }
    return false;
}

const char *rg_trigger_name(enum rg_trigger trigger)
{
    return trigger_names[trigger];
}
