/*
 * REST APIs, LLM providers, proxies and templates: kept as they came, sealed, and checked as a gateway would check what
 * becomes of them. Thread: the store's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/common/yaml_write.h"
#include "control/platform/artifacts.h"
#include "control/platform/definitions.h"
#include "control/platform/documents.h"
#include "control/platform/handlers.h"
#include "control/platform/wire.h"

/* ---- Checking ---- */

/* What is changed is mostly deployed next, as the same document: the check says of it what it said before. */
static bool has_passed(const struct rg_store *store, const char *hash)
{
    for (unsigned i = 0; i < RG_STORE_PASSED; i++)
        if (strcmp(store->passed[i], hash) == 0)
            return true;
    return false;
}

static void note_passed(struct rg_store *store, const char *hash)
{
    memcpy(store->passed[store->n_passed++ % RG_STORE_PASSED], hash, sizeof(store->passed[0]));
}

bool rg_artifact_passes(struct rg_call *call, const char *yaml, size_t len, const char *code)
{
    char hash[RG_SHA256_LEN + 1];
    struct rg_problems problems;
    if (!call->store->config.check)
        return true;
    rg_sha256_hex(hash, (struct rg_str){yaml, len});
    if (has_passed(call->store, hash))
        return true;
    rg_problems_init(&problems);
    int rc = call->store->config.check(yaml, len, &problems, call->store->config.check_arg);
    if (rc == -EINVAL)
        rg_refuse_found(call, code, &problems);
    else if (rc)
        rg_store_fail(call->store, rc);
    else
        note_passed(call->store, hash);
    rg_problems_fini(&problems);
    return rc == 0;
}

char *rg_artifact_yaml(struct rg_call *call, const struct rg_document_identity *identity, const json_t *definition,
                       const struct rg_deploy_metadata *metadata, size_t *ret_len)
{
    json_t *document = rg_document_make(identity, definition);
    char *yaml = NULL;
    if (document && metadata)
        rg_document_override(document, metadata);
    int rc = document ? rg_yaml_write(document, &yaml, ret_len) : -ENOMEM;
    json_decref(document);
    if (rc)
        rg_store_fail(call->store, rc);
    return rc ? NULL : yaml;
}

static bool check_definition(struct rg_call *call, const char *handle, const char *uuid, const char *project,
                             const json_t *definition)
{
    size_t len;
    if (call->type >= RG_TYPE_DEPLOYABLE)
        return true;
    struct rg_document_identity identity = {call->type, handle, uuid, project};
    char *yaml = rg_artifact_yaml(call, &identity, definition, NULL, &len);
    bool passes = yaml && rg_artifact_passes(call, yaml, len, "VALIDATION_FAILED");
    free(yaml);
    return passes;
}

/* What it refers to has to be there. */
static bool exists(struct rg_call *call, const char *kind, const char *path, const char *handle)
{
    if (rg_db_number(call->db, 0,
                     "SELECT count(*) FROM artifacts WHERE organization_uuid = ?1 AND kind = ?2 AND handle = ?3",
                     RG_WITH(rg_text(call->organization), rg_text(kind), rg_text(handle))) > 0)
        return true;
    rg_refuse_field(call, path, "there is no %s \"%s\"", rg_type_noun(rg_type_of_kind(kind)), handle);
    return false;
}

static bool provider_exists(struct rg_call *call, const json_t *provider, const char *path)
{
    const json_t *id = json_is_object(provider) ? json_object_get(provider, "id") : provider;
    if (!json_is_string(id)) {
        rg_refuse_field(call, path, "got %s, wanted the handle of an LLM provider, or an object with it as id",
                        provider ? "something else" : "nothing");
        return false;
    }
    return exists(call, "LlmProvider", path, json_string_value(id));
}

static bool references_exist(struct rg_call *call, const struct rg_artifact_input *in)
{
    const json_t *more = json_object_get(call->body, "additionalProviders"), *provider;
    char path[64];
    size_t i;
    if (call->type == RG_TYPE_LLM_PROVIDER)
        return exists(call, "LlmProviderTemplate", "template", rg_call_text(call, in->provider_template));
    if (call->type != RG_TYPE_LLM_PROXY)
        return true;
    bool exist = provider_exists(call, json_object_get(call->body, "provider"), "provider");
    json_array_foreach(more, i, provider)
    {
        snprintf(path, sizeof(path), "additionalProviders[%zu]", i);
        exist = provider_exists(call, provider, path) && exist;
    }
    return exist;
}

/* false: refused. "": the kind has no projects. */
static bool find_project(struct rg_call *call, struct rg_str handle, char uuid[RG_UUID_LEN + 1])
{
    struct rg_rows rows;
    uuid[0] = '\0';
    if (call->type != RG_TYPE_REST_API && call->type != RG_TYPE_LLM_PROXY)
        return true;
    rg_db_query(call->db, &rows, "SELECT uuid FROM projects WHERE organization_uuid = ?1 AND handle = ?2",
                RG_WITH(rg_text(call->organization), rg_view(handle)));
    bool found = rg_rows_next(&rows);
    if (found)
        snprintf(uuid, RG_UUID_LEN + 1, "%s", rg_rows_text(&rows, 0));
    else
        rg_refuse_field(call, "projectId", "there is no project \"%.*s\"", (int)handle.len, handle.ptr);
    rg_rows_end(&rows);
    return found;
}

/* ---- Showing ---- */

#define ARTIFACT                                                                                                   \
    "SELECT a.handle, a.uuid, a.definition, a.created_by, a.created_at, a.updated_by, a.updated_at, a.managed_by," \
    " p.handle FROM artifacts a LEFT JOIN projects p ON p.uuid = a.project_uuid "
#define MINE "WHERE a.organization_uuid = ?1 AND a.kind = ?2 "

static json_t *artifact(struct rg_call *call, const struct rg_rows *rows)
{
    json_t *shown = rg_definition_open(call->store, rg_rows_view(rows, 2), rg_rows_text(rows, 1));
    if (!shown)
        return NULL;
    rg_definition_redact(shown);
    json_t *about =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "id", rg_rows_text(rows, 0), "uuid", rg_rows_text(rows, 1),
                  "createdBy", rg_rows_text(rows, 3), "createdAt", rg_rows_text(rows, 4), "updatedBy",
                  rg_rows_text(rows, 5), "updatedAt", rg_rows_text(rows, 6));
    if (call->type == RG_TYPE_TEMPLATE)
        json_object_set_new(about, "managedBy", json_string(rg_rows_text(rows, 7)));
    if (!rg_rows_is_null(rows, 8))
        json_object_set_new(about, "projectId", json_string(rg_rows_text(rows, 8)));
    json_object_update(shown, about);
    json_decref(about);
    return shown;
}

static json_t *read_artifact(struct rg_call *call, const char *handle)
{
    struct rg_rows rows;
    rg_db_query(call->db, &rows, ARTIFACT MINE "AND a.handle = ?3",
                RG_WITH(rg_text(call->organization), rg_text(rg_type_info(call->type)->name), rg_text(handle)));
    return rg_rows_first(call, &rows, artifact);
}

void rg_list_artifacts(struct rg_call *call)
{
    const char *project = rg_call_query(call, "projectId");
    const struct rg_value values[] = {rg_text(call->organization), rg_text(rg_type_info(call->type)->name),
                                      rg_text(project)};
    rg_answer_list(call,
                   "SELECT count(*) FROM artifacts a LEFT JOIN projects p ON p.uuid = a.project_uuid " MINE
                   "AND (?3 IS NULL OR p.handle = ?3)",
                   ARTIFACT MINE "AND (?3 IS NULL OR p.handle = ?3) ORDER BY a.handle LIMIT ?4 OFFSET ?5", values, 3,
                   artifact);
}

void rg_get_artifact(struct rg_call *call)
{
    struct rg_found_artifact found;
    if (rg_find_artifact(call, call->args[0], false, &found))
        rg_answer_json(call, 200, read_artifact(call, call->args[0]));
}

/* ---- Create and change ---- */

/* What is kept: the body without what the platform itself adds when it is shown. */
static json_t *definition_of(struct rg_call *call)
{
    static const char *const added[] = {"id",        "uuid",      "createdBy", "createdAt",
                                        "updatedBy", "updatedAt", "managedBy", "projectId"};
    json_t *definition = json_deep_copy(call->body);
    for (size_t i = 0; i < sizeof(added) / sizeof(added[0]); i++)
        json_object_del(definition, added[i]);
    return definition;
}

static void write_new(struct rg_call *call, const char *handle, const char *uuid, const char *project,
                      struct rg_str sealed)
{
    const struct rg_artifact_input *in = call->input;
    if (rg_db_exec(call->db,
                   "INSERT INTO artifacts (uuid, organization_uuid, project_uuid, kind, handle, display_name, version,"
                   " definition, created_by, created_at, updated_by, updated_at)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?9, ?10)",
                   RG_WITH(rg_text(uuid), rg_text(call->organization), rg_text(project[0] ? project : NULL),
                           rg_text(rg_type_info(call->type)->name), rg_text(handle), rg_view(in->display_name),
                           rg_view(in->version), rg_blob(sealed), rg_text(call->actor.name), rg_text(call->now))) < 0) {
        rg_refuse_conflict(call, "ARTIFACT_EXISTS", "an artifact of this kind", handle);
        return;
    }
    rg_audit(call, "CREATE", rg_type_info(call->type)->name, uuid);
    rg_answer_located(call, read_artifact(call, handle), "/%s/%s", rg_type_info(call->type)->collection, handle);
}

/* All that is wrong is looked for, so that it is told at once; the rows of the body were checked before. */
static bool is_good(struct rg_call *call, const char *handle, const char *uuid, char project[RG_UUID_LEN + 1],
                    const json_t *definition)
{
    const struct rg_artifact_input *in = call->input;
    bool good = find_project(call, in->project, project);
    good = references_exist(call, in) && good;
    good =
        check_definition(call, handle, uuid, project[0] ? rg_call_text(call, in->project) : NULL, definition) && good;
    return good && !rg_problems_any(&call->problems);
}

void rg_post_artifact(struct rg_call *call)
{
    const struct rg_artifact_input *in = call->input;
    char uuid[RG_UUID_LEN + 1], project[RG_UUID_LEN + 1];
    struct rg_str sealed;
    const char *handle = rg_call_handle(call, in->id, in->display_name, 1, RG_CALL_HANDLE_MAX, true);
    rg_uuid_make(uuid, call->now_ms);
    json_t *definition = definition_of(call);
    if (is_good(call, handle ? handle : "unnamed", uuid, project, definition) &&
        rg_definition_seal(call->store, definition, uuid, &sealed) == 0) {
        write_new(call, handle, uuid, project, sealed);
        free((void *)(uintptr_t)sealed.ptr);
    }
    json_decref(definition);
}

static void write_again(struct rg_call *call, const char *uuid, const char *project, struct rg_str sealed)
{
    const struct rg_artifact_input *in = call->input;
    rg_db_exec(call->db,
               "UPDATE artifacts SET project_uuid = ?2, display_name = ?3, version = ?4, definition = ?5,"
               " updated_by = ?6, updated_at = ?7 WHERE uuid = ?1",
               RG_WITH(rg_text(uuid), rg_text(project[0] ? project : NULL), rg_view(in->display_name),
                       rg_view(in->version), rg_blob(sealed), rg_text(call->actor.name), rg_text(call->now)));
    rg_audit(call, "UPDATE", rg_type_info(call->type)->name, uuid);
    rg_answer_json(call, 200, read_artifact(call, call->args[0]));
}

static bool may_change(struct rg_call *call, const struct rg_found_artifact *found)
{
    if (strcmp(found->managed_by, "organization") == 0)
        return true;
    rg_refuse(call, 403, "LLM_PROVIDER_TEMPLATE_READ_ONLY", "The template \"%s\" is built in; make one of your own.",
              call->args[0]);
    return false;
}

void rg_put_artifact(struct rg_call *call)
{
    const struct rg_artifact_input *in = call->input;
    struct rg_found_artifact found;
    char project[RG_UUID_LEN + 1];
    struct rg_str sealed;
    if (in->id.len && !rg_str_eq(in->id, rg_str_of(call->args[0])))
        rg_refuse_field(call, "id", "a handle can't be changed; it is \"%s\"", call->args[0]);
    if (!rg_find_artifact(call, call->args[0], true, &found))
        return;
    json_t *definition = definition_of(call);
    rg_definition_keep_secrets(definition, found.definition);
    if (may_change(call, &found) && is_good(call, call->args[0], found.uuid, project, definition) &&
        rg_definition_seal(call->store, definition, found.uuid, &sealed) == 0) {
        write_again(call, found.uuid, project, sealed);
        free((void *)(uintptr_t)sealed.ptr);
    }
    json_decref(definition);
    rg_found_artifact_fini(&found);
}

/* ---- Delete ---- */

static bool is_unused(struct rg_call *call)
{
    const char *kind = call->type == RG_TYPE_LLM_PROVIDER ? "LlmProxy" : "LlmProvider";
    if (call->type != RG_TYPE_LLM_PROVIDER && call->type != RG_TYPE_TEMPLATE)
        return true;
    json_t *user = rg_find_user(call, kind, call->args[0], NULL);
    if (user)
        rg_refuse(call, 409, "ARTIFACT_IN_USE", "The %s \"%s\" uses it; change or delete that first.",
                  rg_type_noun(rg_type_of_kind(kind)), json_string_value(user));
    bool unused = user == NULL;
    json_decref(user);
    return unused;
}

/* Every gateway of the organization hears of it: one that was away asks when it comes back. */
static void tell_gateways(struct rg_call *call, const char *uuid)
{
    struct rg_rows rows;
    char *text = rg_wire_deployment(call->type, "deleted", uuid, NULL, NULL, call->now_ms, call->correlation);
    if (!text) {
        rg_store_fail(call->store, -ENOMEM);
        return;
    }
    rg_db_query(call->db, &rows, "SELECT uuid FROM gateways WHERE organization_uuid = ?1",
                RG_WITH(rg_text(call->organization)));
    while (rg_rows_next(&rows))
        rg_effects_add(call->effects, RG_EFFECT_SEND, rg_rows_text(&rows, 0), text);
    free(text);
}

void rg_delete_artifact(struct rg_call *call)
{
    struct rg_found_artifact found;
    if (!rg_find_artifact(call, call->args[0], false, &found) || !may_change(call, &found) || !is_unused(call))
        return;
    if (call->type < RG_TYPE_DEPLOYABLE)
        tell_gateways(call, found.uuid);
    rg_db_exec(call->db, "DELETE FROM artifacts WHERE uuid = ?1", RG_WITH(rg_text(found.uuid)));
    rg_audit(call, "DELETE", rg_type_info(call->type)->name, found.uuid);
    rg_answer_nothing(call);
}
