/* Deployments, their history, and what the instances have answered: reading. Thread: the store's. */
#include "control/platform/deployment_rows.h"

#include "control/platform/handlers.h"
#include "control/platform/lookups.h"

/* A deployment that no status points to any more is ARCHIVED. It may be live all the same, where a newer one failed. */
#define DEPLOYMENT                                                                                                 \
    "SELECT d.uuid, d.display_name, g.handle, coalesce(s.status, 'ARCHIVED'), d.base_deployment_uuid, d.metadata," \
    " d.created_at, coalesce(s.updated_at, d.created_at), d.created_by, s.status_desired, s.status_reason,"        \
    " s.status_message, s.status_errors, s.performed_at, EXISTS (SELECT 1 FROM deployment_status l WHERE"          \
    " l.live_uuid = d.uuid) FROM deployments d JOIN gateways g ON g.uuid = d.gateway_uuid"                         \
    " LEFT JOIN deployment_status s ON s.deployment_uuid = d.uuid "

/* NULL: there are none. */
static json_t *errors_of(const struct rg_rows *rows, int column)
{
    return rg_rows_is_null(rows, column) ? NULL : rg_json_of_document(rg_rows_view(rows, column));
}

static json_t *deployment(struct rg_call *call, const struct rg_rows *rows)
{
    (void)call;
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:s*, s:o, s:s, s:s, s:s, s:s*, s:s*, s:s*, s:o*, s:s*}",
                     "deploymentId", rg_rows_text(rows, 0), "name", rg_rows_text(rows, 1), "gatewayId",
                     rg_rows_text(rows, 2), "status", rg_rows_text(rows, 3), "live", (int)rg_rows_int(rows, 14),
                     "baseDeploymentId", rg_rows_text(rows, 4), "metadata", rg_json_of_document(rg_rows_view(rows, 5)),
                     "createdAt", rg_rows_text(rows, 6), "updatedAt", rg_rows_text(rows, 7), "createdBy",
                     rg_rows_text(rows, 8), "statusDesired", rg_rows_text(rows, 9), "statusReason",
                     rg_rows_text(rows, 10), "statusMessage", rg_rows_text(rows, 11), "statusErrors",
                     errors_of(rows, 12), "performedAt", rg_rows_text(rows, 13));
}

static json_t *ack(struct rg_call *call, const struct rg_rows *rows)
{
    (void)call;
    return json_pack("{s:s, s:s, s:s, s:s*, s:s*, s:o*, s:s, s:I}", "instance", rg_rows_text(rows, 0), "action",
                     rg_rows_text(rows, 1), "status", rg_rows_text(rows, 2), "errorCode", rg_rows_text(rows, 3),
                     "errorMessage", rg_rows_text(rows, 4), "errors", errors_of(rows, 5), "receivedAt",
                     rg_rows_text(rows, 6), "times", (json_int_t)rg_rows_int(rows, 7));
}

/* Of the last operation. */
static json_t *acks_of(struct rg_call *call, const char *uuid)
{
    struct rg_rows rows;
    rg_db_query(call->db, &rows,
                "SELECT a.instance, a.action, a.status, a.error_code, a.message, a.errors, a.received_at, a.times"
                " FROM deployment_acks a JOIN deployment_status s ON s.deployment_uuid = a.deployment_uuid AND"
                " s.performed_at = a.performed_at WHERE a.deployment_uuid = ?1 ORDER BY a.instance",
                RG_WITH(rg_text(uuid)));
    return rg_rows_array(call, &rows, ack);
}

json_t *rg_deployment_read(struct rg_call *call, const char *uuid)
{
    struct rg_rows rows;
    rg_db_query(call->db, &rows, DEPLOYMENT "WHERE d.uuid = ?1", RG_WITH(rg_text(uuid)));
    json_t *found = rg_rows_first(call, &rows, deployment);
    if (found)
        json_object_set_new(found, "acks", acks_of(call, uuid));
    return found;
}

void rg_get_deployment(struct rg_call *call)
{
    struct rg_place place;
    char gateway[RG_CALL_HANDLE_MAX + 1];
    if (rg_find_deployment(call, &place, gateway))
        rg_answer_json(call, 200, rg_deployment_read(call, call->args[1]));
}

static bool is_status(const char *status)
{
    enum rg_status parsed;
    return strcmp(status, "ARCHIVED") == 0 || rg_status_parse(rg_str_of(status), &parsed);
}

#define CHOSEN                                                                                  \
    "WHERE d.artifact_uuid = ?1 AND g.deleted_at IS NULL AND (?2 IS NULL OR g.handle = ?2) AND" \
    " (?3 IS NULL OR coalesce(s.status, 'ARCHIVED') = ?3) "

void rg_list_deployments(struct rg_call *call)
{
    const char *gateway = rg_call_query(call, "gatewayId"), *status = rg_call_query(call, "status");
    char uuid[RG_UUID_LEN + 1];
    struct rg_found_artifact artifact;
    if (!rg_find_artifact(call, call->args[0], false, &artifact))
        return;
    if (status && !is_status(status)) {
        rg_refuse(call, 400, "DEPLOYMENT_INVALID_STATUS",
                  "status: got \"%.40s\", wanted DEPLOYED, UNDEPLOYED, DEPLOYING, UNDEPLOYING, FAILED or ARCHIVED.",
                  status);
        return;
    }
    if (gateway && !rg_find_gateway(call, gateway, uuid))
        return;
    const struct rg_value values[] = {rg_text(artifact.uuid), rg_text(gateway), rg_text(status)};
    rg_answer_list(call,
                   "SELECT count(*) FROM deployments d JOIN gateways g ON g.uuid = d.gateway_uuid LEFT JOIN"
                   " deployment_status s ON s.deployment_uuid = d.uuid " CHOSEN,
                   DEPLOYMENT CHOSEN "ORDER BY d.rowid DESC LIMIT ?4 OFFSET ?5", values, 3, deployment);
}

/* ---- History ---- */

static json_t *event(struct rg_call *call, const struct rg_rows *rows)
{
    (void)call;
    return json_pack("{s:I, s:s, s:s, s:o, s:s, s:s, s:s, s:s*, s:s*, s:s*, s:o*, s:s*}", "id",
                     (json_int_t)rg_rows_int(rows, 0), "at", rg_rows_text(rows, 1), "event", rg_rows_text(rows, 2),
                     "fromStatus", rg_json_of_text(rg_rows_text(rows, 3)), "toStatus", rg_rows_text(rows, 4),
                     "performedAt", rg_rows_text(rows, 5), "actor", rg_rows_text(rows, 6), "instance",
                     rg_rows_text(rows, 7), "errorCode", rg_rows_text(rows, 8), "errorMessage", rg_rows_text(rows, 9),
                     "errors", errors_of(rows, 10), "correlationId", rg_rows_text(rows, 11));
}

void rg_list_deployment_events(struct rg_call *call)
{
    struct rg_place place;
    char gateway[RG_CALL_HANDLE_MAX + 1];
    if (!rg_find_deployment(call, &place, gateway))
        return;
    const struct rg_value values[] = {rg_text(call->args[1])};
    rg_answer_list(call, "SELECT count(*) FROM deployment_events WHERE deployment_uuid = ?1",
                   "SELECT id, at, event, from_status, to_status, performed_at, actor, instance, error_code, message,"
                   " errors, correlation_id FROM deployment_events WHERE deployment_uuid = ?1 ORDER BY id"
                   " LIMIT ?2 OFFSET ?3",
                   values, 1, event);
}
