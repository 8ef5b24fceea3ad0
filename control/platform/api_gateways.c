/*
 * Gateways as operators see them. Deleting one undeploys everything from it first: until it has said that nothing is
 * left (or has been away for a week) its row stays, hidden, and its tokens go on working. Thread: the store's.
 */
#include <stdio.h>
#include <stdlib.h>

#include "control/platform/handlers.h"
#include "control/platform/lookups.h"
#include "control/platform/schemas.h"

#define GATEWAY                                                                                                   \
    "SELECT uuid, handle, display_name, description, endpoints, gateway_functionality_type, version, properties," \
    " is_critical, is_active, last_seen_at, created_by, created_at, updated_at FROM gateways "
#define MINE "WHERE organization_uuid = ?1 AND deleted_at IS NULL "

static json_t *instance_name(struct rg_call *call, const struct rg_rows *rows)
{
    (void)call;
    return rg_json_of_text(rg_rows_text(rows, 0));
}

static json_t *instances_of(struct rg_call *call, const char *gateway)
{
    struct rg_rows rows;
    rg_db_query(call->db, &rows, "SELECT instance FROM temp.sessions WHERE gateway_uuid = ?1 ORDER BY instance",
                RG_WITH(rg_text(gateway)));
    return rg_rows_array(call, &rows, instance_name);
}

static json_t *gateway(struct rg_call *call, const struct rg_rows *rows)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:o, s:b, s:b, s:o, s:o, s:s, s:s, s:s}", "id",
                     rg_rows_text(rows, 1), "uuid", rg_rows_text(rows, 0), "displayName", rg_rows_text(rows, 2),
                     "description", rg_rows_text(rows, 3), "endpoints", rg_json_of_document(rg_rows_view(rows, 4)),
                     "functionalityType", rg_rows_text(rows, 5), "version", rg_rows_text(rows, 6), "properties",
                     rg_json_of_document(rg_rows_view(rows, 7)), "isCritical", (int)rg_rows_int(rows, 8), "isActive",
                     (int)rg_rows_int(rows, 9), "instances", instances_of(call, rg_rows_text(rows, 0)), "lastSeenAt",
                     rg_json_of_text(rg_rows_text(rows, 10)), "createdBy", rg_rows_text(rows, 11), "createdAt",
                     rg_rows_text(rows, 12), "updatedAt", rg_rows_text(rows, 13));
}

static json_t *read_gateway(struct rg_call *call, const char *handle)
{
    struct rg_rows rows;
    rg_db_query(call->db, &rows, GATEWAY MINE "AND handle = ?2", RG_WITH(rg_text(call->organization), rg_text(handle)));
    return rg_rows_first(call, &rows, gateway);
}

/* ---- Create and change ---- */

static const char *endpoints_text(struct rg_call *call, const struct rg_param_list *endpoints)
{
    json_t *list = json_array();
    const struct rg_str *items = endpoints->items;
    for (size_t i = 0; i < endpoints->n; i++)
        json_array_append_new(list, rg_json_of_view(items[i]));
    char *text = json_dumps(list, JSON_COMPACT);
    json_decref(list);
    const char *copy = text ? rg_call_text(call, rg_str_of(text)) : "[]";
    free(text);
    return copy;
}

/* NULL: refused. */
static const char *properties_text(struct rg_call *call, struct rg_str properties)
{
    if (properties.len == 0 || rg_str_eq(properties, RG_STR("null")))
        return "{}";
    if (properties.ptr[0] != '{') {
        rg_refuse_field(call, "properties", "got %.*s, wanted an object",
                        (int)(properties.len < 60 ? properties.len : 60), properties.ptr);
        return NULL;
    }
    return rg_call_text(call, properties);
}

void rg_post_gateway(struct rg_call *call)
{
    const struct rg_gateway_input *in = call->input;
    char uuid[RG_UUID_LEN + 1];
    const char *handle = rg_call_handle(call, in->id, in->display_name, 3, 40, false);
    const char *properties = handle ? properties_text(call, in->properties) : NULL;
    if (!properties)
        return;
    rg_uuid_make(uuid, call->now_ms);
    if (rg_db_exec(call->db,
                   "INSERT INTO gateways (uuid, organization_uuid, handle, display_name, description, endpoints,"
                   " gateway_functionality_type, version, properties, is_critical, created_by, created_at, updated_at)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12)",
                   RG_WITH(rg_text(uuid), rg_text(call->organization), rg_text(handle), rg_view(in->display_name),
                           rg_view(in->description), rg_text(endpoints_text(call, &in->endpoints)),
                           rg_text(rg_functionality_words[in->functionality]), rg_view(in->version),
                           rg_text(properties), rg_int(in->is_critical), rg_text(call->actor.name),
                           rg_text(call->now))) < 0) {
        rg_refuse_conflict(call, "GATEWAY_EXISTS", "a gateway", handle);
        return;
    }
    rg_audit(call, "CREATE", "gateway", uuid);
    rg_answer_located(call, read_gateway(call, handle), "/gateways/%s", handle);
}

void rg_put_gateway(struct rg_call *call)
{
    const struct rg_gateway_input *in = call->input;
    char uuid[RG_UUID_LEN + 1];
    const char *properties = properties_text(call, in->properties);
    if (!properties || !rg_find_gateway(call, call->args[0], uuid))
        return;
    if (in->id.len && !rg_str_eq(in->id, rg_str_of(call->args[0]))) {
        rg_refuse_field(call, "id", "a handle can't be changed; it is \"%s\"", call->args[0]);
        return;
    }
    rg_db_exec(call->db,
               "UPDATE gateways SET display_name = ?2, description = ?3, endpoints = ?4,"
               " gateway_functionality_type = ?5, version = CASE WHEN ?6 = '' THEN version ELSE ?6 END,"
               " properties = ?7, is_critical = ?8, updated_at = ?9 WHERE uuid = ?1",
               RG_WITH(rg_text(uuid), rg_view(in->display_name), rg_view(in->description),
                       rg_text(endpoints_text(call, &in->endpoints)),
                       rg_text(rg_functionality_words[in->functionality]), rg_view(in->version), rg_text(properties),
                       rg_int(in->is_critical), rg_text(call->now)));
    rg_audit(call, "UPDATE", "gateway", uuid);
    rg_answer_json(call, 200, read_gateway(call, call->args[0]));
}

/* ---- Look ---- */

void rg_list_gateways(struct rg_call *call)
{
    const struct rg_value values[] = {rg_text(call->organization)};
    rg_answer_list(call, "SELECT count(*) FROM gateways " MINE, GATEWAY MINE "ORDER BY handle LIMIT ?2 OFFSET ?3",
                   values, 1, gateway);
}

void rg_get_gateway(struct rg_call *call)
{
    char uuid[RG_UUID_LEN + 1];
    if (rg_find_gateway(call, call->args[0], uuid))
        rg_answer_json(call, 200, read_gateway(call, call->args[0]));
}

void rg_get_gateway_manifest(struct rg_call *call)
{
    char uuid[RG_UUID_LEN + 1];
    struct rg_rows rows;
    if (!rg_find_gateway(call, call->args[0], uuid))
        return;
    rg_db_query(call->db, &rows, "SELECT manifest FROM gateways WHERE uuid = ?1 AND manifest IS NOT NULL",
                RG_WITH(rg_text(uuid)));
    if (rg_rows_next(&rows))
        rg_answer_json(call, 200, rg_json_of_document(rg_rows_view(&rows, 0)));
    else
        rg_refuse(call, 404, "GATEWAY_MANIFEST_NOT_FOUND", "The gateway \"%s\" has not connected yet.", call->args[0]);
    rg_rows_end(&rows);
}

/* ---- Delete ---- */

struct doomed {
    struct rg_place place;
    char deployment[RG_UUID_LEN + 1];
};

/* One that is not on its way out yet. */
static bool next_doomed(struct rg_call *call, const char *gateway_uuid, struct doomed *ret)
{
    struct rg_rows rows;
    rg_db_query(call->db, &rows,
                "SELECT s.artifact_uuid, s.deployment_uuid, a.kind FROM deployment_status s JOIN artifacts a ON"
                " a.uuid = s.artifact_uuid WHERE s.gateway_uuid = ?1 AND s.status NOT IN ('UNDEPLOYING', 'UNDEPLOYED')"
                " LIMIT 1",
                RG_WITH(rg_text(gateway_uuid)));
    bool found = rg_rows_next(&rows);
    if (found) {
        *ret = (struct doomed){.place.type = rg_type_of_kind(rg_rows_text(&rows, 2))};
        snprintf(ret->place.organization, sizeof(ret->place.organization), "%s", call->organization);
        snprintf(ret->place.gateway, sizeof(ret->place.gateway), "%s", gateway_uuid);
        snprintf(ret->place.artifact, sizeof(ret->place.artifact), "%s", rg_rows_text(&rows, 0));
        snprintf(ret->deployment, sizeof(ret->deployment), "%s", rg_rows_text(&rows, 1));
    }
    rg_rows_end(&rows);
    return found;
}

void rg_delete_gateway(struct rg_call *call)
{
    char uuid[RG_UUID_LEN + 1];
    struct doomed doomed;
    if (!rg_find_gateway(call, call->args[0], uuid))
        return;
    rg_db_exec(call->db, "UPDATE gateways SET deleted_at = ?2, deleted_at_ms = ?3, updated_at = ?2 WHERE uuid = ?1",
               RG_WITH(rg_text(uuid), rg_text(call->now), rg_int(rg_store_steady(call->store))));
    while (next_doomed(call, uuid, &doomed) &&
           rg_operation_start(call->store, &doomed.place, doomed.deployment, RG_TRIGGER_GATEWAY_DELETED, &call->actor,
                              call->effects) == RG_VERDICT_MOVE)
        ;
    rg_gateway_finish(call->store, uuid, call->effects);
    rg_audit(call, "DELETE", "gateway", uuid);
    rg_answer_nothing(call);
}
