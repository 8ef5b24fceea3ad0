/* See transitions.h: how it stands, what is written, and then each trigger: start, end, an instance that leaves. */
#include "control/platform/transitions.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/platform/api_keys.h"
#include "control/platform/wire.h"

/* ---- How it stands ---- */

#define COLUMNS                                                                                          \
    "s.deployment_uuid, s.status, s.status_desired, s.performed_at, s.performed_at_ms, s.status_reason," \
    " coalesce(s.live_uuid, '')"

static void read_current(struct rg_store *store, const struct rg_rows *rows, struct rg_current *ret)
{
    snprintf(ret->deployment, sizeof(ret->deployment), "%s", rg_rows_text(rows, 0));
    if (!rg_status_parse(rg_rows_view(rows, 1), &ret->status))
        rg_store_fail(store, -EBADMSG);
    ret->desires_deployed = strcmp(rg_rows_text(rows, 2), "DEPLOYED") == 0;
    snprintf(ret->performed_at, sizeof(ret->performed_at), "%s", rg_rows_text(rows, 3));
    ret->performed_ms = rg_rows_int(rows, 4);
    snprintf(ret->live, sizeof(ret->live), "%s", rg_rows_text(rows, 6));
}

void rg_current_load(struct rg_store *store, const struct rg_place *place, struct rg_current *ret)
{
    struct rg_rows rows;
    *ret = (struct rg_current){0};
    rg_db_query(&store->db, &rows,
                "SELECT " COLUMNS " FROM deployment_status s WHERE organization_uuid = ?1 AND artifact_uuid = ?2"
                " AND gateway_uuid = ?3",
                RG_WITH(rg_text(place->organization), rg_text(place->artifact), rg_text(place->gateway)));
    if (rg_rows_next(&rows))
        read_current(store, &rows, ret);
    rg_rows_end(&rows);
}

/*
 * Instances that gave a name are expected to answer each; of others the first answer counts, because replicas that
 * share a database answer once. What was found is kept: those before it have answered, and who comes later stands
 * behind it.
 */
static bool others_missing(struct rg_store *store, const struct rg_place *place, const struct rg_current *current)
{
    int64_t session = rg_db_number(
        &store->db, -1,
        "SELECT s.id FROM temp.sessions s WHERE s.gateway_uuid = ?1 AND s.named = 1 AND s.id >= coalesce((SELECT"
        " m.session FROM temp.missing m WHERE m.artifact_uuid = ?4 AND m.gateway_uuid = ?1 AND m.performed_at = ?3), 0)"
        " AND NOT EXISTS (SELECT 1 FROM deployment_acks a WHERE a.deployment_uuid = ?2 AND a.performed_at = ?3 AND"
        " a.instance = s.instance) ORDER BY s.id LIMIT 1",
        RG_WITH(rg_text(place->gateway), rg_text(current->deployment), rg_text(current->performed_at),
                rg_text(place->artifact)));
    if (session >= 0)
        rg_db_exec(&store->db,
                   "INSERT INTO temp.missing (artifact_uuid, gateway_uuid, performed_at, session)"
                   " VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET performed_at = excluded.performed_at,"
                   " session = excluded.session",
                   RG_WITH(rg_text(place->artifact), rg_text(place->gateway), rg_text(current->performed_at),
                           rg_int(session)));
    return session >= 0;
}

/* ---- Writing ---- */

static void write_history(struct rg_store *store, const char *deployment, const char *at, enum rg_trigger trigger,
                          enum rg_status from, enum rg_status to, const char *performed_at,
                          const struct rg_failure *failure, const struct rg_actor *actor)
{
    rg_db_exec(&store->db,
               "INSERT INTO deployment_events (deployment_uuid, at, event, from_status, to_status, performed_at, actor,"
               " instance, error_code, message, errors, correlation_id)"
               " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
               RG_WITH(rg_text(deployment), rg_text(at), rg_text(rg_trigger_name(trigger)),
                       rg_text(from == RG_STATUS_NONE ? NULL : rg_status_name(from)), rg_text(rg_status_name(to)),
                       rg_text(performed_at), rg_text(actor->name), rg_text(actor->instance), rg_text(failure->code),
                       rg_text(failure->message), rg_text(failure->errors), rg_text(actor->correlation)));
}

/* For event streams: that a status has changed, and why. */
static void notify(struct rg_store *store, const struct rg_place *place, const char *deployment, enum rg_status status,
                   const struct rg_failure *failure, const char *at, struct rg_effects *effects)
{
    struct rg_rows rows;
    char *text = NULL;
    rg_db_query(&store->db, &rows,
                "SELECT a.handle, g.handle FROM artifacts a, gateways g WHERE a.uuid = ?1 AND g.uuid = ?2",
                RG_WITH(rg_text(place->artifact), rg_text(place->gateway)));
    if (rg_rows_next(&rows)) {
        json_t *notice = json_pack(
            "{s:s, s:s, s:s, s:s, s:s, s:s, s:s*, s:s*, s:o*, s:s}", "type", "deployment.status", "kind",
            rg_type_info(place->type)->name, "artifactId", rg_rows_text(&rows, 0), "gatewayId", rg_rows_text(&rows, 1),
            "deploymentId", deployment, "status", rg_status_name(status), "errorCode", failure->code, "errorMessage",
            failure->message, "errors", failure->errors ? json_loads(failure->errors, 0, NULL) : NULL, "timestamp", at);
        text = notice ? json_dumps(notice, JSON_COMPACT) : NULL;
        json_decref(notice);
        if (!text)
            effects->lost = true;
    }
    rg_rows_end(&rows);
    if (text)
        rg_effects_add(effects, RG_EFFECT_NOTICE, place->organization, text);
    free(text);
}

/* Strictly growing for an artifact on a gateway, whatever the clock does. */
static int64_t tick(struct rg_store *store, const struct rg_place *place)
{
    int64_t now = rg_store_now(store);
    int64_t last = rg_db_number(&store->db, 0,
                                "SELECT last_ms FROM deployment_clock WHERE artifact_uuid = ?1 AND gateway_uuid = ?2",
                                RG_WITH(rg_text(place->artifact), rg_text(place->gateway)));
    int64_t next = now > last ? now : last + 1;
    rg_db_exec(&store->db,
               "INSERT INTO deployment_clock (artifact_uuid, gateway_uuid, last_ms) VALUES (?1, ?2, ?3)"
               " ON CONFLICT DO UPDATE SET last_ms = excluded.last_ms",
               RG_WITH(rg_text(place->artifact), rg_text(place->gateway), rg_int(next)));
    return next;
}

/* ---- Start ---- */

static void write_status(struct rg_store *store, const struct rg_place *place, const char *deployment,
                         enum rg_status next, const char *performed_at, int64_t performed_ms, const char *by)
{
    rg_db_exec(&store->db,
               "INSERT INTO deployment_status (artifact_uuid, organization_uuid, gateway_uuid, deployment_uuid, status,"
               " status_desired, performed_at, performed_at_ms, performed_by, updated_at, waits_since_ms)"
               " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?7, ?10) ON CONFLICT DO UPDATE SET"
               " deployment_uuid = excluded.deployment_uuid, status = excluded.status,"
               " status_desired = excluded.status_desired, performed_at = excluded.performed_at,"
               " performed_at_ms = excluded.performed_at_ms, performed_by = excluded.performed_by,"
               " updated_at = excluded.updated_at, waits_since_ms = excluded.waits_since_ms, status_reason = NULL,"
               " status_message = NULL, status_errors = NULL",
               RG_WITH(rg_text(place->artifact), rg_text(place->organization), rg_text(place->gateway),
                       rg_text(deployment), rg_text(rg_status_name(next)),
                       rg_text(next == RG_STATUS_DEPLOYING ? "DEPLOYED" : "UNDEPLOYED"), rg_text(performed_at),
                       rg_int(performed_ms), rg_text(by), rg_int(rg_store_steady(store))));
}

static void tell_gateway(struct rg_store *store, const struct rg_place *place, const char *deployment, bool deploy,
                         const char *performed_at, const struct rg_actor *actor, struct rg_effects *effects)
{
    char *text = rg_wire_deployment(place->type, deploy ? "deployed" : "undeployed", place->artifact, deployment,
                                    performed_at, rg_store_now(store), actor->correlation);
    if (!text) {
        effects->lost = true;
        return;
    }
    rg_effects_add(effects, RG_EFFECT_SEND, place->gateway, text);
    free(text);
    if (deploy)
        rg_api_keys_replay(store, place->artifact, place->gateway, actor->correlation, effects);
}

enum rg_verdict rg_operation_start(struct rg_store *store, const struct rg_place *place, const char *deployment,
                                   enum rg_trigger trigger, const struct rg_actor *actor, struct rg_effects *effects)
{
    static const struct rg_failure none = {0};
    struct rg_current current;
    rg_current_load(store, place, &current);
    struct rg_circumstances circumstances = {.other_deployment = strcmp(current.deployment, deployment) != 0};
    struct rg_decision decision = rg_state_decide(current.status, trigger, &circumstances);
    if (decision.verdict != RG_VERDICT_MOVE)
        return decision.verdict;
    char performed_at[RG_INSTANT_TEXT_MAX];
    int64_t performed_ms = tick(store, place);
    rg_store_time(performed_at, performed_ms);
    write_status(store, place, deployment, decision.next, performed_at, performed_ms, actor->name);
    write_history(store, deployment, performed_at, trigger, current.status, decision.next, performed_at, &none, actor);
    tell_gateway(store, place, deployment, decision.next == RG_STATUS_DEPLOYING, performed_at, actor, effects);
    notify(store, place, deployment, decision.next, &none, performed_at, effects);
    rg_effects_add(effects, RG_EFFECT_WAKE_SWEEPER, "", NULL);
    return RG_VERDICT_MOVE;
}

/* ---- End ---- */

/* Asked only of what is FAILED: it reads what all instances have said. */
static bool none_failed(struct rg_store *store, const struct rg_current *current)
{
    return current->status == RG_STATUS_FAILED &&
           rg_db_number(&store->db, 0,
                        "SELECT count(*) FROM deployment_acks WHERE deployment_uuid = ?1 AND performed_at = ?2 AND"
                        " status = 'failed'",
                        RG_WITH(rg_text(current->deployment), rg_text(current->performed_at))) == 0;
}

enum rg_verdict rg_operation_settle(struct rg_store *store, const struct rg_place *place,
                                    const struct rg_current *current, enum rg_trigger trigger,
                                    const struct rg_failure *failure, const struct rg_actor *actor,
                                    struct rg_effects *effects)
{
    struct rg_circumstances circumstances = {.none_failed = none_failed(store, current),
                                             .desires_deployed = current->desires_deployed,
                                             .others_missing = others_missing(store, place, current),
                                             .lenient = store->config.timeout_mode == RG_TIMEOUT_LENIENT};
    struct rg_decision decision = rg_state_decide(current->status, trigger, &circumstances);
    if (decision.verdict != RG_VERDICT_MOVE)
        return decision.verdict;
    struct rg_failure why = decision.next == RG_STATUS_FAILED ? *failure : (struct rg_failure){0};
    char now[RG_INSTANT_TEXT_MAX];
    rg_store_time(now, rg_store_now(store));
    rg_db_exec(&store->db,
               "UPDATE deployment_status SET status = ?4, status_reason = ?5, status_message = ?6, status_errors = ?7,"
               " updated_at = ?8, live_uuid = CASE ?4 WHEN 'DEPLOYED' THEN deployment_uuid WHEN 'UNDEPLOYED' THEN NULL"
               " ELSE live_uuid END WHERE organization_uuid = ?1 AND artifact_uuid = ?2 AND gateway_uuid = ?3",
               RG_WITH(rg_text(place->organization), rg_text(place->artifact), rg_text(place->gateway),
                       rg_text(rg_status_name(decision.next)), rg_text(why.code), rg_text(why.message),
                       rg_text(why.errors), rg_text(now)));
    write_history(store, current->deployment, now, trigger, current->status, decision.next, current->performed_at, &why,
                  actor);
    notify(store, place, current->deployment, decision.next, &why, now, effects);
    if (decision.next == RG_STATUS_UNDEPLOYED)
        rg_gateway_finish(store, place->gateway, effects);
    return RG_VERDICT_MOVE;
}

/* ---- What an instance that leaves no longer holds up ---- */

/* The first of the gateway's operations, from this artifact on, for which a success is noted. */
static bool next_waiting(struct rg_store *store, const char *gateway, struct rg_place *place,
                         struct rg_current *current)
{
    struct rg_rows rows;
    rg_db_query(&store->db, &rows,
                "SELECT " COLUMNS ", s.organization_uuid, s.artifact_uuid, a.kind FROM deployment_status s"
                " JOIN artifacts a ON a.uuid = s.artifact_uuid WHERE s.gateway_uuid = ?1 AND s.artifact_uuid > ?2"
                " AND s.status IN ('DEPLOYING', 'UNDEPLOYING', 'FAILED') AND EXISTS (SELECT 1 FROM deployment_acks k"
                " WHERE k.deployment_uuid = s.deployment_uuid AND k.performed_at = s.performed_at"
                " AND k.status = 'success') ORDER BY s.artifact_uuid LIMIT 1",
                RG_WITH(rg_text(gateway), rg_text(place->artifact)));
    bool found = rg_rows_next(&rows);
    if (found) {
        *current = (struct rg_current){0};
        read_current(store, &rows, current);
        snprintf(place->organization, sizeof(place->organization), "%s", rg_rows_text(&rows, 7));
        snprintf(place->artifact, sizeof(place->artifact), "%s", rg_rows_text(&rows, 8));
        place->type = rg_type_of_kind(rg_rows_text(&rows, 9));
    }
    rg_rows_end(&rows);
    return found;
}

void rg_operations_recheck(struct rg_store *store, const char *gateway, struct rg_effects *effects)
{
    static const struct rg_failure none = {0};
    static const struct rg_actor actor = {.name = "platform"};
    struct rg_place place = {0};
    struct rg_current current;
    snprintf(place.gateway, sizeof(place.gateway), "%s", gateway);
    while (next_waiting(store, gateway, &place, &current)) {
        enum rg_trigger trigger = current.desires_deployed ? RG_TRIGGER_ACK_DEPLOYED : RG_TRIGGER_ACK_UNDEPLOYED;
        rg_operation_settle(store, &place, &current, trigger, &none, &actor, effects);
    }
}

/* Nothing of it is wanted any more, and it has said that nothing is left: the row may go, and with it its tokens. */
void rg_gateway_finish(struct rg_store *store, const char *gateway, struct rg_effects *effects)
{
    if (rg_db_number(&store->db, 0, "SELECT count(*) FROM gateways WHERE uuid = ?1 AND deleted_at IS NOT NULL",
                     RG_WITH(rg_text(gateway))) == 0 ||
        rg_db_number(&store->db, 0,
                     "SELECT count(*) FROM deployment_status WHERE gateway_uuid = ?1 AND status <> 'UNDEPLOYED'",
                     RG_WITH(rg_text(gateway))) > 0)
        return;
    rg_db_exec(&store->db, "DELETE FROM gateways WHERE uuid = ?1", RG_WITH(rg_text(gateway)));
    rg_effects_add(effects, RG_EFFECT_CLOSE_GATEWAY, gateway, "The gateway was deleted.");
}
