/*
 * What gateways ask for: the artifacts that are meant for them, one by one or many at once, and whether those that they
 * have are still known. Thread: the store's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/platform/bundle.h"
#include "control/platform/definitions.h"
#include "control/platform/handlers.h"
#include "control/platform/internal_bodies.h"

#define BATCH_MAX 1000 /* ids in one request */

/* ---- One artifact ---- */

static void answer_zip(struct rg_call *call, const char *artifact, struct rg_str yaml)
{
    const char *file = rg_type_info(call->type)->file;
    char name[128], *bytes = NULL;
    size_t len = 0;
    snprintf(name, sizeof(name), "%s-%s.yaml", file, artifact);
    int rc = rg_bundle_zip(name, yaml, &bytes, &len);
    if (rc) {
        rg_store_fail(call->store, rc);
        return;
    }
    rg_answer_bytes(call, "application/zip", bytes, len);
    snprintf(call->answer->file_name, sizeof(call->answer->file_name), "%s-%s.zip", file, artifact);
}

/* The deployment that is wanted now, whatever event the gateway follows. */
void rg_fetch_artifact(struct rg_call *call)
{
    struct rg_rows rows;
    size_t len;
    rg_db_query(call->db, &rows,
                "SELECT d.uuid, d.content FROM deployment_status s JOIN deployments d ON d.uuid = s.deployment_uuid"
                " JOIN artifacts a ON a.uuid = s.artifact_uuid WHERE s.gateway_uuid = ?1 AND s.artifact_uuid = ?2 AND"
                " a.kind = ?3 AND s.status_desired = 'DEPLOYED'",
                RG_WITH(rg_text(call->gateway), rg_text(call->args[0]), rg_text(rg_type_info(call->type)->name)));
    if (rg_rows_next(&rows)) {
        char *yaml = rg_text_open(call->store, rg_rows_view(&rows, 1), rg_rows_text(&rows, 0), &len);
        if (yaml)
            answer_zip(call, call->args[0], (struct rg_str){yaml, len});
        free(yaml);
    } else {
        rg_refuse(call, 404, "NOT_FOUND", "No active deployment found for this %s on this gateway",
                  call->type == RG_TYPE_REST_API ? "API" : rg_type_noun(call->type));
    }
    rg_rows_end(&rows);
}

/* ---- All of them ---- */

static json_t *listed(struct rg_call *call, const struct rg_rows *rows)
{
    char etag[RG_UUID_LEN + 1];
    (void)call;
    rg_uuid_derive(etag, rg_rows_int(rows, 5), rg_rows_view(rows, 1));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "artifactId", rg_rows_text(rows, 0), "deploymentId",
                     rg_rows_text(rows, 1), "kind", rg_rows_text(rows, 2), "state", rg_rows_text(rows, 3), "deployedAt",
                     rg_rows_text(rows, 4), "etag", etag);
}

void rg_fetch_deployments(struct rg_call *call)
{
    const char *since = rg_call_query(call, "since");
    struct rg_rows rows;
    int64_t since_ns = -1000000;
    if (since && !rg_instant_parse(rg_str_of(since), &since_ns)) {
        rg_refuse(call, 400, "BAD_REQUEST", "since: got \"%.60s\", wanted a time of RFC 3339", since);
        return;
    }
    rg_db_query(call->db, &rows,
                "SELECT s.artifact_uuid, s.deployment_uuid, a.kind, s.status_desired, s.performed_at,"
                " s.performed_at_ms FROM deployment_status s JOIN artifacts a ON a.uuid = s.artifact_uuid"
                " WHERE s.gateway_uuid = ?1 AND s.performed_at_ms > ?2 ORDER BY CASE a.kind WHEN 'RestApi' THEN 0"
                " WHEN 'LlmProvider' THEN 1 WHEN 'LlmProxy' THEN 2 ELSE 3 END, s.performed_at_ms DESC",
                RG_WITH(rg_text(call->gateway), rg_int(since_ns / 1000000)));
    rg_answer_json(call, 200, json_pack("{s:o}", "deployments", rg_rows_array(call, &rows, listed)));
}

static bool accepts_archive(struct rg_str accept)
{
    return rg_str_eq_nocase(accept, RG_STR("application/x-tar+gzip"));
}

/* false: the transaction has failed. Ids that are not this gateway's are left out. */
static bool add_deployment(struct rg_call *call, struct rg_bundle *bundle, struct rg_str id)
{
    struct rg_rows rows;
    char name[256];
    size_t len;
    int rc = 0;
    rg_db_query(call->db, &rows,
                "SELECT d.uuid, d.content, d.artifact_uuid, a.kind FROM deployments d JOIN artifacts a ON"
                " a.uuid = d.artifact_uuid WHERE d.uuid = ?1 AND d.gateway_uuid = ?2",
                RG_WITH(rg_view(id), rg_text(call->gateway)));
    if (rg_rows_next(&rows)) {
        char *yaml = rg_text_open(call->store, rg_rows_view(&rows, 1), rg_rows_text(&rows, 0), &len);
        snprintf(name, sizeof(name), "%s/%s-%s.yaml", rg_rows_text(&rows, 0),
                 rg_type_info(rg_type_of_kind(rg_rows_text(&rows, 3)))->file, rg_rows_text(&rows, 2));
        rc = yaml ? rg_bundle_add(bundle, name, (struct rg_str){yaml, len}) : -EBADMSG;
        free(yaml);
    }
    rg_rows_end(&rows);
    if (rc)
        rg_store_fail(call->store, rc);
    return rc == 0;
}

static bool too_many(struct rg_call *call, const struct rg_param_list *ids, const char *member)
{
    if (ids->n <= BATCH_MAX)
        return false;
    rg_refuse(call, 400, "BAD_REQUEST", "%s: got %zu ids, %d are the most", member, ids->n, BATCH_MAX);
    return true;
}

void rg_fetch_batch(struct rg_call *call)
{
    const struct rg_ids_input *in = call->input;
    const struct rg_str *ids = in->ids.items;
    struct rg_bundle *bundle;
    char *bytes = NULL;
    size_t len = 0;
    if (!accepts_archive(call->request->accept)) {
        rg_refuse(call, 406, "NOT_ACCEPTABLE", "Accept: got \"%.*s\", wanted application/x-tar+gzip",
                  (int)(call->request->accept.len < 100 ? call->request->accept.len : 100), call->request->accept.ptr);
        return;
    }
    if (too_many(call, &in->ids, "deploymentIds"))
        return;
    int rc = rg_bundle_create(&bundle);
    if (rc) {
        rg_store_fail(call->store, rc);
        return;
    }
    for (size_t i = 0; i < in->ids.n; i++) {
        if (!add_deployment(call, bundle, ids[i])) {
            rg_bundle_destroy(bundle);
            return;
        }
    }
    rc = rg_bundle_finish(bundle, &bytes, &len);
    if (rc) {
        rg_store_fail(call->store, rc);
        return;
    }
    rg_answer_bytes(call, "application/x-tar+gzip", bytes, len);
    snprintf(call->answer->file_name, sizeof(call->answer->file_name), "deployments.tar.gz");
}

/* ---- Still known? ---- */

void rg_fetch_existing(struct rg_call *call)
{
    const struct rg_ids_input *in = call->input;
    const struct rg_str *ids = in->ids.items;
    json_t *list = json_array();
    if (too_many(call, &in->ids, "artifactIds")) {
        json_decref(list);
        return;
    }
    for (size_t i = 0; i < in->ids.n; i++) {
        int64_t n =
            rg_db_number(call->db, 0, "SELECT count(*) FROM artifacts WHERE uuid = ?1 AND organization_uuid = ?2",
                         RG_WITH(rg_view(ids[i]), rg_text(call->organization)));
        json_array_append_new(list, json_pack("{s:o, s:b}", "artifactId", rg_json_of_view(ids[i]), "exists", n > 0));
    }
    rg_answer_json(call, 200, json_pack("{s:o}", "artifacts", list));
}

/* ---- Manifest: which version runs, and which policies it knows ---- */

void rg_take_manifest(struct rg_call *call)
{
    const struct rg_manifest_input *in = call->input;
    if (strcmp(call->args[0], call->gateway) != 0) {
        rg_refuse(call, 403, "FORBIDDEN", "The key is of another gateway");
        return;
    }
    char *text = json_dumps(call->body, JSON_COMPACT);
    if (!text) {
        rg_store_fail(call->store, -ENOMEM);
        return;
    }
    rg_db_exec(call->db,
               "UPDATE gateways SET manifest = ?2, version = CASE WHEN ?3 = '' THEN version ELSE ?3 END,"
               " last_seen_at = ?4 WHERE uuid = ?1",
               RG_WITH(rg_text(call->gateway), rg_text(text), rg_view(in->version), rg_text(call->now)));
    free(text);
    rg_answer_nothing(call);
}

void rg_fetch_empty(struct rg_call *call)
{
    rg_answer_json(call, 200, json_array());
}
