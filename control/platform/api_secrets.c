/*
 * Secrets that artifacts name by `{{ secret "handle" }}`: kept sealed, never shown, given only to gateways that have a
 * deployment which names them. Thread: the store's.
 */
#include <stdio.h>
#include <stdlib.h>

#include "control/platform/definitions.h"
#include "control/platform/handlers.h"
#include "control/platform/schemas.h"

#define VALUE_MAX 65536
#define SECRET    "SELECT handle, display_name, description, created_at, updated_at, uuid, value, hash FROM secrets "
#define MINE      "WHERE organization_uuid = ?1 "

static json_t *secret(struct rg_call *call, const struct rg_rows *rows)
{
    (void)call;
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", rg_rows_text(rows, 0), "displayName", rg_rows_text(rows, 1),
                     "description", rg_rows_text(rows, 2), "createdAt", rg_rows_text(rows, 3), "updatedAt",
                     rg_rows_text(rows, 4));
}

/* NULL: refused. */
static json_t *read_secret(struct rg_call *call, const char *handle, char uuid[RG_UUID_LEN + 1])
{
    struct rg_rows rows;
    json_t *found = NULL;
    rg_db_query(call->db, &rows, SECRET MINE "AND handle = ?2", RG_WITH(rg_text(call->organization), rg_text(handle)));
    if (rg_rows_next(&rows)) {
        found = secret(call, &rows);
        snprintf(uuid, RG_UUID_LEN + 1, "%s", rg_rows_text(&rows, 5));
    } else {
        rg_refuse(call, 404, "SECRET_NOT_FOUND", "There is no secret \"%s\".", handle);
    }
    rg_rows_end(&rows);
    return found;
}

void rg_list_secrets(struct rg_call *call)
{
    const struct rg_value values[] = {rg_text(call->organization)};
    rg_answer_list(call, "SELECT count(*) FROM secrets " MINE, SECRET MINE "ORDER BY handle LIMIT ?2 OFFSET ?3", values,
                   1, secret);
}

void rg_get_secret(struct rg_call *call)
{
    char uuid[RG_UUID_LEN + 1];
    json_t *found = read_secret(call, call->args[0], uuid);
    if (found)
        rg_answer_json(call, 200, found);
}

/* Sealed for the row; false: refused. */
static bool seal_value(struct rg_call *call, const char *uuid, struct rg_str *sealed, char hash[RG_SHA256_LEN + 1])
{
    const struct rg_secret_input *in = call->input;
    if (in->value.len > VALUE_MAX) {
        rg_refuse_field(call, "value", "got %zu bytes, wanted at most %d", in->value.len, VALUE_MAX);
        return false;
    }
    /* A salt that others do not have: the hash tells of a change, and nothing of the value. */
    char *mark;
    if (rg_text_seal(call->store, in->value, uuid, sealed) || asprintf(&mark, "%s %s", uuid, call->now) < 0)
        return false;
    rg_sha256_hex(hash, rg_str_of(mark));
    free(mark);
    return true;
}

void rg_post_secret(struct rg_call *call)
{
    const struct rg_secret_input *in = call->input;
    char uuid[RG_UUID_LEN + 1], hash[RG_SHA256_LEN + 1];
    struct rg_str sealed;
    const char *handle = rg_call_handle(call, in->id, in->display_name, 1, RG_CALL_HANDLE_MAX, true);
    rg_uuid_make(uuid, call->now_ms);
    if (!handle || !seal_value(call, uuid, &sealed, hash))
        return;
    int rc = rg_db_exec(call->db,
                        "INSERT INTO secrets (uuid, organization_uuid, handle, display_name, description, value, hash,"
                        " created_by, created_at, updated_at, updated_at_ms)"
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10)",
                        RG_WITH(rg_text(uuid), rg_text(call->organization), rg_text(handle), rg_view(in->display_name),
                                rg_view(in->description), rg_blob(sealed), rg_text(hash), rg_text(call->actor.name),
                                rg_text(call->now), rg_int(call->now_ms)));
    free((void *)(uintptr_t)sealed.ptr);
    if (rc < 0) {
        rg_refuse_conflict(call, "SECRET_EXISTS", "a secret", handle);
        return;
    }
    rg_audit(call, "CREATE", "secret", uuid);
    rg_answer_located(call, read_secret(call, handle, uuid), "/secrets/%s", handle);
}

void rg_put_secret(struct rg_call *call)
{
    const struct rg_secret_input *in = call->input;
    char uuid[RG_UUID_LEN + 1], hash[RG_SHA256_LEN + 1];
    struct rg_str sealed;
    json_t *old = read_secret(call, call->args[0], uuid);
    json_decref(old);
    if (!old || !seal_value(call, uuid, &sealed, hash))
        return;
    rg_db_exec(call->db,
               "UPDATE secrets SET display_name = ?2, description = ?3, value = ?4, hash = ?5, updated_at = ?6,"
               " updated_at_ms = ?7 WHERE uuid = ?1",
               RG_WITH(rg_text(uuid), rg_view(in->display_name), rg_view(in->description), rg_blob(sealed),
                       rg_text(hash), rg_text(call->now), rg_int(call->now_ms)));
    free((void *)(uintptr_t)sealed.ptr);
    rg_audit(call, "UPDATE", "secret", uuid);
    rg_answer_json(call, 200, read_secret(call, call->args[0], uuid));
}

/* true: refused. */
static bool is_in_use(struct rg_call *call)
{
    struct rg_rows rows;
    rg_db_query(call->db, &rows,
                "SELECT a.kind, a.handle, g.handle FROM artifact_secret_refs r JOIN deployment_status s ON"
                " s.deployment_uuid = r.deployment_uuid JOIN artifacts a ON a.uuid = s.artifact_uuid JOIN gateways g ON"
                " g.uuid = s.gateway_uuid WHERE s.organization_uuid = ?1 AND r.secret_handle = ?2"
                " AND s.status <> 'UNDEPLOYED' LIMIT 1",
                RG_WITH(rg_text(call->organization), rg_text(call->args[0])));
    bool used = rg_rows_next(&rows);
    if (used)
        rg_refuse(call, 409, "SECRET_IN_USE",
                  "The %s \"%s\", deployed on the gateway \"%s\", names the secret \"%s\"; undeploy it there first.",
                  rg_type_noun(rg_type_of_kind(rg_rows_text(&rows, 0))), rg_rows_text(&rows, 1), rg_rows_text(&rows, 2),
                  call->args[0]);
    rg_rows_end(&rows);
    return used;
}

void rg_delete_secret(struct rg_call *call)
{
    char uuid[RG_UUID_LEN + 1];
    json_t *old = read_secret(call, call->args[0], uuid);
    json_decref(old);
    if (!old)
        return;
    if (is_in_use(call))
        return;
    rg_db_exec(call->db, "DELETE FROM secrets WHERE uuid = ?1", RG_WITH(rg_text(uuid)));
    rg_audit(call, "DELETE", "secret", uuid);
    rg_answer_nothing(call);
}

/* ---- For gateways ---- */

#define FETCHED                                                                                                 \
    SECRET MINE "AND handle IN (SELECT r.secret_handle FROM artifact_secret_refs r JOIN deployment_status s ON" \
                " s.deployment_uuid = r.deployment_uuid WHERE s.gateway_uuid = ?2 AND s.status_desired = 'DEPLOYED') "

static json_t *value_of(struct rg_call *call, const struct rg_rows *rows)
{
    size_t len;
    char *plain = rg_text_open(call->store, rg_rows_view(rows, 6), rg_rows_text(rows, 5), &len);
    json_t *value = plain ? json_stringn(plain, len) : NULL;
    if (plain)
        explicit_bzero(plain, len);
    free(plain);
    return value;
}

static json_t *fetched_secret(struct rg_call *call, const struct rg_rows *rows)
{
    const char *with_values = rg_call_query(call, "includeValues");
    json_t *shown = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "uuid", rg_rows_text(rows, 5), "handle",
                              rg_rows_text(rows, 0), "name", rg_rows_text(rows, 1), "type", "GENERIC", "provider",
                              "in-built", "status", "ACTIVE", "hash", rg_rows_text(rows, 7), "createdAt",
                              rg_rows_text(rows, 3), "updatedAt", rg_rows_text(rows, 4));
    if (with_values && strcmp(with_values, "true") == 0)
        json_object_set_new(shown, "value", value_of(call, rows));
    return shown;
}

void rg_fetch_secrets(struct rg_call *call)
{
    const char *after = rg_call_query(call, "updatedAfter");
    struct rg_rows rows;
    int64_t after_ns = -1000000;
    if (after && !rg_instant_parse(rg_str_of(after), &after_ns)) {
        rg_refuse(call, 400, "BAD_REQUEST", "updatedAfter: got \"%.60s\", wanted a time of RFC 3339", after);
        return;
    }
    rg_db_query(call->db, &rows, FETCHED "AND updated_at_ms > ?3 ORDER BY handle",
                RG_WITH(rg_text(call->organization), rg_text(call->gateway), rg_int(after_ns / 1000000)));
    json_t *list = rg_rows_array(call, &rows, fetched_secret);
    rg_answer_json(call, 200, json_pack("{s:I, s:o}", "count", (json_int_t)json_array_size(list), "list", list));
}

void rg_fetch_secret_value(struct rg_call *call)
{
    struct rg_rows rows;
    rg_db_query(call->db, &rows, FETCHED "AND handle = ?3",
                RG_WITH(rg_text(call->organization), rg_text(call->gateway), rg_text(call->args[0])));
    if (rg_rows_next(&rows))
        rg_answer_json(call, 200, json_pack("{s:o}", "value", value_of(call, &rows)));
    else
        rg_refuse(call, 404, "SECRET_NOT_FOUND",
                  "There is no secret \"%s\" that a deployment on this gateway names; rgctl secret set %s makes it",
                  call->args[0], call->args[0]);
    rg_rows_end(&rows);
}
