/* Organizations and their projects: who owns what. A token sees its own organization only; the administrator's of the
 * default organization makes others. Thread: the store's. */
#include "control/platform/handlers.h"
#include "control/platform/lookups.h"
#include "control/platform/schemas.h"
#include "control/platform/templates.h"

#include <stdio.h>

#define DEFAULT_PROJECT "default"

/* ---- Organizations ---- */

static json_t *organization(struct rg_call *call, const struct rg_rows *rows)
{
    (void)call;
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "id", rg_rows_text(rows, 0), "displayName",
                     rg_rows_text(rows, 1), "region", rg_rows_text(rows, 2), "createdAt", rg_rows_text(rows, 3),
                     "updatedAt", rg_rows_text(rows, 4), "uuid", rg_rows_text(rows, 5));
}

#define ORGANIZATION "SELECT handle, display_name, region, created_at, updated_at, uuid FROM organizations "

int rg_organization_furnish(struct rg_store *store, const char *organization_uuid, const char *now)
{
    char uuid[RG_UUID_LEN + 1];
    rg_uuid_make(uuid, rg_store_now(store));
    rg_db_exec(&store->db,
               "INSERT INTO projects (uuid, organization_uuid, handle, display_name, created_at, updated_at)"
               " VALUES (?1, ?2, '" DEFAULT_PROJECT "', 'Default', ?3, ?3) ON CONFLICT DO NOTHING",
               RG_WITH(rg_text(uuid), rg_text(organization_uuid), rg_text(now)));
    rg_templates_seed(store, organization_uuid, now);
    return store->db.error;
}

void rg_post_organization(struct rg_call *call)
{
    const struct rg_organization_input *in = call->input;
    char uuid[RG_UUID_LEN + 1];
    struct rg_rows rows;
    const char *handle = rg_call_handle(call, in->id, in->display_name, 1, 40, false);
    if (!handle)
        return;
    if (!rg_sees_all_organizations(call)) {
        rg_refuse(call, 403, "FORBIDDEN", "Only the administrator of the default organization makes others.");
        return;
    }
    rg_uuid_make(uuid, call->now_ms);
    if (rg_db_exec(call->db,
                   "INSERT INTO organizations (uuid, handle, display_name, region, created_at, updated_at)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
                   RG_WITH(rg_text(uuid), rg_text(handle), rg_view(in->display_name), rg_view(in->region),
                           rg_text(call->now))) < 0) {
        rg_refuse_conflict(call, "ORGANIZATION_EXISTS", "an organization", handle);
        return;
    }
    rg_organization_furnish(call->store, uuid, call->now);
    rg_audit(call, "CREATE", "organization", uuid);
    rg_db_query(call->db, &rows, ORGANIZATION "WHERE uuid = ?1", RG_WITH(rg_text(uuid)));
    rg_answer_located(call, rg_rows_first(call, &rows, organization), "/organizations/%s", handle);
}

void rg_list_organizations(struct rg_call *call)
{
    const struct rg_value values[] = {rg_text(call->organization), rg_int(rg_sees_all_organizations(call))};
    rg_answer_list(call, "SELECT count(*) FROM organizations WHERE uuid = ?1 OR ?2",
                   ORGANIZATION "WHERE uuid = ?1 OR ?2 ORDER BY handle LIMIT ?3 OFFSET ?4", values, 2, organization);
}

void rg_get_organization(struct rg_call *call)
{
    char uuid[RG_UUID_LEN + 1];
    struct rg_rows rows;
    if (!rg_find_organization(call, call->args[0], uuid))
        return;
    rg_db_query(call->db, &rows, ORGANIZATION "WHERE uuid = ?1", RG_WITH(rg_text(uuid)));
    rg_answer_json(call, 200, rg_rows_first(call, &rows, organization));
}

/* ---- Projects ---- */

#define PROJECT "SELECT handle, display_name, description, created_at, updated_at, uuid FROM projects "

static json_t *project(struct rg_call *call, const struct rg_rows *rows)
{
    (void)call;
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", rg_rows_text(rows, 0), "displayName", rg_rows_text(rows, 1),
                     "description", rg_rows_text(rows, 2), "createdAt", rg_rows_text(rows, 3), "updatedAt",
                     rg_rows_text(rows, 4));
}

static void query_project(struct rg_call *call, struct rg_rows *rows, const char *handle)
{
    rg_db_query(call->db, rows, PROJECT "WHERE organization_uuid = ?1 AND handle = ?2",
                RG_WITH(rg_text(call->organization), rg_text(handle)));
}

static void refuse_project(struct rg_call *call)
{
    rg_refuse(call, 404, "PROJECT_NOT_FOUND", "There is no project \"%s\".", call->args[0]);
}

void rg_post_project(struct rg_call *call)
{
    const struct rg_project_input *in = call->input;
    char uuid[RG_UUID_LEN + 1];
    struct rg_rows rows;
    const char *handle = rg_call_handle(call, in->id, in->display_name, 1, 40, false);
    if (!handle)
        return;
    rg_uuid_make(uuid, call->now_ms);
    if (rg_db_exec(call->db,
                   "INSERT INTO projects (uuid, organization_uuid, handle, display_name, description, created_at,"
                   " updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
                   RG_WITH(rg_text(uuid), rg_text(call->organization), rg_text(handle), rg_view(in->display_name),
                           rg_view(in->description), rg_text(call->now))) < 0) {
        rg_refuse_conflict(call, "PROJECT_EXISTS", "a project", handle);
        return;
    }
    rg_audit(call, "CREATE", "project", uuid);
    query_project(call, &rows, handle);
    rg_answer_located(call, rg_rows_first(call, &rows, project), "/projects/%s", handle);
}

void rg_list_projects(struct rg_call *call)
{
    const struct rg_value values[] = {rg_text(call->organization)};
    rg_answer_list(call, "SELECT count(*) FROM projects WHERE organization_uuid = ?1",
                   PROJECT "WHERE organization_uuid = ?1 ORDER BY handle LIMIT ?2 OFFSET ?3", values, 1, project);
}

void rg_get_project(struct rg_call *call)
{
    struct rg_rows rows;
    query_project(call, &rows, call->args[0]);
    if (rg_rows_next(&rows))
        rg_answer_json(call, 200, project(call, &rows));
    else
        refuse_project(call);
    rg_rows_end(&rows);
}

void rg_delete_project(struct rg_call *call)
{
    char uuid[RG_UUID_LEN + 1] = "";
    struct rg_rows rows;
    query_project(call, &rows, call->args[0]);
    if (rg_rows_next(&rows))
        snprintf(uuid, sizeof(uuid), "%s", rg_rows_text(&rows, 5));
    rg_rows_end(&rows);
    if (!uuid[0]) {
        refuse_project(call);
    } else if (strcmp(call->args[0], DEFAULT_PROJECT) == 0) {
        rg_refuse(call, 409, "PROJECT_IN_USE", "The default project can't be deleted.");
    } else if (rg_db_exec(call->db, "DELETE FROM projects WHERE uuid = ?1", RG_WITH(rg_text(uuid))) < 0) {
        rg_refuse(call, 409, "PROJECT_IN_USE", "The project \"%s\" has APIs; delete them first.", call->args[0]);
    } else {
        rg_audit(call, "DELETE", "project", uuid);
        rg_answer_nothing(call);
    }
}
