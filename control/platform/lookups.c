/* See lookups.h. */
#include "control/platform/lookups.h"

#include <stdio.h>

#include "control/platform/definitions.h"
#include "control/platform/documents.h"

bool rg_sees_all_organizations(struct rg_call *call)
{
    return rg_db_number(call->db, 0, "SELECT count(*) FROM organizations WHERE uuid = ?1 AND handle = 'default'",
                        RG_WITH(rg_text(call->organization))) > 0;
}

bool rg_find_organization(struct rg_call *call, const char *handle, char uuid[RG_UUID_LEN + 1])
{
    struct rg_rows rows;
    rg_db_query(call->db, &rows, "SELECT uuid FROM organizations WHERE handle = ?1 AND (uuid = ?2 OR ?3)",
                RG_WITH(rg_text(handle), rg_text(call->organization), rg_int(rg_sees_all_organizations(call))));
    bool found = rg_rows_next(&rows);
    if (found)
        snprintf(uuid, RG_UUID_LEN + 1, "%s", rg_rows_text(&rows, 0));
    else
        rg_refuse(call, 404, "ORGANIZATION_NOT_FOUND", "There is no organization \"%s\".", handle);
    rg_rows_end(&rows);
    return found;
}

bool rg_find_gateway(struct rg_call *call, const char *handle, char uuid[RG_UUID_LEN + 1])
{
    struct rg_rows rows;
    rg_db_query(call->db, &rows,
                "SELECT uuid FROM gateways WHERE organization_uuid = ?1 AND handle = ?2 AND deleted_at IS NULL",
                RG_WITH(rg_text(call->organization), rg_text(handle)));
    bool found = rg_rows_next(&rows);
    if (found)
        snprintf(uuid, RG_UUID_LEN + 1, "%s", rg_rows_text(&rows, 0));
    else
        rg_refuse(call, 404, "GATEWAY_NOT_FOUND", "There is no gateway \"%s\".", handle);
    rg_rows_end(&rows);
    return found;
}

static const char *not_found_code(enum rg_artifact_type type)
{
    static const char *const codes[RG_TYPES] = {[RG_TYPE_REST_API] = "REST_API_NOT_FOUND",
                                                [RG_TYPE_LLM_PROVIDER] = "LLM_PROVIDER_NOT_FOUND",
                                                [RG_TYPE_LLM_PROXY] = "LLM_PROXY_NOT_FOUND",
                                                [RG_TYPE_TEMPLATE] = "LLM_PROVIDER_TEMPLATE_NOT_FOUND"};
    return codes[type];
}

bool rg_find_artifact(struct rg_call *call, const char *handle, bool with_definition, struct rg_found_artifact *ret)
{
    struct rg_rows rows;
    *ret = (struct rg_found_artifact){0};
    rg_db_query(call->db, &rows,
                "SELECT a.uuid, a.managed_by, p.handle, CASE WHEN ?4 THEN a.definition END FROM artifacts a LEFT JOIN"
                " projects p ON p.uuid = a.project_uuid WHERE a.organization_uuid = ?1 AND a.kind = ?2 AND"
                " a.handle = ?3",
                RG_WITH(rg_text(call->organization), rg_text(rg_type_info(call->type)->name), rg_text(handle),
                        rg_int(with_definition)));
    bool found = rg_rows_next(&rows);
    if (found) {
        snprintf(ret->uuid, sizeof(ret->uuid), "%s", rg_rows_text(&rows, 0));
        snprintf(ret->managed_by, sizeof(ret->managed_by), "%s", rg_rows_text(&rows, 1));
        if (!rg_rows_is_null(&rows, 2))
            snprintf(ret->project, sizeof(ret->project), "%s", rg_rows_text(&rows, 2));
        if (with_definition) {
            ret->definition = rg_definition_open(call->store, rg_rows_view(&rows, 3), ret->uuid);
            found = ret->definition != NULL;
        }
    } else {
        rg_refuse(call, 404, not_found_code(call->type), "There is no %s \"%s\".", rg_type_noun(call->type), handle);
    }
    rg_rows_end(&rows);
    return found;
}

void rg_found_artifact_fini(struct rg_found_artifact *artifact)
{
    json_decref(artifact->definition);
    artifact->definition = NULL;
}

bool rg_find_deployment(struct rg_call *call, struct rg_place *place, char gateway[RG_CALL_HANDLE_MAX + 1])
{
    struct rg_found_artifact artifact;
    struct rg_rows rows;
    if (!rg_find_artifact(call, call->args[0], false, &artifact))
        return false;
    rg_db_query(call->db, &rows,
                "SELECT g.uuid, g.handle FROM deployments d JOIN gateways g ON g.uuid = d.gateway_uuid"
                " WHERE d.uuid = ?1 AND d.artifact_uuid = ?2 AND g.deleted_at IS NULL",
                RG_WITH(rg_text(call->args[1]), rg_text(artifact.uuid)));
    bool found = rg_rows_next(&rows);
    if (found) {
        *place = (struct rg_place){.type = call->type};
        snprintf(place->organization, sizeof(place->organization), "%s", call->organization);
        snprintf(place->artifact, sizeof(place->artifact), "%s", artifact.uuid);
        snprintf(place->gateway, sizeof(place->gateway), "%s", rg_rows_text(&rows, 0));
        snprintf(gateway, RG_CALL_HANDLE_MAX + 1, "%s", rg_rows_text(&rows, 1));
    } else {
        rg_refuse(call, 404, "DEPLOYMENT_NOT_FOUND", "The %s \"%s\" has no deployment \"%s\".",
                  rg_type_noun(call->type), call->args[0], call->args[1]);
    }
    rg_rows_end(&rows);
    return found;
}

json_t *rg_find_user(struct rg_call *call, const char *kind, const char *handle, const char *gateway)
{
    struct rg_rows rows;
    json_t *user = NULL;
    rg_db_query(call->db, &rows,
                "SELECT uuid, definition, handle FROM artifacts a WHERE organization_uuid = ?1 AND kind = ?2 AND"
                " (?3 = '' OR EXISTS (SELECT 1 FROM deployment_status s WHERE s.organization_uuid = ?1 AND"
                " s.artifact_uuid = a.uuid AND s.gateway_uuid = ?3 AND s.status IN ('DEPLOYED', 'DEPLOYING')))"
                " ORDER BY handle",
                RG_WITH(rg_text(call->organization), rg_text(kind), rg_text(gateway ? gateway : "")));
    while (!user && rg_rows_next(&rows)) {
        json_t *definition = rg_definition_open(call->store, rg_rows_view(&rows, 1), rg_rows_text(&rows, 0));
        if (rg_definition_names(definition, handle))
            user = json_string(rg_rows_text(&rows, 2));
        json_decref(definition);
    }
    rg_rows_end(&rows);
    return user;
}
