/* About the platform itself: how it stands, who did what, and the stream of events. Thread: the store's. */
#include "control/platform/answer.h"
#include "control/platform/handlers.h"
#include "control/platform/migrations.h"
#include "control/platform/openapi.h"

static json_t *statuses(struct rg_call *call)
{
    json_t *counts = json_object();
    struct rg_rows rows;
    rg_db_query(call->db, &rows,
                "SELECT status, count(*) FROM deployment_status WHERE organization_uuid = ?1 GROUP BY status",
                RG_WITH(rg_text(call->organization)));
    while (rg_rows_next(&rows))
        json_object_set_new(counts, rg_rows_text(&rows, 0), json_integer((json_int_t)rg_rows_int(&rows, 1)));
    return counts;
}

void rg_get_status(struct rg_call *call)
{
    const char *mine = call->organization;
    int64_t total =
        rg_db_number(call->db, 0, "SELECT count(*) FROM gateways WHERE organization_uuid = ?1 AND deleted_at IS NULL",
                     RG_WITH(rg_text(mine)));
    int64_t connected = rg_db_number(call->db, 0,
                                     "SELECT count(*) FROM gateways WHERE organization_uuid = ?1 AND"
                                     " deleted_at IS NULL AND is_active",
                                     RG_WITH(rg_text(mine)));
    rg_answer_json(call, 200,
                   json_pack("{s:s, s:i, s:{s:I, s:I}, s:o, s:s}", "version", RG_VERSION, "schemaVersion",
                             rg_migrations_done(call->db), "gateways", "total", (json_int_t)total, "connected",
                             (json_int_t)connected, "deployments", statuses(call), "time", call->now));
}

static json_t *entry(struct rg_call *call, const struct rg_rows *rows)
{
    (void)call;
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o}", "action", rg_rows_text(rows, 0), "resourceType",
                     rg_rows_text(rows, 1), "resourceId", rg_rows_text(rows, 2), "performedBy", rg_rows_text(rows, 3),
                     "performedAt", rg_rows_text(rows, 4), "peer", rg_json_of_text(rg_rows_text(rows, 5)), "requestId",
                     rg_json_of_text(rg_rows_text(rows, 6)));
}

void rg_list_audit(struct rg_call *call)
{
    const struct rg_value values[] = {rg_text(call->organization)};
    rg_answer_list(call, "SELECT count(*) FROM audit WHERE organization_uuid = ?1",
                   "SELECT action, resource_type, resource_uuid, performed_by, performed_at, peer, request_id"
                   " FROM audit WHERE organization_uuid = ?1 ORDER BY performed_at DESC, rowid DESC LIMIT ?2 OFFSET ?3",
                   values, 1, entry);
}

/* The carrier goes on from here: see struct rg_api_answer. */
void rg_get_events(struct rg_call *call)
{
    rg_answer_set(call->answer, 200, "text/event-stream", NULL, 0);
    call->answer->stream = true;
}

void rg_get_openapi(struct rg_call *call)
{
    size_t len = 0;
    char *text = rg_openapi_write(&len);
    rg_answer_bytes(call, "application/yaml", text, len);
}
