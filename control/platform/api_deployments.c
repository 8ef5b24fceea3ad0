/*
 * Deployments: made once and never changed. What was asked for is written in the same transaction as the state that
 * follows from it. Thread: the store's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/common/yaml_json.h"
#include "control/common/yaml_write.h"
#include "control/platform/artifacts.h"
#include "control/platform/definitions.h"
#include "control/platform/deployment_rows.h"
#include "control/platform/handlers.h"

/* ---- Deploy: what the gateway gets ---- */

static bool is_current(const struct rg_deploy_input *in)
{
    return rg_str_eq(in->base, RG_STR("current"));
}

/* The document of an earlier deployment, with what differs now. */
static char *rewrite(struct rg_call *call, struct rg_str yaml, const struct rg_deploy_metadata *metadata,
                     size_t *ret_len)
{
    struct rg_yaml_json document;
    struct rg_problems problems;
    char *out = NULL;
    rg_problems_init(&problems);
    int rc = rg_yaml_json(yaml, yaml.len, &document, &problems);
    rg_problems_fini(&problems);
    if (!rc) {
        rg_document_override(document.value, metadata);
        rc = rg_yaml_write(document.value, &out, ret_len);
        rg_yaml_json_fini(&document);
    }
    if (rc)
        rg_store_fail(call->store, rc == -EINVAL ? -EBADMSG : rc);
    return rc ? NULL : out;
}

/* NULL: refused, or failed. */
static char *yaml_of_base(struct rg_call *call, const char *artifact, const struct rg_deploy_input *in, size_t *ret_len)
{
    const char *base = rg_call_text(call, in->base);
    struct rg_rows rows;
    char *yaml = NULL;
    size_t len;
    rg_db_query(call->db, &rows, "SELECT content FROM deployments WHERE uuid = ?1 AND artifact_uuid = ?2",
                RG_WITH(rg_text(base), rg_text(artifact)));
    if (rg_rows_next(&rows)) {
        char *old = rg_text_open(call->store, rg_rows_view(&rows, 0), base, &len);
        if (old)
            yaml = rewrite(call, (struct rg_str){old, len}, &in->metadata, ret_len);
        free(old);
    } else {
        rg_refuse(call, 404, "DEPLOYMENT_BASE_NOT_FOUND", "The %s \"%s\" has no deployment \"%.100s\".",
                  rg_type_noun(call->type), call->args[0], base);
    }
    rg_rows_end(&rows);
    return yaml;
}

static char *yaml_of(struct rg_call *call, const struct rg_found_artifact *artifact, size_t *ret_len)
{
    const struct rg_deploy_input *in = call->input;
    if (!is_current(in))
        return yaml_of_base(call, artifact->uuid, in, ret_len);
    struct rg_document_identity identity = {call->type, call->args[0], artifact->uuid,
                                            artifact->project[0] ? artifact->project : NULL};
    return rg_artifact_yaml(call, &identity, artifact->definition, &in->metadata, ret_len);
}

/* ---- Deploy: rows ---- */

static void put(json_t *object, const char *name, struct rg_str value)
{
    if (value.len)
        json_object_set_new(object, name, rg_json_of_view(value));
}

static const char *metadata_text(struct rg_call *call, const struct rg_deploy_metadata *metadata)
{
    json_t *object = json_object();
    put(object, "endpointUrl", metadata->endpoint_url);
    put(object, "vhostMain", metadata->vhost_main);
    put(object, "vhostSandbox", metadata->vhost_sandbox);
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    const char *copy = text ? rg_call_text(call, rg_str_of(text)) : "{}";
    free(text);
    return copy;
}

struct secret_refs {
    struct rg_call *call;
    const char *deployment;
};

static void write_secret_ref(struct rg_str handle, void *arg)
{
    const struct secret_refs *refs = arg;
    rg_db_exec(refs->call->db,
               "INSERT INTO artifact_secret_refs (deployment_uuid, secret_handle) VALUES (?1, ?2)"
               " ON CONFLICT DO NOTHING",
               RG_WITH(rg_text(refs->deployment), rg_view(handle)));
}

static void write_deployment(struct rg_call *call, const struct rg_place *place, const char *uuid, const char *name,
                             struct rg_str yaml)
{
    const struct rg_deploy_input *in = call->input;
    struct rg_str sealed;
    if (rg_text_seal(call->store, yaml, uuid, &sealed))
        return;
    rg_db_exec(call->db,
               "INSERT INTO deployments (uuid, display_name, artifact_uuid, organization_uuid, gateway_uuid,"
               " base_deployment_uuid, content, metadata, created_by, created_at, created_at_ms)"
               " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
               RG_WITH(rg_text(uuid), rg_text(name), rg_text(place->artifact), rg_text(place->organization),
                       rg_text(place->gateway), is_current(in) ? rg_text(NULL) : rg_view(in->base), rg_blob(sealed),
                       rg_text(metadata_text(call, &in->metadata)), rg_text(call->actor.name), rg_text(call->now),
                       rg_int(call->now_ms)));
    free((void *)(uintptr_t)sealed.ptr);
    struct secret_refs refs = {call, uuid};
    rg_document_secrets(yaml, write_secret_ref, &refs);
}

/* The oldest go that no status points to, so that at most so many are kept on this gateway, and what is live. */
static void forget_oldest(struct rg_call *call, const struct rg_place *place)
{
    rg_db_exec(call->db,
               "DELETE FROM deployments WHERE uuid IN (SELECT d.uuid FROM deployments d WHERE d.artifact_uuid = ?1 AND"
               " d.gateway_uuid = ?2 AND NOT EXISTS (SELECT 1 FROM deployment_status s WHERE s.artifact_uuid = ?1 AND"
               " s.gateway_uuid = ?2 AND d.uuid IN (s.deployment_uuid, s.live_uuid))"
               " ORDER BY d.rowid DESC LIMIT -1 OFFSET ?3)", /* as they came, whatever the clock said */
               RG_WITH(rg_text(place->artifact), rg_text(place->gateway),
                       rg_int((int64_t)call->store->config.max_per_gateway - 1)));
}

static const char *name_of(struct rg_call *call, struct rg_str given)
{
    char made[64];
    snprintf(made, sizeof(made), "deployment-%lld", (long long)call->now_ms);
    return rg_call_text(call, given.len ? given : rg_str_of(made));
}

static const char *validation_code(enum rg_artifact_type type)
{
    static const char *const codes[] = {[RG_TYPE_REST_API] = "REST_API_DEPLOYMENT_VALIDATION_FAILED",
                                        [RG_TYPE_LLM_PROVIDER] = "LLM_PROVIDER_DEPLOYMENT_VALIDATION_FAILED",
                                        [RG_TYPE_LLM_PROXY] = "LLM_PROXY_DEPLOYMENT_VALIDATION_FAILED"};
    return codes[type];
}

static void deploy(struct rg_call *call, const struct rg_place *place, struct rg_str yaml)
{
    const struct rg_deploy_input *in = call->input;
    char uuid[RG_UUID_LEN + 1];
    rg_uuid_make(uuid, call->now_ms);
    write_deployment(call, place, uuid, name_of(call, in->name), yaml);
    rg_operation_start(call->store, place, uuid, RG_TRIGGER_DEPLOY, &call->actor, call->effects);
    forget_oldest(call, place);
    rg_audit(call, "DEPLOY", rg_type_info(call->type)->name, uuid);
    rg_store_add(call->store, RG_STORE_DEPLOYMENTS);
    rg_answer_located(call, rg_deployment_read(call, uuid), "/%s/%s/deployments/%s",
                      rg_type_info(call->type)->collection, call->args[0], uuid);
}

void rg_post_deployment(struct rg_call *call)
{
    const struct rg_deploy_input *in = call->input;
    struct rg_place place = {.type = call->type};
    struct rg_found_artifact artifact;
    size_t len;
    if (!rg_find_artifact(call, call->args[0], true, &artifact))
        return;
    snprintf(place.organization, sizeof(place.organization), "%s", call->organization);
    snprintf(place.artifact, sizeof(place.artifact), "%s", artifact.uuid);
    if (rg_find_gateway(call, rg_call_text(call, in->gateway), place.gateway)) {
        char *yaml = yaml_of(call, &artifact, &len);
        if (yaml && rg_artifact_passes(call, yaml, len, validation_code(call->type)))
            deploy(call, &place, (struct rg_str){yaml, len});
        free(yaml);
    }
    rg_found_artifact_fini(&artifact);
}

/* ---- Undeploy, restore ---- */

/* ?gatewayId= has to be the deployment's own. */
static bool gateway_agrees(struct rg_call *call, const char *gateway)
{
    const char *asked = rg_call_query(call, "gatewayId");
    if (!asked || strcmp(asked, gateway) == 0)
        return true;
    rg_refuse(call, 400, "DEPLOYMENT_GATEWAY_MISMATCH", "The deployment is of the gateway \"%s\", not of \"%.100s\".",
              gateway, asked);
    return false;
}

/* A proxy's routes are made of its provider's: they would go with it, and the proxy's status would say otherwise. */
static bool is_needed(struct rg_call *call, const struct rg_place *place, const char *gateway)
{
    if (call->type != RG_TYPE_LLM_PROVIDER)
        return false;
    json_t *user = rg_find_user(call, "LlmProxy", call->args[0], place->gateway);
    if (!user)
        return false;
    rg_refuse(call, 409, "ARTIFACT_IN_USE",
              "The LLM proxy \"%s\" leads through it and is deployed on the gateway \"%s\"; undeploy that first.",
              json_string_value(user), gateway);
    json_decref(user);
    return true;
}

static bool is_current_at(struct rg_call *call, const struct rg_place *place)
{
    struct rg_current current;
    rg_current_load(call->store, place, &current);
    return strcmp(current.deployment, call->args[1]) == 0;
}

static void operate(struct rg_call *call, enum rg_trigger trigger)
{
    struct rg_place place;
    char gateway[RG_CALL_HANDLE_MAX + 1];
    if (!rg_find_deployment(call, &place, gateway) || !gateway_agrees(call, gateway))
        return;
    if (trigger == RG_TRIGGER_UNDEPLOY && is_current_at(call, &place) && is_needed(call, &place, gateway))
        return;
    switch (rg_operation_start(call->store, &place, call->args[1], trigger, &call->actor, call->effects)) {
    case RG_VERDICT_MOVE:
        rg_audit(call, rg_trigger_name(trigger), rg_type_info(call->type)->name, call->args[1]);
        rg_answer_json(call, 200, rg_deployment_read(call, call->args[1]));
        return;
    case RG_VERDICT_CONFLICT:
        rg_refuse(call, 409, "DEPLOYMENT_RESTORE_CONFLICT", "The deployment is the current one already.");
        return;
    default:
        rg_refuse(call, 409, "DEPLOYMENT_NOT_ACTIVE", "The deployment is not active on the gateway \"%s\".", gateway);
    }
}

void rg_undeploy_deployment(struct rg_call *call)
{
    operate(call, RG_TRIGGER_UNDEPLOY);
}

void rg_restore_deployment(struct rg_call *call)
{
    operate(call, RG_TRIGGER_RESTORE);
}

/* ---- Delete ---- */

void rg_delete_deployment(struct rg_call *call)
{
    struct rg_place place;
    struct rg_current current;
    char gateway[RG_CALL_HANDLE_MAX + 1];
    if (!rg_find_deployment(call, &place, gateway))
        return;
    rg_current_load(call->store, &place, &current);
    if (strcmp(current.deployment, call->args[1]) == 0 && current.status != RG_STATUS_UNDEPLOYED) {
        rg_refuse(call, 409, "DEPLOYMENT_ACTIVE", "The deployment is %s on the gateway \"%s\"; undeploy it first.",
                  rg_status_name(current.status), gateway);
        return;
    }
    if (strcmp(current.live, call->args[1]) == 0) {
        rg_refuse(call, 409, "DEPLOYMENT_ACTIVE",
                  "The deployment answers requests on the gateway \"%s\"; undeploy or replace it first.", gateway);
        return;
    }
    rg_db_exec(call->db, "DELETE FROM deployments WHERE uuid = ?1", RG_WITH(rg_text(call->args[1])));
    rg_audit(call, "DELETE", "deployment", call->args[1]);
    rg_answer_nothing(call);
}
