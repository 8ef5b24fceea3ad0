/*
 * What the state machine (state.h) decides, done in the database: status, performed_at, history, and the effects that
 * follow. The only place that writes deployment_status. Thread: the store's, in a transaction.
 */
#ifndef RG_PLATFORM_TRANSITIONS_H
#define RG_PLATFORM_TRANSITIONS_H

#include "control/platform/kinds.h"
#include "control/platform/state.h"
#include "control/platform/store_parts.h"

#define RG_REASON_TIMEOUT "DEPLOYMENT_TIMEOUT"

/* One artifact on one gateway. */
struct rg_place {
    enum rg_artifact_type type;
    char organization[RG_UUID_LEN + 1];
    char artifact[RG_UUID_LEN + 1];
    char gateway[RG_UUID_LEN + 1];
};

struct rg_current {
    enum rg_status status; /* NONE: no row */
    bool desires_deployed;
    char deployment[RG_UUID_LEN + 1];
    char live[RG_UUID_LEN + 1]; /* what the gateway said last that it serves; "": nothing */
    char performed_at[RG_INSTANT_TEXT_MAX];
    int64_t performed_ms;
};

/* Why something failed. */
struct rg_failure {
    const char *code; /* NULL: nothing did */
    const char *message;
    const char *errors; /* the same one by one, as rg_problems_json has them; NULL: there is one sentence */
};

void rg_current_load(struct rg_store *store, const struct rg_place *place, struct rg_current *ret);

/*
 * Starts an operation (DEPLOY, RESTORE, UNDEPLOY, GATEWAY_DELETED) with this deployment: a new performed_at, the event
 * for the gateway. The verdict is MOVE, or why not; then nothing has changed.
 */
enum rg_verdict rg_operation_start(struct rg_store *store, const struct rg_place *place, const char *deployment,
                                   enum rg_trigger trigger, const struct rg_actor *actor, struct rg_effects *effects);

/* Ends one (ACK_*, TIMEOUT), as `current` says that it stands. */
enum rg_verdict rg_operation_settle(struct rg_store *store, const struct rg_place *place,
                                    const struct rg_current *current, enum rg_trigger trigger,
                                    const struct rg_failure *failure, const struct rg_actor *actor,
                                    struct rg_effects *effects);

/* An acknowledgement that waits for those of other instances may be all that there is: looks again. */
void rg_operations_recheck(struct rg_store *store, const char *gateway, struct rg_effects *effects);

/* Removes what is left of a deleted gateway once it has undeployed everything. */
void rg_gateway_finish(struct rg_store *store, const char *gateway, struct rg_effects *effects);

#endif
